//! The headings of a Markdown text, and the heading path at a given position.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The separator between the levels of a heading path.
pub(super) const SEPARATOR: &str = " > ";

/// Maximum bytes of one heading in a path. A heading is repeated in the path of each heading below
/// it and with each passage of its section, so one of a megabyte could grow to gigabytes.
const MAX_TITLE_BYTES: usize = 512;

/// The start of each heading in bytes, in order, with the heading path that holds from there on.
#[derive(Debug, Default)]
pub(super) struct Headings(Vec<(usize, String)>);

impl Headings {
    pub(super) fn of(text: &str) -> Self {
        let mut found = Vec::new();
        let mut path: Vec<(usize, String)> = Vec::new();
        let mut open: Option<(usize, usize, String)> = None;
        let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => open = Some((range.start, level as usize, String::new())),
                Event::Text(part) | Event::Code(part) => {
                    if let Some((.., title)) = &mut open {
                        title.push_str(&part);
                    }
                }
                Event::SoftBreak | Event::HardBreak => {
                    if let Some((.., title)) = &mut open {
                        title.push(' ');
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let Some((start, level, title)) = open.take() else { continue };
                    path.retain(|(above, _)| *above < level);
                    let title = title.trim();
                    if !title.is_empty() {
                        path.push((level, title[..title.floor_char_boundary(MAX_TITLE_BYTES)].to_owned()));
                    }
                    let titles: Vec<&str> = path.iter().map(|(_, title)| title.as_str()).collect();
                    found.push((start, titles.join(SEPARATOR)));
                }
                _ => {}
            }
        }
        Self(found)
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
