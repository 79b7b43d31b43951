//! A conversation of ChatGPT: a tree of messages, of which one branch is read.
//!
//! The branch that ends in `current_node` is the one that the person saw last. An edited question
//! begins a new branch; the branch that it replaced stays in the file, but is not displayed, so it
//! is left out. System messages, tool calls with their results, and hidden messages are left out
//! too.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    conversations::{self, Conversation, Turn, moment},
    names,
};
use crate::formats::json::text;

/// Converts an element to a conversation.
pub(super) fn conversation(object: &Map<String, Value>) -> Result<Conversation, String> {
    let Some(Value::Object(mapping)) = object.get("mapping") else {
        return Err("it has no `mapping` of messages".to_owned());
    };
    let title = conversations::name(object, "title").unwrap_or_default();
    let id = conversations::id(object, "conversation_id").or_else(|| conversations::id(object, "id"));
    let created = object.get("create_time").map(Value::to_string).unwrap_or_default();
    let id = id.unwrap_or_else(|| names::key("conversation", &[&title, &created]));
    let mut found = Conversation { id, title, ..Conversation::default() };
    for node in branch(object, mapping) {
        let turn = turn(node, mapping).map(|turn| turn.map(|turn| turn.within(&found.id)));
        found.add(names::shortened(node), turn);
    }
    Ok(found)
}

/// Returns the nodes of the branch that was seen last, beginning with its first message.
///
/// A cyclic branch ends before its first repetition.
fn branch<'v>(object: &'v Map<String, Value>, mapping: &'v Map<String, Value>) -> Vec<&'v str> {
    let mut next =
        text(object.get("current_node")).filter(|node| mapping.contains_key(*node)).or_else(|| newest(mapping));
    let (mut branch, mut seen) = (Vec::new(), HashSet::new());
    while let Some(node) = next.filter(|node| seen.insert(*node)) {
        branch.push(node);
        next = mapping.get(node).and_then(|node| node.get("parent")).and_then(Value::as_str);
    }
    branch.reverse();
    branch
}

/// Returns the node of the newest message, for a file that does not say which was seen last.
fn newest(mapping: &Map<String, Value>) -> Option<&str> {
    let said =
        mapping.iter().filter_map(|(node, value)| Some((moment(value.get("message")?.get("create_time")), node)));
    said.max_by_key(|(at, _)| *at).map(|(_, node)| node.as_str())
}

/// Returns the message of a node, if it is shown to the user.
fn turn(node: &str, mapping: &Map<String, Value>) -> Result<Option<Turn>, String> {
    let message = match mapping.get(node).and_then(|node| node.get("message")) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(message)) => message,
        Some(_) => return Err("it is not an object".to_owned()),
    };
    let role = message.get("author").and_then(|author| author.get("role")).and_then(Value::as_str);
    let speaker = role.ok_or("it names no author")?;
    let hidden = message.get("metadata").and_then(|metadata| metadata.get("is_visually_hidden_from_conversation"));
    let to_a_tool = text(message.get("recipient")).is_some_and(|recipient| recipient != "all");
    if hidden == Some(&Value::Bool(true)) || to_a_tool {
        return Ok(None);
    }
    let Some(content) = message.get("content") else { return Ok(None) };
    let kind = content.get("content_type").and_then(Value::as_str).unwrap_or("text");
    let parts = content.get("parts").and_then(Value::as_array);
    let (Some(parts), "text" | "multimodal_text") = (parts, kind) else { return Ok(None) };
    // A spoken part has its text, and an image part has none.
    let said = parts.iter().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
    let said = said.map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    let id = conversations::id(message, "id").unwrap_or_else(|| names::id_of(node));
    Ok(Some(Turn { id, speaker: speaker.to_owned(), text: said, at: moment(message.get("create_time")) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(parent: Value, role: &str, parts: Value) -> Value {
        json!({"parent": parent, "message": {"author": {"role": role}, "create_time": 1714557600.0,
               "content": {"content_type": "text", "parts": parts}}})
    }

    fn read(value: Value) -> Conversation {
        conversation(value.as_object().unwrap()).unwrap()
    }

    #[test]
    fn the_branch_that_was_seen_last_is_read_from_its_beginning() {
        let found = read(json!({"title": "Trip", "conversation_id": "c", "current_node": "d", "mapping": {
            "root": {"parent": null, "message": null},
            "a": node(json!("root"), "system", json!(["be kind"])),
            "b": node(json!("a"), "user", json!(["where to?", {"content_type": "image_asset_pointer"}])),
            "c": node(json!("b"), "tool", json!(["42"])),
            "d": node(json!("c"), "assistant", json!(["to Porto"])),
            "other": node(json!("b"), "assistant", json!(["to Lisbon"])),
        }}));
        let said: Vec<_> = found.turns.iter().map(|turn| (turn.speaker.as_str(), turn.text.as_str())).collect();
        assert_eq!(said, [("user", "where to?"), ("assistant", "to Porto")]);
        assert_eq!((found.id.as_str(), found.title.as_str()), ("c", "Trip"));
        assert!(found.turns[0].at.is_some());
    }

    #[test]
    fn a_message_that_two_conversations_have_is_a_record_of_each() {
        // A conversation that was continued from another begins with a copy of its messages.
        let ids = ["c1", "c2"].map(|id| {
            let mapping = json!({"m": node(Value::Null, "user", json!(["where to?"]))});
            read(json!({"conversation_id": id, "current_node": "m", "mapping": mapping})).turns.remove(0).id
        });
        assert_eq!(ids, ["c1:m", "c2:m"]);
    }

    #[test]
    fn a_circle_ends_and_what_is_no_message_is_named() {
        let found = read(json!({"current_node": "b", "mapping": {
            "a": node(json!("b"), "user", json!(["one"])), "b": node(json!("a"), "assistant", json!(["two"])),
        }}));
        assert_eq!(found.turns.len(), 2);
        let found = read(json!({"mapping": {"a": {"message": {"author": {}, "create_time": 1}}, "b": {"message": 5}}}));
        assert_eq!((found.turns.len(), found.broken.len()), (0, 1));
        let calls = json!({"a": {"message": {"author": {"role": "assistant"}, "recipient": "python", "create_time": 1,
                           "content": {"content_type": "text", "parts": ["print(1)"]}}}});
        assert!(read(json!({"current_node": "a", "mapping": calls})).turns.is_empty());
        assert!(conversation(&Map::new()).is_err());
    }
}
