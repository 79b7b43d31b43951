//! Retrieve: generates the candidates according to the plan, and reads both scores of each.

use crate::recall::answer::Context;
use crate::recall::candidates::{CANDIDATES_PER_RESULT, Candidates};
use crate::recall::plan::{self, Plan, Sources};
use crate::recall::term_scores::{Posting, TermScores};
use crate::recall::{QueryVector, Strategy};
use crate::sql::{SearchSetSource, on_space, parameters, sql};
use pgrecall_postgres::db::{DbError, parameters::typed};

/// The vector index is not asked for more passages once it was asked for this many. The first scan
/// asks for six for each result; more are needed if the nearest passages belong to a few long
/// documents.
const MAX_PASSAGES: usize = 3_200;

/// Whether the indexes yielded enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// They yielded candidates for the whole list, or [`MAX_PASSAGES`] passages.
    Enough,
    /// The scan of the vector index ended early, either after too many rows that did not pass the
    /// filter or after the last one that did. Without a query vector: the rarest terms yielded too
    /// few.
    End,
}

/// Runs the plan.
#[tracing::instrument(name = "retrieve", level = "debug", skip_all)]
pub(in crate::recall) async fn run(context: &Context<'_>, plan: Plan) -> Result<Candidates, DbError> {
    let mut known = usize::MAX;
    let mut candidates = match plan {
        Plan::Newest => return newest(context).await,
        Plan::Exact(sources) => exact(context, &sources).await?,
        Plan::Indexed { fallback } => {
            known = fallback.as_ref().map_or(usize::MAX, |sources| sources.ids.len());
            indexed(context, fallback).await?
        }
    };
    let uses_indexes = candidates.terms.corpus().is_some();
    if context.query.strategy == Strategy::Entity && context.vector.is_none() && uses_indexes {
        for source in newest(context).await?.pool.into_keys() {
            candidates.add(source);
        }
    }
    // Without a query vector every match was found once all terms generate candidates. With one,
    // the nearest passages never prove to be the whole of a large search set; only of a fallback
    // search set the size is known.
    candidates.is_exhaustive = match candidates.terms.corpus() {
        Some(statistics) if context.vector.is_none() => statistics.is_exhaustive(),
        Some(_) => candidates.pool.len() >= known,
        None => true,
    };
    Ok(candidates)
}

/// Reads the newest sources that pass the filter, unscored.
#[tracing::instrument(level = "debug", skip_all)]
async fn newest(context: &Context<'_>) -> Result<Candidates, DbError> {
    let limit = (context.window.limit + 1) as i64;
    let statement = context.filter.statement(sql!("entity_sources"));
    let rows = context.transaction.query_typed(&statement, &context.filter.with(parameters![limit])).await?;
    Ok(Candidates { is_exhaustive: true, ..Candidates::of(rows.iter().map(|row| row.get("source"))) })
}

/// Scores every source of a search set, with the statistics of this search set: a term that is rare
/// within one conversation tells more about it than a term that is rare in the whole corpus. Worth
/// 0.012 recall@10 on LoCoMo (decision 6).
#[tracing::instrument(level = "debug", skip_all)]
async fn exact(context: &Context<'_>, sources: &Sources) -> Result<Candidates, DbError> {
    let mut candidates = Candidates::of(sources.ids.iter().copied());
    candidates.terms = search_set_terms(context, sources).await?;
    candidates.terms.score(&mut candidates.pool);
    candidates.vector = context.vector.cloned();
    candidates.measure(context).await?;
    Ok(candidates)
}

/// Reads the postings of the query's terms within a search set.
async fn search_set_terms(context: &Context<'_>, sources: &Sources) -> Result<TermScores, DbError> {
    if context.terms.terms.is_empty() || sources.ids.is_empty() {
        return Ok(TermScores::default());
    }
    let plan = context.term_costs().await?.plan_lookups(sources.ids.len());
    let parameters = parameters![context.filter.kinds, plan.scan.terms, plan.probe.terms, sources.ids];
    let mut terms: Vec<(String, f64, Vec<Posting>)> =
        plan.terms().map(|term| (term.clone(), context.terms.weight(term), Vec::new())).collect();
    for row in context.transaction.query_typed(sql!("search_set_postings"), parameters).await? {
        let place = row.get::<_, i64>("place") as usize - 1;
        let (source, frequency, length) = (row.get("source"), row.get("frequency"), row.get("length"));
        terms[place].2.push(Posting { source, frequency, length });
    }
    terms.retain(|(_, _, postings)| !postings.is_empty());
    // In a fixed order, whatever the terms cost to read, because sums of floating-point numbers
    // depend on it.
    terms.sort_by(|a, b| a.0.cmp(&b.0));
    let mean_words = (sources.words as f64 / sources.ids.len() as f64).max(1.0);
    Ok(TermScores::of_search_set(sources.ids.len(), mean_words, terms))
}

/// Generates candidates from the indexes, and scores the whole search set instead if they yield
/// too few.
#[tracing::instrument(level = "debug", skip_all)]
async fn indexed(context: &Context<'_>, fallback: Option<Sources>) -> Result<Candidates, DbError> {
    let (mut candidates, reached) = propose(context).await?;
    if let Some(sources) = second_plan(context, fallback, reached, candidates.pool.len()).await? {
        return exact(context, &sources).await;
    }
    if context.vector.is_none() {
        widen(context, &mut candidates).await?;
    }
    Ok(candidates)
}

/// Returns the sources to score whole after the indexes yielded `found` candidates, or `None` if
/// those are enough.
async fn second_plan(
    context: &Context<'_>,
    fallback: Option<Sources>,
    reached: Reached,
    found: usize,
) -> Result<Option<Sources>, DbError> {
    let reach = context.window.reach;
    // In a large search set, candidates for the page are enough: a later page may end early, which
    // is cheaper than scoring every source.
    let wanted = fallback.as_ref().map_or(context.query.limit, |sources| reach.min(sources.ids.len()));
    if context.vector.is_some() && found < wanted {
        // A filter must not shorten the page, whatever the size of the search set.
        return match fallback {
            Some(sources) => Ok(Some(sources)),
            None => plan::sources(context, SearchSetSource::Filter, None).await,
        };
    }
    if reached == Reached::Enough || fallback.is_some() {
        return Ok(None);
    }
    // The scan of the vector index ended early although the page is full, so candidates may be
    // missing. A search set that turns out to be small is scored whole, unless its passages are
    // many and the candidates cover the list.
    let few = plan::few_sources(context).await?;
    Ok(few.filter(|few| context.vector.is_none() || !few.are_long() || found < reach.min(few.ids.len())))
}

/// Generates candidates from both indexes, with both scores, and returns whether they yielded
/// enough.
async fn propose(context: &Context<'_>) -> Result<(Candidates, Reached), DbError> {
    let mut candidates = Candidates { vector: context.vector.cloned(), ..Candidates::default() };
    candidates.terms = TermScores::of_corpus(context.corpus_statistics().await?);
    let mut reached = Reached::Enough;
    if let Some(query) = context.vector {
        reached = nearest_passages(context, query, &mut candidates).await?;
    }
    // The vector search comes first: word_scores.sql then scores its candidates and generates those
    // of BM25 in one statement.
    candidates.score_terms(context, true).await?;
    candidates.measure(context).await?;
    if context.vector.is_none() && has_too_few(context, &candidates) {
        reached = Reached::End;
    }
    Ok((candidates, reached))
}

/// Adds the sources of the passages nearest to the query vector.
#[tracing::instrument(level = "debug", skip_all)]
async fn nearest_passages(
    context: &Context<'_>,
    query: &QueryVector,
    candidates: &mut Candidates,
) -> Result<Reached, DbError> {
    let statement = on_space(&context.filter.statement(sql!("vector_candidates")), query.space);
    let mut passages = CANDIDATES_PER_RESULT * context.window.depth;
    loop {
        let limit = passages as i64;
        let own = [(&query.vector as _, context.db.halfvec()), typed(&limit)];
        let rows = context.transaction.query_typed(&statement, &context.filter.with(&own)).await?;
        for row in &rows {
            candidates.add(row.get("source"));
        }
        if rows.len() < passages {
            return Ok(Reached::End);
        }
        if candidates.pool.len() >= context.window.reach || passages >= MAX_PASSAGES {
            return Ok(Reached::Enough);
        }
        passages *= 4;
    }
}

/// Lets more frequent terms generate candidates, if there is no query vector and the rarest terms
/// yield too few visible, valid records.
async fn widen(context: &Context<'_>, candidates: &mut Candidates) -> Result<(), DbError> {
    while has_too_few(context, candidates) && candidates.terms.widen() {
        candidates.pool.clear();
        candidates.score_terms(context, true).await?;
    }
    Ok(())
}

/// Returns whether there are too few candidates for the pages and some terms generate none yet.
fn has_too_few(context: &Context<'_>, candidates: &Candidates) -> bool {
    candidates.pool.len() <= context.window.reach
        && candidates.terms.corpus().is_some_and(|statistics| !statistics.is_exhaustive())
}
