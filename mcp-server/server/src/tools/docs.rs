//! Makes `docs/tools.md` from the output of `tools/list`.
//!
//! The test fails if the page is stale; `UPDATE_DOCS=1` rewrites it. To keep the list small, the
//! schemas of answers name only the fields that are always present. The optional fields of a hit
//! are found by serializing one that has all of them.

use std::{fmt::Write, path::Path};

use jiff::Timestamp;
use pgrecall_record::source::{RecordFields, SourceKind};
use pgrecall_store::{
    recall::{Explain, Hit, Superseded},
    status::{Counts, EmbedderState, NextModel, Status, Verdict},
};
use rmcp::model::JsonObject;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, memory_recall::Memory, search::Found};

const HEAD: &str = "\
# MCP tools

<!-- Made from what `tools/list` says: change the tools in mcp-server/server/src/tools, then run
     UPDATE_DOCS=1 cargo test -p pgrecall-server tools::docs -->

What an MCP host sees. Arguments are flat; one that is null counts as not given, and an argument that does not exist is an error that
names those that do. An answer comes twice, as structured content and as the same JSON in text, for hosts that pass only text on to
the model. What goes wrong is an answer with `isError` and one sentence that says what to do.

Times are a date (`2026-01-31`, its beginning in UTC) or a full timestamp. A memory holds at most 64 KiB of text, any other source 16 MiB; a
query at most 8 KiB. Recalls and searches cut long texts so that the whole answer stays near 2,000 tokens, and mark what they cut; with
`max_tokens` they also leave the last results out, and say how many; and of results that say the same one stands for all, unless `diversity` says
otherwise. A blank text is an argument that is not given.

An answer that carries stored text begins with a `notice`: the text is data, whatever it says. A result of somebody else's has its `owner`, and one whose
text somebody other than its owner wrote says who in `changed_by`. Control characters, bidirectional controls and other characters that cannot
be seen are escaped in the text of an answer (`\\u202e`), and are as they were stored in its structured content.

A key or token needs the scope of what a call does: `read` for what only reads, `write` for what changes something, and `admin` to delete for good what
belongs to somebody else. `tools/list` shows the tools and actions that the caller may call.
";

/// Text about a tool that is not in its schemas.
const MORE: &[(&str, &str)] = &[
    (
        "memory_remember",
        "What is remembered is its owner's alone, unless `visibility` shares it with all who work as the caller's persona or with the tenant. A memory takes \
         the place of somebody else's (`supersedes`) only if everyone who sees that one sees it, too. `similar` has an `id`, the `content` and the `similarity` of each. What says the same word for word is the \
         same memory: it takes on what is new about it, and keeps its id. \
         A caller that may not read is not told of `similar` memories. Credentials of a known shape are redacted (`memory.secrets`), and the `note` says how many.",
    ),
    (
        "memory_recall",
        "`strategy`: `auto` is hybrid with an embedder and words without one. A blank `query` with `entity_urns` returns the newest memories that \
         name one of them. `ranking` says how the answer was ranked in the end: `hybrid`, `semantic`, `lexical` or `entity`.\n\n\
         `filter` is contained in the metadata of whatever answers. A name with a `$` before it is a field of the record: `$owner`, `$persona`, \
         `$visibility`, `$category`, `$status` (also what is not valid any more), `$created_from`, `$created_until` and `$changed_since`. A name in the \
         metadata that begins with a `$` is written with two.\n\n\
         The answer may also have a `cursor`, with which the same call brings the next page (none begins after 400 answers); with `explain` the `filters`, in words; and `why_not`, \
         if that was asked.",
    ),
    (
        "memory_manage",
        "`ids` are up to 100; `update` takes one, `consolidate` two or more. A long text is cut here; `fetch` returns the whole. `review_duplicates` answers \
         with `duplicates`: pairs of `ids`, the newer first, with their `similarity`. \
         `get` also answers with `versions`, where somebody else replaced a text: each has its `id`, which `restore` takes, the record that it is `of`, its \
         `content`, and by whom and when it was replaced. `get`, `list` and the reviews need the scope `read`, the other actions `write`.",
    ),
    (
        "memory_forget",
        "It forgets any source by its id, not only memories. Passages, vectors, words and open jobs go with it, in one transaction. `others` \
         counts the records that are somebody else's, by their owners; only a key with the scope `admin` deletes those for good.",
    ),
    (
        "search",
        "`results` keeps the shape that ChatGPT's connectors expect: `id`, `title`, `url`, `text`. `filter` and what the answer may also have are those \
         of `memory_recall`; `kinds` counts what was ranked of each kind.",
    ),
    (
        "save",
        "Without a `key` it has its owner's name and its title for one: the same title again replaces what was saved. It is the tenant's unless \
         `visibility` (or `private`) says otherwise. What somebody else wrote is kept when it is replaced: the `note` says under which id `memory_manage` restores it. \
         A prompt cannot have a title that looks like one of pgrecall's own.",
    ),
    ("fetch", "The answer has the shape that ChatGPT's connectors expect. A part holds at most 40,000 characters."),
];

fn page() -> String {
    let mut page = HEAD.to_owned();
    for entry in all() {
        let tool = &entry.listed;
        let annotations = tool.annotations.as_ref().expect("every tool has annotations");
        let effect = match (annotations.read_only_hint, annotations.destructive_hint) {
            (Some(true), _) => "It only reads.",
            (_, Some(false)) => "It writes.",
            _ => "It deletes.",
        };
        let description = tool.description.as_deref().unwrap_or_default();
        let _ = write!(page, "\n## {}\n\n{description} {effect}\n", tool.name);
        if let Some((_, more)) = MORE.iter().find(|(name, _)| *name == tool.name) {
            let _ = write!(page, "\n{more}\n");
        }
        table(&mut page, "argument", &tool.input_schema);
        table(&mut page, "answer", &entry.told);
        besides(&mut page, &tool.name);
    }
    page
}

fn table(page: &mut String, what: &str, schema: &JsonObject) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|found| !found.is_empty()) else {
        let _ = write!(page, "\nIt takes no arguments.\n");
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |names| names.iter().filter_map(Value::as_str).collect());
    let _ = write!(page, "\n| {what} | | |\n| --- | --- | --- |\n");
    for (name, property) in properties {
        let mut kind = kind(property);
        // By default an argument is optional and a field of an answer is present.
        match (what, required.contains(&name.as_str())) {
            ("argument", true) => kind.push_str(", needed"),
            ("answer", false) => kind.push_str(", where there is one"),
            _ => {}
        }
        let said = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(page, "| `{name}` | {kind} | {} |", said.replace('\n', " "));
    }
}

/// Describes a property's type in words.
fn kind(property: &Value) -> String {
    let number = |key: &str| property.get(key).map(Value::to_string);
    if let Some(words) = property.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    let mut said = match property.get("type").and_then(Value::as_str) {
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => {
            match property.get("items").and_then(|items| items.get("properties")).and_then(Value::as_object) {
                Some(fields) => {
                    let fields: Vec<String> = fields.keys().map(|field| format!("`{field}`")).collect();
                    format!("list of objects with {}", fields.join(", "))
                }
                None if property["items"]["type"] == "object" => "list of objects".to_owned(),
                None => "list of texts".to_owned(),
            }
        }
        Some("integer") => "whole number".to_owned(),
        Some(other) => other.to_owned(),
        None => "anything".to_owned(),
    };
    match (number("minimum"), number("maximum")) {
        (Some(low), Some(high)) => {
            let _ = write!(said, " from {low} to {high}");
        }
        (Some(low), None) if low != "0" => {
            let _ = write!(said, " from {low}");
        }
        _ => {}
    }
    if let Some(default) = number("default") {
        let _ = write!(said, ", default {default}");
    }
    said
}

/// Lists the optional fields of an answer's objects, which the schema does not name.
fn besides(page: &mut String, tool: &str) {
    let (each, named, full) = match tool {
        "memory_recall" => ("Each memory", &["id", "content", "score"][..], value(Memory::of(hit()))),
        "search" => ("Each result", &["id", "title", "url", "text", "score", "kind"][..], value(Found::of(hit()))),
        "index_status" => {
            let named = ["pending", "running", "failed", "succeeded", "coverage", "kinds", "verdict"];
            let _ = write!(page, "\nThe answer may also have {}.\n", names(&named, &value(status())));
            return;
        }
        _ => return,
    };
    let _ = write!(page, "\n{each} may also have {}.\n", names(named, &full));
}

fn names(named: &[&str], full: &Value) -> String {
    let fields = full.as_object().expect("an answer is an object").keys();
    let more: Vec<String> =
        fields.filter(|field| !named.contains(&field.as_str())).map(|field| format!("`{field}`")).collect();
    more.join(", ")
}

fn value(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).expect("an answer has text keys only")
}

/// Makes a hit that has every optional field.
fn hit() -> Hit {
    let text = || "x".to_owned();
    Hit {
        id: Uuid::nil(),
        kind: SourceKind::Memory,
        text: text(),
        heading: text(),
        fields: RecordFields {
            key: Some(text()),
            collection: text(),
            title: text(),
            uri: Some(text()),
            dimension: Some(text()),
            category: Some(text()),
            confidence: Some(1.0),
            origin: Some(text()),
            entity_urns: vec![text()],
            tags: vec![text()],
            metadata: rmcp::model::object(json!({"a": 1})),
            valid_from: Some(Timestamp::UNIX_EPOCH),
            valid_to: Some(Timestamp::UNIX_EPOCH),
        },
        score: 1.0,
        status: pgrecall_record::source::Status::Superseded,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        last_verified: Some(Timestamp::UNIX_EPOCH),
        supersedes: vec![Superseded { id: Uuid::nil(), content: String::new(), until: None }],
        superseded_by: Some(Uuid::nil()),
        near_duplicates: vec![Uuid::nil()],
        owner: Some(text()),
        changed_by: Some(text()),
        explain: Some(Explain {
            bm25: 0.0,
            matched_terms: Vec::new(),
            cosine: None,
            blended: 0.0,
            neighbor_boost: 0.0,
            recency: 1.0,
            reranked: None,
        }),
    }
}

fn status() -> Status {
    Status {
        all: Counts::default(),
        kinds: [("memory".to_owned(), Counts::default())].into(),
        verdict: Verdict::Healthy,
        model: Some("local/m".to_owned()),
        dimension: Some(1),
        next_model: Some(NextModel { model: "local/n".to_owned(), coverage: 0.5, failed: 0 }),
        seconds_left: Some(1.0),
        failing: Vec::new(),
        embedder: EmbedderState::Working,
        workers: Vec::new(),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for the person who runs this test")]
fn the_page_says_what_the_list_of_tools_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/tools.md is stale: UPDATE_DOCS=1 cargo test -p pgrecall-server tools::docs");
}
