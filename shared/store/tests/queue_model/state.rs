//! The rows of the database and the memory of the workers, as far as the queue's statements use
//! them.

/// The number of workers.
pub(crate) const WORKERS: usize = 2;
/// Failures, or crashes, after which a job is parked. `queue::MAX_ATTEMPTS` is five; two cover all
/// cases.
pub(crate) const MAX_ATTEMPTS: u8 = 2;

/// The whole state: the tables, the memory of each process, and the events that may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) passages: Vec<Vec<Passage>>,
    /// `index_jobs`, by source.
    pub(crate) jobs: Vec<Option<Job>>,
    /// `workers`, by worker. `None`: the row was never created, or was removed by the reaper.
    pub(crate) leases: Vec<Option<Lease>>,
    pub(crate) processes: Vec<Process>,
    pub(crate) left: Left,
    /// Whether a statement has changed a job that another claim holds.
    pub(crate) was_taken: bool,
}

/// A passage and its vector, identified by its place.
///
/// The model does not rely on a new row for each changed passage (`drop_changed_passages.sql`),
/// because a restored database may use the same number twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Passage {
    /// `text_hash`: identifies the text.
    pub(crate) text: u8,
    pub(crate) vector: Option<Vector>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Vector {
    /// The column `text_hash`.
    pub(crate) text_hash: u8,
    /// The text that was embedded, which no column holds.
    pub(crate) made_of: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) status: Status,
    pub(crate) wanted: u8,
    pub(crate) attempts: u8,
    pub(crate) crash_count: u8,
    /// Failures and crashes of the claims that held this job, counted by the model and not by the
    /// statements.
    pub(crate) own_failures: u8,
    pub(crate) own_crashes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    /// `pending` without `next_run_at`.
    Ready,
    /// `pending` with `next_run_at`.
    Delayed,
    Running {
        worker: usize,
        lease_token: u8,
    },
    /// `failed`: parked.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    /// Whether `lease_until` has passed.
    pub(crate) has_expired: bool,
    /// The session lock that a worker holds while it lives.
    pub(crate) is_locked: bool,
}

/// A worker's process. It does not notice a lost lease until its next statement, and goes on as a
/// zombie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) is_up: bool,
    pub(crate) claim: Option<Claim>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    pub(crate) token: u8,
    pub(crate) jobs: Vec<Held>,
}

/// A job that a worker has claimed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) source: usize,
    /// `wanted` at the claim.
    pub(crate) wanted: u8,
    /// The passages and texts that `pending_passages.sql` returned and that have no vector yet.
    /// `None`: not read yet.
    pub(crate) pending: Option<Vec<(usize, u8)>>,
}

/// How often each event without a natural bound may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) writes: u8,
    pub(crate) crashes: u8,
    pub(crate) expiries: u8,
    pub(crate) losses: u8,
}

impl State {
    /// Makes the first state: sources with this many passages each were just written, and all
    /// workers are registered.
    pub(crate) fn first(passages: &[usize], left: Left) -> Self {
        let job =
            Job { status: Status::Ready, wanted: 1, attempts: 0, crash_count: 0, own_failures: 0, own_crashes: 0 };
        let lease = Lease { has_expired: false, is_locked: true };
        Self {
            jobs: vec![Some(job); passages.len()],
            passages: passages.iter().map(|count| vec![Passage { text: 0, vector: None }; *count]).collect(),
            leases: vec![Some(lease); WORKERS],
            processes: vec![Process { is_up: true, claim: None }; WORKERS],
            left,
            was_taken: false,
        }
    }

    pub(crate) fn sources(&self) -> std::ops::Range<usize> {
        0..self.jobs.len()
    }

    /// Whether each passage of a source has the vector of its text.
    pub(crate) fn is_true(&self, source: usize) -> bool {
        self.passages[source].iter().all(|passage| passage.vector.is_some_and(|vector| vector.made_of == passage.text))
    }

    /// Whether `reconcile.sql` finds a passage of this source without a vector for its hash.
    pub(crate) fn has_gap(&self, source: usize) -> bool {
        self.passages[source].iter().any(Passage::is_pending)
    }

    /// Returns a token that no claim has: the lowest one, since only equality of tokens matters.
    pub(crate) fn fresh_token(&self) -> u8 {
        let held = self.processes.iter().filter_map(|process| Some(process.claim.as_ref()?.token));
        let leased = self.jobs.iter().flatten().filter_map(|job| match job.status {
            Status::Running { lease_token, .. } => Some(lease_token),
            _ => None,
        });
        let used: Vec<u8> = held.chain(leased).collect();
        (0..).find(|token| !used.contains(token)).expect("few are in use")
    }
}

impl Passage {
    /// The predicate of `pending_passages.sql` and `reconcile.sql`.
    pub(crate) fn is_pending(&self) -> bool {
        self.vector.is_none_or(|vector| vector.text_hash != self.text)
    }
}
