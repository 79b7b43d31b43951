//! Faults between any two steps of a job: the worker is killed or its connection is cut at a
//! statement, which Postgres then has executed or has not. Nothing is lost, no wrong vector is
//! stored, and nobody has to intervene.

use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::{DATABASE_FAILS, Home};
use pgrecall_harness::programs::Program;
use pgrecall_harness::proxy::{Moment, Proxy, Then};
use pgrecall_harness::{postgres, wait};

use crate::sources::{self, assert_whole, statement};

/// The statements of a job, in their order, and the commit of the last one.
const STAGES: [(&str, &str); 7] = [
    ("", "claim"),
    ("", "pending_passages"),
    ("", "hold"),
    ("", "store_vectors"),
    ("", "settle"),
    ("COMMIT\n", "settle"),
    ("", "heartbeat"),
];
/// The number of records for each fault: more than one call to the embedder takes.
const RECORDS: usize = 80;
/// A short lease, so that a dead worker's jobs return during the test.
const LEASE: &str = "apigateway:\n  embed_jobs: { lease_duration: 2s, poll_interval: 1s }\n";

/// Starts a worker whose connections go through the proxy.
fn worker(home: &Home, embedder: &ScriptedEmbedder, dsn: &str) -> Program {
    let config = home.file("worker.yaml", embedder.config(dsn) + LEASE);
    let mut command = home.command("embed-worker", &[]);
    command.arg("--config").arg(config);
    home.start_other(&command)
}

/// Sets a fault at each stage, one after the other. `after` handles the worker that met the fault,
/// and returns a running one.
fn at_each_stage(then: Then, mut after: impl FnMut(Program, &dyn Fn() -> Program) -> Program) {
    let embedder = ScriptedEmbedder::start();
    let direct = postgres::database_now();
    let proxy = Proxy::start();
    let home = Home::with(&(embedder.config(&direct) + LEASE));
    home.expect_logs(DATABASE_FAILS);
    let start = || worker(&home, &embedder, &proxy.dsn(&direct));
    let mut written = 0;
    let mut alive = start();
    let mut ingest = |count: usize| {
        let lines = home.file("lines.jsonl", sources::lines_of(written..written + count));
        home.json(&["ingest", lines.to_str().expect("a plain path"), "--no-wait", "--json"]);
        written += count;
        written
    };
    ingest(1);
    home.wait_embedded();
    for (end, stage) in STAGES {
        for moment in [Moment::Unsaid, Moment::Unheard] {
            let text = end.to_owned() + &statement(stage);
            proxy.wait_for(&text, moment, then);
            ingest(RECORDS);
            wait::until(&format!("{text} met its fault"), || proxy.unmet() == 0);
            alive = after(alive, &start);
            // Everything is embedded before the next fault, because a source whose job several
            // workers died with in a row would be parked.
            home.wait_embedded();
        }
    }
    let written = ingest(1);
    home.wait_embedded();
    assert_whole(&home, written);
    assert_eq!(alive.stop().code, 0);
}

#[test]
fn a_worker_that_is_killed_between_any_two_stages_loses_nothing() {
    at_each_stage(Then::Hang, |worker, start| {
        worker.kill();
        start()
    });
}

#[test]
fn a_wire_that_is_cut_between_any_two_stages_loses_nothing() {
    at_each_stage(Then::Cut, |worker, _| worker);
}
