//! The staging folder of setup: each run has its own folder, and a lock admits one run at a time.
//!
//! The folder lies in the runtime, so that finished parts move into place by a rename. Its name has
//! the process id, because a killed run may have left a pip or an unpacking Python that still
//! writes to its folder.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Progress, RuntimeError};
use crate::embedded::account::replaceable;
use pgrecall_process::nofollow::{self, Folder, Unsafe, effective_uid};

/// How long a setup waits for another one that holds the lock. A setup with a stalled network gives
/// up sooner.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3600);
const LOCK_POLL: Duration = Duration::from_millis(100);
/// The folder for everything that is not in place yet.
const KEPT: &str = ".partial";
const FOLDER_MODE: u32 = 0o755;

/// The lock on a runtime, and the staging folder of this run. Dropping it removes everything except
/// finished downloads.
pub(super) struct StagingDir {
    /// The folder of downloads with the right hash, which a later run can use.
    pub(super) kept: PathBuf,
    /// This run's own folder.
    pub(super) own: PathBuf,
    _lock: File,
}

impl StagingDir {
    /// Waits until no other setup works on the runtime `root`, and removes the folders that killed
    /// ones have left.
    pub(super) fn open(root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Self, RuntimeError> {
        refuse_replaceable(root)?;
        create_folder(root)?;
        let lock = lock(&root.join(".lock"), progress)?;
        let kept = root.join(KEPT);
        create_folder(&kept)?;
        // The loop below removes every folder in it, so it must not be a link to another folder.
        let owner = Folder::open_real(&kept).and_then(|folder| Ok(folder.metadata()?.uid()));
        let owner = owner.map_err(RuntimeError::at("open", &kept))?;
        if owner != effective_uid() {
            return Err(RuntimeError::at("use", &kept)(Unsafe::OtherOwner(owner).into()));
        }
        for entry in fs::read_dir(&kept).map_err(RuntimeError::at("read", &kept))?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                discard(&entry.path());
            }
        }
        let own = kept.join(format!("run-{}", std::process::id()));
        remove_folder(&own)?;
        create_folder(&own)?;
        Ok(Self { kept, own, _lock: lock })
    }

    /// Whether a killed setup has left files in the runtime `root`.
    pub(super) fn has_leftovers(root: &Path) -> bool {
        root.join(KEPT).exists()
    }

    /// Ends a run that has installed every part, and removes the downloads, because no later run
    /// needs them.
    pub(super) fn finish(self) {
        discard(&self.kept);
    }
}

impl Drop for StagingDir {
    fn drop(&mut self) {
        discard(&self.own);
        // Removes the folder only if it is empty, that is, if there are no finished downloads.
        let _ = fs::remove_dir(&self.kept);
    }
}

/// Refuses, as root, a runtime that another user can change: that user could replace a folder of
/// its path by a link during setup, and setup creates, changes and removes files by their paths.
fn refuse_replaceable(root: &Path) -> Result<(), RuntimeError> {
    if effective_uid() != 0 {
        return Ok(());
    }
    let there = root.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let real = fs::canonicalize(there).map_err(RuntimeError::at("read", there))?;
    match [there, &real].into_iter().find_map(|way| replaceable(way, &[0], None)) {
        Some(folder) => Err(RuntimeError::Replaceable { root: root.to_owned(), folder }),
        None => Ok(()),
    }
}

fn lock(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<File, RuntimeError> {
    // Closed to other users, because everyone who can open the file can hold the lock.
    let opened = nofollow::split(path).and_then(|(root, name)| Folder::open(&root)?.private_file(name));
    let file = opened.map_err(RuntimeError::at("write", path))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(RuntimeError::at("lock", path)(source)),
            Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_TIMEOUT => {
                return Err(RuntimeError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::WouldBlock) => {
                progress(Progress::Waiting);
                thread::sleep(LOCK_POLL);
            }
        }
    }
}

/// Creates `path` and the missing folders above it, readable for everyone whatever the umask,
/// because the unprivileged user that Postgres runs as must reach the files. A folder that exists
/// keeps its mode.
pub(super) fn create_folder(path: &Path) -> Result<(), RuntimeError> {
    if path.is_dir() {
        return Ok(());
    }
    nofollow::create_folders(path, FOLDER_MODE).map_err(RuntimeError::at("create", path))
}

pub(super) fn remove_folder(path: &Path) -> Result<(), RuntimeError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RuntimeError::at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a folder that nothing depends on. A process of a killed setup may still write to it;
/// then the next run removes the rest.
fn discard(path: &Path) {
    if let Err(error) = remove_folder(path) {
        tracing::debug!(path = %path.display(), error = &error as &dyn std::error::Error, "left for the next setup");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workshop_clears_what_a_killed_run_left_and_keeps_downloads() {
        let root = std::env::temp_dir().join(format!("pgrecall-staging-{}", std::process::id()));
        create_folder(&root.join(".partial/run-1/half")).unwrap();
        fs::write(root.join(".partial/done.whl"), "").unwrap();

        let staging = StagingDir::open(&root, &mut |_| ()).unwrap();
        assert!(!root.join(".partial/run-1").exists());
        assert!(staging.own.is_dir());
        drop(staging);
        assert!(root.join(".partial/done.whl").exists());

        fs::remove_file(root.join(".partial/done.whl")).unwrap();
        drop(StagingDir::open(&root, &mut |_| ()).unwrap());
        assert!(!root.join(".partial").exists());
        remove_folder(&root).unwrap();
    }
}
