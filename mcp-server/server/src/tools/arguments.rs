//! Checks a call's arguments against the tool's schema before they are parsed.
//!
//! serde stops at the first problem, and its message names a type but not always the argument. With
//! all problems, each by the argument's name and with the valid names or values, a model can
//! correct its call in one step. The check understands only the flat schemas of our own tools.
//!
//! Hosts and models send what they mean in another JSON type, such as a list as a text of JSON. A
//! value that can mean only one thing is converted first ([`convert`]).

mod convert;

use pgrecall_record::source::SourceKind;
use rmcp::model::JsonObject;
use serde_json::Value;

/// Number of problems that are reported. A call with more is wrong altogether.
const MAX_PROBLEMS: usize = 10;
/// Bytes of a name or value that a sentence repeats.
const MAX_QUOTED: usize = 100;

/// Checks `arguments`, converts them, and removes those that are null, the text of a null where no
/// text is declared, or blank and not required.
///
/// Models send blanks for arguments that they do not use. Returns notes about what was read in
/// another way than it was written. The error has a sentence for each problem.
pub(crate) fn check(schema: &JsonObject, arguments: &mut JsonObject) -> Result<Vec<String>, String> {
    let empty = JsonObject::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
    arguments.retain(|name, value| {
        let is_null =
            value.is_null() || properties.get(name).is_some_and(|property| convert::is_null_text(property, value));
        !is_null && (required.contains(&name.as_str()) || !is_blank(value))
    });
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    for (name, value) in arguments.iter_mut() {
        let Some(property) = properties.get(name) else {
            problems.push(unknown(name, properties));
            continue;
        };
        match convert::to_declared(name, property, value) {
            Ok(converted) => {
                notes.extend(converted);
                problems.extend(mismatch(name, property, value));
                notes.extend(convert::time_notes(name, value));
            }
            Err(problem) => problems.push(problem),
        }
    }
    for name in required.into_iter().filter(|name| !arguments.contains_key(*name)) {
        problems.push(format!("`{name}` is missing"));
    }
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    problems.truncate(MAX_PROBLEMS);
    if more > 0 {
        problems.push(format!("and {more} more problems"));
    }
    if problems.is_empty() { Ok(notes) } else { Err(problems.join("; ")) }
}

/// Returns the beginning of a text that a sentence repeats.
fn quoted(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_QUOTED)]
}

fn unknown(name: &str, properties: &JsonObject) -> String {
    let name = quoted(name);
    match properties.len() {
        0 => format!("there is no argument `{name}`: this tool takes none"),
        _ => {
            let names: Vec<_> = properties.keys().map(String::as_str).collect();
            format!("there is no argument `{name}`: use {}", names.join(", "))
        }
    }
}

/// Returns the problem of a value, if it has one.
fn mismatch(name: &str, property: &Value, value: &Value) -> Option<String> {
    let wanted = property.get("type").and_then(Value::as_str)?;
    let fits = match wanted {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    if !fits {
        let article = if ["integer", "array", "object"].contains(&wanted) { "an" } else { "a" };
        return Some(format!("`{name}` must be {article} {wanted}, and {} was given", described(value)));
    }
    if name.ends_with("[]") && value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Some(format!("`{name}` holds a blank: leave it out"));
    }
    if let Some(allowed) = property.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
        return Some(format!("`{name}` is {}: use one of {}", quoted(&value.to_string()), allowed.join(", ")));
    }
    if let Some(number) = value.as_f64() {
        let bound = |key: &str| property.get(key).and_then(Value::as_f64);
        let (low, high) = (bound("minimum"), bound("maximum"));
        if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
            return Some(match (low, high) {
                (Some(low), Some(high)) => format!("`{name}` is {value}: it must lie between {low} and {high}"),
                (Some(low), None) => format!("`{name}` is {value}: it must be at least {low}"),
                _ => format!("`{name}` is {value}: it is too large"),
            });
        }
    }
    let items = value.as_array()?;
    items.iter().find_map(|item| mismatch(&format!("{name}[]"), property.get("items")?, item))
}

fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Parses the names of kinds.
pub(crate) fn kinds(names: &[String]) -> Result<Vec<SourceKind>, String> {
    let parse = |name: &String| {
        SourceKind::parse(&name.trim().to_ascii_lowercase()).ok_or_else(|| {
            let known = SourceKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
            format!("`{}` is not a kind: use one of {known}", quoted(name))
        })
    };
    names.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(arguments: Value) -> Result<JsonObject, String> {
        let schema = json!({"required": ["query"], "properties": {
            "query": {"type": "string"},
            "strategy": {"type": "string", "enum": ["auto", "lexical"]},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            "tags": {"type": "array", "items": {"type": "string"}},
            "filter": {"type": "object"},
        }});
        let mut arguments = rmcp::model::object(arguments);
        check(&rmcp::model::object(schema), &mut arguments).map(|_| arguments)
    }

    #[test]
    fn good_arguments_pass_and_null_means_not_given() {
        for nothing in [json!(null), json!(""), json!(" ")] {
            let arguments = checked(
                json!({"query": " ", "limit": 100.0, "tags": ["a"], "filter": {"a": [1]}, "strategy": nothing}),
            );
            let arguments = arguments.unwrap();
            assert!(!arguments.contains_key("strategy") && arguments.contains_key("query"));
            assert_eq!(arguments["limit"], json!(100), "an integer, whole as it is");
        }
    }

    #[test]
    fn each_problem_is_named_by_its_argument() {
        let said =
            checked(json!({"q": "x", "limit": 0, "strategy": "psychic", "tags": [1], "filter": "a"})).unwrap_err();
        for part in [
            "no argument `q`: use query, strategy, limit, tags, filter",
            "`limit` is 0: it must lie between 1 and 100",
            "`strategy` is \"psychic\": use one of auto, lexical",
            "`tags[]` must be a string, and an integer was given",
            "`filter` must be an object, and a string was given",
            "`query` is missing",
        ] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        assert!(checked(json!({"query": "q", "limit": 10_000})).unwrap_err().contains("between 1 and 100"));
        assert!(checked(json!({"query": "q", "tags": ["a", " "]})).unwrap_err().contains("holds a blank"));
        assert!(checked(json!({"query": "q", "limit": 1.5})).unwrap_err().contains("a fraction"));
    }
}
