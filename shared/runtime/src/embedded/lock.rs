//! Lock files: advisory locks that the system releases when their holder dies.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::EmbeddedError;
use pgrecall_process::nofollow::{Folder, split};

/// How long to wait for a process that is starting or stopping Postgres: longer than either may
/// take.
const LOCK_TIMEOUT: Duration = Duration::from_secs(420);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A lock on a file. Dropping it unlocks the file.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits until no other process holds the lock.
    pub(super) async fn exclusive(path: &Path) -> Result<Self, EmbeddedError> {
        let (lock, start) = (Self::open(path)?, Instant::now());
        while !lock.is_taken(start)? {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(lock)
    }

    /// Waits as [`Lock::exclusive`] does, on a thread without an async runtime.
    pub(super) fn exclusive_blocking(path: &Path) -> Result<Self, EmbeddedError> {
        let (lock, start) = (Self::open(path)?, Instant::now());
        while !lock.is_taken(start)? {
            thread::sleep(POLL_INTERVAL);
        }
        Ok(lock)
    }

    /// Takes a lock that others may share. A process that holds this lock exclusively also holds
    /// the start lock, so a caller with the start lock never has to wait.
    pub(super) fn shared(path: &Path) -> Result<Self, EmbeddedError> {
        let lock = Self::open(path)?;
        match lock.file.try_lock_shared() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(EmbeddedError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(EmbeddedError::at("lock", path)(source)),
        }
    }

    /// Whether no other process shares this lock. The call tries to make the lock exclusive, which
    /// can lose the shared lock, so call it only when the shared lock is no longer needed.
    pub(super) fn is_only_one(&self) -> Result<bool, EmbeddedError> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(EmbeddedError::at("lock", &self.path)(source)),
        }
    }

    /// Tries to take the lock exclusively, and returns whether it did. It is an error when the wait
    /// that began at `start` has taken too long.
    fn is_taken(&self, start: Instant) -> Result<bool, EmbeddedError> {
        let taken = self.is_only_one()?;
        if !taken && start.elapsed() >= LOCK_TIMEOUT {
            return Err(EmbeddedError::Locked { path: self.path.clone() });
        }
        Ok(taken)
    }

    /// Opens a lock file, and creates it if it is missing; the lock is not taken yet. The file is
    /// closed to other users, because everyone who can open it can hold the lock.
    fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let opened = split(path).and_then(|(home, name)| Folder::open(&home)?.private_file(name));
        Ok(Self { file: opened.map_err(EmbeddedError::at("open", path))?, path: path.to_owned() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a program that another thread is just starting may hold a
        // copy of the descriptor for a moment.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), error = &error as &dyn std::error::Error, "unlocking failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_last_of_several_users_knows_it() {
        let path = std::env::temp_dir().join(format!("pgrecall-users-{}.lock", std::process::id()));
        let first = Lock::shared(&path).unwrap();
        let second = Lock::shared(&path).unwrap();
        assert!(!first.is_only_one().unwrap());
        drop(first);
        assert!(second.is_only_one().unwrap());
        drop(second);
        drop(Lock::exclusive_blocking(&path).unwrap());
        fs::remove_file(path).unwrap();
    }
}
