//! `fetch`: returns one whole source.

use std::borrow::Cow;

use pgrecall_store::read::{self, Fetched};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::engine::Engine;

use super::{
    Effect, StoredText, Tool, ToolError,
    present::{parse_id, title, url},
};
use pgrecall_callers::caller::Caller;

/// Characters of one answer: about ten thousand tokens, which hosts still pass on whole.
const MAX_CHARACTERS: usize = 40_000;

/// The tool `fetch`.
pub(crate) struct Fetch;

/// What it takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub(crate) struct Arguments {
    /// From search or memory_recall.
    id: String,
    /// next_offset of the last answer.
    offset: usize,
}

/// What it answers, in the shape that ChatGPT's connectors expect.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    #[schemars(skip)]
    notice: StoredText,
    id: String,
    title: String,
    text: String,
    url: String,
    metadata: serde_json::Map<String, Value>,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Whose it is, if not yours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    owner: Option<String>,
    /// Who wrote the text, if not its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    changed_by: Option<String>,
    /// Offset of the next part, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

impl Tool for Fetch {
    const NAME: &'static str = "fetch";
    const TITLE: &'static str = "Fetch";
    const DESCRIPTION: &'static str = "Returns the whole text of a search result or memory, a long text in parts.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Answer = Answer;

    async fn call(engine: &Engine, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let id = parse_id(&arguments.id)?;
        let found = read::fetch(engine.db(), &caller.scope, id).await?;
        let found = found.ok_or_else(|| {
            ToolError::Caller(format!(
                "there is no source {id}: it may have been forgotten; search again for a current id"
            ))
        })?;
        Answer::of(found, arguments.offset)
    }
}

impl Answer {
    fn of(found: Fetched, offset: usize) -> Result<Self, ToolError> {
        let hit = &found.hit;
        let whole = whole_text(&found);
        let (text, next_offset) = part(&whole, offset)?;
        Ok(Self {
            notice: StoredText,
            id: hit.id.to_string(),
            title: title(hit),
            url: url(hit),
            text: text.to_owned(),
            metadata: hit.fields.metadata.clone(),
            kind: hit.kind.to_string(),
            key: hit.fields.key.clone(),
            owner: hit.owner.clone(),
            changed_by: hit.changed_by.clone(),
            next_offset,
        })
    }
}

/// Returns a record's text, followed by its details as JSON.
///
/// Connectors take nothing but the text, and a model reads the details best in this form.
pub(crate) fn whole_text(found: &Fetched) -> Cow<'_, str> {
    let Some(details) = &found.details else { return Cow::Borrowed(&found.hit.text) };
    let details = serde_json::to_string_pretty(details).expect("details have text keys only");
    Cow::Owned(format!("{}\n\n```json\n{details}\n```\n", found.hit.text.trim_end()))
}

/// Returns the part of a text that begins at a character, and the offset of the next part.
fn part(text: &str, offset: usize) -> Result<(&str, Option<usize>), ToolError> {
    let byte = |text: &str, characters: usize| text.char_indices().nth(characters).map(|(at, _)| at);
    let start = match byte(text, offset) {
        Some(start) => start,
        None if offset == 0 => 0,
        None => {
            let length = text.chars().count();
            return Err(ToolError::Caller(format!("`offset` is {offset}, and the text ends at character {length}")));
        }
    };
    let rest = &text[start..];
    Ok(match byte(rest, MAX_CHARACTERS) {
        Some(end) => (&rest[..end], Some(offset + MAX_CHARACTERS)),
        None => (rest, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_comes_in_parts_that_join_to_the_whole() {
        let text = "é".repeat(MAX_CHARACTERS * 2 + 7);
        let (mut whole, mut next) = (String::new(), Some(0));
        while let Some(offset) = next {
            let (found, after) = part(&text, offset).unwrap();
            whole.push_str(found);
            next = after;
        }
        assert_eq!(whole, text);
        assert!(part("abc", 4).unwrap_err().to_string().contains("ends at character 3"));
        assert_eq!(part("", 0).unwrap(), ("", None));
    }
}
