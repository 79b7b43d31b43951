//! Several servers behind one address: a client notices neither which server answers, nor that one
//! of them was killed or replaced.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pgrecall_harness::home::Home;
use pgrecall_harness::http::{self, JSON, Served};
use pgrecall_harness::nginx::Nginx;
use pgrecall_harness::{postgres, wait};
use serde_json::json;

const CLIENTS: usize = 4;
/// The duration of the load, and the time between two kills of a server.
const LOAD: Duration = Duration::from_secs(20);
const EACH: Duration = Duration::from_secs(3);

/// Two servers that share only the database.
struct Replicas {
    homes: [Home; 2],
    servers: Vec<Option<Served>>,
    proxy: Nginx,
}

/// A request that failed: when it began and ended, and the answer.
type Failed = (Instant, Instant, String);

impl Replicas {
    fn start(server: &str) -> Self {
        let dsn = json!(postgres::database_now());
        let config = format!(
            "database: {{ dsn: {dsn} }}\nmemory: {{ embedding: {{ provider: noop }} }}\nserver: {{ {server} }}\n"
        );
        let homes = [Home::with(&config), Home::with(&config)];
        let servers: Vec<_> = homes.iter().map(|home| Some(Served::ready(home))).collect();
        let first = servers[0].as_ref().expect("it was just started");
        first.ask("memory_remember", json!({"content": "Ana owns billing."}));
        let addresses: Vec<_> = servers.iter().flatten().map(|server| server.address).collect();
        Self { homes, servers, proxy: Nginx::start(&addresses) }
    }

    /// Ends the server `turn` with `end`, and starts another in its place.
    fn replace(&mut self, turn: usize, end: impl FnOnce(Served, &Nginx)) {
        let server = self.servers[turn].take().expect("it runs");
        let address = server.address;
        end(server, &self.proxy);
        let server = Served::start_at(&self.homes[turn], &address.to_string());
        server.wait_ready();
        self.servers[turn] = Some(server);
    }

    /// Runs `action` while several clients recall through the proxy without a pause. Returns the
    /// number of answers, and the failed requests.
    fn under_load(&mut self, action: impl FnOnce(&mut Self)) -> (usize, Vec<Failed>) {
        let (over, answered, proxy) = (AtomicBool::new(false), AtomicUsize::new(0), self.proxy.address);
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "memory_recall", "arguments": {"query": "who owns billing?"}}})
        .to_string();
        let client = || {
            let mut failed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = http::send(proxy, "POST", "/mcp", &JSON, call.as_bytes());
                match answer {
                    Some(answer) if answer.status == 200 => {
                        assert_eq!(answer.json()["result"]["structuredContent"]["count"], 1, "{answer:?}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    other => failed.push((begun, Instant::now(), format!("{other:?}"))),
                }
            }
            failed
        };
        let failed = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            action(self);
            over.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().expect("a client does not fail")).collect()
        });
        (answered.into_inner(), failed)
    }
}

#[test]
fn a_server_that_is_killed_takes_with_it_what_was_under_way_there_and_nothing_else() {
    let mut kills = Vec::new();
    let (answered, failed) = Replicas::start("").under_load(|replicas| {
        let begun = Instant::now();
        for turn in [0, 1].into_iter().cycle().take_while(|_| begun.elapsed() <= LOAD) {
            std::thread::sleep(EACH);
            let killed = Instant::now();
            replicas.replace(turn, |server, _| {
                server.kill();
                kills.push((killed, Instant::now()));
            });
        }
    });
    // A request failed because of a kill if it was in flight during the kill: it began before the
    // kill's end, and ended after its beginning.
    let under_way = |begun: &Instant, ended: &Instant| kills.iter().any(|(from, to)| begun <= to && ended >= from);
    let others: Vec<_> =
        failed.iter().filter(|(begun, ended, _)| !under_way(begun, ended)).map(|(.., why)| why).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(failed.len() <= kills.len() * CLIENTS && answered > 100, "{answered} answered, {} failed", failed.len());
}

fn ready(server: &Served) -> Option<u16> {
    server.send("GET", "/readyz", &[], b"").map(|answer| answer.status)
}

#[test]
fn servers_that_are_replaced_one_after_the_other_fail_nobody() {
    let (answered, failed) = Replicas::start("shutdown_delay: 2s").under_load(|replicas| {
        let addresses: Vec<_> = replicas.servers.iter().flatten().map(|server| server.address).collect();
        for turn in [0, 1, 0, 1] {
            // As a platform does: a server that is not ready gets no new requests, and gets them
            // again when it is ready.
            replicas.replace(turn, |server, proxy| {
                server.signal("TERM");
                wait::until("it says that it stops", || ready(&server) == Some(503));
                proxy.send_to(&[addresses[1 - turn]]);
                let said = server.finish();
                assert_eq!(said.code, 0, "{}", said.stderr);
            });
            replicas.proxy.send_to(&addresses);
        }
    });
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(answered > 100, "{answered} answered");
}
