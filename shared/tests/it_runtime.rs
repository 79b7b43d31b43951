//! Setup on the real thing: what was fetched is whole, and doing it again does nothing.
//!
//! The folder is `PGRECALL_RUNTIME`, which `scripts/test` fills.

use std::{fs, process::Command, time::Instant};

use shared::runtime::{Progress, Runtime};

fn runtime() -> Runtime {
    let runtime = system_tests::postgres::runtime();
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
