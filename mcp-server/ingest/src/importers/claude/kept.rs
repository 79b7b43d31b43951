//! What Claude keeps next to its conversations: its memories of a person and of projects
//! (`memories.json`), and projects with their documents (`projects.json`).

use pgrecall_record::source::{
    MAX_BODY_BYTES, MAX_MEMORY_BYTES, Record, RecordFields, SourceKind, TextFormat, Visibility,
};
use serde_json::{Map, Value};

use crate::{
    formats::json::text,
    importers::{
        conversations::{self, moment, parts},
        names,
    },
};

const CLAUDE: &str = "claude";

/// Whether an element is a set of memories.
pub(super) fn is_memories(object: &Map<String, Value>) -> bool {
    object.contains_key("conversations_memory") || object.contains_key("project_memories")
}

/// Whether an element is a project.
pub(super) fn is_project(object: &Map<String, Value>) -> bool {
    object.contains_key("prompt_template") || object.get("docs").is_some_and(Value::is_array)
}

/// Converts an element of `memories.json` to memories: of the person, and of each project.
///
/// They are made one at a time, because an element may hold a million.
pub(super) fn memories(mut object: Map<String, Value>) -> impl Iterator<Item = Record> {
    let account = conversations::id(&object, "account_uuid").unwrap_or_default();
    let of_person = object.remove("conversations_memory").map(|said| (String::new(), said));
    let of_projects = match object.remove("project_memories") {
        Some(Value::Object(projects)) => projects,
        _ => Map::new(),
    };
    let all = of_person.into_iter().chain(of_projects);
    all.flat_map(move |(project, said)| memory(&account, &project, text(Some(&said)).unwrap_or_default()))
}

fn memory(account: &str, project: &str, said: &str) -> Vec<Record> {
    let mut metadata = Map::new();
    if !project.is_empty() {
        metadata.insert("project".to_owned(), names::shortened(project).into());
    }
    let record = |(number, part): (usize, &str)| {
        let key = names::key("memory", &[account, project, &number.to_string()]);
        Record {
            fields: RecordFields {
                key: Some(key.clone()),
                metadata: metadata.clone(),
                origin: Some(CLAUDE.to_owned()),
                ..RecordFields::default()
            },
            past: Some(names::past(CLAUDE, &key, None)),
            ..Record::new(SourceKind::Memory, part)
        }
    };
    parts(said, MAX_MEMORY_BYTES).into_iter().enumerate().map(record).collect()
}

/// Converts a project to documents: its description with its instructions, and each file in it.
pub(super) fn project(mut object: Map<String, Value>) -> impl Iterator<Item = Result<Record, String>> {
    let files = match object.remove("docs") {
        Some(Value::Array(files)) => files,
        _ => Vec::new(),
    };
    let name = conversations::name(&object, "name").unwrap_or_default();
    let id = conversations::id(&object, "uuid").unwrap_or_else(|| names::key("project", &[&name]));
    let about = ["description", "prompt_template"].into_iter().filter_map(|field| text(object.get(field)));
    let about = about.collect::<Vec<_>>().join("\n\n");
    let about = (!about.is_empty()).then(|| document(&name, (&id, &object), (&name, &id), &about));
    let files = files.into_iter().enumerate().filter_map(move |(number, file)| {
        let Value::Object(file) = file else {
            return Some(Err(format!("document {} of the project is not an object", number + 1)));
        };
        let content = text(file.get("content"))?;
        let title = conversations::name(&file, "filename").unwrap_or_else(|| name.clone());
        let key = conversations::id(&file, "uuid").unwrap_or_else(|| names::key("document", &[&id, &title]));
        Some(document(&title, (&key, &file), (&name, &id), content))
    });
    about.into_iter().chain(files)
}

fn document(
    title: &str,
    (key, object): (&str, &Map<String, Value>),
    (project, project_id): (&str, &str),
    content: &str,
) -> Result<Record, String> {
    if content.len() > MAX_BODY_BYTES {
        return Err(format!(
            "document `{}` is longer than {} MiB",
            names::excerpt(title),
            MAX_BODY_BYTES / 1024 / 1024
        ));
    }
    let mut metadata = Map::new();
    metadata.insert("project".to_owned(), project_id.into());
    if !project.is_empty() {
        metadata.insert("project_name".to_owned(), project.into());
    }
    let is_plain = title.rsplit_once('.').is_some_and(|(_, extension)| !extension.eq_ignore_ascii_case("md"));
    Ok(Record {
        fields: RecordFields {
            key: Some(key.to_owned()),
            title: title.to_owned(),
            metadata,
            origin: Some(CLAUDE.to_owned()),
            ..RecordFields::default()
        },
        format: if is_plain { TextFormat::Plain } else { TextFormat::Markdown },
        // Ingested documents belong to the team, but a person's projects do not.
        visibility: Visibility::Private,
        past: Some(names::past(CLAUDE, key, moment(object.get("created_at")))),
        ..Record::new(SourceKind::Document, content)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        if let Value::Object(object) = value { object } else { panic!("{value}") }
    }

    #[test]
    fn memories_are_of_the_person_and_of_each_project() {
        let value = json!({"account_uuid": "a", "conversations_memory": "**Work**\n\nOwns billing.",
                           "project_memories": {"p1": "Builds a boat.", "p2": ""}});
        let made: Vec<_> = memories(object(value)).collect();
        let said: Vec<_> = made.iter().map(|record| record.body.as_str()).collect();
        assert_eq!(said, ["**Work**\n\nOwns billing.", "Builds a boat."]);
        assert_eq!(made[1].fields.metadata["project"], "p1");
        assert_ne!(made[0].fields.key, made[1].fields.key);
        assert!(made.iter().all(|record| record.check().is_ok()));
        let long = json!({"conversations_memory": "word ".repeat(30_000), "project_memories": 5});
        assert!(memories(object(long)).count() > 1);
    }

    #[test]
    fn a_project_is_a_document_and_so_is_each_of_its_files() {
        let value = json!({"uuid": "p1", "name": "Boat", "description": "A sailing boat.", "prompt_template": "Be brief.",
            "created_at": "2025-01-02T03:04:05Z", "docs": [
                {"uuid": "d1", "filename": "hull.md", "content": "# Hull\n\nOak.", "created_at": "2025-02-03T00:00:00Z"},
                {"filename": "list.txt", "content": "nails"}, 7, {"filename": "empty.md", "content": ""}]});
        let made: Vec<_> = project(object(value)).collect();
        let texts: Vec<_> =
            made.iter().flatten().map(|record| (record.fields.title.as_str(), record.body.as_str())).collect();
        assert_eq!(
            texts,
            [("Boat", "A sailing boat.\n\nBe brief."), ("hull.md", "# Hull\n\nOak."), ("list.txt", "nails")]
        );
        assert_eq!(made.iter().filter(|made| made.is_err()).count(), 1);
        for record in made.iter().flatten() {
            assert_eq!((record.visibility, record.check()), (Visibility::Private, Ok(())));
            assert_eq!(record.fields.metadata["project_name"], "Boat");
        }
    }
}
