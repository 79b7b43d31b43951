//! A dry run: what an import would write, told batch by batch.
//!
//! The database says what each record would become as it is now. What an earlier batch of the same run would have written is not there, so its
//! names and texts are remembered here.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Name, Record, Stored};
use pgrecall_store::write::Receipts;
use shared::engine::{Engine, EngineError};
use uuid::Uuid;

/// What would have been written so far: what a record is known by, and a hash of what it says.
#[derive(Default)]
pub(super) struct Rehearsal(HashMap<Known, u64>);

/// What a record is known by: its name, or the id that it had.
#[derive(PartialEq, Eq, Hash)]
enum Known {
    Name(Name),
    Id(Uuid),
}

impl Rehearsal {
    /// What a write would make of these records.
    pub(super) async fn write(
        &mut self,
        engine: &Engine,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Receipts, EngineError> {
        let named: Vec<_> = records.iter().map(named).collect();
        let mut receipts = engine.preview_write(scope, records).await?;
        for (named, receipt) in named.into_iter().zip(&mut receipts) {
            if let (Some((name, said)), Ok(receipt)) = (named, receipt)
                && let Some(before) = self.0.insert(name, said)
            {
                receipt.stored = if before == said { Stored::Unchanged } else { Stored::Replaced };
            }
        }
        Ok(receipts)
    }
}

/// What a record is known by, and a hash of all that it says. A hash that two share costs one of them its place in a count.
fn named(record: &Record) -> Option<(Known, u64)> {
    let known = record.name().map(Known::Name).or_else(|| Some(Known::Id(record.past.as_ref()?.id)))?;
    let mut said = DefaultHasher::new();
    serde_json::to_string(record).expect("a record has text keys only").hash(&mut said);
    Some((known, said.finish()))
}
