//! Backup: a whole database as one file that Postgres' own tools read, and a database that is
//! restored from such a file.
//!
//! [`dump`] writes the file with pg_dump, reads it back, and compares the row counts of every table
//! with the dumped snapshot. Only then does it rename the file to its final name. [`restore`] fills
//! an empty database. [`private`] does both for the private database of a home, and moves it to a
//! newer Postgres.

mod archive;
mod error;
mod facts;
mod keys;
pub mod private;
mod program;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

use self::archive::Archive;
pub use self::error::BackupError;
use self::keys::{Keys, Replaced};
use self::program::Programs;
use crate::Runtime;
use crate::embedded::FIRST_USER_ID;
use pgrecall_postgres::dsn::Dsn;
use pgrecall_postgres::sql;
use pgrecall_process::nofollow::{Folder, split};

pub(crate) const SESSION: &str = include_str!("../../../sql/setup/backup_session.sql");
const BEGIN: &str = include_str!("../../../sql/setup/begin_backup.sql");
const EXTENSION_ID: &str = include_str!("../../../sql/setup/extension_id.sql");
const ROLES: &str = include_str!("../../../sql/setup/roles.sql");
const ANALYZE: &str = include_str!("../../../sql/setup/analyze.sql");

/// A table that every database of pgrecall has.
const SOURCES: &str = "pgrecall.sources";

/// The row count of each table, by its name.
pub type Rows = BTreeMap<String, u64>;

/// A backup that was written and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The file's size.
    pub bytes: u64,
    /// The row count of each table.
    pub rows: Rows,
}

/// An embedding space of a restored database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoredSpace {
    /// Provider and model.
    pub model: String,
    /// The dimension of its vectors, once it is known.
    pub dimension: Option<i32>,
    /// `building`, `ready` or `active`.
    pub state: String,
}

pgrecall_postgres::from_row! { RestoredSpace: model, dimension, state }

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The row count of each table.
    pub rows: Rows,
    /// The embedding spaces.
    pub spaces: Vec<RestoredSpace>,
    /// The names of the API keys that were usable when the backup was made, and have not ended
    /// since.
    pub keys: Vec<String>,
    /// The names of the API keys that were revoked or have expired since then in the replaced
    /// database. They stay revoked or expired.
    pub ended_keys: Vec<String>,
    /// Whether the keys in `keys` are still usable.
    pub keys_kept: bool,
    /// The folder in which the replaced database is kept.
    pub kept: Option<PathBuf>,
}

/// Returns the folder of `pg_dump` and `pg_restore` for a server of this version: `asked`, or the
/// runtime's oldest Postgres that can dump it.
pub fn programs_for(runtime: &Runtime, asked: Option<&Path>, server_major: u32) -> Result<PathBuf, BackupError> {
    if let Some(bin) = asked {
        return Ok(bin.to_owned());
    }
    let installs = [runtime.postgres(), runtime.newer_postgres()];
    // A newer pg_dump can dump an older server, but an older pg_restore cannot read that dump.
    let fits = installs.into_iter().find(|install| server_major <= install.major);
    Ok(fits.ok_or(BackupError::NewerServer { server: server_major })?.bin)
}

/// Asks the server for its major version.
pub async fn server_major(dsn: &Dsn) -> Result<u32, BackupError> {
    let version: i64 =
        in_session(dsn, async |client| Ok(client.query_one(sql!("server_version"), &[]).await?.get("version"))).await?;
    Ok(u32::try_from(version / 10_000).unwrap_or_default())
}

/// Writes a backup of a database into `file`, which is replaced only by a backup that was checked.
/// `bin` is the folder of Postgres' programs. The connection must be a session of its own, and its
/// login must be allowed to read every row.
pub async fn dump(dsn: &Dsn, bin: &Path, file: &Path) -> Result<Written, BackupError> {
    let part = Part::of(file)?;
    let rows = write_part(dsn, bin, &part.archive).await?;
    let bytes = part.name(file)?;
    Ok(Written { bytes, rows })
}

async fn write_part(dsn: &Dsn, bin: &Path, part: &Archive) -> Result<Rows, BackupError> {
    let programs = Programs::at(bin, dsn);
    let rows = in_session(dsn, async |client| {
        client.batch_execute(BEGIN).await?;
        let snapshot: String = client.query_one(sql!("export_snapshot"), &[]).await?.get("snapshot");
        let rows = facts::count_all(client).await?;
        if !rows.contains_key(SOURCES) {
            return Err(BackupError::NothingThere);
        }
        let extension = client.query_opt(EXTENSION_ID, &[]).await?;
        if extension.is_some_and(|row| row.get::<_, i64>("id") < FIRST_USER_ID) {
            return Err(BackupError::LeftOut);
        }
        programs.dump(&snapshot, part).await?;
        Ok(rows)
    })
    .await?;
    let held = archive::rows(&programs, part).await?;
    match missing_rows(&rows, &held) {
        None => Ok(rows),
        Some((table, held, expected)) => Err(BackupError::Incomplete { table, held, expected }),
    }
}

/// Returns the first table with another row count than expected: its name, that count, and the
/// expected one.
fn missing_rows(expected: &Rows, there: &Rows) -> Option<(String, u64, u64)> {
    let (table, count) = expected.iter().find(|(table, count)| there.get(*table) != Some(count))?;
    Some((table.clone(), there.get(table).copied().unwrap_or_default(), *count))
}

/// A backup file that is not complete yet. Dropping it removes the file. It is locked until then,
/// also by the programs that write to it, because they share its open file.
struct Part {
    folder: Folder,
    name: PathBuf,
    archive: Archive,
}

impl Part {
    /// Creates an empty one next to `file`, and removes those that killed processes have left.
    fn of(file: &Path) -> Result<Self, BackupError> {
        let no_file = || BackupError::NoFile(file.to_owned());
        let (parent, name) = split(file).ok().filter(|_| !file.is_dir()).ok_or_else(no_file)?;
        let folder = Folder::open(&parent).map_err(BackupError::at("open", &parent))?;
        let mut prefix = name.as_os_str().to_owned();
        prefix.push(".part-");
        for left in fs::read_dir(&parent).into_iter().flatten().flatten().map(|entry| entry.file_name()) {
            let is_part = left.as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
            let file = is_part.then(|| folder.open_file(left.as_ref(), OFlags::RDONLY).ok()).flatten();
            if file.is_some_and(|file| file.try_lock().is_ok()) {
                let _ = folder.remove_file(left.as_ref());
            }
        }
        prefix.push(Uuid::new_v4().simple().to_string());
        let (name, path) = (PathBuf::from(&prefix), parent.join(&prefix));
        // Only the owner may read it: it holds every text, and the hashes of the keys.
        let file = folder.create_file(&name, OFlags::empty()).map_err(BackupError::at("create", &path))?;
        // Fails on file systems without locks, which is accepted.
        let _ = file.try_lock();
        Ok(Self { folder, name, archive: Archive { path, file } })
    }

    /// Renames the checked file to its final name, and syncs the file and its folder. Returns the
    /// file's size.
    fn name(self, file: &Path) -> Result<u64, BackupError> {
        let Archive { path, file: written } = &self.archive;
        written.sync_all().map_err(BackupError::at("write", path))?;
        let bytes = written.metadata().map_err(BackupError::at("read", path))?.len();
        let (parent, name) = split(file).map_err(BackupError::at("create", file))?;
        self.folder.rename(&self.name, name).map_err(BackupError::at("create", file))?;
        File::open(&parent).and_then(|folder| folder.sync_all()).map_err(BackupError::at("write", &parent))?;
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = self.folder.remove_file(&self.name);
    }
}

/// Fills an empty database from a backup, in one transaction, and checks that every row is there.
/// API keys are revoked unless `keep_keys` is set, because it is unknown who holds the keys of
/// another installation.
pub async fn restore(dsn: &Dsn, bin: &Path, file: &Path, keep_keys: bool) -> Result<Restored, BackupError> {
    let (programs, file) = (Programs::at(bin, dsn), Archive::open(file)?);
    let rows = archive::rows(&programs, &file).await?;
    let keys = fill(dsn, &programs, &file, &rows, keep_keys, &Replaced::default()).await?;
    pgrecall_postgres::db::migrate::migrate(dsn).await?;
    in_session(dsn, async |client| finish(client, rows, keys).await).await
}

/// Runs pg_restore on an empty database, revokes the keys that must not open it, and compares its
/// row counts with the backup's.
async fn fill(
    dsn: &Dsn,
    programs: &Programs,
    file: &Archive,
    rows: &Rows,
    keep_keys: bool,
    replaced: &Replaced,
) -> Result<Keys, BackupError> {
    if !rows.contains_key(SOURCES) {
        return Err(BackupError::NotOurs(file.path.clone()));
    }
    in_session(dsn, async |client| {
        if client.query_one(sql!("has_schema"), &[]).await?.get("has_schema") {
            return Err(BackupError::NotEmpty);
        }
        Ok(client.batch_execute(ROLES).await?)
    })
    .await?;
    programs.restore(file).await?;
    // A new connection, because the first would have been idle for hours. The keys come first: if
    // the process is interrupted, the keys of another installation must not stay usable.
    let (keys, there) = in_session(dsn, async |client| {
        let keys = keys::settle(client, keep_keys, replaced).await?;
        client.batch_execute(BEGIN).await?;
        Ok((keys, facts::count_all(client).await?))
    })
    .await?;
    match missing_rows(rows, &there) {
        None => Ok(keys),
        Some((table, there, expected)) => Err(BackupError::RestoredIncompletely { table, there, expected }),
    }
}

/// Gives the database a new installation id unless it is the same installation, and collects the
/// result.
async fn finish(client: &Client, rows: Rows, keys: Keys) -> Result<Restored, BackupError> {
    if !keys.is_same {
        client.execute(sql!("name_installation"), &[]).await?;
    }
    let spaces = client.query(sql!("restored_spaces"), &[]).await?;
    let spaces = spaces.iter().map(RestoredSpace::from).collect();
    client.batch_execute(ANALYZE).await?;
    Ok(Restored { rows, spaces, keys: keys.usable, ended_keys: keys.ended, keys_kept: keys.are_kept, kept: None })
}

/// Runs `work` on a connection whose search path has the tables of pgrecall, and waits until the
/// connection is closed: a private server may stop next.
async fn in_session<T>(dsn: &Dsn, work: impl AsyncFnOnce(&Client) -> Result<T, BackupError>) -> Result<T, BackupError> {
    let (client, serving) = dsn.connect_in_task("backup").await?;
    client.batch_execute(SESSION).await?;
    let done = work(&client).await;
    drop(client);
    serving.await.ok();
    done
}
