//! The exchange of a home's data folder, for a restore and for a new major version of Postgres:
//! another data folder is created next to the old one, and takes its place once it is proven.
//!
//! The process holds both locks of the home until it is done, so that no other process uses the old
//! database. The new database is a whole cluster in the folder `postgres.next`, with its own
//! server. The switch is two renames. A process that dies before the first rename leaves the old
//! database in place. A process that dies between the two leaves the file `proven` in
//! `postgres.next`, and the next start finishes the exchange ([`Cluster::settle_exchange`]).
//! Decision 24 has the reasons.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use uuid::Uuid;

use super::{
    EmbeddedError, PageCheck, account,
    cluster::{Cluster, SUPERUSER},
    lock::Lock,
    process,
    program::run,
};
use crate::{PostgresInstall, Runtime, sync::sync_tree};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_process::nofollow::Folder;

/// The folder of the new database: a home within the home.
const NEXT: &str = "postgres.next";
/// The file that marks the new database as proven: it may take the place of the home's.
const PROVEN: &str = "proven";
/// How long pg_upgrade may take: it copies every file.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// Exclusive use of a home's database. Dropping it stops the server.
#[derive(Debug)]
pub struct Hold {
    cluster: Cluster,
    address: Dsn,
    /// Kept open for as long as the address may be used.
    _home: Folder,
    _users: Lock,
    _starting: Lock,
}

/// The new database next to the one of a [`Hold`]. Dropping it removes the new database, unless it
/// was switched.
#[derive(Debug)]
pub struct Next {
    cluster: Cluster,
    address: Dsn,
    /// Kept open for as long as the address may be used.
    _home: Folder,
    switched: bool,
}

/// Returns the address of a cluster, and the folder that must stay open until the connection is
/// closed.
fn address_of(cluster: &Cluster) -> Result<(Folder, Dsn), EmbeddedError> {
    let home = Folder::open(&cluster.home).map_err(EmbeddedError::at("open", &cluster.home))?;
    let address = cluster.address(&cluster.host(&home));
    Ok((home, address))
}

/// Returns the Postgres that serves a home: of the version that created its data, or the one that
/// new homes are made with.
pub(super) fn install_of(home: &Path, runtime: &Runtime) -> PostgresInstall {
    let newer = runtime.newer_postgres();
    match data_version(home) {
        Some(version) if version == newer.major => newer,
        _ => runtime.postgres(),
    }
}

/// Returns the major version that created a home's data; `None` if there is no data, or none that
/// this user may read.
pub fn data_version(home: &Path) -> Option<u32> {
    let next = home.join(NEXT);
    let interrupted = next.join(PROVEN).exists().then(|| next.join("postgres"));
    let folders = [Some(home.join("postgres")), interrupted];
    folders.into_iter().flatten().find_map(|data| {
        // A process may be about to rename one of them, so both are tried; the start checks the
        // version again.
        fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
    })
}

impl Hold {
    /// Takes exclusive use of a home. Creates its folder if it is missing, but not its database.
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] while another process uses the database.
    pub async fn begin(home: &Path, runtime: &Runtime) -> Result<Self, EmbeddedError> {
        let cluster = Cluster::at(home, install_of(home, runtime))?;
        let starting = Lock::exclusive(&cluster.start_lock()).await?;
        let users = Lock::shared(&cluster.users_lock())?;
        if !users.is_only_one()? {
            return Err(EmbeddedError::InUse { home: cluster.home });
        }
        let (opened, address) = address_of(&cluster)?;
        let hold = Self { cluster, address, _home: opened, _users: users, _starting: starting };
        hold.cluster.settle_exchange().await?;
        Ok(hold)
    }

    /// Whether the home has a database.
    pub fn has_database(&self) -> bool {
        self.cluster.data.exists()
    }

    /// Returns the Postgres that serves the database.
    pub fn postgres(&self) -> &PostgresInstall {
        &self.cluster.postgres
    }

    /// Starts the server, and returns its address. Call it before [`Hold::next`], because a start
    /// removes the leftovers of an interrupted exchange.
    pub async fn start(&self) -> Result<&Dsn, EmbeddedError> {
        self.cluster.bring_up().await?;
        Ok(&self.address)
    }

    /// Shuts the server down cleanly.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        self.cluster.stop_on_thread().await
    }

    /// Verifies the checksum of every page of the database, whose server must be stopped.
    pub async fn check_pages(&self, timeout: Duration) -> Result<PageCheck, EmbeddedError> {
        self.cluster.check_pages(timeout).await
    }

    /// Prepares the folder for a new database, which `postgres` will serve.
    pub fn next(&self, postgres: PostgresInstall) -> Result<Next, EmbeddedError> {
        let folder = self.cluster.home.join(NEXT);
        account::create_private_folder(&folder, self.cluster.account.as_ref())?;
        let mut cluster = Cluster::at(&folder, postgres)?;
        cluster.account.clone_from(&self.cluster.account);
        let (opened, address) = address_of(&cluster)?;
        Ok(Next { cluster, address, _home: opened, switched: false })
    }

    /// Puts the new database in the place of the home's, and keeps the old folder under the name
    /// `kept`. Stops both servers. Returns the path of the old folder, if there was one.
    pub async fn switch(self, mut next: Next, kept: &str) -> Result<Option<PathBuf>, EmbeddedError> {
        self.stop().await?;
        next.cluster.stop_on_thread().await?;
        let kept = self.has_database().then(|| self.cluster.home.join(kept));
        // From here on, the next start finishes an interrupted switch.
        next.switched = true;
        // The closure owns the locks, so the renames complete even if the caller stops waiting.
        let switch = move || self.put_in_place(&next, kept.as_deref()).map(|()| kept);
        tokio::task::spawn_blocking(switch).await.map_err(EmbeddedError::Panicked)?
    }

    fn put_in_place(&self, next: &Next, kept: Option<&Path>) -> Result<(), EmbeddedError> {
        let (home, data) = (&self.cluster.home, &self.cluster.data);
        let (folder, fresh) = (&next.cluster.home, &next.cluster.data);
        sync_tree(fresh).map_err(EmbeddedError::at("write", fresh))?;
        let proven = folder.join(PROVEN);
        // The folder belongs to the server's user, who may have put a link there; `create_new`
        // follows no link.
        File::create_new(&proven).and_then(|file| file.sync_all()).map_err(EmbeddedError::at("write", &proven))?;
        sync(folder)?;
        if let Some(kept) = kept {
            fs::rename(data, kept).map_err(EmbeddedError::at("rename", data))?;
        }
        take_place(fresh, data, home)?;
        remove(folder);
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        stop_logged(&self.cluster);
    }
}

impl Next {
    /// Creates an empty database, starts its server, and returns its address.
    pub async fn create(&self) -> Result<&Dsn, EmbeddedError> {
        self.cluster.bring_up().await?;
        Ok(&self.address)
    }

    /// Creates the database from the data of `from`, whose server must be stopped, with pg_upgrade.
    /// Starts its server, and returns its address. pg_upgrade copies the old files and does not
    /// change them.
    pub async fn upgrade(&self, from: &Hold) -> Result<&Dsn, EmbeddedError> {
        let cluster = &self.cluster;
        cluster.check_reach()?;
        // pg_upgrade requires that both clusters have checksums, or neither.
        let checksums = from.cluster.control().await?.has_checksums;
        account::create_private_folder(&cluster.data, cluster.account.as_ref())?;
        cluster.initdb(&cluster.data, checksums).await?;
        // The path to a socket in the home can be too long for a socket address.
        let sockets = Temporary(PathBuf::from(format!("/tmp/pgrecall-upgrade-{}", Uuid::new_v4().simple())));
        account::create_private_folder(&sockets.0, cluster.account.as_ref())?;
        let mut upgrade: Command = cluster.command("pg_upgrade");
        upgrade.args(["--copy", "--username", SUPERUSER]);
        upgrade.arg("--old-bindir").arg(&from.cluster.postgres.bin).arg("--new-bindir").arg(&cluster.postgres.bin);
        upgrade.arg("--old-datadir").arg(&from.cluster.data).arg("--new-datadir").arg(&cluster.data);
        upgrade.arg("--socketdir").arg(&sockets.0);
        let upgraded = run(upgrade, "", UPGRADE_TIMEOUT).await;
        upgraded.map_err(|error| error.into_error(|detail| EmbeddedError::UpgradeFailed { detail }))?;
        self.create().await
    }
}

/// A folder that is removed when this value is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        if !self.switched {
            stop_logged(&self.cluster);
            remove(&self.cluster.home);
        }
    }
}

impl Cluster {
    /// Finishes an interrupted exchange, or removes its leftovers. The caller must hold the start
    /// lock.
    pub(super) async fn settle_exchange(&self) -> Result<(), EmbeddedError> {
        let folder = self.home.join(NEXT);
        // This program never creates a link here, so it moves and removes nothing behind one.
        if !fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir()) {
            return Ok(());
        }
        let mut left = Self::at(&folder, self.postgres.clone())?;
        left.account.clone_from(&self.account);
        // A running pg_upgrade would restart the servers that are stopped below.
        self.signal("TERM", &process::working_in(&left.home, &["pg_upgrade"]))?;
        if !self.data.exists() && folder.join(PROVEN).exists() && left.data.exists() {
            tracing::warn!(path = %self.data.display(), "finishing the change of the data folder that was interrupted");
            take_place(&left.data, &self.data, &self.home)?;
        }
        // The new database's server outlives the process that started it.
        left.stop_on_thread().await?;
        remove(&folder);
        Ok(())
    }
}

fn stop_logged(cluster: &Cluster) {
    if let Err(error) = cluster.stop() {
        tracing::warn!(error = &error as &dyn std::error::Error, "a server was left running; the next start ends it");
    }
}

fn take_place(fresh: &Path, data: &Path, home: &Path) -> Result<(), EmbeddedError> {
    fs::rename(fresh, data).map_err(EmbeddedError::at("create", data))?;
    sync(home)
}

fn sync(folder: &Path) -> Result<(), EmbeddedError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(EmbeddedError::at("write", folder))
}

/// Removes a folder that nothing depends on. The next start removes the rest.
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %folder.display(), error = &error as &dyn std::error::Error, "a folder was left for the next start to remove");
    }
}
