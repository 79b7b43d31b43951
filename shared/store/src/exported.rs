//! A record as `export` writes it, and back: what is kept of a forgotten record, and what an import reads.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Past, Record, RecordFields, SourceKind, Status, TextFormat, Visibility};

/// The line of sql/fragments/exported.sql.
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
    /// Only in an export of every owner's records.
    owner: Option<String>,
}

/// The record of a line, with its past.
pub fn record(line: &str) -> Result<Record, serde_json::Error> {
    Ok(of(serde_json::from_str(line)?))
}

/// The record of a row that has its `line`, and says whose it is and who wrote it.
pub(crate) fn of_row(row: &Row) -> Record {
    let mut record = record(row.get("line")).expect("what a statement of ours makes of a record is one");
    let owner = Some((row.get("owner_id"), row.get("persona")));
    let written_by = row.get("written_by");
    record.past = record.past.map(|past| Past { owner, written_by, ..past });
    record
}

/// The record of a line as its importer's own: with its past and its persona, and another owner.
pub fn imported(line: &str, by: &Scope) -> Result<Record, serde_json::Error> {
    let line: Line = serde_json::from_str(line)?;
    let persona = line.persona.clone().or_else(|| by.persona.clone());
    let mut record = of(line);
    if let Some(past) = &mut record.past {
        past.owner = Some((by.owner.clone(), persona));
    }
    Ok(record)
}

/// The record of a line as its owner's, where the line says whose it is, and else as its importer's.
pub fn imported_for_its_owner(line: &str, by: &Scope) -> Result<Record, serde_json::Error> {
    let line: Line = serde_json::from_str(line)?;
    let owner = match &line.owner {
        Some(owner) => (owner.clone(), line.persona.clone()),
        None => (by.owner.clone(), line.persona.clone().or_else(|| by.persona.clone())),
    };
    let mut record = of(line);
    if let Some(past) = &mut record.past {
        past.owner = Some(owner);
    }
    Ok(record)
}

fn of(line: Line) -> Record {
    let past = Past {
        id: line.id,
        owner: None,
        // Never from a file: an importer could put words into somebody else's mouth.
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
