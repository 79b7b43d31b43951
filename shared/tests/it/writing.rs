//! Tests of writes: sources, passages, terms and jobs are stored together or not at all.

use pgrecall_record::source::{RecordError, SourceKind, Stored};
use pgrecall_store::forget::{self, How};
use pgrecall_store::write::{self, Batch};
use pgrecall_store::{queue, read};
use serde_json::json;

use crate::fixture::{Fixture, claim_jobs, document, limit, memory, query, scope, texts};

#[tokio::test]
async fn a_written_memory_is_found_by_words_at_once_and_its_job_waits() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let receipt = it.write_one(memory("Net revenue is gross revenue minus refunds")).await?;
    assert_eq!((receipt.stored, receipt.passages), (Stored::Created, 1));
    let answer = it.recall(&query("how do we calculate net revenue for a quarter?", SourceKind::Memory)).await?;
    assert_eq!(texts(&answer), ["Net revenue is gross revenue minus refunds"]);
    assert_eq!(answer.hits[0].id, receipt.id);
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = claim_jobs(&it.db, worker, it.space.id, 10).await?.expect("a job waits");
    assert_eq!(claim.jobs.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_bad_record_is_refused_alone_and_the_others_are_stored() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let receipts = it.write(vec![memory("one"), memory("  "), memory("nul \0"), memory("two")]).await?;
    assert!(receipts[0].is_ok() && receipts[3].is_ok());
    assert_eq!(receipts[1], Err(RecordError::Empty));
    assert_eq!(receipts[2], Err(RecordError::Nul { field: "text" }));
    assert_eq!(read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn the_same_key_again_replaces_the_record_and_the_same_content_writes_nothing() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let first = it.write_one(document("a", "the old words about walruses")).await?;
    let again = it.write_one(document("a", "the old words about walruses")).await?;
    assert_eq!((again.id, again.stored), (first.id, Stored::Unchanged));
    let replaced = it.write_one(document("a", "new words about penguins")).await?;
    assert_eq!((replaced.id, replaced.stored), (first.id, Stored::Replaced));
    assert!(it.recall(&query("walruses", SourceKind::Document)).await?.hits.is_empty());
    assert_eq!(it.recall(&query("penguins", SourceKind::Document)).await?.hits.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_key_that_comes_twice_in_a_batch_keeps_its_last_record() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let receipts = it.write(vec![document("a", "first"), document("b", "other"), document("a", "second")]).await?;
    assert_eq!(receipts[0], receipts[2]);
    let lines = read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?;
    let texts: Vec<&str> = lines.iter().filter_map(|exported| exported.line["text"].as_str()).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts.contains(&"second") && texts.contains(&"other"));
    Ok(())
}

#[tokio::test]
async fn an_edit_keeps_the_vectors_of_the_passages_that_it_did_not_touch() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let paragraph = |word: &str| format!("{word} ").repeat(170);
    let long = |end: &str| [paragraph("alpha"), paragraph("beta"), paragraph(end)].join("\n\n");
    it.write_one(document("long", &long("gamma"))).await?;
    it.embed_all(|_| 0).await?;
    it.write_one(document("long", &long("delta"))).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = claim_jobs(&it.db, worker, it.space.id, 10).await?.expect("the edit made a job");
    let pending = it.pending(&claim).await?;
    assert_eq!(pending.len(), 1, "only the passage that changed");
    assert!(pending[0].text.contains("delta"));
    Ok(())
}

#[tokio::test]
async fn forgetting_counts_first_and_then_leaves_nothing() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let receipt = it.write_one(memory("the launch code is swordfish")).await?;
    it.embed_all(|_| 1).await?;
    let stranger = uuid::Uuid::now_v7();
    let dry = forget::forget(&it.db, &it.scope, &[receipt.id, stranger], How::Count).await?;
    assert_eq!((dry.sources, dry.passages, dry.vectors, dry.jobs), (1, 1, 1, 0));
    assert_eq!(dry.not_found, [stranger]);
    assert_eq!(it.recall_by(&query("swordfish", SourceKind::Memory), 1).await?.hits.len(), 1);
    let gone = forget::forget(&it.db, &it.scope, &[receipt.id], How::Keep).await?;
    assert_eq!((gone.sources, gone.passages, gone.vectors), (1, 1, 1));
    assert!(it.recall_by(&query("swordfish", SourceKind::Memory), 1).await?.hits.is_empty());
    assert_eq!(forget::forget(&it.db, &it.scope, &[receipt.id], How::Keep).await?.not_found, [receipt.id]);
    Ok(())
}

#[tokio::test]
async fn what_export_writes_has_the_key_and_everything_that_was_given() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let mut record = document("k1", "body");
    record.fields.title = "Title".into();
    record.fields.metadata = json!({"a": [1, {"b": null}]}).as_object().expect("an object").clone();
    record.fields.tags = vec!["x".into()];
    it.write_one(record).await?;
    let lines = read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?;
    let line = &lines[0].line;
    assert_eq!(
        (line["key"].as_str(), line["title"].as_str(), line["text"].as_str()),
        (Some("k1"), Some("Title"), Some("body"))
    );
    assert_eq!(line["tags"], json!(["x"]));
    assert_eq!(line["metadata"]["a"][0], json!(1));
    assert!(read::export(&it.db, &it.scope, &read::Selection::default(), lines[0].cursor, 10).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn two_writers_of_the_same_keys_do_not_lose_or_double_a_record() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let batch = |text: &'static str, reverse: bool| {
        let mut records: Vec<_> = (0..50).map(|n| document(&format!("k{n}"), &format!("{text} {n}"))).collect();
        if reverse {
            records.reverse();
        }
        records
    };
    let (one, other) = tokio::join!(it.write(batch("one", false)), it.write(batch("other", true)));
    // Postgres may abort one of them; the engine would retry that transaction. Neither leaves a
    // part of its records.
    assert!(one.is_ok() || other.is_ok());
    assert_eq!(read::export(&it.db, &it.scope, &read::Selection::default(), 0, 1_000).await?.len(), 50);
    let other_tenant = scope("other", "ana");
    assert!(read::export(&it.db, &other_tenant, &read::Selection::default(), 0, 10).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_written_again_is_stored_once() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let batch = Batch::prepare(vec![memory("told once"), document("a", "kept once"), memory("told as well")], &limit());
    let first = write::write(&it.db, &it.scope, &batch).await?;
    let again = write::write(&it.db, &it.scope, &batch).await?;
    let ids = |receipts: &write::Receipts| receipts.iter().map(|r| r.as_ref().map(|r| r.id).ok()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&again));
    assert_eq!(read::export(&it.db, &it.scope, &read::Selection::default(), 0, 10).await?.len(), 3);
    Ok(())
}
