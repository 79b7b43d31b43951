//! Converts a record to the line that `export` writes, and back. A forgotten record is kept as such
//! a line, and an import reads these lines.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Past, Record, RecordFields, SourceKind, Status, TextFormat, Visibility};

/// The line that sql/fragments/exported.sql makes.
#[derive(Debug, Deserialize)]
struct Line {
    id: Uuid,
    kind: SourceKind,
    #[serde(default)]
    text: String,
    #[serde(default)]
    format: TextFormat,
    visibility: Visibility,
    #[serde(flatten)]
    fields: RecordFields,
    persona: Option<String>,
    #[serde(default)]
    status: Status,
    superseded_by: Option<Uuid>,
    last_verified: Option<Timestamp>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    details: Option<Map<String, Value>>,
    /// Only in an export of the records of every owner.
    owner: Option<String>,
}

/// Parses a line into a record, with its [`Past`].
pub fn record(line: &str) -> Result<Record, serde_json::Error> {
    Ok(of(serde_json::from_str(line)?, None))
}

/// Parses the `line` of a row into a record, and adds the owner and the author, which are columns
/// of the row.
pub(crate) fn of_row(row: &Row) -> Record {
    let mut record = record(row.get("line")).expect("what a statement of ours makes of a record is one");
    let owner = Some((row.get("owner_id"), row.get("persona")));
    let written_by = row.get("written_by");
    record.past = record.past.map(|past| Past { owner, written_by, ..past });
    record
}

/// Parses a line into a record that belongs to the importing caller: it keeps its past and its
/// persona, but not its owner.
pub fn imported(line: &str, by: &Scope) -> Result<Record, serde_json::Error> {
    let line: Line = serde_json::from_str(line)?;
    let persona = line.persona.clone().or_else(|| by.persona.clone());
    Ok(of(line, Some((by.owner.clone(), persona))))
}

/// Parses a line into a record of the owner that the line names, or of the importing caller if it
/// names none.
pub fn imported_for_its_owner(line: &str, by: &Scope) -> Result<Record, serde_json::Error> {
    let line: Line = serde_json::from_str(line)?;
    let owner = match &line.owner {
        Some(owner) => (owner.clone(), line.persona.clone()),
        None => (by.owner.clone(), line.persona.clone().or_else(|| by.persona.clone())),
    };
    Ok(of(line, Some(owner)))
}

/// Makes a record of a line, with the owner and persona that it belonged to.
fn of(line: Line, owner: Option<(String, Option<String>)>) -> Record {
    let past = Past {
        id: line.id,
        owner,
        // Never taken from a file: an importer could attribute its own text to someone else.
        written_by: None,
        status: line.status,
        superseded_by: line.superseded_by,
        created_at: line.created_at,
        updated_at: line.updated_at,
        last_verified: line.last_verified,
    };
    Record {
        format: line.format,
        visibility: line.visibility,
        fields: line.fields,
        details: line.details,
        past: Some(past),
        ..Record::new(line.kind, line.text)
    }
}
