//! Prompts: three that make a model use its memory well, and the ones that users saved.

pub(crate) mod own;

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
use own::{Given, OWN, Own, is_like_ours};

/// Number of saved prompts that are listed; the newest come first.
const MAX_LISTED: usize = 100;
/// Characters of each saved prompt that are searched for its placeholders.
const MAX_SCANNED: i32 = 65_536;
/// Number of arguments that a saved prompt may have.
const MAX_PLACES: usize = 64;
/// Bytes of an argument's name.
const MAX_NAME_BYTES: usize = 64;

/// Returns all prompts: the built-in ones and, if the database is open, the saved ones.
pub(crate) async fn list(engine: Option<&Engine>, scope: &Scope) -> Result<Vec<Prompt>, ToolError> {
    let mut prompts: Vec<Prompt> = OWN.iter().map(Own::prompt).collect();
    if let Some(engine) = engine {
        for hit in saved(engine, scope).await? {
            let arguments = places(&hit.text).into_iter().map(|name| PromptArgument::new(name).with_required(true));
            let prompt = Prompt::new(name(&hit), Some(described(&hit, scope)), Some(arguments.collect()));
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
) -> Result<GetPromptResult, ErrorData> {
    let given = |name: &str| arguments.get(name).and_then(Value::as_str).filter(|value| !value.trim().is_empty());
    if let Some(own) = OWN.iter().find(|own| own.name == wanted) {
        let needed = own.arguments.iter().filter(|(_, _, needed)| *needed).map(|(name, _, _)| *name);
        return result(wanted, needed, &given, own.description.to_owned(), || (own.text)(&given));
    }
    let mut found = None;
    if let Some(engine) = engine
        && let Some(hit) = saved(engine, scope).await?.into_iter().find(|hit| name(hit) == wanted)
    {
        found = read::fetch(engine.db(), scope, hit.id).await.map_err(ToolError::from)?;
    }
    let Some(Fetched { hit, .. }) = found else {
        let sentence = format!("there is no prompt `{wanted}`: prompts/list names those that there are");
        return Err(ErrorData::invalid_params(sentence, None));
    };
    let places = places(&hit.text);
    let shown = visible::text(&hit.text);
    let needed = places.iter().map(String::as_str);
    result(wanted, needed, &given, described(&hit, scope), || filled(&shown, &given))
}

/// A prompt's answer, if all that it needs was given.
fn result<'a>(
    prompt: &str,
    needed: impl Iterator<Item = &'a str>,
    given: Given<'_>,
    description: String,
    text: impl FnOnce() -> String,
) -> Result<GetPromptResult, ErrorData> {
    let missing: Vec<String> = needed.filter(|name| given(name).is_none()).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let sentence = format!("the prompt {prompt} needs {}", missing.join(", "));
        return Err(ErrorData::invalid_params(sentence, None));
    }
    let message = PromptMessage::new_text(Role::User, text());
    Ok(GetPromptResult::new(vec![message]).with_description(description))
}

async fn saved(engine: &Engine, scope: &Scope) -> Result<Vec<Hit>, ToolError> {
    let prompts = Filter::of(SourceKind::Prompt);
    let mut saved = review::list(engine.db(), scope, &prompts, None, MAX_LISTED, MAX_SCANNED).await?.hits;
    // `save` refuses such a title, but an ingested file may have one.
    saved.retain(|hit| !is_like_ours(&hit.fields.title));
    Ok(saved)
}

/// Who saved a prompt, and its title. A hit names its owner only if that is not the caller.
fn described(hit: &Hit, scope: &Scope) -> String {
    let author = hit.changed_by.as_ref().or(hit.owner.as_ref()).unwrap_or(&scope.owner);
    visible::line(&format!("Saved by {author}: {}", hit.fields.title))
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
    let mut known = HashSet::new();
    let names = text.split('{').skip(1).filter_map(place).map(|(name, _)| name);
    names.filter(|name| known.insert(*name)).take(MAX_PLACES).map(str::to_owned).collect()
}

/// The name at the beginning of a text that follows a `{`, and what follows the `}`.
fn place(text: &str) -> Option<(&str, &str)> {
    // A longer text is no name, and searching it for its end would make the whole quadratic.
    let end = text.bytes().take(MAX_NAME_BYTES).position(|byte| byte == b'}')?;
    let name = &text[..end];
    let is_a_name = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    is_a_name.then_some((name, &text[end + 1..]))
}

/// The text with its arguments in their places, from left to right: what an argument says is never taken for a place.
fn filled(text: &str, given: Given<'_>) -> String {
    // The text is filled from left to right, so that braces in an argument are never taken for a
    // placeholder.
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let value = place(after).and_then(|(name, tail)| Some((given(name)?, tail)));
        let (put, tail) = value.unwrap_or(("{", after));
        out.push_str(put);
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_stand_in_their_places_and_are_never_taken_for_one() {
        let text = "Summarise {incident} for {audience}. {incident}!";
        assert_eq!(places(text), ["incident", "audience"]);
        let given = |name: &str| match name {
            "incident" => Some("{audience}"),
            "audience" => Some("all"),
            "1" => Some("one"),
            _ => None,
        };
        assert_eq!(filled(text, &given), "Summarise {audience} for all. {audience}!");
        assert_eq!(filled("{\"json\": {1}} {} {unclosed {no}", &given), "{\"json\": one} {} {unclosed {no}");
        let refused = result("p", places(text).iter().map(String::as_str), &|_| None, String::new(), String::new);
        assert!(refused.unwrap_err().message.contains("`incident`, `audience`"));
    }
}
