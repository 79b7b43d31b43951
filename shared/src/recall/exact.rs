//! The exact pass: every source of a small scope gets both scores, so that no filter can shorten an answer.

use tokio_postgres::types::Type;

use super::{Candidate, Pool, Search};
use crate::db::DbError;
use crate::sql::{on_space, sql};

impl Search<'_> {
    /// Scores the whole scope.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn whole_scope(&self) -> Result<Pool, DbError> {
        let mut parameters = self.narrowing.parameters().to_vec();
        parameters.push((&self.terms, Type::TEXT_ARRAY));
        let statement = self.narrowing.statement(sql!("scope_words"));
        let rows = self.transaction.query_typed(&statement, &parameters).await?;
        let mut pool = Pool::with_capacity(rows.len());
        for row in rows {
            let source = row.get("source");
            pool.insert(source, Candidate { bm25: row.get("bm25"), ..Candidate::of(source) });
        }
        if let Some(meaning) = self.meaning {
            parameters.pop();
            parameters.push((&meaning.vector, self.db.halfvec()));
            let statement = on_space(&self.narrowing.statement(sql!("scope_vectors")), meaning.space);
            for row in self.transaction.query_typed(&statement, &parameters).await? {
                let source = row.get("source");
                pool.entry(source).or_insert_with(|| Candidate::of(source)).take_passage(&row);
            }
        }
        Ok(pool)
    }

    /// The newest sources of the scope, unscored.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn newest(&self, limit: usize) -> Result<Pool, DbError> {
        let limit = limit as i64;
        let mut parameters = self.narrowing.parameters().to_vec();
        parameters.push((&limit, Type::INT8));
        let statement = self.narrowing.statement(sql!("entity_sources"));
        let rows = self.transaction.query_typed(&statement, &parameters).await?;
        Ok(rows.iter().map(|row| row.get("source")).map(|source| (source, Candidate::of(source))).collect())
    }
}
