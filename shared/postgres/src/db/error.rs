//! Database errors, classified by how the caller can react.

use tokio_postgres::error::SqlState;

use crate::dsn::DsnError;

/// An error between a program and its database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection could be opened.
    #[error(transparent)]
    Unreachable(#[from] DsnError),
    /// The extension pgvector was removed, and all vectors with it.
    #[error("the database has no pgvector any more: run `mcp-server migrate`")]
    NoPgvector,
    /// A statement failed.
    #[error("{}", refusal(.0))]
    Statement(#[from] tokio_postgres::Error),
    /// The private Postgres died and could not be restarted.
    #[error("{0}")]
    Restart(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn refusal(error: &tokio_postgres::Error) -> String {
    match error.code() {
        Some(&SqlState::DISK_FULL) => {
            "the disk that holds the database is full: free some space, and try again".to_owned()
        }
        Some(code) if crate::integrity::is_damage(code) => format!(
            "the database refused a statement (SQLSTATE {}): its files are damaged; run `mcp-server doctor`, and restore the last \
             good backup",
            code.code()
        ),
        Some(code) => format!("the database refused a statement (SQLSTATE {})", code.code()),
        None => "the database refused a statement: the connection was lost; try again".to_owned(),
    }
}

impl DbError {
    /// Returns the SQLSTATE with which Postgres refused a statement.
    fn code(&self) -> Option<&SqlState> {
        let Self::Statement(error) = self else { return None };
        error.code()
    }

    /// Returns whether a retry of the transaction may succeed: after a race with another writer, or
    /// if the connection was lost or led to a server that is no longer the primary.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(error) => error.is_transient(),
            Self::NoPgvector | Self::Restart(_) => false,
            Self::Statement(error) => self.is_race() || is_lost(error),
        }
    }

    /// Returns whether another writer caused the error and the connection still works: a deadlock,
    /// or a row that was deleted or created after it was looked up.
    pub fn is_race(&self) -> bool {
        self.code().is_some_and(|code| {
            [
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::FOREIGN_KEY_VIOLATION,
                SqlState::UNIQUE_VIOLATION,
            ]
            .contains(code)
        })
    }

    /// Returns whether Postgres refused the values: the same statement with the same values always
    /// fails.
    pub fn is_bad_data(&self) -> bool {
        // Classes 22 (data exception) and 23 (integrity constraint violation).
        self.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23"))
    }

    /// Returns whether the disk that holds the database is full.
    pub fn is_disk_full(&self) -> bool {
        self.code() == Some(&SqlState::DISK_FULL)
    }

    /// Returns whether the row to insert exists already.
    pub fn is_taken(&self) -> bool {
        self.code() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Returns whether the statement may have taken effect despite the error: the answer was lost,
    /// or the server shut down while it ran.
    pub fn is_uncertain(&self) -> bool {
        let Self::Statement(error) = self else { return false };
        error.code().is_none_or(|code| [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code))
    }
}

pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => error.is_closed() || std::error::Error::source(error).is_some_and(|s| s.is::<std::io::Error>()),
        Some(code) => [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(code),
    }
}
