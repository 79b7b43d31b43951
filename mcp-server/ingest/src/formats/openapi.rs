//! Descriptions of HTTP APIs (OpenAPI 3 and Swagger 2): one source for each operation.
//!
//! The searchable text is prose: the summary, the description, and the names of parameters, bodies
//! and responses. The record's details hold the whole schema, with its references resolved, for a
//! client that wants to call the operation.

mod details;
pub(super) mod fields;
mod resolve;
mod text;

use pgrecall_record::source::{MAX_FIELD_BYTES, MAX_TAGS, Record, RecordFields, SourceKind, TextFormat};
use serde_json::{Map, Value, json};

use self::resolve::Resolver;
use crate::{
    Part, Problem,
    batch::{Batcher, Stop},
    formats::json,
    origin::{Origin, bounded},
};

const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
/// Size limit, in bytes, of an operation's title.
const TITLE_BYTES: usize = 400;
/// Number of problems of one sort that a note names; the others are only counted.
const MAX_NAMED: usize = 8;

/// One operation, with the parts of the file that apply to it.
struct Operation<'a> {
    method: String,
    path: &'a str,
    /// The operation object.
    object: &'a Map<String, Value>,
    /// The path item object, which applies to each of its methods.
    beside: &'a Map<String, Value>,
    root: &'a Value,
}

impl Operation<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Returns a text field of the operation, if it is not empty.
    fn text(&self, name: &str) -> Option<&str> {
        json::text(self.object.get(name))
    }
}

/// Reads the operations of one file.
pub(super) fn read(origin: &Origin, root: &Value, out: &mut Batcher) -> Result<(), Stop> {
    let mut resolver = Resolver::new(root);
    let info =
        |name: &str| root.get("info").and_then(|info| info.get(name)).and_then(Value::as_str).unwrap_or_default();
    let (api, version) = (info("title").trim(), info("version").trim());
    let collection = bounded(api.to_owned(), MAX_FIELD_BYTES);
    let mut shortened = Vec::new();
    let mut count = 0;
    let paths = root.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let Some(item) = resolver.follow(item).as_object() else { continue };
        for (method, object) in
            item.iter().chain(item.get("additionalOperations").and_then(Value::as_object).into_iter().flatten())
        {
            let is_method = METHODS.contains(&method.as_str()) || !item.contains_key(method);
            let Some(object) = object.as_object().filter(|_| is_method) else { continue };
            let operation = Operation { method: method.to_ascii_uppercase(), path, object, beside: item, root };
            let (details, is_whole) = details::of(&operation, &mut resolver);
            if !is_whole {
                shortened.push(operation.name());
            }
            let mut record = record(&operation, details);
            record.fields.collection.clone_from(&collection);
            record.fields.key = Some(origin.key_of(&operation.name()));
            record.fields.uri = origin.url();
            record.fields.metadata = metadata(&operation, api, version);
            count += 1;
            out.record(origin.place(Part::Entry(bounded(operation.name(), TITLE_BYTES))), record, 0)?;
        }
    }
    if count == 0 {
        return Err("it describes no operation: there is nothing under `paths`".to_owned().into());
    }
    notes(resolver, shortened)
        .into_iter()
        .try_for_each(|note| out.problem(origin.place(Part::Whole), Problem::Noted(note)))
}

fn record(operation: &Operation<'_>, details: Map<String, Value>) -> Record {
    let name = operation.name();
    let title = operation.text("summary").map_or_else(|| name.clone(), |summary| format!("{name}: {summary}"));
    let tags = operation.object.get("tags").and_then(Value::as_array).into_iter().flatten();
    Record {
        fields: RecordFields {
            title: bounded(title.replace('\n', " "), TITLE_BYTES),
            tags: tags
                .filter_map(Value::as_str)
                .filter(|tag| tag.len() <= MAX_FIELD_BYTES)
                .map(str::to_owned)
                .take(MAX_TAGS)
                .collect(),
            ..RecordFields::default()
        },
        format: TextFormat::Markdown,
        body: text::of(operation, &details),
        details: Some(details),
        ..Record::new(SourceKind::ApiOperation, "")
    }
}

fn metadata(operation: &Operation<'_>, api: &str, version: &str) -> Map<String, Value> {
    let mut metadata = Map::new();
    let deprecated = operation.object.get("deprecated").and_then(Value::as_bool).unwrap_or_default();
    for (name, value) in [
        ("operation_id", json!(operation.text("operationId"))),
        ("method", json!(operation.method)),
        ("path", json!(operation.path)),
        ("api", json!((!api.is_empty()).then(|| bounded(api.to_owned(), MAX_FIELD_BYTES)))),
        ("version", json!((!version.is_empty()).then(|| bounded(version.to_owned(), MAX_FIELD_BYTES)))),
        ("deprecated", json!(deprecated)),
    ] {
        if !value.is_null() {
            metadata.insert(name.to_owned(), value);
        }
    }
    metadata
}

/// Makes notes for a person about unresolved references and shortened schemas.
fn notes(resolver: Resolver<'_>, shortened: Vec<String>) -> Vec<String> {
    let some = |names: &[String]| {
        let more = names.len().saturating_sub(MAX_NAMED);
        let named: Vec<_> =
            names.iter().take(MAX_NAMED).map(|name| format!("`{}`", bounded(name.clone(), 200))).collect();
        if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
    };
    let mut notes = Vec::new();
    let (broken, outside) = resolver.unresolved();
    if !broken.is_empty() {
        notes.push(format!("nothing is found under {}: these references were left as they are", some(&broken)));
    }
    if !outside.is_empty() {
        let names = some(&outside);
        notes.push(format!(
            "references to other files are not followed, and were left as they are: {names}; bundle the file"
        ));
    }
    if !shortened.is_empty() {
        let names = some(&shortened);
        notes.push(format!(
            "the schema of {names} is too large to be kept whole: its deeper references were left as they are"
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
