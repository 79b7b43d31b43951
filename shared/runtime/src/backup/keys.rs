//! The API keys of a restored database, and which of them stay usable.

use tokio_postgres::Client;
use uuid::Uuid;

use super::BackupError;
use pgrecall_postgres::sql;

/// The installation and the ended keys of the database that is replaced, if there is one.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    pub(super) installation: Option<Uuid>,
    /// The hashes of the keys that were revoked or that expire; `revoked` and `expire` hold the
    /// times.
    hashes: Vec<Vec<u8>>,
    revoked: Vec<Option<String>>,
    expire: Vec<Option<String>>,
}

impl Replaced {
    /// Reads the keys that were revoked in this database, or that expire.
    pub(super) async fn read_keys(&mut self, client: &Client) -> Result<(), BackupError> {
        for row in client.query(sql!("ended_api_keys"), &[]).await? {
            self.hashes.push(row.get("key_hash"));
            self.revoked.push(row.get("revoked_at"));
            self.expire.push(row.get("expires_at"));
        }
        Ok(())
    }
}

/// The decision about a restored database's keys.
#[derive(Debug)]
pub(super) struct Keys {
    /// The names of the keys that were usable when the backup was made, and have not ended since.
    pub(super) usable: Vec<String>,
    /// The names of the keys that have ended since then in the replaced database.
    pub(super) ended: Vec<String>,
    /// Whether the usable keys stay usable.
    pub(super) are_kept: bool,
    /// Whether the restored database and the replaced one are of the same installation.
    pub(super) is_same: bool,
}

/// Revokes the keys of a database that was just filled, whatever its schema's version, unless
/// `keep` is set or it replaces a database of the same installation. A key that has ended in the
/// replaced database ends in any case.
pub(super) async fn settle(client: &Client, keep: bool, replaced: &Replaced) -> Result<Keys, BackupError> {
    let has = client.query_one(sql!("has_schema"), &[]).await?;
    let mut keys = Keys { usable: Vec::new(), ended: Vec::new(), are_kept: keep, is_same: false };
    if has.get("is_named") {
        keys.is_same = replaced.installation == Some(client.query_one(sql!("installation"), &[]).await?.get("id"));
        keys.are_kept |= keys.is_same;
    }
    if has.get("has_keys") {
        let ends = client.query(sql!("end_api_keys"), &[&replaced.hashes, &replaced.revoked, &replaced.expire]).await?;
        keys.ended = ends.iter().filter_map(|row| row.get("name")).collect();
        keys.usable = client.query(sql!("live_api_keys"), &[]).await?.iter().map(|row| row.get("name")).collect();
        if !keys.are_kept {
            client.execute(sql!("revoke_all_api_keys"), &[]).await?;
        }
    }
    Ok(keys)
}
