//! The audit of calls over HTTP, off their way: a call is noted in a queue of bounded length, and a task writes what has gathered once a second.

use std::{sync::Arc, time::Duration};

use shared::{audit::Entry, metrics::metrics, tasks::Tasks};
use tokio::{sync::mpsc, time::timeout};
use tracing::warn;

use crate::database::Database;

/// Calls that wait to be written. More are dropped, and counted: no answer waits for its own record.
const QUEUE: usize = 4_096;
/// The most that one statement writes.
const BATCH: usize = 1_000;
/// How long calls gather.
const GATHER: Duration = Duration::from_secs(1);
/// How long a batch may take to be written; after that it is dropped.
const WRITTEN: Duration = Duration::from_secs(10);

/// Where calls are noted. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit(mpsc::Sender<Entry>);

impl Audit {
    /// An audit whose task ends, with everything written, when nobody can note anything any more.
    pub(crate) fn start(database: Arc<Database>, tasks: &Tasks) -> Self {
        let (noted, mut entries) = mpsc::channel(QUEUE);
        tasks.spawn("audit", async move {
            let mut batch = Vec::new();
            while entries.recv_many(&mut batch, BATCH).await > 0 {
                write(&database, &batch).await;
                batch.clear();
                if !entries.is_closed() {
                    tokio::time::sleep(GATHER).await;
                }
            }
        });
        Self(noted)
    }

    /// Notes a call.
    pub(crate) fn note(&self, entry: Entry) {
        if self.0.try_send(entry).is_err() {
            metrics().audit_dropped.inc();
        }
    }
}

async fn write(database: &Arc<Database>, batch: &[Entry]) {
    let written = async {
        let engine = database.engine(|_| {}).await.map_err(|error| error.to_string())?;
        engine.write_audit(batch).await.map_err(|error| error.to_string())
    };
    let written = timeout(WRITTEN, written).await.unwrap_or_else(|_| Err("the database took too long".to_owned()));
    if let Err(error) = written {
        metrics().audit_dropped.inc_by(batch.len() as u64);
        warn!(error, calls = batch.len(), "calls could not be written to the audit log");
    }
}
