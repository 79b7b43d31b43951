//! A connection whose statement ends with the one who asked for it.
//!
//! A caller that hangs up drops its future, and Postgres would go on with the statement for nobody. What was dropped before its end
//! is cancelled there, and its connection is not used again: a cancellation that comes late would hit whoever has it next.

use std::ops::{Deref, DerefMut};

use deadpool_postgres::Object;

use crate::dsn::Dsn;

/// A connection of the pool, in the hands of someone who may hang up.
pub struct Asked {
    connection: Option<Object>,
    dsn: Dsn,
}

impl Asked {
    pub(super) fn new(connection: Object, dsn: &Dsn) -> Self {
        Self { connection: Some(connection), dsn: dsn.clone() }
    }

    /// Gives the connection back: what was asked is answered, or has failed.
    pub fn release(mut self) {
        self.connection = None;
    }
}

impl Deref for Asked {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.connection.as_ref().expect("it is there until it is released")
    }
}

impl DerefMut for Asked {
    fn deref_mut(&mut self) -> &mut Object {
        self.connection.as_mut().expect("it is there until it is released")
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // When the program ends there is nobody left to wait for it, and the connection goes with the program.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (dsn, token) = (self.dsn.clone(), connection.cancel_token());
        crate::tasks::detached("cancel", async move {
            dsn.cancel(token).await;
            // Only now is its place in the pool free.
            drop(Object::take(connection));
        });
    }
}
