//! Tests of the audit log: an entry is stored once, and no role of a program can change it.

use jiff::{SignedDuration, Timestamp};
use pgrecall_access::audit::{self, Entry};
use pgrecall_postgres::db::Role;
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{Fixture, is_denied, scope};

fn entry(tool: &str, days_ago: i64) -> Entry {
    Entry {
        id: Uuid::now_v7(),
        at: Timestamp::now() - SignedDuration::from_hours(24 * days_ago),
        tenant: "acme".into(),
        caller: "key 1".into(),
        tool: tool.into(),
        outcome: "ok".into(),
        took_ms: 1.0,
        arguments: json!({"query": "text of 3"}),
        records: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
    }
}

async fn tools(it: &Fixture) -> anyhow::Result<Vec<String>> {
    let rows = it.db.query(Role::Worker, "SELECT tool FROM audit_log ORDER BY at", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

// The entries of a spill file may be written more than once, but must be stored once.
#[tokio::test]
async fn an_entry_that_is_written_twice_is_stored_once() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let (first, second) = (entry("recall", 2), entry("search", 1));
    audit::write(&it.db, &[first.clone(), second.clone()]).await?;
    audit::write(&it.db, &[second.clone(), Entry { records: Vec::new(), ..entry("fetch", 0) }, first]).await?;
    assert_eq!(tools(&it).await?, ["recall", "search", "fetch"]);
    let rows = it.db.query(Role::Worker, "SELECT record_ids FROM audit_log ORDER BY at", &[]).await?;
    let ids: Vec<Vec<Uuid>> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, [second.records.clone(), second.records, Vec::new()]);
    assert!(is_denied(&it, &Role::Caller(scope("acme", "ana")), "SELECT 1 FROM audit_log").await);
    Ok(())
}

// A compromised program must not be able to hide its calls.
#[tokio::test]
async fn no_role_of_a_program_changes_or_deletes_an_entry() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    audit::write(&it.db, &[entry("old", 400), entry("recent", 6)]).await?;
    for role in [Role::Worker, Role::Caller(scope("acme", "ana"))] {
        for statement in [
            "DELETE FROM audit_log",
            "UPDATE audit_log SET outcome = 'ok'",
            "TRUNCATE audit_log",
            "DROP TABLE audit_log",
            "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY",
        ] {
            assert!(is_denied(&it, &role, statement).await, "{statement}");
        }
    }
    assert_eq!(tools(&it).await?, ["old", "recent"]);
    Ok(())
}

// A compromised program must not be able to delete recent entries through retention.
#[tokio::test]
async fn retention_drops_what_is_old_and_never_the_last_week() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let all: Vec<Entry> = [400, 30, 8, 6, 0].map(|days| entry(&format!("{days} days ago"), days)).into();
    audit::write(&it.db, &all).await?;
    audit::retain(&it.db, 90).await?;
    assert_eq!(tools(&it).await?.len(), 4);
    // The limit of a week holds for any number of days that a worker passes.
    for days in [1, 0, -1_000] {
        audit::retain(&it.db, days).await?;
    }
    assert_eq!(tools(&it).await?, ["6 days ago", "0 days ago"]);
    Ok(())
}
