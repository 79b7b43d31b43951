//! The spill file: audit entries that the database does not take now, one JSON line each.
//!
//! Every program of a home appends to the same file, under a lock. To write the entries to the
//! database, one program renames the file, so that the others continue with a new one, and removes
//! it when the last entry is committed. A program that dies in between leaves the renamed file, and
//! the next program writes it again from the beginning: the entry's id prevents a second row.

use std::{
    collections::HashSet,
    fs::{File, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pgrecall_access::audit::Entry;
use pgrecall_process::nofollow::Folder;
use pgrecall_store::metrics::metrics;
use serde_json::Value;
use uuid::Uuid;

/// The longest line, in bytes. A longer line in the file is corrupt.
pub(super) const MAX_LINE: usize = 8 * 1024;
/// The typical length of a line, in bytes.
const USUAL_LINE: u64 = 300;
/// The most entries that are held in memory while the file cannot be written.
const MAX_HELD: usize = 4_096;
/// How long an append waits for another program's.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(5);
/// How long a file that could not be written is not tried again.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The spill file of one database.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    /// The prefix of the file names, because a home may use several databases.
    name: String,
    max_bytes: u64,
    /// Never locked during a disk access, so that reads of the state do not wait for the disk.
    state: Mutex<State>,
    /// Locked during each access to the files that changes what `state` reports about them.
    files: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Entries that neither the database nor the file has taken yet.
    held: Vec<Entry>,
    /// Bytes in the files, as this program last saw them.
    bytes: u64,
    /// The error and the time of the last write, if it failed.
    failed: Option<(String, Instant)>,
}

/// The entries of a file that is being written to the database. A lock excludes other programs from
/// doing the same.
pub(super) struct Draining {
    folder: Folder,
    name: String,
    reader: BufReader<File>,
    /// The lock that excludes other programs.
    _alone: File,
}

impl Spill {
    /// Returns the spill file in this folder for this database, without opening it.
    pub(crate) fn new(folder: &Path, name: String, max_bytes: u64) -> Self {
        Self { folder: folder.to_owned(), name, max_bytes, state: Mutex::default(), files: Mutex::default() }
    }

    /// Checks whether the file can be written, and how large it is. Blocks.
    pub fn probe(&self) {
        let _files = self.files.lock();
        let looked = self.open().and_then(|folder| {
            folder.private_file(self.file().as_ref())?;
            self.bytes_in(&folder)
        });
        let mut state = self.state.lock();
        match looked {
            // While entries are held in memory, the file has not taken them, so the failure stays.
            Ok(bytes) if state.held.is_empty() => (state.bytes, state.failed) = (bytes, None),
            Ok(bytes) => state.bytes = bytes,
            Err(error) => state.failed = Some((self.describe(&error), Instant::now())),
        }
        show(&state);
    }

    /// Reads the size of the file, and creates nothing. Blocks.
    pub fn look(&self) {
        if self.folder.symlink_metadata().is_ok() {
            let bytes = self.open().and_then(|folder| self.bytes_in(&folder));
            let mut state = self.state.lock();
            match bytes {
                Ok(bytes) => state.bytes = bytes,
                Err(error) => tracing::warn!("{}", self.describe(&error)),
            }
            show(&state);
        }
    }

    /// Returns the reason why another entry could not be kept now, in addition to `unsettled`
    /// pending ones; `None` if it could.
    pub fn why_not(&self, unsettled: usize) -> Option<String> {
        let state = self.state.lock();
        if let Some((failed, _)) = &state.failed {
            return Some(failed.clone());
        }
        let wanted = (unsettled + state.held.len() + 1) as u64 * MAX_LINE as u64;
        let folder = self.folder.display();
        (state.bytes + wanted > self.max_bytes).then(|| {
            format!("the audit spill in {folder} has {} bytes, and `audit.spill_mib` allows no more", state.bytes)
        })
    }

    /// Whether the last attempt to write the file failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().failed.is_some()
    }

    /// Whether entries wait here for the database.
    pub(crate) fn has_entries(&self) -> bool {
        let state = self.state.lock();
        state.bytes > 0 || !state.held.is_empty()
    }

    /// Keeps entries until the database takes them. Entries that fit neither into the file nor into
    /// memory are counted and logged. Blocks.
    pub fn keep(&self, entries: Vec<Entry>) {
        self.state.lock().held.extend(entries);
        let _files = self.files.lock();
        // Appends all held entries together, including those that arrived while another thread had
        // the files.
        let (held, rests) = {
            let state = self.state.lock();
            (state.held.clone(), state.failed.as_ref().is_some_and(|(_, at)| at.elapsed() < RETRY_DELAY))
        };
        if held.is_empty() {
            return;
        }
        let appended = if rests { None } else { Some(self.append(&lines_of(&held))) };
        let mut state = self.state.lock();
        match appended {
            Some(Ok(bytes)) => {
                metrics().audit_spilled.inc_by(held.len() as u64);
                state.held.drain(..held.len());
                (state.bytes, state.failed) = (bytes, None);
            }
            Some(Err(error)) => {
                let why = self.describe(&error);
                if state.failed.is_none() {
                    tracing::error!(
                        why,
                        "audit entries are held in memory: neither the database nor the spill file takes them"
                    );
                }
                state.failed = Some((why, Instant::now()));
            }
            None => {}
        }
        let lost = state.held.len().saturating_sub(MAX_HELD);
        if lost > 0 {
            state.held.truncate(MAX_HELD);
            metrics().audit_dropped.inc_by(lost as u64);
            tracing::error!(
                entries = lost,
                "audit entries were lost: neither the database nor the spill file took them"
            );
        }
        show(&state);
    }

    /// Returns the entries that are only in memory. Call [`settle`](Self::settle) when they are in
    /// the database.
    pub(super) fn held(&self) -> Vec<Entry> {
        self.state.lock().held.clone()
    }

    /// Removes entries that the database has taken, and reads the size of the file. Blocks.
    pub(super) fn settle(&self, written: &[Entry]) {
        let _files = self.files.lock();
        let bytes = self.open().and_then(|folder| self.bytes_in(&folder));
        let mut state = self.state.lock();
        if !written.is_empty() {
            let ids: HashSet<Uuid> = written.iter().map(|entry| entry.id).collect();
            state.held.retain(|entry| !ids.contains(&entry.id));
        }
        if let Ok(bytes) = bytes {
            state.bytes = bytes;
        }
        show(&state);
    }

    /// Opens the entries in the file; `None` if there are none, or another program is writing them.
    /// Blocks.
    pub(super) fn drain(&self) -> io::Result<Option<Draining>> {
        let folder = self.open()?;
        let alone = folder.private_file(format!("{}.draining.lock", self.name).as_ref())?;
        match alone.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (name, _lock) = (self.draining(), self.lock(&folder)?);
        let there = match folder.existing_private_file(name.as_ref())? {
            Some(file) => Some(file),
            None => match folder.rename(self.file().as_ref(), name.as_ref()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                renamed => renamed.and_then(|()| folder.existing_private_file(name.as_ref()))?,
            },
        };
        Ok(there.map(|file| Draining { folder, name, reader: BufReader::new(file), _alone: alone }))
    }

    fn append(&self, lines: &[u8]) -> io::Result<u64> {
        let folder = self.open()?;
        let _lock = self.lock(&folder)?;
        let mut file = folder.private_file(self.file().as_ref())?;
        let (own, all) = (file.metadata()?.len(), self.bytes_in(&folder)?);
        let torn = own > 0 && !ends_with_line_end(&file, own)?;
        let added = lines.len() as u64 + u64::from(torn);
        if all + added > self.max_bytes {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "it is as large as `audit.spill_mib` allows"));
        }
        // A program that died while it wrote a line left an incomplete one. A line break separates
        // the next entry from it.
        let written = if torn { file.write_all(b"\n") } else { Ok(()) }.and_then(|()| file.write_all(lines));
        if let Err(error) = written.and_then(|()| file.sync_data()) {
            file.set_len(own).ok();
            return Err(error);
        }
        Ok(all + added)
    }

    fn open(&self) -> io::Result<Folder> {
        Folder::open_private(&self.folder)
    }

    fn file(&self) -> String {
        format!("{}.jsonl", self.name)
    }

    fn draining(&self) -> String {
        format!("{}.draining.jsonl", self.name)
    }

    fn bytes_in(&self, folder: &Folder) -> io::Result<u64> {
        let mut bytes = 0;
        for name in [self.file(), self.draining()] {
            if let Some(file) = folder.existing_private_file(name.as_ref())? {
                bytes += file.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    fn lock(&self, folder: &Folder) -> io::Result<File> {
        let lock = folder.private_file(format!("{}.lock", self.name).as_ref())?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => thread::sleep(LOCK_POLL),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another program holds its lock"));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn describe(&self, error: &io::Error) -> String {
        format!("the audit spill in {} cannot be used: {error}", self.folder.display())
    }
}

impl Draining {
    /// Returns the next entries, and an empty list at the end. A line that is not an entry is
    /// counted and logged. Blocks.
    pub(super) fn next(mut self, most: usize) -> io::Result<(Self, Vec<Entry>)> {
        let mut entries = Vec::new();
        while entries.len() < most {
            let mut line = Vec::new();
            let read = (&mut self.reader).take(2 * MAX_LINE as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            match serde_json::from_slice(&line) {
                Ok(entry) => entries.push(entry),
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(error) => {
                    metrics().audit_dropped.inc();
                    tracing::error!(%error, "a line of the audit spill cannot be read and was skipped");
                }
            }
        }
        Ok((self, entries))
    }

    /// Removes the file, after all its entries were committed to the database. Blocks.
    pub(super) fn remove(self) -> io::Result<()> {
        self.folder.remove_file(self.name.as_ref())
    }
}

fn ends_with_line_end(mut file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Converts entries to lines. An entry that is too long (ours never are) loses its arguments and
/// records, but keeps its place.
fn lines_of(entries: &[Entry]) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in entries {
        let mut line = serde_json::to_vec(entry).expect("an entry has text keys only");
        if line.len() >= MAX_LINE {
            let short = Entry { arguments: Value::Null, records: Vec::new(), ..entry.clone() };
            line = serde_json::to_vec(&short).expect("an entry has text keys only");
        }
        lines.append(&mut line);
        lines.push(b'\n');
    }
    lines
}

fn show(state: &State) {
    let held = state.held.len() as u64 * USUAL_LINE;
    metrics().audit_pending_bytes.set(i64::try_from(state.bytes + held).unwrap_or(i64::MAX));
}
