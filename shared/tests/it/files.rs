//! Tests of ingested files: read completely or in part, by one program or by two at once.

use std::collections::HashSet;

use pgrecall_record::source::Record;
use pgrecall_store::correct::{self, Change};
use pgrecall_store::files::{self, FileRecord, FileVersion};
use pgrecall_store::forget::{self, How};
use pgrecall_store::write::{self, Batch, Policy};
use uuid::Uuid;

use crate::fixture::{Fixture, document, limit, scope};

fn file(path: &str, version: u128) -> FileVersion {
    FileVersion { path: path.to_owned(), collection: String::new(), version: Uuid::from_u128(version) }
}

/// Writes one batch of a file.
async fn read(
    it: &Fixture,
    file: &FileVersion,
    records: Vec<Record>,
    finishes: Option<HashSet<Uuid>>,
) -> anyhow::Result<Vec<Uuid>> {
    let mark = FileRecord { file: file.clone(), records: (0..records.len()).collect(), finishes };
    let batch = Batch::prepare(records, &limit()).marking(vec![mark]);
    let receipts = write::write(&it.db, &it.scope, &batch).await?;
    Ok(receipts.into_iter().filter_map(|receipt| Some(receipt.ok()?.id)).collect())
}

async fn known(it: &Fixture, file: &FileVersion) -> anyhow::Result<Option<u32>> {
    Ok(files::known(&it.db, &it.scope, std::slice::from_ref(file)).await?[0])
}

async fn released(it: &Fixture, path: &str, gone: &[i64]) -> anyhow::Result<Vec<Uuid>> {
    let page = files::released(&it.db, &it.scope, path, gone, 0).await?;
    Ok(page.into_iter().map(|(_, id)| id).collect())
}

#[tokio::test]
async fn a_file_is_known_once_its_last_batch_is_written_and_while_all_of_it_is_there() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let one = file("/docs/one", 1);
    let first = read(&it, &one, vec![document("a", "alpha"), document("b", "beta")], None).await?;
    assert_eq!(known(&it, &one).await?, None, "a run that is killed here reads it again");
    let earlier: HashSet<Uuid> = first.iter().copied().collect();
    // A key that appears again in a later batch is the same source.
    read(&it, &one, vec![document("b", "beta"), document("c", "gamma")], Some(earlier)).await?;
    assert_eq!(known(&it, &one).await?, Some(3));
    assert_eq!(known(&it, &file("/docs/one", 2)).await?, None, "another version");
    let bob = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    assert_eq!(known(&bob, &one).await?, None, "what somebody else has ingested");
    forget::forget(&it.db, &it.scope, &first[..1], How::Keep).await?;
    assert_eq!(known(&it, &one).await?, None, "one of its records is missing");
    Ok(())
}

#[tokio::test]
async fn a_version_releases_what_it_holds_no_more_and_only_when_it_was_read_whole() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let finishes = || Some(HashSet::new());
    let old = read(&it, &file("/docs/one", 1), vec![document("a", "alpha"), document("b", "beta")], finishes()).await?;
    read(&it, &file("/docs/two", 1), vec![document("b", "beta")], finishes()).await?;
    read(&it, &file("/docs/one", 2), vec![document("c", "gamma")], None).await?;
    assert!(released(&it, "/docs", &[]).await?.is_empty(), "its end is still to come");
    read(&it, &file("/docs/one", 2), vec![document("c", "gamma")], finishes()).await?;
    assert_eq!(released(&it, "/docs", &[]).await?, old[..1], "`b` stands in the other file");
    assert!(released(&it, "/doc", &[]).await?.is_empty(), "not below this path");
    let two = files::under(&it.db, &it.scope, "/docs/two", "").await?.remove(0).files;
    assert_eq!(released(&it, "/docs", &two).await?, old, "unless that is gone");
    files::forget(&it.db, &it.scope, &two).await?;
    assert_eq!(released(&it, "/docs", &[]).await?, old, "and it was not noted again");
    Ok(())
}

#[tokio::test]
async fn a_record_that_something_else_has_replaced_brings_its_file_to_be_read_again() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let finishes = || Some(HashSet::new());
    let (one, two) = (file("/docs/one", 1), file("/docs/two", 1));
    let id = read(&it, &one, vec![document("a", "alpha"), document("b", "beta")], finishes()).await?[0];
    let change = Change { tags: Some(vec!["greek".into()]), ..Change::default() };
    correct::update(&it.db, &it.scope, id, &change, &limit(), Policy::default()).await?.expect("it is there")?;
    assert_eq!(known(&it, &one).await?, Some(2), "a tag is no other record");
    it.write_one(document("a", "saved by hand")).await?;
    assert_eq!(known(&it, &one).await?, None);
    read(&it, &one, vec![document("a", "alpha"), document("b", "beta")], finishes()).await?;
    assert_eq!(known(&it, &one).await?, Some(2));
    // If two files hold the same key, both are known and the last one owns the record. Once that
    // file is gone, the other is read again.
    read(&it, &two, vec![document("a", "alpha of two")], finishes()).await?;
    assert_eq!((known(&it, &one).await?, known(&it, &two).await?), (Some(2), Some(1)));
    let gone = files::under(&it.db, &it.scope, "/docs/two", "").await?.remove(0).files;
    files::forget(&it.db, &it.scope, &gone).await?;
    assert_eq!(known(&it, &one).await?, None);
    Ok(())
}

#[tokio::test]
async fn two_versions_that_are_read_at_once_leave_a_file_that_is_read_again() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let (old, new) = (file("/docs/one", 1), file("/docs/one", 2));
    let first = read(&it, &new, vec![document("a", "alpha"), document("b", "beta")], None).await?;
    // Another program, which read the file before it changed, writes late.
    read(&it, &old, vec![document("a", "alpha")], None).await?;
    read(&it, &new, vec![document("c", "gamma")], Some(first.into_iter().collect())).await?;
    assert_eq!(known(&it, &new).await?, None, "its count does not fit");
    assert!(released(&it, "/docs", &[]).await?.is_empty(), "and what it has not is not known");
    let again = vec![document("a", "alpha"), document("b", "beta"), document("c", "gamma")];
    read(&it, &new, again, Some(HashSet::new())).await?;
    assert_eq!(known(&it, &new).await?, Some(3));
    Ok(())
}

#[tokio::test]
async fn a_file_without_records_is_noted_only_where_it_had_some() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    read(&it, &file("/docs/one", 1), vec![], Some(HashSet::new())).await?;
    assert_eq!(files::under(&it.db, &it.scope, "/docs", "").await?, []);
    let ids = read(&it, &file("/docs/one", 2), vec![document("a", "alpha")], Some(HashSet::new())).await?;
    read(&it, &file("/docs/one", 3), vec![], Some(HashSet::new())).await?;
    assert_eq!(known(&it, &file("/docs/one", 3)).await?, Some(0));
    assert_eq!(released(&it, "/docs", &[]).await?, ids);
    Ok(())
}

#[tokio::test]
async fn many_files_are_looked_at_one_by_one_and_not_each_with_each() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let mut ids = Vec::new();
    for chunk in 0..10 {
        let names: Vec<String> = (0..200).map(|number| format!("/docs/{chunk}-{number}")).collect();
        let marks = names.iter().enumerate().map(|(place, name)| FileRecord {
            file: file(name, 1),
            records: vec![place],
            finishes: Some(HashSet::new()),
        });
        let marks = marks.collect();
        let batch = Batch::prepare(names.iter().map(|name| document(name, name)).collect(), &limit()).marking(marks);
        ids.extend(
            write::write(&it.db, &it.scope, &batch).await?.into_iter().filter_map(|receipt| Some(receipt.ok()?.id)),
        );
    }
    let begun = std::time::Instant::now();
    assert!(released(&it, "/docs", &[]).await?.is_empty());
    let gone: Vec<i64> = {
        let first = files::under(&it.db, &it.scope, "/docs", "").await?;
        first.into_iter().flat_map(|known| known.files).collect()
    };
    assert_eq!(released(&it, "/docs", &gone).await?.len(), gone.len());
    // A plan that compares every record with every other exceeds the statement timeout from 5,000
    // records on.
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(ids.len(), 2_000);
    Ok(())
}
