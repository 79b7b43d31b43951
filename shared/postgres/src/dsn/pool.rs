//! A pool whose connections are known to work, and to lead to a server that takes writes, each time they are handed out.
//!
//! The pool's own quick check sees only whether a connection was closed. A peer that vanished, and a primary that a failover turned
//! into a standby, both pass it.

use std::{future::Future, pin::Pin, time::Duration};

use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolBuilder, RecyclingMethod, Runtime,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage};

use super::Dsn;
use pgrecall_process::tasks;

const IS_READ_ONLY: &str = include_str!("../../../../sql/queries/session_is_read_only.sql");

/// How long a caller waits for a connection of a pool that is busy. A recall has 30 s in all, and should still answer.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was handed out less than this ago is not asked whether it works: under load that would be a round trip for each
/// recall, and what has failed since is tried again by whoever uses it.
const RESTED: Duration = Duration::from_millis(500);
/// How long an idle connection has to show that it lives.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

impl Dsn {
    /// A pool of at most so many connections; none is opened before it is needed.
    pub fn pool(&self, connections: usize) -> Pool {
        self.pool_builder(connections, RESTED).build().expect("a pool with a runtime can have timeouts")
    }

    /// The same, for a pool whose connections are prepared in some way. One that was handed out less than `rest` ago is not asked again.
    pub(crate) fn pool_builder(&self, connections: usize, rest: Duration) -> PoolBuilder {
        let quick = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(self.config(), Opener(self.clone()), quick);
        Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_TIMEOUT))
            // Twice, since `prefer` and `allow` may try a second time.
            .create_timeout(Some(self.settings.timeout * 2))
            .recycle_timeout(Some(CHECK_TIMEOUT))
            .post_recycle(Hook::async_fn(move |client, metrics| {
                let rested = metrics.last_used() >= rest;
                Box::pin(async move { if rested { check(client).await } else { Ok(()) } })
            }))
    }
}

/// An error makes the pool drop the connection and open another one.
async fn check(client: &ClientWrapper) -> Result<(), HookError> {
    match timeout(CHECK_TIMEOUT, client.simple_query(IS_READ_ONLY)).await {
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

/// Opens the pool's connections as [`Dsn::connect`] does.
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
