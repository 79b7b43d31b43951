//! Tests of keys: a key names one record among those with the same readers.

use std::fs;
use std::path::Path;

use pgrecall_postgres::db::{DbError, Scope};
use pgrecall_record::source::{Past, Receipt, Record, RecordError, RecordFields, SourceKind, Stored, Visibility};
use pgrecall_store::write::{self, Batch, Outcome, Receipts};
use pgrecall_store::{exported, read};
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::fixture::{Fixture, document, limit, memory, query, scope, texts};

fn plan(text: &str, visibility: Visibility) -> Record {
    Record { fields: RecordFields { key: Some("plan".into()), ..RecordFields::default() }, visibility, ..memory(text) }
}

fn bob(it: &Fixture) -> Fixture {
    Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() }
}

async fn sees(it: &Fixture) -> anyhow::Result<Vec<String>> {
    let answer = it.recall(&query("plan", SourceKind::Memory)).await?;
    let mut seen: Vec<String> = texts(&answer).into_iter().map(str::to_owned).collect();
    seen.sort();
    Ok(seen)
}

fn stored(receipts: &[Outcome]) -> Vec<Stored> {
    receipts.iter().map(|outcome| outcome.as_ref().expect("written").stored).collect()
}

#[tokio::test]
async fn what_one_keeps_private_takes_no_key_from_another() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = bob(&it);
    it.write_one(plan("ana's plan", Visibility::Private)).await?;
    assert_eq!(bob.write_one(plan("bob's plan", Visibility::Private)).await?.stored, Stored::Created);
    assert_eq!(
        bob.write_one(plan("the plan of all", Visibility::Tenant)).await?.stored,
        Stored::Replaced,
        "it was his alone"
    );
    assert_eq!(
        bob.write_one(plan("bob's own plan", Visibility::Private)).await?.stored,
        Stored::Created,
        "it is shared"
    );
    assert_eq!(sees(&it).await?, ["ana's plan", "the plan of all"]);
    let both = vec![plan("our plan", Visibility::Tenant), plan("ana's new plan", Visibility::Private)];
    assert_eq!(stored(&it.write(both).await?), [Stored::Replaced, Stored::Replaced]);
    assert_eq!(sees(&it).await?, ["ana's new plan", "our plan"]);
    assert_eq!(sees(&bob).await?, ["bob's own plan", "our plan"]);
    // Every caller that sees a shared record may write to it.
    assert_eq!(bob.write_one(plan("a better plan of all", Visibility::Tenant)).await?.stored, Stored::Replaced);
    assert_eq!(sees(&it).await?, ["a better plan of all", "ana's new plan"]);
    Ok(())
}

#[tokio::test]
async fn personas_share_a_key_among_themselves_and_who_has_none_is_told() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let refused = it.write(vec![plan("nobody's", Visibility::Persona), memory("well")]).await?;
    assert_eq!(refused[0], Err(RecordError::NoPersona));
    assert!(refused[1].is_ok(), "the rest of the batch goes in");
    let of = |owner: &str, persona: &str| Fixture {
        scope: Scope { persona: Some(persona.into()), ..scope("acme", owner) },
        db: it.db.clone(),
        space: it.space.clone(),
    };
    let (carl, dora, eve) = (of("carl", "analyst"), of("dora", "analyst"), of("eve", "clerk"));
    let write = async |who: &Fixture, text: &str| {
        Ok::<_, anyhow::Error>(who.write_one(plan(text, Visibility::Persona)).await?.stored)
    };
    assert_eq!(write(&carl, "the analysts' plan").await?, Stored::Created);
    assert_eq!(write(&eve, "the clerks' plan").await?, Stored::Created);
    assert_eq!(write(&dora, "the analysts' new plan").await?, Stored::Replaced);
    assert_eq!(sees(&carl).await?, ["the analysts' new plan"]);
    assert_eq!(sees(&eve).await?, ["the clerks' plan"]);
    Ok(())
}

#[tokio::test]
async fn an_export_with_one_key_twice_comes_back_as_two_records_however_it_is_cut() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![plan("ana's plan", Visibility::Private), plan("the plan of all", Visibility::Tenant)]).await?;
    let lines: Vec<String> = read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10)
        .await?
        .iter()
        .map(|line| line.line.to_string())
        .collect();
    let elsewhere = Fixture { scope: scope("other", "ana"), db: it.db.clone(), space: it.space.clone() };
    for expected in [Stored::Created, Stored::Unchanged] {
        for line in &lines {
            let receipt = elsewhere.write_one(exported::imported(line, &elsewhere.scope)?).await?;
            assert_eq!(receipt.stored, expected, "{line}");
        }
    }
    assert_eq!(sees(&elsewhere).await?, ["ana's plan", "the plan of all"]);
    Ok(())
}

#[tokio::test]
async fn an_id_that_is_somebody_elses_makes_a_copy_of_that_record_alone() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let hidden = bob(&it).write_one(memory("bob's own")).await?.id;
    let shared = bob(&it).write_one(Record { visibility: Visibility::Tenant, ..memory("of all") }).await?.id;
    let free = Uuid::now_v7();
    let import = async || -> anyhow::Result<Receipts> {
        let with = |id: Uuid, text: &str| Record { past: Some(Past::of(id)), ..memory(text) };
        it.write(vec![with(hidden, "ana's first"), with(free, "ana's second"), with(shared, "ana's third")]).await
    };
    let ids =
        |receipts: &[Outcome]| receipts.iter().map(|outcome| outcome.as_ref().expect("written").id).collect::<Vec<_>>();
    let first = import().await?;
    assert_eq!(stored(&first), [Stored::Created; 3]);
    let copies = ids(&first);
    assert_eq!(copies[1], free);
    assert!(copies[0] != hidden && copies[2] != shared);
    let again = import().await?;
    assert_eq!(stored(&again), [Stored::Unchanged; 3]);
    assert_eq!(ids(&again), copies);
    assert_eq!(read::records(&it.db, &bob(&it).scope, &[hidden, shared]).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_key_that_many_write_at_once_names_one_record_and_each_is_answered() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let people: Vec<Scope> = (0..4).map(|n| scope("acme", &format!("person-{n}"))).collect();
    for round in 0..10 {
        let key = format!("key-{round}");
        let write = async |who: &Scope| -> Result<Receipt, DbError> {
            let record = document(&key, &format!("{} in round {round}", who.owner));
            let mut receipts = write::write(&it.db, who, &Batch::prepare(vec![record], &limit())).await?;
            Ok(receipts.remove(0).expect("a good record"))
        };
        let (a, b, c, d) = tokio::join!(write(&people[0]), write(&people[1]), write(&people[2]), write(&people[3]));
        let receipts = [a?, b?, c?, d?];
        assert_eq!(receipts.iter().filter(|receipt| receipt.stored == Stored::Created).count(), 1, "{receipts:?}");
        assert!(receipts.iter().all(|receipt| receipt.id == receipts[0].id), "{receipts:?}");
    }
    assert_eq!(read::export(&it.db, &it.scope, &read::Selection::default(), 0, 100).await?.len(), 10);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_sight_refuses_its_record_and_no_other() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let analyst = |owner: &str| Some((owner.to_owned(), Some("analyst".to_owned())));
    let imported = |owner: &str| {
        let past = Past { owner: analyst(owner), ..Past::of(Uuid::now_v7()) };
        Record { past: Some(past), ..plan("the analysts' plan", Visibility::Persona) }
    };
    bob(&it).write_one(imported("bob")).await?;
    let receipts = it.write(vec![imported("ana"), memory("well")]).await?;
    assert_eq!(receipts[0], Err(RecordError::KeyTaken), "neither may see what the other imported");
    assert_eq!(receipts[1].as_ref().map(|receipt| receipt.stored), Ok(Stored::Created));
    Ok(())
}

#[tokio::test]
async fn keys_that_were_handed_on_since_an_export_lose_no_record() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let named = |id: Uuid, key: &str, text: &str| Record {
        fields: RecordFields { key: Some(key.into()), ..RecordFields::default() },
        past: Some(Past::of(id)),
        ..memory(text)
    };
    let (x, y) = (Uuid::now_v7(), Uuid::now_v7());
    it.write(vec![named(x, "k1", "plan x"), named(y, "k2", "plan y")]).await?;
    let receipts = it.write(vec![named(x, "k2", "plan x, moved"), named(y, "k3", "plan y, moved")]).await?;
    assert!(receipts.iter().all(Result::is_ok), "{receipts:?}");
    assert_eq!(sees(&it).await?, ["plan x", "plan x, moved", "plan y, moved"]);
    Ok(())
}

#[tokio::test]
async fn a_key_that_thousands_keep_privately_is_found_in_one_place() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.run_sql(
        "INSERT INTO sources (tenant_id, source_kind, source_id, owner_id, visibility, key, title, body, format, metadata, tags, entity_urns,
                              content_hash, words)
         SELECT 'acme', 'memory', gen_random_uuid(), 'person ' || n, 'private', 'plan', '', 'the plan of ' || n, 'plain', '{}', '{}', '{}',
                sha256(n::text::bytea), 4
         FROM generate_series(1, 5000) n;
         ANALYZE sources;",
    )
    .await?;
    let ana = it.write_one(plan("ana's plan", Visibility::Private)).await?.id;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/queries/find_keys.sql");
    let statement = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}", fs::read_to_string(file)?);
    for visibility in ["private", "tenant"] {
        let one = |text: &'static str| vec![text];
        let (items, nobody) = (vec![0_i32], vec![None::<&str>]);
        let (kinds, collections, keys, visibilities) = (one("memory"), one(""), one("plan"), one(visibility));
        let texts = Type::TEXT_ARRAY;
        let parameters: [(&(dyn ToSql + Sync), Type); 7] = [
            (&items, Type::INT4_ARRAY),
            (&kinds, texts.clone()),
            (&collections, texts.clone()),
            (&keys, texts.clone()),
            (&visibilities, texts.clone()),
            (&nobody, texts.clone()),
            (&nobody, texts.clone()),
        ];
        let rows = it.db.query(&it.scope, &statement, &parameters).await?;
        let explained: Value = rows[0].get(0);
        let plan = &explained[0]["Plan"];
        let count = |key: &str| plan[key].as_f64().expect("a count");
        let read = count("Shared Hit Blocks") + count("Shared Read Blocks");
        assert_eq!(count("Actual Rows"), 1.0, "ana's own: {explained}");
        assert!(read <= 30.0, "{read} buffers: {explained}");
    }
    assert_eq!(it.write_one(plan("ana's new plan", Visibility::Private)).await?.id, ana);
    Ok(())
}

#[tokio::test]
async fn a_record_that_would_move_onto_a_key_out_of_sight_is_refused_alone_and_stays() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let analyst = |id: Uuid, owner: &str, collection: &str, text: &str| Record {
        fields: RecordFields { collection: collection.into(), ..plan(text, Visibility::Persona).fields },
        past: Some(Past { owner: Some((owner.to_owned(), Some("analyst".to_owned()))), ..Past::of(id) }),
        ..plan(text, Visibility::Persona)
    };
    bob(&it).write_one(analyst(Uuid::now_v7(), "bob", "autumn", "bob's plan of autumn")).await?;
    let mine = it.write_one(analyst(Uuid::now_v7(), "ana", "spring", "ana's plan of spring")).await?.id;
    let free = it.write_one(analyst(Uuid::now_v7(), "ana", "winter", "ana's plan of winter")).await?.id;
    let receipts = it
        .write(vec![
            analyst(mine, "ana", "autumn", "ana's plan, moved"),
            memory("well"),
            analyst(free, "ana", "summer", "ana's plan of summer"),
        ])
        .await?;
    assert_eq!(receipts[0], Err(RecordError::KeyTaken));
    assert_eq!(receipts[1].as_ref().map(|receipt| receipt.stored), Ok(Stored::Created));
    assert_eq!(receipts[2].as_ref().map(|receipt| (receipt.id, receipt.stored)), Ok((free, Stored::Replaced)));
    assert_eq!(sees(&it).await?, ["ana's plan of spring", "ana's plan of summer"]);
    Ok(())
}
