//! An HTTP server whose answers a test scripts, above all faults.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A request that the server received.
#[derive(Debug, Clone)]
pub struct Request {
    /// The path, without the host.
    pub path: String,
    /// The headers, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body as JSON; `Null` if it is empty.
    pub body: Value,
}

impl Request {
    /// Returns the texts to embed, whatever the provider.
    pub fn texts(&self) -> Vec<String> {
        let input = ["input", "inputs", "prompt"].iter().find_map(|key| self.body.get(key));
        match input {
            Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Sends a whole response.
    Whole {
        /// The status code.
        status: u16,
        /// Headers other than the length of the body.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// Sends a head with the length of the body, half of the body, and closes the connection.
    CutOff(String),
    /// Sends nothing until the script changes, and then asks the new script.
    Hang,
    /// Asks again after this time, or as soon as the script changes.
    Delay(Duration),
    /// Closes the connection without a byte.
    Close,
}

/// Binds a free port of this machine.
pub fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

/// Makes an answer with a status and a JSON body.
pub fn json_answer(status: u16, body: Value) -> Answer {
    Answer::Whole { status, headers: vec![("Content-Type", "application/json".into())], body: body.to_string() }
}

/// Makes an answer with a body that is not JSON.
pub fn text_answer(status: u16, kind: &str, body: &str) -> Answer {
    Answer::Whole { status, headers: vec![("Content-Type", kind.into())], body: body.to_owned() }
}

/// Answers a request. The flag says whether the request was delayed already.
type Script = Box<dyn FnMut(&Request, bool) -> Answer + Send>;

struct State {
    script: Script,
    /// Counts the changes of the script.
    version: u64,
    listens: bool,
    ended: bool,
    calls: usize,
    /// The requests so far, if they are recorded.
    requests: Option<Vec<Request>>,
}

struct Stage {
    state: Mutex<State>,
    changed: Condvar,
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }
}

/// The server. It serves until it is dropped.
pub struct ScriptedServer {
    stage: Arc<Stage>,
    /// The address that it listens on.
    pub address: SocketAddr,
}

impl ScriptedServer {
    /// Starts a server on a free port that records its requests.
    pub fn start(mut script: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let server = Self::listen(free_port(), move |request, _| script(request));
        server.stage.lock().requests = Some(Vec::new());
        server
    }

    /// Starts a server on this socket, whose script is told whether it has delayed the request.
    pub fn listen(listener: TcpListener, script: impl FnMut(&Request, bool) -> Answer + Send + 'static) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let state =
            State { script: Box::new(script), version: 0, listens: true, ended: false, calls: 0, requests: None };
        let stage = Arc::new(Stage { state: Mutex::new(state), changed: Condvar::new() });
        let serving = Arc::clone(&stage);
        let accept = move || accept(listener, address, &serving);
        thread::Builder::new().name("scripted-server".into()).spawn(accept).expect("a thread");
        Self { stage, address }
    }

    /// The server's base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces the script. Requests that hang or are delayed are answered by the new one.
    pub fn script(&self, mut script: impl FnMut(&Request) -> Answer + Send + 'static) {
        self.stage.lock().script = Box::new(move |request, _| script(request));
        self.changed();
    }

    /// Has the script asked again about requests that hang or are delayed.
    pub fn changed(&self) {
        self.stage.lock().version += 1;
        self.stage.changed.notify_all();
    }

    /// Stops listening, so that the system refuses connections, or listens again.
    pub fn set_listening(&self, listens: bool) {
        self.stage.lock().listens = listens;
        self.changed();
        if !listens {
            // Wakes the thread that accepts connections.
            TcpStream::connect(self.address).ok();
        }
    }

    /// The number of requests so far.
    pub fn calls(&self) -> usize {
        self.stage.lock().calls
    }

    /// Returns the requests to `path`, in order.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let state = self.stage.lock();
        let recorded = state.requests.as_ref().expect("a server made by `start` records its requests");
        recorded.iter().filter(|request| request.path == path).cloned().collect()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.stage.lock().ended = true;
        self.script(|_| Answer::Close);
        self.set_listening(false);
    }
}

fn accept(mut listener: TcpListener, address: SocketAddr, stage: &Arc<Stage>) {
    loop {
        let accepted = listener.accept();
        let state = stage.lock();
        if state.ended {
            return;
        }
        if !state.listens {
            drop((accepted, listener));
            let state = stage.changed.wait_while(state, |state| !state.listens && !state.ended);
            if state.expect("unpoisoned").ended {
                return;
            }
            listener = TcpListener::bind(address).expect("the port is still free");
        } else if let Ok((stream, _)) = accepted {
            let stage = Arc::clone(stage);
            // A client that closes the connection early is no failure.
            let serve = move || drop(serve(stream, &stage));
            thread::Builder::new().name("scripted-call".into()).spawn(serve).expect("a thread");
        }
    }
}

fn serve(stream: TcpStream, stage: &Stage) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        match answer(&request, stage) {
            Answer::Whole { status, headers, body } => {
                let closes = headers.iter().any(|(name, value)| *name == "Connection" && value == "close");
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                write!(writer, "HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())?;
                if closes {
                    return Ok(());
                }
            }
            Answer::CutOff(body) => {
                let half = &body[..body.len() / 2];
                write!(writer, "HTTP/1.1 200 Scripted\r\nContent-Length: {}\r\n\r\n{half}", body.len())?;
                return Ok(());
            }
            Answer::Hang | Answer::Delay(_) | Answer::Close => return Ok(()),
        }
    }
    Ok(())
}

/// Asks the script until it neither hangs nor delays.
fn answer(request: &Request, stage: &Stage) -> Answer {
    let mut state = stage.lock();
    state.calls += 1;
    if let Some(requests) = &mut state.requests {
        requests.push(request.clone());
    }
    let mut is_delayed = false;
    loop {
        let version = state.version;
        let time = match (state.script)(request, is_delayed) {
            Answer::Hang => Duration::MAX,
            Answer::Delay(time) => time,
            answer => return answer,
        };
        let waited = stage.changed.wait_timeout_while(state, time, |state| state.version == version);
        let (after, timeout) = waited.expect("unpoisoned");
        (state, is_delayed) = (after, timeout.timed_out());
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, length)| length.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { path, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }))
}
