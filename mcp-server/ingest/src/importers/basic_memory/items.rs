//! Observations and relations among the list items of a note, by Basic Memory's own rules.
//!
//! `- [category] text #tag (context)` is an observation, and so is an item that has only a tag. `-
//! relation_type [[Target]] (context)` is a relation. Code and quotations hold neither; a task's
//! box, a link, and the time in a transcript are neither.

use pgrecall_record::source::MAX_TAGS;

use crate::formats::document::prose;

/// An observation or a relation in a list item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Observation(Observation),
    Relation(Relation),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) category: Option<String>,
    pub(super) text: String,
    pub(super) tags: Vec<String>,
    pub(super) context: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) kind: String,
    pub(super) target: String,
    pub(super) context: Option<String>,
}

/// Finds the items of a text, each with its line number, counted from 1.
pub(super) fn find(text: &str) -> impl Iterator<Item = (usize, Item)> {
    prose(text).filter_map(|(index, line)| {
        let line = line.trim();
        let item = ["- ", "* ", "+ "].into_iter().find_map(|bullet| line.strip_prefix(bullet)).map(str::trim)?;
        let found = relation(item).map(Item::Relation).or_else(|| observation(item))?;
        Some((index + 1, found))
    })
}

fn observation(item: &str) -> Option<Item> {
    let category = category(item);
    // Other items in brackets are a task, a link, a footnote or a time, even if they have a tag.
    if category.is_none() && (item.starts_with('[') || is_link(item)) {
        return None;
    }
    let (category, rest) = category.map_or((None, item), |(category, rest)| (Some(category.to_owned()), rest));
    let (text, context) = context(rest);
    let words = text.split_whitespace().filter(|word| word.starts_with('#'));
    let tags: Vec<String> = words
        .flat_map(|word| word.split('#'))
        .filter(|tag| !tag.is_empty())
        .take(MAX_TAGS)
        .map(str::to_owned)
        .collect();
    let says_something = !text.is_empty() && (category.is_some() || !tags.is_empty());
    says_something.then(|| {
        let (text, context) = (text.to_owned(), context.map(str::to_owned));
        Item::Observation(Observation { category, text, tags, context })
    })
}

/// Whether an item is a link and nothing more than tags.
fn is_link(item: &str) -> bool {
    let mut words = item.split_whitespace().filter(|word| !word.starts_with('#'));
    let first = words.next().unwrap_or_default();
    let is_address = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    words.next().is_none() && (is_address(first) || is_address(first.trim_start_matches(['<', '!', '('])))
}

/// Splits off the category at the beginning of an item.
fn category(item: &str) -> Option<(&str, &str)> {
    let (category, rest) = item.strip_prefix('[')?.split_once(']')?;
    let (name, text) = (category.trim(), rest.trim());
    let is_name = !name.is_empty() && !name.contains(['[', '(', ')']) && rest.starts_with(char::is_whitespace);
    // The state of a task is one character, and a footnote, callout, citation or link begins with a
    // mark of its own.
    let is_mark = name.len() == 1
        || !name.contains(char::is_alphabetic)
        || name.starts_with(['^', '!', '@'])
        || name.starts_with("http://")
        || name.starts_with("https://");
    (is_name && !is_mark && !is_time(name) && !text.is_empty()).then_some((name, text))
}

/// Whether a text is a time of day or of a recording, or a span of two.
fn is_time(text: &str) -> bool {
    let clock = text.to_ascii_lowercase();
    let clock = clock.trim_end_matches(['m', '.']).trim_end_matches(['a', 'p']);
    let marks = ":.,-–—>→ ";
    text.contains(':') && clock.chars().all(|char| char.is_ascii_digit() || marks.contains(char))
}

/// Splits off the parentheses at the end of a text.
fn context(text: &str) -> (&str, Option<&str>) {
    match text.strip_suffix(')').and_then(|inside| inside.rsplit_once('(')) {
        Some((text, context)) => (text.trim(), Some(context.trim()).filter(|context| !context.is_empty())),
        None => (text, None),
    }
}

/// Parses a relation: a word, or several in quotation marks, before a link.
///
/// Only a context in parentheses may follow the link.
fn relation(item: &str) -> Option<Relation> {
    let (kind, rest) = item.split_once("[[")?;
    let (target, after) = rest.split_once("]]")?;
    let kind = kind.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| kind.strip_prefix(quote)?.strip_suffix(quote));
    let kind = quoted.map(str::trim).or_else(|| (!kind.contains(char::is_whitespace)).then_some(kind))?;
    let target = page(target);
    let after = after.trim();
    let context = after.strip_prefix('(').and_then(|after| after.strip_suffix(')'));
    let ends = after.is_empty() || context.is_some_and(|context| !context.contains(['(', ')']));
    (ends && !kind.is_empty() && !target.is_empty()).then(|| Relation {
        kind: kind.to_owned(),
        target: target.to_owned(),
        context: context.map(str::trim).filter(|context| !context.is_empty()).map(str::to_owned),
    })
}

/// Returns the page that a wiki link names, without a heading or block in it, and without the text
/// that is shown instead: `[[Page#Heading|text]]`.
fn page(link: &str) -> &str {
    let link = link.split('|').next().unwrap_or_default().trim_end_matches('\\');
    // In the name of a page such as `C# Basics` or `C#`, the mark has no heading behind it.
    let heading =
        link.match_indices('#').find(|(at, _)| link[at + 1..].starts_with(|char: char| !char.is_whitespace()));
    heading.map_or(link, |(at, _)| &link[..at]).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Option<Item> {
        find(line).last().map(|(_, item)| item)
    }

    #[test]
    fn an_observation_has_a_category_or_a_tag() {
        let Some(Item::Observation(said)) = one("- [design choice] Use one table #db#schema (for speed)") else {
            panic!()
        };
        assert_eq!((said.category.as_deref(), said.text.as_str()), (Some("design choice"), "Use one table #db#schema"));
        assert_eq!(
            (said.tags.as_slice(), said.context.as_deref()),
            (&["db".to_owned(), "schema".into()][..], Some("for speed"))
        );
        let Some(Item::Observation(said)) = one("* only #tagged") else { panic!() };
        assert_eq!((said.category, said.tags), (None, vec!["tagged".to_owned()]));
        for neither in [
            "- [ ] do #this",
            "- [x] done #it",
            "- [/] begun",
            "- [text](http://a)",
            "- [[Link]]",
            "- plain",
            "> - [a] quoted",
            "- [00:01:02] said",
            "- [00:01:02] said #tag",
            "- [00:01:02.500 --> 00:01:05] said #tag",
            "- [1:05 PM] lunch #tag",
            "- [/] begun #tag",
            "- [X] done #tag",
            "- [>] moved #tag",
            "- [  ] open #tag",
            "- [✅] done #tag",
            "- [text](http://a) #tag",
            "- [text](http://a) and more #tag",
            "- [[Link]] #tag",
            "- [[Link|shown]] #tag",
            "- [^1]: a note #tag",
            "- [^note] a note #tag",
            "- [i] an idea #tag",
            "- [I] an idea #tag",
            "- [1] first #tag",
            "- [2026-01-01] begun #tag",
            "- [!note] a callout #tag",
            "- [@key] a citation #tag",
            "- [https://a.b] a link #tag",
            "- https://a.b/c#d #tag",
            "- <https://a.b> #read #later",
            "[a] no item",
            "- [a]",
            "-",
        ] {
            assert_eq!(one(neither), None, "{neither}");
        }
    }

    #[test]
    fn a_relation_is_a_word_before_a_link() {
        let relation = |line: &str| match one(line) {
            Some(Item::Relation(relation)) => Some((relation.kind, relation.target, relation.context)),
            _ => None,
        };
        assert_eq!(relation("- part_of [[Project X]]"), Some(("part_of".into(), "Project X".into(), None)));
        assert_eq!(
            relation("- 'is part of' [[X]] (since May)"),
            Some(("is part of".into(), "X".into(), Some("since May".into())))
        );
        for none in ["- see also [[X]]", "- [[X]]", "- a [[X]] and [[Y]]", "- a [[]]", "- a [[X"] {
            assert_eq!(relation(none), None, "{none}");
        }
    }

    #[test]
    fn a_link_names_its_page_and_not_what_it_shows() {
        for (link, name) in [
            ("Project X|the project", "Project X"),
            ("Project X#Goals", "Project X"),
            ("Project X#Goals|goals", "Project X"),
            ("Project X#^block", "Project X"),
            ("Project X\\|in a table", "Project X"),
            ("C#", "C#"),
            ("C# Basics", "C# Basics"),
            (" Project X ", "Project X"),
        ] {
            let Some(Item::Relation(relation)) = one(&format!("- part_of [[{link}]]")) else { panic!("{link}") };
            assert_eq!(relation.target, name);
        }
        assert_eq!(one("- part_of [[#Goals]]"), None);
        assert_eq!(one("- part_of [[|shown]]"), None);
    }

    #[test]
    fn code_is_no_list() {
        assert_eq!(find("```\n- [fact] code\n```\n- [fact] text\n").count(), 1);
    }
}
