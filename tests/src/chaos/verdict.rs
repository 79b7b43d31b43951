//! The comparison of everything in the database with the result that the texts must have.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use pgrecall_embedder::{self, EmbedderConfig, Headers, ProviderConfig};
use pgrecall_record::passage::{self, Limit, TARGET_WORDS};
use tokio_postgres::Client;

use super::database::ask;
use super::ledger::Ledger;
use super::texts::POISON;
use pgrecall_harness::embedder::embed;

/// At most this many violations are listed; the others are only counted.
const TOLD: usize = 40;
/// The allowed difference of a vector's number: the database stores 16 bits.
const ROUNDING: f32 = 2e-3;

/// Makes delayed jobs due. The run need not wait for the backoff of a text that is always refused,
/// or for the half hour after five crashes.
const HURRY: &str = "UPDATE pgrecall.index_jobs j SET next_run_at = clock_timestamp()
    WHERE next_run_at > clock_timestamp() AND (status = 'pending' OR EXISTS (
        SELECT FROM pgrecall.failures f WHERE f.source = j.source AND f.space = j.space AND f.error_class = 'crash'))";

/// Lists the jobs that are not done, and those that failed although their text is not poison.
const OPEN: &str =
    "SELECT format('%s: %s, %s failures, %s crashes, %s of %s done, class %s, %s; worker %s, lease %s', s.key, j.status,
        j.attempts, j.crash_count, j.items_done, j.items_total, f.error_class, f.last_error, j.worker,
        CASE WHEN w.id IS NULL THEN 'none' WHEN w.lease_until < clock_timestamp() THEN 'over' ELSE 'good' END)
    FROM pgrecall.index_jobs j
    LEFT JOIN pgrecall.sources s ON s.id = j.source
    LEFT JOIN pgrecall.workers w ON w.id = j.worker
    LEFT JOIN pgrecall.failures f ON f.source = j.source AND f.space = j.space
    WHERE j.status <> 'failed' OR strpos(s.body, $1) = 0
    ORDER BY s.key";

const SOURCES: &str = "SELECT key, body FROM pgrecall.sources";

/// Returns passages with their vectors, the properties that must hold, and vectors without a
/// passage.
const PASSAGES: &str =
    "SELECT s.key, s.title, s.body, p.ordinal, p.heading, p.text, p.text_hash = v.text_hash AS is_current,
        v.source = p.source AND v.tenant_id = p.tenant_id AND v.source_kind = p.source_kind AS is_its_own,
        v.embedding::real[] AS embedding, p.id IS NULL AS is_orphan,
        EXISTS (SELECT FROM pgrecall.index_jobs j WHERE j.source = s.id AND j.status = 'failed') AS has_failed
    FROM pgrecall.passages p
    JOIN pgrecall.sources s ON s.id = p.source
    FULL JOIN {vectors} v ON v.passage = p.id
    ORDER BY s.key, p.ordinal";

/// The counts of a comparison.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sources: usize,
    pub(super) passages: usize,
    pub(super) settled: i64,
    pub(super) failed: i64,
}

/// Waits until no work is left. Returns the work that is left at the deadline.
pub(super) fn wait_until_done(dsn: &dyn Fn() -> String, deadline: Duration, mut tend: impl FnMut()) -> Vec<String> {
    let deadline = Instant::now() + deadline;
    loop {
        let left = ask(&dsn(), async |client| {
            client.execute(HURRY, &[]).await?;
            let rows = client.query(OPEN, &[&POISON]).await?;
            let active = active_space(client).await?;
            let waits = active.is_none().then(|| "no embedding space is active".to_owned());
            Ok(rows.iter().map(|row| row.get(0)).chain(waits).collect::<Vec<String>>())
        });
        let left = left.unwrap_or_else(|error| vec![format!("the database cannot be asked: {error:#}")]);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        tend();
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Compares everything, and returns the counts and the violations.
pub(super) fn compare(dsn: &str, url: &str, ledger: &Ledger) -> anyhow::Result<(Found, Vec<String>)> {
    let limit = limit(url)?;
    let mut wrong = Vec::new();
    let found = ask(dsn, async |client| {
        let mut found = Found::default();
        let space = active_space(client).await?.context("no embedding space is active")?;
        let transaction = client.build_transaction().read_only(true);
        let transaction = transaction.isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
        let sources = transaction.query(SOURCES, &[]).await?;
        let states: BTreeMap<String, String> = sources.iter().map(|row| (row.get(0), row.get(1))).collect();
        if states.len() != sources.len() {
            wrong.push(format!("{} sources have {} keys", sources.len(), states.len()));
        }
        wrong.extend(ledger.compare(&states));
        let rows = transaction.query(&PASSAGES.replace("{vectors}", &format!("pgrecall.vectors_{space}")), &[]).await?;
        for row in &rows {
            wrong.extend(passage_is_wrong(row, &limit));
        }
        let mut with_passages = BTreeMap::<Option<&str>, usize>::new();
        rows.iter().for_each(|row| *with_passages.entry(row.get("key")).or_default() += 1);
        for key in states.keys().filter(|key| !with_passages.contains_key(&Some(key.as_str()))) {
            wrong.push(format!("{key}: it has no passages"));
        }
        (found.sources, found.passages) = (states.len(), rows.len());
        found.settled = transaction
            .query_one("SELECT coalesce(sum(cardinality(sources)), 0)::int8 FROM pgrecall.index_job_history", &[])
            .await?
            .get(0);
        found.failed = transaction.query_one("SELECT count(*) FROM pgrecall.index_jobs", &[]).await?.get(0);
        Ok(found)
    })?;
    if wrong.len() > TOLD {
        let more = wrong.len() - TOLD;
        wrong.truncate(TOLD);
        wrong.push(format!("… and {more} more"));
    }
    Ok((found, wrong))
}

fn passage_is_wrong(row: &tokio_postgres::Row, limit: &Limit) -> Option<String> {
    if row.get("is_orphan") {
        return Some("a vector is there without its passage".to_owned());
    }
    let (key, ordinal, body): (&str, i32, &str) = (row.get("key"), row.get("ordinal"), row.get("body"));
    let wrong = |what: &str| Some(format!("{key}, passage {ordinal}: {what}"));
    let text: &str = row.get("text");
    if !body.contains(text) {
        return wrong("it is of another text than the source's");
    }
    let Some(stored) = row.get::<_, Option<Vec<f32>>>("embedding") else {
        return if row.get("has_failed") { None } else { wrong("it has no vector") };
    };
    if row.get::<_, Option<bool>>("is_current") != Some(true) {
        return wrong("its vector is of another text, by its hash");
    }
    if row.get::<_, Option<bool>>("is_its_own") != Some(true) {
        return wrong("its vector names another source");
    }
    let expected = embed(&passage::embed_text(row.get("title"), row.get("heading"), text, limit));
    let length = expected.iter().map(|number| number * number).sum::<f32>().sqrt();
    let same = expected.len() == stored.len()
        && expected.iter().zip(&stored).all(|(expected, stored)| (expected / length - stored).abs() < ROUNDING);
    if same { None } else { wrong("its vector is of another text, by its numbers") }
}

async fn active_space(client: &Client) -> anyhow::Result<Option<i32>> {
    let rows = client.query("SELECT id FROM pgrecall.embedding_spaces WHERE state = 'active'", &[]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// The size limit of a passage, as the workers and servers derive it from their configuration.
fn limit(url: &str) -> anyhow::Result<Limit> {
    let provider = ProviderConfig::OpenAi {
        url: url.to_owned(),
        model: "scripted".to_owned(),
        api_key: None,
        dimensions: None,
        headers: Headers::default(),
    };
    let embedder = pgrecall_embedder::build(EmbedderConfig::from(provider))?;
    let tokens = embedder.max_tokens();
    Ok(Limit { words: TARGET_WORDS, tokens, count: std::sync::Arc::new(move |text| embedder.count_tokens(text)) })
}
