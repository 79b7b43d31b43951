//! Unit tests of the passage module.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A stand-in for a tokenizer: one token for every four bytes of a word, and two special tokens.
fn count(text: &str) -> usize {
    2 + text.split_whitespace().map(|word| word.len().div_ceil(4)).sum::<usize>()
}

fn limit(words: usize, tokens: usize) -> Limit {
    Limit { words, tokens, count: Arc::new(count) }
}

fn plain(text: &str, words: usize, tokens: usize) -> Vec<Passage> {
    split(text, TextFormat::Plain, &limit(words, tokens))
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

fn prose(words: usize) -> String {
    (1..=words).map(|n| format!("word{n}{}", if n % 12 == 0 { ". " } else { " " })).collect()
}

#[test]
fn blank_text_has_no_passage() {
    for text in ["", " \n\t ", "\u{3000}"] {
        assert!(plain(text, 180, 256).is_empty());
        assert!(split(text, TextFormat::Markdown, &limit(180, 256)).is_empty());
    }
}

#[test]
fn a_short_text_is_one_trimmed_passage() {
    let passages = plain("  A fact.\n\nAnother one. \n", 180, 256);
    assert_eq!(passages.len(), 1);
    assert_eq!(passages[0].text, "A fact.\n\nAnother one.");
    assert_eq!((passages[0].ordinal, passages[0].range.clone()), (0, 2..23));
}

#[test]
fn passages_are_even_fit_the_limits_and_lose_nothing() {
    let text = prose(1000);
    let passages = plain(&text, 180, 600);
    assert_eq!(passages.len(), 6);
    for (n, passage) in passages.iter().enumerate() {
        let words = passage.text.split_whitespace().count();
        assert!((100..=180).contains(&words), "{words}");
        assert_eq!(passage.text, text[passage.range.clone()]);
        assert_eq!(passage.ordinal as usize, n);
    }
    let joined: String = passages.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(without_blanks(&joined), without_blanks(&text));
}

#[test]
fn the_token_window_binds_where_words_are_long() {
    let text = "internationalisation ".repeat(100);
    for passage in plain(&text, 180, 132) {
        assert!(count(&passage.text) <= 100);
    }
}

#[test]
fn a_text_without_a_space_is_split_too() {
    for text in ["x".repeat(5000), "数据库系统".repeat(700)] {
        let passages = plain(&text, 180, 256);
        assert!(passages.len() > 4);
        assert!(passages.iter().all(|p| count(&p.text) <= 224));
        assert_eq!(passages.iter().map(|p| p.text.as_str()).collect::<String>(), text);
    }
}

#[test]
fn a_tokenizer_that_counts_more_for_the_whole_is_obeyed() {
    let greedy = |text: &str| 2 + text.len() / 2;
    let limit = Limit { words: 180, tokens: 200, count: Arc::new(greedy) };
    let text = prose(400);
    let passages = split(&text, TextFormat::Plain, &limit);
    assert!(passages.iter().all(|p| greedy(&p.text) <= 168));
    let joined: String = passages.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(without_blanks(&joined), without_blanks(&text));
}

#[test]
fn a_passage_of_markdown_knows_its_headings() {
    let text = format!(
        "# Guide\n\n{}\n\n## Install\n\n### Linux\n\n{}\n\n```sh\n# no heading\n```\n\n## Use\n\n{}\n",
        prose(20),
        prose(60),
        prose(30)
    );
    let passages = split(&text, TextFormat::Markdown, &limit(40, 400));
    let headings: Vec<&str> = passages.iter().map(|p| p.heading.as_str()).collect();
    assert_eq!(headings.first(), Some(&"Guide"));
    assert!(headings.contains(&"Guide > Install > Linux"), "{headings:?}");
    assert_eq!(headings.last(), Some(&"Guide > Use"));
    assert!(!headings.iter().any(|heading| heading.contains("no heading")));
    let joined: String = passages.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(without_blanks(&joined), without_blanks(&text));
}

#[test]
fn plain_text_has_no_headings() {
    assert_eq!(plain("# not a heading\ntext", 180, 256)[0].heading, "");
}

#[test]
fn the_embedded_text_names_title_and_headings_once() {
    let limit = limit(180, 256);
    assert_eq!(embed_text("Guide", "Install > Linux", "Run it.", &limit), "Guide > Install > Linux\nRun it.");
    assert_eq!(embed_text("Guide", "Guide > Linux", "## Linux\nRun it.", &limit), "Guide\n## Linux\nRun it.");
    assert_eq!(embed_text("A title", "", "A title . and text", &limit), "A title . and text");
    assert_eq!(embed_text("", "", " text ", &limit), "text");
    assert_eq!(embed_text("Only a title", "", "", &limit), "Only a title");
}

#[test]
fn a_long_title_leaves_the_passage_whole() {
    let limit = limit(180, 256);
    let text = prose(120);
    let embedded = embed_text(&"long title ".repeat(300), "Heading", &text, &limit);
    assert!(embedded.starts_with("long title") && embedded.ends_with(text.trim()));
    assert!(count(&embedded) <= 256);
}

#[test]
fn a_million_words_are_split_in_linear_time() {
    // Asserts on the number of calls and not on time: each word is counted once, and each passage
    // once.
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let counting = move |text: &str| {
        counted.fetch_add(1, Ordering::Relaxed);
        count(text)
    };
    let text = prose(500).repeat(200);
    let passages = split(&text, TextFormat::Plain, &Limit { words: 180, tokens: 600, count: Arc::new(counting) });
    assert!(passages.len() > 500);
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls < 2_000 + 2 * passages.len(), "{calls}");
}

#[test]
fn a_book_on_one_line_is_split_whole() {
    let text = "word ".repeat(40_000);
    let passages = plain(&text, 180, 600);
    assert!(passages.iter().all(|p| (45..=180).contains(&p.text.split_whitespace().count())));
    assert_eq!(passages.iter().map(|p| p.text.split_whitespace().count()).sum::<usize>(), 40_000);
}

#[test]
fn a_remnant_shares_the_words_of_its_neighbour() {
    let text = format!("# One\n\n{}\n\nTail of it.\n\n# Two\n\n{}", prose(178), prose(150));
    let passages = split(&text, TextFormat::Markdown, &limit(180, 900));
    let words: Vec<usize> = passages.iter().map(|p| p.text.split_whitespace().count()).collect();
    assert!(words.iter().all(|words| (45..=180).contains(words)), "{words:?}");
    let joined: String = passages.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(without_blanks(&joined), without_blanks(&text));
}

#[test]
fn a_heading_stays_with_its_section() {
    let text = format!("# One\n\n{}\n\n# Two words\n\n{}", prose(150), prose(179));
    let passages = split(&text, TextFormat::Markdown, &limit(180, 900));
    let words: Vec<usize> = passages.iter().map(|p| p.text.split_whitespace().count()).collect();
    assert!(words.iter().all(|words| (45..=180).contains(words)), "{words:?}");
    assert_eq!(passages.last().map(|p| p.heading.as_str()), Some("Two words"));
}

#[test]
fn a_long_heading_is_cut_in_the_path() {
    let text = format!("# {}\n\n{}", "ä".repeat(100_000), "## b\n\ntext\n\n".repeat(200));
    let headings = heading::Headings::of(&text);
    let path = headings.path_at(text.len());
    assert!(path.len() < 600 && path.ends_with(" > b"), "{}", path.len());
}
