//! The faults: their kinds, how often each is drawn, and how each is caused and undone.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::cluster::{Cluster, End};
use super::workers::Workers;
use super::writers::Writing;
use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::Home;
use pgrecall_harness::proxy::{Proxy, Weather};
use pgrecall_harness::wait;

/// How long a process or connection is stopped, in milliseconds: longer than the workers' lease of
/// two seconds.
const PAST_THE_LEASE: (u64, u64) = (2_200, 5_000);

/// If causing a fault takes longer than this, the history says so.
const LONG: Duration = Duration::from_secs(6);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    WorkerKilled,
    ServerKilled,
    WorkerStoppedPastItsLease,
    WorkerReplaced,
    BackendTerminated,
    EveryBackendTerminated,
    PostgresStoppedImmediately,
    PostgresKilled,
    PostgresFrozen,
    StandbyKilled,
    StandbyPromoted,
    ConnectionsDropped,
    ConnectionsHalfClosed,
    CommitsCut,
    WireSlow,
    WireStill,
    EmbedderHangs,
    EmbedderAway,
    EmbedderBusy,
    EmbedderFails,
    EmbedderSlow,
    /// Only on a file system that Postgres alone uses.
    DiskFull,
}

/// A deck of a hundred cards, half of them kills: each fault, its number of cards, and its name.
const DECK: [(Fault, usize, &str); 21] = [
    (Fault::WorkerKilled, 27, "kill -9 of a worker"),
    (Fault::ServerKilled, 23, "kill -9 of a server"),
    (Fault::WorkerStoppedPastItsLease, 8, "worker stopped past its lease"),
    (Fault::WorkerReplaced, 2, "worker replaced"),
    (Fault::BackendTerminated, 7, "backend terminated"),
    (Fault::EveryBackendTerminated, 1, "every backend terminated"),
    (Fault::PostgresStoppedImmediately, 1, "Postgres stopped immediately"),
    (Fault::PostgresKilled, 1, "kill -9 of Postgres"),
    (Fault::PostgresFrozen, 2, "Postgres frozen past the leases"),
    (Fault::StandbyKilled, 1, "kill -9 of the standby"),
    (Fault::StandbyPromoted, 1, "standby promoted"),
    (Fault::ConnectionsDropped, 4, "connections dropped"),
    (Fault::ConnectionsHalfClosed, 3, "connections half closed"),
    (Fault::CommitsCut, 4, "cut after a commit"),
    (Fault::WireSlow, 2, "wire slow"),
    (Fault::WireStill, 3, "wire still past the leases"),
    (Fault::EmbedderHangs, 2, "embedder hangs"),
    (Fault::EmbedderAway, 2, "embedder refuses connections"),
    (Fault::EmbedderBusy, 2, "embedder answers 429"),
    (Fault::EmbedderFails, 2, "embedder answers 500"),
    (Fault::EmbedderSlow, 2, "embedder slow"),
];

impl Fault {
    /// The fault's name in reports.
    pub(super) fn name(self) -> &'static str {
        if self == Self::DiskFull {
            return "disk full";
        }
        DECK.iter().find(|(fault, ..)| *fault == self).map_or("", |(_, _, name)| name)
    }

    /// Whether the fault of this name kills a process with SIGKILL.
    pub(super) fn is_kill(name: &str) -> bool {
        name.starts_with("kill -9")
    }
}

/// Draws `count` faults in an order that the seed determines: whole decks, and in an incomplete one
/// at least one fault of each kind while there is room.
pub(super) fn draw(count: usize, rng: &mut SeededRng) -> Vec<Fault> {
    let mut all = Vec::new();
    while all.len() < count {
        let mut firsts: Vec<Fault> = DECK.iter().map(|(fault, ..)| *fault).collect();
        let mut others: Vec<Fault> =
            DECK.iter().flat_map(|(fault, cards, _)| std::iter::repeat_n(*fault, cards - 1)).collect();
        rng.shuffle(&mut firsts);
        rng.shuffle(&mut others);
        let mut deck: Vec<Fault> = firsts.into_iter().chain(others).take(count - all.len()).collect();
        rng.shuffle(&mut deck);
        all.extend(deck);
    }
    all
}

/// Like [`draw`], but a third of the faults are full disks: one before every two others.
pub(super) fn draw_with_full_disks(count: usize, rng: &mut SeededRng) -> Vec<Fault> {
    let others = draw(count - count.div_ceil(3), rng);
    let mut all: Vec<Fault> = others.chunks(2).flat_map(|two| [&[Fault::DiskFull], two].concat()).collect();
    all.truncate(count);
    all
}

/// The proxies in front of both nodes: one pair for the workers and one for the servers.
pub(super) struct Wires {
    /// First index: workers (0) or servers (1). Second index: the node.
    pub(super) pairs: [[Proxy; 2]; 2],
}

impl Wires {
    /// Starts the proxies in front of a cluster.
    pub(super) fn before(cluster: &Cluster) -> Self {
        let wire = |name, node| Proxy::before(cluster.socket(node), cluster.folder(name));
        Self { pairs: [[wire("wa", 0), wire("wb", 1)], [wire("sa", 0), wire("sb", 1)]] }
    }

    /// Returns the DSN of the workers (0) or the servers (1). It names both nodes; the client finds
    /// the one that accepts writes.
    pub(super) fn dsn(&self, whose: usize, database: &str) -> String {
        let [a, b] = &self.pairs[whose];
        format!("host={},{} user=postgres dbname={database}", a.folder().display(), b.folder().display())
    }

    fn set(&self, weather: Weather) {
        self.pairs.iter().flatten().for_each(|wire| wire.set(weather));
    }
}

/// How a fault that lasts is undone.
#[derive(Debug, Clone, Copy)]
enum Undo {
    Continue(usize, u32),
    Well,
    Clear,
}

/// Everything that faults happen to.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) embedder: ScriptedEmbedder,
    pub(super) wires: Wires,
    pub(super) workers: Workers,
    pub(super) home: Arc<Home>,
    pub(super) rng: SeededRng,
    pub(super) counted: BTreeMap<&'static str, u64>,
    pub(super) history: Vec<String>,
    pub(super) began: Instant,
    /// The small file system that only Postgres uses, if there is one.
    disk: Option<PathBuf>,
    lingering: Vec<(Instant, Undo)>,
}

impl Stage {
    /// Creates a stage without any faults.
    pub(super) fn new(
        cluster: Cluster,
        embedder: ScriptedEmbedder,
        wires: Wires,
        workers: Workers,
        home: Arc<Home>,
        rng: SeededRng,
        disk: Option<PathBuf>,
    ) -> Self {
        let (counted, history, lingering) = (BTreeMap::new(), Vec::new(), Vec::new());
        let began = Instant::now();
        Self { cluster, embedder, wires, workers, home, rng, counted, history, began, disk, lingering }
    }

    /// Causes the faults in order, with a short pause before each, and undoes those that last when
    /// their time is over.
    pub(super) fn suffer(&mut self, faults: &[Fault], writing: &Writing) -> anyhow::Result<()> {
        for fault in faults {
            self.pass(|rng| rng.millis(100, 800));
            self.history.push(format!("{:7.3} {}", self.began.elapsed().as_secs_f64(), fault.name()));
            let struck = Instant::now();
            self.strike(*fault, writing)?;
            if struck.elapsed() > LONG {
                self.history.push(format!("        … which took {:.1} s", struck.elapsed().as_secs_f64()));
            }
            *self.counted.entry(fault.name()).or_default() += 1;
        }
        Ok(())
    }

    /// Undoes all faults that last, and waits until the replaced workers have exited.
    pub(super) fn calm(&mut self) {
        let still = std::mem::take(&mut self.lingering);
        still.into_iter().for_each(|(_, undo)| self.undo(undo));
        self.embedder.set(Mood::Well);
        self.wires.set(Weather::Clear);
        self.wires.pairs.iter().flatten().for_each(|wire| wire.cut_commits(0));
        wait::until("all workers have left that were told to", || {
            self.tend();
            self.workers.have_left()
        });
    }

    /// Restarts the workers that have exited unexpectedly.
    pub(super) fn tend(&mut self) {
        self.workers.revive(&self.home, &mut self.rng);
    }

    fn pass(&mut self, time: impl FnOnce(&mut SeededRng) -> Duration) {
        let time = time(&mut self.rng);
        wait::within(time, || {
            let (due, later) = self.lingering.iter().partition(|(when, _)| *when <= Instant::now());
            self.lingering = later;
            let due: Vec<(Instant, Undo)> = due;
            due.into_iter().for_each(|(_, undo)| self.undo(undo));
            false
        });
        self.tend();
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Continue(at, pid) if self.workers.pids()[at] == pid => self.workers.signal(at, "CONT"),
            Undo::Continue(..) => {}
            Undo::Well => self.embedder.set(Mood::Well),
            Undo::Clear => self.wires.set(Weather::Clear),
        }
    }

    fn lasts(&mut self, (from, to): (u64, u64), undo: Undo) {
        let until = Instant::now() + self.rng.millis(from, to);
        self.lingering.push((until, undo));
    }

    fn mood(&mut self, mood: Mood) {
        self.embedder.set(mood);
        self.lasts((500, 4_000), Undo::Well);
    }

    fn strike(&mut self, fault: Fault, writing: &Writing) -> anyhow::Result<()> {
        let worker = self.rng.below(self.workers.pids().len());
        let whose = self.rng.below(2);
        let primary = self.cluster.primary();
        match fault {
            Fault::WorkerKilled => self.workers.kill(worker, &self.home, &mut self.rng),
            Fault::ServerKilled => {
                let rng = &mut self.rng;
                // Each writer starts another server as soon as it notices.
                wait::until("a writer has a server", || writing.kill_server(rng));
            }
            Fault::WorkerStoppedPastItsLease => {
                self.workers.signal(worker, "STOP");
                let pid = self.workers.pids()[worker];
                self.lasts(PAST_THE_LEASE, Undo::Continue(worker, pid));
            }
            Fault::WorkerReplaced => self.workers.replace(worker, &self.home, &mut self.rng),
            Fault::BackendTerminated => self.terminate("ORDER BY random() LIMIT 1"),
            Fault::EveryBackendTerminated => self.terminate(""),
            Fault::PostgresStoppedImmediately => self.cluster.restart(End::Immediate)?,
            Fault::PostgresKilled => self.cluster.restart(End::Killed)?,
            Fault::PostgresFrozen => {
                self.cluster.freeze("STOP");
                self.pass(|rng| rng.millis(PAST_THE_LEASE.0, PAST_THE_LEASE.1));
                self.cluster.freeze("CONT");
            }
            Fault::StandbyKilled => {
                self.cluster.end_standby();
                self.pass(|rng| rng.millis(200, 2_000));
                self.cluster.start_standby()?;
            }
            Fault::StandbyPromoted => self.cluster.fail_over()?,
            Fault::ConnectionsDropped => self.wires.pairs[whose][primary].drop_connections(),
            Fault::ConnectionsHalfClosed => self.wires.pairs[whose][primary].half_close(),
            Fault::CommitsCut => self.wires.pairs[whose][primary].cut_commits(1 + self.rng.below(4)),
            Fault::WireSlow => {
                let pace = self.rng.millis(5, 60);
                self.wires.pairs[whose][primary].set(Weather::Slow(pace));
                self.lasts((500, 3_000), Undo::Clear);
            }
            Fault::WireStill => {
                self.wires.pairs[whose][primary].set(Weather::Still);
                self.lasts(PAST_THE_LEASE, Undo::Clear);
            }
            Fault::EmbedderHangs => self.mood(Mood::Hanging),
            Fault::EmbedderAway => self.mood(Mood::Away),
            Fault::EmbedderBusy => self.mood(Mood::Busy(1)),
            Fault::EmbedderFails => self.mood(Mood::Failing(500)),
            Fault::EmbedderSlow => {
                let pace = self.rng.millis(100, 1_500);
                self.mood(Mood::Slow(pace));
            }
            Fault::DiskFull => {
                let disk = self.disk.clone().context("there is a disk to fill")?;
                let ballast = disk.join("ballast");
                fill(&ballast);
                self.pass(|rng| rng.millis(500, 4_000));
                std::fs::remove_file(ballast)?;
                // Postgres shuts down when it cannot write its WAL. An administrator would start it
                // again once there is space.
                self.cluster.revive()?;
            }
        }
        Ok(())
    }

    fn terminate(&self, which: &str) {
        let backends = "backend_type = 'client backend' AND pid <> pg_backend_pid()";
        // While Postgres is down there are no backends, and the failed query is ignored.
        self.cluster
            .ask(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {backends} {which}"))
            .ok();
    }
}

/// Writes a file until the disk is full.
fn fill(ballast: &Path) {
    let piece = vec![0; 1 << 20];
    if let Ok(mut file) = std::fs::File::create(ballast) {
        while file.write_all(&piece).is_ok() {}
        // Fill the remaining space, which is smaller than a piece.
        while file.write_all(&piece[..512]).is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deck_has_a_hundred_cards_and_half_of_them_kill() {
        let drawn = draw(100, &mut SeededRng(1));
        assert_eq!(DECK.iter().map(|(_, cards, _)| cards).sum::<usize>(), 100);
        let kills = drawn.iter().filter(|fault| Fault::is_kill(fault.name())).count();
        assert_eq!((drawn.len(), kills), (100, 52));
    }

    #[test]
    fn a_short_draw_has_one_of_each_kind() {
        let drawn = draw(DECK.len(), &mut SeededRng(2));
        assert!(DECK.iter().all(|(fault, ..)| drawn.contains(fault)));
        assert_eq!(draw(5, &mut SeededRng(3)), draw(5, &mut SeededRng(3)));
    }
}
