//! Backup, restore and upgrade of the private database of a home.
//!
//! A restore and an upgrade create another database next to the old one, check it, and put it in
//! the old one's place. The old folder is kept.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio_postgres::Client;

use super::archive::Archive;
use super::facts::Facts;
use super::keys::Replaced;
use super::program::Programs;
use super::{BackupError, Restored, Rows, archive, fill, finish, in_session};
use crate::embedded::Hold;
use crate::{PostgresInstall, Runtime};
use pgrecall_postgres::db::migrate;
use pgrecall_postgres::sql;

/// Options of a restore into a home.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether the backup may replace a database that holds records or keys.
    pub replace: bool,
    /// Whether the API keys of another installation stay usable.
    pub keep_keys: bool,
}

/// The result of an upgrade.
#[derive(Debug)]
pub struct Upgraded {
    /// The major version before the upgrade.
    pub from: u32,
    /// The major version that serves the home now.
    pub to: u32,
    /// The row count of each table, which was compared with the old database's.
    pub rows: Rows,
    /// The folder in which the old database is kept.
    pub kept: PathBuf,
}

/// Restores a backup into a home. An existing database is kept in a folder of its own, unless it
/// held nothing; then it is removed. `progress` gets a description of each step.
pub async fn restore(
    home: &Path,
    runtime: &Runtime,
    file: &Path,
    options: Options,
    progress: impl Fn(&str),
) -> Result<Restored, BackupError> {
    progress("reading the backup");
    let file = &Archive::open(file)?;
    let install = install_for(runtime, file).await?;
    let hold = Hold::begin(home, runtime).await?;
    let old = match hold.has_database() {
        true => in_session(hold.start().await?, look).await?,
        false => Old::default(),
    };
    if old.is_used && !options.replace {
        return Err(BackupError::InTheWay { home: home.to_owned() });
    }
    let install = if hold.postgres().major > install.major { hold.postgres().clone() } else { install };
    let next = hold.next(install.clone())?;
    progress("making an empty database");
    let dsn = next.create().await?;
    progress("restoring");
    let programs = Programs::at(&install.bin, dsn);
    let rows = archive::rows(&programs, file).await?;
    let keys = fill(dsn, &programs, file, &rows, options.keep_keys, &old.replaced).await?;
    migrate::migrate(dsn).await?;
    let restored = in_session(dsn, async |client| finish(client, rows, keys).await).await?;
    progress("putting the restored database in place");
    let kept = hold.switch(next, &kept_name("before-restore")).await?;
    // An old database without records or keys is not worth keeping.
    let kept = kept.filter(|folder| old.is_used || std::fs::remove_dir_all(folder).is_err());
    Ok(Restored { kept, ..restored })
}

/// Moves a home to the newer Postgres. `None`: the home has it already. `progress` gets a
/// description of each step.
pub async fn upgrade(home: &Path, runtime: &Runtime, progress: impl Fn(&str)) -> Result<Option<Upgraded>, BackupError> {
    let newer = runtime.newer_postgres();
    let hold = Hold::begin(home, runtime).await?;
    if !hold.has_database() {
        return Err(BackupError::NoDatabase(home.to_owned()));
    }
    let (from, to) = (hold.postgres().major, newer.major);
    if from >= to {
        return Ok(None);
    }
    progress("reading the old database");
    // An older program may have started the running server. A new start enables checksums and
    // repairs the extension.
    hold.stop().await?;
    let before = in_session(hold.start().await?, Facts::of).await?;
    hold.stop().await?;
    let next = hold.next(newer)?;
    progress("upgrading a copy");
    let dsn = next.upgrade(&hold).await?;
    progress("comparing the copy with the old database");
    let after = in_session(dsn, Facts::of).await?;
    if let Some(what) = before.difference(&after) {
        return Err(BackupError::Differs { what });
    }
    in_session(dsn, async |client| Ok(client.batch_execute(super::ANALYZE).await?)).await?;
    progress("putting the upgraded database in place");
    let kept = hold.switch(next, &kept_name(&format!("{from}-before-upgrade"))).await?;
    Ok(kept.map(|kept| Upgraded { from, to, rows: after.rows(), kept }))
}

/// The state of a home's database before a restore.
#[derive(Default)]
struct Old {
    is_used: bool,
    replaced: Replaced,
}

async fn look(client: &Client) -> Result<Old, BackupError> {
    let has = client.query_one(sql!("has_schema"), &[]).await?;
    let mut old = Old { is_used: has.get("has_schema"), replaced: Replaced::default() };
    if has.get("has_tables") {
        old.is_used = client.query_one(sql!("is_used"), &[]).await?.get("used");
    }
    if has.get("has_keys") {
        old.replaced.read_keys(client).await?;
    }
    if has.get("is_named") {
        old.replaced.installation = Some(client.query_one(sql!("installation"), &[]).await?.get("id"));
    }
    Ok(old)
}

/// Returns the Postgres to restore a dump into: the one that new homes are made with, or the newer
/// one for a dump of a newer server.
async fn install_for(runtime: &Runtime, file: &Archive) -> Result<PostgresInstall, BackupError> {
    let (older, newer) = (runtime.postgres(), runtime.newer_postgres());
    let version = archive::dumped_by(&newer.bin, file).await?;
    Ok(if version <= older.major { older } else { newer })
}

/// Returns the name of an old data folder, with the reason and the time.
fn kept_name(why: &str) -> String {
    format!("postgres.{why}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"))
}
