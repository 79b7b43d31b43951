//! API keys: who a caller is, by a secret that is shown once and kept as a hash.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_postgres::{parameters, sql};

/// What every key begins with, so that it is known for one wherever it turns up.
pub const PREFIX: &str = "pgr_";

/// The days before its end in which a key is said to end soon.
pub const ENDS_SOON_DAYS: i32 = 14;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes {
    /// Recall, search, fetch, and the state of things.
    pub read: bool,
    /// Remember, save and forget.
    pub write: bool,
    /// Whatever an operator does; the others with it.
    pub admin: bool,
}

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, admin: true };
    /// The names, in their order.
    pub const NAMES: [&'static str; 3] = ["read", "write", "admin"];

    /// Those with these names; what is no scope's name is passed over.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(Self::default(), |scopes, name| match name {
            "read" => Self { read: true, ..scopes },
            "write" => Self { write: true, ..scopes },
            "admin" => Self::ALL,
            _ => scopes,
        })
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        let has = [self.read, self.write, self.admin];
        Self::NAMES.into_iter().zip(has).filter_map(|(name, has)| has.then_some(name)).collect()
    }
}

/// What is kept of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// That of this key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

/// A key that was just made: the only time that it can be seen.
pub struct Created {
    /// Its number.
    pub id: i64,
    /// The secret.
    pub key: String,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// Whom a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The key's number.
    pub id: i64,
    /// What it sees, and under which name it writes.
    pub scope: Scope,
    /// What it may do.
    pub scopes: Scopes,
    /// How much longer.
    pub expires_in: Option<Duration>,
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Under whose name it writes.
    pub user: String,
    /// As which persona, if any.
    pub persona: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// Whether that time has come.
    pub expired: bool,
    /// Whether it comes within [`ENDS_SOON_DAYS`].
    pub ends_soon: bool,
    /// When a rotation replaced it by another one.
    pub replaced_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
}

pgrecall_postgres::from_row!(Listed {
    id,
    name,
    user,
    persona,
    scopes,
    created_at,
    expires_at,
    expired,
    ends_soon,
    replaced_at,
    revoked_at,
    last_used_at
});

/// Makes a key for this scope. `None`: there is one of this name.
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
    // A retry would find the name taken by the key whose secret was lost.
    let rows = db.query_once(scope, sql!("create_api_key"), parameters![name, hash, names, seconds]).await?;
    Ok(rows.first().map(|row| Created { id: row.get("id"), key, expires_at: row.get("expires_at") }))
}

/// A key and the one that it replaces.
pub struct Rotated {
    /// The new one.
    pub created: Created,
    /// Its name, which was the old one's.
    pub name: String,
    /// The old one's number.
    pub replaced: i64,
    /// When the old one ends.
    pub replaced_ends_at: Option<Timestamp>,
}

/// Replaces a tenant's key, by its name or number, with one of another secret. The old one stays valid for the grace period. `None`: there is no
/// such key.
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
    // A retry would replace the key whose secret was lost.
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

/// 244 bits of chance.
fn new_secret() -> String {
    format!("{PREFIX}{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Whom a key stands for, if it is good.
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

/// A tenant's keys, the newest first.
pub async fn list(db: &Db, scope: &Scope, revoked: bool) -> Result<Vec<Listed>, DbError> {
    let rows = db.query(scope, sql!("list_api_keys"), parameters![revoked, ENDS_SOON_DAYS]).await?;
    Ok(rows.iter().map(Listed::from).collect())
}

/// Revokes a tenant's key by its name, with those that it replaced, or by its number. Returns the numbers of those that were revoked.
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
