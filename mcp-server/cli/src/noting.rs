//! The audit entry of a command.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use pgrecall_access::audit::{Entry, MAX_RECORDS};
use pgrecall_config::Config;
use pgrecall_postgres::db::Scope;
use serde_json::{Map, Value};
use shared::engine::Engine;
use tokio::time::timeout;
use tracing::warn;
use uuid::Uuid;

use super::failure::Failure;
use pgrecall_callers::audit::{self, CannotBeNoted, Spill};

/// Time that a command waits for its entry to be written. After that, the entry goes to the spill
/// file.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The audit entry of a command, while the command runs.
pub(super) struct Noting {
    command: String,
    required: bool,
    spill: Arc<Spill>,
    details: Mutex<Details>,
}

#[derive(Default)]
struct Details {
    tenant: Option<String>,
    arguments: Map<String, Value>,
    records: Vec<Uuid>,
}

/// The time at which a command began.
pub(super) struct Begun(Timestamp, Instant);

impl Noting {
    pub(super) fn new(config: &Config, command: String) -> Self {
        let spill = Arc::new(audit::spill(config));
        Self { command, required: config.audit.required, spill, details: Mutex::default() }
    }

    /// Makes sure that the entry can be stored, before the command does anything.
    ///
    /// It fails only if the audit log is required.
    pub(super) fn begin(&self) -> Result<Begun, Failure> {
        if self.required {
            self.spill.probe()
        } else {
            self.spill.look()
        }
        match self.spill.why_not(0).filter(|_| self.required) {
            Some(why) => Err(Failure::Failed(CannotBeNoted(why).into())),
            None => Ok(Begun(Timestamp::now(), Instant::now())),
        }
    }

    /// Adds a record that the command touched.
    pub(super) fn record(&self, id: &str) {
        let mut details = self.details.lock();
        if let Ok(id) = Uuid::parse_str(id)
            && details.records.len() < MAX_RECORDS
        {
            details.records.push(id);
        }
    }

    /// Adds a detail: a number or a name, and never a secret or a text.
    pub(super) fn detail(&self, name: &str, value: impl Into<Value>) {
        let mut details = self.details.lock();
        details.arguments.insert(name.to_owned(), value.into());
    }

    /// Sets the tenant that the command concerns, if it is not the caller's.
    pub(super) fn tenant(&self, tenant: &str) {
        self.details.lock().tenant = Some(tenant.to_owned());
    }

    /// Writes the entry, after the entries that wait in the spill file.
    pub(super) async fn note(&self, engine: &Engine, scope: &Scope, begun: Begun, failed: Option<&Failure>) {
        let Begun(at, since) = begun;
        let mut details = std::mem::take(&mut *self.details.lock());
        // Every user who may run commands acts as the local caller; the user id tells which of them
        // it was. `edit` opens the engine twice, and each of its entries has the id.
        details.arguments.insert("uid".to_owned(), rustix::process::getuid().as_raw().into());
        let entry = Entry {
            id: Uuid::now_v7(),
            at,
            tenant: details.tenant.unwrap_or_else(|| scope.tenant.clone()),
            caller: scope.owner.clone(),
            tool: self.command.clone(),
            outcome: outcome(failed).into(),
            took_ms: since.elapsed().as_secs_f32() * 1e3,
            arguments: Value::Object(details.arguments),
            records: details.records,
        };
        let entries = [entry];
        let written = timeout(WRITE_TIMEOUT, async {
            audit::write_spilled(engine, &self.spill).await?;
            audit::write(engine, &entries).await
        });
        let error = match written.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => "it took too long".to_owned(),
        };
        warn!(error, "the database did not take the command's audit entry; it went to the spill file");
        self.spill.keep(entries.into());
    }
}

fn outcome(failed: Option<&Failure>) -> &'static str {
    match failed {
        None | Some(Failure::OutputClosed) => "ok",
        Some(Failure::Misused(_)) => "refused",
        Some(Failure::Failed(_) | Failure::Told) => "failed",
        Some(Failure::Stopped) => "cancelled",
    }
}
