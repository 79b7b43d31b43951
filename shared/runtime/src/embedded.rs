//! The private Postgres of one home folder: started by the first process that needs it, shared by all, stopped by the
//! last.
//!
//! Two lock files in the home arrange this, and the system drops both when a process dies, so nothing that was killed
//! can block the next. Every user holds a shared lock on `users.lock` for as long as it stays; whoever starts or stops
//! Postgres holds `start.lock` exclusively while doing so. A process that leaves and can turn its shared lock into an
//! exclusive one was the last. Postgres listens on a Unix socket only, in a folder that nobody else can enter.

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

/// A process's share in the private Postgres of a home. Leaving, or dropping it, stops Postgres if nobody else uses it.
#[derive(Debug)]
pub struct Embedded {
    cluster: Cluster,
    dsn: String,
    address: Dsn,
    /// Open for as long as the DSN may be used.
    _home: Folder,
    seat: Mutex<Option<Seat>>,
}

/// What makes a process a user. Gone once it has left.
#[derive(Debug)]
struct Seat {
    users: Lock,
    /// Held from the beginning of [`Embedded::join`] to its end. A join that fails or is cancelled leaves with it in
    /// hand, where taking it again would wait for itself.
    starting: Option<Lock>,
}

impl Embedded {
    /// Starts the private Postgres of the folder `home`, or joins the one that runs. Creates the folder and the
    /// database if they are missing: 2 s the first time, 50 ms to start, 5 ms to join. After a crash, waits for the
    /// recovery. The server is of the major version that made the data.
    ///
    /// # Errors
    /// Each [`EmbeddedError`] says in one sentence what to do. Nothing stays locked or running on account of a failure.
    pub async fn join(home: &Path, runtime: &Runtime) -> Result<Self, EmbeddedError> {
        Self::join_with(home, exchange::install_of(home, runtime)).await
    }

    /// Does the same as [`Embedded::join`] with a Postgres of the caller's choice. A database that another major
    /// version made is refused.
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
        // From here on, dropping it leaves: if the start fails, or if the caller stops waiting for it.
        let embedded = Self { cluster, dsn, address, _home: opened, seat: Mutex::new(Some(Seat { users, starting })) };
        embedded.cluster.bring_up().await?;
        if let Some(seat) = embedded.seat.lock().as_mut() {
            seat.starting = None;
        }
        Ok(embedded)
    }

    /// How to connect. Each connection is opened only after the folder of the socket and the server have been proven to be this home's.
    /// The role is a superuser.
    pub fn address(&self) -> &Dsn {
        &self.address
    }

    /// How to connect for other programs that this one starts, and for tests: `key=value` pairs, as libpq and `tokio_postgres` read them.
    /// Nothing is proven on this way, so [`Embedded::address`] is what this program itself uses.
    pub fn dsn(&self) -> &str {
        &self.dsn
    }

    /// Postgres's own log. A start rotates it when it is over 10 MB, and keeps one old file.
    pub fn log(&self) -> &Path {
        &self.cluster.log
    }

    /// Starts Postgres again if it has died, for callers whose connections fail. Any number of processes may call it at
    /// once. Returns when connections are possible.
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

    /// Gives up this process's share, and stops Postgres if it was the last one. Close all connections before: those
    /// left open are cut. After it, only dropping makes sense. Leaving twice is no harm.
    pub async fn leave(&self) {
        let Some(seat) = self.take_seat() else { return };
        let cluster = self.cluster.clone();
        // Stopping takes as long as Postgres needs to write out its memory, and must not be cut short by a caller that
        // stops waiting.
        let left = tokio::task::spawn_blocking(move || seat.leave(&cluster)).await;
        if let Err(error) = left {
            tracing::error!(error = &error as &dyn std::error::Error, "leaving the private Postgres failed");
        }
    }

    fn take_seat(&self) -> Option<Seat> {
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

impl Seat {
    /// Leaves, and stops Postgres if nobody else is left. A failure is logged and not more: the next process that joins
    /// finds Postgres running, and stops it when it leaves.
    fn leave(mut self, cluster: &Cluster) {
        let starting = match self.starting.take() {
            Some(lock) => Ok(lock),
            None => Lock::exclusive_blocking(&cluster.start_lock()),
        };
        let stopped = starting.and_then(|_starting| {
            // Nobody can join while the start lock is held, so whoever gets this lock is alone.
            if self.users.is_only_one()? { cluster.stop() } else { Ok(()) }
        });
        if let Err(error) = stopped {
            tracing::warn!(error = &error as &dyn std::error::Error, "the private Postgres was left running");
        }
    }
}
