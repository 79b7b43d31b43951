//! Runs pg_dump and pg_restore with a time limit, and with no password on their command line.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::BackupError;
use super::archive::Archive;
use crate::embedded::account::{Account, by_uid};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_process::nofollow::effective_uid;

/// How long a dump or a restore may take, in hours. A restore rebuilds every index.
const TIMEOUT_HOURS: u64 = 12;
pub(super) const TIMEOUT: Duration = Duration::from_secs(TIMEOUT_HOURS * 3600);
/// How many bytes of a program's error output are kept.
const COMPLAINT_BYTES: u64 = 16 << 10;

/// How many bytes of a dump's list are kept: the head names the version of pg_dump.
const LIST_BYTES: u64 = 8 << 10;

/// Postgres' programs, with the connection to one database.
pub(super) struct Programs {
    bin: PathBuf,
    connection: String,
    password: Option<String>,
    /// The user that they run as instead of root.
    account: Option<Account>,
    /// The socket folder of a private server, which is their working folder.
    socket: Option<PathBuf>,
}

impl Programs {
    /// Uses the programs in the folder `bin` for the database of `dsn`. For a private server they
    /// run as that server's user.
    pub(super) fn at(bin: &Path, dsn: &Dsn) -> Self {
        let mut programs = Self::alone(bin);
        programs.connection = dsn.without_passwords();
        programs.password = dsn.password().map(str::to_owned);
        if let Some((server, socket)) = dsn.private_server() {
            programs.account = (effective_uid() == 0).then(|| by_uid(server));
            if cfg!(target_os = "linux") {
                // The last `host` counts. The working folder replaces the socket's path, because a
                // long path does not fit into a socket address, and other users cannot use a
                // descriptor of this process.
                programs.connection.push_str(" host=/proc/self/cwd");
                programs.socket = Some(socket);
            }
        }
        programs
    }

    /// Uses the programs in the folder `bin` without a database. The owner of a folder on the path
    /// could have replaced a program, so root runs it as that owner and not as root.
    pub(super) fn alone(bin: &Path) -> Self {
        let bin = std::path::absolute(bin).unwrap_or_else(|_| bin.to_owned());
        let owners = bin.ancestors().filter_map(|folder| Some(fs::metadata(folder).ok()?.uid()));
        let account = owners.filter(|_| effective_uid() == 0).find(|owner| *owner != 0).map(by_uid);
        Self { bin, connection: String::new(), password: None, account, socket: None }
    }

    /// Returns the head of pg_restore's list of a dump.
    pub(super) async fn list(&self, file: &Archive) -> Result<String, BackupError> {
        let mut command = self.command("pg_restore");
        command.arg("--list").stdin(file.stdio()?).stdout(Stdio::piped());
        let mut child = self.start("pg_restore", command)?;
        let (mut said, stdout) = (Vec::new(), child.stdout.take());
        // `finish` reports the program's error.
        let _ = tokio::time::timeout(TIMEOUT, read_head(stdout, LIST_BYTES, &mut said)).await;
        self.finish("pg_restore", child).await?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Dumps the database as of `snapshot` into an empty file.
    pub(super) async fn dump(&self, snapshot: &str, to: &Archive) -> Result<(), BackupError> {
        let mut command = self.command("pg_dump");
        command.args(["--format=custom", "--no-password", "--lock-wait-timeout=60s", "--snapshot", snapshot]);
        command.arg("--dbname").arg(&self.connection).stdout(to.stdio()?);
        self.finish("pg_dump", self.start("pg_dump", command)?).await
    }

    /// Restores a dump into the database, in one transaction.
    pub(super) async fn restore(&self, file: &Archive) -> Result<(), BackupError> {
        let mut command = self.command("pg_restore");
        command.args(["--single-transaction", "--exit-on-error", "--no-publications", "--no-subscriptions"]);
        command.args(["--no-password", "--dbname"]).arg(&self.connection).stdin(file.stdio()?);
        self.finish("pg_restore", self.start("pg_restore", command)?).await
    }

    /// Starts pg_restore to write a dump as SQL to its standard output.
    pub(super) fn read(&self, file: &Archive) -> Result<Child, BackupError> {
        let mut command = self.command("pg_restore");
        command.arg("--file=-").stdin(file.stdio()?).stdout(Stdio::piped());
        self.start("pg_restore", command)
    }

    /// Returns a command with an empty environment, so that no variable such as `PGHOST` redirects
    /// the program.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        if let Some(account) = &self.account {
            command.gid(account.gid).uid(account.uid);
        }
        if let Some(socket) = &self.socket {
            command.current_dir(socket);
        }
        command
    }

    fn start(&self, program: &'static str, mut command: Command) -> Result<Child, BackupError> {
        command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => BackupError::NoProgram { program, bin: self.bin.clone() },
            _ => BackupError::at("run", &self.bin.join(program))(error),
        })
    }

    /// Waits for a program's end. If it failed, returns its error output as the error.
    pub(super) async fn finish(&self, program: &'static str, mut child: Child) -> Result<(), BackupError> {
        let stderr = child.stderr.take();
        let work = async {
            let mut said = Vec::new();
            read_head(stderr, COMPLAINT_BYTES, &mut said).await;
            let status = child.wait().await.map_err(BackupError::at("run", &self.bin.join(program)))?;
            Ok::<_, BackupError>((status, String::from_utf8_lossy(&said).trim().to_owned()))
        };
        let Ok(waited) = tokio::time::timeout(TIMEOUT, work).await else {
            child.kill().await.ok();
            return Err(BackupError::ProgramTimeout { program, hours: TIMEOUT_HOURS });
        };
        let (status, detail) = waited?;
        if status.success() { Ok(()) } else { Err(BackupError::Program { program, detail }) }
    }
}

/// Reads the first `limit` bytes of a program's output into `said`. Reads the rest too, because a
/// program that cannot write its output does not end.
async fn read_head(pipe: Option<impl AsyncRead + Unpin>, limit: u64, said: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let _ = (&mut pipe).take(limit).read_to_end(said).await;
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
}
