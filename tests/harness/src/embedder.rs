//! An embedder that can be scripted, over HTTP in the words of an OpenAI-compatible server.
//!
//! Healthy, it embeds for real, if simply: each word adds to a direction of its own, so that texts that share words are near each
//! other, and the text as a whole moves it a little, so that no two texts have the same vector. What it is for is faults: it can
//! refuse, hang, fail, be slow, busy or gone, and be well again.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http;

use pgrecall_generators::bits::Bits;

/// The length of its vectors, unless the model's name ends with another (`scripted-96`) or another is asked for.
pub const DIMENSION: usize = 64;

/// The end of a configuration with which nobody but the worker asks for the vectors of what is remembered.
pub const ALONE: &str = "  remember: { near_duplicates: ignore }\n";

/// How it behaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Mood {
    /// It embeds.
    Well,
    /// It takes the request and never answers.
    Hanging,
    /// It takes a request with a text that holds this and never answers it, and embeds the others.
    HangingOver(String),
    /// It answers every request with this status.
    Failing(u16),
    /// It refuses with 400 any batch in which a text holds this.
    Refusing(String),
    /// It embeds, and takes this long over each call.
    Slow(Duration),
    /// It answers every request with 429, and asks to be left alone for so many seconds.
    Busy(u32),
    /// It answers with 429 whatever is more than a word.
    Crowded,
    /// Nothing listens at its address.
    Away,
}

struct State {
    mood: Mutex<Mood>,
    changed: Condvar,
    /// Refused in every mood that embeds, with this status.
    poison: Mutex<Option<(String, u16)>>,
    texts: AtomicUsize,
    calls: AtomicUsize,
}

/// The server. It answers until the test process ends.
pub struct ScriptedEmbedder {
    address: std::net::SocketAddr,
    state: Arc<State>,
}

impl ScriptedEmbedder {
    /// A healthy one on a free port of this machine.
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
                    // Whoever connects is refused by the system while there is no listener.
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

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Behaves otherwise from now on. A call that hangs notices.
    pub fn set(&self, mood: Mood) {
        let goes_away = mood == Mood::Away;
        *self.state.mood.lock().expect("unpoisoned") = mood;
        self.state.changed.notify_all();
        if goes_away {
            // Wakes the listener, so that it stops listening.
            TcpStream::connect(self.address).ok();
        }
    }

    /// From now on, and however well it is, it refuses with 400 any batch in which a text holds this.
    pub fn refuse_always(&self, poison: &str) {
        *self.state.poison.lock().expect("unpoisoned") = Some((poison.to_owned(), 400));
    }

    /// The same with 403, as a firewall before it would.
    pub fn turn_away(&self, poison: &str) {
        *self.state.poison.lock().expect("unpoisoned") = Some((poison.to_owned(), 403));
    }

    /// Texts embedded so far.
    pub fn texts(&self) -> usize {
        self.state.texts.load(Ordering::SeqCst)
    }

    /// Calls so far, refused ones too.
    pub fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// A configuration file's text that uses it with this database.
    pub fn config(&self, dsn: &str) -> String {
        self.config_of("scripted", dsn)
    }

    /// The same, and it looks at the best answers once more: half a second at the most.
    pub fn config_with_rerank(&self, dsn: &str, reranker: &Self) -> String {
        let rerank = format!("rerank: {{ url: \"http://{}\", timeout: 500ms }}", reranker.address);
        format!("{}  recall:\n    {rerank}\n", self.config(dsn))
    }

    /// The same with another of its models.
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

    /// Waits while the mood is such, at most this long, and returns the mood.
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
    // A hanging call holds its connection until the mood changes, as a stuck server does.
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

/// As text-embeddings-inference answers `/rerank`: a text that holds the question's last word fits, whatever else it says.
fn rerank(body: &Value) -> Value {
    let word = body["query"].as_str().unwrap_or_default().split_whitespace().last().unwrap_or_default();
    let texts = body["texts"].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate();
    let mut ranks: Vec<(usize, f64)> =
        texts.map(|(index, text)| (index, if text.contains(word) { 0.9 } else { 0.1 })).collect();
    ranks.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranks.into_iter().map(|(index, score)| json!({"index": index, "score": score})).collect()
}

/// The vector that it gives for a text, before anybody scales it to length one.
pub fn embed(text: &str) -> Vec<f32> {
    embed_in(text, DIMENSION)
}

fn embed_in(text: &str, numbers: usize) -> Vec<f32> {
    let hash = |text: &str| text.bytes().fold(5_381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
    let mut vector = vec![0.01; numbers];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        vector[hash(&word.to_lowercase()) as usize % numbers] += 1.0;
    }
    let mut bits = Bits(hash(text));
    for number in &mut vector {
        *number += bits.next() as f32 / u64::MAX as f32 * 0.2;
    }
    vector
}
