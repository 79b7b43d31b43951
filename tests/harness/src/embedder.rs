//! An embedder that tests can script, over HTTP with the API of an OpenAI-compatible server.
//!
//! In a healthy state it returns real, if simple, vectors. Each word adds to one dimension, so
//! texts that share words are near each other; a hash of the whole text adds a little noise, so no
//! two texts have the same vector. The tests use it for faults: it can refuse, hang, fail, be slow,
//! busy or unreachable, and become healthy again.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgrecall_generators::rng::SeededRng;
use serde_json::{Value, json};

use crate::scripted::{Answer, Request, ScriptedServer, free_port, json_answer};

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
    /// The embedder answers with 400 if a call has more texts than this.
    TakingTexts(usize),
    /// The embedder answers with 400 if a text has more bytes than this.
    TakingBytes(usize),
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
    mood: Mood,
    /// A string, and the status that a batch with it gets in every mood that would return vectors.
    poison: Option<(String, u16)>,
    texts: usize,
}

/// The embedder's server. It runs until the test process ends.
pub struct ScriptedEmbedder {
    server: ManuallyDrop<ScriptedServer>,
    state: Arc<Mutex<State>>,
}

impl ScriptedEmbedder {
    /// Starts a healthy embedder on a free local port.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State { mood: Mood::Well, poison: None, texts: 0 }));
        let answering = Arc::clone(&state);
        let script = move |request: &Request, is_delayed: bool| {
            let answer = answer(request, is_delayed, &mut answering.lock().expect("unpoisoned"));
            match answer {
                // One call per connection: what a program does with a new one is tested too.
                Answer::Whole { status, mut headers, body } => {
                    headers.push(("Connection", "close".to_owned()));
                    Answer::Whole { status, headers, body }
                }
                other => other,
            }
        };
        Self { server: ManuallyDrop::new(ScriptedServer::listen(free_port(), script)), state }
    }

    /// The base URL of the embedder's API.
    pub fn url(&self) -> String {
        format!("{}/v1", self.server.url())
    }

    /// Changes the embedder's behavior from now on, for hanging calls too.
    pub fn set(&self, mood: Mood) {
        let listens = mood != Mood::Away;
        self.state().mood = mood;
        self.server.set_listening(listens);
    }

    /// From now on refuses with 400 each batch in which a text contains `poison`, in every mood
    /// that would return vectors.
    pub fn refuse_always(&self, poison: &str) {
        self.state().poison = Some((poison.to_owned(), 400));
    }

    /// Like [`Self::refuse_always`] with 403, as a firewall in front of the embedder answers.
    pub fn refuse_with_403(&self, poison: &str) {
        self.state().poison = Some((poison.to_owned(), 403));
    }

    /// The number of texts embedded so far.
    pub fn texts(&self) -> usize {
        self.state().texts
    }

    /// The number of calls so far, refused ones included.
    pub fn calls(&self) -> usize {
        self.server.calls()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }

    /// Returns the text of a configuration file with this embedder and this database.
    pub fn config(&self, dsn: &str) -> String {
        self.config_of("scripted", dsn)
    }

    /// Like [`Self::config`], with a reranker that has a timeout of 500 ms.
    pub fn config_with_rerank(&self, dsn: &str, reranker: &Self) -> String {
        let rerank = format!("rerank: {{ url: \"{}\", timeout: 500ms }}", reranker.server.url());
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

fn answer(request: &Request, is_delayed: bool, state: &mut State) -> Answer {
    let (body, texts) = (&request.body, request.texts());
    let refuses = |bad: &str| texts.iter().any(|text| text.contains(bad));
    let failure = |status, message: &str| json_answer(status, json!({"error": {"message": message}}));
    let poisoned = state.poison.as_ref().filter(|(bad, _)| refuses(bad)).map(|(_, status)| *status);
    match &state.mood {
        Mood::Away => Answer::Close,
        Mood::Hanging => Answer::Hang,
        Mood::HangingOver(bad) if refuses(bad) => Answer::Hang,
        Mood::Slow(pace) if !is_delayed => Answer::Delay(*pace),
        Mood::Busy(seconds) => Answer::Whole {
            status: 429,
            headers: vec![("Retry-After", seconds.to_string())],
            body: json!({"error": {"message": "scripted"}}).to_string(),
        },
        Mood::Crowded if texts.iter().any(|text| text.contains(' ')) => failure(429, "scripted"),
        Mood::Failing(status) => failure(*status, "scripted"),
        Mood::Refusing(bad) if refuses(bad) => failure(400, "scripted refusal"),
        Mood::TakingTexts(most) if texts.len() > *most => failure(400, "the batch is too large"),
        Mood::TakingBytes(most) if texts.iter().any(|text| text.len() > *most) => failure(400, "a text is too long"),
        _ if body["query"].is_string() => json_answer(200, rerank(body)),
        _ if let Some(status) = poisoned => failure(status, "scripted poison"),
        _ => {
            state.texts += texts.len();
            let model = body["model"].as_str().unwrap_or_default();
            let asked = body["dimensions"].as_u64().map(|asked| asked as usize);
            let numbers = asked.or_else(|| model.rsplit('-').next()?.parse().ok()).unwrap_or(DIMENSION);
            let vector = |(i, text): (usize, &String)| json!({"index": i, "embedding": embed_in(text, numbers)});
            let data: Vec<Value> = texts.iter().enumerate().map(vector).collect();
            json_answer(200, json!({"data": data, "model": model}))
        }
    }
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
