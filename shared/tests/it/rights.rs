//! Tests of the rights on other owners' records, and of the versions that are kept of replaced
//! ones.

use std::time::Duration;

use pgrecall_postgres::db::{Role, Scope};
use pgrecall_record::source::{Record, RecordError, RecordFields, SourceKind, Status, Stored, Visibility};
use pgrecall_store::correct;
use pgrecall_store::forget::{self, How};
use pgrecall_store::read;
use pgrecall_store::recall::Filter;
use pgrecall_store::versions;
use pgrecall_store::write::{self, Batch, Policy};
use pgrecall_store::{exported, review};
use tokio_postgres::types::Type;

use crate::fixture::{Fixture, document, limit, memory, query, scope, texts};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Returns the same database for another caller.
fn other(it: &Fixture, scope: Scope) -> Fixture {
    Fixture { scope, db: it.db.clone(), space: it.space.clone() }
}

fn shared(text: &str) -> Record {
    Record { visibility: Visibility::Tenant, ..memory(text) }
}

// Otherwise a caller could hide a shared record from its readers by a private successor.
#[tokio::test]
async fn a_record_that_others_see_is_superseded_only_by_one_that_they_see() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = other(&it, scope("acme", "bob"));
    let theirs = bob.write_one(shared("the office is in Lisbon")).await?.id;
    let receipts = it.write(vec![Record { supersedes: vec![theirs], ..memory("the office is in Porto") }]).await?;
    assert_eq!(receipts, [Err(RecordError::MayNotSupersede(theirs, "bob".into()))]);
    let question = query("office", SourceKind::Memory);
    assert_eq!(texts(&bob.recall(&question).await?), ["the office is in Lisbon"]);
    // An existing private record may not supersede it either.
    let mine = it.write_one(memory("the office is in Faro")).await?.id;
    assert!(correct::supersede(&it.db, &it.scope, mine, &[theirs]).await?.is_empty());
    assert_eq!(texts(&bob.recall(&question).await?), ["the office is in Lisbon"]);
    // A record with the same readers may, no matter who wrote it.
    it.write_one(Record { supersedes: vec![theirs], ..shared("the office is in Braga") }).await?;
    assert_eq!(texts(&bob.recall(&question).await?), ["the office is in Braga"]);

    let analyst = |owner: &str| Scope { persona: Some("analyst".into()), ..scope("acme", owner) };
    let (carl, dora) = (other(&it, analyst("carl")), other(&it, analyst("dora")));
    let of_persona = |text: &str| Record { visibility: Visibility::Persona, ..memory(text) };
    let plan = carl.write_one(of_persona("the plan of spring")).await?.id;
    let refused = dora.write(vec![Record { supersedes: vec![plan], ..memory("my own plan") }]).await?.remove(0);
    assert_eq!(refused, Err(RecordError::MayNotSupersede(plan, "carl".into())));
    dora.write_one(Record { supersedes: vec![plan], ..of_persona("the plan of autumn") }).await?;

    // Nor may a record of its own owner that another caller writes and that fewer people read.
    let keyed = |text: &str| Record {
        fields: RecordFields { key: Some("plan".into()), ..RecordFields::default() },
        ..of_persona(text)
    };
    carl.write_one(keyed("carl's plan")).await?;
    let everyones = carl.write_one(shared("the plan of winter")).await?.id;
    let refused = dora.write(vec![Record { supersedes: vec![everyones], ..keyed("no plan") }]).await?.remove(0);
    assert_eq!(refused, Err(RecordError::MayNotSupersede(everyones, "carl".into())));
    let carls = carl.write_one(keyed("carl's plan again")).await?.id;
    assert!(correct::supersede(&it.db, &dora.scope, carls, &[everyones]).await?.is_empty());
    assert_eq!(texts(&bob.recall(&query("winter", SourceKind::Memory)).await?), ["the plan of winter"]);
    assert_eq!(correct::supersede(&it.db, &carl.scope, carls, &[everyones]).await?, [everyones], "an owner may");
    Ok(())
}

// The id of a private record must not reach readers of the shared one that it supersedes.
#[tokio::test]
async fn the_id_of_a_private_successor_is_its_owners_alone() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let old = it.write_one(shared("the office is in Lisbon")).await?.id;
    let new = it.write_one(Record { supersedes: vec![old], ..memory("the office is in Porto") }).await?.id;
    let seen = async |owner: &str| {
        let hit = read::fetch(&it.db, &scope("acme", owner), old).await?.expect("it is shared").hit;
        anyhow::Ok((hit.status, hit.superseded_by, hit.owner))
    };
    assert_eq!(seen("ana").await?, (Status::Superseded, Some(new), None));
    assert_eq!(seen("bob").await?, (Status::Superseded, None, Some("ana".into())));
    let all = Filter { include_stale: true, ..Filter::of(SourceKind::Memory) };
    let listed = review::list(&it.db, &scope("acme", "bob"), &all, None, 10, 100).await?.hits;
    assert!(!format!("{listed:?}").contains(&new.to_string()), "{listed:?}");
    Ok(())
}

// A caller that replaces another owner's text must not be able to destroy it.
#[tokio::test]
async fn what_somebody_else_replaces_is_kept_and_comes_back() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = other(&it, scope("acme", "bob"));
    let id = it.write_one(document("ana/revenue", "SELECT the net revenue")).await?.id;
    it.write_one(document("ana/revenue", "SELECT the gross revenue")).await?;
    assert!(versions::list(&it.db, &it.scope, &[id], WEEK).await?.is_empty(), "a writer's own text is not kept");

    let replaced = bob.write_one(document("ana/revenue", "DROP the revenue")).await?;
    assert_eq!((replaced.id, replaced.stored), (id, Stored::Replaced));
    bob.write_one(document("ana/revenue", "DROP it again")).await?;
    let kept = versions::list(&it.db, &it.scope, &[id], WEEK).await?;
    assert_eq!(kept.len(), 1, "of bob's own two texts none: {kept:?}");
    let version = &kept[0];
    assert_eq!((version.of, version.content.as_str()), (id, "SELECT the gross revenue"));
    assert_eq!((version.written_by.as_str(), version.replaced_by.as_str()), ("ana", "bob"));
    let hit = read::fetch(&it.db, &it.scope, id).await?.expect("it is there").hit;
    assert_eq!((hit.owner, hit.changed_by.as_deref()), (None, Some("bob")));
    assert!(versions::list(&it.db, &scope("rival", "ana"), &[id], WEEK).await?.is_empty());
    assert!(versions::list(&it.db, &it.scope, &[id], Duration::ZERO).await?.is_empty(), "its time is over");

    let back = versions::read(&it.db, &it.scope, &[version.id], WEEK).await?;
    let records: Vec<Record> = back.into_iter().map(|(_, record)| record).collect();
    let restored = it.write(records).await?.remove(0)?;
    assert_eq!((restored.id, restored.stored), (id, Stored::Replaced));
    let hit = read::fetch(&it.db, &bob.scope, id).await?.expect("it is there").hit;
    assert_eq!((hit.text.as_str(), hit.changed_by), ("SELECT the gross revenue", None));
    let kept = versions::list(&it.db, &it.scope, &[id], WEEK).await?;
    assert_eq!(
        kept.iter().map(|version| version.content.as_str()).collect::<Vec<_>>(),
        ["DROP it again", "SELECT the gross revenue"]
    );

    // A permanent deletion includes the versions.
    forget::forget(&it.db, &it.scope, &[id], How::OwnForGood).await?;
    assert!(versions::list(&it.db, &it.scope, &[id], WEEK).await?.is_empty());
    Ok(())
}

// The restored record must still name its last writer, or versions would name the wrong one.
#[tokio::test]
async fn a_record_that_was_forgotten_comes_back_with_its_writer() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = other(&it, scope("acme", "bob"));
    let id = it.write_one(document("ana/revenue", "SELECT the net revenue")).await?.id;
    bob.write_one(document("ana/revenue", "DROP the revenue")).await?;
    forget::forget(&it.db, &bob.scope, &[id], How::Keep).await?;
    it.write(forget::kept(&it.db, &it.scope, &[id], WEEK).await?).await?.remove(0)?;
    let hit = read::fetch(&it.db, &it.scope, id).await?.expect("it is there").hit;
    assert_eq!((hit.owner, hit.changed_by.as_deref()), (None, Some("bob")));
    it.write_one(document("ana/revenue", "SELECT the gross revenue")).await?;
    let kept = versions::list(&it.db, &it.scope, &[id], WEEK).await?;
    assert_eq!((kept[0].content.as_str(), kept[0].written_by.as_str()), ("DROP the revenue", "bob"));
    // An imported file cannot claim who wrote a text.
    let line = r#"{"id":"0190a1b2-0000-7000-8000-000000000001","kind":"memory","text":"t","visibility":"tenant","written_by":"bob"}"#;
    assert_eq!(exported::imported(line, &it.scope)?.past.and_then(|past| past.written_by), None);
    Ok(())
}

// Versions have the readers of their record: text that is no longer shared must not stay readable.
#[tokio::test]
async fn the_versions_of_a_record_are_its_readers_and_its_owner_drops_them() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = other(&it, scope("acme", "bob"));
    let id = it.write_one(shared("the salary is 10")).await?.id;
    let as_it_is = read::records(&it.db, &it.scope, &[id]).await?.remove(0);
    bob.write_one(Record { body: "the salary is 11".into(), ..as_it_is.clone() }).await?;
    let version = versions::list(&it.db, &bob.scope, &[id], WEEK).await?[0].id;
    it.write_one(Record { visibility: Visibility::Private, ..as_it_is }).await?;
    assert!(versions::list(&it.db, &bob.scope, &[id], WEEK).await?.is_empty());
    assert!(versions::read(&it.db, &bob.scope, &[version], WEEK).await?.is_empty());
    for how in [How::OwnForGood, How::ForGood] {
        forget::forget(&it.db, &bob.scope, &[id], how).await?;
        assert_eq!(versions::list(&it.db, &it.scope, &[id], WEEK).await?.len(), 2, "{how:?}");
    }
    // A forgotten record keeps its versions while it can be restored, and loses them after that.
    forget::forget(&it.db, &it.scope, &[id], How::Keep).await?;
    assert_eq!(versions::list(&it.db, &it.scope, &[id], WEEK).await?.len(), 2);
    forget::forget(&it.db, &it.scope, &[id], How::OwnForGood).await?;
    assert!(versions::list(&it.db, &it.scope, &[id], WEEK).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn earlier_versions_count_as_text_of_the_tenant() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = other(&it, scope("acme", "bob"));
    let text_bytes = async || -> anyhow::Result<i64> {
        let parameters =
            [(&"acme" as _, Type::TEXT), (&true as _, Type::BOOL), (&["memory"].as_slice() as _, Type::TEXT_ARRAY)];
        let statement = include_str!("../../../sql/queries/tenant_usage.sql");
        Ok(it.db.query(Role::Worker, statement, &parameters).await?[0].get("text_bytes"))
    };
    it.write_one(document("k", "short")).await?;
    assert_eq!(text_bytes().await?, 5);
    bob.write_one(document("k", "brief")).await?;
    assert!(text_bytes().await? > 10, "{}", text_bytes().await?);
    Ok(())
}

// A deletion must report all data that it leaves, even data that the caller cannot see.
#[tokio::test]
async fn what_a_deletion_leaves_behind_is_counted_also_where_the_caller_cannot_see_it() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let id = it.write_one(memory("the launch code is swordfish")).await?.id;
    it.run_sql("UPDATE index_jobs SET tenant_id = 'rival'").await?;
    assert_eq!(forget::forget(&it.db, &it.scope, &[id], How::Keep).await?.left, 1);
    Ok(())
}

#[tokio::test]
async fn versions_are_dropped_after_their_time_and_not_kept_where_nothing_is() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let bob = other(&it, scope("acme", "bob"));
    let id = it.write_one(document("k", "first")).await?.id;
    let policy = Policy { keeps_versions: false, ..Policy::default() };
    let batch = Batch::under(policy, vec![document("k", "second")], &limit());
    write::write(&it.db, &bob.scope, &batch).await?.remove(0)?;
    assert!(versions::list(&it.db, &it.scope, &[id], WEEK).await?.is_empty());
    it.write_one(document("k", "third")).await?;
    versions::retain(&it.db, WEEK).await?;
    assert_eq!(versions::list(&it.db, &it.scope, &[id], WEEK).await?.len(), 1);
    it.run_sql("UPDATE source_versions SET replaced_at = replaced_at - interval '8 days'").await?;
    versions::retain(&it.db, WEEK).await?;
    assert!(versions::list(&it.db, &it.scope, &[id], 2 * WEEK).await?.is_empty());
    Ok(())
}

// A caller may forget another owner's record, but not beyond undo.
#[tokio::test]
async fn somebody_elses_record_is_not_deleted_beyond_undo() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let mine = it.write_one(document("mine", "a plan")).await?.id;
    let bob = other(&it, scope("acme", "bob"));
    let theirs = bob.write_one(document("theirs", "another plan")).await?.id;
    let counted = forget::forget(&it.db, &it.scope, &[mine, theirs], How::Count).await?;
    assert_eq!(counted.others, [("bob".to_owned(), 1)].into());
    let refused = forget::forget(&it.db, &it.scope, &[mine, theirs], How::OwnForGood).await?;
    assert_eq!(refused.others, [("bob".to_owned(), 1)].into());
    assert_eq!(texts(&it.recall(&query("plan", SourceKind::Document)).await?).len(), 2, "nothing of it is gone");
    // Every reader may make a deletion that can be undone, but only the owner may delete the kept
    // copy.
    forget::forget(&it.db, &it.scope, &[theirs], How::Keep).await?;
    let refused = forget::forget(&it.db, &it.scope, &[theirs], How::OwnForGood).await?;
    assert_eq!(refused.others, [("bob".to_owned(), 1)].into());
    assert_eq!(forget::kept(&it.db, &bob.scope, &[theirs], WEEK).await?.len(), 1);
    forget::forget(&it.db, &it.scope, &[mine], How::OwnForGood).await?;
    assert!(read::fetch(&it.db, &it.scope, mine).await?.is_none());
    assert_eq!(forget::forget(&it.db, &it.scope, &[theirs], How::ForGood).await?.sources, 1, "an administrator may");
    Ok(())
}

// Deduplication must not return a memory that the intended readers cannot see.
#[tokio::test]
async fn the_same_text_for_other_readers_is_another_memory() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let analyst = other(&it, Scope { persona: Some("analyst".into()), ..scope("acme", "ana") });
    let remember = async |record: Record| {
        let batch = Batch::prepare(vec![record], &limit()).dedup_by_text();
        anyhow::Ok(write::write(&analyst.db, &analyst.scope, &batch).await?.remove(0)?)
    };
    let private = remember(memory("the budget is 10")).await?;
    let of_persona = Record { visibility: Visibility::Persona, ..memory("the budget is 10") };
    let shared = remember(of_persona.clone()).await?;
    assert_eq!(shared.stored, Stored::Created);
    assert_ne!(private.id, shared.id);
    assert_eq!(remember(of_persona).await?.stored, Stored::Unchanged);
    let bob = other(&it, Scope { persona: Some("analyst".into()), ..scope("acme", "bob") });
    assert_eq!(bob.recall(&query("budget", SourceKind::Memory)).await?.hits.len(), 1);
    // A blank persona counts as none, on every path.
    let blank = other(&it, Scope { persona: Some(" ".into()), ..scope("acme", "eve") });
    let refused = blank.write(vec![Record { visibility: Visibility::Persona, ..memory("x") }]).await?.remove(0);
    assert_eq!(refused, Err(RecordError::NoPersona));
    let line = r#"{"id":"0190a1b2-0000-7000-8000-000000000001","kind":"memory","text":"t","visibility":"persona","persona":" "}"#;
    assert_eq!(exported::imported(line, &it.scope)?.check(), Err(RecordError::NoPersona));
    Ok(())
}
