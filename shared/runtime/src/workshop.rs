//! Where setup works before anything is put in place: one run at a time, in a folder of its own.
//!
//! The folder lies in the runtime, so that finished parts move into place by a rename. It bears the process's number,
//! because a run that was killed may have left a pip or an unpacking Python behind that still writes to its folder.

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

/// How long a setup waits for another one that holds the lock. The other one gives up on a stalled network sooner.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3600);
const LOCK_POLL: Duration = Duration::from_millis(100);
/// The folder for all that is not in place yet.
const KEPT: &str = ".partial";
const FOLDER_MODE: u32 = 0o755;

/// The right to work on a runtime, and the place for it. Dropping it takes away all but finished downloads.
pub(super) struct Workshop {
    /// What a later run can use: downloads of which the hash was right.
    pub(super) kept: PathBuf,
    /// This run's own folder.
    pub(super) own: PathBuf,
    _lock: File,
}

impl Workshop {
    /// Waits until no other setup works on the runtime `root`, and clears away what killed ones have left.
    pub(super) fn open(root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Self, RuntimeError> {
        refuse_replaceable(root)?;
        create_folder(root)?;
        let lock = lock(&root.join(".lock"), progress)?;
        let kept = root.join(KEPT);
        create_folder(&kept)?;
        // Everything in it is removed, so it must not be a link to another folder.
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

    /// Whether a setup that was killed has left something in the runtime `root`.
    pub(super) fn has_leftovers(root: &Path) -> bool {
        root.join(KEPT).exists()
    }

    /// Ends a run that has finished everything: no later run needs the downloads.
    pub(super) fn finish(self) {
        discard(&self.kept);
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        discard(&self.own);
        // Goes only if it is empty, which is the case when nothing is left to do.
        let _ = fs::remove_dir(&self.kept);
    }
}

/// As root, refuses a runtime that another user can change: a folder on the way to it could become a link while setup works, and setup
/// creates, changes and removes files by their paths.
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
    // Closed to other users: whoever can open it can hold the lock.
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

/// Creates `path` and what is missing above it, readable for everyone whatever the umask: the unprivileged user that
/// Postgres runs as must get here. A folder that exists keeps its mode.
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

/// Removes a folder that nothing depends on. A process left behind by a killed setup may still be filling it; then the
/// rest goes in the next run.
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
        let root = std::env::temp_dir().join(format!("pgrecall-workshop-{}", std::process::id()));
        create_folder(&root.join(".partial/run-1/half")).unwrap();
        fs::write(root.join(".partial/done.whl"), "").unwrap();

        let workshop = Workshop::open(&root, &mut |_| ()).unwrap();
        assert!(!root.join(".partial/run-1").exists());
        assert!(workshop.own.is_dir());
        drop(workshop);
        assert!(root.join(".partial/done.whl").exists());

        fs::remove_file(root.join(".partial/done.whl")).unwrap();
        drop(Workshop::open(&root, &mut |_| ()).unwrap());
        assert!(!root.join(".partial").exists());
        remove_folder(&root).unwrap();
    }
}
