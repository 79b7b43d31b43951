//! Correct: verifies, disputes, archives, supersedes or changes records.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::read;
use crate::sql::{parameters, sql};
use crate::write::existing::holding_of;
use crate::write::{self, Batch, Outcome, Policy};
use pgrecall_postgres::db::{Db, DbError, Scope};
use pgrecall_record::passage::Limit;
use pgrecall_record::rights::{Holding, may_supersede};
use pgrecall_record::source::{Record, Status};

/// What to change in a record; unset fields stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// New text.
    pub body: Option<String>,
    /// New title.
    pub title: Option<String>,
    /// New dimension of a memory.
    pub dimension: Option<String>,
    /// New category of a memory.
    pub category: Option<String>,
    /// New confidence of a memory.
    pub confidence: Option<f32>,
    /// New origin: who or what said so.
    pub origin: Option<String>,
    /// URNs of what the record is about. They replace the present ones, unless `adds` is set.
    pub entity_urns: Option<Vec<String>>,
    /// Tags. They replace the present ones, unless `adds` is set.
    pub tags: Option<Vec<String>>,
    /// Whether tags and URNs are added to the present ones instead of replacing them.
    pub adds: bool,
    /// Metadata: sets these keys, and removes those whose value is null.
    pub metadata: Map<String, Value>,
    /// When the record became valid.
    pub valid_from: Option<Timestamp>,
    /// When the record stopped being valid.
    pub valid_to: Option<Timestamp>,
}

impl Change {
    /// Returns whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Makes a change that adds the fields of this record, without its title and text, to another
    /// record.
    pub fn adding(record: Record) -> Self {
        let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        let change = Self {
            dimension: record.fields.dimension,
            category: record.fields.category,
            confidence: record.fields.confidence,
            origin: record.fields.origin,
            entity_urns: some(record.fields.entity_urns),
            tags: some(record.fields.tags),
            metadata: record.fields.metadata,
            valid_from: record.fields.valid_from,
            valid_to: record.fields.valid_to,
            ..Self::default()
        };
        let adds = !change.is_empty();
        Self { adds, ..change }
    }

    /// Applies the change to a record.
    pub fn apply(mut self, record: &mut Record) {
        fn add(list: &mut Option<Vec<String>>, to: &[String]) {
            if let Some(list) = list {
                let new = std::mem::take(list);
                *list = to.to_vec();
                list.extend(new.into_iter().filter(|item| !to.contains(item)));
            }
        }
        if self.adds {
            add(&mut self.tags, &record.fields.tags);
            add(&mut self.entity_urns, &record.fields.entity_urns);
        }
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut record.body, self.body);
        set(&mut record.fields.title, self.title);
        set(&mut record.fields.entity_urns, self.entity_urns);
        set(&mut record.fields.tags, self.tags);
        record.fields.dimension = self.dimension.or(record.fields.dimension.take());
        record.fields.category = self.category.or(record.fields.category.take());
        record.fields.confidence = self.confidence.or(record.fields.confidence);
        record.fields.origin = self.origin.or(record.fields.origin.take());
        record.fields.valid_from = self.valid_from.or(record.fields.valid_from);
        record.fields.valid_to = self.valid_to.or(record.fields.valid_to);
        for (key, value) in self.metadata {
            if value.is_null() {
                record.fields.metadata.remove(&key);
            } else {
                record.fields.metadata.insert(key, value);
            }
        }
        if let Some(past) = &mut record.past {
            past.updated_at = None;
        }
    }
}

/// Changes part of a record under its lock, so that two changes at the same time are both made.
/// `None`: the caller can see no such record.
pub async fn update(
    db: &Db,
    scope: &Scope,
    id: Uuid,
    change: &Change,
    limit: &Limit,
    policy: Policy,
) -> Result<Option<Outcome>, DbError> {
    db.run(scope, async |transaction| {
        // In its own statement, so that the next one sees the changes that this one waited for.
        transaction.query_typed(sql!("lock_source"), parameters![id]).await?;
        let Some(mut record) = read::records_within(&transaction, &[id]).await?.pop() else { return Ok(None) };
        change.clone().apply(&mut record);
        let limit = limit.clone();
        let batch = tokio::task::spawn_blocking(move || Batch::under(policy, vec![record], &limit).keeping_files());
        let batch = batch.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
        Ok(write::write_within(&transaction, scope, &batch).await?.pop())
    })
    .await
}

/// Sets the status of these records: active, stale or archived. `verified`: someone has just
/// confirmed that they are true. Returns the ids that exist.
pub async fn set_status(
    db: &Db,
    scope: &Scope,
    ids: &[Uuid],
    status: Status,
    verified: bool,
) -> Result<Vec<Uuid>, DbError> {
    debug_assert!(status != Status::Superseded, "what is superseded says by what, which a write does");
    let rows = db.query(scope, sql!("set_status"), parameters![ids, status.as_str(), verified]).await?;
    Ok(rows.iter().map(|row| row.get("source_id")).collect())
}

/// Supersedes records with `new`: those of `old` that it may supersede. Returns the superseded ids.
pub async fn supersede(db: &Db, scope: &Scope, new: Uuid, old: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    let named: Vec<Uuid> = old.iter().copied().chain([new]).collect();
    db.run(scope, async |transaction| {
        let rows = transaction.query_typed(sql!("find_superseded"), parameters![named]).await?;
        let found: HashMap<Uuid, Holding> = rows.iter().map(|row| (row.get("source_id"), holding_of(row))).collect();
        let Some(successor) = found.get(&new) else { return Ok(Vec::new()) };
        let may = |id: &&Uuid| found.get(id).is_some_and(|holding| may_supersede(&scope.owner, successor, holding));
        let old: Vec<Uuid> = old.iter().filter(may).copied().collect();
        let rows = transaction.query_typed(sql!("supersede_by"), parameters![new, old]).await?;
        Ok(rows.iter().map(|row| row.get("source_id")).collect())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgrecall_record::source::SourceKind;
    use serde_json::json;

    #[test]
    fn only_what_is_set_changes_and_a_null_removes_a_key() {
        let mut record = Record::new(SourceKind::Memory, "old");
        record.fields.tags = vec!["a".into()];
        record.fields.metadata = json!({"team": "data", "year": 2025}).as_object().expect("an object").clone();
        let metadata = json!({"team": null, "year": 2026}).as_object().expect("an object").clone();
        Change { body: Some("new".into()), metadata, ..Change::default() }.apply(&mut record);
        assert_eq!((record.body.as_str(), record.fields.tags.as_slice()), ("new", ["a".to_owned()].as_slice()));
        assert_eq!(Value::Object(record.fields.metadata), json!({"year": 2026}));
    }
}
