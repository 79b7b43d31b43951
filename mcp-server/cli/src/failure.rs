//! Why a command did not succeed, and the exit code that says so.

use std::{io, process::ExitCode};

use pgrecall_config::ConfigError;
use pgrecall_postgres::db::DbError;
use pgrecall_record::visible;
use pgrecall_runtime::{backup::BackupError, embedded::EmbeddedError};
use shared::engine::EngineError;

use pgrecall_server::tools::ToolError;

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was asked wrongly: exit 2.
    Misused(String),
    /// It could not be done: exit 1.
    Failed(anyhow::Error),
    /// It was done in part, and what was not has been told: exit 1.
    Told,
    /// A signal ended it: exit 1.
    Stopped,
    /// Whoever read the output has had enough, as `head` does: exit 0.
    OutputClosed,
}

impl Failure {
    /// Tells a person, on stderr.
    pub(super) fn report(&self) {
        match self {
            Self::Misused(sentence) => eprintln!("error: {}", visible::text(sentence)),
            Self::Failed(error) => {
                eprintln!("error: {}", visible::text(&error.to_string()));
                for cause in error.chain().skip(1) {
                    eprintln!("  because: {}", visible::text(&cause.to_string()));
                }
                for line in postgres_said(error).unwrap_or_default().lines() {
                    eprintln!("  postgres: {line}");
                }
            }
            Self::Stopped => eprintln!("stopped; what was written before stays"),
            Self::Told | Self::OutputClosed => {}
        }
    }

    /// The program's exit code.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Misused(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Told | Self::Stopped => ExitCode::FAILURE,
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// The last words of a private Postgres that did not start or could not be made.
fn postgres_said(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| cause.downcast_ref::<EmbeddedError>())?.detail()
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let misused = error.is_callers_fault() && !matches!(error, EngineError::Quota(_));
        if misused { Self::Misused(error.to_string()) } else { Self::Failed(error.into()) }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::Engine(error) => error.into(),
            ToolError::Db(error) => error.into(),
            ToolError::Caller(sentence) => Self::Misused(sentence),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
        Self::Misused(format!("{error}{cause}"))
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        if let Some(detail) = error.detail() {
            eprintln!("{}", detail.trim_end());
        }
        Self::Failed(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// For writes to stdout; reads say which file they are about and do not come this way.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(anyhow::Error::new(error).context("the result could not be written to stdout")),
        }
    }
}
