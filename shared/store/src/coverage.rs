//! Coverage: how much of what a caller may read is embedded, how long the rest takes, and why
//! nothing is embedded at all.
//!
//! Everything that tells a person or a model how far the embedding is comes from here: the status,
//! the progress of a command that waits, and the note of an answer. Passages are counted, since a
//! record has between one passage and thousands. Every count covers the records that the caller may
//! read, so that nobody learns how many others have.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::spaces::{self, Space};
use crate::sql::{on_space, on_space_without_table, parameters, sql};
use crate::workers::{self, Worker};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::source::SourceKind;

/// Number of records in one statement.
const MAX_RECORDS: usize = 10_000;

/// Numbers of passages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Passages {
    /// All that the caller may read.
    pub total: i64,
    /// Those with a vector of their present text.
    pub embedded: i64,
    /// Those that wait for a vector.
    pub pending: i64,
    /// Those of records that were parked after repeated failures. Dismissed ones count in the total
    /// only.
    pub failed: i64,
}

impl Passages {
    /// Returns the share that is embedded, 0 to 1; 1 if there are none.
    pub fn share(&self) -> f64 {
        if self.total == 0 { 1.0 } else { self.embedded as f64 / self.total as f64 }
    }

    pub(crate) fn add(&mut self, more: &Self) {
        self.total += more.total;
        self.embedded += more.embedded;
        self.pending += more.pending;
        self.failed += more.failed;
    }
}

/// The coverage of some kinds of record.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Numbers of passages of these kinds; `None` while they are being counted.
    #[serde(flatten)]
    pub passages: Option<Passages>,
    /// Seconds until everything that waits is embedded, at the present rate. That includes other
    /// kinds than these, which may come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// Why nothing is embedded now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether passages of other kinds wait too.
    #[serde(skip)]
    pub others_wait: bool,
    /// The kind, if it is a single one.
    #[serde(skip)]
    pub kind: Option<SourceKind>,
}

/// The coverage of each kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kinds {
    /// Numbers of passages by kind.
    pub kinds: BTreeMap<SourceKind, Passages>,
    /// Seconds until everything that waits is embedded; `None` without a rate.
    pub seconds_left: Option<f64>,
    /// Why nothing is embedded now, if something waits.
    pub reason: Option<String>,
}

impl Kinds {
    /// Sums up all kinds.
    pub fn all(&self) -> Coverage {
        self.of(SourceKind::ALL)
    }

    /// Sums up some kinds.
    pub fn of(&self, kinds: &[SourceKind]) -> Coverage {
        let (mut passages, mut all) = (Passages::default(), 0);
        for (kind, counted) in &self.kinds {
            all += counted.pending;
            if kinds.contains(kind) {
                passages.add(counted);
            }
        }
        let waits = passages.pending > 0;
        Coverage {
            passages: Some(passages),
            seconds_left: self.seconds_left.filter(|_| waits),
            reason: self.reason.clone().filter(|_| waits),
            others_wait: all > passages.pending,
            kind: if let [only] = kinds { Some(*only) } else { None },
        }
    }
}

impl Coverage {
    /// Whether a search misses something of these kinds: passages that wait, or that failed.
    pub fn is_partial(&self) -> bool {
        self.passages.is_none_or(|passages| passages.pending + passages.failed > 0)
    }

    /// Whether something of these kinds waits.
    pub fn is_pending(&self) -> bool {
        self.passages.is_none_or(|passages| passages.pending > 0)
    }

    /// Says what a search by vectors cannot see, as a part of a note. Empty if it sees everything.
    pub fn sentence(&self) -> String {
        let Some(Passages { pending, failed, .. }) = self.passages else {
            return format!("{}: these are found by keywords only", self.counts());
        };
        let mut parts = vec![self.counts()];
        match pending {
            0 => {}
            1 => parts[0].push_str(": it is found by keywords only"),
            _ => parts[0].push_str(": these are found by keywords only"),
        }
        if pending > 0 && failed > 0 {
            parts.push(format!("{} more could not be embedded", grouped(failed)));
        }
        parts.extend(self.reason.iter().map(|reason| format!("nothing is being embedded: {reason}")));
        parts.join("; ")
    }

    /// Says how many passages are not embedded, and how long the rest takes.
    pub fn counts(&self) -> String {
        let Some(Passages { total, pending, failed, .. }) = self.passages else {
            return "some passages that you can read are not embedded yet".to_owned();
        };
        let kind = self.kind.map(|kind| format!("{} ", kind.as_str().replace('_', " "))).unwrap_or_default();
        let of = |count: i64| format!("{} of {} {kind}passages that you can read", grouped(count), grouped(total));
        match (pending, failed) {
            (0, 0) => String::new(),
            (0, _) => format!("{} could not be embedded, so keywords alone find them", of(failed)),
            (1, _) => format!("{} is not embedded yet{}", of(1), self.time_left()),
            _ => format!("{} are not embedded yet{}", of(pending), self.time_left()),
        }
    }

    fn time_left(&self) -> String {
        let seconds_left = self.seconds_left.filter(|_| self.reason.is_none());
        seconds_left.map(|seconds| format!(", {} left", time_left(seconds, self.others_wait))).unwrap_or_default()
    }
}

/// Formats an estimate. It covers everything that waits: what is asked about may be done sooner if
/// others wait too.
pub fn time_left(seconds: f64, others_wait: bool) -> String {
    if others_wait { format!("at most about {}", about(seconds)) } else { format!("about {}", about(seconds)) }
}

/// Formats a duration roughly, since nobody plans by the second.
pub fn about(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

/// Formats a number with a comma between thousands.
pub fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digit != '-' && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Counts what the caller may read, and estimates the rest.
pub async fn read(db: &Db, scope: &Scope) -> Result<Kinds, DbError> {
    let counted = db.run(scope, async |transaction| {
        let space = spaces::serving(&transaction).await?;
        read_in(&transaction, space.as_ref()).await
    });
    let mut kinds = counted.await?;
    if kinds.all().is_pending() {
        kinds.explain(&workers::live(db).await?);
    }
    Ok(kinds)
}

impl Kinds {
    /// Adds the reason why nothing is embedded, without which there is an estimate.
    pub(crate) fn explain(&mut self, workers: &[Worker]) {
        self.reason = workers::why_not_embedding(workers);
        if self.reason.is_some() {
            self.seconds_left = None;
        }
    }
}

/// Counts, without the reason.
pub(crate) async fn read_in(transaction: &Transaction, space: Option<&Space>) -> Result<Kinds, DbError> {
    let kinds = count(transaction, space).await?;
    let pending: i64 = kinds.values().map(|passages| passages.pending).sum();
    let mut seconds_left = None;
    if let Some(space) = space.filter(|_| pending > 0) {
        let pace = transaction.query_typed(sql!("pace"), parameters![space.id.0]).await?;
        let a_second: Option<f64> = pace.first().and_then(|row| row.get("items_a_second"));
        seconds_left = a_second.filter(|pace| *pace > 0.0).map(|pace| (pending as f64 / pace).ceil());
    }
    Ok(Kinds { kinds, seconds_left, reason: None })
}

/// Counts the passages that the caller may read, by kind.
async fn count(transaction: &Transaction, space: Option<&Space>) -> Result<BTreeMap<SourceKind, Passages>, DbError> {
    let id = space.map_or(0, |space| space.id.0);
    let mut kinds = BTreeMap::new();
    for row in transaction.query_typed(&on_table(sql!("coverage"), space), parameters![id]).await? {
        let kind = SourceKind::parse(row.get("source_kind")).expect("the database checks source_kind");
        let (total, embedded): (i64, i64) = (row.get("passages"), row.get("embedded"));
        let failed: i64 = row.get("failed");
        let pending = total - embedded - failed - row.get::<_, i64>("dismissed");
        kinds.insert(kind, Passages { total, embedded, pending, failed });
    }
    Ok(kinds)
}

fn on_table(statement: &str, space: Option<&Space>) -> String {
    match space {
        Some(space) if space.dimension.is_some() => on_space(statement, space.id),
        _ => on_space_without_table(statement),
    }
}

/// Returns whether anything that the caller may read waits for its vectors or was parked. Cheap
/// while nothing waits.
pub async fn is_incomplete(db: &Db, scope: &Scope) -> Result<bool, DbError> {
    db.run(scope, async |transaction| {
        let Some(space) = serving(&transaction).await? else { return Ok(false) };
        let rows = transaction.query_typed(sql!("is_incomplete"), parameters![space.id.0]).await?;
        Ok(rows[0].get("is_incomplete"))
    })
    .await
}

/// Returns the active space, and prepares the transaction for statements about its jobs.
pub(crate) async fn serving(transaction: &Transaction) -> Result<Option<Space>, DbError> {
    transaction.query_typed(sql!("avoid_hashes"), &[]).await?;
    spaces::serving(transaction).await
}

/// What is left to embed of some records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// The records that wait.
    pub pending: Vec<Uuid>,
    /// The records that were parked after repeated failures.
    pub failed: Vec<Uuid>,
    /// Number of passages that wait, in all of the pending records.
    pub passages: i64,
}

/// Returns what is left to embed of these records, in the active space.
pub async fn of_records(db: &Db, scope: &Scope, records: &[Uuid]) -> Result<Left, DbError> {
    let mut left = Left::default();
    for records in records.chunks(MAX_RECORDS).map(<[Uuid]>::to_vec) {
        let rows = db.run(scope, async |transaction| {
            let space = spaces::serving(&transaction).await?;
            let id = space.as_ref().map_or(0, |space| space.id.0);
            let statement = on_table(sql!("unembedded_of"), space.as_ref());
            Ok(transaction.query_typed(&statement, parameters![id, records]).await?)
        });
        for row in rows.await? {
            if row.get("has_failed") {
                left.failed.push(row.get("id"));
            } else {
                left.pending.push(row.get("id"));
                left.passages += row.get::<_, i64>("passages");
            }
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_what_a_search_cannot_see() {
        let counted = |total, pending, failed| Passages { total, embedded: total - pending - failed, pending, failed };
        let of = |passages| Coverage { passages: Some(passages), ..Coverage::default() };
        let slow = of(counted(1_900, 1_204, 0));
        for (coverage, said) in [
            (of(counted(5, 0, 0)), ""),
            (
                Coverage::default(),
                "some passages that you can read are not embedded yet: these are found by keywords only",
            ),
            (
                slow.clone(),
                "1,204 of 1,900 passages that you can read are not embedded yet: these are found by keywords only",
            ),
            (
                Coverage { seconds_left: Some(240.0), ..slow.clone() },
                "1,204 of 1,900 passages that you can read are not embedded yet, about 4 min left: these are found by \
                 keywords only",
            ),
            (
                Coverage {
                    seconds_left: Some(240.0),
                    others_wait: true,
                    kind: Some(SourceKind::ApiOperation),
                    ..of(counted(40, 1, 0))
                },
                "1 of 40 api operation passages that you can read is not embedded yet, at most about 4 min left: it is \
                 found by keywords only",
            ),
            (
                Coverage { reason: Some("no worker is alive: start it".into()), ..of(counted(2, 2, 0)) },
                "2 of 2 passages that you can read are not embedded yet: these are found by keywords only; nothing is \
                 being embedded: no worker is alive: start it",
            ),
            (
                of(counted(10, 0, 2)),
                "2 of 10 passages that you can read could not be embedded, so keywords alone find them",
            ),
            (
                of(counted(10, 3, 2)),
                "3 of 10 passages that you can read are not embedded yet: these are found by keywords only; 2 more could \
                 not be embedded",
            ),
        ] {
            assert_eq!((coverage.sentence().as_str(), coverage.is_partial()), (said, !said.is_empty()));
        }
    }

    #[test]
    fn the_coverage_of_some_kinds_names_the_estimate_of_all() {
        let waits = Passages { total: 10, embedded: 6, pending: 4, failed: 0 };
        let done = Passages { total: 3, embedded: 3, ..Passages::default() };
        let kinds = Kinds {
            kinds: [(SourceKind::Memory, done), (SourceKind::Document, waits)].into(),
            seconds_left: Some(8.0),
            reason: None,
        };
        assert_eq!(kinds.all().passages, Some(Passages { total: 13, embedded: 9, pending: 4, failed: 0 }));
        let memories = kinds.of(&[SourceKind::Memory]);
        assert!(!memories.is_partial() && memories.seconds_left.is_none());
        assert_eq!(kinds.of(&[SourceKind::Document]).seconds_left, Some(8.0));
        assert!(memories.others_wait && !kinds.all().others_wait);
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([5.0, 240.0, 9_000.0].map(about), ["5 s", "4 min", "2.5 h"]);
    }
}
