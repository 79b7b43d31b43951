//! Tests of corrected memories: superseding, deduplication by text, and imports with a past.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{
    Past, Receipt, Record, RecordError, RecordFields, SourceKind, Status, Stored, Visibility,
};
use pgrecall_store::correct::{self, Change};
use pgrecall_store::forget::{self, How};
use pgrecall_store::recall::{Filter, Query, Superseded};
use pgrecall_store::write::{self, Batch, Policy};
use pgrecall_store::{exported, read, review};
use uuid::Uuid;

use crate::fixture::{Fixture, document, limit, memory, query, scope, texts};

fn asking(text: &str, filter: Filter) -> Query {
    Query { filter: Filter { kinds: vec![SourceKind::Memory], ..filter }, ..query(text, SourceKind::Memory) }
}

async fn remember(it: &Fixture, record: Record) -> anyhow::Result<Receipt> {
    let batch = Batch::prepare(vec![record], &limit()).dedup_by_text();
    Ok(write::write(&it.db, &it.scope, &batch).await?.remove(0)?)
}

#[tokio::test]
async fn what_takes_anothers_place_answers_from_then_on_and_the_other_answers_for_its_time() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(memory("The office is in Lisbon")).await?.id;
    let before = Timestamp::now();
    let new = it.write_one(Record { supersedes: vec![old], ..memory("The office is in Porto") }).await?.id;
    let question = "where is the office?";
    assert_eq!(texts(&it.recall(&asking(question, Filter::default())).await?), ["The office is in Porto"]);
    let then = Filter { as_of: Some(before), ..Filter::default() };
    assert_eq!(texts(&it.recall(&asking(question, then)).await?), ["The office is in Lisbon"]);
    let later = Filter { as_of: Some(before + SignedDuration::from_hours(1)), ..Filter::default() };
    assert_eq!(texts(&it.recall(&asking(question, later)).await?), ["The office is in Porto"]);
    let all = it.recall(&asking(question, Filter { include_stale: true, ..Filter::default() })).await?;
    let was = all.hits.iter().find(|hit| hit.id == old).expect("superseded, and kept");
    assert_eq!((was.status, was.superseded_by), (Status::Superseded, Some(new)));
    let is = all.hits.iter().find(|hit| hit.id == new).expect("the new one");
    assert_eq!(
        is.supersedes,
        [Superseded { id: old, content: "The office is in Lisbon".into(), until: is.fields.valid_from }]
    );
    assert_eq!(is.fields.valid_from, was.fields.valid_to);
    // `as_of` returns only the records that were valid then, even if stale records are included.
    let stale_then = Filter { as_of: Some(before), include_stale: true, ..Filter::default() };
    assert_eq!(texts(&it.recall(&asking(question, stale_then)).await?), ["The office is in Lisbon"]);
    Ok(())
}

#[tokio::test]
async fn what_will_be_replaced_answers_until_then() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(memory("The office is in Lisbon")).await?.id;
    let then = Timestamp::now() + SignedDuration::from_hours(24);
    it.write_one(Record {
        fields: RecordFields { valid_from: Some(then), ..RecordFields::default() },
        supersedes: vec![old],
        ..memory("The office is in Porto")
    })
    .await?;
    let at = async |as_of| {
        let answer = it.recall(&asking("where is the office?", Filter { as_of, ..Filter::default() })).await?;
        anyhow::Ok(texts(&answer).join(", "))
    };
    assert_eq!(at(None).await?, "The office is in Lisbon");
    assert_eq!(at(Some(then + SignedDuration::from_secs(1))).await?, "The office is in Porto");
    Ok(())
}

#[tokio::test]
async fn nothing_supersedes_itself_or_what_is_not_there_and_the_rest_of_the_batch_goes_in() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let known = it.write_one(document("k", "first")).await?.id;
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    let private = theirs.write_one(memory("bob's own")).await?.id;
    let receipts = it
        .write(vec![
            Record { supersedes: vec![known], ..document("k", "second") },
            Record { supersedes: vec![private], ..memory("not mine to replace") },
            memory("good"),
        ])
        .await?;
    assert_eq!(receipts[0], Err(RecordError::SupersedesItself));
    assert_eq!(receipts[1], Err(RecordError::NothingToSupersede(private)));
    assert!(receipts[2].is_ok());
    assert_eq!(it.recall(&query("not mine to replace", SourceKind::Memory)).await?.hits.len(), 0);
    Ok(())
}

#[tokio::test]
async fn two_that_take_each_others_place_end_with_the_last_one_active() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let keyed = |key: &str, text: &str, supersedes| Record {
        fields: RecordFields { key: Some(key.into()), ..RecordFields::default() },
        supersedes,
        ..memory(text)
    };
    let a = it.write_one(keyed("a", "the plan is A", vec![])).await?.id;
    let b = it.write_one(keyed("b", "the plan is B", vec![a])).await?.id;
    it.write_one(keyed("a", "the plan is A again", vec![b])).await?;
    assert_eq!(texts(&it.recall(&query("plan", SourceKind::Memory)).await?), ["the plan is A again"]);
    Ok(())
}

#[tokio::test]
async fn what_the_caller_has_said_before_is_the_same_memory() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let first = remember(&it, memory("Ana owns billing")).await?;
    let again = remember(&it, memory("Ana owns billing")).await?;
    assert_eq!((again.id, again.stored), (first.id, Stored::Unchanged));
    let tagged = remember(
        &it,
        Record {
            fields: RecordFields { tags: vec!["team".into()], ..RecordFields::default() },
            ..memory("Ana owns billing")
        },
    )
    .await?;
    assert_eq!((tagged.id, tagged.stored), (first.id, Stored::Unchanged), "it keeps whatever else is known of it");
    let (one, other) = tokio::join!(remember(&it, memory("at once")), remember(&it, memory("at once")));
    assert_eq!(one?.id, other?.id);
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    assert_eq!(remember(&theirs, memory("Ana owns billing")).await?.stored, Stored::Created);
    // An ingest does not deduplicate: two lines with the same text are two records.
    let plain = it.write(vec![memory("Ana owns billing"), memory("Ana owns billing")]).await?;
    assert!(plain.iter().all(|receipt| receipt.as_ref().is_ok_and(|receipt| receipt.stored == Stored::Created)));
    Ok(())
}

#[tokio::test]
async fn a_record_comes_back_with_its_past_once() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let (id, successor) = (Uuid::now_v7(), Uuid::now_v7());
    let long_ago: Timestamp = "2020-05-01T10:00:00Z".parse()?;
    let past = Past {
        status: Status::Superseded,
        superseded_by: Some(successor),
        created_at: Some(long_ago),
        updated_at: Some(long_ago),
        last_verified: Some(long_ago),
        ..Past::of(id)
    };
    let record = Record { past: Some(past), ..memory("The office is in Lisbon") };
    let receipt = it.write_one(record.clone()).await?;
    assert_eq!((receipt.id, receipt.stored), (id, Stored::Created));
    let line = read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?.remove(0).line;
    assert_eq!(
        (line["status"].as_str(), line["superseded_by"].as_str()),
        (Some("superseded"), Some(&*successor.to_string()))
    );
    for moment in ["created_at", "updated_at", "last_verified"] {
        assert_eq!(line[moment].as_str().and_then(|text| text.parse().ok()), Some(long_ago), "{moment}");
    }
    assert_eq!(it.write_one(record.clone()).await?.stored, Stored::Unchanged);
    // A record that was changed elsewhere and imported again keeps its id.
    let changed = it.write_one(Record { body: "The office was in Lisbon".into(), ..record.clone() }).await?;
    assert_eq!((changed.id, changed.stored), (id, Stored::Replaced));
    // Another owner's import of the same file cannot change the record, and its receipts do not
    // reveal it.
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    let copied = theirs.write(vec![memory("bob's own"), record]).await?;
    assert!(copied.iter().all(|receipt| receipt.as_ref().is_ok_and(|r| r.stored == Stored::Created && r.id != id)));
    assert_eq!(read::export(&it.db, &theirs.scope, &read::Selection::default(), 0, 10).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_import_sees_what_became_of_a_record_since_and_a_dry_run_says_so_first() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let home = Fixture { scope: scope("other", "ana"), db: it.db.clone(), space: it.space.clone() };
    let old = it.write_one(document("plan", "the plan of spring")).await?.id;
    let line = async || {
        anyhow::Ok(
            read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?.remove(0).line.to_string(),
        )
    };
    let import = async |line: &str, writes: bool| {
        let batch = Batch::prepare(vec![exported::imported(line, &home.scope)?], &limit());
        let receipts = match writes {
            true => write::write(&home.db, &home.scope, &batch).await?,
            false => write::preview(&home.db, &home.scope, &batch).await?,
        };
        anyhow::Ok(receipts[0].clone()?.stored)
    };
    let first = line().await?;
    assert_eq!((import(&first, false).await?, import(&first, true).await?), (Stored::Created, Stored::Created));
    assert_eq!((import(&first, false).await?, import(&first, true).await?), (Stored::Unchanged, Stored::Unchanged));
    it.write_one(Record { supersedes: vec![old], ..document("next", "the plan of autumn") }).await?;
    let superseded = line().await?;
    assert_eq!(import(&superseded, false).await?, Stored::Replaced);
    assert_eq!(
        read::export(&home.db, &home.scope, &read::Selection::default(), 0, 10).await?[0].line.to_string(),
        first,
        "a rehearsal writes nothing"
    );
    assert_eq!(
        (import(&superseded, true).await?, import(&superseded, true).await?),
        (Stored::Replaced, Stored::Unchanged)
    );
    assert_eq!(
        read::export(&home.db, &home.scope, &read::Selection::default(), 0, 10).await?[0].line.to_string(),
        superseded
    );
    Ok(())
}

#[tokio::test]
async fn two_owners_who_import_one_file_have_a_copy_each_that_stays_the_same() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(memory("The office is in Lisbon")).await?.id;
    it.write_one(Record { supersedes: vec![old], ..memory("The office is in Porto") }).await?;
    let lines: Vec<String> = read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10)
        .await?
        .iter()
        .map(|exported| exported.line.to_string())
        .collect();
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    let import = async || {
        let records = lines.iter().map(|line| exported::imported(line, &theirs.scope)).collect::<Result<_, _>>()?;
        let receipts = theirs.write(records).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
        anyhow::Ok(receipts)
    };
    let copies = import().await?;
    assert!(copies.iter().all(|receipt| receipt.stored == Stored::Created && receipt.id != old));
    assert_eq!(
        review::history(&it.db, &theirs.scope, copies[0].id).await?.len(),
        2,
        "the copies are linked as the records are"
    );
    assert!(import().await?.iter().all(|receipt| receipt.stored == Stored::Unchanged));
    assert_eq!(read::export(&it.db, &theirs.scope, &read::Selection::default(), 0, 10).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn what_was_superseded_points_to_its_successor_whichever_of_the_two_is_a_copy_and_whichever_comes_first()
-> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let hidden = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    for (n, [first_is_taken, at_once, in_order]) in (0..8).map(|n| (n, [n & 1 > 0, n & 2 > 0, n & 4 > 0])) {
        let [old, new] = [Uuid::now_v7(), Uuid::now_v7()];
        let taken = if first_is_taken { old } else { new };
        hidden.write_one(Record { past: Some(Past::of(taken)), ..memory("bob's own") }).await?;
        let past = Past { status: Status::Superseded, superseded_by: Some(new), ..Past::of(old) };
        let mut records = vec![
            Record { past: Some(past), ..memory(&format!("The office is in Lisbon, floor {n}")) },
            Record { past: Some(Past::of(new)), ..memory(&format!("The office is in Porto, floor {n}")) },
        ];
        if !in_order {
            records.reverse();
        }
        let import = async || {
            let batches =
                if at_once { vec![records.clone()] } else { records.iter().map(|r| vec![r.clone()]).collect() };
            let mut receipts = Vec::new();
            for batch in batches {
                for receipt in it.write(batch).await? {
                    receipts.push(receipt?);
                }
            }
            anyhow::Ok(receipts)
        };
        let said = format!("{n}: first is taken: {first_is_taken}, at once: {at_once}, in order: {in_order}");
        let mut receipts = import().await?;
        assert!(import().await?.iter().all(|receipt| receipt.stored == Stored::Unchanged), "{said}");
        if !in_order {
            receipts.reverse();
        }
        let was = read::records(&it.db, &it.scope, &[receipts[0].id]).await?.remove(0).past.expect("a past");
        assert_eq!(was.superseded_by, Some(receipts[1].id), "{said}");
        assert_eq!((receipts[0].id == old, receipts[1].id == new), (!first_is_taken, first_is_taken), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_link_to_a_successor_that_was_there_by_its_key_stays_however_often_it_is_imported() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let [old, new] = [Uuid::now_v7(), Uuid::now_v7()];
    let there = it
        .write_one(Record {
            fields: RecordFields { key: Some("plan".into()), ..RecordFields::default() },
            ..memory("the plan")
        })
        .await?
        .id;
    let past = Past { status: Status::Superseded, superseded_by: Some(new), ..Past::of(old) };
    let updated_at = Some("2020-05-01T10:00:00Z".parse()?);
    let superseded = Record { past: Some(Past { updated_at, ..past }), ..memory("the plan of old") };
    let plan = Record {
        fields: RecordFields { key: Some("plan".into()), ..RecordFields::default() },
        past: Some(Past { updated_at, ..Past::of(new) }),
        ..memory("the plan of autumn")
    };
    let successor = async || {
        let record = read::records(&it.db, &it.scope, &[old]).await?.remove(0);
        anyhow::Ok(record.past.and_then(|past| past.superseded_by))
    };
    let first = it.write(vec![superseded.clone(), plan.clone()]).await?;
    assert_eq!(first[1].as_ref().map(|receipt| (receipt.id, receipt.stored)), Ok((there, Stored::Replaced)));
    assert_eq!(successor().await?, Some(there));
    let second = it.write(vec![superseded.clone(), plan.clone()]).await?;
    assert!(second.iter().all(|receipt| receipt.as_ref().is_ok_and(|r| r.stored == Stored::Unchanged)), "{second:?}");
    for record in [superseded, plan] {
        it.write_one(record).await?;
    }
    assert_eq!(successor().await?, Some(there), "one by one");
    Ok(())
}

#[tokio::test]
async fn a_change_of_a_superseded_record_leaves_its_link_where_it_is() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(memory("The office is in Lisbon")).await?.id;
    let key = Some("office".to_owned());
    let supersedes = vec![old];
    let new = it
        .write_one(Record {
            fields: RecordFields { key: key.clone(), ..RecordFields::default() },
            supersedes,
            ..memory("The office is in Porto")
        })
        .await?
        .id;
    let lines: Vec<String> = read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10)
        .await?
        .iter()
        .map(|exported| exported.line.to_string())
        .collect();
    // The record was shared since the export, so the import of the private one creates a copy.
    it.write_one(Record {
        fields: RecordFields { key, ..RecordFields::default() },
        visibility: Visibility::Tenant,
        ..memory("The office is in Porto")
    })
    .await?;
    for line in &lines {
        it.write_one(exported::imported(line, &it.scope)?).await?;
    }
    assert_eq!(read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?.len(), 3);
    let change = Change { tags: Some(vec!["office".into()]), ..Change::default() };
    assert!(correct::update(&it.db, &it.scope, old, &change, &limit(), Policy::default()).await?.is_some());
    let past = read::records(&it.db, &it.scope, &[old]).await?.remove(0).past.expect("a past");
    assert_eq!((past.status, past.superseded_by), (Status::Superseded, Some(new)));
    Ok(())
}

#[tokio::test]
async fn a_change_of_what_is_shared_with_a_persona_leaves_it_there_whoever_makes_it() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let persona = |owner: &str, persona: Option<&str>| Fixture {
        scope: Scope { persona: persona.map(str::to_owned), ..scope("acme", owner) },
        db: it.db.clone(),
        space: it.space.clone(),
    };
    let (ana, colleague) = (persona("ana", Some("analyst")), persona("carl", Some("analyst")));
    for key in [None, Some("margins".to_owned())] {
        let shared = Record {
            fields: RecordFields { key, ..RecordFields::default() },
            visibility: Visibility::Persona,
            ..memory("margins are net of refunds")
        };
        let id = ana.write_one(shared).await?.id;
        for (n, caller) in [&ana, &colleague, &persona("ana", Some("clerk")), &persona("ana", None)].iter().enumerate()
        {
            let change = Change { tags: Some(vec![format!("change-{n}")]), ..Change::default() };
            let outcome = correct::update(&it.db, &caller.scope, id, &change, &limit(), Policy::default()).await?;
            let receipt = outcome.expect("its owner sees it always")?;
            assert_eq!((receipt.id, receipt.stored), (id, Stored::Replaced), "{:?}", caller.scope);
            let seen = read::records(&it.db, &colleague.scope, &[id]).await?.pop().expect("his persona's still");
            assert_eq!(seen.fields.tags, [format!("change-{n}")]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_shared_with_a_persona_stays_so_under_its_importer() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let analyst = Scope { persona: Some("analyst".into()), ..scope("acme", "ana") };
    let shared = Record { visibility: Visibility::Persona, ..memory("margins are net of refunds") };
    write::write(&it.db, &analyst, &Batch::prepare(vec![shared], &limit())).await?.remove(0)?;
    let line = read::export(&it.db, &analyst, &read::Selection::default(), 0, 10).await?.remove(0).line;
    let bob = scope("other", "bob");
    let record = exported::imported(&line.to_string(), &bob)?;
    write::write(&it.db, &bob, &Batch::prepare(vec![record], &limit())).await?.remove(0)?;
    assert_eq!(read::export(&it.db, &bob, &read::Selection::default(), 0, 10).await?[0].line, line);
    let colleague = Scope { persona: Some("analyst".into()), ..scope("other", "carl") };
    assert_eq!(read::export(&it.db, &colleague, &read::Selection::default(), 0, 10).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn what_was_forgotten_comes_back_as_it_was_unless_its_key_is_another_records() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let keyed = Record {
        fields: RecordFields { key: Some("plan".into()), tags: vec!["q3".into()], ..RecordFields::default() },
        ..memory("the plan of spring")
    };
    let (plain, keyed) =
        (it.write_one(memory("the launch code is swordfish")).await?.id, it.write_one(keyed).await?.id);
    it.embed_all(|_| 1).await?;
    let gone = forget::forget(&it.db, &it.scope, &[plain, keyed], How::Keep).await?;
    assert_eq!((gone.sources, gone.vectors, gone.left), (2, 2, 0));
    assert!(it.recall_by(&query("swordfish plan", SourceKind::Memory), 1).await?.hits.is_empty());

    let week = Duration::from_secs(7 * 86_400);
    let theirs = scope("acme", "bob");
    assert!(forget::kept(&it.db, &theirs, &[plain, keyed], week).await?.is_empty(), "it was private");
    assert!(forget::kept(&it.db, &it.scope, &[plain], Duration::ZERO).await?.is_empty(), "its time is over");
    it.write_one(Record {
        fields: RecordFields { key: Some("plan".into()), ..RecordFields::default() },
        ..memory("the plan of autumn")
    })
    .await?;
    let kept = forget::kept(&it.db, &it.scope, &[plain, keyed], week).await?;
    let restored = write::write(&it.db, &it.scope, &Batch::prepare(kept, &limit()).only_creating()).await?;
    let receipt = restored[0].as_ref().expect("brought back");
    assert_eq!((receipt.id, receipt.stored), (plain, Stored::Created));
    assert_eq!(restored[1], Err(RecordError::KeyTaken));
    assert_eq!(texts(&it.recall(&query("plan", SourceKind::Memory)).await?), ["the plan of autumn"]);
    forget::release(&it.db, &it.scope, &[plain]).await?;
    assert_eq!(texts(&it.recall(&query("swordfish", SourceKind::Memory)).await?), ["the launch code is swordfish"]);

    let nothing = Uuid::now_v7();
    let for_good = forget::forget(&it.db, &it.scope, &[plain, keyed, nothing], How::ForGood).await?;
    assert_eq!((for_good.sources, for_good.left), (2, 0), "one that was there, and one that was kept");
    assert_eq!(for_good.not_found, [nothing]);
    assert!(forget::kept(&it.db, &it.scope, &[plain, keyed], week).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_was_superseded_and_forgotten_is_kept_with_the_end_that_it_had() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let end = Some("2124-12-31T00:00:00Z".parse()?);
    let old = it.write_one(memory("The office is in Lisbon")).await?.id;
    let lasting = it
        .write_one(Record {
            fields: RecordFields { valid_to: end, ..RecordFields::default() },
            ..memory("The office may be in Braga")
        })
        .await?
        .id;
    it.write_one(Record { supersedes: vec![old, lasting], ..memory("The office is in Porto") }).await?;
    forget::forget(&it.db, &it.scope, &[old, lasting], How::Keep).await?;
    let kept = forget::kept(&it.db, &it.scope, &[old, lasting], Duration::from_secs(60)).await?;
    let ends: Vec<_> = [old, lasting]
        .map(|id| {
            kept.iter()
                .find(|kept| kept.past.as_ref().is_some_and(|past| past.id == id))
                .map(|kept| kept.fields.valid_to)
        })
        .into();
    assert_eq!(ends, [Some(None), Some(end)]);
    Ok(())
}

#[tokio::test]
async fn what_was_over_before_it_was_told_takes_anothers_place_too() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(memory("The office is in Lisbon")).await?.id;
    let end = Some("2024-12-31T00:00:00Z".parse()?);
    let new = it
        .write_one(Record {
            fields: RecordFields { valid_to: end, ..RecordFields::default() },
            supersedes: vec![old],
            ..memory("The office was in Porto")
        })
        .await?
        .id;
    let is = read::fetch(&it.db, &it.scope, new).await?.expect("it is there").hit;
    assert_eq!((is.fields.valid_from, is.fields.valid_to), (end, end));
    Ok(())
}

#[tokio::test]
async fn what_was_forgotten_is_dropped_when_its_time_is_over() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let id = it.write_one(memory("soon gone")).await?.id;
    forget::forget(&it.db, &it.scope, &[id], How::Keep).await?;
    forget::retain(&it.db, Duration::from_secs(60)).await?;
    assert_eq!(forget::kept(&it.db, &it.scope, &[id], Duration::from_secs(60)).await?.len(), 1);
    it.run_sql("UPDATE forgotten_sources SET forgotten_at = clock_timestamp() - interval '2 minutes'").await?;
    forget::retain(&it.db, Duration::from_secs(60)).await?;
    assert!(forget::kept(&it.db, &it.scope, &[id], Duration::from_secs(600)).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_history_is_told_in_its_order_even_where_it_runs_in_a_circle() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let lisbon = it.write_one(memory("The office is in Lisbon")).await?.id;
    let porto = it.write_one(Record { supersedes: vec![lisbon], ..memory("The office is in Porto") }).await?.id;
    let faro = it.write_one(Record { supersedes: vec![porto], ..memory("The office is in Faro") }).await?.id;
    for id in [lisbon, porto, faro] {
        let history = review::history(&it.db, &it.scope, id).await?;
        assert_eq!(history.iter().map(|hit| hit.id).collect::<Vec<_>>(), [lisbon, porto, faro]);
    }
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let circle = |id, by| Past { status: Status::Superseded, superseded_by: Some(by), ..Past::of(id) };
    it.write(vec![
        Record { past: Some(circle(one, other)), ..memory("one") },
        Record { past: Some(circle(other, one)), ..memory("other") },
    ])
    .await?;
    assert_eq!(review::history(&it.db, &it.scope, one).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_page_ends_where_the_next_begins() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..5).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    let filter = Filter::of(SourceKind::Memory);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = review::list(&it.db, &it.scope, &filter, after, 2, 100).await?;
        seen.extend(page.hits.into_iter().map(|hit| hit.text));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(review::list(&it.db, &it.scope, &filter, None, 1, 3).await?.hits[0].text, "mem");
    assert_eq!(seen, ["memory 4", "memory 3", "memory 2", "memory 1", "memory 0"]);
    Ok(())
}

#[tokio::test]
async fn what_nobody_has_looked_at_for_long_is_up_for_review_until_it_is_verified() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(memory("an old fact")).await?.id;
    let doubted = it.write_one(memory("a doubted fact")).await?.id;
    it.write_one(memory("a fresh fact")).await?;
    it.run_sql("UPDATE sources SET updated_at = updated_at - interval '100 days' WHERE body = 'an old fact'").await?;
    correct::set_status(&it.db, &it.scope, &[doubted], Status::Stale, false).await?;
    assert_eq!(it.recall(&query("fact", SourceKind::Memory)).await?.hits.len(), 2, "what is doubted does not answer");
    let review = async || {
        let unseen = Duration::from_secs(90 * 86_400);
        let found = review::stale(&it.db, &it.scope, &Filter::of(SourceKind::Memory), unseen, 10).await?;
        anyhow::Ok(found.into_iter().map(|hit| hit.id).collect::<Vec<_>>())
    };
    assert_eq!(review().await?, [old, doubted]);
    assert_eq!(correct::set_status(&it.db, &it.scope, &[old, doubted], Status::Active, true).await?.len(), 2);
    assert_eq!(review().await?, Vec::<Uuid>::new());
    let ended = Record {
        fields: RecordFields { valid_to: Some("2026-01-31T00:00:00Z".parse()?), ..RecordFields::default() },
        ..memory("a fact of January")
    };
    let ended = it.write_one(ended).await?.id;
    assert_eq!(review().await?, [ended]);
    correct::set_status(&it.db, &it.scope, &[ended], Status::Active, true).await?;
    assert_eq!(review().await?, Vec::<Uuid>::new(), "somebody knows that it was true until then");
    assert!(correct::set_status(&it.db, &scope("acme", "bob"), &[old], Status::Stale, false).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn memories_that_say_nearly_the_same_are_found_in_pairs_of_one_owner() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let ids: Vec<Uuid> = it
        .write(vec![memory("tea at four"), memory("coffee at nine"), memory("tea at four o'clock")])
        .await?
        .into_iter()
        .map(|receipt| receipt.expect("written").id)
        .collect();
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    theirs.write_one(memory("tea at four, says bob")).await?;
    it.embed_all(|text| if text.contains("tea") { 2 } else { 9 }).await?;
    let filter = Filter::of(SourceKind::Memory);
    let (pairs, more) = review::duplicates(&it.db, &it.scope, &filter, 0.35, None, 100).await?.expect("a space");
    assert_eq!(more, None);
    assert_eq!(pairs.iter().map(|pair| (pair.newer, pair.older)).collect::<Vec<_>>(), [(ids[2], ids[0])]);
    let similar = review::similar(&it.db, &it.scope, &it.query_vector(2), 0.35).await?;
    assert_eq!(similar.len(), 2, "{similar:?}");
    Ok(())
}

#[tokio::test]
async fn among_many_memories_pairs_are_found_through_the_index() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..2_100).map(|n| memory(&format!("coffee {n}"))).collect()).await?;
    it.embed_all(|_| 9).await?;
    let filter = Filter::of(SourceKind::Memory);
    let (pairs, more) = review::duplicates(&it.db, &it.scope, &filter, 0.35, None, 10).await?.expect("a space");
    assert!(pairs.len() >= 10 && more.is_some(), "{pairs:?}");
    assert!(pairs.iter().all(|pair| pair.newer != pair.older && pair.similarity >= 0.35), "{pairs:?}");
    Ok(())
}

#[tokio::test]
async fn pairs_that_do_not_fit_on_a_page_come_with_the_next() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    for n in 0..6 {
        it.write(vec![memory(&format!("{n} at four")), memory(&format!("{n} at four o'clock"))]).await?;
    }
    it.embed_all(|text| text[..1].parse().expect("a digit")).await?;
    let filter = Filter::of(SourceKind::Memory);
    let pages = async |limit: usize| {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (pairs, next) =
                review::duplicates(&it.db, &it.scope, &filter, 0.35, after, limit).await?.expect("a space");
            assert!(pairs.len() < limit + 5, "a memory is as near as five others at the most");
            seen.extend(pairs.into_iter().map(|pair| (pair.newer, pair.older)));
            after = next;
            if next.is_none() {
                break;
            }
        }
        seen.sort();
        anyhow::Ok(seen)
    };
    let all = pages(100).await?;
    assert!(all.len() >= 6);
    for limit in [1, 2, 4, 6] {
        assert_eq!(pages(limit).await?, all, "by {limit}");
    }
    Ok(())
}

#[tokio::test]
async fn what_has_a_successor_gets_no_second_one() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let oslo = it.write_one(memory("Yan lives in Oslo")).await?.id;
    let bergen = it.write_one(Record { supersedes: vec![oslo], ..memory("Yan lives in Bergen") }).await?.id;
    let rome = |supersedes: Vec<Uuid>| Record { supersedes, ..memory("Yan lives in Rome") };
    let refused = it.write(vec![rome(vec![oslo])]).await?.remove(0);
    assert_eq!(refused, Err(RecordError::SupersededAlready(oslo, bergen)));
    // A record that names the whole chain supersedes its end.
    let rome = it.write_one(rome(vec![oslo, bergen])).await?.id;
    let successors = async || {
        let records = read::records(&it.db, &it.scope, &[oslo, bergen]).await?;
        anyhow::Ok(
            records.into_iter().map(|record| record.past.and_then(|past| past.superseded_by)).collect::<Vec<_>>(),
        )
    };
    assert_eq!(successors().await?, [Some(bergen), Some(rome)]);
    assert!(
        correct::set_status(&it.db, &it.scope, &[oslo], Status::Active, true).await?.is_empty(),
        "it is not true now"
    );
    assert_eq!(successors().await?, [Some(bergen), Some(rome)]);
    // Once the successor is deleted, another record may supersede the old one.
    forget::forget(&it.db, &it.scope, &[bergen], How::ForGood).await?;
    let there = it.write_one(Record { supersedes: vec![oslo], ..memory("Yan lives in Graz") }).await?.id;
    assert_eq!(
        read::records(&it.db, &it.scope, &[oslo]).await?[0].past.as_ref().and_then(|past| past.superseded_by),
        Some(there)
    );
    Ok(())
}

#[tokio::test]
async fn one_id_of_the_past_in_two_records_is_the_firsts() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let id = Uuid::now_v7();
    let record = |key: &str| Record {
        fields: RecordFields { key: Some(key.into()), ..RecordFields::default() },
        past: Some(Past::of(id)),
        ..memory(&format!("record {key}"))
    };
    let receipts = it
        .write(vec![
            record("a"),
            record("b"),
            Record { fields: RecordFields { key: None, ..record("c").fields }, ..record("c") },
        ])
        .await?;
    let ids: Vec<Uuid> = receipts.into_iter().map(|receipt| receipt.expect("written").id).collect();
    assert_eq!(ids[0], id);
    assert!(ids[1] != id && ids[2] != id && ids[1] != ids[2]);
    Ok(())
}

#[tokio::test]
async fn changes_that_are_made_at_once_are_all_made_and_what_was_forgotten_stays_gone() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let id = it.write_one(memory("as it was")).await?.id;
    let change = async |n: usize| {
        let metadata = serde_json::Map::from_iter([(format!("change-{n}"), true.into())]);
        let change = Change { metadata, ..Change::default() };
        correct::update(&it.db, &it.scope, id, &change, &limit(), Policy::default()).await
    };
    let made = futures_util::future::try_join_all((0..20).map(change)).await?;
    assert!(
        made.iter().all(|made| matches!(made, Some(Ok(receipt)) if receipt.stored == Stored::Replaced)),
        "{made:?}"
    );
    assert_eq!(read::records(&it.db, &it.scope, &[id]).await?[0].fields.metadata.len(), 20);
    forget::forget(&it.db, &it.scope, &[id], How::ForGood).await?;
    assert_eq!(change(20).await?, None);
    assert!(read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_superseded_stays_so_until_it_is_brought_back() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(memory("The office is in Lisbon")).await?.id;
    it.write_one(Record { supersedes: vec![old], ..memory("The office is in Porto") }).await?;
    assert!(correct::set_status(&it.db, &it.scope, &[old], Status::Archived, false).await?.is_empty());
    assert_eq!(review::history(&it.db, &it.scope, old).await?.len(), 2);
    assert_eq!(correct::set_status(&it.db, &it.scope, &[old], Status::Active, false).await?, [old]);
    assert_eq!(it.recall(&query("office", SourceKind::Memory)).await?.hits.len(), 2, "and it is valid again");

    let wrong = it.write_one(Record { supersedes: vec![old], ..memory("The office is in Faro") }).await?.id;
    forget::forget(&it.db, &it.scope, &[wrong], How::Keep).await?;
    assert_eq!(texts(&it.recall(&query("Lisbon", SourceKind::Memory)).await?), Vec::<&str>::new());
    correct::set_status(&it.db, &it.scope, &[old], Status::Active, false).await?;
    assert_eq!(
        texts(&it.recall(&query("Lisbon", SourceKind::Memory)).await?),
        ["The office is in Lisbon"],
        "also without its successor"
    );

    let end = Some("2024-12-31T00:00:00Z".parse()?);
    let ended = it
        .write_one(Record {
            fields: RecordFields { valid_to: end, ..RecordFields::default() },
            ..memory("The office was in Braga")
        })
        .await?
        .id;
    let wrong = it.write_one(Record { supersedes: vec![ended], ..memory("The office is in Faro") }).await?.id;
    forget::forget(&it.db, &it.scope, &[wrong], How::Keep).await?;
    correct::set_status(&it.db, &it.scope, &[ended], Status::Active, false).await?;
    let is = read::fetch(&it.db, &it.scope, ended).await?.expect("it is there").hit;
    assert_eq!((is.status, is.fields.valid_to), (Status::Active, end), "what has expired stays expired");

    let end = Some("2124-12-31T00:00:00Z".parse()?);
    let lasting = it
        .write_one(Record {
            fields: RecordFields { valid_to: end, ..RecordFields::default() },
            ..memory("The office will be in Evora")
        })
        .await?
        .id;
    it.write_one(Record { supersedes: vec![lasting], ..memory("The office is in Faro") }).await?;
    correct::set_status(&it.db, &it.scope, &[lasting], Status::Active, false).await?;
    let is = read::fetch(&it.db, &it.scope, lasting).await?.expect("it is there").hit;
    assert_eq!(is.fields.valid_to, end, "and what would have ended later does so again");
    Ok(())
}
