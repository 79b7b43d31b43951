//! The API keys of a restored database: which of them stay usable.

use tokio_postgres::Client;
use uuid::Uuid;

use super::BackupError;
use crate::sql::sql;

/// The decision about a restored database's keys.
#[derive(Debug)]
pub(super) struct Keys {
    /// The names of those that were usable when the backup was made.
    pub(super) usable: Vec<String>,
    /// Whether they still are.
    pub(super) are_kept: bool,
    /// Whether the database takes the place of the one that was backed up.
    pub(super) is_same: bool,
}

/// Revokes the keys of a database that was just filled, whatever its schema's version, unless it belongs to the installation `replaced` or they
/// are to be kept.
pub(super) async fn settle(client: &Client, keep: bool, replaced: Option<Uuid>) -> Result<Keys, BackupError> {
    let has = client.query_one(sql!("has_schema"), &[]).await?;
    let mut keys = Keys { usable: Vec::new(), are_kept: keep, is_same: false };
    if has.get("is_named") {
        keys.is_same = replaced == Some(client.query_one(sql!("installation"), &[]).await?.get("id"));
        keys.are_kept |= keys.is_same;
    }
    if has.get("has_keys") {
        keys.usable = client.query(sql!("live_api_keys"), &[]).await?.iter().map(|row| row.get("name")).collect();
        if !keys.are_kept {
            client.execute(sql!("revoke_all_api_keys"), &[]).await?;
        }
    }
    Ok(keys)
}
