//! Review: lists the records that someone should look at, independent of any query.

use std::time::Duration;

use uuid::Uuid;

use crate::recall::{Filter, FilterParams, Hit, QueryVector, hit};
use crate::spaces;
use crate::sql::{on_space, parameters, showing, sql};
use pgrecall_postgres::db::{
    Db, DbError, Scope, Transaction,
    parameters::{Parameters, typed},
};
use pgrecall_record::source::SourceKind;

/// Number of memories whose neighbors one review for duplicates looks up.
const MAX_REVIEWED: i64 = 200;
/// Number of memories up to which an owner's memories are compared exactly: that takes as many
/// distances for each memory that is looked at.
const MAX_EXACT_MEMORIES: i64 = 2_000;

/// A page of records.
#[derive(Debug, Clone)]
pub struct Page {
    /// Whole records.
    pub hits: Vec<Hit>,
    /// Cursor of the next page; `None` on the last page.
    pub next: Option<i64>,
}

/// Two near-duplicate memories.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The later one.
    pub newer: Uuid,
    /// The earlier one.
    pub older: Uuid,
    /// Their cosine.
    pub similarity: f64,
}

pgrecall_postgres::from_row! { Pair: newer, older, similarity }

/// A memory of the caller that is similar to a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Similar {
    /// Id of the memory.
    pub id: Uuid,
    /// Text of the memory.
    pub text: String,
    /// Cosine to the text.
    pub similarity: f64,
    /// Whether others can see the memory too.
    pub shared: bool,
}

pgrecall_postgres::from_row! { Similar: id, text, similarity, shared }

/// Lists a page of the records that pass a filter, newest first, with the first `characters` of
/// their texts.
pub async fn list(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    after: Option<i64>,
    limit: usize,
    characters: i32,
) -> Result<Page, DbError> {
    let more = limit as i64 + 1;
    let (hits, rows) = hits(db, scope, filter, sql!("list_sources"), parameters![after, more, characters]).await?;
    let mut page = Page { hits, next: None };
    if page.hits.len() > limit {
        page.hits.truncate(limit);
        page.next = rows.get(limit - 1).copied();
    }
    Ok(page)
}

/// Lists the caller's memories that are stale, no longer valid, or not verified for `unseen_for`.
pub async fn stale(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    unseen_for: Duration,
    limit: usize,
) -> Result<Vec<Hit>, DbError> {
    let filter = Filter { include_stale: true, ..filter.clone() };
    Ok(hits(db, scope, &filter, sql!("review_stale"), parameters![unseen_for.as_secs_f64(), limit as i64]).await?.0)
}

async fn hits(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    statement: &str,
    own: Parameters<'_>,
) -> Result<(Vec<Hit>, Vec<i64>), DbError> {
    let filter = FilterParams::of(scope, filter);
    let rows = db.query(scope, &filter.statement(&showing(statement)), &filter.with(own)).await?;
    Ok((rows.iter().map(hit).collect(), rows.iter().map(|row| row.get("id")).collect()))
}

/// Finds pairs of near-duplicates among the caller's memories, most similar first, and the cursor
/// of the next page. There can be more than `limit` pairs, because all pairs of the last memory are
/// on one page. `None`: nothing is embedded yet.
pub async fn duplicates(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    similarity: f64,
    after: Option<i64>,
    limit: usize,
) -> Result<Option<(Vec<Pair>, Option<i64>)>, DbError> {
    let filter = FilterParams::of(scope, filter);
    let own = parameters![after, MAX_REVIEWED, similarity, MAX_EXACT_MEMORIES];
    let review = async |transaction: Transaction| {
        let space = spaces::serving(&transaction).await?.filter(|space| space.dimension.is_some());
        let Some(space) = space else { return Ok(None) };
        let statement = on_space(&filter.statement(sql!("review_duplicates")), space.id);
        let rows = transaction.query_typed(&statement, &filter.with(own)).await?;
        let last = transaction.query_typed(&filter.statement(sql!("review_ends")), &filter.with(&own[..2])).await?;
        Ok(Some((rows, last)))
    };
    let Some((rows, last)) = db.run(scope, review).await? else { return Ok(None) };
    let place = |row: &tokio_postgres::Row| -> i64 { row.get("place") };
    let whole = |at: &usize| *at >= limit && place(&rows[*at]) != place(&rows[*at - 1]);
    let (shown, next) = match (1..rows.len()).find(whole) {
        Some(cut) => (cut, Some(place(&rows[cut - 1]))),
        None => (rows.len(), last[0].get("last")),
    };
    let mut pairs: Vec<Pair> = rows[..shown].iter().map(Pair::from).collect();
    pairs.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    Ok(Some((pairs, next)))
}

/// Reads a record with its predecessors and successors, oldest first.
pub async fn history(db: &Db, scope: &Scope, id: Uuid) -> Result<Vec<Hit>, DbError> {
    let rows = db.query(scope, &showing(sql!("history")), parameters![id]).await?;
    let mut hits: Vec<Hit> = rows.iter().map(hit).collect();
    hits.sort_by_key(|hit| (hit.fields.valid_from.unwrap_or(hit.created_at), hit.created_at));
    Ok(hits)
}

/// Finds the caller's memories with a cosine of at least `from` to a vector.
pub async fn similar(db: &Db, scope: &Scope, near: &QueryVector, from: f64) -> Result<Vec<Similar>, DbError> {
    let filter = FilterParams::of(scope, &Filter::of(SourceKind::Memory));
    let own = [(&near.vector as _, db.halfvec()), typed(&from)];
    let statement = on_space(&filter.statement(sql!("nearest_own")), near.space);
    let rows = db.query(scope, &statement, &filter.with(&own)).await?;
    let mut found: Vec<Similar> = rows.iter().map(Similar::from).collect();
    // A memory with several passages can occur several times.
    found.dedup_by_key(|similar| similar.id);
    Ok(found)
}

/// A field that labels records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labelled {
    /// Tags.
    Tag,
    /// Collections.
    Collection,
}

/// Suggests values that begin with `begin`, among the newest records that the caller can see, most
/// frequent first.
pub async fn suggest(db: &Db, scope: &Scope, labelled: Labelled, begin: &str) -> Result<Vec<String>, DbError> {
    let rows = db.query(scope, sql!("suggest"), parameters![labelled == Labelled::Tag, begin]).await?;
    Ok(rows.iter().map(|row| row.get("value")).collect())
}

/// A tag or a collection, and the number of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCount {
    /// The tag or the collection.
    pub value: String,
    /// Number of active records that the caller can see.
    pub records: i64,
}

pgrecall_postgres::from_row! { LabelCount: value, records }

/// Counts the records of each tag or collection that begins with `begin`, the most frequent first.
/// It reads every record that the caller can see.
pub async fn count_labels(
    db: &Db,
    scope: &Scope,
    labelled: Labelled,
    begin: &str,
    limit: i64,
) -> Result<Vec<LabelCount>, DbError> {
    let rows = db.query(scope, sql!("count_labels"), parameters![labelled == Labelled::Tag, begin, limit]).await?;
    Ok(rows.iter().map(LabelCount::from).collect())
}
