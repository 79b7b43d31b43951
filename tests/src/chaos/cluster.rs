//! Two Postgres nodes that can be killed, frozen and promoted: a primary, and a synchronous
//! standby, which has every commit before the client's acknowledgment.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_postgres::SimpleQueryMessage;

use pgrecall_harness::programs::{self, NOBODY, ProcessGuard, Program};
use pgrecall_harness::{postgres, wait};

/// Stops every Postgres that still runs in the folder, and removes the folder.
const TIDY: &str = r#"
read -r _
for node in a b; do
    server=$(head -n 1 "$DIR/$node/data/postmaster.pid" 2>/dev/null)
    if [ -n "$server" ] && [ "$(readlink "/proc/$server/cwd")" = "$DIR/$node/data" ]; then
        kill -CONT "$server"
        kill -QUIT "$server"
        for _ in 1 2 3 4 5 6 7 8 9; do kill -0 "$server" 2>/dev/null && sleep 0.1; done
    fi
done
rm -rf "$DIR"
"#;

/// The nodes' settings. `fsync` is off: a killed Postgres loses nothing without it, and a power
/// failure is not among the faults.
const SETTINGS: [&str; 12] = [
    "listen_addresses=",
    "fsync=off",
    "max_connections=150",
    "shared_buffers=64MB",
    "autovacuum_naptime=5s",
    "max_wal_size=128MB",
    "wal_keep_size=128MB",
    "wal_retrieve_retry_interval=200ms",
    "wal_receiver_timeout=5s",
    "wal_sender_timeout=5s",
    "log_min_messages=warning",
    "log_line_prefix=%m [%p] ",
];

/// How long Postgres may take to start. After a kill it first replays its WAL.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two nodes, which of them is the primary, and whether the other one has every acknowledged
/// commit.
pub(super) struct Cluster {
    bin: PathBuf,
    nodes: [Node; 2],
    primary: usize,
    has_standby: bool,
    user: Option<u32>,
    folder: PathBuf,
    _tidy: ProcessGuard,
}

struct Node {
    /// The folder of the socket.
    folder: PathBuf,
    program: Option<Program>,
    starts: u32,
}

/// How a primary ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// An `immediate` shutdown: every process exits at once, and nothing is written.
    Immediate,
    /// `kill -9` of the postmaster.
    Killed,
}

impl Cluster {
    /// Creates both nodes, with the standby streaming synchronously, in the folder `within` or in
    /// the system's temporary folder.
    pub(super) fn start(within: Option<&Path>) -> anyhow::Result<Self> {
        let bin = postgres::install()?.bin;
        let folder = match within {
            Some(within) => {
                let folder = within.join("cluster");
                std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
                folder.canonicalize()?
            }
            None => programs::folder("chaos").canonicalize()?,
        };
        let user = programs::is_root().then_some(NOBODY);
        let tidy = ProcessGuard::script(TIDY, |shell| {
            shell.env("DIR", &folder);
        })?;
        let node = |name: &str| {
            let folder = folder.join(name);
            std::fs::create_dir(&folder)?;
            chown(&folder, user, user)?;
            anyhow::Ok(Node { folder, program: None, starts: 0 })
        };
        let nodes = [node("a")?, node("b")?];
        let mut cluster = Self { bin, nodes, primary: 0, has_standby: false, user, folder, _tidy: tidy };
        let initdb = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
        cluster.run("initdb", cluster.command("initdb").args(initdb).arg("-D").arg(cluster.data(0)))?;
        cluster.start_node(0)?;
        cluster.add_standby()?;
        Ok(cluster)
    }

    /// The folder of the socket of node 0 or 1.
    pub(super) fn socket(&self, node: usize) -> &Path {
        &self.nodes[node].folder
    }

    /// Creates a folder that is removed with the cluster.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder).expect("the cluster's folder can be written to");
        folder
    }

    /// The node that accepts writes.
    pub(super) fn primary(&self) -> usize {
        self.primary
    }

    /// Returns the DSN of a database on the primary, without a proxy.
    pub(super) fn dsn(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.socket(self.primary).display())
    }

    /// Runs statements on the primary, and returns the first columns of their rows.
    pub(super) fn ask(&self, statement: &str) -> anyhow::Result<Vec<String>> {
        self.ask_node(self.primary, statement)
    }

    /// Ends the primary and starts it again.
    pub(super) fn restart(&mut self, end: End) -> anyhow::Result<()> {
        self.end_node(self.primary, end);
        self.start_node(self.primary)
    }

    /// Sends a signal to every process of the primary: STOP freezes it, as a machine that swaps or
    /// a paused virtual machine does, and CONT resumes it.
    pub(super) fn freeze(&self, signal: &str) {
        let Some(postmaster) = self.nodes[self.primary].program.as_ref().map(Program::pid) else { return };
        // The postmaster is first: a stopped one starts no more backends.
        for pid in std::iter::once(postmaster).chain(children(postmaster)) {
            programs::signal(pid, signal);
        }
    }

    /// Ends the standby. Commits wait until it is back.
    pub(super) fn end_standby(&mut self) {
        self.end_node(1 - self.primary, End::Killed);
    }

    /// Starts the standby again, and waits until it streams synchronously.
    pub(super) fn start_standby(&mut self) -> anyhow::Result<()> {
        self.start_node(1 - self.primary)?;
        self.wait_in_step()
    }

    /// Starts the nodes that have exited, and waits until the standby streams synchronously. A
    /// standby that does not catch up is created again, as an administrator would.
    pub(super) fn revive(&mut self) -> anyhow::Result<()> {
        self.start_node(self.primary)?;
        if self.start_standby().is_err() {
            self.end_standby();
            self.add_standby()?;
        }
        Ok(())
    }

    /// Kills the primary, promotes the standby, and creates a new standby in place of the old
    /// primary.
    pub(super) fn fail_over(&mut self) -> anyhow::Result<()> {
        ensure!(self.has_standby, "there is a standby to promote");
        self.end_node(self.primary, End::Killed);
        self.primary = 1 - self.primary;
        self.has_standby = false;
        self.ask("SELECT pg_promote()").context("promoting the standby")?;
        // The new primary has no standby yet; with the setting, every commit would wait for one.
        self.ask("ALTER SYSTEM RESET synchronous_standby_names")?;
        self.ask("SELECT pg_reload_conf()")?;
        self.add_standby()
    }

    /// Returns the standard error of every run of both nodes.
    pub(super) fn logs(&self) -> impl Iterator<Item = String> {
        let runs =
            self.nodes.iter().flat_map(|node| (0..node.starts).map(|run| node.folder.join(format!("run-{run}.err"))));
        runs.map(|log| std::fs::read_to_string(log).unwrap_or_default())
    }

    fn add_standby(&mut self) -> anyhow::Result<()> {
        let standby = 1 - self.primary;
        std::fs::remove_dir_all(self.data(standby)).ok();
        let copy = ["-U", "postgres", "-R", "--checkpoint=fast", "--no-sync", "-X", "stream", "-h"];
        let mut command = self.command("pg_basebackup");
        command.args(copy).arg(self.socket(self.primary)).arg("-D").arg(self.data(standby));
        self.run("pg_basebackup", &mut command)?;
        self.start_node(standby)?;
        self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.ask("SELECT pg_reload_conf()")?;
        self.wait_in_step()?;
        self.has_standby = true;
        Ok(())
    }

    fn wait_in_step(&self) -> anyhow::Result<()> {
        let in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
        let came = wait::within(PATIENCE, || self.ask(in_step).is_ok_and(|rows| rows == ["1"]));
        ensure!(came, "the standby did not come into step: {}", self.log(1 - self.primary));
        Ok(())
    }

    fn start_node(&mut self, node: usize) -> anyhow::Result<()> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data(node)).arg("-k").arg(self.socket(node));
        SETTINGS.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        // After a kill the old backends hold the data folder for a moment, so Postgres may refuse
        // the first start.
        let came = wait::within(PATIENCE, || {
            let user = self.user;
            let at = &mut self.nodes[node];
            if at.program.as_ref().is_none_or(Program::has_ended) {
                at.program = Some(Program::start(&command, at.folder.join(format!("run-{}", at.starts)), user));
                at.starts += 1;
            }
            self.ask_node(node, "SELECT 1").is_ok()
        });
        ensure!(came, "Postgres did not start: {}", self.log(node));
        Ok(())
    }

    fn end_node(&mut self, node: usize, end: End) {
        if let Some(program) = self.nodes[node].program.take() {
            program.signal(if end == End::Immediate { "QUIT" } else { "KILL" });
            // A node that does not react to the signal is killed when `program` is dropped.
            wait::within(Duration::from_secs(20), || program.has_ended());
        }
    }

    fn ask_node(&self, node: usize, statement: &str) -> anyhow::Result<Vec<String>> {
        let dsn = format!("host={} user=postgres dbname=postgres", self.socket(node).display());
        super::database::ask(&dsn, async |client| {
            let said = client.simple_query(statement).await?;
            let text = |message| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                _ => None,
            };
            Ok(said.into_iter().filter_map(text).collect())
        })
    }

    fn data(&self, node: usize) -> PathBuf {
        self.nodes[node].folder.join("data")
    }

    fn log(&self, node: usize) -> String {
        let at = &self.nodes[node];
        let log = at.folder.join(format!("run-{}.err", at.starts.saturating_sub(1)));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir("/");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn run(&self, what: &str, command: &mut Command) -> anyhow::Result<()> {
        let said = command.output().with_context(|| format!("starting {what} in {}", self.folder.display()))?;
        ensure!(said.status.success(), "{what} failed: {}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.freeze("CONT");
        for node in 0..2 {
            self.end_node(node, End::Immediate);
        }
    }
}

/// Returns the child processes of a process.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The process name before this field is in parentheses, and may contain any character.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    pids.filter(|pid| parent_of(pid) == Some(parent)).collect()
}
