//! Tests of a job's life: it is claimed once, fenced by its token, and never lost.

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Record, SourceKind, Visibility};
use pgrecall_store::queue::{self, Claim, Claims, EmbedderStatus, Next, Promoted, Reaped, Trigger};
use pgrecall_store::triage::{self, Units};
use pgrecall_store::write::{self, Batch};
use pgrecall_store::{corpora, status, vectors};

use crate::fixture::{Fixture, claim_jobs, document, limit, memory, query, unit};

/// Returns the claim that came with the end of other jobs, else the claim that a worker makes next.
///
/// On a busy machine the search from the beginning of the queue is slow, and the worker postpones
/// the next one.
async fn go_on(it: &Fixture, claims: &Claims, beside: Option<Claim>) -> anyhow::Result<Option<Claim>> {
    let mut claim = beside;
    while claim.is_none() {
        claim = claims.claim(&it.db, it.space.id, 2).await?;
        match claims.next_sweep_in() {
            Some(wait) if claim.is_none() => tokio::time::sleep(wait).await,
            _ => break,
        }
    }
    Ok(claim)
}

/// Returns the number of jobs that wait or run, and of those that failed.
async fn open_and_failed(it: &Fixture) -> anyhow::Result<(i64, i64)> {
    let all = status::status(&it.db, &it.scope).await?.all;
    Ok((all.pending + all.running, all.failed))
}

/// Runs a worker's loop behind a transaction pooler, where no statement is prepared.
#[tokio::test]
async fn a_worker_that_may_leave_nothing_in_its_sessions_does_the_same() -> anyhow::Result<()> {
    let it = Fixture::behind_a_pooler().await?;
    it.write((0..6).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claims = Claims::new(worker);
    let next = Some(Next { claims: &claims, limit: 2 });
    let first = claims.claim(&it.db, it.space.id, 2).await?.expect("two");
    let pending = it.pending(&first).await?;
    let vectors: Vec<_> = pending.iter().map(|passage| (passage, unit(0))).collect();
    let outcome = vectors::store(&it.db, it.space.id, &first, &vectors, &first.jobs, next).await?;
    assert_eq!((outcome.stored, outcome.settled), (2, 2));
    let second = go_on(&it, &claims, outcome.next).await?.expect("two more");
    assert!(queue::call_alone(&it.db, second.token, &second.jobs[0]).await?);
    assert_eq!(queue::fail(&it.db, second.token, &second.jobs[0], "refused", "too odd").await?, Some(false));
    // The jitter of the delay can be almost 0.
    it.run_sql(
        "UPDATE index_jobs SET next_run_at = clock_timestamp() + interval '1 hour' WHERE next_run_at IS NOT NULL",
    )
    .await?;
    queue::give_back(&it.db, second.token, &second.jobs[1..]).await?;
    let nothing = vectors::store(&it.db, it.space.id, &second, &[], &[], next).await?;
    assert_eq!(go_on(&it, &claims, nothing.next).await?.map(|claim| claim.jobs.len()), Some(2));
    let status = EmbedderStatus { embedder: "ok", reason: None };
    assert!(queue::heartbeat(&it.db, worker, 60.0, &status).await?);
    assert_eq!(queue::promote(&it.db).await?.jobs, 0);
    queue::leave(&it.db, worker).await?;
    it.embed_all(|_| 0).await?;
    let status = status::status(&it.db, &it.scope).await?;
    assert_eq!((status.all.succeeded, status.all.pending), (5, 1));
    let left = "SELECT (SELECT count(*) FROM pg_prepared_statements), current_setting('role'), current_setting('enable_seqscan')";
    let client = it.db.client().await?;
    let left = client.query_typed(left, &[]).await?;
    assert_eq!((left[0].get(0), left[0].get(1), left[0].get(2)), (0_i64, "none", "on"));
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_claim_is_the_begin_of_the_next() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..5).map(|n| document(&format!("{n}"), &format!("document {n}"))).collect()).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claims = Claims::new(worker);
    let next = Some(Next { claims: &claims, limit: 2 });
    let mut claimed = claims.claim(&it.db, it.space.id, 2).await?;
    it.write_one(document("0", "edited while it runs")).await?;
    let mut ended = Vec::new();
    while let Some(claim) = claimed {
        let outcome = vectors::store(&it.db, it.space.id, &claim, &[], &claim.jobs, next).await?;
        assert_eq!((outcome.settled, outcome.lost), (claim.jobs.len(), 0));
        ended.extend(claim.jobs.iter().map(|job| job.source));
        assert!(outcome.next.as_ref().is_none_or(|next| next.token != claim.token));
        claimed = go_on(&it, &claims, outcome.next).await?;
    }
    assert_eq!(ended.len(), 6, "each of the five, and one again");
    assert_eq!(ended.iter().filter(|source| **source == ended[0]).count(), 2, "the one that was wanted again");
    queue::leave(&it.db, worker).await?;
    it.write_one(document("5", "after it left")).await?;
    assert_eq!(claims.claim(&it.db, it.space.id, 2).await?, None, "nobody claims for a worker that is gone");
    Ok(())
}

#[tokio::test]
async fn two_claims_share_no_job() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..20).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let (a, b) = tokio::join!(claim_jobs(&it.db, worker, it.space.id, 10), claim_jobs(&it.db, worker, it.space.id, 10));
    let (a, b) = (a?.expect("ten"), b?.expect("ten"));
    assert_ne!(a.token, b.token);
    assert_eq!((a.jobs.len(), b.jobs.len()), (10, 10));
    assert!(a.jobs.iter().all(|job| !b.jobs.contains(job)));
    assert_eq!(claim_jobs(&it.db, worker, it.space.id, 10).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_worker_whose_lease_was_reaped_stores_and_settles_nothing() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(memory("a memory")).await?;
    let slow = queue::register(&it.db, "slow", -1.0, false).await?;
    let held = claim_jobs(&it.db, slow, it.space.id, 10).await?.expect("the job");
    let quick = queue::register(&it.db, "quick", 60.0, false).await?;
    assert_eq!(queue::reap(&it.db, quick).await?, Reaped { workers: 1, jobs: 1 });
    let again = claim_jobs(&it.db, quick, it.space.id, 10).await?.expect("the job came back");
    assert!(again.jobs[0].suspect && again.jobs[0].attempts == 0, "{:?}", again.jobs[0]);
    let late = it.embed(&held, |_| 0).await?;
    assert_eq!((late.stored, late.dropped, late.settled, late.lost), (0, 1, 0, 1));
    let status = EmbedderStatus { embedder: "ok", reason: None };
    assert!(!queue::heartbeat(&it.db, slow, 60.0, &status).await?, "its lease row is gone");
    let done = it.embed(&again, |_| 0).await?;
    assert_eq!((done.stored, done.settled), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_edit_during_a_run_runs_the_job_again_and_stores_no_stale_vector() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "before")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = claim_jobs(&it.db, worker, it.space.id, 10).await?.expect("the job");
    let pending = it.pending(&claim).await?;
    it.write_one(document("a", "after")).await?;
    let outcome = vectors::store(&it.db, it.space.id, &claim, &[(&pending[0], unit(0))], &claim.jobs, None).await?;
    assert_eq!((outcome.stored, outcome.dropped, outcome.settled), (0, 1, 1));
    let again = claim_jobs(&it.db, worker, it.space.id, 10).await?.expect("it runs again");
    assert_eq!(it.pending(&again).await?[0].text, "after");
    assert_eq!(it.embed(&again, |_| 0).await?.stored, 1);
    assert_eq!(claim_jobs(&it.db, worker, it.space.id, 10).await?, None);
    Ok(())
}

#[tokio::test]
async fn an_edit_during_the_last_attempt_is_tried_whatever_becomes_of_that() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "bad")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    for attempt in 1..queue::MAX_ATTEMPTS {
        assert_eq!(it.fail_next(worker, "refused").await?, Some(false), "attempt {attempt}");
        it.run_sql("UPDATE index_jobs SET next_run_at = NULL").await?;
    }
    let last = claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("the last attempt");
    assert_eq!(last.jobs[0].attempts, queue::MAX_ATTEMPTS - 1);
    it.write_one(document("a", "better")).await?;
    assert_eq!(queue::fail(&it.db, last.token, &last.jobs[0], "refused", "too odd").await?, Some(false));
    let claim = claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("the edit is tried at once");
    assert_eq!(claim.jobs[0].attempts, 0);
    assert_eq!(it.embed(&claim, |_| 0).await?.settled, 1);
    Ok(())
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_parked_and_what_was_beside_it_is_not() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![memory("innocent"), memory("poison"), memory("innocent too")]).await?;
    let reaper = queue::register(&it.db, "reaper", 60.0, false).await?;
    for crash in 1..=queue::MAX_ATTEMPTS {
        let dying = queue::register(&it.db, "dying", -1.0, false).await?;
        let claim = claim_jobs(&it.db, dying, it.space.id, 10).await?.expect("they are still tried");
        assert!(claim.jobs.iter().all(|job| job.suspect == (crash > 1)), "{claim:?}");
        if crash > 1 {
            // The worker embeds suspects alone, and crashes in the call of the second one every
            // time.
            assert!(queue::call_alone(&it.db, claim.token, &it.job(&claim, "poison").await?).await?);
        }
        assert_eq!(queue::reap(&it.db, reaper).await?, Reaped { workers: 1, jobs: 3 });
    }
    let rest = claim_jobs(&it.db, reaper, it.space.id, 10).await?.expect("the innocent ones");
    assert_eq!(rest.jobs.len(), 2);
    assert_eq!(it.embed(&rest, |_| 0).await?.settled, 2);
    assert_eq!(open_and_failed(&it).await?, (0, 1));
    let failing = triage::list(&it.db, &it.scope, false, 10).await?;
    assert_eq!((failing.len(), failing[0].class.as_str(), failing[0].state.as_str()), (1, "crash", "parked"));
    assert!(failing[0].next_try_at.is_some());
    Ok(())
}

#[tokio::test]
async fn a_crash_outside_any_call_alone_counts_against_the_whole_claim() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![memory("one"), memory("two")]).await?;
    let reaper = queue::register(&it.db, "reaper", 60.0, false).await?;
    for _ in 0..queue::MAX_ATTEMPTS {
        let dying = queue::register(&it.db, "dying", -1.0, false).await?;
        claim_jobs(&it.db, dying, it.space.id, 10).await?.expect("they are still tried");
        queue::reap(&it.db, reaper).await?;
    }
    assert_eq!(claim_jobs(&it.db, reaper, it.space.id, 10).await?, None, "nothing is retried without a limit");
    assert_eq!(open_and_failed(&it).await?, (0, 2));
    Ok(())
}

#[tokio::test]
async fn a_job_is_parked_after_its_attempts_and_for_twice_as_long_when_it_fails_again() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "bad")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    for attempt in 1..=queue::MAX_ATTEMPTS {
        assert_eq!(it.fail_next(worker, "refused").await?, Some(attempt == queue::MAX_ATTEMPTS));
        if attempt < queue::MAX_ATTEMPTS {
            it.run_sql("UPDATE index_jobs SET next_run_at = clock_timestamp()").await?;
            assert_eq!(queue::promote(&it.db).await?, Promoted { jobs: 1, next_in: None });
        }
    }
    let mut waits = vec![queue::promote(&it.db).await?.next_in.expect("it is parked")];
    for _ in 0..5 {
        it.run_sql("UPDATE index_jobs SET next_run_at = clock_timestamp()").await?;
        assert_eq!(queue::promote(&it.db).await?.jobs, 1);
        assert_eq!(it.fail_next(worker, "refused").await?, Some(true), "one try, and it is parked again");
        waits.push(queue::promote(&it.db).await?.next_in.expect("it is parked"));
    }
    let minutes: Vec<f64> = waits.iter().map(|seconds| (seconds / 60.0).ceil()).collect();
    assert_eq!(minutes, [30.0, 60.0, 120.0, 240.0, 360.0, 360.0]);
    let failing = triage::list(&it.db, &it.scope, false, 10).await?;
    assert_eq!((failing[0].occurrences, failing[0].state.as_str()), (10, "parked"));
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?.found, 0, "parked is not forgotten");
    Ok(())
}

#[tokio::test]
async fn a_success_resolves_the_failure_and_a_new_failure_begins_anew() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "bad")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    it.fail_next(worker, "refused").await?;
    it.write_one(document("a", "good")).await?;
    assert_eq!(triage::list(&it.db, &it.scope, false, 10).await?.len(), 1, "an edit alone resolves nothing");
    it.embed_all(|_| 0).await?;
    assert_eq!(triage::list(&it.db, &it.scope, false, 10).await?, []);
    let kept = triage::list(&it.db, &it.scope, true, 10).await?;
    assert_eq!((kept[0].state.as_str(), kept[0].occurrences), ("resolved", 1));
    it.write_one(document("a", "bad again")).await?;
    it.fail_next(worker, "too_long").await?;
    let failing = triage::list(&it.db, &it.scope, false, 10).await?;
    assert_eq!(
        (failing[0].state.as_str(), failing[0].class.as_str(), failing[0].occurrences),
        ("retrying", "too_long", 1)
    );
    assert!(failing[0].last_success_at.is_some());
    Ok(())
}

#[tokio::test]
async fn what_is_dismissed_is_left_alone_until_it_is_written_or_reindexed() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![document("a", "bad"), document("b", "bad too"), document("c", "fine")]).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    it.fail_next(worker, "refused").await?;
    it.fail_next(worker, "refused").await?;
    it.embed_all(|_| 0).await?;
    assert_eq!(triage::dismiss(&it.db, &it.scope, &Units::Named(vec!["a".into(), "c".into()])).await?, 1);
    assert_eq!(triage::dismiss(&it.db, &it.scope, &Units::All).await?, 1);
    assert_eq!(triage::list(&it.db, &it.scope, false, 10).await?, []);
    let status = status::status(&it.db, &it.scope).await?;
    assert_eq!((status.all.failed, status.all.pending, status.all.succeeded), (0, 0, 1));
    it.run_sql("UPDATE index_jobs SET next_run_at = clock_timestamp() WHERE next_run_at < 'infinity'").await?;
    assert_eq!(queue::promote(&it.db).await?, Promoted { jobs: 0, next_in: None });
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?.found, 0);

    it.write_one(document("a", "better")).await?;
    assert_eq!(triage::reindex(&it.db, &it.scope, &Units::Gaps).await?, 1, "the other one");
    it.embed_all(|_| 0).await?;
    assert_eq!(status::status(&it.db, &it.scope).await?.all.coverage, 1.0);
    assert_eq!(triage::list(&it.db, &it.scope, true, 10).await?.iter().filter(|f| f.state == "resolved").count(), 2);
    Ok(())
}

#[tokio::test]
async fn a_reindex_makes_vectors_anew_that_are_there() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![document("a", "one"), document("b", "two"), memory("three")]).await?;
    it.embed_all(|_| 0).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    assert_eq!(triage::reindex(&it.db, &it.scope, &Units::Gaps).await?, 0);
    for (units, expected) in
        [(Units::Named(vec!["b".into()]), 1), (Units::Kind(SourceKind::Document), 2), (Units::All, 3)]
    {
        assert_eq!(triage::reindex(&it.db, &it.scope, &units).await?, expected, "{units:?}");
        let claim = claim_jobs(&it.db, worker, it.space.id, 10).await?.expect("jobs");
        let outcome = it.embed(&claim, |_| 3).await?;
        assert_eq!((outcome.stored, outcome.settled), (expected as i64, expected as usize), "{units:?}");
    }
    it.write_one(document("a", "edited")).await?;
    let running = claim_jobs(&it.db, worker, it.space.id, 10).await?.expect("the edit");
    assert_eq!(triage::reindex(&it.db, &it.scope, &Units::Named(vec!["a".into()])).await?, 1);
    it.embed(&running, |_| 3).await?;
    let again = claim_jobs(&it.db, worker, it.space.id, 10).await?.expect("the reindex");
    assert_eq!(it.embed(&again, |_| 3).await?.stored, 1, "what was asked for during a run is done after it");
    let stranger = crate::fixture::scope("other", "bob");
    assert_eq!(triage::reindex(&it.db, &stranger, &Units::All).await?, 0);
    Ok(())
}

#[tokio::test]
async fn claims_go_on_at_their_mark_and_still_find_what_was_given_back() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..6).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claims = Claims::new(worker);
    let mut taken = Vec::new();
    let first = claims.claim(&it.db, it.space.id, 2).await?.expect("two");
    let second = claims.claim(&it.db, it.space.id, 2).await?.expect("two more");
    queue::give_back(&it.db, first.token, &first.jobs).await?;
    while let Some(claim) = go_on(&it, &claims, None).await? {
        taken.extend(claim.jobs.iter().map(|job| job.source));
    }
    taken.extend(second.jobs.iter().map(|job| job.source));
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 6, "none is passed over, and none is claimed twice");
    Ok(())
}

#[tokio::test]
async fn what_was_not_the_jobs_fault_costs_no_attempt() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(memory("patient")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    for _ in 0..10 {
        let claim = claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("the job");
        assert_eq!(claim.jobs[0].attempts, 0);
        queue::give_back(&it.db, claim.token, &claim.jobs).await?;
    }
    claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("the job");
    queue::leave(&it.db, worker).await?;
    let next = queue::register(&it.db, "next", 60.0, false).await?;
    let claim = claim_jobs(&it.db, next, it.space.id, 1).await?.expect("leaving gave it back");
    assert!(claim.jobs[0].attempts == 0 && !claim.jobs[0].suspect);
    Ok(())
}

#[tokio::test]
async fn a_failure_waits_and_a_new_write_clears_the_wait() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "bad")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("the job");
    assert_eq!(queue::fail(&it.db, claim.token, &claim.jobs[0], "refused", "too odd").await?, Some(false));
    assert_eq!(queue::fail(&it.db, claim.token, &claim.jobs[0], "refused", "twice").await?, None, "fenced");
    it.write_one(document("a", "better")).await?;
    let claim = claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("ready at once");
    assert_eq!(claim.jobs[0].attempts, 0);
    Ok(())
}

#[tokio::test]
async fn what_was_written_anew_is_tried_even_when_its_failure_is_dismissed() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(document("a", "bad")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    it.fail_next(worker, "refused").await?;
    it.write_one(document("a", "good")).await?;
    // A worker's crash must not count against the new text either.
    let dying = queue::register(&it.db, "dying", -1.0, false).await?;
    claim_jobs(&it.db, dying, it.space.id, 1).await?.expect("the new text");
    assert_eq!(queue::reap(&it.db, worker).await?, Reaped { workers: 1, jobs: 1 });
    assert_eq!(triage::dismiss(&it.db, &it.scope, &Units::All).await?, 1);
    assert_eq!(triage::list(&it.db, &it.scope, false, 10).await?, []);
    it.embed_all(|_| 0).await?;
    assert_eq!(status::status(&it.db, &it.scope).await?.all.coverage, 1.0);
    Ok(())
}

// A status must not reveal the number of records that the caller may not read, nor the names of
// workers.
#[tokio::test]
async fn a_status_counts_what_the_caller_reads_and_names_no_worker() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let other = Scope { owner: "another".into(), ..it.scope.clone() };
    let shared = Record { visibility: Visibility::Tenant, ..memory("for all of us") };
    write::write(&it.db, &other, &Batch::prepare(vec![memory("mine"), memory("mine too"), shared], &limit())).await?;
    it.embed_all(|_| 0).await?;
    it.write_one(memory("on its way")).await?;
    let (one, two) = (status::status(&it.db, &it.scope).await?, status::status(&it.db, &other).await?);
    assert_eq!((one.all.succeeded, one.all.pending, one.all.coverage), (1, 1, 0.5));
    assert_eq!((two.all.succeeded, two.all.pending, two.all.coverage), (3, 0, 1.0));
    assert_eq!((one.verdict, two.verdict), (status::Verdict::WaitingForModel, status::Verdict::Healthy));
    assert_eq!((two.all.running, two.all.failed), (0, 0), "what waits is nobody's business but its owner's");
    assert_eq!(one.workers[0].name, "test");
    assert!(!serde_json::to_string(&one)?.contains("test"), "a caller is told a worker's name");
    Ok(())
}

#[tokio::test]
async fn a_long_reader_of_the_history_keeps_nobody_waiting_for_its_next_day() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let partitions = async || {
        let client = it.db.client().await?;
        let counted = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'pgrecall.index_job_history'::regclass";
        anyhow::Ok(client.query_typed(counted, &[]).await?[0].get::<_, i64>(0))
    };
    corpora::retain(&it.db, 14).await?;
    let all = partitions().await?;
    let drop_tomorrow = "DO $$ BEGIN EXECUTE 'DROP TABLE index_job_history_' || to_char(timezone('UTC', now()) + interval '1 day', 'YYYYMMDD'); END $$";
    it.run_sql(drop_tomorrow).await?;
    let (mut reader, connection) = it.db.dsn().connect().await?;
    let _serving = pgrecall_process::tasks::connection("test", connection);
    let reading = reader.transaction().await?;
    reading.batch_execute("SELECT FROM pgrecall.index_job_history LIMIT 1").await?;
    assert_eq!(corpora::retain(&it.db, 14).await?, 0);
    assert_eq!(partitions().await?, all - 1, "the reader was in the way");
    reading.commit().await?;
    corpora::retain(&it.db, 14).await?;
    assert_eq!(partitions().await?, all);
    Ok(())
}

#[tokio::test]
async fn the_reconciler_goes_round_in_slices_and_workers_share_the_round() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..10).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    it.run_sql(&format!("DELETE FROM vectors_{}", it.space.id.0)).await?;
    let step = async || queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 4).await;
    let mut round = Vec::new();
    for _ in 0..3 {
        let step = step().await?;
        round.push((step.found, step.ended));
    }
    assert_eq!(round, [(4, false), (4, false), (2, true)]);
    it.embed_all(|_| 0).await?;
    let (a, b) = tokio::join!(step(), step());
    assert_eq!((a?.found, b?.found), (0, 0));
    // A worker that does not get the turn has checked nothing, so it must not take the space for
    // complete.
    let (mut other, connection) = it.db.dsn().connect().await?;
    let _serving = pgrecall_process::tasks::connection("test", connection);
    let at_it = other.transaction().await?;
    at_it.batch_execute("SELECT FROM pgrecall.embedding_spaces FOR NO KEY UPDATE").await?;
    let step = step().await?;
    assert_eq!((step.found, step.ended, step.had_turn), (0, false, false));
    Ok(())
}

#[tokio::test]
async fn the_reconciler_finds_what_has_no_vector_and_no_job() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![memory("one"), memory("two")]).await?;
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?.found, 0, "both have their jobs");
    it.embed_all(|_| 0).await?;
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?.found, 0, "both have their vectors");
    it.run_sql(&format!("DELETE FROM vectors_{}", it.space.id.0)).await?;
    assert_eq!(queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?.found, 2);
    it.embed_all(|_| 0).await?;
    let status = status::status(&it.db, &it.scope).await?;
    assert_eq!((status.all.coverage, status.all.succeeded, status.all.pending), (1.0, 2, 0));
    assert_eq!(it.recall_by(&query("one", SourceKind::Memory), 0).await?.hits.len(), 2);
    Ok(())
}
