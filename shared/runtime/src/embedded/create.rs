//! Creates the database, once per home, in a temporary folder that is renamed when it is complete.

use std::{fs, path::Path, time::Duration};

use super::{
    EmbeddedError, account,
    cluster::{Cluster, SUPERUSER},
    program::run,
};
use crate::sync::sync_tree;

/// How long one step may take. A step usually takes a second; the limit allows for slow disks.
const TIMEOUT: Duration = Duration::from_secs(180);
/// The major version from which initdb enables checksums by default.
const CHECKSUMS_BY_DEFAULT: u32 = 18;
/// Prefix of the folder's name until it is complete.
const PREFIX: &str = "postgres.new-";

const DATABASE_SQL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/setup/private_database.sql"));

/// Settings of a database on a user's laptop. They go into `postgresql.conf`, where people can
/// change them; settings that must not change are passed when the server starts.
const SETTINGS: [(&str, &str); 11] = [
    ("max_connections", "60"),
    ("shared_buffers", "128MB"),
    ("maintenance_work_mem", "128MB"),
    // There are no replicas, and with `minimal` a bulk load writes its pages once instead of twice.
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "512MB"),
    // Compiling a plan takes longer than any of our queries.
    ("jit", "off"),
    // A parallel index build needs shared memory of the size of its work memory, and containers
    // have 64 MB.
    ("max_parallel_maintenance_workers", "0"),
    // By default this would be the machine's time zone, so dates would look different after a
    // journey.
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    // A line for each checkpoint would be most of the log.
    ("log_checkpoints", "off"),
];

/// Settings for Linux only. Before crash recovery, Postgres syncs all files; `syncfs` does it in
/// one call, instead of a thousand files one after the other (4 s on a slow disk).
const LINUX_SETTINGS: &[(&str, &str)] =
    if cfg!(target_os = "linux") { &[("recovery_init_sync_method", "syncfs")] } else { &[] };

impl Cluster {
    /// Creates the data folder with the database in it.
    pub(super) async fn create(&self) -> Result<(), EmbeddedError> {
        tracing::info!(path = %self.data.display(), "creating the private database");
        self.remove_unfinished()?;
        // The name has the process id, because the initdb of a killed process may still write to
        // its own folder.
        let fresh = self.home.join(format!("{PREFIX}{}", std::process::id()));
        account::create_private_folder(&fresh, self.account.as_ref())?;
        let created = self.create_in(&fresh).await;
        if created.is_err() {
            // Best effort: the next start removes the rest.
            let _ = fs::remove_dir_all(&fresh);
        }
        created
    }

    async fn create_in(&self, fresh: &Path) -> Result<(), EmbeddedError> {
        self.initdb(fresh, true).await?;

        let mut single = self.command("postgres");
        single.args(["--single", "-D"]).arg(fresh);
        single.args(["-c", "exit_on_error=on", "-c", "fsync=off", "-c", "log_checkpoints=off", "template1"]);
        run(single, DATABASE_SQL, TIMEOUT).await.map_err(|error| error.into_error(failed))?;

        let (fresh, data, home) = (fresh.to_owned(), self.data.clone(), self.home.clone());
        tokio::task::spawn_blocking(move || finish(&fresh, &data, &home)).await.map_err(EmbeddedError::Panicked)?
    }

    /// Creates a data folder without the database, with or without page checksums.
    pub(super) async fn initdb(&self, folder: &Path, checksums: bool) -> Result<(), EmbeddedError> {
        let mut initdb = self.command("initdb");
        // Local connections need no password: only the owner of the data and root can enter the
        // socket's folder.
        initdb
            .args(["--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--no-locale"])
            .args(["--no-instructions", "--no-sync", "--username", SUPERUSER, "--pgdata"])
            .arg(folder);
        if checksums {
            // Without checksums, Postgres returns data from a page that the disk has corrupted.
            initdb.arg("--data-checksums");
        } else if self.postgres.major >= CHECKSUMS_BY_DEFAULT {
            initdb.arg("--no-data-checksums");
        }
        for (name, value) in SETTINGS.iter().chain(LINUX_SETTINGS) {
            initdb.args(["--set", &format!("{name}={value}")]);
        }
        run(initdb, "", TIMEOUT).await.map_err(|error| error.into_error(failed))?;
        Ok(())
    }

    /// Removes incomplete data folders of killed processes.
    fn remove_unfinished(&self) -> Result<(), EmbeddedError> {
        for entry in fs::read_dir(&self.home).map_err(EmbeddedError::at("read", &self.home))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX)
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                // A process still writes to it. It is in nobody's way, and a later call removes it.
                tracing::debug!(error = &error as &dyn std::error::Error, "a half-made database was left for later");
            }
        }
        Ok(())
    }
}

/// Syncs the folder to disk, and then renames it to the data folder.
fn finish(fresh: &Path, data: &Path, home: &Path) -> Result<(), EmbeddedError> {
    sync_tree(fresh).map_err(EmbeddedError::at("write", fresh))?;
    fs::rename(fresh, data).map_err(EmbeddedError::at("create", data))?;
    fs::File::open(home).and_then(|home| home.sync_all()).map_err(EmbeddedError::at("write", home))
}

fn failed(detail: String) -> EmbeddedError {
    EmbeddedError::CreateFailed { detail }
}
