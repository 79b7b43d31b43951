//! Tests of reading pages.

use super::*;
use crate::{
    batch::{Batch, gather},
    ingest::read_origin,
    origin::from_bytes,
};
use pgrecall_record::source::MAX_BODY_BYTES;
use std::time::{Duration, Instant};

mod furniture;

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
