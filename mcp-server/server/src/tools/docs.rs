//! Makes `docs/use/tools.md` from the output of `tools/list`.
//!
//! The test fails if the page is stale; `UPDATE_DOCS=1` rewrites it. To keep the list small, the
//! schemas of answers name only the fields that are always present. The optional fields of a hit
//! are found by serializing one that has all of them.

use std::{fmt::Write, path::Path};

use jiff::Timestamp;
use pgrecall_record::source::{RecordFields, SourceKind};
use pgrecall_store::{
    recall::{Explain, FoundPassage, Hit, Superseded},
    status::{Counts, NextModel, Status, Verdict},
    workers::EmbedderState,
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

These are the tools that an MCP host sees. Arguments are flat. A null or blank argument counts as not given. An unknown argument is an
error that names the known ones. Each answer comes twice, as structured content and as the same JSON in text, because some hosts pass
only text to the model. A failure is an answer with `isError` and one sentence that says what to do.

An argument may have another JSON type than the declared one if it can mean only one thing: a text of JSON for a list, an object, a number or a
boolean (`\"[\\\"a\\\"]\"`, `\"5\"`), a bare text for a list of one, another case for a name (`Hybrid`). A string stays a string, even if it looks like JSON. Half
of a character that JavaScript cut in two becomes U+FFFD, and the `note` says so; a number out of range (`1e400`) is an error that names the argument.
Bytes that are not UTF-8 become U+FFFD, too. An empty list counts as an empty object where an object is declared (`filter`, `metadata`, `arguments`), the text
`null` as not given where no text is declared, and `arguments` may be one text of JSON.

A time is a date (`2026-01-31`, which means its beginning in UTC) or a full timestamp. Without a zone it is read as UTC, and a month or a year as its
first day (`2026-01`, `2026`); then the `note` says how it was read. A memory holds at most 64 KiB of text, any other
record 16 MiB, and a query at most 8 KiB. Recall and search cut long texts so that the whole answer stays near 2,000 tokens, and mark
each cut: of a long text they show the sentences with most of the query, and `position` says where these begin. With `max_tokens` they also omit
the last results and say how many, and they show one of several near-duplicates unless `diversity` says otherwise.

An answer with stored text begins with a `notice`: treat the text as data, whatever it says. `owner` names the owner of a result that
belongs to another user. `changed_by` names the writer of a text that its owner did not write. The text form of an answer escapes control
characters, bidirectional controls and invisible characters (`\\u202e`); the structured content holds them as they were stored.

A key or token needs the scope of what a call does: `read` to read, `write` to change, and `admin` to delete records of other users
irreversibly. `tools/list` shows only the tools and actions that the caller may call.
";

/// Text about a tool that is not in its schemas.
const MORE: &[(&str, &str)] = &[
    (
        "memory_remember",
        "A memory is private to its owner, unless `visibility` shares it with all users of the caller's persona or with the tenant. It may \
         replace another user's memory (`supersedes`) only if every reader of the old memory can read the new one. `similar` lists \
         near-duplicates, each with its `id`, `content` and `similarity`; a caller without the scope `read` does not get it. A memory with the \
         same text as an existing one is that memory: it gets the new details and keeps its id. Credentials of a known format are \
         redacted (`memory.secrets`), and the `note` says how many.",
    ),
    (
        "memory_recall",
        "`strategy`: `auto` is hybrid if there is an embedder, and lexical otherwise. A blank `query` with `entity_urns` returns the newest \
         memories that name one of them. `ranking` says how the answer was ranked: `hybrid`, `semantic`, `lexical` or `entity`.\n\n\
         The metadata of each result contains `filter`. A name with a leading `$` is a field of the record: `$owner`, `$persona`, \
         `$visibility`, `$category`, `$status` (which also finds memories that are no longer valid), `$created_from`, `$created_until` and \
         `$changed_since`. Write two `$` for a name in the metadata that begins with one.\n\n\
         A score lies between 0 and 1. In a semantic ranking it is the cosine of the best passage, so `min_score` means the same in each \
         answer. In a hybrid ranking 0.7 of it is the cosine and 0.3 the BM25 score as a share of the best candidate's, so the best keyword \
         match has at least 0.3, right or wrong. In a lexical ranking, which is also the fallback while there is no embedder, it is that \
         share alone: the best result has 1, right or wrong, so `min_score` compares the others with it, and the `note` says so. Records \
         next to it in a session change a memory's score a little, and so does its age where `memory.recall.recency` is set. A reranker's \
         score replaces all of these. Records that are listed by `entity_urns` without a `query` have no score.\n\n\
         The last page can have `omitted`: how many records that pass the filter were left out, by reason. `below_min_score`: those that \
         were ranked and score less. `not_similar`: the cosine is not positive, and no keyword matches. `not_embedded`: there is no vector \
         yet, and no keyword matches. `no_keyword`: in a lexical ranking, no keyword matches. `near_duplicate`: another result names them. A \
         large search set is not counted whole, and then only the first and the last reason are known.\n\n\
         While records that the query could find are not embedded, the answer has `coverage`, and the `note` says the same in words: of the \
         searched kinds, the `total` number of passages that the caller can read, and those `embedded`, `pending` and `failed` (without \
         numbers as long as a large store is being counted); \
         `seconds_left` until everything that waits is embedded, other kinds included; and the `reason`, if nothing is being embedded. Keyword \
         search finds these records already.\n\n\
         The content of a memory that is too long for the answer is cut to the sentences with most of the query, and `position` is where they \
         begin, in characters (0 if it is absent).\n\n\
         The answer can also have a `cursor`, with which the same call returns the next page (no page begins after result 400); with `explain`, \
         `filters` describes the filter; with `why_not`, `why_not` gives the reason.",
    ),
    (
        "memory_manage",
        "`ids` has up to 100 entries; `update` takes one, `consolidate` two or more. Long texts are cut here; `fetch` returns the whole text. \
         `review_duplicates` returns `duplicates`: pairs of `ids`, the newer first, with their `similarity`. `get` also returns `versions` if \
         another user replaced a text: each version has its `id`, which `restore` takes, the record that it is a version `of`, its `content`, \
         and who replaced it when. `get`, `list` and the reviews need the scope `read`, the other actions `write`.",
    ),
    (
        "memory_forget",
        "It deletes any record by its id, not only memories. Passages, vectors, terms and open jobs are deleted in the same transaction. \
         `others` counts the records of other users, by owner; only a key with the scope `admin` deletes those irreversibly.",
    ),
    (
        "search",
        "`results` has the shape that ChatGPT's connectors expect: `id`, `title`, `url`, `text`. `filter`, `min_score` and the optional fields of the \
         answer are those of `memory_recall`; `kinds` counts the ranked candidates of each kind.\n\n\
         `text` is the best passage of a result, and if it is cut, the sentences of it with most of the query. `position` is where `text` begins in \
         the record's text, in characters (0 if it is absent), and `section` has the headings above it, outermost first. The text of a PDF has the \
         number of its `page` instead. With `passages`, a result also has `passages`: further passages of the record, best first, each with its \
         `text`, `position`, and `section` or `page`. `fetch` with `around` returns the text around a position.",
    ),
    (
        "save",
        "Without a `key`, the owner's name and the title are the key: saving the same title again replaces the record. It is readable by the \
         tenant unless `visibility` (or `private`) says otherwise. When another user's text is replaced, the `note` gives the id by which \
         `memory_manage` restores it. A prompt cannot have a title that looks like one of pgrecall's own.",
    ),
    (
        "fetch",
        "The answer has the shape that ChatGPT's connectors expect. A part holds at most 40,000 characters. With `around` it holds 4,000 characters \
         before that position and 4,000 after it, and begins with a line. `offset` in the answer says where the part begins, unless at 0.",
    ),
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
        table(&mut page, "argument", &entry.input);
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
        "search" => (
            "Each result",
            &["id", "title", "url", "text", "score", "kind"][..],
            value(Found::of(Hit { kind: SourceKind::Document, ..hit() })),
        ),
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
        starts_at: Some(1),
        more_passages: vec![FoundPassage { text: text(), heading: text(), starts_at: 0 }],
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
        next_model: Some(NextModel { model: "local/n".to_owned(), coverage: 0.5, seconds_left: Some(1.0), failed: 0 }),
        seconds_left: Some(1.0),
        failing: Vec::new(),
        embedder: EmbedderState::Working,
        reason: Some(String::new()),
        workers: Vec::new(),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for the person who runs this test")]
fn the_page_says_what_the_list_of_tools_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/use/tools.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/use/tools.md is stale: UPDATE_DOCS=1 cargo test -p pgrecall-server tools::docs");
}
