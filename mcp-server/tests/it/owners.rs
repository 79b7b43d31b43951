//! Tests of the owners of exported records.
//!
//! `export` reports what it lacks; `export --all` and `import --all` keep every record with its
//! owner.

use serde_json::{Value, json};

use crate::home::{Home, text};

/// Runs a command as this local user.
fn run_as(home: &Home, user: &str, arguments: &[&str]) -> (String, String) {
    let output = home.command(arguments).env("PGRECALL_USER", user).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

fn owners(lines: &str) -> Vec<(String, String)> {
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let mut owners: Vec<_> = lines.map(|line| (field(&line, "owner"), field(&line, "text"))).collect();
    owners.sort();
    owners
}

#[test]
fn an_export_of_all_owners_comes_back_with_its_owners_and_a_plain_one_says_what_it_lacks() {
    let home = Home::ready();
    run_as(&home, "ana", &["remember", "Ana keeps this to herself."]);
    run_as(&home, "bo", &["remember", "Bo keeps that to himself."]);
    let analyst = r#"{"id":"0190a1b2-0000-7000-8000-000000000001","kind":"memory","text":"For analysts only.",
        "visibility":"persona","persona":"analyst","created_at":"2024-05-01T10:00:00+00:00"}"#;
    let shared = home.file("analyst.jsonl", analyst.replace('\n', " "));
    run_as(&home, "bo", &["import", text(&shared), "--no-wait"]);

    let (plain, said) = run_as(&home, "ana", &["export"]);
    assert_eq!(plain.lines().count(), 1);
    assert!(said.contains("1 of 3 records") && said.contains("export --all"), "{said}");
    let (all, said) = run_as(&home, "ana", &["export", "--all"]);
    assert_eq!(said, "");
    let expected =
        [("ana", "Ana keeps this to herself."), ("bo", "Bo keeps that to himself."), ("bo", "For analysts only.")];
    let expected = expected.map(|(owner, text)| (owner.to_owned(), text.to_owned()));
    assert_eq!(owners(&all), expected);
    let persona = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let persona = persona.into_iter().find(|line| line["visibility"] == "persona").unwrap();
    assert_eq!(persona["persona"], "analyst");
    assert_eq!(run_as(&home, "ana", &["export", "--all", "--tenant", "nobody"]).0, "");

    let other = Home::ready();
    let file = other.file("all.jsonl", &all);
    let dry: Value =
        serde_json::from_str(&run_as(&other, "ana", &["import", text(&file), "--all", "--dry-run", "--json"]).0)
            .unwrap();
    assert_eq!(dry["created"], 3, "{dry}");
    run_as(&other, "ana", &["import", text(&file), "--all", "--no-wait"]);
    assert_eq!(run_as(&other, "ana", &["export", "--all"]).0, all, "owners, personas, ids and times are as they were");
    assert_eq!(run_as(&other, "ana", &["export"]).0.lines().count(), 1, "what is private stays so");
    let again: Value =
        serde_json::from_str(&run_as(&other, "bo", &["import", text(&file), "--all", "--no-wait", "--json"]).0)
            .unwrap();
    assert_eq!((&again["unchanged"], &again["created"]), (&json!(3), &json!(0)), "{again}");
    // Without --all, the importer owns everything.
    let third = Home::ready();
    run_as(&third, "cy", &["import", text(&file), "--no-wait"]);
    assert!(owners(&run_as(&third, "cy", &["export", "--all"]).0).iter().all(|(owner, _)| owner == "cy"));
}
