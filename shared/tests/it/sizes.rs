//! Tests of the estimated sizes against the sizes that Postgres reports.

use pgrecall_embedder::{ModelId, Provider};
use pgrecall_postgres::db::Role;
use pgrecall_store::spaces::{self, size::Size};

use crate::fixture::{Fixture, memory};

const PASSAGES: u64 = 2_000;

#[tokio::test]
async fn what_vectors_and_their_index_take_is_foretold() -> anyhow::Result<()> {
    let it = Fixture::new().await?;
    it.write((0..PASSAGES).map(|n| memory(&format!("memory {n}"))).collect()).await?;
    // Vectors inside and outside (TOAST) their table, and indexes with seven, three and one vectors
    // a page.
    for dimension in [384, 1024, 3072] {
        let model = ModelId::new(Provider::Local, None, &format!("of {dimension}"));
        let space = spaces::ensure(&it.db, &Role::Worker, &model).await?;
        let space = spaces::learn_dimension(&it.db, &space, dimension).await?;
        let table = format!("vectors_{}", space.id.0);
        it.run_sql(&format!(
            "INSERT INTO {table} SELECT p.id, p.source, p.tenant_id, p.source_kind, p.text_hash,
                 array(SELECT random() - 0.5 + p.id * 0 FROM generate_series(1, {dimension}))::real[]::halfvec
             FROM passages p;
             DROP INDEX IF EXISTS {table}_embedding_idx;
             CREATE INDEX {table}_embedding_idx ON {table} USING hnsw (embedding halfvec_cosine_ops)"
        ))
        .await?;
        let (client, connection) = it.db.dsn().connect().await?;
        let serving = pgrecall_process::tasks::connection("test", connection);
        let measure = format!(
            "SELECT pg_relation_size('pgrecall.{table}_embedding_idx'), pg_total_relation_size('pgrecall.{table}')"
        );
        let row = client.query_one(&measure, &[]).await?;
        let (index, all): (i64, i64) = (row.get(0), row.get(1));
        drop(client);
        serving.await?;
        let said = Size::of(PASSAGES, dimension as u64);
        for (what, said, taken) in [("index", said.index, index), ("vectors", said.vectors, all - index)] {
            let ratio = said as f64 / taken as f64;
            assert!((0.95..1.05).contains(&ratio), "{what} of {dimension}: {said} said, {taken} taken");
        }
    }
    Ok(())
}
