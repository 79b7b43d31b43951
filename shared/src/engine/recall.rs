//! Recall for a caller: embeds the query, reranks where configured, and notes what was missing.

use std::sync::Arc;

use tracing::{Instrument, debug_span};
use uuid::Uuid;

use super::{Engine, EngineError};
use pgrecall_config::{Fusion, Memory, Rerank};
use pgrecall_embedder::rerank::{TeiReranker, score};
use pgrecall_embedder::{Access, ClientOptions, EmbedClient, EmbedError, Purpose};
use pgrecall_postgres::db::Scope;
use pgrecall_store::coverage::Coverage;
use pgrecall_store::metrics::{self, metrics};
use pgrecall_store::recall::{self, Answer, Hit, Query, Ranking, Strategy, Tuning};
use pgrecall_store::status;

/// The cross-encoder that ranks the best results again.
pub(super) struct Reranker {
    client: EmbedClient,
    candidates: usize,
}

impl Reranker {
    /// Returns the query with which to ask the store. It reaches further than the page: a reranker
    /// exists to raise results that rank too low.
    fn widened(&self, query: &Query) -> Query {
        let mut limit = self.candidates;
        // The limit grows by doubling, so that successive pages are cut from the same list.
        while limit < query.offset + query.limit {
            limit *= 2;
        }
        // Its scores replace those of the ranking, with which the least score must not be compared.
        Query { limit, offset: 0, min_score: None, ..query.clone() }
    }

    /// Reranks the answer to a [`widened`](Self::widened) query, and cuts the page from it. An error
    /// leaves the order as it was.
    async fn rerank_page(&self, query: &Query, answer: &mut Answer) -> Result<(), EmbedError> {
        let reranked = self.rerank(&query.text, &mut answer.hits).await;
        if let Some(why_not) = answer.why_not.as_mut().filter(|asked| asked.explain.is_some()) {
            let represents_it = |hit: &Hit| hit.id == why_not.id || hit.near_duplicates.contains(&why_not.id);
            let place = answer.hits.iter().position(represents_it);
            if let Some(place) = place {
                why_not.reason = place_of(why_not.id, place, &answer.hits, query.offset, query.limit);
            }
            if reranked.is_ok() {
                let is_reranked = place.is_some_and(|place| place < self.candidates);
                let said = if is_reranked { ", where the reranker put it" } else { "; the reranker did not see it" };
                why_not.reason.push_str(said);
            }
        }
        if let Some(min_score) = query.min_score {
            answer.leave_out_below(min_score);
        }
        answer.hits.drain(..query.offset.min(answer.hits.len()));
        if answer.hits.len() > query.limit {
            answer.hits.truncate(query.limit);
            (answer.more, answer.end) = (true, None);
        }
        reranked
    }

    pub(super) fn new(config: &Rerank, slots: usize) -> Result<Self, EmbedError> {
        let access = Access { api_key: config.api_key.clone(), headers: config.headers.clone() };
        let embedder = Arc::new(TeiReranker::new(&config.url, access)?);
        let options = ClientOptions { name: "rerank", slots, ..ClientOptions::query(config.timeout) };
        Ok(Self { client: EmbedClient::new(embedder, options), candidates: config.candidates })
    }

    /// Sorts the best results by the reranker's scores. The results that it did not see follow.
    async fn rerank(&self, question: &str, hits: &mut Vec<Hit>) -> Result<(), EmbedError> {
        if hits.is_empty() {
            return Ok(());
        }
        let shown = self.candidates.min(hits.len());
        let mut texts = vec![question.to_owned()];
        texts.extend(hits[..shown].iter().map(|hit| match (hit.fields.title.as_str(), hit.heading.as_str()) {
            ("", "") => hit.text.clone(),
            (title, heading) => format!("{title} {heading}\n{}", hit.text),
        }));
        let scores = self.client.embed(Purpose::Query, texts).await?;
        let rest = hits.split_off(shown);
        for (hit, vector) in hits.iter_mut().zip(&scores[1..]) {
            hit.score = score(vector);
            if let Some(explain) = &mut hit.explain {
                explain.reranked = Some(hit.score);
            }
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        let last = hits.last().map_or(1.0, |hit| hit.score);
        // Scores are comparable within an answer, so a result below must not have a higher score.
        hits.extend(rest.into_iter().map(|hit| Hit { score: hit.score.min(last), ..hit }));
        Ok(())
    }
}

impl Engine {
    /// Answers a query. Without a query vector in time, it falls back to BM25 and marks the answer
    /// `degraded`.
    pub async fn recall(&self, scope: &Scope, query: Query) -> Result<Answer, EngineError> {
        query.check()?;
        let db = self.db();
        let is_disabled = self.inner.embedders.is_disabled();
        let embed = async {
            if !query.needs_vector() {
                return Ok((None, None));
            }
            let embed = self.inner.embedders.query_vector(db, Purpose::Query, &query.text);
            let embed = embed.instrument(debug_span!("embed_query"));
            Ok::<_, EngineError>(match metrics::timed(&metrics().query_embed_seconds, embed).await? {
                Ok(vector) => (Some(vector), None),
                Err(reason) => (None, Some(reason)),
            })
        };
        // The count runs while the query is embedded, which needs no connection.
        let is_concerned = query.needs_vector() && !is_disabled;
        let count = async { if is_concerned { self.coverage(scope, &query.filter).await } else { None } };
        let (embedded, mut coverage) = tokio::join!(embed, count);
        let (vector, missing) = embedded?;
        let reranker = self.inner.reranker.as_ref().filter(|_| !query.text.trim().is_empty());
        let tuning = tuning(&self.config().memory);
        let asked = reranker.map_or_else(|| query.clone(), |reranker| reranker.widened(&query));
        let mut answer = recall::recall(db, scope, &asked, vector.as_ref(), &tuning).await?;
        // Without an embedder, keyword search is what was configured, unless the query asks for more.
        let is_fallback = !is_disabled || query.strategy == Strategy::Semantic;
        answer.degraded = missing.is_some() && is_fallback;
        metrics().recall(answer.ranking.as_str(), answer.degraded);
        if answer.hits.is_empty() && query.offset == 0 && !status::has_sources(db, scope).await? {
            answer.degraded = false;
            (answer.note, answer.end) = (Some("nothing is stored yet".to_owned()), None);
            return Ok(answer);
        }
        // Another process may have written since the last count, and an answer without results must
        // not hide that.
        if answer.hits.is_empty() && coverage.is_none() && is_concerned {
            coverage = self.coverage_now(scope, &query.filter).await;
        }
        if let Some(reranker) = reranker.filter(|_| answer.ranking != Ranking::Entity)
            && let Err(error) = reranker.rerank_page(&query, &mut answer).await
        {
            let reason = self.error_for_caller(scope, &error.to_string());
            add_note(&mut answer, format!("not reranked: {}", reason.trim_end_matches('.')));
        }
        if answer.ranking == Ranking::Lexical && query.min_score.is_some() && self.inner.reranker.is_none() {
            add_note(
                &mut answer,
                "min_score compares with the best keyword match, which has 1, right or wrong".to_owned(),
            );
        }
        if let Some(coverage) = &coverage {
            add_note(&mut answer, coverage_note(coverage, missing.is_some()));
        }
        if let Some(reason) = missing {
            let note = match is_disabled {
                true => format!("ranked by keywords only, {reason}"),
                false => format!("ranked by keywords only: {}", self.error_for_caller(scope, &reason)),
            };
            add_note(&mut answer, note);
        }
        answer.coverage = coverage;
        Ok(answer)
    }

    /// Returns the part of an embedder's error that a caller may see.
    ///
    /// The local caller is the operator and needs the address; other callers must not learn
    /// addresses.
    pub(super) fn error_for_caller(&self, scope: &Scope, reason: &str) -> String {
        if *scope == self.scope() { reason.to_owned() } else { without_addresses(reason) }
    }
}

fn without_addresses(reason: &str) -> String {
    let is_end = |letter: char| matches!(letter, ':' | ',' | ';' | ')' | '.');
    let words = reason.split(' ').map(|word| match word.find("://") {
        Some(_) => format!("its address{}", &word[word.trim_end_matches(is_end).len()..]),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Describes the place of a record, or of the near-duplicate that represents it, in the whole list
/// and relative to the page.
fn place_of(id: Uuid, place: usize, all: &[Hit], offset: usize, limit: usize) -> String {
    let it = match &all[place] {
        hit if hit.id == id => "it".to_owned(),
        hit => format!("{}, a near-duplicate of it,", hit.id),
    };
    let page = if place < offset {
        "on a page before this one"
    } else if place < offset + limit {
        "among the answers"
    } else {
        "after the answers that are shown"
    };
    format!("{it} is {page}, in place {} of {}", place + 1, all.len())
}

/// Says what the answer could not see. In an answer by keywords alone, `is_fallback`, the reason of the
/// fallback says the rest.
fn coverage_note(coverage: &Coverage, is_fallback: bool) -> String {
    if is_fallback { coverage.counts() } else { coverage.sentence() }
}

/// Puts a note before the answer's other notes.
fn add_note(answer: &mut Answer, note: String) {
    answer.note = Some(match answer.note.take() {
        Some(more) => format!("{note}; {more}"),
        None => note,
    });
}

/// Converts the configured ranking to that of the store.
fn tuning(config: &Memory) -> Tuning {
    let recall = &config.recall;
    Tuning {
        fuses_ranks: recall.fusion == Fusion::Rrf,
        bm25_weight: 1.0 - f64::from(recall.vector_weight) / 100.0,
        recency: f64::from(recall.recency) / 100.0,
        half_life: recall.half_life,
        near_duplicate_cosine: config.remember.similarity as f32 / 100.0,
        skipped: &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_without_addresses_is_still_a_sentence() {
        for (reason, told) in [
            (
                "Nothing answers at http://10.0.0.7:11434/api: start it there",
                "Nothing answers at its address: start it there",
            ),
            ("(https://x.example/v1) failed.", "its address) failed."),
            ("nothing is embedded yet", "nothing is embedded yet"),
        ] {
            assert_eq!(without_addresses(reason), told);
        }
    }
}
