//! Property tests with any text: words, passages, filters and recalls accept it, and its own words
//! find it.

use std::ops::ControlFlow;
use std::sync::Arc;

use pgrecall_generators::mutate::cases;
use pgrecall_record::passage::{self, Limit};
use pgrecall_record::source::{SourceKind, TextFormat};
use pgrecall_record::words;
use pgrecall_store::recall::{Filter, MAX_QUERY_BYTES, Query};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value};

use crate::fixture::{Fixture, memory, query};

/// Texts with a meaning for Postgres, its text search, a pattern, our own statements, Markdown, or
/// a terminal.
const ODD: [&str; 24] = [
    "a & b | !c <-> d:*",
    "'; DROP TABLE sources; --",
    "\\",
    "%_%",
    "\"",
    "$1",
    "$$",
    "{filter}",
    "{scope}",
    "(((",
    "[^a-z]*+?",
    "#",
    "```",
    "> - 1.",
    "שלום עולם",
    "مرحبا",
    "東京都の天気",
    "안녕하세요",
    "👩‍👩‍👧‍👦",
    "e\u{301}\u{301}\u{301}",
    "\u{202e}abc\u{202c}",
    "\u{feff}",
    "ﬀ ſ İ",
    "urn:li:x:(y,z)",
];

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        2 => (0..ODD.len()).prop_map(|at| ODD[at].to_owned()),
        2 => "[a-z]{1,12}",
        1 => "[A-Za-z0-9_./:-]{1,30}",
        1 => "\\PC{0,30}",
        1 => prop_oneof![Just("\n\n"), Just("\n# "), Just("\t"), Just("\u{2028}"), Just("\r\n")].prop_map(str::to_owned),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

fn any_json() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 10] = [
        "$owner",
        "$category",
        "$status",
        "$visibility",
        "$created_from",
        "$changed_since",
        "$$odd",
        "$",
        "team",
        "a/b",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..ODD.len()).prop_map(|at| ODD[at].into()),
        prop_oneof![Just("active"), Just("tenant"), Just("2026-01-31"), Just("2026-13-31")].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((0..NAMES.len(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (NAMES[name], value)).collect()),
        ]
    })
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

/// Returns this many values of a strategy, the same ones in every run.
fn some<S: Strategy>(count: usize, of: &S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| of.new_tree(&mut runner).expect("a value").current()).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_text_is_found_by_its_own_words(text in any_text()) {
        let asked = words::query_terms(&text);
        prop_assert!(asked.len() <= words::MAX_QUERY_TERMS);
        let held = words::index_terms(&text);
        for (term, times) in &asked {
            prop_assert!(!term.is_empty() && *times > 0);
            prop_assert!(held.counts.iter().any(|(known, _)| known == term), "{term:?} of {text:?}");
        }
    }

    #[test]
    fn passages_lose_nothing_and_keep_their_order(text in any_text(), words in 1..40_usize, tokens in 8..60_usize) {
        let count = Arc::new(|text: &str| 2 + text.split_whitespace().map(|word| word.len().div_ceil(4)).sum::<usize>());
        let limit = Limit { words, tokens, count };
        for format in [TextFormat::Plain, TextFormat::Markdown] {
            let passages = passage::split(&text, format, &limit);
            let order = passages.windows(2).try_for_each(|pair| {
                if pair[0].range.end <= pair[1].range.start { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            prop_assert!(order.is_continue(), "{passages:?}");
            prop_assert!(passages.iter().enumerate().all(|(at, passage)| passage.ordinal as usize == at));
            if format == TextFormat::Plain {
                let joined: String = passages.iter().map(|passage| passage.text.as_str()).collect();
                prop_assert_eq!(without_blanks(&joined), without_blanks(&text));
            }
        }
    }

    #[test]
    fn a_filter_is_taken_or_refused_with_a_sentence(filter in any_json()) {
        let mut narrow = Filter::of(SourceKind::Memory);
        if let Err(refused) = narrow.narrow(object(filter)) {
            prop_assert!(refused.to_string().starts_with('`'), "{refused}");
        }
    }
}

#[tokio::test]
async fn whatever_is_remembered_is_recalled_by_its_own_words() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let texts: Vec<String> = some(120, &any_text()).into_iter().filter(|text| memory(text).check().is_ok()).collect();
    assert!(texts.len() > 80);
    let receipts = it.write(texts.iter().map(|text| memory(text)).collect()).await?;
    let filters = some(120, &any_json());
    for ((text, receipt), filter) in texts.iter().zip(receipts).zip(filters) {
        let mut asked = query(&text[..text.floor_char_boundary(MAX_QUERY_BYTES)], SourceKind::Memory);
        asked.limit = 100;
        let answer = it.recall(&asked).await?;
        let id = receipt?.id;
        let is_there = answer.hits.iter().any(|hit| hit.id == id);
        assert!(is_there || words::query_terms(text).is_empty(), "{text:?}");
        assert!(answer.hits.is_sorted_by(|one, next| one.score >= next.score));
        // The filter is either refused here, or it restricts the results.
        let mut narrow = Query { explain: true, why_not: Some(id), ..asked.clone() };
        if narrow.filter.narrow(object(filter)).is_ok() {
            let narrowed = it.recall(&narrow).await?;
            assert!(narrowed.hits.len() <= answer.hits.len());
        }
    }
    Ok(())
}
