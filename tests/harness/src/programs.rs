//! Processes that end with the test process, however that ends.
//!
//! A killed process cannot clean up. A shell does it instead: it reads from a pipe whose other end
//! only the test process has, and when that end closes, it runs its last commands.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::wait;

/// The unprivileged user that servers run as when the tests run as root.
pub const NOBODY: u32 = 65_534;

/// Runs a program without input, writes its process id and its exit code to files, and at the end
/// kills its process group.
const PROGRAM: &str = r#"
(sh -c 'echo $$ >"$BASE.pid"; exec "$@" >"$BASE.out" 2>"$BASE.err"' sh "$@" </dev/null
 echo $? >"$BASE.code") &
read -r _
kill -KILL 0
"#;

/// A shell at the other end of a pipe, which cleans up when the pipe closes.
#[derive(Debug)]
pub struct ProcessGuard(Child);

impl ProcessGuard {
    /// Runs a script that must end soon after its standard input is closed.
    pub fn script(script: &str, prepare: impl FnOnce(&mut Command)) -> std::io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir("/");
        // Ctrl-C goes to the terminal's foreground process group. In a group of its own the shell
        // survives it and finishes the cleanup.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        prepare(&mut shell);
        Ok(Self(shell.spawn()?))
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// A running program. Dropping it kills the program.
#[derive(Debug)]
pub struct Program {
    base: PathBuf,
    pid: u32,
    _guard: ProcessGuard,
}

/// The exit code and the output of a program that has ended.
#[derive(Debug)]
pub struct Said {
    /// The program's exit code; 137 after SIGKILL.
    pub code: i32,
    /// The program's standard output.
    pub stdout: String,
    /// The program's standard error.
    pub stderr: String,
}

impl Program {
    /// Starts `command`, of which only the program, the arguments and the environment are used. Its
    /// output goes to files whose names begin with `base`.
    pub fn start(command: &Command, base: PathBuf, user: Option<u32>) -> Self {
        let prepare = |shell: &mut Command| {
            shell.arg("sh").arg(command.get_program()).args(command.get_args()).env("BASE", &base);
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => shell.env(name, value),
                    None => shell.env_remove(name),
                };
            }
            if let Some(user) = user {
                shell.uid(user).gid(user);
            }
        };
        let guard = ProcessGuard::script(PROGRAM, prepare).expect("a shell can be started");
        let mut pid = None;
        wait::until("a program has its number", || {
            pid = read(&base, "pid").strip_suffix('\n').and_then(|number| number.parse().ok());
            pid.is_some()
        });
        Self { base, pid: pid.expect("it was waited for"), _guard: guard }
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        read(&self.base, "code").ends_with('\n')
    }

    /// The program's standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.base, "err")
    }

    /// Sends the program a signal.
    pub fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// Waits until the program has ended.
    pub fn finish(self) -> Said {
        wait::until("a program ends", || self.has_ended());
        let code = read(&self.base, "code").trim().parse().expect("an exit code");
        Said { code, stdout: read(&self.base, "out"), stderr: read(&self.base, "err") }
    }

    /// Kills the program with SIGKILL, as the system does when memory runs out.
    pub fn kill(self) -> Said {
        self.signal("KILL");
        self.finish()
    }

    /// Sends SIGTERM, and waits until the program has ended.
    pub fn stop(self) -> Said {
        self.signal("TERM");
        self.finish()
    }
}

fn read(base: &Path, what: &str) -> String {
    std::fs::read_to_string(base.with_extension(what)).unwrap_or_default()
}

/// Sends a signal to a process, which may have ended already.
pub fn signal(pid: u32, name: &str) {
    Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status().expect("kill runs");
}

/// Whether the tests run as root. Neither Postgres nor PgBouncer runs as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
}

/// The folder to which scripts/test-parts installs programs that others wrote.
#[expect(clippy::disallowed_methods, reason = "it is a setting of the tests and none of the programs")]
pub(crate) fn cache() -> PathBuf {
    let cache = std::env::var_os("PGRECALL_TEST_CACHE");
    cache.expect("PGRECALL_TEST_CACHE is set: run the tests with scripts/test").into()
}

/// Creates a new folder in the system's temporary folder, which the servers' user can enter.
pub fn folder(name: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("pgrecall-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    folder
}
