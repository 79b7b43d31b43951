//! MCP over HTTP: `/mcp` for every revision that has streamable HTTP, and `/sse` with `/message` for hosts that know only its predecessor.
//!
//! A request passes, from the outside in: the connection ([`shared::listener`]), the answer to a browser's question whether it may ask (CORS), the
//! check of Host and Origin, who is asking, how many ask at once, the message's shape, and then rmcp. `/mcp` keeps nothing between two requests, so that any replica can
//! answer any of them; a session of `/sse` lives in one process.

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
use pgrecall_callers::auth::{Gate, Weights};

/// How often a stream that has nothing to say shows that it lives. Proxies give a silent one up after a minute, some after half.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How HTTP is served.
pub struct Options {
    /// Whom requests may name as their host, and which pages may send them.
    pub guard: Guard,
    /// Who is asking.
    pub gate: Gate,
    /// Certificates, for HTTPS.
    pub tls: Option<Tls>,
    /// Requests at once; more are refused.
    pub requests: usize,
    /// How many shares of them callers have.
    pub weights: Weights,
    /// Connections at once, and how long each step of them may last.
    pub limits: Limits,
    /// Whose word on a client's address is taken.
    pub proxies: Proxies,
    /// How long requests are still taken once the server is told to stop.
    pub shutdown_delay: Duration,
    /// How long requests under way may take after that.
    pub drain: Duration,
    /// Whether `/mcp` keeps sessions for clients of the older revisions, without which a server cannot ask them anything. They live in this
    /// process.
    pub sessions: bool,
}

/// What every route needs to know, whatever the server is.
#[derive(Clone)]
struct Edge {
    guard: Arc<Guard>,
    gate: Gate,
    proxies: Proxies,
    admission: Admission,
}

/// Serves until `shutdown` is cancelled, for `shutdown_delay` longer, and for as long as `drain` after that while requests are under way.
/// `probes` are routes that ask nobody who they are.
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
        .layer(middleware::from_fn(body::judge))
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
            let service = Service { name, handshake, routes, limits, proxies };
            listener::serve(socket, service, stop, drain).await;
        }
        None => {
            let service = Service { name, handshake: Plain, routes, limits, proxies };
            listener::serve(socket, service, stop, drain).await;
        }
    }
    tasks.stop(Duration::from_secs(1)).await;
}

impl Edge {
    /// The address that a request comes from, past the proxies in front of the server.
    fn client(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let headers = request.headers().get_all("x-forwarded-for").iter();
        // One that cannot be read names nobody, and must not let the one before it pass for the last.
        let headers: Vec<&str> = headers.map(|header| header.to_str().unwrap_or("?")).collect();
        self.proxies.client(peer, headers.into_iter())
    }
}

/// Once the server is told to stop, an answer is the last one on its connection: whoever asks again does it where somebody stays.
async fn part(State(told): State<CancellationToken>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if told.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Counts an answer, whoever made it.
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

/// Where a client reads from whom it gets a token, which pages of any origin may.
fn metadata(gate: &Gate) -> Router {
    let Some(metadata) = gate.metadata().cloned() else { return Router::new() };
    let answer = get(move || std::future::ready(Json(metadata.document.clone())));
    Router::new()
        .route("/.well-known/oauth-protected-resource", answer.clone())
        .route("/.well-known/oauth-protected-resource/mcp", answer)
        .layer(CorsLayer::new().allow_origin(tower_http::cors::Any))
}

/// Streamable HTTP for every revision, by rmcp.
fn streamable(server: impl Handler, manager: impl SessionManager, sessions: bool) -> MethodRouter {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(sessions)
        .with_json_response(true)
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        // Ours are stricter, and the same for every route.
        .disable_allowed_hosts()
        .with_max_request_body_bytes(body::MOST)
        // One of its own, which is never cancelled: it would answer calls under way with an error. They may finish.
        .with_cancellation_token(CancellationToken::new());
    let service = StreamableHttpService::new(move || Ok(server.clone()), Arc::new(manager), config);
    any(move |request: Request| async move { service.handle(request).await.map(Body::new) })
}

/// Notes who is asking among the request's extensions, where the server looks for it.
async fn identify(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let address = edge.client(&request);
    match edge.gate.identify(request.headers(), address).await {
        Ok((caller, standing)) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(standing);
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

/// What the pages of allowed origins may do. Others get no such word, and their browsers keep the answers from them.
fn cors(guard: &Guard) -> CorsLayer {
    let guard = guard.clone();
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| guard.lists(origin)))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER])
        .max_age(Duration::from_secs(3600))
}

/// A refusal: a JSON-RPC error, so that a host shows its sentence, under the status that says the same to proxies and people.
fn refusal(status: StatusCode, sentence: &str) -> Response {
    let error = serde_json::json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": sentence}});
    (status, Json(error)).into_response()
}
