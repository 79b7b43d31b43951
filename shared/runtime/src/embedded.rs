//! The private Postgres of one home folder: started by the first process that needs it, shared by
//! all, stopped by the last.
//!
//! Two lock files in the home coordinate this. The system releases both when a process dies, so a
//! killed process cannot block the next one. Each process that uses Postgres holds a shared lock on
//! `users.lock`; a process that starts or stops Postgres holds `start.lock` exclusively while it
//! does so. If a leaving process can convert its shared lock to an exclusive one, it was the last.
//! Postgres listens only on a Unix socket, in a folder that no other user can enter.

pub(crate) mod account;
mod checksums;
mod cluster;
mod create;
mod error;
mod exchange;
mod extension;
mod lock;
mod process;
mod program;
mod server;
mod words;

use std::path::Path;

use parking_lot::Mutex;

pub use checksums::PageCheck;
use cluster::Cluster;
pub use error::EmbeddedError;
pub use exchange::{Hold, Next, data_version};
pub(crate) use extension::FIRST_USER_ID;
use lock::Lock;

use crate::{PostgresInstall, Runtime};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_process::nofollow::Folder;

/// A process's use of the private Postgres of a home. Leaving, or dropping it, stops Postgres if no
/// other process uses it.
#[derive(Debug)]
pub struct Embedded {
    cluster: Cluster,
    dsn: String,
    address: Dsn,
    /// Kept open for as long as the DSN may be used, because the DSN can name the socket by this
    /// folder's descriptor.
    _home: Folder,
    seat: Mutex<Option<UserLocks>>,
}

/// The locks that make a process a user of Postgres. Leaving takes them.
#[derive(Debug)]
struct UserLocks {
    users: Lock,
    /// Held from the beginning of [`Embedded::join`] to its end. A join that fails or is canceled
    /// leaves with this lock; if it took the lock again, it would wait for itself.
    starting: Option<Lock>,
}

impl Embedded {
    /// Starts the private Postgres of the folder `home`, or joins the running one. Creates the
    /// folder and the database if they are missing: 2 s the first time, 50 ms to start, 5 ms to
    /// join. After a crash, waits for the recovery. The server has the major version that created
    /// the data.
    ///
    /// # Errors
    /// Each [`EmbeddedError`] says in one sentence what to do. After a failure nothing stays locked
    /// or running.
    pub async fn join(home: &Path, runtime: &Runtime) -> Result<Self, EmbeddedError> {
        Self::join_with(home, exchange::install_of(home, runtime)).await
    }

    /// Joins as [`Embedded::join`] does, with a Postgres of the caller's choice. Refuses a database
    /// that another major version created.
    ///
    /// # Errors
    /// Those of [`Embedded::join`].
    pub async fn join_with(home: &Path, postgres: PostgresInstall) -> Result<Self, EmbeddedError> {
        let cluster = Cluster::at(home, postgres)?;
        let starting = Some(Lock::exclusive(&cluster.start_lock()).await?);
        let users = Lock::shared(&cluster.users_lock())?;
        let opened = Folder::open(&cluster.home).map_err(EmbeddedError::at("open", &cluster.home))?;
        let host = cluster.host(&opened);
        let (dsn, address) = (cluster.dsn(&host), cluster.address(&host));
        // From here on, dropping `embedded` leaves: if the start fails, or if the caller stops
        // waiting for it.
        let embedded =
            Self { cluster, dsn, address, _home: opened, seat: Mutex::new(Some(UserLocks { users, starting })) };
        embedded.cluster.bring_up().await?;
        if let Some(seat) = embedded.seat.lock().as_mut() {
            seat.starting = None;
        }
        Ok(embedded)
    }

    /// Returns the address for connections of this program. Before a connection sends anything, it
    /// verifies that the socket's folder and the server belong to this home. The role is a
    /// superuser.
    pub fn address(&self) -> &Dsn {
        &self.address
    }

    /// Returns the DSN for other programs that this one starts, and for tests: `key=value` pairs,
    /// as libpq and `tokio_postgres` read them. Such a connection verifies nothing, so this program
    /// itself uses [`Embedded::address`].
    pub fn dsn(&self) -> &str {
        &self.dsn
    }

    /// Returns the path of Postgres's own log. A start rotates the log when it is larger than 10
    /// MB, and keeps one old file.
    pub fn log(&self) -> &Path {
        &self.cluster.log
    }

    /// Starts Postgres again if it has died, for callers whose connections fail. Several processes
    /// may call it at the same time. Returns when connections are possible.
    ///
    /// # Errors
    /// Those of [`Embedded::join`].
    pub async fn ensure_running(&self) -> Result<(), EmbeddedError> {
        if self.cluster.is_ready().await? {
            return Ok(());
        }
        let _starting = Lock::exclusive(&self.cluster.start_lock()).await?;
        self.cluster.bring_up().await
    }

    /// Ends this process's use, and stops Postgres if this process was the last user. Close all
    /// connections before, because Postgres cuts open ones. Afterwards the value can only be
    /// dropped; a second call does nothing.
    pub async fn leave(&self) {
        let Some(seat) = self.take_seat() else { return };
        let cluster = self.cluster.clone();
        // On a blocking thread, because a stop takes as long as Postgres needs to write its memory
        // to disk, and must not be aborted when the caller stops waiting.
        let left = tokio::task::spawn_blocking(move || seat.leave(&cluster)).await;
        if let Err(error) = left {
            tracing::error!(error = &error as &dyn std::error::Error, "leaving the private Postgres failed");
        }
    }

    fn take_seat(&self) -> Option<UserLocks> {
        self.seat.lock().take()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(seat) = self.take_seat() {
            seat.leave(&self.cluster);
        }
    }
}

impl UserLocks {
    /// Leaves, and stops Postgres if no other process uses it. A failure is only logged: the next
    /// process that joins finds Postgres running, and stops it when it leaves.
    fn leave(mut self, cluster: &Cluster) {
        let starting = match self.starting.take() {
            Some(lock) => Ok(lock),
            None => Lock::exclusive_blocking(&cluster.start_lock()),
        };
        let stopped = starting.and_then(|_starting| {
            // No process can join while this one holds the start lock. If this process can get the
            // users lock exclusively, it is therefore alone.
            if self.users.is_only_one()? { cluster.stop() } else { Ok(()) }
        });
        if let Err(error) = stopped {
            tracing::warn!(error = &error as &dyn std::error::Error, "the private Postgres was left running");
        }
    }
}
