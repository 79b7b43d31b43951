//! Decides which request gets the next permit: a state machine without a clock.
//!
//! Of the callers that hold or want permits, with weights `w` and their sum `W`, each may hold at
//! most `⌈permits × w / (W + 1)⌉`; the `+ 1` is the share of a caller that has not arrived yet. A
//! share is at least one permit, and never all of several. If [`Policy::shared`] is off, each may
//! hold all permits. Among the callers that want a permit and are below their share, the next
//! permit goes to the one that holds the fewest for its weight, and if several are equal, to the
//! one whose last permit is the oldest.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use super::{Lane, Policy};

/// The number of a request that waits.
pub(super) type Ticket = u64;

/// The result of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Requested {
    /// The request has its permit.
    Granted,
    /// [`State::next`] will return the ticket.
    Waits(Ticket),
}

/// The callers that hold permits or wait for some.
pub(super) struct State<K> {
    pub(super) policy: Policy,
    callers: HashMap<K, Caller>,
    running: usize,
    waiting: usize,
    weights: usize,
    last_ticket: Ticket,
    /// A counter that rises with each permit.
    turns: u64,
}

struct Caller {
    weight: usize,
    lanes: [Of; 2],
    /// The turn of its last permit. A new caller starts just before the last turn, as if it had got
    /// a permit then.
    last_turn: u64,
}

/// One lane of a caller.
#[derive(Default)]
struct Of {
    running: usize,
    waiting: VecDeque<Ticket>,
    last_turn: u64,
}

impl Caller {
    fn running(&self) -> usize {
        self.lanes.iter().map(|lane| lane.running).sum()
    }

    fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// Whether a share of this many permits has room for another permit in this lane.
    fn has_room(&self, lane: usize, share: usize) -> bool {
        self.running() < share && (lane != Lane::Write as usize || self.lanes[lane].running < share.div_ceil(2))
    }

    /// Returns the lane that is next, within a share of this many permits.
    fn next_lane(&self, share: usize) -> Option<usize> {
        let waits = |lane: &usize| !self.lanes[*lane].waiting.is_empty() && self.has_room(*lane, share);
        (0..self.lanes.len()).filter(waits).min_by_key(|lane| (self.lanes[*lane].running, self.lanes[*lane].last_turn))
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, callers: HashMap::new(), running: 0, waiting: 0, weights: 0, last_ticket: 0, turns: 1 }
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Requests a permit. The error is the length of the caller's full queue.
    pub(super) fn request(&mut self, caller: &K, weight: u32, lane: Lane) -> Result<Requested, usize> {
        let queue = self.policy.queue;
        if self.callers.get(caller).is_some_and(|it| it.lanes[lane as usize].waiting.len() >= queue) {
            return Err(queue);
        }
        let weight = (weight as usize).max(1);
        let (turns, weights) = (self.turns, &mut self.weights);
        let of = self.callers.entry(caller.clone()).or_insert_with(|| {
            *weights += weight;
            Caller { weight, lanes: Default::default(), last_turn: turns - 1 }
        });
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        of.lanes[lane as usize].waiting.push_back(ticket);
        self.waiting += 1;
        // The older requests could not get a permit before this one came, and an additional caller
        // makes no share larger. So `next` returns either this request or none.
        Ok(match self.next() {
            Some(next) => {
                debug_assert_eq!(next, ticket);
                Requested::Granted
            }
            None => Requested::Waits(ticket),
        })
    }

    /// Grants the next permit, if one is free and a waiting caller may have it.
    pub(super) fn next(&mut self) -> Option<Ticket> {
        if self.running >= self.policy.permits {
            return None;
        }
        let may = |(key, caller): (&K, &Caller)| {
            let lane = caller.next_lane(self.share(caller.weight))?;
            // Permits held per weight, in millionths, so that integers can be compared.
            let held = caller.running() * 1_000_000 / caller.weight;
            Some((held, caller.last_turn, lane, key.clone()))
        };
        let (_, _, lane, key) = self.callers.iter().filter_map(may).min_by_key(|(held, turn, ..)| (*held, *turn))?;
        self.turns += 2;
        let caller = self.callers.get_mut(&key)?;
        caller.last_turn = self.turns;
        let of = &mut caller.lanes[lane];
        of.last_turn = self.turns;
        of.running += 1;
        let ticket = of.waiting.pop_front()?;
        (self.running, self.waiting) = (self.running + 1, self.waiting - 1);
        Some(ticket)
    }

    /// Takes a permit back.
    pub(super) fn release(&mut self, caller: &K, lane: Lane) {
        if let Some(of) = self.callers.get_mut(caller) {
            of.lanes[lane as usize].running -= 1;
            self.running -= 1;
        }
        self.forget(caller);
    }

    /// Removes a request that no longer waits.
    pub(super) fn cancel(&mut self, caller: &K, lane: Lane, ticket: Ticket) {
        if let Some(of) = self.callers.get_mut(caller) {
            let waiting = &mut of.lanes[lane as usize].waiting;
            let before = waiting.len();
            waiting.retain(|other| *other != ticket);
            self.waiting -= before - waiting.len();
        }
        self.forget(caller);
    }

    /// Whether a caller holds all permits that its share has for this lane.
    pub(super) fn has_whole_share(&self, caller: &K, lane: Lane) -> bool {
        self.callers.get(caller).is_some_and(|it| !it.has_room(lane as usize, self.share(it.weight)))
    }

    /// Returns how many permits a caller of this weight may hold now.
    fn share(&self, weight: usize) -> usize {
        let permits = self.policy.permits;
        if !self.policy.shared {
            return permits;
        }
        let share = (permits * weight).div_ceil(self.weights + 1);
        // Whatever its weight, a caller leaves one permit to others, unless there is only one.
        share.min(permits - 1).max(1)
    }

    /// Removes a caller that neither holds permits nor waits for one.
    fn forget(&mut self, caller: &K) {
        if let Some(of) = self.callers.get(caller)
            && of.running() + of.waiting() == 0
        {
            self.weights -= of.weight;
            self.callers.remove(caller);
        }
    }
}

#[cfg(test)]
mod tests;
