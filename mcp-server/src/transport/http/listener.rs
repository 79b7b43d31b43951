//! Connections: how many, how long a peer may take over its part, and how they end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use futures_util::FutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::tasks::Tasks;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::tls::Tls;

/// Connections at once; more wait in the kernel's queue.
const MOST: usize = 2_048;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and a connection wait for its next request: longer than proxies keep theirs, so that it is not
/// closed just as one is used again.
const HEAD: Duration = Duration::from_secs(75);
/// How long a connection without a request is still open at the end: its request may be on the way.
const LINGER: Duration = Duration::from_millis(250);
/// How long a peer may take nothing of what it is sent.
const UNREAD: Duration = Duration::from_secs(60);
/// The pause after a connection could not be taken: too many open files, mostly.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until `stop`, and then ends those that are left: each when it has answered, all of them after `drain`.
pub(super) async fn run(
    listener: TcpListener,
    tls: Option<Tls>,
    routes: Router,
    stop: CancellationToken,
    drain: Duration,
) {
    let (tls, places) = (tls.map(Arc::new), Arc::new(Semaphore::new(MOST)));
    // Not a child of `stop`, which only tells them not to begin another request.
    let tasks = Tasks::new(CancellationToken::new());
    let begin = |stream, peer, place| {
        let (tls, routes, stop, ended) = (tls.clone(), routes.clone(), stop.clone(), tasks.token().clone());
        tasks.spawn("connection", async move {
            let _place: OwnedSemaphorePermit = place;
            ended.run_until_cancelled(connected(stream, peer, tls, routes, stop)).await;
        });
    };
    loop {
        let Some(Ok(place)) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await else { break };
        let (stream, peer) = match stop.run_until_cancelled(listener.accept()).await {
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            None => break,
        };
        begin(stream, peer, place);
    }
    // Those that the kernel has taken already may have sent their request: it would be lost with the socket.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never()
        && let Ok(place) = Arc::clone(&places).try_acquire_owned()
    {
        begin(stream, peer, place);
    }
    // Nobody is kept waiting by a socket that takes connections and does not answer.
    drop(listener);
    let quiet = async {
        while places.available_permits() < MOST {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(drain, quiet).await.is_err() {
        tracing::warn!(connections = MOST - places.available_permits(), "some requests did not end in time");
    }
    tasks.stop(Duration::from_secs(1)).await;
}

async fn connected(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    routes: Router,
    stop: CancellationToken,
) {
    // Answers are small, and are written whole.
    stream.set_nodelay(true).ok();
    match tls {
        None => serve(stream, peer, routes, stop).await,
        Some(tls) => match timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, peer, routes, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake did not end"),
        },
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: SocketAddr,
    routes: Router,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| routes.clone().oneshot(request.map(Body::new)));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(LINGER).await } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}
