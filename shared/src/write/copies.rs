//! Records whose ids are somebody else's: what two people import from one file is two records, and each finds its own again.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};
use uuid::{Builder, Uuid};

use super::Written;
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

/// Lets what was superseded point to the caller's copy of its successor, whichever of the two was written first.
pub(super) async fn relink(transaction: &Transaction<'_>, scope: &Scope, rows: &[Written<'_>]) -> Result<(), DbError> {
    let pasts = rows.iter().filter_map(|row| Some((row, row.item.prepared.record.past.as_ref()?)));
    let pasts: Vec<_> = pasts.collect();
    let copied = pasts.iter().filter(|(row, past)| past.id != row.id).map(|(row, past)| (past.id, row.id));
    let mut is_now: HashMap<Uuid, Uuid> = copied.collect();
    let kept: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
    // Of a successor that is not in this batch an earlier one may have made a copy.
    for successor in pasts.iter().filter_map(|(_, past)| past.superseded_by).filter(|was| !kept.contains(was)) {
        is_now.entry(successor).or_insert_with(|| id(successor, scope));
    }
    if is_now.is_empty() {
        return Ok(());
    }
    let (was, is_now): (Vec<Uuid>, Vec<Uuid>) = is_now.into_iter().unzip();
    let written: Vec<i64> = rows.iter().map(|row| row.source).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&was, Type::UUID_ARRAY), (&is_now, Type::UUID_ARRAY), (&written, Type::INT8_ARRAY)];
    transaction.execute_typed(sql!("relink"), &parameters).await?;
    Ok(())
}
