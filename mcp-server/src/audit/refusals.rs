//! Refused credentials, by their number: a flood of wrong keys must not become a flood of audit entries.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::json;
use shared::audit::Entry;
use uuid::Uuid;

use crate::auth::Caller;

/// What such entries are called.
const TOOL: &str = "authenticate";
/// Whose they are where nobody is known. No tenant has this name.
const NOBODY: &str = "unknown";
/// Known callers that are counted one by one. More are counted together.
const MAX_CALLERS: usize = 100;

/// The refusals since the last entry.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<Refusal, u64>>);

/// What is counted together.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Refusal {
    reason: &'static str,
    tenant: String,
    caller: String,
}

impl Refusals {
    /// Counts one. The first of its kind since the last [`take`](Self::take) is an entry at once.
    pub(super) fn count(&self, reason: &'static str, caller: Option<&Caller>) -> Option<Entry> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = caller.filter(|_| counts.len() < MAX_CALLERS);
        let refusal = Refusal {
            reason,
            tenant: known.map(|caller| caller.scope.tenant.clone()).unwrap_or_default(),
            caller: known.map_or_else(|| NOBODY.to_owned(), |caller| caller.name.to_string()),
        };
        match counts.get_mut(&refusal) {
            Some(count) => {
                *count += 1;
                None
            }
            None => {
                counts.insert(refusal.clone(), 0);
                Some(entry(refusal, 1))
            }
        }
    }

    /// The entries of what was counted.
    pub(super) fn take(&self) -> Vec<Entry> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(refusal, count)| entry(refusal, count)).collect()
    }
}

fn entry(refusal: Refusal, count: u64) -> Entry {
    Entry {
        id: Uuid::now_v7(),
        at: Timestamp::now(),
        tenant: refusal.tenant,
        caller: refusal.caller,
        tool: TOOL.to_owned(),
        outcome: "refused".into(),
        took_ms: 0.0,
        arguments: json!({"reason": refusal.reason, "count": count}),
        records: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // M6
    #[test]
    fn a_flood_of_wrong_keys_is_two_entries() {
        let refusals = Refusals::default();
        let at_once: Vec<_> = (0..10_000).filter_map(|_| refusals.count("invalid", None)).collect();
        let counted = refusals.take();
        assert_eq!((at_once.len(), counted.len()), (1, 1));
        assert_eq!(counted[0].arguments["count"], 9_999);
        assert!(refusals.count("invalid", None).is_some() && refusals.take().is_empty());
    }
}
