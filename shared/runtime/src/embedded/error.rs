//! Errors of the private Postgres, sorted by the action that the user can take.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::words;
use pgrecall_postgres::dsn::DsnError;
use pgrecall_process::nofollow::Unsafe;

/// Why the private Postgres is not available. The message is one sentence that says what to do;
/// [`EmbeddedError::detail`] holds Postgres's output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Setup has not run, or it used another folder.
    #[error("there is no Postgres in {}: run `mcp-server setup`", bin.display())]
    NotInstalled {
        /// The folder in which its programs are expected.
        bin: PathBuf,
    },
    /// A program of the runtime does not start.
    #[error("the program {} is damaged and does not start: run `mcp-server setup --repair`", path.display())]
    Broken {
        /// The program.
        path: PathBuf,
        /// The program's error output, or the system's error.
        detail: String,
    },
    /// The data belongs to another user.
    #[error("the database in {} belongs to {owner}: run this as {owner}, or set PGRECALL_HOME to a folder of your own", home.display())]
    OtherOwner {
        /// The home.
        home: PathBuf,
        /// The user's name.
        owner: String,
    },
    /// This process runs as root, and the system has no unprivileged user for Postgres.
    #[error(
        "Postgres does not run as root, and there is no user `postgres` or `nobody` here: create one, or run this as an ordinary user"
    )]
    NoAccount,
    /// The server's user cannot enter a folder on the path to the data or to the programs.
    #[error(
        "as root, Postgres runs as the user {user}, who cannot enter {}: allow it (chmod o+x), or set PGRECALL_HOME and \
         PGRECALL_RUNTIME to folders that everyone can reach", folder.display()
    )]
    OutOfReach {
        /// The user.
        user: String,
        /// The topmost folder that blocks the path.
        folder: PathBuf,
    },
    /// The data was created by another major version of Postgres.
    #[error(
        "the database in {} was made by Postgres {found} and this is Postgres {expected}: run the pgrecall that made \
         it, make a backup with `mcp-server backup`, move the folder away, and restore the backup with `mcp-server restore`", data.display()
    )]
    OtherVersion {
        /// The data folder.
        data: PathBuf,
        /// The version that created it.
        found: String,
        /// The version of the programs.
        expected: u32,
    },
    /// The data folder is a link.
    #[error(
        "{} is a link, and links in a home are not followed: move the folder that it leads to here, or set PGRECALL_HOME to the \
         folder in which it lies", data.display()
    )]
    LinkedData {
        /// The data folder.
        data: PathBuf,
    },
    /// This process runs as root, and another user could have replaced the home by their own.
    #[error(
        "as root: other users can replace {} by a folder of their own, because {} lets them: take that right away (chmod o-w, or \
         chown), or set PGRECALL_HOME to another folder", home.display(), folder.display()
    )]
    ReplaceableHome {
        /// The home.
        home: PathBuf,
        /// The folder that others can write to: the home itself or one above it.
        folder: PathBuf,
    },
    /// A file of the home is a link, a pipe or another user's.
    #[error("{} {why}: remove it and start again", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: Unsafe,
    },
    /// The folder of the socket, or the server behind it, belongs to another user.
    #[error(transparent)]
    Foreign(#[from] DsnError),
    /// There is not enough space for a new database.
    #[error(
        "the disk that holds {} has {free_mb} MB free, and a new database needs {needed_mb} MB: free some space, or set \
         PGRECALL_HOME to a folder on another disk", path.display()
    )]
    NoRoom {
        /// The home.
        path: PathBuf,
        /// Free space, in MB.
        free_mb: u64,
        /// Needed space, in MB.
        needed_mb: u64,
    },
    /// Creating the database failed.
    #[error(
        "the private database could not be created, because Postgres said: {}. Correct that, and start again",
        words::reason(detail)
    )]
    CreateFailed {
        /// Postgres's output.
        detail: String,
    },
    /// The database's files could not be checked.
    #[error("the files of the private database could not be checked: see what Postgres says")]
    CheckFailed {
        /// The output of Postgres's program.
        detail: String,
    },
    /// pg_upgrade failed.
    #[error("the private database could not be upgraded, and is as it was: see what pg_upgrade says")]
    UpgradeFailed {
        /// The output of pg_upgrade.
        detail: String,
    },
    /// Another process uses the database, and the operation needs exclusive use.
    #[error(
        "another process uses the database in {}: end the hosts and servers that use it (such as Claude Desktop), and try \
         again", home.display()
    )]
    InUse {
        /// The home.
        home: PathBuf,
    },
    /// The server exited while it was starting.
    #[error(
        "the private Postgres did not start, because it said: {}. What to do: {}; its log is {}",
        words::reason(detail), words::advice(detail), log.display()
    )]
    StartFailed {
        /// The server's log.
        log: PathBuf,
        /// The log's last lines.
        detail: String,
    },
    /// The server runs, but does not accept connections.
    #[error("the private Postgres takes no connections after 5 minutes: see {}, and try again", log.display())]
    StartTimeout {
        /// The server's log.
        log: PathBuf,
    },
    /// The server does not exit.
    #[error("the private Postgres did not stop within a minute: see {}", log.display())]
    StopTimeout {
        /// The server's log.
        log: PathBuf,
    },
    /// Processes of a killed server do not exit.
    #[error("processes of a Postgres that was killed still run: end {pids:?} and try again")]
    Orphans {
        /// The process ids.
        pids: Vec<u32>,
    },
    /// Another process has been starting or stopping the server for minutes.
    #[error("another process has held {} for minutes: end it and try again", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The server runs and rejects the connection.
    #[error("the private Postgres refuses the connection{}", .0.as_db_error().map(|said| format!(", because it said: {}", said.message())).unwrap_or_default())]
    Connect(#[source] tokio_postgres::Error),
    /// A task panicked, which is a defect.
    #[error("an internal error interrupted the work: report it")]
    Panicked(#[source] tokio::task::JoinError),
    /// Any other failure of the file system.
    #[error("could not {action} {}: see the cause, and try again", path.display())]
    File {
        /// The verb of the message, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full: free some space and try again", path.display())]
    DiskFull {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The home is on a read-only file system.
    #[error(
        "{} lies on a file system that is mounted read-only: mount it for writing, or set PGRECALL_HOME to a folder elsewhere",
        path.display()
    )]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// This user may not access a folder of the home.
    #[error("{} is closed to this user: open it, or set PGRECALL_HOME to a folder of your own", path.display())]
    Denied {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl EmbeddedError {
    /// Returns the output of the failed program, or the last lines of the server's log.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::CreateFailed { detail }
            | Self::CheckFailed { detail }
            | Self::UpgradeFailed { detail }
            | Self::StartFailed { detail, .. }
            | Self::Broken { detail, .. } => Some(detail.as_str()).filter(|detail| !detail.is_empty()),
            _ => None,
        }
    }

    /// Returns the converter of a file-system error into the matching variant, for a failure to
    /// `action` the file at `path`.
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match (source.kind(), Unsafe::of(&source)) {
            (_, Some(why)) => Self::Unsafe { path, why },
            (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => Self::DiskFull { path, source },
            (io::ErrorKind::ReadOnlyFilesystem, _) => Self::ReadOnly { path, source },
            (io::ErrorKind::PermissionDenied, _) => Self::Denied { path, source },
            _ => Self::File { action, path, source },
        }
    }
}
