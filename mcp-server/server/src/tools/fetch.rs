//! `fetch`: returns one whole source.

use std::borrow::Cow;

use pgrecall_store::read::{self, Fetched};
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::engine::Engine;

use super::{
    Effect, StoredText, Tool, ToolError,
    present::{is_zero, parse_id, title, url},
};
use pgrecall_callers::caller::Caller;

/// Characters of one answer: about ten thousand tokens, which hosts still pass on whole.
const MAX_CHARACTERS: usize = 40_000;
/// Characters before and after the position that a caller asks for.
const AROUND_CHARACTERS: usize = 4_000;

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
    /// A position: return the text around it.
    around: Option<usize>,
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
    /// Where text begins, unless at 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(skip)]
    offset: usize,
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
        Answer::of(found, arguments.part())
    }
}

impl Arguments {
    fn part(&self) -> Part {
        match self.around {
            Some(at) => Part { argument: "around", at, before: AROUND_CHARACTERS, most: 2 * AROUND_CHARACTERS },
            None => Part { argument: "offset", at: self.offset, before: 0, most: MAX_CHARACTERS },
        }
    }
}

/// The part of a text to return, in characters.
struct Part {
    /// The argument that asks for it.
    argument: &'static str,
    at: usize,
    /// How much to return before `at`.
    before: usize,
    most: usize,
}

impl Answer {
    fn of(found: Fetched, part: Part) -> Result<Self, ToolError> {
        let hit = &found.hit;
        let whole = whole_text(&found);
        let (offset, text, next_offset) = part.of(&whole)?;
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
            offset,
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

impl Part {
    /// Returns the offset at which the part begins, the part, and the offset of the next part.
    fn of<'t>(&self, text: &'t str) -> Result<(usize, &'t str, Option<usize>), ToolError> {
        let byte = |text: &str, characters: usize| text.char_indices().nth(characters).map(|(at, _)| at);
        let mut start = match byte(text, self.at) {
            Some(start) => start,
            None if self.at == 0 => 0,
            None => {
                let (name, at, length) = (self.argument, self.at, text.chars().count());
                return Err(ToolError::Caller(format!("`{name}` is {at}, and the text ends at character {length}")));
            }
        };
        let mut offset = self.at;
        if self.before > 0 {
            let first = text[..start].char_indices().rev().take(self.before).last().map_or(start, |(at, _)| at);
            // From the next line on, so that the part does not begin within a sentence.
            let line = text[first..start].find('\n').filter(|_| first > 0).map_or(first, |end| first + end + 1);
            offset -= text[line..start].chars().count();
            start = line;
        }
        let rest = &text[start..];
        Ok(match byte(rest, self.most) {
            Some(end) => (offset, &rest[..end], Some(offset + self.most)),
            None => (offset, rest, None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str, offset: usize) -> Result<(usize, &str, Option<usize>), ToolError> {
        Arguments { offset, ..Arguments::default() }.part().of(text)
    }

    fn around(text: &str, around: usize) -> Result<(usize, &str, Option<usize>), ToolError> {
        Arguments { around: Some(around), ..Arguments::default() }.part().of(text)
    }

    #[test]
    fn a_long_text_comes_in_parts_that_join_to_the_whole() {
        let text = "é".repeat(MAX_CHARACTERS * 2 + 7);
        let (mut whole, mut next) = (String::new(), Some(0));
        while let Some(offset) = next {
            let (_, found, after) = part(&text, offset).unwrap();
            whole.push_str(found);
            next = after;
        }
        assert_eq!(whole, text);
        assert!(part("abc", 4).unwrap_err().to_string().contains("`offset` is 4, and the text ends at character 3"));
        assert_eq!(part("", 0).unwrap(), (0, "", None));
    }

    #[test]
    fn the_text_around_a_position_begins_with_a_line_and_continues_at_its_end() {
        let text: String = (0..2_000).map(|line| format!("{line:04} é line\n")).collect();
        let (offset, found, next) = around(&text, 12_000).unwrap();
        assert!((8_000..8_012).contains(&offset) && found.chars().count() == 2 * AROUND_CHARACTERS);
        assert!(text.chars().skip(offset).collect::<String>().starts_with(found));
        assert!(found.starts_with(|first: char| first.is_ascii_digit()), "{found}");
        assert_eq!(next, Some(offset + 2 * AROUND_CHARACTERS));
        assert_eq!(around(&text, 3).unwrap().0, 0);
        let (offset, found, next) = around(&text, text.chars().count() - 1).unwrap();
        assert!(found.ends_with("1999 é line\n") && next.is_none() && offset > 0);
        assert_eq!(around("", 0).unwrap(), (0, "", None));
        assert!(around("abc", 3).unwrap_err().to_string().contains("`around` is 3"));
        let line = "é".repeat(20_000);
        assert_eq!(around(&line, 10_000).unwrap().0, 6_000);
    }
}
