//! Facts about a database, so that two databases can be compared: the rows of each table, a digest of their text, and the neighbors of some vectors.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::{BackupError, Rows};
use pgrecall_postgres::sql;

/// The content of a database, and its answers to a few questions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Rows and digest of each table.
    tables: BTreeMap<String, (i64, String)>,
    /// Of each table of vectors: whose neighbors were asked for, and which they are.
    neighbors: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Facts {
    /// Those of this database. Reads all of it.
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

    /// The first difference to another database.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let tables = self.tables.keys().chain(other.tables.keys());
        let table = tables.into_iter().find(|table| self.tables.get(*table) != other.tables.get(*table));
        if let Some(table) = table {
            return Some(format!("the rows of {table}"));
        }
        let table = self.neighbors.keys().find(|table| self.neighbors.get(*table) != other.neighbors.get(*table));
        table.map(|table| format!("the nearest neighbors in {table}"))
    }

    /// How many rows each table has.
    pub(super) fn rows(&self) -> Rows {
        self.tables.iter().map(|(table, (rows, _))| (table.clone(), rows.unsigned_abs())).collect()
    }
}

/// How many rows each table of a database has.
pub(super) async fn count_all(client: &Client) -> Result<Rows, BackupError> {
    let mut rows = Rows::new();
    for row in client.query(sql!("user_tables"), &[]).await? {
        let table: String = row.get("name");
        let count: i64 = client.query_one(&on_table(sql!("count_rows"), &table), &[]).await?.get("rows");
        rows.insert(table, count.unsigned_abs());
    }
    Ok(rows)
}

/// The statement on this table, whose name comes quoted from the catalog.
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
