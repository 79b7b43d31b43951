//! A wire to Postgres that can be cut at the worst moment: after the server has committed, before the client hears of it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{leash, postgres};

/// A socket in front of the tests' Postgres. It forwards until the test process ends.
pub struct Proxy {
    folder: PathBuf,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// One that forwards everything.
    pub fn start() -> Self {
        let folder = leash::folder("proxy");
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).expect("a fresh folder");
        let cuts = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&cuts);
        let serve = move || {
            for client in listener.incoming().flatten() {
                let server =
                    UnixStream::connect(postgres::directory().join(".s.PGSQL.5432")).expect("Postgres is there");
                forward(&client, &server, Arc::clone(&shared));
            }
        };
        std::thread::Builder::new().name("proxy".into()).spawn(serve).expect("a thread");
        Self { folder, cuts }
    }

    /// The same database through it.
    pub fn dsn(&self, direct: &str) -> String {
        direct.replace(&postgres::directory().display().to_string(), &self.folder.display().to_string())
    }

    /// Keeps the answers to the next so many commits from their clients, and cuts their connections.
    pub fn cut_commits(&self, count: usize) {
        self.cuts.store(count, Ordering::SeqCst);
    }

    /// How many are still to be cut.
    pub fn uncut(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn forward(client: &UnixStream, server: &UnixStream, cuts: Arc<AtomicUsize>) {
    let both = || (client.try_clone().expect("a descriptor"), server.try_clone().expect("a descriptor"));
    let (mut from, mut to) = both();
    let questions = move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            // A simple query of its own: the driver sends it alone and waits.
            let commits = buffer[..read].ends_with(b"COMMIT\0");
            let cut =
                commits && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if cut {
                // Nothing comes back to the client from here on, and Postgres commits all the same.
                from.shutdown(Shutdown::Both).ok();
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Write).ok();
    };
    let (mut to, mut from) = both();
    let answers = move || {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Both).ok();
    };
    std::thread::Builder::new().name("proxy-asks".into()).spawn(questions).expect("a thread");
    std::thread::Builder::new().name("proxy-answers".into()).spawn(answers).expect("a thread");
}
