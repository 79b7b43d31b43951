//! An MCP host that knows just enough of the protocol: one JSON message a line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::home::Home;

/// Longer than anything takes, first start of Postgres included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with this process as its host.
pub(crate) struct Host {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    last_id: i64,
}

impl Host {
    /// Starts the server; nothing is said yet.
    pub(crate) fn start(home: &Home) -> Self {
        let mut command = home.command(&[]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        let read = move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
        std::thread::Builder::new().name("host-reads".into()).spawn(read).unwrap();
        let stdin = child.stdin.take();
        Self { child, stdin, lines, last_id: 0 }
    }

    /// Starts the server and opens the session.
    pub(crate) fn connect(home: &Home) -> Self {
        let mut host = Self::start(home);
        host.initialize();
        host
    }

    /// Opens the session, and returns what the server says of itself.
    pub(crate) fn initialize(&mut self) -> Value {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let answer = self.request("initialize", params);
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer["result"].clone()
    }

    /// Sends bytes and a line break.
    pub(crate) fn send_raw(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        stdin.write_all(line).and_then(|()| stdin.write_all(b"\n")).and_then(|()| stdin.flush()).unwrap();
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &Value) {
        self.send_raw(message.to_string().as_bytes());
    }

    /// The next message, whatever it is. Whatever is not JSON has no business on stdout.
    pub(crate) fn receive(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("the server answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("stdout carries something else ({error}): {line}"))
    }

    /// Sends a request and returns the whole answer to it.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.receive();
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Calls a tool and returns its result, which may be an error.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.request("tools/call", json!({"name": tool, "arguments": arguments}));
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// Calls a tool that must succeed, and returns its structured content.
    pub(crate) fn ask(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{result}");
        let structured = result["structuredContent"].clone();
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, structured, "hosts that read only text miss nothing");
        structured
    }

    /// Calls a tool that must fail, and returns the sentence.
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Waits until everything is embedded.
    pub(crate) fn wait_embedded(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask("index_status", json!({}))["coverage"] != 1.0 {
            assert!(Instant::now() < deadline, "{}", self.ask("index_status", json!({})));
        }
    }

    /// Asks the server to leave with a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Ends the input.
    pub(crate) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// What is still on stdout, to its end; and the exit code.
    pub(crate) fn leave(mut self) -> (Vec<Value>, i32) {
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest.push(serde_json::from_str(&line).unwrap());
        }
        let code = self.child.wait().unwrap().code().expect("it ended by itself");
        (rest, code)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test that failed half-way leaves no server behind; one that ended has none.
        self.hang_up();
        let _ = self.child.wait();
    }
}
