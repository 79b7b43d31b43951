//! pg_dump and pg_restore, as programs that end in bounded time and are told no password on their command line.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::BackupError;
use super::archive::Archive;
use crate::embedded::account::{Account, by_uid};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_process::nofollow::effective_uid;

/// How long a dump or a restore may take. A restore builds every index again.
const TIMEOUT_HOURS: u64 = 12;
pub(super) const TIMEOUT: Duration = Duration::from_secs(TIMEOUT_HOURS * 3600);
/// How much of a program's complaints is kept.
const COMPLAINT_BYTES: u64 = 16 << 10;

/// How much of the list of a dump is read: its head says what wrote it.
const LIST_BYTES: u64 = 8 << 10;

/// Postgres' programs for one database.
pub(super) struct Programs {
    bin: PathBuf,
    connection: String,
    password: Option<String>,
    /// Whom they run as instead of root.
    account: Option<Account>,
    /// The folder of a private server's socket, in which they work.
    socket: Option<PathBuf>,
}

impl Programs {
    /// Those in the folder `bin`, for the database of `dsn`. A private server's run as the user of that server.
    pub(super) fn at(bin: &Path, dsn: &Dsn) -> Self {
        let mut programs = Self::alone(bin);
        programs.connection = dsn.without_passwords();
        programs.password = dsn.password().map(str::to_owned);
        if let Some((server, socket)) = dsn.private_server() {
            programs.account = (effective_uid() == 0).then(|| by_uid(server));
            if cfg!(target_os = "linux") {
                // The last host counts. A long path does not fit into a socket's address, and a descriptor of this process is closed to
                // other users.
                programs.connection.push_str(" host=/proc/self/cwd");
                programs.socket = Some(socket);
            }
        }
        programs
    }

    /// Those in the folder `bin`, for no database. Whoever owns the way to a program could have put another one in its place, which root
    /// must not run as root.
    pub(super) fn alone(bin: &Path) -> Self {
        let bin = std::path::absolute(bin).unwrap_or_else(|_| bin.to_owned());
        let owners = bin.ancestors().filter_map(|folder| Some(fs::metadata(folder).ok()?.uid()));
        let account = owners.filter(|_| effective_uid() == 0).find(|owner| *owner != 0).map(by_uid);
        Self { bin, connection: String::new(), password: None, account, socket: None }
    }

    /// The beginning of what pg_restore says about a dump.
    pub(super) async fn list(&self, file: &Archive) -> Result<String, BackupError> {
        let mut command = self.command("pg_restore");
        command.arg("--list").stdin(file.stdio()?).stdout(Stdio::piped());
        let mut child = self.start("pg_restore", command)?;
        let mut said = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            let read = async {
                (&mut stdout).take(LIST_BYTES).read_to_end(&mut said).await?;
                tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await
            };
            // Its error output is read below.
            let _ = tokio::time::timeout(TIMEOUT, read).await;
        }
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

    /// Starts to write a dump as SQL to the standard output of the program.
    pub(super) fn read(&self, file: &Archive) -> Result<Child, BackupError> {
        let mut command = self.command("pg_restore");
        command.arg("--file=-").stdin(file.stdio()?).stdout(Stdio::piped());
        self.start("pg_restore", command)
    }

    /// A program that does not see what this process's environment says of databases.
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

    /// Waits for a program's end, and fails with what it said if it failed.
    pub(super) async fn finish(&self, program: &'static str, mut child: Child) -> Result<(), BackupError> {
        let stderr = child.stderr.take();
        let work = async {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = (&mut stderr).take(COMPLAINT_BYTES).read_to_end(&mut said).await;
                // The rest is read as well: a program that cannot write does not end.
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
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
