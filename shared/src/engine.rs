//! The engine: the state of a program once its database, schema and model are known.
//!
//! Only here do the parts meet: the embedded or the configured Postgres, the pools, the embedder of
//! the active space, and the wake-ups. Both programs are thin around the engine.

mod coverage;
mod embedders;
mod memories;
mod pipeline;
mod recall;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use self::coverage::Figures;
use self::embedders::Embedders;
pub use self::memories::{Remembered, Restored};
use self::recall::Reranker;
pub use self::waiting::{WaitEnd, Waited};
use pgrecall_config::{Config, Provider};
use pgrecall_embedder::{ClientOptions, EmbedClient, EmbedError, Embedder};
use pgrecall_postgres::db::migrate::{self, MigrateError, Probe};
use pgrecall_postgres::db::{Db, DbError, PoolSizes, RETRY_DELAYS, Role, Scope};
use pgrecall_postgres::dsn::{Dsn, DsnError};
use pgrecall_postgres::session;
use pgrecall_process::tasks::Tasks;
use pgrecall_record::passage::Limit;
use pgrecall_record::source::Record;
use pgrecall_runtime::Runtime;
use pgrecall_runtime::embedded::{Embedded, EmbeddedError};
use pgrecall_store::files::FileRecord;
use pgrecall_store::queue::Notifier;
use pgrecall_store::quotas::{Admitted, Demand, Limits, QuotaError, Quotas};
use pgrecall_store::recall::QueryError;
use pgrecall_store::spaces::{self, Space};
use pgrecall_store::write::{self, Batch, Policy, Receipts};

/// The connections of a worker's sessions: two loops for each slot, and a heartbeat.
const SESSION_CONNECTIONS: usize = 10;
/// Of `database.connections`, those that calls cannot take: for API keys, the audit log and
/// metrics.
const RESERVED_CONNECTIONS: usize = 2;
/// Those that the background needs in addition: one for wake-ups, one for a sweep.
const BACKGROUND_CONNECTIONS: usize = 2;
/// Concurrent calls for each CPU. A call waits for Postgres and the embedder most of the time; more
/// calls would only divide the CPU.
const CALLS_PER_CPU: usize = 4;
/// How long the database may take to answer a probe, and how long its answer is cached.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
const PROBE_TTL: Duration = Duration::from_secs(1);

/// Why a call failed. Display is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Setup has not run.
    #[error("pgrecall is not set up yet ({0} is incomplete): run `mcp-server setup`")]
    NotSetUp(String),
    /// The private Postgres failed.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The connection string is invalid.
    #[error(transparent)]
    Dsn(#[from] DsnError),
    /// The schema could not be checked or migrated.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The embedder could not be made from its configuration.
    #[error(transparent)]
    Embedder(#[from] EmbedError),
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The tenant's quota is used up.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// A bug in pgrecall.
    #[error("an internal error ended the call; nothing was written; the log has the details")]
    Panicked(#[source] tokio::task::JoinError),
}

impl EngineError {
    /// Whether the caller can avoid the error by changing the call.
    pub fn is_callers_fault(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Quota(_))
    }

    /// Whether the same call may succeed later: the database is unreachable or still starting.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dsn(error) | Self::Migrate(MigrateError::Connect(error)) => error.is_transient(),
            Self::Db(error) => error.is_transient(),
            Self::Migrate(error) => error.is_lost_connection(),
            _ => false,
        }
    }
}

/// A handle to the engine. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    db: Db,
    secret: Vec<u8>,
    session: Dsn,
    embedded: Option<Arc<Embedded>>,
    embedders: Embedders,
    reranker: Option<Reranker>,
    limit: Limit,
    quotas: Quotas,
    /// The permit of the search for near-duplicates: one search at a time.
    looks: Semaphore,
    figures: Figures,
    /// Whether the database answered the last probe, and when.
    answered: Mutex<Option<(Instant, bool)>>,
    notifier: Notifier,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Engine {
    /// Starts or joins the embedded Postgres, or connects to the configured one, and migrates the
    /// schema.
    ///
    /// Creates the configured model's space if no space exists. `progress` is called with each
    /// step, for a person who waits.
    pub async fn open(config: &Config, progress: impl Fn(&str)) -> Result<Self, EngineError> {
        let runtime = Runtime::at(&config.paths.runtime);
        let needs_runtime = config.database.dsn.is_none() || config.memory.embedding.provider == Provider::Local;
        if needs_runtime && !runtime.is_complete() {
            return Err(EngineError::NotSetUp(config.paths.runtime.display().to_string()));
        }
        let (embedded, dsn, session) = match &config.database.dsn {
            None => {
                progress("starting the private Postgres");
                let embedded = Arc::new(Embedded::join(&config.paths.home, &runtime).await?);
                let dsn = embedded.address().clone();
                (Some(embedded), dsn.clone(), dsn)
            }
            Some(dsn) => {
                let session = config.database.session_dsn.as_ref().unwrap_or(dsn);
                (None, Dsn::parse(dsn)?, Dsn::parse(session)?)
            }
        };
        progress("checking the schema");
        let mut waits = RETRY_DELAYS.iter();
        let db = loop {
            match (connect_and_migrate(&dsn, &session, config.database.connections).await, &embedded) {
                // The private Postgres may have been killed just now; this program then starts it
                // again.
                (Err(error), Some(embedded)) if error.is_transient() => match waits.next() {
                    Some(wait) => {
                        tokio::time::sleep(*wait).await;
                        embedded.ensure_running().await?;
                    }
                    None => return Err(error),
                },
                (ready, _) => break ready?,
            }
        };
        if let Some(embedded) = &embedded {
            let embedded = Arc::clone(embedded);
            db.restart_with(move || {
                let embedded = Arc::clone(&embedded);
                async move { embedded.ensure_running().await }
            });
        }
        let secret = db.secret().await?;
        let embedders = Embedders::new(config, &runtime)?;
        let reranker = config
            .memory
            .recall
            .rerank
            .as_ref()
            .map(|rerank| Reranker::new(rerank, concurrent_calls(config)))
            .transpose()?;
        let stop = CancellationToken::new();
        let tasks = Tasks::new(stop.clone());
        let (notifier, notifying) = Notifier::new(db.clone(), stop.clone());
        tasks.spawn("notifier", notifying);
        let limit = embedders.limit();
        let inner = Inner {
            config: config.clone(),
            db,
            secret,
            session,
            embedded,
            embedders,
            reranker,
            limit,
            quotas: Quotas::new(limits(config.quotas)),
            looks: Semaphore::new(1),
            figures: Figures::default(),
            answered: Mutex::default(),
            notifier,
            tasks,
            stop,
        };
        let engine = Self { inner: Arc::new(inner) };
        // A first write needs a space to wait for. If the database has one, only the workers change
        // the model, so a command that runs with the wrong configuration changes nothing.
        if spaces::read_serving(engine.db()).await?.is_none() {
            engine.ensure_space().await?;
        }
        Ok(engine)
    }

    /// Returns the scope of stdio and of the command line.
    pub fn scope(&self) -> Scope {
        self.inner.config.caller.scope()
    }

    /// Returns the configuration with which the engine was opened.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns the database.
    pub fn db(&self) -> &Db {
        &self.inner.db
    }

    /// Returns the secret of this installation: 32 bytes, the same for all of its servers.
    pub fn secret(&self) -> &[u8] {
        &self.inner.secret
    }

    /// Returns the address for a worker's own sessions: direct, or through a session pooler.
    pub fn session_dsn(&self) -> &Dsn {
        &self.inner.session
    }

    /// Whether the database is the private one of this home, where one process at a time embeds.
    pub fn is_embedded(&self) -> bool {
        self.inner.embedded.is_some()
    }

    /// Returns the limits of a passage's length.
    pub fn limit(&self) -> &Limit {
        &self.inner.limit
    }

    /// Returns the embedder of the configured model.
    pub fn embedder(&self) -> Arc<dyn Embedder> {
        self.inner.embedders.configured()
    }

    /// Returns the embedder of a space's model, such as the active space's during a change of
    /// model.
    pub fn embedder_of(&self, space: &Space) -> Result<Arc<dyn Embedder>, EngineError> {
        Ok(self.inner.embedders.of(space)?)
    }

    /// Reads the versions of the database and of its schema.
    pub async fn probe(&self) -> Result<Probe, EngineError> {
        Ok(migrate::probe(&self.inner.session).await?)
    }

    /// Whether the database answers.
    ///
    /// One probe at a time asks the database, on its own connection, since calls may hold all of
    /// the pool's; the other callers wait for its result.
    pub async fn ping(&self) -> bool {
        let mut answered = self.inner.answered.lock().await;
        if let Some((at, answers)) = *answered
            && at.elapsed() < PROBE_TTL
        {
            return answers;
        }
        let asked = session::answers(self.inner.db.dsn());
        let answers = tokio::time::timeout(PROBE_TIMEOUT, asked).await.unwrap_or(false);
        *answered = Some((Instant::now(), answers));
        answers
    }

    /// Returns why recall falls back to keyword search, if this process knows that it does.
    pub fn why_degraded(&self) -> Option<String> {
        self.inner.embedders.why_away()
    }

    /// Returns why writes fail, if the disk was full when this process last wrote. Recall still
    /// works.
    pub fn why_read_only(&self) -> Option<&'static str> {
        self.inner.db.is_disk_full().then_some("the disk that holds the database is full: free some space")
    }

    /// Embeds a word with the configured model, and returns the length of its vector.
    pub async fn probe_embedder(&self) -> Result<usize, EmbedError> {
        let timeout = self.inner.config.memory.embedding.timeout;
        EmbedClient::new(self.embedder(), ClientOptions::query(timeout)).probe().await
    }

    /// Finds or creates the space of the configured model.
    ///
    /// `noop` gets one only if there is no other space, so that jobs can wait.
    pub async fn ensure_space(&self) -> Result<Space, EngineError> {
        let db = &self.inner.db;
        if self.inner.config.memory.embedding.provider == Provider::Noop
            && let Some(space) = spaces::read_serving(db).await?
        {
            return Ok(space);
        }
        let embedder = self.inner.embedders.configured();
        Ok(spaces::ensure(db, &Role::Worker, embedder.model()).await?)
    }

    /// Returns the configured rules for writing records.
    fn policy(&self) -> Policy {
        let memory = &self.inner.config.memory;
        Policy { secrets: memory.secrets, keeps_versions: !memory.forget.keep.is_zero() }
    }

    /// Writes records in one transaction. A record that cannot be stored is refused alone; results
    /// keep the order.
    pub async fn write(&self, scope: &Scope, records: Vec<Record>) -> Result<Receipts, EngineError> {
        self.write_batch(scope, records, |batch| batch).await
    }

    /// Writes records of files, and the marks of these files, in one transaction.
    pub async fn write_files(
        &self,
        scope: &Scope,
        records: Vec<Record>,
        marks: Vec<FileRecord>,
    ) -> Result<Receipts, EngineError> {
        self.write_batch(scope, records, move |batch| batch.marking(marks)).await
    }

    async fn write_batch(
        &self,
        scope: &Scope,
        records: Vec<Record>,
        finish: impl FnOnce(Batch) -> Batch + Send + 'static,
    ) -> Result<Receipts, EngineError> {
        let batch = self.prepare(records, finish).await?;
        let _admitted = self.fits_quotas(scope, &batch).await?;
        self.write_prepared(scope, &batch).await
    }

    /// Refuses a batch that does not fit into the tenant's quotas.
    ///
    /// A batch that seems not to fit is previewed first, since unchanged records add nothing.
    async fn fits_quotas(&self, scope: &Scope, batch: &Batch) -> Result<Option<Admitted>, EngineError> {
        match self.admit(scope, batch.demand()).await {
            Err(EngineError::Quota(QuotaError::Records { .. } | QuotaError::Text { .. })) => {}
            admitted => return admitted,
        }
        let preview = write::preview(&self.inner.db, scope, batch).await?;
        self.admit(scope, batch.demand_after(&preview)).await
    }

    /// Counts a write against the tenant's quotas, if it fits. The caller keeps the result until
    /// the write is over.
    async fn admit(&self, scope: &Scope, demand: Demand) -> Result<Option<Admitted>, EngineError> {
        let Inner { quotas, db, .. } = &*self.inner;
        Ok(if quotas.are_set() { Some(quotas.admit(db, &scope.tenant, demand).await??) } else { None })
    }

    async fn write_prepared(&self, scope: &Scope, batch: &Batch) -> Result<Receipts, EngineError> {
        let receipts = write::write(&self.inner.db, scope, batch).await?;
        self.wake_workers();
        self.inner.db.note_written();
        Ok(receipts)
    }

    /// Returns the result that [`write`](Self::write) would have on the database as it is now.
    /// Writes nothing.
    pub async fn preview_write(&self, scope: &Scope, records: Vec<Record>) -> Result<Receipts, EngineError> {
        let batch = self.prepare(records, |batch| batch).await?;
        Ok(write::preview(&self.inner.db, scope, &batch).await?)
    }

    async fn prepare(
        &self,
        records: Vec<Record>,
        finish: impl FnOnce(Batch) -> Batch + Send + 'static,
    ) -> Result<Batch, EngineError> {
        let (limit, policy) = (self.inner.limit.clone(), self.policy());
        // Splitting a long text takes time, which would block the other tasks of this thread.
        tokio::task::spawn_blocking(move || finish(Batch::under(policy, records, &limit)))
            .await
            .map_err(EngineError::Panicked)
    }

    /// Stops the background tasks, and leaves the embedded Postgres, which stops with its last
    /// user.
    pub async fn close(self) {
        self.inner.stop.cancel();
        let alive = self.inner.tasks.stop(Duration::from_secs(5)).await;
        if !alive.is_empty() {
            tracing::warn!(tasks = ?alive, "some tasks did not stop in time");
        }
        self.inner.db.drop_connections();
        if let Some(embedded) = &self.inner.embedded {
            embedded.leave().await;
        }
    }
}

/// Converts the configured quotas to those of the store.
fn limits(config: pgrecall_config::Quotas) -> Limits {
    let pgrecall_config::Quotas { records, text_bytes, writes_per_minute } = config;
    Limits { records, text_bytes, writes_per_minute }
}

/// Returns how many calls may run at once.
///
/// Each call has a connection and a slot of the embedder to itself, so calls wait only in the fair
/// queue between callers.
pub fn concurrent_calls(config: &Config) -> usize {
    let connections = config.database.connections.saturating_sub(RESERVED_CONNECTIONS + BACKGROUND_CONNECTIONS);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    connections.min(cpus * CALLS_PER_CPU).max(1)
}

/// Migrates the schema and opens the pools.
async fn connect_and_migrate(dsn: &Dsn, session: &Dsn, connections: usize) -> Result<Db, EngineError> {
    migrate::migrate(session).await?;
    let calls = connections.saturating_sub(RESERVED_CONNECTIONS).max(1);
    let sizes = PoolSizes { calls, reserved: RESERVED_CONNECTIONS, sessions: SESSION_CONNECTIONS };
    Ok(Db::open(dsn, session, sizes).await?)
}
