//! `serve`: MCP for a host.

use std::io::IsTerminal;
use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use shared::config;

use super::{context::Context, failure::Failure};
use crate::{database::Database, server::Server, transport};

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
    if transport == Transport::Http {
        let sentence = "this build serves MCP over stdio only: use --transport stdio, or leave it out";
        return Err(Failure::Misused(sentence.to_owned()));
    }
    if serve.address.is_some() {
        return Err(Failure::Misused("--address is where HTTP listens; stdio has none".to_owned()));
    }
    if std::io::stdin().is_terminal() {
        eprintln!(
            "mcp-server speaks MCP on stdin and stdout; a host such as Claude Desktop starts it.\n\
             For people there is `mcp-server --help`. Ctrl-D ends it."
        );
    }
    let database = Database::start(context.config.clone(), context.shutdown.child_token());
    let served = transport::stdio::serve(Server::new(database.clone()), context.shutdown.clone()).await;
    database.close().await;
    Ok(served?)
}
