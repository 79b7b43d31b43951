//! Runs one of Postgres' programs to its end.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::EmbeddedError;

/// Why a program did not succeed.
pub(super) enum ProgramError {
    /// It could not be started or waited for.
    System(EmbeddedError),
    /// It failed with this output, or it was killed at the timeout.
    Failed(String),
}

impl ProgramError {
    /// Converts to an [`EmbeddedError`]; `failed` converts the program's output.
    pub(super) fn into_error(self, failed: impl FnOnce(String) -> EmbeddedError) -> EmbeddedError {
        match self {
            Self::System(error) => error,
            Self::Failed(detail) => failed(detail),
        }
    }
}

/// Runs `command` with `input` on its standard input, and returns its standard output. The program
/// is killed when `timeout` is over, or when the caller stops waiting.
pub(super) async fn run(
    mut command: std::process::Command,
    input: &str,
    timeout: Duration,
) -> Result<String, ProgramError> {
    let program = Path::new(command.get_program()).to_owned();
    let system = |error| ProgramError::System(EmbeddedError::at("run", &program)(error));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(system)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let work = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // If the program has exited early, its own output below says why.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), said, complained) = tokio::join!(write, read(stdout), read(stderr));
        Ok((said.map_err(system)?, complained.map_err(system)?, child.wait().await.map_err(system)?))
    };
    let Ok(ended) = tokio::time::timeout(timeout, work).await else {
        // `kill` waits for the program's exit, so that the program no longer writes when the caller
        // continues.
        let _ = child.kill().await;
        let sentence = format!("{} did not end within {} s", program.display(), timeout.as_secs());
        return Err(ProgramError::Failed(sentence));
    };
    let (said, complained, status) = ended?;
    if status.success() {
        return Ok(said);
    }
    // Some of the programs report errors on standard output.
    Err(ProgramError::Failed(format!("{}\n{}", said.trim(), complained.trim()).trim().to_owned()))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut said = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut said).await?;
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_whose_time_is_over_has_ended_when_its_caller_goes_on() {
        let mut shell = std::process::Command::new("sh");
        let name = std::env::temp_dir().join(format!("pgrecall-program-{}", std::process::id()));
        shell.args(["-c", &format!("echo $$ >'{}'; exec sleep 100", name.display())]);
        let Err(ProgramError::Failed(said)) = run(shell, "", Duration::from_secs(1)).await else { panic!("it fails") };
        assert!(said.contains("did not end within 1 s"), "{said}");
        let pid = std::fs::read_to_string(&name).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
        std::fs::remove_file(name).unwrap();
    }
}
