//! Conversions between records and the arguments and answers of the tools.

use jiff::Timestamp;
use pgrecall_record::time;
use pgrecall_store::recall::Hit;
use uuid::Uuid;

use super::ToolError;

/// Parses an id from an answer, alone or at the end of a `url`.
pub fn parse_id(text: &str) -> Result<Uuid, ToolError> {
    let id = text.trim();
    let id = id.rsplit_once("://").map_or(id, |(_, path)| path.rsplit('/').next().unwrap_or(path));
    Uuid::parse_str(id).map_err(|_| {
        ToolError::Caller(format!("`{text}` is not an id: take the `id` of a result of search or memory_recall"))
    })
}

/// Parses a time argument, if it is given.
pub(super) fn moment(name: &str, text: Option<&String>) -> Result<Option<Timestamp>, ToolError> {
    text.map(|text| time::parse_field(name, text)).transpose().map_err(ToolError::Caller)
}

/// Rounds a score to four decimal places, which distinguish any two results that a reader could.
pub fn rounded(score: f64) -> f64 {
    (score * 1e4).round() / 1e4
}

/// Returns a source's URI, or one of our own: connectors need an address for every result, and cite
/// it.
pub fn url(hit: &Hit) -> String {
    hit.fields.uri.clone().unwrap_or_else(|| format!("pgrecall://{}/{}", hit.kind, hit.id))
}

/// Returns a source's title, or the first words of its text.
pub fn title(hit: &Hit) -> String {
    if !hit.fields.title.trim().is_empty() {
        return hit.fields.title.clone();
    }
    let line = hit.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}
