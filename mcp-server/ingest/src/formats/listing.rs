//! Lists of tools and of prompts, as an MCP server returns them: one source for each item.
//!
//! A name is unique only within its list, so each list is a collection of its own, named after its
//! file, and the file's path is in the key: two folders may have a file of one name.

use pgrecall_record::source::{MAX_DETAILS_BYTES, MAX_FIELD_BYTES, Record, SourceKind, TextFormat};
use serde_json::{Map, Value};

use crate::{
    Part,
    batch::{Batcher, Stop},
    formats::{document::TITLE_BYTES, json::text, openapi::fields},
    origin::{Origin, bounded},
};

/// Reads the tools in the result of a `tools/list`.
pub(super) fn tools(origin: &Origin, tools: &[Value], out: &mut Batcher) -> Result<(), Stop> {
    each(origin, tools, out, |tool| {
        let mut body = paragraphs(tool, &["description"]);
        let arguments = tool.get("inputSchema").map(fields::list).unwrap_or_default();
        if !arguments.is_empty() {
            body.push_str(&format!("\n\n## Arguments\n\n{arguments}"));
        }
        let details = taken(tool, &["inputSchema", "outputSchema", "annotations"]);
        Record { details: Some(details), format: TextFormat::Markdown, ..Record::new(SourceKind::Tool, body) }
    })
}

/// Reads the prompts in the result of a `prompts/list`, or in a list that also has their texts.
pub(super) fn prompts(origin: &Origin, prompts: &[Value], out: &mut Batcher) -> Result<(), Stop> {
    each(origin, prompts, out, |prompt| {
        let mut body = paragraphs(prompt, &["description", "text"]);
        for message in prompt.get("messages").and_then(Value::as_array).into_iter().flatten() {
            let content = message.get("content");
            let text = content.and_then(|content| content.get("text").or(Some(content))).and_then(Value::as_str);
            if let Some(text) = text {
                body.push_str(&format!("\n\n{text}"));
            }
        }
        let details = taken(prompt, &["arguments", "messages"]);
        Record { details: Some(details), ..Record::new(SourceKind::Prompt, body.trim_start()) }
    })
}

fn each(origin: &Origin, items: &[Value], out: &mut Batcher, record: impl Fn(&Value) -> Record) -> Result<(), Stop> {
    let collection = bounded(origin.stem(), MAX_FIELD_BYTES);
    for (number, item) in items.iter().enumerate() {
        let Some(name) = text(item.get("name")) else {
            let place = origin.place(Part::Entry(format!("item {}", number + 1)));
            out.problem(place, "it has no `name`, which is a text: give it one".to_owned())?;
            continue;
        };
        let title = text(item.get("title")).or_else(|| text(item.get("annotations")?.get("title")));
        let title = title.map_or_else(|| name.to_owned(), |title| format!("{name}: {title}"));
        let mut record = record(item);
        record.fields.key = Some(origin.key_of(name));
        record.fields.title = bounded(title, TITLE_BYTES);
        record.fields.collection.clone_from(&collection);
        record.fields.uri = origin.url();
        out.record(origin.place(Part::Entry(bounded(name.to_owned(), TITLE_BYTES))), record, 0)?;
    }
    Ok(())
}

fn paragraphs(item: &Value, names: &[&str]) -> String {
    names.iter().filter_map(|name| text(item.get(name))).collect::<Vec<_>>().join("\n\n")
}

/// Copies these parts of an item, as long as they fit into a record's details.
fn taken(item: &Value, names: &[&str]) -> Map<String, Value> {
    let mut details = Map::new();
    let mut left = MAX_DETAILS_BYTES - 1024;
    for name in names {
        let Some(value) = item.get(name).filter(|value| !value.is_null()) else { continue };
        let bytes = value.to_string().len();
        if bytes < left {
            left -= bytes;
            details.insert((*name).to_owned(), value.clone());
        }
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Options, Problem,
        batch::{Batch, gather},
        ingest::read_origin,
        origin::from_bytes,
    };

    fn ingest(name: &str, json: &str, named: bool) -> Batch {
        let mut batch = Batch::default();
        from_bytes(name, json.as_bytes(), named, |origin| {
            batch = gather(|out| read_origin(origin, &Options::default(), out).map(|_| ()));
        });
        batch
    }

    const TOOLS: &str = r#"{"tools": [
        {"name": "orders_find", "title": "Find orders", "description": "Finds orders.",
         "inputSchema": {"type": "object", "required": ["since"],
            "properties": {"since": {"type": "string", "description": "A day."}, "limit": {"type": "integer"}}},
         "annotations": {"readOnlyHint": true}},
        {"name": "orders_cancel", "inputSchema": {"type": "object"}}]}"#;

    #[test]
    fn a_list_of_tools_is_one_source_a_tool() {
        for text in [TOOLS.to_owned(), format!("{{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {TOOLS}}}")] {
            let records = ingest("shop.json", &text, false).records;
            let record = &records[0].1;
            assert_eq!((records.len(), record.kind), (2, SourceKind::Tool));
            assert!(record.fields.key.as_deref().unwrap().ends_with("shop.json#orders_find"));
            assert_eq!(record.fields.title, "orders_find: Find orders");
            assert_eq!(
                record.body,
                "Finds orders.\n\n## Arguments\n\n- `since` (string, required): A day.\n- `limit` (integer)\n"
            );
            let details = record.details.as_ref().unwrap();
            assert_eq!(details["inputSchema"]["properties"]["limit"]["type"], "integer");
            assert_eq!(details["annotations"]["readOnlyHint"], true);
            assert!(record.fields.collection.ends_with("-shop"), "{}", record.fields.collection);
        }
    }

    #[test]
    fn a_list_of_prompts_is_one_source_a_prompt() {
        let text = r#"{"prompts": [
            {"name": "greet", "description": "Says hello.", "text": "Hello, {{who}}!", "arguments": [{"name": "who", "required": true}]},
            {"name": "ask", "messages": [{"role": "user", "content": {"type": "text", "text": "Why?"}}]}]}"#;
        let records = ingest("prompts.json", text, true).records;
        assert_eq!(records[0].1.body, "Says hello.\n\nHello, {{who}}!");
        assert_eq!(records[0].1.details.as_ref().unwrap()["arguments"][0]["name"], "who");
        assert_eq!((records[1].1.kind, records[1].1.body.as_str()), (SourceKind::Prompt, "Why?"));
    }

    #[test]
    fn an_item_without_a_name_is_named_by_its_number_and_the_others_are_read() {
        for bad in [r#"{"description": "no name"}"#, r#"{"name": 5}"#, r#"{"name": " "}"#, "7", "null"] {
            for list in ["tools", "prompts"] {
                let text = format!(
                    r#"{{"{list}": [{{"name": "a", "description": "A"}}, {bad}, {{"name": "b", "description": "B"}}]}}"#
                );
                let batch = ingest("bad-item.json", &text, false);
                let titles: Vec<_> = batch.records.iter().map(|(_, record)| record.fields.title.as_str()).collect();
                assert_eq!(titles, ["a", "b"], "{text}");
                let (place, problem) = &batch.problems[0];
                assert_eq!((batch.problems.len(), &place.part), (1, &Part::Entry("item 2".to_owned())), "{text}");
                assert!(matches!(problem, Problem::Broken(why) if why.contains("`name`")), "{problem:?}");
            }
        }
    }

    #[test]
    fn other_json_is_passed_over_in_a_folder_and_refused_by_name() {
        for text in [r#"{"name": "package", "version": "1"}"#, r#"{"tools": {"a": 1}}"#, r#"{"prompts": [1]}"#, "[]"] {
            let batch = ingest("other.json", text, false);
            assert_eq!((batch.records.len(), batch.problems.len(), batch.other_files), (0, 0, 1), "{text}");
            let Problem::Broken(said) = &ingest("other.json", text, true).problems[0].1 else { panic!("taken") };
            assert!(said.contains("JSONL"), "{said}");
        }
        assert!(matches!(&ingest("half.json", "{\"tools\": [", true).problems[0].1, Problem::Broken(_)));
        assert_eq!(ingest("values.yaml", "replicas: 2\n", false).other_files, 1);
    }
}
