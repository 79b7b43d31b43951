//! Write: records become sources, passages, postings, labels and jobs, in one transaction.
//!
//! [`prepare`](mod@prepare) does all that needs no database; [`write`] then sends one statement a table for the whole batch. A write
//! never waits for an embedder: it leaves a job behind, and the words find the record at once.

mod prepare;

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use serde_json::json;
use tokio_postgres::error::{DbError as DbErrorFields, SqlState};
use tokio_postgres::types::Type;
use uuid::Uuid;

use self::prepare::Prepared;
use crate::db::{Db, DbError, Role, Scope};
use crate::hash;
use crate::passage::Limit;
use crate::queue;
use crate::source::{Receipt, Record, RecordError, SourceKind, Stored};
use crate::sql::sql;

/// What became of each record of a batch, in its order.
pub type Receipts = Vec<Result<Receipt, RecordError>>;

/// Records that are checked, split, counted and hashed: all that a write needs before it asks the database.
pub struct Batch {
    items: Vec<Item>,
    by_key: HashMap<(SourceKind, String, String), usize>,
    /// Records of a key that came again later in the batch, and the place of the one that stays.
    replaced: Vec<(usize, usize)>,
    refused: Vec<(usize, RecordError)>,
}

struct Item {
    place: usize,
    /// What it is called unless its key is taken. A batch that is written again, because nobody heard whether it was, is known by it.
    id: Uuid,
    prepared: Prepared,
}

/// What the database says of a key: the source that has it, and whether it says just what the new record does.
struct Existing {
    id: Uuid,
    unchanged: bool,
}

impl Batch {
    /// Prepares records. Takes time on long texts, and waits for nothing. A key that comes twice keeps its last record.
    pub fn prepare(records: Vec<Record>, limit: &Limit) -> Self {
        let mut batch = Self { items: Vec::new(), by_key: HashMap::new(), replaced: Vec::new(), refused: Vec::new() };
        for (place, record) in records.into_iter().enumerate() {
            match record.check() {
                Ok(()) => batch.push(Item { place, id: Uuid::now_v7(), prepared: prepare::prepare(record, limit) }),
                Err(refused) => batch.refused.push((place, refused)),
            }
        }
        batch
    }

    fn push(&mut self, item: Item) {
        let record = &item.prepared.record;
        if let Some(key) = &record.key {
            let name = (record.kind, record.collection.clone(), key.clone());
            if let Some(&at) = self.by_key.get(&name) {
                self.replaced.push((self.items[at].place, item.place));
                self.items[at] = item;
                return;
            }
            self.by_key.insert(name, self.items.len());
        }
        self.items.push(item);
    }

    fn len(&self) -> usize {
        self.items.len() + self.replaced.len() + self.refused.len()
    }
}

/// Writes a batch: all that can be stored, or, on an error, nothing. Whoever does not hear whether it was written (the connection was
/// lost under the commit) may write the same batch again: nothing is stored twice.
pub async fn write(db: &Db, scope: &Scope, batch: &Batch) -> Result<Receipts, DbError> {
    let mut receipts: Vec<Option<Result<Receipt, RecordError>>> = (0..batch.len()).map(|_| None).collect();
    for (place, refused) in &batch.refused {
        receipts[*place] = Some(Err(refused.clone()));
    }
    if !batch.items.is_empty() {
        let stored = match store(db, scope, batch, Before::Unknown).await {
            Err(error) if is_there_already(&error) => store(db, scope, batch, Before::Stored).await?,
            stored => stored?,
        };
        for (place, receipt) in stored {
            receipts[place] = Some(Ok(receipt));
        }
    }
    // From the last to the first: the record that stays may itself have been replaced by a later one.
    for (earlier, later) in batch.replaced.iter().rev() {
        receipts[*earlier] = receipts[*later].clone();
    }
    Ok(receipts.into_iter().map(|receipt| receipt.expect("each record is refused, stored or replaced")).collect())
}

/// What is known of this very batch before it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing: it is new as far as anybody knows.
    Unknown,
    /// An earlier try was committed.
    Stored,
}

/// Whether a batch failed on its own ids. They are random, so it was an earlier try of the same batch that took them.
fn is_there_already(error: &DbError) -> bool {
    let DbError::Statement(error) = error else { return false };
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
        && error.as_db_error().and_then(DbErrorFields::constraint) == Some("sources_by_id")
}

#[tracing::instrument(level = "debug", skip_all)]
async fn store(db: &Db, scope: &Scope, batch: &Batch, before: Before) -> Result<Vec<(usize, Receipt)>, DbError> {
    let mut client = db.client().await?;
    let mut transaction = db.begin(&mut client, &Role::Caller(scope.clone())).await?;
    let existing = find_existing(&transaction, batch).await?;
    let there = |at: &usize| before == Before::Stored && batch.items[*at].prepared.record.key.is_none();
    let changed = |at: &usize| !existing.get(at).is_some_and(|existing| existing.unchanged) && !there(at);
    let rows = upsert(&transaction, batch, &existing, (0..batch.items.len()).filter(changed).collect()).await?;
    if !rows.is_empty() {
        let replaced: Vec<i64> = rows.iter().filter(|row| row.replaces).map(|row| row.source).collect();
        write_passages(&transaction, &rows, &replaced).await?;
        write_words(&transaction, &rows, &replaced).await?;
        let units =
            rows.iter().map(|row| (row.source, row.item.prepared.record.kind, row.item.prepared.passages.len() as i32));
        crate::queue::enqueue(&mut transaction, units).await?;
    }
    transaction.commit().await?;
    let unchanged = existing.iter().filter(|(_, existing)| existing.unchanged).map(|(at, existing)| {
        (batch.items[*at].place, Receipt { id: existing.id, stored: Stored::Unchanged, passages: 0 })
    });
    let receipt = |item: &Item, id: Uuid, stored: Stored| {
        (item.place, Receipt { id, stored, passages: item.prepared.passages.len() as u32 })
    };
    let written =
        rows.iter().map(|row| receipt(row.item, row.id, if row.replaces { Stored::Replaced } else { Stored::Created }));
    let earlier = (0..batch.items.len()).filter(there).map(|at| {
        let item = &batch.items[at];
        receipt(item, item.id, Stored::Created)
    });
    Ok(unchanged.chain(written).chain(earlier).collect())
}

/// A source that was written.
struct Written<'b> {
    source: i64,
    id: Uuid,
    item: &'b Item,
    replaces: bool,
}

/// Which items have a source already, by their place among the items.
async fn find_existing(transaction: &Transaction<'_>, batch: &Batch) -> Result<HashMap<usize, Existing>, DbError> {
    if batch.by_key.is_empty() {
        return Ok(HashMap::new());
    }
    let (mut kinds, mut collections, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, collection, key) in batch.by_key.keys() {
        kinds.push(kind.as_str());
        collections.push(collection.as_str());
        keys.push(key.as_str());
    }
    let rows = transaction
        .query_typed(
            sql!("find_keys"),
            &[(&kinds, Type::TEXT_ARRAY), (&collections, Type::TEXT_ARRAY), (&keys, Type::TEXT_ARRAY)],
        )
        .await?;
    let existing = rows.iter().filter_map(|row| {
        let at = *batch.by_key.get(&named(row))?;
        let unchanged = row.get::<_, &[u8]>("content_hash") == batch.items[at].prepared.content_hash;
        Some((at, Existing { id: row.get("source_id"), unchanged }))
    });
    Ok(existing.collect())
}

fn named(row: &tokio_postgres::Row) -> (SourceKind, String, String) {
    let kind = SourceKind::parse(row.get("source_kind")).expect("the database checks source_kind");
    (kind, row.get("collection"), row.get("key"))
}

/// Writes the sources of these items.
async fn upsert<'b>(
    transaction: &Transaction<'_>,
    batch: &'b Batch,
    existing: &HashMap<usize, Existing>,
    wanted: Vec<usize>,
) -> Result<Vec<Written<'b>>, DbError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let ids: HashMap<Uuid, usize> =
        wanted.iter().map(|at| (existing.get(at).map_or(batch.items[*at].id, |existing| existing.id), *at)).collect();
    let recordset = ids.iter().map(|(id, at)| source_row(&batch.items[*at], *id)).collect();
    let recordset = serde_json::Value::Array(recordset).to_string();
    let rows = transaction.query_typed(sql!("upsert_sources"), &[(&recordset, Type::TEXT)]).await?;
    let written = rows.iter().map(|row| {
        let id: Uuid = row.get("source_id");
        // A key that another writer took since `find_existing` keeps that writer's id, which is none of ours.
        let at = ids.get(&id).copied().unwrap_or_else(|| batch.by_key[&named(row)]);
        let replaces = existing.contains_key(&at) || !ids.contains_key(&id);
        Written { source: row.get("id"), id, item: &batch.items[at], replaces }
    });
    Ok(written.collect())
}

fn source_row(item: &Item, id: Uuid) -> serde_json::Value {
    let prepared = &item.prepared;
    let record = &prepared.record;
    json!({
        "place": item.place, "source_kind": record.kind, "source_id": id, "collection": record.collection, "key": record.key,
        "visibility": record.visibility, "title": record.title, "body": record.body, "format": record.format, "uri": record.uri,
        "metadata": record.metadata, "tags": record.tags, "entity_urns": record.entity_urns, "session": record.session(),
        "content_hash": hash::hex(&prepared.content_hash), "words": prepared.length, "dimension": record.dimension,
        "category": record.category, "confidence": record.confidence, "origin": record.origin,
        "valid_from": record.valid_from, "valid_to": record.valid_to, "details": record.details,
    })
}

async fn write_passages(transaction: &Transaction<'_>, rows: &[Written<'_>], replaced: &[i64]) -> Result<(), DbError> {
    let (mut sources, mut kinds, mut ordinals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut headings, mut texts, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for Written { source, item, .. } in rows {
        for passage in &item.prepared.passages {
            sources.push(*source);
            kinds.push(item.prepared.record.kind.as_str());
            ordinals.push(passage.ordinal);
            headings.push(passage.heading.as_str());
            texts.push(passage.text.as_str());
            hashes.push(passage.text_hash.as_slice());
        }
    }
    if !replaced.is_empty() {
        queue::lock(transaction, replaced).await?;
        transaction
            .query_typed(
                sql!("drop_changed_passages"),
                &[
                    (&replaced, Type::INT8_ARRAY),
                    (&sources, Type::INT8_ARRAY),
                    (&ordinals, Type::INT4_ARRAY),
                    (&hashes, Type::BYTEA_ARRAY),
                ],
            )
            .await?;
    }
    transaction
        .query_typed(
            sql!("insert_passages"),
            &[
                (&sources, Type::INT8_ARRAY),
                (&kinds, Type::TEXT_ARRAY),
                (&ordinals, Type::INT4_ARRAY),
                (&headings, Type::TEXT_ARRAY),
                (&texts, Type::TEXT_ARRAY),
                (&hashes, Type::BYTEA_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

async fn write_words(transaction: &Transaction<'_>, rows: &[Written<'_>], replaced: &[i64]) -> Result<(), DbError> {
    if !replaced.is_empty() {
        transaction.query_typed(sql!("drop_words"), &[(&replaced, Type::INT8_ARRAY)]).await?;
    }
    let (mut sources, mut kinds, mut terms) = (Vec::new(), Vec::new(), Vec::new());
    let (mut frequencies, mut lengths, mut ordinals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut label_sources, mut label_kinds, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for Written { source, item, .. } in rows {
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
        }
    }
    transaction
        .query_typed(
            sql!("insert_postings"),
            &[
                (&sources, Type::INT8_ARRAY),
                (&kinds, Type::TEXT_ARRAY),
                (&terms, Type::TEXT_ARRAY),
                (&frequencies, Type::INT4_ARRAY),
                (&lengths, Type::INT4_ARRAY),
                (&ordinals, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    if !labels.is_empty() {
        transaction
            .query_typed(
                sql!("insert_labels"),
                &[(&label_sources, Type::INT8_ARRAY), (&label_kinds, Type::TEXT_ARRAY), (&labels, Type::TEXT_ARRAY)],
            )
            .await?;
    }
    Ok(())
}
