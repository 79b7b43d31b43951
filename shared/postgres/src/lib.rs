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
