//! Whether the disk that holds the database was full when this process last wrote to it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::db::DbError;

/// How long a failed write counts where no other write follows it.
const TTL: Duration = Duration::from_secs(300);

/// When a write last failed because the disk was full, unless one has succeeded since.
#[derive(Debug, Default)]
pub(super) struct Disk(Mutex<Option<Instant>>);

impl Disk {
    /// Notes that a write failed, if the disk was full.
    pub(super) fn note(&self, error: &DbError) {
        if error.is_disk_full() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Notes that a write succeeded.
    pub(super) fn note_written(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether writes fail because the disk is full, as far as this process knows.
    pub(super) fn is_full(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < TTL)
    }
}
