//! Writing and correcting memories: near-duplicates, updates, consolidation, and restoring.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::{Engine, EngineError};
use pgrecall_config::{NearDuplicates, Secrets};
use pgrecall_embedder::Purpose;
use pgrecall_postgres::db::Scope;
use pgrecall_record::secrets;
use pgrecall_record::source::{Past, Record, RecordError, Status, Stored};
use pgrecall_store::correct::{self, Change};
use pgrecall_store::forget;
use pgrecall_store::quotas::Demand;
use pgrecall_store::read;
use pgrecall_store::review::{self, Similar};
use pgrecall_store::versions;
use pgrecall_store::write::{Batch, Outcome};

/// The result of remembering something.
#[derive(Debug)]
pub struct Remembered {
    /// The record that was written, or why it was refused.
    pub outcome: Outcome,
    /// The caller's near-duplicates. The replaced ones among them are also in `superseded`.
    pub similar: Vec<Similar>,
    /// The memories that the new one replaced.
    pub superseded: Vec<Uuid>,
    /// Whether the caller already had a memory with the identical text.
    pub was_known: bool,
}

/// The result of restoring records.
#[derive(Debug, Default)]
pub struct Restored {
    /// The restored records, now active.
    pub restored: Vec<Uuid>,
    /// The ids of kept records whose keys name other records now.
    pub key_taken: Vec<Uuid>,
    /// The ids for which nothing is kept.
    pub not_found: Vec<Uuid>,
}

impl Engine {
    /// Writes a memory.
    ///
    /// A memory with identical text is kept and extended. Near-duplicates are reported or replaced,
    /// as configured. The search for them runs after the write, so the write waits for no embedder.
    pub async fn remember(&self, scope: &Scope, record: Record) -> Result<Remembered, EngineError> {
        let config = &self.config().memory.remember;
        // The search uses the text as it is stored, so that no secret reaches the embedder.
        let body = match self.config().memory.secrets {
            Secrets::Off => record.body.clone(),
            Secrets::Redact | Secrets::Refuse => secrets::redact(&record.body).into_owned(),
        };
        let (outcome, mut superseded, was_known) = self.write_dedup_by_text(scope, record).await?;
        let mut similar = Vec::new();
        if let Ok(receipt) = &outcome
            && !was_known
            && config.near_duplicates != NearDuplicates::Ignore
        {
            similar = self.look_for_similar(scope, &body).await;
            similar.retain(|near| near.id != receipt.id && !superseded.contains(&near.id));
            if config.near_duplicates == NearDuplicates::Supersede && !similar.is_empty() {
                // A memory that only its owner sees must not replace one that others see as well.
                let ids: Vec<Uuid> = similar.iter().filter(|near| !near.shared).map(|near| near.id).collect();
                let replaced = correct::supersede(self.db(), scope, receipt.id, &ids).await?;
                superseded.extend(replaced);
            }
        }
        Ok(Remembered { outcome, similar, superseded, was_known })
    }

    /// Writes a memory, or adds the given fields to the existing one with identical text.
    ///
    /// Returns the outcome, the superseded records, and whether the text was known.
    async fn write_dedup_by_text(
        &self,
        scope: &Scope,
        record: Record,
    ) -> Result<(Outcome, Vec<Uuid>, bool), EngineError> {
        let written = self.write_batch(scope, vec![record.clone()], Batch::dedup_by_text).await?.pop();
        let outcome = written.expect("a write answers for each record");
        let known = outcome.as_ref().ok().filter(|receipt| receipt.stored == Stored::Unchanged).cloned();
        let Some(known) = known else {
            let superseded = if outcome.is_ok() { record.supersedes } else { Vec::new() };
            return Ok((outcome, superseded, false));
        };
        if record.fields.key.is_some() {
            return Ok((outcome, Vec::new(), true));
        }
        let ids = &record.supersedes;
        let superseded = match ids.is_empty() {
            true => Vec::new(),
            false => correct::supersede(self.db(), scope, known.id, ids).await?,
        };
        let addition = Change::adding(record);
        let added = if addition.is_empty() { None } else { self.update(scope, known.id, addition).await? };
        Ok((added.unwrap_or(outcome), superseded, true))
    }

    /// Searches for near-duplicates, within the configured time.
    ///
    /// A slow or unreachable embedder must not fail a write that has committed, and many writes at
    /// once must not delay recalls, so only one search runs at a time.
    async fn look_for_similar(&self, scope: &Scope, text: &str) -> Vec<Similar> {
        let Ok(_alone) = self.inner.looks.try_acquire() else { return Vec::new() };
        match tokio::time::timeout(self.config().memory.remember.timeout, self.similar(scope, text)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "nobody looked for memories that are alike");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Returns the caller's near-duplicates of a text, or an empty list if the text cannot be
    /// embedded.
    pub async fn similar(&self, scope: &Scope, text: &str) -> Result<Vec<Similar>, EngineError> {
        let db = self.db();
        let Ok(vector) = self.inner.embedders.query_vector(db, Purpose::Passage, text).await? else {
            return Ok(Vec::new());
        };
        let from = f64::from(self.config().memory.remember.similarity) / 100.0;
        Ok(review::similar(db, scope, &vector, from).await?)
    }

    /// Changes fields of a record. Concurrent changes to other fields stay.
    ///
    /// `None`: the caller can see no record with this id.
    pub async fn update(&self, scope: &Scope, id: Uuid, change: Change) -> Result<Option<Outcome>, EngineError> {
        let text = change.body.as_ref().map_or(0, |body| body.len() as u64);
        let _admitted = self.admit(scope, Demand { records: 0, text_bytes: text, writes: 1 }).await?;
        let changed = correct::update(self.db(), scope, id, &change, self.limit(), self.policy()).await?;
        self.wake_workers();
        Ok(changed)
    }

    /// Replaces several memories with one. If it has no tags or URNs, it gets all of theirs.
    pub async fn consolidate(&self, scope: &Scope, mut record: Record) -> Result<Outcome, EngineError> {
        let merged = read::records(self.db(), scope, &record.supersedes).await?;
        let union = |list: fn(&Record) -> &[String]| -> Vec<String> {
            let all: BTreeSet<&String> = merged.iter().flat_map(list).collect();
            all.into_iter().cloned().collect()
        };
        if record.fields.tags.is_empty() {
            record.fields.tags = union(|merged| &merged.fields.tags);
        }
        // If all replaced memories have the same visibility, the new one gets it, so that they keep
        // their readers. The same holds for the collection.
        if let [first, rest @ ..] = merged.as_slice() {
            if rest.iter().all(|merged| merged.visibility == first.visibility) {
                record.visibility = first.visibility;
            }
            if rest.iter().all(|merged| merged.fields.collection == first.fields.collection) {
                record.fields.collection.clone_from(&first.fields.collection);
            }
        }
        if record.fields.entity_urns.is_empty() {
            record.fields.entity_urns = union(|merged| &merged.fields.entity_urns);
        }
        Ok(self.write_dedup_by_text(scope, record).await?.0)
    }

    /// Returns how long a forgotten record can be restored.
    pub fn keeps_forgotten(&self) -> Duration {
        self.config().memory.forget.keep
    }

    /// Restores records: forgotten, archived, disputed or superseded ones, and earlier versions.
    pub async fn restore(&self, scope: &Scope, ids: &[Uuid]) -> Result<Restored, EngineError> {
        let db = self.db();
        let mut restored = correct::set_status(db, scope, ids, Status::Active, false).await?;
        let kept = forget::kept(db, scope, ids, self.keeps_forgotten()).await?;
        // A record that still exists is newer than its kept copy.
        let kept = kept.into_iter().filter(|kept| kept.past.as_ref().is_none_or(|past| !restored.contains(&past.id)));
        let records = kept.map(|kept| Record { past: kept.past.map(Past::active), ..kept });
        let records: Vec<Record> = records.collect();
        let asked: Vec<Uuid> = records.iter().filter_map(|record| Some(record.past.as_ref()?.id)).collect();
        // A record that uses the key now is newer, and must not be replaced. No quota check:
        // forgotten records count while they are kept.
        let batch = self.prepare(records, Batch::only_creating).await?;
        let written = self.write_prepared(scope, &batch).await?;
        let mut key_taken = Vec::new();
        for (asked, outcome) in asked.into_iter().zip(written) {
            match outcome {
                Ok(receipt) if !restored.contains(&receipt.id) => restored.push(receipt.id),
                Err(RecordError::KeyTaken) => key_taken.push(asked),
                _ => {}
            }
        }
        forget::release(db, scope, &restored).await?;
        let versions = self.restore_versions(scope, ids, &mut restored).await?;
        let missing = |id: &&Uuid| ![&restored, &key_taken, &versions].iter().any(|known| known.contains(id));
        let not_found = ids.iter().filter(missing).copied().collect();
        Ok(Restored { restored, key_taken, not_found })
    }

    /// Writes the earlier versions among these ids, and adds their records to `restored`.
    ///
    /// Returns the ids of the versions.
    async fn restore_versions(
        &self,
        scope: &Scope,
        ids: &[Uuid],
        restored: &mut Vec<Uuid>,
    ) -> Result<Vec<Uuid>, EngineError> {
        let read = versions::read(self.db(), scope, ids, self.keeps_forgotten()).await?;
        let (versions, records): (Vec<Uuid>, Vec<Record>) = read.into_iter().unzip();
        let written = self.write_batch(scope, records, |batch| batch).await?;
        let back = versions.into_iter().zip(written).filter_map(|(version, outcome)| Some((version, outcome.ok()?.id)));
        let (versions, ids): (Vec<Uuid>, Vec<Uuid>) = back.unzip();
        restored.extend(ids);
        Ok(versions)
    }
}
