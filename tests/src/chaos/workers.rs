//! The workers: real `embed-worker` processes, each with a host clock that may be an hour off.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::home::Home;
use pgrecall_harness::programs::Program;

const CLOCK: &str = include_str!("skewed_clock.c");

/// A worker that has not exited this long after SIGTERM is killed, as Kubernetes does after 30 s.
const LEAVE: Duration = Duration::from_secs(30);
/// The possible offsets of a host's clock, in seconds.
const SKEWS: [i32; 3] = [-3_600, 0, 3_600];

/// The workers of a run.
pub(super) struct Workers {
    config: PathBuf,
    /// The library that moves a process's clock; `None` without a C compiler.
    clock: Option<PathBuf>,
    running: Vec<Program>,
    /// The workers that were told to exit, and when.
    leaving: Vec<(Program, Instant)>,
    /// Why workers exited unexpectedly: exit codes, and the last lines of their logs.
    pub(super) gave_up: Vec<String>,
}

impl Workers {
    /// Starts this many workers.
    pub(super) fn start(home: &Home, config: PathBuf, count: usize, rng: &mut SeededRng) -> Self {
        let clock = skewed_clock(home.folder());
        let mut workers = Self { config, clock, running: Vec::new(), leaving: Vec::new(), gave_up: Vec::new() };
        workers.running = (0..count).map(|_| workers.one(home, rng)).collect();
        workers
    }

    /// Whether hosts' clocks can be moved on this machine.
    pub(super) fn can_skew(&self) -> bool {
        self.clock.is_some()
    }

    /// The workers' process ids.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.running.iter().map(Program::pid).collect()
    }

    /// Kills a worker with SIGKILL, and starts another in its place.
    pub(super) fn kill(&mut self, at: usize, home: &Home, rng: &mut SeededRng) {
        let another = self.one(home, rng);
        std::mem::replace(&mut self.running[at], another).kill();
    }

    /// Tells a worker to exit, and starts another in its place.
    pub(super) fn replace(&mut self, at: usize, home: &Home, rng: &mut SeededRng) {
        let another = self.one(home, rng);
        let leaving = std::mem::replace(&mut self.running[at], another);
        leaving.signal("TERM");
        // A stopped process cannot react to SIGTERM.
        leaving.signal("CONT");
        self.leaving.push((leaving, Instant::now()));
    }

    /// Sends a worker a signal.
    pub(super) fn signal(&self, at: usize, name: &str) {
        if !self.running[at].has_ended() {
            self.running[at].signal(name);
        }
    }

    /// Whether all workers that were told to exit have exited.
    pub(super) fn have_left(&self) -> bool {
        self.leaving.is_empty()
    }

    /// Restarts the workers that exited unexpectedly, as a supervisor does, and reaps those that
    /// were told to exit.
    pub(super) fn revive(&mut self, home: &Home, rng: &mut SeededRng) {
        for at in 0..self.running.len() {
            if self.running[at].has_ended() {
                let another = self.one(home, rng);
                let said = std::mem::replace(&mut self.running[at], another).finish();
                let last = said.stderr.lines().last().unwrap_or("nothing");
                self.gave_up.push(format!("exit code {}: {last}", said.code));
            }
        }
        let over = |(leaving, since): &mut (Program, Instant)| leaving.has_ended() || since.elapsed() > LEAVE;
        for (leaving, since) in self.leaving.extract_if(.., over) {
            if !leaving.has_ended() {
                self.gave_up
                    .push(format!("killed when it had not left {:.0} s after SIGTERM", since.elapsed().as_secs_f64()));
                leaving.kill();
            } else if let code @ 1.. = leaving.finish().code {
                self.gave_up.push(format!("exit code {code} after SIGTERM"));
            }
        }
    }

    fn one(&self, home: &Home, rng: &mut SeededRng) -> Program {
        let mut command = home.command("embed-worker", &[]);
        command.arg("--config").arg(&self.config).env("PGRECALL_LOG", "info").env("PGRECALL_LOG_FORMAT", "text");
        let skew = rng.pick(&SKEWS);
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", clock).env("CHAOS_CLOCK_SKEW", skew.to_string());
        }
        home.start_other(&command)
    }
}

/// Builds the library that moves a clock. The C compiler is there wherever Rust links with it.
fn skewed_clock(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("skewed_clock.c"), folder.join("skewed_clock.so"));
    std::fs::write(&source, CLOCK).ok()?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").stderr(Stdio::null());
    compiler.status().is_ok_and(|ended| ended.success()).then_some(library)
}
