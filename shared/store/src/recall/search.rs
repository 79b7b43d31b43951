//! One query on its way, from its first statement to its answer.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::arms::Reached;
use super::exact::Sources;
use super::feedback::parse;
use super::fuse::{self, Ranked};
use super::lexicon::Question;
use super::page::{self, Vectors};
use super::scope::{Narrowing, Parameter};
use super::why_not::{Looked, WhyNot};
use super::{Answer, Diversity, Meaning, Pool, Query, Ranking, Strategy, Tuning};
use crate::sql::{Begin, on_space, sql};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::source::SourceKind;

/// How many of the best candidates are compared with each other for each that is shown.
const COMPARED: usize = 4;
/// And how many at the least.
const LEAST_COMPARED: usize = 100;
/// And at the most, where most of them say the same: 10 MB of vectors.
const MOST_COMPARED: usize = 3_000;
/// The answers that are looked for at the least.
const LEAST_DEPTH: usize = 10;
/// Pages that are cut from one list.
const PAGES: usize = 4;

/// What every step of a query needs.
pub(super) struct Search<'a> {
    pub(super) db: &'a Db,
    pub(super) transaction: &'a Transaction,
    pub(super) scope: &'a Scope,
    pub(super) narrowing: &'a Narrowing,
    pub(super) question: &'a Question,
    pub(super) meaning: Option<&'a Meaning>,
    pub(super) tuning: Tuning,
    /// How many of the best must be right: the page, and those before it.
    pub(super) limit: usize,
    /// For how many answers the arms look for candidates.
    pub(super) depth: usize,
    /// How many answers there should be for all pages of that depth.
    pub(super) reach: usize,
}

/// For how many answers the arms look for candidates: the same for the first four pages, and for some that follow, so that they are cut from one list.
/// The arms bring several times as many.
fn depth(query: &Query) -> usize {
    let mut depth = query.limit.max(LEAST_DEPTH);
    while query.offset + query.limit > PAGES * depth {
        depth *= PAGES;
    }
    depth
}

pub(super) async fn answer(
    db: &Db,
    transaction: &Transaction,
    scope: &Scope,
    query: &Query,
    meaning: Option<&Meaning>,
    tuning: &Tuning,
) -> Result<Answer, DbError> {
    let mut narrowing = Narrowing::of(scope, &query.filter);
    narrowing.begin_at_the_rarest(transaction).await?;
    let by_words = query.strategy != Strategy::Semantic || meaning.is_none();
    let question = if by_words { Question::of(&query.text) } else { Question::default() };
    let ranking = match (meaning.is_some(), by_words) {
        (true, true) => Ranking::Hybrid,
        (true, false) => Ranking::Semantic,
        (false, _) if query.text.trim().is_empty() => Ranking::Entity,
        (false, _) => Ranking::Lexical,
    };
    let search = Search {
        db,
        transaction,
        scope,
        narrowing: &narrowing,
        question: &question,
        meaning,
        tuning: *tuning,
        limit: query.offset + query.limit,
        depth: depth(query),
        reach: PAGES * depth(query),
    };
    let looked = match query.why_not {
        Some(id) => Some((id, search.look_at(id).await?)),
        None => None,
    };
    let (mut pool, is_whole) = search.candidates(ranking, query, looked.as_ref().map(|(_, looked)| looked)).await?;
    search.tell_facts(&mut pool, query).await?;
    let mut ranked = fuse::rank(&pool, ranking, tuning);
    if query.strategy == Strategy::Entity {
        // It names what was asked for, whatever else it says.
        ranked.extend(fuse::unscored(&pool, &ranked, tuning));
    }
    let mut kinds = BTreeMap::new();
    for kind in ranked.iter().filter_map(|ranked| ranked.candidate.kind) {
        *kinds.entry(kind).or_default() += 1;
    }
    if let [only] = query.filter.kinds[..] {
        kinds = BTreeMap::from([(only, ranked.len())]);
    } else {
        // By the first page, whichever is asked for: the list must not change from page to page.
        page::be_fair(&mut ranked, query.limit);
    }
    let mut why_not = None;
    if let Some((id, looked)) = &looked {
        why_not = Some(match looked {
            Looked::Out(reason) => WhyNot::out(*id, reason.clone()),
            Looked::In(source) => {
                let found = ranked.iter().find(|ranked| ranked.candidate.source == *source);
                let explain = match found {
                    Some(found) => Some(search.explain(found).await?),
                    None => None,
                };
                WhyNot::ranked(*id, *source, &ranked, ranking, explain)
            }
        });
    }
    let total = ranked.len();
    // Each page is cut from one list: what is compared must not depend on which page it is, unless what was compared before stays as it was.
    let shown = if query.diversity == Diversity::Mmr { query.limit } else { search.limit };
    let mut compared = LEAST_COMPARED.max(COMPARED * shown);
    let mut vectors = search.vectors_of(&ranked[..compared.min(ranked.len())], query.diversity).await?;
    while query.diversity == Diversity::Distinct
        && compared < ranked.len().min(MOST_COMPARED)
        && !page::fills(&ranked[..compared], search.limit, &vectors, tuning.same)
    {
        let before = compared;
        compared = (COMPARED * compared).min(MOST_COMPARED);
        vectors.extend(search.vectors_of(&ranked[before..compared.min(ranked.len())], query.diversity).await?);
    }
    let mut chosen = page::choose(ranked, search.limit, query.diversity, &vectors, tuning.same, compared);
    let seen: usize = chosen.iter().map(|chosen| 1 + chosen.alike.len()).sum();
    let shown = chosen.len();
    let before = query.offset.min(shown);
    if let Some((_, Looked::In(source))) = looked {
        why_not = why_not.map(|why_not| why_not.among(source, &chosen, before));
    }
    chosen.drain(..before);
    let hits = search.fetch(chosen, query.explain).await?;
    let more = total > seen;
    let end = (hits.len() < query.limit && !more).then(|| nothing_more(shown, seen, query, is_whole));
    let filters = if query.explain { narrowing.in_words() } else { Vec::new() };
    Ok(Answer {
        hits,
        strategy: query.strategy,
        ranking,
        degraded: false,
        note: None,
        end,
        more,
        kinds,
        filters,
        why_not,
    })
}

/// Why a page is short, after so many answers, which stand for all that were `seen`. `is_whole`: everything that may answer was looked at.
fn nothing_more(shown: usize, seen: usize, query: &Query, is_whole: bool) -> String {
    match (shown, seen - shown) {
        _ if !is_whole => "the list ends here: narrow the question or the filter to see more".to_owned(),
        (0, _) if query.filter.is_narrow() => {
            "nothing matches: check the filter and whatever else narrows it, which must match exactly".to_owned()
        }
        (0, _) => "nothing matches".to_owned(),
        (shown, 0) => format!("nothing more exists: these are all {shown} that match"),
        (shown, alike) => {
            format!("nothing more exists: these are all {shown} that match, and {alike} more say the same")
        }
    }
}

impl Search<'_> {
    /// What may answer, with its scores and its neighbours, and whether that is everything.
    async fn candidates(
        &self,
        ranking: Ranking,
        query: &Query,
        looked: Option<&Looked>,
    ) -> Result<(Pool, bool), DbError> {
        if ranking == Ranking::Entity {
            return Ok((self.newest(self.limit + 1).await?, true));
        }
        let few = self.few_sources(query.exact).await?;
        let known = few.as_ref().map_or(usize::MAX, Sources::len);
        let (mut pool, mut lexicon) = match few {
            Some(sources) if query.exact || self.meaning.is_none() || !sources.are_long() => {
                self.score_all(&sources).await?
            }
            few => {
                // A far page of a large scope may end early; it is not worth a look at everything.
                let wanted = few.as_ref().map_or(query.limit, |sources| self.reach.min(sources.len()));
                let (mut pool, mut lexicon, reached) = self.best_of_both_arms().await?;
                let is_short = self.meaning.is_some() && pool.len() < wanted;
                // The scan of the vectors ends after so many rows, however few of them passed, and the rarest words may lead to what the caller does not
                // see: then every source that may answer is scored after all, unless that is much and the page is full.
                let all = match few {
                    _ if reached == Reached::Enough && !is_short => None,
                    Some(sources) if is_short => Some(sources),
                    Some(_) => None,
                    None if is_short => self.sources(Begin::Labels, None).await?,
                    None => self.few_counted().await?.filter(|few| {
                        self.meaning.is_none() || !few.are_long() || pool.len() < self.reach.min(few.len())
                    }),
                };
                if let Some(sources) = all {
                    self.score_all(&sources).await?
                } else {
                    if self.meaning.is_none() {
                        self.lead_on(&mut pool, &mut lexicon).await?;
                    }
                    (pool, lexicon)
                }
            }
        };
        if query.strategy == Strategy::Entity && self.meaning.is_none() && lexicon.corpus().is_some() {
            for (source, candidate) in self.newest(self.limit + 1).await? {
                pool.entry(source).or_insert(candidate);
            }
        }
        // Words that bring fewer than they may have brought all that hold them; the nearest few of a large scope are never all of it.
        let is_whole = match lexicon.corpus() {
            Some(statistics) if self.meaning.is_none() => statistics.all_lead(),
            Some(_) => pool.len() >= known,
            None => true,
        };
        let mut meaning = self.meaning.cloned();
        if ranking == Ranking::Hybrid
            && let Some(question) = &meaning
        {
            self.tell_apart(&mut pool, &mut lexicon);
            meaning = Some(self.feed_back(&mut pool, question).await?);
        }
        if let Some(Looked::In(source)) = looked {
            self.bring_in(*source, &mut pool, &mut lexicon, meaning.as_ref()).await?;
        }
        if query.filter.kinds.contains(&SourceKind::Memory)
            && self.link_neighbours(&mut pool, ranking).await?
            && lexicon.corpus().is_some()
        {
            self.complete(&mut pool, &mut lexicon, meaning.as_ref()).await?;
        }
        Ok((pool, is_whole))
    }

    /// What the candidates are, and how old, where that counts.
    async fn tell_facts(&self, pool: &mut Pool, query: &Query) -> Result<(), DbError> {
        if query.filter.kinds.len() < 2 && self.tuning.recency == 0.0 {
            return Ok(());
        }
        let sources: Vec<i64> = pool.keys().copied().collect();
        let rows = self.transaction.query_typed(sql!("candidate_facts"), &[(&sources, Type::INT8_ARRAY)]).await?;
        for row in rows {
            if let Some(candidate) = pool.get_mut(&row.get("source")) {
                candidate.kind = SourceKind::parse(row.get("source_kind"));
                candidate.age = row.get("age");
            }
        }
        Ok(())
    }

    /// The vectors of these candidates' passages, where they are compared with each other.
    async fn vectors_of(&self, ranked: &[Ranked], diversity: Diversity) -> Result<Vectors, DbError> {
        let Some(meaning) = self.meaning.filter(|_| diversity != Diversity::None) else { return Ok(Vectors::new()) };
        let passages: Vec<i64> = ranked.iter().filter_map(|ranked| ranked.candidate.passage).collect();
        let statement = on_space(sql!("passage_vectors"), meaning.space);
        let parameters: [Parameter<'_>; 1] = [(&passages, Type::INT8_ARRAY)];
        let rows = self.transaction.query_typed(&statement, &parameters).await?;
        Ok(rows.iter().map(|row| (row.get("passage"), parse(row.get("embedding")))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_pages_have_one_depth_and_those_that_follow_a_greater_one() {
        let at = |offset, limit| depth(&Query { offset, limit, ..Query::default() });
        assert_eq!([0, 10, 20, 30, 31, 150, 151].map(|offset| at(offset, 10)), [10, 10, 10, 10, 40, 40, 160]);
        assert_eq!((at(0, 3), at(0, 50), at(150, 50), at(151, 50)), (10, 50, 50, 200));
    }
}
