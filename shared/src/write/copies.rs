//! Records whose ids are somebody else's: what two people import from one file is two records, and each finds its own again.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::{Builder, Uuid};

use super::Batch;
use crate::db::{DbError, Scope};
use crate::hash;
use crate::sql::sql;

/// The id of this caller's copy of a record, which is the same each time that it is imported.
pub(super) fn id(of: Uuid, scope: &Scope) -> Uuid {
    let hash = hash::of_parts(&[scope.tenant.as_bytes(), scope.owner.as_bytes(), of.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// What took the place of those items that are copies, by their place: a record that the caller can see, else the caller's copy of it.
pub(super) async fn successors(
    transaction: &Transaction<'_>,
    scope: &Scope,
    batch: &Batch,
    ids: &HashMap<Uuid, usize>,
) -> Result<HashMap<usize, Uuid>, DbError> {
    let copies = ids.iter().filter_map(|(called, at)| {
        let past = batch.items[*at].prepared.record.past.as_ref()?;
        Some((*at, past.superseded_by.filter(|_| past.id != *called)?))
    });
    let copies: Vec<(usize, Uuid)> = copies.collect();
    if copies.is_empty() {
        return Ok(HashMap::new());
    }
    let asked: Vec<Uuid> = copies.iter().map(|(_, successor)| *successor).collect();
    let rows = transaction.query_typed(sql!("find_ids"), &[(&asked, Type::UUID_ARRAY)]).await?;
    let seen: HashSet<Uuid> = rows.iter().map(|row| row.get("source_id")).collect();
    let successor = |of: Uuid| if seen.contains(&of) { of } else { id(of, scope) };
    Ok(copies.into_iter().map(|(at, of)| (at, successor(of))).collect())
}
