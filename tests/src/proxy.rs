//! A wire to Postgres that can fail as networks do: it slows down, stands still, drops what it carries, closes one direction only, and
//! is cut at the worst moment: after the server has committed, before the client hears of it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

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

/// A socket in front of a Postgres. It forwards until the process ends.
pub struct Proxy {
    folder: PathBuf,
    wire: Arc<Wire>,
}

struct Wire {
    cuts: AtomicUsize,
    weather: Mutex<Weather>,
    changed: Condvar,
    pairs: Mutex<Vec<Weak<Pair>>>,
}

/// A client's connection and its server's.
struct Pair {
    client: UnixStream,
    server: UnixStream,
    half_closed: AtomicBool,
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
            cuts: AtomicUsize::new(0),
            weather: Mutex::new(Weather::Clear),
            changed: Condvar::new(),
            pairs: Mutex::new(Vec::new()),
        });
        let (server, shared) = (server.join(".s.PGSQL.5432"), Arc::clone(&wire));
        let serve = move || {
            for client in listener.incoming().flatten() {
                // Nobody listens there: the client finds its connection closed.
                let Ok(server) = UnixStream::connect(&server) else { continue };
                let pair = Arc::new(Pair { client, server, half_closed: AtomicBool::new(false) });
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
        self.wire.cuts.store(count, Ordering::SeqCst);
    }

    /// How many are still to be cut.
    pub fn uncut(&self) -> usize {
        self.wire.cuts.load(Ordering::SeqCst)
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

fn forward(pair: &Arc<Pair>, wire: &Arc<Wire>) {
    let (asked, carrier) = (Arc::clone(pair), Arc::clone(wire));
    let questions = move || {
        let (mut client, mut server) = (&asked.client, &asked.server);
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            // A simple query of its own: the driver sends it alone and waits.
            let commits = buffer[..read].ends_with(b"COMMIT\0");
            let one_less = |left: usize| left.checked_sub(1);
            if commits && carrier.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                // Nothing comes back to the client from here on, and Postgres commits all the same.
                client.shutdown(Shutdown::Both).ok();
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
            client.write_all(&buffer[..read]).ok();
        }
        client.shutdown(Shutdown::Both).ok();
    };
    std::thread::Builder::new().name("proxy-asks".into()).spawn(questions).expect("a thread");
    std::thread::Builder::new().name("proxy-answers".into()).spawn(answers).expect("a thread");
}
