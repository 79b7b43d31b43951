//! Review: what there is to look at again, whatever no question leads to.

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

/// Memories whose neighbours one review of duplicates looks at.
const LOOKED_AT: i64 = 200;
/// An owner's memories that are all measured for that: so many distances for each that is looked at.
const FEW: i64 = 2_000;

/// Some records, and where the next begin.
#[derive(Debug, Clone)]
pub struct Page {
    /// Whole records.
    pub hits: Vec<Hit>,
    /// What to go on after; `None`: these were the last.
    pub next: Option<i64>,
}

/// Two memories that say nearly the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The one that was written later.
    pub newer: Uuid,
    /// The one that was written earlier.
    pub older: Uuid,
    /// Their cosine.
    pub similarity: f64,
}

pgrecall_postgres::from_row!(Pair { newer, older, similarity });

/// A memory of the caller's that says nearly what a text says.
#[derive(Debug, Clone, PartialEq)]
pub struct Similar {
    /// Its id.
    pub id: Uuid,
    /// What it says.
    pub text: String,
    /// The cosine.
    pub similarity: f64,
    /// Whether others see it, too.
    pub shared: bool,
}

pgrecall_postgres::from_row!(Similar { id, text, similarity, shared });

/// A page of the records that pass a filter, the newest first, with the first `characters` of their texts.
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

/// The caller's memories that were doubted, are past their time, or were not looked at for so long.
pub async fn stale(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    unseen_for: Duration,
    limit: usize,
) -> Result<Vec<Hit>, DbError> {
    let (seconds, limit) = (unseen_for.as_secs_f64(), limit as i64);
    let filter = Filter { include_stale: true, ..filter.clone() };
    Ok(hits(db, scope, &filter, sql!("review_stale"), parameters![seconds, limit]).await?.0)
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

/// Pairs of the caller's memories that say nearly the same, the most alike first, and where the next look begins. There are some more than
/// `limit` where the last memory has several like it. `None`: nothing is embedded yet.
pub async fn duplicates(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    similarity: f64,
    after: Option<i64>,
    limit: usize,
) -> Result<Option<(Vec<Pair>, Option<i64>)>, DbError> {
    let filter = FilterParams::of(scope, filter);
    let own = parameters![after, LOOKED_AT, similarity, FEW];
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

/// A record among those that it replaced and that replaced it, the oldest first.
pub async fn history(db: &Db, scope: &Scope, id: Uuid) -> Result<Vec<Hit>, DbError> {
    let rows = db.query(scope, &showing(sql!("history")), parameters![id]).await?;
    let mut hits: Vec<Hit> = rows.iter().map(hit).collect();
    hits.sort_by_key(|hit| (hit.fields.valid_from.unwrap_or(hit.created_at), hit.created_at));
    Ok(hits)
}

/// The caller's memories near a vector.
pub async fn similar(db: &Db, scope: &Scope, near: &QueryVector, from: f64) -> Result<Vec<Similar>, DbError> {
    let filter = FilterParams::of(scope, &Filter::of(SourceKind::Memory));
    let own = [(&near.vector as _, db.halfvec()), typed(&from)];
    let statement = on_space(&filter.statement(sql!("nearest_own")), near.space);
    let rows = db.query(scope, &statement, &filter.with(&own)).await?;
    let mut found: Vec<Similar> = rows.iter().map(Similar::from).collect();
    // A memory of several passages may come several times.
    found.dedup_by_key(|similar| similar.id);
    Ok(found)
}

/// What a caller's records are labelled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labelled {
    /// By tags.
    Tag,
    /// By collections.
    Collection,
}

/// The labels that begin so, among the newest records that the caller can see, the most frequent first.
pub async fn suggest(db: &Db, scope: &Scope, labelled: Labelled, begin: &str) -> Result<Vec<String>, DbError> {
    let tags = labelled == Labelled::Tag;
    let rows = db.query(scope, sql!("suggest"), parameters![tags, begin]).await?;
    Ok(rows.iter().map(|row| row.get("value")).collect())
}
