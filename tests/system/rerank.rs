//! A reranker reorders the best results. When it is away, the results keep their ranking, and the
//! answer says that they are not reranked.

use std::time::{Duration, Instant};

use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::{EMBEDDER_FAILS, Home};
use pgrecall_harness::mcp::Host;
use pgrecall_harness::postgres;
use serde_json::{Value, json};

fn contents(answer: &Value) -> Vec<&str> {
    answer["memories"].as_array().expect("memories").iter().filter_map(|memory| memory["content"].as_str()).collect()
}

#[test]
fn the_reranker_has_the_last_word_and_nobody_waits_for_one_that_is_away() {
    let (embedder, reranker) = (ScriptedEmbedder::start(), ScriptedEmbedder::start());
    let home = Home::with(&embedder.config_with_rerank(&postgres::database_now(), &reranker));
    home.expect_logs(EMBEDDER_FAILS);
    let _worker = home.worker();
    let mut host = home.host();
    let contents_of_all = ["the old walrus sleeps on the ice", "the walrus of the zoo is grumpy", "a penguin walks by"];
    let ids = contents_of_all.map(|content| host.ask("memory_remember", json!({"content": content}))["id"].clone());
    host.wait_embedded();

    let plain = host.ask(
        "memory_recall",
        json!({"query": "old walrus sleeps ice grumpy", "strategy": "lexical", "limit": 1, "explain": true}),
    );
    assert_eq!(
        contents(&plain),
        ["the walrus of the zoo is grumpy"],
        "the reranker looks at words' answers, too: {plain}"
    );
    assert!(plain["memories"][0]["explain"]["reranked"].as_f64().is_some_and(|score| (score - 0.9).abs() < 1e-6));
    let second =
        json!({"query": "old walrus sleeps ice grumpy", "strategy": "lexical", "limit": 1, "cursor": plain["cursor"]});
    assert_eq!(contents(&host.ask("memory_recall", second)), ["the old walrus sleeps on the ice"]);

    let about = json!({"query": "old walrus sleeps ice grumpy", "strategy": "lexical", "limit": 1, "why_not": ids[0]});
    let why_not = |host: &mut Host| host.ask("memory_recall", about.clone())["why_not"]["reason"].clone();
    assert_eq!(
        why_not(&mut host),
        "it is after the answers that are shown, in place 2 of 2, where the reranker put it"
    );

    for mood in [Mood::Failing(503), Mood::Hanging, Mood::Away] {
        reranker.set(mood.clone());
        let begun = Instant::now();
        let answer = host.ask("memory_recall", json!({"query": "old walrus sleeps ice grumpy", "limit": 1}));
        assert_eq!(contents(&answer), ["the old walrus sleeps on the ice"], "{mood:?}: {answer}");
        assert_eq!((&answer["ranking"], &answer["degraded"]), (&json!("hybrid"), &json!(false)), "{mood:?}");
        assert!(answer["note"].as_str().is_some_and(|note| note.contains("not reranked")), "{mood:?}: {answer}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{mood:?}: {:?}", begun.elapsed());
        assert_eq!(why_not(&mut host), "it is among the answers, in place 1 of 2", "{mood:?}");
    }
    host.leave();
}
