//! Tests of ingesting files again that are unchanged, changed, or gone.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
};

use serde_json::{Value, json};

use crate::home::{Home, Said, text};

fn counts(report: &Value) -> [u64; 6] {
    ["created", "replaced", "unchanged", "unchanged_files", "removable", "removed"]
        .map(|name| report[name].as_u64().unwrap_or_else(|| panic!("{name}: {report}")))
}

fn keys(home: &Home) -> Vec<String> {
    let exported = home.run(&["export"]).stdout;
    let key = |line: &str| serde_json::from_str::<Value>(line).unwrap()["key"].as_str().unwrap().to_owned();
    let mut keys: Vec<String> = exported.lines().map(key).collect();
    keys.iter_mut().for_each(|key| *key = key.rsplit('/').next().unwrap_or_default().to_owned());
    keys.sort();
    keys
}

#[test]
fn a_file_that_is_as_it_was_is_not_read_and_what_it_lost_is_forgotten_when_that_is_asked_for() {
    let home = Home::ready();
    let folder = home.files().join("docs");
    let docs = text(&folder).to_owned();
    let ingest = |more: &[&str]| {
        let mut arguments = vec!["ingest", "--no-wait", "--json", &docs];
        arguments.extend(more);
        home.json(&arguments)
    };
    let line = |id: &str| format!("{{\"_id\": \"{id}\", \"text\": \"The letter {id}.\"}}\n");
    home.file("docs/plan.md", "# The plan\n\nGo to the moon.");
    home.file("docs/old.md", "# Old\n\nForgotten lore.");
    home.file("docs/a.jsonl", line("one") + &line("two") + &line("three"));
    home.file("docs/b.jsonl", line("three"));
    home.file("docs/package.json", "{}");

    assert_eq!(counts(&ingest(&[])), [5, 0, 1, 0, 0, 0], "`three` stands in both");
    assert_eq!(counts(&ingest(&[])), [0, 0, 6, 4, 0, 0], "nothing is read");
    assert_eq!(counts(&ingest(&["--as", "memory"]))[3], 0, "what else is asked for is another version");
    // The files yield documents again, so the memories are no longer in any file.
    assert_eq!(counts(&ingest(&[]))[4], 5, "the memories that the files do not come to any more");
    assert_eq!(counts(&ingest(&["--prune"]))[5], 5);
    assert_eq!(keys(&home), ["old.md", "one", "plan.md", "three", "two"]);

    // A record that was deleted by other means is created again, because its file is read again.
    let id = home.json(&["search", "go to the moon", "--json"])["results"][0]["id"].clone();
    let mut host = home.host();
    host.ask("memory_forget", json!({"ids": [id], "dry_run": false}));
    drop(host);
    assert_eq!(keys(&home).len(), 4);
    assert_eq!(counts(&ingest(&[])), [1, 0, 5, 3, 0, 0]);

    fs::remove_file(folder.join("old.md")).unwrap();
    fs::write(folder.join("a.jsonl"), line("one")).unwrap();
    // `three` is still in the other file.
    assert_eq!(counts(&ingest(&[])), [0, 0, 3, 2, 2, 0]);
    let said = home.run(&["ingest", "--no-wait", &docs]);
    assert!(said.stdout.contains("2 records of earlier runs no longer in these files: --prune"), "{}", said.stdout);

    // A broken file does not tell which records it holds, so its records are not pruned.
    fs::write(folder.join("b.jsonl"), "nonsense\n").unwrap();
    for _ in 0..2 {
        let said = home.run(&["ingest", "--no-wait", "--json", "--prune", &docs]);
        assert_eq!((said.code, said.stderr.contains("b.jsonl:1: ")), (1, true), "{}", said.stderr);
    }
    assert_eq!(keys(&home), ["one", "plan.md", "three"]);

    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(&folder).unwrap();
    assert_eq!(counts(&ingest(&["--prune", "--yes"])), [0, 0, 0, 0, 0, 3]);
    assert_eq!(counts(&ingest(&["--prune"])), [0; 6]);
    assert!(keys(&home).is_empty());
}

#[test]
fn a_folder_that_is_empty_or_lost_most_of_its_records_is_pruned_only_with_consent() {
    let home = Home::ready();
    let folder = home.files().join("v");
    let prune =
        |more: &[&str]| home.run(&[&["ingest", "--no-wait", "--json", "--prune", text(&folder)], more].concat());
    let removed = |said: &Said| {
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        (said.code, report["removed"].as_u64().unwrap(), report["withheld"].as_u64().unwrap())
    };
    let names = ["a.md", "b.md", "c.md", "d.md", "e.md"];
    let write = |name: &str| home.file(&format!("v/{name}"), format!("# Note\n\nThe note {name}."));
    names.iter().for_each(|name| drop(write(name)));
    assert_eq!(removed(&prune(&[])), (0, 0, 0));

    // Two of five are fewer than half.
    fs::remove_file(folder.join("a.md")).unwrap();
    fs::remove_file(folder.join("b.md")).unwrap();
    assert_eq!(removed(&prune(&[])), (0, 2, 0));

    // Two of three are more, also if as many others took their places.
    fs::remove_file(folder.join("c.md")).unwrap();
    fs::remove_file(folder.join("d.md")).unwrap();
    write("x.md");
    write("y.md");
    let said = prune(&[]);
    assert_eq!(removed(&said), (2, 0, 2), "{}", said.stderr);
    assert!(said.stderr.contains("delete 2 of the 3 records") && said.stderr.contains("--yes"), "{}", said.stderr);
    assert_eq!(removed(&prune(&["--yes"])), (0, 2, 0));

    // What an unmounted disk leaves: its mount point.
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(folder.join("lost+found")).unwrap();
    fs::write(folder.join(".keep"), "").unwrap();
    let said = prune(&[]);
    assert_eq!(removed(&said), (2, 0, 3), "{}", said.stderr);
    assert!(said.stderr.contains("empty folder") && said.stderr.contains("--yes"), "{}", said.stderr);
    assert_eq!(keys(&home), ["e.md", "x.md", "y.md"]);
    // It is mounted again.
    for name in ["e.md", "x.md", "y.md"] {
        write(name);
    }
    assert_eq!(removed(&prune(&[])), (0, 0, 0));
    assert_eq!(keys(&home), ["e.md", "x.md", "y.md"]);

    // So does a mount point below the path, however little it held, and a name that is not UTF-8 is
    // no other name.
    home.file("v/usb/deep/z.md", "Z.");
    let odd = folder.join(OsStr::from_bytes(b"caf\xe9.md"));
    fs::write(&odd, "Coffee.").unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"caf\xe8.md")), "Tea.").unwrap();
    assert_eq!(removed(&prune(&[])), (0, 0, 0));
    fs::remove_dir_all(folder.join("usb/deep")).unwrap();
    let said = prune(&[]);
    assert_eq!(removed(&said), (2, 0, 1), "{}", said.stderr);
    assert!(said.stderr.contains("1 of the 1 record from") && said.stderr.contains("/v/usb, which"), "{}", said.stderr);
    fs::remove_file(odd).unwrap();
    assert_eq!(removed(&prune(&["--yes"])), (0, 2, 0));
    assert_eq!(keys(&home), ["caf\\xE8.md", "e.md", "x.md", "y.md"]);
    fs::remove_file(folder.join(OsStr::from_bytes(b"caf\xe8.md"))).unwrap();
    assert_eq!(removed(&prune(&[])), (0, 1, 0));

    // A folder that is empty asks although another path of the run lost little, and neither loses
    // anything before somebody agrees.
    home.file("w/one.md", "One.");
    home.file("w/two.md", "Two.");
    let w = home.files().join("w");
    home.json(&["ingest", "--no-wait", "--json", text(&w)]);
    fs::remove_file(w.join("one.md")).unwrap();
    names.iter().chain(&["x.md", "y.md"]).for_each(|name| drop(fs::remove_file(folder.join(name))));
    assert_eq!(removed(&prune(&[text(&w)])), (2, 0, 4));
    assert_eq!(home.run(&["ingest", "--yes", text(&w)]).code, 2, "--yes is for --prune");
}

#[test]
fn tags_exclusions_and_gitignore_choose_what_is_read_and_the_report_names_the_rest() {
    let home = Home::ready();
    home.file("docs/plan.md", "---\ntags: [own]\n---\n# The plan\n\nGo to the moon.");
    home.file("docs/.gitignore", "build/\n*.tmp.md\n");
    home.file("docs/build/made.md", "Made by a program.");
    home.file("docs/a.tmp.md", "Not for long.");
    home.file("docs/drafts/d.md", "A draft.");
    for name in ["a.png", "b.PNG", "c.rs", "Makefile"] {
        home.file(&format!("docs/{name}"), "x");
    }
    let docs = home.files().join("docs");
    let ingest = |more: &[&str]| home.json(&[&["ingest", "--no-wait", "--json", text(&docs)], more].concat());
    let read = |more: &[&str]| {
        let report = ingest(more);
        ["files", "other_files", "ignored"].map(|name| report[name].as_u64().unwrap())
    };
    assert_eq!(read(&[]), [4, 4, 0], "no git work tree");
    fs::create_dir(docs.join(".git")).unwrap();
    assert_eq!(read(&[]), [2, 4, 2]);
    assert_eq!(read(&["--no-ignore"]), [4, 4, 0]);
    assert_eq!(read(&["--exclude", "drafts/", "--exclude", "*.png"]), [1, 3, 4], "b.PNG is another name");
    assert_eq!(ingest(&[])["other_formats"], json!({".png": 2, ".rs": 1, "no extension": 1}));
    let said = home.run(&["ingest", "--no-wait", text(&docs)]).stdout;
    assert!(said.contains("skipped (2 .png, 1 .rs, 1 no extension), 2 paths left out by .gitignore"), "{said}");
    assert_eq!(home.run(&["ingest", "--exclude", "a{b", text(&docs)]).code, 2);

    // A tag makes another version of each file, and stays on it.
    let tagged = ingest(&["--tag", "handbook", "--tag", "own"]);
    assert_eq!((&tagged["replaced"], &tagged["unchanged_files"]), (&json!(2), &json!(0)), "{tagged}");
    assert_eq!(ingest(&["--tag", "handbook", "--tag", "own"])["unchanged_files"], 2);
    let found = home.json(&["list", "--kind", "document", "--tag", "handbook", "--json"]);
    assert_eq!(found["count"], 2, "{found}");
}

#[test]
fn operations_that_an_api_lost_are_forgotten() {
    let home = Home::ready();
    let api = |paths: &str| format!("openapi: 3.0.0\ninfo: {{title: Shop}}\npaths:\n{paths}");
    let file = home.file("shop.yaml", api("  /a: {get: {summary: A}}\n  /b: {get: {summary: B}}\n"));
    let ingest = || counts(&home.json(&["ingest", "--no-wait", "--json", "--prune", text(&file)]));
    assert_eq!(ingest(), [2, 0, 0, 0, 0, 0]);
    assert_eq!(ingest(), [0, 0, 2, 1, 0, 0]);
    fs::write(&file, api("  /a: {get: {summary: A changed}}\n")).unwrap();
    assert_eq!(ingest(), [0, 1, 0, 0, 0, 1]);
    assert_eq!(keys(&home), ["a"]);
}

#[test]
fn a_description_that_was_ingested_without_its_other_files_loses_no_operation() {
    let home = Home::ready();
    let file = home.file(
        "api/openapi.yaml",
        "openapi: 3.0.0\npaths:\n  /pets: {$ref: 'paths/pets.yaml'}\n  /own: {get: {summary: Own}}\n",
    );
    home.file("api/paths/pets.yaml", "get: {summary: List the tapirs}\npost: {summary: Add a tapir}\n");
    let folder = home.files().join("api");
    let report = |path: &Path| home.json(&["ingest", "--no-wait", "--json", "--prune", "--yes", text(path)]);
    let ingest = |path: &Path| counts(&report(path));
    assert_eq!(ingest(&folder), [3, 0, 0, 0, 0, 0]);
    assert_eq!(ingest(&file), [0, 0, 1, 0, 0, 0], "the others are not known to be gone");
    assert_eq!(ingest(&folder), [0, 0, 3, 0, 0, 0], "it is read again");
    assert_eq!(keys(&home), ["own", "pets", "pets"]);
    home.file("api/paths/pets.yaml", "get: {summary: List the tapirs}\n");
    assert_eq!(ingest(&folder), [0, 0, 2, 0, 0, 1]);
    // If the file alone was ingested first, the folder's run still reads what it refers to.
    let other = home.file("e/openapi.yaml", "openapi: 3.0.0\npaths: {/a: {$ref: '../c/a.yaml'}, /b: {get: {}}}\n");
    home.file("c/a.yaml", "get: {summary: A}\n");
    assert_eq!(ingest(&other)[0], 1);
    assert_eq!(ingest(&home.files())[0], 1);
    // A file that a description uses is of no other format, whichever of the two is read first.
    home.file("d/values.yaml", "replicas: 2\n");
    let formats = report(&home.files());
    assert_eq!((&formats["other_files"], &formats["other_formats"]), (&json!(1), &json!({".yaml": 1})), "{formats}");
}

#[test]
fn a_link_that_leaves_the_folder_is_named_and_nothing_of_it_is_stored() {
    let home = Home::ready();
    home.file("secret.pem", "The private key is hunter2.");
    home.file("secrets/deep.md", "The password is hunter3.");
    home.file("docs/plan.md", "# The plan\n\nGo to the moon.");
    let folder = home.files().join("docs");
    for (link, target) in [("notes.md", "../secret.pem"), ("more", "../secrets"), ("twice.md", "plan.md")] {
        symlink(target, folder.join(link)).unwrap();
    }
    for command in [&["ingest"][..], &["import", "--from", "basic-memory"]] {
        let said = home.run(&[command, &["--no-wait", "--json", text(&folder)]].concat());
        assert_eq!(said.code, 0, "{}", said.stderr);
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((&report["files"], &report["skipped"]), (&json!(1), &json!(2)), "{report}");
        for link in
            ["docs/notes.md: skipped: it is a symbolic link to ", "docs/more: skipped: it is a symbolic link to "]
        {
            assert!(said.stderr.contains(link), "{}", said.stderr);
        }
    }
    let exported = home.run(&["export"]).stdout;
    assert!(exported.contains("moon") && !exported.contains("hunter"), "{exported}");
    // A link that a person names is followed.
    home.json(&["ingest", "--no-wait", "--json", text(&folder.join("notes.md"))]);
    assert!(home.run(&["export"]).stdout.contains("hunter2"));
}
