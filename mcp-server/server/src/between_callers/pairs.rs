//! Ten thousand pairs of stores that differ in one record that the caller may not read.
//!
//! The caller must get the same answers from both.

use futures_util::{StreamExt, stream};
use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::embedder::Mood;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Record, RecordFields, SourceKind, Visibility};
use pgrecall_store::{
    forget::{self, How},
    queue::Claims,
};
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::{Served, arguments, scope, visible_to};

/// Number of stores, each with one invisible record more or less than the one before.
const STORES: usize = 100;
/// Number of questions to each store.
const QUESTIONS: usize = 100;
/// Concurrent questions.
const CONCURRENT: usize = 6;
/// Few words, so that each is in many records and its frequency influences every score.
const WORDS: [&str; 24] = [
    "walrus", "invoice", "harbor", "ledger", "violet", "engine", "meadow", "ticket", "copper", "signal", "garden",
    "budget", "window", "letter", "bridge", "market", "candle", "planet", "summer", "winter", "report", "server",
    "backup", "friday",
];

/// Makes a text of some of the words.
fn text(rng: &mut SeededRng, most: usize) -> String {
    let words: Vec<&str> = (0..2 + rng.below(most)).map(|_| *rng.pick(&WORDS)).collect();
    words.join(" ")
}

fn record(rng: &mut SeededRng, visibility: Visibility) -> Record {
    let kind = *rng.pick(&[
        SourceKind::Memory,
        SourceKind::Memory,
        SourceKind::Document,
        SourceKind::Asset,
        SourceKind::Prompt,
    ]);
    let number = rng.below(12);
    Record {
        fields: RecordFields {
            title: text(rng, 2),
            key: rng.in_a_hundred(40).then(|| format!("key-{number}")),
            tags: vec![(*rng.pick(&["q1", "q2", "q3"])).to_owned()],
            entity_urns: vec![format!("urn:x:{}", rng.below(4))],
            collection: (*rng.pick(&["", "shelf", "desk"])).to_owned(),
            metadata: rmcp::model::object(json!({"session": format!("talk-{}", rng.below(4))})),
            ..RecordFields::default()
        },
        ..visible_to(visibility, Record::new(kind, text(rng, 30)))
    }
}

/// A request to the server.
enum Question {
    Tool(&'static str, Value),
    Resources,
    Resource(String),
    Prompts,
    Complete(&'static str, &'static str),
}

impl Question {
    fn any(served: &Served, pool: &[String], rng: &mut SeededRng) -> Self {
        match rng.below(32) {
            0 => Self::Resources,
            1 => Self::Resource(format!("memory://{}", rng.pick(pool))),
            2 => Self::Prompts,
            3 => {
                let (argument, begin) = (*rng.pick(&["tag", "collection"]), *rng.pick(&["", "q", "s"]));
                Self::Complete(argument, begin)
            }
            4 => Self::Tool("index_status", json!({})),
            5 => {
                let action = *rng.pick(&["list", "get", "review_duplicates", "review_stale"]);
                let ids = if action == "get" { json!([rng.pick(pool)]) } else { json!([]) };
                Self::Tool("memory_manage", json!({"action": action, "ids": ids, "limit": 5}))
            }
            6 | 20.. => Self::Tool("fetch", json!({"id": rng.pick(pool)})),
            _ => {
                let name = *rng.pick(&["memory_recall", "memory_recall", "search"]);
                let entry = served.tools.iter().find(|entry| entry.listed.name == name).expect("a tool");
                let mut asked = arguments(
                    entry,
                    &["q1".to_owned(), "q2".to_owned(), "shelf".to_owned(), "urn:x:1".to_owned()],
                    rng,
                );
                asked["query"] = json!(text(rng, 4));
                asked["explain"] = json!(true);
                asked["limit"] = json!(1 + rng.below(20));
                for unfit in ["cursor", "changed_since", "as_of", "kinds", "dimension", "filter"] {
                    asked.as_object_mut().expect("arguments").remove(unfit);
                }
                // Fewer conditions, so that most questions have answers.
                for seldom in ["tags", "entity_urns", "collection"] {
                    if rng.in_a_hundred(70) {
                        asked.as_object_mut().expect("arguments").remove(seldom);
                    }
                }
                asked["why_not"] = json!(rng.pick(pool));
                if asked["strategy"] == "entity" {
                    asked["entity_urns"] = json!(["urn:x:1"]);
                }
                Self::Tool(name, asked)
            }
        }
    }

    async fn ask(&self, served: &Served, who: &Scope) -> String {
        match self {
            Self::Tool(name, asked) => without_times(&served.call(who, name, asked.clone()).await),
            Self::Resources => without_times(&served.resources(who, None).await),
            Self::Resource(uri) => served.resource(who, uri).await,
            Self::Prompts => served.prompts(who).await,
            Self::Complete(argument, begin) => served.complete(who, argument, begin).await,
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Tool(name, asked) => format!("{name} {asked}"),
            Self::Resource(uri) => uri.clone(),
            Self::Complete(argument, begin) => format!("completion of {argument} {begin}"),
            Self::Resources => "resources/list".into(),
            Self::Prompts => "prompts/list".into(),
        }
    }
}

async fn ask_all(questions: &[Question], served: &Served, who: &Scope) -> Vec<String> {
    stream::iter(questions).map(|question| question.ask(served, who)).buffered(CONCURRENT).collect().await
}

/// Removes the values that may differ: cursors, which are encrypted positions, and remaining times.
fn without_times(said: &str) -> String {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.retain(|key, _| !["cursor", "nextCursor", "seconds_left"].contains(&key.as_str()));
                // The same JSON as text, for hosts that read only that.
                if let Some(text) = object.get_mut("text")
                    && let Some(mut inner) = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok())
                {
                    strip(&mut inner);
                    *text = inner;
                }
                object.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let Ok(mut said) = serde_json::from_str::<Value>(said) else { return said.to_owned() };
    strip(&mut said);
    said.to_string()
}

// Invisible records must not influence scores, explanations or counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invisible_record_more_or_less_changes_no_answer_explanation_or_status() {
    let (served, mut rng) = (Served::open().await, SeededRng(7));
    let who = scope("acme", "ana", None);
    // The records that the caller may read: her own, and those that others share.
    let mut pool = Vec::new();
    for (writer, visibility, count) in
        [(&who, Visibility::Private, 40), (&scope("acme", "cyd", None), Visibility::Tenant, 30)]
    {
        let records = (0..count).map(|_| record(&mut rng, visibility)).collect();
        pool.extend(served.write(writer, records).await.iter().map(ToString::to_string));
    }
    let others = [
        (scope("acme", "bob", None), Visibility::Private),
        (scope("acme", "bob", Some("analyst")), Visibility::Persona),
        (scope("rival", "ana", None), Visibility::Tenant),
        (scope("rival", "ana", None), Visibility::Private),
    ];
    for (writer, visibility) in &others {
        let records = (0..10).map(|_| record(&mut rng, *visibility)).collect();
        served.write(writer, records).await;
    }
    served.embed_all().await;
    // One of her own records is pending too, so that the status has something to count.
    served.write(&who, vec![Record::new(SourceKind::Memory, "a walrus that waits")]).await;
    let (db, space) = (served.engine.db(), served.space().await);
    // The job is claimed and never settled, so no worker embeds the record.
    Claims::new(served.worker).claim(db, space, 1).await.unwrap().expect("its job");
    let questions: Vec<Question> = (0..QUESTIONS).map(|_| Question::any(&served, &pool, &mut rng)).collect();
    // Until the first count has ended, an answer says that something waits and not how much.
    while served.ask(&who, "memory_recall", json!({"query": "walrus"})).await["coverage"]["total"].is_null() {}
    let before = ask_all(&questions, &served, &who).await;
    let answered = before.iter().filter(|said| said.contains("\"score\"")).count();
    assert!(answered > QUESTIONS / 4, "{answered} of the questions have an answer: {before:?}");
    let mut differing = Vec::new();
    let mut last = None;
    for store in 0..STORES {
        let other = rng.below(others.len());
        let (writer, visibility) = &others[other];
        match last.take().filter(|_| store % 4 == 3) {
            // Deletes the last record instead of adding one.
            Some((writer, id)) => drop(forget::forget(served.engine.db(), writer, &[id], How::ForGood).await.unwrap()),
            None => {
                let id = served.write(writer, vec![record(&mut rng, *visibility)]).await[0];
                last = Some((writer, id));
                if store % 2 == 0 {
                    served.embed_all().await;
                }
            }
        }
        let after = ask_all(&questions, &served, &who).await;
        for ((question, before), after) in questions.iter().zip(&before).zip(&after) {
            if after != before {
                differing.push(format!("store {store}, {}\n  before {before}\n  after  {after}", question.told()));
            }
        }
    }
    let all = STORES * QUESTIONS;
    assert!(
        differing.is_empty(),
        "{} of {all} differ:\n{}",
        differing.len(),
        differing[..differing.len().min(3)].join("\n")
    );
}

// Host names and process ids are for operators only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_names_no_host_and_no_process() {
    let served = Served::open().await;
    let said = served.call(&scope("acme", "ana", None), "index_status", json!({})).await;
    assert!(
        !said.contains("canary-host") && !said.contains("4711") && said.contains("\\\"embedder\\\":\\\"waiting\\\""),
        "{said}"
    );
}

// The embedder's address is for operators only, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedder_that_is_away_is_told_without_its_address() {
    let served = Served::open().await;
    for who in [served.engine.scope(), scope("acme", "ana", None)] {
        served.ask(&who, "memory_remember", json!({"content": "The walrus is at the pier."})).await;
    }
    served.embedder.set(Mood::Away);
    let ask = async |who| served.ask(&who, "memory_recall", json!({"query": "walrus"})).await["note"].to_string();
    let told = ask(served.engine.scope()).await;
    assert!(told.contains("127.0.0.1"), "the operator is told where: {told}");
    let told = ask(scope("acme", "ana", None)).await;
    assert!(told.contains("ranked by keywords only") && !told.contains("127.0.0.1"), "{told}");
}

// A cursor must not reveal the number of a row, from which the records of all tenants could be
// counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_are_of_one_caller_and_count_nobodys_records() {
    let served = Served::open().await;
    let (ana, bob) = (scope("acme", "ana", None), scope("acme", "bob", None));
    let mut pages = Vec::new();
    for who in [&ana, &bob] {
        let records = (0..60).map(|number| Record::new(SourceKind::Memory, format!("note {number}"))).collect();
        served.write(who, records).await;
        let list = served.ask(who, "memory_manage", json!({"action": "list", "limit": 5})).await["cursor"].clone();
        let resources: Value = serde_json::from_str(&served.resources(who, None).await).unwrap();
        pages.push(
            [list, resources["nextCursor"].clone()].map(|cursor| cursor.as_str().expect("there is more").to_owned()),
        );
    }
    for page in pages.iter().flatten() {
        // Row numbers begin with 1, so a plain number would have leading zeros.
        assert!(!page.contains("000000000000"), "{page}");
    }
    let [hers, his] = &pages[..] else { unreachable!("two of them") };
    let next = served.ask(&ana, "memory_manage", json!({"action": "list", "limit": 5, "cursor": hers[0]})).await;
    assert_eq!(next["memories"][0]["content"], "note 54");
    assert!(served.resources(&ana, Some(&hers[1])).await.contains("memory://"));
    let taken = served.call(&ana, "memory_manage", json!({"action": "list", "limit": 5, "cursor": his[0]})).await;
    assert!(taken.contains("does not belong to this call"), "{taken}");
    assert!(served.resources(&ana, Some(&his[1])).await.contains("does not belong to this call"));
    assert!(served.prompt(&ana, "nothing", &JsonObject::new()).await.contains("there is no prompt"));
}
