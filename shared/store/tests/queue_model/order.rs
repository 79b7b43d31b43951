//! A model of the queue's order: start-time fair queueing (decision 40).
//!
//! Times are in passages of virtual time, relative to the clock, so that the states are finitely
//! many although writers and workers never stop. The jobs of one caller and kind are a flow. Each
//! job counts the passages that may still be claimed before it. At its write this count depends on
//! its own flow and not on the backlog of others: nothing starves, and a record of a caller for
//! whom nothing waits is claimed next.
//!
//! stateright tries claims of one job of one passage, which ends before the next claim. Larger jobs
//! and claims are in the property test. Left out is the microsecond by which each write moves the clock: jobs of
//! equal tags are claimed in the order of their writes.

use proptest::prelude::*;
use stateright::{Checker, HasDiscoveries, Model, Property};

/// The most jobs of a flow that wait, of one passage each.
const MAX_WAITING: usize = 3;

/// The rules of the order. All are on, except in the tests that remove one.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// A flow starts at the clock, and not after all that waits.
    starts_at_the_clock: bool,
    /// A job starts where the last one of its flow ends.
    continues_its_flow: bool,
    /// A claim moves the clock past the first end of its jobs.
    passes_an_end: bool,
}

const ALL: Rules = Rules { starts_at_the_clock: true, continues_its_flow: true, passes_an_end: true };

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Job {
    flow: usize,
    /// `order_key`, relative to the clock.
    start: i32,
    /// `items_total`.
    passages: i32,
    /// `flow_end`, relative to the clock, on the last job of a write. `None` once it has passed.
    end: Option<i32>,
    /// The passages that may still be claimed before it.
    allowed: i32,
}

/// The rows of `index_jobs`, in the order of the claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Rows(Vec<Job>);

impl Rows {
    /// start.sql, and enqueue.sql for jobs with these numbers of passages.
    fn enqueue(&mut self, rules: Rules, flows: usize, flow: usize, jobs: &[i32]) {
        let ends = self.0.iter().filter(|job| rules.continues_its_flow && job.flow == flow).filter_map(|job| job.end);
        let last = self.0.iter().filter(|_| !rules.starts_at_the_clock).map(|job| job.start);
        let mut start = ends.chain(last).max().unwrap_or(0).max(0);
        let mut own: i32 = self.waiting(flow).map(|job| job.passages).sum();
        for (place, passages) in jobs.iter().copied().enumerate() {
            let end = (place + 1 == jobs.len()).then_some(start + passages);
            // Each other flow gets as much, and one job more at either end.
            let allowed = own + (flows as i32 - 1) * (own + 2);
            self.0.push(Job { flow, start, passages, end, allowed });
            start += passages;
            own += passages;
        }
        self.0.sort_by_key(|job| job.start);
    }

    /// claim.sql: claims the first jobs and moves the clock; settle.sql ends them. Returns the flows
    /// of the jobs.
    fn claim(&mut self, rules: Rules, limit: usize) -> Vec<usize> {
        let claimed: Vec<Job> = self.0.drain(..limit.min(self.0.len())).collect();
        let last = claimed.iter().map(|job| job.start).max().unwrap_or(0);
        let first_end = claimed.iter().map(|job| job.start + job.passages).min().filter(|_| rules.passes_an_end);
        let passages: i32 = claimed.iter().map(|job| job.passages).sum();
        let moved = last.max(first_end.unwrap_or(0)).max(0);
        for job in &mut self.0 {
            job.start -= moved;
            job.end = job.end.map(|end| end - moved).filter(|end| *end > 0);
            job.allowed -= passages;
        }
        claimed.iter().map(|job| job.flow).collect()
    }

    fn waiting(&self, flow: usize) -> impl Iterator<Item = &Job> {
        self.0.iter().filter(move |job| job.flow == flow)
    }
}

struct Order {
    rules: Rules,
    flows: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Enqueue { flow: usize, jobs: Vec<i32> },
    Claim,
}

impl Model for Order {
    type State = Rows;
    type Action = Action;

    fn init_states(&self) -> Vec<Rows> {
        vec![Rows::default()]
    }

    fn actions(&self, state: &Rows, actions: &mut Vec<Action>) {
        for flow in 0..self.flows {
            let room = MAX_WAITING - state.waiting(flow).count();
            let writes = [vec![1], vec![1; MAX_WAITING]];
            actions.extend(
                writes.into_iter().filter(|jobs| jobs.len() <= room).map(|jobs| Action::Enqueue { flow, jobs }),
            );
        }
        if !state.0.is_empty() {
            actions.push(Action::Claim);
        }
    }

    fn next_state(&self, last: &Rows, action: Action) -> Option<Rows> {
        let mut state = last.clone();
        match action {
            Action::Enqueue { flow, jobs } => state.enqueue(self.rules, self.flows, flow, &jobs),
            Action::Claim => drop(state.claim(self.rules, 1)),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no job waits for more than its share", |_, state: &Rows| {
                state.0.iter().all(|job| job.allowed >= 0)
            }),
            Property::sometimes("two flows wait with all that they may", |_, state: &Rows| {
                [0, 1].iter().all(|flow| state.waiting(*flow).count() == MAX_WAITING)
            }),
        ]
    }
}

#[test]
fn in_every_order_of_writes_and_claims_no_job_waits_for_more_than_its_share() {
    let checked = Order { rules: ALL, flows: 2 }.checker().threads(2).spawn_bfs().join();
    eprintln!("{} states", checked.unique_state_count());
    checked.assert_properties();
}

/// Whether the checker finds a job that waits too long without one of the rules.
fn starves(rules: Rules) -> bool {
    let property = "no job waits for more than its share";
    let until = HasDiscoveries::AllOf([property].into());
    let found = Order { rules, flows: 2 }.checker().finish_when(until).spawn_bfs().join().discoveries();
    found.contains_key(property)
}

#[test]
fn behind_all_that_waits_a_fresh_record_waits_too_long() {
    assert!(starves(Rules { starts_at_the_clock: false, ..ALL }));
}

#[test]
fn a_flow_that_always_starts_at_the_clock_starves_the_others() {
    assert!(starves(Rules { continues_its_flow: false, ..ALL }));
}

#[test]
fn a_caller_who_writes_again_and_again_would_starve_the_others_if_the_clock_stood_still() {
    assert!(starves(Rules { passes_an_end: false, ..ALL }));
}

proptest! {
    // Several flows with backlogs of any size, and a fresh record at any time.
    #[test]
    fn flows_share_equally_and_a_fresh_record_is_next(
        backlogs in prop::collection::vec(1..400_usize, 2..6),
        passages in prop::collection::vec(1..30_i32, 6),
        before in 0..60_usize,
        limit in 1..20_usize,
    ) {
        let (mut rows, flows, most) = (Rows::default(), backlogs.len(), 30);
        for (flow, jobs) in backlogs.iter().enumerate() {
            rows.enqueue(ALL, flows, flow, &vec![passages[flow]; *jobs]);
        }
        let mut got = vec![0; flows];
        for _ in 0..before {
            rows.claim(ALL, limit).into_iter().for_each(|flow| got[flow] += passages[flow]);
            let busy: Vec<i32> = (0..flows).filter(|flow| rows.waiting(*flow).next().is_some()).map(|flow| got[flow]).collect();
            let spread = busy.iter().max().zip(busy.iter().min()).map_or(0, |(most, least)| most - least);
            prop_assert!(spread <= 2 * most, "{got:?}");
        }
        rows.enqueue(ALL, flows + 1, flows, &[1]);
        // Before it come the jobs that are due, of each flow about the passages of the largest job.
        let due: Vec<&Job> = rows.0.iter().take_while(|job| job.flow != flows).collect();
        prop_assert!(due.iter().all(|job| job.start <= 0));
        prop_assert!(due.iter().map(|job| job.passages).sum::<i32>() <= 2 * most * flows as i32);
    }
}
