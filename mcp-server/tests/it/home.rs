//! A home for each test, and the program in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use pgrecall_harness::mcp::Host;
use pgrecall_harness::postgres;
use serde_json::Value;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A fresh `PGRECALL_HOME` that is removed at the end of the test.
pub(crate) struct Home {
    path: PathBuf,
    runtime: PathBuf,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// Creates a home with everything that setup fetches.
    pub(crate) fn ready() -> Self {
        Self::with_runtime(postgres::runtime().root().to_owned())
    }

    /// Creates a home where nothing is set up, so that the engine cannot open and says so.
    pub(crate) fn bare() -> Self {
        Self::with_runtime("/nonexistent/runtime".into())
    }

    /// Creates a home that uses the files of setup in this folder.
    pub(crate) fn with_runtime(runtime: PathBuf) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pgrecall-mcp-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path, runtime }
    }

    /// Writes a file of the test into the home's folder, and returns its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join("files").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Returns the folder that is `PGRECALL_HOME`.
    pub(crate) fn folder(&self) -> PathBuf {
        self.path.join("home")
    }

    /// Returns the folder of the files that setup fetches.
    pub(crate) fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Returns the data folder of the private Postgres.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("home/postgres")
    }

    /// Returns the folder of the files that the test wrote.
    pub(crate) fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    /// Makes a command that runs the program in this home, without pgrecall's other environment
    /// variables.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-server"));
        command.args(arguments).env("PGRECALL_HOME", self.path.join("home")).env("PGRECALL_RUNTIME", &self.runtime);
        for name in ["DATABASE_URL", "PGRECALL_CONFIG", "PGRECALL_LOG", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts the server as a host does, and sends nothing yet.
    pub(crate) fn start_host(&self) -> Host {
        let mut command = self.command(&[]);
        command.stderr(Stdio::null());
        Host::start(command)
    }

    /// Starts the server and opens the session.
    pub(crate) fn host(&self) -> Host {
        let mut host = self.start_host();
        host.initialize();
        host
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with_stdin(arguments, "")
    }

    /// Runs a command with this input to its end.
    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> Said {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that does not read its input may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("it exited without a signal");
        Said { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a command that must succeed, and parses its output as one JSON value.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.json_with_stdin(arguments, "")
    }

    /// Runs a command that must succeed with this input, and parses its output as one JSON value.
    pub(crate) fn json_with_stdin(&self, arguments: &[&str], stdin: &str) -> Value {
        let said = self.run_with_stdin(arguments, stdin);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The files of a failed test stay for inspection.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Converts a path to an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
