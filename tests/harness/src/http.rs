//! An MCP server over HTTP, and a minimal client: one request per connection, and no checks of its
//! own.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::home::Home;
use crate::programs::{Program, Said};
use crate::wait::{self, PATIENCE};

/// The headers that every client of `/mcp` sends.
pub const JSON: [(&str, &str); 2] =
    [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
/// The protocol revision without sessions and without `initialize`.
pub const MODERN: &str = "2026-07-28";

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the headers, with names in lower case.
    pub head: String,
    /// The body, with its chunks joined.
    pub body: String,
}

impl Answer {
    /// Parses the body as JSON; of an event stream, its last message.
    pub fn json(&self) -> Value {
        let events = self.head.contains("text/event-stream");
        let last = self.body.lines().rev().find_map(|line| line.strip_prefix("data: "));
        let text = if events { last.unwrap_or_default() } else { &self.body };
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A server that this test started.
pub struct Served {
    program: Program,
    /// The address that the server listens on.
    pub address: SocketAddr,
    /// The Authorization header of each request that does not set another.
    pub key: Option<String>,
}

impl Served {
    /// Starts `mcp-server serve` over HTTP on a free port, and waits until it listens.
    pub fn start(home: &Home) -> Self {
        Self::start_at(home, "127.0.0.1:0")
    }

    /// Like [`Self::start`], on this address.
    pub fn start_at(home: &Home, address: &str) -> Self {
        Self::started(home.start(&["serve", "--transport", "http", "--address", address]))
    }

    /// Wraps a server that was started in another way, and waits until the server listens.
    pub fn started(program: Program) -> Self {
        let mut address = None;
        wait::until("the server listens", || {
            assert!(!program.has_ended(), "{}", program.stderr());
            address = said_address(&program.stderr());
            address.is_some()
        });
        Self { program, address: address.expect("it was just seen"), key: None }
    }

    /// Like [`Self::start`], and waits until the server's database is open.
    pub fn ready(home: &Home) -> Self {
        let served = Self::start(home);
        served.wait_ready();
        served
    }

    /// Waits until the server's database is open.
    pub fn wait_ready(&self) {
        wait::until("the server is ready", || self.send("GET", "/readyz", &[], b"").is_some_and(|it| it.status == 200));
    }

    /// Sends a request, and returns the answer, or `None` if the connection was refused or broke
    /// off before the end of the head.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        send(self.address, method, path, &self.with_key(headers), body)
    }

    /// Posts to `/mcp`.
    pub fn post(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", "/mcp", headers, body.as_ref()).expect("the server answers")
    }

    /// Sends a request as a client of the older protocol revisions does.
    pub fn request(&self, method: &str, params: Value) -> Answer {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(&JSON, message.to_string())
    }

    /// Sends a request as a client of the revision without sessions does.
    pub fn request_modern(&self, method: &str, mut params: Value) -> Answer {
        let (meta, name) = (modern_meta(), params["name"].as_str().map(str::to_owned));
        params["_meta"] = meta;
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let mut headers = JSON.to_vec();
        headers.extend([("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)]);
        headers.extend(name.as_deref().map(|name| ("Mcp-Name", name)));
        self.post(&headers, message)
    }

    /// Calls a tool and returns its result, which may be an error.
    pub fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.request("tools/call", json!({"name": tool, "arguments": arguments}));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["result"].clone()
    }

    /// Calls a tool that must succeed, and returns its structured content.
    pub fn ask(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// Opens a session with server-sent events.
    pub fn events(&self) -> Events {
        let mut stream = connect(self.address).expect("the server listens");
        let request = head("GET", "/sse", &self.with_key(&[("Accept", "text/event-stream")]), None);
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut events = Events { stream: BufReader::new(stream), path: String::new() };
        let status = events.line().expect("an answer");
        assert!(status.contains(" 200 "), "{status}");
        events.path = events.next("endpoint").expect("the first event says where to post");
        events
    }

    /// Sends the server a signal.
    pub fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Kills the server with SIGKILL.
    pub fn kill(self) {
        self.program.kill();
    }

    /// Waits until a server that was told to stop has ended.
    pub fn finish(self) -> Said {
        self.program.finish()
    }

    /// The server's standard error so far.
    pub fn stderr(&self) -> String {
        self.program.stderr()
    }

    fn with_key<'a>(&'a self, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let brings_one = headers.iter().any(|(name, _)| *name == "Authorization");
        let key = self.key.as_deref().filter(|_| !brings_one).map(|key| ("Authorization", key));
        headers.iter().copied().chain(key).collect()
    }
}

/// The `_meta` of a request of the revision without sessions.
pub fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// A session with server-sent events.
pub struct Events {
    stream: BufReader<TcpStream>,
    /// The path to which the client posts messages.
    pub path: String,
}

impl Events {
    /// Returns the data of the next event of this kind, or `None` at the end of the stream.
    pub fn next(&mut self, kind: &str) -> Option<String> {
        let mut event = String::new();
        loop {
            let line = self.line()?;
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ")
                && event == kind
            {
                return Some(data.to_owned());
            }
        }
    }

    /// Returns the next message.
    pub fn message(&mut self) -> Value {
        let data = self.next("message").expect("the server answers");
        serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"))
    }

    /// Returns whether the server ends the stream within this time. Keep-alive comments are
    /// skipped.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.stream.get_ref().set_read_timeout(Some(left)).expect("a socket has timeouts");
            let mut line = String::new();
            match self.stream.read_line(&mut line) {
                // The end of the connection, or the last chunk.
                Ok(0) => return true,
                Ok(_) if line.trim_end() == "0" => return true,
                Ok(_) => {}
                Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
        false
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }
}

/// Sends one request on a connection of its own.
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    let mut stream = connect(address)?;
    // A server that refuses a long body answers before it has read all of it, so a failed write of
    // the body is no error here.
    stream.write_all(head(method, path, headers, Some(body.len())).as_bytes()).ok()?;
    stream.write_all(body).ok();
    answer(stream)
}

/// Like [`send`], but fails if the request cannot be written completely, as most clients do.
pub fn send_strictly(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(head("POST", path, headers, Some(body.len())).as_bytes())?;
    stream.write_all(body)?;
    answer(stream).ok_or_else(|| std::io::Error::other("the connection broke off before an answer"))
}

/// Reads a program's `/metrics`; empty if the program does not answer.
pub fn scrape(address: SocketAddr) -> String {
    send(address, "GET", "/metrics", &[], b"").map(|answer| answer.body).unwrap_or_default()
}

/// Returns the value of a metric without labels.
///
/// # Panics
/// If the program does not have the metric.
pub fn metric(address: SocketAddr, name: &str) -> i64 {
    let said = scrape(address);
    let value = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is missing in\n{said}"))
}

/// Returns a local address on which nothing listens.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// Opens a connection, and sends nothing on it.
pub fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// Reads the answer on a connection that the server closes after it.
pub fn answer(mut stream: impl Read) -> Option<Answer> {
    let mut bytes = Vec::new();
    // Bytes that arrived before a connection reset are an answer too.
    stream.read_to_end(&mut bytes).ok();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 4..]);
    let lines: Vec<String> = head
        .lines()
        .map(|line| {
            line.split_once(": ").map_or(line.to_owned(), |(name, value)| format!("{}: {value}", name.to_lowercase()))
        })
        .collect();
    let status = lines[0].split(' ').nth(1)?.parse().ok()?;
    let chunked = lines.iter().any(|line| line == "transfer-encoding: chunked");
    let body = if chunked { put_together(body) } else { body.to_vec() };
    Some(Answer { status, head: lines.join("\n"), body: String::from_utf8_lossy(&body).into_owned() })
}

/// Reads a request from a stream as a server does, and returns its body.
pub fn body_of(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn head(method: &str, path: &str, headers: &[(&str, &str)], length: Option<usize>) -> String {
    let given = |name: &str| headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !given("Host") {
        head.push_str("Host: localhost\r\n");
    }
    if let Some(length) = length {
        head.push_str(&format!("Content-Length: {length}\r\nConnection: close\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

fn put_together(mut chunks: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let length = String::from_utf8_lossy(&chunks[..end]);
        let Ok(length @ 1..) = usize::from_str_radix(length.trim(), 16) else { break };
        let rest = &chunks[end + 2..];
        whole.extend_from_slice(&rest[..length.min(rest.len())]);
        chunks = rest.get(length + 2..).unwrap_or_default();
    }
    whole
}

fn said_address(log: &str) -> Option<SocketAddr> {
    let at = log.split_once("MCP is served at ")?.1.split_once("://")?.1;
    at.split_once("/mcp")?.0.parse().ok()
}
