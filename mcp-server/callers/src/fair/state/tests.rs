use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn state(permits: usize, queue: usize) -> State<u8> {
    State::new(Policy { permits, shared: true, queue, max_wait: Duration::ZERO, load: |_, _| () })
}

fn granted(state: &mut State<u8>, caller: u8, lane: Lane) -> bool {
    state.request(&caller, 1, lane) == Ok(Requested::Granted)
}

#[test]
fn one_caller_holds_half_two_hold_a_third_each_and_the_next_one_starts_at_once() {
    let mut state = state(6, 64);
    let first: Vec<bool> = (0..10).map(|_| granted(&mut state, 1, Lane::Read)).collect();
    assert_eq!(first.iter().filter(|granted| **granted).count(), 3);
    assert!(granted(&mut state, 2, Lane::Read) && granted(&mut state, 2, Lane::Read));
    assert!(!granted(&mut state, 2, Lane::Read));
    assert!(granted(&mut state, 3, Lane::Read));
}

#[test]
fn writes_leave_room_for_the_reads_of_the_same_caller() {
    let mut state = state(6, 64);
    let writes = (0..20).filter(|_| granted(&mut state, 1, Lane::Write)).count();
    assert_eq!(writes, 2);
    assert!(granted(&mut state, 1, Lane::Read), "its share is three");
    assert!(!granted(&mut state, 1, Lane::Read));
}

#[test]
fn a_sole_caller_has_all_permits() {
    let policy = Policy { permits: 6, shared: false, queue: 64, max_wait: Duration::ZERO, load: |_, _| () };
    let mut state: State<u8> = State::new(policy);
    assert_eq!((0..20).filter(|_| granted(&mut state, 1, Lane::Read)).count(), 6);
}

#[test]
fn a_weight_is_that_many_shares_and_leaves_room_all_the_same() {
    let mut state = state(12, 64);
    for _ in 0..20 {
        state.request(&1, 1, Lane::Read).unwrap();
    }
    for _ in 0..20 {
        state.request(&2, 4, Lane::Read).unwrap();
    }
    assert_eq!(state.callers[&2].running(), 12 - 6, "what the first one holds is not taken from it");
    for _ in 0..6 {
        state.release(&1, Lane::Read);
        while state.next().is_some() {}
    }
    assert_eq!((state.callers[&1].running(), state.callers[&2].running()), (2, 8));
    let mut alone = self::state(3, 64);
    for _ in 0..20 {
        alone.request(&1, 100, Lane::Read).unwrap();
    }
    assert_eq!(alone.callers[&1].running(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    Request(u8, Lane),
    Release(usize),
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lane = prop_oneof![Just(Lane::Read), Just(Lane::Write)];
    let step = prop_oneof![
        3 => (0..5_u8, lane).prop_map(|(caller, lane)| Step::Request(caller, lane)),
        2 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Cancel),
    ];
    prop::collection::vec(step, 1..200)
}

/// A state, and an independent record of the requests that hold permits or wait.
struct Run {
    state: State<u8>,
    held: Vec<(u8, Lane)>,
    waiting: Vec<(u8, Lane, Ticket)>,
}

impl Run {
    fn new(permits: usize, queue: usize) -> Self {
        Self { state: state(permits, queue), held: Vec::new(), waiting: Vec::new() }
    }

    fn weight(caller: u8) -> u32 {
        u32::from(caller % 2 + 1)
    }

    /// Records the granted permits, and checks that each is within its caller's share.
    fn grant(&mut self) {
        while let Some(ticket) = self.state.next() {
            let at = self.waiting.iter().position(|(.., waits)| *waits == ticket).expect("it waits");
            let (caller, lane, _) = self.waiting.remove(at);
            self.took(caller, lane);
        }
    }

    fn took(&mut self, caller: u8, lane: Lane) {
        self.held.push((caller, lane));
        let held = self.held.iter().filter(|(other, _)| *other == caller).count();
        let share = self.state.share(Self::weight(caller) as usize);
        assert!(held <= share, "{caller} holds {held} of {share}");
        let writes = self.held.iter().filter(|held| **held == (caller, Lane::Write)).count();
        assert!(lane == Lane::Read || writes <= share.div_ceil(2), "{writes} writes in {share}");
    }

    fn step(&mut self, step: &Step, queue: usize) {
        match *step {
            Step::Request(caller, lane) => match self.state.request(&caller, Self::weight(caller), lane) {
                Ok(Requested::Granted) => self.took(caller, lane),
                Ok(Requested::Waits(ticket)) => self.waiting.push((caller, lane, ticket)),
                Err(_) => {
                    let waits = self.waiting.iter().filter(|(other, of, _)| (*other, *of) == (caller, lane)).count();
                    assert_eq!(waits, queue, "it is refused with room in its queue");
                }
            },
            Step::Release(at) if !self.held.is_empty() => {
                let (caller, lane) = self.held.swap_remove(at % self.held.len());
                self.state.release(&caller, lane);
                self.grant();
            }
            Step::Cancel(at) if !self.waiting.is_empty() => {
                let (caller, lane, ticket) = self.waiting.swap_remove(at % self.waiting.len());
                self.state.cancel(&caller, lane, ticket);
                self.grant();
            }
            _ => {}
        }
    }
}

proptest! {
    /// Permits stay within the total and the shares, no turn is lost, and no caller stays in the
    /// state, for any sequence of requests, releases and cancellations.
    #[test]
    fn permits_are_kept_within_the_total_and_the_shares(permits in 1..9_usize, queue in 1..5_usize, steps in steps()) {
        let mut run = Run::new(permits, queue);
        for step in &steps {
            run.step(step, queue);
            prop_assert!(run.held.len() <= permits);
            prop_assert_eq!((run.state.running(), run.state.waiting()), (run.held.len(), run.waiting.len()));
            // Every request that may run does run.
            prop_assert!(run.state.next().is_none());
        }
        while !run.held.is_empty() {
            run.step(&Step::Release(0), queue);
        }
        prop_assert!(run.waiting.is_empty(), "{} still wait", run.waiting.len());
        prop_assert!(run.state.callers.is_empty() && run.state.weights == 0);
    }

    /// However many callers compete, and whether they stay or come and go, a waiting caller gets a
    /// permit after at most one turn of each of them.
    #[test]
    fn nobody_starves(permits in 1..9_usize, crowd in 1..12_u8, come_and_go in any::<bool>()) {
        let mut run = Run::new(permits, 64);
        for caller in 1..=crowd {
            for _ in 0..if come_and_go { 1 } else { 40 } {
                run.step(&Step::Request(caller, Lane::Read), 64);
            }
        }
        run.step(&Step::Request(0, Lane::Read), 64);
        let mut released = 0;
        while !run.held.contains(&(0, Lane::Read)) {
            prop_assert!(released <= usize::from(crowd) + permits, "{released} came back, and none was for it");
            run.step(&Step::Release(0), 64);
            released += 1;
            if come_and_go {
                run.step(&Step::Request(100 + released as u8, Lane::Read), 64);
            }
        }
    }
}
