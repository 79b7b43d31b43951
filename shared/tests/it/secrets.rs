//! Tests that no secret reaches the database, in any table and on any path.

use pgrecall_config::Secrets;
use pgrecall_record::source::{Record, RecordError, RecordFields, SourceKind, Stored};
use pgrecall_store::correct::{self, Change};
use pgrecall_store::write::{self, Batch, Policy};
use serde_json::json;

use crate::fixture::{Fixture, document, limit, memory, query};

/// Returns every row of every table, as text.
async fn everything(it: &Fixture) -> anyhow::Result<String> {
    let (client, connection) = it.db.dsn().connect().await?;
    let serving = pgrecall_process::tasks::connection("test", connection);
    let tables = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'pgrecall'";
    let mut all = String::new();
    for row in client.query(tables, &[]).await? {
        let table: String = row.get(0);
        let rows = client.query(&format!("SELECT t::text FROM pgrecall.{table} t"), &[]).await?;
        rows.iter().for_each(|row| all.push_str(row.get::<_, &str>(0)));
    }
    drop(client);
    serving.await?;
    Ok(all)
}

#[tokio::test]
async fn no_secret_of_any_field_is_in_any_table() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let token = format!("ghp_{}", "Ab3dE6gH9j".repeat(4));
    let password = "s3cr3tWordOfTheDay";
    let object = |value: serde_json::Value| value.as_object().expect("an object").clone();
    let record = Record {
        fields: RecordFields {
            title: format!("the token {token}"),
            uri: Some(format!("https://ana:{password}@host/")),
            tags: vec![format!("t {token}")],
            entity_urns: vec![format!("urn:x:{token}")],
            metadata: object(
                json!({"dsn": format!("postgres://ana:{password}@db/x"), "list": [{"k": token}], &token: "named"}),
            ),
            ..document(
                "kept",
                &format!("It is {token}, or host=db user=ana password={password} dbname=x. {}", "More. ".repeat(900)),
            )
            .fields
        },
        details: Some(object(json!({"example": token}))),
        ..document(
            "kept",
            &format!("It is {token}, or host=db user=ana password={password} dbname=x. {}", "More. ".repeat(900)),
        )
    };
    let written = it.write_one(record.clone()).await?;
    assert_eq!(written.redacted.count(), 10, "{}", written.redacted);
    it.embed_all(|_| 1).await?;
    // Writing it again changes nothing, because the comparison uses the stored, redacted text.
    let again = it.write_one(record).await?;
    assert_eq!((again.id, again.stored, again.redacted), (written.id, Stored::Unchanged, written.redacted));
    let change = Change { body: Some(format!("It was {token}")), ..Change::default() };
    let noted = it.write_one(memory("a note")).await?.id;
    correct::update(&it.db, &it.scope, noted, &change, &limit(), Policy::default()).await?.expect("it is there")?;

    let all = everything(&it).await?;
    assert!(all.contains("redacted: github token") && all.contains("redacted: password"), "what is looked through");
    for secret in [&token, &token.to_lowercase(), password, &password.to_lowercase()] {
        assert!(!all.contains(secret), "{secret} is stored");
    }
    assert!(it.recall(&query(&token, SourceKind::Document)).await?.hits.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_record_with_a_secret_is_refused_or_stored_as_it_is_where_that_is_wanted() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    let token = format!("ghp_{}", "Ab3dE6gH9j".repeat(4));
    let written = async |secrets: Secrets| {
        let policy = Policy { secrets, ..Policy::default() };
        let batch = Batch::under(policy, vec![memory(&format!("It is {token}")), memory("harmless")], &limit());
        anyhow::Ok(write::write(&it.db, &it.scope, &batch).await?)
    };
    let receipts = written(Secrets::Refuse).await?;
    assert_eq!(receipts[0], Err(RecordError::Secret { field: "text", kind: "github token" }));
    assert!(receipts[1].is_ok());
    assert!(!everything(&it).await?.contains(&token));
    assert!(written(Secrets::Off).await?[0].as_ref().is_ok_and(|receipt| receipt.redacted.is_empty()));
    assert!(everything(&it).await?.contains(&token), "that is how a test would see one");
    Ok(())
}
