//! What can go wrong with the private Postgres, sorted by what its user can do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::words;
use pgrecall_postgres::dsn::DsnError;
use pgrecall_process::nofollow::Unsafe;

/// Why the private Postgres is not to be had. The message is one sentence that says what to do;
/// [`EmbeddedError::detail`] holds what Postgres had to say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Setup has not run, or with another folder.
    #[error("there is no Postgres in {}: run `mcp-server setup`", bin.display())]
    NotInstalled {
        /// Where its programs should be.
        bin: PathBuf,
    },
    /// A program of the runtime does not start.
    #[error("the program {} is damaged and does not start: run `mcp-server setup --repair`", path.display())]
    Broken {
        /// The program.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The data was made by another user.
    #[error("the database in {} belongs to {owner}: run this as {owner}, or set PGRECALL_HOME to a folder of your own", home.display())]
    OtherOwner {
        /// The home.
        home: PathBuf,
        /// The user's name.
        owner: String,
    },
    /// This is root, and there is nobody else.
    #[error(
        "Postgres does not run as root, and there is no user `postgres` or `nobody` here: create one, or run this as an ordinary user"
    )]
    NoAccount,
    /// A folder on the way to the data, or to the programs, is closed.
    #[error(
        "as root, Postgres runs as the user {user}, who cannot enter {}: allow it (chmod o+x), or set PGRECALL_HOME and \
         PGRECALL_RUNTIME to folders that everyone can reach", folder.display()
    )]
    OutOfReach {
        /// The user.
        user: String,
        /// The topmost folder in the way.
        folder: PathBuf,
    },
    /// The data was made by another Postgres.
    #[error(
        "the database in {} was made by Postgres {found} and this is Postgres {expected}: run the pgrecall that made \
         it, make a backup with `mcp-server backup`, move the folder away, and restore the backup with `mcp-server restore`", data.display()
    )]
    OtherVersion {
        /// The data folder.
        data: PathBuf,
        /// The version that made it.
        found: String,
        /// The version at hand.
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
    /// As root: a user could have put a home of their own in the place of this one.
    #[error(
        "as root: other users can replace {} by a folder of their own, because {} lets them: take that right away (chmod o-w, or \
         chown), or set PGRECALL_HOME to another folder", home.display(), folder.display()
    )]
    ReplaceableHome {
        /// The home.
        home: PathBuf,
        /// The folder above it, or itself, that others can write to.
        folder: PathBuf,
    },
    /// A file of the home is a link, a pipe or another user's.
    #[error("{} {why}: remove it and start again", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: Unsafe,
    },
    /// The folder of the socket or the server behind it is another user's.
    #[error(transparent)]
    Foreign(#[from] DsnError),
    /// There is not enough room for a new database.
    #[error(
        "the disk that holds {} has {free_mb} MB free, and a new database needs {needed_mb} MB: free some space, or set \
         PGRECALL_HOME to a folder on another disk", path.display()
    )]
    NoRoom {
        /// The home.
        path: PathBuf,
        /// What is free, in MB.
        free_mb: u64,
        /// What is needed, in MB.
        needed_mb: u64,
    },
    /// Making the database failed.
    #[error(
        "the private database could not be created, because Postgres said: {}. Correct that, and start again",
        words::reason(detail)
    )]
    CreateFailed {
        /// What Postgres said.
        detail: String,
    },
    /// A check of the database's files could not be made.
    #[error("the files of the private database could not be checked: see what Postgres says")]
    CheckFailed {
        /// What Postgres said.
        detail: String,
    },
    /// pg_upgrade did not go through.
    #[error("the private database could not be upgraded, and is as it was: see what pg_upgrade says")]
    UpgradeFailed {
        /// What pg_upgrade said.
        detail: String,
    },
    /// Somebody else uses the database, which must have no other user for this.
    #[error(
        "another process uses the database in {}: end the hosts and servers that use it (such as Claude Desktop), and try \
         again", home.display()
    )]
    InUse {
        /// The home.
        home: PathBuf,
    },
    /// The server ended while it was starting.
    #[error(
        "the private Postgres did not start, because it said: {}. What to do: {}; its log is {}",
        words::reason(detail), words::advice(detail), log.display()
    )]
    StartFailed {
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        detail: String,
    },
    /// The server runs and takes no connections.
    #[error("the private Postgres takes no connections after 5 minutes: see {}, and try again", log.display())]
    StartTimeout {
        /// Its log.
        log: PathBuf,
    },
    /// The server does not end.
    #[error("the private Postgres did not stop within a minute: see {}", log.display())]
    StopTimeout {
        /// Its log.
        log: PathBuf,
    },
    /// Processes of a server that was killed do not end.
    #[error("processes of a Postgres that was killed still run: end {pids:?} and try again")]
    Orphans {
        /// The processes.
        pids: Vec<u32>,
    },
    /// Another process has been starting or stopping the server for minutes.
    #[error("another process has held {} for minutes: end it and try again", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The server runs and refuses.
    #[error("the private Postgres refuses the connection{}", .0.as_db_error().map(|said| format!(", because it said: {}", said.message())).unwrap_or_default())]
    Connect(#[source] tokio_postgres::Error),
    /// A defect.
    #[error("an internal error interrupted the work: report it")]
    Panicked(#[source] tokio::task::JoinError),
    /// The file system.
    #[error("could not {action} {}: see the cause, and try again", path.display())]
    File {
        /// A verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk is used up.
    #[error("the disk that holds {} is full: free some space and try again", path.display())]
    DiskFull {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The home lies on a file system that takes no writes.
    #[error(
        "{} lies on a file system that is mounted read-only: mount it for writing, or set PGRECALL_HOME to a folder elsewhere",
        path.display()
    )]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder of the home belongs to someone else.
    #[error("{} is closed to this user: open it, or set PGRECALL_HOME to a folder of your own", path.display())]
    Denied {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl EmbeddedError {
    /// More for whoever wants to know: Postgres's last words.
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

    /// Sorts a failure to `action` the file at `path`.
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
