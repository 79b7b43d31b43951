//! The half of a connection that must be driven.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio_postgres::{AsyncMessage, Error, Socket, tls::MakeTlsConnect};
use tokio_util::either::Either;

use super::{Tls, proven::ProvenConnection};

/// The half of a connection that must be driven for its client to work: see
/// [`pgrecall_process::tasks::connection`].
///
/// The driver opened the left one; the right one leads to a private server, over a stream that was
/// verified first.
pub struct Connection(Either<Box<Opened>, Box<ProvenConnection>>);

type Opened = tokio_postgres::Connection<Socket, <Tls as MakeTlsConnect<Socket>>::Stream>;

impl From<Opened> for Connection {
    fn from(connection: Opened) -> Self {
        Self(Either::Left(Box::new(connection)))
    }
}

impl From<ProvenConnection> for Connection {
    fn from(connection: ProvenConnection) -> Self {
        Self(Either::Right(Box::new(connection)))
    }
}

impl Connection {
    /// Polls for the next asynchronous message; `None` once the connection is closed.
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        match &mut self.0 {
            Either::Left(connection) => connection.poll_message(cx),
            Either::Right(connection) => connection.poll_message(cx),
        }
    }
}

impl Future for Connection {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}
