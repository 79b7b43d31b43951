//! Tests of the queue's order: a fresh record comes before any backlog, and flows share equally.

use std::collections::BTreeMap;

use pgrecall_postgres::db::{Scope, Transaction};
use pgrecall_record::source::SourceKind;
use pgrecall_store::queue::{self, Claim, Claims, Flows};

use crate::fixture::{Fixture, claim_jobs, memory, scope};

/// Enqueues documents of a caller as an import does, fifty in a transaction. The documents have no
/// passages: to settle their jobs is all that there is to do.
async fn import(it: &Fixture, scope: &Scope, first: i64, documents: i64, passages: i32) -> anyhow::Result<()> {
    let Scope { tenant, owner, .. } = scope;
    let sources = format!(
        "INSERT INTO sources (id, tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags, entity_urns,
                              content_hash, words)
         OVERRIDING SYSTEM VALUE
         SELECT n, '{tenant}', 'document', gen_random_uuid(), '{owner}', 'private', '', '', 'plain', '{{}}', '{{}}', '{{}}',
                sha256(n::text::bytea), 0
         FROM generate_series({first}, {}) n",
        first + documents - 1
    );
    it.run_sql(&sources).await?;
    for first in (first..first + documents).step_by(50) {
        let units = (first..first + 50).map(|source| (source, SourceKind::Document, passages));
        let flows = Flows { scope, in_bulk: true };
        let enqueue = async |mut transaction: Transaction| queue::enqueue(&mut transaction, flows, units).await;
        it.db.run_once(scope, enqueue).await?;
    }
    Ok(())
}

/// The first source of each caller's documents.
const ANAS: i64 = 1_000_000;
const BOBS: i64 = 2_000_000;
const CARLS: i64 = 3_000_000;

fn passages_by_owner(claim: &Claim) -> BTreeMap<i64, i32> {
    let mut owners = BTreeMap::new();
    for job in &claim.jobs {
        *owners.entry(job.source / 1_000_000 * 1_000_000).or_default() += job.passages;
    }
    owners
}

#[tokio::test]
async fn a_memory_is_claimed_next_while_500_documents_and_anothers_5000_wait() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    import(&it, &it.scope, ANAS, 500, 3).await?;
    import(&it, &scope("acme", "bob"), BOBS, 5_000, 4).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claims = Claims::new(worker).of_at_most(512);
    for n in 0..5 {
        it.write_one(memory(&format!("fresh {n}"))).await?;
        // While all loops are busy, it comes in between, and besides it at most the last documents of
        // a bulk write.
        let ahead = claims.claim_ahead(&it.db, it.space.id, 32).await?.expect("the memory");
        assert_eq!(it.pending(&ahead).await?[0].text, format!("fresh {n}"));
        assert!(ahead.jobs.len() <= 3, "{ahead:?}");
        it.embed(&ahead, |_| 0).await?;
        assert_eq!(claims.claim_ahead(&it.db, it.space.id, 32).await?, None);

        it.write_one(memory(&format!("also fresh {n}"))).await?;
        let claim = claims.claim(&it.db, it.space.id, 3).await?.expect("three");
        assert_eq!(it.pending(&claim).await?[0].text, format!("also fresh {n}"));
        assert!(claim.jobs.iter().any(|job| job.is_single && job.source < ANAS), "{claim:?}");
        let owners = passages_by_owner(&claims.claim(&it.db, it.space.id, 128).await?.expect("a hundred"));
        assert!(owners[&ANAS].abs_diff(owners[&BOBS]) <= 8, "{owners:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_has_a_bounded_number_of_passages_and_a_large_job_is_claimed_alone() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    import(&it, &it.scope, ANAS, 50, 100).await?;
    import(&it, &scope("acme", "bob"), BOBS, 50, 2_000).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claims = Claims::new(worker).of_at_most(512);
    let mut all = 0;
    while let Some(claim) = claims.claim(&it.db, it.space.id, 128).await? {
        let passages: i32 = claim.jobs.iter().map(|job| job.passages).sum();
        let last = claim.jobs.iter().map(|job| job.passages).max().expect("a job");
        assert!(passages - last < 512, "{passages} passages");
        all += claim.jobs.len();
    }
    assert_eq!(all, 100);
    Ok(())
}

#[tokio::test]
async fn a_caller_who_comes_later_shares_from_then_on() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    import(&it, &it.scope, ANAS, 200, 2).await?;
    import(&it, &scope("other", "bob"), BOBS, 200, 3).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claims = Claims::new(worker);
    let owners = passages_by_owner(&claims.claim(&it.db, it.space.id, 50).await?.expect("fifty"));
    assert!(owners[&ANAS].abs_diff(owners[&BOBS]) <= 6, "{owners:?}");
    import(&it, &scope("acme", "carl"), CARLS, 50, 1).await?;
    let owners = passages_by_owner(&claims.claim(&it.db, it.space.id, 50).await?.expect("fifty"));
    assert!(owners[&CARLS].abs_diff(owners[&BOBS]) <= 6 && owners[&CARLS].abs_diff(owners[&ANAS]) <= 6, "{owners:?}");
    Ok(())
}

// A caller who waits for each record before the next one must not be served alone.
#[tokio::test]
async fn one_record_after_the_other_does_not_starve_the_documents() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    import(&it, &scope("acme", "bob"), BOBS, 50, 2).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let mut documents = 0;
    for n in 0..30 {
        it.write_one(memory(&format!("memory {n}"))).await?;
        loop {
            let claim = claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("the memory, at least");
            it.embed(&claim, |_| 0).await?;
            if claim.jobs[0].source < ANAS {
                break;
            }
            documents += 1;
        }
    }
    assert!((14..=31).contains(&documents), "{documents} documents of two passages, and 30 memories of one");
    Ok(())
}

#[tokio::test]
async fn a_second_edit_keeps_the_place_of_the_first() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let [one, two] = [crate::fixture::document("one", "text"), crate::fixture::document("two", "text")];
    it.write_one(one).await?;
    it.write_one(two).await?;
    it.write_one(crate::fixture::document("one", "edited")).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let texts = ["edited", "text"];
    for text in texts {
        let claim = claim_jobs(&it.db, worker, it.space.id, 1).await?.expect("a job");
        assert_eq!(it.pending(&claim).await?[0].text, text);
    }
    Ok(())
}

/// The statements of the previous version, which may run while the programs are replaced.
const ENQUEUE_33: &str = "
    INSERT INTO index_jobs AS job (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total)
    SELECT 'acme', 'memory', n, $1, 'write', clock_timestamp() + n * interval '1 microsecond', 1 FROM generate_series(5000001, 5000010) n
    ON CONFLICT (source, space) DO UPDATE SET wanted = job.wanted + 1, order_key = least(job.order_key, excluded.order_key)";
const CLAIM_33: &str = "
    WITH next AS MATERIALIZED (
        SELECT ctid FROM index_jobs WHERE space = $1 AND status = 'pending' AND next_run_at IS NULL AND order_key >= '-infinity'
        ORDER BY order_key, source LIMIT $2 FOR UPDATE SKIP LOCKED)
    UPDATE index_jobs SET status = 'running', worker = 1, lease_token = 1, started_at = clock_timestamp(), items_done = 0
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM next)) RETURNING source";

#[tokio::test]
async fn programs_of_the_previous_version_enqueue_and_claim_beside_this_one() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let (old, connection) = it.db.dsn().connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    old.batch_execute("SET search_path = pgrecall, public").await?;
    let space = it.space.id.0;
    it.write_one(memory("of the new program")).await?;
    old.execute(ENQUEUE_33, &[&space]).await?;
    import(&it, &it.scope, ANAS, 50, 2).await?;
    let taken = old.query(CLAIM_33, &[&space, &1_i64]).await?;
    assert!(taken[0].get::<_, i64>(0) < ANAS, "the old worker claims in the new order");
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let mut sources = Vec::new();
    while let Some(claim) = claim_jobs(&it.db, worker, it.space.id, 7).await? {
        sources.extend(claim.jobs.iter().map(|job| job.source));
    }
    assert_eq!(sources.len(), 60, "all that the old and the new program enqueued");
    it.write_one(memory("later")).await?;
    assert!(claim_jobs(&it.db, worker, it.space.id, 1).await?.is_some());
    drop(old);
    serving.await?;
    Ok(())
}
