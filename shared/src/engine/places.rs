//! So many at once, so many in the queue, and nobody for long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for something that must not take everything.
pub(super) struct Places {
    places: Arc<Semaphore>,
    queue: Semaphore,
    wait: Duration,
}

impl Places {
    /// So many at once; so many wait for one, for so long.
    pub(super) fn new(places: usize, waiting: usize, wait: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), queue: Semaphore::new(waiting), wait }
    }

    /// A place until it is dropped. `None`: the queue is full, or did not move.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _waits = self.queue.try_acquire().ok()?;
        tokio::time::timeout(self.wait, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_finds_no_place_waits_and_one_that_finds_no_queue_does_not() {
        let places = Places::new(1, 1, Duration::from_millis(100));
        let first = places.place().await.expect("a place is free");
        let (waited, refused) = tokio::join!(places.place(), places.place());
        assert!(waited.is_none() && refused.is_none(), "the first keeps its place for longer than anybody waits");
        let (waited, ()) = tokio::join!(places.place(), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(first);
        });
        assert!(waited.is_some());
    }
}
