//! On whose behalf imported records are written: the importer's, or each record's own owner's.
//!
//! Row-level security lets nobody write a record of another owner. An operator's import is not exempt from it: it writes each owner's records as that
//! owner, in a transaction of their own.

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::Record;
use pgrecall_store::write::Receipts;
use shared::engine::{Engine, EngineError};

use super::rehearsal::Rehearsal;

/// The callers on whose behalf an import writes.
pub(super) struct Writers<'a> {
    /// The importer.
    pub(super) scope: &'a Scope,
    /// Whether records that name their owner are written as that owner.
    pub(super) for_owners: bool,
}

impl Writers<'_> {
    /// Writes records, or with a rehearsal asks what a write would make of them. The receipts are in the records' order.
    pub(super) async fn write(
        &self,
        engine: &Engine,
        records: Vec<Record>,
        mut rehearsal: Option<&mut Rehearsal>,
    ) -> Result<Receipts, EngineError> {
        let mut receipts: Vec<_> = records.iter().map(|_| None).collect();
        for (scope, group) in self.groups(records) {
            let (places, records): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let written = match rehearsal.as_deref_mut() {
                Some(rehearsal) => rehearsal.write(engine, &scope, records).await?,
                None => engine.write(&scope, records).await?,
            };
            for (place, receipt) in places.into_iter().zip(written) {
                receipts[place] = Some(receipt);
            }
        }
        Ok(receipts.into_iter().map(|receipt| receipt.expect("each record is in one group")).collect())
    }

    /// The records grouped by their writer, each with its place.
    fn groups(&self, records: Vec<Record>) -> Vec<(Scope, Vec<(usize, Record)>)> {
        let mut groups: Vec<(Scope, Vec<(usize, Record)>)> = Vec::new();
        for (place, record) in records.into_iter().enumerate() {
            let scope = self.writer(&record);
            match groups.iter_mut().find(|(known, _)| *known == scope) {
                Some((_, group)) => group.push((place, record)),
                None => groups.push((scope, vec![(place, record)])),
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
        let writers = Writers { scope: &scope, for_owners: true };
        let groups: Vec<_> = writers
            .groups(records())
            .into_iter()
            .map(|(scope, group)| (scope.owner, group.into_iter().map(|(place, _)| place).collect::<Vec<_>>()))
            .collect();
        assert_eq!(groups, [("bo".to_owned(), vec![0, 2]), ("ana".to_owned(), vec![1])]);
        let alone = Writers { scope: &scope, for_owners: false };
        assert_eq!(alone.groups(records()).len(), 1, "without it everything is the importer's");
    }
}
