//! Write: stores records as sources, passages, postings, labels and jobs, in one transaction.
//!
//! [`prepare`](mod@prepare) does the work that needs no database. [`write`] then sends one
//! statement per table for the whole batch; only a record with a key whose collection or audience
//! changes is sent in a statement of its own. A write never waits for an embedder: it enqueues
//! jobs, and keyword search finds the record at once.

mod copies;
pub(crate) mod existing;
mod policy;
mod texts;

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use self::existing::Existing;
pub use self::policy::Policy;
use crate::files::{self, FileRecord};
use crate::queue::Flows;
use crate::quotas::Demand;
use crate::sql::{parameters, sql, with_record_fields};
use crate::versions;
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::hash;
use pgrecall_record::passage::Limit;
use pgrecall_record::prepared::{self, Prepared};
use pgrecall_record::secrets::Redactions;
use pgrecall_record::source::{Name, Receipt, Record, RecordError, SourceKind, Status, Stored};

/// The result of writing one record.
pub type Outcome = Result<Receipt, RecordError>;
/// The result of each record of a batch, in the order of the records.
pub type Receipts = Vec<Outcome>;

/// Records that are checked, split, counted and hashed, so that writing them needs only the
/// database.
#[derive(Default)]
pub struct Batch {
    items: Vec<Item>,
    /// Whether a record that exists is refused instead of replaced.
    only_creates: bool,
    /// Whether identical text leads to the existing memory of the caller.
    dedups_by_text: bool,
    /// Records whose key appears in the batch more than once: the place of the earlier one, and the
    /// place of the one that replaces it.
    replaced: Vec<(usize, usize)>,
    refused: Vec<(usize, RecordError)>,
    /// The files that the records come from.
    marks: Vec<FileRecord>,
    /// Whether files continue to contain the sources that are replaced.
    keeps_files: bool,
    /// Whether replacing another writer's text keeps no version of it.
    keeps_no_versions: bool,
}

struct Item {
    place: usize,
    /// Id of the record if it is new, unless it keeps an earlier id. If a commit was not
    /// acknowledged and the same batch is written a second time, this id identifies its records.
    id: Uuid,
    prepared: Prepared,
    /// Credentials that were redacted in the record.
    redacted: Redactions,
}

/// The identities of the items of a batch so far.
#[derive(Default)]
struct Known {
    names: HashMap<Name, usize>,
    ids: HashMap<Uuid, usize>,
    /// Kind, collection and key of the first record with each past id.
    pasts: HashMap<Uuid, (SourceKind, String, Option<String>)>,
}

impl Batch {
    /// Prepares records [`under`](Self::under) the default policy: credentials are redacted, and
    /// versions kept.
    pub fn prepare(records: Vec<Record>, limit: &Limit) -> Self {
        Self::under(Policy::default(), records, limit)
    }

    /// Prepares records under a policy. It does no I/O, but splitting long texts takes time. Of
    /// several records with the same key it keeps the last.
    pub fn under(policy: Policy, records: Vec<Record>, limit: &Limit) -> Self {
        let (mut batch, mut known) = (Self::default(), Known::default());
        batch.keeps_no_versions = !policy.keeps_versions;
        for (place, mut record) in records.into_iter().enumerate() {
            match policy::screen(&mut record, policy.secrets) {
                Ok(redacted) => {
                    let prepared = prepared::prepare(record, limit);
                    batch.push(Item { place, id: Uuid::now_v7(), prepared, redacted }, &mut known);
                }
                Err(refused) => batch.refused.push((place, refused)),
            }
        }
        batch
    }

    /// Refuses records that exist, instead of replacing them.
    pub fn only_creating(self) -> Self {
        Self { only_creates: true, ..self }
    }

    /// Returns the caller's existing memory for identical text, instead of writing another one.
    pub fn dedup_by_text(self) -> Self {
        Self { dedups_by_text: true, ..self }
    }

    /// Marks the files that the batch comes from, in the same transaction.
    pub fn marking(self, marks: Vec<FileRecord>) -> Self {
        Self { marks, keeps_files: true, ..self }
    }

    /// Lets the files that contain a replaced record keep it.
    pub fn keeping_files(self) -> Self {
        Self { keeps_files: true, ..self }
    }

    fn push(&mut self, mut item: Item, known: &mut Known) {
        // If an earlier record of this batch had the same past id but another name, the id belongs
        // to that record.
        if let Some(past) = &item.prepared.record.past {
            let record = &item.prepared.record;
            let name = (record.kind, record.fields.collection.clone(), record.fields.key.clone());
            if *known.pasts.entry(past.id).or_insert_with(|| name.clone()) != name {
                item.prepared.record.past = None;
            }
        }
        let next = self.items.len();
        let at = match (item.prepared.record.name(), &item.prepared.record.past) {
            (Some(name), _) => *known.names.entry(name).or_insert(next),
            (None, Some(past)) => *known.ids.entry(past.id).or_insert(next),
            (None, None) => next,
        };
        if at < next {
            self.replaced.push((self.items[at].place, item.place));
            self.items[at] = item;
        } else {
            self.items.push(item);
        }
    }

    /// Returns the id of each stored record by its place in the batch. A record that a later one
    /// replaced has the id of that one.
    fn written(&self, receipts: &[(usize, Outcome)]) -> HashMap<usize, Uuid> {
        let ids = receipts.iter().filter_map(|(place, outcome)| Some((*place, outcome.as_ref().ok()?.id)));
        let mut ids: HashMap<usize, Uuid> = ids.collect();
        for (earlier, later) in self.replaced.iter().rev() {
            if let Some(id) = ids.get(later).copied() {
                ids.insert(*earlier, id);
            }
        }
        ids
    }

    /// Maps the past id of each stored item to the id that it has now.
    fn ids_here(&self, receipts: &[(usize, Outcome)]) -> HashMap<Uuid, Uuid> {
        let here = self.written(receipts);
        let pasts = self.items.iter().filter_map(|item| Some((item.place, item.prepared.record.past.as_ref()?.id)));
        pasts.filter_map(|(place, was)| Some((was, *here.get(&place)?))).collect()
    }

    /// Returns an upper bound of what writing the batch adds to the tenant's usage.
    pub fn demand(&self) -> Demand {
        let text_bytes = self.items.iter().map(|item| item.prepared.record.body.len() as u64).sum();
        let records = self.items.len() as u64;
        Demand { records, text_bytes, writes: records }
    }

    /// Returns what writing the batch adds, given its preview: a replacement adds its text, but no
    /// record.
    pub fn demand_after(&self, preview: &Receipts) -> Demand {
        let mut demand = Demand { writes: self.items.len() as u64, ..Demand::default() };
        for item in &self.items {
            let stored = preview[item.place].as_ref().map(|receipt| receipt.stored);
            demand.records += u64::from(stored == Ok(Stored::Created));
            if matches!(stored, Ok(Stored::Created | Stored::Replaced)) {
                demand.text_bytes += item.prepared.record.body.len() as u64;
            }
        }
        demand
    }

    /// Whether this is one of the writes of an import or an ingest, and not what a caller says now.
    fn is_bulk(&self) -> bool {
        self.items.len() > 1 || !self.marks.is_empty()
    }

    fn len(&self) -> usize {
        self.items.len() + self.replaced.len() + self.refused.len()
    }
}

/// Writes a batch in one transaction: a record that cannot be stored is refused, an error stores
/// nothing. If the connection is lost during the commit, the caller may write the same batch a
/// second time, and nothing is stored twice.
pub async fn write(db: &Db, scope: &Scope, batch: &Batch) -> Result<Receipts, DbError> {
    let mut stored = Vec::new();
    if !batch.items.is_empty() || !batch.marks.is_empty() {
        stored = db.run(scope, async |transaction| store(&transaction, scope, batch).await).await?;
    }
    Ok(in_order(batch, stored))
}

/// Writes a batch in the transaction of the caller, who commits it.
pub(crate) async fn write_within(transaction: &Transaction, scope: &Scope, batch: &Batch) -> Result<Receipts, DbError> {
    Ok(in_order(batch, store(transaction, scope, batch).await?))
}

/// Returns the receipts that [`write`] would return now, without writing anything. New records will
/// get other ids than these.
pub async fn preview(db: &Db, scope: &Scope, batch: &Batch) -> Result<Receipts, DbError> {
    let all: Vec<usize> = (0..batch.items.len()).collect();
    let find = async |transaction: Transaction| {
        let existing = existing::find(&transaction, scope, batch, &all, &mut HashSet::new()).await?;
        let misplaced = existing::find_misplaced(&transaction, scope, batch, &all, &existing).await?;
        transaction.rollback().await?;
        Ok((existing, misplaced))
    };
    let (existing, mut misplaced) = db.run(scope, find).await?;
    let items = batch.items.iter().enumerate().map(|(at, item)| {
        let (id, stored) = match existing.get(&at) {
            Some(existing) if existing.unchanged => (existing.id, Stored::Unchanged),
            Some(existing) => (existing.id, Stored::Replaced),
            None => (item.id, Stored::Created),
        };
        (item.place, misplaced.remove(&at).map_or_else(|| Ok(item.receipt(id, stored)), Err))
    });
    Ok(in_order(batch, items.collect()))
}

/// Returns the receipts of a batch in the order of its records.
fn in_order(batch: &Batch, of_items: Vec<(usize, Outcome)>) -> Receipts {
    let mut receipts: Vec<Option<Outcome>> = (0..batch.len()).map(|_| None).collect();
    for (place, refused) in &batch.refused {
        receipts[*place] = Some(Err(refused.clone()));
    }
    for (place, receipt) in of_items {
        receipts[place] = Some(receipt);
    }
    // In reverse, because the record that replaced another may itself have been replaced by a later
    // one.
    for (earlier, later) in batch.replaced.iter().rev() {
        receipts[*earlier] = receipts[*later].clone();
    }
    receipts.into_iter().map(|receipt| receipt.expect("each record is refused, stored or replaced")).collect()
}

/// Maximum number of look-ups of existing records. Another one follows each time that a conflict
/// left part of the batch unwritten.
const MAX_LOOKUPS: usize = 4;

#[tracing::instrument(level = "debug", skip_all)]
async fn store(transaction: &Transaction, scope: &Scope, batch: &Batch) -> Result<Vec<(usize, Outcome)>, DbError> {
    let mut receipts = Vec::with_capacity(batch.items.len());
    let mut tell = |item: &Item, id: Uuid, stored: Stored| receipts.push((item.place, Ok(item.receipt(id, stored))));
    let mut refused = Vec::new();
    let mut rows: Vec<Written> = Vec::new();
    let mut taken = HashSet::new();
    let mut open: Vec<usize> = (0..batch.items.len()).collect();
    for look in 0..MAX_LOOKUPS {
        let existing = existing::find(transaction, scope, batch, &open, &mut taken).await?;
        let misplaced = existing::find_misplaced(transaction, scope, batch, &open, &existing).await?;
        open.retain(|at| {
            let item = &batch.items[*at];
            if let Some(error) = misplaced.get(at) {
                refused.push((item.place, Err(error.clone())));
                return false;
            }
            let Some(existing) = existing.get(at).filter(|existing| existing.unchanged) else { return true };
            // A record with the id that this batch made was written by an earlier attempt whose
            // commit was not acknowledged.
            let is_ours = existing.id == item.id && !item.has_past();
            tell(item, existing.id, if is_ours { Stored::Created } else { Stored::Unchanged });
            false
        });
        let written = write_sources(transaction, scope, batch, &existing, &open, look).await?;
        for row in &written {
            tell(row.item, row.id, if row.replaces { Stored::Replaced } else { Stored::Created });
            taken.insert(row.id);
        }
        let done: HashSet<usize> = written.iter().map(|row| row.item.place).collect();
        open.retain(|at| !done.contains(&batch.items[*at].place));
        for existing in open.iter().filter_map(|at| existing.get(at)) {
            taken.remove(&existing.id);
        }
        rows.extend(written);
        if open.is_empty() {
            break;
        }
        // Another writer has taken the key since the look-up, or another record has the id, or an
        // earlier attempt with this batch was committed without an acknowledgment.
        let earlier = existing::find_earlier(transaction, batch, &open).await?;
        for at in open.extract_if(.., |at| earlier.contains(&batch.items[*at].id)) {
            tell(&batch.items[at], batch.items[at].id, Stored::Created);
        }
    }
    // These can get neither their key nor an id: the caller may not see the record that has it, or
    // other writers took it each time.
    refused.extend(open.iter().map(|at| (batch.items[*at].place, Err(RecordError::KeyTaken))));
    if !rows.is_empty() {
        let replaced: Vec<i64> = rows.iter().filter(|row| row.replaces).map(|row| row.source).collect();
        texts::write_passages(transaction, &rows, &replaced).await?;
        texts::write_words(transaction, &rows, &replaced).await?;
        if !batch.keeps_files && !replaced.is_empty() {
            files::unlink(transaction, &replaced).await?;
        }
        supersede(transaction, &rows).await?;
        let units =
            rows.iter().map(|row| (row.source, row.item.prepared.record.kind, row.item.prepared.passages.len() as i32));
        crate::queue::enqueue(&mut transaction.clone(), Flows { scope, in_bulk: batch.is_bulk() }, units).await?;
    }
    copies::relink(transaction, scope, &batch.ids_here(&receipts), &rows).await?;
    receipts.extend(refused);
    files::mark(transaction, &batch.marks, &batch.written(&receipts)).await?;
    Ok(receipts)
}

/// A source that was written.
struct Written<'b> {
    source: i64,
    id: Uuid,
    item: &'b Item,
    replaces: bool,
    /// Whether its collection or its audience changed.
    moves: bool,
    /// Who may read it, in the form that its passages, labels and vectors store.
    audience: String,
    persona_owner: Option<String>,
}

/// Writes the sources of these items. Leaves out those whose key or id belongs to another record,
/// which the next look-up resolves.
async fn write_sources<'b>(
    transaction: &Transaction,
    scope: &Scope,
    batch: &'b Batch,
    existing: &HashMap<usize, Existing>,
    wanted: &[usize],
    look: usize,
) -> Result<Vec<Written<'b>>, DbError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let called = |at: &usize| match existing.get(at) {
        Some(existing) => existing.id,
        None => batch.items[*at].id_of_a_new_one(look, scope),
    };
    if !batch.keeps_no_versions {
        let anothers = |at: &usize| existing.get(at).filter(|existing| existing.is_anothers_text).map(|it| it.id);
        let ids: Vec<Uuid> = wanted.iter().filter_map(anothers).collect();
        versions::keep(transaction, &ids).await?;
    }
    // A replacement has the id of the record that it replaces. If a new record would get the same
    // id, it waits for the next look-up and gets another one.
    let (replacing, new): (Vec<usize>, Vec<usize>) = wanted.iter().partition(|at| existing.contains_key(at));
    let mut ids: HashMap<Uuid, usize> = HashMap::with_capacity(wanted.len());
    for at in replacing.into_iter().chain(new) {
        ids.entry(called(&at)).or_insert(at);
    }
    let moves = |at: &usize| existing.get(at).is_some_and(Existing::moves_its_key);
    let (moving, staying): (Vec<_>, Vec<_>) = ids.iter().partition(|(_, at)| moves(at));
    let row = |(id, at): (&Uuid, &usize)| source_row(&batch.items[*at], *id, existing.contains_key(at));
    let mut rows = send_sources(transaction, staying.into_iter().map(row).collect()).await?;
    for (id, at) in moving {
        // An UPDATE has no ON CONFLICT. If another record, which the caller may not see, has the
        // key, the savepoint leaves out this record only.
        match transaction.savepoint(send_sources(transaction, vec![row((id, at))])).await {
            Ok(written) => rows.extend(written),
            Err(error) if error.is_taken() => {}
            Err(error) => return Err(error),
        }
    }
    let written = rows.iter().map(|row| {
        let id: Uuid = row.get("source_id");
        let at = ids[&id];
        let (item, replaced) = (&batch.items[at], existing.get(&at));
        let moves = replaced.is_some_and(|existing| existing.moves);
        let (audience, persona_owner) = (row.get("audience"), row.get("persona_owner"));
        Written { source: row.get("id"), id, item, replaces: replaced.is_some(), moves, audience, persona_owner }
    });
    Ok(written.collect())
}

async fn send_sources(transaction: &Transaction, rows: Vec<serde_json::Value>) -> Result<Vec<Row>, DbError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows = serde_json::Value::Array(rows).to_string();
    Ok(transaction.query_typed(&with_record_fields(sql!("write_sources")), parameters![rows]).await?)
}

impl Item {
    fn has_past(&self) -> bool {
        self.prepared.record.past.is_some()
    }

    /// Returns the receipt for the item, stored with this result.
    fn receipt(&self, id: Uuid, stored: Stored) -> Receipt {
        let passages = if stored == Stored::Unchanged { 0 } else { self.prepared.passages.len() as u32 };
        Receipt { id, stored, passages, redacted: self.redacted.clone() }
    }

    /// Returns the id of a new record: the one it had before, then, if that belongs to another
    /// record, the id of the caller's copy, and at last an id of its own.
    fn id_of_a_new_one(&self, look: usize, scope: &Scope) -> Uuid {
        match (&self.prepared.record.past, look) {
            (Some(past), 0) => past.id,
            (Some(past), 1) => copies::id(past.id, scope),
            _ => self.id,
        }
    }
}

fn source_row(item: &Item, id: Uuid, exists: bool) -> serde_json::Value {
    let prepared = &item.prepared;
    let record = &prepared.record;
    let past = record.past.as_ref();
    let owner = past.and_then(|past| past.owner.as_ref());
    let mut row = json!({
        "place": item.place, "exists": exists, "owner_id": owner.map(|(owner, _)| owner), "persona": owner.map(|(_, persona)| persona),
        "written_by": past.and_then(|past| past.written_by.as_ref()), "source_kind": record.kind, "source_id": id,
        "visibility": record.visibility, "body": record.body, "format": record.format, "session": record.session(),
        "content_hash": hash::hex(&prepared.content_hash), "words": prepared.length, "details": record.details,
        "supersedes": record.supersedes, "origin": record.fields.origin,
        "status": past.map_or(Status::Active, |past| past.status), "superseded_by": past.and_then(|past| past.superseded_by),
        "created_at": past.and_then(|past| past.created_at), "updated_at": past.and_then(|past| past.updated_at),
        "last_verified": past.and_then(|past| past.last_verified),
    });
    let fields = serde_json::to_value(&record.fields).expect("the names of fields are text");
    if let (Some(row), Value::Object(fields)) = (row.as_object_mut(), fields) {
        row.extend(fields);
    }
    row
}

/// Marks the records that the written sources supersede.
async fn supersede(transaction: &Transaction, rows: &[Written<'_>]) -> Result<(), DbError> {
    let places = rows.iter().flat_map(|row| row.item.prepared.record.supersedes.iter().map(|old| (*old, row.source)));
    let (old, new): (Vec<Uuid>, Vec<i64>) = places.unzip();
    if !old.is_empty() {
        transaction.execute_typed(sql!("supersede"), parameters![old, new]).await?;
    }
    Ok(())
}
