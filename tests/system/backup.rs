//! Backup and restore of a configured database, by the chart's scripts and by `mcp-server`.
//! Afterwards the same questions have the same answers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::Home;
use pgrecall_harness::{postgres, wait};
use serde_json::{Value, json};

const QUESTIONS: [&str; 3] = ["who owns billing?", "when is the office closed?", "what does Ana do?"];

/// Runs a script of the chart as its container does, with the programs of the tests' Postgres.
fn script(name: &str, dsn: &str, dumps: &Path, more: &[(&str, &str)]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/pgrecall/scripts");
    let text = std::fs::read_to_string(folder.join(name)).expect("the chart has it");
    let programs = postgres::install().expect("the tests have a Postgres").bin;
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", &text]).env_clear().env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    command.env("SESSION_DATABASE_URL", dsn).env("DUMPS", dumps).envs(more.iter().copied());
    command.output().expect("there is a shell")
}

fn folder(home: &Home) -> PathBuf {
    let folder = home.folder().join("dumps");
    std::fs::create_dir(&folder).expect("the home's folder can be written to");
    folder
}

fn dumps(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("the folder is there").flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

/// Returns the memories that answer each question, without the rest of the answer, such as its
/// duration.
fn answers(home: &Home) -> Vec<Value> {
    let ask = |question: &&str| home.json(&["recall", question, "--json"])["memories"].clone();
    QUESTIONS.iter().map(ask).collect()
}

#[test]
fn what_was_dumped_answers_as_before_once_it_is_restored() {
    let embedder = ScriptedEmbedder::start();
    let dsn = postgres::database_now();
    let home = Home::with(&embedder.config(&dsn));
    let folder = folder(&home);
    let mut host = home.host();
    let worker = home.worker();
    for content in ["Ana owns the billing service.", "The office is closed on Fridays.", "Ana leads the payments team."]
    {
        host.ask("memory_remember", json!({"content": content}));
    }
    host.wait_embedded();
    host.leave();
    worker.stop();
    let before = answers(&home);
    assert!(before.iter().all(|memories| memories.as_array().is_some_and(|it| !it.is_empty())), "{before:?}");

    let onward = [("KEEP", "1"), ("ONWARD", "cp \"$DUMP\" \"$DUMPS/offsite\"")];
    let dumped = script("backup.sh", &dsn, &folder, &onward);
    assert!(dumped.status.success(), "{dumped:?}");
    // The names of dumps contain the time in seconds.
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let at = second();
    wait::until("the next second", || second() > at);
    assert!(script("backup.sh", &dsn, &folder, &onward).status.success());
    let kept: Vec<_> = dumps(&folder).into_iter().filter(|name| name.ends_with(".dump")).collect();
    assert_eq!(kept.len(), 1, "the older one is gone: {kept:?}");
    assert!(dumps(&folder).contains(&"offsite".to_owned()));

    let empty = postgres::bare_database_now("restored");
    let file = [("FILE", kept[0].as_str())];
    let missing = script("restore.sh", &empty, &folder, &[("FILE", "nothing.dump")]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains(&kept[0]), "{missing:?}");
    let restored = script("restore.sh", &empty, &folder, &file);
    assert!(restored.status.success(), "{restored:?}");
    let again = script("restore.sh", &empty, &folder, &file);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("empty one"), "{again:?}");

    let other = Home::with(&embedder.config(&empty));
    assert_eq!(answers(&other), before);
    // The restored database is complete: it stores a new record, and the worker embeds it.
    let mut host = other.host();
    let worker = other.worker();
    host.ask("memory_remember", json!({"content": "The office moved to Lisbon."}));
    host.wait_embedded();
    host.leave();
    worker.stop();
}

#[test]
fn a_dump_that_fails_leaves_nothing_that_looks_like_one() {
    let home = Home::new();
    let folder = folder(&home);
    let failed = script("backup.sh", "postgres://u:p@127.0.0.1:1/x", &folder, &[("KEEP", "1"), ("ONWARD", "")]);
    assert!(!failed.status.success());
    assert!(dumps(&folder).is_empty(), "{:?}", dumps(&folder));
}

#[test]
fn a_configured_database_is_backed_up_and_restored_into_an_empty_one() {
    let embedder = ScriptedEmbedder::start();
    let dsn = postgres::database_now();
    let home = Home::with(&embedder.config(&dsn));
    let mut host = home.host();
    let worker = home.worker();
    for content in ["Ana owns the billing service.", "The office is closed on Fridays.", "Ana leads the payments team."]
    {
        host.ask("memory_remember", json!({"content": content}));
    }
    host.wait_embedded();
    host.leave();
    worker.stop();
    home.json(&["keys", "create", "ana", "--json"]);
    let before = answers(&home);
    let file = home.folder().join("all.dump");
    let file = file.to_str().expect("a plain path");
    let written = home.json(&["backup", file, "--json"]);
    assert_eq!((&written["rows"]["pgrecall.sources"], &written["rows"]["pgrecall.vectors_1"]), (&json!(3), &json!(3)));
    assert!(home.run(&["backup", "--print-dsn"]).stderr.contains("`database.dsn`"), "it holds a password");

    let refused = home.run(&["restore", file]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("empty database"), "{}", refused.stderr);
    let other = Home::with(&embedder.config(&postgres::bare_database_now("restored_by_command")));
    let restored = other.json(&["restore", file, "--json"]);
    assert_eq!((&restored["keys"], &restored["keys_kept"]), (&json!(["ana"]), &json!(false)), "{restored}");
    assert_eq!(answers(&other), before);
    assert_eq!(other.json(&["keys", "list", "--json"])["count"], 0);

    let empty = Home::with(&embedder.config(&postgres::bare_database_now("nothing_in_it")));
    let nothing = empty.run(&["backup", file]);
    assert!(nothing.stderr.contains("no tables of pgrecall"), "{}", nothing.stderr);
}

#[test]
fn a_login_that_policies_concern_is_told_that_it_cannot_back_up() {
    let embedder = ScriptedEmbedder::start();
    let dsn = postgres::database_now();
    Home::with(&embedder.config(&dsn)).json(&["status", "--json"]);
    let name = dsn.rsplit('=').next().expect("a name");
    postgres::texts_now(&dsn, &format!("CREATE ROLE backup_of_{name} LOGIN IN ROLE pgrecall_owner"));
    let login = dsn.replace("user=postgres", &format!("user=backup_of_{name}"));
    let home = Home::with(&embedder.config(&login));
    let file = home.folder().join("all.dump");
    let refused = home.run(&["backup", file.to_str().expect("a plain path")]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("BYPASSRLS"), "{}", refused.stderr);
    let left = std::fs::read_dir(home.folder()).expect("the folder is there").flatten();
    let names: Vec<_> = left.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains(".dump")), "{names:?}");
}
