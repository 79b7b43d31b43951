//! Conversations with an assistant: each turn becomes a memory in its session.
//!
//! The session lets a recall find the turns before and after a result. The file is an array of
//! conversations, which are read one at a time; `chatgpt` and `claude` parse the turns.

use std::{
    fmt::Display,
    io::{BufReader, Read},
};

use jiff::Timestamp;
use pgrecall_record::{
    lenient,
    source::{MAX_MEMORY_BYTES, Record, RecordFields, SourceKind},
};
use serde_json::{Map, Value};

use super::{
    elements::{Element, Elements, MAX_ELEMENT_BYTES},
    names,
};
use crate::{
    Part, Problem,
    batch::{Batcher, Stop},
    formats::json,
    origin::Origin,
};

/// Size, in bytes, of a part of a turn that is too long for one memory. It is below the limit, so
/// that a part can end with a paragraph.
const PART_BYTES: usize = MAX_MEMORY_BYTES / 2;

/// A conversation, and why some of its messages could not be read.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) turns: Vec<Turn>,
    pub(super) broken: Vec<String>,
}

impl Conversation {
    /// Adds the turn of a message, or the reason why it cannot be read.
    ///
    /// Turns without a text are left out, as are those of others than the user and the assistant.
    pub(super) fn add(&mut self, message: impl Display, turn: Result<Option<Turn>, String>) {
        match turn {
            Ok(turn) => {
                let is_said = |turn: &Turn| ["user", "assistant"].contains(&&*turn.speaker) && !turn.text.is_empty();
                self.turns.extend(turn.filter(is_said));
            }
            Err(why) => self.broken.push(format!("message {message}: {why}")),
        }
    }
}

/// One message of the user or the assistant.
#[derive(Debug)]
pub(super) struct Turn {
    /// The id of the message within its conversation, then the conversation's and its own.
    pub(super) id: String,
    pub(super) speaker: String,
    pub(super) text: String,
    pub(super) at: Option<Timestamp>,
}

impl Turn {
    /// Adds the conversation to the id: a copied conversation has the message ids of the original.
    pub(super) fn within(self, conversation: &str) -> Self {
        Self { id: names::id_of(&format!("{conversation}:{}", self.id)), ..self }
    }
}

/// An element of a file.
pub(super) enum Found {
    Conversation(Conversation),
    /// Records of other kinds, or why there is none.
    Records(Box<dyn Iterator<Item = Result<Record, String>>>),
}

/// Reads a file of conversations that `program` wrote.
pub(super) fn read(
    origin: &Origin,
    opened: impl Read,
    program: &str,
    out: &mut Batcher,
    parse: impl Fn(Map<String, Value>) -> Result<Found, String>,
) -> Result<(), Stop> {
    let mut elements = Elements::of(BufReader::with_capacity(256 * 1024, opened));
    for number in 1_u64.. {
        let place = |rest: &str| origin.place(Part::Entry(format!("conversation {number}{rest}")));
        let element = match elements.next() {
            Ok(Some(element)) => element,
            Ok(None) => break,
            Err(error) => return out.problem(place(""), error),
        };
        let found = match element {
            Element::Json(bytes) => json::check(&bytes).and_then(|()| match lenient::read(&bytes) {
                Ok((Value::Object(object), repairs)) => parse(object).map(|found| (found, repairs)),
                Ok(_) => Err("it is not an object".to_owned()),
                Err(error) => Err(format!("it is not valid JSON ({error})")),
            }),
            Element::TooLong => Err(format!("it is longer than {} MiB", MAX_ELEMENT_BYTES / 1024 / 1024)),
            Element::Cut => Err("the file ends before its list does: it was cut off here".to_owned()),
            Element::NoList => return Err("it is not a list of conversations".to_owned().into()),
        };
        out.attempt(place(""), |out| {
            let (found, repairs) = found?;
            let conversation = match found {
                Found::Conversation(conversation) => conversation,
                Found::Records(mut records) => {
                    let place = || origin.place(Part::Entry(format!("item {number}")));
                    if !repairs.is_empty() {
                        out.problem(place(), Problem::Noted(repairs.to_string()))?;
                    }
                    return records.try_for_each(|made| match made {
                        Ok(record) => out.record(place(), record, elements.read()),
                        Err(why) => out.problem(place(), why),
                    });
                }
            };
            if !repairs.is_empty() {
                let title = &conversation.title;
                out.problem(place(&format!(" ({title})")), Problem::Noted(repairs.to_string()))?;
            }
            for why in conversation.broken.iter().cloned() {
                out.problem(place(&format!(" ({})", conversation.title)), why)?;
            }
            for turn in &conversation.turns {
                for record in records(&conversation, turn, program) {
                    out.record(place(&format!(", message {}", turn.id)), record, elements.read())?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Makes the memories of a turn: one, unless the turn is longer than a memory may be.
fn records(conversation: &Conversation, turn: &Turn, origin: &str) -> Vec<Record> {
    let mut metadata = Map::new();
    metadata.insert("session".to_owned(), conversation.id.as_str().into());
    metadata.insert("speaker".to_owned(), turn.speaker.as_str().into());
    if !conversation.title.is_empty() {
        metadata.insert("conversation".to_owned(), conversation.title.as_str().into());
    }
    if let Some(at) = turn.at {
        let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        metadata.insert("date".to_owned(), day.to_string().into());
    }
    let parts = parts(&turn.text, if turn.text.len() > MAX_MEMORY_BYTES { PART_BYTES } else { MAX_MEMORY_BYTES });
    let record = |(number, text): (usize, &str)| {
        let key = if number == 0 { turn.id.clone() } else { format!("{}#{}", turn.id, number + 1) };
        Record {
            fields: RecordFields {
                key: Some(key.clone()),
                metadata: metadata.clone(),
                origin: Some(origin.to_owned()),
                valid_from: turn.at,
                ..RecordFields::default()
            },
            past: Some(names::past(origin, &key, turn.at)),
            ..Record::new(SourceKind::Memory, text)
        }
    };
    parts.into_iter().enumerate().map(record).collect()
}

/// Splits a text into parts of at most `limit` bytes.
///
/// A part ends at the end of a paragraph, a line or a word, if there is one in its second half.
pub(super) fn parts(mut text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while text.len() > limit {
        let most = text.floor_char_boundary(limit);
        let head = &text[..most];
        let end =
            ["\n\n", "\n", " "].iter().find_map(|gap| head.rfind(gap).filter(|at| *at > most / 2)).unwrap_or(most);
        parts.push(text[..end].trim_end());
        text = text[end..].trim_start();
    }
    parts.push(text);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Returns a name, cut to the size of a field: each record of its conversation contains it.
pub(super) fn name(object: &Map<String, Value>, name: &str) -> Option<String> {
    json::text(object.get(name)).map(|name| names::shortened(name).to_owned())
}

/// Returns an id. A long id is hashed, not cut, so that no two become the same.
pub(super) fn id(object: &Map<String, Value>, name: &str) -> Option<String> {
    json::text(object.get(name)).map(names::id_of)
}

/// Parses a time as the exports write it: seconds since 1970, or a timestamp.
pub(super) fn moment(value: Option<&Value>) -> Option<Timestamp> {
    match value? {
        Value::Number(seconds) => {
            let micros = seconds.as_f64()? * 1e6;
            // A number outside this range cannot be the time of a message.
            (0.0..4.2e15).contains(&micros).then(|| Timestamp::from_microsecond(micros as i64).ok())?
        }
        Value::String(text) => pgrecall_record::time::parse(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_too_long_becomes_several_between_its_paragraphs() {
        assert_eq!(parts("one two", 100), ["one two"]);
        assert_eq!(parts("aaaa aaaa\n\nbb bb", 12), ["aaaa aaaa", "bb bb"]);
        assert_eq!(parts("ééééé", 4), ["éé", "éé", "é"]);
        let turn = Turn { id: "m".into(), speaker: "user".into(), text: "word ".repeat(30_000), at: None };
        let made = records(&Conversation { id: "c".into(), ..Conversation::default() }, &turn, "chatgpt");
        assert!(made.len() > 2 && made.iter().all(|record| record.check().is_ok()));
        assert_eq!((made[0].fields.key.as_deref(), made[1].fields.key.as_deref()), (Some("m"), Some("m#2")));
    }

    #[test]
    fn a_moment_is_a_number_or_a_text() {
        let moment = |value: Value| moment(Some(&value)).map(|at| at.to_string());
        assert_eq!(moment(1714557600.5.into()).as_deref(), Some("2024-05-01T10:00:00.5Z"));
        assert_eq!(moment("2024-05-01T10:00:00.000000Z".into()).as_deref(), Some("2024-05-01T10:00:00Z"));
        assert_eq!((moment((-1).into()), moment(1e300.into()), moment("soon".into())), (None, None, None));
    }
}
