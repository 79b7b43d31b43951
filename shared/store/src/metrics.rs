//! Metrics: counts events where they happen, and reads the state of the queue from the database on
//! each request.
//!
//! There is one registry per process. The metrics are named after the stages: claim, embed, store,
//! and the sweeps.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::sql::sql;
use pgrecall_postgres::db::{Db, DbError, Role, Transaction};

/// Content type of the metrics.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Timeout for reading the state of the queue.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Prefix of every metric's name.
const PREFIX: &str = "pgrecall";

/// Labels of a metric: name and value.
type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
/// A counter for each combination of `N` labels.
pub type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Gauges<const N: usize> = Family<Labels<N>, Gauge>;
type ToolSeconds = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// Declares [`Metrics`]: each metric has a field, a type, and the call that registers it with its
/// name and help.
macro_rules! declare_metrics {
    ($($visibility:vis $field:ident: $type:ty = $register:ident($name:literal, $help:literal $(, $argument:literal)?);)*) => {
        /// All metrics of this process.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            /// Whether the worker's session receives its own notifications; `None` until a worker
            /// has tried.
            listener_healthy: Mutex<Option<bool>>,
            $(#[doc = $help] $visibility $field: $type,)*
        }

        impl Metrics {
            fn new() -> Self {
                let mut registry = Registry::with_prefix(PREFIX);
                $(let $field = $register(&mut registry, $name, $help $(, $argument)?);)*
                Self { registry, listener_healthy: Mutex::default(), $($field,)* }
            }
        }
    };
}

declare_metrics! {
    pub jobs: Counters<1> = register("jobs", "Jobs: claimed, settled, given_back, failed, parked, lost or reaped");
    pub calls: Counters<1> = register("embed_calls", "Calls to the embedder: ok, or the class of the failure");
    pub texts: Counter = register("embedded_texts", "Texts that were embedded");
    pub vectors: Counters<1> = register("vectors", "Vectors: stored, or dropped since they came too late");
    pub claim_seconds: Histogram = register_seconds("claim", "A claim's statement", 0.000_5);
    pub store_seconds: Histogram = register_seconds("store", "The transaction that stores a call's vectors", 0.001);
    pub embed_seconds: Histogram = register_seconds("embed", "A call to the embedder", 0.005);
    pub leases_lost: Counter = register("leases_lost", "Leases that were lost to another worker");
    pub reconciled: Counter = register("reconciled_sources", "Sources found without their vectors");
    pub breaker_open: Gauge = register("breaker_open", "1 while the circuit breaker is open, 0 while it is closed");
    tool_calls: Counters<2> =
        register("tool_calls", "Calls of tools: ok, refused, forbidden, unavailable, failed, panicked or cancelled");
    tool_seconds: ToolSeconds = register_seconds_by_tool("tool", "A call of a tool");
    recalls: Counters<2> = register("recalls", "Recalls and searches, by how they were ranked");
    pub query_embed_seconds: Histogram = register_seconds("query_embed", "A query's wait for its embedding", 0.000_1);
    http_answers: Counters<2> = register("http_answers", "Answers over HTTP, by route and status");
    pub audit_dropped: Counter = register("audit_dropped", "Audit entries that were lost");
    pub audit_spilled: Counter = register("audit_spilled", "Audit entries that went to the spill file");
    pub audit_pending_bytes: Gauge =
        register("audit_pending_bytes", "Bytes of audit entries that wait for the database");
    pub calls_running: Gauge = register("calls_running", "Calls that run now");
    pub calls_waiting: Gauge = register("calls_waiting", "Calls that wait for their turn");
    pub call_wait_seconds: Histogram = register_seconds("call_wait", "A call's wait for its turn", 0.000_1);
    refused: Counters<1> = register("refused", "Refused requests, by the limit that they met");
    connections: Gauges<1> = register("connections", "Open connections by listener");
    connections_closed: Counters<2> = register(
        "connections_closed",
        "Connections that were closed by listener: gave_way to another one, or too_slow"
    );
}

/// Registers a metric that starts at zero.
fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Registers a histogram of durations.
fn register_seconds(registry: &mut Registry, name: &str, help: &str, first_bucket: f64) -> Histogram {
    let histogram = histogram(first_bucket);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

fn register_seconds_by_tool(registry: &mut Registry, name: &str, help: &str) -> ToolSeconds {
    let family = ToolSeconds::new_with_constructor(|| histogram(0.001));
    registry.register_with_unit(name, help, Unit::Seconds, family.clone());
    family
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Returns the metrics of this process.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

impl Metrics {
    /// Counts a tool call.
    pub fn call(&self, tool: &str, outcome: &'static str, took: Duration) {
        let tool = ("tool", Cow::from(tool.to_owned()));
        observe(&self.tool_seconds.get_or_create(std::array::from_ref(&tool)), took);
        self.tool_calls.get_or_create(&[tool, ("outcome", outcome.into())]).inc();
    }

    /// Counts a call, connection or login that was refused because of a limit.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason.into())]).inc();
    }

    /// Counts an HTTP response.
    pub fn http_answer(&self, route: &'static str, status: u16) {
        self.http_answers.get_or_create(&[("route", route.into()), ("status", status.to_string().into())]).inc();
    }

    /// Sets the number of open connections of a listener.
    pub fn connections(&self, listener: &'static str, open: usize) {
        self.connections.get_or_create(&[("listener", listener.into())]).set(saturated(open));
    }

    /// Counts connections that the program closed.
    pub fn connection_closed(&self, listener: &'static str, reason: &'static str, many: usize) {
        if many > 0 {
            let labels = [("listener", listener.into()), ("reason", reason.into())];
            self.connections_closed.get_or_create(&labels).inc_by(many as u64);
        }
    }

    /// Sets whether the worker's session receives its own notifications.
    pub fn set_listener_healthy(&self, healthy: bool) {
        *self.listener_healthy.lock() = Some(healthy);
    }

    /// Counts a recall.
    pub fn recall(&self, ranking: &'static str, degraded: bool) {
        let degraded = if degraded { "true" } else { "false" };
        self.recalls.get_or_create(&[("ranking", ranking.into()), ("degraded", degraded.into())]).inc();
    }

    /// Counts events by outcome.
    pub fn count(&self, family: &Counters<1>, outcome: &'static str, many: usize) {
        if many > 0 {
            family.get_or_create(&[("outcome", outcome.into())]).inc_by(many as u64);
        }
    }

    /// Renders all metrics as text, with the present state of the queue. If the database does not
    /// answer, `database_up` is 0.
    pub async fn render(&self, db: Option<&Db>) -> String {
        let read = match db {
            Some(db) => tokio::time::timeout(READ_TIMEOUT, read_gauges(db)).await.ok().and_then(Result::ok),
            None => None,
        };
        let up = i64::from(read.is_some());
        let mut read = read.unwrap_or_else(|| Registry::with_prefix(PREFIX));
        register::<Gauge>(&mut read, "database_up", "1 when the database answered just now").set(up);
        // A server without a worker has no such session.
        if let Some(healthy) = *self.listener_healthy.lock() {
            let help = "1 if the worker's session receives notifications, 0 if not";
            register::<Gauge>(&mut read, "listener_healthy", help).set(i64::from(healthy));
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

/// Makes a histogram with sixteen buckets, each twice as wide as the one before.
fn histogram(first_bucket: f64) -> Histogram {
    Histogram::new(exponential_buckets(first_bucket, 2.0, 16))
}

/// Reads the gauges from the database. They cover all tenants together, since tenant names must not
/// become labels.
async fn read_gauges(db: &Db) -> Result<Registry, DbError> {
    let read = async |transaction: Transaction| {
        let jobs = transaction.query_typed(sql!("queue_depth"), &[]).await?;
        Ok((jobs, transaction.query_typed(sql!("table_health"), &[]).await?))
    };
    // On a reserved connection: the gauge of calls that wait for a connection must not wait with
    // them.
    let (jobs, tables) = db.reserved().run_once(Role::Worker, read).await?;
    let mut registry = Registry::with_prefix(PREFIX);
    let help = "Open jobs by kind and state: ready, delayed, running, parked or dismissed";
    let open: Gauges<2> = register(&mut registry, "queue_jobs", help);
    let oldest: Family<Labels<1>, Gauge<f64, AtomicU64>> =
        register(&mut registry, "queue_oldest_seconds", "Age of the oldest ready job by kind");
    for row in &jobs {
        let text = |column| Cow::from(row.get::<_, String>(column));
        let kind = ("kind", text("source_kind"));
        if let Some(age) = row.get("oldest_seconds") {
            oldest.get_or_create(std::array::from_ref(&kind)).set(age);
        }
        open.get_or_create(&[kind, ("state", text("state"))]).set(row.get("jobs"));
    }
    let help = "Connections of the server's pool: in use, idle, and callers that wait for one";
    let (pool, connections): (_, Gauges<1>) = (db.pool_status(), register(&mut registry, "pool_connections", help));
    for (state, count) in [("used", pool.used), ("idle", pool.idle), ("waited_for", pool.waiting)] {
        connections.get_or_create(&[("state", state.into())]).set(saturated(count));
    }
    let help = "Dead rows that no vacuum has removed yet";
    let dead: Gauges<1> = register(&mut registry, "table_dead_tuples", help);
    for row in &tables {
        dead.get_or_create(&[("table", row.get::<_, String>("table").into())]).set(row.get("dead"));
    }
    Ok(registry)
}

fn saturated(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Measures the duration of a future into a histogram.
pub async fn timed<T>(histogram: &Histogram, work: impl Future<Output = T>) -> T {
    let begun = std::time::Instant::now();
    let result = work.await;
    observe(histogram, begun.elapsed());
    result
}

/// Records a duration in a histogram.
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
    async fn only_a_program_with_a_worker_reports_its_listener() {
        let metrics = Metrics::new();
        assert!(!metrics.render(None).await.contains("listener_healthy"));
        metrics.set_listener_healthy(false);
        let text = metrics.render(None).await;
        assert!(
            text.contains("\npgrecall_listener_healthy 0\n") && text.contains("\npgrecall_database_up 0\n"),
            "{text}"
        );
        assert_eq!(text.matches("# EOF").count(), 1, "{text}");
    }
}
