//! The headings of a Markdown text, and the heading path at a given position.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The separator between the levels of a heading path.
pub(super) const SEPARATOR: &str = " > ";

/// Maximum bytes of one heading in a path. A heading is repeated in the path of each heading below
/// it and with each passage of its section, so one of a megabyte could grow to gigabytes.
const MAX_TITLE_BYTES: usize = 512;

/// The lowest level that a heading can have.
const LOWEST_LEVEL: usize = 6;

/// The start of each heading in bytes, in order, with the heading path that holds from there on.
#[derive(Debug, Default)]
pub(super) struct Headings(Vec<(usize, String)>);

impl Headings {
    pub(super) fn of(text: &str) -> Self {
        let mut path: Vec<(usize, String)> = Vec::new();
        let path_from = |Heading { start, level, title }| {
            path.retain(|(above, _)| *above < level);
            if !title.is_empty() {
                path.push((level, title));
            }
            let titles: Vec<&str> = path.iter().map(|(_, title)| title.as_str()).collect();
            (start, titles.join(SEPARATOR))
        };
        Self(headings(text).into_iter().map(path_from).collect())
    }

    /// Returns the heading path at a byte of the text, including a heading that begins there.
    pub(super) fn path_at(&self, at: usize) -> String {
        self.above(at).checked_sub(1).map(|last| self.0[last].1.clone()).unwrap_or_default()
    }

    /// Returns whether no heading begins after the byte `first` and up to the byte `second`.
    pub(super) fn same(&self, first: usize, second: usize) -> bool {
        self.above(first) == self.above(second)
    }

    fn above(&self, at: usize) -> usize {
        self.0.partition_point(|(start, _)| *start <= at)
    }
}

/// Returns the heading path at a byte of a passage, given the path at its start.
///
/// A path does not have the levels of its headings. One whose level could be that of a heading
/// below it is left out, so that the path never names a section that has ended.
pub fn path_within(path: &str, passage: &str, at: usize) -> String {
    let mut titles: Vec<String> = path.split(SEPARATOR).filter(|title| !title.is_empty()).map(str::to_owned).collect();
    let mut lowest = LOWEST_LEVEL;
    for Heading { start, level, title } in headings(passage) {
        if start > at {
            break;
        }
        if start > 0 {
            // Each heading of a path has a greater level than the one above it.
            titles.truncate((titles.len() + level).saturating_sub(lowest + 1));
        }
        // A heading without a title ends sections and begins none.
        lowest = if title.is_empty() { level - 1 } else { level };
        titles.extend((start > 0 && !title.is_empty()).then_some(title));
    }
    titles.join(SEPARATOR)
}

struct Heading {
    start: usize,
    level: usize,
    title: String,
}

fn headings(text: &str) -> Vec<Heading> {
    let mut found = Vec::new();
    let mut open: Option<Heading> = None;
    let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                open = Some(Heading { start: range.start, level: level as usize, title: String::new() });
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut open {
                    heading.title.push_str(&part);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut open {
                    heading.title.push(' ');
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let Some(heading) = open.take() else { continue };
                let title = heading.title.trim();
                let title = title[..title.floor_char_boundary(MAX_TITLE_BYTES)].to_owned();
                found.push(Heading { title, ..heading });
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_within_a_passage_names_no_section_that_has_ended() {
        let passage = "### Linux\n\ntext\n\n### Mac\n\nmore\n\n#### Old\n\nend\n\n## Use\n\nlast";
        let path = |base: &str, at: &str| path_within(base, passage, passage.find(at).unwrap());
        assert_eq!(path("Guide > Install > Linux", "text"), "Guide > Install > Linux");
        assert_eq!(path("Guide > Install > Linux", "more"), "Guide > Install > Mac");
        assert_eq!(path("Guide > Install > Linux", "#### Old"), "Guide > Install > Mac > Old");
        assert_eq!(path("Guide > Install > Linux", "last"), "Guide > Use");
        // The level of `Install` is 1 or 2.
        assert_eq!(path("Install > Linux", "last"), "Use");
        assert_eq!(path_within("Page 7", "ends\n\n## Page 8\n\ntext", 16), "Page 8");
        assert_eq!(path_within("Guide", "text", 2), "Guide");
        assert_eq!(path_within("", "text", 0), "");
        assert_eq!(path_within("Guide > Use", "## Use\n\na\n\n##\n\nb", 12), "Guide");
    }

    proptest::proptest! {
        // It ends with the same heading, and may leave out headings above it.
        #[test]
        fn the_path_within_a_passage_is_that_of_the_text(levels in proptest::collection::vec(1..5_usize, 1..8), cut in 0..8_usize) {
            let parts: Vec<String> = levels.iter().enumerate().map(|(n, level)| format!("{} H{n}\n\ntext\n\n", "#".repeat(*level))).collect();
            let text = parts.concat();
            let headings = Headings::of(&text);
            let start: usize = parts[..cut % parts.len()].iter().map(String::len).sum();
            for begin in [start, start + text[start..].find("text").unwrap()] {
                for at in begin..text.len() {
                    let found = path_within(&headings.path_at(begin), &text[begin..], at - begin);
                    let whole = headings.path_at(at);
                    let mut above = whole.split(SEPARATOR);
                    proptest::prop_assert!(found.split(SEPARATOR).all(|title| above.any(|it| it == title)), "{} is not {}", found, whole);
                    proptest::prop_assert_eq!(above.next(), None);
                }
            }
        }
    }
}
