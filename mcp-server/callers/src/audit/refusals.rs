//! Counts refused credentials, so that a flood of wrong keys does not become a flood of audit
//! entries.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use pgrecall_access::audit::Entry;
use serde_json::json;
use uuid::Uuid;

use crate::caller::Caller;

/// The tool name of these entries.
const TOOL: &str = "authenticate";
/// The caller name for refusals without a known caller, and for those beyond `MAX_COUNTS`. Its
/// tenant is empty, which no real tenant's name is.
const NOBODY: &str = "unknown";
/// The most combinations of reason and caller that are counted separately. Refusals of further
/// callers are counted together.
const MAX_COUNTS: usize = 100;

/// The refusals since the last entry.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<Refusal, u64>>);

/// Refusals with the same values are counted together.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Refusal {
    reason: &'static str,
    tenant: String,
    caller: String,
}

impl Refusals {
    /// Counts a refusal. Returns an entry for the first of its kind since the last
    /// [`take`](Self::take).
    pub(super) fn count(&self, reason: &'static str, caller: Option<&Caller>) -> Option<Entry> {
        let mut counts = self.0.lock();
        let nobody = || Refusal { reason, tenant: String::new(), caller: NOBODY.to_owned() };
        let mut refusal = caller.map_or_else(nobody, |caller| Refusal {
            reason,
            tenant: caller.scope.tenant.clone(),
            caller: caller.name.to_string(),
        });
        if !counts.contains_key(&refusal) && counts.len() >= MAX_COUNTS {
            refusal = nobody();
        }
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

    /// Returns an entry for each count, and resets the counts.
    pub(super) fn take(&self) -> Vec<Entry> {
        let counts = std::mem::take(&mut *self.0.lock());
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
    use pgrecall_access::keys::Scopes;
    use pgrecall_postgres::db::Scope;

    use super::*;

    fn caller(number: usize) -> Caller {
        let scope = Scope { tenant: "acme".into(), owner: format!("user {number}"), persona: None };
        Caller { scope, scopes: Scopes::ALL, name: format!("key {number}").into() }
    }

    #[test]
    fn a_caller_that_was_counted_keeps_its_name_whoever_comes_after_it() {
        let refusals = Refusals::default();
        let at_once: Vec<_> =
            (0..200).filter_map(|it| refusals.count("too many requests", Some(&caller(it)))).collect();
        assert_eq!((at_once.len(), &*at_once[99].caller, &*at_once[100].caller), (101, "key 99", NOBODY));
        assert!(refusals.count("too many requests", Some(&caller(7))).is_none());
        let counted = refusals.take();
        let of = |name: &str| counted.iter().find(|it| it.caller == name).map(|it| &it.arguments["count"]);
        assert_eq!((counted.len(), of("key 7"), of(NOBODY)), (2, Some(&json!(1)), Some(&json!(99))));
    }

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
