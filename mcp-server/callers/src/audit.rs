//! The audit log of calls, written outside the calls: each entry goes into a bounded queue, and a
//! task writes the gathered entries to the database once a second.
//!
//! No entry is lost silently. Entries that the database does not take, or does not take fast
//! enough, go to a [spill file](spill). When the database is back, they are written from there in
//! order, each exactly once. If the spill file fails too, lost entries are counted and logged as an
//! error; with `audit.required`, calls are refused before that happens (decision 28).

mod refusals;
mod spill;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pgrecall_access::audit::{self, Entry};
use pgrecall_config::Config;
use pgrecall_postgres::{db::DbError, dsn::Dsn};
use pgrecall_process::tasks::Tasks;
use pgrecall_record::hash;
use pgrecall_store::metrics::metrics;
use shared::engine::Engine;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc,
    task::block_in_place,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::spill::Spill;
use self::{refusals::Refusals, spill::Draining};
use crate::caller::Caller;
use shared::database::Database;

/// Entries that wait to be gathered. Further entries go directly to the spill file.
const QUEUE_LENGTH: usize = 4_096;
/// The most entries that one statement writes.
const MAX_BATCH: usize = 1_000;
/// Batches that wait while another one is written.
const WAITING_BATCHES: usize = 4;
/// How long entries are gathered into a batch.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// How long the database may take for a batch. After that the batch goes to the spill file.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the writer does not try a database that did not take a batch.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// How long a write may go on after the program has begun to stop.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval at which the counts of refused credentials are written.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(60);

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<Entry>,
    spill: Arc<Spill>,
    required: bool,
    /// Entries of admitted calls, and noted entries, that are neither in the database nor in the
    /// spill file.
    unsettled: Arc<AtomicUsize>,
    refusals: Refusals,
    closing: CancellationToken,
}

/// A reservation for the entry of a running call.
pub struct Admitted(Arc<AtomicUsize>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a call was refused: its audit entry could not be kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "the call was refused and nothing was done, since it could not be noted in the audit log (`audit.required`): {0}; tell your operator"
)]
pub struct CannotBeNoted(pub String);

/// Returns the spill file of the configured database.
pub fn spill(config: &Config) -> Spill {
    // Named after server and database and not the whole DSN, because the DSN of the same database
    // changes with its password.
    let database = config.database.dsn.as_deref().and_then(|dsn| Dsn::parse(dsn).ok());
    let name = database.map_or_else(
        || "private".to_owned(),
        |dsn| hash::short(format!("{} {}", dsn.place(), dsn.database()).as_bytes()),
    );
    Spill::new(&config.audit.spill, name, config.audit.spill_bytes)
}

impl Audit {
    /// Starts the audit log of the calls that use this database; `None` if `server.audit_days` is
    /// 0.
    pub fn start(config: &Config, database: &Arc<Database>, tasks: &Tasks) -> Option<Self> {
        if config.server.audit_days == 0 {
            return None;
        }
        let (spill, unsettled, closing) = (Arc::new(spill(config)), Arc::default(), CancellationToken::new());
        if config.audit.required {
            spill.probe()
        } else {
            spill.look()
        }
        let (queue, entries) = mpsc::channel(QUEUE_LENGTH);
        // Bounded: batches that arrive faster than they are written go to the spill file.
        let (batches, to_write) = mpsc::channel(WAITING_BATCHES);
        let writer = Writer {
            database: database.clone(),
            spill: spill.clone(),
            unsettled: Arc::clone(&unsettled),
            closing: closing.clone(),
        };
        tasks.spawn("audit-gather", writer.clone().gather(entries, batches));
        tasks.spawn("audit-write", writer.write_batches(to_write));
        let (probed, probes) = (spill.clone(), closing.clone());
        tasks.spawn("audit-probe", async move {
            let probe = async {
                loop {
                    sleep(spill::RETRY_DELAY).await;
                    let probed = probed.clone();
                    if probed.has_failed()
                        && let Err(error) = blocking(move || probed.probe()).await
                    {
                        error!(error, "the audit spill could not be probed");
                    }
                }
            };
            // Stops waiting for the probe at the stop, because a hanging disk must not delay it.
            let _: Option<()> = probes.run_until_cancelled(probe).await;
        });
        let inner = Inner {
            queue,
            spill,
            required: config.audit.required,
            unsettled,
            refusals: Refusals::default(),
            closing: closing.clone(),
        };
        let audit = Self(Arc::new(inner));
        let refusals = Arc::downgrade(&audit.0);
        tasks.spawn("audit-refusals", async move {
            while closing.run_until_cancelled(sleep(REFUSALS_INTERVAL)).await.is_some()
                && let Some(inner) = refusals.upgrade()
            {
                Self(inner).note_refusals();
            }
        });
        Some(audit)
    }

    /// Reserves room for the entry of a call that is about to begin. The room is reserved until the
    /// returned value is dropped.
    ///
    /// # Errors
    /// With `audit.required`, the spill file has failed or has no room for another entry.
    pub fn admit(&self) -> Result<Admitted, CannotBeNoted> {
        let admitted = Admitted(Arc::clone(&self.0.unsettled));
        let others = admitted.0.fetch_add(1, Ordering::Relaxed);
        if !self.0.required {
            return Ok(admitted);
        }
        match self.0.spill.why_not(others) {
            Some(why) => Err(CannotBeNoted(why)),
            None => Ok(admitted),
        }
    }

    /// Notes a call.
    pub fn note(&self, entry: Entry) {
        self.0.unsettled.fetch_add(1, Ordering::Relaxed);
        if let Err(refused) = self.0.queue.try_send(entry) {
            // The queue is full or closed. The caller waits for the disk here, which slows down the
            // callers that are faster than it.
            in_place(|| self.0.spill.keep(vec![refused.into_inner()]));
            self.0.unsettled.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Notes refused credentials: the first refusal as an entry of its own, later ones as a count.
    pub(crate) fn refused(&self, reason: &'static str, caller: Option<&Caller>) {
        if let Some(entry) = self.0.refusals.count(reason, caller) {
            self.note(entry);
        }
    }

    fn note_refusals(&self) {
        self.0.refusals.take().into_iter().for_each(|entry| self.note(entry));
    }

    /// Notes the counted refusals, and ends the audit's tasks once all entries are kept.
    pub fn close(&self) {
        self.note_refusals();
        self.0.closing.cancel();
    }
}

/// Runs a function that waits for the disk on a blocking thread.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(run).await.map_err(|error| format!("the access to the spill file failed: {error}"))
}

/// Runs a function that waits for the disk on this thread. The runtime moves the thread's other
/// tasks to other threads.
fn in_place(run: impl FnOnce()) {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(run),
        _ => run(),
    }
}

/// Gathers entries into batches, and writes these to the database.
#[derive(Clone)]
struct Writer {
    database: Arc<Database>,
    spill: Arc<Spill>,
    unsettled: Arc<AtomicUsize>,
    closing: CancellationToken,
}

impl Writer {
    /// Gathers entries into batches. Batches that [`write_batches`](Self::write_batches) cannot take now go
    /// to the spill file.
    async fn gather(self, mut entries: mpsc::Receiver<Entry>, batches: mpsc::Sender<Vec<Entry>>) {
        loop {
            let mut batch = Vec::new();
            if self.closing.run_until_cancelled(entries.recv_many(&mut batch, MAX_BATCH)).await.is_none() {
                // An entry that is noted from here on goes directly to the spill file.
                entries.close();
                entries.recv_many(&mut batch, MAX_BATCH).await;
            }
            if batch.is_empty() {
                return;
            }
            let until = Instant::now() + GATHER_TIME;
            while batch.len() < MAX_BATCH && !self.closing.is_cancelled() {
                let room = MAX_BATCH - batch.len();
                let more = self.closing.run_until_cancelled(entries.recv_many(&mut batch, room));
                if !matches!(timeout_at(until, more).await, Ok(Some(1..))) {
                    break;
                }
            }
            if let Err(refused) = batches.try_send(batch) {
                self.keep(refused.into_inner()).await;
            }
        }
    }

    /// Appends entries to the spill file, on a blocking thread.
    async fn keep(&self, entries: Vec<Entry>) {
        let (count, spill) = (entries.len(), self.spill.clone());
        if let Err(error) = blocking(move || spill.keep(entries)).await {
            error!(error, entries = count, "audit entries may be lost");
        }
        self.unsettled.fetch_sub(count, Ordering::Relaxed);
    }

    async fn write_batches(self, mut batches: mpsc::Receiver<Vec<Entry>>) {
        let mut away_until = Instant::now();
        while let Some(batch) = self.next(&mut batches, away_until).await {
            if Instant::now() < away_until {
                self.keep(batch).await;
                continue;
            }
            match self.write(&batch).await {
                Ok(()) => drop(self.unsettled.fetch_sub(batch.len(), Ordering::Relaxed)),
                Err(error) => {
                    let entries = batch.len();
                    warn!(error, entries, "the database did not take the audit entries; they went to the spill file");
                    away_until = Instant::now() + RETRY_DELAY;
                    self.keep(batch).await;
                }
            }
        }
        // Moves the entries that are only in memory to the spill file, where the next program finds
        // them.
        self.keep(Vec::new()).await;
        let bytes = metrics().audit_pending_bytes.get();
        if bytes > 0 {
            error!(
                bytes,
                "audit entries were left in the spill file: the next program with this file writes them to the database"
            );
        }
    }

    /// Returns the next batch, or an empty one when it is time to try the spill file again. `None`:
    /// the batches have ended.
    async fn next(&self, batches: &mut mpsc::Receiver<Vec<Entry>>, away_until: Instant) -> Option<Vec<Entry>> {
        if !self.spill.has_entries() {
            return batches.recv().await;
        }
        let until = away_until.max(Instant::now() + GATHER_TIME);
        timeout_at(until, batches.recv()).await.unwrap_or(Some(Vec::new()))
    }

    /// Writes the entries of the spill file, and then the batch, so that entries keep their order.
    async fn write(&self, batch: &[Entry]) -> Result<(), String> {
        let written = async {
            let engine = self.database.engine(|_| {}).await.map_err(|error| error.to_string())?;
            write_spilled(&engine, &self.spill).await?;
            write(&engine, batch).await
        };
        let too_late = async {
            self.closing.cancelled().await;
            sleep(LAST_WRITE_TIMEOUT).await;
        };
        tokio::select! {
            written = written => written,
            () = too_late => Err("the program ends".to_owned()),
        }
    }
}

/// Writes the entries of the spill file to the database, and removes them from the file.
pub async fn write_spilled(engine: &Engine, spill: &Arc<Spill>) -> Result<(), String> {
    if !spill.has_entries() {
        return Ok(());
    }
    let unreadable = |error: std::io::Error| format!("the spill file cannot be read: {error}");
    let mut drained = 0;
    let waiting = spill.clone();
    if let Some(mut file) = blocking(move || waiting.drain()).await?.map_err(unreadable)? {
        loop {
            let (rest, entries) = blocking(move || file.next(MAX_BATCH)).await?.map_err(unreadable)?;
            file = rest;
            if entries.is_empty() {
                break;
            }
            write(engine, &entries).await?;
            drained += entries.len();
        }
        blocking(move || Draining::remove(file)).await?.map_err(unreadable)?;
    }
    // The held entries stay in memory until they are written, because the caller may drop this
    // future.
    let held = spill.held();
    let written = write(engine, &held).await;
    let settled = if written.is_ok() { held } else { Vec::new() };
    let spill = spill.clone();
    blocking(move || spill.settle(&settled)).await?;
    if drained > 0 {
        info!(entries = drained, "audit entries of the spill file were written to the database");
    }
    written
}

/// Writes entries to the database. An entry whose values the database rejects is counted, logged
/// and skipped, so that it does not block the others.
pub async fn write(engine: &Engine, batch: &[Entry]) -> Result<(), String> {
    match try_write(engine, batch).await {
        Err(NotWritten::Refused(_)) => {}
        result => return result.map_err(|error| error.to_string()),
    }
    for entry in batch {
        match try_write(engine, std::slice::from_ref(entry)).await {
            Err(NotWritten::Refused(error)) => {
                metrics().audit_dropped.inc();
                let tool = &entry.tool;
                error!(%error, tool, "the database cannot hold an audit entry, and it was skipped");
            }
            result => result.map_err(|error| error.to_string())?,
        }
    }
    Ok(())
}

/// Why entries are not in the database.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    /// The database rejects the values of an entry, so a retry does not help.
    #[error(transparent)]
    Refused(DbError),
    #[error(transparent)]
    Failed(DbError),
    #[error("it took too long")]
    TooLate,
}

async fn try_write(engine: &Engine, entries: &[Entry]) -> Result<(), NotWritten> {
    if entries.is_empty() {
        return Ok(());
    }
    match timeout(WRITE_TIMEOUT, audit::write(engine.db(), entries)).await {
        Err(_) => Err(NotWritten::TooLate),
        Ok(Err(error)) if error.is_bad_data() => Err(NotWritten::Refused(error)),
        Ok(written) => written.map_err(NotWritten::Failed),
    }
}
