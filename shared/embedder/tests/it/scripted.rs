//! `ScriptedServer`: an HTTP server that answers as a test tells it to, mostly with faults.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The path, without the host.
    pub(crate) path: String,
    /// The headers, with lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    /// The JSON body; `Null` if it is empty.
    pub(crate) body: Value,
}

impl Request {
    /// Returns the texts of a request of any provider.
    pub(crate) fn texts(&self) -> Vec<String> {
        let input = ["input", "inputs", "prompt"].iter().find_map(|key| self.body.get(key));
        match input {
            Some(Value::Array(texts)) => texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
            Some(Value::String(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }
}

/// The server's reaction to a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A complete response.
    Whole { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Headers that promise the body, half of the body, and the end of the connection.
    CutOff(String),
    /// No answer until the script changes.
    Hang,
    /// The connection closes without a byte.
    Close,
}

/// Returns a JSON answer with a status.
pub(crate) fn json_answer(status: u16, body: Value) -> Answer {
    Answer::Whole { status, headers: vec![("Content-Type", "application/json".into())], body: body.to_string() }
}

/// Returns an answer whose body is not JSON.
pub(crate) fn text_answer(status: u16, kind: &str, body: &str) -> Answer {
    Answer::Whole { status, headers: vec![("Content-Type", kind.into())], body: body.to_owned() }
}

/// Returns a vector that depends on the text.
pub(crate) fn vector_of(text: &str) -> Vec<f32> {
    vec![1.0, text.len() as f32, text.bytes().map(f32::from).sum()]
}

/// Answers as a healthy Ollama does.
pub(crate) fn ollama_answer(request: &Request) -> Answer {
    match request.path.as_str() {
        "/api/embed" => {
            let vectors: Vec<_> = request.texts().iter().map(|text| vector_of(text)).collect();
            json_answer(200, json!({ "model": "m", "embeddings": vectors }))
        }
        "/api/show" => json_answer(200, json!({ "model_info": { "nomic-bert.context_length": 1024 } })),
        _ => text_answer(404, "text/plain", "404 page not found"),
    }
}

type Script = Box<dyn FnMut(&Request) -> Answer + Send>;

struct Stage {
    script: Mutex<(u64, Script)>,
    changed: Condvar,
    requests: Mutex<Vec<Request>>,
    gone: AtomicBool,
}

/// A server that runs until it is dropped.
pub(crate) struct ScriptedServer {
    stage: Arc<Stage>,
    pub(crate) address: SocketAddr,
}

impl ScriptedServer {
    pub(crate) fn start(script: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub(crate) fn listen(listener: TcpListener, script: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let stage = Arc::new(Stage {
            script: Mutex::new((0, Box::new(script))),
            changed: Condvar::new(),
            requests: Mutex::default(),
            gone: AtomicBool::new(false),
        });
        let serving = stage.clone();
        let serve_all = move || {
            for stream in listener.incoming() {
                if serving.gone.load(Ordering::SeqCst) {
                    return;
                }
                let stage = serving.clone();
                // A client that disconnects in the middle is an expected case.
                let call = move || serve(stream.unwrap(), &stage).ok();
                thread::Builder::new().name("scripted-call".into()).spawn(call).unwrap();
            }
        };
        thread::Builder::new().name("scripted-embedder".into()).spawn(serve_all).unwrap();
        Self { stage, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces the script. Requests that hang are answered by the new script.
    pub(crate) fn script(&self, script: impl FnMut(&Request) -> Answer + Send + 'static) {
        let mut current = self.stage.script.lock().unwrap();
        *current = (current.0 + 1, Box::new(script));
        self.stage.changed.notify_all();
    }

    /// Returns the requests to `path`, in order.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        self.stage.requests.lock().unwrap().iter().filter(|request| request.path == path).cloned().collect()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.stage.gone.store(true, Ordering::SeqCst);
        self.script(|_| Answer::Close);
        // Wakes the accepting thread, which then frees the port.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, stage: &Stage) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        stage.requests.lock().unwrap().push(request.clone());
        let mut current = stage.script.lock().unwrap();
        let answer = loop {
            match (current.1)(&request) {
                Answer::Hang => {
                    let hangs_since = current.0;
                    current = stage.changed.wait_while(current, |now| now.0 == hangs_since).unwrap();
                }
                answer => break answer,
            }
        };
        drop(current);
        match answer {
            Answer::Whole { status, headers, body } => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                write!(writer, "HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())?;
            }
            Answer::CutOff(body) => {
                let half = &body[..body.len() / 2];
                write!(writer, "HTTP/1.1 200 Scripted\r\nContent-Length: {}\r\n\r\n{half}", body.len())?;
                return Ok(());
            }
            Answer::Close => return Ok(()),
            Answer::Hang => unreachable!("hanging ends with another answer"),
        }
    }
    Ok(())
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
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { path, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }))
}
