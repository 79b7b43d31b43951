//! Tests of setup: which code it runs, how damage is noticed, and how it is repaired.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pgrecall_harness::postgres;
use serde_json::json;

use crate::home::{Home, text};

#[test]
fn setup_runs_no_code_of_the_folder_that_it_is_started_in() {
    let home = Home::with_runtime("/nonexistent/runtime".into());
    let project = home.files().join("a strangers project");
    let ran = project.join("ran");
    let code = format!("open({:?}, 'a').write(__name__ + '\\n')\n", text(&ran));
    let modules = ["sitecustomize.py", "usercustomize.py", "importlib.py"];
    for pip in [&["pip.py"][..], &["pip/__init__.py", "pip/__main__.py"]] {
        let _ = fs::remove_file(project.join("pip.py"));
        for name in pip.iter().chain(&modules) {
            home.file(&format!("a strangers project/{name}"), &code);
        }
        // The last value has an empty entry, which means the working folder;
        // `PYTHONPATH=$PYTHONPATH:/lib` makes one.
        for path in [None, Some(":/nonexistent")] {
            let mut setup = home.command(&["setup"]);
            setup.current_dir(&project).env("PGRECALL_RUNTIME", home.files().join("runtime"));
            // pip may fetch nothing. Its error shows that pip itself ran, with the user's own pip
            // configuration.
            setup.env("PIP_NO_INDEX", "1").env_remove("PIP_FIND_LINKS").env_remove("PYTHONPATH");
            if let Some(path) = path {
                setup.env("PYTHONPATH", path);
            }
            let output = setup.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!ran.exists(), "{pip:?} {path:?} ran: {}", fs::read_to_string(&ran).unwrap());
            assert!(said.contains("No matching distribution found"), "{pip:?} {path:?}: {said}");
        }
    }
}

// A relative entry of PATH must not lead to a program in that folder either.
#[test]
fn setup_takes_no_python_of_the_folder_that_it_is_started_in() {
    let home = Home::with_runtime("/nonexistent/runtime".into());
    let ran = home.files().join("ran");
    let program = home.file("project/python3", format!("#!/bin/sh\ntouch '{}'\n", text(&ran)));
    assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
    let mut setup = home.command(&["setup"]);
    setup.current_dir(home.files().join("project")).env("PGRECALL_RUNTIME", home.files().join("runtime"));
    setup.env("PATH", ".:/nonexistent").env("PIP_NO_INDEX", "1");
    let output = setup.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("Python 3 was not found"), "{output:?}");
    assert!(!ran.exists());
}

#[test]
fn a_part_that_was_damaged_after_setup_is_named_and_repaired() {
    let shared = postgres::runtime();
    let home = Home::with_runtime(std::env::temp_dir().join(format!("pgrecall-damaged-{}", std::process::id())));
    let _gone = Copied(home.runtime().to_owned());
    let copied = Command::new("cp").arg("--recursive").arg(shared.root()).arg(home.runtime()).status().unwrap();
    assert!(copied.success());
    let model = pgrecall_runtime::Runtime::at(home.runtime()).model().model;
    // An older version installed the parts without a manifest.
    for part in fs::read_dir(home.runtime()).unwrap().flatten() {
        let _ = fs::remove_file(part.path().join(".manifest"));
    }
    cut_in_half(&model);
    let repair = "mcp-server setup --repair";
    for arguments in [&["setup"][..], &["recall", "anything"], &["doctor"]] {
        let said = home.run(arguments);
        assert_eq!(said.code, 1, "{arguments:?}: {said:?}");
        let all = said.stdout + &said.stderr;
        assert!(all.contains(repair) && all.contains("model.onnx"), "{arguments:?}: {all}");
    }
    let report = home.json(&["setup", "--repair", "--json"]);
    assert_eq!(report["installed"].as_array().unwrap().len(), 2, "{report}");
    let doctor = home.run(&["doctor"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("every file is as it was installed"), "{doctor:?}");

    // The file keeps its length but not its content.
    let tokenizer = model.with_file_name("tokenizer.json");
    let mut bytes = fs::read(&tokenizer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&tokenizer, bytes).unwrap();
    let doctor = home.run(&["doctor"]);
    assert!(
        doctor.code == 1 && doctor.stdout.contains("tokenizer.json") && doctor.stdout.contains(repair),
        "{doctor:?}"
    );
    // Any setup notices a file that is too short.
    cut_in_half(&model);
    let report = home.json(&["setup", "--json"]);
    assert_eq!(report["installed"], json!(["embedding model all-MiniLM-L6-v2"]));
    assert_eq!(home.run(&["doctor"]).code, 0);
    assert!(home.json(&["setup", "--repair", "--json"])["installed"].as_array().unwrap().is_empty());
}

fn cut_in_half(file: &Path) {
    let whole = fs::metadata(file).unwrap().len();
    fs::File::options().write(true).open(file).unwrap().set_len(whole / 2).unwrap();
}

/// A folder that is removed at the end of its test.
struct Copied(PathBuf);

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
