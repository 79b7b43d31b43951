//! The YAML between two `---` lines at the beginning of a Markdown file.

use pgrecall_record::source::{MAX_DETAILS_BYTES, MAX_TAGS, Record};
use serde_json::{Map, Value, json};

use super::yaml;

/// Splits a text into its front matter and the rest.
///
/// A line in `ends` ends the front matter. Front matter longer than `limit` bytes counts as text.
pub(crate) fn split<'t>(text: &'t str, ends: &[&str], limit: usize) -> (Option<&'t str>, &'t str) {
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else {
        return (None, text);
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if at > limit {
            break;
        }
        if ends.contains(&line.trim_end()) {
            return (Some(&rest[..at]), &rest[at + line.len()..]);
        }
        at += line.len();
    }
    (None, text)
}

/// Returns the title in the front matter.
///
/// It reads the one line, not YAML: many generators write front matter that is not valid YAML.
pub(super) fn title(front: &str) -> Option<String> {
    let title = front.lines().find_map(|line| line.strip_prefix("title:"))?.trim();
    let title = ['"', '\''].iter().find_map(|quote| title.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(title);
    (!title.is_empty()).then(|| title.to_owned())
}

/// Makes a prompt of a record whose text has this front matter: name, description and arguments.
pub(super) fn prompt(record: &mut Record, front: &str) -> Result<(), String> {
    let front = match yaml::read(front).map_err(|why| format!("its front matter is not YAML ({why}): fix it"))? {
        Value::Object(front) => front,
        Value::Null => Map::new(),
        _ => return Err("its front matter is not a mapping: write `name:`, `description:` and `arguments:`".to_owned()),
    };
    let text = |name: &str| super::json::text(front.get(name));
    if let Some(title) = text("title").or(text("name")) {
        record.fields.title = crate::origin::bounded(title.to_owned(), 200);
    }
    record.fields.tags = front.get("tags").and_then(Value::as_array).map_or_else(Vec::new, |tags| {
        tags.iter().filter_map(Value::as_str).map(str::to_owned).take(MAX_TAGS).collect()
    });
    let messages = json!([{"role": "user", "content": {"type": "text", "text": record.body.trim()}}]);
    if let Some(description) = text("description") {
        record.body = format!("{description}\n\n{}", record.body.trim_start());
    }
    let mut details = Map::new();
    details.insert("arguments".to_owned(), arguments(front.get("arguments")));
    // The factor 2 leaves room for JSON's escapes. A longer text is in the body only.
    if record.body.len() * 2 < MAX_DETAILS_BYTES {
        details.insert("messages".to_owned(), messages);
    }
    record.details = Some(details);
    Ok(())
}

/// Converts arguments to the form of a list of prompts.
///
/// An item may be only a name, and a mapping has the details of each name.
fn arguments(given: Option<&Value>) -> Value {
    let named = |name: &str, rest: &Value| match rest {
        Value::Object(rest) => {
            let mut argument = rest.clone();
            argument.entry("name").or_insert_with(|| json!(name));
            Value::Object(argument)
        }
        Value::String(description) => json!({"name": name, "description": description}),
        _ => json!({"name": name}),
    };
    match given {
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(name) => json!({"name": name}),
                other => other.clone(),
            })
            .collect(),
        Some(Value::Object(names)) => names.iter().map(|(name, rest)| named(name, rest)).collect(),
        _ => json!([]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgrecall_record::source::SourceKind;

    fn made(front: &str) -> Result<Record, String> {
        let mut record = Record::new(SourceKind::Prompt, "Summarise {{text}}.\n");
        prompt(&mut record, front).map(|()| record)
    }

    #[test]
    fn a_prompts_front_matter_names_it_and_its_arguments() {
        let front = "name: summarise\ndescription: Makes it short.\narguments:\n  - name: text\n    required: true\n  - tone\ntags: [writing]\n";
        let record = made(front).unwrap();
        assert_eq!(
            (record.fields.title.as_str(), record.fields.tags.as_slice()),
            ("summarise", &["writing".to_owned()][..])
        );
        assert_eq!(record.body, "Makes it short.\n\nSummarise {{text}}.\n");
        let details = record.details.unwrap();
        assert_eq!(details["arguments"], json!([{"name": "text", "required": true}, {"name": "tone"}]));
        assert_eq!(details["messages"][0]["content"]["text"], "Summarise {{text}}.");
        let mapping = made("arguments: {text: What to shorten., tone: {required: true}}").unwrap().details.unwrap();
        assert_eq!(mapping["arguments"][0], json!({"name": "text", "description": "What to shorten."}));
        assert_eq!(mapping["arguments"][1], json!({"required": true, "name": "tone"}));
    }

    #[test]
    fn front_matter_that_is_no_yaml_is_refused_with_its_line() {
        assert!(made("a: [").unwrap_err().contains("line"));
        assert!(made("just a text").unwrap_err().contains("mapping"));
    }
}
