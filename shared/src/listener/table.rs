//! The table of a listener's connections, and the choice of the one that gives way at the limit.
//!
//! It has no clock and no sockets: the caller passes the time, and closes the connections that the
//! table names.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use super::Limits;

/// The number of a connection.
pub(super) type Id = u64;

/// The order in which idle connections give way: first those that never sent a request, the oldest
/// first. A client that has sent one is likely to send another, and would lose that request.
type Rank = (bool, u64, Id);

/// The open connections of a listener.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    next: u64,
    open: HashMap<Id, Entry>,
    idle: BTreeSet<Rank>,
    /// The idle connections by address, for addresses that have any.
    idle_by_address: HashMap<IpAddr, BTreeSet<Rank>>,
}

#[derive(Debug)]
struct Entry {
    /// The address of the peer. `None`: a trusted proxy, which many clients share.
    address: Option<IpAddr>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No request is in progress: none has been read in full, or the last one has been answered.
    Idle {
        rank: Rank,
        deadline: Instant,
    },
    InUse,
}

impl Table {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, next: 0, open: HashMap::new(), idle: BTreeSet::new(), idle_by_address: HashMap::new() }
    }

    /// Adds a connection. At the limit of its address or of the listener, an idle one gives way,
    /// which must be closed. `None`: no room, since every connection has a request in progress.
    pub(super) fn open(&mut self, address: Option<IpAddr>, now: Instant) -> Option<(Id, Option<Id>)> {
        let of_address = address.and_then(|address| self.idle_by_address.get(&address));
        let gives_way = match of_address {
            Some(idle) if idle.len() >= self.limits.idle_by_address => idle.first().copied(),
            _ if self.open.len() >= self.limits.connections => Some(*self.idle.first()?),
            _ => None,
        };
        let gives_way = gives_way.map(|(_, _, id)| id);
        if let Some(id) = gives_way {
            self.close(id);
        }
        let id = self.number();
        let state = State::Idle { rank: (false, id, id), deadline: now + self.limits.request_head };
        self.open.insert(id, Entry { address, state });
        self.rank(id, (false, id, id));
        Some((id, gives_way))
    }

    /// Removes and returns the idle connection that gives way next.
    pub(super) fn give_way(&mut self) -> Option<Id> {
        let (_, _, id) = *self.idle.first()?;
        self.close(id);
        Some(id)
    }

    /// Records the first bytes of a further request: the rest of its head must follow in time.
    ///
    /// The time for the first request of a connection runs from the opening of the connection.
    pub(super) fn head_begins(&mut self, id: Id, now: Instant) {
        let within = self.limits.request_head;
        if let Some(Entry { state: State::Idle { rank: (true, ..), deadline }, .. }) = self.open.get_mut(&id) {
            *deadline = (*deadline).min(now + within);
        }
    }

    /// Records that a request has been read up to its body.
    pub(super) fn request_begins(&mut self, id: Id) {
        self.unrank(id);
        if let Some(entry) = self.open.get_mut(&id) {
            entry.state = State::InUse;
        }
    }

    /// Records that a request has been answered.
    pub(super) fn request_ends(&mut self, id: Id, now: Instant) {
        if !matches!(self.open.get(&id), Some(Entry { state: State::InUse, .. })) {
            return;
        }
        let rank = (true, self.number(), id);
        let deadline = now + self.limits.idle;
        if let Some(entry) = self.open.get_mut(&id) {
            entry.state = State::Idle { rank, deadline };
        }
        self.rank(id, rank);
    }

    /// Removes a connection that has ended or must end.
    pub(super) fn close(&mut self, id: Id) {
        self.unrank(id);
        self.open.remove(&id);
    }

    /// Removes and returns the connections that were idle for too long.
    pub(super) fn close_expired(&mut self, now: Instant) -> Vec<Id> {
        let is_over = |entry: &Entry| matches!(entry.state, State::Idle { deadline, .. } if deadline <= now);
        let over: Vec<Id> = self.open.iter().filter(|(_, entry)| is_over(entry)).map(|(id, _)| *id).collect();
        over.iter().for_each(|id| self.close(*id));
        over
    }

    /// Removes and returns the connections on which no request was ever read.
    pub(super) fn close_unused(&mut self) -> Vec<Id> {
        let unused: Vec<Id> = self.idle.iter().take_while(|(used, ..)| !used).map(|(.., id)| *id).collect();
        unused.iter().for_each(|id| self.close(*id));
        unused
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn rank(&mut self, id: Id, rank: Rank) {
        self.idle.insert(rank);
        if let Some(address) = self.open.get(&id).and_then(|entry| entry.address) {
            self.idle_by_address.entry(address).or_default().insert(rank);
        }
    }

    fn unrank(&mut self, id: Id) {
        let Some(Entry { address, state: State::Idle { rank, .. } }) = self.open.get(&id) else { return };
        self.idle.remove(rank);
        if let Some(address) = address
            && let Some(of_address) = self.idle_by_address.get_mut(address)
        {
            of_address.remove(rank);
            if of_address.is_empty() {
                self.idle_by_address.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn table(connections: usize, idle_by_address: usize) -> Table {
        Table::new(Limits { connections, idle_by_address, ..Limits::of(0) })
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(192, 0, 2, last).into())
    }

    fn opened(table: &mut Table, from: Option<IpAddr>) -> (Id, Option<Id>) {
        table.open(from, Instant::now()).expect("there is room")
    }

    #[test]
    fn the_oldest_connection_without_a_request_gives_way_and_one_in_use_never_does() {
        let mut table = table(3, 9);
        let (busy, _) = opened(&mut table, address(1));
        table.request_begins(busy);
        let (used, _) = opened(&mut table, address(2));
        table.request_begins(used);
        table.request_ends(used, Instant::now());
        let (silent, _) = opened(&mut table, address(3));
        let (another, gave_way) = opened(&mut table, address(4));
        assert_eq!(gave_way, Some(silent), "it is younger than the one that was used");
        table.request_begins(another);
        let (last, gave_way) = opened(&mut table, address(5));
        assert_eq!(gave_way, Some(used));
        table.request_begins(last);
        assert_eq!(table.open.len(), 3);
        assert_eq!(table.open(address(6), Instant::now()), None);
        table.close(busy);
        assert_eq!(opened(&mut table, address(6)).1, None);
    }

    #[test]
    fn an_address_with_many_idle_connections_displaces_its_own_and_a_trusted_proxy_has_no_such_limit() {
        let mut table = table(100, 2);
        let (other, _) = opened(&mut table, address(9));
        let (first, _) = opened(&mut table, address(1));
        opened(&mut table, address(1));
        assert_eq!(opened(&mut table, address(1)).1, Some(first));
        for _ in 0..50 {
            assert_eq!(opened(&mut table, None).1, None);
        }
        assert_eq!(table.give_way(), Some(other));
    }

    #[test]
    fn a_head_that_does_not_arrive_and_a_pause_that_is_too_long_end_a_connection() {
        let mut table = table(9, 9);
        let (head, pause) = (table.limits.request_head, table.limits.idle);
        let start = Instant::now();
        let (silent, _) = opened(&mut table, address(1));
        let (used, _) = opened(&mut table, address(1));
        let (slow, _) = opened(&mut table, address(1));
        for id in [used, slow] {
            table.request_begins(id);
            table.request_ends(id, start);
        }
        let second = Duration::from_secs(1);
        assert!(table.close_expired(start + head - second).is_empty());
        assert_eq!(table.close_expired(start + head + second), [silent]);
        table.head_begins(slow, start + head);
        assert_eq!(table.close_expired(start + head * 2 + second), [slow]);
        assert_eq!(table.close_expired(start + pause + second), [used]);
        assert_eq!((table.open.len(), table.idle.len(), table.idle_by_address.len()), (0, 0, 0));
    }

    #[test]
    fn what_ends_late_of_a_connection_that_gave_way_changes_nothing() {
        let mut table = table(1, 9);
        let (first, _) = opened(&mut table, address(1));
        assert_eq!(opened(&mut table, address(2)).1, Some(first));
        table.request_begins(first);
        table.request_ends(first, Instant::now());
        table.head_begins(first, Instant::now());
        table.close(first);
        assert_eq!((table.open.len(), table.idle.len()), (1, 1));
        assert_eq!(table.close_unused().len(), 1);
    }
}
