//! The front matter of a Markdown text: a YAML mapping between two `---` lines at its head, or
//! TOML between two `+++` lines.
//!
//! Anything else between such lines is body, since a `---` line is a thematic break as well. So no
//! text is dropped unread ([37](docs/decisions/0037-front-matter-and-keys.md)).

mod fields;
mod prompt;
#[cfg(test)]
mod tests;

use pgrecall_record::source::MAX_METADATA_BYTES;
use serde_json::{Map, Value};

pub(crate) use self::{fields::FrontMatter, prompt::prompt};
use super::yaml;

/// Values that the aliases of a front matter may expand to.
const MAX_VALUES: usize = MAX_METADATA_BYTES;
/// Fields of which a block that is not valid YAML, or reads like prose, has one if it is front matter.
const KNOWN: [&str; 24] = [
    "title",
    "description",
    "summary",
    "tags",
    "keywords",
    "aliases",
    "date",
    "created",
    "updated",
    "id",
    "permalink",
    "slug",
    "category",
    "type",
    "author",
    "authors",
    "name",
    "subtitle",
    "layout",
    "status",
    "lang",
    "url",
    "published",
    "created_at",
];

/// The lines at the head of a text that may be its front matter.
struct Block<'t> {
    /// The line before and after the block.
    mark: &'static str,
    text: &'t str,
    body: &'t str,
}

/// Splits a text into its front matter and the rest.
///
/// A front matter beyond the limit of a record's metadata counts as text.
pub(crate) fn split(text: &str) -> (Option<FrontMatter>, &str) {
    let Some(Block { mark, text: block, body }) = find(text) else { return (None, text) };
    let (fields, is_whole) = if mark == "---" { (yaml_fields(block), true) } else { toml_fields(block) };
    let is_small = |fields: &Map<String, Value>| json_bytes(fields) <= MAX_METADATA_BYTES;
    match fields.filter(is_small) {
        Some(fields) => (Some(FrontMatter(fields)), if is_whole { body } else { text }),
        None => (None, text),
    }
}

fn json_bytes(fields: &Map<String, Value>) -> usize {
    serde_json::to_string(fields).map_or(usize::MAX, |json| json.len())
}

/// Explains why a text that begins with a `---` line has no front matter, if that is not YAML.
/// `None` if it has one, or begins with text between two thematic breaks.
pub(crate) fn refusal(text: &str) -> Option<String> {
    let block = find(text).filter(|block| block.mark == "---" && yaml_fields(block.text).is_none())?;
    let why = yaml::read_only(block.text, MAX_VALUES).err()?;
    Some(format!("its front matter is not YAML ({why}): fix it"))
}

/// Finds the lines that may be front matter. Blank lines may precede them.
fn find(text: &str) -> Option<Block<'_>> {
    let mut rest = text.trim_start_matches('\u{feff}');
    let first = loop {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        if !line.trim().is_empty() {
            break line.trim_end();
        }
    };
    let mark = ["---", "+++"].into_iter().find(|mark| *mark == first)?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        let end = line.trim_end();
        if end == mark || end == "..." && mark == "---" {
            return Some(Block { mark, text: &rest[..at], body: &rest[at + line.len()..] });
        }
        at += line.len();
        if at > MAX_METADATA_BYTES {
            break;
        }
    }
    None
}

fn yaml_fields(block: &str) -> Option<Map<String, Value>> {
    match yaml::read_only(block, MAX_VALUES) {
        Ok(Value::Object(fields)) => Some(fields).filter(|fields| !is_prose(fields, block)),
        // Some generators write two marks and nothing between them.
        Ok(_) => block.trim().is_empty().then(Map::new),
        Err(_) => fields_of_each(block),
    }
}

/// Whether a mapping is text between two thematic breaks, such as `Warning: never open the valve.`
///
/// It is if no field has a common name, all of them are texts, and one is a sentence, or one has
/// several words and blank lines are between the fields or around them.
fn is_prose(fields: &Map<String, Value>, block: &str) -> bool {
    let is_spaced = block.lines().any(|line| line.trim().is_empty());
    let is_said = |text: &str| {
        let text = text.trim();
        text.contains(' ') && (is_spaced || text.ends_with(['.', '!', '?', '\u{2026}']))
    };
    !fields.keys().any(|name| is_known(name))
        && fields.values().all(Value::is_string)
        && fields.values().any(|value| value.as_str().is_some_and(is_said))
}

/// Whether a field has a common name.
fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Parses each field as a YAML text of its own. A field that is not YAML, such as `title: Foo: the
/// bar`, has the text on its lines.
///
/// People and generators write titles without quotation marks, which must not cost the other
/// fields.
fn fields_of_each(block: &str) -> Option<Map<String, Value>> {
    let mut entries: Vec<(&str, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in block.split_inclusive('\n') {
        let end = at + line.len();
        let is_skipped = line.trim().is_empty() || line.starts_with('#');
        let continues = is_skipped || line.starts_with([' ', '\t']) || line.starts_with("- ") || line.trim_end() == "-";
        match (name(line), entries.last_mut()) {
            (Some(name), _) => entries.push((name, at, end)),
            (None, Some(entry)) if continues => entry.2 = end,
            (None, None) if is_skipped => {}
            _ => return None,
        }
        at = end;
    }
    if !entries.iter().any(|(name, ..)| is_known(name)) {
        return None;
    }
    let field = |(name, from, to): (&str, usize, usize)| match yaml::read_only(&block[from..to], MAX_VALUES) {
        Ok(Value::Object(field)) => field.into_iter().next(),
        // A sentence with a colon is no field.
        _ if name.contains(' ') => None,
        _ => Some((name.to_owned(), unquoted(block[from + name.len() + 1..to].trim()).into())),
    };
    entries.into_iter().map(field).collect()
}

/// Returns the name of the field that begins on this line. It may have blanks within, as people
/// write properties.
fn name(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    let is_name = !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || "_-. ".contains(char));
    let is_name = is_name && !name.starts_with(' ') && !name.starts_with("- ") && !name.ends_with(' ');
    (is_name && (rest.is_empty() || rest.starts_with(char::is_whitespace))).then_some(name)
}

fn unquoted(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text)
}

/// Reads the fields of TOML up to the first that is not a short value on one line. Returns whether
/// these are all.
///
/// Strings, numbers, dates and lists on one line are the same in YAML. Names below a table or in a
/// long string would not be fields of the text.
fn toml_fields(block: &str) -> (Option<Map<String, Value>>, bool) {
    let mut fields = Map::new();
    for line in block.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match toml_field(line) {
            Some((name, value)) => fields.insert(name.to_owned(), value),
            None => return (Some(fields).filter(|fields| !fields.is_empty()), false),
        };
    }
    (Some(fields).filter(|fields| !fields.is_empty() || block.trim().is_empty()), true)
}

fn toml_field(line: &str) -> Option<(&str, Value)> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char));
    let is_long = value.contains("\"\"\"") || value.contains("'''");
    let is_simple = match value.chars().next()? {
        '"' | '\'' => true,
        '[' => !value.contains('{'),
        _ => value.chars().all(|char| char.is_ascii_alphanumeric() || "+-:._ ".contains(char)),
    };
    let value = (is_name && is_simple && !is_long).then(|| yaml::read_only(value, MAX_VALUES).ok())??;
    Some((name, value))
}
