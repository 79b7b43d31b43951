//! A dry run: what an import would write, batch by batch.
//!
//! The database says what each record would become as it is now. An earlier batch of the same run wrote nothing, so its names and texts are
//! remembered here.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Name, Record, Stored};
use pgrecall_store::write::Receipts;
use shared::engine::{Engine, EngineError};
use uuid::Uuid;

/// What identifies a record.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Name(Name),
    /// The id that a record without a name had where it was exported.
    Id(Uuid),
}

/// The records of the run so far, each with a hash of its content.
#[derive(Default)]
pub(crate) struct DryRun(HashMap<Identity, u64>);

impl DryRun {
    /// Returns what a write would make of these records.
    pub(crate) async fn preview(
        &mut self,
        engine: &Engine,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Receipts, EngineError> {
        let hashed: Vec<_> = records.iter().map(hashed).collect();
        let mut receipts = engine.preview_write(scope, records).await?;
        for (hashed, receipt) in hashed.into_iter().zip(&mut receipts) {
            if let (Some((identity, hash)), Ok(receipt)) = (hashed, receipt)
                && let Some(before) = self.0.insert(identity, hash)
            {
                receipt.stored = if before == hash { Stored::Unchanged } else { Stored::Replaced };
            }
        }
        Ok(receipts)
    }
}

/// What identifies a record, and a hash of its content. Two contents with one hash make a dry run count one of them as unchanged.
fn hashed(record: &Record) -> Option<(Identity, u64)> {
    let identity = match record.name() {
        Some(name) => Identity::Name(name),
        None => Identity::Id(record.past.as_ref()?.id),
    };
    let mut content = DefaultHasher::new();
    serde_json::to_string(record).expect("a record has text keys only").hash(&mut content);
    Some((identity, content.finish()))
}
