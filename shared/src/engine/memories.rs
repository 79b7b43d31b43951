//! Memories that stay true: what is remembered is looked for first, and what was said can be changed, doubted, forgotten and brought back.

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

/// What became of something that was to be remembered.
#[derive(Debug)]
pub struct Remembered {
    /// What was written, or why it was not.
    pub outcome: Outcome,
    /// The caller's memories that say nearly the same; those that the new one has replaced are among its `supersedes`.
    pub similar: Vec<Similar>,
    /// What it has replaced.
    pub superseded: Vec<Uuid>,
    /// Whether the caller had said so already, word for word.
    pub was_known: bool,
}

/// What became of records that were to be brought back.
#[derive(Debug, Default)]
pub struct Restored {
    /// What is there again, active.
    pub restored: Vec<Uuid>,
    /// Ids of records that are kept, and whose keys name other records now.
    pub key_taken: Vec<Uuid>,
    /// Ids of which nothing is kept.
    pub not_found: Vec<Uuid>,
}

impl Engine {
    /// Writes a memory that somebody has just said. What the caller has said before, word for word, is that memory; and what it has said nearly
    /// so is told, or replaced, as the configuration wants it. The write waits for nobody: the look for what is alike comes after it.
    pub async fn remember(&self, scope: &Scope, record: Record) -> Result<Remembered, EngineError> {
        let config = &self.config().memory.remember;
        // As it is stored: the embedder, too, gets no secret.
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
                // What others see, too, is not replaced by what its owner alone sees.
                let ids: Vec<Uuid> = similar.iter().filter(|near| !near.shared).map(|near| near.id).collect();
                let replaced = correct::supersede(self.db(), scope, receipt.id, &ids).await?;
                superseded.extend(replaced);
            }
        }
        Ok(Remembered { outcome, similar, superseded, was_known })
    }

    /// Writes a memory, or adds to the one that says just the same whatever else is said of it. Returns what it has superseded, too, and whether
    /// it was known.
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

    /// What is alike, if that can be had: an embedder that is slow or away is no reason to refuse what was written, and many memories at once
    /// must not keep those waiting who ask.
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

    /// The caller's memories that say nearly what this text says. None where its meaning cannot be had.
    pub async fn similar(&self, scope: &Scope, text: &str) -> Result<Vec<Similar>, EngineError> {
        let db = self.db();
        let Ok(meaning) = self.inner.embedders.meaning(db, Purpose::Passage, text).await? else {
            return Ok(Vec::new());
        };
        let from = f64::from(self.config().memory.remember.similarity) / 100.0;
        Ok(review::similar(db, scope, &meaning, from).await?)
    }

    /// Changes a record in part. `None`: there is none that the caller can see. What others change of it at the same time stays.
    pub async fn update(&self, scope: &Scope, id: Uuid, change: Change) -> Result<Option<Outcome>, EngineError> {
        let text = change.body.as_ref().map_or(0, |body| body.len() as u64);
        let _admitted = self.admit(scope, Demand { records: 0, text_bytes: text, writes: 1 }).await?;
        let changed = correct::update(self.db(), scope, id, &change, self.limit(), self.policy()).await?;
        self.inner.notifier.wake();
        Ok(changed)
    }

    /// Puts one memory in the place of several: with all their tags and URNs, where it brings none.
    pub async fn consolidate(&self, scope: &Scope, mut record: Record) -> Result<Outcome, EngineError> {
        let merged = read::records(self.db(), scope, &record.supersedes).await?;
        let union = |lists: Vec<Vec<String>>| {
            let mut all: Vec<String> = lists.into_iter().flatten().collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        if record.fields.tags.is_empty() {
            record.fields.tags = union(merged.iter().map(|merged| merged.fields.tags.clone()).collect());
        }
        // Whoever saw all of them sees it, where they were seen alike; and it lies where they lay.
        if let [first, rest @ ..] = merged.as_slice() {
            if rest.iter().all(|merged| merged.visibility == first.visibility) {
                record.visibility = first.visibility;
            }
            if rest.iter().all(|merged| merged.fields.collection == first.fields.collection) {
                record.fields.collection.clone_from(&first.fields.collection);
            }
        }
        if record.fields.entity_urns.is_empty() {
            record.fields.entity_urns = union(merged.iter().map(|merged| merged.fields.entity_urns.clone()).collect());
        }
        Ok(self.write_dedup_by_text(scope, record).await?.0)
    }

    /// How long what was forgotten can be brought back.
    pub fn keeps_forgotten(&self) -> Duration {
        self.config().memory.forget.keep
    }

    /// Brings records back: what was forgotten, what was archived, doubted or superseded, and an earlier version in the place of the present one.
    pub async fn restore(&self, scope: &Scope, ids: &[Uuid]) -> Result<Restored, EngineError> {
        let db = self.db();
        let mut restored = correct::set_status(db, scope, ids, Status::Active, false).await?;
        let kept = forget::kept(db, scope, ids, self.keeps_forgotten()).await?;
        // One that is there is newer than what was kept.
        let kept = kept.into_iter().filter(|kept| kept.past.as_ref().is_none_or(|past| !restored.contains(&past.id)));
        let records = kept.map(|kept| Record { past: kept.past.map(Past::active), ..kept });
        let records: Vec<Record> = records.collect();
        let asked: Vec<Uuid> = records.iter().filter_map(|record| Some(record.past.as_ref()?.id)).collect();
        // What its key names now is newer, and must not be replaced. Quotas counted it while it was forgotten.
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

    /// Brings back the versions among these ids, and adds the records that they are of to `restored`. Returns the versions' ids.
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
