//! An export of Claude: conversations, memories and projects.
//!
//! A conversation is a list of messages, of whose blocks only the text blocks are read.

mod kept;

use serde_json::{Map, Value};

use super::{
    conversations::{self, Conversation, Found, Turn, moment},
    names,
};
use crate::formats::json::text;

/// Whether an element is one of an export of Claude.
pub(super) fn is_known(object: &Map<String, Value>) -> bool {
    object.contains_key("chat_messages") || kept::is_memories(object) || kept::is_project(object)
}

/// Converts an element of any file of the export.
pub(super) fn element(object: Map<String, Value>) -> Result<Found, String> {
    if kept::is_memories(&object) {
        return Ok(Found::Records(Box::new(kept::memories(object).map(Ok))));
    }
    if kept::is_project(&object) {
        return Ok(Found::Records(Box::new(kept::project(object))));
    }
    conversation(&object).map(Found::Conversation)
}

/// Converts an element to a conversation.
pub(super) fn conversation(object: &Map<String, Value>) -> Result<Conversation, String> {
    let Some(Value::Array(messages)) = object.get("chat_messages") else {
        return Err("it has no `chat_messages`".to_owned());
    };
    let title = conversations::name(object, "name").unwrap_or_default();
    let created = text(object.get("created_at")).unwrap_or_default();
    let id = conversations::id(object, "uuid").unwrap_or_else(|| names::key("conversation", &[&title, created]));
    let mut found = Conversation { title, ..Conversation::default() };
    for (number, message) in messages.iter().enumerate() {
        let turn = turn(message, number + 1).map(|turn| Some(turn.within(&id)));
        found.add(number + 1, turn);
    }
    Ok(Conversation { id, ..found })
}

/// Converts a message to a turn, whose text is empty if there is none in it.
fn turn(message: &Value, number: usize) -> Result<Turn, String> {
    let message = message.as_object().ok_or("it is not an object")?;
    let speaker = match text(message.get("sender")).ok_or("it names no author")? {
        "human" => "user",
        other => other,
    };
    let blocks = message.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let said =
        blocks.iter().filter(|block| block.get("type").and_then(Value::as_str).is_none_or(|kind| kind == "text"));
    let said = said.filter_map(|block| block.get("text")?.as_str().map(str::trim)).filter(|text| !text.is_empty());
    let mut said = said.collect::<Vec<_>>().join("\n\n");
    if said.is_empty() && blocks.is_empty() {
        // Older exports have no blocks, only the text.
        said = text(message.get("text")).unwrap_or_default().to_owned();
    }
    let id = conversations::id(message, "uuid").unwrap_or_else(|| number.to_string());
    Ok(Turn { id, speaker: speaker.to_owned(), text: said, at: moment(message.get("created_at")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_what_was_said_and_thoughts_and_tools_are_not() {
        let value = json!({"uuid": "c", "name": "Trip", "chat_messages": [
            {"uuid": "1", "sender": "human", "text": "where to?", "created_at": "2024-05-01T10:00:00.000000Z"},
            {"uuid": "2", "sender": "assistant", "text": "thinking… to Porto", "content": [
                {"type": "thinking", "thinking": "hm", "text": "hm"}, {"type": "tool_use", "name": "map"},
                {"type": "text", "text": "to Porto"}, {"type": "text", "text": "by train"}]},
            {"sender": "assistant", "content": [{"type": "tool_use"}], "text": "This block is not supported."},
            "nonsense", {"text": "whose?"}, {"uuid": "3", "sender": "human", "text": ""},
        ]});
        let found = conversation(value.as_object().unwrap()).unwrap();
        let said: Vec<_> = found.turns.iter().map(|turn| (turn.speaker.as_str(), turn.text.as_str())).collect();
        assert_eq!(said, [("user", "where to?"), ("assistant", "to Porto\n\nby train")]);
        assert_eq!(found.turns[0].at.map(|at| at.to_string()).as_deref(), Some("2024-05-01T10:00:00Z"));
        assert_eq!(found.turns[0].id, "c:1", "a copied conversation has the same message ids");
        assert_eq!(found.broken.len(), 2, "{:?}", found.broken);
        assert!(conversation(&Map::new()).is_err());
    }
}
