//! The plan of a recall: where its candidates come from. Decided here, once, before anything is scored.
//!
//! A small scope is scored whole: exact distances cost less than what an approximate scan would miss, and statistics of the scope itself
//! rank better than those of the whole corpus. A large one goes through the indexes
//! ([6](../../../../docs/decisions/0006-an-exact-pass-for-small-scopes.md)).

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Ranking;
use super::answer::Context;
use crate::sql::{ScopeSource, parameters, sql};
use pgrecall_postgres::db::DbError;

/// The largest scope that is scored whole.
const MAX_EXACT_SOURCES: i64 = 10_000;
/// The largest scope that is scored whole where the indexes would miss nothing: above it they are quicker.
const MAX_PREFERRED_SOURCES: i64 = 5_000;
/// Where a caller sees this share of everything, a scan of the vector index skips little.
const INDEX_FRIENDLY_SHARE: f64 = 0.25;
/// About how many indexed words a passage holds.
const PASSAGE_WORDS: i64 = 100;
/// Exact distances that cost about as much as a scan of the index that skips most of what it finds.
const MAX_EXACT_PASSAGES: i64 = 30_000;

/// Where the candidates come from.
#[derive(Debug)]
pub(super) enum Plan {
    /// The newest sources that the filter lets through, unscored: the query has entities and no text.
    Newest,
    /// Every source of the scope is scored.
    Exact(Sources),
    /// The indexes propose candidates.
    Indexed {
        /// A scope of few but long sources, which is scored whole if the indexes fall short of it.
        fallback: Option<Sources>,
    },
}

/// The sources of a scope.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sources {
    pub(super) ids: Vec<i64>,
    /// In all of them.
    pub(super) words: i64,
}

impl Sources {
    /// Whether so many passages stand in them that the index is quicker than a distance for each.
    pub(super) fn are_long(&self) -> bool {
        self.ids.len() as i64 + self.words / PASSAGE_WORDS > MAX_EXACT_PASSAGES
    }
}

/// Chooses the plan of a query.
#[tracing::instrument(name = "plan", level = "debug", skip_all)]
pub(super) async fn choose(context: &Context<'_>) -> Result<Plan, DbError> {
    if context.ranking == Ranking::Entity {
        return Ok(Plan::Newest);
    }
    let source = if context.query.exact { Some(ScopeSource::Labels) } else { small_scope(context).await? };
    let sources = match source {
        Some(source) => sources(context, source, None).await?,
        None => None,
    };
    Ok(match sources {
        Some(sources) if context.query.exact || context.vector.is_none() || !sources.are_long() => Plan::Exact(sources),
        fallback => Plan::Indexed { fallback },
    })
}

/// Puts the rarest of the labels that must all be there first, where a scope begins, and counts its sources up to a bound.
#[tracing::instrument(level = "debug", skip_all)]
pub(super) async fn order_labels_by_selectivity(context: &mut Context<'_>) -> Result<(), DbError> {
    if context.filter.all_labels.is_empty() {
        return Ok(());
    }
    let bound = MAX_EXACT_SOURCES + 1;
    let parameters = parameters![context.filter.kinds, context.filter.all_labels, bound];
    let rows = context.transaction.query_typed(sql!("label_sizes"), parameters).await?;
    context.rarest_label = rows.first().map(|row| row.get("sources"));
    context.filter.all_labels = rows.iter().map(|row| row.get("label")).collect();
    Ok(())
}

/// What a small scope is best read from. `None`: it is not small, as far as is known without evaluating the filter on each record.
#[tracing::instrument(level = "debug", skip_all)]
async fn small_scope(context: &Context<'_>) -> Result<Option<ScopeSource>, DbError> {
    let filter = &context.filter;
    if context.rarest_label.is_some_and(|sources| sources <= MAX_EXACT_SOURCES) {
        return Ok(Some(ScopeSource::Labels));
    }
    let bound = MAX_EXACT_SOURCES + 1;
    if filter.has_fields() || filter.has_alternatives() {
        let parameters = filter.with(parameters![bound]);
        let rows = context.transaction.query_typed(&filter.statement(sql!("scope_size")), &parameters).await?;
        return Ok((rows[0].get::<_, i64>("sources") <= MAX_EXACT_SOURCES).then_some(ScopeSource::Labels));
    }
    // A label that many records have may still leave little of what this caller sees; and that is never most of everything.
    let by_share = context.vector.is_some() && context.rarest_label.is_none();
    let caller = hash(&("caller", context.scope, context.query.filter.kinds.as_slice(), by_share));
    if context.db.is_large(caller) {
        return Ok(None);
    }
    let parameters = parameters![filter.kinds, filter.caller, filter.caller_persona, bound];
    let rows = context.transaction.query_typed(sql!("scope_size_by_caller"), parameters).await?;
    let (sources, in_all): (i64, f64) = (rows[0].get("sources"), rows[0].get("in_all"));
    let is_index_friendly =
        by_share && sources > MAX_PREFERRED_SOURCES && sources as f64 >= INDEX_FRIENDLY_SHARE * in_all;
    if sources > MAX_EXACT_SOURCES || is_index_friendly {
        context.db.note_large(caller);
        return Ok(None);
    }
    Ok(Some(ScopeSource::Caller))
}

/// Every source that the filter lets through. `None`: there are more than `limit`.
#[tracing::instrument(level = "debug", skip_all)]
pub(super) async fn sources(
    context: &Context<'_>,
    source: ScopeSource,
    limit: Option<i64>,
) -> Result<Option<Sources>, DbError> {
    let statement = context.filter.statement_from(source, sql!("scope_sources"));
    let bound = limit.map(|limit| limit + 1);
    let rows = context.transaction.query_typed(&statement, &context.filter.with(parameters![bound])).await?;
    if limit.is_some_and(|limit| rows.len() as i64 > limit) {
        return Ok(None);
    }
    let words = rows.iter().map(|row| i64::from(row.get::<_, i32>("words"))).sum();
    Ok(Some(Sources { ids: rows.iter().map(|row| row.get("source")).collect(), words }))
}

/// Every source that the filter lets through, counted by evaluating it on each record. `None`: there are more than an exact plan takes.
pub(super) async fn few_sources(context: &Context<'_>) -> Result<Option<Sources>, DbError> {
    let filter = hash(&("filter", context.scope, &context.filter));
    if context.db.is_large(filter) {
        return Ok(None);
    }
    let few = sources(context, ScopeSource::Labels, Some(MAX_EXACT_SOURCES)).await?;
    if few.is_none() {
        context.db.note_large(filter);
    }
    Ok(few)
}

/// What a scope or a filter is remembered by.
fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
