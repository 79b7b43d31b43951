//! Another data folder is made next to a home's, and takes its place once it is proven: for a restore, and for a new major version of Postgres.
//!
//! The process that does so holds both locks of the home until it is done, so that no other process uses the old database. The new one is a
//! whole cluster in the folder `postgres.next`, with a server of its own. The switch is two renames. A process that dies before the first one
//! leaves the old database where it is; one that dies between the two leaves a folder with a file that says that it is proven, and the next
//! start finishes the work ([`Cluster::settle_exchange`]).

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

/// The folder of the database that is being made: a home within the home.
const NEXT: &str = "postgres.next";
/// The file that says that the database next to it may take the place of the home's.
const PROVEN: &str = "proven";
/// How long pg_upgrade may take: it copies every file.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// A home whose database nobody else uses for as long as this lives. Dropping it stops the server.
#[derive(Debug)]
pub struct Hold {
    cluster: Cluster,
    address: Dsn,
    /// Open for as long as the address may be used.
    _home: Folder,
    _users: Lock,
    _starting: Lock,
}

/// The database that is being made next to the one of a [`Hold`]. Dropping it removes it.
#[derive(Debug)]
pub struct Next {
    cluster: Cluster,
    address: Dsn,
    /// Open for as long as the address may be used.
    _home: Folder,
    switched: bool,
}

/// How to connect to a cluster, and the folder that must stay open until the connection is closed.
fn address_of(cluster: &Cluster) -> Result<(Folder, Dsn), EmbeddedError> {
    let home = Folder::open(&cluster.home).map_err(EmbeddedError::at("open", &cluster.home))?;
    let address = cluster.address(&cluster.host(&home));
    Ok((home, address))
}

/// The Postgres of a home: of the version that made its data, or the one that new homes are made with.
pub(super) fn install_of(home: &Path, runtime: &Runtime) -> PostgresInstall {
    let newer = runtime.newer_postgres();
    match data_version(home) {
        Some(version) if version == newer.major => newer,
        _ => runtime.postgres(),
    }
}

/// The major version that made a home's data; `None` where there is no data, or none that this user may read.
pub fn data_version(home: &Path) -> Option<u32> {
    let next = home.join(NEXT);
    let interrupted = next.join(PROVEN).exists().then(|| next.join("postgres"));
    let folders = [Some(home.join("postgres")), interrupted];
    folders.into_iter().flatten().find_map(|data| {
        // A process may be about to rename one of them; the version is checked again by the start.
        fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
    })
}

impl Hold {
    /// Takes hold of a home. Its folder is created if it is missing; its database is not.
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

    /// The programs that serve it.
    pub fn postgres(&self) -> &PostgresInstall {
        &self.cluster.postgres
    }

    /// Starts the server, and returns how to connect. Call it before [`Hold::next`]: a start removes what an interrupted exchange has left.
    pub async fn start(&self) -> Result<&Dsn, EmbeddedError> {
        self.cluster.bring_up().await?;
        Ok(&self.address)
    }

    /// Stops the server in order.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        stop(&self.cluster).await
    }

    /// Reads every page of the database, which must not run, and compares it with its checksum.
    pub async fn check_pages(&self, timeout: Duration) -> Result<PageCheck, EmbeddedError> {
        self.cluster.check_pages(timeout).await
    }

    /// Prepares a place for another database, which these programs will serve.
    pub fn next(&self, postgres: PostgresInstall) -> Result<Next, EmbeddedError> {
        let folder = self.cluster.home.join(NEXT);
        account::create_private_folder(&folder, self.cluster.account.as_ref())?;
        let mut cluster = Cluster::at(&folder, postgres)?;
        cluster.account.clone_from(&self.cluster.account);
        let (opened, address) = address_of(&cluster)?;
        Ok(Next { cluster, address, _home: opened, switched: false })
    }

    /// Puts the other database in the place of the home's, and keeps the old folder under the name `kept`. Stops both servers. Returns where the
    /// old folder is, if there was one.
    pub async fn switch(self, mut next: Next, kept: &str) -> Result<Option<PathBuf>, EmbeddedError> {
        self.stop().await?;
        next.stop().await?;
        let kept = self.has_database().then(|| self.cluster.home.join(kept));
        // From here on the next start settles an interruption.
        next.switched = true;
        // The locks go along: a caller that stops waiting does not stop the renames.
        let switch = move || self.put_in_place(&next, kept.as_deref()).map(|()| kept);
        tokio::task::spawn_blocking(switch).await.map_err(EmbeddedError::Panicked)?
    }

    fn put_in_place(&self, next: &Next, kept: Option<&Path>) -> Result<(), EmbeddedError> {
        let (home, data) = (&self.cluster.home, &self.cluster.data);
        let (folder, fresh) = (&next.cluster.home, &next.cluster.data);
        sync_tree(fresh).map_err(EmbeddedError::at("write", fresh))?;
        let proven = folder.join(PROVEN);
        // The folder is the server's user's, who may have put a link there: a new file follows none.
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
    /// Makes an empty database, starts its server, and returns how to connect.
    pub async fn create(&self) -> Result<&Dsn, EmbeddedError> {
        self.cluster.bring_up().await?;
        Ok(&self.address)
    }

    /// Makes the database of the data of `from`, whose server must not run, with pg_upgrade; starts its server, and returns how to connect. The
    /// old files are copied and not touched.
    pub async fn upgrade(&self, from: &Hold) -> Result<&Dsn, EmbeddedError> {
        let cluster = &self.cluster;
        cluster.check_reach()?;
        // Both must have checksums, or neither.
        let checksums = from.cluster.control().await?.has_checksums;
        account::create_private_folder(&cluster.data, cluster.account.as_ref())?;
        cluster.initdb(&cluster.data, checksums).await?;
        // A path to a socket in the home can be too long for its address.
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

    async fn stop(&self) -> Result<(), EmbeddedError> {
        stop(&self.cluster).await
    }
}

/// A folder that is removed when this is dropped.
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
    /// Finishes an exchange that was interrupted, or removes its leftovers. Needs the start lock.
    pub(super) async fn settle_exchange(&self) -> Result<(), EmbeddedError> {
        let folder = self.home.join(NEXT);
        // A link is not ours: nothing behind it is moved or removed.
        if !fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir()) {
            return Ok(());
        }
        let mut left = Self::at(&folder, self.postgres.clone())?;
        left.account.clone_from(&self.account);
        // It would start servers again that are stopped below.
        self.signal("TERM", &process::working_in(&left.home, &["pg_upgrade"]))?;
        if !self.data.exists() && folder.join(PROVEN).exists() && left.data.exists() {
            tracing::warn!(path = %self.data.display(), "finishing the change of the data folder that was interrupted");
            take_place(&left.data, &self.data, &self.home)?;
        }
        // Its server outlives the process that started it.
        stop(&left).await?;
        remove(&folder);
        Ok(())
    }
}

async fn stop(cluster: &Cluster) -> Result<(), EmbeddedError> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || cluster.stop()).await.map_err(EmbeddedError::Panicked)?
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

/// Removes a folder that nothing depends on; what stays is removed by the next start.
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %folder.display(), error = &error as &dyn std::error::Error, "a folder was left for the next start to remove");
    }
}
