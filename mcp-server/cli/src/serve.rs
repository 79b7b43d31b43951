//! `serve`: serves MCP to a host.

use std::{io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use pgrecall_config::{Config, Transport};
use pgrecall_process::{open_files, tasks::Tasks};
use shared::listener::{self, Limits, Plain, Proxies, Service};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{context::Context, failure::Failure, program::named};
use pgrecall_callers::{
    audit::Audit,
    auth::Gate,
    caller::{Caller, Weights},
};
use pgrecall_server::{
    calls::Calls,
    probes,
    server::Server,
    transport::{
        self, Handler,
        http::{Guard, Options, Tls},
    },
};
use shared::database::Database;

/// Time to write the last audit entries after the server has stopped.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for pending requests for metrics after the server has stopped.
const METRICS_DRAIN: Duration = Duration::from_millis(200);

/// The arguments of `serve`. The configuration has the defaults.
#[derive(Debug, Default, Args)]
pub(super) struct Serve {
    /// The transport to serve. Without it, the configured one.
    #[arg(long, value_parser = transports())]
    transport: Option<Transport>,
    /// The address on which HTTP listens. Without it, the configured one.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<SocketAddr>,
}

fn transports() -> impl TypedValueParser<Value = Transport> {
    let names = [PossibleValue::new("stdio"), PossibleValue::new("http").alias("sse")];
    PossibleValuesParser::new(names).map(|name| if name == "stdio" { Transport::Stdio } else { Transport::Http })
}

pub(super) async fn run(context: &Context, serve: Serve) -> Result<(), Failure> {
    match serve.transport.unwrap_or(context.config.server.transport) {
        Transport::Http => {
            let mut config = Config::clone(&context.config);
            config.server.address = serve.address.unwrap_or(config.server.address);
            over_http(context, Arc::new(config)).await
        }
        Transport::Stdio if serve.address.is_some() => {
            Err(Failure::Misused("--address is where HTTP listens; stdio has none".to_owned()))
        }
        Transport::Stdio => over_stdio(context).await,
    }
}

async fn over_stdio(context: &Context) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        let greeting = "mcp-server speaks MCP on stdin and stdout; a host such as Claude Desktop starts it.\n\
                        For people there is `mcp-server --help`. Ctrl-D ends it.";
        eprintln!("{}", named(greeting));
    }
    let database =
        Database::start(context.config.clone(), context.shutdown.child_token(), embed_worker::spawn_if_private);
    let tasks = Tasks::new(CancellationToken::new());
    let audit = Audit::start(&context.config, &database, &tasks);
    let server = Server::new(database.clone(), Calls::of_one(&context.config))
        .audited(audit.clone())
        .of(Caller::local(&context.config));
    let served = transport::stdio::serve(server, context.shutdown.clone()).await;
    finish(audit, &tasks).await;
    database.close().await;
    Ok(served?)
}

/// Writes the last audit entries, and stops the background tasks.
async fn finish(audit: Option<Audit>, tasks: &Tasks) {
    if let Some(audit) = audit {
        audit.close();
    }
    let alive = tasks.stop(AUDIT_TIMEOUT).await;
    if !alive.is_empty() {
        tracing::warn!(tasks = ?alive, "some tasks did not end in time");
    }
}

async fn over_http(context: &Context, config: Arc<Config>) -> Result<(), Failure> {
    let http = &config.server;
    let hosts = http.hosts();
    let origins = http.allowed_origins.as_deref().unwrap_or_default();
    let guard = Guard::new(hosts.iter().map(String::as_str), origins.iter().map(String::as_str));
    let guard = guard.map_err(Failure::Misused)?;
    let tls = http.tls.as_ref().map(|tls| Tls::read(&tls.certificate, &tls.key)).transpose();
    let tls = tls.map_err(Failure::Misused)?;
    let address = http.address;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Misused(format!(
            "nothing can listen on {address}: {error}; choose another `server.address`, or --address"
        ))
    })?;
    // Everything that can be refused has been checked: from here on, the database must be closed.
    let database = Database::start(config.clone(), context.shutdown.child_token(), embed_worker::spawn_if_private);
    let tasks = Tasks::new(CancellationToken::new());
    let audit = Audit::start(&config, &database, &tasks);
    let open_files = open_files::raise_limit();
    let limits = Limits::of_service(open_files);
    let proxies = Proxies::new(&http.trusted_proxies);
    let options = Options {
        guard,
        gate: Gate::new(&config, limits.connections, database.clone(), audit.clone()),
        tls,
        requests: http.max_requests,
        weights: Weights::new(&http.weights),
        limits,
        proxies: proxies.clone(),
        shutdown_delay: http.shutdown_delay,
        drain: http.drain,
        // No tool here sends a request to the client.
        sessions: false,
    };
    let listening = listener.local_addr().unwrap_or(address);
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    tracing::info!("MCP is served at {scheme}://{listening}/mcp");
    if http.anonymous == pgrecall_config::Anonymous::Always && !listening.ip().is_loopback() {
        tracing::warn!("anyone who can reach {listening} may read and write: `server.anonymous` is `always`");
    }
    let routes = probes::routes(database.clone(), context.shutdown.clone());
    let metrics = Service {
        name: "metrics",
        handshake: Plain,
        routes: probes::metrics_routes(database.clone()).merge(routes.clone()),
        limits: Limits::of_probes(open_files),
        proxies,
    };
    serve_metrics(http.metrics_address, metrics, &tasks).await;
    let server = Server::new(database.clone(), Calls::shared(&config)).audited(audit.clone());
    transport::http::serve(listener, server, options, routes, context.shutdown.clone()).await;
    finish(audit, &tasks).await;
    database.close().await;
    Ok(())
}

/// Serves the metrics and the probes, on a port that callers do not reach, until the tasks are
/// stopped.
///
/// A failure to listen is only logged, since the MCP server is worth more than its metrics.
async fn serve_metrics(address: SocketAddr, metrics: Service<Plain>, tasks: &Tasks) {
    match TcpListener::bind(address).await {
        Ok(socket) => tasks.spawn("metrics", listener::serve(socket, metrics, tasks.token().clone(), METRICS_DRAIN)),
        Err(error) => tracing::warn!(%error, %address, "metrics are not served: set `server.metrics_address`"),
    }
}
