//! The open connections of a listener, each with a token that closes it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::table::{Id, Table};
use pgrecall_store::metrics::metrics;

/// The connections of a listener.
pub(super) struct Connections {
    name: &'static str,
    state: Mutex<Open>,
    /// Notified when there may be room again.
    pub(super) freed: Notify,
}

struct Open {
    table: Table,
    /// The token that closes each connection. A connection stays here until it has ended.
    alive: HashMap<Id, CancellationToken>,
}

impl Open {
    fn close(&self, id: Id) {
        if let Some(token) = self.alive.get(&id) {
            token.cancel();
        }
    }
}

impl Connections {
    pub(super) fn new(name: &'static str, limits: Limits) -> Self {
        let state = Mutex::new(Open { table: Table::new(limits), alive: HashMap::new() });
        Self { name, state, freed: Notify::new() }
    }

    /// Adds a connection. `None`: there is no room.
    pub(super) fn open(&self, address: Option<IpAddr>) -> Option<(Id, CancellationToken)> {
        let mut state = self.state.lock();
        let (id, gives_way) = state.table.open(address, Instant::now())?;
        if let Some(other) = gives_way {
            state.close(other);
            metrics().connection_closed(self.name, "gave_way", 1);
        }
        let closed = CancellationToken::new();
        state.alive.insert(id, closed.clone());
        metrics().connections(self.name, state.alive.len());
        Some((id, closed))
    }

    pub(super) fn close_expired(&self) {
        let mut state = self.state.lock();
        let over = state.table.close_expired(Instant::now());
        over.iter().for_each(|id| state.close(*id));
        metrics().connection_closed(self.name, "too_slow", over.len());
    }

    pub(super) fn close_unused(&self) {
        let mut state = self.state.lock();
        let unused = state.table.close_unused();
        unused.iter().for_each(|id| state.close(*id));
    }

    pub(super) fn close_idle(&self) {
        let mut state = self.state.lock();
        if let Some(id) = state.table.give_way() {
            state.close(id);
            metrics().connection_closed(self.name, "gave_way", 1);
        }
    }

    pub(super) fn alive(&self) -> usize {
        self.state.lock().alive.len()
    }

    pub(super) async fn all_ended(&self) {
        while self.alive() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn ended(&self, id: Id) {
        let mut state = self.state.lock();
        state.table.close(id);
        state.alive.remove(&id);
        metrics().connections(self.name, state.alive.len());
        self.freed.notify_one();
    }
}

/// An open connection of a listener.
pub(super) struct Connection {
    id: Id,
    of: Arc<Connections>,
    /// Whether the next bytes begin a request.
    awaits_request: AtomicBool,
    /// Whether a request was answered before its body was read to the end.
    pub(super) unread_body: AtomicBool,
}

impl Connection {
    pub(super) fn new(id: Id, of: Arc<Connections>) -> Self {
        Self { id, of, awaits_request: AtomicBool::new(true), unread_body: AtomicBool::new(false) }
    }

    /// Records that bytes have arrived.
    pub(super) fn read(&self) {
        if self.awaits_request.swap(false, Ordering::Relaxed) {
            self.of.state.lock().table.head_begins(self.id, Instant::now());
        }
    }

    pub(super) fn has_unread_body(&self) -> bool {
        self.unread_body.load(Ordering::Relaxed)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.of.ended(self.id);
    }
}

/// A request in progress, until its answer has been sent.
pub(super) struct InUse(Arc<Connection>);

impl InUse {
    pub(super) fn begin(connection: &Arc<Connection>) -> Self {
        connection.of.state.lock().table.request_begins(connection.id);
        Self(connection.clone())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.of.state.lock().table.request_ends(self.0.id, Instant::now());
        self.0.awaits_request.store(true, Ordering::Relaxed);
        self.0.of.freed.notify_one();
    }
}
