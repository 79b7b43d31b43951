//! The workers: real `embed-worker` processes, each with a host's clock that may be an hour off.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bits::Bits;
use crate::home::Home;
use crate::leash::Program;

const CLOCK: &str = include_str!("skewed_clock.c");

/// How far a host's clock may be off, in seconds.
const SKEWS: [i32; 3] = [-3_600, 0, 3_600];

/// The workers of a run.
pub(super) struct Workers {
    config: PathBuf,
    /// The library that moves a process's clock; `None` without a C compiler.
    clock: Option<PathBuf>,
    running: Vec<Program>,
    /// What workers said last that ended by themselves.
    pub(super) gave_up: Vec<String>,
}

impl Workers {
    /// Starts so many.
    pub(super) fn start(home: &Home, config: PathBuf, count: usize, bits: &mut Bits) -> Self {
        let clock = skewed_clock(home.folder());
        let mut workers = Self { config, clock, running: Vec::new(), gave_up: Vec::new() };
        workers.running = (0..count).map(|_| workers.one(home, bits)).collect();
        workers
    }

    /// Whether hosts' clocks can be moved here.
    pub(super) fn can_skew(&self) -> bool {
        self.clock.is_some()
    }

    /// Their processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.running.iter().map(Program::pid).collect()
    }

    /// Kills one on the spot, and starts another in its place.
    pub(super) fn kill(&mut self, at: usize, home: &Home, bits: &mut Bits) {
        let another = self.one(home, bits);
        std::mem::replace(&mut self.running[at], another).kill();
    }

    /// Lets one leave in good order, and starts another in its place. Returns its exit code.
    pub(super) fn replace(&mut self, at: usize, home: &Home, bits: &mut Bits) -> i32 {
        let another = self.one(home, bits);
        let leaving = std::mem::replace(&mut self.running[at], another);
        // One that is stopped cannot leave.
        leaving.signal("CONT");
        leaving.stop().code
    }

    /// Sends one a signal.
    pub(super) fn signal(&self, at: usize, name: &str) {
        if !self.running[at].has_ended() {
            self.running[at].signal(name);
        }
    }

    /// Starts those again that ended by themselves, as whoever supervises them does.
    pub(super) fn revive(&mut self, home: &Home, bits: &mut Bits) {
        for at in 0..self.running.len() {
            if self.running[at].has_ended() {
                let another = self.one(home, bits);
                let said = std::mem::replace(&mut self.running[at], another).finish();
                let last = said.stderr.lines().last().unwrap_or("nothing");
                self.gave_up.push(format!("exit code {}: {last}", said.code));
            }
        }
    }

    fn one(&self, home: &Home, bits: &mut Bits) -> Program {
        let mut command = home.command("embed-worker", &[]);
        command.arg("--config").arg(&self.config).env("PGRECALL_LOG", "info").env("PGRECALL_LOG_FORMAT", "text");
        let skew = bits.pick(&SKEWS);
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", clock).env("CHAOS_CLOCK_SKEW", skew.to_string());
        }
        home.start_other(&command)
    }
}

/// Builds the library that moves a clock. The C compiler is there wherever Rust links programs with it.
fn skewed_clock(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("skewed_clock.c"), folder.join("skewed_clock.so"));
    std::fs::write(&source, CLOCK).ok()?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").stderr(Stdio::null());
    compiler.status().is_ok_and(|ended| ended.success()).then_some(library)
}
