//! Serves HTTP/1 connections on every port of a program: limits, timeouts and shutdown.
//!
//! At its limit a listener closes an idle connection and accepts the new one, so that idle sockets
//! cannot lock other clients out. Connections that never sent a request go first, the oldest first.
//! A connection with a request in progress is never closed to make room.

mod body;
mod connections;
mod proxies;
mod stream;
mod table;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::body::{Held, Read};
use self::connections::{Connection, Connections, InUse};
pub use self::proxies::{Proxies, network_of};
use self::stream::Watched;
use pgrecall_process::tasks::Tasks;

/// The most connections of the port for callers, and of a port for probes.
const SERVICE_CONNECTIONS: u64 = 2_048;
const PROBE_CONNECTIONS: u64 = 256;
/// The files that a program opens besides its connections: to Postgres, to the embedder, and
/// others.
const OTHER_FILES: u64 = 128;
/// How long the head of a request may take, including a TLS handshake before it.
const REQUEST_HEAD: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request: longer than proxies keep theirs, so that a
/// proxy does not send a request just as the listener closes the connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a peer may read nothing of what is sent to it.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of a request's head, and of one read of a body.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// The time between two searches for connections that took too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long a connection without a request stays open at shutdown, since its request may be on the
/// way.
const STOP_GRACE: Duration = Duration::from_millis(250);
/// The pause after an accept failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The number of connections of a listener, and the timeout of each step.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections at once.
    pub connections: usize,
    /// The most connections of one address without a request in progress.
    pub idle_by_address: usize,
    /// The timeout for the head of a request.
    pub request_head: Duration,
    /// The timeout for the next request.
    pub idle: Duration,
    /// The timeout for a peer that does not read.
    pub unread: Duration,
}

impl Limits {
    /// Returns the limits of the port for callers, in a process that may open this many files.
    pub fn of_service(open_files: u64) -> Self {
        Self::of((open_files.saturating_sub(OTHER_FILES) / 4 * 3).clamp(16, SERVICE_CONNECTIONS))
    }

    /// Returns the limits of a port for probes and metrics.
    pub fn of_probes(open_files: u64) -> Self {
        Self::of((open_files.saturating_sub(OTHER_FILES) / 8).clamp(16, PROBE_CONNECTIONS))
    }

    fn of(connections: u64) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        // A quarter: one address cannot displace the connections of the others.
        let idle_by_address = (connections / 4).max(1);
        Self { connections, idle_by_address, request_head: REQUEST_HEAD, idle: IDLE_TIMEOUT, unread: UNREAD_TIMEOUT }
    }
}

/// The address of the peer of a request's connection, in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The step on a connection before HTTP.
pub trait Handshake: Send + Sync + 'static {
    /// The stream on which HTTP runs.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Makes the stream.
    fn accept(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// No handshake: plain HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Handshake for Plain {
    type Stream = TcpStream;

    async fn accept(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

/// The service of a listener.
pub struct Service<H> {
    /// The name in the metrics.
    pub name: &'static str,
    /// The step before HTTP.
    pub handshake: H,
    /// The routes that answer requests.
    pub routes: Router,
    /// The limits on connections and times.
    pub limits: Limits,
    /// Proxies whose connections are not limited by address, since many clients share them.
    pub proxies: Proxies,
}

/// Accepts connections until `stop`, and then ends the open ones.
///
/// Each connection ends once it has answered; after `drain`, all of them end.
pub async fn serve<H: Handshake>(socket: TcpListener, service: Service<H>, stop: CancellationToken, drain: Duration) {
    let connections = Arc::new(Connections::new(service.name, service.limits));
    let service = Arc::new(service);
    // Not a child of `stop`, which only tells connections to begin no further request.
    let tasks = Tasks::new(CancellationToken::new());
    // Returns a connection for which there is no room.
    let begin = |stream: TcpStream, peer: SocketAddr| {
        let address = (!service.proxies.trust(peer.ip())).then(|| network_of(peer.ip()));
        let Some((id, closed)) = connections.open(address) else { return Some((stream, peer)) };
        let connection = Arc::new(Connection::new(id, connections.clone()));
        let (service, stop, ended) = (service.clone(), stop.clone(), tasks.token().clone());
        tasks.spawn("connection", async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = ended.cancelled() => {}
                () = connected(stream, peer, &service, connection, stop) => {}
            }
        });
        None
    };
    let mut sweep = interval(SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut accepted = None;
    loop {
        accepted = accepted.and_then(|(stream, peer)| begin(stream, peer));
        tokio::select! {
            () = stop.cancelled() => break,
            _ = sweep.tick() => connections.close_expired(),
            () = connections.freed.notified(), if accepted.is_some() => {}
            next = socket.accept(), if accepted.is_none() => match next {
                Ok(next) => accepted = Some(next),
                Err(error) => {
                    tracing::warn!(%error, listener = service.name, "could not accept a connection");
                    // Most likely the process is out of files; closing any idle connection frees
                    // one.
                    connections.close_idle();
                    stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                }
            },
        }
    }
    // The kernel has accepted these connections already, and their requests would be lost with the
    // socket.
    let mut waiting = accepted.or_else(|| next_of(&socket));
    while let Some((stream, peer)) = waiting
        && begin(stream, peer).is_none()
    {
        waiting = next_of(&socket);
    }
    // A socket that accepts connections but does not answer would make clients wait.
    drop(socket);
    sleep(STOP_GRACE).await;
    connections.close_unused();
    if timeout(drain, connections.all_ended()).await.is_err() {
        tracing::warn!(connections = connections.alive(), listener = service.name, "some requests did not end in time");
    }
    tasks.stop(Duration::from_secs(1)).await;
}

/// Returns a connection that the kernel has accepted already.
fn next_of(socket: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    socket.accept().now_or_never()?.ok()
}

async fn connected<H: Handshake>(
    stream: TcpStream,
    peer: SocketAddr,
    service: &Service<H>,
    connection: Arc<Connection>,
    stop: CancellationToken,
) {
    // Answers are small and written whole, so delaying packets (Nagle) only adds latency.
    stream.set_nodelay(true).ok();
    let stream = match service.handshake.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, %peer, "the TLS handshake failed");
            return;
        }
    };
    let stream = Watched::new(stream, connection.clone(), service.limits.unread);
    let answer = service_fn(|mut request: hyper::Request<Incoming>| {
        let in_use = InUse::begin(&connection);
        request.extensions_mut().insert(Peer(peer));
        let routes = service.routes.clone();
        let request = request.map(|body| Body::new(Read::new(body, &connection)));
        async move {
            let Ok(response) = routes.oneshot(request).await;
            Ok::<_, Infallible>(response.map(|body| Held { body, _in_use: in_use }))
        }
    });
    let http = http1::Builder::new()
        // The table of connections holds the deadlines, since they depend on the connection's
        // history.
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    let mut http = std::pin::pin!(http);
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = async { stop.cancelled().await; sleep(STOP_GRACE).await } => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}

#[cfg(test)]
mod tests;
