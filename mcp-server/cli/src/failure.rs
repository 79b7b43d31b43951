//! Why a command did not succeed, and the exit code for it.

use std::{io, process::ExitCode};

use pgrecall_config::ConfigError;
use pgrecall_postgres::db::DbError;
use pgrecall_record::visible;
use pgrecall_runtime::{backup::BackupError, embedded::EmbeddedError};
use shared::engine::EngineError;

use super::program::named;
use pgrecall_server::tools::ToolError;

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command was used wrongly: exit code 2.
    Misused(String),
    /// The command failed: exit code 1.
    Failed(anyhow::Error),
    /// The command has already reported what failed: exit code 1.
    Told,
    /// A signal ended the command: exit code 130, as shells have it.
    Stopped,
    /// The reader closed the output, as `head` does: exit code 0.
    OutputClosed,
}

impl Failure {
    /// Reports the failure on stderr.
    pub(super) fn report(&self) {
        match self {
            Self::Misused(sentence) => eprintln!("error: {}", named(&visible::text(sentence))),
            Self::Failed(error) => {
                eprintln!("error: {}", named(&visible::text(&error.to_string())));
                for cause in error.chain().skip(1) {
                    eprintln!("  because: {}", named(&visible::text(&cause.to_string())));
                }
                for line in postgres_said(error).unwrap_or_default().lines() {
                    eprintln!("  postgres: {line}");
                }
            }
            Self::Stopped => eprintln!("Stopped."),
            Self::Told | Self::OutputClosed => {}
        }
    }

    /// Returns the program's exit code.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Misused(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Told => ExitCode::FAILURE,
            Self::Stopped => ExitCode::from(130),
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// Returns the last log lines of a private Postgres that could not be started or created.
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

/// Converts the error of a write to stdout. Errors of reads name their file and are not converted
/// here.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(anyhow::Error::new(error).context("the result could not be written to stdout")),
        }
    }
}
