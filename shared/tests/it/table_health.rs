//! Tests of the known traps of a queue in Postgres, each of which fails if the trap returns.
//!
//! The traps: a plan that was made for an empty table and kept, an index full of entries that are
//! not ready or dead, updates that touch every index, and heartbeats that write to jobs.

use std::fs;
use std::path::Path;

use pgrecall_store::queue::{self, Claim};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::fixture::{DIMENSION, Fixture, claim_jobs, memory};

/// The statements that a worker runs in a loop: the file and the types of its parameters.
const STATEMENTS: [(&str, &str); 11] = [
    ("claim_ahead", "int4, int8, int8, timestamptz, int8, int8, bool"),
    ("claim", "int4, int8, int8, timestamptz, int8, int8, bool"),
    ("settle", "int4, int8, int8, timestamptz, int8, int8, bool, int8[], int4[], int8"),
    ("hold", "int8[], int8"),
    ("pending_passages", "int8[], int8[]"),
    ("store_vectors", "int8[], int8, int8[], bytea[], halfvec[]"),
    ("give_back", "int8[], int8"),
    ("call_alone", "int8, int8"),
    ("fail", "int8, int8, int4, int4, text, text"),
    ("promote_delayed", ""),
    ("heartbeat", "int8, float8, text, text"),
];
/// The most buffers that a claim of one job may read, however many jobs wait.
const CLAIM_BUFFERS: i64 = 60;

/// A session like those of `db::worker`, with the statements prepared in the same way.
struct Session {
    client: Client,
    serving: JoinHandle<()>,
    space: i32,
}

/// The cost of a statement.
struct Plan {
    buffers: i64,
    /// Each access to a table, and the number of rows that it read: `Index Scan on passages`, 100.
    accesses: Vec<(String, f64)>,
}

impl Session {
    async fn open(it: &Fixture) -> anyhow::Result<Self> {
        let (client, connection) = it.db.dsn().connect().await?;
        let serving = pgrecall_process::tasks::connection("test", connection);
        let settings: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&"pgrecall, public", Type::TEXT), (&"60000", Type::TEXT)];
        client.query_typed(&file("queries/worker_session"), &settings).await?;
        let space = it.space.id.0;
        for (name, types) in STATEMENTS {
            let types = if types.is_empty() { String::new() } else { format!("({types})") };
            client.batch_execute(&format!("PREPARE {name} {types} AS {}", statement(name, space))).await?;
        }
        Ok(Self { client, serving, space })
    }

    /// Runs a statement, rolls it back, and returns its cost.
    async fn explain(&self, call: &str) -> anyhow::Result<Plan> {
        let text = format!("BEGIN; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {call}; ROLLBACK");
        let messages = self.client.simple_query(&text).await?;
        let row = messages.iter().find_map(|m| if let SimpleQueryMessage::Row(row) = m { row.get(0) } else { None });
        let plan: Value = serde_json::from_str(row.expect("a plan"))?;
        let plan = &plan[0]["Plan"];
        let read = |key: &str| plan[key].as_i64().unwrap_or_default();
        let mut accesses = Vec::new();
        walk(plan, &mut accesses);
        Ok(Plan { buffers: read("Shared Hit Blocks") + read("Shared Read Blocks"), accesses })
    }

    /// Returns how many rows of a table a statement updated, and how many of these updates were
    /// HOT.
    async fn changes(&self, call: &str, table: &str) -> anyhow::Result<(i64, i64)> {
        let begin = "SELECT pg_stat_force_next_flush(); BEGIN";
        self.client.batch_execute(&format!("{begin}; EXECUTE {call}")).await?;
        let counts = format!(
            "SELECT pg_stat_get_xact_tuples_updated('{table}'::regclass), pg_stat_get_xact_tuples_hot_updated('{table}'::regclass)"
        );
        let counts = self.client.query_one(&counts, &[]).await?;
        self.client.batch_execute("ROLLBACK").await?;
        Ok((counts.get(0), counts.get(1)))
    }

    async fn close(self) -> anyhow::Result<()> {
        drop(self.client);
        Ok(self.serving.await?)
    }
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql").join(format!("{name}.sql"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn statement(name: &str, space: i32) -> String {
    let ahead = file("fragments/ahead");
    file(&format!("queries/{}", name.trim_end_matches("_ahead")))
        .replace("{claim}", &file("fragments/claim"))
        .replace("{ahead}", if name == "claim_ahead" { &ahead } else { "" })
        .replace("{record_failures}", &file("fragments/record_failures"))
        .replace("{vectors}", &format!("vectors_{space}"))
}

fn walk(plan: &Value, accesses: &mut Vec<(String, f64)>) {
    if let (Some(place), Some(node)) = (plan["Relation Name"].as_str(), plan["Node Type"].as_str()) {
        let count = |key: &str| plan[key].as_f64().unwrap_or_default();
        let rows = count("Actual Rows") + count("Rows Removed by Filter") + count("Rows Removed by Join Filter");
        accesses.push((format!("{node} on {place}"), rows * count("Actual Loops")));
    }
    for child in plan["Plans"].as_array().into_iter().flatten() {
        walk(child, accesses);
    }
}

fn sources(claim: &Claim) -> String {
    let sources: Vec<String> = claim.jobs.iter().map(|job| job.source.to_string()).collect();
    format!("'{{{}}}'", sources.join(","))
}

/// Sources with one passage each, and jobs for them and for many more.
const MANY: &str = "
    INSERT INTO sources (tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags, entity_urns,
                         content_hash, words)
    SELECT 'acme', 'memory', gen_random_uuid(), 'ana', 'tenant', '', 'memory ' || n, 'plain', '{}', '{}', '{}', sha256(n::text::bytea), 2
    FROM generate_series(1, 20000) n;
    INSERT INTO passages (source, tenant_id, source_kind, ordinal, heading, text, text_hash)
    SELECT id, tenant_id, source_kind, 0, '', body, content_hash FROM sources;
    INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
    SELECT 'acme', 'memory', n, 1, 'write', clock_timestamp() + n * interval '1 millisecond', 1 FROM generate_series(1, 200000) n;";

#[tokio::test]
async fn plans_that_were_made_while_the_queue_was_empty_still_lead_by_indexes() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let session = Session::open(&it).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let space = session.space;
    let calls = |claim: &Claim| {
        let (token, sources, all) = (claim.token, sources(claim), claim.jobs.len());
        let first = claim.jobs.first().map_or(0, |job| job.source);
        let wanted = format!("array_fill(1, ARRAY[{all}])");
        let hashes = format!("array_fill('\\x00'::bytea, ARRAY[{all}])");
        let vectors = format!("array_fill('[{}]'::halfvec, ARRAY[{all}])", ["1"; DIMENSION].join(","));
        [
            // First, since a claim moves the clock even if it is rolled back.
            format!("claim_ahead ({space}, 32, {worker}, '-infinity', 1, 32, true)"),
            format!("claim ({space}, 1, {worker}, '-infinity', 1, 512, false)"),
            format!("claim ({space}, 100, {worker}, '-infinity', 1, 512, false)"),
            format!("settle ({space}, 100, {worker}, '-infinity', 1, 512, false, {sources}, {wanted}, {token})"),
            format!("hold ({sources}, {token})"),
            format!("pending_passages ({sources}, '{{}}')"),
            format!("store_vectors ({sources}, {token}, {sources}, {hashes}, {vectors})"),
            format!("give_back ({sources}, {token})"),
            format!("call_alone ({first}, {token})"),
            format!("fail ({first}, {token}, 1, 5, 'refused', 'too odd')"),
            "promote_delayed".to_owned(),
            format!("heartbeat ({worker}, 60, 'ok', NULL)"),
        ]
    };
    for call in calls(&Claim { token: 0, jobs: Vec::new() }) {
        session.explain(&call).await?;
    }
    it.run_sql(MANY).await?;
    let claim = claim_jobs(&it.db, worker, it.space.id, 100).await?.expect("a hundred");
    for call in calls(&claim) {
        let plan = session.explain(&call).await?;
        let most = plan.accesses.iter().map(|(_, rows)| *rows).fold(0.0, f64::max);
        // The 100 claimed jobs, and another 100 that run already.
        assert!(most <= 201.0, "{call}: {:?}", plan.accesses);
        assert!(!call.starts_with("claim (1, 1,") || plan.buffers <= CLAIM_BUFFERS, "{call}: {} buffers", plan.buffers);
    }
    session.close().await
}

#[tokio::test]
async fn claims_and_heartbeats_touch_no_index_and_heartbeats_no_job() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..100).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    let session = Session::open(&it).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = format!("claim ({}, 50, {worker}, '-infinity', 1, 512, false)", session.space);
    assert_eq!(session.changes(&claim, "index_jobs").await?, (50, 50));
    claim_jobs(&it.db, worker, it.space.id, 50).await?.expect("fifty to hold");
    let heartbeat = format!("heartbeat ({worker}, 60, 'ok', NULL)");
    assert_eq!(session.changes(&heartbeat, "workers").await?, (1, 1));
    assert_eq!(session.changes(&heartbeat, "index_jobs").await?, (0, 0));
    session.close().await
}

#[tokio::test]
async fn jobs_that_wait_for_their_time_are_not_in_a_claims_way() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let session = Session::open(&it).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let waiting = "
        INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total, next_run_at, status)
        SELECT 'acme', 'memory', n, 1, 'write', clock_timestamp(), 1, clock_timestamp() + interval '1 hour',
               CASE n % 2 WHEN 0 THEN 'pending' ELSE 'failed' END
        FROM generate_series(1, 50000) n";
    it.run_sql(waiting).await?;
    it.write_one(memory("ready, and later than all of them")).await?;
    let claim = format!("claim ({}, 1, {worker}, '-infinity', 1, 512, false)", session.space);
    session.explain(&claim).await?;
    assert!(session.explain(&claim).await?.buffers <= CLAIM_BUFFERS);
    let promotion = session.explain("promote_delayed").await?;
    assert!(promotion.buffers <= CLAIM_BUFFERS, "{} buffers, {:?}", promotion.buffers, promotion.accesses);
    session.close().await
}

#[tokio::test]
async fn a_snapshot_that_is_held_open_does_not_make_claims_read_what_is_gone() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let session = Session::open(&it).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let jobs = "INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
        SELECT 'acme', 'memory', n, 1, 'write', clock_timestamp(), 1 FROM generate_series(1, 20000) n";
    it.run_sql(jobs).await?;
    let (dump, connection) = it.db.dsn().connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    dump.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pgrecall.index_jobs").await?;
    for _ in 0..18 {
        let claim = claim_jobs(&it.db, worker, it.space.id, 1_000).await?.expect("a thousand");
        it.embed(&claim, |_| 0).await?;
    }
    let mark = "SELECT min(order_key)::text FROM index_jobs";
    let mark: String = session.client.query_one(mark, &[]).await?.get(0);
    let claim = |from: &str| format!("claim ({}, 1, {worker}, '{from}', 1, 512, false)", session.space);
    session.explain(&claim("-infinity")).await?;
    let (begun, marked) = (session.explain(&claim("-infinity")).await?, session.explain(&claim(&mark)).await?);
    assert!(marked.buffers <= CLAIM_BUFFERS, "{}", marked.buffers);
    assert!(begun.buffers > 5 * CLAIM_BUFFERS, "nothing was in the way: this test shows nothing ({})", begun.buffers);
    drop(dump);
    serving.await?;
    session.close().await
}
