//! Why not this one: what kept a record out of an answer, for whoever expected it there.

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::fuse::{Candidate, Ranked};
use super::lexicon::Lexicon;
use super::page::Chosen;
use super::{Explain, Meaning, Pool, Ranking, Search};
use crate::sql::sql;
use pgrecall_postgres::db::DbError;

/// Why a record is not among the answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhyNot {
    /// The record.
    pub id: Uuid,
    /// What kept it out, or where it ranks.
    pub reason: String,
    /// How it came by its score, if it was ranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// What is known of the record before anything is ranked.
pub(super) enum Looked {
    /// It may not answer, for this reason.
    Out(String),
    /// It may; this is its row.
    In(i64),
}

impl Search<'_> {
    /// Whether a record may answer at all.
    pub(super) async fn look_at(&self, id: Uuid) -> Result<Looked, DbError> {
        let mut parameters = self.narrowing.parameters().to_vec();
        parameters.push((&id, Type::UUID));
        let rows = self.transaction.query_typed(&self.narrowing.statement(sql!("why_not")), &parameters).await?;
        Ok(match rows.first() {
            None => {
                Looked::Out("there is no such record that you may see: it was forgotten, or it is private".to_owned())
            }
            Some(row) => hindrance(row).map_or_else(|| Looked::In(row.get("source")), Looked::Out),
        })
    }

    /// Brings a record that may answer among the candidates, with both its scores.
    pub(super) async fn bring_in(
        &self,
        source: i64,
        pool: &mut Pool,
        lexicon: &mut Lexicon,
        meaning: Option<&Meaning>,
    ) -> Result<(), DbError> {
        if pool.contains_key(&source) {
            return Ok(());
        }
        pool.insert(source, Candidate::of(source));
        if lexicon.corpus().is_some() { self.complete(pool, lexicon, meaning).await } else { Ok(()) }
    }
}

fn hindrance(row: &Row) -> Option<String> {
    let is = |column: &str| row.get::<_, bool>(column);
    let kind: &str = row.get("source_kind");
    let lacks: Vec<String> = row.get("lacks");
    if !is("of_the_kinds") {
        return Some(format!("it is of the kind {kind}, which is not searched here"));
    }
    if !lacks.is_empty() {
        return Some(format!("the filter asks for what it does not have: {}", lacks.join(", ")));
    }
    if !is("named") {
        return Some("it names none of the entity_urns".to_owned());
    }
    if !is("of_the_fields") {
        return Some(
            "one of its own fields is not what the filter asks for ($owner, $status, $created_from, …)".to_owned(),
        );
    }
    if !is("believed") {
        return Some(format!("it is {}: include_stale finds it", row.get::<_, &str>("status")));
    }
    (!is("in_time")).then(|| "it is not valid at this time: as_of or include_stale finds it".to_owned())
}

impl WhyNot {
    /// A record that may not answer.
    pub(super) fn out(id: Uuid, reason: String) -> Self {
        Self { id, reason, explain: None }
    }

    /// A record that may, among everything that was ranked.
    pub(super) fn ranked(id: Uuid, source: i64, ranked: &[Ranked], ranking: Ranking, explain: Option<Explain>) -> Self {
        let reason = match ranked.iter().position(|ranked| ranked.candidate.source == source) {
            None => match ranking {
                Ranking::Lexical => "it holds none of the question's words".to_owned(),
                _ => "it has nothing in common with the question: none of its words, and no meaning".to_owned(),
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

    /// What became of it in the list up to the page's end, of which the first `before` are no longer shown.
    pub(super) fn among(self, source: i64, shown: &[Chosen], before: usize) -> Self {
        if self.explain.is_none() {
            return self;
        }
        let is_it = |chosen: &Chosen| chosen.ranked.candidate.source == source;
        let reason = if let Some(at) = shown.iter().position(is_it) {
            let page = if at < before { "on a page before this one" } else { "among the answers" };
            format!("it is {page}, with a score of {:.3}", shown[at].ranked.score)
        } else if let Some(at) = shown.iter().position(|chosen| chosen.alike.contains(&source)) {
            format!("{}; it says nearly the same as the answer in place {}, which stands for it", self.reason, at + 1)
        } else {
            let last = shown.iter().map(|chosen| chosen.ranked.score).reduce(f64::min).unwrap_or_default();
            format!("{}; the last answer shown has {last:.3}", self.reason)
        };
        Self { reason, ..self }
    }
}
