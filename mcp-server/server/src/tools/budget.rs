//! Keeps an answer small enough for a model's context.
//!
//! The best results matter most, but a long first one must not displace the others. So the texts
//! share a budget: short ones are whole, and long ones are cut at the same length, with a mark.
//! Tokens are estimated, since each host has its own tokenizer: four ASCII characters, or one
//! character of another script, count as one.

use std::ops::RangeInclusive;

use serde::Serialize;

/// Range of the tokens that a caller may ask for; the tools' schemas repeat it.
pub const MAX_TOKENS: RangeInclusive<usize> = 100..=100_000;
/// Default number of tokens of an answer. Above it, hosts begin to warn or to store results
/// elsewhere.
const DEFAULT_TOKENS: usize = 2_000;
/// Minimum length to which a text is cut, in quarter tokens, so that it can still be judged.
const MIN_CHARACTERS: usize = 160;
/// Approximate cost of the mark, in quarter tokens.
const MARK_CHARACTERS: usize = 48;

/// Cuts the texts of an answer to its budget.
///
/// Results are left out only if the caller set the budget. Returns how many were left out.
pub(crate) fn fit<T: Serialize>(
    items: &mut Vec<T>,
    max_tokens: Option<usize>,
    text: impl Fn(&mut T) -> &mut String,
) -> usize {
    if items.is_empty() {
        return 0;
    }
    let total = max_tokens.unwrap_or(DEFAULT_TOKENS);
    // The cost of each result apart from its text.
    let overheads = |items: &mut Vec<T>| -> usize {
        let all = tokens(&serde_json::to_string(items).expect("an answer has text keys only"));
        all.saturating_sub(items.iter_mut().map(|item| tokens(text(item))).sum())
    };
    let mut left_out = 0;
    if max_tokens.is_some() {
        let each = overheads(items) / items.len();
        let fitting = fitting(items.iter_mut().map(|item| text(item).as_str()), each, total).max(1);
        left_out = items.len() - fitting.min(items.len());
        items.truncate(fitting);
    }
    let texts = total.saturating_sub(overheads(items));
    share(items.iter_mut().map(text), texts);
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

/// Cuts the texts so that together they cost about `tokens`, and each keeps at least a line.
fn share<'a>(texts: impl Iterator<Item = &'a mut String>, tokens: usize) {
    let texts: Vec<_> = texts.collect();
    let costs: Vec<_> = texts.iter().map(|text| cost(text)).collect();
    let cap = cap(&costs, tokens * 4).max(MIN_CHARACTERS);
    for (text, cost) in texts.into_iter().zip(costs) {
        if cost > cap {
            cut(text, cap.saturating_sub(MARK_CHARACTERS).max(MIN_CHARACTERS));
        }
    }
}

/// Counts the texts, from the first, that fit into `tokens` if each is cut to its first line.
///
/// Each text costs `overhead` tokens in addition.
fn fitting<'a>(texts: impl Iterator<Item = &'a str>, overhead: usize, tokens: usize) -> usize {
    let mut left = tokens * 4;
    texts
        .take_while(|text| {
            let needed = overhead * 4 + cost(text).min(MIN_CHARACTERS + MARK_CHARACTERS);
            let fits = needed <= left;
            left = left.saturating_sub(needed);
            fits
        })
        .count()
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

/// Returns the length to which texts of these costs must be cut so that all fit into `budget`.
fn cap(costs: &[usize], budget: usize) -> usize {
    let mut sorted = costs.to_vec();
    sorted.sort_unstable();
    let (mut left, mut waiting) = (budget, sorted.len());
    for cost in sorted {
        let share = left / waiting;
        if cost > share {
            return share;
        }
        left -= cost;
        waiting -= 1;
    }
    usize::MAX
}

/// Cuts a text after about `budget` quarter tokens, between words if possible.
fn cut(text: &mut String, budget: usize) {
    let letters = text.chars().count();
    let mut spent = 0;
    let mut end = text.len();
    let mut kept = letters;
    for (count, (at, letter)) in text.char_indices().enumerate() {
        spent += letter_cost(letter);
        if spent > budget {
            (end, kept) = (at, count);
            break;
        }
    }
    if let Some(space) = text[..end].rfind(char::is_whitespace)
        && space > end / 2
    {
        kept -= text[space..end].chars().count();
        end = space;
    }
    text.truncate(end);
    text.push_str(&format!(" … [{kept} of {letters} characters; fetch has the whole]"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(texts: &[&str], tokens: usize) -> Vec<String> {
        let mut texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        share(texts.iter_mut(), tokens);
        texts
    }

    #[test]
    fn short_texts_stay_whole_and_long_ones_share_what_is_left() {
        let long = "word ".repeat(2_000);
        let texts = shared(&["short", &long, &long], 1_000);
        assert_eq!(texts[0], "short");
        assert!(texts[1].contains("of 10000 characters; fetch has the whole]"), "{}", texts[1]);
        assert!(texts.iter().map(|text| tokens(text)).sum::<usize>() <= 1_010);
        assert!(tokens(&texts[1]) > 450);
        assert_eq!(shared(&[&long], 3_000)[0], long);
    }

    #[test]
    fn other_scripts_are_cut_between_letters() {
        let texts = shared(&[&"記憶".repeat(3_000)], 100);
        assert!(texts[0].contains("of 6000 characters"), "{}", texts[0]);
        assert!(tokens(&texts[0]) <= 120);
    }

    #[test]
    fn what_cannot_fit_is_left_out_from_the_end() {
        let long = "word ".repeat(2_000);
        assert_eq!(fitting([long.as_str(), "a", "b"].into_iter(), 50, 120), 1);
        assert_eq!(fitting(["a", "b"].into_iter(), 10, 2_000), 2);
    }

    #[test]
    fn only_a_budget_that_was_asked_for_leaves_answers_out() {
        let long = |count: usize| vec!["word ".repeat(400); count];
        let mut items = long(100);
        assert_eq!(fit(&mut items, None, |text| text), 0);
        assert_eq!(items.len(), 100);
        let mut items = long(100);
        assert!(fit(&mut items, Some(500), |text| text) > 80);
        let tokens: usize = items.iter().map(|text| tokens(text)).sum();
        assert!(tokens <= 560, "{tokens}");
    }
}
