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
