//! Why not: explains why a record that the caller expected is not among the results.

use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::answer::Context;
use super::candidates::Candidates;
use super::omitted::reaches;
use super::stages::diversify::{Chosen, List};
use super::stages::hydrate;
use super::stages::rank::Ranked;
use super::{Explain, Ranking};
use crate::sql::{parameters, sql};
use pgrecall_postgres::db::DbError;

/// Why a record is not among the results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhyNot {
    /// The record.
    pub id: Uuid,
    /// The condition that excluded it, or its rank.
    pub reason: String,
    /// Explanation of its score, if it was ranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// Whether a record may be among the results at all.
enum Eligibility {
    /// It may not, for this reason.
    Excluded(String),
    /// It may; this is the internal id of its source.
    Eligible(i64),
}

/// The inquiry into one record, which follows its query through the stages. Does nothing if the
/// query has no such inquiry.
#[derive(Default)]
pub(super) struct Inquiry {
    asked: Option<(Uuid, Eligibility)>,
    /// The result so far, if the query named a record.
    pub(super) found: Option<WhyNot>,
}

/// Begins the inquiry, if the query names a record, by checking the record against the filter.
pub(super) async fn begin(context: &Context<'_>) -> Result<Inquiry, DbError> {
    let Some(id) = context.query.why_not else { return Ok(Inquiry::default()) };
    Ok(Inquiry { asked: Some((id, check_eligibility(context, id).await?)), found: None })
}

async fn check_eligibility(context: &Context<'_>, id: Uuid) -> Result<Eligibility, DbError> {
    let parameters = context.filter.with(parameters![id]);
    let rows = context.transaction.query_typed(&context.filter.statement(sql!("why_not")), &parameters).await?;
    Ok(match rows.first() {
        None => Eligibility::Excluded(
            "there is no such record that you may see: it was forgotten, or it is private".to_owned(),
        ),
        Some(row) => hindrance(row).map_or_else(|| Eligibility::Eligible(row.get("source")), Eligibility::Excluded),
    })
}

impl Inquiry {
    /// Adds an eligible record to the candidates, with both scores, so that it gets a rank.
    pub(super) async fn include(&self, context: &Context<'_>, candidates: &mut Candidates) -> Result<(), DbError> {
        let Some((_, Eligibility::Eligible(source))) = self.asked else { return Ok(()) };
        if context.ranking != Ranking::Entity && candidates.add(source) && candidates.terms.corpus().is_some() {
            candidates.complete(context).await?;
        }
        Ok(())
    }

    /// Notes that the record scores less than the answer shows.
    pub(super) fn check_score(&mut self, min_score: Option<f64>, ranked: &[Ranked]) {
        let (Some((id, Eligibility::Eligible(source))), Some(min_score)) = (&self.asked, min_score) else { return };
        let found = ranked.iter().find(|ranked| ranked.candidate.source == *source);
        if let Some(found) = found.filter(|found| !reaches(found.score, min_score)) {
            let reason = format!("its score is {:.3}, and min_score is {min_score}", found.score);
            self.asked = Some((*id, Eligibility::Excluded(reason)));
        }
    }

    /// Finds the rank of the record among all candidates.
    pub(super) async fn find_rank(&mut self, context: &Context<'_>, ranked: &[Ranked]) -> Result<(), DbError> {
        self.found = match &self.asked {
            None => None,
            Some((id, Eligibility::Excluded(reason))) => {
                Some(WhyNot { id: *id, reason: reason.clone(), explain: None })
            }
            Some((id, Eligibility::Eligible(source))) => {
                let explain = match ranked.iter().find(|ranked| ranked.candidate.source == *source) {
                    Some(found) => Some(hydrate::explain(context, found).await?),
                    None => None,
                };
                Some(WhyNot::ranked(*id, *source, ranked, context.ranking, explain))
            }
        };
        Ok(())
    }

    /// Finds the record in the list from which the page is cut.
    pub(super) fn find_page(&mut self, context: &Context<'_>, list: &List) {
        if let Some((_, Eligibility::Eligible(source))) = self.asked {
            let before = context.query.offset.min(list.chosen.len());
            self.found = self.found.take().map(|found| found.among(source, &list.chosen, before));
        }
    }
}

fn hindrance(row: &Row) -> Option<String> {
    let is = |column: &str| row.get::<_, bool>(column);
    let kind: &str = row.get("source_kind");
    let lacks: Vec<String> = row.get("lacks");
    if !is("has_kind") {
        return Some(format!("it is of the kind {kind}, which is not searched here"));
    }
    if !lacks.is_empty() {
        return Some(format!("it lacks what the filter requires: {}", lacks.join(", ")));
    }
    if !is("names_a_urn") {
        return Some("it names none of the entity_urns".to_owned());
    }
    if !is("has_fields") {
        return Some(
            "one of its own fields is not what the filter asks for ($owner, $status, $created_from, …)".to_owned(),
        );
    }
    if !is("is_current") {
        return Some(format!("it is {}: include_stale finds it", row.get::<_, &str>("status")));
    }
    (!is("is_valid_then")).then(|| "it is not valid at this time: as_of or include_stale finds it".to_owned())
}

impl WhyNot {
    /// Explains an eligible record by its rank.
    fn ranked(id: Uuid, source: i64, ranked: &[Ranked], ranking: Ranking, explain: Option<Explain>) -> Self {
        let reason = match ranked.iter().position(|ranked| ranked.candidate.source == source) {
            None => match ranking {
                Ranking::Lexical => "it holds none of the question's words".to_owned(),
                _ => {
                    "it has nothing in common with the question: none of its words, and no vector similarity".to_owned()
                }
            },
            Some(at) => format!(
                "it is in place {} of {} that were ranked, with a score of {:.3}",
                at + 1,
                ranked.len(),
                ranked[at].score
            ),
        };
        Self { id, reason, explain }
    }

    /// Refines the reason with the record's place in the list, which goes up to the end of the
    /// page. The first `before` entries belong to earlier pages.
    fn among(self, source: i64, shown: &[Chosen], before: usize) -> Self {
        if self.explain.is_none() {
            return self;
        }
        let is_it = |chosen: &Chosen| chosen.ranked.candidate.source == source;
        let reason = if let Some(at) = shown.iter().position(is_it) {
            let page = if at < before { "on a page before this one" } else { "among the answers" };
            format!("it is {page}, with a score of {:.3}", shown[at].ranked.score)
        } else if let Some(at) = shown.iter().position(|chosen| chosen.near_duplicates.contains(&source)) {
            format!("{}; it is a near-duplicate of result {}, which is shown instead", self.reason, at + 1)
        } else {
            let last = shown.iter().map(|chosen| chosen.ranked.score).reduce(f64::min).unwrap_or_default();
            format!("{}; the last answer shown has {last:.3}", self.reason)
        };
        Self { reason, ..self }
    }
}
