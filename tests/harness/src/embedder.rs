//! An embedder that tests can script, over HTTP with the API of an OpenAI-compatible server.
//!
//! In a healthy state it returns real, if simple, vectors. Each word adds to one dimension, so
//! texts that share words are near each other; a hash of the whole text adds a little noise, so no
//! two texts have the same vector. The tests use it for faults: it can refuse, hang, fail, be slow,
//! busy or unreachable, and become healthy again.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http;

use pgrecall_generators::rng::SeededRng;

/// The length of its vectors, unless the model's name ends with another number (`scripted-96`) or
/// the request names a length.
pub const DIMENSION: usize = 64;

/// Configuration to append to [`ScriptedEmbedder::config`] so that a stored memory is embedded by
/// the worker only: remember does not search for near-duplicates.
pub const NO_NEAR_DUPLICATES: &str = "  remember: { near_duplicates: ignore }\n";

/// A behavior of the embedder.
#[derive(Debug, Clone, PartialEq)]
pub enum Mood {
    /// The embedder returns vectors.
    Well,
    /// The embedder accepts each request and never answers.
    Hanging,
    /// The embedder never answers a request with a text that contains this string, and answers all
    /// others.
    HangingOver(String),
    /// The embedder answers every request with this status.
    Failing(u16),
    /// The embedder answers with 400 if a text of the batch contains this string.
    Refusing(String),
    /// The embedder returns vectors, and takes this long for each call.
    Slow(Duration),
    /// The embedder answers every request with 429 and a Retry-After of this many seconds.
    Busy(u32),
    /// The embedder answers with 429 unless each text is a single word.
    Crowded,
    /// Nothing listens at the embedder's address.
    Away,
}

struct State {
    mood: Mutex<Mood>,
    changed: Condvar,
    /// A string, and the status that a batch with it gets in every mood that would return vectors.
    poison: Mutex<Option<(String, u16)>>,
    texts: AtomicUsize,
    calls: AtomicUsize,
}

/// The embedder's server. It runs until the test process ends.
pub struct ScriptedEmbedder {
    address: std::net::SocketAddr,
    state: Arc<State>,
}

impl ScriptedEmbedder {
    /// Starts a healthy embedder on a free local port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State {
            mood: Mutex::new(Mood::Well),
            changed: Condvar::new(),
            poison: Mutex::new(None),
            texts: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let serve = move || {
            let mut listener = listener;
            loop {
                let accepted = listener.accept();
                if shared.mood() == Mood::Away {
                    // While no socket listens, the system refuses connections.
                    drop((accepted, listener));
                    shared.wait_while(Duration::MAX, |mood| *mood == Mood::Away);
                    listener = TcpListener::bind(address).expect("the port is still ours");
                } else if let Ok((stream, _)) = accepted {
                    let state = Arc::clone(&shared);
                    let answer = move || answer(stream, &state);
                    std::thread::Builder::new().name("scripted-call".into()).spawn(answer).expect("a thread");
                }
            }
        };
        std::thread::Builder::new().name("scripted-embedder".into()).spawn(serve).expect("a thread");
        Self { address, state }
    }

    /// The base URL of the embedder's API.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Changes the embedder's behavior from now on, for hanging calls too.
    pub fn set(&self, mood: Mood) {
        let goes_away = mood == Mood::Away;
        *self.state.mood.lock().expect("unpoisoned") = mood;
        self.state.changed.notify_all();
        if goes_away {
            // Wakes the listener's thread, so that the thread closes the socket.
            TcpStream::connect(self.address).ok();
        }
    }

    /// From now on refuses with 400 each batch in which a text contains `poison`, in every mood
    /// that would return vectors.
    pub fn refuse_always(&self, poison: &str) {
        *self.state.poison.lock().expect("unpoisoned") = Some((poison.to_owned(), 400));
    }

    /// Like [`Self::refuse_always`] with 403, as a firewall in front of the embedder answers.
    pub fn refuse_with_403(&self, poison: &str) {
        *self.state.poison.lock().expect("unpoisoned") = Some((poison.to_owned(), 403));
    }

    /// The number of texts embedded so far.
    pub fn texts(&self) -> usize {
        self.state.texts.load(Ordering::SeqCst)
    }

    /// The number of calls so far, refused ones included.
    pub fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// Returns the text of a configuration file with this embedder and this database.
    pub fn config(&self, dsn: &str) -> String {
        self.config_of("scripted", dsn)
    }

    /// Like [`Self::config`], with a reranker that has a timeout of 500 ms.
    pub fn config_with_rerank(&self, dsn: &str, reranker: &Self) -> String {
        let rerank = format!("rerank: {{ url: \"http://{}\", timeout: 500ms }}", reranker.address);
        format!("{}  recall:\n    {rerank}\n", self.config(dsn))
    }

    /// Like [`Self::config`], with another model.
    pub fn config_of(&self, model: &str, dsn: &str) -> String {
        format!(
            "database:\n  dsn: {}\nmemory:\n  embedding:\n    provider: openai\n    timeout: 5s\n    openai:\n      url: {}\n      model: {model}\n",
            json!(dsn),
            self.url()
        )
    }
}

impl State {
    fn mood(&self) -> Mood {
        self.mood.lock().expect("unpoisoned").clone()
    }

    /// Waits while `such` is true of the mood, at most for `most`, and returns the mood.
    fn wait_while(&self, most: Duration, mut such: impl FnMut(&Mood) -> bool) -> Mood {
        let mood = self.mood.lock().expect("unpoisoned");
        let waited = self.changed.wait_timeout_while(mood, most, |mood| such(mood));
        waited.expect("unpoisoned").0.clone()
    }
}

fn answer(mut stream: TcpStream, state: &State) {
    let Some(body) = http::body_of(&stream).and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        return;
    };
    state.calls.fetch_add(1, Ordering::SeqCst);
    let texts: Vec<String> =
        body["input"].as_array().into_iter().flatten().map(|t| t.as_str().unwrap_or("").into()).collect();
    let refuses = |bad: &str| texts.iter().any(|text| text.contains(bad));
    // A hanging call keeps its connection until the mood changes, as a stuck server does.
    let mut mood = state.wait_while(Duration::from_secs(120), |mood| match mood {
        Mood::Hanging => true,
        Mood::HangingOver(bad) => refuses(bad),
        _ => false,
    });
    if let Mood::Slow(pace) = mood {
        mood = state.wait_while(pace, |mood| matches!(mood, Mood::Slow(_)));
    }
    let poison = state.poison.lock().expect("unpoisoned").clone();
    let poisoned = poison.filter(|(bad, _)| refuses(bad));
    let mut more = String::new();
    let (status, answer) = match mood {
        Mood::Away => return,
        Mood::Busy(seconds) => {
            more = format!("retry-after: {seconds}\r\n");
            (429, json!({"error": {"message": "scripted"}}))
        }
        Mood::Crowded if texts.iter().any(|text| text.contains(' ')) => {
            (429, json!({"error": {"message": "scripted"}}))
        }
        Mood::Failing(status) => (status, json!({"error": {"message": "scripted"}})),
        Mood::Refusing(bad) if refuses(&bad) => (400, json!({"error": {"message": "scripted refusal"}})),
        _ if body["query"].is_string() => (200, rerank(&body)),
        _ if let Some((_, status)) = poisoned => (status, json!({"error": {"message": "scripted poison"}})),
        _ => {
            state.texts.fetch_add(texts.len(), Ordering::SeqCst);
            let model = body["model"].as_str().unwrap_or_default();
            let asked = body["dimensions"].as_u64().map(|asked| asked as usize);
            let numbers = asked.or_else(|| model.rsplit('-').next()?.parse().ok()).unwrap_or(DIMENSION);
            let vector = |(i, text): (usize, &String)| json!({"index": i, "embedding": embed_in(text, numbers)});
            let data: Vec<Value> = texts.iter().enumerate().map(vector).collect();
            (200, json!({"data": data, "model": model}))
        }
    };
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}connection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(answer.as_bytes())).ok();
}

/// Answers like `/rerank` of text-embeddings-inference: a text that contains the query's last word
/// scores 0.9, any other 0.1.
fn rerank(body: &Value) -> Value {
    let word = body["query"].as_str().unwrap_or_default().split_whitespace().last().unwrap_or_default();
    let texts = body["texts"].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate();
    let mut ranks: Vec<(usize, f64)> =
        texts.map(|(index, text)| (index, if text.contains(word) { 0.9 } else { 0.1 })).collect();
    ranks.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranks.into_iter().map(|(index, score)| json!({"index": index, "score": score})).collect()
}

/// Returns the embedder's vector for a text, before normalization to length 1.
pub fn embed(text: &str) -> Vec<f32> {
    embed_in(text, DIMENSION)
}

fn embed_in(text: &str, numbers: usize) -> Vec<f32> {
    let hash = |text: &str| text.bytes().fold(5_381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
    let mut vector = vec![0.01; numbers];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        vector[hash(&word.to_lowercase()) as usize % numbers] += 1.0;
    }
    let mut rng = SeededRng(hash(text));
    for number in &mut vector {
        *number += rng.next() as f32 / u64::MAX as f32 * 0.2;
    }
    vector
}
