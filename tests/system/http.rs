//! MCP over HTTP on real connections: both eras of the protocol, the errors that a client can make,
//! and a stop that lets running calls end.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::{DATABASE_FAILS, EMBEDDER_FAILS, Home};
use pgrecall_harness::http::{self, JSON, MODERN, Served, modern_meta};
use pgrecall_harness::proxy::{Proxy, Weather};
use pgrecall_harness::{postgres, wait};
use serde_json::{Value, json};

type Headers<'a> = &'a [(&'a str, &'a str)];

const PING: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;

/// Starts a server that has one memory and whose embedder hangs.
fn hanging(timeout: &str, server: &str) -> (ScriptedEmbedder, Home, Served) {
    let embedder = ScriptedEmbedder::start();
    let url = embedder.url();
    let home = Home::with(&format!(
        "memory: {{ embedding: {{ provider: openai, timeout: {timeout}, openai: {{ url: \"{url}\", model: scripted }} }} }}\n{server}\n"
    ));
    let served = Served::ready(&home);
    served.ask("memory_remember", json!({"content": "Ana owns the billing service."}));
    wait::until("it is embedded", || served.ask("index_status", json!({}))["coverage"] == 1.0);
    embedder.set(Mood::Hanging);
    (embedder, home, served)
}

#[test]
fn one_endpoint_speaks_to_clients_of_both_eras_and_keeps_nothing_between_their_requests() {
    let home = Home::new();
    let served = Served::ready(&home);
    let greeting =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let answer = served.request("initialize", greeting);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("mcp-session-id"), None);
    assert_eq!(answer.json()["result"]["protocolVersion"], "2025-06-18");
    let initialized = served.post(&JSON, r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#);
    assert_eq!(initialized.status, 202);
    let kept = served.ask("memory_remember", json!({"content": "Ana owns the billing service."}));
    // Another replica could answer as well, because there is no session.
    let found = served.ask("memory_recall", json!({"query": "who owns billing?"}));
    assert_eq!(found["memories"][0]["id"], kept["id"]);

    let about = served.request_modern("server/discover", json!({}));
    assert_eq!(about.status, 200, "{about:?}");
    assert!(
        about.json()["result"]["supportedVersions"].as_array().is_some_and(|it| it.contains(&json!(MODERN))),
        "{about:?}"
    );
    let listed = served.request_modern("tools/list", json!({})).json();
    assert_eq!(listed["result"]["cacheScope"], "private", "{listed}");
    assert!(listed["result"]["ttlMs"].is_u64(), "{listed}");
    let call = json!({"name": "memory_recall", "arguments": {"query": "who owns billing?"}});
    let found = served.request_modern("tools/call", call).json();
    assert_eq!(found["result"]["structuredContent"]["memories"][0]["id"], kept["id"], "{found}");
}

#[test]
fn what_is_malformed_is_refused_by_its_status_and_the_server_goes_on() {
    // The checks of a request need no database.
    let home = Home::new();
    let served = Served::start(&home);
    let plain = [("Content-Type", "text/plain"), JSON[1]];
    let pages_only = [JSON[0], ("Accept", "text/html, image/*;q=0.5")];
    let batch = format!("[{PING}]");
    let deep = "[".repeat(200_000);
    let cases: [(Headers, &[u8], u16); 9] = [
        (&JSON, b"{\"jsonrpc\": \"2.0\", \"id\": 1,", 400),
        (&JSON, b"\"\xff\"", 400),
        (&JSON, b"", 400),
        (&JSON, batch.as_bytes(), 400),
        (&JSON, deep.as_bytes(), 400),
        (&JSON, b"{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"ping\"}", 400),
        (&plain, PING.as_bytes(), 415),
        (&pages_only, PING.as_bytes(), 406),
        (&JSON, &vec![b' '; 17 * 1024 * 1024], 413),
    ];
    for (headers, body, status) in cases {
        let answer = served.post(headers, body);
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_eq!(served.post(&JSON, "hello").json()["error"]["code"], -32700);
    assert_eq!(served.request("tools/call", json!({"name": 5})).json()["error"]["code"], -32602);
    assert_eq!(served.request("tools/burn", json!({})).json()["error"]["code"], -32601);
    assert_eq!(served.request_modern("tools/burn", json!({})).status, 404);
    // The revision without sessions has no handshake.
    assert_eq!(served.request_modern("initialize", json!({})).status, 404);
    // A header that contradicts the body, and a body without the fields that its revision requires.
    let listing =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": modern_meta()}}).to_string();
    let says_otherwise = [JSON[0], JSON[1], ("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/call")];
    assert_eq!(served.post(&says_otherwise, &listing).status, 400);
    let bare = [JSON[0], JSON[1], ("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/list")];
    assert_eq!(served.post(&bare, r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}"#).status, 400);
    for (method, path, status) in
        [("GET", "/mcp", 405), ("DELETE", "/mcp", 405), ("GET", "/other", 404), ("GET", "/message", 405)]
    {
        assert_eq!(served.send(method, path, &JSON, b"").map(|answer| answer.status), Some(status), "{method} {path}");
    }
    assert_eq!(served.post(&JSON, PING).status, 200);
}

#[test]
fn an_answer_has_a_type_that_its_client_accepts() {
    let home = Home::new();
    let served = Served::start(&home);
    let wrong = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 5}}"#;
    for (accept, answered) in [
        (None, "application/json"),
        (Some("*/*"), "application/json"),
        (Some("application/json"), "application/json"),
        (Some("application/json, */*"), "application/json"),
        (Some("application/*, text/*"), "application/json"),
        (Some("application/json;q=0.9, text/event-stream;q=0.9"), "application/json"),
        (Some("text/event-stream"), "text/event-stream"),
        (Some("application/json;q=0, */*"), "text/event-stream"),
    ] {
        let headers: Vec<_> = [JSON[0]].into_iter().chain(accept.map(|accept| ("Accept", accept))).collect();
        for (body, part) in [(PING, "result"), (wrong, "error")] {
            let answer = served.post(&headers, body);
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(answered)), "{accept:?}: {answer:?}");
            let message = answer.json();
            assert!(message["id"] == 1 && message.get(part).is_some(), "{accept:?}: {message}");
        }
    }
    for (method, accept, status) in [
        ("POST", "application/*;q=0, text/html", 406),
        ("GET", "application/json", 405),
        ("GET", "*/*", 405),
        ("GET", "text/html", 405),
    ] {
        let answer = served.send(method, "/mcp", &[JSON[0], ("Accept", accept)], PING.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{method} {accept}: {answer:?}");
    }
}

#[test]
fn a_call_that_javascript_cut_or_that_python_wrote_is_answered_under_its_id() {
    let home = Home::new();
    let served = Served::ready(&home);
    let call = |content: &str, more: &str| {
        let arguments = format!(r#"{{"content": "{content}"{more}}}"#);
        format!(
            r#"{{"jsonrpc": "2.0", "id": 903, "method": "tools/call", "params": {{"name": "memory_remember", "arguments": {arguments}}}}}"#
        )
    };
    let cut = served.post(&JSON, call(r"cut emoji \ud83d", "")).json();
    assert_eq!(cut["id"], 903, "{cut}");
    assert!(cut["result"]["structuredContent"]["note"].as_str().is_some_and(|it| it.contains("U+FFFD")), "{cut}");
    let found = served.ask("memory_recall", json!({"query": "cut emoji", "strategy": "lexical"}));
    assert_eq!(found["memories"][0]["content"], "cut emoji \u{fffd}", "{found}");
    let marked = [b"\xEF\xBB\xBF", call("coffee", "").replace("coffee", "tea\tand coffee").as_bytes()].concat();
    let marked = served.post(&JSON, &marked).json();
    assert_eq!((&marked["id"], &marked["result"]["structuredContent"]["stored"]), (&json!(903), &json!("created")));
    let large = served.post(&JSON, call("large", r#", "confidence": 1e400"#)).json();
    assert_eq!(large["id"], 903, "{large}");
    assert!(large["error"]["message"].as_str().is_some_and(|it| it.contains("`confidence` is 1e400")), "{large}");
    // A host of the predecessor gets both answers on its stream.
    let mut events = served.events();
    let greeting =
        json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let greeting = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting}).to_string();
    for (message, part) in [
        (greeting, "result"),
        (call(r"again \ude00", ""), "result"),
        (call("large", r#", "confidence": -1e400"#), "error"),
    ] {
        assert_eq!(served.send("POST", &events.path, &JSON, message.as_bytes()).unwrap().status, 202);
        let answer = events.message();
        assert!(answer["id"].is_number() && answer.get(part).is_some(), "{answer}");
    }
}

#[test]
fn a_peer_that_is_slow_or_says_nonsense_costs_a_connection_and_no_more() {
    let home = Home::new();
    let served = Served::start(&home);
    let mut idle: Vec<TcpStream> = (0..100).filter_map(|_| http::connect(served.address)).collect();
    let mut half = http::connect(served.address).unwrap();
    let head =
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    half.write_all(head.as_bytes()).unwrap();
    let mut nonsense = http::connect(served.address).unwrap();
    nonsense.write_all(b"\x16\x03\x01\x00\xa5\x01 GET / MCP\r\n\r\n").unwrap();
    assert!(http::answer(nonsense).is_none_or(|answer| answer.status == 400));
    idle.iter_mut().for_each(|stream| drop(stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: lo")));
    assert_eq!(served.post(&JSON, PING).status, 200);
    let begun = Instant::now();
    assert_eq!(http::answer(half).expect("it is told").status, 408);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_client_that_writes_its_whole_request_first_reads_why_it_was_refused() {
    let home = Home::with("server: { anonymous: never }");
    let closed = Served::start(&home);
    let wrong = [JSON[0], JSON[1], ("Authorization", "Bearer pgr_0")];
    let long = vec![b' '; 12 * 1024 * 1024];
    for (path, body) in [("/mcp", &long[..900_000]), ("/mcp", &long), ("/message", &long), ("/other", &long)] {
        let refused = http::send_strictly(closed.address, path, &wrong, body).expect(path);
        assert_eq!(refused.status, if path == "/other" { 404 } else { 401 }, "{refused:?}");
    }
    let open = Home::new();
    let open = Served::start(&open);
    let refused = http::send_strictly(open.address, "/mcp", &JSON, &long).expect("it reads the answer");
    assert_eq!(refused.status, 413);
    assert!(refused.body.contains("longer than 1 MiB"), "{refused:?}");
}

#[test]
fn pages_of_other_sites_cannot_reach_the_server() {
    let mut home = Home::new();
    home.configure("server: { allowed_origins: [\"https://app.example\"] }");
    let served = Served::start(&home);
    let with = |name, value| served.post(&[JSON[0], JSON[1], (name, value)], PING);
    assert_eq!(with("Host", "evil.example").status, 403);
    assert_eq!(with("Host", "localhost.evil.example").status, 403);
    assert_eq!(with("Origin", "https://evil.example").status, 403);
    assert_eq!(with("Origin", "null").status, 403);
    assert_eq!(with("Origin", "http://localhost").status, 200);
    let allowed = with("Origin", "https://app.example");
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, Some("https://app.example")));
    let asked = [
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,mcp-protocol-version"),
    ];
    let preflight = served.send("OPTIONS", "/mcp", &asked, b"").unwrap();
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization,mcp-protocol-version"));
    let evil = served.send("OPTIONS", "/mcp", &[("Origin", "https://evil.example"), asked[1]], b"").unwrap();
    assert_eq!(evil.header("access-control-allow-origin"), None);
}

#[test]
fn a_host_that_knows_only_server_sent_events_is_served_like_one_on_stdio() {
    let home = Home::new();
    let served = Served::ready(&home);
    let mut events = served.events();
    let post = |path: &str, message: &Value| {
        // On several lines, as some clients send it.
        let body = serde_json::to_string_pretty(message).unwrap();
        served.send("POST", path, &JSON, body.as_bytes()).unwrap().status
    };
    let early = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/list"});
    assert_eq!(post(&events.path, &early), 202);
    assert!(events.message()["error"]["message"].as_str().is_some_and(|it| it.contains("initialize")));
    let greeting =
        json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    assert_eq!(
        post(&events.path, &json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting})),
        202
    );
    assert_eq!(events.message()["result"]["protocolVersion"], "2024-11-05");
    assert_eq!(post(&events.path, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})), 202);
    let remember = json!({"name": "memory_remember", "arguments": {"content": "Line one.\nLine two."}});
    assert_eq!(
        post(&events.path, &json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": remember})),
        202
    );
    assert_eq!(events.message()["result"]["structuredContent"]["stored"], "created");
    assert_eq!(served.send("POST", &events.path, &JSON, b"{]").unwrap().status, 400);
    for path in ["/message", "/message?sessionId=1", "/message?sessionId=00000000-0000-4000-8000-000000000000"] {
        assert_eq!(post(path, &early), 404, "{path}");
    }
    let path = events.path.clone();
    drop(events);
    // The server notices at its next write to the stream.
    assert!(wait::within(Duration::from_secs(40), || post(&path, &early) == 404));
}

#[test]
fn https_takes_its_files_anew_when_they_are_renewed() {
    let mut home = Home::new();
    home.expect_logs(&["the certificate that was in use stays in use"]);
    let (certificate, key) = (home.folder().join("tls.pem"), home.folder().join("tls.key"));
    let issue = |name: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost", "-keyout"]).arg(&key);
        assert!(openssl.arg("-out").arg(&certificate).output().unwrap().status.success());
    };
    issue("first");
    home.configure(&format!("server: {{ tls: {{ certificate: {certificate:?}, key: {key:?} }} }}"));
    let served = Served::start(&home);
    let seen = |trusted: &std::path::Path| {
        let request = "printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'";
        let script =
            format!("{request} | openssl s_client -connect {} -ign_eof -CAfile {trusted:?} 2>&1", served.address);
        String::from_utf8_lossy(&Command::new("sh").args(["-c", &script]).output().unwrap().stdout).into_owned()
    };
    let authority = home.file("authority.pem", std::fs::read(&certificate).unwrap());
    let first = seen(&authority);
    assert!(
        first.contains("CN = first") && first.contains("200 OK") && first.contains("Verify return code: 0"),
        "{first}"
    );
    // An incomplete file changes nothing.
    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\n").unwrap();
    wait::until("the broken file was seen", || {
        assert!(seen(&authority).contains("CN = first"));
        served.stderr().contains("stays in use")
    });
    issue("second");
    wait::until("the renewed certificate is used", || seen(&authority).contains("CN = second"));
}

#[test]
fn a_server_without_room_says_when_to_come_again() {
    let (embedder, home, served) = hanging("5s", "server: { max_requests: 2 }");
    home.expect_logs(EMBEDDER_FAILS);
    assert!(embedder.calls() > 0);
    let statuses = std::thread::scope(|scope| {
        let ask = |_| {
            let served = &served;
            scope.spawn(move || {
                let call = json!({"name": "memory_recall", "arguments": {"query": "who owns billing?"}});
                served.request("tools/call", call)
            })
        };
        let asking: Vec<_> = (0..12).map(ask).collect();
        // A probe needs no permit.
        assert_eq!(served.send("GET", "/healthz", &[], b"").unwrap().status, 200);
        asking.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    let (answered, refused): (Vec<_>, Vec<_>) = statuses.iter().partition(|answer| answer.status == 200);
    assert!(!answered.is_empty() && !refused.is_empty(), "{statuses:?}");
    assert!(refused.iter().all(|it| it.status == 503 && it.header("retry-after").is_some()), "{refused:?}");
}

#[test]
fn told_to_stop_it_answers_what_was_asked_and_takes_no_more() {
    let (embedder, home, served) = hanging("3s", "");
    home.expect_logs(EMBEDDER_FAILS);
    let mut events = served.events();
    let before = embedder.calls();
    let (begun, answer) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| served.ask("memory_recall", json!({"query": "who owns billing?"})));
        wait::until("the query is being embedded", || embedder.calls() > before);
        let begun = Instant::now();
        served.signal("TERM");
        wait::until("nothing new is taken", || http::connect(served.address).is_none());
        (begun, asking.join().unwrap())
    });
    assert_eq!((answer["degraded"].as_bool(), answer["count"].as_i64()), (Some(true), Some(1)), "{answer}");
    assert_eq!(events.next("message"), None, "the session ends with the server");
    let said = served.finish();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn nobody_is_let_in_without_credentials_where_the_world_can_reach_the_server() {
    for closed in ["anonymous: never", "public_url: \"https://recall.example\""] {
        let mut home = Home::new();
        home.configure(&format!("server: {{ {closed} }}"));
        let served = Served::start(&home);
        let answer = served.post(&JSON, PING);
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{answer:?}");
        assert_eq!(served.send("GET", "/sse", &[], b"").unwrap().status, 401);
        assert_eq!(served.send("GET", "/healthz", &[], b"").unwrap().status, 200);
    }
}

#[test]
fn recalls_go_on_while_writes_flood() {
    let dsn = postgres::database_now();
    let home = Home::with(&format!(
        "database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\nserver: {{ rate_limit: 0 }}\n",
        json!(dsn)
    ));
    let served = Served::ready(&home);
    served.ask("memory_remember", json!({"content": "Ana owns the billing service."}));
    let over = AtomicBool::new(false);
    let (stored, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let written = served.call("memory_remember", json!({"content": "The flood rises. ".repeat(500)}));
                    if written["isError"] == true {
                        let why = written["content"][0]["text"].as_str().unwrap();
                        assert!(
                            why.contains("of your calls are waiting already")
                                || why.contains("was refused, and nothing was done"),
                            "{why}"
                        );
                        refused.fetch_add(1, Ordering::Relaxed);
                    } else {
                        stored.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // Stop the writers even if a recall fails the test, because the scope waits for them.
        let end = OnDrop(|| over.store(true, Ordering::Relaxed));
        let mut recalls = 0;
        let went_on = wait::within(wait::PATIENCE, || {
            let found = served.ask("memory_recall", json!({"query": "who owns billing?"}));
            assert_eq!(found["memories"][0]["content"], "Ana owns the billing service.", "{found}");
            recalls += 1;
            recalls > 5 && [&stored, &refused].iter().all(|count| count.load(Ordering::Relaxed) > 20)
        });
        drop(end);
        assert!(went_on, "{recalls} recalls, {stored:?} stored, {refused:?} refused");
    });
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Makes up to four random changes to the bytes.
fn spoil(rng: &mut SeededRng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len());
        match rng.below(5) {
            0 => bytes[at] = rng.next() as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *rng.pick(b"\0\r\n{}[]\",: \xff9e")),
            3 => bytes.truncate(at),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
        }
    }
}

#[test]
fn a_thousand_spoilt_requests_are_refused_or_answered_and_the_server_goes_on() {
    let home = Home::new();
    let served = Served::start(&home);
    let greeting =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let bodies = [
        PING.to_owned(),
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting}).to_string(),
        json!({"jsonrpc": "2.0", "id": "x", "method": "tools/list", "params": {"_meta": modern_meta()}}).to_string(),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}).to_string(),
    ];
    let mut rng = SeededRng(7);
    for turn in 0..1_000 {
        let mut body = rng.pick(&bodies).clone().into_bytes();
        if turn % 2 == 0 {
            spoil(&mut rng, &mut body);
        }
        let path = *rng.pick(&["/mcp", "/message?sessionId=00000000-0000-4000-8000-000000000000"]);
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: {MODERN}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        if turn % 2 == 1 {
            spoil(&mut rng, &mut request);
        }
        request.extend(&body);
        let mut stream = http::connect(served.address).expect("the server goes on");
        // A server that waits for the rest of the request is not waited for. The test of slow peers
        // covers that case.
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream.write_all(&request).ok();
        if let Some(answer) = http::answer(stream) {
            assert!(answer.status < 500, "{answer:?} to {}", String::from_utf8_lossy(&request));
        }
    }
    assert_eq!(served.post(&JSON, PING).status, 200);
    assert!(!served.stderr().contains("panic"), "{}", served.stderr());
}

#[test]
fn readiness_follows_the_database_however_often_it_is_asked_for() {
    let proxy = Proxy::start();
    let dsn = proxy.dsn(&postgres::database_now());
    let home =
        Home::with(&format!("database: {{ dsn: {} }}\nmemory: {{ embedding: {{ provider: noop }} }}\n", json!(dsn)));
    home.expect_logs(DATABASE_FAILS);
    let served = Served::ready(&home);
    // Ask without a pause: requests must not extend the life of the cached answer.
    let status = || served.send("GET", "/readyz", &[], b"").map(|answer| answer.status);
    assert_eq!(status(), Some(200));
    proxy.set(Weather::Still);
    proxy.drop_connections();
    assert!(wait::within(Duration::from_secs(15), || status() == Some(503)), "it goes on saying that all is well");
    assert_eq!(served.send("GET", "/healthz", &[], b"").map(|answer| answer.status), Some(200));
    proxy.set(Weather::Clear);
    served.wait_ready();
}
