//! The statements, read from `sql/` when the program is built.
//!
//! No SQL text stands in the Rust code: [`sql!`] names a file of `sql/queries`. Two kinds of placeholder are filled in before a
//! statement is sent, neither of them with a caller's data: a space's table, and the fragments that several statements share.

use crate::spaces::SpaceId;

/// The text of `sql/queries/NAME.sql`.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/queries/", $name, ".sql"))
    };
}
pub(crate) use sql;

const FILTER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/filter.sql"));
const FIELDS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/fields.sql"));
const LABELS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/labels.sql"));
const SCOPE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/scope.sql"));
const SCOPE_OF_LABELS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/scope_of_labels.sql"));

const HIT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/hit.sql"));

const EXPORTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/exported.sql"));

const SOURCE_ROWS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/source_rows.sql"));

const CLAIM: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/claim.sql"));

const RECORD_FAILURES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/record_failures.sql"));

const BEST_PASSAGES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/fragments/best_passages.sql"));

/// The statement on this space's table: `{vectors}` becomes `vectors_7`.
pub(crate) fn on_space(statement: &str, space: SpaceId) -> String {
    statement.replace("{best_passages}", BEST_PASSAGES).replace("{vectors}", &space.table())
}

/// The statement with the conditions that every recall shares. A scope that labels narrow begins at the labels, since the planner
/// cannot choose between two ways into an `OR`; without labels or fields their conditions are left out, which no row then has to be asked.
pub(crate) fn filtered(statement: &str, by_labels: bool, by_fields: bool) -> String {
    let (scope, labels) = if by_labels { (SCOPE_OF_LABELS, LABELS) } else { (SCOPE, "") };
    let fields = if by_fields { FIELDS } else { "" };
    let filter = FILTER.replace("{labels}", labels).replace("{fields}", fields);
    statement.replace("{scope}", scope).replace("{filter}", &filter).replace("{fields}", fields)
}

/// The statement with the columns of a hit.
pub(crate) fn showing(statement: &str) -> String {
    statement.replace("{hit}", HIT.trim_end())
}

/// The statement with a whole record as one JSON object.
pub(crate) fn exporting(statement: &str) -> String {
    statement.replace("{exported}", EXPORTED.trim_end())
}

/// The statement over the rows that a write sends: `r`.
pub(crate) fn of_source_rows(statement: &str) -> String {
    statement.replace("{source_rows}", SOURCE_ROWS.trim_end())
}

/// The statement with the record of what it makes fail: its CTE `failing`.
pub(crate) fn recording_failures(statement: &str) -> String {
    statement.replace("{record_failures}", RECORD_FAILURES.trim_end())
}

/// The statement with the CTEs of a claim, the last of which is `claimed`.
pub(crate) fn claiming(statement: &str) -> String {
    statement.replace("{claim}", CLAIM.trim_end())
}
