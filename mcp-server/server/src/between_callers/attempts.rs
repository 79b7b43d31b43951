//! Ten thousand attempts to reach another owner's records, and ten thousand to reach another
//! tenant's.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, stream};
use pgrecall_generators::rng::SeededRng;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Record, RecordFields, SourceKind, Visibility};
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Served, arguments, scope, visible_to};

/// Number of attempts at either kind of victim.
const ATTEMPTS: usize = 10_000;
/// Concurrent attempts.
const CONCURRENT: usize = 6;
/// A word in each text, title, tag, collection, key and metadata of a victim, and in no request of
/// an attacker.
const CANARY: &str = "xqcanary";
/// Labels and words of the texts that an attacker may guess or have learned.
const KNOWN: [&str; 16] = [
    "plan",
    "vault of the north",
    "sesame",
    "the quarterly numbers",
    "q3",
    "urn:x:vault",
    "vault-1",
    "analyst",
    "bob",
    "billing",
    "private",
    "persona",
    "active",
    "talk-1",
    "*",
    "xq",
];

/// Makes records of every kind whose content nobody else may learn.
fn secrets(visibility: Visibility, count: usize) -> Vec<Record> {
    let record = |number: usize| {
        let kind = SourceKind::ALL[number % SourceKind::ALL.len()];
        let text = format!(
            "The plan of {number}: the vault of the north opens with sesame {CANARY}. The quarterly numbers of {{{CANARY}}}."
        );
        let is_memory = kind == SourceKind::Memory;
        Record {
            fields: RecordFields {
                key: Some(if number.is_multiple_of(2) {
                    format!("vault-{number}")
                } else {
                    format!("{CANARY}-{number}")
                }),
                title: format!("vault {CANARY} {number}"),
                collection: if number.is_multiple_of(3) { format!("{CANARY}-shelf") } else { String::new() },
                tags: vec!["q3".into(), format!("q-{CANARY}")],
                entity_urns: vec!["urn:x:vault".into()],
                uri: Some(format!("https://x.example/{CANARY}/{number}")),
                metadata: rmcp::model::object(json!({"session": "talk-1", "topic": "vault", "password": CANARY})),
                category: is_memory.then(|| "billing".into()),
                ..RecordFields::default()
            },
            ..visible_to(visibility, Record::new(kind, &text))
        }
    };
    (0..count).map(record).collect()
}

/// An attacker, the victims whose records it tries to reach, and its knowledge of them.
struct Reach {
    who: Scope,
    victims: Vec<(Scope, Vec<Uuid>)>,
    /// Some ids, names and cursors of the victims, and values that can be guessed.
    pool: Vec<String>,
    /// The other ids, which no answer may contain.
    unheard: Vec<String>,
    uris: Vec<String>,
    prompts: Vec<String>,
    cursors: Vec<String>,
}

impl Reach {
    async fn of(served: &Served, who: Scope, victims: Vec<(Scope, Vec<Record>)>) -> Self {
        let mut it = Self {
            who,
            victims: Vec::new(),
            pool: Vec::new(),
            unheard: Vec::new(),
            uris: Vec::new(),
            prompts: Vec::new(),
            cursors: Vec::new(),
        };
        for (victim, records) in victims {
            let kinds: Vec<SourceKind> = records.iter().map(|record| record.kind).collect();
            let ids = served.write(&victim, records).await;
            it.uris.extend(ids.iter().zip(&kinds).map(|(id, kind)| format!("{kind}://{id}")));
            let (heard, unheard): (Vec<_>, Vec<_>) =
                ids.iter().enumerate().partition(|(number, _)| (number / 6).is_multiple_of(2));
            it.pool.extend(heard.iter().map(|(_, id)| id.to_string()));
            it.unheard.extend(unheard.iter().map(|(_, id)| id.to_string()));
            for (tool, asked) in [
                ("memory_manage", json!({"action": "list", "limit": 1})),
                ("memory_recall", json!({"query": "vault", "limit": 1})),
                ("search", json!({"query": "vault", "limit": 1})),
            ] {
                let cursor = &served.ask(&victim, tool, asked).await["cursor"];
                it.cursors.push(cursor.as_str().expect("there is more").to_owned());
            }
            let listed: Value = serde_json::from_str(&served.prompts(&victim).await).unwrap();
            let names = listed.as_array().expect("a list").iter().filter_map(|prompt| prompt["name"].as_str());
            // A prompt's name contains its title, followed by the end of its id.
            it.prompts.extend(names.filter(|name| name.contains(CANARY)).map(str::to_owned));
            it.victims.push((victim, ids));
        }
        it.pool.extend(it.cursors.iter().cloned());
        it.pool.extend(KNOWN.map(str::to_owned));
        it
    }

    /// Makes one attempt. Returns the request, and everything that was answered.
    async fn attempt(&self, served: &Served, number: usize) -> (String, String) {
        let mut rng = SeededRng(number as u64);
        match rng.below(12) {
            0 => {
                let uri = rng.pick(&self.uris);
                (uri.clone(), served.resource(&self.who, uri).await)
            }
            1 => {
                let cursor = rng.in_a_hundred(80).then(|| rng.pick(&self.cursors).as_str());
                (format!("{cursor:?}"), served.resources(&self.who, cursor).await)
            }
            2 if rng.in_a_hundred(30) => ("prompts".into(), served.prompts(&self.who).await),
            2 => {
                // An error repeats the requested name, and this name is known to the attacker only
                // from the test's setup.
                let name = rng.pick(&self.prompts).clone();
                let said = served.prompt(&self.who, &name, &JsonObject::new()).await;
                (name.clone(), said.replace(&name, ""))
            }
            3 => {
                let (argument, begin) = (*rng.pick(&["tag", "collection", "kind"]), *rng.pick(&["", "q", "xq", "v"]));
                (format!("{argument} {begin}"), served.complete(&self.who, argument, begin).await)
            }
            _ => {
                let entry = rng.pick(&served.tools);
                let asked = arguments(entry, &self.pool, &mut rng);
                let said = served.call(&self.who, &entry.listed.name, asked.clone()).await;
                (format!("{} {asked}", entry.listed.name), said)
            }
        }
    }

    /// Makes all attempts. No answer may contain a canary, or an id that the attacker does not
    /// know.
    async fn make_attempts(&self, served: &Served, seed: usize) {
        let through = AtomicUsize::new(0);
        let through_now = &through;
        let attempts = (0..ATTEMPTS).map(|number| async move {
            let (asked, said) = self.attempt(served, seed + number).await;
            let tells = said.contains(CANARY) || self.unheard.iter().any(|id| said.contains(id) && !asked.contains(id));
            if tells && through_now.fetch_add(1, Ordering::Relaxed) < 5 {
                eprintln!("{asked}\n  told {said}");
            }
        });
        stream::iter(attempts).buffer_unordered(CONCURRENT).for_each(|()| async {}).await;
        assert_eq!(through.into_inner(), 0, "of {ATTEMPTS} attempts");
    }

    /// Returns all of the victims' records, as the victims see them.
    async fn of_the_victims(&self, served: &Served) -> Vec<String> {
        let mut all = Vec::new();
        for (victim, ids) in &self.victims {
            for id in ids {
                all.push(served.call(victim, "fetch", json!({"id": id})).await);
            }
            // Only the victim's own records: everybody lists the records that the attacker shares.
            let own = json!({"action": "list", "limit": 100, "filter": {"$owner": victim.owner}});
            all.push(served.call(victim, "memory_manage", own).await);
        }
        assert!(all.iter().all(|said| said.contains(CANARY)), "{all:?}");
        all
    }
}

async fn attempt_all(who: Scope, victims: Vec<(Scope, Vec<Record>)>, seed: usize) {
    let served = Served::open().await;
    let reach = Reach::of(&served, who.clone(), victims).await;
    // The attacker has records of its own, some of them with the same keys.
    let own = |number: usize| Record {
        fields: RecordFields {
            key: Some(format!("vault-{number}")),
            tags: vec!["q3".into()],
            ..RecordFields::default()
        },
        ..Record::new(SourceKind::Memory, format!("my own plan {number} for the vault of the north"))
    };
    served.write(&who, (0..12).map(own).collect()).await;
    served.embed_all().await;
    let before = reach.of_the_victims(&served).await;
    reach.make_attempts(&served, seed).await;
    served.embed_all().await;
    assert_eq!(reach.of_the_victims(&served).await, before, "nothing of theirs was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attempt_reaches_what_another_owner_keeps() {
    let bob = scope("acme", "bob", None);
    let analyst = scope("acme", "bob", Some("analyst"));
    let victims = vec![(bob, secrets(Visibility::Private, 18)), (analyst, secrets(Visibility::Persona, 18))];
    attempt_all(scope("acme", "ana", None), victims, 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attempt_reaches_what_another_tenant_has() {
    let rival = scope("rival", "ana", None);
    let victims = vec![(rival.clone(), secrets(Visibility::Tenant, 18)), (rival, secrets(Visibility::Private, 18))];
    attempt_all(scope("acme", "ana", None), victims, 2_000_000).await;
}
