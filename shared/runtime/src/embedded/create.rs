//! Makes the database: once for each home, in a temporary folder that is renamed when everything is in it.

use std::{fs, path::Path, time::Duration};

use super::{
    EmbeddedError, account,
    cluster::{Cluster, SUPERUSER},
    program::run,
};
use crate::sync::sync_tree;

/// How long one step may take. Usually it is a second; a slow disk is given its time.
const TIMEOUT: Duration = Duration::from_secs(180);
/// The major version from which initdb makes checksums unless it is told not to.
const CHECKSUMS_BY_DEFAULT: u32 = 18;
/// What the folder is called until it is whole.
const PREFIX: &str = "postgres.new-";

const DATABASE_SQL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/setup/private_database.sql"));

/// Settings of a database that shares a laptop with its user. They go into `postgresql.conf`, where people can change
/// them; what must not change is given when the server is started.
const SETTINGS: [(&str, &str); 11] = [
    ("max_connections", "60"),
    ("shared_buffers", "128MB"),
    ("maintenance_work_mem", "128MB"),
    // Nothing replicates from it, and a bulk load then writes its pages once instead of twice.
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "512MB"),
    // Compiling a plan takes longer than any of our queries.
    ("jit", "off"),
    // A parallel index build needs as much shared memory as its work memory, and containers have 64 MB.
    ("max_parallel_maintenance_workers", "0"),
    // Otherwise the machine's, and dates would read differently after a journey.
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    // A line for each checkpoint would be most of the log.
    ("log_checkpoints", "off"),
];

/// What only Linux has. Before the recovery from a crash, everything is written to the disk: in one call, instead of a
/// thousand files one after the other (4 s on a slow disk).
const LINUX_SETTINGS: &[(&str, &str)] =
    if cfg!(target_os = "linux") { &[("recovery_init_sync_method", "syncfs")] } else { &[] };

impl Cluster {
    /// Creates the data folder with the database in it.
    pub(super) async fn create(&self) -> Result<(), EmbeddedError> {
        tracing::info!(path = %self.data.display(), "creating the private database");
        self.remove_unfinished()?;
        // A name of its own: the initdb of a process that was killed may still be at work on the last one.
        let fresh = self.home.join(format!("{PREFIX}{}", std::process::id()));
        account::create_private_folder(&fresh, self.account.as_ref())?;
        let created = self.create_in(&fresh).await;
        if created.is_err() {
            // Best effort: what stays is removed by the next start.
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

    /// Makes a data folder without the database, with or without a checksum on each page.
    pub(super) async fn initdb(&self, folder: &Path, checksums: bool) -> Result<(), EmbeddedError> {
        let mut initdb = self.command("initdb");
        // No password is asked for locally: whoever can enter the socket's folder is the owner of the data or root.
        initdb
            .args(["--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--no-locale"])
            .args(["--no-instructions", "--no-sync", "--username", SUPERUSER, "--pgdata"])
            .arg(folder);
        if checksums {
            // Without them Postgres answers from a page that the disk has changed.
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

    /// Removes what killed processes have left half-made.
    fn remove_unfinished(&self) -> Result<(), EmbeddedError> {
        for entry in fs::read_dir(&self.home).map_err(EmbeddedError::at("read", &self.home))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX)
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                // Someone still writes to it. It will be gone the next time, and is in nobody's way.
                tracing::debug!(error = &error as &dyn std::error::Error, "a half-made database was left for later");
            }
        }
        Ok(())
    }
}

/// Puts the folder on the disk for good, and then into its place.
fn finish(fresh: &Path, data: &Path, home: &Path) -> Result<(), EmbeddedError> {
    sync_tree(fresh).map_err(EmbeddedError::at("write", fresh))?;
    fs::rename(fresh, data).map_err(EmbeddedError::at("create", data))?;
    fs::File::open(home).and_then(|home| home.sync_all()).map_err(EmbeddedError::at("write", home))
}

fn failed(detail: String) -> EmbeddedError {
    EmbeddedError::CreateFailed { detail }
}
