//! An MCP host that knows just enough of the protocol: one JSON message a line over a program's stdin and stdout.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::leash;
use crate::wait::{self, PATIENCE};

/// A server with this process as its host. The server ends with its input, and so with this.
pub struct Host {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    last_id: i64,
}

impl Host {
    /// Starts the server; nothing is said yet.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server can be started");
        let stdout = BufReader::new(child.stdout.take().expect("a piped output"));
        let (sender, lines) = channel();
        let read = move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
        std::thread::Builder::new().name("host-reads".into()).spawn(read).expect("a thread");
        let stdin = child.stdin.take();
        Self { child, stdin, lines, last_id: 0 }
    }

    /// Opens the session, and returns what the server says of itself.
    pub fn initialize(&mut self) -> Value {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let answer = self.request("initialize", params);
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer["result"].clone()
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        writeln!(stdin, "{message}").and_then(|()| stdin.flush()).expect("the server reads");
    }

    /// The next message, whatever it is. Whatever is not JSON has no business on stdout.
    pub fn receive(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("the server answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("stdout carries something else ({error}): {line}"))
    }

    /// Sends a request and returns the whole answer to it.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
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
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.request("tools/call", json!({"name": tool, "arguments": arguments}));
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// Calls a tool that must succeed, and returns its structured content.
    pub fn ask(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// Waits until everything is embedded.
    pub fn wait_embedded(&mut self) {
        wait::until("everything is embedded", || self.ask("index_status", json!({}))["coverage"] == 1.0);
    }

    /// Kills the server on the spot.
    pub fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was running");
    }

    /// Ends the input, and waits for the server to leave in good order.
    pub fn leave(mut self) {
        self.stdin = None;
        let mut code = None;
        wait::until("the server leaves when its input ends", || {
            code = self.child.try_wait().expect("it is our child");
            code.is_some()
        });
        assert!(code.is_some_and(|code| code.success()), "{code:?}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stdin = None;
        // A test that fails half-way waits no longer than it must, and one that ended has no server any more.
        if !wait::within(std::time::Duration::from_secs(10), || {
            self.child.try_wait().is_ok_and(|ended| ended.is_some())
        }) {
            leash::signal(self.child.id(), "KILL");
            self.child.wait().ok();
        }
    }
}
