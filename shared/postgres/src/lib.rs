//! Postgres: connection strings, pools, transactions with a role and a scope, sessions, migrations.
//!
//! [`dsn`] connects as libpq would. [`db::Db`] is the only door to a transaction. [`session`] is a connection outside the pool that
//! listens and holds locks, and [`integrity`] checks the files of a database.

pub mod db;
pub mod dsn;
pub mod integrity;
pub mod session;

/// The text of `sql/queries/NAME.sql`, for a crate whose folder is two deep, as `shared/store`: no SQL text stands in the Rust code.
#[macro_export]
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/queries/", $name, ".sql"))
    };
}

/// Implements `From<&Row>` for a struct each of whose fields is the column of the same name.
#[macro_export]
macro_rules! from_row {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl From<&tokio_postgres::Row> for $type {
            fn from(row: &tokio_postgres::Row) -> Self {
                Self { $($field: row.get(stringify!($field))),+ }
            }
        }
    };
}
