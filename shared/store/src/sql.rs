//! SQL statements, which the build includes from `sql/`.
//!
//! The Rust code contains no SQL text: [`sql!`] names a file of `sql/queries`. Before a statement
//! is sent, two kinds of placeholders are filled in, neither of them with a caller's data: the
//! table of a space, and the fragments that several statements share.

#[cfg(test)]
mod tests;

use pgrecall_record::model::SpaceId;

pub(crate) use pgrecall_postgres::{parameters, sql};

/// Includes the text of `sql/fragments/NAME.sql`.
macro_rules! fragment {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/fragments/", $name, ".sql"))
    };
}

const FILTER: &str = fragment!("filter");
const FIELDS: &str = fragment!("fields");
const LABEL: &str = fragment!("label");
const ANY_LABEL: &str = fragment!("any_label");
const SEARCH_SET: &str = fragment!("search_set");
const SEARCH_SET_OF_LABEL: &str = fragment!("search_set_of_label");
const SEARCH_SET_OF_ANY_LABEL: &str = fragment!("search_set_of_any_label");
const HIT: &str = fragment!("hit");
const EXPORTED: &str = fragment!("exported");
const KEPT: &str = fragment!("kept");
/// Columns of [`RecordFields`](pgrecall_record::source::RecordFields) that all statements treat
/// alike, each with its type.
const RECORD_FIELDS: &str = fragment!("record_fields");
const CLAIM: &str = fragment!("claim");
const AHEAD: &str = fragment!("ahead");
const START: &str = fragment!("start");
const IN_FLOW: &str = fragment!("in_flow");
const RECORD_FAILURES: &str = fragment!("record_failures");
const STARTS_AT: &str = fragment!("starts_at");
const BM25: &str = fragment!("bm25");
const BEST_PASSAGES: &str = fragment!("best_passages");
const NO_VECTORS: &str = fragment!("no_vectors");

/// Inserts the table of this space: `{vectors}` becomes `vectors_7`.
pub(crate) fn on_space(statement: &str, space: SpaceId) -> String {
    statement.replace("{best_passages}", BEST_PASSAGES).replace("{vectors}", &space.table())
}

/// Inserts an empty table of vectors, for a space that has none yet.
pub(crate) fn on_space_without_table(statement: &str) -> String {
    statement.replace("{vectors}", NO_VECTORS)
}

/// Where the statement of the search set starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchSetSource {
    /// At the records with the first label of the filter or, without labels, at the records that
    /// the caller sees.
    Filter,
    /// At the records that the caller sees.
    Caller,
}

/// The parts of a filter that change the text of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// Number of labels that a record must all have.
    pub(crate) all: usize,
    /// Whether a record must have one of several labels.
    pub(crate) any: bool,
    /// Whether the filter has conditions on columns of the record.
    pub(crate) fields: bool,
    /// Where the search set starts.
    pub(crate) source: SearchSetSource,
}

/// Inserts the conditions that every recall shares. Conditions that the filter does not use are
/// left out, so that Postgres need not check them for each row. A search set with labels starts at
/// the first of them and does not check that label a second time; a single statement with an `OR`
/// would not do, since the planner cannot choose between two access paths within it.
pub(crate) fn filtered(statement: &str, conditions: Conditions) -> String {
    let Conditions { all, any, fields, source } = conditions;
    let fields = if fields { FIELDS } else { "" };
    let each = |places: std::ops::RangeInclusive<usize>| -> String {
        places.map(|place| LABEL.replace("{place}", &place.to_string())).collect()
    };
    let any_label = if any { ANY_LABEL } else { "" };
    let filter = |labels: String| FILTER.replace("{labels}", &labels).replace("{fields}", fields);
    let (search_set, rest) = match (source, all, any) {
        (SearchSetSource::Caller, ..) | (_, 0, false) => (SEARCH_SET, each(1..=all) + any_label),
        (_, 0, true) => (SEARCH_SET_OF_ANY_LABEL, String::new()),
        _ => (SEARCH_SET_OF_LABEL, each(2..=all) + any_label),
    };
    statement
        .replace("{search_set}", &search_set.replace("{filter}", &filter(rest)))
        .replace("{filter}", &filter(each(1..=all) + any_label))
        .replace("{fields}", fields)
}

/// Inserts the BM25 contribution of a posting, without the weight of its term.
pub(crate) fn scoring(statement: &str) -> String {
    statement.replace("{bm25}", BM25.trim_end())
}

/// Inserts the columns of a hit, and where a passage begins.
pub(crate) fn showing(statement: &str) -> String {
    with_record_fields(&statement.replace("{hit}", HIT.trim_end()).replace("{starts_at}", STARTS_AT.trim_end()))
}

/// Inserts a whole record as one JSON object, either as exported or as kept for a restore.
pub(crate) fn exporting(statement: &str) -> String {
    with_record_fields(&statement.replace("{kept}", KEPT.trim_end()).replace("{exported}", EXPORTED.trim_end()))
}

/// Inserts the fields of a record, in each form that the statement names.
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

/// Inserts the part that records the failures in the statement's CTE `failing`.
pub(crate) fn recording_failures(statement: &str) -> String {
    statement.replace("{record_failures}", RECORD_FAILURES.trim_end())
}

/// Inserts the CTEs that give jobs their start tags.
pub(crate) fn enqueuing(statement: &str) -> String {
    statement.replace("{in_flow}", IN_FLOW.trim_end()).replace("{start}", START.trim_end())
}

/// Inserts the CTEs of a claim, the last of which are `claimed` and `served`.
pub(crate) fn claiming(statement: &str) -> String {
    statement.replace("{claim}", CLAIM.trim_end()).replace("{ahead}", "")
}

/// Inserts the CTEs of a claim ahead of the queue.
pub(crate) fn claiming_ahead(statement: &str) -> String {
    statement.replace("{claim}", CLAIM.trim_end()).replace("{ahead}", AHEAD.trim_end())
}
