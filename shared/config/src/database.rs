//! The section `database`: connection strings and the size of the pool.

use std::fmt;

use super::{
    keys::{Key, Kind, key},
    read::Reader,
    value::{Setting, Shown, masked_dsn},
};

section! {
    /// Connection strings and the size of the pool.
    #[derive(Clone, PartialEq, Eq)]
    pub struct Database {
        /// Connection of the server, directly or through a transaction pooler. Unset:
        /// `DATABASE_URL`; if that is unset too, the embedded Postgres.
        pub dsn: Option<String> = key("database.dsn", Kind::Dsn),
        /// Connection of the worker to the same database, directly or through a session pooler; it
        /// opens twelve connections at most. Unset: `database.dsn`.
        pub session_dsn: Option<String> = key("database.session_dsn", Kind::Dsn),
        /// Maximum number of connections to `dsn` of one program. Four are reserved for API keys,
        /// the audit log, metrics and background work; each of the others runs one call at a time.
        pub connections: usize = key("database.connections", Kind::Number(6, 500)).default("10"),
    }
}

impl Database {
    /// Checks the rule between the section's keys, and fills in the default of `session_dsn`.
    pub(super) fn complete(&mut self, reader: &mut Reader) {
        if reader.is_set("database.session_dsn") && !reader.is_set("database.dsn") {
            let wrong = " is set and `database.dsn` is not; set `database.dsn` to the server's database as well.";
            reader.find_at("database.session_dsn", wrong);
        }
        self.session_dsn = self.session_dsn.take().or_else(|| self.dsn.clone());
    }
}

impl fmt::Debug for Database {
    // Connection strings hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |dsn: &Option<String>| dsn.as_ref().map(|dsn| masked_dsn(dsn));
        f.debug_struct("Database")
            .field("dsn", &masked(&self.dsn))
            .field("session_dsn", &masked(&self.session_dsn))
            .field("connections", &self.connections)
            .finish()
    }
}
