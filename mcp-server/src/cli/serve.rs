//! `serve`: MCP for a host.

use std::{io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use shared::{
    config::{self, Config},
    tasks::Tasks,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{context::Context, failure::Failure};
use crate::{
    audit::Audit,
    auth::{Caller, Gate},
    database::Database,
    probes,
    server::Server,
    transport::{
        self, Handler,
        http::{Guard, Options, Tls},
    },
};

/// How long the last calls may take to be noted once the server has stopped.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How MCP is served; what is not given comes from the configuration.
#[derive(Debug, Default, Args)]
pub(super) struct Serve {
    /// Over what.
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Where HTTP listens.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    Stdio,
    #[value(alias = "sse")]
    Http,
}

pub(super) async fn run(context: &Context, serve: Serve) -> Result<(), Failure> {
    let transport = serve.transport.unwrap_or(match context.config.server.transport {
        config::Transport::Stdio => Transport::Stdio,
        config::Transport::Http => Transport::Http,
    });
    match transport {
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
        eprintln!(
            "mcp-server speaks MCP on stdin and stdout; a host such as Claude Desktop starts it.\n\
             For people there is `mcp-server --help`. Ctrl-D ends it."
        );
    }
    let database = Database::start(context.config.clone(), context.shutdown.child_token());
    let tasks = Tasks::new(CancellationToken::new());
    let audit = Audit::start(&context.config, &database, &tasks);
    let server = Server::new(database.clone()).audited(audit.clone()).of(Caller::local(&context.config));
    let served = transport::stdio::serve(server, context.shutdown.clone()).await;
    finish(audit, &tasks).await;
    database.close().await;
    Ok(served?)
}

/// Has the last calls noted, and ends what runs beside the server.
async fn finish(audit: Option<Audit>, tasks: &Tasks) {
    if let Some(audit) = audit {
        audit.close();
    }
    let alive = tasks.stop(LAST_WORDS).await;
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
    // Whatever may be refused has been: from here on there is a database to leave in order.
    let database = Database::start(config.clone(), context.shutdown.child_token());
    let tasks = Tasks::new(CancellationToken::new());
    let audit = Audit::start(&config, &database, &tasks);
    let options = Options {
        guard,
        gate: Gate::new(&config, database.clone(), audit.clone()),
        tls,
        requests: http.max_requests,
        shutdown_delay: http.shutdown_delay,
        drain: http.drain,
        // Nothing here asks a client anything.
        sessions: false,
    };
    let listening = listener.local_addr().unwrap_or(address);
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    tracing::info!("MCP is served at {scheme}://{listening}/mcp");
    if http.anonymous == config::Anonymous::Always && !listening.ip().is_loopback() {
        tracing::warn!("whoever reaches {listening} may read and write: `server.anonymous` is `always`");
    }
    let routes = probes::routes(database.clone(), context.shutdown.clone());
    serve_metrics(http.metrics_address, database.clone(), &tasks).await;
    let server = Server::new(database.clone()).audited(audit.clone());
    transport::http::serve(listener, server, options, routes, context.shutdown.clone()).await;
    finish(audit, &tasks).await;
    database.close().await;
    Ok(())
}

/// Serves the metrics until the tasks are stopped. A server that answers is worth more than its metrics.
async fn serve_metrics(address: SocketAddr, database: Arc<Database>, tasks: &Tasks) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!(%error, %address, "metrics are not served: set `server.metrics_address`"),
    };
    let stop = tasks.token().clone();
    tasks.spawn("metrics", async move {
        let routes = probes::metrics_routes(database);
        if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
}
