//! The schema is applied once, by whoever comes first, and one that is newer is refused.

use shared::db::migrate::{self, MigrateError};
use shared::dsn::Dsn;
use system_tests::postgres;

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
    let serving = shared::tasks::connection("test", connection);
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
    let serving = shared::tasks::connection("test", connection);
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
