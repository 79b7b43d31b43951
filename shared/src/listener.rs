//! HTTP/1 connections, for every port on which a program listens: how many, how long a peer may take over its part, and how they end.
//!
//! At its limit a listener closes the connection that has been idle the longest and takes the new one, so that sockets on which nothing is
//! asked cannot keep anybody out. Only a connection on which a request is in progress is never closed for another.

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

/// Connections of the port that serves callers, and of one that serves probes.
const SERVICE_CONNECTIONS: u64 = 2_048;
const PROBE_CONNECTIONS: u64 = 256;
/// Files that a program opens beside its connections: those to Postgres, to the embedder, and its own.
const OTHER_FILES: u64 = 128;
/// How long the head of a request may take, a TLS handshake before it included.
const REQUEST_HEAD: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request: longer than proxies keep theirs, so that it is not closed just as one is used.
const IDLE: Duration = Duration::from_secs(75);
/// How long a peer may take nothing of what it is sent.
const UNREAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head, and of what is read of a body at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// How often connections are closed that took too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long a connection without a request stays open at a stop: its request may be on the way.
const STOP_GRACE: Duration = Duration::from_millis(250);
/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections a listener takes, and how long each step of them may last.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections of one address on which no request is in progress.
    pub idle_by_address: usize,
    /// The wait for the head of a request.
    pub request_head: Duration,
    /// The wait for another request.
    pub idle: Duration,
    /// The wait for a peer that does not read.
    pub unread: Duration,
}

impl Limits {
    /// For the port that serves callers, in a process that may open so many files.
    pub fn of_service(open_files: u64) -> Self {
        Self::of((open_files.saturating_sub(OTHER_FILES) / 4 * 3).clamp(16, SERVICE_CONNECTIONS))
    }

    /// For a port that serves probes and metrics.
    pub fn of_probes(open_files: u64) -> Self {
        Self::of((open_files.saturating_sub(OTHER_FILES) / 8).clamp(16, PROBE_CONNECTIONS))
    }

    fn of(connections: u64) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        // A quarter: one address cannot displace the connections of the others.
        let idle_by_address = (connections / 4).max(1);
        Self { connections, idle_by_address, request_head: REQUEST_HEAD, idle: IDLE, unread: UNREAD }
    }
}

/// Who is at the other end of a request's connection; among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// What happens on a connection before HTTP.
pub trait Handshake: Send + Sync + 'static {
    /// What HTTP is spoken on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Makes it.
    fn accept(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// HTTP at once.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Handshake for Plain {
    type Stream = TcpStream;

    async fn accept(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

/// What a listener serves.
pub struct Service<H> {
    /// Its name among the metrics.
    pub name: &'static str,
    /// What comes before HTTP.
    pub handshake: H,
    /// What answers.
    pub routes: Router,
    /// How many connections, and for how long.
    pub limits: Limits,
    /// Whose connections are not limited by address, since many clients share them.
    pub proxies: Proxies,
}

/// Takes connections until `stop`, and then ends those that are left: each when it has answered, all of them after `drain`.
pub async fn serve<H: Handshake>(socket: TcpListener, service: Service<H>, stop: CancellationToken, drain: Duration) {
    let connections = Arc::new(Connections::new(service.name, service.limits));
    let service = Arc::new(service);
    // Not a child of `stop`, which only tells them not to begin another request.
    let tasks = Tasks::new(CancellationToken::new());
    // What there is no room for comes back.
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
                    // Out of files, most likely: an idle connection's is as good as any.
                    connections.close_idle();
                    stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                }
            },
        }
    }
    // Those that the kernel has taken already may have sent their request: it would be lost with the socket.
    let mut waiting = accepted.or_else(|| next_of(&socket));
    while let Some((stream, peer)) = waiting
        && begin(stream, peer).is_none()
    {
        waiting = next_of(&socket);
    }
    // A socket that takes connections and does not answer would keep clients waiting.
    drop(socket);
    sleep(STOP_GRACE).await;
    connections.close_unused();
    if timeout(drain, connections.all_ended()).await.is_err() {
        tracing::warn!(connections = connections.alive(), listener = service.name, "some requests did not end in time");
    }
    tasks.stop(Duration::from_secs(1)).await;
}

/// A connection that is there already.
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
    // Answers are small, and are written whole.
    stream.set_nodelay(true).ok();
    match service.handshake.accept(stream).await {
        Ok(stream) => speak(stream, peer, service, connection, stop).await,
        Err(error) => tracing::debug!(%error, %peer, "the TLS handshake failed"),
    }
}

async fn speak<H: Handshake>(
    stream: H::Stream,
    peer: SocketAddr,
    service: &Service<H>,
    connection: Arc<Connection>,
    stop: CancellationToken,
) {
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
        // The table of connections has the deadlines, since they depend on what a connection did before.
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
