//! Tests of migrations: the first program to start applies the schema once, and a newer schema is
//! refused.

use std::process::Command;

use pgrecall_embedder::{ModelId, Provider};
use pgrecall_harness::postgres;
use pgrecall_postgres::db::migrate::{self, MigrateError};
use pgrecall_postgres::db::{Db, Role};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_record::source::SourceKind;
use pgrecall_store::recall::{Filter, Query};
use pgrecall_store::{review, spaces};

use crate::fixture::{DIMENSION, Fixture, memory, query, scope};

const BOOTSTRAP: &str = include_str!("../../../sql/setup/bootstrap.sql");

/// The output of pg_dump for the schema after its first 26 steps.
const VERSION_26: &str = include_str!("version_26.sql");

/// Makes a database at version 26, with a record and the history of the steps up to `last`.
async fn older(name: &str, last: i32) -> anyhow::Result<Dsn> {
    let dsn = Dsn::parse(&postgres::bare_database(name).await?)?;
    let (client, connection) = dsn.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    client.batch_execute(BOOTSTRAP).await?;
    client.batch_execute("DROP SCHEMA pgrecall; SET check_function_bodies = false").await?;
    client.batch_execute(VERSION_26).await?;
    let filled = format!(
        "INSERT INTO pgrecall.refinery_schema_history SELECT n, 'step', '2026-01-01T00:00:00Z', '1' FROM generate_series(1, {last}) n;
         INSERT INTO pgrecall.installation (secret) VALUES (sha256('secret'));
         INSERT INTO pgrecall.sources (tenant_id, source_kind, source_id, owner_id, visibility, title, body, format, metadata, tags,
                                       entity_urns, content_hash, words)
         VALUES ('acme', 'memory', gen_random_uuid(), 'ana', 'private', '', 'of before', 'plain', '{{}}', '{{}}', '{{}}', sha256('x'), 2)"
    );
    client.batch_execute(&filled).await?;
    drop(client);
    serving.await?;
    Ok(dsn)
}

/// Dumps the schema of a database, without the parts that differ between two dumps of the same
/// schema.
fn dump(dsn: &Dsn) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(postgres::install()?.bin.join("pg_dump"));
    let output = command.args(["--schema-only", "--dbname", &dsn.redacted()]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // From Postgres 18 on, a dump names the constraint of a NOT NULL after the table's name at
    // creation.
    let named = regex::Regex::new(r" CONSTRAINT \w+ NOT NULL")?;
    let lines = String::from_utf8(output.stdout)?;
    let lines = lines.lines().filter(|line| !line.starts_with("--") && !line.contains("restrict "));
    Ok(lines.map(|line| named.replace(line, " NOT NULL").into_owned()).collect())
}

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
    // Roles belong to the cluster: once they exist, the test is about the login's rights only.
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

/// Embeds and finds a memory with a new space, which needs pgvector's types, operators and classes.
async fn assert_embeds(dsn: &Dsn, model: &str) -> anyhow::Result<()> {
    let db = Db::open(dsn, dsn, 2).await?;
    let space = spaces::ensure(&db, &Role::Worker, &ModelId::new(Provider::Local, None, model)).await?;
    let space = spaces::learn_dimension(&db, &space, DIMENSION).await?;
    let it = Fixture { db, scope: scope("acme", "ana"), space };
    it.write_one(memory(&format!("embedded by {model}"))).await?;
    it.embed_all(|_| 0).await?;
    let asked = Query { explain: true, ..query(model, SourceKind::Memory) };
    let explain = it.recall_by(&asked, 0).await?.hits.remove(0).explain;
    assert!(explain.as_ref().is_some_and(|it| it.cosine.is_some()), "{explain:?}");
    Ok(())
}

#[tokio::test]
async fn pgvector_in_a_schema_of_its_own_is_used_or_the_missing_grant_is_named() -> anyhow::Result<()> {
    postgres::database().await?;
    let dsn = postgres::bare_database("vector_apart").await?;
    let superuser = Dsn::parse(&dsn)?;
    let (admin, connection) = superuser.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    let prepared = "CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions; CREATE ROLE guest LOGIN;
                    GRANT USAGE ON SCHEMA extensions TO guest; GRANT CREATE ON DATABASE vector_apart TO guest;
                    GRANT pgrecall_owner, pgrecall_server, pgrecall_worker TO guest";
    admin.batch_execute(prepared).await?;
    let guest = Dsn::parse(&dsn.replace("user=postgres", "user=guest"))?;

    let refused = migrate::migrate(&guest).await.expect_err("the roles may not use the schema").to_string();
    let grant = refused.split('`').nth(1).unwrap_or_else(|| panic!("{refused}"));
    admin.batch_execute(grant).await?;
    assert_eq!(migrate::migrate(&guest).await?.1, migrate::known_version());
    assert_embeds(&guest, "first").await?;

    admin.batch_execute("CREATE SCHEMA \"else-where\"; ALTER EXTENSION vector SET SCHEMA \"else-where\"").await?;
    let refused = migrate::migrate(&guest).await.expect_err("the roles may not use the new schema");
    assert!(matches!(&refused, MigrateError::MayNotUseVector(schema) if schema == "else-where"), "{refused}");
    let (a, b) = tokio::join!(migrate::migrate(&superuser), migrate::migrate(&superuser));
    assert_eq!((a?.1, b?.1), (migrate::known_version(), migrate::known_version()), "a login that may grant it does");
    assert_embeds(&guest, "second").await?;
    drop(admin);
    serving.await?;
    Ok(())
}

#[tokio::test]
async fn a_database_at_the_last_step_continues_with_the_one_schema() -> anyhow::Result<()> {
    let dsn = older("from_version_26", 26).await?;
    let (a, b) = tokio::join!(migrate::migrate(&dsn), migrate::migrate(&dsn));
    for (from, to) in [a?, b?] {
        assert!([26, to].contains(&from) && to == migrate::known_version(), "{from} to {to}");
    }
    let db = Db::open(&dsn, &dsn, 1).await?;
    let page = review::list(&db, &scope("acme", "ana"), &Filter::of(SourceKind::Memory), None, 10, 100).await?;
    assert_eq!(page.hits.iter().map(|hit| hit.text.as_str()).collect::<Vec<_>>(), ["of before"]);
    let new = Dsn::parse(&postgres::bare_database("new_beside_version_26").await?)?;
    migrate::migrate(&new).await?;
    assert_eq!(dump(&dsn)?, dump(&new)?);
    Ok(())
}

#[tokio::test]
async fn a_database_of_an_earlier_step_or_with_a_changed_schema_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let refused = migrate::migrate(&older("from_version_20", 20).await?).await.expect_err("an earlier step");
    assert!(matches!(refused, MigrateError::OlderSchema(20)), "{refused}");
    let dsn = older("changed_by_hand", 26).await?;
    let (client, connection) = dsn.connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    client.batch_execute("DROP POLICY own_tenant ON pgrecall.api_keys").await?;
    let refused = migrate::migrate(&dsn).await.expect_err("a policy is missing");
    assert!(matches!(refused, MigrateError::ChangedSchema), "{refused}");
    let undone = "CREATE POLICY own_tenant ON pgrecall.api_keys TO pgrecall_server
                  USING (tenant_id = (SELECT current_setting('pgrecall.tenant')))";
    client.batch_execute(undone).await?;
    client.batch_execute("CREATE ROLE dashboard; GRANT SELECT ON pgrecall.sources TO dashboard").await?;
    assert_eq!(migrate::migrate(&dsn).await?, (26, migrate::known_version()));
    drop(client);
    serving.await?;
    Ok(())
}
