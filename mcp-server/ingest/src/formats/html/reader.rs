//! Reads a page's tags, and leaves out the furniture around its text.
//!
//! The text of an element that could be furniture is written, and cut off again when the element
//! ends: only then is known what it holds. An element that never ends keeps its text.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use pgrecall_record::source::MAX_BODY_BYTES;

use super::{
    furniture::{self, Region, Rule},
    regions::{Found, select},
    title::{self, Names},
    writer::{Snapshot, Writer},
};

/// Number of open elements that are followed. Elements within deeper ones are kept.
const MAX_OPEN: usize = 256;
/// Part of a block's letters that stand in links, from which on it leads around and says nothing.
const LINKS_SHARE: f64 = 0.9;
/// Number of letters that may stand before the links that begin a page, or over a table of contents.
const MAX_BEFORE_LINKS: usize = 40;
/// Number of letters outside of links from which on a page is more than a list of links.
const MIN_PROSE: usize = 200;
/// Number of letters outside of links in a form that is more than its controls.
const MAX_FORM: usize = 200;

/// Which furniture is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Strictness {
    /// All that the rules recognize.
    #[default]
    Rules,
    /// What names and roles mark.
    Names,
    /// Nothing.
    Nothing,
}

/// Counts of what was kept, in letters and digits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Those outside of links, and those within.
    pub(super) prose: usize,
    pub(super) linked: usize,
    links: usize,
    /// Links that lead within the page.
    inner_links: usize,
    headings: usize,
    main_headings: usize,
}

impl Counts {
    fn add(&mut self, held: Counts) {
        self.prose += held.prose;
        self.linked += held.linked;
    }
}

#[derive(Debug, Clone)]
struct State {
    written: Snapshot,
    counts: Counts,
    guessed: Counts,
    regions: usize,
    drops: usize,
}

struct Open {
    name: Vec<u8>,
    rule: Rule,
    before: State,
    leads_within: bool,
    leads_around: bool,
}

#[derive(Default)]
pub(super) struct Reader {
    strictness: Strictness,
    writer: Writer,
    open: Vec<Open>,
    /// Open elements that are not followed, since too many are open.
    deeper: usize,
    /// The element without text that is being left out, and its depth in elements of its own name.
    skipping: Option<(Vec<u8>, usize)>,
    counts: Counts,
    regions: Vec<Found>,
    /// The open elements that hold the content, and the open links.
    in_regions: usize,
    in_links: usize,
    drops: usize,
    /// What the rules for classes and links left out, and what the others did.
    guessed: Counts,
    guessed_in_regions: Counts,
    marked: Counts,
    /// The links at the end of the text so far.
    tail: Option<(State, Counts)>,
    names: Names,
    in_title: bool,
}

impl Reader {
    pub(super) fn read(html: &str, strictness: Strictness) -> Self {
        let mut reader = Self { strictness, ..Self::default() };
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(html, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => reader.start(&tag),
                Token::EndTag(tag) => reader.end(&tag.name.0),
                Token::String(text) => reader.text(&String::from_utf8_lossy(&text)),
                Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
            // A page that exceeds the limit is refused, so the rest need not be read or held.
            if reader.writer.bytes() + reader.names.bytes() > MAX_BODY_BYTES {
                break;
            }
        }
        reader.finish();
        reader
    }

    /// Returns whether so little is left that the rules misjudged the page.
    pub(super) fn is_too_little(&self) -> bool {
        if self.drops == 0 {
            return false;
        }
        let kept = self.counts.prose + self.counts.linked;
        // On a page that marks its main text, only guesses within that text can have cut into it.
        let is_marked = self.regions.iter().any(|found| found.region == Region::Main && found.prose > 0);
        let guessed = if is_marked { self.guessed_in_regions } else { self.guessed };
        let is_list_of_links = self.counts.prose < MIN_PROSE && guessed.linked > 4 * kept;
        kept == 0
            || guessed.prose > self.counts.prose.max(MIN_PROSE)
            || is_list_of_links
            || self.marked.prose > 20 * kept
    }

    pub(super) fn page(self) -> super::Page {
        let regions = if self.strictness == Strictness::Nothing { Vec::new() } else { self.regions };
        let text = select(&regions, self.counts.prose, self.writer.written());
        let title = self.names.title(title::first_heading(&text), title::first_heading(self.writer.written()));
        super::Page { title, text }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name = &*tag.name.0;
        if let Some((skipped, depth)) = &mut self.skipping {
            *depth += usize::from(skipped == name && !tag.self_closing);
            return;
        }
        if furniture::NEVER_TEXT.contains(&name) && !tag.self_closing {
            self.skipping = Some((name.to_vec(), 1));
            return;
        }
        match name {
            b"title" => self.in_title = self.names.is_untitled(),
            b"meta" => self.names.meta(tag),
            b"img" => {
                if let Some(alt) = furniture::attribute(tag, b"alt") {
                    self.writer.word(&String::from_utf8_lossy(alt));
                }
            }
            _ => self.open(tag),
        }
    }

    fn open(&mut self, tag: &StartTag<()>) {
        let name = &*tag.name.0;
        self.close_implied(name);
        let is_heading = matches!(name, b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6");
        let rule = if tag.self_closing || furniture::VOID.contains(&name) { Rule::Keep } else { self.rule(tag) };
        let is_followed = !tag.self_closing && (furniture::is_container(name) || rule != Rule::Keep);
        if is_followed && self.open.len() >= MAX_OPEN {
            self.deeper += 1;
        } else if is_followed {
            let before = self.state();
            self.in_regions += usize::from(matches!(rule, Rule::Region(_)));
            let target = furniture::text(tag, b"href");
            let (leads_within, leads_around) = (target.starts_with('#'), furniture::leads_around(tag));
            if name == b"a" && !target.is_empty() {
                self.in_links += 1;
                self.counts.links += 1;
                self.counts.inner_links += usize::from(leads_within);
            }
            self.open.push(Open { name: name.to_vec(), rule, before, leads_within, leads_around });
        }
        self.counts.headings += usize::from(is_heading);
        self.counts.main_headings += usize::from(name == b"h1");
        self.writer.start(name);
    }

    fn rule(&self, tag: &StartTag<()>) -> Rule {
        if self.strictness == Strictness::Nothing || self.writer.is_verbatim() {
            return Rule::Keep;
        }
        let of_name = furniture::rule_of_name(tag, self.in_regions > 0);
        if of_name == Rule::Keep && self.strictness == Strictness::Rules {
            furniture::rule_of_class(tag, self.in_regions > 0)
        } else {
            of_name
        }
    }

    /// Closes the elements that the start of another one ends.
    fn close_implied(&mut self, name: &[u8]) {
        let ends: &[&[u8]] = match name {
            b"a" => &[b"a"],
            b"td" | b"th" => &[b"p", b"td"],
            b"tr" => &[b"p", b"td", b"tr"],
            b"p" => &[b"p"],
            _ if furniture::is_container(name) => &[b"p"],
            _ => return,
        };
        for ended in ends {
            if self.open.last().is_some_and(|open| open.name == *ended) {
                self.close_last();
            }
        }
    }

    fn end(&mut self, name: &[u8]) {
        if let Some((skipped, depth)) = &mut self.skipping {
            *depth -= usize::from(skipped == name);
            if *depth == 0 {
                self.skipping = None;
            }
            return;
        }
        if name == b"title" {
            self.in_title = false;
            return;
        }
        self.writer.end(name);
        if self.deeper > 0 && furniture::is_container(name) {
            self.deeper -= 1;
            return;
        }
        // A stray end tag in a cell does not end the table's surroundings, as in a browser.
        let is_of_table = matches!(name, b"table" | b"tr" | b"td");
        let mut inner =
            self.open.iter().rev().take_while(|open| is_of_table || !matches!(&*open.name, b"td" | b"table"));
        let own = self.open.last().is_some_and(|open| open.name == name);
        if let Some(depth) = if own { Some(0) } else { inner.position(|open| open.name == name) } {
            for _ in 0..=depth {
                self.close_last();
            }
        }
    }

    fn text(&mut self, text: &str) {
        if self.skipping.is_some() {
        } else if self.in_title {
            self.names.add_title(text);
        } else {
            let letters = text.chars().filter(|char| char.is_alphanumeric()).count();
            *(if self.in_links > 0 { &mut self.counts.linked } else { &mut self.counts.prose }) += letters;
            self.writer.text(text);
        }
    }

    fn state(&self) -> State {
        State {
            written: self.writer.snapshot(),
            counts: self.counts,
            guessed: self.guessed,
            regions: self.regions.len(),
            drops: self.drops,
        }
    }

    /// Closes the innermost open element, and leaves it out if it is furniture.
    fn close_last(&mut self) {
        let Some(open) = self.open.pop() else { return };
        self.leave(&open);
        let (held, before) = (self.held_since(&open.before), &open.before);
        let holds_region = self.regions.len() > before.regions;
        match open.rule {
            Rule::Region(_) => {}
            Rule::Drop => self.drop(open.before, false),
            Rule::DropByClass if held.main_headings == 0 && !holds_region => self.drop(open.before, true),
            Rule::DropWithoutHeading
                if held.headings == 0 && !holds_region && (open.name != b"form" || held.prose < MAX_FORM) =>
            {
                self.drop(open.before, true);
            }
            Rule::DropWithHeading if held.headings > 0 || held.linked > held.prose => self.drop(open.before, false),
            Rule::DropContents if self.is_contents(&open.before, held) => self.drop(open.before, true),
            _ if self.strictness != Strictness::Rules => {}
            _ if open.name == b"a" => self.close_link(open),
            _ => self.close_block(open, held),
        }
    }

    /// Counts an element out, and notes it if it holds the content.
    fn leave(&mut self, open: &Open) {
        if open.name == b"a" && self.counts.links > open.before.counts.links {
            self.in_links = self.in_links.saturating_sub(1);
        }
        let Rule::Region(region) = open.rule else { return };
        self.in_regions -= 1;
        let bytes = open.before.written.bytes()..self.writer.bytes_written();
        let prose = self.counts.prose.saturating_sub(open.before.counts.prose);
        self.regions.push(Found { region, bytes, prose });
    }

    fn close_link(&mut self, open: Open) {
        let text = self.writer.since(&open.before.written);
        let is_symbol = open.leads_within && furniture::is_symbol(text);
        if is_symbol || open.leads_around || furniture::is_phrase(text) {
            self.drop(open.before, false);
        }
    }

    fn close_block(&mut self, open: Open, held: Counts) {
        let is_empty_now = self.drops > open.before.drops && held.prose + held.linked == 0;
        if is_empty_now && furniture::is_symbol(self.writer.since(&open.before.written)) {
            return self.drop(open.before, false);
        }
        let is_links = held.links > 1
            && held.headings == 0
            && self.regions.len() == open.before.regions
            && held.linked as f64 >= LINKS_SHARE * (held.linked + held.prose) as f64;
        if !is_links {
            return;
        }
        let is_list = matches!(&*open.name, b"ul" | b"ol");
        let begins_page =
            self.in_regions == 0 && open.before.counts.prose < MAX_BEFORE_LINKS && open.before.counts.headings == 0;
        if is_list && held.inner_links == held.links || begins_page {
            self.drop(open.before, true);
        } else if self.in_regions == 0 {
            self.extend_tail(open.before);
        }
    }

    /// Notes links that may be the end of the page.
    fn extend_tail(&mut self, before: State) {
        let from = match self.tail.take() {
            // Nothing but links stands between the last ones and these.
            Some((from, ended))
                if (ended.prose, ended.headings) == (before.counts.prose, before.counts.headings)
                    && from.written.bytes() < before.written.bytes() =>
            {
                from
            }
            _ => before,
        };
        self.tail = Some((from, self.counts));
    }

    /// Returns whether an element lists the headings of its page: its lists may be left out already.
    fn is_contents(&self, before: &State, held: Counts) -> bool {
        let holds_lists = held.links > 0 || self.drops > before.drops;
        holds_lists && held.inner_links == held.links && held.prose <= held.linked.max(MAX_BEFORE_LINKS)
    }

    fn held_since(&self, before: &State) -> Counts {
        let (now, then) = (self.counts, before.counts);
        Counts {
            prose: now.prose.saturating_sub(then.prose),
            linked: now.linked.saturating_sub(then.linked),
            links: now.links.saturating_sub(then.links),
            inner_links: now.inner_links.saturating_sub(then.inner_links),
            headings: now.headings.saturating_sub(then.headings),
            main_headings: now.main_headings.saturating_sub(then.main_headings),
        }
    }

    /// Cuts off all that was written since a state.
    fn drop(&mut self, before: State, is_guess: bool) {
        if !self.writer.can_restore(&before.written) {
            return;
        }
        let held = self.held_since(&before);
        if is_guess {
            self.guessed.add(held);
        } else {
            // What was left out within is part of it, and no guess.
            self.guessed = before.guessed;
            self.marked.add(held);
        }
        if is_guess && self.in_regions > 0 {
            self.guessed_in_regions.add(held);
        }
        self.drops += 1;
        self.counts = before.counts;
        self.regions.truncate(before.regions);
        self.writer.restore(before.written);
    }

    /// Ends the page. Elements that are still open keep their text.
    fn finish(&mut self) {
        self.writer.finish();
        while let Some(open) = self.open.pop() {
            self.leave(&open);
        }
        if let Some((from, ended)) = self.tail.take()
            && ended.prose == self.counts.prose
            && ended.headings == self.counts.headings
            && from.written.bytes() <= self.writer.bytes_written()
            && !self.writer.announces(&from.written)
        {
            self.drop(from, true);
        }
    }
}
