//! The audit log: caller, tool, time, duration and outcome of each call, but none of the text in
//! it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use pgrecall_postgres::db::{Db, DbError, Role, Transaction};
use pgrecall_postgres::{parameters, sql};

/// Maximum number of record ids in one entry.
pub const MAX_RECORDS: usize = 100;

/// The entry of one call. Its JSON form is the format of the spill file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The id of the entry. An entry that is written twice is stored once.
    pub id: Uuid,
    /// The time at which the call began.
    pub at: Timestamp,
    /// The caller's tenant.
    pub tenant: String,
    /// The caller's name.
    pub caller: String,
    /// The tool that was called.
    pub tool: String,
    /// The outcome.
    pub outcome: Cow<'static, str>,
    /// The duration in milliseconds.
    pub took_ms: f32,
    /// The shape of the arguments: see [`shape`].
    pub arguments: Value,
    /// The ids of the records that the arguments and the answer name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Uuid>,
}

/// Collects the ids of records that arguments or an answer name. Only UUIDs in id fields are
/// collected, so no text gets into the log.
pub fn collect_ids(fields: &Map<String, Value>, found: &mut Vec<Uuid>) {
    for (name, value) in fields {
        let values = if let Value::Array(items) = value { items } else { std::slice::from_ref(value) };
        for value in values {
            match value {
                Value::String(text) if is_id_field(name) => add_id(text, found),
                // Metadata is the caller's own free data; ids in it are not ids of records.
                Value::Object(fields) if name != "metadata" => collect_ids(fields, found),
                _ => {}
            }
        }
    }
}

fn is_id_field(name: &str) -> bool {
    ["id", "ids", "supersedes", "superseded", "restored", "verified", "updated"].contains(&name)
}

fn add_id(text: &str, found: &mut Vec<Uuid>) {
    if let Ok(id) = Uuid::parse_str(text)
        && found.len() < MAX_RECORDS
        && !found.contains(&id)
    {
        found.push(id);
    }
}

/// The largest absolute number that is logged as it is: limits and the like. A larger one may
/// identify someone.
const MAX_LOGGED_NUMBER: f64 = 100_000.0;

/// Describes arguments without their content. For arguments that the tool declares (`known`), it
/// gives types and sizes; for others only their number, since the caller chose their names.
pub fn shape(arguments: &Map<String, Value>, known: &Map<String, Value>) -> Value {
    let of = |value: &Value| match value {
        Value::String(text) => format!("text of {}", text.chars().count()).into(),
        Value::Array(items) => format!("list of {}", items.len()).into(),
        Value::Object(fields) => format!("object of {}", fields.len()).into(),
        Value::Number(number) if number.as_f64().is_none_or(|number| number.abs() > MAX_LOGGED_NUMBER) => {
            "number".into()
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
    };
    let (ours, others): (Vec<_>, Vec<_>) = arguments.iter().partition(|(name, _)| known.contains_key(*name));
    let mut shape: Map<String, Value> = ours.into_iter().map(|(name, value)| (name.clone(), of(value))).collect();
    if !others.is_empty() {
        shape.insert("(unknown)".to_owned(), others.len().into());
    }
    Value::Object(shape)
}

/// Appends a batch of entries. Entries whose ids are already stored are left unchanged.
pub async fn write(db: &Db, entries: &[Entry]) -> Result<(), DbError> {
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    let records: Vec<String> =
        entries.iter().map(|entry| entry.records.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",")).collect();
    let at: Vec<Timestamp> = entries.iter().map(|entry| entry.at).collect();
    let text = |of: fn(&Entry) -> &str| entries.iter().map(of).collect::<Vec<_>>();
    let took: Vec<f32> = entries.iter().map(|entry| entry.took_ms).collect();
    let arguments: Vec<&Value> = entries.iter().map(|entry| &entry.arguments).collect();
    let (tenants, callers) = (text(|entry| &entry.tenant), text(|entry| &entry.caller));
    let (tools, outcomes) = (text(|entry| &entry.tool), text(|entry| &entry.outcome));
    let parameters = parameters![ids, at, tenants, callers, tools, outcomes, took, arguments, records];
    let write = async |transaction: Transaction| {
        transaction.query_typed(sql!("write_audit"), parameters).await?;
        Ok(())
    };
    // Uses a reserved connection: calls must not prevent their own entries from being written.
    db.reserved().run(Role::Worker, write).await
}

/// Deletes entries older than `days` days.
pub async fn retain(db: &Db, days: i32) -> Result<(), DbError> {
    db.run_while_more(sql!("drop_audit"), parameters![days]).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_of_records_are_found_and_nothing_else_is_taken_for_one() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let answer = json!({
            "id": a.to_string(), "ids": [b.to_string(), "a secret"], "text": c.to_string(), "metadata": {"id": c.to_string()},
            "memories": [{"id": a.to_string(), "content": "x"}, {"id": "not one"}],
        });
        let mut found = Vec::new();
        collect_ids(answer.as_object().unwrap(), &mut found);
        assert_eq!(found, [a, b]);
        let many: Vec<String> = (0..500).map(|n| Uuid::from_u128(n).to_string()).collect();
        collect_ids(json!({ "ids": many }).as_object().unwrap(), &mut found);
        assert_eq!(found.len(), MAX_RECORDS);
    }

    #[test]
    fn a_shape_tells_how_much_was_said_and_not_what() {
        let arguments =
            json!({"query": "geheim", "limit": 5, "tags": ["a", "b"], "filter": {"salary": 7}, "explain": true});
        let known = json!({"query": 0, "limit": 0, "tags": 0, "filter": 0, "explain": 0, "max_tokens": 0});
        let said = |arguments: Value| shape(arguments.as_object().unwrap(), known.as_object().unwrap());
        let expected =
            json!({"query": "text of 6", "limit": 5, "tags": "list of 2", "filter": "object of 1", "explain": true});
        assert_eq!(said(arguments), expected);
        let telling = json!({"my password is geheim": 1, "\u{0}": 2, "max_tokens": 4_111_111_111_111_111_u64});
        assert_eq!(said(telling), json!({"max_tokens": "number", "(unknown)": 2}));
    }
}
