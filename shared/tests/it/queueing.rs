//! A job's life: claimed once, fenced by its token, never lost.

use shared::queue::{self, Reaped, Standing, Trigger};
use shared::source::SourceKind;
use shared::{status, store};

use crate::fixture::{Fixture, document, memory, query, unit};

#[tokio::test]
async fn two_claims_share_no_job() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..20).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let (a, b) =
        tokio::join!(queue::claim(&it.db, worker, it.space.id, 10), queue::claim(&it.db, worker, it.space.id, 10));
    let (a, b) = (a?.expect("ten"), b?.expect("ten"));
    assert_ne!(a.token, b.token);
    assert_eq!((a.jobs.len(), b.jobs.len()), (10, 10));
    assert!(a.jobs.iter().all(|job| !b.jobs.contains(job)));
    assert_eq!(queue::claim(&it.db, worker, it.space.id, 10).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_worker_whose_lease_was_reaped_stores_and_settles_nothing() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(memory("a memory")).await?;
    let slow = queue::register(&it.db, "slow", -1.0, false).await?;
    let held = queue::claim(&it.db, slow, it.space.id, 10).await?.expect("the job");
    let quick = queue::register(&it.db, "quick", 60.0, false).await?;
    assert_eq!(queue::reap(&it.db, quick).await?, Reaped { workers: 1, jobs: 1 });
    let again = queue::claim(&it.db, quick, it.space.id, 10).await?.expect("the job came back");
    assert_eq!(again.jobs[0].attempts, 2);
    let late = it.embed(&held, |_| 0).await?;
    assert_eq!((late.stored, late.dropped, late.settled, late.lost), (0, 1, 0, 1));
    let standing = Standing { embedder: "ok", reason: None };
    assert!(!queue::heartbeat(&it.db, slow, 60.0, &standing).await?, "its lease row is gone");
    let done = it.embed(&again, |_| 0).await?;
    assert_eq!((done.stored, done.settled), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_edit_during_a_run_runs_the_job_again_and_stores_no_stale_vector() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "before")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = queue::claim(&it.db, worker, it.space.id, 10).await?.expect("the job");
    let pending = it.pending(&claim).await?;
    it.write_one(document("a", "after")).await?;
    let outcome = store::store(&it.db, it.space.id, &claim, &[(&pending[0], unit(0))], &claim.jobs).await?;
    assert_eq!((outcome.stored, outcome.dropped, outcome.settled), (0, 1, 1));
    let again = queue::claim(&it.db, worker, it.space.id, 10).await?.expect("it runs again");
    assert_eq!(it.pending(&again).await?[0].text, "after");
    assert_eq!(it.embed(&again, |_| 0).await?.stored, 1);
    assert_eq!(queue::claim(&it.db, worker, it.space.id, 10).await?, None);
    Ok(())
}

#[tokio::test]
async fn an_edit_during_the_last_attempt_is_tried_whatever_becomes_of_that() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "bad")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    // Backed off attempts cannot be waited for here: those that die with their worker are ready at once.
    for _ in 1..queue::MAX_ATTEMPTS {
        let dying = queue::register(&it.db, "dying", -1.0, false).await?;
        queue::claim(&it.db, dying, it.space.id, 1).await?.expect("the job is still tried");
        queue::reap(&it.db, worker).await?;
    }
    let last = queue::claim(&it.db, worker, it.space.id, 1).await?.expect("the last attempt");
    assert_eq!(last.jobs[0].attempts, queue::MAX_ATTEMPTS);
    it.write_one(document("a", "better")).await?;
    assert_eq!(queue::fail(&it.db, last.token, &last.jobs[0], "refused", "too odd").await?, Some(false));
    it.write_one(document("a", "better still")).await?;
    let claim = queue::claim(&it.db, worker, it.space.id, 1).await?.expect("the edit is tried");
    assert_eq!(claim.jobs[0].attempts, 1);
    it.write_one(document("a", "best")).await?;
    queue::give_back(&it.db, claim.token, &claim.jobs).await?;
    let claim = queue::claim(&it.db, worker, it.space.id, 1).await?.expect("given back with no attempt below none");
    assert_eq!((claim.jobs[0].attempts, it.embed(&claim, |_| 0).await?.settled), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_buried_after_its_attempts() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(memory("poison")).await?;
    let reaper = queue::register(&it.db, "reaper", 60.0, false).await?;
    for _ in 0..queue::MAX_ATTEMPTS {
        let dying = queue::register(&it.db, "dying", -1.0, false).await?;
        queue::claim(&it.db, dying, it.space.id, 1).await?.expect("the job is still tried");
        queue::reap(&it.db, reaper).await?;
    }
    assert_eq!(queue::claim(&it.db, reaper, it.space.id, 1).await?, None);
    assert_eq!(status::open_jobs(&it.db, &it.scope).await?, (0, 1));
    Ok(())
}

#[tokio::test]
async fn what_was_not_the_jobs_fault_costs_no_attempt() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(memory("patient")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    for _ in 0..10 {
        let claim = queue::claim(&it.db, worker, it.space.id, 1).await?.expect("the job");
        assert_eq!(claim.jobs[0].attempts, 1);
        queue::give_back(&it.db, claim.token, &claim.jobs).await?;
    }
    queue::claim(&it.db, worker, it.space.id, 1).await?.expect("the job");
    queue::leave(&it.db, worker).await?;
    let next = queue::register(&it.db, "next", 60.0, false).await?;
    let claim = queue::claim(&it.db, next, it.space.id, 1).await?.expect("leaving gave it back");
    assert_eq!(claim.jobs[0].attempts, 1);
    Ok(())
}

#[tokio::test]
async fn a_failure_waits_and_a_new_write_clears_the_wait() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "bad")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = queue::claim(&it.db, worker, it.space.id, 1).await?.expect("the job");
    assert_eq!(queue::fail(&it.db, claim.token, &claim.jobs[0], "refused", "too odd").await?, Some(false));
    assert_eq!(queue::fail(&it.db, claim.token, &claim.jobs[0], "refused", "twice").await?, None, "fenced");
    it.write_one(document("a", "better")).await?;
    let claim = queue::claim(&it.db, worker, it.space.id, 1).await?.expect("ready at once");
    assert_eq!(claim.jobs[0].attempts, 1);
    Ok(())
}

#[tokio::test]
async fn the_reconciler_finds_what_has_no_vector_and_no_job() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![memory("one"), memory("two")]).await?;
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?, 0, "both have their jobs");
    it.embed_all(|_| 0).await?;
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?, 0, "both have their vectors");
    let (client, connection) = it.db.dsn().connect().await?;
    let serving = shared::tasks::connection("test", connection);
    client.batch_execute(&format!("DELETE FROM pgrecall.vectors_{}", it.space.id.0)).await?;
    drop(client);
    serving.await?;
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?, 2);
    it.embed_all(|_| 0).await?;
    let status = status::status(&it.db, &it.scope).await?;
    assert_eq!((status.all.coverage, status.all.succeeded, status.all.pending), (1.0, 2, 0));
    assert_eq!(it.recall_by(&query("one", SourceKind::Memory), 0).await?.hits.len(), 2);
    Ok(())
}
