//! The programs to import from, with one reader for each.

mod basic_memory;
mod chatgpt;
mod claude;
mod conversations;
pub(crate) mod detect;
mod elements;
mod names;
mod pgrecall;
mod server_memory;

use clap::ValueEnum;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Record, RecordFields, SourceKind};

use self::conversations::Found;
use crate::{
    Part,
    batch::{Batcher, Stop},
    encoding, lines,
    origin::Origin,
    walk::Entry,
};

/// The program that wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// The output of `mcp-server export`.
    Pgrecall,
    /// The knowledge graph of MCP's server-memory: lines of entities and relations.
    ServerMemory,
    /// A folder of Basic Memory notes.
    BasicMemory,
    /// The conversations.json of a ChatGPT export.
    Chatgpt,
    /// The conversations.json, memories.json and projects.json of a Claude export.
    Claude,
}

impl From {
    fn what(self) -> &'static str {
        match self {
            Self::Pgrecall => "an export of pgrecall",
            Self::ServerMemory => "the knowledge graph of server-memory",
            Self::BasicMemory => "notes of Basic Memory",
            Self::Chatgpt => "conversations of ChatGPT",
            Self::Claude => "conversations of Claude",
        }
    }

    /// Whether to read a file of a folder, or to enter a folder in it.
    fn is_wanted(self, entry: Entry<'_>) -> bool {
        let Entry::File(path) = entry else {
            // Basic Memory nests its folders of notes; an export has all of its files in one
            // folder.
            return self == Self::BasicMemory;
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match self {
            Self::Pgrecall | Self::ServerMemory => name.ends_with(".jsonl"),
            Self::BasicMemory => name.ends_with(".md"),
            Self::Chatgpt => name.starts_with("conversations") && name.ends_with(".json"),
            Self::Claude => {
                let names = ["conversations", "memories", "projects"];
                names.iter().any(|start| name.starts_with(start)) && name.ends_with(".json")
            }
        }
    }
}

/// Reads a file that this program wrote.
pub(crate) fn read(
    from: From,
    origin: &Origin,
    importer: &Scope,
    for_owners: bool,
    out: &mut Batcher,
) -> Result<(), Stop> {
    out.attempt(origin.place(Part::Whole), |out| {
        let opened = encoding::text(origin.open()?)?;
        match from {
            From::Pgrecall => {
                lines::each(origin, opened, out, |_, line, emit| emit(pgrecall::record(line, importer, for_owners)))
                    .map(drop)
            }
            From::ServerMemory => {
                lines::each(origin, opened, out, |_, line, emit| server_memory::records(line, emit)).map(drop)
            }
            From::BasicMemory => basic_memory::read(origin, opened, out),
            From::Chatgpt => conversations::read(origin, opened, "chatgpt", out, |object| {
                chatgpt::conversation(&object).map(Found::Conversation)
            }),
            From::Claude => conversations::read(origin, opened, "claude", out, claude::element),
        }
    })
}

/// Makes the memory of a relation, whose key identifies its first entity by `id`.
fn relation(program: &str, id: &str, [from, kind, to]: [&str; 3]) -> Record {
    Record {
        fields: RecordFields {
            key: Some(names::key("relation", &[id, kind, to])),
            dimension: Some("relationship".to_owned()),
            category: Some(kind.to_owned()),
            entity_urns: vec![names::urn(from), names::urn(to)],
            origin: Some(program.to_owned()),
            ..RecordFields::default()
        },
        ..Record::new(SourceKind::Memory, format!("{from} {} {to}", kind.replace('_', " ")))
    }
}

/// Explains why a line is not in its program's format.
fn line_error(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the line ends in the middle: the file was cut off there".to_owned();
    }
    // The error's own line number counts within this line, so it is always 1.
    let why = error.to_string();
    let why = why.split(" at line ").next().unwrap_or_default();
    let what = if error.is_data() { "does not say what it should" } else { "is not valid JSON" };
    format!("the line {what} ({why}, column {})", error.column())
}

#[cfg(test)]
mod tests;
