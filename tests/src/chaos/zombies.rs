//! Zombies: workers whose lease has expired and whose jobs another worker has, and that continue as
//! if they still held them.
//!
//! A stopped process that wakes up still holds its claim, and may be about to store vectors. This
//! scenario creates that moment thousands of times against a real database: the lease is so short
//! that it has expired when the other worker looks, and the zombie tries everything that a worker
//! can do. The zombie may write no row, so rows are compared together with the transaction that
//! wrote them.

use std::sync::Arc;

use anyhow::{Context, ensure};
use pgrecall_embedder::{ModelId, Provider};
use pgrecall_postgres::db::{Db, Role, Scope};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_record::passage::{Limit, TARGET_WORDS};
use pgrecall_record::source::{Record, RecordFields, SourceKind};
use pgrecall_store::forget;
use pgrecall_store::queue::{self, Claim, Claims, EmbedderStatus};
use pgrecall_store::spaces::{self, Space};
use pgrecall_store::vectors::{self, Outcome, Pending};
use pgrecall_store::write::{self, Batch};
use tokio_postgres::Client;
use uuid::Uuid;

use super::totals::Totals;
use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::postgres;

/// The lease in seconds: it has expired by the time the other worker looks.
const LEASE: f64 = 0.001;
/// The number of sources, used in turn, so that there are rows for a zombie to overwrite.
const SOURCES: usize = 8;
/// The length of the vectors.
const DIMENSION: usize = 8;
/// The first number of a zombie's vectors, which no other vectors have.
const ZOMBIE: f32 = -1.0;

/// Everything that a zombie could write, with `xmin`, the transaction that wrote a job or vector.
const ROWS: &str = "SELECT
    (SELECT coalesce(string_agg(j.xmin::text || ' ' || j::text, E'\\n' ORDER BY j.source), '') FROM pgrecall.index_jobs j),
    (SELECT coalesce(string_agg(v.xmin::text || ' ' || v::text, E'\\n' ORDER BY v.passage), '') FROM {vectors} v),
    (SELECT coalesce(sum(cardinality(sources)), 0)::text FROM pgrecall.index_job_history),
    (SELECT coalesce(string_agg(w.id::text, ' ' ORDER BY w.id), '') FROM pgrecall.workers w)";

/// How far the other worker is when the zombie continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The job is back in the queue.
    Reaped,
    /// Another worker holds the job.
    Claimed,
    /// Another worker has stored its vectors, and still holds the job.
    Stored,
    /// Another worker has settled the job.
    Settled,
    /// The source has been written again, and its job waits.
    Edited,
    /// The source has been written again, and another worker holds its job.
    EditedAndClaimed,
    /// The source is deleted.
    Forgotten,
    /// The zombie stores while its job is being taken from it. At most one of the two workers may
    /// get it.
    Race,
}

const MOMENTS: [Moment; 8] = [
    Moment::Reaped,
    Moment::Claimed,
    Moment::Stored,
    Moment::Settled,
    Moment::Edited,
    Moment::EditedAndClaimed,
    Moment::Forgotten,
    Moment::Race,
];

/// Wakes up `times` zombies.
///
/// # Errors
/// If a part of the harness fails.
pub fn run(times: usize, seed: u64) -> anyhow::Result<Totals> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut graveyard = Graveyard::open().await?;
        let mut rng = SeededRng(seed);
        let mut totals = Totals { runs: 1, ..Totals::default() };
        for number in 0..times {
            let moment = *rng.pick(&MOMENTS);
            let what = || format!("zombie {number} of seed {seed}, {moment:?}");
            let wrong = graveyard.wake(moment, number).await.with_context(what)?;
            totals.zombies += 1;
            totals.violations += wrong.len() as u64;
            wrong.iter().for_each(|wrong| eprintln!("zombie {number} of seed {seed}, {moment:?}: {wrong}"));
            if (number + 1) % 1_000 == 0 {
                eprintln!("{} zombies, {} violations", number + 1, totals.violations);
            }
        }
        Ok(totals)
    })
}

struct Graveyard {
    db: Db,
    space: Space,
    scope: Scope,
    watcher: Client,
    rows: String,
    /// The id of the worker whose lease is good.
    living: i64,
    sources: Vec<Option<Uuid>>,
}

impl Graveyard {
    async fn open() -> anyhow::Result<Self> {
        let dsn = Dsn::parse(&postgres::database().await?)?;
        let db = Db::open(&dsn, &dsn, 4).await?;
        db.use_sessions(true);
        let space = spaces::ensure(&db, &Role::Worker, &ModelId::new(Provider::Local, None, "by-hand")).await?;
        let space = spaces::learn_dimension(&db, &space, DIMENSION).await?;
        let (watcher, connection) = dsn.connect().await?;
        drop(pgrecall_process::tasks::connection("watcher", connection));
        let living = queue::register(&db, "living", 3_600.0, false).await?;
        let scope = Scope { tenant: "acme".into(), owner: "ana".into(), persona: None };
        let rows = ROWS.replace("{vectors}", &format!("pgrecall.vectors_{}", space.id.0));
        Ok(Self { db, space, scope, watcher, rows, living, sources: vec![None; SOURCES] })
    }

    /// Runs one zombie, and returns its violations.
    async fn wake(&mut self, moment: Moment, number: usize) -> anyhow::Result<Vec<String>> {
        let at = number % SOURCES;
        self.write(at, &format!("Text {number}.")).await?;
        let zombie = queue::register(&self.db, "zombie", LEASE, false).await?;
        let held = self.claim(zombie).await?.context("the job is there to be claimed")?;
        let texts = self.pending(&held).await?;
        ensure!(texts.len() == 1, "one passage waits, not {}", texts.len());
        if moment == Moment::Race {
            return self.race(&held, &texts).await;
        }
        self.reap().await?;
        let mut taken = None;
        if !matches!(moment, Moment::Reaped | Moment::Forgotten) {
            let claim = self.claim(self.living).await?.context("the job came back")?;
            let finished = if moment == Moment::Stored { &[][..] } else { &claim.jobs };
            if moment != Moment::Claimed {
                self.store(&claim, &self.pending(&claim).await?, 1.0, finished).await?;
            }
            taken = Some(claim).filter(|_| matches!(moment, Moment::Claimed | Moment::Stored));
        }
        match moment {
            Moment::Edited | Moment::EditedAndClaimed => self.write(at, &format!("Text {number}, edited.")).await?,
            Moment::Forgotten => {
                let id = self.sources[at].take().context("it was written")?;
                forget::forget(&self.db, &self.scope, &[id], forget::How::ForGood).await?;
            }
            _ => {}
        }
        if moment == Moment::EditedAndClaimed {
            taken = self.claim(self.living).await?;
        }
        let before = self.rows().await?;
        let mut wrong = self.go_on(zombie, &held, &texts).await;
        let after = self.rows().await?;
        if before != after {
            wrong.push(format!("rows changed\nfrom {before:?}\nto   {after:?}"));
        }
        wrong.extend(self.finish(taken).await?);
        Ok(wrong)
    }

    /// Tries everything that a worker does with a claim, and returns what succeeded.
    async fn go_on(&self, zombie: i64, held: &Claim, texts: &[Pending]) -> Vec<String> {
        let mut wrong = Vec::new();
        match self.store(held, texts, ZOMBIE, &held.jobs).await {
            Ok(Outcome { stored: 0, settled: 0, .. }) | Err(_) => {}
            Ok(outcome) => wrong.push(format!("its store was taken: {outcome:?}")),
        }
        if let Ok(Some(last)) = queue::fail(&self.db, held.token, &held.jobs[0], "refused", "by a zombie").await {
            wrong.push(format!("its failure was counted, last: {last}"));
        }
        queue::give_back(&self.db, held.token, &held.jobs).await.ok();
        let status = EmbedderStatus { embedder: "ok", reason: None };
        if !matches!(queue::heartbeat(&self.db, zombie, 60.0, &status).await, Ok(false)) {
            wrong.push("its heart beats".to_owned());
        }
        if let Ok(Some(claim)) = self.claim(zombie).await {
            wrong.push(format!("it claimed {claim:?}"));
        }
        queue::leave(&self.db, zombie).await.ok();
        wrong
    }

    /// Lets the zombie store while the reaper and another worker take its job.
    async fn race(&mut self, held: &Claim, texts: &[Pending]) -> anyhow::Result<Vec<String>> {
        let take = async {
            queue::reap(&self.db, self.living).await?;
            self.claim(self.living).await
        };
        let (stored, taken) = tokio::join!(self.store(held, texts, 1.0, &held.jobs), take);
        let (stored, taken) = (stored?, taken?);
        let mut wrong = Vec::new();
        // Both workers may also end up without the job: the lock of the zombie's store can hide the
        // job from the reaper and the claim for a moment.
        if stored.settled == 1 && taken.is_some() || (stored.stored == 1) != (stored.settled == 1) {
            wrong.push(format!("both of them have the job: {stored:?}, {taken:?}"));
        }
        wrong.extend(self.finish(taken).await?);
        Ok(wrong)
    }

    /// Lets the living worker do the remaining work, and checks that nothing is left and that no
    /// vector is a zombie's.
    async fn finish(&self, taken: Option<Claim>) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let mut next = match taken {
            Some(claim) => Some(claim),
            None => self.claim(self.living).await?,
        };
        while let Some(claim) = next {
            let outcome = self.store(&claim, &self.pending(&claim).await?, 1.0, &claim.jobs).await?;
            if outcome.settled != claim.jobs.len() {
                wrong.push(format!("the living worker lost its job: {outcome:?}"));
            }
            next = self.claim(self.living).await?;
        }
        let vectors = self.space.id.0;
        let count = |what: &str| format!("SELECT count(*) FROM pgrecall.{what}");
        let left: i64 = self.watcher.query_one(&count("index_jobs"), &[]).await?.get(0);
        let missing = format!("passages WHERE id NOT IN (SELECT passage FROM pgrecall.vectors_{vectors})");
        let missing: i64 = self.watcher.query_one(&count(&missing), &[]).await?.get(0);
        let foreign = format!("vectors_{vectors} WHERE (embedding::real[])[1] < 0");
        let foreign: i64 = self.watcher.query_one(&count(&foreign), &[]).await?.get(0);
        if (left, missing, foreign) != (0, 0, 0) {
            wrong.push(format!("{left} jobs are left, {missing} vectors are missing, {foreign} are a zombie's"));
        }
        Ok(wrong)
    }

    async fn write(&mut self, at: usize, text: &str) -> anyhow::Result<()> {
        let record = Record {
            fields: RecordFields { key: Some(format!("source-{at}")), ..RecordFields::default() },
            ..Record::new(SourceKind::Document, text)
        };
        let written = write::write(&self.db, &self.scope, &Batch::prepare(vec![record], &limit())).await?.remove(0)?;
        self.sources[at] = Some(written.id);
        Ok(())
    }

    async fn claim(&self, worker: i64) -> anyhow::Result<Option<Claim>> {
        Ok(Claims::new(worker).claim(&self.db, self.space.id, 10).await?)
    }

    async fn pending(&self, claim: &Claim) -> anyhow::Result<Vec<Pending>> {
        Ok(vectors::pending_passages(&self.db, self.space.id, claim, &limit()).await?)
    }

    async fn store(
        &self,
        claim: &Claim,
        texts: &[Pending],
        first: f32,
        finished: &[queue::Job],
    ) -> anyhow::Result<Outcome> {
        let mut vector = vec![0.1; DIMENSION];
        vector[0] = first;
        let embedded: Vec<(&Pending, Vec<f32>)> = texts.iter().map(|text| (text, vector.clone())).collect();
        Ok(vectors::store(&self.db, self.space.id, claim, &embedded, finished, None).await?)
    }

    /// Takes the zombie's job from it, once its lease has expired by the database's clock.
    async fn reap(&self) -> anyhow::Result<()> {
        for _ in 0..1_000 {
            if queue::reap(&self.db, self.living).await?.jobs > 0 {
                return Ok(());
            }
        }
        anyhow::bail!("a lease of a millisecond is never over")
    }

    async fn rows(&self) -> anyhow::Result<[String; 4]> {
        let row = self.watcher.query_one(&self.rows, &[]).await?;
        Ok([row.get(0), row.get(1), row.get(2), row.get(3)])
    }
}

fn limit() -> Limit {
    Limit { words: TARGET_WORDS, tokens: 256, count: Arc::new(|text| text.split_whitespace().count() + 2) }
}
