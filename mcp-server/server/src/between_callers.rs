//! Tests that a caller learns nothing of another caller's records (decision 26).
//!
//! They use everything that a host can call, on a real Postgres and a scripted embedder. `attempts`
//! tries to reach other people's records; `pairs` compares the answers of stores that differ in one
//! record that the caller may not read.

mod attempts;
mod pairs;

use std::time::{Duration, Instant};

use pgrecall_access::keys::Scopes;
use pgrecall_config::Config;
use pgrecall_embedder::Purpose;
use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::{
    embedder::{DIMENSION, NO_NEAR_DUPLICATES, ScriptedEmbedder},
    postgres,
};
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Record, Visibility};
use pgrecall_store::{
    queue::{self, Claims},
    spaces::{self, SpaceId},
    vectors,
    write::{self, Batch},
};
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use shared::engine::Engine;
use uuid::Uuid;

use crate::{
    completions, prompts, resources,
    tools::{self, Entry},
};
use pgrecall_callers::caller::Caller;

/// Everything that a host can call, without a transport.
struct Served {
    engine: Engine,
    tools: Vec<Entry>,
    worker: i64,
    embedder: ScriptedEmbedder,
}

fn scope(tenant: &str, owner: &str, persona: Option<&str>) -> Scope {
    Scope { tenant: tenant.to_owned(), owner: owner.to_owned(), persona: persona.map(str::to_owned) }
}

/// Makes a caller with an ordinary key.
fn caller(scope: &Scope) -> Caller {
    let scopes = Scopes { read: true, write: true, admin: false };
    Caller { scope: scope.clone(), scopes, name: scope.owner.as_str().into() }
}

impl Served {
    async fn open() -> Self {
        let embedder = ScriptedEmbedder::start();
        let dsn = postgres::database().await.expect("a database");
        let config = embedder.config(&dsn) + NO_NEAR_DUPLICATES;
        let home = |name: &str| (name == "HOME").then(|| std::env::temp_dir().display().to_string());
        let config = Config::parse(Some((&config, "test.yaml")), &home).expect("the configuration is right");
        let engine = Engine::open(&config, |_| {}).await.expect("the engine opens");
        let space = spaces::read_serving(engine.db()).await.unwrap().expect("opening makes a space");
        spaces::learn_dimension(engine.db(), &space, DIMENSION).await.unwrap();
        let worker = queue::register(engine.db(), "canary-host:4711", 3_600.0, false).await.unwrap();
        Self { engine, tools: tools::all(), worker, embedder }
    }

    /// Calls a tool as a host would, and returns everything that the host receives.
    async fn call(&self, who: &Scope, tool: &str, arguments: Value) -> String {
        let entry = self.tools.iter().find(|entry| entry.listed.name == tool).expect("a tool");
        let mut arguments = rmcp::model::object(arguments);
        let result = match entry.check(&mut arguments) {
            Ok(_) => entry.call(self.engine.clone(), caller(who), arguments).await,
            Err(error) => Err(error),
        };
        serde_json::to_string(&tools::answered(result)).expect("an answer is JSON")
    }

    /// Returns the structured answer of a call that must succeed.
    async fn ask(&self, who: &Scope, tool: &str, arguments: Value) -> Value {
        let said = self.call(who, tool, arguments).await;
        let said: Value = serde_json::from_str(&said).expect("an answer is JSON");
        assert_ne!(said["isError"], true, "{said}");
        said["structuredContent"].clone()
    }

    async fn resources(&self, who: &Scope, cursor: Option<&str>) -> String {
        match resources::list(&self.engine, who, cursor).await {
            Ok(listed) => serde_json::to_string(&listed).expect("an answer is JSON"),
            Err(error) => error.to_string(),
        }
    }

    async fn resource(&self, who: &Scope, uri: &str) -> String {
        match resources::read(&self.engine, who, uri).await {
            Ok(read) => serde_json::to_string(&read).expect("an answer is JSON"),
            Err(error) => error.message.to_string(),
        }
    }

    async fn prompts(&self, who: &Scope) -> String {
        serde_json::to_string(&prompts::list(Some(&self.engine), who).await.unwrap()).expect("an answer is JSON")
    }

    async fn prompt(&self, who: &Scope, name: &str, arguments: &JsonObject) -> String {
        match prompts::get(Some(&self.engine), who, name, arguments).await {
            Ok(prompt) => serde_json::to_string(&prompt).expect("an answer is JSON"),
            Err(error) => error.message.to_string(),
        }
    }

    async fn complete(&self, who: &Scope, argument: &str, begin: &str) -> String {
        let values = completions::values(Some(&self.engine), who, argument, begin).await.unwrap();
        serde_json::to_string(&values).expect("an answer is JSON")
    }

    async fn write(&self, who: &Scope, records: Vec<Record>) -> Vec<Uuid> {
        let batch = Batch::prepare(records, self.engine.limit());
        let receipts = write::write(self.engine.db(), who, &batch).await.unwrap();
        receipts.into_iter().map(|receipt| receipt.expect("it is right").id).collect()
    }

    async fn space(&self) -> SpaceId {
        spaces::read_serving(self.engine.db()).await.unwrap().expect("there is one").id
    }

    /// Does the work of a worker until nothing is left to embed.
    async fn embed_all(&self) {
        let (db, embedder) = (self.engine.db(), self.engine.embedder());
        let space = self.space().await;
        while let Some(claim) = Claims::new(self.worker).claim(db, space, 100).await.unwrap() {
            let pending = vectors::pending_passages(db, space, &claim, self.engine.limit()).await.unwrap();
            let texts: Vec<String> = pending.iter().map(|passage| passage.text.clone()).collect();
            let (embedder, deadline) = (embedder.clone(), Instant::now() + Duration::from_secs(30));
            let vectors = tokio::task::spawn_blocking(move || {
                if texts.is_empty() { Ok(Vec::new()) } else { embedder.embed(Purpose::Passage, &texts, deadline) }
            });
            let vectors = vectors.await.unwrap().expect("the embedder is well");
            let embedded: Vec<_> = pending.iter().zip(vectors).collect();
            vectors::store(db, space, &claim, &embedded, &claim.jobs, None).await.unwrap();
        }
    }
}

/// Makes arguments for a tool from its schema, with values from a pool of texts.
///
/// Each property of the schema, including future ones, is given now and then.
fn arguments(entry: &Entry, pool: &[String], rng: &mut SeededRng) -> Value {
    let mut made = JsonObject::new();
    let required = entry.input.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, schema) in entry.properties() {
        let is_required = required.iter().any(|required| required == name);
        if is_required || name == "ids" || rng.in_a_hundred(30) {
            made.insert(name.clone(), value(name, schema, pool, rng));
        }
    }
    Value::Object(made)
}

fn value(name: &str, schema: &Value, pool: &[String], rng: &mut SeededRng) -> Value {
    if let Some(choices) = schema["enum"].as_array() {
        return rng.pick(choices).clone();
    }
    match schema["type"].as_str() {
        Some("boolean") => json!(rng.in_a_hundred(50)),
        Some("integer" | "number") => {
            let bound = |key: &str, otherwise: u64| schema[key].as_u64().unwrap_or(otherwise);
            let (from, to) = (bound("minimum", 0), bound("maximum", 100).min(1_000));
            json!(from + rng.next() % (to - from).max(1))
        }
        Some("array") => json!((0..1 + rng.below(3)).map(|_| rng.pick(pool)).collect::<Vec<_>>()),
        Some("object") => {
            let fields = ["$owner", "$persona", "$visibility", "$category", "$status", "topic", "session"];
            json!({*rng.pick(&fields): rng.pick(pool)})
        }
        _ if ["valid_from", "valid_to", "as_of", "changed_since"].contains(&name) => json!("2024-05-01"),
        _ => json!(rng.pick(pool)),
    }
}

fn visible_to(visibility: Visibility, record: Record) -> Record {
    Record { visibility, ..record }
}
