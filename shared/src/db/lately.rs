//! What was so a moment ago, where asking the database again costs more than being a little behind.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long it is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// Entries that are kept; with more of them, all are asked for anew.
const KEPT: usize = 10_000;

/// Of which things it was so. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Lately<T>(Arc<Mutex<HashMap<T, Instant>>>);

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Eq + Hash> Lately<T> {
    /// Whether it was so of this, the last time that somebody looked.
    pub(crate) fn was(&self, thing: &T) -> bool {
        let known = self.0.lock().expect("no one panics while holding it");
        known.get(thing).is_some_and(|at| at.elapsed() < BELIEVED)
    }

    /// It is so of this.
    pub(crate) fn is(&self, thing: T) {
        let mut known = self.0.lock().expect("no one panics while holding it");
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(thing, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_believed_for_a_while_and_little_is_kept() {
        let large = Lately::default();
        assert!(!large.was(&1));
        large.is(1);
        assert!(large.was(&1) && large.clone().was(&1) && !large.was(&2));
        large.0.lock().unwrap().insert(1, Instant::now() - BELIEVED);
        assert!(!large.was(&1));
        (0..2 * KEPT).for_each(|number| large.is(number));
        assert!(large.0.lock().unwrap().len() <= KEPT);
    }
}
