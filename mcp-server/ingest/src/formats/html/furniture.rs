//! Recognizes page furniture: the elements and links around a page's text.
//!
//! The rules know roles, element names and the words of classes, some of them a generator's. None
//! looks at a site's address.

use html5gum::StartTag;

/// What happens to an element's text when the element ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Keep,
    /// The element holds a page's text, and the text around it may be left out.
    Region(Region),
    /// The element is left out.
    Drop,
    /// The same, but its class alone says so.
    DropByClass,
    /// The element is left out unless it holds a heading.
    DropWithoutHeading,
    /// The element is left out if it holds a heading, or more links than text.
    DropWithHeading,
    /// The element is left out if its links lead within the page.
    DropContents,
}

/// The kinds of elements that hold a page's text, from the outer to the inner one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Region {
    Main,
    Article,
    /// An element whose id or class says that it holds the content.
    Content,
    /// What a person wrote, rendered from Markdown between the controls of a program.
    Written,
}

/// Elements whose content is not text that a person reads on the page.
pub(super) const NEVER_TEXT: [&[u8]; 16] = [
    b"script",
    b"style",
    b"template",
    b"svg",
    b"math",
    b"iframe",
    b"object",
    b"canvas",
    b"audio",
    b"video",
    b"select",
    b"button",
    b"textarea",
    b"noscript",
    b"noframes",
    b"noembed",
];
/// Elements without an end tag, so they have no content that could be left out.
pub(super) const VOID: [&[u8]; 13] =
    [b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"source", b"track", b"wbr"];
/// Elements that can hold furniture, or that end with it.
const CONTAINERS: [&[u8]; 22] = [
    b"a",
    b"address",
    b"article",
    b"aside",
    b"blockquote",
    b"center",
    b"details",
    b"dialog",
    b"div",
    b"dl",
    b"footer",
    b"form",
    b"header",
    b"main",
    b"nav",
    b"ol",
    b"p",
    b"section",
    b"table",
    b"td",
    b"tr",
    b"ul",
];
const ROLES: [&str; 7] = ["navigation", "banner", "contentinfo", "complementary", "search", "menu", "dialog"];
/// Ids and classes of the element that holds the content, without their separators.
const CONTENT: [&str; 15] = [
    "content",
    "maincontent",
    "pagecontent",
    "doccontent",
    "bodycontent",
    "contentbody",
    "mwcontenttext",
    "articlecontent",
    "articlebody",
    "postcontent",
    "postbody",
    "entrycontent",
    "storybody",
    "main",
    "primarycontent",
];
/// Words of the classes of furniture, which may also stand within the content.
const WORDS: [&str; 53] = [
    "ad",
    "ads",
    "advert",
    "advertisement",
    "articlefooter",
    "backtotop",
    "breadcrumb",
    "breadcrumbs",
    "catlinks",
    "commentform",
    "commentrespond",
    "consent",
    "cookie",
    "cookies",
    "copyright",
    "editlink",
    "editsection",
    "editthispage",
    "feedback",
    "gdpr",
    "hideme",
    "jumplink",
    "lastupdated",
    "mwindicators",
    "navbox",
    "navfooter",
    "navheader",
    "newsletter",
    "noprint",
    "pager",
    "pagination",
    "permalink",
    "popup",
    "postfooter",
    "postnavigation",
    "prevnext",
    "printfooter",
    "promo",
    "recirculation",
    "recommendations",
    "related",
    "relatedlinks",
    "share",
    "sharing",
    "signup",
    "skip",
    "skiplink",
    "social",
    "sponsored",
    "subscribe",
    "toolbar",
    "trending",
    "viewsource",
];
/// Words of the classes and ids of furniture outside of the content.
const WORDS_AROUND: [&str; 19] = [
    "announcement",
    "banner",
    "bottombar",
    "footer",
    "login",
    "masthead",
    "menu",
    "menubar",
    "nav",
    "navbar",
    "navigation",
    "navpath",
    "search",
    "searchbox",
    "sidebar",
    "sitenav",
    "toc",
    "topbar",
    "topnav",
];
/// Words of the classes of furniture within a line, such as a heading's.
const WORDS_INLINE: [&str; 5] = ["editsection", "headerlink", "noprint", "permalink", "anchorlink"];
/// Elements within a line that may be furniture.
const INLINE: [&[u8]; 3] = [b"span", b"sup", b"small"];
/// Ids of furniture that stands within the content.
const IDS: [&str; 3] = ["jumptonav", "respond", "sitesub"];
/// Names of a class that hides text from all but screen readers.
const HIDDEN: [&str; 4] = ["visuallyhidden", "sronly", "screenreadertext", "screenreaderonly"];
/// Words of the classes of an `aside` that is part of the text.
const NOTES: [&str; 15] = [
    "admonition",
    "callout",
    "caution",
    "danger",
    "example",
    "footnote",
    "footnotes",
    "hint",
    "important",
    "info",
    "note",
    "notecard",
    "tip",
    "topic",
    "warning",
];
/// Words of the classes of sections: their ids are made of their headings.
const SECTIONS: [&str; 3] = ["section", "chapter", "refentry"];
/// Relations of links that lead around in a site.
const RELATIONS: [&str; 8] = ["prev", "previous", "next", "up", "start", "contents", "edit", "top"];
/// Size limit, in bytes, of the texts that are compared with phrases and symbols.
const MAX_PHRASE_BYTES: usize = 64;
/// Texts of links that act on the page instead of leading to other text.
const PHRASES: [&str; 26] = [
    "back to top",
    "copy link",
    "edit on github",
    "edit on gitlab",
    "edit page",
    "edit source",
    "edit this page",
    "edit this page on github",
    "edit this page on gitlab",
    "improve this page",
    "jump to content",
    "jump to navigation",
    "jump to search",
    "link to this heading",
    "open an issue",
    "permalink",
    "report a bug",
    "report an issue",
    "show source",
    "skip to content",
    "skip to main content",
    "skip to navigation",
    "skip to search",
    "view on github",
    "view page source",
    "view source",
];

/// Returns whether the elements of this name are followed to their end.
pub(super) fn is_container(name: &[u8]) -> bool {
    CONTAINERS.contains(&name)
}

/// Returns whether a text is a few marks without a letter, such as `¶` or `» |`.
pub(super) fn is_symbol(text: &str) -> bool {
    text.len() <= MAX_PHRASE_BYTES && !text.contains(char::is_alphanumeric)
}

/// Returns whether a link's text acts on the page.
pub(super) fn is_phrase(text: &str) -> bool {
    if text.len() > MAX_PHRASE_BYTES {
        return false;
    }
    let text = text.trim_matches(|char: char| !char.is_alphanumeric()).to_lowercase();
    PHRASES.contains(&text.as_str())
}

/// Returns whether a link leads to its page's neighbors.
pub(super) fn leads_around(tag: &StartTag<()>) -> bool {
    words(tag, b"rel").any(|word| RELATIONS.contains(&word.to_lowercase().as_str()))
}

/// Finds the rule for an element by its name and its role.
pub(super) fn rule_of_name(tag: &StartTag<()>, in_content: bool) -> Rule {
    let role = text(tag, b"role").to_ascii_lowercase();
    let is_hidden = tag.attributes.contains_key(b"hidden".as_slice()) || text(tag, b"aria-hidden") == "true";
    if is_hidden || ROLES.contains(&role.as_str()) {
        return Rule::Drop;
    }
    match &*tag.name.0 {
        b"main" => Rule::Region(Region::Main),
        _ if role == "main" => Rule::Region(Region::Main),
        b"article" => Rule::Region(Region::Article),
        b"nav" | b"footer" | b"dialog" => Rule::Drop,
        b"aside" if in_content && names(tag).any(|name| NOTES.contains(&name.as_str())) => Rule::Keep,
        // The title of a sidebar in a text is a paragraph; the sidebar of a site has headings and links.
        b"aside" if in_content && names(tag).any(|name| name == "sidebar") => Rule::DropWithHeading,
        b"aside" => Rule::Drop,
        b"header" if !in_content => Rule::DropWithoutHeading,
        b"form" => Rule::DropWithoutHeading,
        _ => Rule::Keep,
    }
}

/// Finds the rule for an element by its classes and its id.
pub(super) fn rule_of_class(tag: &StartTag<()>, in_content: bool) -> Rule {
    if tag.attributes.is_empty() {
        return Rule::Keep;
    }
    let name = &*tag.name.0;
    let joined: Vec<String> = words(tag, b"class").map(join).collect();
    let id = join(text(tag, b"id"));
    let has = |known: &[&str]| joined.iter().any(|class| known.contains(&class.as_str()));
    if has(&HIDDEN) {
        return Rule::DropByClass;
    }
    if has(&["markdownbody"]) {
        return Rule::Region(Region::Written);
    }
    if INLINE.contains(&name) && names(tag).any(|part| WORDS_INLINE.contains(&part.as_str())) {
        return Rule::DropByClass;
    }
    if !is_container(name) || matches!(name, b"main" | b"article" | b"a") && !has(&WORDS) {
        return Rule::Keep;
    }
    let parts: Vec<String> = names(tag).chain(joined.iter().cloned()).collect();
    let names_any = |known: &[&str]| parts.iter().any(|part| known.contains(&part.as_str()));
    let is_section = name == b"section" && !in_content || names_any(&SECTIONS) || has_level(&joined);
    if (names_any(&WORDS) || IDS.contains(&id.as_str())) && name != b"a" {
        return Rule::DropByClass;
    }
    if matches!(name, b"div" | b"section") && (CONTENT.contains(&id.as_str()) || has(&CONTENT)) {
        return Rule::Region(Region::Content);
    }
    if names_any(&["toc", "contents"]) {
        return Rule::DropContents;
    }
    let ids: Vec<String> = if is_section { Vec::new() } else { split(text(tag, b"id")).collect() };
    let id_is = |known: &[&str]| ids.iter().any(|part| known.contains(&part.as_str()));
    if !in_content {
        if names_any(&["header"]) || id_is(&["header"]) {
            return Rule::DropWithoutHeading;
        }
        if names_any(&WORDS_AROUND) || id_is(&WORDS_AROUND) || id_is(&WORDS) {
            return Rule::DropByClass;
        }
    }
    Rule::Keep
}

/// Returns whether a class is that of a numbered section, such as `sect1` or `refsect2`.
fn has_level(classes: &[String]) -> bool {
    classes.iter().any(|class| class.trim_end_matches(|char: char| char.is_ascii_digit()).ends_with("sect"))
}

/// Returns an attribute's value, or an empty text.
pub(super) fn text<'t>(tag: &'t StartTag<()>, name: &[u8]) -> &'t str {
    attribute(tag, name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

pub(super) fn attribute<'t>(tag: &'t StartTag<()>, name: &[u8]) -> Option<&'t [u8]> {
    tag.attributes.get(name).map(|value| &**value.value)
}

fn words<'t>(tag: &'t StartTag<()>, name: &[u8]) -> impl Iterator<Item = &'t str> + use<'t> {
    // Class lists that are longer are not written by anyone.
    text(tag, name).split_ascii_whitespace().take(32)
}

/// Splits the classes of an element into words: `site-footer` and `siteFooter` hold `footer`.
fn names(tag: &StartTag<()>) -> impl Iterator<Item = String> {
    words(tag, b"class").flat_map(split)
}

fn split(name: &str) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut before_is_lower = false;
    for char in name.chars().take(64) {
        let starts_part = !char.is_ascii_alphanumeric() || before_is_lower && char.is_ascii_uppercase();
        if starts_part && parts.last().is_some_and(|part| !part.is_empty()) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| char.is_ascii_alphanumeric()) {
            part.push(char.to_ascii_lowercase());
        }
        before_is_lower = char.is_ascii_lowercase();
    }
    parts.into_iter()
}

fn join(name: &str) -> String {
    name.chars().take(64).filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}
