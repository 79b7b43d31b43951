//! Tests of the coverage: which passages wait, which failed, and what a query cannot see.

use pgrecall_record::source::{Record, RecordFields, SourceKind, Visibility};
use pgrecall_store::coverage::{self, Passages};
use pgrecall_store::recall::{self, End, Filter, Omission, Query, Strategy};
use pgrecall_store::triage::{self, Units};
use pgrecall_store::{queue, status};
use serde_json::{Map, json};

use crate::fixture::{Fixture, claim_jobs, document, memory, query, scope, texts};

/// A document of several passages.
fn long(key: &str) -> Record {
    document(key, &format!("{} ends.", "A sentence of ten words stands here and says nothing. ".repeat(60)))
}

async fn counts(it: &Fixture) -> anyhow::Result<Passages> {
    Ok(coverage::read(&it.db, &it.scope).await?.all().passages.expect("it is counted"))
}

#[tokio::test]
async fn coverage_counts_the_passages_and_so_does_the_status() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    assert!(!coverage::is_incomplete(&it.db, &it.scope).await?, "nothing is stored");
    assert_eq!(counts(&it).await?, Passages::default());
    it.write(vec![memory("one"), long("d")]).await?;
    let total = counts(&it).await?.total;
    assert!(total > 3, "{total} passages");
    assert_eq!(counts(&it).await?, Passages { total, pending: total, ..Passages::default() });
    assert!(coverage::is_incomplete(&it.db, &it.scope).await?);
    it.embed_all(|_| 1).await?;
    assert_eq!(counts(&it).await?, Passages { total, embedded: total, ..Passages::default() });
    assert!(!coverage::is_incomplete(&it.db, &it.scope).await?);

    // A new text waits; the vector of the old one does not count.
    it.write(vec![long("d"), document("e", "a new one"), memory("two")]).await?;
    let kinds = coverage::read(&it.db, &it.scope).await?;
    assert_eq!(kinds.kinds[&SourceKind::Memory], Passages { total: 2, embedded: 1, pending: 1, failed: 0 });
    let documents = kinds.of(&[SourceKind::Document]);
    assert_eq!(documents.passages, Some(Passages { total, embedded: total - 1, pending: 1, failed: 0 }));
    assert!(documents.others_wait && documents.reason.is_some_and(|why| why.contains("the embedder is waiting")));
    it.run_sql("DELETE FROM workers").await?;
    let kinds = coverage::read(&it.db, &it.scope).await?;
    assert!(kinds.reason.as_deref().is_some_and(|why| why.starts_with("no worker is alive")), "{:?}", kinds.reason);
    let status = status::status(&it.db, &it.scope).await?;
    assert_eq!(Some(status.all.passages), kinds.all().passages);
    assert_eq!((status.reason, status.seconds_left), (kinds.reason, kinds.seconds_left));
    Ok(())
}

#[tokio::test]
async fn parked_passages_are_counted_apart_and_dismissed_ones_not_at_all() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write(vec![memory("poison")]).await?;
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    while it.fail_next(worker, "refused").await? != Some(true) {
        it.run_sql("UPDATE index_jobs SET next_run_at = NULL WHERE status = 'pending'").await?;
    }
    it.write(vec![memory("well")]).await?;
    assert_eq!(counts(&it).await?, Passages { total: 2, embedded: 0, pending: 1, failed: 1 });
    it.embed_all(|_| 1).await?;
    assert!(coverage::is_incomplete(&it.db, &it.scope).await?, "a search misses the parked record");
    triage::dismiss(&it.db, &it.scope, &Units::All).await?;
    assert_eq!(counts(&it).await?, Passages { total: 2, embedded: 1, pending: 0, failed: 0 });
    assert!(!coverage::is_incomplete(&it.db, &it.scope).await?);
    Ok(())
}

#[tokio::test]
async fn only_a_filter_that_selects_something_unembedded_is_incomplete() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let about = |text: &str, team: &str| {
        let metadata = Map::from_iter([("team".to_owned(), json!(team))]);
        Record { fields: RecordFields { metadata, tags: vec![team.into()], ..RecordFields::default() }, ..memory(text) }
    };
    it.write(vec![about("one", "data"), memory("done too")]).await?;
    it.embed_all(|_| 1).await?;
    it.write(vec![about("two", "sales")]).await?;
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    theirs.write(vec![Record { visibility: Visibility::Private, ..about("three", "ops") }]).await?;
    let tagged = |tag: &str| Filter { tags: vec![tag.into()], ..Filter::of(SourceKind::Memory) };
    let with = |key: &str, value: &str| Filter {
        metadata: Map::from_iter([(key.to_owned(), json!(value))]),
        ..Filter::of(SourceKind::Memory)
    };
    for (filter, is_incomplete) in [
        (Filter::of(SourceKind::Memory), true),
        (Filter::of(SourceKind::Document), false),
        (tagged("sales"), true),
        (tagged("data"), false),
        (tagged("ops"), false),
        (with("team", "sales"), true),
        (with("team", "data"), false),
    ] {
        let within = recall::is_incomplete_within(&it.db, &it.scope, &filter).await?;
        assert_eq!(within, is_incomplete, "{filter:?}");
    }
    let stranger = scope("acme", "eve");
    assert!(!coverage::is_incomplete(&it.db, &stranger).await?, "what others wait for is nobody's business");
    assert_eq!(coverage::read(&it.db, &stranger).await?.all().passages, Some(Passages::default()));
    Ok(())
}

#[tokio::test]
async fn a_command_waits_for_its_own_records_only() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..30).map(|n| memory(&format!("backlog {n}"))).collect()).await?;
    let own = it.write(vec![memory("mine"), long("d")]).await?;
    let ids = own.into_iter().map(|receipt| Ok(receipt?.id)).collect::<anyhow::Result<Vec<_>>>()?;
    let left = coverage::of_records(&it.db, &it.scope, &ids).await?;
    assert_eq!((left.pending.len(), left.failed.len()), (2, 0));
    assert_eq!(left.passages, counts(&it).await?.pending - 30);
    // The two are embedded, and the backlog still waits.
    it.run_sql("UPDATE index_jobs SET next_run_at = 'now'::timestamptz + '1 h' WHERE items_total = 1 AND source <> (SELECT id FROM sources WHERE body = 'mine')").await?;
    it.embed_all(|_| 1).await?;
    assert_eq!(coverage::of_records(&it.db, &it.scope, &ids).await?, coverage::Left::default());
    assert_eq!(counts(&it).await?.pending, 30);
    Ok(())
}

#[tokio::test]
async fn the_estimate_is_that_of_the_work_that_was_done() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..40).map(|n| memory(&format!("record {n}"))).collect()).await?;
    assert_eq!(coverage::read(&it.db, &it.scope).await?.seconds_left, None, "no rate is known");
    let worker = queue::register(&it.db, "test", 60.0, false).await?;
    it.run_sql(&format!("UPDATE workers SET embedder = 'ok' WHERE id = {worker}")).await?;
    let claim = claim_jobs(&it.db, worker, it.space.id, 20).await?.expect("jobs");
    it.embed(&claim, |_| 1).await?;
    // As if the work had begun ten seconds ago: 20 passages in 10 s, and 20 are left.
    it.run_sql(
        "UPDATE index_jobs SET created_at = clock_timestamp() - interval '10 s';
         UPDATE index_job_history SET started_at = clock_timestamp() - interval '10 s'",
    )
    .await?;
    let seconds_left = coverage::read(&it.db, &it.scope).await?.seconds_left.expect("a rate");
    assert!((10.0..=12.0).contains(&seconds_left), "{seconds_left}");
    assert_eq!(status::status(&it.db, &it.scope).await?.reason, None);
    Ok(())
}

#[tokio::test]
async fn an_answer_counts_the_records_that_it_leaves_out_by_their_reason() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..50).map(|n| memory(&format!("record {n}"))).collect()).await?;
    it.embed_all(|_| 3).await?;
    // Three stay in the direction of the query, and the others get the opposite one.
    let opposite = "UPDATE {} v SET embedding = (SELECT array_agg(-x)::halfvec FROM unnest(embedding::real[]) AS x)
        FROM passages p WHERE p.id = v.passage AND p.text NOT IN ('record 7', 'record 8', 'record 9')";
    it.run_sql(&opposite.replace("{}", &it.space.id.table())).await?;
    it.write(vec![memory("a newer one")]).await?;

    let asked = Query { limit: 20, ..query("walrus", SourceKind::Memory) };
    let answer = it.recall_by(&asked, 3).await?;
    assert_eq!(texts(&answer).len(), 3);
    assert_eq!(answer.omitted, [(Omission::NotSimilar, 47), (Omission::NotEmbedded, 1)].into());
    let said = answer.end_note().expect("it ends");
    assert!(said.ends_with("48 records were left out: 1 is not embedded, 47 are not similar to the query"), "{said}");

    // A page that does not end leaves nothing out for good.
    let first = it.recall_by(&Query { limit: 2, ..asked.clone() }, 3).await?;
    assert!(first.more && first.omitted.is_empty() && first.end_note().is_none());
    let last = it.recall_by(&Query { limit: 2, offset: 2, ..asked.clone() }, 3).await?;
    assert_eq!((texts(&last).len(), &last.omitted), (1, &answer.omitted));

    // A full page is the last one here, and says so.
    let full = it.recall_by(&Query { limit: 3, ..asked.clone() }, 3).await?;
    assert_eq!(full.end_note(), Some(said));

    // By keywords alone: the others have none of the query's.
    let lexical = Query { text: "record 7".into(), strategy: Strategy::Lexical, limit: 60, ..asked.clone() };
    let lexical = it.recall(&lexical).await?;
    assert_eq!((lexical.hits.len(), lexical.omitted), (50, [(Omission::NoKeyword, 1)].into()));

    for (min_score, shown, omitted) in [(0.0, 3, None), (0.3, 3, None), (0.999, 0, Some(3))] {
        let strategy = Strategy::Semantic;
        let answer = it.recall_by(&Query { min_score: Some(min_score), strategy, ..asked.clone() }, 3).await?;
        assert_eq!((texts(&answer).len(), answer.omitted.get(&Omission::BelowMinScore).copied()), (shown, omitted));
        let fits = answer.end_note().is_some_and(|said| !said.starts_with("nothing fits: no record reaches min_score"));
        assert_eq!(fits, shown > 0, "{:?}", answer.end_note());
    }
    let answer = it.recall(&query("umbrella", SourceKind::Document)).await?;
    assert_eq!((answer.end, answer.omitted.len()), (Some(End::Nothing { is_filtered: false }), 0));
    Ok(())
}

#[tokio::test]
async fn a_least_score_empties_an_answer_from_the_indexes_too() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..5_200).map(|n| document(&format!("d{n}"), &format!("walrus number {n}"))).collect()).await?;
    it.embed_all(|_| 3).await?;
    let asked = |min_score| Query { min_score: Some(min_score), ..query("seal", SourceKind::Document) };
    let answer = it.recall_by(&asked(0.9999), 3).await?;
    assert_eq!((texts(&answer).len(), answer.end), (0, Some(End::Nothing { is_filtered: false })));
    assert!(answer.end_note().is_some_and(|said| said.starts_with("nothing fits")), "{:?}", answer.end_note());
    let id = it.recall_by(&asked(0.0), 3).await?.hits[0].id;
    let why_not = it.recall_by(&Query { why_not: Some(id), ..asked(0.9999) }, 3).await?.why_not.expect("it was asked");
    assert!(why_not.reason.ends_with("and min_score is 0.9999"), "{}", why_not.reason);
    Ok(())
}
