//! Facts about a database, to compare two databases: the row count and a digest of each table, and
//! the nearest neighbors of some vectors.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::{BackupError, Rows};
use pgrecall_postgres::sql;

/// The content of a database, and the results of a few vector searches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Row count and digest of each table.
    tables: BTreeMap<String, (i64, String)>,
    /// For each table of vectors, pairs of a passage and one of its nearest neighbors.
    neighbors: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Facts {
    /// Reads the facts of this database, which reads all of its rows.
    pub(super) async fn of(client: &Client) -> Result<Self, BackupError> {
        let mut facts = Self::default();
        for row in client.query(sql!("user_tables"), &[]).await? {
            let table: String = row.get("name");
            let digest = client.query_one(&on_table(sql!("digest_rows"), &table), &[]).await?;
            if row.get("has_vectors") {
                let nearest = client.query(&on_table(sql!("nearest_stored"), &table), &[]).await?;
                let nearest = nearest.iter().map(|row| (row.get("asked"), row.get("found"))).collect();
                facts.neighbors.insert(table.clone(), nearest);
            }
            facts.tables.insert(table, (digest.get("rows"), digest.get("digest")));
        }
        Ok(facts)
    }

    /// Returns the first difference to another database.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let tables = self.tables.keys().chain(other.tables.keys());
        let table = tables.into_iter().find(|table| self.tables.get(*table) != other.tables.get(*table));
        if let Some(table) = table {
            return Some(format!("the rows of {table}"));
        }
        let table = self.neighbors.keys().find(|table| self.neighbors.get(*table) != other.neighbors.get(*table));
        table.map(|table| format!("the nearest neighbors in {table}"))
    }

    /// Returns the row count of each table.
    pub(super) fn rows(&self) -> Rows {
        self.tables.iter().map(|(table, (rows, _))| (table.clone(), rows.unsigned_abs())).collect()
    }
}

/// Counts the rows of each table of a database.
pub(super) async fn count_all(client: &Client) -> Result<Rows, BackupError> {
    let mut rows = Rows::new();
    for row in client.query(sql!("user_tables"), &[]).await? {
        let table: String = row.get("name");
        let count: i64 = client.query_one(&on_table(sql!("count_rows"), &table), &[]).await?.get("rows");
        rows.insert(table, count.unsigned_abs());
    }
    Ok(rows)
}

/// Inserts the name of the table into the statement. The name comes quoted from the catalog.
fn on_table(statement: &str, table: &str) -> String {
    statement.replace("{table}", table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_or_one_neighbor_more_is_a_difference() {
        let facts = || Facts {
            tables: BTreeMap::from([("a".to_owned(), (2, "17".to_owned()))]),
            neighbors: BTreeMap::from([("a".to_owned(), vec![(1, 2)])]),
        };
        assert_eq!(facts().difference(&facts()), None);
        let mut other = facts();
        other.tables.insert("b".to_owned(), (0, "0".to_owned()));
        assert_eq!(facts().difference(&other).as_deref(), Some("the rows of b"));
        let mut other = facts();
        other.neighbors.insert("a".to_owned(), vec![(1, 3)]);
        assert_eq!(facts().difference(&other).as_deref(), Some("the nearest neighbors in a"));
    }
}
