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
    let (mut sources, mut kinds, mut ordinals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut headings, mut texts, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut audiences, mut persona_owners) = (Vec::new(), Vec::new());
    for Written { source, item, readers, .. } in rows {
        for passage in &item.prepared.passages {
            sources.push(*source);
            kinds.push(item.prepared.record.kind.as_str());
            ordinals.push(passage.ordinal);
            headings.push(passage.heading.as_str());
            texts.push(passage.text.as_str());
            hashes.push(passage.text_hash.as_slice());
            audiences.push(readers.audience.as_str());
            persona_owners.push(readers.persona_owner.as_deref());
        }
    }
    if !replaced.is_empty() {
        queue::lock(transaction, replaced).await?;
        let parameters = parameters![replaced, sources, ordinals, hashes];
        transaction.query_typed(sql!("drop_changed_passages"), parameters).await?;
        change_readers(transaction, rows).await?;
    }
    let parameters = parameters![sources, kinds, ordinals, headings, texts, hashes, audiences, persona_owners];
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
    let audiences: Vec<&str> = moved.iter().map(|row| row.readers.audience.as_str()).collect();
    let persona_owners: Vec<Option<&str>> = moved.iter().map(|row| row.readers.persona_owner.as_deref()).collect();
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
    let (mut sources, mut kinds, mut terms) = (Vec::new(), Vec::new(), Vec::new());
    let (mut frequencies, mut lengths, mut ordinals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut label_sources, mut label_kinds, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    let (mut audiences, mut persona_owners) = (Vec::new(), Vec::new());
    for Written { source, item, readers, .. } in rows {
        let kind = item.prepared.record.kind.as_str();
        for posting in &item.prepared.postings {
            sources.push(*source);
            kinds.push(kind);
            terms.push(posting.term.as_str());
            frequencies.push(posting.frequency);
            lengths.push(item.prepared.length);
            ordinals.push(posting.ordinals.as_deref());
        }
        for label in &item.prepared.labels {
            label_sources.push(*source);
            label_kinds.push(kind);
            labels.push(label.as_str());
            audiences.push(readers.audience.as_str());
            persona_owners.push(readers.persona_owner.as_deref());
        }
    }
    let parameters = parameters![sources, kinds, terms, frequencies, lengths, ordinals];
    transaction.query_typed(sql!("insert_postings"), parameters).await?;
    if !labels.is_empty() {
        let parameters = parameters![label_sources, label_kinds, labels, audiences, persona_owners];
        transaction.query_typed(sql!("insert_labels"), parameters).await?;
    }
    Ok(())
}
