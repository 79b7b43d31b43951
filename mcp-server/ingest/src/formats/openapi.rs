//! Descriptions of HTTP APIs (OpenAPI 3 and Swagger 2): one source for each operation.
//!
//! The searchable text is prose: the summary, the description, and the names of parameters, bodies
//! and responses. The record's details hold the whole schema, with its references resolved, for a
//! client that wants to call the operation.

mod details;
mod documents;
pub(super) mod fields;
mod items;
mod resolve;
mod text;

use std::path::PathBuf;

use pgrecall_record::source::{MAX_FIELD_BYTES, MAX_TAGS, Record, RecordFields, SourceKind, TextFormat};
use serde_json::{Map, Value, json};

use self::{documents::Documents, resolve::Resolver};
use crate::{
    Part, Problem,
    batch::{Batcher, Stop},
    formats::json,
    origin::{Origin, bounded},
};

/// Size limit, in bytes, of an operation's title.
const TITLE_BYTES: usize = 400;
/// Number of problems of one sort that a note names; the others are only counted.
const MAX_NAMED: usize = 8;

/// One operation, with the parts of the file that apply to it.
struct Operation<'a> {
    method: String,
    /// The path, the name of the webhook, or the name and the address of the callback.
    path: String,
    section: Section,
    /// The operation object.
    object: &'a Map<String, Value>,
    /// The path item object, which applies to each of its methods.
    beside: &'a Map<String, Value>,
    /// The index of the file that has these two objects.
    document: usize,
    root: &'a Value,
}

/// Where an operation is in its description.
#[derive(Debug, Clone, PartialEq)]
enum Section {
    Path,
    Webhook,
    /// Among the callbacks of the operation with this name.
    Callback(String),
}

impl Section {
    /// Returns the field that holds the operation's path or name.
    fn field(&self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Webhook => "webhook",
            Self::Callback(_) => "callback",
        }
    }
}

impl Operation<'_> {
    fn name(&self) -> String {
        let Self { method, path, section, .. } = self;
        match section {
            Section::Path => format!("{method} {path}"),
            Section::Webhook => format!("{method} {path} (webhook)"),
            Section::Callback(of) => format!("{method} {path} (callback of {of})"),
        }
    }

    /// Returns a text field of the operation, if it is not empty.
    fn text(&self, name: &str) -> Option<String> {
        json::scalar(self.object.get(name))
    }
}

/// The fields that the records of one description share.
struct Api<'a> {
    origin: &'a Origin,
    title: String,
    version: String,
}

/// What could not be kept of a description, for the notes.
#[derive(Default)]
struct Gaps {
    /// Parts of path items that are no operations.
    left_out: Vec<String>,
    /// Operations without their whole schema.
    shortened: Vec<String>,
    /// Number of path items of callbacks.
    callbacks: usize,
    /// Whether operations may be in files that were not read.
    is_partial: bool,
}

/// Reads the operations of one description.
pub(super) fn read(origin: &Origin, root: Value, out: &mut Batcher) -> Result<(), Stop> {
    let documents = Documents::load(origin, root);
    if let Some(hash) = documents.others_hash() {
        out.file_depends_on(hash);
    }
    for path in documents.others_read(origin) {
        out.uses_file(&path);
    }
    let description = documents.description();
    let mut resolver = Resolver::new(&documents);
    let info = |name: &str| json::scalar(description.value.get("info").and_then(|info| info.get(name)));
    let text = |name: &str| info(name).unwrap_or_default();
    let api = Api { origin, title: text("title"), version: text("version") };
    let mut gaps = Gaps::default();
    let mut count = 0;
    items::each(description, |item| {
        for operation in items::operations(item, description, &mut resolver, &mut gaps) {
            count += 1;
            api.add(&operation, &mut resolver, &mut gaps, out)?;
            for item in items::callbacks(&operation, &mut resolver, &mut gaps) {
                for called in items::operations(item, description, &mut resolver, &mut gaps) {
                    api.add(&called, &mut resolver, &mut gaps, out)?;
                }
            }
        }
        Ok::<_, Stop>(())
    })?;
    if gaps.is_partial {
        out.file_is_partial();
    }
    for note in notes(origin, &documents, resolver, &gaps) {
        out.problem(origin.place(Part::Whole), Problem::Noted(note))?;
    }
    if count == 0 {
        let why = "it describes no operation: there is nothing to read under `paths` or `webhooks`";
        return Err(origin.misfit(why).into());
    }
    Ok(())
}

impl Api<'_> {
    fn add<'r>(
        &self,
        operation: &Operation<'r>,
        resolver: &mut Resolver<'r>,
        gaps: &mut Gaps,
        out: &mut Batcher,
    ) -> Result<(), Stop> {
        let (details, is_whole) = details::of(operation, resolver);
        if !is_whole {
            gaps.shortened.push(operation.name());
        }
        let part = Part::Entry(bounded(operation.name(), TITLE_BYTES));
        out.record(self.origin.place(part), self.record(operation, details), 0)
    }

    fn record(&self, operation: &Operation<'_>, details: Map<String, Value>) -> Record {
        let mut record = record(operation, details);
        record.fields.collection = bounded(self.title.clone(), MAX_FIELD_BYTES);
        record.fields.key = Some(self.origin.key_of(&operation.name()));
        record.fields.uri = self.origin.url();
        record.fields.metadata = metadata(operation, &self.title, &self.version);
        record
    }
}

fn record(operation: &Operation<'_>, details: Map<String, Value>) -> Record {
    let name = operation.name();
    let title = operation.text("summary").map_or_else(|| name.clone(), |summary| format!("{name}: {summary}"));
    let tags = operation.object.get("tags").and_then(Value::as_array).into_iter().flatten();
    Record {
        fields: RecordFields {
            title: bounded(title.replace('\n', " "), TITLE_BYTES),
            tags: tags
                .filter_map(|tag| json::scalar(Some(tag)))
                .filter(|tag| tag.len() <= MAX_FIELD_BYTES)
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
        (operation.section.field(), json!(operation.path)),
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

/// Makes notes for a person about everything that was left out or left as it is.
fn notes(origin: &Origin, documents: &Documents, resolver: Resolver<'_>, gaps: &Gaps) -> Vec<String> {
    let mut notes = Vec::new();
    let (broken, outside) = resolver.unresolved();
    if !broken.is_empty() {
        notes.push(format!("nothing is found under {}: these references were left as they are", some(&broken)));
    }
    if !outside.is_empty() {
        let advice = if origin.is_named() {
            "ingest the folder that has all files, or bundle the file"
        } else {
            "bundle the file, if they are not in the folder that is ingested"
        };
        let names = some(&outside);
        notes.push(format!("references to other files are not followed, and were left as they are: {names}; {advice}"));
    }
    let named = |files: &[(PathBuf, String)]| -> Vec<_> {
        files.iter().map(|(path, what)| format!("{}: {what}", path.display())).collect()
    };
    let (failed, repaired) = (named(documents.failed()), named(documents.repaired()));
    if !failed.is_empty() {
        notes.push(format!("files that it refers to were left out: {}", some(&failed)));
    }
    if !repaired.is_empty() {
        notes.push(format!("files that it refers to were not read as they are: {}", some(&repaired)));
    }
    if !gaps.left_out.is_empty() {
        let (count, names) = (gaps.left_out.len(), some(&gaps.left_out));
        let parts = if count == 1 { "1 part is no operation and was" } else { "parts are no operations and were" };
        let count = if count == 1 { String::new() } else { format!("{count} ") };
        notes.push(format!("{count}{parts} left out: {names}"));
    }
    if !gaps.shortened.is_empty() {
        let names = some(&gaps.shortened);
        notes.push(format!(
            "the schema of {names} is too large to be kept whole: its deeper references were left as they are"
        ));
    }
    notes
}

/// Names the first of these, and counts the others.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let named = names.iter().take(MAX_NAMED).map(|name| format!("`{}`", bounded(name.clone(), 200)));
    let named = named.collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

#[cfg(test)]
mod tests;
