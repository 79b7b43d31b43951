//! Errors of backup, restore and upgrade, sorted by the action that the user can take.

use std::io;
use std::path::{Path, PathBuf};

use tokio_postgres::error::SqlState;

use crate::embedded::EmbeddedError;
use pgrecall_postgres::db::migrate::MigrateError;
use pgrecall_postgres::dsn::DsnError;

/// Why a backup was not written, or not restored. The message is one sentence that says what to do;
/// [`BackupError::detail`] has the output of the program that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A program of Postgres is not in the expected folder.
    #[error("there is no {program} in {}: run `mcp-server setup`, or name the folder of Postgres' programs with `--bin`", bin.display())]
    NoProgram {
        /// The program.
        program: &'static str,
        /// The folder.
        bin: PathBuf,
    },
    /// A program failed.
    #[error("{program} failed: {}", first_line(detail))]
    Program {
        /// The program.
        program: &'static str,
        /// Its error output.
        detail: String,
    },
    /// A program took too long.
    #[error("{program} did not end within {hours} hours and was ended")]
    ProgramTimeout {
        /// The program.
        program: &'static str,
        /// Its time limit, in hours.
        hours: u64,
    },
    /// The server is newer than the programs.
    #[error(
        "the server is Postgres {server}, which is newer than the programs of the runtime: name the folder of its own pg_dump with `--bin`"
    )]
    NewerServer {
        /// The server's major version.
        server: u32,
    },
    /// The path names no file.
    #[error("{} is a folder or names no file: name the file of the backup", .0.display())]
    NoFile(PathBuf),
    /// The login does not see every row.
    #[error(
        "the database user may not read every row: use a superuser, or one with BYPASSRLS, in `database.session_dsn`"
    )]
    NotEveryRow(#[source] tokio_postgres::Error),
    /// The file lacks rows.
    #[error("the backup holds {held} rows of {table} and the database {expected}: it was removed; try again")]
    Incomplete {
        /// The table.
        table: String,
        /// Rows in the file.
        held: u64,
        /// Rows in the snapshot.
        expected: u64,
    },
    /// The file is a dump of another database.
    #[error("{} is a dump of a database without pgrecall's tables: name a file that `mcp-server backup` has written", .0.display())]
    NotOurs(PathBuf),
    /// The database has no tables of pgrecall.
    #[error("the database has no tables of pgrecall: check `database.dsn` and `database.session_dsn`")]
    NothingThere,
    /// pg_dump would leave the extension out.
    #[error(
        "pgvector's extension is where pg_dump leaves it out, so that the backup could not be restored: end every program that \
         uses this home, and run the backup again; the next start of the private Postgres repairs it"
    )]
    LeftOut,
    /// The database to restore into already has a schema pgrecall.
    #[error(
        "the database holds a schema pgrecall already: restore into an empty database; if a restore into this one was interrupted, drop \
         that schema first"
    )]
    NotEmpty,
    /// The home's database already holds records or API keys.
    #[error(
        "the database in {} holds records or API keys: restore into another PGRECALL_HOME, or add `--replace`, which keeps the \
         old database in a folder of its own", home.display()
    )]
    InTheWay {
        /// The home.
        home: PathBuf,
    },
    /// Rows are missing after a restore.
    #[error("{there} rows of {table} were restored and the backup holds {expected}: do not use the restored database")]
    RestoredIncompletely {
        /// The table.
        table: String,
        /// Rows in the database.
        there: u64,
        /// Rows in the file.
        expected: u64,
    },
    /// The upgraded database differs from the old one.
    #[error(
        "the upgraded database differs from the old one in {what}: it was removed, and the old one is as it was; report this"
    )]
    Differs {
        /// What differs.
        what: String,
    },
    /// The home has no database to upgrade.
    #[error("there is no database in {} yet", .0.display())]
    NoDatabase(PathBuf),
    /// The private Postgres failed.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The connection failed.
    #[error(transparent)]
    Connect(#[from] DsnError),
    /// The schema could not be migrated.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A statement failed.
    #[error("the database refused a statement{}", .0.as_db_error().map(|error| format!(": {}", error.message())).unwrap_or_default())]
    Statement(#[source] tokio_postgres::Error),
    /// A file-system operation failed.
    #[error("could not {action} {}", path.display())]
    File {
        /// The verb of the message, such as `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    /// Returns the error output of the program that failed.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Program { detail, .. } => Some(detail),
            Self::Embedded(error) => error.detail(),
            _ => None,
        }
    }

    /// Returns the converter of a file-system error, for a failure to `action` the file at `path`.
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

impl From<tokio_postgres::Error> for BackupError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Self::NotEveryRow(error),
            _ => Self::Statement(error),
        }
    }
}

/// Returns the first line with `error:`, otherwise the first line; the lines after it are context.
fn first_line(detail: &str) -> &str {
    let mut lines = detail.lines().filter(|line| !line.trim().is_empty());
    let first = lines.clone().find(|line| line.contains("error:")).or_else(|| lines.next());
    first.unwrap_or("it said nothing")
}
