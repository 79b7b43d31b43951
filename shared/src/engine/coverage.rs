//! The coverage of an answer: what a search could not see, because it is not embedded yet.
//!
//! A recall asks each time, so the figures are cached, and are counted while the query is embedded.
//! While nothing waits, a look reads an empty table of jobs. While something waits, a count reads
//! every passage that the caller may read, in a background task: an answer waits for it briefly, and
//! otherwise says that something is missing without saying how much. A cached figure decides the
//! numbers of a note only. Whether there is a note at all is decided by the jobs that are open now.
//! Decision 41 has the costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::Engine;
use pgrecall_postgres::db::{DbError, Scope};
use pgrecall_process::ttl_map::TtlMap;
use pgrecall_store::coverage::{self, Coverage, Kinds};
use pgrecall_store::recall::{self, Filter};

/// How long a figure is cached.
const COVERAGE_TTL: Duration = Duration::from_secs(1);
/// A figure is cached this many times as long as it took to get, if that is longer.
const REST_FACTOR: u32 = 20;
/// How long an answer waits for a look at the jobs, and for a first count.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// How long an answer waits for a count if there is an older one.
const RECOUNT_TIMEOUT: Duration = Duration::from_millis(50);
/// The greatest age of a count that answers while another one runs.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How long an answer waits to learn whether the filter selects something that waits.
const FILTER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a count may take, and wait for the count of another caller.
const COUNT_TIMEOUT: Duration = Duration::from_secs(25);
/// The most callers whose figures are cached.
const MAX_CALLERS: usize = 1_000;

/// What is known about the coverage of a caller.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    /// Nothing waits, and nothing was parked.
    Complete,
    /// Something is not embedded. `None`: it has not been counted yet.
    Partial(Option<Kinds>),
}

/// The cached figures by caller.
#[derive(Debug)]
pub(super) struct Figures {
    by_caller: Mutex<TtlMap<Scope, Figure>>,
    /// Number of times that this process enqueued jobs.
    enqueued: AtomicU64,
    /// The permit of a count: one at a time, whatever the number of callers.
    counting: Semaphore,
}

#[derive(Debug, Clone)]
struct Figure {
    known: Known,
    at: Instant,
    /// [`Figures::enqueued`] before the look.
    enqueued: u64,
}

impl Default for Figures {
    fn default() -> Self {
        let by_caller = Mutex::new(TtlMap::new(MAX_CALLERS));
        Self { by_caller, enqueued: AtomicU64::new(0), counting: Semaphore::new(1) }
    }
}

impl Figures {
    /// Notes that jobs were enqueued: a figure that says that nothing waits is out of date.
    fn note_enqueued(&self) {
        self.enqueued.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the cached figure, unless it has expired.
    fn get(&self, scope: &Scope) -> Option<Known> {
        let enqueued = self.enqueued.load(Ordering::Relaxed);
        let figures = self.by_caller.lock();
        let figure = figures.get(scope)?;
        (figure.known != Known::Complete || figure.enqueued == enqueued).then(|| figure.known.clone())
    }

    /// Reserves the count for the first caller who finds no figure, and returns how long that caller
    /// waits for it. Until the count ends, the others get the old figure, if it is recent.
    fn begin_count(&self, scope: &Scope) -> Option<Duration> {
        let mut figures = self.by_caller.lock();
        if figures.get(scope).is_some_and(|figure| figure.known != Known::Complete) {
            return None;
        }
        let is_recent =
            |figure: &&Figure| matches!(figure.known, Known::Partial(Some(_))) && figure.at.elapsed() < MAX_AGE;
        let old = figures.get_expired(scope).filter(is_recent).cloned();
        let wait = if old.is_some() { RECOUNT_TIMEOUT } else { ANSWER_TIMEOUT };
        let figure = old.unwrap_or(Figure { known: Known::Partial(None), at: Instant::now(), enqueued: 0 });
        figures.insert(scope.clone(), figure, 2 * COUNT_TIMEOUT);
        Some(wait)
    }

    fn set(&self, scope: &Scope, known: Known, enqueued: u64, ttl: Duration) {
        self.by_caller.lock().insert(scope.clone(), Figure { known, at: Instant::now(), enqueued }, ttl);
    }
}

impl Engine {
    /// Notes that jobs were enqueued, and wakes the workers.
    pub(super) fn wake_workers(&self) {
        self.inner.figures.note_enqueued();
        self.inner.notifier.wake();
    }

    /// Returns what a search with this filter cannot see; `None` if that is nothing.
    pub(super) async fn coverage(&self, scope: &Scope, filter: &Filter) -> Option<Coverage> {
        let known = match self.inner.figures.get(scope) {
            Some(known) => known,
            None => self.look(scope).await,
        };
        self.within(scope, filter, known).await
    }

    /// Like [`coverage`](Self::coverage), with a new look at the jobs: another process may have
    /// written since the last one.
    pub(super) async fn coverage_now(&self, scope: &Scope, filter: &Filter) -> Option<Coverage> {
        let known = self.look(scope).await;
        self.within(scope, filter, known).await
    }

    async fn within(&self, scope: &Scope, filter: &Filter, known: Known) -> Option<Coverage> {
        let Known::Partial(kinds) = known else { return None };
        let mut coverage = kinds.map_or_else(Coverage::default, |kinds| kinds.of(&filter.kinds));
        if !coverage.is_partial() {
            return None;
        }
        coverage.reason = coverage.reason.map(|reason| self.error_for_caller(scope, &reason));
        let within = recall::is_incomplete_within(self.db(), scope, filter);
        match tokio::time::timeout(FILTER_TIMEOUT, within).await {
            Ok(Ok(false)) => None,
            // A note too many is better than one too few.
            Ok(Ok(true) | Err(_)) | Err(_) => Some(coverage),
        }
    }

    /// Looks whether something waits and, if so, counts it. Caches the figure.
    async fn look(&self, scope: &Scope) -> Known {
        let figures = &self.inner.figures;
        let enqueued = figures.enqueued.load(Ordering::Relaxed);
        let begun = Instant::now();
        let looking = coverage::is_incomplete(self.db(), scope);
        match tokio::time::timeout(ANSWER_TIMEOUT, looking).await {
            Ok(Ok(false)) => {
                figures.set(scope, Known::Complete, enqueued, ttl(begun.elapsed()));
                return Known::Complete;
            }
            // The recall itself reports that the database failed.
            Ok(Err(_)) => return Known::Complete,
            Ok(Ok(true)) | Err(_) => {}
        }
        if let Some(wait) = figures.begin_count(scope) {
            let (engine, counting) = (self.clone(), scope.clone());
            let (ends, ended) = oneshot::channel();
            self.inner.tasks.spawn("coverage", async move {
                engine.count(&counting, enqueued).await;
                // The answer may not wait any more.
                ends.send(()).ok();
            });
            tokio::time::timeout(wait, ended).await.ok();
        }
        figures.get(scope).unwrap_or(Known::Partial(None))
    }

    /// Counts, and caches the figure.
    async fn count(&self, scope: &Scope, enqueued: u64) {
        let figures = &self.inner.figures;
        let begun = Instant::now();
        let counting = async {
            let _permit = figures.counting.acquire().await.expect("the semaphore is never closed");
            let begun = Instant::now();
            let kinds = coverage::read(self.db(), scope).await?;
            Ok::<_, DbError>((kinds, begun.elapsed()))
        };
        // Without a count, the note says that something is missing, but not how much.
        let (kinds, took) = match tokio::time::timeout(COUNT_TIMEOUT, counting).await {
            Ok(Ok((kinds, took))) => (Some(kinds), took),
            Ok(Err(_)) | Err(_) => (None, begun.elapsed()),
        };
        figures.set(scope, Known::Partial(kinds), enqueued, ttl(took));
    }
}

/// Returns how long a figure is cached that took so long to get.
fn ttl(took: Duration) -> Duration {
    COVERAGE_TTL.max(REST_FACTOR * took)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(owner: &str) -> Scope {
        Scope { tenant: "t".to_owned(), owner: owner.to_owned(), persona: None }
    }

    #[test]
    fn one_caller_counts_and_the_others_get_the_old_figure() {
        let (figures, counted) = (Figures::default(), Known::Partial(Some(Kinds::default())));
        let (one, another) = (scope("one"), scope("another"));
        assert_eq!(figures.get(&one), None, "nobody has looked");
        assert_eq!((figures.begin_count(&one), figures.begin_count(&one)), (Some(ANSWER_TIMEOUT), None));
        assert_eq!(figures.get(&one), Some(Known::Partial(None)), "somebody counts");
        assert_eq!(figures.begin_count(&another), Some(ANSWER_TIMEOUT));
        figures.set(&one, counted.clone(), 0, Duration::ZERO);
        assert_eq!(figures.get(&one), None);
        assert_eq!(figures.begin_count(&one), Some(RECOUNT_TIMEOUT));
        assert_eq!(figures.get(&one), Some(counted));
    }

    #[test]
    fn a_write_ends_a_figure_that_says_that_nothing_waits() {
        let (figures, one) = (Figures::default(), scope("one"));
        let counted = Known::Partial(Some(Kinds::default()));
        figures.set(&one, Known::Complete, 0, COVERAGE_TTL);
        assert_eq!(figures.get(&one), Some(Known::Complete));
        figures.note_enqueued();
        assert_eq!(figures.get(&one), None);
        figures.set(&one, counted.clone(), 1, COVERAGE_TTL);
        figures.note_enqueued();
        assert_eq!(figures.get(&one), Some(counted), "it says so already");
    }
}
