//! A wire to Postgres that can fail as networks do: it slows down, stands still, drops what it carries, closes one direction only, and
//! is cut or dies away at the worst moment: at a statement of one's choice, before the server hears of it, or after it is done and before the
//! client hears of that.

mod spoken;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use self::spoken::{Run, Spoken};
use crate::{leash, postgres};

/// How long a connection of which one direction was closed still holds its server.
const HELD: Duration = Duration::from_secs(3);
/// A wire stands still for no longer than this, whoever forgot it.
const STILL: Duration = Duration::from_secs(60);

/// What the wire does with what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It forwards everything at once.
    Clear,
    /// It keeps each piece for this long.
    Slow(Duration),
    /// It keeps everything, and forwards it when the weather changes.
    Still,
}

/// When a statement meets its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Postgres does not hear of it.
    Unsaid,
    /// It is done, and its client does not hear of that.
    Unheard,
}

/// What happens to the connection then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is cut.
    Cut,
    /// Nothing comes back on it, for as long as the client waits.
    Hang,
}

/// The fault that lies in wait.
struct Fault {
    /// What the statement's text begins with; `None`: whatever commits.
    statement: Option<String>,
    moment: Moment,
    then: Then,
    /// How many statements are to meet it.
    left: usize,
}

/// A socket in front of a Postgres. It forwards until the process ends.
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

/// A client's connection and its server's.
struct Pair {
    client: UnixStream,
    server: UnixStream,
    half_closed: AtomicBool,
    /// Its client hears nothing any more.
    muted: AtomicBool,
}

impl Proxy {
    /// One in front of the tests' Postgres.
    pub fn start() -> Self {
        Self::before(postgres::directory(), leash::folder("proxy"))
    }

    /// One in front of the Postgres whose socket is in the folder `server`, whether it is there yet or not, with its own socket in
    /// `folder`, which goes with it.
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
                // Nobody listens there: the client finds its connection closed.
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

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same database of the tests' Postgres through it.
    pub fn dsn(&self, direct: &str) -> String {
        direct.replace(&postgres::directory().display().to_string(), &self.folder.display().to_string())
    }

    /// Keeps the answers to the next so many commits from their clients, and cuts their connections.
    pub fn cut_commits(&self, count: usize) {
        self.lie_in_wait(Fault { statement: None, moment: Moment::Unheard, then: Then::Cut, left: count });
    }

    /// Lies in wait for the next statement whose text begins so.
    pub fn wait_for(&self, statement: &str, moment: Moment, then: Then) {
        self.lie_in_wait(Fault { statement: Some(statement.to_owned()), moment, then, left: 1 });
    }

    fn lie_in_wait(&self, fault: Fault) {
        *self.wire.fault.lock().expect("unpoisoned") = Some(fault);
    }

    /// How many statements are still waited for.
    pub fn unmet(&self) -> usize {
        self.wire.fault.lock().expect("unpoisoned").as_ref().map_or(0, |fault| fault.left)
    }

    /// Treats what it carries otherwise from now on.
    pub fn set(&self, weather: Weather) {
        *self.wire.weather.lock().expect("unpoisoned") = weather;
        self.wire.changed.notify_all();
    }

    /// Drops every connection, with what is under way on it.
    pub fn drop_connections(&self) {
        for pair in self.pairs() {
            pair.client.shutdown(Shutdown::Both).ok();
            pair.server.shutdown(Shutdown::Both).ok();
        }
    }

    /// Closes every connection toward its client only: the server does not hear of it for a while, and holds its locks.
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
    /// Keeps a piece for as long as the weather wants.
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
    /// What this statement meets, if anything.
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
            // The server is heard to its end, as by a network that loses what comes back.
            if !answered.muted.load(Ordering::SeqCst) {
                client.write_all(&buffer[..read]).ok();
            }
        }
        client.shutdown(Shutdown::Both).ok();
    };
    std::thread::Builder::new().name("proxy-asks".into()).spawn(questions).expect("a thread");
    std::thread::Builder::new().name("proxy-answers".into()).spawn(answers).expect("a thread");
}
