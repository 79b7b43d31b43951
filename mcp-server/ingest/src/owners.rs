//! The scopes in which imported records are written: the importer's, or each record's own owner's.
//!
//! Row-level security lets no caller write a record of another owner, and an operator's import is
//! not exempt from it. So the import writes each owner's records as that owner, in a transaction of
//! their own.

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::Record;
use pgrecall_store::write::Receipts;
use shared::engine::{Engine, EngineError};

use crate::dry_run::DryRun;

/// Writes the records of an import in the scopes of their owners.
pub(crate) struct Writers<'a> {
    /// The importer's scope.
    pub(crate) scope: &'a Scope,
    /// Whether records that name their owner are written as that owner.
    pub(crate) for_owners: bool,
    /// The dry run that replaces the writes.
    pub(crate) dry_run: Option<DryRun>,
}

impl Writers<'_> {
    /// Writes records, or previews the writes. The receipts are in the order of the records.
    pub(crate) async fn write(&mut self, engine: &Engine, records: Vec<Record>) -> Result<Receipts, EngineError> {
        let mut written = Vec::with_capacity(records.len());
        for (scope, group) in self.groups(records) {
            let (indexes, records): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let receipts = match &mut self.dry_run {
                Some(dry_run) => dry_run.preview(engine, &scope, records).await?,
                None => engine.write(&scope, records).await?,
            };
            written.extend(indexes.into_iter().zip(receipts));
        }
        written.sort_unstable_by_key(|(index, _): &(usize, _)| *index);
        Ok(written.into_iter().map(|(_, receipt)| receipt).collect())
    }

    /// Groups the records by the scope of their writer, each with its index.
    fn groups(&self, records: Vec<Record>) -> Vec<(Scope, Vec<(usize, Record)>)> {
        let mut groups: Vec<(Scope, Vec<(usize, Record)>)> = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            let scope = self.writer(&record);
            match groups.iter_mut().find(|(known, _)| *known == scope) {
                Some((_, group)) => group.push((index, record)),
                None => groups.push((scope, vec![(index, record)])),
            }
        }
        groups
    }

    fn writer(&self, record: &Record) -> Scope {
        let owner = record.past.as_ref().and_then(|past| past.owner.as_ref()).filter(|_| self.for_owners);
        match owner {
            Some((owner, persona)) => {
                Scope { tenant: self.scope.tenant.clone(), owner: owner.clone(), persona: persona.clone() }
            }
            None => self.scope.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgrecall_store::exported;

    #[test]
    fn records_are_grouped_by_their_owners_and_keep_their_places() {
        let scope = Scope { tenant: "t".into(), owner: "ana".into(), persona: None };
        let line = |owner: &str| {
            format!(
                r#"{{"id":"0190a1b2-0000-7000-8000-000000000001","kind":"memory","text":"t","visibility":"private","owner":"{owner}"}}"#
            )
        };
        let records = || {
            ["bo", "ana", "bo"].map(|owner| exported::imported_for_its_owner(&line(owner), &scope).unwrap()).to_vec()
        };
        let writers = Writers { scope: &scope, for_owners: true, dry_run: None };
        let groups: Vec<_> = writers
            .groups(records())
            .into_iter()
            .map(|(scope, group)| (scope.owner, group.into_iter().map(|(place, _)| place).collect::<Vec<_>>()))
            .collect();
        assert_eq!(groups, [("bo".to_owned(), vec![0, 2]), ("ana".to_owned(), vec![1])]);
        let alone = Writers { scope: &scope, for_owners: false, dry_run: None };
        assert_eq!(alone.groups(records()).len(), 1, "without it everything is the importer's");
    }
}
