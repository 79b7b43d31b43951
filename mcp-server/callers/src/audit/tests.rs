//! Tests of the spill file without a database.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use pgrecall_access::audit::Entry;
use pgrecall_store::metrics::metrics;
use serde_json::json;
use uuid::Uuid;

use super::spill::{MAX_LINE, Spill};

/// A test's own folder, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pgrecall-spill-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn spill(&self, max_bytes: u64) -> Spill {
        Spill::new(&self.0.join("audit"), "private".to_owned(), max_bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn entry(tool: &str) -> Entry {
    Entry {
        id: Uuid::now_v7(),
        at: Timestamp::now(),
        tenant: "acme".into(),
        caller: "key 1".into(),
        tool: tool.into(),
        outcome: "ok".into(),
        took_ms: 1.5,
        arguments: json!({"query": "text of 3"}),
        records: vec![Uuid::now_v7()],
    }
}

/// Returns all waiting entries, as a drain reads them.
fn drained(spill: &Spill) -> Vec<Entry> {
    let mut all = Vec::new();
    while let Some(mut file) = spill.drain().unwrap() {
        loop {
            let (rest, mut entries) = file.next(2).unwrap();
            file = rest;
            if entries.is_empty() {
                break;
            }
            all.append(&mut entries);
        }
        file.remove().unwrap();
    }
    all
}

#[test]
fn entries_come_back_in_their_order_and_a_drain_that_broke_off_begins_again() {
    let folder = Folder::new();
    let (spill, other) = (folder.spill(1 << 20), folder.spill(1 << 20));
    let entries: Vec<Entry> = ["a", "b", "c", "d", "e"].map(entry).into();
    spill.keep(entries[..3].to_vec());
    // Another program of the same home uses the file while the first one reads it.
    let broken_off = spill.drain().unwrap().unwrap().next(2).unwrap();
    assert_eq!(broken_off.1, entries[..2]);
    assert!(other.drain().unwrap().is_none(), "one at a time");
    other.keep(entries[3..].to_vec());
    drop(broken_off);
    assert_eq!(drained(&other), entries);
    assert!(drained(&spill).is_empty());
}

#[test]
fn a_file_that_is_full_takes_no_more_and_what_memory_cannot_hold_is_counted() {
    let folder = Folder::new();
    let spill = folder.spill(2 * MAX_LINE as u64);
    spill.probe();
    assert_eq!((spill.why_not(0), spill.why_not(1)), (None, None));
    assert!(spill.why_not(2).unwrap().contains("audit.spill_mib"), "room is kept for those under way");
    spill.keep((0..50).map(|_| entry("x")).collect());
    assert!(spill.why_not(0).is_some());
    let before = metrics().audit_dropped.get();
    spill.keep((0..4_200).map(|_| entry("y")).collect());
    assert_eq!(metrics().audit_dropped.get() - before, 104, "4,096 are held");
    let held = spill.held();
    assert_eq!(held.len(), 4_096);
    spill.settle(&held[..4_000]);
    assert_eq!(spill.held(), held[4_000..]);
    assert_eq!(drained(&spill).len(), 50);
}

// A hanging disk must not delay a check whether there is room.
#[test]
fn an_append_that_waits_holds_nobody_else_up() {
    let folder = Folder::new();
    let spill = folder.spill(1 << 20);
    spill.keep(vec![entry("a")]);
    let lock = fs::File::open(folder.0.join("audit/private.lock")).unwrap();
    lock.lock().unwrap();
    thread::scope(|scope| {
        let append = scope.spawn(|| spill.keep(vec![entry("b")]));
        while spill.held().is_empty() {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        assert!(spill.has_entries() && spill.why_not(0).is_none());
        assert!(begun.elapsed() < Duration::from_millis(500) && !append.is_finished());
        lock.unlock().unwrap();
    });
    assert_eq!(drained(&spill).len(), 2);
}

// The folder may be in a home that another user owns.
#[test]
fn links_and_folders_that_are_open_to_others_are_refused() {
    let folder = Folder::new();
    let theirs = folder.0.join("theirs");
    fs::write(&theirs, "precious").unwrap();
    let audit = folder.0.join("audit");
    let refused = || {
        let spill = folder.spill(1 << 20);
        spill.probe();
        spill.why_not(0).is_some()
    };
    symlink(&folder.0, &audit).unwrap();
    assert!(refused(), "the folder is a link");
    fs::remove_file(&audit).unwrap();
    fs::create_dir(&audit).unwrap();
    fs::set_permissions(&audit, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(refused(), "others may enter the folder");
    fs::set_permissions(&audit, fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["private.jsonl", "private.lock"] {
        let link = audit.join(name);
        fs::remove_file(&link).ok();
        symlink(&theirs, &link).unwrap();
        let spill = folder.spill(1 << 20);
        spill.keep(vec![entry("x")]);
        assert!(spill.why_not(0).is_some(), "{name} is a link");
        fs::remove_file(&link).unwrap();
        fs::hard_link(&theirs, &link).unwrap();
        let spill = folder.spill(1 << 20);
        spill.keep(vec![entry("x")]);
        assert!(spill.why_not(0).is_some(), "{name} is another name of a file elsewhere");
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "precious");
    assert!(!refused());
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(audit.join("private.jsonl")), 0o600);
}

// The owner of the home can move a file of root to this name.
#[test]
fn a_file_that_root_did_not_create_here_is_not_given_to_the_homes_owner() {
    const OWNER: u32 = 65_534;
    let folder = Folder::new();
    // Only root can change a folder's owner; other users cannot run this test.
    if chown(&folder.0, Some(OWNER), Some(OWNER)).is_err() {
        return;
    }
    folder.spill(1 << 20).probe();
    let audit = folder.0.join("audit");
    let owner = |name: &str| fs::metadata(audit.join(name)).unwrap().uid();
    assert_eq!((owner("."), owner("private.jsonl")), (OWNER, OWNER));
    fs::write(folder.0.join("roots"), "precious").unwrap();
    for name in ["private.jsonl", "private.draining.jsonl", "private.lock", "private.draining.lock"] {
        fs::remove_file(audit.join(name)).ok();
        fs::copy(folder.0.join("roots"), audit.join(name)).unwrap();
        let spill = folder.spill(1 << 20);
        spill.keep(vec![entry("x")]);
        spill.drain().ok();
        let left = audit.join(name).exists().then(|| owner(name));
        assert!(left.is_none_or(|uid| uid == 0), "{name} was given away");
    }
}
