//! Memories that are corrected: one takes another's place, what was said before is known again, and a past comes along.

use jiff::{SignedDuration, Timestamp};
use shared::read;
use shared::recall::{Filter, Query};
use shared::source::{Past, Receipt, Record, RecordError, SourceKind, Status, Stored};
use shared::write::{self, Batch};
use uuid::Uuid;

use crate::fixture::{Fixture, document, limit, memory, query, scope, texts};

fn asking(text: &str, filter: Filter) -> Query {
    Query { filter: Filter { kinds: vec![SourceKind::Memory], ..filter }, ..query(text, SourceKind::Memory) }
}

async fn remember(it: &Fixture, record: Record) -> anyhow::Result<Receipt> {
    let batch = Batch::prepare(vec![record], &limit()).looking_first();
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
    assert_eq!((is.supersedes.as_slice(), is.valid_from), ([old].as_slice(), was.valid_to));
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
    let keyed = |key: &str, text: &str, supersedes| Record { key: Some(key.into()), supersedes, ..memory(text) };
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
    let tagged = remember(&it, Record { tags: vec!["team".into()], ..memory("Ana owns billing") }).await?;
    assert_eq!((tagged.id, tagged.stored), (first.id, Stored::Replaced));
    let (one, other) = tokio::join!(remember(&it, memory("at once")), remember(&it, memory("at once")));
    assert_eq!(one?.id, other?.id);
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    assert_eq!(remember(&theirs, memory("Ana owns billing")).await?.stored, Stored::Created);
    // An ingest never looks: two lines that say the same are two records.
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
    let line = read::export(&it.db, &it.scope, 0, 10).await?.remove(0).line;
    assert_eq!(
        (line["status"].as_str(), line["superseded_by"].as_str()),
        (Some("superseded"), Some(&*successor.to_string()))
    );
    for moment in ["created_at", "updated_at", "last_verified"] {
        assert_eq!(line[moment].as_str().and_then(|text| text.parse().ok()), Some(long_ago), "{moment}");
    }
    assert_eq!(it.write_one(record.clone()).await?.stored, Stored::Unchanged);
    // Changed elsewhere and imported again, it is the same record.
    let changed = it.write_one(Record { body: "The office was in Lisbon".into(), ..record.clone() }).await?;
    assert_eq!((changed.id, changed.stored), (id, Stored::Replaced));
    // Somebody else's import of the same file cannot touch it, and is told nothing of it.
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    let copied = theirs.write(vec![memory("bob's own"), record]).await?;
    assert!(copied.iter().all(|receipt| receipt.as_ref().is_ok_and(|r| r.stored == Stored::Created && r.id != id)));
    assert_eq!(read::export(&it.db, &theirs.scope, 0, 10).await?.len(), 2);
    Ok(())
}
