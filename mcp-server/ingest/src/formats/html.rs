//! Web pages: one page is one document; headings, lists and tables become Markdown.
//!
//! The page is read as a stream of tags, not as a tree. No function recurses, so no nesting is too
//! deep, and every byte is read once. The content around a page's text (navigation, footers,
//! scripts, hidden elements) is left out.

mod writer;

use encoding_rs::{Encoding, UTF_8};
use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use pgrecall_record::source::{MAX_BODY_BYTES, Record, SourceKind, TextFormat};

use self::writer::Writer;
use crate::{
    Format, Options, Problem,
    batch::{Batcher, Stop},
    formats::document,
    origin::Origin,
};

/// Number of leading bytes in which a page may declare its encoding; browsers search the same
/// range.
const PRESCAN: usize = 1024;

/// Elements whose content is not text that a person reads on the page.
const NEVER_TEXT: [&[u8]; 16] = [
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
/// Elements around a page's text.
const AROUND: [&[u8]; 4] = [b"nav", b"footer", b"aside", b"dialog"];
const ROLES_AROUND: [&[u8]; 7] =
    [b"navigation", b"banner", b"contentinfo", b"complementary", b"search", b"menu", b"dialog"];
/// Elements without an end tag, so they have no content that could be left out.
const VOID: [&[u8]; 13] =
    [b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"source", b"track", b"wbr"];

/// Reads one page as one document.
pub(super) fn read(origin: &Origin, bytes: Vec<u8>, options: &Options, out: &mut Batcher) -> Result<(), Stop> {
    let key = origin.key(&bytes);
    let page = page(&decode(origin, bytes)?);
    let mut record = Record { format: TextFormat::Markdown, ..Record::new(SourceKind::Document, page.text) };
    record.fields.title = page.title.unwrap_or_default();
    document::add(origin, key, record, options, out)
}

/// Decodes a page with the encoding that it declares. Without a declaration it must be UTF-8.
fn decode(origin: &Origin, bytes: Vec<u8>) -> Result<String, Problem> {
    let of_bom = Encoding::for_bom(&bytes).map(|(encoding, _)| encoding);
    match of_bom.or_else(|| declared_encoding(&bytes[..bytes.len().min(PRESCAN)])) {
        Some(encoding) if encoding != UTF_8 => Ok(encoding.decode(&bytes).0.into_owned()),
        _ => origin.text(bytes, Format::Html),
    }
}

fn declared_encoding(head: &[u8]) -> Option<&'static Encoding> {
    let head = head.to_ascii_lowercase();
    let at = head.windows(8).position(|window| window == b"charset=")? + 8;
    let label = head[at..].iter().copied().skip_while(|byte| b"\"' ".contains(byte));
    let label: Vec<u8> = label.take_while(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(byte)).collect();
    Encoding::for_label_no_replacement(&label).map(|encoding| encoding.output_encoding())
}

/// The title and the text that a person sees on a page.
pub(super) struct Page {
    pub(super) title: Option<String>,
    pub(super) text: String,
}

/// Reads a page.
///
/// If leaving out the surrounding elements leaves nothing, the page is read again with all of its
/// elements.
pub(super) fn page(html: &str) -> Page {
    let mut reader = Reader { leaves_out: true, ..Reader::default() };
    reader.run(html);
    // A surrounding element that never ends would have swallowed the rest of the page.
    if reader.skipping.as_ref().is_some_and(|(_, around)| *around) || reader.writer.is_blank() {
        reader = Reader::default();
        reader.run(html);
    }
    reader.page()
}

#[derive(Default)]
struct Reader {
    writer: Writer,
    leaves_out: bool,
    /// The element that is being left out, its depth in elements of its own name, and whether it
    /// surrounds the text rather than never holding any.
    skipping: Option<(Skipped, bool)>,
    title: String,
    in_title: bool,
}

struct Skipped {
    name: Vec<u8>,
    depth: usize,
}

impl Reader {
    fn run(&mut self, html: &str) {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(html, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => self.start(&tag),
                Token::EndTag(tag) => self.end(&tag.name.0),
                Token::String(text) => self.text(&String::from_utf8_lossy(&text)),
                Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
            // A page that exceeds the limit is refused, so the rest need not be read or held.
            if self.writer.bytes() + self.title.len() > MAX_BODY_BYTES {
                break;
            }
        }
        self.writer.finish();
    }

    fn page(self) -> Page {
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        let title = if title.is_empty() { self.writer.first_heading().map(str::to_owned) } else { Some(title) };
        Page { title, text: self.writer.into_text() }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name = &*tag.name.0;
        if let Some((skipped, _)) = &mut self.skipping {
            skipped.depth += usize::from(skipped.name == name && !tag.self_closing);
            return;
        }
        if !VOID.contains(&name) && !tag.self_closing {
            let around = self.leaves_out && is_around(tag);
            if around || NEVER_TEXT.contains(&name) {
                self.skipping = Some((Skipped { name: name.to_vec(), depth: 1 }, around));
                return;
            }
        }
        match name {
            b"title" => self.in_title = self.title.is_empty(),
            b"img" => {
                if let Some(alt) = attribute(tag, b"alt") {
                    self.writer.word(&String::from_utf8_lossy(alt));
                }
            }
            _ => self.writer.start(name),
        }
    }

    fn end(&mut self, name: &[u8]) {
        if let Some((skipped, _)) = &mut self.skipping {
            skipped.depth -= usize::from(skipped.name == name);
            if skipped.depth == 0 {
                self.skipping = None;
            }
            return;
        }
        if name == b"title" {
            self.in_title = false;
        } else {
            self.writer.end(name);
        }
    }

    fn text(&mut self, text: &str) {
        if self.skipping.is_some() {
        } else if self.in_title {
            self.title.push_str(text);
        } else {
            self.writer.text(text);
        }
    }
}

fn is_around(tag: &StartTag<()>) -> bool {
    let is = |name, value: &[u8]| attribute(tag, name).is_some_and(|given| given.eq_ignore_ascii_case(value));
    AROUND.contains(&&*tag.name.0)
        || tag.attributes.contains_key(b"hidden".as_slice())
        || is(b"aria-hidden", b"true")
        || ROLES_AROUND.iter().any(|role| is(b"role", role))
}

fn attribute<'t>(tag: &'t StartTag<()>, name: &[u8]) -> Option<&'t [u8]> {
    tag.attributes.get(name).map(|value| &**value.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::{Batch, gather},
        ingest::read_origin,
        origin::from_bytes,
    };
    use std::time::{Duration, Instant};

    fn ingest(name: &str, bytes: &[u8]) -> Batch {
        let mut batch = Batch::default();
        from_bytes(name, bytes, true, |origin| {
            batch = gather(|out| read_origin(origin, &Options::default(), out));
        });
        batch
    }

    #[test]
    fn a_page_keeps_its_text_with_headings_lists_and_tables() {
        let page = page(
            "<!doctype html><title>Net &amp; gross\n</title><style>p{}</style><nav><ul><li>Home</ul></nav>
             <h1>Revenue</h1><p>Gross  revenue <b>minus</b>\nrefunds.<br>And discounts.</p>
             <ul><li>one<ul><li>deep</ul><li>two</ul><ol><li>first<li>second</ol>
             <table><tr><th>Month<th>Sum<tr><td>May<td>7</table>
             <pre>let  x = 1;\n  y</pre><h2>Later</h2>after<script>var a = '<p>no</p>'</script><footer>(c)</footer>",
        );
        assert_eq!(page.title.as_deref(), Some("Net & gross"));
        assert_eq!(
            page.text,
            "# Revenue\n\nGross revenue minus refunds.\nAnd discounts.\n\n- one\n  - deep\n- two\n\n1. first\n2. second\n\n\
             Month | Sum\nMay | 7\n\n```\nlet  x = 1;\n  y\n```\n\n## Later\n\nafter"
        );
    }

    #[test]
    fn a_page_that_marks_its_main_text_is_that_text() {
        let page = page("<header>Shop</header><div>menu</div><main><h1>Plan</h1>text</main><div>ads</div>");
        assert_eq!((page.title.as_deref(), page.text.as_str()), (Some("Plan"), "# Plan\n\ntext"));
    }

    #[test]
    fn what_never_ends_takes_nothing_with_it() {
        assert_eq!(page("<nav>menu<p>text").text, "menu\n\ntext");
        assert_eq!(page("<div hidden>only this</div>").text, "only this");
        assert_eq!(page("<h1>A<p>b</main></ul></pre></h9>c").text, "# A\n\nb\n\nc");
    }

    #[test]
    fn text_that_looks_like_markdown_stays_text() {
        assert_eq!(page("<p># not a heading</p><p>a # b</p>").text, "\\# not a heading\n\na # b");
        assert_eq!(page("<pre>```\ncode\n```</pre>").text, "````\n```\ncode\n```\n````");
    }

    #[test]
    fn the_declared_encoding_is_believed_and_no_other_guessed() {
        let record = ingest("latin.html", b"<meta charset='iso-8859-1'><p>caf\xe9").records.remove(0).1;
        assert_eq!(record.body, "café");
        assert!(
            matches!(&ingest("none.html", b"<p>caf\xe9").problems[0].1, Problem::Broken(said) if said.contains("UTF-8"))
        );
        let wide: Vec<u8> = "\u{feff}<p>日本語".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(ingest("wide.html", &wide).records[0].1.body, "日本語");
    }

    // A page that is refused for its length must not be read, or held in memory, to its end.
    #[test]
    fn a_page_is_read_no_further_than_a_document_may_be_long() {
        let part = format!("{}<b>", "x".repeat(4096));
        let read = page(&format!("<pre>{}", part.repeat(2 * MAX_BODY_BYTES / 4096))).text.len();
        assert!((MAX_BODY_BYTES..MAX_BODY_BYTES + 64 * 1024).contains(&read), "{read}");
    }

    #[test]
    fn a_bomb_takes_neither_the_stack_nor_long() {
        let begun = Instant::now();
        for bomb in [
            "<div>".repeat(200_000),
            "<ul><li>".repeat(200_000),
            "<b>x".repeat(200_000),
            format!("<p {}>x", "a".repeat(2_000_000)),
            format!("<p {}>x", (0..40_000).map(|n| format!("a{n}=1 ")).collect::<String>()),
            "&amp;".repeat(200_000),
            "&#x41;&nosuchthing;&#0;&#xFFFFFFFF;".repeat(40_000),
            "<nav>".repeat(200_000),
            "<!--".repeat(200_000),
            "<table><tr><td>".repeat(80_000),
            "<pre>".repeat(200_000),
        ] {
            let _ = page(&bomb);
        }
        // A debug build on a busy machine takes seconds. At this size, quadratic work would take
        // minutes.
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
