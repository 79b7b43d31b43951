//! Tests of a real setup: the runtime is complete, and a second setup does nothing.
//!
//! The folder is `PGRECALL_RUNTIME`, which `scripts/test` fills.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::PathBuf,
    process::Command,
    time::Instant,
};

use pgrecall_runtime::{Progress, Runtime, RuntimeError};

fn runtime() -> Runtime {
    let runtime = pgrecall_harness::postgres::runtime();
    runtime.install(&mut |_| ()).expect("setup");
    runtime
}

#[test]
fn a_second_setup_does_nothing_and_is_quick() {
    let runtime = runtime();
    let start = Instant::now();
    let mut steps = Vec::new();
    let report = runtime.install(&mut |step: Progress| steps.push(step)).unwrap();
    assert!(runtime.is_complete());
    assert!(report.installed.is_empty() && steps.is_empty());
    assert!(start.elapsed().as_secs() < 1);
    assert!(!runtime.root().join(".partial").exists());
}

#[test]
fn both_versions_of_postgres_start() {
    let runtime = runtime();
    for install in [runtime.postgres(), runtime.newer_postgres()] {
        for program in ["postgres", "initdb", "psql", "pg_dump"] {
            let output = Command::new(install.bin.join(program)).arg("--version").output().unwrap();
            let version = String::from_utf8(output.stdout).unwrap();
            assert!(version.contains(&format!("(PostgreSQL) {}.", install.major)), "{program}: {version}");
        }
    }
}

#[test]
fn the_model_is_there_in_the_form_that_is_run() {
    let model = runtime().model();
    for (file, least) in [(&model.model, 80_000_000), (&model.tokenizer, 400_000), (&model.config, 500)] {
        assert!(fs::metadata(file).unwrap().len() > least, "{}", file.display());
    }
}

// Setup removes the content of `.partial` and creates folders in the runtime, so a link could lead
// root to other files.
#[test]
fn root_follows_no_link_out_of_the_runtime_and_writes_to_no_runtime_that_another_user_can_change() {
    const STRANGER: u32 = 65_534;
    assert_eq!(fs::metadata("/proc/self").unwrap().uid(), 0, "this test plays two users, for which it needs root");
    let folder = Temporary(std::env::temp_dir().join(format!("pgrecall-foreign-{}", std::process::id())));
    let (victim, root) = (folder.0.join("victim"), folder.0.join("home/runtime"));
    fs::create_dir_all(victim.join("sub")).unwrap();
    fs::create_dir_all(&root).unwrap();
    symlink(&victim, root.join(".partial")).unwrap();
    let install = |root: &PathBuf| Runtime::at(root).install(&mut |_| ()).unwrap_err();
    assert!(matches!(install(&root), RuntimeError::File { .. }));
    assert!(victim.join("sub").exists(), "what a link leads to stays");

    fs::remove_file(root.join(".partial")).unwrap();
    fs::create_dir(root.join(".partial")).unwrap();
    let assert_refused = |root: &PathBuf, owned: &PathBuf| {
        let refused = install(root);
        assert!(matches!(&refused, RuntimeError::Replaceable { folder, .. } if folder == owned), "{refused:?}");
    };
    let home = folder.0.join("home");
    for owned in [&root, &home] {
        chown(owned, Some(STRANGER), None).unwrap();
        assert_refused(&root, owned);
        assert_refused(&root.join("missing"), owned);
        chown(owned, Some(0), None).unwrap();
    }
    chown(root.join(".partial"), Some(STRANGER), None).unwrap();
    assert!(matches!(install(&root), RuntimeError::File { .. }));
    for mode in [0o777, 0o775] {
        chown(&home, None, Some(STRANGER)).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(mode)).unwrap();
        assert_refused(&root, &home);
    }
    // Another user controls where a link in their folder leads.
    let link = folder.0.join("link");
    fs::create_dir(&link).unwrap();
    symlink(&victim, link.join("runtime")).unwrap();
    chown(&link, Some(STRANGER), None).unwrap();
    assert_refused(&link.join("runtime"), &link);
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

/// A folder that is removed after its test.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
