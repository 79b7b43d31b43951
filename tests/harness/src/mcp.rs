//! A minimal MCP host: one JSON message per line over a program's stdin and stdout.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::programs;
use crate::wait::{self, PATIENCE};

/// A server with this process as its host. The server ends when its input closes, so it ends with
/// this.
pub struct Host {
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    last_id: i64,
}

impl Host {
    /// Starts the server, and sends nothing yet.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server can be started");
        let stdout = BufReader::new(child.stdout.take().expect("a piped output"));
        let (sender, lines) = channel();
        let read = move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
        std::thread::Builder::new().name("host-reads".into()).spawn(read).expect("a thread");
        let stdin = child.stdin.take();
        Self { child: Arc::new(Mutex::new(child)), stdin, lines, last_id: 0 }
    }

    /// Returns a function that kills the server with SIGKILL, from any thread, even if the server
    /// has ended already.
    pub fn killer(&self) -> impl Fn() + Send + use<> {
        let child = Arc::clone(&self.child);
        move || {
            child.lock().expect("unpoisoned").kill().ok();
        }
    }

    /// Sends a request to a server that may be killed at any time. Returns `None` if no answer
    /// arrives in time.
    pub fn try_request(&mut self, method: &str, params: &Value, time: Duration) -> Option<Value> {
        self.last_id += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        writeln!(self.stdin.as_mut()?, "{message}").ok()?;
        let deadline = Instant::now() + time;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
            // A line that was cut off by a kill is no answer.
            let message: Value = serde_json::from_str(&line).ok()?;
            if message["id"] == self.last_id {
                return Some(message);
            }
        }
    }

    /// Initializes the session, and returns the server's description of itself.
    pub fn initialize(&mut self) -> Value {
        let answer = self.request("initialize", greeting());
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer["result"].clone()
    }

    /// Like [`Self::initialize`], with a server that may be killed at any time. Returns false if it
    /// gave no answer.
    pub fn try_initialize(&mut self, time: Duration) -> bool {
        let answered = self.try_request("initialize", &greeting(), time).is_some();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        answered && self.stdin.as_mut().is_some_and(|stdin| writeln!(stdin, "{initialized}").is_ok())
    }

    /// Sends bytes and a line break.
    pub fn send_raw(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        let sent = stdin.write_all(line).and_then(|()| stdin.write_all(b"\n")).and_then(|()| stdin.flush());
        sent.expect("the server reads");
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.send_raw(message.to_string().as_bytes());
    }

    /// Returns the next message of any kind. Panics if stdout carries something that is not JSON.
    pub fn receive(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("the server answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("stdout carries something else ({error}): {line}"))
    }

    /// Sends a request and returns the whole answer.
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
        let structured = result["structuredContent"].clone();
        let text = result["content"][0]["text"].as_str().map(serde_json::from_str::<Value>);
        assert_eq!(text.and_then(Result::ok).as_ref(), Some(&structured), "hosts that read only text miss nothing");
        structured
    }

    /// Calls a tool that must fail, and returns the error's text.
    pub fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().expect("a refusal says why").to_owned()
    }

    /// Waits until everything is embedded.
    pub fn wait_embedded(&mut self) {
        wait::until("everything is embedded", || self.ask("index_status", json!({}))["coverage"] == 1.0);
    }

    /// Sends the server a signal.
    pub fn signal(&self, name: &str) {
        programs::signal(self.child.lock().expect("unpoisoned").id(), name);
    }

    /// Closes the server's input.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Returns the rest of stdout and the exit code, once the server has ended.
    pub fn finish(self) -> (Vec<Value>, i32) {
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest.push(serde_json::from_str(&line).expect("stdout carries JSON"));
        }
        let ended = self.child.lock().expect("unpoisoned").wait().expect("it is our child");
        (rest, ended.code().expect("it exited without a signal"))
    }

    /// Kills the server with SIGKILL.
    pub fn kill(self) {
        let mut child = self.child.lock().expect("unpoisoned");
        child.kill().and_then(|()| child.wait()).expect("it was running");
    }

    /// Closes the server's input, and waits until the server exits with success.
    pub fn leave(mut self) {
        self.stdin = None;
        let mut code = None;
        wait::until("the server leaves when its input ends", || {
            code = self.child.lock().expect("unpoisoned").try_wait().expect("it is our child");
            code.is_some()
        });
        assert!(code.is_some_and(|code| code.success()), "{code:?}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stdin = None;
        // Kills a server that does not exit soon: a failed test must not wait long, and no server
        // may outlive its test.
        let has_ended = || self.child.lock().is_ok_and(|mut child| child.try_wait().is_ok_and(|ended| ended.is_some()));
        if !wait::within(Duration::from_secs(10), has_ended)
            && let Ok(mut child) = self.child.lock()
        {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

fn greeting() -> Value {
    json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}})
}
