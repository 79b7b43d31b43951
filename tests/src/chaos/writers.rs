//! The load: hosts that remember, edit and forget through `mcp-server`, and ingests of documents,
//! all of them concurrent and without a break.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ledger::Ledger;
use super::texts::Text;
use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::home::Home;
use pgrecall_harness::mcp::Host;
use pgrecall_harness::wait;

/// The number of hosts, each with a server of its own.
pub(super) const HOSTS: usize = 3;
/// The number of keys of each host; the ingests have five times as many.
const KEYS: usize = 120;
/// The number of keys that all hosts write concurrently.
const HOT_KEYS: usize = 6;
/// A server that has not answered within this time is killed.
const PATIENCE: Duration = Duration::from_secs(45);

/// A function that kills the server of a writer.
type Killer = Box<dyn Fn() + Send>;

/// The state that all writers share.
pub(super) struct Writing {
    home: Arc<Home>,
    ledger: Arc<Ledger>,
    stop: AtomicBool,
    servers: Vec<Mutex<Option<Killer>>>,
    pub(super) acknowledged: AtomicU64,
    pub(super) unheard: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Writing {
    /// Starts the writers. They use the same keys in each round.
    pub(super) fn start(
        home: &Arc<Home>,
        ledger: &Arc<Ledger>,
        rng: &mut SeededRng,
    ) -> (Arc<Self>, Vec<JoinHandle<()>>) {
        let writing = Arc::new(Self {
            home: Arc::clone(home),
            ledger: Arc::clone(ledger),
            stop: AtomicBool::new(false),
            servers: (0..=HOSTS).map(|_| Mutex::new(None)).collect(),
            acknowledged: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let writer = |number: usize, rng: SeededRng| {
            let writing = Arc::clone(&writing);
            let write = move || match number {
                HOSTS => Ingests { writing, rng, texts: BTreeMap::new() }.run(),
                _ => Remembers { writing, number, rng, texts: BTreeMap::new(), ids: BTreeMap::new() }.run(),
            };
            std::thread::Builder::new().name(format!("writer-{number}")).spawn(write).expect("a thread")
        };
        let writers = (0..=HOSTS).map(|number| writer(number, SeededRng(rng.next()))).collect();
        (writing, writers)
    }

    /// Kills the server of a writer that has one. Returns false if no writer has a server.
    pub(super) fn kill_server(&self, rng: &mut SeededRng) -> bool {
        let first = rng.below(self.servers.len());
        let mut others = (0..self.servers.len()).map(|at| &self.servers[(first + at) % self.servers.len()]);
        others.any(|server| {
            let server = server.lock().expect("unpoisoned");
            server.as_ref().map(|kill| kill()).is_some()
        })
    }

    /// Tells the writers to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn pause(&self, time: Duration) {
        wait::within(time, || self.stopped());
    }

    fn heard(&self, key: &str, state: Option<String>, began: Instant) {
        self.ledger.acknowledged(key, state, began);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    fn not_heard(&self, key: &str, state: Option<String>) {
        self.ledger.unheard(key, state);
        self.unheard.fetch_add(1, Ordering::Relaxed);
    }

    fn serves(&self, number: usize, killer: Option<Killer>) {
        *self.servers[number].lock().expect("unpoisoned") = killer;
    }
}

/// A host that remembers and forgets.
struct Remembers {
    writing: Arc<Writing>,
    number: usize,
    rng: SeededRng,
    texts: BTreeMap<String, Text>,
    /// The ids from acknowledged writes. A key whose last write was not acknowledged has no entry.
    ids: BTreeMap<String, Value>,
}

impl Remembers {
    fn run(mut self) {
        while !self.writing.stopped() {
            let mut host = self.writing.home.silent_host(&[]);
            self.writing.serves(self.number, Some(Box::new(host.killer())));
            if host.try_initialize(PATIENCE) {
                while !self.writing.stopped() && self.write(&mut host) {
                    let time = self.rng.millis(2, 20);
                    self.writing.pause(time);
                }
            } else {
                self.writing.pause(Duration::from_millis(200));
            }
            self.writing.serves(self.number, None);
            // A server that did not answer in time could still commit its write later, so kill it.
            if !self.writing.stopped() {
                (host.killer())();
            }
        }
    }

    /// Writes once. Returns false if the server is gone.
    fn write(&mut self, host: &mut Host) -> bool {
        let at = self.rng.below(KEYS + KEYS / 20);
        if at >= KEYS {
            let hot = self.rng.below(HOT_KEYS);
            return self.remember(host, &format!("hot-{hot}"));
        }
        let key = format!("memory-{}-{at}", self.number);
        match self.ids.remove(&key) {
            Some(id) if self.rng.in_a_hundred(20) => self.forget(host, &key, &id),
            Some(id) => {
                self.ids.insert(key.clone(), id);
                self.remember(host, &key)
            }
            None => self.remember(host, &key),
        }
    }

    fn remember(&mut self, host: &mut Host, key: &str) -> bool {
        let rng = &mut self.rng;
        let text = self.texts.entry(key.to_owned()).or_insert_with(|| Text::new(key, rng));
        text.edit(rng);
        // Few keys are ever poisoned: bisecting to each costs the embedder a dozen calls.
        text.poison(key.ends_with("-0") && rng.in_a_hundred(50));
        let text = text.written();
        let (heard, answer) =
            self.call(host, "memory_remember", &json!({"content": text, "key": key}), key, &Some(text));
        match answer {
            Some(answer) if !key.starts_with("hot") => self.ids.insert(key.to_owned(), answer["id"].clone()),
            _ => self.ids.remove(key),
        };
        heard
    }

    fn forget(&mut self, host: &mut Host, key: &str, id: &Value) -> bool {
        self.call(host, "memory_forget", &json!({"ids": [id], "dry_run": false}), key, &None).0
    }

    /// Returns whether the server lives, and its answer unless that was an error.
    fn call(
        &self,
        host: &mut Host,
        tool: &str,
        arguments: &Value,
        key: &str,
        state: &Option<String>,
    ) -> (bool, Option<Value>) {
        let began = Instant::now();
        let answer = host.try_request("tools/call", &json!({"name": tool, "arguments": arguments}), PATIENCE);
        let Some(answer) = answer else {
            // The server may be slow rather than dead. It must be dead before the ledger ends its
            // write, which it could otherwise still commit.
            (host.killer())();
            self.writing.not_heard(key, state.clone());
            return (false, None);
        };
        let result = &answer["result"];
        if answer.get("error").is_some() || result["isError"] == true {
            self.writing.refused.fetch_add(1, Ordering::Relaxed);
            self.writing.not_heard(key, state.clone());
            self.writing.pause(Duration::from_millis(100));
            return (true, None);
        }
        self.writing.heard(key, state.clone(), began);
        (true, Some(result["structuredContent"].clone()))
    }
}

/// Ingests of documents, one after the other.
struct Ingests {
    writing: Arc<Writing>,
    rng: SeededRng,
    texts: BTreeMap<String, Text>,
}

impl Ingests {
    fn run(mut self) {
        let mut number = 0;
        while !self.writing.stopped() {
            number += 1;
            let file = format!("ingest-{number}.jsonl");
            let records = self.records();
            let line = |(key, text): &(String, String)| {
                json!({"_id": key, "title": format!("About {key}"), "text": text}).to_string() + "\n"
            };
            let path = self.writing.home.file(&file, records.iter().map(line).collect::<String>());
            let began = Instant::now();
            let heard = self.ingest(&path);
            std::fs::remove_file(path).ok();
            for (key, text) in records {
                if heard {
                    self.writing.heard(&key, Some(text), began);
                } else {
                    self.writing.not_heard(&key, Some(text));
                }
            }
            let time = self.rng.millis(50, 400);
            self.writing.pause(time);
        }
    }

    fn records(&mut self) -> Vec<(String, String)> {
        let rng = &mut self.rng;
        let count = 20 + rng.below(120);
        let mut keys: Vec<usize> = (0..KEYS * 5).collect();
        rng.shuffle(&mut keys);
        let record = |at: &usize| {
            let key = format!("document-{at}");
            let text = self.texts.entry(key.clone()).or_insert_with(|| Text::new(&key, rng));
            text.edit(rng);
            (key, text.written())
        };
        keys.iter().take(count).map(record).collect()
    }

    /// Returns whether the ingest reported that everything is stored.
    fn ingest(&self, file: &Path) -> bool {
        let mut command = self.writing.home.command("mcp-server", &["ingest", "--no-wait", "--json"]);
        command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Arc::new(Mutex::new(command.spawn().expect("the program is built")));
        let killed = Arc::clone(&child);
        let kill = move || {
            killed.lock().expect("unpoisoned").kill().ok();
        };
        self.writing.serves(HOSTS, Some(Box::new(kill.clone())));
        let ended = |child: &Mutex<Child>| child.lock().expect("unpoisoned").try_wait().expect("it is our child");
        let mut code = None;
        let came = wait::within(PATIENCE, || {
            code = ended(&child);
            code.is_some()
        });
        self.writing.serves(HOSTS, None);
        if !came {
            kill();
            child.lock().expect("unpoisoned").wait().ok();
        }
        code.is_some_and(|code| code.success())
    }
}
