//! Access to Postgres: connection strings, pools, transactions with a role and a scope, sessions,
//! migrations.
//!
//! [`dsn`] interprets connection strings as libpq does. Every transaction begins in [`db::Db`]
//! (decision 30). [`session`] is a connection outside the pools that listens and holds locks, and
//! [`integrity`] checks a database's files.

pub mod db;
pub mod dsn;
pub mod integrity;
pub mod session;

/// Includes the text of `sql/queries/NAME.sql`, because SQL text lives only under `sql/`. Works in
/// crates whose folder is two levels deep, such as `shared/store`.
#[macro_export]
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/queries/", $name, ".sql"))
    };
}

/// Implements `From<&Row>` for a struct each of whose fields is the column of the same name.
#[macro_export]
macro_rules! from_row {
    ($type:ident: $($field:ident),+) => {
        impl From<&tokio_postgres::Row> for $type {
            fn from(row: &tokio_postgres::Row) -> Self {
                Self { $($field: row.get(stringify!($field))),+ }
            }
        }
    };
}
