//! A model of the queue, in which stateright tries every order of events.
//!
//! The model has two workers, two sources (or one with two passages), and a bounded number of
//! writes, crashes, expired leases and lost vectors. `state` has the rows and the memory of the
//! workers. `statements` has a function for each file of `sql/queries`, with its guards. This file
//! says which events can happen in a state, and which properties hold in every state. A worker does
//! not check its lease before it writes: one that was reaped goes on as a zombie, like a real
//! worker that was frozen or cut off.
//!
//! stateright visits every reachable state. If a property does not hold, it prints the shortest
//! list of actions that leads to a violation. The tests that remove a guard from the statements
//! expect a violation, which shows that the model would find one.
//!
//! This model leaves out order keys and the claim's watermark, which decide when a job runs and not
//! whether (`order` has a model of them); `called_at`; forced jobs; several spaces; a claim in the same transaction as a settle,
//! which equals one after the other; and transactions that end half-way, which Postgres rolls back.

mod order;
mod state;
mod statements;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::state::{Left, State, Status, WORKERS};
use crate::statements::Guards;

/// The events, each with the name of its statement or its fault.
#[derive(Debug, Clone, PartialEq)]
enum Action {
    /// A caller changes the text of a passage.
    Enqueue {
        source: usize,
        passage: usize,
    },
    Reconcile {
        source: usize,
    },
    PromoteDelayed {
        source: usize,
    },
    RegisterWorker {
        worker: usize,
    },
    Heartbeat {
        worker: usize,
    },
    Claim {
        worker: usize,
        sources: Vec<usize>,
    },
    PendingPassages {
        worker: usize,
        source: usize,
    },
    /// The vector of one passage. The last one of a source settles its job in the same transaction.
    StoreVectors {
        worker: usize,
        source: usize,
        passage: usize,
    },
    /// A job without a vector to store.
    Settle {
        worker: usize,
        source: usize,
    },
    Fail {
        worker: usize,
        source: usize,
    },
    GiveBack {
        worker: usize,
    },
    Reap {
        dead: usize,
    },
    /// The clock passes a worker's `lease_until`.
    Expire {
        worker: usize,
    },
    /// The process ends, and its session with it.
    Crash {
        worker: usize,
    },
    /// The vectors of a source disappear without a job, as when a space is emptied.
    LoseVectors {
        source: usize,
    },
}

struct Queue {
    guards: Guards,
    /// The number of passages of each source.
    passages: &'static [usize],
    left: Left,
}

impl Model for Queue {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.passages, self.left.clone())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for source in state.sources() {
            if state.left.writes > 0 {
                actions.extend((0..state.passages[source].len()).map(|passage| Action::Enqueue { source, passage }));
            }
            match &state.jobs[source] {
                None if state.has_gap(source) => actions.push(Action::Reconcile { source }),
                None if state.left.losses > 0 => actions.push(Action::LoseVectors { source }),
                Some(job) if job.status == Status::Delayed => actions.push(Action::PromoteDelayed { source }),
                _ => {}
            }
        }
        for worker in 0..WORKERS {
            lease_actions(state, worker, actions);
            if state.processes[worker].is_up {
                work_actions(state, worker, actions);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        let state = &mut next;
        match action {
            Action::Enqueue { source, passage } => {
                state.left.writes -= 1;
                statements::enqueue(state, source, passage);
            }
            Action::Reconcile { source } => statements::reconcile(state, source),
            Action::PromoteDelayed { source } => statements::promote_delayed(state, source),
            Action::RegisterWorker { worker } => {
                state.processes[worker].is_up = true;
                statements::register_worker(state, worker);
            }
            Action::Heartbeat { worker } => statements::heartbeat(state, worker),
            Action::Claim { worker, sources } => statements::claim(state, worker, &sources),
            Action::PendingPassages { worker, source } => {
                let passages = state.passages[source].iter().enumerate();
                let pending = passages.filter(|(_, passage)| passage.is_pending());
                let pending = pending.map(|(at, passage)| (at, passage.text)).collect();
                let jobs = &mut state.processes[worker].claim.as_mut()?.jobs;
                jobs.iter_mut().find(|held| held.source == source)?.pending = Some(pending);
            }
            Action::StoreVectors { worker, source, passage } => {
                let claim = state.processes[worker].claim.as_mut()?;
                let (token, held) = (claim.token, claim.jobs.iter_mut().find(|held| held.source == source)?);
                let (wanted, pending) = (held.wanted, held.pending.as_mut()?);
                let (_, made_of) = pending.remove(pending.iter().position(|(at, _)| *at == passage)?);
                let is_last = pending.is_empty();
                statements::store_vectors(state, self.guards, token, source, passage, made_of);
                if is_last {
                    statements::settle(state, self.guards, token, source, wanted);
                    let_go(state, worker, source);
                }
            }
            Action::Settle { worker, source } | Action::Fail { worker, source } => {
                let claim = state.processes[worker].claim.as_ref()?;
                let (token, held) = (claim.token, claim.jobs.iter().find(|held| held.source == source)?);
                let wanted = held.wanted;
                let end = if matches!(action, Action::Settle { .. }) { statements::settle } else { statements::fail };
                end(state, self.guards, token, source, wanted);
                let_go(state, worker, source);
            }
            Action::GiveBack { worker } => {
                let claim = state.processes[worker].claim.take()?;
                statements::give_back(state, self.guards, &claim);
            }
            Action::Reap { dead } => statements::reap(state, dead),
            Action::Expire { worker } => {
                state.left.expiries -= 1;
                state.leases[worker].as_mut()?.has_expired = true;
            }
            Action::Crash { worker } => {
                state.left.crashes -= 1;
                state.processes[worker].is_up = false;
                state.processes[worker].claim = None;
                if let Some(lease) = &mut state.leases[worker] {
                    lease.is_locked = false;
                }
            }
            Action::LoseVectors { source } => {
                state.left.losses -= 1;
                state.passages[source].iter_mut().for_each(|passage| passage.vector = None);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no stale vector", |_, state: &State| {
                state
                    .sources()
                    .all(|source| state.jobs[source].is_some() || state.is_true(source) || state.has_gap(source))
            }),
            Property::always("no lost job", |model: &Self, state: &State| {
                let has_lost = state.left.losses < model.left.losses;
                state.sources().all(|source| state.jobs[source].is_some() || state.is_true(source) || has_lost)
            }),
            Property::always("a job is ended by the claim that holds it", |_, state: &State| !state.was_taken),
            Property::always("a job is parked for its own failures only", |_, state: &State| {
                state.jobs.iter().flatten().all(|job| {
                    job.status != Status::Failed || job.own_failures.max(job.own_crashes) >= state::MAX_ATTEMPTS
                })
            }),
            Property::always("what comes to rest is true or parked", |model: &Self, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                let rests = actions.iter().all(|action| {
                    matches!(
                        action,
                        Action::Enqueue { .. }
                            | Action::Heartbeat { .. }
                            | Action::Expire { .. }
                            | Action::Crash { .. }
                            | Action::LoseVectors { .. }
                    )
                });
                let is_parked =
                    |source: usize| state.jobs[source].as_ref().is_some_and(|job| job.status == Status::Failed);
                !rests
                    || state
                        .sources()
                        .all(|source| is_parked(source) || state.is_true(source) && state.jobs[source].is_none())
            }),
            // The states that matter are reached, so the properties above are not vacuous.
            Property::sometimes("a job is parked", |_, state: &State| {
                state.jobs.iter().flatten().any(|job| job.status == Status::Failed)
            }),
            Property::sometimes("a zombie holds what another worker claimed", |_, state: &State| {
                let holds = |worker: usize, source: usize| {
                    let claim = state.processes[worker].claim.as_ref();
                    claim.is_some_and(|claim| claim.jobs.iter().any(|held| held.source == source))
                };
                state.sources().any(|source| holds(0, source) && holds(1, source))
            }),
            Property::sometimes("everything written is true", |_, state: &State| {
                state.left.writes == 0
                    && state.sources().all(|source| state.jobs[source].is_none() && state.is_true(source))
            }),
        ]
    }
}

/// Removes a source from a worker's claim.
fn let_go(state: &mut State, worker: usize, source: usize) {
    let claim = &mut state.processes[worker].claim;
    if let Some(held) = claim {
        held.jobs.retain(|held| held.source != source);
        if held.jobs.is_empty() {
            *claim = None;
        }
    }
}

fn lease_actions(state: &State, worker: usize, actions: &mut Vec<Action>) {
    match state.leases[worker] {
        // A worker that lost its row notices at its heartbeat, and starts again without jobs.
        None if state.processes[worker].claim.is_none() => actions.push(Action::RegisterWorker { worker }),
        None => {}
        Some(lease) => {
            if lease.has_expired || !lease.is_locked {
                actions.push(Action::Reap { dead: worker });
            }
            if lease.has_expired && state.processes[worker].is_up {
                actions.push(Action::Heartbeat { worker });
            }
            if !lease.has_expired && lease.is_locked && state.left.expiries > 0 {
                actions.push(Action::Expire { worker });
            }
        }
    }
    if state.processes[worker].is_up && state.left.crashes > 0 {
        actions.push(Action::Crash { worker });
    }
}

fn work_actions(state: &State, worker: usize, actions: &mut Vec<Action>) {
    let Some(claim) = &state.processes[worker].claim else {
        if state.leases[worker].is_some() {
            let is_ready = |source: &usize| state.jobs[*source].as_ref().is_some_and(|job| job.status == Status::Ready);
            let ready: Vec<usize> = state.sources().filter(is_ready).collect();
            actions.extend(ready.iter().map(|source| Action::Claim { worker, sources: vec![*source] }));
            if ready.len() > 1 {
                actions.push(Action::Claim { worker, sources: ready });
            }
        }
        return;
    };
    actions.push(Action::GiveBack { worker });
    for held in &claim.jobs {
        let source = held.source;
        match &held.pending {
            None => actions.push(Action::PendingPassages { worker, source }),
            Some(pending) if pending.is_empty() => actions.push(Action::Settle { worker, source }),
            Some(pending) => {
                actions.push(Action::Fail { worker, source });
                let passages = pending.iter().map(|(passage, _)| *passage);
                actions.extend(passages.map(|passage| Action::StoreVectors { worker, source, passage }));
            }
        }
    }
}

const ALL: Guards = Guards { token: true, hash: true, wanted: true };

/// Tries every order of events. The bounds limit the test to seconds in a debug build.
fn check(passages: &'static [usize], left: Left) -> impl Checker<Queue> {
    let checked = Queue { guards: ALL, passages, left }.checker().threads(2).spawn_bfs().join();
    eprintln!("{} states for {passages:?}", checked.unique_state_count());
    checked
}

#[test]
fn in_every_order_of_events_no_vector_is_stale_and_no_job_is_lost() {
    check(&[1, 1], Left { writes: 1, crashes: 1, expiries: 1, losses: 0 }).assert_properties();
}

#[test]
fn a_source_that_is_stored_in_parts_is_whole_in_the_end() {
    check(&[2], Left { writes: 2, crashes: 1, expiries: 1, losses: 0 }).assert_properties();
}

#[test]
fn vectors_that_are_lost_come_back() {
    let checked = check(&[1], Left { writes: 1, crashes: 0, expiries: 1, losses: 1 });
    for property in ["no stale vector", "no lost job", "what comes to rest is true or parked"] {
        checked.assert_no_discovery(property);
    }
}

/// Whether the checker finds violations of all these properties without a guard.
fn breaks(guards: Guards, properties: &[&'static str]) -> bool {
    let queue = Queue { guards, passages: &[1], left: Left { writes: 1, crashes: 0, expiries: 1, losses: 0 } };
    let wanted = HasDiscoveries::AllOf(properties.iter().copied().collect());
    let found = queue.checker().finish_when(wanted).spawn_bfs().join().discoveries();
    properties.iter().all(|property| found.contains_key(property))
}

#[test]
fn without_the_token_a_zombie_ends_what_another_holds_and_a_job_is_lost() {
    let properties =
        ["a job is ended by the claim that holds it", "no lost job", "a job is parked for its own failures only"];
    assert!(breaks(Guards { token: false, ..ALL }, &properties));
}

#[test]
fn without_the_hash_an_old_texts_vector_is_taken_for_the_new_ones() {
    assert!(breaks(Guards { hash: false, ..ALL }, &["no stale vector"]));
}

#[test]
fn without_what_was_wanted_a_write_under_way_is_forgotten() {
    assert!(breaks(Guards { wanted: false, ..ALL }, &["no lost job"]));
}
