//! Tests of results that the indexes alone miss: a small part of a large scope, and records without
//! the rarest terms.

use std::collections::HashSet;

use pgrecall_postgres::db::Db;
use pgrecall_record::source::{Record, RecordFields, SourceKind, Visibility};
use pgrecall_store::corpora;
use pgrecall_store::recall::{self, Diversity, End, Filter, Query, Ranking, Strategy, Tuning};
use uuid::Uuid;

use crate::fixture::{Fixture, document, memory, query, scope, texts};

/// More records than a scope may have to be scored whole.
const MANY: usize = 10_001;

/// Inserts copies of a record for another owner, with its terms and labels. They have no vectors.
async fn copies(it: &Fixture, of: Uuid, owner: &str, times: usize) -> anyhow::Result<()> {
    it.run_sql(&format!(
        "WITH original AS (SELECT * FROM sources WHERE source_id = '{of}'),
         copy AS (
            INSERT INTO sources (tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags, entity_urns,
                                 content_hash, words, valid_from, valid_to)
            SELECT tenant_id, source_kind, gen_random_uuid(), '{owner}', visibility, title, body, format, metadata, tags, entity_urns,
                   content_hash, words, valid_from, valid_to
            FROM original, generate_series(1, {times})
            RETURNING id, source_kind, tenant_id),
         labelled AS (
            INSERT INTO labels (tenant_id, source_kind, label, source)
            SELECT copy.tenant_id, copy.source_kind, l.label, copy.id FROM labels l JOIN original ON original.id = l.source, copy)
         INSERT INTO postings (tenant_id, source_kind, term, source, frequency, length)
         SELECT copy.tenant_id, copy.source_kind, p.term, copy.id, p.frequency, p.length
         FROM postings p JOIN original ON original.id = p.source, copy; ANALYZE sources; ANALYZE labels; ANALYZE postings"
    ))
    .await
}

fn tagged(text: &str) -> Record {
    Record { fields: RecordFields { tags: vec!["work".into()], ..RecordFields::default() }, ..memory(text) }
}

#[tokio::test]
async fn a_label_that_many_have_does_not_make_large_what_a_caller_sees_of_it() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let first = it.write((0..300).map(|n| tagged(&format!("walrus {n}"))).collect()).await?.remove(0)?.id;
    it.embed_all(|_| 3).await?;
    copies(&it, first, "bob", MANY).await?;
    let asked = Query {
        filter: Filter { tags: vec!["work".into()], ..Filter::of(SourceKind::Memory) },
        ..query("walrus", SourceKind::Memory)
    };
    let answer = it.recall_by(&asked, 3).await?;
    assert_eq!((answer.hits.len(), answer.kinds[&SourceKind::Memory]), (10, 300), "all of hers were scored");
    Ok(())
}

#[tokio::test]
async fn little_of_much_is_scored_whole_where_the_index_ends_before() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    // Simulates a million vectors: an index scan stops after 100 of them, and every plan uses the
    // index.
    for setting in ["hnsw.max_scan_tuples = 100", "enable_seqscan = off", "enable_sort = off"] {
        it.run_sql(&format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$"
        ))
        .await?;
    }
    // Connections that are open already keep the old settings.
    let it = Fixture { db: Db::open(it.db.dsn(), it.db.dsn(), 4).await?, ..it };
    let from = |year: u16, text: String| {
        let begin = format!("{year}-01-01T00:00:00Z").parse().expect("a time");
        Record { fields: RecordFields { valid_from: Some(begin), ..RecordFields::default() }, ..memory(&text) }
    };
    it.write((0..12).map(|n| from(2020, format!("a walrus of old {n}"))).collect()).await?;
    it.write((0..28).map(|n| from(2020, format!("a seal of old {n}"))).collect()).await?;
    let today = it.write((0..600).map(|n| from(2022, format!("a seal of today {n}"))).collect()).await?.remove(0)?.id;
    copies(&it, today, "ana", MANY).await?;
    it.embed_all(|text| if text.contains("today") { 3 } else { 9 }).await?;
    let mut asked = query("walrus", SourceKind::Memory);
    asked.filter.as_of = Some("2021-01-01T00:00:00Z".parse()?);
    let answer = it.recall_by(&asked, 3).await?;
    assert_eq!((answer.hits.len(), answer.kinds[&SourceKind::Memory]), (10, 40), "also what has no word of it");
    Ok(())
}

#[tokio::test]
async fn words_lead_on_where_the_rarest_lead_to_what_others_keep() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    theirs.write((0..3).map(|n| memory(&format!("zbigniew {n}"))).collect()).await?;
    let invoice = it.write_one(memory("an invoice was paid")).await?.id;
    copies(&it, invoice, "ana", MANY).await?;
    let asked = query("zbigniew's invoice", SourceKind::Memory);
    let answer = it.recall(&asked).await?;
    assert_eq!((answer.hits.len(), answer.more), (10, true), "{:?}", answer.end);
    it.write_one(memory("zbigniew was here")).await?;
    let answer = it.recall(&asked).await?;
    assert_eq!((texts(&answer)[0], answer.hits.len(), answer.more), ("zbigniew was here", 10, true));
    let answer = it.recall(&query("zbigniew's umbrella", SourceKind::Memory)).await?;
    assert_eq!(texts(&answer), ["zbigniew was here"]);
    assert_eq!(answer.end, Some(End::Complete { shown: 1 }));
    Ok(())
}

#[tokio::test]
async fn pages_of_a_large_scope_are_cut_from_one_list() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let text =
        |n: usize| format!("walrus number {n} {} sings {}", ["of topic", "at night"][n % 2], "again ".repeat(n % 7));
    it.write((0..5_200).map(|n| document(&format!("d{n}"), &text(n))).collect()).await?;
    it.embed_all(|_| 3).await?;
    let page = async |offset: usize| {
        let answer =
            it.recall_by(&Query { offset, ..query("which walrus sings at night?", SourceKind::Document) }, 3).await?;
        assert!(answer.kinds[&SourceKind::Document] < 2_600, "not everything was scored: {:?}", answer.kinds);
        anyhow::Ok(answer.hits)
    };
    let (mut seen, mut last) = (HashSet::new(), f64::MAX);
    for offset in [0, 10, 20, 30] {
        for hit in page(offset).await? {
            assert!(seen.insert(hit.id), "{:?} comes twice", hit.fields.key);
            assert!(hit.score <= last, "{:?} belongs on an earlier page", hit.fields.key);
            last = hit.score;
        }
    }
    assert_eq!(seen.len(), 40);
    Ok(())
}

#[tokio::test]
async fn one_answer_stands_for_all_that_say_the_same_however_many() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let same = (0..300).map(|n| memory(&format!("the nightly backup is well {n}")));
    let others = (1..=9).map(|n| memory(&format!("topic {n}")));
    it.write(same.chain(others).collect()).await?;
    it.embed_all(|text| text.strip_prefix("topic ").map_or(0, |n| n.parse().expect("a number"))).await?;
    let asked = Query { diversity: Diversity::Distinct, ..query("the nightly backup is well", SourceKind::Memory) };
    let tuning = Tuning { near_duplicate_cosine: 0.3, ..Tuning::default() };
    let answer = recall::recall(&it.db, &it.scope, &asked, Some(&it.query_vector(0)), &tuning).await?;
    let backups = answer.hits.iter().filter(|hit| hit.text.contains("backup")).count();
    assert!(backups < 10 && answer.hits[0].near_duplicates.len() > 200, "{backups} stand for themselves");
    Ok(())
}

#[tokio::test]
async fn what_names_a_urn_answers_without_a_word_of_the_question_and_without_an_embedder() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let named = |text: &str| Record {
        fields: RecordFields { entity_urns: vec!["urn:x:orders".into()], ..RecordFields::default() },
        visibility: Visibility::Tenant,
        ..memory(text)
    };
    it.write(vec![named("the table is wide"), named("who goes there"), memory("what is going on")]).await?;
    let mut asked = Query { strategy: Strategy::Entity, ..query("what is going on?", SourceKind::Memory) };
    asked.filter.entity_urns = vec!["urn:x:orders".into()];
    let answer = it.recall(&asked).await?;
    assert_eq!((texts(&answer), answer.ranking), (vec!["who goes there", "the table is wide"], Ranking::Lexical));
    Ok(())
}

// BM25 in a large scope uses stored statistics, which must count only the records that the caller
// may read.
#[tokio::test]
async fn what_others_keep_weighs_no_word_of_a_large_scope() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let theirs = Fixture { scope: scope("acme", "bob"), db: it.db.clone(), space: it.space.clone() };
    let texts = [
        "a walrus sings",
        "a walrus and its harbor",
        "the harbor at night",
        "an invoice from the harbor",
        "an invoice of the walrus",
    ];
    it.write((0..50).map(|n| memory(&format!("{} {n}", texts[n % texts.len()]))).collect()).await?;
    let filler = it.write_one(memory("an invoice was paid")).await?.id;
    it.embed_all(|text| text.len() % 5).await?;
    copies(&it, filler, "ana", MANY).await?;
    corpora::recount(&it.db).await?;
    let ask = async || {
        let mut said = Vec::new();
        for text in ["the walrus in the harbor", "invoice of a walrus", "harbor invoice"] {
            let asked = Query { explain: true, limit: 60, ..query(text, SourceKind::Memory) };
            for answer in [it.recall(&asked).await?, it.recall_by(&asked, 3).await?] {
                said.extend(answer.hits.into_iter().map(|hit| (hit.id, hit.score.to_bits(), hit.explain)));
            }
        }
        anyhow::Ok(said)
    };
    let alone = ask().await?;
    assert!(alone.len() > 100, "{}", alone.len());
    let walrus = theirs.write_one(memory("a walrus in a harbor sings of walruses")).await?.id;
    assert!(ask().await? == alone, "one record of bob's changes what ana is told");
    copies(&it, walrus, "bob", 500).await?;
    assert!(ask().await? == alone, "many of them do");
    corpora::recount(&it.db).await?;
    assert!(ask().await? == alone, "many of them do, once they are counted");
    Ok(())
}
