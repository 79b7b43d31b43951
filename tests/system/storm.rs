//! The short form of the chaos tests: one fault of each kind and a few more under load, and then a
//! comparison of everything.

use std::process::Command;

use pgrecall_harness::programs;

#[test]
fn nothing_is_lost_when_one_of_each_fault_happens() {
    let folder = programs::folder("storm");
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"));
    chaos.args(["--faults", "42", "--seed", "20", "--totals"]).arg(folder.join("chaos.json"));
    let said = chaos.output().expect("it is built with the tests");
    std::fs::remove_dir_all(folder).ok();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn a_worker_that_lost_its_lease_writes_nothing() {
    let folder = programs::folder("zombies");
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"));
    chaos.arg("--totals").arg(folder.join("chaos.json")).args(["--seed", "21", "zombies", "--times", "200"]);
    let said = chaos.output().expect("it is built with the tests");
    std::fs::remove_dir_all(folder).ok();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
