//! Prompts with front matter: name, description and arguments.

use pgrecall_record::source::{MAX_DETAILS_BYTES, Record};
use serde_json::{Map, Value, json};

use super::FrontMatter;

/// Makes a prompt of a record whose text has this front matter.
pub(crate) fn prompt(record: &mut Record, mut front: FrontMatter) {
    let arguments = arguments(front.take("arguments").as_ref());
    let name = front.take_text("name");
    let messages = json!([{"role": "user", "content": {"type": "text", "text": record.body.trim()}}]);
    front.apply(record);
    if record.fields.title.is_empty() {
        record.fields.title = name.unwrap_or_default();
    }
    let mut details = Map::new();
    details.insert("arguments".to_owned(), arguments);
    // The factor 2 leaves room for JSON's escapes. A longer text is in the body only.
    if record.body.len() * 2 < MAX_DETAILS_BYTES {
        details.insert("messages".to_owned(), messages);
    }
    record.details = Some(details);
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
    use crate::formats::front_matter::split;
    use pgrecall_record::source::SourceKind;

    fn made(front: &str) -> Record {
        let text = format!("---\n{front}\n---\nSummarise {{{{text}}}}.\n");
        let (front, body) = split(&text);
        let mut record = Record::new(SourceKind::Prompt, body);
        prompt(&mut record, front.unwrap());
        record
    }

    #[test]
    fn a_prompts_front_matter_names_it_and_its_arguments() {
        let front = "name: summarise\ndescription: Makes it short.\narguments:\n  - name: text\n    required: true\n  - tone\ntags: [writing]\n";
        let record = made(front);
        assert_eq!(
            (record.fields.title.as_str(), record.fields.tags.as_slice()),
            ("summarise", &["writing".to_owned()][..])
        );
        assert_eq!(record.body, "Makes it short.\n\nSummarise {{text}}.\n");
        let details = record.details.unwrap();
        assert_eq!(details["arguments"], json!([{"name": "text", "required": true}, {"name": "tone"}]));
        assert_eq!(details["messages"][0]["content"]["text"], "Summarise {{text}}.");
        let mapping = made("arguments: {text: What to shorten., tone: {required: true}}").details.unwrap();
        assert_eq!(mapping["arguments"][0], json!({"name": "text", "description": "What to shorten."}));
        assert_eq!(mapping["arguments"][1], json!({"required": true, "name": "tone"}));
    }
}
