//! Quotas: how many records and how much text a tenant may have, and how many records it may write in a minute.
//!
//! No write touches a counter: that would be a row for which all writers of a tenant wait. What a tenant has is measured every few seconds and more often
//! close to a quota, and each process adds what it has let through since, and what it is writing during the measurement. So a tenant may pass its quota by
//! what the other processes write between two measurements, and by no more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Role};
use pgrecall_record::source::SourceKind;

/// How long a measurement holds.
const MEASURED_TTL: Duration = Duration::from_secs(5);
/// A measurement that took long is repeated after so many times as long.
const COST_SHARE: u32 = 10;
/// What part of the room may be written before it is measured again.
const ROOM_SHARE: u64 = 8;
const MAX_TTL: Duration = Duration::from_secs(60);
/// How long a measurement may take. After it the one before holds.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a rate is counted over.
const MINUTE: Duration = Duration::from_secs(60);
/// Tenants that are kept in mind.
const MAX_TENANTS: usize = 10_000;

/// Why a write was refused. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// Too many records.
    #[error(
        "the tenant `{tenant}` has {has} records of the {limit} that it may have (`tenants.quotas.records`), and nothing was written: \
         forget some for good, wait until forgotten ones can no longer be restored, or ask your operator for more"
    )]
    Records {
        /// Whose.
        tenant: String,
        /// How many it has.
        has: u64,
        /// How many it may have.
        limit: u64,
    },
    /// Too much text.
    #[error(
        "the tenant `{tenant}` has {} MiB of text of the {} MiB that it may have (`tenants.quotas.text_mib`), and nothing was written: \
         forget some records for good, wait until forgotten ones and earlier versions can no longer be restored, or ask your operator for more",
        .has >> 20, .limit >> 20
    )]
    Text {
        /// Whose.
        tenant: String,
        /// How many bytes it has.
        has: u64,
        /// How many it may have.
        limit: u64,
    },
    /// Too many writes.
    #[error(
        "the tenant `{tenant}` has written {has} records in the last minute and may write {limit} (`tenants.quotas.writes_per_minute`), and \
         nothing was written: try again in a minute"
    )]
    Writes {
        /// Whose.
        tenant: String,
        /// How many it has written.
        has: u64,
        /// How many it may write.
        limit: u64,
    },
}

/// What a write would add.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Records that were not there.
    pub records: u64,
    /// Bytes of their text, and of that of those that are replaced.
    pub text_bytes: u64,
    /// Records that are written, whatever becomes of them.
    pub writes: u64,
}

/// What each tenant may have and write. `None`: any amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Records.
    pub records: Option<u64>,
    /// Bytes of text.
    pub text_bytes: Option<u64>,
    /// Records written in a minute.
    pub writes_per_minute: Option<u64>,
}

/// The quotas, and what is known of the tenants.
pub struct Quotas {
    limits: Limits,
    tenants: Mutex<HashMap<String, Arc<Tenant>>>,
}

#[derive(Default)]
struct Tenant {
    usage: tokio::sync::Mutex<Usage>,
    /// Writes of this process that were let through and are not over.
    open: Mutex<Demand>,
}

/// A write that was let through. It counts as open until this is dropped: a measurement may not see it before its commit.
#[must_use]
pub struct Admitted {
    tenant: Arc<Tenant>,
    demand: Demand,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.tenant.open().subtract(self.demand);
    }
}

impl Tenant {
    fn open_write(self: &Arc<Self>, demand: Demand) -> Admitted {
        self.open().add(demand);
        Admitted { tenant: Arc::clone(self), demand }
    }

    fn open(&self) -> MutexGuard<'_, Demand> {
        self.open.lock()
    }
}

impl Demand {
    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.text_bytes += other.text_bytes;
        self.writes += other.writes;
    }

    fn subtract(&mut self, other: Self) {
        self.records -= other.records;
        self.text_bytes -= other.text_bytes;
        self.writes -= other.writes;
    }
}

/// What is known of one tenant.
#[derive(Default)]
struct Usage {
    measured: Option<Measured>,
    /// What this process has let through since then, and what it was writing at that time.
    since: Demand,
    /// When this process let how many writes through, in the last minute.
    lately: VecDeque<(Instant, u64)>,
}

/// A tenant as the database had it. One that could never be counted is taken for empty: it is not refused.
#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    cost: Duration,
    records: u64,
    text_bytes: u64,
    lately: u64,
}

impl Quotas {
    /// Quotas with these limits for each tenant; nothing is known of any yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, tenants: Mutex::default() }
    }

    /// Whether there is anything to ask.
    pub fn are_set(&self) -> bool {
        self.limits.are_set()
    }

    /// Counts a write in, if it fits. Keep the answer until the write is over.
    pub async fn admit(&self, db: &Db, name: &str, demand: Demand) -> Result<Result<Admitted, QuotaError>, DbError> {
        let tenant = self.of(name);
        // Held while it is measured: the tenant's other writes wait for the same answer.
        let mut usage = tenant.usage.lock().await;
        let mut measured = match usage.measured {
            Some(measured) if !self.limits.is_stale(&usage.since, &measured) => measured,
            _ => self.measured(db, name, &tenant, &mut usage).await?,
        };
        let mut checked = self.limits.check(name, &mut usage, measured, demand);
        // Something may have been forgotten since.
        if checked.is_err() && measured.may_be_repeated() {
            measured = self.measured(db, name, &tenant, &mut usage).await?;
            checked = self.limits.check(name, &mut usage, measured, demand);
        }
        // Counted as open before the lock is released: the next measurement must not miss it.
        Ok(checked.map(|()| tenant.open_write(demand)))
    }

    /// Measures, or takes the measurement before where that is not to be had in time.
    async fn measured(&self, db: &Db, name: &str, tenant: &Tenant, usage: &mut Usage) -> Result<Measured, DbError> {
        let open = *tenant.open();
        let measured = match tokio::time::timeout(MEASURE_TIMEOUT, self.measure(db, name)).await {
            Ok(measured) => {
                let measured = measured?;
                usage.since = open;
                measured
            }
            Err(_) => {
                tracing::warn!(
                    tenant = name,
                    "a tenant's records could not be counted in time; its quotas rest on an older count"
                );
                Measured { at: Instant::now(), cost: MEASURE_TIMEOUT, ..usage.measured.unwrap_or_default() }
            }
        };
        usage.measured = Some(measured);
        Ok(measured)
    }

    fn of(&self, tenant: &str) -> Arc<Tenant> {
        let mut tenants = self.tenants.lock();
        if tenants.len() >= MAX_TENANTS && !tenants.contains_key(tenant) {
            tenants.clear();
        }
        Arc::clone(tenants.entry(tenant.to_owned()).or_default())
    }

    async fn measure(&self, db: &Db, tenant: &str) -> Result<Measured, DbError> {
        let begun = Instant::now();
        let kinds: Vec<&str> = SourceKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let counts_text = self.limits.text_bytes.is_some();
        let rows = db.query(Role::Worker, sql!("tenant_usage"), parameters![tenant, counts_text, kinds]).await?;
        let number = |name: &str| rows[0].get::<_, i64>(name).unsigned_abs();
        Ok(Measured {
            at: Instant::now(),
            cost: begun.elapsed(),
            records: number("records"),
            text_bytes: number("text_bytes"),
            lately: number("lately"),
        })
    }
}

impl Default for Measured {
    fn default() -> Self {
        Self { at: Instant::now(), cost: Duration::ZERO, records: 0, text_bytes: 0, lately: 0 }
    }
}

impl Measured {
    /// Whether it is old enough to be made again: measuring takes a tenth of the time at the most.
    fn may_be_repeated(&self) -> bool {
        self.at.elapsed() >= (self.cost * COST_SHARE).min(MAX_TTL)
    }
}

impl Limits {
    /// Whether anything is bounded.
    fn are_set(&self) -> bool {
        *self != Self::default()
    }

    /// Whether it is time to measure again: after a while, and as soon as this process has written an eighth of the room that there was. So the closer
    /// a tenant comes to a quota, the less the other processes can have written that is not in the measurement.
    fn is_stale(&self, since: &Demand, measured: &Measured) -> bool {
        let fills = |limit: Option<u64>, had: u64, added: u64| {
            limit.is_some_and(|limit| added > 0 && added * ROOM_SHARE > limit.saturating_sub(had))
        };
        let has_filled = fills(self.records, measured.records, since.records)
            || fills(self.text_bytes, measured.text_bytes, since.text_bytes)
            || fills(self.writes_per_minute, measured.lately, since.writes);
        measured.may_be_repeated() && (has_filled || measured.at.elapsed() >= MEASURED_TTL)
    }

    fn check(&self, tenant: &str, usage: &mut Usage, measured: Measured, demand: Demand) -> Result<(), QuotaError> {
        let (now, tenant) = (Instant::now(), || tenant.to_owned());
        while usage.lately.front().is_some_and(|(at, _)| at.elapsed() > MINUTE) {
            usage.lately.pop_front();
        }
        // Others' writes are in the measurement, and so are ours up to then; a record that is written again and again is in it once.
        let own: u64 = usage.lately.iter().map(|(_, writes)| writes).sum();
        let lately = own.max(measured.lately + usage.since.writes);
        let (records, text) = (measured.records + usage.since.records, measured.text_bytes + usage.since.text_bytes);
        // A batch that is larger than a minute's writes would never fit: it is accepted when it is the only one.
        if let Some(limit) = self.writes_per_minute
            && lately > 0
            && lately + demand.writes > limit
        {
            return Err(QuotaError::Writes { tenant: tenant(), has: lately, limit });
        }
        if let Some(limit) = self.records
            && demand.records > 0
            && records + demand.records > limit
        {
            return Err(QuotaError::Records { tenant: tenant(), has: records, limit });
        }
        if let Some(limit) = self.text_bytes
            && demand.text_bytes > 0
            && text + demand.text_bytes > limit
        {
            return Err(QuotaError::Text { tenant: tenant(), has: text, limit });
        }
        usage.since.add(demand);
        // One place for each second: a minute has sixty.
        match usage.lately.back_mut() {
            Some((at, writes)) if at.elapsed() < Duration::from_secs(1) => *writes += demand.writes,
            _ => usage.lately.push_back((now, demand.writes)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(records: u64, text_bytes: u64, lately: u64) -> Measured {
        Measured { records, text_bytes, lately, ..Measured::default() }
    }

    // L15
    #[test]
    fn what_does_not_fit_is_refused_and_what_was_let_through_counts() {
        let limits = Limits { records: Some(10), text_bytes: Some(1_000), writes_per_minute: Some(100) };
        let mut usage = Usage::default();
        let one = Demand { records: 1, text_bytes: 100, writes: 1 };
        let mut check = |measured, demand| limits.check("acme", &mut usage, measured, demand);
        let had = measured(8, 100, 0);
        assert_eq!((check(had, one), check(had, one)), (Ok(()), Ok(())));
        assert_eq!(check(had, one), Err(QuotaError::Records { tenant: "acme".into(), has: 10, limit: 10 }));
        // A record that is replaced is no further one.
        assert_eq!(check(had, Demand { records: 0, ..one }), Ok(()));
        let long = Demand { records: 0, text_bytes: 900, writes: 1 };
        assert_eq!(check(had, long), Err(QuotaError::Text { tenant: "acme".into(), has: 400, limit: 1_000 }));
        // What another process wrote is in the measurement.
        let refused = check(measured(0, 0, 98), Demand { writes: 9, ..Demand::default() });
        assert!(refused.unwrap_err().to_string().contains("in the last minute"));
        assert_eq!(
            check(measured(10, 1_000, 0), Demand { writes: 1, ..Demand::default() }),
            Ok(()),
            "it forgets something"
        );
    }

    // L15
    #[test]
    fn a_tenant_is_measured_the_more_often_the_closer_it_comes_to_a_quota() {
        let limits = Limits { records: Some(1_000), ..Limits::default() };
        let stale = |had, added| limits.is_stale(&Demand { records: added, ..Demand::default() }, &measured(had, 0, 0));
        assert!(
            !stale(0, 125) && stale(0, 126) && !stale(992, 1) && stale(993, 1) && stale(1_000, 1) && !stale(1_000, 0)
        );
        let dear = Measured { cost: Duration::from_secs(1), ..measured(993, 0, 0) };
        assert!(!limits.is_stale(&Demand { records: 1, ..Demand::default() }, &dear), "it would take all of the time");
    }

    // L15
    #[test]
    fn a_write_that_is_open_during_a_measurement_still_counts_after_it() {
        let limits = Limits { records: Some(10), ..Limits::default() };
        let tenant = Arc::new(Tenant::default());
        let one = Demand { records: 1, text_bytes: 0, writes: 1 };
        let open = tenant.open_write(one);
        let after_a_measurement = || Usage { since: *tenant.open(), ..Usage::default() };
        assert!(limits.check("acme", &mut after_a_measurement(), measured(9, 0, 0), one).is_err());
        drop(open);
        assert_eq!(limits.check("acme", &mut after_a_measurement(), measured(9, 0, 0), one), Ok(()));
    }

    // L15
    #[test]
    fn a_batch_that_is_larger_than_a_minutes_writes_goes_through_alone() {
        let limits = Limits { writes_per_minute: Some(100), ..Limits::default() };
        let mut usage = Usage::default();
        let batch = Demand { records: 200, text_bytes: 0, writes: 200 };
        assert_eq!(limits.check("acme", &mut usage, measured(0, 0, 0), batch), Ok(()));
        let refused = limits.check("acme", &mut usage, measured(0, 0, 0), Demand { writes: 1, ..Demand::default() });
        assert!(refused.unwrap_err().to_string().contains("200 records in the last minute"));
    }
}
