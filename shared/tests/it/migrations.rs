//! The schema is applied once, by whoever comes first, and one that is newer is refused.

use pgrecall_harness::postgres;
use pgrecall_postgres::db::Db;
use pgrecall_postgres::db::migrate::{self, MigrateError};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_record::source::SourceKind;
use pgrecall_store::recall::Filter;
use pgrecall_store::review;

use crate::fixture::scope;

mod embedded {
    refinery::embed_migrations!("../sql/migrations");
}

const BOOTSTRAP: &str = include_str!("../../../sql/setup/bootstrap.sql");

/// A database as the schema's version 5 left it: one job failed, one waits after a failure, and one runs.
const VERSION_5: &str = "
    UPDATE refinery_schema_history SET checksum = '1' WHERE version = 5;
    INSERT INTO embedding_spaces (provider, url, model, query_prefix, document_prefix, state) VALUES ('local', '', 'm', '', '', 'building');
    INSERT INTO sources (tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags, entity_urns,
                         content_hash, words, category)
    SELECT 'acme', 'memory', gen_random_uuid(), 'ana', 'private', '', 'text ' || n, 'plain', '{}', '{}', '{}', sha256(n::text::bytea), 2,
           CASE n WHEN 1 THEN 'billing' WHEN 2 THEN repeat('long', 100) END
    FROM generate_series(1, 3) n;
    INSERT INTO workers (name, lease_until, locked) VALUES ('w', clock_timestamp() + interval '1 hour', false);
    INSERT INTO index_jobs (tenant_id, source_kind, source, space, trigger_kind, order_key, items_total, status, attempts, occurrences,
                            error_class, last_error, failed_at, next_run_at, worker, lease_token)
    VALUES ('acme', 'memory', 1, 1, 'write', now(), 1, 'failed', 5, 5, 'refused', 'too odd', now(), NULL, NULL, NULL),
           ('acme', 'memory', 2, 1, 'write', now(), 1, 'pending', 2, 2, 'too_long', 'too long', now(), now(), NULL, NULL),
           ('acme', 'memory', 3, 1, 'write', now(), 1, 'running', 1, 0, NULL, NULL, NULL, NULL, 1, 7);";

#[tokio::test]
async fn several_programs_that_start_at_once_migrate_once() -> anyhow::Result<()> {
    let dsn = Dsn::parse(&postgres::bare_database("migrated_at_once").await?)?;
    let (a, b, c) = tokio::join!(migrate::migrate(&dsn), migrate::migrate(&dsn), migrate::migrate(&dsn));
    for outcome in [a, b, c] {
        assert_eq!(outcome?.1, migrate::known_version());
    }
    let probe = migrate::probe(&dsn).await?;
    assert_eq!(probe.schema_version, Some(migrate::known_version()));
    assert!(probe.vector.is_some());
    Ok(())
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() -> anyhow::Result<()> {
    let dsn = Dsn::parse(&postgres::database().await?)?;
    let (client, connection) = dsn.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    let future = "INSERT INTO pgrecall.refinery_schema_history (version, name, applied_on, checksum) VALUES (999, 'future', '', '')";
    client.batch_execute(future).await?;
    drop(client);
    serving.await?;
    let refused = migrate::migrate(&dsn).await.expect_err("a newer schema");
    assert!(matches!(refused, MigrateError::NewerSchema { found: 999, .. }), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_login_without_rights_is_told_what_it_needs_and_needs_no_more() -> anyhow::Result<()> {
    // The roles belong to the cluster: with them there, nothing but the login's rights is in question.
    postgres::database().await?;
    let dsn = postgres::bare_database("prepared_by_an_administrator").await?;
    let (admin, connection) = Dsn::parse(&dsn)?.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    admin.batch_execute("CREATE ROLE visitor LOGIN").await?;
    let visitor = Dsn::parse(&dsn.replace("user=postgres", "user=visitor"))?;

    let refused = migrate::migrate(&visitor).await.expect_err("a login that may not take the roles on");
    assert!(matches!(refused, MigrateError::NoRoles(_)), "{refused}");
    admin.batch_execute("GRANT pgrecall_owner, pgrecall_server, pgrecall_worker TO visitor").await?;
    let refused = migrate::migrate(&visitor).await.expect_err("a login that may not install pgvector");
    assert!(matches!(refused, MigrateError::MayNotInstall(_)), "{refused}");
    admin.batch_execute("CREATE EXTENSION vector").await?;
    let refused = migrate::migrate(&visitor).await.expect_err("a login that may not make a schema");
    assert!(refused.to_string().contains("permission denied for database"), "{refused}");
    admin.batch_execute("GRANT CREATE ON DATABASE prepared_by_an_administrator TO visitor").await?;
    assert_eq!(migrate::migrate(&visitor).await?.1, migrate::known_version());
    drop(admin);
    serving.await?;
    Ok(())
}

#[tokio::test]
async fn jobs_and_failures_of_an_older_schema_are_taken_along() -> anyhow::Result<()> {
    let dsn = Dsn::parse(&postgres::bare_database("from_version_5").await?)?;
    let (mut client, connection) = dsn.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    client.batch_execute(BOOTSTRAP).await?;
    client.batch_execute("SET ROLE pgrecall_owner; SET search_path = pgrecall, public").await?;
    let older = embedded::migrations::runner().set_target(refinery::Target::Version(5));
    older.run_async(&mut client).await?;
    client.batch_execute("RESET ROLE").await?;
    client.batch_execute(VERSION_5).await?;

    assert_eq!(migrate::migrate(&dsn).await?, (5, migrate::known_version()));
    let jobs = "SELECT string_agg(format('%s %s %s %s', status, attempts, parked, next_run_at > clock_timestamp()), ', ' ORDER BY source)
                FROM index_jobs";
    let jobs: String = client.query_one(jobs, &[]).await?.get(0);
    assert_eq!(jobs, "failed 5 1 t, pending 2 0 f, pending 0 0 ");
    let failures = "SELECT string_agg(format('%s %s %s', error_class, last_error, occurrences), ', ' ORDER BY source) FROM failures";
    let failures: String = client.query_one(failures, &[]).await?.get(0);
    assert_eq!(failures, "refused too odd 5, too_long too long 2");
    drop(client);
    serving.await?;

    let db = Db::open(&dsn, &dsn, 1).await?;
    for (category, text) in [("billing".to_owned(), "text 1"), ("long".repeat(100), "text 2")] {
        let filter = Filter { category: Some(category), ..Filter::of(SourceKind::Memory) };
        let page = review::list(&db, &scope("acme", "ana"), &filter, None, 10, 100).await?;
        assert_eq!(page.hits.iter().map(|hit| hit.text.as_str()).collect::<Vec<_>>(), [text]);
    }
    Ok(())
}
