//! Fair shares between callers, tested on the real server: a caller that sends as many calls as it
//! can leaves room for the others.

use std::time::{Duration, Instant};

use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::Home;
use pgrecall_harness::http::{self, Events, JSON, Served};
use pgrecall_harness::{postgres, wait};
use pgrecall_postgres::dsn::Dsn;
use serde_json::{Value, json};

/// Far shorter than a hanging call takes, and far longer than an answer takes.
const AT_ONCE: Duration = Duration::from_secs(8);

fn post(served: &Served, events: &Events, message: &Value) {
    let answer = served.send("POST", &events.path, &JSON, message.to_string().as_bytes()).expect("it answers");
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// Opens and initializes a session with the server's current key.
fn session(served: &Served) -> Events {
    let mut events = served.events();
    let greeting =
        json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    post(served, &events, &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": greeting}));
    assert!(events.message()["result"].is_object());
    post(served, &events, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    events
}

fn recall(served: &Served, events: &Events, id: usize) {
    let call = json!({"name": "memory_recall", "arguments": {"query": format!("stuck {id}")}});
    post(served, events, &json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call}));
}

#[test]
fn with_64_calls_of_one_caller_over_sse_another_callers_call_starts_next_and_is_answered() {
    let (embedder, metrics) = (ScriptedEmbedder::start(), http::free_address());
    let home = Home::with(&format!(
        "memory: {{ embedding: {{ provider: openai, timeout: 60s, openai: {{ url: \"{}\", model: scripted }} }} }}\n\
         server: {{ anonymous: never, metrics_address: \"{metrics}\" }}\n",
        embedder.url()
    ));
    let mut served = Served::ready(&home);
    let (greedy, other) = (home.bearer(&["greedy"]), home.bearer(&["other"]));
    served.key = Some(other.clone());
    served.ask("memory_remember", json!({"content": "Ana owns the billing service."}));
    wait::until("it is embedded", || served.ask("index_status", json!({}))["coverage"] == 1.0);

    embedder.set(Mood::HangingOver("stuck".into()));
    served.key = Some(greedy);
    let mut sessions: Vec<Events> = (0..5).map(|_| session(&served)).collect();
    for (number, events) in sessions[..4].iter().enumerate() {
        (0..16).for_each(|call| recall(&served, events, 100 * number + call + 1));
    }
    wait::until("all 64 run or wait", || {
        http::metric(metrics, "pgrecall_calls_running") + http::metric(metrics, "pgrecall_calls_waiting") == 64
    });
    // Further calls of this caller are refused, and no other caller's. Send them now, because its
    // waiting calls time out after 20 s.
    (0..16).for_each(|call| recall(&served, &sessions[4], call + 1));
    let refused = sessions[4].message();
    let sentence = refused["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(sentence.contains("64 of your calls are waiting already"), "{refused}");

    served.key = Some(other);
    let begun = Instant::now();
    let found = served.ask("memory_recall", json!({"query": "who owns billing?"}));
    assert_eq!((&found["degraded"], &found["count"]), (&json!(false), &json!(1)), "{found}");
    let kept = served.ask("memory_remember", json!({"content": "Bob owns the search service."}));
    assert_eq!(kept["stored"], "created");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());

    assert_eq!(served.ask("memory_recall", json!({"query": "who owns search?"}))["degraded"], false);
    let text = http::scrape(metrics);
    assert!(text.contains("pgrecall_refused_total{reason=\"calls_waiting\"}"), "{text}");
    embedder.set(Mood::Well);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_probes_and_metrics_have_connections_however_many_calls_hang_in_the_database() -> anyhow::Result<()> {
    let (dsn, metrics) = (postgres::database().await?, http::free_address());
    let home = Home::with(&format!(
        "database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\n\
         server: {{ anonymous: never, metrics_address: \"{metrics}\" }}\n",
        json!(dsn)
    ));
    let mut served = Served::ready(&home);
    let keys: Vec<String> = ["a", "b", "c", "d"].iter().map(|name| home.bearer(&[name])).collect();
    let late = home.bearer(&["late"]);
    let (mut client, connection) = Dsn::parse(&dsn)?.connect().await?;
    let serving = pgrecall_process::tasks::connection("test-locks", connection);
    let lock = client.transaction().await?;
    lock.batch_execute("LOCK TABLE pgrecall.sources IN ACCESS EXCLUSIVE MODE").await?;
    let address = served.address;
    let hanging: Vec<_> = (0..40)
        .map(|number| {
            let key = keys[number % keys.len()].clone();
            let call = json!({"name": "memory_recall", "arguments": {"query": format!("question {number}")}});
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).to_string();
            tokio::task::spawn_blocking(move || {
                http::send(address, "POST", "/mcp", &[JSON[0], JSON[1], ("Authorization", &key)], body.as_bytes())
            })
        })
        .collect();
    wait::until("calls hang and others wait", || http::metric(metrics, "pgrecall_calls_waiting") >= 30);
    served.key = Some(late);
    let begun = Instant::now();
    assert_eq!(served.request("ping", json!({})).status, 200, "a key that was never seen");
    assert_eq!(served.send("GET", "/readyz", &[], b"").map(|answer| answer.status), Some(200));
    assert_eq!(http::metric(metrics, "pgrecall_database_up"), 1);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    lock.rollback().await?;
    for call in hanging {
        let answer = call.await?.expect("it is answered");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    drop(client);
    serving.await.ok();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_the_check_of_a_wrong_key_are_bounded() -> anyhow::Result<()> {
    let (dsn, metrics) = (postgres::database().await?, http::free_address());
    let home = Home::with(&format!(
        "database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\n\
         server: {{ anonymous: never, metrics_address: \"{metrics}\" }}\n",
        json!(dsn)
    ));
    let mut served = Served::ready(&home);
    served.key = Some(home.bearer(&["known"]));
    let (mut client, connection) = Dsn::parse(&dsn)?.connect().await?;
    let serving = pgrecall_process::tasks::connection("test-locks", connection);
    let lock = client.transaction().await?;
    lock.batch_execute("LOCK TABLE pgrecall.api_keys IN ACCESS EXCLUSIVE MODE").await?;
    let wrong = format!("Bearer pgr_{:064x}", 1);
    let address = served.address;
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let wrong = wrong.clone();
            tokio::task::spawn_blocking(move || {
                http::send(address, "POST", "/mcp", &[JSON[0], JSON[1], ("Authorization", &wrong)], b"{}")
            })
        })
        .collect();
    wait::until("some are refused at once", || {
        http::scrape(metrics).contains("pgrecall_refused_total{reason=\"keys\"}")
    });
    lock.rollback().await?;
    let mut statuses = Vec::new();
    for request in flood {
        statuses.push(request.await?.expect("it is answered").status);
    }
    assert!(statuses.contains(&503) && statuses.iter().all(|status| [401, 429, 503].contains(status)), "{statuses:?}");
    assert_eq!(served.request("ping", json!({})).status, 200);
    drop(client);
    serving.await.ok();
    Ok(())
}

#[test]
fn a_caller_with_too_many_sessions_loses_its_oldest_and_another_one_none() {
    let home = Home::with("server: { anonymous: never }\nmemory: { embedding: { provider: noop } }\n");
    let mut served = Served::ready(&home);
    let (greedy, other) = (home.bearer(&["greedy"]), home.bearer(&["other"]));
    served.key = Some(other.clone());
    let mut others = session(&served);
    served.key = Some(greedy);
    let mut sessions: Vec<Events> = (0..50).map(|_| served.events()).collect();
    let last = served.events();
    assert_eq!(sessions[0].next("message"), None, "the first one has ended");
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"});
    let gone = served.send("POST", &sessions[0].path, &JSON, ping.to_string().as_bytes());
    assert_eq!(gone.map(|answer| answer.status), Some(404));
    post(&served, &last, &ping);
    post(&served, &sessions[1], &ping);
    served.key = Some(other);
    post(&served, &others, &ping);
    assert_eq!(others.message()["id"], 7);
}
