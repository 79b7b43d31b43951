//! Runs one of Postgres' programs to its end.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::io::AsyncWriteExt;

use super::EmbeddedError;

/// Why a program did not do its work.
pub(super) enum ProgramError {
    /// It could not be started or waited for.
    System(EmbeddedError),
    /// It failed, with these last words, or was ended because its time was over.
    Failed(String),
}

impl ProgramError {
    /// As an error of the home, where the program's words go into `failed`.
    pub(super) fn into_error(self, failed: impl FnOnce(String) -> EmbeddedError) -> EmbeddedError {
        match self {
            Self::System(error) => error,
            Self::Failed(detail) => failed(detail),
        }
    }
}

/// Runs `command` with `input` on its standard input, and returns its standard output. A program that takes longer than `timeout` is killed, and
/// so is one whose caller stops waiting.
pub(super) async fn run(
    mut command: std::process::Command,
    input: &str,
    timeout: Duration,
) -> Result<String, ProgramError> {
    let program = Path::new(command.get_program()).to_owned();
    let system = |error| ProgramError::System(EmbeddedError::at("run", &program)(error));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(system)?;
    let work = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that has ended early says why in its own words, below.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await.map_err(system)
    };
    let output = tokio::time::timeout(timeout, work).await.map_err(|_| {
        ProgramError::Failed(format!("{} did not end within {} s", program.display(), timeout.as_secs()))
    })??;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Ok(said.into_owned());
    }
    // Some of the programs say on standard output what failed.
    Err(ProgramError::Failed(format!("{}\n{}", said.trim(), complained.trim()).trim().to_owned()))
}
