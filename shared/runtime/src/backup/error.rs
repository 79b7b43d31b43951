//! Errors of backup, restore and upgrade, sorted by the action that the user can take.

use std::io;
use std::path::{Path, PathBuf};

use tokio_postgres::error::SqlState;

use crate::embedded::EmbeddedError;
use pgrecall_postgres::db::migrate::MigrateError;
use pgrecall_postgres::dsn::DsnError;

/// Why a backup was not written, or not restored. The message is one sentence that says what to do; [`BackupError::detail`] has the words of the
/// program that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A program of Postgres is not where it should be.
    #[error("there is no {program} in {}: run `mcp-server setup`, or name the folder of Postgres' programs with `--bin`", bin.display())]
    NoProgram {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        bin: PathBuf,
    },
    /// A program failed.
    #[error("{program} failed: {}", first_line(detail))]
    Program {
        /// The program.
        program: &'static str,
        /// What it said.
        detail: String,
    },
    /// A program took too long.
    #[error("{program} did not end within {hours} hours and was ended")]
    ProgramTimeout {
        /// The program.
        program: &'static str,
        /// How long it had.
        hours: u64,
    },
    /// The server is newer than the programs.
    #[error(
        "the server is Postgres {server}, which is newer than the programs of the runtime: name the folder of its own pg_dump with `--bin`"
    )]
    NewerServer {
        /// Its major version.
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
    /// The file is a dump of something else.
    #[error("{} is a dump of a database without pgrecall's tables: name a file that `mcp-server backup` has written", .0.display())]
    NotOurs(PathBuf),
    /// The database is not one of pgrecall.
    #[error("the database has no tables of pgrecall: check `database.dsn` and `database.session_dsn`")]
    NothingThere,
    /// pg_dump would leave the extension out.
    #[error(
        "pgvector's extension is where pg_dump leaves it out, so that the backup could not be restored: end every program that \
         uses this home, and run the backup again; the next start of the private Postgres repairs it"
    )]
    LeftOut,
    /// There is something in the way.
    #[error(
        "the database holds a schema pgrecall already: restore into an empty database; if a restore into this one was interrupted, drop \
         that schema first"
    )]
    NotEmpty,
    /// There are records in the way.
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
    /// The upgraded database is not the same.
    #[error(
        "the upgraded database differs from the old one in {what}: it was removed, and the old one is as it was; report this"
    )]
    Differs {
        /// What differs.
        what: String,
    },
    /// There is nothing to upgrade.
    #[error("there is no database in {} yet", .0.display())]
    NoDatabase(PathBuf),
    /// The private Postgres.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] DsnError),
    /// The schema could not be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A statement failed.
    #[error("the database refused a statement{}", .0.as_db_error().map(|error| format!(": {}", error.message())).unwrap_or_default())]
    Statement(#[source] tokio_postgres::Error),
    /// The file system.
    #[error("could not {action} {}", path.display())]
    File {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    /// The last output of the program that failed.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Program { detail, .. } => Some(detail),
            Self::Embedded(error) => error.detail(),
            _ => None,
        }
    }

    /// Sorts a failure to `action` the file at `path`.
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

/// The line that says what failed; what follows it is context.
fn first_line(detail: &str) -> &str {
    let mut lines = detail.lines().filter(|line| !line.trim().is_empty());
    let first = lines.clone().find(|line| line.contains("error:")).or_else(|| lines.next());
    first.unwrap_or("it said nothing")
}
