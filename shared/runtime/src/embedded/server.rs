//! Starts, waits for and stops the server of a cluster. Every function that changes something needs
//! the start lock.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio_postgres::error::SqlState;

use super::{
    EmbeddedError,
    cluster::{Cluster, LOG, OLD_LOG, PORT, quote_entry},
    process,
    words::LOG_LINE_PREFIX,
};
use pgrecall_postgres::dsn::proven::driver_error;
use pgrecall_process::nofollow::Folder;

/// How long a start may take. Only crash recovery takes more than a second.
const START_TIMEOUT: Duration = Duration::from_secs(300);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server may run without listening.
const UNREACHABLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the processes of a dead server get to exit, before they are sent QUIT.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(2);
/// How long they get in total, before the start fails.
const KILLED_TIMEOUT: Duration = Duration::from_secs(20);
/// The programs that write to a data folder without a server. They work in the home, and outlive
/// the process that started them.
const WRITERS: [&str; 3] = ["initdb", "pg_checksums", "pg_upgrade"];
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const LOG_BYTES: u64 = 10 << 20;
/// How many bytes of the log an error quotes.
const DETAIL_BYTES: u64 = 2000;
/// The space that a new database needs, with some room for its first records.
const NEW_DATABASE_MB: u64 = 100;
/// The most bytes read of `PG_VERSION`, which is more than a version takes.
const VERSION_BYTES: u64 = 64;

/// The server's state, as a connection attempt shows it.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// It runs, and is starting, recovering, stopping, or slow.
    Busy,
    /// No server listens.
    Absent,
}

impl Cluster {
    /// Whether connections are possible.
    pub(super) async fn is_ready(&self) -> Result<bool, EmbeddedError> {
        Ok(self.probe().await? == State::Ready)
    }

    /// Creates and starts what is missing, and returns when connections are possible. The caller
    /// must hold the start lock.
    pub(super) async fn bring_up(&self) -> Result<(), EmbeddedError> {
        let start = Instant::now();
        let mut child = None;
        let mut told = false;
        loop {
            match self.probe().await? {
                State::Ready => break,
                State::Busy => {}
                State::Absent => match &mut child {
                    // The server is starting or stopping. If this lasts, its socket was removed,
                    // perhaps by a program that cleans temporary folders, and a restart creates a
                    // new socket.
                    None if self.is_running() && start.elapsed() < UNREACHABLE_TIMEOUT => {}
                    None if self.is_running() => self.stop_unreachable().await?,
                    None => child = Some(self.start().await?),
                    Some(started) => self.check_alive(started)?,
                },
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(EmbeddedError::StartTimeout { log: self.log.clone() });
            }
            if !told && start.elapsed() > Duration::from_secs(3) {
                tracing::info!(log = %self.log.display(), "waiting for the private Postgres to recover or to start");
                told = true;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        if let Some(started) = child {
            tracing::info!(elapsed_ms = start.elapsed().as_millis() as u64, "the private Postgres is running");
            started.wait_in_background();
            self.ready_extension().await;
        }
        Ok(())
    }

    /// Stops the server if it runs, and returns when it has exited. The caller must hold the start
    /// lock.
    pub(super) fn stop(&self) -> Result<(), EmbeddedError> {
        let Some(pid) = process::running(&self.data) else { return Ok(()) };
        let start = Instant::now();
        // `--no-wait`, because pg_ctl polls only ten times a second.
        let mut command = self.command("pg_ctl");
        command.args(["stop", "--mode=fast", "--no-wait", "--silent", "--pgdata"]).arg(&self.data);
        command.status().map_err(EmbeddedError::at("run", Path::new("pg_ctl")))?;
        while process::is_postgres(pid, &self.data) {
            if start.elapsed() > STOP_TIMEOUT {
                return Err(EmbeddedError::StopTimeout { log: self.log.clone() });
            }
            thread::sleep(POLL_INTERVAL);
        }
        if self.has_short_socket_folder() {
            // A failure is harmless: the folder is not empty, or is gone already.
            let _ = fs::remove_dir(&self.socket);
        }
        tracing::info!(elapsed_ms = start.elapsed().as_millis() as u64, "the private Postgres was stopped");
        Ok(())
    }

    /// Stops the server as [`Cluster::stop`] does, on a blocking thread.
    pub(super) async fn stop_on_thread(&self) -> Result<(), EmbeddedError> {
        let cluster = self.clone();
        tokio::task::spawn_blocking(move || cluster.stop()).await.map_err(EmbeddedError::Panicked)?
    }

    async fn stop_unreachable(&self) -> Result<(), EmbeddedError> {
        tracing::warn!(path = %self.socket.display(), "the private Postgres has lost its socket and is restarted");
        self.stop_on_thread().await
    }

    async fn probe(&self) -> Result<State, EmbeddedError> {
        let error = match tokio::time::timeout(PROBE_TIMEOUT, self.address("/").open()).await {
            Ok(Ok(_connection)) => return Ok(State::Ready),
            Ok(Err(error)) => driver_error(error)?,
            Err(_elapsed) => return Ok(State::Busy),
        };
        if let Some(database) = error.as_db_error() {
            return match *database.code() {
                SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => Ok(State::Busy),
                // The server runs, but has no free connection.
                SqlState::TOO_MANY_CONNECTIONS => Ok(State::Ready),
                _ => Err(EmbeddedError::Connect(error)),
            };
        }
        match error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind) {
            Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(State::Absent),
            Some(io::ErrorKind::PermissionDenied) => Err(EmbeddedError::Connect(error)),
            // The server closed the connection, as it does during a shutdown.
            _ => Ok(State::Busy),
        }
    }

    fn is_running(&self) -> bool {
        process::running(&self.data).is_some()
    }

    async fn start(&self) -> Result<Started, EmbeddedError> {
        self.check_reach()?;
        self.settle_exchange().await?;
        if !self.data.exists() {
            self.check_room()?;
            self.create().await?;
        }
        self.check_version()?;
        self.end_orphans().await?;
        self.prepare_socket_folder()?;
        self.remove_stale_files()?;
        self.enable_checksums().await;

        self.shorten_log()?;
        let log = self.open_log()?;
        let log_start = log.metadata().map_err(EmbeddedError::at("read", &self.log))?.len();
        let errors = log.try_clone().map_err(EmbeddedError::at("open", &self.log))?;
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(&self.data)
            // Settings that make the server private are passed here, because the configuration file
            // could change them.
            .args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", &format!("port={PORT}")])
            .args(["-c", &format!("unix_socket_directories={}", quote_entry(self.server_socket_folder()))])
            .args(["-c", "logging_collector=off", "-c", "log_destination=stderr"])
            .args(["-c", &format!("log_line_prefix={LOG_LINE_PREFIX}")])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(EmbeddedError::at("run", &self.postgres.bin.join("postgres")))?;
        Ok(Started { child, log_start })
    }

    fn check_alive(&self, started: &mut Started) -> Result<(), EmbeddedError> {
        match started.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(EmbeddedError::StartFailed {
                log: self.log.clone(),
                detail: self
                    .open_log()
                    .and_then(|log| tail(log, started.log_start).map_err(EmbeddedError::at("read", &self.log)))?,
            }),
            Err(source) => Err(EmbeddedError::at("wait for", &self.postgres.bin.join("postgres"))(source)),
        }
    }

    /// Refuses data of another major version, which this server could not read.
    fn check_version(&self) -> Result<(), EmbeddedError> {
        let path = self.data.join("PG_VERSION");
        let read = Folder::open_real(&self.data).and_then(|data| data.read("PG_VERSION".as_ref(), VERSION_BYTES));
        let text = read.map_err(EmbeddedError::at("read", &path))?;
        let text = String::from_utf8_lossy(&text);
        match text.trim().parse::<u32>() {
            Ok(found) if found == self.postgres.major => Ok(()),
            _ => Err(EmbeddedError::OtherVersion {
                data: self.data.clone(),
                found: text.trim().to_owned(),
                expected: self.postgres.major,
            }),
        }
    }

    /// Waits until the processes of a killed server have exited. Idle ones exit on their own; the
    /// others get a signal. No such process, nor any program that a killed process has started, may
    /// still write when the next server starts.
    async fn end_orphans(&self) -> Result<(), EmbeddedError> {
        let start = Instant::now();
        let mut told = false;
        let writers = || process::working_in(&self.home, &WRITERS);
        self.signal("TERM", &writers())?;
        loop {
            let mut orphans = process::all_of(&self.data);
            orphans.extend(writers());
            if orphans.is_empty() {
                return Ok(());
            }
            if !told && start.elapsed() > ORPHANS_TIMEOUT {
                self.signal("QUIT", &orphans)?;
                told = true;
            } else if start.elapsed() > KILLED_TIMEOUT {
                return Err(EmbeddedError::Orphans { pids: orphans });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends a signal to processes of this cluster, as the server's user.
    pub(super) fn signal(&self, signal: &str, pids: &[u32]) -> Result<(), EmbeddedError> {
        for pid in pids {
            let status = self.command("pg_ctl").args(["kill", signal, &pid.to_string()]).status();
            status.map_err(EmbeddedError::at("run", Path::new("pg_ctl")))?;
        }
        Ok(())
    }

    /// Removes the files of a dead server. Postgres does so too, unless the recorded process id
    /// belongs to another program now.
    fn remove_stale_files(&self) -> Result<(), EmbeddedError> {
        let socket = format!(".s.PGSQL.{PORT}");
        let lock = format!("{socket}.lock");
        for (folder, name) in [(&self.data, "postmaster.pid"), (&self.socket, &socket), (&self.socket, &lock)] {
            let removed = Folder::open_real(folder).and_then(|open| open.remove_file(name.as_ref()));
            removed.map_err(EmbeddedError::at("remove", &folder.join(name)))?;
        }
        Ok(())
    }

    /// Rotates a log that has become too large.
    fn shorten_log(&self) -> Result<(), EmbeddedError> {
        if self.open_log()?.metadata().is_ok_and(|meta| meta.len() > LOG_BYTES) {
            let renamed = Folder::open(&self.home).and_then(|home| home.rename(LOG.as_ref(), OLD_LOG.as_ref()));
            renamed.map_err(EmbeddedError::at("rename", &self.log))?;
        }
        Ok(())
    }

    /// Opens the log for reading and appending. It quotes statements that failed, so it is as
    /// private as the data.
    fn open_log(&self) -> Result<File, EmbeddedError> {
        let log = Folder::open(&self.home).and_then(|home| home.private_file(LOG.as_ref()));
        log.map_err(EmbeddedError::at("open", &self.log))
    }

    /// Checks that there is space for a new database, because initdb fails halfway without saying
    /// how much it needs.
    fn check_room(&self) -> Result<(), EmbeddedError> {
        let free_mb = self.free_bytes()? / 1_000_000;
        if free_mb < NEW_DATABASE_MB {
            return Err(EmbeddedError::NoRoom { path: self.home.clone(), free_mb, needed_mb: NEW_DATABASE_MB });
        }
        Ok(())
    }
}

/// A server that this process has started.
struct Started {
    child: Child,
    /// The offset in the log at which the server's messages begin.
    log_start: u64,
}

impl Started {
    /// Reaps the server when it exits: a zombie stays in the process table, and looks alive to a
    /// Postgres that starts.
    fn wait_in_background(mut self) {
        let waiter = thread::Builder::new().name("postgres-wait".to_owned()).spawn(move || self.child.wait());
        if let Err(error) = waiter {
            tracing::warn!(error = &error as &dyn Error, "no thread could be started to wait for the private Postgres");
        }
    }
}

/// Returns the last `DETAIL_BYTES` of the log, but nothing from before the offset `from`.
fn tail(mut log: File, from: u64) -> io::Result<String> {
    let from = from.max(log.metadata()?.len().saturating_sub(DETAIL_BYTES));
    log.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    log.take(DETAIL_BYTES).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}
