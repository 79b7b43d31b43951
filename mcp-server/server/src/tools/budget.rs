//! Keeps an answer small enough for a model's context.
//!
//! The best results matter most, but a long first one must not displace the others. So the texts
//! share a budget: short ones are whole, and long ones are cut, with a mark. The first result may be
//! three times as long as the others, the second one twice. Of a long text, the sentences with most
//! of the query are shown.
//! Tokens are estimated, since each host has its own tokenizer: four ASCII characters, or one
//! character of another script, count as one.

use std::ops::RangeInclusive;

use pgrecall_record::{snippet::snippet, words::WeightedTerms};
use serde::Serialize;

use super::present::Place;

/// Range of the tokens that a caller may ask for; the tools' schemas repeat it.
pub const MAX_TOKENS: RangeInclusive<usize> = 100..=100_000;
/// Default number of tokens of an answer. Above it, hosts begin to warn or to store results
/// elsewhere.
const DEFAULT_TOKENS: usize = 2_000;
/// Minimum length to which a text is cut, in quarter tokens, so that it can still be judged.
const MIN_CHARACTERS: usize = 160;
/// Approximate cost of the mark, in quarter tokens.
const MARK_CHARACTERS: usize = 48;

/// A text of an answer, and its place in the record if the answer says it.
pub(crate) struct Shown<'a> {
    pub(crate) text: &'a mut String,
    pub(crate) place: Option<&'a mut Place>,
}

/// Cuts the texts of an answer to its budget, around the sentences with most of the terms.
///
/// Results are left out only if the caller set the budget. Returns how many were left out.
pub(crate) fn fit<T: Serialize>(
    items: &mut Vec<T>,
    max_tokens: Option<usize>,
    terms: &WeightedTerms,
    texts: impl Fn(&mut T) -> Vec<Shown<'_>>,
) -> usize {
    if items.is_empty() {
        return 0;
    }
    let total = max_tokens.unwrap_or(DEFAULT_TOKENS);
    // The cost of each result apart from its text.
    let overheads = |items: &mut Vec<T>| -> usize {
        let all = tokens(&serde_json::to_string(items).expect("an answer has text keys only"));
        all.saturating_sub(items.iter_mut().flat_map(&texts).map(|shown| tokens(shown.text)).sum())
    };
    let mut left_out = 0;
    if max_tokens.is_some() {
        let each = overheads(items) / items.len();
        let least = |shown: Shown<'_>| cost(shown.text).min(MIN_CHARACTERS + MARK_CHARACTERS);
        let least = items.iter_mut().map(|item| each * 4 + texts(item).into_iter().map(least).sum::<usize>());
        let fitting = fitting(least, total).max(1);
        left_out = items.len() - fitting.min(items.len());
        items.truncate(fitting);
    }
    let left = total.saturating_sub(overheads(items));
    let weighted =
        |(rank, item)| texts(item).into_iter().enumerate().map(move |(place, text)| (weight(rank, place), text));
    share(items.iter_mut().enumerate().flat_map(weighted).collect(), left, terms);
    left_out
}

/// Makes the note of an answer from its own note and the reason why it ends.
///
/// If the budget left results out, that is the reason.
pub(crate) fn note(note: Option<String>, end: Option<String>, left_out: usize) -> String {
    let end = if left_out > 0 { Some(format!("{left_out} more did not fit into max_tokens")) } else { end };
    // Empty rather than null, since some hosts do not support nullable types in a schema.
    [note, end].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Returns the share of a text: of the best results, the first text has more.
fn weight(rank: usize, place: usize) -> usize {
    if place == 0 { 3_usize.saturating_sub(rank).max(1) } else { 1 }
}

/// Cuts the texts so that together they cost about `tokens`, and each keeps at least a line.
///
/// Each text has a weight; texts that are cut are as long as their weights.
fn share(texts: Vec<(usize, Shown<'_>)>, tokens: usize, terms: &WeightedTerms) {
    let costs: Vec<_> = texts.iter().map(|(weight, shown)| (*weight, cost(shown.text))).collect();
    let unit = unit(&costs, tokens * 4);
    for ((weight, shown), (_, cost)) in texts.into_iter().zip(costs) {
        let cap = unit.saturating_mul(weight).max(MIN_CHARACTERS);
        if cost > cap {
            cut(shown, cap.saturating_sub(MARK_CHARACTERS).max(MIN_CHARACTERS), terms);
        }
    }
}

/// Counts the items, from the first, that fit into `tokens`, given the least that each costs.
fn fitting(costs: impl Iterator<Item = usize>, tokens: usize) -> usize {
    let mut left = tokens * 4;
    let fits = |cost: &usize| {
        let fits = *cost <= left;
        left = left.saturating_sub(*cost);
        fits
    };
    costs.take_while(fits).count()
}

/// Estimates the tokens of a text.
fn tokens(text: &str) -> usize {
    cost(text).div_ceil(4)
}

/// Estimates the cost of a text, in quarter tokens.
fn cost(text: &str) -> usize {
    text.chars().map(letter_cost).sum()
}

fn letter_cost(letter: char) -> usize {
    if letter.is_ascii() { 1 } else { 4 }
}

/// Returns the length for each weight to which texts of these weights and costs must be cut so that
/// all fit into `budget`.
fn unit(costs: &[(usize, usize)], budget: usize) -> usize {
    let mut sorted = costs.to_vec();
    sorted.sort_unstable_by_key(|(weight, cost)| cost.div_ceil(*weight));
    let (mut left, mut waiting) = (budget, sorted.iter().map(|(weight, _)| weight).sum::<usize>());
    for (weight, cost) in sorted {
        let unit = left / waiting;
        if cost > unit * weight {
            return unit;
        }
        left -= cost;
        waiting -= weight;
    }
    usize::MAX
}

/// Cuts a text to its best sentences of about `budget` quarter tokens, and moves its place to them.
fn cut(shown: Shown<'_>, budget: usize, terms: &WeightedTerms) {
    let Shown { text, place } = shown;
    let mut range = snippet(text, terms, budget, cost);
    if range.is_empty() {
        // Not even a word fits.
        range = 0..letters_within(text, budget);
    }
    let part = text[range.clone()].trim_end();
    let end = range.start + part.len();
    let start = end - part.trim_start_matches(['\n', '\r']).len();
    // The marks stand on lines of their own where a line is cut off, so that lists, tables and code
    // stay as they are.
    let gap = |ends_line: bool| if ends_line { "\n" } else { " " };
    let before = if start == 0 { String::new() } else { format!("…{}", gap(text[..start].ends_with('\n'))) };
    let after = gap(text[end..].trim_start_matches([' ', '\t', '\r']).starts_with('\n'));
    let (kept, letters) = (text[start..end].chars().count(), text.chars().count());
    if let Some(place) = place {
        place.advance(text, start);
    }
    *text = format!("{before}{}{after}… [{kept} of {letters} characters; fetch has the whole]", &text[start..end]);
}

/// Returns how many bytes of a text cost at most `budget`.
fn letters_within(text: &str, budget: usize) -> usize {
    let mut spent = 0;
    let fits = |(_, letter): &(usize, char)| {
        spent += letter_cost(*letter);
        spent <= budget
    };
    text.char_indices().take_while(fits).last().map_or(0, |(at, letter)| at + letter.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &mut String) -> Vec<Shown<'_>> {
        vec![Shown { text, place: None }]
    }

    fn shared(texts: &[&str], tokens: usize) -> Vec<String> {
        let mut texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let equal = |shown| (1, shown);
        share(texts.iter_mut().flat_map(whole).map(equal).collect(), tokens, &WeightedTerms::default());
        texts
    }

    #[test]
    fn short_texts_stay_whole_and_long_ones_share_what_is_left() {
        let long = "word ".repeat(2_000);
        let texts = shared(&["short", &long, &long], 1_000);
        assert_eq!(texts[0], "short");
        assert!(texts[1].contains("of 10000 characters; fetch has the whole]"), "{}", texts[1]);
        assert!(texts.iter().map(|text| tokens(text)).sum::<usize>() <= 1_010);
        assert!(tokens(&texts[1]) > 350);
        assert_eq!(shared(&[&long], 3_000)[0], long);
    }

    #[test]
    fn the_best_results_have_longer_texts() {
        let mut items = vec!["word ".repeat(400); 10];
        fit(&mut items, None, &WeightedTerms::default(), whole);
        let lengths: Vec<usize> = items.iter().map(String::len).collect();
        assert!(lengths[0] > 5 * lengths[2] / 2 && lengths[1] > 3 * lengths[2] / 2, "{lengths:?}");
        assert!(lengths[2..].iter().all(|length| *length == lengths[2]), "{lengths:?}");
        assert!(items.iter().map(|text| tokens(text)).sum::<usize>() <= DEFAULT_TOKENS, "{lengths:?}");
        assert_eq!(unit(&[(3, 30), (1, 50), (1, 50)], 90), 30);
        assert_eq!(unit(&[(3, 30), (1, 50), (1, 50)], 130), usize::MAX);
        assert_eq!(unit(&[(3, 100), (2, 100), (1, 100)], 120), 20);
    }

    #[test]
    fn other_scripts_are_cut_between_letters() {
        let texts = shared(&[&"記憶".repeat(3_000)], 100);
        assert!(texts[0].contains("of 6000 characters"), "{}", texts[0]);
        assert!(tokens(&texts[0]) <= 120);
    }

    #[test]
    fn the_sentences_with_the_answer_are_shown_with_their_lines_and_their_place() {
        let filler = "Nothing is said here about it. ".repeat(20);
        let answer = "| lock | conflicts |\n| --- | --- |\n| SHARE | writes |\n";
        let text = format!("{filler}\n\n## Tables\n\n{answer}\n{filler}");
        let (mut shown, mut place) = (text.clone(), Place::at(1_000, "Locks".to_owned()));
        let terms = WeightedTerms::of_query("which writes conflicts");
        cut(Shown { text: &mut shown, place: Some(&mut place) }, 160, &terms);
        assert!(shown.starts_with('…') && shown.contains(answer.trim_end()), "{shown}");
        assert!(shown.ends_with(&format!("of {} characters; fetch has the whole]", text.len())), "{shown}");
        let position = place.position - 1_000;
        assert!(shown.trim_start_matches('…').trim_start().starts_with(&text[position..position + 20]), "{shown}");
    }

    #[test]
    fn what_cannot_fit_is_left_out_from_the_end() {
        assert_eq!(fitting([400, 200, 200].into_iter(), 120), 1);
        assert_eq!(fitting([40, 40].into_iter(), 2_000), 2);
    }

    #[test]
    fn only_a_budget_that_was_asked_for_leaves_answers_out() {
        let long = |count: usize| vec!["word ".repeat(400); count];
        let mut items = long(100);
        assert_eq!(fit(&mut items, None, &WeightedTerms::default(), whole), 0);
        assert_eq!(items.len(), 100);
        let mut items = long(100);
        assert!(fit(&mut items, Some(500), &WeightedTerms::default(), whole) > 80);
        let tokens: usize = items.iter().map(|text| tokens(text)).sum();
        assert!(tokens <= 560, "{tokens}");
    }
}
