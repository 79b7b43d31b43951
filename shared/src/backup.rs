//! Backup: a whole database as one file that Postgres' own tools read, and a database made of such a file.
//!
//! [`dump`] writes the file with pg_dump, reads it back, and compares the rows of every table with the snapshot that was dumped; only then does
//! the file get its name. [`restore`] fills an empty database. [`private`] does both around the private database of a home, and moves it to a
//! newer Postgres.

mod archive;
mod error;
mod facts;
pub mod private;
mod program;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio_postgres::Client;

pub use self::error::BackupError;
use self::program::Programs;
use crate::dsn::Dsn;
use crate::embedded::FIRST_USER_ID;
use crate::runtime::Runtime;
use crate::sql::sql;

const SESSION: &str = include_str!("../../sql/setup/backup_session.sql");
const BEGIN: &str = include_str!("../../sql/setup/begin_backup.sql");
const EXTENSION_ID: &str = include_str!("../../sql/setup/extension_id.sql");
const ROLES: &str = include_str!("../../sql/setup/roles.sql");
const ANALYZE: &str = include_str!("../../sql/setup/analyze.sql");

/// The table without which a database is not one of pgrecall.
const SOURCES: &str = "pgrecall.sources";

/// How many rows each table has, by its name.
pub type Rows = BTreeMap<String, u64>;

/// A backup that was written and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The file's size.
    pub bytes: u64,
    /// The rows of each table.
    pub rows: Rows,
}

/// An embedding space of a restored database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoredSpace {
    /// Provider and model.
    pub model: String,
    /// The length of its vectors, once one is known.
    pub dimension: Option<i32>,
    /// building, ready or active.
    pub state: String,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The rows of each table.
    pub rows: Rows,
    /// The embedding spaces.
    pub spaces: Vec<RestoredSpace>,
    /// The names of the API keys that were usable when the backup was made.
    pub keys: Vec<String>,
    /// Whether they still are.
    pub keys_kept: bool,
    /// Where the database that was replaced is kept.
    pub kept: Option<PathBuf>,
}

/// The folder of `pg_dump` and `pg_restore` for a server of this version: the one that was asked for, or the runtime's.
pub fn programs_for(runtime: &Runtime, asked: Option<&Path>, server_major: u32) -> Result<PathBuf, BackupError> {
    if let Some(bin) = asked {
        return Ok(bin.to_owned());
    }
    let installs = [runtime.postgres(), runtime.newer_postgres()];
    // A newer pg_dump reads an older server, but an older pg_restore does not read what it wrote.
    let fits = installs.into_iter().find(|install| server_major <= install.major);
    Ok(fits.ok_or(BackupError::NewerServer { server: server_major })?.bin)
}

/// The server's major version.
pub async fn server_major(dsn: &Dsn) -> Result<u32, BackupError> {
    let (client, _serving) = connect(dsn).await?;
    let version: i64 = client.query_one(sql!("server_version"), &[]).await?.get("version");
    Ok(u32::try_from(version / 10_000).unwrap_or_default())
}

/// Writes a backup of a database into `file`, which is replaced only by one that was checked. `bin` is the folder of Postgres' programs. The
/// connection must be a session of its own, and its login must be allowed to read every row.
pub async fn dump(dsn: &Dsn, bin: &Path, file: &Path) -> Result<Written, BackupError> {
    let part = Part::of(file)?;
    let rows = write_part(dsn, bin, &part.0).await?;
    let bytes = part.name(file)?;
    Ok(Written { bytes, rows })
}

async fn write_part(dsn: &Dsn, bin: &Path, part: &Path) -> Result<Rows, BackupError> {
    let programs = Programs::at(bin, dsn);
    let (client, serving) = connect(dsn).await?;
    client.batch_execute(BEGIN).await?;
    let snapshot: String = client.query_one(sql!("export_snapshot"), &[]).await?.get("snapshot");
    let rows = facts::count_all(&client).await?;
    if !rows.contains_key(SOURCES) {
        return Err(BackupError::NothingThere);
    }
    let extension = client.query_opt(EXTENSION_ID, &[]).await?;
    if extension.is_some_and(|row| row.get::<_, i64>("id") < FIRST_USER_ID) {
        return Err(BackupError::LeftOut);
    }
    programs.dump(&snapshot, part).await?;
    drop(client);
    serving.await.ok();
    let held = archive::rows(&programs, part).await?;
    match rows.iter().find(|(table, count)| held.get(*table) != Some(count)) {
        None => Ok(rows),
        Some((table, count)) => Err(BackupError::Incomplete {
            table: table.clone(),
            held: held.get(table).copied().unwrap_or_default(),
            expected: *count,
        }),
    }
}

/// A file that is not whole yet. Dropping it removes it.
struct Part(PathBuf);

impl Part {
    /// An empty one next to `file`.
    fn of(file: &Path) -> Result<Self, BackupError> {
        let name = file.file_name().filter(|_| !file.is_dir()).ok_or_else(|| BackupError::NoFile(file.to_owned()))?;
        let mut part = name.to_owned();
        part.push(format!(".part-{}", std::process::id()));
        let part = file.with_file_name(part);
        // A process with this number may have been killed here. A link that somebody else has put there is not followed.
        let _ = fs::remove_file(&part);
        // Nobody else may read it: it holds every text, and the hashes of the keys.
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        created.map_err(BackupError::at("create", &part))?;
        Ok(Self(part))
    }

    /// Gives it its name, once it was checked, and puts both on the disk for good. Returns its size.
    fn name(self, file: &Path) -> Result<u64, BackupError> {
        let part = &self.0;
        let written = File::open(part).map_err(BackupError::at("read", part))?;
        written.sync_all().map_err(BackupError::at("write", part))?;
        let bytes = written.metadata().map_err(BackupError::at("read", part))?.len();
        fs::rename(part, file).map_err(BackupError::at("create", file))?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::at("write", folder))?;
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once it has its name there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// Fills an empty database from a backup, in one transaction, and checks that every row is there. API keys are revoked unless `keep_keys` says
/// otherwise: nobody knows who has those of another installation.
pub async fn restore(dsn: &Dsn, bin: &Path, file: &Path, keep_keys: bool) -> Result<Restored, BackupError> {
    let programs = Programs::at(bin, dsn);
    let rows = archive::rows(&programs, file).await?;
    fill(dsn, &programs, file, &rows).await?;
    crate::db::migrate::migrate(dsn).await?;
    let (client, _serving) = connect(dsn).await?;
    finish(&client, rows, keep_keys, false).await
}

/// Runs pg_restore on an empty database, and compares what it has then with what the file holds.
async fn fill(dsn: &Dsn, programs: &Programs, file: &Path, rows: &Rows) -> Result<(), BackupError> {
    if !rows.contains_key(SOURCES) {
        return Err(BackupError::NotOurs(file.to_owned()));
    }
    let (client, serving) = connect(dsn).await?;
    if client.query_one(sql!("has_schema"), &[]).await?.get("has_schema") {
        return Err(BackupError::NotEmpty);
    }
    client.batch_execute(ROLES).await?;
    programs.restore(file).await?;
    client.batch_execute(BEGIN).await?;
    let there = facts::count_all(&client).await?;
    if let Some((table, count)) = rows.iter().find(|(table, count)| there.get(*table) != Some(count)) {
        return Err(BackupError::RestoredIncompletely {
            table: table.clone(),
            there: there.get(table).copied().unwrap_or_default(),
            expected: *count,
        });
    }
    drop(client);
    serving.await.ok();
    Ok(())
}

/// Revokes the API keys and renames the installation unless it is the same one, and collects the result.
async fn finish(client: &Client, rows: Rows, keep_keys: bool, same: bool) -> Result<Restored, BackupError> {
    client.batch_execute(ANALYZE).await?;
    let named = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| row.get("name")).collect::<Vec<String>>();
    let keys = named(client.query(sql!("live_api_keys"), &[]).await?);
    let keys_kept = keep_keys || same;
    if !keys_kept {
        client.execute(sql!("revoke_all_api_keys"), &[]).await?;
    }
    if !same {
        client.execute(sql!("name_installation"), &[]).await?;
    }
    let spaces = client.query(sql!("restored_spaces"), &[]).await?;
    let spaces = spaces.iter().map(|row| RestoredSpace {
        model: row.get("model"),
        dimension: row.get("dimension"),
        state: row.get("state"),
    });
    Ok(Restored { rows, spaces: spaces.collect(), keys, keys_kept, kept: None })
}

/// A connection whose statements find the tables of pgrecall.
async fn connect(dsn: &Dsn) -> Result<(Client, tokio::task::JoinHandle<()>), BackupError> {
    let (client, connection) = dsn.connect().await?;
    let serving = crate::tasks::connection("backup", connection);
    client.batch_execute(SESSION).await?;
    Ok((client, serving))
}
