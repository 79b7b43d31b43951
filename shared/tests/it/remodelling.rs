//! Tests of a change of model: the target space is filled and indexed, the cutover, and taking it
//! back.

use std::time::Duration;

use pgrecall_embedder::{ModelId, Provider};
use pgrecall_postgres::db::Role;
use pgrecall_record::source::SourceKind;
use pgrecall_store::queue::{self, Trigger};
use pgrecall_store::spaces::{self, Space};
use pgrecall_store::triage::{self, Units};
use pgrecall_store::{status, vectors};

use crate::fixture::{DIMENSION, Fixture, claim_jobs, document, memory, query, texts};

const OTHER: usize = DIMENSION + 8;

fn model(name: &str) -> ModelId {
    ModelId::new(Provider::Local, None, name)
}

/// Fills a space as a worker does, with vectors of its dimension.
async fn fill(it: &Fixture, space: &Space, dimension: usize) -> anyhow::Result<()> {
    while !queue::reconcile(&it.db, space, Trigger::Rebuild, 100).await?.ended {}
    let worker = queue::register(&it.db, "filler", 60.0, false).await?;
    while let Some(claim) = claim_jobs(&it.db, worker, space.id, 100).await? {
        let pending = vectors::pending_passages(&it.db, space.id, &claim, &crate::fixture::limit()).await?;
        let vector = |n: usize| (0..dimension).map(|place| if place == n % dimension { 1.0 } else { 0.01 }).collect();
        let embedded: Vec<_> = pending.iter().enumerate().map(|(n, passage)| (passage, vector(n))).collect();
        vectors::store(&it.db, space.id, &claim, &embedded, &claim.jobs, None).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_new_space_is_filled_indexed_and_switched_to_and_the_old_one_dropped_or_taken_up_again() -> anyhow::Result<()>
{
    let it = Fixture::new().await?;
    it.write((0..30).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;

    let next = spaces::ensure(&it.db, &Role::Worker, &model("another")).await?;
    let next = spaces::learn_dimension(&it.db, &next, OTHER).await?;
    assert!(!next.active && next.id != it.space.id);
    let said = status::status(&it.db, &it.scope).await?;
    assert_eq!(said.all.coverage, 1.0, "of the space that answers");
    assert_eq!(said.next_model.map(|next| (next.model, next.coverage)), Some(("local/another".into(), 0.0)));
    assert_eq!(it.recall_by(&query("memory", SourceKind::Memory), 0).await?.hits.len(), 10, "the old one answers");

    it.write(vec![memory("written during the change")]).await?;
    fill(&it, &next, OTHER).await?;
    assert!(spaces::mark_if_complete(&it.db, &next).await?);
    assert!(spaces::index::build(it.db.dsn(), &it.db, &next).await?);
    assert!(spaces::index::build(it.db.dsn(), &it.db, &next).await?, "there is nothing left to build");
    spaces::switch_to(&it.db, &next).await?;
    let said = status::status(&it.db, &it.scope).await?;
    assert_eq!((said.model.as_deref(), said.dimension), (Some("local/another"), Some(OTHER as i32)));
    assert_eq!((said.all.coverage, said.all.pending, said.next_model), (1.0, 0, None));

    // The old model is configured again: its vectors still exist, and only later writes are
    // missing.
    let again = spaces::ensure(&it.db, &Role::Worker, &model("by-hand")).await?;
    assert_eq!((again.id, again.dimension), (it.space.id, Some(DIMENSION as i32)));
    fill(&it, &again, DIMENSION).await?;
    assert!(
        spaces::mark_if_complete(&it.db, &again).await? && spaces::index::build(it.db.dsn(), &it.db, &again).await?
    );
    spaces::switch_to(&it.db, &again).await?;
    let found = it.recall_by(&query("written during the change", SourceKind::Memory), 0).await?;
    assert_eq!(texts(&found)[0], "written during the change");

    assert_eq!(spaces::drop_retired(&it.db, Duration::from_secs(3_600)).await?, 0, "it is kept for a while");
    assert_eq!(spaces::drop_retired(&it.db, Duration::ZERO).await?, 1);
    assert_eq!(spaces::read(&it.db, next.id).await?, None);
    it.write(vec![memory("the tables' triggers still work")]).await?;
    it.embed_all(|_| 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_model_at_another_length_is_another_and_at_its_own_length_the_same() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let at = |asked| ModelId { dimensions: Some(asked), ..model("by-hand") };
    let shorter = spaces::ensure(&it.db, &Role::Worker, &at(DIMENSION / 2)).await?;
    assert_ne!(shorter.id, it.space.id);
    assert_eq!(shorter.model, at(DIMENSION / 2));
    assert_eq!(spaces::read(&it.db, it.space.id).await?.map(|space| space.model), Some(model("by-hand")));
    assert_eq!(spaces::ensure(&it.db, &Role::Worker, &at(DIMENSION / 2)).await?.id, shorter.id);
    let own = spaces::ensure(&it.db, &Role::Worker, &at(DIMENSION)).await?;
    assert_eq!((own.id, own.model, own.active), (it.space.id, model("by-hand"), true));
    let unasked = spaces::ensure(&it.db, &Role::Worker, &model("by-hand")).await?;
    assert_eq!(unasked.id, it.space.id, "and back again");

    // An older schema did not record the requested dimension.
    it.run_sql("UPDATE embedding_spaces SET asked_dimension = -1 WHERE state = 'active'").await?;
    let own = spaces::ensure(&it.db, &Role::Worker, &at(DIMENSION)).await?;
    assert_eq!((own.id, own.model), (it.space.id, at(DIMENSION)));
    Ok(())
}

#[tokio::test]
async fn a_space_is_not_whole_while_its_rebuild_is_open_and_is_while_fresh_writes_come_and_go() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..300).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    let next = spaces::ensure(&it.db, &Role::Worker, &model("another")).await?;
    let next = spaces::learn_dimension(&it.db, &next, OTHER).await?;
    queue::reconcile(&it.db, &next, Trigger::Rebuild, 1_000).await?;
    assert!(!spaces::mark_if_complete(&it.db, &next).await?);
    fill(&it, &next, OTHER).await?;
    it.write(vec![memory("one on its way"), memory("and one more")]).await?;
    assert!(spaces::mark_if_complete(&it.db, &next).await?, "the space that answers waits for them too");
    it.embed_all(|_| 0).await?;
    assert!(spaces::mark_if_complete(&it.db, &next).await?, "they are less than a hundredth");
    it.write((0..9).map(|n| memory(&format!("late {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    assert!(!spaces::mark_if_complete(&it.db, &next).await?);
    Ok(())
}

#[tokio::test]
async fn a_space_that_is_empty_is_not_whole_because_everything_is_reindexed() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..30).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    let next = spaces::ensure(&it.db, &Role::Worker, &model("another")).await?;
    let next = spaces::learn_dimension(&it.db, &next, OTHER).await?;
    assert_eq!(triage::reindex(&it.db, &it.scope, &Units::All).await?, 30);
    assert_eq!(queue::reconcile(&it.db, &next, Trigger::Rebuild, 1_000).await?.found, 0, "all of them have a job");
    assert!(!spaces::mark_if_complete(&it.db, &next).await?, "as many wait in the space that answers");
    fill(&it, &next, OTHER).await?;
    assert!(spaces::mark_if_complete(&it.db, &next).await?);
    Ok(())
}

#[tokio::test]
async fn what_a_third_space_waits_for_makes_no_other_whole() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..30).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    let third = spaces::ensure(&it.db, &Role::Worker, &model("given up")).await?;
    assert_eq!(queue::reconcile(&it.db, &third, Trigger::Rebuild, 100).await?.found, 30);
    let next = spaces::ensure(&it.db, &Role::Worker, &model("another")).await?;
    let next = spaces::learn_dimension(&it.db, &next, OTHER).await?;
    fill(&it, &next, OTHER).await?;
    it.write((0..9).map(|n| memory(&format!("late {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    assert!(!spaces::mark_if_complete(&it.db, &next).await?, "nine wait here, and none in the space that answers");
    let park =
        "UPDATE index_jobs SET status = 'failed', parked = 1, next_run_at = clock_timestamp() + interval '1 hour'";
    it.run_sql(park).await?;
    assert!(!spaces::mark_if_complete(&it.db, &next).await?, "nine fail here");
    it.run_sql(&format!("DELETE FROM index_jobs WHERE space = {}", next.id.0)).await?;
    assert!(spaces::mark_if_complete(&it.db, &next).await?);
    Ok(())
}

#[tokio::test]
async fn a_space_that_nobody_fills_any_more_is_retired_with_its_jobs() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let day = Duration::from_secs(86_400);
    let untended = async |space: &Space, days: i32| {
        let id = space.id.0;
        it.run_sql(&format!(
            "UPDATE embedding_spaces SET tended_at = tended_at - interval '{days} days' WHERE id = {id}"
        ))
        .await
    };
    let jobs = async |space: &Space| {
        let client = it.db.client().await?;
        let counted = format!("SELECT count(*) FROM pgrecall.index_jobs WHERE space = {}", space.id.0);
        anyhow::Ok(client.query_typed(&counted, &[]).await?[0].get::<_, i64>(0))
    };
    let retired =
        async |space: &Space| anyhow::Ok(spaces::read(&it.db, space.id).await?.expect("it is not dropped yet").retired);
    let next = async || anyhow::Ok(status::status(&it.db, &it.scope).await?.next_model.map(|next| next.model));

    it.write((0..30).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    let older = spaces::ensure(&it.db, &Role::Worker, &model("older")).await?;
    let older = spaces::learn_dimension(&it.db, &older, OTHER).await?;
    let newer = spaces::ensure(&it.db, &Role::Worker, &model("newer")).await?;
    it.write(vec![memory("written during the change")]).await?;

    // The reconcilers of both spaces run, with a vector table and without one.
    untended(&older, 9).await?;
    untended(&newer, 9).await?;
    for space in [&older, &newer] {
        queue::reconcile(&it.db, space, Trigger::Rebuild, 100).await?;
    }
    assert_eq!(spaces::drop_retired(&it.db, day).await?, 0);
    assert_eq!((retired(&older).await?, retired(&newer).await?), (false, false));
    assert_eq!((jobs(&older).await?, jobs(&newer).await?), (31, 31));

    // No worker fills one of them any more.
    untended(&newer, 2).await?;
    assert_eq!(next().await?.as_deref(), Some("local/older"), "the one that is worked on");
    spaces::drop_retired(&it.db, 3 * day).await?;
    assert!(!retired(&newer).await?, "it is kept for longer");
    assert_eq!(spaces::drop_retired(&it.db, day).await?, 0, "it can be taken up again");
    assert_eq!((retired(&older).await?, retired(&newer).await?), (false, true));
    assert_eq!((jobs(&older).await?, jobs(&newer).await?, jobs(&it.space).await?), (31, 0, 1));

    // No program ran for some time, and then only one runs, which fills neither space.
    untended(&older, 2).await?;
    untended(&it.space, 2).await?;
    spaces::drop_retired(&it.db, day).await?;
    assert!(!retired(&older).await?);
    queue::reconcile(&it.db, &it.space, Trigger::Reconcile, 100).await?;
    spaces::drop_retired(&it.db, day).await?;
    assert!(retired(&older).await?);
    assert_eq!((jobs(&older).await?, next().await?), (0, None));

    // The model is configured again.
    let again = spaces::ensure(&it.db, &Role::Worker, &model("older")).await?;
    spaces::drop_retired(&it.db, day).await?;
    assert_eq!((again.id, retired(&again).await?), (older.id, false));
    assert_eq!(next().await?.as_deref(), Some("local/older"));
    Ok(())
}

#[tokio::test]
async fn who_learns_another_dimension_than_the_first_is_told_the_firsts() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let unknown = spaces::ensure(&it.db, &Role::Worker, &model("another")).await?;
    let first = spaces::learn_dimension(&it.db, &unknown, OTHER).await?;
    assert_eq!(first, Space { dimension: Some(OTHER as i32), ..unknown.clone() });
    assert_eq!(spaces::learn_dimension(&it.db, &unknown, OTHER + 8).await?, first);
    Ok(())
}

#[tokio::test]
async fn a_model_that_refuses_what_the_other_embeds_does_not_take_its_place() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..30).map(|n| document(&format!("{n}"), &format!("document {n}"))).collect()).await?;
    it.embed_all(|_| 0).await?;
    let next = spaces::ensure(&it.db, &Role::Worker, &model("another")).await?;
    let next = spaces::learn_dimension(&it.db, &next, OTHER).await?;
    while !queue::reconcile(&it.db, &next, Trigger::Rebuild, 100).await?.ended {}
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    let claim = claim_jobs(&it.db, worker, next.id, 2).await?.expect("they are tried");
    for job in &claim.jobs {
        queue::fail(&it.db, claim.token, job, "too_long", "scripted").await?;
    }
    // The state after the last of the job's attempts.
    it.run_sql("UPDATE index_jobs SET status = 'failed', parked = 1 WHERE next_run_at IS NOT NULL").await?;
    fill(&it, &next, OTHER).await?;
    assert!(!spaces::mark_if_complete(&it.db, &next).await?, "two of thirty are more than none");
    let said = status::status(&it.db, &it.scope).await?;
    assert_eq!((said.next_model.map(|next| next.failed), said.failing.len()), (Some(2), 2));
    let failing = triage::list(&it.db, &it.scope, false, 10).await?;
    assert!(failing.len() == 2 && failing.iter().all(|failing| failing.model == "local/another"), "{failing:?}");

    // A person may accept the failures, or have the jobs retried.
    assert_eq!(triage::reindex(&it.db, &it.scope, &Units::Gaps).await?, 2);
    assert!(!spaces::mark_if_complete(&it.db, &next).await?, "they are open again");
    let claim = claim_jobs(&it.db, worker, next.id, 2).await?.expect("they are tried");
    for job in &claim.jobs {
        queue::fail(&it.db, claim.token, job, "too_long", "scripted").await?;
    }
    assert_eq!(triage::dismiss(&it.db, &it.scope, &Units::All).await?, 2);
    assert!(spaces::mark_if_complete(&it.db, &next).await?);
    Ok(())
}
