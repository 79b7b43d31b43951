//! Finds the records that a batch would replace: by key, by past id, or by text.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Batch, Item, copies};
use crate::read;
use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{DbError, Scope, Transaction};
use pgrecall_record::rights::{Holding, may_supersede};
use pgrecall_record::source::{Record, RecordError, SourceKind, Visibility};

/// A source that an item would replace.
pub(super) struct Existing {
    pub(super) id: Uuid,
    /// Whether the source equals the item already.
    pub(super) unchanged: bool,
    /// Whether the item changes the source's collection or audience.
    pub(super) moves: bool,
    has_key: bool,
    /// Owner, visibility and persona of the source once it is written.
    holding: Holding,
    /// Whether someone other than the caller wrote the present text.
    pub(super) is_anothers_text: bool,
}

impl Existing {
    /// Returns whether the source takes its key to a collection or audience in which another record
    /// may have that key.
    pub(super) fn moves_its_key(&self) -> bool {
        self.moves && self.has_key
    }
}

/// Finds the sources that these items would replace, and locks them until the transaction ends. If
/// two items lead to the same source, the first one gets it, since a statement cannot write a row
/// twice; `taken` collects the ids of these sources.
pub(super) async fn find(
    transaction: &Transaction,
    scope: &Scope,
    batch: &Batch,
    open: &[usize],
    taken: &mut HashSet<Uuid>,
) -> Result<HashMap<usize, Existing>, DbError> {
    let mut existing = HashMap::new();
    let mut found = |at: usize, row: &Row| {
        let id: Uuid = row.get("source_id");
        if !existing.contains_key(&at) && taken.insert(id) {
            let prepared = &batch.items[at].prepared;
            let moves = moves(row, &prepared.record, scope);
            let unchanged = !moves && row.get::<_, &[u8]>("content_hash") == prepared.content_hash;
            let has_key = row.get::<_, Option<&str>>("key").is_some();
            let owner: String = row.get("owner_id");
            let is_anothers_text = *row.get::<_, Option<&str>>("written_by").unwrap_or(&owner) != *scope.owner;
            let holding = Holding { owner, ..holding(&prepared.record, scope) };
            existing.insert(at, Existing { id, unchanged, moves, has_key, holding, is_anothers_text });
        }
    };
    let keyed = find_keys(transaction, batch, open).await?;
    let (same_audience, own): (Vec<&Row>, Vec<&Row>) =
        keyed.iter().partition(|row| row.get::<_, bool>("same_audience"));
    for row in same_audience {
        found(row.get::<_, i32>("item") as usize, row);
    }
    let items = open.iter().map(|at| (*at, &batch.items[*at].prepared.record));
    let past = items.filter_map(|(at, record)| Some((record.past.as_ref()?.id, at)));
    let past: HashMap<Uuid, usize> = past.flat_map(|(id, at)| [(id, at), (copies::id(id, scope), at)]).collect();
    if !past.is_empty() {
        let ids: Vec<Uuid> = past.keys().copied().collect();
        let rows = transaction.query_typed(sql!("find_ids"), parameters![ids]).await?;
        let called = |row: &Row| -> Uuid { row.get("source_id") };
        let is_itself = |row: &Row| {
            batch.items[past[&called(row)]].prepared.record.past.as_ref().is_some_and(|past| past.id == called(row))
        };
        // The caller's copy of a record counts only if the record itself is not available to the
        // caller.
        let (themselves, copies): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| is_itself(row));
        for row in themselves.into_iter().chain(copies) {
            let at = past[&called(row)];
            if is_the_same(row, &batch.items[at].prepared.record, scope) {
                found(at, row);
            }
        }
    }
    // A caller who writes the key of a private record for a wider audience shares that record. An
    // import never shares anything: two records stay two.
    for row in own {
        let at = row.get::<_, i32>("item") as usize;
        if !batch.items[at].has_past() {
            found(at, row);
        }
    }
    if batch.dedups_by_text {
        for (at, item) in
            open.iter().map(|at| (*at, &batch.items[*at])).filter(|(_, item)| item.is_identified_by_text())
        {
            let record = &item.prepared.record;
            let (body, visibility) = (&record.body, record.visibility.as_str());
            transaction.query_typed(sql!("lock_same"), parameters![body]).await?;
            if let Some(row) = transaction.query_typed(sql!("find_same"), parameters![body, visibility]).await?.first()
            {
                // The item has nothing but its text, so the source keeps all its other fields.
                existing.entry(at).or_insert(Existing {
                    id: row.get("source_id"),
                    unchanged: true,
                    moves: false,
                    has_key: false,
                    holding: holding_of(row),
                    is_anothers_text: false,
                });
            }
        }
    }
    compare_pasts(transaction, scope, batch, &mut existing).await?;
    Ok(existing)
}

/// Compares records that carry their past in full. For these the same content hash is not enough to
/// be unchanged, since the record may have been superseded in between.
async fn compare_pasts(
    transaction: &Transaction,
    scope: &Scope,
    batch: &Batch,
    existing: &mut HashMap<usize, Existing>,
) -> Result<(), DbError> {
    let asked = existing.iter().filter(|(at, _)| batch.items[**at].has_full_past());
    let asked: HashMap<Uuid, usize> = asked.map(|(at, existing)| (existing.id, *at)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = asked.keys().copied().collect();
    let pasts = existing
        .iter()
        .filter_map(|(at, existing)| Some((batch.items[*at].prepared.record.past.as_ref()?.id, existing.id)));
    let ids_here: HashMap<Uuid, Uuid> = pasts.collect();
    for is in read::records_within(transaction, &ids).await? {
        let at = is.past.as_ref().map(|past| asked[&past.id]);
        if let Some((at, existing)) = at.and_then(|at| Some((at, existing.get_mut(&at)?))) {
            existing.unchanged = !existing.moves && is_just_so(is, &batch.items[at].prepared.record, scope, &ids_here);
        }
    }
    Ok(())
}

/// Returns whether a stored record equals an imported one, apart from its id, the id of its
/// successor, and its creation time.
fn is_just_so(mut is: Record, said: &Record, scope: &Scope, ids_here: &HashMap<Uuid, Uuid>) -> bool {
    let (Some(was), Some(past)) = (is.past.take(), &said.past) else { return false };
    let successor = past.superseded_by;
    let same_successor = was.superseded_by == successor
        || successor.is_some_and(|successor| {
            was.superseded_by == Some(copies::id(successor, scope))
                || was.superseded_by.as_ref() == ids_here.get(&successor)
        });
    if said.fields.key.is_none() {
        is.fields.key = None;
    }
    let said = Record { past: None, ..said.clone() };
    is == said
        && same_successor
        && (was.status, was.updated_at, was.last_verified) == (past.status, past.updated_at, past.last_verified)
}

/// Returns whether the stored record with an item's past id is that item. A record of another kind
/// or key, or with its key in another audience, is a different one and keeps the id. Someone else's
/// record must have the audience of the item, so that an import never makes it private.
fn is_the_same(row: &Row, record: &Record, scope: &Scope) -> bool {
    let key: Option<&str> = row.get("key");
    let same_place = record.fields.collection == row.get::<_, &str>("collection");
    let same_visibility = record.visibility.as_str() == row.get::<_, &str>("visibility");
    let same_key = match &record.fields.key {
        Some(asked) => key == Some(asked) && same_visibility,
        // The source keeps its key, which may belong to another record in another collection or
        // audience.
        None => key.is_none() || (same_place && same_visibility),
    };
    let may = row.get::<_, &str>("owner_id") == scope.owner
        || match record.visibility {
            Visibility::Private => false,
            Visibility::Persona => same_visibility && *persona(record, scope) == scope.persona,
            Visibility::Tenant => same_visibility,
        };
    record.kind.as_str() == row.get::<_, &str>("source_kind") && same_key && may
}

/// Returns whether a replacement changes the record's collection or audience.
fn moves(row: &Row, record: &Record, scope: &Scope) -> bool {
    let same_persona = || *persona(record, scope) == row.get::<_, Option<String>>("persona");
    record.fields.collection != row.get::<_, &str>("collection")
        || record.visibility.as_str() != row.get::<_, &str>("visibility")
        || (record.visibility == Visibility::Persona && !same_persona())
}

/// Returns the persona that the record belongs to: that of its past owner, or else that of the
/// caller.
fn persona<'a>(record: &'a Record, scope: &'a Scope) -> &'a Option<String> {
    record.past.as_ref().and_then(|past| past.owner.as_ref()).map_or(&scope.persona, |(_, persona)| persona)
}

/// Returns owner, visibility and persona of a new record.
fn holding(record: &Record, scope: &Scope) -> Holding {
    let owner = record.past.as_ref().and_then(|past| past.owner.as_ref()).map_or(&scope.owner, |(owner, _)| owner);
    Holding { owner: owner.clone(), visibility: record.visibility, persona: persona(record, scope).clone() }
}

/// Returns owner, visibility and persona of a stored record.
pub(crate) fn holding_of(row: &Row) -> Holding {
    Holding {
        owner: row.get("owner_id"),
        visibility: Visibility::parse(row.get("visibility")).expect("the database checks visibility"),
        persona: row.get("persona"),
    }
}

async fn find_keys(transaction: &Transaction, batch: &Batch, open: &[usize]) -> Result<Vec<Row>, DbError> {
    let (mut items, mut kinds, mut collections, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut visibilities, mut owners, mut personas) = (Vec::new(), Vec::new(), Vec::new());
    for (at, record) in open.iter().map(|at| (*at, &batch.items[*at].prepared.record)) {
        let Some(key) = &record.fields.key else { continue };
        let owner = record.past.as_ref().and_then(|past| past.owner.as_ref());
        items.push(at as i32);
        kinds.push(record.kind.as_str());
        collections.push(record.fields.collection.as_str());
        keys.push(key.as_str());
        visibilities.push(record.visibility.as_str());
        owners.push(owner.map(|(owner, _)| owner.as_str()));
        personas.push(owner.and_then(|(_, persona)| persona.as_deref()));
    }
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let parameters = parameters![items, kinds, collections, keys, visibilities, owners, personas];
    Ok(transaction.query_typed(sql!("find_keys"), parameters).await?)
}

/// Finds the ids made for this batch that exist already, because an earlier attempt was committed.
pub(super) async fn find_earlier(
    transaction: &Transaction,
    batch: &Batch,
    open: &[usize],
) -> Result<HashSet<Uuid>, DbError> {
    let ids: Vec<Uuid> = open.iter().map(|at| batch.items[*at].id).collect();
    let rows = transaction.query_typed(sql!("find_ids"), parameters![ids]).await?;
    Ok(rows.iter().map(|row| row.get("source_id")).collect())
}

/// Finds the items that must be refused, with the reason. An item may supersede neither a missing
/// record, nor itself, nor a record that has a successor or that the caller may not supersede. The
/// record must not exist if the batch only creates. Sharing with a persona requires that the caller
/// has one.
pub(super) async fn find_misplaced(
    transaction: &Transaction,
    scope: &Scope,
    batch: &Batch,
    open: &[usize],
    existing: &HashMap<usize, Existing>,
) -> Result<HashMap<usize, RecordError>, DbError> {
    let asked: Vec<Uuid> = open.iter().flat_map(|at| &batch.items[*at].prepared.record.supersedes).copied().collect();
    // Owner and audience of each record to be superseded, and its present successor.
    let mut there: HashMap<Uuid, (Holding, Option<Uuid>)> = HashMap::new();
    if !asked.is_empty() {
        let rows = transaction.query_typed(sql!("find_superseded"), parameters![asked]).await?;
        there = rows.iter().map(|row| (row.get("source_id"), (holding_of(row), row.get("by")))).collect();
    }
    let refused = open.iter().filter_map(|at| {
        let record = &batch.items[*at].prepared.record;
        let holding = existing.get(at).map_or_else(|| holding(record, scope), |existing| existing.holding.clone());
        let existing = existing.get(at).map(|existing| existing.id);
        // These successors do not count: the record that this item replaces, a record on the item's
        // own list, and one that an earlier attempt of this batch wrote.
        let is_known =
            |by: &Uuid| Some(*by) == existing || *by == batch.items[*at].id || record.supersedes.contains(by);
        let hindrance = |id: &Uuid| match there.get(id) {
            None => Some(RecordError::NothingToSupersede(*id)),
            Some((_, Some(by))) if !is_known(by) => Some(RecordError::SupersededAlready(*id, *by)),
            Some((old, _)) if !may_supersede(&scope.owner, &holding, old) => {
                Some(RecordError::MayNotSupersede(*id, old.owner.clone()))
            }
            Some(_) => None,
        };
        let error = match existing {
            Some(id) if batch.only_creates && record.past.as_ref().is_none_or(|past| past.id != id) => {
                RecordError::KeyTaken
            }
            Some(id) if record.supersedes.contains(&id) && !batch.items[*at].is_identified_by_text() => {
                RecordError::SupersedesItself
            }
            _ if record.visibility == Visibility::Persona
                && record.past.as_ref().is_none_or(|past| past.owner.is_none())
                && scope.persona.as_ref().is_none_or(|persona| persona.trim().is_empty()) =>
            {
                RecordError::NoPersona
            }
            _ => record.supersedes.iter().find_map(hindrance)?,
        };
        Some((*at, error))
    });
    Ok(refused.collect())
}

impl Item {
    /// Returns whether the item carries its past in full, and not only the id that it had.
    fn has_full_past(&self) -> bool {
        self.prepared.record.past.as_ref().is_some_and(|past| past.updated_at.is_some())
    }

    /// Returns whether the item is identified by its text alone.
    fn is_identified_by_text(&self) -> bool {
        let record = &self.prepared.record;
        record.kind == SourceKind::Memory && record.fields.key.is_none() && record.past.is_none()
    }
}
