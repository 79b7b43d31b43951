//! A home folder for one test, and both programs in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::mcp::Host;
use crate::programs::{self, ProcessGuard, Program, Said};
use crate::{postgres, wait};

/// Stops the private Postgres if a test killed the programs that would have stopped it, and removes
/// the folder.
const TIDY: &str = r#"
read -r _
server=$(head -n 1 "$DIR/home/postgres/postmaster.pid" 2>/dev/null)
if [ -n "$server" ] && [ "$(readlink "/proc/$server/cwd")" = "$DIR/home/postgres" ]; then
    kill -QUIT "$server"
    for _ in 1 2 3 4 5 6 7 8 9; do kill -0 "$server" 2>/dev/null && sleep 0.1; done
fi
rm -rf "$DIR"
"#;

/// Warnings of every test: of ports that tests share, of hosts that leave first, of a machine that is
/// too busy to stop in time, and of rmcp about the faults of its clients.
const EVERYWHERE: &[&str] = &[
    "metrics are not served",
    "health and metrics are not served",
    "response error",
    "fail to response message",
    "rejecting initialize",
    "failed to send pending response during drain",
    "some of the worker's tasks did not stop in time",
    "some requests did not end in time",
    "the host no longer reads stdout",
    "the last answers could not be written",
    "some tasks did not",
];
/// Warnings and errors of programs whose embedder fails.
pub const EMBEDDER_FAILS: &[&str] = &["the circuit breaker opened"];
/// Warnings and errors of programs whose database fails, or of which one was killed.
pub const DATABASE_FAILS: &[&str] = &[
    "a call failed",
    "a database connection was lost",
    "a heartbeat failed",
    "a step of the pipeline failed",
    "a wake-up was not sent",
    "Connection could not be recycled",
    "counting the frequent words failed",
    "deleting ",
    "jobs of dead workers went back to the queue",
    "the database could not be opened",
    "the database did not take",
    "the database is not available yet",
    "the embedder answers and cannot be used: the embedding space could not be made ready",
    "the queue was not vacuumed",
    "the reaper failed",
    "the reconciler failed",
    "the retainer failed",
    "the space could not be read",
    "the worker failed",
    "the worker lost",
    "the worker's session broke",
    "vectors came too late",
];

/// A fresh `PGRECALL_HOME`, removed when the test ends.
pub struct Home {
    folder: PathBuf,
    config: Option<PathBuf>,
    runs: AtomicU32,
    expected: Mutex<Vec<&'static str>>,
    _tidy: ProcessGuard,
}

impl Home {
    /// Creates a home without a configuration: with the private Postgres and the local model.
    pub fn new() -> Self {
        let folder = programs::folder("home").canonicalize().expect("it was just made");
        let tidy = ProcessGuard::script(TIDY, |shell| {
            shell.env("DIR", &folder);
        });
        let tidy = tidy.expect("a shell can be started");
        Self { folder, config: None, runs: AtomicU32::new(0), expected: Mutex::default(), _tidy: tidy }
    }

    /// Creates a home with this configuration file.
    pub fn with(config: &str) -> Self {
        let mut home = Self::new();
        home.configure(config);
        home
    }

    /// Sets the configuration file of programs that are started from now on.
    pub fn configure(&mut self, config: &str) {
        self.config = Some(self.file("config.yaml", config));
    }

    /// The folder that contains everything of this home.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into the folder.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content).expect("the home's folder can be written to");
        path
    }

    /// Returns a command that runs a program of the workspace, or one of its `examples/`, in this
    /// home. Variables of the test's environment that would change its configuration or log are
    /// removed.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(built(program));
        for name in ["DATABASE_URL", "PGRECALL_CONFIG", "PGRECALL_LOG", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("PGRECALL_HOME", self.folder.join("home"))
            .env("PGRECALL_RUNTIME", postgres::runtime().root())
            // `unexpected_logs` reads JSON.
            .env("PGRECALL_LOG_FORMAT", "json");
        if let Some(config) = &self.config {
            command.env("PGRECALL_CONFIG", config);
        }
        command
    }

    /// Starts `mcp-server` with a subcommand.
    pub fn start(&self, arguments: &[&str]) -> Program {
        self.start_other(&self.command("mcp-server", arguments))
    }

    /// Runs `mcp-server` with a subcommand until it ends.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.start(arguments).finish()
    }

    /// Runs a subcommand that must succeed, and returns the JSON that it prints.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", said.stdout))
    }

    /// Creates an API key with `keys create` and these arguments, and returns it.
    pub fn key(&self, arguments: &[&str]) -> String {
        let key = self.json(&[&["keys", "create", "--json"], arguments].concat());
        key["key"].as_str().expect("a key").to_owned()
    }

    /// Like [`Self::key`], as the value of an Authorization header.
    pub fn bearer(&self, arguments: &[&str]) -> String {
        format!("Bearer {}", self.key(arguments))
    }

    /// Starts any program, and keeps its output with that of the others.
    pub fn start_other(&self, command: &Command) -> Program {
        Program::start(command, self.said(), None)
    }

    /// Starts an `embed-worker`.
    pub fn worker(&self) -> Program {
        self.start_other(&self.command("embed-worker", &[]))
    }

    /// Starts `mcp-server` as a host does, and initializes the MCP session.
    pub fn host(&self) -> Host {
        let mut host = self.silent_host(&[]);
        host.initialize();
        host
    }

    /// Starts `mcp-server` with these arguments as a host does, and sends nothing yet.
    pub fn silent_host(&self, arguments: &[&str]) -> Host {
        let log =
            std::fs::File::create(self.said().with_extension("err")).expect("the home's folder can be written to");
        let mut command = self.command("mcp-server", arguments);
        command.stderr(Stdio::from(log));
        Host::start(command)
    }

    /// Waits until everything in the database is embedded.
    pub fn wait_embedded(&self) {
        wait::until("everything is embedded", || {
            let status = self.json(&["status", "--json"]);
            status["coverage"] == 1.0 && status["pending"] == 0 && status["running"] == 0
        });
    }

    /// Kills the private Postgres with SIGKILL, if it runs.
    pub fn kill_postgres(&self) {
        let noted = std::fs::read_to_string(self.folder.join("home/postgres/postmaster.pid")).unwrap_or_default();
        if let Some(server) = noted.lines().next().and_then(|line| line.trim().parse().ok()) {
            programs::signal(server, "KILL");
        }
    }

    /// Expects warnings and errors whose messages begin with these texts. Any other one fails the
    /// test when the home is dropped.
    pub fn expect_logs(&self, messages: &[&'static str]) {
        self.expected.lock().expect("unpoisoned").extend(messages);
    }

    /// Returns the warnings and errors that the test did not expect.
    fn unexpected_logs(&self) -> Vec<String> {
        let expected = self.expected.lock().expect("unpoisoned");
        let is_unexpected = |line: &&str| {
            let Ok(event) = serde_json::from_str::<Value>(line) else { return false };
            let message = event["message"].as_str().unwrap_or_default();
            (event["level"] == "WARN" || event["level"] == "ERROR")
                && !expected.iter().chain(EVERYWHERE).any(|expected| message.starts_with(expected))
        };
        self.logs()
            .flat_map(|(_, said)| said.lines().filter(is_unexpected).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The programs' standard error, each with the program's number.
    pub fn logs(&self) -> impl Iterator<Item = (u32, String)> {
        let log = |run| std::fs::read_to_string(self.folder.join(format!("said-{run}.err"))).unwrap_or_default();
        (0..self.runs.load(Ordering::Relaxed)).map(move |run| (run, log(run)))
    }

    fn said(&self) -> PathBuf {
        self.folder.join(format!("said-{}", self.runs.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let unexpected = self.unexpected_logs();
            assert!(unexpected.is_empty(), "unexpected warnings and errors:\n{}", unexpected.join("\n"));
            return;
        }
        // The logs say why the test failed, and are deleted with the folder after this.
        for (run, said) in self.logs() {
            let from = said.len().saturating_sub(2_000);
            eprintln!("--- program {run} of this home\n{}", String::from_utf8_lossy(&said.as_bytes()[from..]));
        }
    }
}

/// Returns the path of a program of the workspace, which is built next to the tests or one folder
/// above them.
fn built(program: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a program knows its file");
    let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join(program));
    beside.into_iter().find(|built| built.exists()).unwrap_or_else(|| {
        panic!("{program} is not built beside {}: run the tests with scripts/test", this.display());
    })
}
