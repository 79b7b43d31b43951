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
        /// The server's database; a transaction pooler is fine.
        /// Unset: `DATABASE_URL`, and without that the embedded Postgres.
        pub dsn: Option<String> = key("database.dsn", Kind::Dsn),
        /// The worker's: direct or session-pooled connections to the same database, a dozen at the most.
        /// Unset: `database.dsn`.
        pub session_dsn: Option<String> = key("database.session_dsn", Kind::Dsn),
        /// Connections to `dsn` that one program opens at the most.
        /// Four are for API keys, the audit log, metrics and the background; each of the others runs one call at a
        /// time.
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
