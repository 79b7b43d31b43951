//! Several servers behind one address: a client does not notice which of them answers, nor that one of them was killed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use system_tests::home::Home;
use system_tests::http::{self, JSON, Served};
use system_tests::nginx::Nginx;
use system_tests::postgres;

const CLIENTS: usize = 4;
/// How long the clients go on, and how often a server is killed under them.
const LOAD: Duration = Duration::from_secs(20);
const EACH: Duration = Duration::from_secs(3);

#[test]
fn a_server_that_is_killed_takes_with_it_what_was_under_way_there_and_nothing_else() {
    let dsn = postgres::database_now();
    let config = format!("database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\n", json!(dsn));
    // One in memory of the other: they share nothing but the database.
    let homes = [Home::with(&config), Home::with(&config)];
    let mut servers: Vec<_> = homes.iter().map(|home| Some(Served::ready(home))).collect();
    let addresses: Vec<_> = servers.iter().flatten().map(|server| server.address).collect();
    servers[0].as_ref().expect("it was just started").ask("memory_remember", json!({"content": "Ana owns billing."}));
    let proxy = Nginx::start(&addresses);
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "memory_recall", "arguments": {"query": "who owns billing?"}}})
    .to_string();
    let (failed, kills) = std::thread::scope(|scope| {
        let client = || {
            let mut failed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = http::send(proxy.address, "POST", "/mcp", &JSON, call.as_bytes());
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
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let (begun, mut kills) = (Instant::now(), Vec::new());
        for turn in (0..homes.len()).cycle() {
            if begun.elapsed() > LOAD {
                break;
            }
            std::thread::sleep(EACH);
            let killed = Instant::now();
            servers[turn].take().expect("it runs").kill();
            kills.push((killed, Instant::now()));
            let server = Served::start_at(&homes[turn], &addresses[turn].to_string());
            server.wait_ready();
            servers[turn] = Some(server);
        }
        over.store(true, Ordering::Relaxed);
        (
            clients.into_iter().flat_map(|client| client.join().expect("a client does not fail")).collect::<Vec<_>>(),
            kills,
        )
    });
    let answered = answered.into_inner();
    // Killed while it was under way: it had begun before the last moment of the kill, and ended after the first.
    let under_way = |begun: &Instant, ended: &Instant| kills.iter().any(|(from, to)| begun <= to && ended >= from);
    let others: Vec<_> =
        failed.iter().filter(|(begun, ended, _)| !under_way(begun, ended)).map(|(.., why)| why).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(failed.len() <= kills.len() * CLIENTS && answered > 100, "{answered} answered, {} failed", failed.len());
}
