//! Through PgBouncer, as a team's Postgres often is: the server in transaction mode, the worker in
//! session mode.

use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::Home;
use pgrecall_harness::http::{JSON, Served};
use pgrecall_harness::pgbouncer::PgBouncer;
use pgrecall_harness::{postgres, wait};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_postgres::session;
use serde_json::{Value, json};

use crate::sources::{self, assert_whole};

fn config(embedder: &ScriptedEmbedder, server: &str, session: &str) -> String {
    let config = embedder.config(server);
    config.replacen("database:\n", &format!("database:\n  session_dsn: {}\n", json!(session)), 1)
}

#[test]
fn the_server_does_all_its_work_through_a_transaction_pooler() {
    let embedder = ScriptedEmbedder::start();
    let direct = postgres::database_now();
    let bouncer = PgBouncer::start("transaction");
    let home = Home::with(&config(&embedder, &bouncer.dsn(&direct), &direct));
    let worker = home.worker();
    // There are more sessions than the pooler has connections, so state that one session leaves on
    // a connection would break the next.
    let mut hosts: Vec<_> = (0..3).map(|_| home.host()).collect();
    let mut kept = Vec::new();
    for round in 0..12 {
        for (number, host) in hosts.iter_mut().enumerate() {
            let content = format!("Host {number} notes in round {round} that refunds are booked weekly.");
            kept.push(host.ask("memory_remember", json!({"content": content}))["id"].clone());
            let found =
                host.ask("memory_recall", json!({"query": format!("what did host {number} note in round {round}?")}));
            assert!(found["count"].as_i64() > Some(0), "{found}");
        }
    }
    for host in &mut hosts {
        host.wait_embedded();
        let found = host.ask("memory_recall", json!({"query": "how often are refunds booked?", "limit": 100}));
        assert_eq!(
            (&found["count"], &found["ranking"], &found["degraded"]),
            (&json!(36), &json!("hybrid"), &json!(false))
        );
    }
    let gone = hosts[0].ask("memory_forget", json!({"ids": kept, "dry_run": false}));
    assert_eq!(gone["sources"], 36, "{gone}");
    let status = hosts[1].ask("index_status", json!({}));
    assert_eq!((&status["succeeded"], &status["verdict"]), (&json!(0), &json!("healthy")), "{status}");
    for host in hosts {
        host.leave();
    }

    let lines = home.file("lines.jsonl", sources::lines(500));
    let report = home.json(&["ingest", lines.to_str().expect("a plain path"), "--json"]);
    assert_eq!((&report["created"], &report["pending"]), (&json!(500), &json!(0)), "{report}");
    assert_whole(&home, 500);
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn callers_over_http_share_a_transaction_pooler_and_nothing_else() {
    let direct = postgres::database_now();
    let bouncer = PgBouncer::start("transaction");
    let home = Home::with(&format!(
        "database: {{ dsn: {}, session_dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\nserver: {{ anonymous: never }}\n",
        json!(bouncer.dsn(&direct)),
        json!(direct)
    ));
    let served = Served::ready(&home);
    // There are more concurrent tenants than the pooler has connections, so a scope or key that
    // stays on a connection would apply to the next tenant.
    let keys: Vec<String> = (0..8)
        .map(|number| {
            let name = format!("tenant-{number}");
            let created = home.json(&["keys", "create", &name, "--tenant", &name, "--json"]);
            format!("Bearer {}", created["key"].as_str().expect("a key"))
        })
        .collect();
    let call = |key: &str, tool: &str, arguments: Value| {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        let answer = served.post(&[JSON[0], JSON[1], ("Authorization", key)], message.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["result"]["structuredContent"].clone()
    };
    std::thread::scope(|scope| {
        for (number, key) in keys.iter().enumerate() {
            let call = &call;
            scope.spawn(move || {
                let own = format!("Tenant {number} books its refunds weekly.");
                for _ in 0..20 {
                    call(key, "memory_remember", json!({"content": own, "key": "refunds"}));
                    let found = call(key, "memory_recall", json!({"query": "who books refunds?", "limit": 100}));
                    assert_eq!(
                        (&found["count"], &found["memories"][0]["content"]),
                        (&json!(1), &json!(own)),
                        "{found}"
                    );
                }
            });
        }
    });
    // The audit log is written through the pooler too.
    wait::until("every call is noted", || {
        postgres::texts_now(
            &direct,
            "SELECT count(*)::text FROM pgrecall.audit_log WHERE outcome = 'ok' AND caller LIKE 'key %'",
        ) == ["320"]
    });
}

#[test]
fn a_worker_listens_through_a_session_pooler() {
    let embedder = ScriptedEmbedder::start();
    let direct = postgres::database_now();
    let (transactions, sessions) = (PgBouncer::start("transaction"), PgBouncer::start("session"));
    let home = Home::with(&config(&embedder, &transactions.dsn(&direct), &sessions.dsn(&direct)));
    let worker = home.worker();
    let mut host = home.host();
    // The poll interval is 30 s, so an embedding within a few seconds was triggered by the
    // notification.
    host.ask("memory_remember", json!({"content": "The first one is found when the worker starts."}));
    host.wait_embedded();
    let mut slowest = 0;
    for round in 0..5 {
        let begun = std::time::Instant::now();
        host.ask("memory_remember", json!({"content": format!("Note {round} wakes the worker.")}));
        host.wait_embedded();
        slowest = slowest.max(begun.elapsed().as_secs());
    }
    assert!(slowest < 10, "{slowest} s");
    let found: Value = host.ask("memory_recall", json!({"query": "what wakes the worker?"}));
    assert_eq!(found["ranking"], "hybrid", "{found}");
    wait::until("the worker has sessions", || sessions_on(&direct) > 0);
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

/// Counts the worker's sessions: connections whose last query is one of the worker's statements.
/// Through a transaction pooler the last query would be the COMMIT of a transaction around it.
fn sessions_on(dsn: &str) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = Dsn::parse(dsn).expect("a DSN").connect().await.expect("a connection");
        drop(pgrecall_process::tasks::connection("test", connection));
        let begins = [sources::statement("promote_delayed"), sources::statement("heartbeat")];
        let ran = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND (starts_with(query, $1) OR starts_with(query, $2))";
        client.query_one(ran, &[&begins[0], &begins[1]]).await.expect("a count").get(0)
    })
}

#[test]
fn what_is_set_stays_with_a_session_and_not_behind_a_transaction_pooler() {
    let direct = postgres::database_now();
    let (transactions, sessions) = (PgBouncer::start("transaction"), PgBouncer::start("session"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let keeps = |dsn: &str| runtime.block_on(session::keeps(&Dsn::parse(dsn).expect("a DSN"))).expect("an answer");
    let pooled = transactions.dsn(&direct);
    for _ in 0..5 {
        assert_eq!((keeps(&direct), keeps(&sessions.dsn(&direct)), keeps(&pooled)), (true, true, false));
    }
}

#[test]
fn a_worker_behind_a_transaction_pooler_says_so_once_and_goes_on_by_polling() {
    let embedder = ScriptedEmbedder::start();
    let direct = postgres::database_now();
    let bouncer = PgBouncer::start("transaction");
    let pooled = bouncer.dsn(&direct);
    let poll = "apigateway:\n  embed_jobs: { poll_interval: 1s }\n";
    let home = Home::with(&(config(&embedder, &pooled, &pooled) + poll));
    home.expect_logs(&["the worker's session receives no notifications, as behind a transaction pooler; jobs are found by polling only: set `database.session_dsn` to Postgres itself, or to a pooler in session mode"]);
    let worker = home.worker();
    let mut host = home.host();
    for round in 0..3 {
        host.ask("memory_remember", json!({"content": format!("Note {round} is found by polling.")}));
        host.wait_embedded();
    }
    wait::until("the worker says that it hears nothing", || worker.stderr().contains("transaction pooler"));
    assert_eq!(sessions_on(&direct), 0, "nothing is left on a connection that is not the worker's");
    host.leave();
    let said = worker.stop();
    assert_eq!(said.code, 0);
    assert_eq!(said.stderr.matches("transaction pooler").count(), 1, "{}", said.stderr);
}
