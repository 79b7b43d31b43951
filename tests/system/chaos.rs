//! `kill -9` at any moment: acknowledged writes are there, unfinished work continues, and nothing
//! is done twice.

use std::collections::BTreeMap;
use std::time::Duration;

use pgrecall_harness::embedder::{Mood, NO_NEAR_DUPLICATES, ScriptedEmbedder};
use pgrecall_harness::home::{DATABASE_FAILS, Home};
use pgrecall_harness::postgres;
use pgrecall_harness::proxy::{Moment, Proxy, Then};
use pgrecall_harness::wait;
use serde_json::{Value, json};

use crate::sources::{self, assert_whole};

/// A lease short enough to wait for its end.
const SHORT_LEASE: &str = "apigateway:\n  embed_jobs: { lease_duration: 2s, poll_interval: 1s }\n";

/// A pseudo-random generator of times, with the same times in every run.
struct Moments(u64);

impl Moments {
    fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (self.0 >> 33) % (to - from)
    }

    /// Waits until `has_ended` is true, for a random time between `from` and `to` in milliseconds
    /// at most. Returns whether it is.
    fn pass(&mut self, from: u64, to: u64, has_ended: impl FnMut() -> bool) -> bool {
        wait::within(Duration::from_millis(self.between(from, to)), has_ended)
    }
}

fn with_embedder(embedder: &ScriptedEmbedder) -> Home {
    Home::with(&(embedder.config(&postgres::database_now()) + SHORT_LEASE))
}

#[test]
fn an_ingest_that_is_killed_again_and_again_goes_on_where_it_was() {
    const RECORDS: usize = 1_200;
    let home = Home::new();
    home.expect_logs(DATABASE_FAILS);
    let lines = home.file("lines.jsonl", sources::lines(RECORDS));
    let ingest = ["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--json"];
    let mut moments = Moments(11);
    for round in 0..7 {
        let running = home.start(&ingest);
        if moments.pass(200, 3_000, || running.has_ended()) {
            break;
        }
        match round % 3 {
            // The program alone. The private Postgres continues without it.
            0 => drop(running.kill()),
            // Postgres alone. The program starts it again and continues or, if it had not begun
            // yet, reports an error.
            1 => {
                home.kill_postgres();
                let said = running.finish();
                assert!(said.code == 0 || said.stderr.contains("error: "), "{}: {}", said.code, said.stderr);
            }
            // Both, as when the machine fails.
            _ => {
                home.kill_postgres();
                running.kill();
            }
        }
    }
    let report = home.json(&ingest);
    assert_eq!(
        (&report["pending"], &report["failed"], &report["refused"]),
        (&json!(0), &json!(0), &json!(0)),
        "{report}"
    );
    assert_whole(&home, RECORDS);
}

#[test]
fn workers_that_are_killed_with_texts_in_their_hands_lose_none_of_them() {
    const RECORDS: usize = 3_000;
    let embedder = ScriptedEmbedder::start();
    let home = with_embedder(&embedder);
    home.expect_logs(DATABASE_FAILS);
    let lines = home.file("lines.jsonl", sources::lines(RECORDS));
    let report = home.json(&["ingest", lines.to_str().expect("a plain path"), "--no-wait", "--json"]);
    assert_eq!(report["created"], RECORDS, "{report}");
    let mut moments = Moments(7);
    let mut workers = vec![home.worker(), home.worker()];
    for round in 0..4 {
        let seen = embedder.texts() + moments.between(100, 500) as usize;
        wait::until("the workers have come further", || embedder.texts() >= seen.min(RECORDS));
        if round % 2 == 0 {
            // The kill happens during a call in these rounds, and at an arbitrary point in the
            // others.
            embedder.set(Mood::Hanging);
            let calls = embedder.calls();
            wait::within(Duration::from_millis(300), || embedder.calls() > calls + 1);
        }
        workers.remove(0).kill();
        embedder.set(Mood::Well);
        workers.push(home.worker());
    }
    home.wait_embedded();
    assert_whole(&home, RECORDS);
    for worker in workers {
        assert_eq!(worker.stop().code, 0);
    }
}

#[test]
fn two_workers_share_the_work_and_none_is_done_twice() {
    const RECORDS: usize = 2_000;
    let embedder = ScriptedEmbedder::start();
    let home = with_embedder(&embedder);
    let lines = home.file("lines.jsonl", sources::lines(RECORDS));
    home.json(&["ingest", lines.to_str().expect("a plain path"), "--no-wait", "--json"]);
    let workers = [home.worker(), home.worker()];
    home.wait_embedded();
    assert_whole(&home, RECORDS);
    // Each worker also embeds a probe text, to check the embedder.
    assert!((RECORDS..=RECORDS + 6).contains(&embedder.texts()), "{} texts for {RECORDS} records", embedder.texts());
    for worker in workers {
        assert_eq!(worker.stop().code, 0);
    }
}

#[test]
fn a_worker_that_is_told_to_leave_gives_its_jobs_back_at_once() {
    let embedder = ScriptedEmbedder::start();
    // The default lease is too long to wait for: the jobs come back only because the worker returns
    // them.
    let home = Home::with(&embedder.config(&postgres::database_now()));
    let worker = home.worker();
    wait::until("the worker is at work", || embedder.texts() > 0);
    embedder.set(Mood::Hanging);
    let calls = embedder.calls();
    let lines = home.file("lines.jsonl", sources::lines(100));
    home.json(&["ingest", lines.to_str().expect("a plain path"), "--no-wait", "--json"]);
    wait::until("the worker waits for its embedder", || embedder.calls() > calls);
    assert_eq!(worker.stop().code, 0);
    embedder.set(Mood::Well);
    let worker = home.worker();
    home.wait_embedded();
    assert_whole(&home, 100);
    worker.stop();
}

#[test]
fn a_memory_is_there_after_a_kill_the_moment_it_was_acknowledged() {
    let embedder = ScriptedEmbedder::start();
    let homes = [Home::new(), with_embedder(&embedder)];
    homes.iter().for_each(|home| home.expect_logs(DATABASE_FAILS));
    for (home, rounds) in homes.iter().zip([3, 8]) {
        let mut acknowledged = BTreeMap::new();
        for round in 0..rounds {
            let mut host = home.host();
            for number in 0..=round {
                let key = format!("{round}-{number}");
                let kept = host.ask("memory_remember", json!({"content": format!("Fact {key}."), "key": key}));
                acknowledged.insert(key, kept["id"].clone());
            }
            host.kill();
        }
        let keys = sources::exported(home);
        assert!(keys.values().all(|times| *times == 1) && keys.keys().eq(acknowledged.keys()), "{keys:?}");
        let mut host = home.host();
        for (key, id) in acknowledged {
            let fetched = host.ask("fetch", json!({"id": id}));
            assert_eq!(fetched["text"], format!("Fact {key}."));
        }
        host.leave();
    }
}

#[test]
fn a_server_goes_on_when_its_postgres_is_killed_under_it() {
    let home = Home::new();
    home.expect_logs(DATABASE_FAILS);
    let mut host = home.host();
    for round in 0..4 {
        let kept = host.ask("memory_remember", json!({"content": format!("Fact {round} is kept.")}));
        home.kill_postgres();
        let found = host.ask("memory_recall", json!({"query": format!("fact {round}"), "strategy": "lexical"}));
        let found = found["memories"].as_array().into_iter().flatten();
        assert!(found.into_iter().any(|memory| memory["id"] == kept["id"]), "the acknowledged memory is found");
    }
    host.wait_embedded();
    assert_eq!(sources::exported(&home).values().sum::<usize>(), 4);
    host.leave();
}

#[test]
fn another_server_takes_over_when_the_one_that_embeds_is_killed() {
    let home = Home::new();
    home.expect_logs(DATABASE_FAILS);
    let mut first = home.host();
    first.ask("memory_remember", json!({"content": "The first server embeds this."}));
    first.wait_embedded();
    // The first server is the leader by now, and embeds as long as it lives.
    let mut second = home.host();
    let lines = home.file("lines.jsonl", sources::lines(300));
    let report = second_ingest(&home, lines.to_str().expect("a plain path"));
    assert_eq!(report["created"], 300, "{report}");
    wait::until("the first server is at work on them", || {
        second.ask("index_status", json!({}))["running"].as_i64().is_some_and(|running| running > 0)
    });
    first.kill();
    second.wait_embedded();
    let status = second.ask("index_status", json!({}));
    assert_eq!((&status["failed"], &status["succeeded"]), (&json!(0), &json!(301)), "{status}");
    second.leave();
}

fn second_ingest(home: &Home, lines: &str) -> Value {
    home.json(&["ingest", lines, "--as", "memory", "--no-wait", "--json"])
}

#[test]
fn a_memory_whose_commit_was_not_heard_of_is_stored_once() {
    let embedder = ScriptedEmbedder::start();
    let direct = postgres::database_now();
    let proxy = Proxy::start();
    // With this configuration, remembering a memory commits only the write.
    let home = Home::with(&(embedder.config(&proxy.dsn(&direct)) + NO_NEAR_DUPLICATES));
    home.expect_logs(DATABASE_FAILS);
    let mut host = home.host();
    for number in 0..3 {
        host.ask("index_status", json!({}));
        proxy.cut_commits(1);
        let kept = host.ask("memory_remember", json!({"content": format!("Fact {number} is told once.")}));
        assert_eq!(proxy.unmet(), 0, "the commit was cut off");
        let fetched = host.ask("fetch", json!({"id": kept["id"]}));
        assert_eq!(fetched["text"], format!("Fact {number} is told once."));
    }
    host.leave();
    let said = home.run(&["export"]);
    assert_eq!(said.stdout.lines().count(), 3, "{}", said.stdout);
}

#[test]
fn jobs_whose_claim_was_not_heard_of_are_worked_off_by_the_worker_that_has_them() {
    let embedder = ScriptedEmbedder::start();
    let direct = postgres::database_now();
    let proxy = Proxy::start();
    // With leases of ten minutes, no other worker takes the jobs of a living one.
    let home = Home::with(&embedder.config(&direct));
    home.expect_logs(DATABASE_FAILS);
    let config = home.file("worker.yaml", embedder.config(&proxy.dsn(&direct)));
    let mut command = home.command("embed-worker", &[]);
    command.arg("--config").arg(config);
    let worker = home.start_other(&command);
    let mut host = home.host();
    host.ask("memory_remember", json!({"content": "The worker is at work when this is embedded."}));
    host.wait_embedded();
    for number in 0..3 {
        proxy.wait_for(&sources::statement("claim"), Moment::Unheard, Then::Cut);
        host.ask("memory_remember", json!({"content": format!("Fact {number} is claimed once or twice.")}));
        wait::until("a claim was cut off", || proxy.unmet() == 0);
        host.wait_embedded();
    }
    host.leave();
    assert_eq!(worker.stop().code, 0);
}
