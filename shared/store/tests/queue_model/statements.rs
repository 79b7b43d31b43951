//! The statements of `sql/queries` as functions on the rows.
//!
//! Each function has the name of its file, and its `if`s are the file's `WHERE`s. A transaction is
//! one step, since `hold.sql` or `lock_jobs.sql` locks its rows from the start.

use crate::state::{Claim, Held, Job, Lease, MAX_ATTEMPTS, State, Status, Vector};

/// The guards of the statements. All are on, except in the tests that remove one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guards {
    /// `lease_token = $n` in hold, store_vectors, settle, fail and give_back.
    pub(crate) token: bool,
    /// `p.text_hash = made.text_hash` in store_vectors.
    pub(crate) hash: bool,
    /// `wanted = d.wanted` in settle, `wanted = $3` in fail.
    pub(crate) wanted: bool,
}

impl Guards {
    /// Returns the job of a source if `lease_token = ... AND status = 'running'` matches, and
    /// whether this claim holds it.
    fn leased(self, state: &mut State, source: usize, token: u8) -> Option<(&mut Job, bool)> {
        let job = state.jobs[source].as_mut()?;
        let Status::Running { lease_token, .. } = job.status else { return None };
        (!self.token || lease_token == token).then_some((job, lease_token == token))
    }
}

/// enqueue.sql, in the transaction that changes the text; drop_changed_passages.sql deletes the
/// vector there.
pub(crate) fn enqueue(state: &mut State, source: usize, passage: usize) {
    let changed = &mut state.passages[source][passage];
    changed.text += 1;
    changed.vector = None;
    let job = state.jobs[source].get_or_insert(Job::new(0));
    let status = match job.status {
        running @ Status::Running { .. } => running,
        _ => Status::Ready,
    };
    *job = Job { status, ..Job::new(job.wanted + 1) };
}

/// reconcile.sql: a source with a gap and without a job.
pub(crate) fn reconcile(state: &mut State, source: usize) {
    if state.jobs[source].is_none() && state.has_gap(source) {
        state.jobs[source] = Some(Job::new(1));
    }
}

/// claim.sql: claims these of the ready jobs. Other transactions have locked the rest, or the limit
/// excludes them.
pub(crate) fn claim(state: &mut State, worker: usize, sources: &[usize]) {
    // `alive`: the row exists, even if its lease has expired.
    if state.leases[worker].is_none() {
        return;
    }
    let token = state.fresh_token();
    let mut jobs = Vec::new();
    for source in sources {
        if let Some(job) = state.jobs[*source].as_mut().filter(|job| job.status == Status::Ready) {
            job.status = Status::Running { worker, lease_token: token };
            jobs.push(Held { source: *source, wanted: job.wanted, pending: None });
        }
    }
    state.processes[worker].claim = Some(Claim { token, jobs });
}

/// store_vectors.sql, after hold.sql: stores one vector.
pub(crate) fn store_vectors(state: &mut State, guards: Guards, token: u8, source: usize, passage: usize, made_of: u8) {
    if guards.leased(state, source, token).is_none() {
        return;
    }
    let stored = &mut state.passages[source][passage];
    if !guards.hash || stored.text == made_of {
        stored.vector = Some(Vector { text_hash: stored.text, made_of });
    }
}

/// settle.sql: moves a job to the history, or back to the queue if it was wanted again.
pub(crate) fn settle(state: &mut State, guards: Guards, token: u8, source: usize, wanted: u8) {
    let Some((job, is_own)) = guards.leased(state, source, token) else { return };
    if !guards.wanted || job.wanted == wanted {
        state.jobs[source] = None;
    } else {
        *job = Job { status: Status::Ready, ..Job::new(job.wanted) };
    }
    state.was_taken |= !is_own;
}

/// fail.sql.
pub(crate) fn fail(state: &mut State, guards: Guards, token: u8, source: usize, wanted: u8) {
    let Some((job, is_own)) = guards.leased(state, source, token) else { return };
    if guards.wanted && job.wanted > wanted {
        *job = Job { status: Status::Ready, attempts: 0, ..job.clone() };
    } else {
        job.attempts += 1;
        job.own_failures += u8::from(is_own);
        job.status = if job.attempts >= MAX_ATTEMPTS { Status::Failed } else { Status::Delayed };
    }
    state.was_taken |= !is_own;
}

/// give_back.sql: returns all jobs that the claim still has.
pub(crate) fn give_back(state: &mut State, guards: Guards, claim: &Claim) {
    for held in &claim.jobs {
        let Some((job, is_own)) = guards.leased(state, held.source, claim.token) else { continue };
        job.status = Status::Ready;
        state.was_taken |= !is_own;
    }
}

/// promote_delayed.sql, for one job. A parked job waits longer than the model runs.
pub(crate) fn promote_delayed(state: &mut State, source: usize) {
    if let Some(job) = state.jobs[source].as_mut().filter(|job| job.status == Status::Delayed) {
        job.status = Status::Ready;
    }
}

/// register_worker.sql, and the session lock.
pub(crate) fn register_worker(state: &mut State, worker: usize) {
    state.leases[worker] = Some(Lease { has_expired: false, is_locked: true });
}

/// heartbeat.sql: renews a lease that has expired and was not reaped.
pub(crate) fn heartbeat(state: &mut State, worker: usize) {
    if let Some(lease) = &mut state.leases[worker] {
        lease.has_expired = false;
    }
}

/// reap.sql and delete_dead_workers.sql, on any replica. Every job of the claim is a suspect, since the
/// model has no `called_at`.
pub(crate) fn reap(state: &mut State, dead: usize) {
    if state.leases[dead].is_none_or(|lease| !lease.has_expired && lease.is_locked) {
        return;
    }
    for job in state.jobs.iter_mut().flatten() {
        if matches!(job.status, Status::Running { worker, .. } if worker == dead) {
            job.crash_count += 1;
            job.own_crashes += 1;
            job.status = if job.crash_count >= MAX_ATTEMPTS { Status::Failed } else { Status::Ready };
        }
    }
    state.leases[dead] = None;
}

impl Job {
    /// Makes a job without failures or crashes.
    fn new(wanted: u8) -> Self {
        Self { status: Status::Ready, wanted, attempts: 0, crash_count: 0, own_failures: 0, own_crashes: 0 }
    }
}
