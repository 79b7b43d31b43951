//! Tests of scopes: a caller sees only the rows of its tenant that it may read, by query and by
//! RLS.

use std::time::Duration;

use pgrecall_harness::wait;
use pgrecall_postgres::db::{Db, Role, Scope};
use pgrecall_record::source::{SourceKind, Visibility};
use pgrecall_store::{read, recall, write};

use crate::fixture::{Fixture, is_denied, limit, memory, query, scope};

async fn found_by(db: &Db, who: &Scope) -> anyhow::Result<usize> {
    Ok(recall::recall(db, who, &query("budget", SourceKind::Memory), None, &recall::Tuning::default())
        .await?
        .hits
        .len())
}

#[tokio::test]
async fn another_tenant_finds_nothing() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let mut record = memory("the budget is 10");
    record.visibility = Visibility::Tenant;
    let receipt = it.write_one(record).await?;
    assert_eq!(found_by(&it.db, &scope("acme", "bob")).await?, 1);
    let stranger = scope("rival", "ana");
    assert_eq!(found_by(&it.db, &stranger).await?, 0);
    assert!(read::fetch(&it.db, &stranger, receipt.id).await?.is_none());
    let forgotten =
        pgrecall_store::forget::forget(&it.db, &stranger, &[receipt.id], pgrecall_store::forget::How::Keep).await?;
    assert_eq!((forgotten.sources, forgotten.not_found), (0, vec![receipt.id]));
    assert_eq!(found_by(&it.db, &it.scope).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_private_memory_is_its_owners_and_a_personas_is_the_personas() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(memory("my budget is 10")).await?;
    assert_eq!(found_by(&it.db, &it.scope).await?, 1);
    assert_eq!(found_by(&it.db, &scope("acme", "bob")).await?, 0);
    let analyst = |owner: &str| Scope { persona: Some("analyst".into()), ..scope("acme", owner) };
    let mut record = memory("our budget is 20");
    record.visibility = Visibility::Persona;
    let batch = write::Batch::prepare(vec![record], &limit());
    write::write(&it.db, &analyst("ana"), &batch).await?.remove(0)?;
    assert_eq!(found_by(&it.db, &analyst("bob")).await?, 1);
    assert_eq!(found_by(&it.db, &scope("acme", "bob")).await?, 0);
    Ok(())
}

#[tokio::test]
async fn row_level_security_holds_where_a_statement_forgets_its_tenant() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write_one(memory("the budget is 10")).await?;
    for table in ["sources", "passages", "postings", "index_jobs"] {
        let rows = it.db.query(&scope("rival", "ana"), &format!("SELECT 1 FROM {table}"), &[]).await?;
        assert!(rows.is_empty(), "{table}");
    }
    assert!(is_denied(&it, &Role::Worker, "DELETE FROM sources").await, "a worker writes no source");
    // The settings of a scope end with its transaction.
    let client = it.db.client().await?;
    let rows = client.query_typed("SELECT current_user::text, current_setting('pgrecall.tenant', true)", &[]).await?;
    assert_eq!(rows[0].get::<_, &str>(0), "postgres");
    assert!(rows[0].get::<_, Option<&str>>(1).unwrap_or_default().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_statement_whose_caller_hung_up_ends_in_postgres_too() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let sleep = it.db.query(Role::Worker, "SELECT pg_sleep(60)", &[]);
    assert!(tokio::time::timeout(Duration::from_millis(200), sleep).await.is_err());
    let runs = "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid() \
                AND datname = current_database()";
    let has_ended = async || anyhow::Ok(it.db.client().await?.query_typed(runs, &[]).await?.is_empty());
    wait::until_true("the statement ends", has_ended).await?;
    // The pool has lost no connection: it answers the next query on another one.
    assert_eq!(found_by(&it.db, &it.scope).await?, 0);
    Ok(())
}
