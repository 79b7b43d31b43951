//! Quotas: how many records and how much text a tenant may have, and how many records it may write
//! per minute.
//!
//! No write updates a counter, because all writers of a tenant would wait for that row. Instead
//! each process measures a tenant's usage every few seconds, more often close to a quota, and adds
//! the writes that it has admitted since, including those that were in progress during the
//! measurement. So a tenant can exceed its quota by the writes of other processes between two
//! measurements, and by no more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Role};
use pgrecall_record::source::SourceKind;

/// Time for which a measurement is used.
const MEASURED_TTL: Duration = Duration::from_secs(5);
/// A slow measurement is repeated only after this multiple of its duration.
const COST_SHARE: u32 = 10;
/// Fraction of the remaining quota, 1/8, after which to measure once more.
const ROOM_SHARE: u64 = 8;
const MAX_TTL: Duration = Duration::from_secs(60);
/// Timeout of a measurement, after which the previous one is used.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(5);
/// Period of the limit on writes.
const MINUTE: Duration = Duration::from_secs(60);
/// Maximum number of tenants in the cache.
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
        /// The tenant.
        tenant: String,
        /// Number of records that it has.
        has: u64,
        /// Number of records that it may have.
        limit: u64,
    },
    /// Too much text.
    #[error(
        "the tenant `{tenant}` has {} MiB of text of the {} MiB that it may have (`tenants.quotas.text_mib`), and nothing was written: \
         forget some records for good, wait until forgotten ones and earlier versions can no longer be restored, or ask your operator for more",
        .has >> 20, .limit >> 20
    )]
    Text {
        /// The tenant.
        tenant: String,
        /// Bytes of text that it has.
        has: u64,
        /// Bytes of text that it may have.
        limit: u64,
    },
    /// Too many writes.
    #[error(
        "the tenant `{tenant}` has written {has} records in the last minute and may write {limit} (`tenants.quotas.writes_per_minute`), and \
         nothing was written: try again in a minute"
    )]
    Writes {
        /// The tenant.
        tenant: String,
        /// Number of records that it has written in the last minute.
        has: u64,
        /// Number of records that it may write per minute.
        limit: u64,
    },
}

/// What a write adds to a tenant's usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Number of new records.
    pub records: u64,
    /// Bytes of text of new and of replaced records.
    pub text_bytes: u64,
    /// Number of records written, whatever their result.
    pub writes: u64,
}

/// Limits of every tenant. `None`: unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Number of records.
    pub records: Option<u64>,
    /// Bytes of text.
    pub text_bytes: Option<u64>,
    /// Number of records written per minute.
    pub writes_per_minute: Option<u64>,
}

/// The limits, and the measured usage of the tenants.
pub struct Quotas {
    limits: Limits,
    tenants: Mutex<HashMap<String, Arc<Tenant>>>,
}

#[derive(Default)]
struct Tenant {
    usage: tokio::sync::Mutex<Usage>,
    /// Writes of this process that were admitted and are not finished.
    open: Mutex<Demand>,
}

/// An admitted write. It counts as open until this is dropped, because a measurement may not see it
/// before its commit.
#[must_use]
pub struct Admitted {
    tenant: Arc<Tenant>,
    demand: Demand,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.tenant.open.lock().subtract(self.demand);
    }
}

impl Tenant {
    fn open_write(self: &Arc<Self>, demand: Demand) -> Admitted {
        self.open.lock().add(demand);
        Admitted { tenant: Arc::clone(self), demand }
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

/// Usage of one tenant, as far as this process knows it.
#[derive(Default)]
struct Usage {
    measured: Option<Measured>,
    /// Writes that this process has admitted since the measurement, or had open during it.
    since: Demand,
    /// Number of writes that this process admitted in the last minute, with their times.
    lately: VecDeque<(Instant, u64)>,
}

/// Usage of a tenant as measured in the database. A tenant that was never measured counts as empty,
/// so that its writes are not refused.
#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    cost: Duration,
    records: u64,
    text_bytes: u64,
    lately: u64,
}

impl Quotas {
    /// Makes quotas with these limits, without any measurement yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, tenants: Mutex::default() }
    }

    /// Returns whether there is any limit.
    pub fn are_set(&self) -> bool {
        self.limits != Limits::default()
    }

    /// Admits a write if it fits the quotas. The caller must keep the [`Admitted`] until the write
    /// is finished.
    pub async fn admit(&self, db: &Db, name: &str, demand: Demand) -> Result<Result<Admitted, QuotaError>, DbError> {
        let tenant = self.of(name);
        // Held during the measurement, so that the tenant's other writes wait for the same result.
        let mut usage = tenant.usage.lock().await;
        let mut measured = match usage.measured {
            Some(measured) if !self.limits.is_stale(&usage.since, &measured) => measured,
            _ => self.measured(db, name, &tenant, &mut usage).await?,
        };
        let mut checked = self.limits.check(name, &mut usage, measured, demand);
        // Records may have been forgotten since the measurement.
        if checked.is_err() && measured.may_be_repeated() {
            measured = self.measured(db, name, &tenant, &mut usage).await?;
            checked = self.limits.check(name, &mut usage, measured, demand);
        }
        // Counted as open before the lock is released, so that the next measurement cannot miss it.
        Ok(checked.map(|()| tenant.open_write(demand)))
    }

    /// Measures the usage, or falls back to the previous measurement after a timeout.
    async fn measured(&self, db: &Db, name: &str, tenant: &Tenant, usage: &mut Usage) -> Result<Measured, DbError> {
        let open = *tenant.open.lock();
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
    /// Returns whether the measurement is old enough to be repeated. So measuring takes at most a
    /// tenth of the time.
    fn may_be_repeated(&self) -> bool {
        self.at.elapsed() >= (self.cost * COST_SHARE).min(MAX_TTL)
    }
}

impl Limits {
    /// Returns whether to measure once more: after [`MEASURED_TTL`], or as soon as this process has
    /// written an eighth of the remaining quota. So the closer a tenant comes to a quota, the less
    /// can other processes have written since the measurement.
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
        // The measurement includes other processes' writes, and our own up to then. It counts a
        // record that was written several times only once, so our own count can be higher.
        let own: u64 = usage.lately.iter().map(|(_, writes)| writes).sum();
        let lately = own.max(measured.lately + usage.since.writes);
        let (records, text) = (measured.records + usage.since.records, measured.text_bytes + usage.since.text_bytes);
        // A batch that is larger than the limit would never fit, so it is accepted if there were no
        // other writes in the last minute.
        let exceeded =
            |limit: Option<u64>, has: u64, added: u64| limit.filter(|limit| added > 0 && has + added > *limit);
        if let Some(limit) = exceeded(self.writes_per_minute, lately, demand.writes).filter(|_| lately > 0) {
            return Err(QuotaError::Writes { tenant: tenant(), has: lately, limit });
        }
        if let Some(limit) = exceeded(self.records, records, demand.records) {
            return Err(QuotaError::Records { tenant: tenant(), has: records, limit });
        }
        if let Some(limit) = exceeded(self.text_bytes, text, demand.text_bytes) {
            return Err(QuotaError::Text { tenant: tenant(), has: text, limit });
        }
        usage.since.add(demand);
        // One entry per second, so at most about sixty.
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

    #[test]
    fn what_does_not_fit_is_refused_and_what_was_let_through_counts() {
        let limits = Limits { records: Some(10), text_bytes: Some(1_000), writes_per_minute: Some(100) };
        let mut usage = Usage::default();
        let one = Demand { records: 1, text_bytes: 100, writes: 1 };
        let mut check = |measured, demand| limits.check("acme", &mut usage, measured, demand);
        let had = measured(8, 100, 0);
        assert_eq!((check(had, one), check(had, one)), (Ok(()), Ok(())));
        assert_eq!(check(had, one), Err(QuotaError::Records { tenant: "acme".into(), has: 10, limit: 10 }));
        // A replacement adds no record.
        assert_eq!(check(had, Demand { records: 0, ..one }), Ok(()));
        let long = Demand { records: 0, text_bytes: 900, writes: 1 };
        assert_eq!(check(had, long), Err(QuotaError::Text { tenant: "acme".into(), has: 400, limit: 1_000 }));
        // The measurement contains the writes of another process.
        let refused = check(measured(0, 0, 98), Demand { writes: 9, ..Demand::default() });
        assert!(refused.unwrap_err().to_string().contains("in the last minute"));
        assert_eq!(
            check(measured(10, 1_000, 0), Demand { writes: 1, ..Demand::default() }),
            Ok(()),
            "it forgets something"
        );
    }

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

    #[test]
    fn a_write_that_is_open_during_a_measurement_still_counts_after_it() {
        let limits = Limits { records: Some(10), ..Limits::default() };
        let tenant = Arc::new(Tenant::default());
        let one = Demand { records: 1, text_bytes: 0, writes: 1 };
        let open = tenant.open_write(one);
        let after_a_measurement = || Usage { since: *tenant.open.lock(), ..Usage::default() };
        assert!(limits.check("acme", &mut after_a_measurement(), measured(9, 0, 0), one).is_err());
        drop(open);
        assert_eq!(limits.check("acme", &mut after_a_measurement(), measured(9, 0, 0), one), Ok(()));
    }

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
