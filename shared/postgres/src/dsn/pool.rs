//! A pool that verifies a connection before handing it out: that it works, and that its server
//! accepts writes.
//!
//! The pool's own fast check only sees whether a connection was closed. A peer that vanished, or a
//! primary that a failover demoted to a standby, would pass it.

use std::{future::Future, pin::Pin, time::Duration};

use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolBuilder, RecyclingMethod, Runtime,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage};

use super::Dsn;
use crate::sql;
use pgrecall_process::tasks;

/// How long a caller waits for a connection of a busy pool. A recall has 30 s in total, and should
/// still answer.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was handed out more recently than this is not checked again. Under load the
/// check would add a round trip to each recall, and the caller retries if the connection has failed
/// since.
const CHECK_AFTER_IDLE: Duration = Duration::from_millis(500);
/// Time limit for the check of an idle connection.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

impl Dsn {
    /// Creates a pool of at most `connections` connections, which are opened on demand.
    pub fn pool(&self, connections: usize) -> Pool {
        self.pool_builder(connections, CHECK_AFTER_IDLE).build().expect("a pool with a runtime can have timeouts")
    }

    /// Returns the builder of such a pool, for pools with additional setup. A connection that was
    /// handed out less than `rest` ago is not checked.
    pub(crate) fn pool_builder(&self, connections: usize, rest: Duration) -> PoolBuilder {
        let quick = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(self.config(), Opener(self.clone()), quick);
        Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_TIMEOUT))
            // Twice, since `prefer` and `allow` may make a second attempt.
            .create_timeout(Some(self.settings.timeout * 2))
            .recycle_timeout(Some(CHECK_TIMEOUT))
            .post_recycle(Hook::async_fn(move |client, metrics| {
                let rested = metrics.last_used() >= rest;
                Box::pin(async move { if rested { check(client).await } else { Ok(()) } })
            }))
    }
}

/// Checks a pooled connection. On an error the pool drops it and opens another one.
async fn check(client: &ClientWrapper) -> Result<(), HookError> {
    match timeout(CHECK_TIMEOUT, client.simple_query(sql!("session_is_read_only"))).await {
        Err(_) => Err(HookError::message("it did not answer")),
        Ok(Err(error)) => Err(HookError::Backend(error)),
        Ok(Ok(messages)) => {
            let is_on = |message: &SimpleQueryMessage| match message {
                SimpleQueryMessage::Row(row) => row.get(0) == Some("on"),
                _ => false,
            };
            if messages.iter().any(is_on) {
                tracing::warn!(
                    "a pooled connection leads to a server that takes no writes any more: opening another one"
                );
                return Err(HookError::message("it leads to a server that takes no writes"));
            }
            Ok(())
        }
    }
}

/// Opens the pool's connections with [`Dsn::open`].
struct Opener(Dsn);

impl Connect for Opener {
    fn connect(
        &self,
        _config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async {
            let (client, connection) = self.0.open().await?;
            Ok((client, tasks::connection("pool", connection)))
        })
    }
}
