//! Writes the visible text of a page as Markdown, from its tags in document order.

/// Maximum number of spaces before a list item. Items of deeper lists stay list items.
const MAX_INDENT: usize = 16;

/// The separator between the last word and the next. The largest separator that was requested wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Gap {
    #[default]
    None,
    Space,
    Cell,
    Line,
    Paragraph,
}

/// Writes the text of a page.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
    gap: Gap,
    /// Prefix of the next line: the mark of a heading or of a list item.
    mark: String,
    /// Byte offset at which the open heading began.
    heading: Option<usize>,
    /// The open lists. An ordered list has the number of its last item.
    lists: Vec<Option<u64>>,
    /// The preformatted text, while a `pre` element is open.
    verbatim: Option<String>,
    /// Number of `pre` elements so far.
    verbatims: usize,
}

/// The state of a writer, to which it can return.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    bytes: usize,
    gap: Gap,
    mark: String,
    heading: Option<usize>,
    lists: usize,
    verbatim: Option<usize>,
    verbatims: usize,
}

impl Snapshot {
    /// Bytes that were written before.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Writer {
    /// Handles a start tag.
    pub(super) fn start(&mut self, name: &[u8]) {
        match name {
            b"br" if self.verbatim.is_some() => self.text("\n"),
            b"br" => self.want(Gap::Line),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => {
                self.block();
                self.mark = format!("{} ", "#".repeat(usize::from(name[1] - b'0')));
                self.heading = Some(self.text.len());
            }
            b"ul" | b"ol" | b"menu" => {
                self.close_heading();
                self.want(if self.lists.is_empty() { Gap::Paragraph } else { Gap::Line });
                self.lists.push((name == b"ol").then_some(0));
            }
            b"li" => {
                self.want(Gap::Line);
                let indent = (self.lists.len().saturating_sub(1) * 2).min(MAX_INDENT);
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{number}. ")
                    }
                    _ => "- ".to_owned(),
                };
                self.mark = format!("{:indent$}{bullet}", "");
            }
            b"tr" | b"dt" | b"dd" | b"caption" | b"option" => self.want(Gap::Line),
            b"td" | b"th" => self.want(Gap::Cell),
            b"pre" | b"listing" if self.verbatim.is_none() => {
                self.block();
                self.verbatim = Some(String::new());
                self.verbatims += 1;
            }
            _ if is_block(name) => self.block(),
            _ => {}
        }
    }

    /// Handles an end tag.
    pub(super) fn end(&mut self, name: &[u8]) {
        match name {
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.block(),
            b"ul" | b"ol" | b"menu" => {
                self.lists.pop();
                self.want(if self.lists.is_empty() { Gap::Paragraph } else { Gap::Line });
            }
            b"li" | b"tr" | b"dt" | b"dd" => self.want(Gap::Line),
            b"pre" | b"listing" => self.close_verbatim(),
            // An end tag only requests a separator, so a stray one adds no empty paragraph.
            _ if is_block(name) => self.want(Gap::Paragraph),
            _ => {}
        }
    }

    /// Adds text from between tags. A run of blanks becomes one separator.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(verbatim) = &mut self.verbatim {
            verbatim.extend(text.chars().filter(|char| *char != '\0'));
            return;
        }
        for char in text.chars() {
            if char.is_whitespace() {
                self.want(Gap::Space);
            } else if !char.is_control() {
                self.char(char);
            }
        }
    }

    /// Writes text with a space on both sides.
    pub(super) fn word(&mut self, text: &str) {
        self.text(" ");
        self.text(text);
        self.text(" ");
    }

    /// Ends the page: closes the elements that are still open.
    pub(super) fn finish(&mut self) {
        self.close_verbatim();
        self.close_heading();
    }

    /// Bytes that were written so far.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.verbatim.as_ref().map_or(0, String::len)
    }

    /// Bytes of the text so far, without preformatted text that is still open.
    pub(super) fn bytes_written(&self) -> usize {
        self.text.len()
    }

    pub(super) fn is_verbatim(&self) -> bool {
        self.verbatim.is_some()
    }

    pub(super) fn written(&self) -> &str {
        &self.text
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            bytes: self.text.len(),
            gap: self.gap,
            mark: self.mark.clone(),
            heading: self.heading,
            lists: self.lists.len(),
            verbatim: self.verbatim.as_ref().map(String::len),
            verbatims: self.verbatims,
        }
    }

    /// Returns the text that was written since.
    pub(super) fn since(&self, snapshot: &Snapshot) -> &str {
        self.text.get(snapshot.bytes..).unwrap_or_default()
    }

    /// Returns whether the writer can return to a snapshot: not if the `pre` element in which it was
    /// taken has ended, since its text is written as a whole.
    pub(super) fn can_restore(&self, snapshot: &Snapshot) -> bool {
        snapshot.verbatim.is_none() || self.verbatim.is_some() && self.verbatims == snapshot.verbatims
    }

    /// Cuts off all that was written since.
    pub(super) fn restore(&mut self, snapshot: Snapshot) {
        // Text on both sides of an element that was left out stays apart as it was.
        self.gap = if self.text.len() > snapshot.bytes { snapshot.gap.max(self.gap) } else { self.gap };
        self.text.truncate(snapshot.bytes);
        (self.mark, self.heading) = (snapshot.mark, snapshot.heading);
        self.lists.truncate(snapshot.lists);
        match (&mut self.verbatim, snapshot.verbatim) {
            (Some(verbatim), Some(bytes)) => verbatim.truncate(bytes),
            (verbatim, None) => *verbatim = None,
            (None, Some(_)) => {}
        }
    }

    /// Returns whether the text before a snapshot ends with a heading or a colon.
    pub(super) fn announces(&self, snapshot: &Snapshot) -> bool {
        let before = self.text.get(..snapshot.bytes).unwrap_or_default().trim_end();
        before.rsplit('\n').next().is_some_and(|line| line.starts_with('#') || line.ends_with(':'))
    }

    fn char(&mut self, char: char) {
        let gap = std::mem::take(&mut self.gap);
        let is_first = self.text.is_empty();
        match gap {
            Gap::Line | Gap::Paragraph if is_first => {}
            Gap::Paragraph => self.text.push_str("\n\n"),
            // A line break within a heading would end the heading.
            Gap::Line if self.heading.is_some() && self.mark.is_empty() => self.text.push(' '),
            Gap::Line => self.text.push('\n'),
            Gap::Cell if !self.at_line_start() => self.text.push_str(" | "),
            Gap::Space if !self.at_line_start() => self.text.push(' '),
            Gap::None | Gap::Space | Gap::Cell => {}
        }
        if !self.mark.is_empty() {
            self.text.push_str(&std::mem::take(&mut self.mark));
        } else if self.at_line_start() && "#`~=".contains(char) {
            // This text is not a heading or a fence, but Markdown would read it as one.
            self.text.push('\\');
        }
        self.text.push(char);
    }

    fn at_line_start(&self) -> bool {
        self.text.is_empty() || self.text.ends_with('\n')
    }

    fn want(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    /// Begins or ends a block element.
    fn block(&mut self) {
        self.close_heading();
        // Within a list item, the text continues on the item's line.
        self.want(if self.mark.is_empty() { Gap::Paragraph } else { Gap::None });
    }

    fn close_heading(&mut self) {
        if self.heading.take().is_some() {
            self.mark.clear();
        }
    }

    /// Writes the preformatted text in a fence that is longer than any run of backticks in it.
    fn close_verbatim(&mut self) {
        let Some(verbatim) = self.verbatim.take() else { return };
        let verbatim = verbatim.trim_matches(['\n', '\r']);
        if verbatim.trim().is_empty() {
            return;
        }
        let longest = verbatim.split(|char| char != '`').map(str::len).max().unwrap_or_default();
        let fence = "`".repeat((longest + 1).max(3));
        self.mark.clear();
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(&format!("{fence}\n{verbatim}\n{fence}"));
        self.gap = Gap::Paragraph;
    }
}

fn is_block(name: &[u8]) -> bool {
    const BLOCKS: [&[u8]; 23] = [
        b"main",
        b"p",
        b"div",
        b"section",
        b"article",
        b"header",
        b"footer",
        b"aside",
        b"nav",
        b"table",
        b"blockquote",
        b"figure",
        b"figcaption",
        b"address",
        b"dl",
        b"hr",
        b"fieldset",
        b"form",
        b"details",
        b"summary",
        b"body",
        b"center",
        b"hgroup",
    ];
    BLOCKS.contains(&name)
}
