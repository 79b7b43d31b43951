//! Tests of ranking: the right answer comes first in scopes of any size, and filtered records stay
//! out.

use std::collections::HashSet;

use pgrecall_record::source::{Record, RecordFields, SourceKind, Visibility};
use pgrecall_store::recall::{self, Diversity, Query, Ranking, Stage, Strategy, Tuning};
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{Fixture, document, memory, query, scope, texts};

/// More records than a scope may have to be scored whole if the caller sees all of them.
const LARGE: usize = 5_200;

fn with_metadata(mut record: Record, metadata: serde_json::Value) -> Record {
    record.fields.metadata = metadata.as_object().expect("an object").clone();
    record
}

#[tokio::test]
async fn identifiers_are_found_whole_and_in_parts() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let mut record = memory("daily snapshot, see the lineage page");
    record.fields.entity_urns = vec!["urn:li:dataset:(urn:li:dataPlatform:hive,sales.orders_v2,PROD)".into()];
    it.write(vec![record, memory("join on cust_id, never on the kebab-case-name"), memory("unrelated text")]).await?;
    for asked in ["orders_v2", "sales.orders_v2", "orders"] {
        let answer = it.recall(&query(asked, SourceKind::Memory)).await?;
        assert_eq!(texts(&answer)[0], "daily snapshot, see the lineage page", "{asked}");
    }
    for asked in ["cust_id", "kebab-case-name", "which customer id: cust_id?"] {
        let answer = it.recall(&query(asked, SourceKind::Memory)).await?;
        assert!(texts(&answer)[0].starts_with("join on"), "{asked}");
    }
    Ok(())
}

#[tokio::test]
async fn meaning_finds_what_words_do_not_and_both_together_rank_first() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![memory("felines sleep a lot"), memory("cats are animals"), memory("stocks fell")]).await?;
    it.embed_all(|text| if text.contains("stocks") { 5 } else { 1 }).await?;
    let answer = it.recall_by(&query("cats", SourceKind::Memory), 1).await?;
    assert_eq!(answer.ranking, Ranking::Hybrid);
    assert_eq!(&texts(&answer)[..2], ["cats are animals", "felines sleep a lot"]);
    let mut by_words = query("cats", SourceKind::Memory);
    by_words.strategy = Strategy::Lexical;
    assert_eq!(texts(&it.recall(&by_words).await?), ["cats are animals"]);
    Ok(())
}

#[tokio::test]
async fn a_filter_keeps_to_its_scope_and_fills_the_limit() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let records = (0..300).map(|n| {
        with_metadata(memory(&format!("revenue report number {n}")), json!({"team": n % 10, "tags": {"deep": [n % 3]}}))
    });
    it.write(records.collect()).await?;
    it.embed_all(|_| 2).await?;
    let mut asked = query("revenue report", SourceKind::Memory);
    asked.limit = 30;
    asked.filter.metadata = json!({"team": 7}).as_object().expect("an object").clone();
    let answer = it.recall_by(&asked, 2).await?;
    assert_eq!(answer.hits.len(), 30);
    assert!(answer.hits.iter().all(|hit| hit.fields.metadata["team"] == 7));
    asked.filter.metadata = json!({"team": 7, "tags": {"deep": [1]}}).as_object().expect("an object").clone();
    let answer = it.recall_by(&asked, 2).await?;
    assert_eq!(answer.hits.len(), 10);
    assert!(answer.end_note().expect("it says so").contains("nothing more exists"));
    asked.filter.metadata = json!({"no_such_key": 1}).as_object().expect("an object").clone();
    let answer = it.recall_by(&asked, 2).await?;
    assert!(answer.hits.is_empty() && answer.end_note().expect("it says so").contains("check the filter"));
    Ok(())
}

#[tokio::test]
async fn a_large_corpus_is_searched_through_the_indexes_with_the_same_result() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let filler = (0..LARGE).map(|n| document(&format!("d{n}"), &format!("ordinary text about topic {}", n % 50)));
    it.write(filler.collect()).await?;
    it.write_one(document("needle", "the walrus sings at midnight")).await?;
    // A graph of thousands of other vectors may not lead to a single isolated one.
    let near = (0..40).map(|n| document(&format!("near {n}"), &format!("marine mammals at night {n}")));
    it.write(near.collect()).await?;
    it.embed_all(|text| if text.contains("walrus") || text.contains("marine") { 3 } else { text.len() % 3 }).await?;
    let answer = it.recall_by(&query("when does the walrus sing?", SourceKind::Document), 3).await?;
    let keys: Vec<_> = answer.hits.iter().filter_map(|hit| hit.fields.key.as_deref()).collect();
    assert_eq!(keys[0], "needle");
    assert!(keys[1..5].iter().all(|key| key.starts_with("near")), "{keys:?}");
    assert_eq!(answer.hits.len(), 10);
    assert!(answer.kinds[&SourceKind::Document] < LARGE / 2, "not everything was scored: {:?}", answer.kinds);
    let mut narrow = query("topic", SourceKind::Document);
    narrow.limit = 100;
    assert_eq!(it.recall_by(&narrow, 0).await?.hits.len(), 100);
    pgrecall_store::corpora::recount(&it.db).await?;
    let counted = it.recall_by(&query("when does the walrus sing?", SourceKind::Document), 3).await?;
    assert_eq!(counted.hits[0].fields.key.as_deref(), Some("needle"));
    Ok(())
}

#[tokio::test]
async fn a_long_document_does_not_take_the_places_of_the_others() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let book: String =
        (0..120).map(|n| format!("walrus chapter {n}\n\n{}\n\n", "the walrus sings at night ".repeat(40))).collect();
    let filler = (0..LARGE).map(|n| document(&format!("d{n}"), &format!("ordinary text about topic {}", n % 50)));
    it.write(filler.chain([document("book", &book)]).collect()).await?;
    it.embed_all(|text| if text.contains("walrus") { 3 } else { text.len() % 3 }).await?;
    let mut asked = query("when does the walrus sing?", SourceKind::Document);
    asked.strategy = Strategy::Semantic;
    let answer = it.recall_by(&asked, 3).await?;
    assert_eq!(answer.hits[0].fields.key.as_deref(), Some("book"));
    assert_eq!(answer.hits.len(), 10, "its passages are the fifty nearest ones");
    assert!(answer.kinds[&SourceKind::Document] < LARGE / 2, "not everything was scored: {:?}", answer.kinds);
    Ok(())
}

/// A dropped candidate that returns as the neighbor of a better one keeps its BM25 score.
#[tokio::test]
async fn a_neighbour_that_comes_back_in_a_large_corpus_has_its_words_counted_once() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let turn = |n: usize| {
        let text = if n % 3 == 2 { format!("ordinary text about topic {n}") } else { format!("the walrus sings {n}") };
        with_metadata(memory(&text), json!({"session": format!("s{}", n / 6)}))
    };
    it.write((0..LARGE).map(turn).collect()).await?;
    it.embed_all(|text| if text.contains("walrus") { 3 } else { text.len() % 3 }).await?;
    let asked = Query { limit: 100, explain: true, ..query("when does the walrus sing?", SourceKind::Memory) };
    let answer = it.recall_by(&asked, 3).await?;
    assert!(answer.kinds[&SourceKind::Memory] < LARGE / 2, "not everything was scored: {:?}", answer.kinds);
    let walruses = answer.hits.iter().filter(|hit| hit.text.contains("walrus"));
    let by_words: HashSet<String> = walruses.filter_map(|hit| Some(hit.explain.as_ref()?.bm25.to_string())).collect();
    assert_eq!(by_words.len(), 1, "all of them say the same words: {by_words:?}");
    Ok(())
}

#[tokio::test]
async fn turns_of_a_session_lend_each_other_score() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let turn = |text: &str| with_metadata(memory(text), json!({"session": "s1"}));
    let other = |text: &str| with_metadata(memory(text), json!({"session": "s2"}));
    it.write(vec![
        turn("Where did you adopt the puppy?"),
        turn("At the shelter on Elm Street."),
        other("The weather was fine."),
        other("We talked about nothing."),
    ])
    .await?;
    let mut asked = query("where was the puppy adopted", SourceKind::Memory);
    asked.explain = true;
    let answer = it.recall(&asked).await?;
    assert_eq!(texts(&answer), ["Where did you adopt the puppy?", "At the shelter on Elm Street."]);
    let boost = answer.hits[1].explain.as_ref().expect("it was asked for").neighbor_boost;
    assert!(boost > 0.0);
    Ok(())
}

#[tokio::test]
async fn a_recall_answers_with_any_stage_left_out() -> anyhow::Result<()> {
    const LEFT_OUT: [&[Stage]; 6] = [
        &[],
        &[Stage::Reweight],
        &[Stage::Feedback],
        &[Stage::Neighbors],
        &[Stage::Diversify],
        &[Stage::Reweight, Stage::Feedback, Stage::Neighbors, Stage::Diversify],
    ];
    let it = Fixture::new().await?;
    let turn = |text: &str| with_metadata(memory(text), json!({"session": "s1"}));
    it.write(vec![turn("Where is the puppy?"), turn("At the shelter."), turn("The puppy is there.")]).await?;
    it.embed_all(|text| usize::from(text.contains("puppy"))).await?;
    let asked = Query { diversity: Diversity::Distinct, explain: true, ..query("puppy", SourceKind::Memory) };
    let mut boosts = Vec::new();
    for skipped in LEFT_OUT {
        let tuning = Tuning { skipped, near_duplicate_cosine: 0.4, ..Tuning::default() };
        let answer = recall::recall(&it.db, &it.scope, &asked, Some(&it.query_vector(1)), &tuning).await?;
        assert!(answer.hits[0].text.contains("puppy"), "{skipped:?}: {:?}", texts(&answer));
        let collapsed = answer.hits.iter().any(|hit| !hit.near_duplicates.is_empty());
        assert_eq!(collapsed, !skipped.contains(&Stage::Diversify), "{skipped:?}");
        boosts.push(answer.hits[0].explain.as_ref().expect("it was asked for").neighbor_boost);
    }
    assert_ne!(boosts[0], boosts[3], "neighbors boost only where that stage runs: {boosts:?}");
    Ok(())
}

#[tokio::test]
async fn a_long_document_answers_with_the_passage_that_says_it() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let filler = |word: &str| format!("{word} filler text goes on. ").repeat(40);
    let text =
        format!("# Guide\n\n{}\n\n## Escaping\n\nPress the zebra button to leave.\n\n{}", filler("one"), filler("two"));
    let mut record = document("guide", &text);
    record.format = pgrecall_record::source::TextFormat::Markdown;
    it.write_one(record).await?;
    let answer = it.recall(&query("zebra button", SourceKind::Document)).await?;
    assert!(answer.hits[0].text.contains("zebra"), "{}", answer.hits[0].text);
    it.embed_all(|text| usize::from(text.contains("zebra"))).await?;
    let answer = it.recall_by(&query("how to get out", SourceKind::Document), 1).await?;
    assert!(answer.hits[0].text.contains("zebra"));
    assert!(answer.hits[0].heading.contains("Guide"));
    Ok(())
}

/// Returns the part of a text from a character on.
fn text_from(text: &str, characters: i32) -> &str {
    let (at, _) = text.char_indices().nth(characters as usize).expect("the position is in the text");
    &text[at..]
}

#[tokio::test]
async fn a_result_says_where_its_passages_are_and_shows_several_on_request() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let filler = |word: &str| format!("{word} füller text goes on. ").repeat(40);
    let sections = ["one", "two", "three", "four"].map(|word| format!("## Über {word}\n\n{}\n\n", filler(word)));
    let zebras = ["The zebra is striped.", "A zebra runs and a zebra sleeps."];
    let text =
        format!("{}{}\n\n{}{}{}\n\n{}", sections[0], zebras[0], sections[1], sections[2], zebras[1], sections[3]);
    let record = || Record { format: pgrecall_record::source::TextFormat::Markdown, ..document("zoo", &text) };
    it.write(vec![record(), document("other", &filler("zebra")), memory("a zebra in a memory")]).await?;
    it.embed_all(|text| usize::from(text.contains("runs"))).await?;
    let zoo = |answer: pgrecall_store::recall::Answer| {
        answer.hits.into_iter().find(|hit| hit.fields.key.as_deref() == Some("zoo")).expect("it is found")
    };
    let asked = Query { passages: 3, ..query("zebra", SourceKind::Document) };
    for vector in [None, Some(1)] {
        let answer = match vector {
            None => it.recall(&asked).await?,
            Some(toward) => it.recall_by(&asked, toward).await?,
        };
        assert!(answer.hits.iter().all(|hit| hit.more_passages.len() < 3));
        let hit = zoo(answer);
        assert!(
            hit.text.contains("zebra") && text_from(&text, hit.starts_at.expect("a passage")).starts_with(&hit.text)
        );
        // By vector similarity, passages without the word follow.
        assert_eq!(hit.more_passages.len(), if vector.is_some() { 2 } else { 1 });
        assert!(hit.more_passages.iter().any(|passage| passage.text.contains("zebra")));
        let mut places = vec![hit.starts_at.expect("a passage")];
        for passage in hit.more_passages {
            assert!(text_from(&text, passage.starts_at).starts_with(&passage.text));
            assert!(passage.heading.starts_with("Über "), "{}", passage.heading);
            places.push(passage.starts_at);
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), if vector.is_some() { 3 } else { 2 }, "each passage is shown once");
    }
    let one = zoo(it.recall_by(&query("zebra", SourceKind::Document), 1).await?);
    assert!(one.more_passages.is_empty() && one.text.contains("runs"), "{}", one.text);
    let memories = it.recall_by(&Query { passages: 3, ..query("zebra", SourceKind::Memory) }, 1).await?;
    assert!(memories.hits[0].more_passages.is_empty());
    let refused = Query { passages: 11, ..query("zebra", SourceKind::Document) }.check().expect_err("too many");
    assert!(refused.to_string().contains("passages is 11"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_passage_that_moves_says_its_new_place_and_keeps_its_vector() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let filler = "other text goes on. ".repeat(60);
    let text = |first: &str| format!("{first}\n\n{filler}\n\nthe walrus sings, {}", "and so it is. ".repeat(40));
    it.write_one(document("sea", &text("short"))).await?;
    it.embed_all(|text| usize::from(text.contains("walrus"))).await?;
    let asked = query("walrus", SourceKind::Document);
    let place = |answer: &pgrecall_store::recall::Answer| {
        (answer.hits[0].text.clone(), answer.hits[0].starts_at.expect("a passage"))
    };
    let (before, first) = place(&it.recall_by(&asked, 1).await?);
    it.write_one(document("sea", &text("a bit longer"))).await?;
    let (after, second) = place(&it.recall_by(&asked, 1).await?);
    assert_eq!((after, second - first), (before.clone(), 7));
    assert!(text_from(&text("a bit longer"), second).starts_with(&before));
    let embedded = std::cell::RefCell::new(Vec::new());
    it.embed_all(|text| {
        embedded.borrow_mut().push(text.to_owned());
        0
    })
    .await?;
    let embedded = embedded.into_inner();
    assert!(!embedded.is_empty() && embedded.iter().all(|text| !text.contains("walrus")), "{embedded:?}");
    // A program of the previous version writes no position; then the text is searched for it.
    let forget_places = "UPDATE passages SET starts_at = NULL";
    it.db.query(&it.scope, forget_places, &[]).await?;
    assert_eq!(place(&it.recall_by(&asked, 1).await?), (before, second));
    Ok(())
}

#[tokio::test]
async fn the_entity_strategy_finds_the_records_that_name_a_urn() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let mut named = memory("about orders");
    named.fields.entity_urns = vec!["urn:x:orders".into(), "urn:x:customers".into()];
    it.write(vec![named, memory("about something else")]).await?;
    let mut asked = query("", SourceKind::Memory);
    asked.strategy = Strategy::Entity;
    asked.filter.entity_urns = vec!["urn:x:customers".into(), "urn:x:absent".into()];
    let answer = it.recall(&asked).await?;
    assert_eq!((texts(&answer), answer.ranking), (vec!["about orders"], Ranking::Entity));
    Ok(())
}

#[tokio::test]
async fn a_filter_may_name_the_fields_of_a_record() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let ana = |text: &str, category: &str| Record {
        fields: RecordFields { category: Some(category.into()), ..RecordFields::default() },
        ..memory(text)
    };
    it.write(vec![ana("the plan of spring", "plans"), ana("the plan of autumn", "ideas")]).await?;
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    let shared = Record { visibility: Visibility::Tenant, ..memory("the plan of bob") };
    theirs.write(vec![shared, memory("the secret plan of bob")]).await?;
    let found = async |filter: serde_json::Value| {
        let mut asked = query("plan", SourceKind::Memory);
        asked.filter.narrow(filter.as_object().expect("an object").clone())?;
        let answer = it.recall(&asked).await?;
        let mut texts: Vec<String> = answer.hits.into_iter().map(|hit| hit.text).collect();
        texts.sort();
        anyhow::Ok(texts)
    };
    assert_eq!(found(json!({})).await?.len(), 3, "mine, and what is shared with me");
    assert_eq!(found(json!({"$owner": "bob"})).await?, ["the plan of bob"]);
    assert_eq!(found(json!({"$category": "ideas"})).await?, ["the plan of autumn"]);
    assert_eq!(found(json!({"$visibility": "private"})).await?.len(), 2);
    assert_eq!(found(json!({"$status": "superseded"})).await?.len(), 0);
    assert_eq!(found(json!({"$created_until": "2020-01-01"})).await?.len(), 0);
    assert_eq!(found(json!({"$created_from": "2020-01-01", "$changed_since": "2020-01-01"})).await?.len(), 3);
    assert_eq!(found(json!({"$persona": "nobody"})).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_exact_recall_scores_everything() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..20).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    it.embed_all(|_| 3).await?;
    let asked = Query { exact: true, limit: 20, ..query("something else", SourceKind::Memory) };
    assert_eq!(it.recall_by(&asked, 3).await?.hits.len(), 20);
    Ok(())
}

#[tokio::test]
async fn why_a_record_is_not_among_the_answers_is_told_for_each_reason_that_there_is() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let shared = |text: &str| Record {
        fields: RecordFields { tags: vec!["q3".into()], category: Some("plans".into()), ..RecordFields::default() },
        ..memory(text)
    };
    let ids: Vec<Uuid> = it
        .write(vec![
            shared("the plan of autumn, once more"),
            shared("the plan of autumn"),
            shared("budgets follow the plan"),
            memory("the plan of spring"),
            Record {
                fields: RecordFields {
                    valid_to: Some("2020-01-01T00:00:00Z".parse()?),
                    ..shared("the old plan").fields
                },
                ..shared("the old plan")
            },
            document("d", "a plan on paper"),
            shared("nothing of the kind"),
        ])
        .await?
        .into_iter()
        .map(|receipt| receipt.expect("written").id)
        .collect();
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    let hidden = theirs.write_one(shared("bob's plan")).await?.id;
    it.embed_all(|text| if text.contains("autumn") { 1 } else { 2 }).await?;
    let mut asked = Query { limit: 1, ..query("the plan of autumn", SourceKind::Memory) };
    asked.filter.tags = vec!["q3".into()];
    asked.filter.category = Some("plans".into());
    let why = async |id: Uuid, diversity: Diversity| {
        let asked = Query { why_not: Some(id), diversity, ..asked.clone() };
        // The tests' vectors are less similar than those that a model makes of the same sentence.
        let tuning = Tuning { near_duplicate_cosine: 0.4, ..Tuning::default() };
        let answer = recall::recall(&it.db, &it.scope, &asked, Some(&it.query_vector(1)), &tuning).await?;
        anyhow::Ok(answer.why_not.expect("it was asked").reason)
    };
    for (id, reason) in [
        (ids[1], "it is among the answers, with a score"),
        (ids[0], "it is in place 2 of 4 that were ranked, with a score"),
        (ids[3], "it lacks what the filter requires: category=plans, tag=q3"),
        (ids[4], "it is not valid at this time"),
        (ids[5], "it is of the kind document, which is not searched here"),
        (hidden, "there is no such record that you may see"),
        (Uuid::now_v7(), "there is no such record that you may see"),
    ] {
        let said = why(id, Diversity::None).await?;
        assert!(said.starts_with(reason), "{said}, not {reason}");
    }
    let said = why(ids[0], Diversity::Distinct).await?;
    assert!(said.ends_with("it is a near-duplicate of result 1, which is shown instead"), "{said}");
    let said = why(ids[2], Diversity::Distinct).await?;
    assert!(said.contains("; the last answer shown has "), "{said}");
    Ok(())
}

#[tokio::test]
async fn whoever_sees_most_of_what_there_is_is_answered_by_the_indexes_as_by_all_of_it() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    for thousand in 0..6 {
        let facts = (0..900).map(|n| memory(&format!("fact {n} of thousand {thousand} is about topic-{}", n % 16)));
        it.write(facts.collect()).await?;
    }
    it.embed_all(|text| text.rsplit('-').next().and_then(|topic| topic.parse().ok()).expect("a topic")).await?;
    it.run_sql("ANALYZE sources").await?;
    let asked = Query { limit: 20, ..query("what is said of topic-7?", SourceKind::Memory) };
    let quick = it.recall_by(&asked, 7).await?;
    let exact = it.recall_by(&Query { exact: true, ..asked }, 7).await?;
    assert_eq!((quick.hits.len(), exact.hits.len()), (20, 20));
    assert!(quick.hits.iter().chain(&exact.hits).all(|hit| hit.text.ends_with("topic-7")), "{:?}", texts(&quick));
    // Quick and exact search may return different ones of 300 equally near records, but the scores
    // must agree.
    let least = |answer: &recall::Answer| answer.hits.last().map_or(0.0, |hit| hit.score);
    assert!(least(&quick) > 0.9 * least(&exact), "{} and {}", least(&quick), least(&exact));
    assert!(quick.more && exact.more);
    Ok(())
}
