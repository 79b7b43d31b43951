//! Tests of `upgrade-postgres`, which moves a private database to the newer Postgres.
//!
//! An interruption at any point must leave a database that works.

use std::process::{Command, Stdio};

use pgrecall_harness::wait;
use serde_json::json;

use crate::backup::{Filled, Open};
use crate::home::{Home, text};

#[test]
fn a_private_database_moves_to_the_newer_postgres_and_answers_the_same() {
    let it = Filled::new();
    let before = it.answers();
    let open = Open::new(&it.home);
    assert!(open.ask("SHOW server_version").starts_with("16."));
    let refused = it.home.run(&["upgrade-postgres"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("another process uses the database"), "{}", refused.stderr);
    drop(open);

    let upgraded = it.json(&["upgrade-postgres", "--json"]);
    assert_eq!((&upgraded["from"], &upgraded["to"]), (&json!(16), &json!(18)));
    assert_eq!(it.answers(), before);
    let open = Open::new(&it.home);
    assert!(open.ask("SHOW server_version").starts_with("18."));
    assert_eq!(open.ask("SHOW data_checksums"), "on");
    drop(open);
    let kept = std::path::Path::new(upgraded["kept"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(kept.join("PG_VERSION")).unwrap(), "16\n", "the old database is still there");
    assert_eq!(it.json(&["upgrade-postgres", "--json"])["from"], 18, "a second run has nothing to do");

    // Backup and restore still work, from version 18 into a new home.
    let (file, other) = (it.backup(), Home::ready());
    it.json_in(&other, &["restore", text(&file), "--json"]);
    assert_eq!(it.answers_in(&other), before);
    let open = Open::new(&other);
    assert!(open.ask("SHOW server_version").starts_with("18."), "16 does not read what 18 has dumped");
}

#[test]
fn an_upgrade_that_is_killed_leaves_the_old_database_and_can_be_repeated() {
    let it = Filled::new();
    let before = it.answers();
    for moment in ["postgres.next", "postgres.next/postgres/pg_upgrade_output.d"] {
        let mut upgrade = it.home.command(&["upgrade-postgres"]);
        let mut upgrade = upgrade.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let place = it.home.folder().join(moment);
        wait::until(moment, || place.exists() || upgrade.try_wait().unwrap().is_some());
        upgrade.kill().unwrap();
        upgrade.wait().unwrap();
        assert_eq!(it.answers(), before, "killed when there was {moment}");
        let version = std::fs::read_to_string(it.home.folder().join("postgres/PG_VERSION")).unwrap();
        assert_eq!(version, "16\n", "killed when there was {moment}");
    }
    assert_eq!(it.json(&["upgrade-postgres", "--json"])["to"], 18);
    assert_eq!(it.answers(), before);
}

#[test]
fn a_switch_that_was_interrupted_between_its_renames_is_finished_by_the_next_start() {
    let it = Filled::new();
    let before = it.answers();
    it.json(&["upgrade-postgres", "--json"]);
    let home = it.home.folder();
    // A process that is killed between the renames leaves this state: the old folder has its new
    // name, and the new folder does not have its name yet.
    let made = Command::new("sh")
        .args(["-c", "mkdir postgres.next && mv postgres postgres.next/postgres && touch postgres.next/proven"])
        .current_dir(&home)
        .status();
    assert!(made.unwrap().success());
    assert_eq!(it.answers(), before);
    assert!(home.join("postgres/PG_VERSION").is_file() && !home.join("postgres.next").exists());
}
