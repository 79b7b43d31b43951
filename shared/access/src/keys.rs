//! API keys, which authenticate callers. A key is shown once and stored as a hash (decision 17).

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_postgres::{parameters, sql};

/// The prefix of every key, by which a key is recognized anywhere, for example by the redaction of
/// secrets.
pub const PREFIX: &str = "pgr_";

/// The number of days before its expiry from which a key is reported to expire soon.
pub const ENDS_SOON_DAYS: i32 = 14;

/// The operations that a caller may perform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes {
    /// Recall, search, fetch and status.
    pub read: bool,
    /// Remember, save and forget.
    pub write: bool,
    /// Operators' tasks; includes the other scopes.
    pub admin: bool,
}

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self { read: true, write: true, admin: true };
    /// The names of the scopes, in the order of the fields.
    pub const NAMES: [&'static str; 3] = ["read", "write", "admin"];

    /// Returns the scopes with these names. Unknown names are ignored.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(Self::default(), |scopes, name| match name {
            "read" => Self { read: true, ..scopes },
            "write" => Self { write: true, ..scopes },
            "admin" => Self::ALL,
            _ => scopes,
        })
    }

    /// Returns the names of the scopes.
    pub fn names(self) -> Vec<&'static str> {
        let has = [self.read, self.write, self.admin];
        Self::NAMES.into_iter().zip(has).filter_map(|(name, has)| has.then_some(name)).collect()
    }
}

/// The SHA-256 of a key, which is stored instead of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Hashes a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

/// A new key. This is the only time that its secret is available.
pub struct Created {
    /// The number of the key.
    pub id: i64,
    /// The secret.
    pub key: String,
    /// The expiry, if any.
    pub expires_at: Option<Timestamp>,
}

/// The caller that a key authenticates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The number of the key.
    pub id: i64,
    /// The scope of the caller's transactions: what it can see, and under which name it writes.
    pub scope: Scope,
    /// The operations that the key permits.
    pub scopes: Scopes,
    /// The remaining lifetime, if the key expires.
    pub expires_in: Option<Duration>,
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Listed {
    /// The number of the key.
    pub id: i64,
    /// The name of the key.
    pub name: String,
    /// The owner of the records written with the key.
    pub user: String,
    /// The persona that the key works as, if any.
    pub persona: Option<String>,
    /// The names of the permitted scopes.
    pub scopes: Vec<String>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The expiry, if any.
    pub expires_at: Option<Timestamp>,
    /// Whether the key has expired.
    pub expired: bool,
    /// Whether the key expires within [`ENDS_SOON_DAYS`] days, or has expired.
    pub ends_soon: bool,
    /// The time at which a rotation replaced the key by another one.
    pub replaced_at: Option<Timestamp>,
    /// The time at which the key was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The time of the last use, to the minute.
    pub last_used_at: Option<Timestamp>,
}

pgrecall_postgres::from_row! {
    Listed: id, name, user, persona, scopes, created_at, expires_at, expired, ends_soon, replaced_at, revoked_at, last_used_at
}

/// Creates a key for this scope. Returns `None` if the tenant already has a key with this name.
pub async fn create(
    db: &Db,
    scope: &Scope,
    name: &str,
    scopes: Scopes,
    expires_in: Option<Duration>,
) -> Result<Option<Created>, DbError> {
    let key = new_secret();
    let (hash, names, seconds) = (Hash::of(&key), scopes.names(), expires_in.map(|it| it.as_secs_f64()));
    let hash = hash.0.as_slice();
    // Runs once: a retry would find the name taken by the first attempt's key, whose secret is
    // lost.
    let rows = db.query_once(scope, sql!("create_api_key"), parameters![name, hash, names, seconds]).await?;
    Ok(rows.first().map(|row| Created { id: row.get("id"), key, expires_at: row.get("expires_at") }))
}

/// A new key and the key that it replaces.
pub struct Rotated {
    /// The new key.
    pub created: Created,
    /// The name of both keys.
    pub name: String,
    /// The number of the old key.
    pub replaced: i64,
    /// The expiry of the old key.
    pub replaced_ends_at: Option<Timestamp>,
}

/// Replaces a tenant's key, given by name or number, by one with a new secret. The old key stays
/// valid for the grace period. Returns `None` if there is no such key.
pub async fn rotate(
    db: &Db,
    scope: &Scope,
    key: &str,
    expires_in: Option<Duration>,
    grace: Duration,
) -> Result<Option<Rotated>, DbError> {
    let secret = new_secret();
    let (hash, seconds) = (Hash::of(&secret), expires_in.map(|it| it.as_secs_f64()));
    let hash = hash.0.as_slice();
    // Runs once: a retry would replace the first attempt's key, whose secret is lost.
    let rotated = db.run_once(scope, async |transaction| {
        let retired = transaction.query_typed(sql!("retire_api_key"), parameters![key, grace.as_secs_f64()]).await?;
        let Some(retired) = retired.first() else { return Ok(None) };
        let replaced: i64 = retired.get("id");
        let rows = transaction.query_typed(sql!("replace_api_key"), parameters![replaced, hash, seconds]).await?;
        Ok(rows.first().map(|row| Rotated {
            created: Created { id: row.get("id"), key: secret.clone(), expires_at: row.get("expires_at") },
            name: row.get("name"),
            replaced,
            replaced_ends_at: retired.get("expires_at"),
        }))
    });
    rotated.await
}

/// Generates a secret with 244 random bits.
fn new_secret() -> String {
    format!("{PREFIX}{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Returns the holder of a key, if the key is known, not revoked and not expired.
pub async fn find(db: &Db, hash: &Hash) -> Result<Option<Holder>, DbError> {
    let nobody = Scope { tenant: String::new(), owner: String::new(), persona: None };
    let hash = hash.0.as_slice();
    let find = async |transaction: Transaction| {
        transaction.query_typed(sql!("show_key_hash"), parameters![hash]).await?;
        Ok(transaction.query_typed(sql!("find_api_key"), parameters![hash]).await?)
    };
    let rows = db.reserved().run(&nobody, find).await?;
    Ok(rows.first().map(|row| {
        let names: Vec<String> = row.get("scopes");
        let seconds: Option<f64> = row.get("expires_in");
        Holder {
            id: row.get("id"),
            scope: Scope { tenant: row.get("tenant_id"), owner: row.get("owner_id"), persona: row.get("persona") },
            scopes: Scopes::named(names.iter().map(String::as_str)),
            expires_in: seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        }
    }))
}

/// Lists a tenant's keys, newest first, and revoked keys only if `revoked` is set.
pub async fn list(db: &Db, scope: &Scope, revoked: bool) -> Result<Vec<Listed>, DbError> {
    let rows = db.query(scope, sql!("list_api_keys"), parameters![revoked, ENDS_SOON_DAYS]).await?;
    Ok(rows.iter().map(Listed::from).collect())
}

/// Revokes a tenant's keys with this name, including replaced ones in their grace period, or else
/// the key with this number. Returns the numbers of the revoked keys.
pub async fn revoke(db: &Db, scope: &Scope, key: &str) -> Result<Vec<i64>, DbError> {
    let rows = db.query(scope, sql!("revoke_api_key"), parameters![key]).await?;
    Ok(rows.iter().map(|row| row.get("id")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_stands_for_everything_and_an_unknown_name_for_nothing() {
        assert_eq!(Scopes::named(["admin"]), Scopes::ALL);
        assert_eq!(Scopes::named(["read", "burn"]).names(), ["read"]);
        assert_eq!(Scopes::named([""]).names(), [""; 0]);
    }
}
