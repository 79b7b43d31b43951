//! Tests of what a person, a host and a platform learn about problems of the private database.

use std::{fs, path::Path, process::Command};

use pgrecall_harness::{
    home::{DATABASE_FAILS, Home as WatchedHome},
    http::Served,
    postgres, wait,
};
use serde_json::json;

use crate::home::Home;

#[test]
fn postgres_own_words_reach_whoever_asks() {
    let home = Home::ready();
    assert_eq!(home.run(&["remember", "The office has a cat."]).code, 0);
    let settings = home.data().join("postgresql.conf");
    let sound = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{sound}shared_buffers = lots\n")).unwrap();
    let words = "invalid value for parameter \"shared_buffers\": \"lots\"";
    let advice = "correct or restore that file";
    let recall = home.run(&["recall", "cat"]);
    assert!(recall.code == 1 && recall.stderr.contains(words) && recall.stderr.contains(advice), "{recall:?}");
    let doctor = home.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.stdout.contains(words) && doctor.stdout.contains(advice), "{doctor:?}");
    let mut host = home.host();
    let said = host.refused("memory_recall", json!({"query": "cat"}));
    assert!(said.contains(words) && said.contains(advice), "{said}");

    // After the correction, the next call of the same server succeeds.
    fs::write(&settings, sound).unwrap();
    assert_eq!(host.ask("memory_recall", json!({"query": "cat"}))["count"], 1);
}

// An older program must refuse a home that a newer one has migrated.
#[test]
fn an_older_program_leaves_a_newer_schema_alone_and_says_what_to_do() {
    let home = Home::ready();
    let mut host = home.host();
    host.ask("memory_remember", json!({"content": "The office has a cat."}));
    let newer = "INSERT INTO pgrecall.refinery_schema_history (version, name, applied_on, checksum) \
                 VALUES (9999, 'from_the_future', now()::text, '0')";
    let mut psql = Command::new(postgres::runtime().postgres().bin.join("psql"));
    psql.arg("-h").arg(home.data().with_file_name("socket")).args(["-U", "postgres", "-d", "pgrecall", "-qc", newer]);
    assert!(psql.status().unwrap().success());
    // A program that was open before continues. A program that starts afterwards refuses, whether
    // it starts Postgres or joins it.
    assert_eq!(host.ask("memory_recall", json!({"query": "cat"}))["count"], 1);
    for _ in ["joins", "starts"] {
        let said = home.run(&["recall", "cat"]);
        assert!(said.code == 1 && said.stderr.contains("version 9999, newer than this program's"), "{said:?}");
        assert!(said.stderr.contains("update this program"), "{said:?}");
        host = home.start_host();
    }
    drop(host);
}

#[test]
fn a_disk_that_becomes_full_is_told_to_callers_and_to_the_platform_and_recall_goes_on() {
    let home = WatchedHome::with("memory: { embedding: { provider: noop } }\n");
    home.expect_logs(DATABASE_FAILS);
    let disk = SmallDisk::mount(&home.folder().join("home"));
    let served = Served::ready(&home);
    let remember = |content: &str| served.call("memory_remember", json!({"content": content}));
    assert_ne!(remember("The office has a cat.")["isError"], true);
    let ready = || served.send("GET", "/readyz", &[], b"").unwrap();
    assert!(ready().json()["read_only"].is_null());

    disk.fill();
    let full = "the disk that holds the database is full: free some space";
    let mut number = 0;
    wait::until("a write needs more room", || {
        number += 1;
        let words: Vec<String> = (0..200).map(|word| format!("w{number}x{word}")).collect();
        remember(&words.join(" ")).to_string().contains(full)
    });
    let answer = ready();
    assert_eq!((answer.status, &answer.json()["read_only"]), (200, &json!(full)), "{answer:?}");
    assert_eq!(served.ask("memory_recall", json!({"query": "cat"}))["memories"][0]["content"], "The office has a cat.");

    disk.free();
    assert_ne!(remember("The cat is gray.")["isError"], true);
    assert!(ready().json()["read_only"].is_null());
}

/// A small disk in the place of a folder, unmounted at the end. The test needs root for it.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=300m,mode=0755", "tmpfs"]).arg(folder);
        assert!(mount.status().unwrap().success(), "this test mounts a small disk, for which it needs root");
        Self(folder.to_owned())
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        let error = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
