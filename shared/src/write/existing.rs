//! What is there already of a batch: by its key, by the id that it had before, or by what it says.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::{Batch, Item, copies};
use crate::db::{DbError, Scope};
use crate::exported;
use crate::source::{Record, RecordError, SourceKind};
use crate::sql::{exporting, sql};

/// A source that an item would replace.
pub(super) struct Existing {
    pub(super) id: Uuid,
    /// Whether it says just what the item does.
    pub(super) unchanged: bool,
}

/// The sources that are there, by the place of their item among the items, locked until the transaction ends.
pub(super) async fn find(
    transaction: &Transaction<'_>,
    scope: &Scope,
    batch: &Batch,
) -> Result<HashMap<usize, Existing>, DbError> {
    let mut existing = HashMap::new();
    // Two items that come to one source would write it twice: the first has it.
    let mut claimed = HashSet::new();
    let mut found = |at: usize, row: &Row| {
        let id: Uuid = row.get("source_id");
        if claimed.insert(id) {
            let unchanged = row.get::<_, &[u8]>("content_hash") == batch.items[at].prepared.content_hash;
            existing.entry(at).or_insert(Existing { id, unchanged });
        }
    };
    if !batch.by_key.is_empty() {
        let (mut kinds, mut collections, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, collection, key) in batch.by_key.keys() {
            kinds.push(kind.as_str());
            collections.push(collection.as_str());
            keys.push(key.as_str());
        }
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&kinds, Type::TEXT_ARRAY), (&collections, Type::TEXT_ARRAY), (&keys, Type::TEXT_ARRAY)];
        for row in transaction.query_typed(sql!("find_keys"), &parameters).await? {
            if let Some(at) = batch.by_key.get(&named(&row)) {
                found(*at, &row);
            }
        }
    }
    let past =
        batch.items.iter().enumerate().filter_map(|(at, item)| Some((item.prepared.record.past.as_ref()?.id, at)));
    let past: HashMap<Uuid, usize> = past.flat_map(|(id, at)| [(id, at), (copies::id(id, scope), at)]).collect();
    if !past.is_empty() {
        let ids: Vec<Uuid> = past.keys().copied().collect();
        for row in transaction.query_typed(sql!("find_ids"), &[(&ids, Type::UUID_ARRAY)]).await? {
            let at = past[&row.get("source_id")];
            let record = &batch.items[at].prepared.record;
            // A record of another kind or key that has the id is another record, and keeps it.
            if record.kind.as_str() == row.get::<_, &str>("source_kind")
                && (record.key.is_none() || record.key == row.get("key"))
            {
                found(at, &row);
            }
        }
    }
    if batch.looks_first {
        for (at, item) in batch.items.iter().enumerate().filter(|(_, item)| item.says_what_it_is()) {
            let body = &item.prepared.record.body;
            transaction.query_typed(sql!("lock_same"), &[(body, Type::TEXT)]).await?;
            if let Some(row) = transaction.query_typed(sql!("find_same"), &[(body, Type::TEXT)]).await?.first() {
                // Known by its words alone, it keeps whatever else is known of it.
                existing.entry(at).or_insert(Existing { id: row.get("source_id"), unchanged: true });
            }
        }
    }
    compare_pasts(transaction, scope, batch, &mut existing).await?;
    Ok(existing)
}

/// Of records that say what they were, the same text is not enough to be unchanged: they may have been superseded since.
async fn compare_pasts(
    transaction: &Transaction<'_>,
    scope: &Scope,
    batch: &Batch,
    existing: &mut HashMap<usize, Existing>,
) -> Result<(), DbError> {
    let asked = existing.iter().filter(|(at, _)| batch.items[**at].says_what_it_was());
    let asked: HashMap<Uuid, usize> = asked.map(|(at, existing)| (existing.id, *at)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = asked.keys().copied().collect();
    for row in transaction.query_typed(&exporting(sql!("read_sources")), &[(&ids, Type::UUID_ARRAY)]).await? {
        let at = asked[&row.get("source_id")];
        let is = exported::record(row.get("line")).expect("what the statement makes is a record");
        if let Some(existing) = existing.get_mut(&at) {
            existing.unchanged = is_just_so(is, &batch.items[at].prepared.record, scope);
        }
    }
    Ok(())
}

/// Whether a record is as another one says, but for the id and the time at which it came here.
fn is_just_so(mut is: Record, said: &Record, scope: &Scope) -> bool {
    let (Some(was), Some(past)) = (is.past.take(), &said.past) else { return false };
    let successor = past.superseded_by;
    let same_successor =
        was.superseded_by == successor || was.superseded_by == successor.map(|id| copies::id(id, scope));
    if said.key.is_none() {
        is.key = None;
    }
    let said = Record { past: None, ..said.clone() };
    is == said
        && same_successor
        && (was.status, was.updated_at, was.last_verified) == (past.status, past.updated_at, past.last_verified)
}

/// The ids that this batch itself has made, and that are there: an earlier try was committed.
pub(super) async fn find_earlier(transaction: &Transaction<'_>, batch: &Batch) -> Result<HashSet<Uuid>, DbError> {
    let ids: Vec<Uuid> = batch.items.iter().map(|item| item.id).collect();
    let rows = transaction.query_typed(sql!("find_ids"), &[(&ids, Type::UUID_ARRAY)]).await?;
    Ok(rows.iter().map(|row| row.get("source_id")).collect())
}

/// The items that would take the place of something that is not there, or their own.
pub(super) async fn find_misplaced(
    transaction: &Transaction<'_>,
    batch: &Batch,
    existing: &HashMap<usize, Existing>,
) -> Result<HashMap<usize, RecordError>, DbError> {
    let gone = |at: &usize| batch.only_replaces && !existing.contains_key(at);
    let mut misplaced: HashMap<usize, RecordError> =
        (0..batch.items.len()).filter(gone).map(|at| (at, RecordError::Gone)).collect();
    let asked: Vec<Uuid> = batch.items.iter().flat_map(|item| &item.prepared.record.supersedes).copied().collect();
    if asked.is_empty() {
        return Ok(misplaced);
    }
    let rows = transaction.query_typed(sql!("find_superseded"), &[(&asked, Type::UUID_ARRAY)]).await?;
    let there: Vec<Uuid> = rows.iter().map(|row| row.get("source_id")).collect();
    let refused = batch.items.iter().enumerate().filter_map(|(at, item)| {
        let supersedes = &item.prepared.record.supersedes;
        if existing.get(&at).is_some_and(|existing| supersedes.contains(&existing.id)) {
            return Some((at, RecordError::SupersedesItself));
        }
        let missing = supersedes.iter().find(|id| !there.contains(id))?;
        Some((at, RecordError::NothingToSupersede(*missing)))
    });
    misplaced.extend(refused);
    Ok(misplaced)
}

/// The key of a row, as a batch knows its items by it.
pub(super) fn named(row: &Row) -> (SourceKind, String, String) {
    let kind = SourceKind::parse(row.get("source_kind")).expect("the database checks source_kind");
    (kind, row.get("collection"), row.get("key"))
}

impl Item {
    /// Whether it comes with what became of it, and not only with the id that it had.
    fn says_what_it_was(&self) -> bool {
        self.prepared.record.past.as_ref().is_some_and(|past| past.updated_at.is_some())
    }

    /// Whether it is known by nothing but its text.
    fn says_what_it_is(&self) -> bool {
        let record = &self.prepared.record;
        record.kind == SourceKind::Memory
            && record.key.is_none()
            && record.past.is_none()
            && record.supersedes.is_empty()
    }
}
