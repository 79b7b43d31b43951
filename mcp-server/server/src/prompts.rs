//! Prompts: three that make a model use its memory well, and the ones that users saved.

use std::collections::HashSet;

use pgrecall_postgres::db::Scope;
use pgrecall_record::{source::SourceKind, visible};
use pgrecall_store::{
    read::{self, Fetched},
    recall::{Filter, Hit},
    review,
};
use rmcp::{
    ErrorData,
    model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role},
};
use serde_json::Value;
use shared::engine::Engine;

use crate::tools::ToolError;

/// Number of saved prompts that are listed; the newest come first.
const LISTED: usize = 100;
/// Characters of each saved prompt that are searched for its placeholders.
const LOOKED_THROUGH: i32 = 65_536;
/// Number of arguments that a saved prompt may have.
const MOST_PLACES: usize = 64;
/// Bytes of an argument's name.
const LONGEST_NAME: usize = 64;

/// A built-in prompt.
struct Own {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// Its arguments, each with a description and whether it is required.
    arguments: &'static [(&'static str, &'static str, bool)],
    text: &'static str,
}

const OWN: [Own; 3] = [
    Own {
        name: "recall_before_you_answer",
        title: "Recall before you answer",
        description: "Answers a question from what is remembered, and says what is not.",
        arguments: &[("question", "What to answer", true), ("tag", "Only memories with this tag", false)],
        text: "Before you answer, call memory_recall with the question in plain words{tag: and tags [\"{}\"]}. If an answer is degraded, ask once more \
               in the words that the text itself would use. Answer from what you find, say since when it is true where that matters, and say plainly \
               what you do not find.\n\nQuestion: {question}",
    },
    Own {
        name: "save_what_you_learned",
        title: "Save what you learned",
        description: "Goes through the conversation and remembers what will matter again.",
        arguments: &[("tag", "A tag for all of it", false)],
        text: "Go through this conversation. For each fact, decision, preference or date that will matter again, call memory_remember: one \
               self-contained fact a call, names and dates written out{tag:, with tags [\"{}\"]}. Where its answer names a memory that is no longer \
               true, remember the new one again with that id in supersedes. Keep nothing secret and nothing that only matters now. Then say in a list \
               what you saved.",
    },
    Own {
        name: "answer_with_citations",
        title: "Answer with citations",
        description: "Answers from the documents, and names the source of each statement.",
        arguments: &[
            ("question", "What to answer", true),
            ("collection", "Only this collection", false),
            ("kind", "Only this kind: document, asset, prompt, tool or api_operation", false),
        ],
        text: "Call search with the question{collection:, collection \"{}\"}{kind:, kinds [\"{}\"]}, then fetch what you will cite. Answer from these \
               texts only. After each statement put its source as [title](url); where they disagree, say so; what they do not hold, say that they do \
               not.\n\nQuestion: {question}",
    },
];

impl Own {
    fn prompt(&self) -> Prompt {
        let arguments = self.arguments.iter().map(|(name, description, needed)| {
            PromptArgument::new(*name).with_description(*description).with_required(*needed)
        });
        Prompt::new(self.name, Some(self.description), Some(arguments.collect())).with_title(self.title)
    }
}

/// Returns all prompts: the built-in ones and, if the database is open, the saved ones.
pub(crate) async fn list(engine: Option<&Engine>, scope: &Scope) -> Result<Vec<Prompt>, ToolError> {
    let mut prompts: Vec<Prompt> = OWN.iter().map(Own::prompt).collect();
    if let Some(engine) = engine {
        for hit in saved(engine, scope).await? {
            let arguments = places(&hit.text).into_iter().map(|name| PromptArgument::new(name).with_required(true));
            let description = format!("Saved by {}: {}", author(&hit, scope), hit.fields.title);
            let prompt = Prompt::new(name(&hit), Some(visible::line(&description)), Some(arguments.collect()));
            prompts.push(prompt.with_title(title(&hit)));
        }
    }
    Ok(prompts)
}

/// Returns a prompt with its arguments filled in.
pub(crate) async fn get(
    engine: Option<&Engine>,
    scope: &Scope,
    wanted: &str,
    arguments: &JsonObject,
) -> Result<Result<GetPromptResult, ErrorData>, ToolError> {
    if let Some(own) = OWN.iter().find(|own| own.name == wanted) {
        let needed = own.arguments.iter().filter(|(_, _, needed)| *needed).map(|(name, _, _)| *name);
        return Ok(filled(wanted, own.text, Places::WithWords, needed, arguments).map(|text| {
            GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(own.description)
        }));
    }
    let mut found = None;
    if let Some(engine) = engine {
        let hit = saved(engine, scope).await?.into_iter().find(|hit| name(hit) == wanted);
        if let Some(hit) = hit {
            found = read::fetch(engine.db(), scope, hit.id).await?;
        }
    }
    let Some(Fetched { hit, .. }) = found else {
        let sentence = format!("there is no prompt `{wanted}`: prompts/list names those that there are");
        return Ok(Err(ErrorData::invalid_params(sentence, None)));
    };
    let places = places(&hit.text);
    let description = visible::line(&format!("Saved by {}: {}", author(&hit, scope), hit.fields.title));
    let shown = visible::text(&hit.text);
    Ok(filled(wanted, &shown, Places::Plain, places.iter().map(String::as_str), arguments).map(|text| {
        GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(description)
    }))
}

async fn saved(engine: &Engine, scope: &Scope) -> Result<Vec<Hit>, ToolError> {
    let prompts = Filter::of(SourceKind::Prompt);
    let mut saved = review::list(engine.db(), scope, &prompts, None, LISTED, LOOKED_THROUGH).await?.hits;
    // `save` refuses such a title, but an ingested file may have one.
    saved.retain(|hit| !is_like_ours(&hit.fields.title));
    Ok(saved)
}

/// Whether a reader could take a title for that of a built-in prompt.
pub(crate) fn is_like_ours(title: &str) -> bool {
    OWN.iter().any(|own| visible::look_alike(title, own.title) || visible::look_alike(title, own.name))
}

/// Returns the user who wrote a prompt. A hit names its owner only if that is not the caller.
fn author<'a>(hit: &'a Hit, scope: &'a Scope) -> &'a str {
    hit.changed_by.as_ref().or(hit.owner.as_ref()).unwrap_or(&scope.owner)
}

/// Returns the title for a list. Another user's prompt names its owner, since hosts show little
/// more.
fn title(hit: &Hit) -> String {
    match &hit.owner {
        Some(owner) => visible::line(&format!("{} (saved by {owner})", hit.fields.title)),
        None => visible::line(&hit.fields.title),
    }
}

/// Returns a saved prompt's name: its title in lower case, and the end of its id.
///
/// The end of the id distinguishes two prompts with the same title.
fn name(hit: &Hit) -> String {
    let mut name = String::new();
    for letter in hit.fields.title.chars().flat_map(char::to_lowercase).take(48) {
        match letter {
            'a'..='z' | '0'..='9' => name.push(letter),
            _ if !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let id = hit.id.simple().to_string();
    format!("{}_{}", name.trim_matches('_'), &id[id.len() - 6..])
}

/// Finds the placeholders of a text, each once, in their order.
fn places(text: &str) -> Vec<String> {
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    for part in text.split('{').skip(1) {
        // A longer text in braces is not a name, so its end need not be found.
        let head = &part.as_bytes()[..part.len().min(LONGEST_NAME)];
        let Some(end) = head.iter().position(|byte| *byte == b'}') else { continue };
        let place = &part[..end];
        let is_a_name = !place.is_empty() && place.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        if is_a_name && known.insert(place) {
            found.push(place.to_owned());
            if found.len() == MOST_PLACES {
                break;
            }
        }
    }
    found
}

/// The syntax of the placeholders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Places {
    /// `{name}`; other braces are text.
    Plain,
    /// `{name}`, and `{name: words {}}`, whose words appear only if the argument is given.
    WithWords,
}

/// Fills the arguments into the text.
fn filled<'a>(
    prompt: &str,
    text: &str,
    how: Places,
    needed: impl Iterator<Item = &'a str>,
    arguments: &JsonObject,
) -> Result<String, ErrorData> {
    let given = |name: &str| arguments.get(name).and_then(Value::as_str).filter(|value| !value.trim().is_empty());
    let missing: Vec<String> = needed.filter(|name| given(name).is_none()).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let sentence = format!("the prompt {prompt} needs {}", missing.join(", "));
        return Err(ErrorData::invalid_params(sentence, None));
    }
    // The text is filled from left to right, so that braces in an argument are never taken for a
    // placeholder.
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let name_end =
            rest[1..].find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).map_or(rest.len(), |at| at + 1);
        let (name, after) = (&rest[1..name_end], &rest[name_end..]);
        if let Some(end) = after.strip_prefix('}') {
            match given(name) {
                Some(value) if !name.is_empty() => out.push_str(value),
                _ => out.push_str(&rest[..=name_end]),
            }
            rest = end;
        } else if let Some(words) = (how == Places::WithWords)
            .then_some(after)
            .and_then(|after| after.strip_prefix(':'))
            .and_then(|after| after.find("{}").map(|at| (after, at)))
        {
            let (after, at) = words;
            let tail = &after[at + 2..];
            let Some(end) = tail.find('}') else {
                out.push_str(rest);
                return Ok(out);
            };
            if let Some(value) = given(name) {
                out.push_str(&after[..at]);
                out.push_str(value);
                out.push_str(&tail[..end]);
            }
            rest = &tail[end + 1..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(text: &str, arguments: Value) -> Result<String, ErrorData> {
        let places = places(text);
        filled("p", text, Places::Plain, places.iter().map(String::as_str), &rmcp::model::object(arguments))
    }

    #[test]
    fn arguments_stand_in_their_places_and_are_never_taken_for_one() {
        let text = "Summarise {incident} for {audience}. {incident}!";
        assert_eq!(places(text), ["incident", "audience"]);
        assert_eq!(
            fill(text, json!({"incident": "{audience}", "audience": "all"})).unwrap(),
            "Summarise {audience} for all. {audience}!"
        );
        assert!(fill(text, json!({"incident": "x"})).unwrap_err().message.contains("`audience`"));
        assert_eq!(fill("{\"json\": {1}} {} {unclosed", json!({"1": "one"})).unwrap(), "{\"json\": one} {} {unclosed");
    }

    #[test]
    fn words_that_need_an_argument_come_with_it() {
        let own = |arguments: Value| {
            filled("p", OWN[0].text, Places::WithWords, ["question"].into_iter(), &rmcp::model::object(arguments))
                .unwrap()
        };
        assert!(own(json!({"question": "why?"})).contains("plain words. If"));
        assert!(own(json!({"question": "why?", "tag": "q3"})).contains("plain words and tags [\"q3\"]. If"));
    }
}
