//! Writes what a recall searches, with one statement per table for the whole batch: passages,
//! postings and labels.

use super::Written;
use crate::queue;
use crate::spaces::SpaceId;
use crate::sql::{on_space, parameters, sql};
use pgrecall_postgres::db::{DbError, Transaction};

/// Writes the passages. Unchanged passages of a replaced source keep their rows, and so their
/// vectors.
pub(super) async fn write_passages(
    transaction: &Transaction,
    rows: &[Written<'_>],
    replaced: &[i64],
) -> Result<(), DbError> {
    let passages = rows.iter().flat_map(|row| row.item.prepared.passages.iter().map(move |passage| (row, passage)));
    let passages: Vec<_> = passages.collect();
    let sources: Vec<i64> = passages.iter().map(|(row, _)| row.source).collect();
    let kinds: Vec<&str> = passages.iter().map(|(row, _)| row.item.prepared.record.kind.as_str()).collect();
    let ordinals: Vec<i32> = passages.iter().map(|(_, passage)| passage.ordinal).collect();
    let headings: Vec<&str> = passages.iter().map(|(_, passage)| passage.heading.as_str()).collect();
    let texts: Vec<&str> = passages.iter().map(|(_, passage)| passage.text.as_str()).collect();
    let starts: Vec<i32> = passages.iter().map(|(_, passage)| passage.starts_at).collect();
    let hashes: Vec<&[u8]> = passages.iter().map(|(_, passage)| passage.text_hash.as_slice()).collect();
    let audiences: Vec<&str> = passages.iter().map(|(row, _)| row.audience.as_str()).collect();
    let persona_owners: Vec<Option<&str>> = passages.iter().map(|(row, _)| row.persona_owner.as_deref()).collect();
    if !replaced.is_empty() {
        queue::lock(transaction, replaced).await?;
        let parameters = parameters![replaced, sources, ordinals, hashes];
        transaction.query_typed(sql!("drop_changed_passages"), parameters).await?;
        change_readers(transaction, rows).await?;
    }
    let parameters = parameters![sources, kinds, ordinals, headings, texts, starts, hashes, audiences, persona_owners];
    transaction.query_typed(sql!("insert_passages"), parameters).await?;
    Ok(())
}

/// Copies the audience of changed sources to the passages and vectors that they keep. The jobs are
/// locked by now, so no worker stores a vector that this would miss.
async fn change_readers(transaction: &Transaction, rows: &[Written<'_>]) -> Result<(), DbError> {
    let moved: Vec<&Written<'_>> = rows.iter().filter(|row| row.moves).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let sources: Vec<i64> = moved.iter().map(|row| row.source).collect();
    let audiences: Vec<&str> = moved.iter().map(|row| row.audience.as_str()).collect();
    let persona_owners: Vec<Option<&str>> = moved.iter().map(|row| row.persona_owner.as_deref()).collect();
    let parameters = parameters![sources, audiences, persona_owners];
    transaction.query_typed(sql!("change_readers"), parameters).await?;
    for space in transaction.query_typed(sql!("list_spaces"), &[]).await? {
        let statement = on_space(sql!("change_vector_readers"), SpaceId(space.get("id")));
        transaction.query_typed(&statement, parameters).await?;
    }
    Ok(())
}

/// Writes the postings and labels.
pub(super) async fn write_words(
    transaction: &Transaction,
    rows: &[Written<'_>],
    replaced: &[i64],
) -> Result<(), DbError> {
    if !replaced.is_empty() {
        transaction.query_typed(sql!("drop_words"), parameters![replaced]).await?;
    }
    let postings = rows.iter().flat_map(|row| row.item.prepared.postings.iter().map(move |posting| (row, posting)));
    let postings: Vec<_> = postings.collect();
    let sources: Vec<i64> = postings.iter().map(|(row, _)| row.source).collect();
    let kinds: Vec<&str> = postings.iter().map(|(row, _)| row.item.prepared.record.kind.as_str()).collect();
    let terms: Vec<&str> = postings.iter().map(|(_, posting)| posting.term.as_str()).collect();
    let frequencies: Vec<i32> = postings.iter().map(|(_, posting)| posting.frequency).collect();
    let lengths: Vec<i32> = postings.iter().map(|(row, _)| row.item.prepared.length).collect();
    let ordinals: Vec<Option<&str>> = postings.iter().map(|(_, posting)| posting.ordinals.as_deref()).collect();
    let parameters = parameters![sources, kinds, terms, frequencies, lengths, ordinals];
    transaction.query_typed(sql!("insert_postings"), parameters).await?;
    let labels = rows.iter().flat_map(|row| row.item.prepared.labels.iter().map(move |label| (row, label.as_str())));
    let (rows, labels): (Vec<&Written<'_>>, Vec<&str>) = labels.unzip();
    if !labels.is_empty() {
        let sources: Vec<i64> = rows.iter().map(|row| row.source).collect();
        let kinds: Vec<&str> = rows.iter().map(|row| row.item.prepared.record.kind.as_str()).collect();
        let audiences: Vec<&str> = rows.iter().map(|row| row.audience.as_str()).collect();
        let persona_owners: Vec<Option<&str>> = rows.iter().map(|row| row.persona_owner.as_deref()).collect();
        let parameters = parameters![sources, kinds, labels, audiences, persona_owners];
        transaction.query_typed(sql!("insert_labels"), parameters).await?;
    }
    Ok(())
}
