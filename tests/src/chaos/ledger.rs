//! What was acknowledged: for each key, the states that it may be in after all that was heard, and was not heard, of its writes.
//!
//! A write that was acknowledged replaces whatever was over before it began. A write whose answer was not heard may have happened or not;
//! so it is added to what may be, until a write that began after it was given up is acknowledged.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// What a source says; `None` when it is not there.
pub(super) type State = Option<String>;

/// A write, from the moment it was sent until it was answered or given up.
#[derive(Debug, Clone)]
struct Written {
    state: State,
    over: Option<Instant>,
}

/// Every key's possible states.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: Mutex<BTreeMap<String, Vec<Written>>>,
}

impl Ledger {
    /// A write that began then was acknowledged just now.
    pub(super) fn acknowledged(&self, key: &str, state: State, began: Instant) {
        let mut keys = self.keys.lock().expect("unpoisoned");
        let written = keys.entry(key.to_owned()).or_default();
        written.retain(|earlier| earlier.over.is_some_and(|over| over >= began));
        written.push(Written { state, over: Some(Instant::now()) });
    }

    /// Nobody heard what became of a write.
    pub(super) fn unheard(&self, key: &str, state: State) {
        let mut keys = self.keys.lock().expect("unpoisoned");
        let written = keys.entry(key.to_owned()).or_insert_with(|| vec![Written { state: None, over: None }]);
        written.push(Written { state, over: Some(Instant::now()) });
    }

    /// Compares with what is there, notes that as what is known from now on, and returns what must not be.
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
