//! The filter of a query as SQL parameters, with which every filtered statement begins.

use super::{Fields, Filter};
use crate::sql::{Conditions, SearchSetSource, filtered, parameters};
use jiff::Timestamp;
use pgrecall_postgres::db::{Scope, parameters::Parameter};

/// Number of parameters of a filter: a statement's own parameters start at the next number.
pub(crate) const FILTER_PARAMS: usize = 14;

/// A filter on behalf of a caller: `$1` to `$14` of the statements, in this order.
#[derive(Debug, Clone, Hash)]
pub(crate) struct FilterParams {
    pub(super) kinds: Vec<&'static str>,
    /// Labels that a record must all have, rarest first once their sources were counted.
    pub(super) all_labels: Vec<String>,
    /// Labels of which a record must have one, unless the list is empty.
    any_labels: Vec<String>,
    as_of: Option<Timestamp>,
    /// Whether records that are not active or not valid may answer too.
    includes_stale: bool,
    pub(super) caller: String,
    pub(super) caller_persona: Option<String>,
    owner: Option<String>,
    persona: Option<String>,
    visibility: Option<&'static str>,
    status: Option<&'static str>,
    created_from: Option<Timestamp>,
    created_until: Option<Timestamp>,
    changed_since: Option<Timestamp>,
}

impl FilterParams {
    pub(crate) fn of(scope: &Scope, filter: &Filter) -> Self {
        let Fields { owner, persona, visibility, status, created_from, created_until, changed_since } =
            filter.fields.clone();
        Self {
            kinds: filter.kinds.iter().map(|kind| kind.as_str()).collect(),
            all_labels: filter.labels(),
            any_labels: filter.urns(),
            as_of: filter.as_of,
            // A filter by status includes stale records: a superseded record is no longer valid, so
            // the check of the validity would drop it.
            includes_stale: filter.include_stale || status.is_some(),
            caller: scope.owner.clone(),
            caller_persona: scope.persona.clone(),
            owner,
            persona,
            visibility: visibility.map(|visibility| visibility.as_str()),
            status: status.map(|status| status.as_str()),
            created_from,
            created_until,
            changed_since,
        }
    }

    /// Returns the parameters of a filtered statement: those of the filter, then its own.
    pub(crate) fn with<'a>(&'a self, own: &[Parameter<'a>]) -> Vec<Parameter<'a>> {
        let filter: &[Parameter<'_>; FILTER_PARAMS] = parameters![
            self.kinds,
            self.all_labels,
            self.any_labels,
            self.as_of,
            self.includes_stale,
            self.caller,
            self.caller_persona,
            self.owner,
            self.persona,
            self.visibility,
            self.status,
            self.created_from,
            self.created_until,
            self.changed_since
        ];
        filter.iter().chain(own).cloned().collect()
    }

    /// Returns whether the filter has conditions on columns of the record.
    pub(super) fn has_fields(&self) -> bool {
        self.owner.is_some()
            || self.persona.is_some()
            || self.visibility.is_some()
            || self.status.is_some()
            || [self.created_from, self.created_until, self.changed_since].iter().any(Option::is_some)
    }

    /// Returns whether a record must have one of several labels.
    pub(super) fn has_alternatives(&self) -> bool {
        !self.any_labels.is_empty()
    }

    /// Returns the statement with the conditions of this filter.
    pub(crate) fn statement(&self, text: &str) -> String {
        self.statement_from(SearchSetSource::Filter, text)
    }

    /// Returns the statement with the conditions of this filter, and a search set that is read from
    /// `source`.
    pub(super) fn statement_from(&self, source: SearchSetSource, text: &str) -> String {
        let conditions =
            Conditions { all: self.all_labels.len(), any: self.has_alternatives(), fields: self.has_fields(), source };
        filtered(text, conditions)
    }

    /// Returns the conditions in a readable form, for an explanation.
    pub(super) fn described(&self) -> Vec<String> {
        let mut conditions = vec![format!("kind: {}", self.kinds.join(" or "))];
        conditions.extend(self.all_labels.iter().cloned());
        if self.has_alternatives() {
            conditions.push(self.any_labels.join(" or "));
        }
        conditions.extend(self.as_of.map(|time| format!("valid at {time}")));
        if !self.includes_stale {
            conditions.push("active and valid".to_owned());
        }
        conditions.extend(self.has_fields().then(|| "fields of its own".to_owned()));
        conditions
    }
}
