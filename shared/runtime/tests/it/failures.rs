//! Tests of the private Postgres with a broken disk or broken files: the error quotes Postgres and
//! says what to do.
//!
//! The tests need root, to mount small file systems that are full or read-only.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use pgrecall_harness::wait;
use pgrecall_runtime::{
    Runtime,
    embedded::{Embedded, EmbeddedError},
};

// A bare exit code of Postgres would not tell the user which file to repair.
#[tokio::test]
async fn broken_files_of_the_database_are_told_in_postgres_own_words_with_what_to_do() {
    type Break = fn(&Path);
    let cases: [(Break, &str, &str); 6] = [
        (
            |data| append(&data.join("postgresql.conf"), "shared_buffers = lots\n"),
            "invalid value for parameter \"shared_buffers\"",
            "correct or restore that file",
        ),
        (|data| append(&data.join("pg_hba.conf"), "local all all\n"), "pg_hba.conf", "correct or restore that file"),
        (
            |data| fs::write(data.join("global/pg_control"), "").unwrap(),
            "global/pg_control",
            "restore the folder from a backup",
        ),
        (
            |data| {
                for segment in fs::read_dir(data.join("pg_wal")).unwrap().flatten().filter(|it| it.path().is_file()) {
                    fs::remove_file(segment.path()).unwrap();
                }
            },
            "could not locate a valid checkpoint record",
            "restore the folder from a backup",
        ),
        (
            |data| fs::set_permissions(data, fs::Permissions::from_mode(0o755)).unwrap(),
            "Permissions should be u=rwx (0700)",
            "give the folder back its owner and its mode",
        ),
        (
            |data| fs::remove_file(data.join("postgresql.conf")).unwrap(),
            "could not access the server configuration file",
            "correct that",
        ),
    ];
    for (damage, words, advice) in cases {
        let home = Home::new();
        home.join().await.unwrap().leave().await;
        damage(&home.0.join("postgres"));
        let error = home.join().await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(words) && said.contains(advice), "{said}");
        assert!(error.detail().is_some_and(|detail| detail.contains(words)), "{error:?}");
    }
}

// Setup can repair a damaged program, so the error names the command.
#[tokio::test]
async fn a_program_that_is_damaged_is_named_with_the_command_that_repairs_it() {
    let home = Home::new();
    let sound = runtime().postgres();
    let bin = home.0.with_file_name("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["postgres", "initdb", "pg_ctl"] {
        let half = fs::read(sound.bin.join(program)).unwrap();
        fs::write(bin.join(program), &half[..half.len() / 2]).unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let install = pgrecall_runtime::PostgresInstall { bin, major: 16 };
    let said = Embedded::join_with(&home.0, install).await.unwrap_err().to_string();
    assert!(said.contains("bin/postgres") && said.contains("mcp-server setup --repair"), "{said}");
}

// The check before initdb avoids a half-made database on a full disk.
#[tokio::test]
async fn a_disk_that_is_too_small_for_a_database_is_told_with_what_is_needed() {
    let disk = Disk::new("30m");
    let home = disk.0.join("home");
    let error = Embedded::join(&home, &runtime()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NoRoom { free_mb: 25..=32, needed_mb: 100, .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("31 MB free") && said.contains("100 MB") && said.contains("PGRECALL_HOME"), "{said}");
    assert!(!home.join("postgres").exists());
}

// The user must learn that the disk is full, not only that the start failed.
#[tokio::test]
async fn a_disk_that_is_full_at_the_next_start_is_told_as_that() {
    let disk = Disk::new("150m");
    let home = disk.0.join("home");
    Embedded::join(&home, &runtime()).await.unwrap().leave().await;
    disk.fill();
    let said = Embedded::join(&home, &runtime()).await.unwrap_err().to_string();
    assert!(said.contains("No space left on device") && said.contains("free some space"), "{said}");
}

// A full disk must not stop reads.
#[tokio::test]
async fn a_disk_that_becomes_full_under_a_running_database_is_told_as_that_and_reads_go_on() {
    let disk = Disk::new("250m");
    let embedded = Embedded::join(&disk.0.join("home"), &runtime()).await.unwrap();
    let (client, connection) = embedded.address().connect().await.unwrap();
    let serving = pgrecall_process::tasks::connection("test", connection);
    client.batch_execute("CREATE TABLE kept AS SELECT 42 AS answer").await.unwrap();
    disk.fill();
    let write =
        "CREATE UNLOGGED TABLE large AS SELECT repeat(md5(n::text), 100) AS text FROM generate_series(1, 20000) AS n";
    let error = pgrecall_postgres::db::DbError::from(client.batch_execute(write).await.unwrap_err());
    assert!(error.is_disk_full(), "{error:?}");
    assert_eq!(error.to_string(), "the disk that holds the database is full: free some space, and try again");
    assert_eq!(client.query_one("SELECT answer FROM kept", &[]).await.unwrap().get::<_, i32>(0), 42);
    drop(client);
    serving.await.unwrap();
    disk.free();
    embedded.leave().await;
}

#[tokio::test]
async fn a_home_on_a_read_only_file_system_is_told_as_that() {
    let disk = Disk::new("150m");
    let home = disk.0.join("home");
    Embedded::join(&home, &runtime()).await.unwrap().leave().await;
    disk.remount("ro");
    for home in [home, disk.0.join("new")] {
        let error = Embedded::join(&home, &runtime()).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, EmbeddedError::ReadOnly { .. }) && said.contains("read-only"), "{said}");
        assert!(said.contains("PGRECALL_HOME"), "{said}");
    }
}

fn append(path: &Path, line: &str) {
    let before = fs::read_to_string(path).unwrap();
    fs::write(path, before + line).unwrap();
}

fn runtime() -> Runtime {
    let runtime = pgrecall_harness::postgres::runtime();
    runtime.install(&mut |_| ()).expect("setup");
    runtime
}

fn folder(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("pgrecall-failures-{}-{count}", std::process::id()));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder.join(name)).unwrap();
    folder.join(name).canonicalize().unwrap()
}

/// A home, removed after its test.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        Self(folder("home"))
    }

    async fn join(&self) -> Result<Embedded, EmbeddedError> {
        Embedded::join(&self.0, &runtime()).await
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// A small disk, removed after its test.
struct Disk(PathBuf);

impl Disk {
    fn new(size: &str) -> Self {
        let disk = Self(folder("disk"));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs"]).arg(&disk.0);
        assert!(mount.status().unwrap().success(), "this test mounts a small disk, for which it needs root");
        disk
    }

    /// Fills the disk completely.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        let error = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(&self.0);
        // A program that another test is just starting may hold a copy of a file descriptor for a
        // moment.
        wait::until("nothing is open for writing", || mount.status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}
