//! The statements, read from `sql/` when the program is built.
//!
//! No SQL text stands in the Rust code: [`sql!`] names a file of `sql/queries`. Two kinds of placeholder are filled in before a
//! statement is sent, neither of them with a caller's data: a space's table, and the fragments that several statements share.

#[cfg(test)]
mod tests;

use pgrecall_record::model::SpaceId;

pub(crate) use pgrecall_postgres::{parameters, sql};

/// The text of `sql/fragments/NAME.sql`.
macro_rules! fragment {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/fragments/", $name, ".sql"))
    };
}

const FILTER: &str = fragment!("filter");
const FIELDS: &str = fragment!("fields");
const LABEL: &str = fragment!("label");
const ANY_LABEL: &str = fragment!("any_label");
const SCOPE: &str = fragment!("scope");
const SCOPE_OF_LABEL: &str = fragment!("scope_of_label");
const SCOPE_OF_ANY_LABEL: &str = fragment!("scope_of_any_label");
const HIT: &str = fragment!("hit");
const EXPORTED: &str = fragment!("exported");
const KEPT: &str = fragment!("kept");
/// The columns of [`RecordFields`](pgrecall_record::source::RecordFields) that need no care of their own, each with its type.
const RECORD_FIELDS: &str = fragment!("record_fields");
const CLAIM: &str = fragment!("claim");
const RECORD_FAILURES: &str = fragment!("record_failures");
const BM25: &str = fragment!("bm25");
const BEST_PASSAGES: &str = fragment!("best_passages");

/// The statement on this space's table: `{vectors}` becomes `vectors_7`.
pub(crate) fn on_space(statement: &str, space: SpaceId) -> String {
    statement.replace("{best_passages}", BEST_PASSAGES).replace("{vectors}", &space.table())
}

/// What a scope is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeSource {
    /// The records that have the first of its labels, if it has any.
    Labels,
    /// The records that the caller sees.
    Caller,
}

/// What a filter asks for, as far as the statements' texts depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// Labels that must all be there.
    pub(crate) all: usize,
    /// Whether one of several labels must be.
    pub(crate) any: bool,
    /// Whether there are conditions on a record's own fields.
    pub(crate) fields: bool,
    /// What a scope is read from.
    pub(crate) source: ScopeSource,
}

/// The statement with the conditions that every recall shares. Those that are not asked for are left out, which no row then has to be asked. A
/// scope that labels narrow begins at the first of them, and need not ask for it again: the planner cannot choose between two ways into an `OR`.
pub(crate) fn filtered(statement: &str, conditions: Conditions) -> String {
    let Conditions { all, any, fields, source } = conditions;
    let fields = if fields { FIELDS } else { "" };
    let each = |places: std::ops::RangeInclusive<usize>| -> String {
        places.map(|place| LABEL.replace("{place}", &place.to_string())).collect()
    };
    let any_label = if any { ANY_LABEL } else { "" };
    let filter = |labels: String| FILTER.replace("{labels}", &labels).replace("{fields}", fields);
    let (scope, rest) = match (source, all, any) {
        (ScopeSource::Caller, ..) | (_, 0, false) => (SCOPE, each(1..=all) + any_label),
        (_, 0, true) => (SCOPE_OF_ANY_LABEL, String::new()),
        _ => (SCOPE_OF_LABEL, each(2..=all) + any_label),
    };
    statement
        .replace("{scope}", &scope.replace("{filter}", &filter(rest)))
        .replace("{filter}", &filter(each(1..=all) + any_label))
        .replace("{fields}", fields)
}

/// The statement with the BM25 of a posting, but for the weight of its term.
pub(crate) fn scoring(statement: &str) -> String {
    statement.replace("{bm25}", BM25.trim_end())
}

/// The statement with the columns of a hit.
pub(crate) fn showing(statement: &str) -> String {
    with_record_fields(&statement.replace("{hit}", HIT.trim_end()))
}

/// The statement with a whole record as one JSON object, as it is or as it is kept to be restored.
pub(crate) fn exporting(statement: &str) -> String {
    with_record_fields(&statement.replace("{kept}", KEPT.trim_end()).replace("{exported}", EXPORTED.trim_end()))
}

/// The statement with the fields of a record in each form that it names.
pub(crate) fn with_record_fields(statement: &str) -> String {
    let each = |form: fn(&str) -> String| {
        let names = RECORD_FIELDS.lines().filter_map(|line| line.split_once(' ')).map(|(name, _type)| form(name));
        names.collect::<Vec<_>>().join(", ")
    };
    let stored = |name: &str| format!("'{}', s.{name}", if name == "origin" { "source" } else { name });
    statement
        .replace("{field_types}", RECORD_FIELDS.trim_end().trim_end_matches(','))
        .replace("{field_names}", &each(str::to_owned))
        .replace("{given_fields}", &each(|name| format!("r.{name}")))
        .replace("{set_fields}", &each(|name| format!("{name} = r.{name}")))
        .replace("{stored_fields}", &each(stored))
}

/// The statement with the record of what it makes fail: its CTE `failing`.
pub(crate) fn recording_failures(statement: &str) -> String {
    statement.replace("{record_failures}", RECORD_FAILURES.trim_end())
}

/// The statement with the CTEs of a claim, the last of which is `claimed`.
pub(crate) fn claiming(statement: &str) -> String {
    statement.replace("{claim}", CLAIM.trim_end())
}
