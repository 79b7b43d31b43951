//! Conversions between records and the arguments and answers of the tools.

use jiff::Timestamp;
use pgrecall_record::{passage, source::SourceKind, time};
use pgrecall_store::recall::Hit;
use serde::Serialize;
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

/// Where a text lies in its record.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Place {
    /// Where the text begins in the record's text, in characters. Left out if it is 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub position: usize,
    /// The page of a PDF on which it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The headings above it, outermost first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub section: String,
}

impl Place {
    /// Returns the place of the text of a hit. The text of a memory is the whole record.
    pub(super) fn of(hit: &Hit) -> Self {
        if hit.kind == SourceKind::Memory {
            Self::default()
        } else {
            Self::at(hit.starts_at.unwrap_or_default(), hit.heading.clone())
        }
    }

    /// Returns the place of a passage.
    pub(super) fn at(position: i32, heading: String) -> Self {
        // A reader of PDF makes each page a section of this name.
        let page = heading.strip_prefix("Page ").and_then(|page| page.parse().ok());
        let section = if page.is_none() { heading } else { String::new() };
        Self { position: usize::try_from(position).unwrap_or_default(), page, section }
    }

    /// Moves the place from the beginning of a text to a byte of it.
    pub(super) fn advance(&mut self, text: &str, to: usize) {
        let heading = self.page.map_or_else(|| std::mem::take(&mut self.section), |page| format!("Page {page}"));
        // Text that is not Markdown has no sections, and its lines may look like headings.
        let heading = if heading.is_empty() { heading } else { passage::path_within(&heading, text, to) };
        *self = Self { position: self.position + text[..to].chars().count(), ..Self::at(0, heading) };
    }
}

pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_moves_with_the_text_that_is_shown() {
        let mut place = Place::at(100, "Page 7".to_owned());
        assert_eq!(place, Place { position: 100, page: Some(7), section: String::new() });
        let text = "é ends.\n\n## Page 8\n\nIt begins.";
        place.advance(text, text.find("It").unwrap());
        assert_eq!(place, Place { position: 120, page: Some(8), section: String::new() });
        let mut place = Place::at(0, "Guide > Page 7".to_owned());
        place.advance("abc", 2);
        assert_eq!(place, Place { position: 2, page: None, section: "Guide > Page 7".to_owned() });
        let mut place = Place::default();
        place.advance("# a\nb", 4);
        assert_eq!(place, Place { position: 4, ..Place::default() });
    }
}
