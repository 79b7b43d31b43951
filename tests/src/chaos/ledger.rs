//! The ledger: for each key, the states that the source may be in after its acknowledged and its
//! unanswered writes.
//!
//! An acknowledged write replaces the states of all writes that ended before it began. A write
//! without an answer may or may not have been committed, so its state is added to the possible
//! ones, until a write that began after it was given up is acknowledged.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// A source's text; `None` if the source does not exist.
pub(super) type State = Option<String>;

/// A write, and when it was answered or given up.
#[derive(Debug, Clone)]
struct Written {
    state: State,
    over: Option<Instant>,
}

/// The possible states of every key.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: Mutex<BTreeMap<String, Vec<Written>>>,
}

impl Ledger {
    /// Records that a write that began at `began` was acknowledged just now.
    pub(super) fn acknowledged(&self, key: &str, state: State, began: Instant) {
        let mut keys = self.keys.lock().expect("unpoisoned");
        let written = keys.entry(key.to_owned()).or_default();
        written.retain(|earlier| earlier.over.is_some_and(|over| over >= began));
        written.push(Written { state, over: Some(Instant::now()) });
    }

    /// Records a write whose outcome is unknown.
    pub(super) fn unheard(&self, key: &str, state: State) {
        let mut keys = self.keys.lock().expect("unpoisoned");
        let written = keys.entry(key.to_owned()).or_insert_with(|| vec![Written { state: None, over: None }]);
        written.push(Written { state, over: Some(Instant::now()) });
    }

    /// Compares the ledger with the sources found, returns the violations, and makes the found
    /// states the only possible ones, so that each violation is reported once.
    pub(super) fn compare(&self, found: &BTreeMap<String, String>) -> Vec<String> {
        let mut keys = self.keys.lock().expect("unpoisoned");
        let unknown = found.keys().filter(|key| !keys.contains_key(*key));
        let mut wrong: Vec<String> = unknown.map(|key| format!("{key}: nobody wrote it")).collect();
        for (key, written) in keys.iter_mut() {
            let is = found.get(key);
            if !written.iter().any(|written| written.state.as_ref() == is) {
                let may: Vec<&State> = written.iter().map(|written| &written.state).collect();
                wrong
                    .push(format!("{key}: an acknowledged write is lost: it is {is:?} and may only be one of {may:?}"));
            }
            *written = vec![Written { state: is.cloned(), over: Some(Instant::now()) }];
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("k".to_owned(), text.to_owned())])
    }

    #[test]
    fn an_acknowledged_write_is_all_that_may_be_there() {
        let ledger = Ledger::default();
        ledger.acknowledged("k", Some("one".into()), Instant::now());
        ledger.acknowledged("k", Some("two".into()), Instant::now());
        assert_eq!(ledger.compare(&found("one")).len(), 1);
        assert!(ledger.compare(&found("one")).is_empty(), "it is said once");
    }

    #[test]
    fn an_unheard_write_may_be_there_until_a_later_one_is_acknowledged() {
        let ledger = Ledger::default();
        let before = Instant::now();
        ledger.unheard("k", Some("one".into()));
        assert!(ledger.compare(&BTreeMap::new()).is_empty());
        ledger.unheard("k", Some("one".into()));
        ledger.acknowledged("k", Some("two".into()), before);
        assert!(ledger.compare(&found("one")).is_empty(), "they overlapped");
        ledger.unheard("k", Some("three".into()));
        ledger.acknowledged("k", Some("four".into()), Instant::now());
        assert_eq!(ledger.compare(&found("three")).len(), 1);
    }

    #[test]
    fn what_nobody_wrote_is_found() {
        assert_eq!(Ledger::default().compare(&found("one")).len(), 1);
    }
}
