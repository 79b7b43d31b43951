//! Quotas of tenants: a write that does not fit is refused with an explanation, on every server and
//! by every way to write.

use pgrecall_harness::home::{DATABASE_FAILS, Home};
use pgrecall_harness::http::Served;
use pgrecall_harness::postgres;
use pgrecall_harness::proxy::{Moment, Proxy, Then};
use serde_json::{Value, json};

use crate::sources::statement;

fn home(dsn: &str, quotas: &str) -> Home {
    Home::with(&format!(
        "database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\nserver: {{ anonymous: always }}\ntenants: {{ quotas: {{ {quotas} }} }}",
        json!(dsn)
    ))
}

fn remember(served: &Served, number: usize) -> Value {
    served.call(
        "memory_remember",
        json!({"content": format!("Fact {number} of this server."), "key": number.to_string()}),
    )
}

fn sentence(result: &Value) -> &str {
    result["content"][0]["text"].as_str().expect("a text")
}

#[test]
fn two_servers_at_once_pass_a_quota_of_records_by_little_and_say_what_to_do() {
    let dsn = postgres::database_now();
    let home = home(&dsn, "records: 40");
    let replicas = [Served::ready(&home), Served::ready(&home)];
    let refused: Vec<Value> = std::thread::scope(|scope| {
        let write = |served, from: usize| {
            move || {
                (from..from + 60)
                    .map(|number| remember(served, number))
                    .filter(|it| it["isError"] == true)
                    .collect::<Vec<_>>()
            }
        };
        let (one, other) = (scope.spawn(write(&replicas[0], 0)), scope.spawn(write(&replicas[1], 1_000)));
        [one.join().expect("no panic"), other.join().expect("no panic")].concat()
    });
    let count = postgres::texts_now(&dsn, "SELECT count(*)::text FROM pgrecall.sources");
    let count: usize = count[0].parse().expect("a number");
    // Each server misses what the other one wrote since its last count: a few records, and more on a
    // busy machine. Without a quota there would be 120.
    assert!((40..=60).contains(&count), "{count} records of 40");
    assert_eq!(refused.len(), 120 - count);
    assert!(
        sentence(&refused[0]).contains("`tenants.quotas.records`") && sentence(&refused[0]).contains("forget"),
        "{}",
        refused[0]
    );
    // An existing record can be written again, and changed.
    let known = postgres::texts_now(&dsn, "SELECT key FROM pgrecall.sources LIMIT 1").remove(0);
    let changed = replicas[1].ask("memory_remember", json!({"content": "Something else.", "key": known}));
    assert_eq!(changed["stored"], "replaced");
    // The quota applies to every other way to write.
    assert_eq!(replicas[0].call("save", json!({"title": "t", "content": "c"}))["isError"], true);
    let said = home.run(&["remember", "By a command."]);
    assert!(said.code == 1 && said.stderr.contains("tenants.quotas.records"), "{}{}", said.code, said.stderr);
    let note = home.file("note.md", "# A note\n\nOf something.");
    assert_eq!(home.run(&["ingest", note.to_str().expect("a path")]).code, 1);
    let line = home.file("line.jsonl", "{\"_id\": \"x\", \"title\": \"t\", \"text\": \"of something\"}\n");
    assert_eq!(home.run(&["import", line.to_str().expect("a path")]).code, 1);
    // Permanent deletion makes room.
    let ids = postgres::texts_now(&dsn, "SELECT source_id::text FROM pgrecall.sources LIMIT 10");
    replicas[0].ask("memory_forget", json!({"ids": ids, "dry_run": false, "for_good": true}));
    assert_ne!(remember(&replicas[0], 5_000)["isError"], true);
}

#[test]
fn text_and_writes_a_minute_have_quotas_of_their_own() {
    let dsn = postgres::database_now();
    let by_text = home(&dsn, "text_mib: 1");
    let served = Served::ready(&by_text);
    let long = |number: usize| json!({"content": format!("{number} {}", "word ".repeat(12_000))});
    let results: Vec<Value> = (0..24).map(|number| served.call("memory_remember", long(number))).collect();
    let stored = results.iter().filter(|result| result["isError"] != true).count();
    assert!((16..=18).contains(&stored), "{stored} texts of 60,000 bytes in 1 MiB");
    assert!(sentence(results.last().expect("one")).contains("`tenants.quotas.text_mib`"));

    let dsn = postgres::database_now();
    let by_rate = home(&dsn, "writes_per_minute: 20");
    let replicas = [Served::ready(&by_rate), Served::ready(&by_rate)];
    let results: Vec<Value> = (0..40).map(|number| remember(&replicas[number % 2], number)).collect();
    let stored = results.iter().filter(|result| result["isError"] != true).count();
    // Each replica alone would allow 20 writes. When one learns of the other's writes depends on
    // how long the count takes.
    assert!((20..36).contains(&stored), "{stored} writes of 20");
    assert!(sentence(results.last().expect("one")).contains("try again in a minute"));
    assert_ne!(replicas[0].call("memory_recall", json!({"query": "fact"}))["isError"], true, "reads are not counted");
}

#[test]
fn a_write_is_stored_although_its_connection_is_lost_while_the_tenant_is_counted() {
    let proxy = Proxy::start();
    let home = home(&proxy.dsn(&postgres::database_now()), "records: 40");
    home.expect_logs(DATABASE_FAILS);
    let served = Served::ready(&home);
    proxy.wait_for(&statement("tenant_usage"), Moment::Unsaid, Then::Cut);
    let stored = remember(&served, 1);
    assert_ne!(stored["isError"], true, "{stored}");
    assert_eq!(proxy.unmet(), 0, "nobody counted the tenant's records");
}
