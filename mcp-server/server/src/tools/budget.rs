//! Keeps an answer small enough for a model's context.
//!
//! The best answers matter most, but a long first one must not push the others out: texts share a budget, short ones are
//! whole, and long ones are cut at the same length with a mark that says so. Tokens are estimated, since each host has its own
//! tokenizer: four ASCII letters, or one letter of any other script.

use std::ops::RangeInclusive;

use serde::Serialize;

/// How many tokens a caller may ask for, as the tools' schemas say it too.
pub const MAX_TOKENS: RangeInclusive<usize> = 100..=100_000;
/// Tokens of an answer unless its caller says otherwise; beyond this hosts begin to store results away or warn.
const DEFAULT_TOKENS: usize = 2_000;
/// A text is cut no shorter than this, in quarter tokens, so that it can still be judged.
const SHORTEST: usize = 160;
/// About what the mark costs, in quarter tokens.
const MARK: usize = 48;

/// Cuts the texts of an answer to its budget. Only a budget that the caller set leaves answers out; returns how many.
pub(crate) fn fit<T: Serialize>(
    items: &mut Vec<T>,
    max_tokens: Option<usize>,
    text: impl Fn(&mut T) -> &mut String,
) -> usize {
    if items.is_empty() {
        return 0;
    }
    let total = max_tokens.unwrap_or(DEFAULT_TOKENS);
    // What each answer costs beside its text.
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

/// What there is to say of an answer: its own note, and why it ends where it does, which may be that its budget left so many results out.
pub(crate) fn note(note: Option<String>, end: Option<String>, left_out: usize) -> String {
    let end = if left_out > 0 { Some(format!("{left_out} more did not fit into max_tokens")) } else { end };
    // Never null: a nullable type in a schema is more than some hosts understand.
    [note, end].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Cuts the texts so that together they cost about `tokens`, and each keeps at least a line.
fn share<'a>(texts: impl Iterator<Item = &'a mut String>, tokens: usize) {
    let texts: Vec<_> = texts.collect();
    let costs: Vec<_> = texts.iter().map(|text| cost(text)).collect();
    let cap = cap(&costs, tokens * 4).max(SHORTEST);
    for (text, cost) in texts.into_iter().zip(costs) {
        if cost > cap {
            cut(text, cap.saturating_sub(MARK).max(SHORTEST));
        }
    }
}

/// How many of the texts, from the first, fit into `tokens` when each but its first line may be cut away, with `overhead` tokens each.
fn fitting<'a>(texts: impl Iterator<Item = &'a str>, overhead: usize, tokens: usize) -> usize {
    let mut left = tokens * 4;
    texts
        .take_while(|text| {
            let needed = overhead * 4 + cost(text).min(SHORTEST + MARK);
            let fits = needed <= left;
            left = left.saturating_sub(needed);
            fits
        })
        .count()
}

/// About how many tokens a text costs.
fn tokens(text: &str) -> usize {
    cost(text).div_ceil(4)
}

/// In quarter tokens.
fn cost(text: &str) -> usize {
    text.chars().map(letter_cost).sum()
}

fn letter_cost(letter: char) -> usize {
    if letter.is_ascii() { 1 } else { 4 }
}

/// The length at which texts of these costs must be cut for all to fit into `budget`.
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

/// Cuts a text after about `budget` quarter tokens, between words where there are any.
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
