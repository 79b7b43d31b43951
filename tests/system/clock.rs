//! The database's clock jumps, as after a laptop was suspended or a time server was wrong. Nothing
//! is lost, and no job waits until the clock has caught up.

use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::Home;
use pgrecall_harness::mcp::Host;
use pgrecall_harness::postgres::{self, Cluster};
use pgrecall_harness::wait;
use serde_json::json;

const SHORT_LEASE: &str = "apigateway:\n  embed_jobs: { lease_duration: 2s, poll_interval: 1s }\n";
const HOUR: i64 = 3600;

/// Writes a memory, waits until it is embedded, and checks that a recall ranks it first among
/// `number` + 1 memories.
fn write_and_find(host: &mut Host, number: usize) {
    let content = format!("In turn {number} the ledger moved to vault {number}.");
    host.ask("memory_remember", json!({"content": content}));
    host.wait_embedded();
    let found = host.ask("memory_recall", json!({"query": content}));
    let expected = (&json!("hybrid"), &json!(false), &json!(number + 1), &json!(content));
    assert_eq!(
        (&found["ranking"], &found["degraded"], &found["count"], &found["memories"][0]["content"]),
        expected,
        "{found}"
    );
}

#[test]
fn a_clock_that_jumps_loses_no_write_and_stalls_no_job() {
    let cluster = Cluster::with_clock();
    let admin = cluster.dsn("postgres", "postgres");
    wait::until("Postgres takes connections", || postgres::answers_now(&admin));
    let offset = || {
        let seconds = "SELECT round(extract(epoch FROM clock_timestamp()))::int8::text";
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        postgres::texts_now(&admin, seconds)[0].parse::<i64>().expect("a number") - now as i64
    };
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&format!("{}{SHORT_LEASE}", embedder.config(&admin)));
    let worker = home.worker();
    let mut host = home.host();
    for (number, hours) in [0, 1, -1, 30 * 24, 0, -30 * 24].into_iter().enumerate() {
        cluster.set_clock(hours * HOUR);
        wait::until("the clock has jumped", || (offset() - hours * HOUR).abs() < 60);
        write_and_find(&mut host, number);
    }
    // The clock jumps while a call to the embedder is in flight.
    for (number, hours) in [(6, 2), (7, -2)] {
        embedder.set(Mood::Hanging);
        let calls = embedder.calls();
        host.ask("memory_remember", json!({"content": format!("In turn {number} a call is under way.")}));
        wait::until("the embedder is called", || embedder.calls() > calls);
        cluster.set_clock(hours * HOUR);
        wait::until("the clock has jumped", || (offset() - hours * HOUR).abs() < 60);
        embedder.set(Mood::Well);
        host.wait_embedded();
    }
    let failures = home.json(&["failures", "--all", "--json"]);
    assert_eq!(failures["count"], 0, "{failures}");
    host.leave();
    assert_eq!(worker.stop().code, 0);
}
