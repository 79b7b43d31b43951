//! Two Postgres nodes that can be killed, frozen and promoted: a primary, and a standby that has every commit before it is acknowledged.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_postgres::SimpleQueryMessage;

use pgrecall_harness::leash::{self, Leash, NOBODY, Program};
use pgrecall_harness::{postgres, wait};

/// Ends whatever Postgres still runs below the folder, and removes the folder.
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

/// The nodes' settings. What a kill of Postgres can lose is what matters here, and that is nothing without `fsync`: a power cut is
/// not among the faults.
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

/// How long Postgres may take to come back. After a kill it first replays its log.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two nodes, which of them is the primary, and whether the other one has all that was acknowledged.
pub(super) struct Cluster {
    bin: PathBuf,
    nodes: [Node; 2],
    primary: usize,
    has_standby: bool,
    user: Option<u32>,
    folder: PathBuf,
    _tidy: Leash,
}

struct Node {
    /// The socket's folder.
    folder: PathBuf,
    program: Option<Program>,
    starts: u32,
}

/// How a primary ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `immediate`: every process of it leaves at once, and nothing is written.
    Immediate,
    /// `kill -9` of the postmaster.
    Killed,
}

impl Cluster {
    /// Makes both nodes, with the standby in step, in the system's temporary folder or in another one.
    pub(super) fn start(within: Option<&Path>) -> anyhow::Result<Self> {
        let bin = postgres::install()?.bin;
        let folder = match within {
            Some(within) => {
                let folder = within.join("cluster");
                std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
                folder.canonicalize()?
            }
            None => leash::folder("chaos").canonicalize()?,
        };
        let user = leash::is_root().then_some(NOBODY);
        let tidy = Leash::script(TIDY, |shell| {
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

    /// The folder of a node's socket: 0 and 1.
    pub(super) fn socket(&self, node: usize) -> &Path {
        &self.nodes[node].folder
    }

    /// A fresh folder that goes with the cluster.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder).expect("the cluster's folder can be written to");
        folder
    }

    /// Which node takes writes.
    pub(super) fn primary(&self) -> usize {
        self.primary
    }

    /// The DSN of a database on the primary, past every wire.
    pub(super) fn dsn(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.socket(self.primary).display())
    }

    /// Runs statements on the primary, and returns their rows' first columns.
    pub(super) fn ask(&self, statement: &str) -> anyhow::Result<Vec<String>> {
        self.ask_node(self.primary, statement)
    }

    /// Ends the primary and starts it again.
    pub(super) fn restart(&mut self, end: End) -> anyhow::Result<()> {
        self.end_node(self.primary, end);
        self.start_node(self.primary)
    }

    /// Stops every process of the primary, as a machine that swaps or a hypervisor that pauses does; and lets them go on.
    pub(super) fn freeze(&self, signal: &str) {
        let Some(postmaster) = self.nodes[self.primary].program.as_ref().map(Program::pid) else { return };
        // The postmaster first: one that is stopped starts no further backend.
        for pid in std::iter::once(postmaster).chain(children(postmaster)) {
            leash::signal(pid, signal);
        }
    }

    /// Ends the standby. Commits wait for it until it is back.
    pub(super) fn end_standby(&mut self) {
        self.end_node(1 - self.primary, End::Killed);
    }

    /// Starts the standby again.
    pub(super) fn start_standby(&mut self) -> anyhow::Result<()> {
        self.start_node(1 - self.primary)?;
        self.wait_in_step()
    }

    /// Starts those nodes again that ended by themselves, and waits until they are in step. A standby that does not
    /// catch up is created again, as an administrator would.
    pub(super) fn revive(&mut self) -> anyhow::Result<()> {
        self.start_node(self.primary)?;
        if self.start_standby().is_err() {
            self.end_standby();
            self.add_standby()?;
        }
        Ok(())
    }

    /// Kills the primary, makes the standby the primary, and a new standby of what was the primary.
    pub(super) fn fail_over(&mut self) -> anyhow::Result<()> {
        ensure!(self.has_standby, "there is a standby to promote");
        self.end_node(self.primary, End::Killed);
        self.primary = 1 - self.primary;
        self.has_standby = false;
        self.ask("SELECT pg_promote()").context("promoting the standby")?;
        // It has no standby of its own yet, and must not wait for one.
        self.ask("ALTER SYSTEM RESET synchronous_standby_names")?;
        self.ask("SELECT pg_reload_conf()")?;
        self.add_standby()
    }

    /// What the nodes said.
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
        // After a kill the old backends hold the data folder for a moment, and the first start may be refused.
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
            // One that does not hear of it any more is killed as it is dropped.
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

/// The processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it is in parentheses, and may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    pids.filter(|pid| parent_of(pid) == Some(parent)).collect()
}
