//! JSON and YAML that names its own type: an API description, a list of tools, or a list of
//! prompts.
//!
//! A folder holds many other files of these formats. Before anything is parsed, a file must contain
//! a name that one of the three types requires.

use serde_json::Value;

use crate::{
    Format, Part, Problem,
    batch::{Batcher, Stop},
    formats::{json, listing, openapi, yaml},
    origin::Origin,
};

/// Names of which each supported file contains at least one.
const NAMES: [&[u8]; 4] = [b"openapi", b"swagger", b"tools", b"prompts"];

/// Reads one file according to its content.
pub(super) fn read(origin: &Origin, bytes: Vec<u8>, out: &mut Batcher) -> Result<(), Stop> {
    let is_candidate = NAMES.iter().any(|name| bytes.windows(name.len()).any(|window| window == *name));
    if !is_candidate && !origin.is_named() {
        out.other_structured(origin);
        return Ok(());
    }
    let text = origin.text(bytes, Format::Structured)?;
    let (root, notes) = parse(&text, json::MAX_VALUES).map_err(|why| origin.misfit(why))?;
    drop(text);
    // A `tools/list` response as it came over the wire has its list under `result`.
    let listed = root.get("result").unwrap_or(&root);
    let list = |name: &str| listed.get(name).and_then(Value::as_array).filter(|items| is_list(items));
    let is_api = root.get("openapi").or(root.get("swagger")).is_some();
    if is_api || list("tools").or(list("prompts")).is_some() {
        for note in notes {
            out.problem(origin.place(Part::Whole), Problem::Noted(note))?;
        }
    }
    if is_api {
        return openapi::read(origin, root, out);
    }
    match (list("tools"), list("prompts")) {
        (Some(tools), _) => listing::tools(origin, tools, out),
        (_, Some(prompts)) => listing::prompts(origin, prompts, out),
        _ if origin.is_named() => {
            let sentence = "it is neither an OpenAPI or Swagger file nor a list of tools or prompts: write what it holds as \
                            JSONL, one record a line";
            Err(sentence.to_owned().into())
        }
        _ => {
            out.other_structured(origin);
            Ok(())
        }
    }
}

/// Whether items have names, as in a list of tools or prompts. One without a name must not cost the
/// others.
fn is_list(items: &[Value]) -> bool {
    items.iter().any(|item| json::text(item.get("name")).is_some())
}

/// Parses JSON or YAML of at most `max_values` values, and returns notes about what was repaired or
/// left out. The error is a sentence.
pub(super) fn parse(text: &str, max_values: usize) -> Result<(Value, Vec<String>), String> {
    let yaml = || yaml::read_within(text, max_values);
    // A text that begins like JSON is reported with the JSON error, which is easier to find than
    // the YAML error.
    if text.trim_start().starts_with(['{', '[']) {
        json::read_within(text.as_bytes(), max_values)
            .map(|(value, repairs)| {
                let repaired = (!repairs.is_empty()).then(|| repairs.to_string());
                (value, repaired.into_iter().chain(repeated(&json::repeated(text))).collect())
            })
            .or_else(|error| yaml().map_err(|_| format!("it is not valid JSON ({error}): fix it")))
    } else {
        yaml().map_err(|why| format!("it is not valid YAML ({why}): fix it"))
    }
}

/// Makes the note about names that an object has twice.
pub(super) fn repeated(names: &[String]) -> Option<String> {
    let (first, more) = (names.first()?, names.len() - 1);
    let more = if more > 0 { format!(", as are {more} more names") } else { String::new() };
    Some(format!("`{}` is given twice in one mapping{more}: only the last of each was read", excerpt(first)))
}

/// Returns the beginning of a name, for a message.
fn excerpt(name: &str) -> &str {
    &name[..name.floor_char_boundary(200)]
}
