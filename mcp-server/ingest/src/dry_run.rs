//! Previews what an import would write, batch by batch.
//!
//! The database tells what each record would become in the present state. The earlier batches of a
//! dry run wrote nothing, so this module remembers their records.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Name, Record, Stored};
use pgrecall_store::write::Receipts;
use shared::engine::{Engine, EngineError};
use uuid::Uuid;

/// The identity of a record across the batches of a run.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Name(Name),
    /// The id under which a record without a name was exported.
    Id(Uuid),
}

/// The records of the run so far, each with a hash of its content.
#[derive(Default)]
pub(crate) struct DryRun(HashMap<Identity, u64>);

impl DryRun {
    /// Returns the receipts that a write of these records would produce.
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

/// Returns a record's identity, and a hash of its content.
///
/// If two contents have the same hash, the dry run counts one of them as unchanged.
fn hashed(record: &Record) -> Option<(Identity, u64)> {
    let identity = match record.name() {
        Some(name) => Identity::Name(name),
        None => Identity::Id(record.past.as_ref()?.id),
    };
    let mut content = DefaultHasher::new();
    serde_json::to_string(record).expect("a record has text keys only").hash(&mut content);
    Some((identity, content.finish()))
}
