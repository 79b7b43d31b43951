//! The worker's health and metrics over HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::{DATABASE_FAILS, EMBEDDER_FAILS, Home};
use pgrecall_harness::{postgres, wait};
use serde_json::{Value, json};

/// Returns status and body of a GET; the status is 0 while nothing listens.
fn get(address: &str, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, String::new()) };
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

#[test]
fn a_worker_tells_its_health_and_its_metrics_and_is_ready_without_its_embedder() {
    let embedder = ScriptedEmbedder::start();
    let address = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").to_string();
    let config = embedder.config(&postgres::database_now());
    let home = Home::with(&format!("{config}apigateway:\n  embed_jobs: {{ address: \"{address}\" }}\n"));
    home.expect_logs(EMBEDDER_FAILS);
    let worker = home.worker();
    wait::until("the worker is ready", || get(&address, "/readyz").0 == 200);
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".into()));
    let mut host = home.host();
    for text in ["one", "two", "three"] {
        host.ask("memory_remember", json!({"content": format!("Fact {text} is counted.")}));
    }
    host.wait_embedded();
    let (status, metrics) = get(&address, "/metrics");
    assert_eq!(status, 200, "{metrics}");
    for line in [
        "pgrecall_jobs_total{outcome=\"settled\"} 3",
        "pgrecall_vectors_total{outcome=\"stored\"} 3",
        "pgrecall_embedded_texts_total 3",
        "pgrecall_breaker_open 0",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|said| said == line), "{line} is missing in\n{metrics}");
    }

    embedder.set(Mood::Failing(503));
    host.ask("memory_remember", json!({"content": "This one waits."}));
    let mut body = Value::Null;
    wait::until("the worker says that its embedder is away", || {
        let (status, said) = get(&address, "/readyz");
        body = serde_json::from_str(&said).expect("JSON");
        status == 200 && body["degraded"] == true
    });
    assert_eq!(body["embedder"], "down", "{body}");
    // The worker holds the job for a moment, and then returns it. The queue counts it in both
    // states.
    let (_, metrics) = get(&address, "/metrics");
    assert!(metrics.contains("pgrecall_queue_jobs{kind=\"memory\""), "{metrics}");
    assert!(metrics.contains("pgrecall_breaker_open 1"), "{metrics}");
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn a_worker_whose_database_is_not_there_yet_lives_and_says_that_it_is_not_ready() {
    let [address, nobody] = [(); 2].map(|()| pgrecall_harness::http::free_address().to_string());
    let home = Home::with(&format!(
        "database: {{ dsn: \"postgres://u:p@{nobody}/x\" }}\nmemory: {{ embedding: {{ provider: noop }} }}\n\
         apigateway: {{ embed_jobs: {{ address: \"{address}\" }} }}\n"
    ));
    home.expect_logs(DATABASE_FAILS);
    let worker = home.worker();
    wait::until("it lives", || get(&address, "/healthz").0 == 200);
    assert_eq!(get(&address, "/readyz").0, 503);
    let (status, metrics) = get(&address, "/metrics");
    assert!(status == 200 && metrics.contains("pgrecall_database_up 0"), "{metrics}");
    assert_eq!(worker.stop().code, 0);
}
