//! Tests of a restore into a configured database that fails in the middle.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pgrecall_harness::postgres;
use pgrecall_postgres::dsn::Dsn;
use pgrecall_runtime::backup::{self, BackupError};

/// A pg_restore that reports a table which the database lacks, and otherwise runs the real program.
const MISCOUNTING: &str = r#"#!/bin/sh
case "$*" in
    *--file=-*) printf 'COPY pgrecall.missing (id) FROM stdin;\n1\n\\.\n' ;;
esac
exec "BIN/pg_restore" "$@"
"#;

#[tokio::test]
async fn the_keys_of_another_installation_are_revoked_before_anything_else_can_fail() -> anyhow::Result<()> {
    let bin = postgres::install()?.bin;
    let folder = std::env::temp_dir().join(format!("pgrecall-restoring-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let (file, program) = (folder.join("all.dump"), folder.join("pg_restore"));
    fs::write(&program, MISCOUNTING.replace("BIN", &bin.display().to_string()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;

    let from = postgres::database().await?;
    ask(&from, "INSERT INTO pgrecall.api_keys (tenant_id, name, key_hash, owner_id, scopes) VALUES ('a', 'ana', 'x', 'ana', '{read}')").await?;
    backup::dump(&Dsn::parse(&from)?, &bin, &file).await?;
    let into = postgres::bare_database("broken_off").await?;
    let refused = backup::restore(&Dsn::parse(&into)?, &folder, &file, false).await.unwrap_err();
    assert!(matches!(refused, BackupError::RestoredIncompletely { .. }), "{refused}");
    let usable = "SELECT count(*)::text FROM pgrecall.api_keys WHERE revoked_at IS NULL";
    assert_eq!(
        (ask(&from, usable).await?, ask(&into, usable).await?),
        (["1".to_owned()].into(), ["0".to_owned()].into())
    );
    Ok(fs::remove_dir_all(folder)?)
}

/// Returns the first column of a statement's rows.
async fn ask(dsn: &str, statement: &str) -> anyhow::Result<Vec<String>> {
    let (client, connection) = Dsn::parse(dsn)?.connect().await?;
    let _serving = pgrecall_process::tasks::connection("test", connection);
    Ok(client.query_typed(statement, &[]).await?.iter().map(|row| row.get(0)).collect())
}
