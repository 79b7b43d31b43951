//! Lists the fields of a schema for people and embedders.

use serde_json::Value;

/// Number of fields that are listed for one schema. The details hold the others.
const MAX_FIELDS: usize = 80;
/// Depth of nested fields that are listed.
const MAX_DEPTH: usize = 3;
/// Size limit, in bytes, of a field's description: its first words say what the field is.
const DESCRIPTION_BYTES: usize = 300;

/// Lists a schema's fields, one a line: name, type, whether it is required, and description.
pub(crate) fn list(schema: &Value) -> String {
    let mut lines = Vec::new();
    collect(schema, "", 0, &mut lines);
    lines.concat()
}

/// Formats one line of the list.
pub(super) fn line(name: &str, parts: &[&str], description: Option<&str>) -> String {
    let parts: Vec<_> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    let description = description.map(one_line).filter(|text| !text.is_empty());
    let description = description.map_or_else(String::new, |text| format!(": {text}"));
    format!("- `{name}`{parts}{description}\n")
}

/// Describes a schema's type in a few words.
pub(super) fn type_of(schema: &Value) -> String {
    let named = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ if schema.get("properties").is_some() => "object".to_owned(),
        _ => String::new(),
    };
    match schema.get("items") {
        Some(items) if named == "array" => {
            let of = items.get("type").and_then(Value::as_str).unwrap_or_default();
            if of.is_empty() { named } else { format!("array of {of}") }
        }
        _ => named,
    }
}

fn collect(schema: &Value, prefix: &str, depth: usize, lines: &mut Vec<String>) {
    if depth > MAX_DEPTH || lines.len() >= MAX_FIELDS {
        return;
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let required = schema.get("required").and_then(Value::as_array);
    for (name, property) in properties {
        if lines.len() >= MAX_FIELDS {
            return;
        }
        let path = format!("{prefix}{name}");
        let is_required = required.is_some_and(|names| names.iter().any(|required| required == name.as_str()));
        let description = property.get("description").and_then(Value::as_str);
        lines.push(line(&path, &[&type_of(property), if is_required { "required" } else { "" }], description));
        collect(property, &format!("{path}."), depth + 1, lines);
    }
    if let Some(items) = schema.get("items") {
        collect(items, prefix, depth + usize::from(prefix.is_empty()), lines);
    }
    for together in ["allOf", "oneOf", "anyOf"] {
        for part in schema.get(together).and_then(Value::as_array).into_iter().flatten() {
            collect(part, prefix, depth + 1, lines);
        }
    }
}

fn one_line(text: &str) -> String {
    crate::origin::bounded(text.split_whitespace().collect::<Vec<_>>().join(" "), DESCRIPTION_BYTES)
}
