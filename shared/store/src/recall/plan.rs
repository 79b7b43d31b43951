//! The plan of a recall: where its candidates come from. It is chosen before anything is scored;
//! `retrieve` switches to exact scores later if the indexes yield too few candidates.
//!
//! A small search set is scored whole: an approximate scan would lose results there, exact
//! distances are cheap, and statistics of the set itself rank better than those of the whole
//! corpus. A large search set goes through the indexes. See decision
//! [6](../../../../docs/decisions/0006-an-exact-pass-for-small-scopes.md).

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Ranking;
use super::answer::Context;
use crate::sql::{SearchSetSource, parameters, sql};
use pgrecall_postgres::db::DbError;

/// Largest search set that is scored whole.
const MAX_EXACT_SOURCES: i64 = 10_000;
/// Largest search set that is scored whole where the caller sees at least [`INDEX_FRIENDLY_SHARE`]
/// of all records: from here on the indexes are faster there.
const MAX_PREFERRED_SOURCES: i64 = 5_000;
/// Share of all records that a caller must see for a scan of the vector index to skip few rows.
const INDEX_FRIENDLY_SHARE: f64 = 0.25;
/// Approximate number of indexed words in a passage.
const PASSAGE_WORDS: i64 = 100;
/// Maximum number of passages whose exact distances are computed. That costs about as much as a
/// scan of the vector index that skips most of its rows.
const MAX_EXACT_PASSAGES: i64 = 30_000;

/// Where the candidates come from.
#[derive(Debug)]
pub(super) enum Plan {
    /// The newest sources that pass the filter, unscored: the query has entities and no text.
    Newest,
    /// Every source of the search set, scored.
    Exact(Sources),
    /// Candidates from the indexes.
    Indexed {
        /// A search set of few but long sources, which is scored whole if the indexes yield too
        /// few.
        fallback: Option<Sources>,
    },
}

/// The sources of a search set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sources {
    pub(super) ids: Vec<i64>,
    /// Number of indexed words in all of them.
    pub(super) words: i64,
}

impl Sources {
    /// Returns whether the sources have so many passages that the vector index is faster than a
    /// distance for each passage.
    pub(super) fn are_long(&self) -> bool {
        self.ids.len() as i64 + self.words / PASSAGE_WORDS > MAX_EXACT_PASSAGES
    }
}

/// Chooses the plan of a query: [`Plan::Exact`] for a small search set, and for any search set if
/// the query asks for exact scores. A small search set with too many passages for exact distances
/// goes through the indexes and becomes their fallback.
#[tracing::instrument(name = "plan", level = "debug", skip_all)]
pub(super) async fn choose(context: &Context<'_>) -> Result<Plan, DbError> {
    if context.ranking == Ranking::Entity {
        return Ok(Plan::Newest);
    }
    let source = if context.query.exact { Some(SearchSetSource::Filter) } else { small_search_set(context).await? };
    let sources = match source {
        Some(source) => sources(context, source, None).await?,
        None => None,
    };
    Ok(match sources {
        Some(sources) if context.query.exact || context.vector.is_none() || !sources.are_long() => Plan::Exact(sources),
        fallback => Plan::Indexed { fallback },
    })
}

/// Orders the labels that a record must all have, rarest first, and counts the sources of the
/// rarest up to a bound. The statement of the search set starts from the first label and looks up
/// the others.
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

/// Returns where to read the sources of a small search set from. `None`: the search set is not
/// small, as far as that is known without evaluating the filter on each record. Counts the records
/// with the rarest label, those that pass a filter on columns or alternative labels, or those that
/// the caller sees.
#[tracing::instrument(level = "debug", skip_all)]
async fn small_search_set(context: &Context<'_>) -> Result<Option<SearchSetSource>, DbError> {
    let filter = &context.filter;
    if context.rarest_label.is_some_and(|sources| sources <= MAX_EXACT_SOURCES) {
        return Ok(Some(SearchSetSource::Filter));
    }
    let bound = MAX_EXACT_SOURCES + 1;
    if filter.has_fields() || filter.has_alternatives() {
        let parameters = filter.with(parameters![bound]);
        let rows = context.transaction.query_typed(&filter.statement(sql!("search_set_size")), &parameters).await?;
        return Ok((rows[0].get::<_, i64>("sources") <= MAX_EXACT_SOURCES).then_some(SearchSetSource::Filter));
    }
    // Even a frequent label can leave a small search set if this caller sees few records, so those
    // are counted next. But with a label their share of all records does not say how many rows a
    // scan of the vector index skips.
    let by_share = context.vector.is_some() && context.rarest_label.is_none();
    let caller = hash(&("caller", context.scope, context.query.filter.kinds.as_slice(), by_share));
    if context.db.is_large(caller) {
        return Ok(None);
    }
    let parameters = parameters![filter.kinds, filter.caller, filter.caller_persona, bound];
    let rows = context.transaction.query_typed(sql!("readable_size"), parameters).await?;
    let (sources, in_all): (i64, f64) = (rows[0].get("sources"), rows[0].get("in_all"));
    let is_index_friendly =
        by_share && sources > MAX_PREFERRED_SOURCES && sources as f64 >= INDEX_FRIENDLY_SHARE * in_all;
    if sources > MAX_EXACT_SOURCES || is_index_friendly {
        context.db.note_large(caller);
        return Ok(None);
    }
    Ok(Some(SearchSetSource::Caller))
}

/// Reads every source that passes the filter. `None`: there are more than `limit`.
#[tracing::instrument(level = "debug", skip_all)]
pub(super) async fn sources(
    context: &Context<'_>,
    source: SearchSetSource,
    limit: Option<i64>,
) -> Result<Option<Sources>, DbError> {
    let statement = context.filter.statement_from(source, sql!("search_set"));
    let bound = limit.map(|limit| limit + 1);
    let rows = context.transaction.query_typed(&statement, &context.filter.with(parameters![bound])).await?;
    if limit.is_some_and(|limit| rows.len() as i64 > limit) {
        return Ok(None);
    }
    let words = rows.iter().map(|row| i64::from(row.get::<_, i32>("words"))).sum();
    Ok(Some(Sources { ids: rows.iter().map(|row| row.get("source")).collect(), words }))
}

/// Reads every source that passes the filter, by evaluating it on each record. `None`: there are
/// more than [`MAX_EXACT_SOURCES`], which is then cached for half a minute.
pub(super) async fn few_sources(context: &Context<'_>) -> Result<Option<Sources>, DbError> {
    let filter = hash(&("filter", context.scope, &context.filter));
    if context.db.is_large(filter) {
        return Ok(None);
    }
    let few = sources(context, SearchSetSource::Filter, Some(MAX_EXACT_SOURCES)).await?;
    if few.is_none() {
        context.db.note_large(filter);
    }
    Ok(few)
}

/// Returns the key under which a large search set or filter is cached.
fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
