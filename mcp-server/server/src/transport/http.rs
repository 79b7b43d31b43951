//! MCP over HTTP: `/mcp` for streamable HTTP, and `/sse` with `/message` for hosts of its
//! predecessor.
//!
//! A request passes, from the outside in: the connection ([`shared::listener`]), CORS, the check of
//! Host and Origin, authentication, the limit on concurrent requests, the negotiation of the
//! answer's type, the validation of the message, and rmcp. `/mcp` keeps no state between two requests, so any replica can answer any of
//! them; a session of `/sse` lives in one process.

mod accept;
mod admission;
mod body;
mod guard;
mod sse;
mod tls;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any, get, post},
};
use pgrecall_process::tasks::Tasks;
use pgrecall_store::metrics::metrics;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService,
    session::{SessionManager, local::LocalSessionManager, never::NeverSessionManager},
};
use shared::listener::{self, Limits, Peer, Plain, Proxies, Service};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use self::guard::Guard;
pub use self::tls::Tls;
use self::{admission::Admission, sse::Sessions};
use super::Handler;
use pgrecall_callers::auth::Gate;
use pgrecall_callers::caller::Weights;

/// Interval of the keep-alive messages on an idle stream. Proxies close a silent stream after a
/// minute, some after half of one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The options of the HTTP server.
pub struct Options {
    /// The hosts that requests may name, and the origins whose pages may send them.
    pub guard: Guard,
    /// Authentication.
    pub gate: Gate,
    /// The certificate and its key, for HTTPS.
    pub tls: Option<Tls>,
    /// Concurrent requests; more are refused.
    pub requests: usize,
    /// The callers' shares of them.
    pub weights: Weights,
    /// The limit on connections, and the timeout of each of their steps.
    pub limits: Limits,
    /// The proxies whose statement of a client's address is trusted.
    pub proxies: Proxies,
    /// How long the server still accepts requests after it is told to stop.
    pub shutdown_delay: Duration,
    /// How long requests in progress may take after that.
    pub drain: Duration,
    /// Whether `/mcp` keeps sessions for clients of the older revisions.
    ///
    /// A server needs a session to send them requests. The sessions live in this process.
    pub sessions: bool,
}

/// The state that every route needs, whatever the server is.
#[derive(Clone)]
struct Edge {
    guard: Arc<Guard>,
    gate: Gate,
    proxies: Proxies,
    admission: Admission,
}

/// Serves until `shutdown` is cancelled, and for `shutdown_delay` longer.
///
/// After that, requests in progress have up to `drain` to finish. `probes` are routes without
/// authentication.
pub async fn serve(
    socket: TcpListener,
    server: impl Handler,
    options: Options,
    probes: Router,
    shutdown: CancellationToken,
) {
    let Options { guard, gate, tls, requests, weights, limits, proxies, shutdown_delay, drain, sessions } = options;
    let tasks = Tasks::new(CancellationToken::new());
    let cors = cors(&guard);
    let admission = Admission::new(requests, weights);
    let edge = Edge { guard: Arc::new(guard), gate, proxies: proxies.clone(), admission };
    let events = Arc::new(Sessions::new(server.clone(), tasks.clone()));
    let (ending, told, stop) = (events.clone(), shutdown.clone(), CancellationToken::new());
    let stopping = stop.clone();
    tasks.spawn("stop", async move {
        told.cancelled().await;
        tokio::time::sleep(shutdown_delay).await;
        stopping.cancel();
        ending.close();
    });
    let streamable = if sessions {
        streamable(server, LocalSessionManager::default(), true)
    } else {
        streamable(server, NeverSessionManager::default(), false)
    };
    let routes = Router::new()
        .route("/mcp", streamable)
        .route("/message", post(sse::message).with_state(events.clone()))
        .layer(middleware::from_fn(body::validate))
        .layer(middleware::from_fn_with_state(sessions, accept::negotiate))
        .layer(middleware::from_fn_with_state(edge.clone(), admission::admit))
        .route("/sse", get(sse::open).with_state(events))
        .layer(middleware::from_fn_with_state(edge.clone(), identify))
        .layer(middleware::from_fn_with_state(edge.clone(), guard::check))
        .layer(cors)
        .merge(metadata(&edge.gate))
        .merge(probes)
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is nothing here: MCP is at /mcp") })
        .layer(middleware::from_fn_with_state(shutdown, part))
        .layer(middleware::from_fn(count));
    let name = "mcp";
    match tls {
        Some(handshake) => {
            listener::serve(socket, Service { name, handshake, routes, limits, proxies }, stop, drain).await;
        }
        None => {
            listener::serve(socket, Service { name, handshake: Plain, routes, limits, proxies }, stop, drain).await;
        }
    }
    tasks.stop(Duration::from_secs(1)).await;
}

impl Edge {
    /// Returns the address of a request's client, which may be behind trusted proxies.
    fn client(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let headers = request.headers().get_all("x-forwarded-for").iter();
        // An unreadable header names nobody, but is kept: otherwise the one before it would count
        // as the last.
        let headers: Vec<&str> = headers.map(|header| header.to_str().unwrap_or("?")).collect();
        self.proxies.client(peer, headers.into_iter())
    }
}

/// Closes the connection after an answer once the server is told to stop.
///
/// A client that sends another request then reaches a replica that stays.
async fn part(State(told): State<CancellationToken>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if told.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Counts an answer, from whichever layer it comes.
async fn count(request: Request, next: Next) -> Response {
    let route = match request.uri().path() {
        "/mcp" => "mcp",
        "/sse" => "sse",
        "/message" => "message",
        _ => "other",
    };
    let response = next.run(request).await;
    metrics().http_answer(route, response.status().as_u16());
    response
}

/// Makes the routes of the OAuth metadata, from which a client learns where to get a token.
///
/// Pages of any origin may read it.
fn metadata(gate: &Gate) -> Router {
    let Some(metadata) = gate.metadata().cloned() else { return Router::new() };
    let answer = get(move || std::future::ready(Json(metadata.document.clone())));
    Router::new()
        .route("/.well-known/oauth-protected-resource", answer.clone())
        .route("/.well-known/oauth-protected-resource/mcp", answer)
        .layer(CorsLayer::new().allow_origin(tower_http::cors::Any))
}

/// Makes the route of streamable HTTP, which rmcp serves for every revision.
fn streamable(server: impl Handler, manager: impl SessionManager, sessions: bool) -> MethodRouter {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(sessions)
        .with_json_response(true)
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        // Our own check is stricter, and the same for every route.
        .disable_allowed_hosts()
        .with_max_request_body_bytes(body::MAX_BODY_BYTES)
        // A token that is never cancelled, because rmcp would answer calls in progress with an
        // error. They may finish.
        .with_cancellation_token(CancellationToken::new());
    let service = StreamableHttpService::new(move || Ok(server.clone()), Arc::new(manager), config);
    any(move |request: Request| async move { service.handle(request).await.map(Body::new) })
}

/// Authenticates a request, and puts the caller into its extensions, where the server finds it.
async fn identify(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let address = edge.client(&request);
    match edge.gate.identify(request.headers(), address).await {
        Ok((caller, validity)) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(validity);
            next.run(request).await
        }
        Err(refused) => {
            tracing::debug!(reason = ?refused.reason, "a request was refused: {}", refused.sentence);
            let mut response = refusal(refused.status(), &refused.sentence);
            let headers = response.headers_mut();
            if let Some(challenge) = edge.gate.challenge(&refused) {
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            if let Some(wait) = refused.retry_after() {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
            response
        }
    }
}

/// Allows pages of the listed origins to call.
///
/// Other origins get no such headers, so browsers refuse to show them the answers.
fn cors(guard: &Guard) -> CorsLayer {
    let guard = guard.clone();
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| guard.lists(origin)))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER])
        .max_age(Duration::from_secs(3600))
}

/// Makes a refusal: a JSON-RPC error, whose sentence a host shows.
///
/// The status says the same to proxies and people.
fn refusal(status: StatusCode, sentence: &str) -> Response {
    let error = serde_json::json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": sentence}});
    (status, Json(error)).into_response()
}
