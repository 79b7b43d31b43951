//! A proxy for Postgres's socket that fails as networks do: it slows down, stalls, drops
//! connections, and closes one direction only. It can also cut a connection, or stop answering on
//! it, at a chosen statement: before the server receives the statement, or after the server has
//! executed it and before the client learns of it.

mod spoken;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use self::spoken::{Run, Spoken};
use crate::{postgres, programs};

/// How long a half-closed connection keeps its server session.
const HELD: Duration = Duration::from_secs(3);
/// The longest stall, so that a test that never changes the weather back still ends.
const STILL: Duration = Duration::from_secs(60);

/// How the proxy treats the bytes that it forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// The proxy forwards everything at once.
    Clear,
    /// The proxy delays each piece by this long.
    Slow(Duration),
    /// The proxy holds everything until the weather changes, and forwards it then.
    Still,
}

/// When a fault happens to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before Postgres receives the statement, which is lost.
    Unsaid,
    /// After Postgres has received the statement: Postgres executes it, and the client gets no
    /// answer.
    Unheard,
}

/// What happens to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The connection is cut.
    Cut,
    /// The connection stays open, and the client receives nothing more.
    Hang,
}

/// A fault that waits for the next matching statement.
struct Fault {
    /// The beginning of the statement's text. `None` matches every statement that commits.
    statement: Option<String>,
    moment: Moment,
    then: Then,
    /// For how many more statements the fault happens.
    left: usize,
}

/// A proxy with its socket in front of a Postgres. It forwards until the process ends.
pub struct Proxy {
    folder: PathBuf,
    wire: Arc<Wire>,
}

struct Wire {
    fault: Mutex<Option<Fault>>,
    weather: Mutex<Weather>,
    changed: Condvar,
    pairs: Mutex<Vec<Weak<Pair>>>,
}

/// A client's connection and the matching server connection.
struct Pair {
    client: UnixStream,
    server: UnixStream,
    half_closed: AtomicBool,
    /// The client receives nothing more.
    muted: AtomicBool,
}

impl Proxy {
    /// Starts a proxy in front of the tests' Postgres.
    pub fn start() -> Self {
        Self::before(postgres::directory(), programs::folder("proxy"))
    }

    /// Starts one in front of the Postgres whose socket is in the folder `server`; the socket need
    /// not exist yet. The proxy's own socket is in `folder`, which is deleted with the proxy.
    pub fn before(server: &Path, folder: PathBuf) -> Self {
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).expect("a fresh folder");
        let wire = Arc::new(Wire {
            fault: Mutex::new(None),
            weather: Mutex::new(Weather::Clear),
            changed: Condvar::new(),
            pairs: Mutex::new(Vec::new()),
        });
        let (server, shared) = (server.join(".s.PGSQL.5432"), Arc::clone(&wire));
        let serve = move || {
            for client in listener.incoming().flatten() {
                // Nothing listens at the server's socket: `client` is dropped, which closes its
                // connection.
                let Ok(server) = UnixStream::connect(&server) else { continue };
                let pair = Arc::new(Pair {
                    client,
                    server,
                    half_closed: AtomicBool::new(false),
                    muted: AtomicBool::new(false),
                });
                let mut pairs = shared.pairs.lock().expect("unpoisoned");
                pairs.retain(|pair| pair.strong_count() > 0);
                pairs.push(Arc::downgrade(&pair));
                drop(pairs);
                forward(&pair, &shared);
            }
        };
        std::thread::Builder::new().name("proxy".into()).spawn(serve).expect("a thread");
        Self { folder, wire }
    }

    /// The folder of the proxy's socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the DSN of the same database of the tests' Postgres through the proxy.
    pub fn dsn(&self, direct: &str) -> String {
        direct.replace(&postgres::directory().display().to_string(), &self.folder.display().to_string())
    }

    /// Withholds the answers to the next `count` commits from their clients, and cuts their
    /// connections.
    pub fn cut_commits(&self, count: usize) {
        self.lie_in_wait(Fault { statement: None, moment: Moment::Unheard, then: Then::Cut, left: count });
    }

    /// Sets the fault for the next statement whose text begins with `statement`.
    pub fn wait_for(&self, statement: &str, moment: Moment, then: Then) {
        self.lie_in_wait(Fault { statement: Some(statement.to_owned()), moment, then, left: 1 });
    }

    fn lie_in_wait(&self, fault: Fault) {
        *self.wire.fault.lock().expect("unpoisoned") = Some(fault);
    }

    /// How many statements the fault is still waiting for.
    pub fn unmet(&self) -> usize {
        self.wire.fault.lock().expect("unpoisoned").as_ref().map_or(0, |fault| fault.left)
    }

    /// Changes the weather from now on.
    pub fn set(&self, weather: Weather) {
        *self.wire.weather.lock().expect("unpoisoned") = weather;
        self.wire.changed.notify_all();
    }

    /// Drops every connection, with the statements in flight.
    pub fn drop_connections(&self) {
        for pair in self.pairs() {
            pair.client.shutdown(Shutdown::Both).ok();
            pair.server.shutdown(Shutdown::Both).ok();
        }
    }

    /// Closes every connection toward its client only. The server does not notice for [`HELD`], and
    /// keeps the session's locks until then.
    pub fn half_close(&self) {
        for pair in self.pairs() {
            pair.half_closed.store(true, Ordering::SeqCst);
            pair.client.shutdown(Shutdown::Both).ok();
        }
    }

    fn pairs(&self) -> Vec<Arc<Pair>> {
        self.wire.pairs.lock().expect("unpoisoned").iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Wire {
    /// Delays a piece as the weather demands.
    fn weather(&self) {
        let weather = self.weather.lock().expect("unpoisoned");
        let most = match *weather {
            Weather::Clear => return,
            Weather::Slow(pace) => pace,
            Weather::Still => STILL,
        };
        let begun = *weather;
        drop(self.changed.wait_timeout_while(weather, most, |weather| *weather == begun).expect("unpoisoned"));
    }
}

impl Wire {
    /// Returns the fault for this statement, if there is one, and counts it down.
    fn meets(&self, run: &Run) -> Option<(Moment, Then)> {
        let mut fault = self.fault.lock().expect("unpoisoned");
        let fault = fault.as_mut().filter(|fault| fault.left > 0)?;
        let is_meant =
            fault.statement.as_ref().map_or(run.commits, |statement| run.text.starts_with(statement.as_str()));
        is_meant.then(|| {
            fault.left -= 1;
            (fault.moment, fault.then)
        })
    }
}

fn forward(pair: &Arc<Pair>, wire: &Arc<Wire>) {
    let (asked, carrier) = (Arc::clone(pair), Arc::clone(wire));
    let questions = move || {
        let (mut client, mut server) = (&asked.client, &asked.server);
        let mut buffer = [0; 1 << 16];
        let mut spoken = Spoken::default();
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            let runs = spoken.hear(&buffer[..read]);
            if let Some((moment, then)) = runs.iter().find_map(|run| carrier.meets(run)) {
                match then {
                    Then::Cut => drop(client.shutdown(Shutdown::Both)),
                    Then::Hang => asked.muted.store(true, Ordering::SeqCst),
                }
                if moment == Moment::Unsaid {
                    continue;
                }
            }
            carrier.weather();
            if server.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        if asked.half_closed.load(Ordering::SeqCst) {
            std::thread::sleep(HELD);
        }
        server.shutdown(Shutdown::Write).ok();
    };
    let (answered, carrier) = (Arc::clone(pair), Arc::clone(wire));
    let answers = move || {
        let (mut server, mut client) = (&answered.server, &answered.client);
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = server.read(&mut buffer) {
            carrier.weather();
            // Read from the server even if the client is muted: a network that loses the answers
            // does not stop the server either.
            if !answered.muted.load(Ordering::SeqCst) {
                client.write_all(&buffer[..read]).ok();
            }
        }
        client.shutdown(Shutdown::Both).ok();
    };
    std::thread::Builder::new().name("proxy-asks".into()).spawn(questions).expect("a thread");
    std::thread::Builder::new().name("proxy-answers".into()).spawn(answers).expect("a thread");
}
