//! Copies: imported records whose ids belong to someone else's records. If two people import the
//! same file, each gets records of their own, and a second import finds them (decision 22).

use std::collections::{HashMap, HashSet};

use uuid::{Builder, Uuid};

use super::Written;
use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{DbError, Scope, Transaction};
use pgrecall_record::hash;

/// Returns the id of this caller's copy of a record, which is the same for each import.
pub(super) fn id(of: Uuid, scope: &Scope) -> Uuid {
    let hash = hash::of_parts(&[scope.tenant.as_bytes(), scope.owner.as_bytes(), of.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// Points superseded records to the id that their successor has here, whichever of the two was
/// written first. `ids` maps the past ids of the batch's items to their present ids.
pub(super) async fn relink(
    transaction: &Transaction,
    scope: &Scope,
    ids: &HashMap<Uuid, Uuid>,
    rows: &[Written<'_>],
) -> Result<(), DbError> {
    let mut places: Vec<(Uuid, Uuid, bool)> =
        ids.iter().filter(|(was, is_now)| was != is_now).map(|(was, is_now)| (*was, *is_now, true)).collect();
    // A successor outside this batch may have become a copy in an earlier batch.
    let successors = rows.iter().filter_map(|row| row.item.prepared.record.past.as_ref()?.superseded_by);
    let elsewhere: HashSet<Uuid> = successors.filter(|was| !ids.contains_key(was)).collect();
    places.extend(elsewhere.into_iter().map(|was| (was, id(was, scope), false)));
    if places.is_empty() {
        return Ok(());
    }
    let (was, is_now, came): (Vec<Uuid>, Vec<Uuid>, Vec<bool>) = places.into_iter().collect();
    let written: Vec<i64> = rows.iter().map(|row| row.source).collect();
    transaction.execute_typed(sql!("relink"), parameters![was, is_now, came, written]).await?;
    Ok(())
}
