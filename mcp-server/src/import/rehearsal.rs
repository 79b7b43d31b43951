//! A dry run: what an import would write, told batch by batch.
//!
//! The database says what each record would become as it is now. What an earlier batch of the same run would have written is not there, so its
//! names and texts are remembered here.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use shared::{
    db::Scope,
    engine::{Engine, EngineError},
    source::{Record, SourceKind, Stored, Visibility},
    write::Receipts,
};

type Name = (SourceKind, String, String, Visibility);

/// What would have been written so far: a record's name, and a hash of what it says.
#[derive(Default)]
pub(super) struct Rehearsal(HashMap<Name, u64>);

impl Rehearsal {
    /// What a write would make of these records.
    pub(super) async fn write(
        &mut self,
        engine: &Engine,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Receipts, EngineError> {
        let named: Vec<_> = records.iter().map(named).collect();
        let mut receipts = engine.rehearse(scope, records).await?;
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

/// A record's name, and a hash of all that it says. A hash that two share costs one of them its place in a count.
fn named(record: &Record) -> Option<(Name, u64)> {
    let name = record.key.clone().or_else(|| Some(record.past.as_ref()?.id.to_string()))?;
    let mut said = DefaultHasher::new();
    serde_json::to_string(record).expect("a record has text keys only").hash(&mut said);
    Some(((record.kind, record.collection.clone(), name, record.visibility), said.finish()))
}
