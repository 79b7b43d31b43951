//! Tests of the commands for single records.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use crate::home::{Home, Said, text};

fn remember(home: &Home, arguments: &[&str]) -> String {
    let stored = home.json(&[&["remember", "--json"], arguments].concat());
    stored["id"].as_str().unwrap().to_owned()
}

fn contents(home: &Home, arguments: &[&str]) -> Vec<String> {
    let listed = home.json(&[&["list", "--json"], arguments].concat());
    let records = listed["records"].as_array().unwrap();
    records.iter().map(|record| record["content"].as_str().unwrap().to_owned()).collect()
}

/// Runs `edit` with an editor that replaces `from` by `to`.
fn edit(home: &Home, id: &str, script: &str) -> Said {
    let editor = home.file("editor.sh", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.command(&["edit", id]);
    command.env("VISUAL", "").env("EDITOR", format!("'{}' --wait", text(&editor)));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_person_lists_shows_edits_forgets_and_restores_a_record() {
    let home = Home::ready();
    let first = remember(&home, &["Ana owns billing.", "--tag", "people", "--urn", "urn:x:ana"]);
    let second =
        remember(&home, &["Ben likes tea.", "--tag", "people", "--tag", "drinks", "--dimension", "preference"]);
    assert_eq!(contents(&home, &[]), ["Ben likes tea.", "Ana owns billing."]);
    for filter in [&["--tag", "drinks"][..], &["--dimension", "preference"], &["--limit", "1"]] {
        assert_eq!(contents(&home, filter), ["Ben likes tea."], "{filter:?}");
    }
    assert_eq!(contents(&home, &["--urn", "urn:x:ana"]), ["Ana owns billing."]);
    assert_eq!(contents(&home, &["--kind", "document"]), [] as [&str; 0]);
    let page = home.run(&["list", "--limit", "1"]);
    let cursor = page.stderr.trim().rsplit(' ').next().expect("a cursor");
    assert!(home.run(&["list", "--limit", "1", "--cursor", cursor]).stdout.contains("Ana owns billing."));

    let shown = home.run(&["show", &second]);
    for part in ["Ben likes tea.", "people, drinks", "preference", &second] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    // Nobody reads nanoseconds.
    assert!(!shown.stdout.lines().any(|line| line.contains("Z") && line.contains('.')), "{}", shown.stdout);
    let absent = "01890000-0000-7000-8000-000000000000";
    let both = home.run(&["show", "--json", &first, absent]);
    assert_eq!((both.code, both.stderr.contains(absent)), (1, true));
    let both: Value = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!((&both["count"], &both["records"][0]["entity_urns"]), (&json!(1), &json!(["urn:x:ana"])));

    // The second argument shows that EDITOR may hold options.
    let edited = edit(&home, &first, "test \"$1\" = --wait && sed -i s/billing/invoices/ \"$2\"");
    assert_eq!((edited.code, edited.stdout.starts_with("Changed.")), (0, true), "{}", edited.stderr);
    assert!(home.run(&["show", &first]).stdout.contains("Ana owns invoices."));
    assert!(edit(&home, &first, "true").stdout.starts_with("Nothing was changed."));
    let failed = edit(&home, &first, "echo more >> \"$2\"; exit 3");
    assert_eq!((failed.code, failed.stderr.contains("Your text is in ")), (1, true), "{}", failed.stderr);
    let draft = failed.stderr.split("Your text is in ").nth(1).unwrap().lines().next().unwrap();
    fs::remove_file(draft.trim_end_matches('.')).unwrap();
    // What the person did not write is not kept.
    for (script, code, why) in [("exit 3", 1, "failed"), (": > \"$2\"", 2, "the text is empty")] {
        let said = edit(&home, &first, script);
        assert_eq!((said.code, said.stderr.contains(why)), (code, true), "{}", said.stderr);
        assert!(!said.stderr.contains("Your text is in "), "{}", said.stderr);
    }
    assert_eq!(contents(&home, &[]).len(), 2, "a failed edit changes nothing");
    let mut unasked = home.command(&["edit", &first]);
    let unasked =
        unasked.env_remove("VISUAL").env_remove("EDITOR").stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!((unasked.status.code(), unasked.stdout.len()), (Some(2), 0), "{unasked:?}");
    assert_eq!(edit(&home, absent, "true").code, 1);
    let file = home.file("plan.md", "# The plan\n\nWe start on Monday.\n");
    home.json(&["ingest", "--no-wait", "--json", text(&file)]);
    let document = home.json(&["list", "--kind", "document", "--json"])["records"][0]["id"].clone();
    let refused = edit(&home, document.as_str().unwrap(), "true");
    assert_eq!((refused.code, refused.stderr.contains("plan.md")), (2, true), "{}", refused.stderr);

    // Without a terminal nothing is deleted until --yes.
    let refused = home.run(&["forget", &first]);
    assert_eq!((refused.code, refused.stderr.contains("--yes")), (2, true), "{}", refused.stderr);
    assert_eq!(home.run(&["forget", "--dry-run", &first]).stdout, "Nothing was deleted: 1 record would be.\n");
    assert_eq!(contents(&home, &[]).len(), 2);
    let gone = home.run(&["forget", "--yes", &first, &second]);
    assert_eq!((gone.code, gone.stdout.starts_with("Deleted 2 records.")), (0, true), "{gone:?}");
    assert!(contents(&home, &[]).is_empty());
    assert_eq!(home.run(&["forget", "--yes", absent]).code, 1);
    let back = home.run(&["restore", &first, &second]);
    assert_eq!((back.code, back.stdout.as_str()), (0, "2 records restored.\n"), "{}", back.stderr);
    assert_eq!(contents(&home, &[]).len(), 2);
    home.json(&["forget", "--json", "--yes", "--for-good", &second]);
    let lost = home.run(&["restore", &second]);
    assert_eq!((lost.code, lost.stderr.contains(&second)), (1, true), "{}", lost.stderr);
}

#[test]
fn a_person_saves_things_and_sees_tags_and_collections() {
    let home = Home::ready();
    let saved = home.json(&[
        "save",
        "Net revenue",
        "SELECT 1",
        "--tag",
        "sql",
        "--collection",
        "finance",
        "--details",
        "{\"x\": 1}",
        "--json",
    ]);
    assert_eq!(saved["stored"], "created", "{saved}");
    let again = home.run_with_stdin(&["save", "Net revenue", "-", "--collection", "finance"], "SELECT 2");
    assert!(again.stdout.starts_with("Saved. The earlier text with this name was replaced."), "{again:?}");
    home.json(&[
        "save",
        "Greeting",
        "Say hello to {name}",
        "--kind",
        "prompt",
        "--tag",
        "sql",
        "--tag",
        "new",
        "--json",
    ]);
    let listed = home.json(&["list", "--kind", "asset", "--kind", "prompt", "--json"]);
    assert_eq!((&listed["count"], &listed["records"][1]["content"]), (&json!(2), &json!("SELECT 2")), "{listed}");
    remember(&home, &["Ana knows SQL.", "--tag", "sql"]);
    let tags = home.json(&["tags", "--json"]);
    assert_eq!(tags["tags"], json!([{"name": "sql", "records": 2}, {"name": "new", "records": 1}]), "{tags}");
    assert_eq!(home.json(&["tags", "N", "--json"])["count"], 1);
    assert!(home.run(&["tags", "--limit", "1"]).stderr.contains("There are more"));
    assert_eq!(home.run(&["collections"]).stdout, format!("{:>8}  finance\n", 1));
    assert_eq!(home.run(&["tags", "none"]).stdout, "There are no tags.\n");
    assert_eq!(home.run(&["save", " ", "text"]).code, 2);
}

#[test]
fn entities_are_found_without_a_question() {
    let home = Home::ready();
    remember(&home, &["Ana owns billing.", "--urn", "urn:x:ana"]);
    remember(&home, &["Ben likes tea.", "--urn", "urn:x:ben"]);
    let found = home.json(&["recall", "--urn", "urn:x:ana", "--json"]);
    assert_eq!((&found["count"], &found["ranking"]), (&json!(1), &json!("entity")), "{found}");
    let file = home.file("a.jsonl", "{\"_id\": \"a\", \"text\": \"The plan.\", \"entity_urns\": [\"urn:x:ana\"]}\n");
    home.json(&["ingest", "--no-wait", "--json", text(&file)]);
    for ask in
        [&["search", "--urn", "urn:x:ana"][..], &["search", "plan", "--strategy", "entity", "--urn", "urn:x:ana"]]
    {
        let found = home.json(&[ask, &["--json"]].concat());
        assert_eq!(found["results"][0]["key"], "a", "{ask:?}: {found}");
    }
    let refused = home.run(&["search", "plan", "--strategy", "entity"]);
    assert_eq!((refused.code, refused.stderr.contains("--urn")), (2, true), "{}", refused.stderr);
    assert_eq!(home.run(&["recall"]).code, 2);
}

#[test]
fn help_is_a_command_and_a_wrong_word_names_the_right_one() {
    let home = Home::bare();
    for arguments in [&["help"][..], &["help", "forget"], &["help", "keys", "create"], &["forget", "--help"]] {
        let said = home.run(arguments);
        assert_eq!((said.code, said.stdout.contains("Usage:")), (0, true), "{arguments:?}: {}", said.stderr);
    }
    for (word, command) in [("delete", "forget"), ("ls", "list"), ("rm", "forget"), ("recal", "recall")] {
        let said = home.run(&[word]);
        assert_eq!((said.code, said.stderr.contains(&format!("'{command}'"))), (2, true), "{}", said.stderr);
    }
}
