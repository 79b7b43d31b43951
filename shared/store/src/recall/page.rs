//! The page: which of the ranked candidates are shown, where alike ones, several kinds, and pages before it have a say.
//!
//! Nothing here asks the database: vectors and kinds come in as maps.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use strum::{EnumString, VariantNames};

use super::fuse::Ranked;
use pgrecall_record::source::SourceKind;

/// How much being right counts beside being unlike what was shown before it.
const RIGHT: f64 = 0.7;
/// A kind's best candidate has a place, if it scores this share of the very best.
const WORTH_A_PLACE: f64 = 0.8;

/// What is done about answers that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Diversity {
    /// Nothing.
    #[default]
    None,
    /// Of those that say nearly the same the best is shown.
    Distinct,
    /// Each is chosen for being right and for being unlike those before it (maximal marginal relevance).
    Mmr,
}

impl Diversity {
    /// The names of all kinds of diversity.
    pub const NAMES: &'static [&'static str] = Self::VARIANTS;

    /// The one with this name.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// What a ranked candidate is compared by.
pub(super) type Vectors = HashMap<i64, Vec<f32>>;

/// A candidate on the page, and those that it stands for.
pub(super) struct Chosen {
    pub(super) ranked: Ranked,
    pub(super) alike: Vec<i64>,
}

/// Chooses `count` of the ranked, so that a longer list begins with the shorter one. `vectors` are by passage; from the cosine `same` on, two
/// answers say the same. The first `compared` are put into an order in which they are unlike each other; the others follow as they are.
pub(super) fn choose(
    ranked: Vec<Ranked>,
    count: usize,
    diversity: Diversity,
    vectors: &Vectors,
    same: f32,
    compared: usize,
) -> Vec<Chosen> {
    match diversity {
        Diversity::None => ranked.into_iter().take(count).map(|ranked| Chosen { ranked, alike: Vec::new() }).collect(),
        Diversity::Distinct => distinct(ranked, count, vectors, same),
        Diversity::Mmr => spread(ranked, count, vectors, compared),
    }
}

/// Whether so many of these, and one more, are unlike each other.
pub(super) fn fills(ranked: &[Ranked], count: usize, vectors: &Vectors, same: f32) -> bool {
    let mut shown: Vec<&Ranked> = Vec::new();
    for candidate in ranked {
        if shown.iter().all(|shown| likeness(shown, candidate, vectors) < same) {
            shown.push(candidate);
        }
        if shown.len() > count {
            return true;
        }
    }
    false
}

fn distinct(ranked: Vec<Ranked>, count: usize, vectors: &Vectors, same: f32) -> Vec<Chosen> {
    let mut chosen: Vec<Chosen> = Vec::with_capacity(count);
    for candidate in ranked {
        let full = chosen.len() == count;
        match chosen.iter_mut().find(|shown| likeness(&shown.ranked, &candidate, vectors) >= same) {
            Some(shown) => shown.alike.push(candidate.candidate.source),
            None if full => break,
            None => chosen.push(Chosen { ranked: candidate, alike: Vec::new() }),
        }
    }
    chosen
}

fn spread(mut ranked: Vec<Ranked>, count: usize, vectors: &Vectors, compared: usize) -> Vec<Chosen> {
    let rest = ranked.split_off(compared.min(ranked.len()));
    let mut chosen: Vec<Chosen> = Vec::with_capacity(count);
    // How much each is like whatever of those that were chosen it is most alike.
    let mut open: Vec<(Ranked, f32)> = ranked.into_iter().map(|ranked| (ranked, 0.0)).collect();
    while chosen.len() < count && !open.is_empty() {
        let worth =
            |(candidate, most_alike): &(Ranked, f32)| RIGHT * candidate.score - (1.0 - RIGHT) * f64::from(*most_alike);
        let best = (0..open.len()).max_by(|a, b| worth(&open[*a]).total_cmp(&worth(&open[*b])).then(b.cmp(a)));
        let (ranked, _) = open.remove(best.expect("it is not empty"));
        for (candidate, most_alike) in &mut open {
            *most_alike = most_alike.max(likeness(&ranked, candidate, vectors));
        }
        chosen.push(Chosen { ranked, alike: Vec::new() });
    }
    let missing = count - chosen.len();
    chosen.extend(rest.into_iter().take(missing).map(|ranked| Chosen { ranked, alike: Vec::new() }));
    chosen
}

/// The cosine of two candidates' best passages; 0 where one has none.
fn likeness(one: &Ranked, other: &Ranked, vectors: &Vectors) -> f32 {
    let vector = |ranked: &Ranked| vectors.get(&ranked.candidate.passage?);
    let (Some(one), Some(other)) = (vector(one), vector(other)) else { return 0.0 };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt().max(f32::MIN_POSITIVE)
}

/// Gives the best of each kind that is worth it a place among the first `count`: ten thousand operations of an API shall not hide the one
/// prompt that answers. It takes the last place of the kind that has most of them.
pub(super) fn be_fair(ranked: &mut Vec<Ranked>, count: usize) {
    let Some(best) = ranked.first().map(|ranked| ranked.score) else { return };
    let kind = |ranked: &Ranked| ranked.candidate.kind;
    for at in count..ranked.len() {
        if ranked[at].score < WORTH_A_PLACE * best {
            return;
        }
        let mut shown: BTreeMap<SourceKind, usize> = BTreeMap::new();
        for held in ranked[..count].iter().filter_map(kind) {
            *shown.entry(held).or_default() += 1;
        }
        if kind(&ranked[at]).is_none_or(|kind| shown.contains_key(&kind)) {
            continue;
        }
        let Some((most, 2..)) = shown.into_iter().max_by_key(|(_, many)| *many) else { return };
        let place = (0..count).rev().find(|place| kind(&ranked[*place]) == Some(most)).expect("it was counted");
        let wanting = ranked.remove(at);
        let gives_way = ranked.remove(place);
        ranked.insert(count - 1, wanting);
        ranked.insert(count, gives_way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::fuse::Candidate;

    fn ranked(source: i64, score: f64) -> Ranked {
        let candidate = Candidate { passage: Some(source), ..Candidate::of(source) };
        Ranked { candidate, words: 0.0, blended: score, lent: 0.0, recency: 1.0, score }
    }

    fn sources<'a>(ranked: impl IntoIterator<Item = &'a Ranked>) -> Vec<i64> {
        ranked.into_iter().map(|ranked| ranked.candidate.source).collect()
    }

    fn chosen(diversity: Diversity, count: usize) -> (Vec<i64>, Vec<i64>) {
        let vectors = HashMap::from([(1, vec![1.0, 0.0]), (2, vec![1.0, 0.05]), (3, vec![0.0, 1.0])]);
        let all = vec![ranked(1, 0.9), ranked(2, 0.85), ranked(3, 0.7), ranked(4, 0.6)];
        let page = choose(all, count, diversity, &vectors, 0.92, 100);
        (
            sources(page.iter().map(|chosen| &chosen.ranked)),
            page.iter().flat_map(|chosen| chosen.alike.clone()).collect(),
        )
    }

    #[test]
    fn the_best_of_those_that_say_the_same_stands_for_the_others() {
        assert_eq!(chosen(Diversity::None, 2), (vec![1, 2], vec![]));
        assert_eq!(chosen(Diversity::Distinct, 2), (vec![1, 3], vec![2]));
        // What has no vector is like nothing.
        assert_eq!(chosen(Diversity::Distinct, 10), (vec![1, 3, 4], vec![2]));
    }

    #[test]
    fn what_is_unlike_the_best_comes_before_what_repeats_it() {
        assert_eq!(chosen(Diversity::Mmr, 2).0, [1, 3]);
        assert_eq!(chosen(Diversity::Mmr, 4).0[..2], [1, 3], "a longer list begins with the shorter one");
        // Of many only the first are compared, whichever page is asked for.
        let all = || (0..60).map(|source| ranked(source, 1.0 - source as f64 / 100.0)).collect::<Vec<_>>();
        let vectors: HashMap<_, _> = (0..60_i64).map(|source| (source, vec![1.0, (source % 4) as f32])).collect();
        let order = |count| sources(choose(all(), count, Diversity::Mmr, &vectors, 0.92, 20).iter().map(|c| &c.ranked));
        let whole = order(60);
        assert!((1..60).all(|count| order(count) == whole[..count]));
        assert_ne!(whole[..20], (0..20).collect::<Vec<_>>());
        assert_eq!(whole[20..], (20..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_kind_whose_best_is_nearly_as_good_has_a_place() {
        let mut all = vec![ranked(1, 0.9), ranked(2, 0.85), ranked(3, 0.84), ranked(4, 0.8), ranked(5, 0.3)];
        for (candidate, kind) in
            all.iter_mut().zip([SourceKind::Document; 3].into_iter().chain([SourceKind::Prompt, SourceKind::Tool]))
        {
            candidate.candidate.kind = Some(kind);
        }
        be_fair(&mut all, 3);
        assert_eq!(sources(&all), [1, 2, 4, 3, 5]);
        be_fair(&mut all, 10);
        assert_eq!(all.len(), 5);
    }
}
