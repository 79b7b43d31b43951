//! Tests of the command line with the real engine.

use std::{io::Write, process::Stdio};

use pgrecall_harness::{programs, wait};
use serde_json::{Value, json};

use crate::home::{Home, text};

#[test]
fn files_go_in_and_come_back_out() {
    let home = Home::ready();
    home.file("docs/revenue.md", "# Net revenue\n\nGross revenue minus refunds and discounts.\n");
    home.file("docs/deep/oncall.txt", "Page the checkout team when orders_v2 is late.");
    home.file("docs/empty.md", "\n");
    home.file("docs/photo.png", b"\x89PNG\0");
    home.file("docs/.git/secret.md", "# Not a document");
    let lines = "{\"_id\": \"a\", \"title\": \"Alpha\", \"text\": \"The first letter.\", \"metadata\": {\"set\": 1}}\n\
                 not json\n\
                 {\"_id\": \"b\", \"text\": \"\"}\n\
                 {\"_id\": \"c\", \"text\": \"Gamma rays come third.\", \"metadata\": {\"set\": 2}}\n";
    let lines = home.file("lines.jsonl", lines);

    let said = home.run(&["ingest", text(&home.files().join("docs")), text(&lines), "--json"]);
    assert_eq!(said.code, 1, "a line was broken: {}", said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&report["created"], &report["skipped"], &report["refused"]),
        (&json!(4), &json!(2), &json!(1)),
        "{report}"
    );
    assert_eq!(report["pending"], 0, "it waited for the embedding: {}", said.stderr);
    assert!(
        said.stderr.contains("lines.jsonl:2: ") && said.stderr.contains("lines.jsonl:3: skipped"),
        "{}",
        said.stderr
    );

    let again = home.run(&["ingest", text(&home.files().join("docs")), "--json"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).unwrap()["unchanged"], 2);

    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["succeeded"], &status["coverage"]), (&json!(4), &json!(1.0)), "{status}");
    assert_eq!(status["kinds"]["document"]["succeeded"], 4);

    let found = home.json(&["search", "how much do we really earn?", "--json"]);
    assert_eq!(found["results"][0]["title"], "Net revenue", "{found}");
    assert!(found["results"][0]["url"].as_str().unwrap().ends_with("/docs/revenue.md"));
    let shown = home.run(&["search", "how much do we really earn?"]);
    assert!(shown.stdout.contains("Net revenue") && !shown.stdout.contains('\u{1b}'), "{}", shown.stdout);
    let narrowed = home.json(&["search", "letters and rays", "--filter", "set=2", "--json"]);
    assert_eq!((&narrowed["count"], &narrowed["results"][0]["key"]), (&json!(1), &json!("c")));

    let ask = ["search", "letters and rays", "--limit", "1"];
    let first = home.run(&ask);
    let cursor = first.stderr.trim().rsplit(' ').next().expect("a cursor");
    let second = home.run(&[&ask[..], &["--cursor", cursor]].concat());
    assert!(second.stdout.starts_with("  2  "), "{first:?} {second:?}");
    assert_eq!(home.run(&["search", "rays", "--limit", "1", "--cursor", cursor]).code, 2, "it is another question's");
    let missing = narrowed["results"][0]["id"].as_str().unwrap();
    let why = home.run(&["search", "letters", "--filter", "set=1", "--why-not", missing]);
    assert!(why.stdout.contains(&format!("{missing}: it lacks what the filter requires")), "{why:?}");

    let queries = "{\"_id\": \"q1\", \"text\": \"gamma\"}\n{\"_id\": 2, \"text\": \"letters\", \"filter\": {\"set\": 1}}\n\
                   {\"_id\": \"q3\", \"text\": \" \"}\n";
    let queries = home.file("queries.jsonl", format!("\u{feff}{queries}"));
    let said = home.run(&["search", "--queries", text(&queries), "--limit", "100", "--json"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let answers: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&answers[0]["query_id"], &answers[0]["results"][0]["key"]), (&json!("q1"), &json!("c")));
    assert_eq!((&answers[1]["query_id"], &answers[1]["results"][0]["key"]), (&json!("2"), &json!("a")));
    assert_eq!((&answers[2]["results"], answers[2]["error"].is_string()), (&json!([]), true));
    std::fs::write(&queries, "nonsense\n{\"_id\": \"q\", \"text\": \"gamma\"}\n").unwrap();
    let said = home.run(&["search", "--queries", text(&queries)]);
    assert_eq!(said.code, 1);
    assert_eq!(said.stdout.lines().count(), 2, "the other query is answered");

    let exported = home.run(&["export"]);
    assert_eq!(exported.stdout.lines().count(), 4);
    let other = Home::ready();
    let backup = other.file("backup.jsonl", &exported.stdout);
    assert_eq!(other.json(&["ingest", text(&backup), "--json"])["created"], 4);
    let restored = other.run(&["export"]);
    let keys = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone()).collect()
    };
    assert_eq!(keys(&restored.stdout), keys(&exported.stdout));
}

#[test]
fn a_person_remembers_and_recalls() {
    let home = Home::ready();
    let kept = home.json(&[
        "remember",
        "Ana owns the billing service.",
        "--tag",
        "people",
        "--dimension",
        "relationship",
        "--json",
    ]);
    assert_eq!((&kept["stored"], &kept["embedding"]), (&json!("created"), &json!("done")));
    let found = home.json(&["recall", "who is responsible for invoices?", "--tag", "people", "--json"]);
    assert_eq!(found["memories"][0]["id"], kept["id"], "{found}");
    let shown = home.run(&["recall", "billing"]);
    assert!(shown.stdout.contains("Ana owns the billing service."), "{}", shown.stdout);
    assert_eq!(home.run(&["recall", "billing", "--tag", "nobody"]).stdout, "Nothing found.\n");
    let doctor = home.run(&["doctor"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.stdout, doctor.stderr);
    assert_eq!(home.run(&["migrate"]).code, 0);
}

#[test]
fn ctrl_c_is_answered_with_one_sentence() {
    let home = Home::ready();
    let mut command = home.command(&["ingest", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Stdin stays open, so the command reads until it is stopped.
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{{\"_id\": \"a\", \"text\": \"The first letter.\"}}").unwrap();
    wait::until("Postgres is running", || home.data().join("postmaster.pid").exists());
    programs::signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "What was stored before stays: run the command again to go on.\nStopped.\n");
    drop(stdin);
}

#[test]
fn misuse_is_exit_2_and_nothing_is_started_for_it() {
    let home = Home::bare();
    home.file("binary.dat", b"\0\0");
    for arguments in [
        &["recall"][..],
        &["recall", "  "],
        &["recall", "x", "--limit", "0"],
        &["recall", "x", "--limit", "10000"],
        &["search", "x", "--strategy", "psychic"],
        &["ingest", "/nonexistent/path"],
        &["import", "/nonexistent/path"],
        &["eval", "/nonexistent/path"],
        &["remember", "  "],
        &["serve", "--transport", "http", "--address", "192.0.2.1:1"],
        &["serve", "--transport", "stdio", "--address", "127.0.0.1:0"],
        &["status", "--config", "/nonexistent/config.yaml"],
    ] {
        let said = home.run(arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert!(said.stdout.is_empty() && said.stderr.len() > 20, "{arguments:?}: {}", said.stderr);
    }
    let bare = home.run(&["status"]);
    assert_eq!(bare.code, 1);
    // The program is on no PATH after the quickstart, so a person needs its full path.
    let setup = format!("run `{} setup`", env!("CARGO_BIN_EXE_mcp-server"));
    assert!(bare.stderr.contains(&setup), "{}", bare.stderr);
    let doctor = home.run(&["doctor"]);
    assert_eq!((doctor.code, doctor.stdout.contains(&setup)), (1, true), "{}", doctor.stdout);
    assert_eq!(home.run(&["config", "check"]).code, 0);
    assert!(home.run(&["config", "print"]).stdout.contains("embedding:"));
}
