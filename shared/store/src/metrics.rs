//! Metrics: what happened, counted where it happens. How the queue stands is read from the database when someone looks.
//!
//! One registry a process, as Prometheus means it. The names are those of the stages: claim, embed, store, and the sweeps.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::sql::sql;
use pgrecall_postgres::db::{Db, DbError, Role, Transaction};

/// What the metrics are served as.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long the database may take to say how the queue stands.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// What each metric's name begins with.
const PREFIX: &str = "pgrecall";

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// One of a few words, which the metric's help names.
    pub outcome: &'static str,
}

/// How a call of a tool ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ToolCall {
    /// The tool.
    pub tool: String,
    /// ok, refused, forbidden, unavailable, failed, panicked or cancelled.
    pub outcome: &'static str,
}

/// A tool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Tool {
    /// Its name.
    pub tool: String,
}

/// How a recall was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Recalled {
    /// By what.
    pub ranking: &'static str,
    /// Whether by less than was asked for.
    pub degraded: &'static str,
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// The path, one of a few.
    pub route: &'static str,
    /// The status.
    pub status: u16,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Listener {
    /// Its name: mcp, metrics or worker.
    pub listener: &'static str,
}

/// Connections that the program closed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Closed {
    /// Whose.
    pub listener: &'static str,
    /// gave_way or too_slow.
    pub reason: &'static str,
}

/// Requests and calls that found no room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refusal {
    /// One of a few words, which the metric's help names.
    pub reason: &'static str,
}

/// Open jobs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Jobs {
    kind: String,
    state: String,
}

/// A kind of source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

/// Connections of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Connections {
    state: &'static str,
}

/// A table of the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: String,
}

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Jobs: claimed, settled, given_back, failed, parked, lost or reaped.
    pub jobs: Family<Outcome, Counter>,
    /// Calls to the embedder: ok, or the class of the failure.
    pub calls: Family<Outcome, Counter>,
    /// Texts that were embedded.
    pub texts: Counter,
    /// Vectors: stored, or dropped since they came too late.
    pub vectors: Family<Outcome, Counter>,
    /// A claim's statement, in seconds.
    pub claim_seconds: Histogram,
    /// A call to the embedder, in seconds.
    pub embed_seconds: Histogram,
    /// The transaction that stores a call's vectors, in seconds.
    pub store_seconds: Histogram,
    /// Leases that were lost to another worker.
    pub leases_lost: Counter,
    /// Sources that the reconciler found without their vectors.
    pub reconciled: Counter,
    /// 1 while the embedder is left alone, 0 while it is used.
    pub breaker_open: Gauge,
    /// Whether the worker's session hears its own notifications; nothing where no worker has tried.
    hears: Mutex<Option<bool>>,
    /// Calls of tools, by how they ended.
    pub tool_calls: Family<ToolCall, Counter>,
    /// How long they took, in seconds.
    pub tool_seconds: Family<Tool, Histogram, fn() -> Histogram>,
    /// Recalls, by how they were ranked.
    pub recalls: Family<Recalled, Counter>,
    /// How long a query waited for its embedding, in seconds, the cache included.
    pub query_embed_seconds: Histogram,
    /// Answers over HTTP, by route and status.
    pub http: Family<Answered, Counter>,
    /// Audit entries that were lost.
    pub audit_dropped: Counter,
    /// Audit entries that went to the spill file.
    pub audit_spilled: Counter,
    /// Bytes of audit entries that wait for the database.
    pub audit_pending_bytes: Gauge,
    /// Calls that run now, and calls that wait for their turn.
    pub calls_running: Gauge,
    /// See `calls_running`.
    pub calls_waiting: Gauge,
    /// How long calls waited for their turn, in seconds.
    pub call_wait_seconds: Histogram,
    /// Requests, calls and sessions that found no room.
    pub refused: Family<Refusal, Counter>,
    /// Open connections, by listener.
    connections: Family<Listener, Gauge>,
    /// Connections that the program closed, by listener and reason.
    connections_closed: Family<Closed, Counter>,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// This process's metrics.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let r = &mut registry;
        let jobs = Family::default();
        r.register("jobs", "Jobs: claimed, settled, given_back, failed, parked, lost or reaped", jobs.clone());
        let calls = Family::default();
        r.register("embed_calls", "Calls to the embedder: ok, or the class of the failure", calls.clone());
        let texts = Counter::default();
        r.register("embedded_texts", "Texts that were embedded", texts.clone());
        let vectors = Family::default();
        r.register("vectors", "Vectors: stored, or dropped since they came too late", vectors.clone());
        let (claim, store) = (histogram(0.000_5), histogram(0.001));
        r.register_with_unit("claim", "A claim's statement", Unit::Seconds, claim.clone());
        r.register_with_unit("store", "The transaction that stores a call's vectors", Unit::Seconds, store.clone());
        let embed = histogram(0.005);
        r.register_with_unit("embed", "A call to the embedder", Unit::Seconds, embed.clone());
        let leases_lost = Counter::default();
        r.register("leases_lost", "Leases that were lost to another worker", leases_lost.clone());
        let reconciled = Counter::default();
        r.register("reconciled_sources", "Sources found without their vectors", reconciled.clone());
        let breaker_open = Gauge::default();
        r.register("breaker_open", "1 while the embedder is left alone, 0 while it is used", breaker_open.clone());
        let tool_calls = Family::default();
        let outcomes = "Calls of tools: ok, refused, forbidden, unavailable, failed, panicked or cancelled";
        r.register("tool_calls", outcomes, tool_calls.clone());
        let tool_seconds = Family::new_with_constructor((|| histogram(0.001)) as fn() -> Histogram);
        r.register_with_unit("tool", "A call of a tool", Unit::Seconds, tool_seconds.clone());
        let recalls = Family::default();
        r.register("recalls", "Recalls and searches, by how they were ranked", recalls.clone());
        let query_embed = histogram(0.000_1);
        r.register_with_unit("query_embed", "A query's wait for its embedding", Unit::Seconds, query_embed.clone());
        let http = Family::default();
        r.register("http_answers", "Answers over HTTP, by route and status", http.clone());
        let audit_dropped = Counter::default();
        r.register("audit_dropped", "Audit entries that were lost", audit_dropped.clone());
        let audit_spilled = Counter::default();
        r.register("audit_spilled", "Audit entries that went to the spill file", audit_spilled.clone());
        let audit_pending_bytes = Gauge::default();
        let pending = "Bytes of audit entries that wait for the database";
        r.register("audit_pending_bytes", pending, audit_pending_bytes.clone());
        let (calls_running, calls_waiting) = (Gauge::default(), Gauge::default());
        r.register("calls_running", "Calls that run now", calls_running.clone());
        r.register("calls_waiting", "Calls that wait for their turn", calls_waiting.clone());
        let call_wait = histogram(0.000_1);
        r.register_with_unit("call_wait", "A call's wait for its turn", Unit::Seconds, call_wait.clone());
        let refused = Family::default();
        r.register("refused", "What found no room, by the limit that it met", refused.clone());
        let connections = Family::default();
        r.register("connections", "Open connections by listener", connections.clone());
        let connections_closed = Family::default();
        let closed = "Connections that were closed by listener: gave_way to another one, or too_slow";
        r.register("connections_closed", closed, connections_closed.clone());
        Self {
            registry,
            jobs,
            calls,
            texts,
            vectors,
            claim_seconds: claim,
            embed_seconds: embed,
            store_seconds: store,
            leases_lost,
            reconciled,
            breaker_open,
            hears: Mutex::default(),
            tool_calls,
            tool_seconds,
            recalls,
            query_embed_seconds: query_embed,
            http,
            audit_dropped,
            audit_spilled,
            audit_pending_bytes,
            calls_running,
            calls_waiting,
            call_wait_seconds: call_wait,
            refused,
            connections,
            connections_closed,
        }
    }

    /// Counts a call of a tool.
    pub fn call(&self, tool: &str, outcome: &'static str, took: Duration) {
        self.tool_calls.get_or_create(&ToolCall { tool: tool.to_owned(), outcome }).inc();
        observe(&self.tool_seconds.get_or_create(&Tool { tool: tool.to_owned() }), took);
    }

    /// Counts something that found no room.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&Refusal { reason }).inc();
    }

    /// Notes how many connections a listener has.
    pub fn connections(&self, listener: &'static str, open: usize) {
        self.connections.get_or_create(&Listener { listener }).set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// Counts connections that the program closed.
    pub fn connection_closed(&self, listener: &'static str, reason: &'static str, many: usize) {
        if many > 0 {
            self.connections_closed.get_or_create(&Closed { listener, reason }).inc_by(many as u64);
        }
    }

    /// Notes whether the worker's session hears its own notifications.
    pub fn hears(&self, hears: bool) {
        *self.hears.lock() = Some(hears);
    }

    /// Counts a recall.
    pub fn recall(&self, ranking: &'static str, degraded: bool) {
        let degraded = if degraded { "true" } else { "false" };
        self.recalls.get_or_create(&Recalled { ranking, degraded }).inc();
    }

    /// Counts something by how it ended.
    pub fn count(&self, family: &Family<Outcome, Counter>, outcome: &'static str, many: usize) {
        if many > 0 {
            family.get_or_create(&Outcome { outcome }).inc_by(many as u64);
        }
    }

    /// All metrics as text, with the present state of the queue. A database that does not answer shows as down.
    pub async fn render(&self, db: Option<&Db>) -> String {
        let read = match db {
            Some(db) => tokio::time::timeout(READ_TIMEOUT, read_gauges(db)).await.ok().and_then(Result::ok),
            None => None,
        };
        let up = Gauge::<i64>::default();
        up.set(i64::from(read.is_some()));
        let mut read = read.unwrap_or_else(|| Registry::with_prefix(PREFIX));
        read.register("database_up", "1 when the database answered just now", up);
        // A server without a worker has no session that could fail.
        if let Some(hears) = *self.hears.lock() {
            let gauge = Gauge::<i64>::default();
            gauge.set(i64::from(hears));
            read.register("session_hears", "1 when the worker's session hears notifications, 0 when not", gauge);
        }
        encoded(&[&self.registry, &read])
    }
}

fn encoded(registries: &[&Registry]) -> String {
    let mut text = String::new();
    let encode = registries.iter().try_for_each(|registry| encode_registry(&mut text, registry));
    encode.and_then(|()| encode_eof(&mut text)).expect("writing to a string does not fail");
    text
}

/// Sixteen buckets, each twice the one before.
fn histogram(from: f64) -> Histogram {
    Histogram::new(exponential_buckets(from, 2.0, 16))
}

/// The gauges that are read from the database: of all tenants together, since a tenant's name is no label.
async fn read_gauges(db: &Db) -> Result<Registry, DbError> {
    let read = async |transaction: Transaction| {
        let jobs = transaction.query_typed(sql!("queue_depth"), &[]).await?;
        Ok((jobs, transaction.query_typed(sql!("table_health"), &[]).await?))
    };
    // On a reserved connection: the figure that shows waiting calls must not wait with them.
    let (jobs, tables) = db.reserved().run_once(Role::Worker, read).await?;
    let open = Family::<Jobs, Gauge>::default();
    let oldest = Family::<Kind, Gauge<f64, AtomicU64>>::default();
    for row in &jobs {
        let (kind, state): (String, String) = (row.get("source_kind"), row.get("state"));
        if let Some(age) = row.get("oldest_seconds") {
            oldest.get_or_create(&Kind { kind: kind.clone() }).set(age);
        }
        open.get_or_create(&Jobs { kind, state }).set(row.get("jobs"));
    }
    let (pool, connections) = (db.pool_status(), Family::<Connections, Gauge>::default());
    for (state, count) in [("used", pool.used), ("idle", pool.idle), ("waited_for", pool.waiting)] {
        connections.get_or_create(&Connections { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let dead = Family::<Table, Gauge>::default();
    for row in &tables {
        dead.get_or_create(&Table { table: row.get("table") }).set(row.get("dead"));
    }
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("queue_jobs", "Open jobs by kind and state: ready, delayed, running, parked or dismissed", open);
    registry.register("queue_oldest_seconds", "Age of the oldest ready job by kind", oldest);
    let pool = "Connections of the server's pool: in use, idle, and callers that wait for one";
    registry.register("pool_connections", pool, connections);
    registry.register("table_dead_tuples", "Dead rows that no vacuum has removed yet", dead);
    Ok(registry)
}

/// Measures a future into a histogram.
pub async fn timed<T>(histogram: &Histogram, work: impl Future<Output = T>) -> T {
    let begun = std::time::Instant::now();
    let result = work.await;
    observe(histogram, begun.elapsed());
    result
}

/// Notes how long something took.
pub fn observe(histogram: &Histogram, took: Duration) {
    histogram.observe(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_prometheus_expects() {
        let metrics = Metrics::new();
        metrics.count(&metrics.jobs, "settled", 3);
        metrics.count(&metrics.jobs, "lost", 0);
        observe(&metrics.claim_seconds, Duration::from_millis(3));
        let text = encoded(&[&metrics.registry]);
        assert!(text.contains("pgrecall_jobs_total{outcome=\"settled\"} 3\n"), "{text}");
        assert!(!text.contains("lost\"}"), "what never happened is not made up");
        assert!(text.contains("# TYPE pgrecall_claim_seconds histogram"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn only_a_program_with_a_worker_says_whether_its_session_is_deaf() {
        let metrics = Metrics::new();
        assert!(!metrics.render(None).await.contains("session_hears"));
        metrics.hears(false);
        let text = metrics.render(None).await;
        assert!(text.contains("\npgrecall_session_hears 0\n") && text.contains("\npgrecall_database_up 0\n"), "{text}");
        assert_eq!(text.matches("# EOF").count(), 1, "{text}");
    }
}
