//! A server with the tools, prompts and resources of the MCP conformance suite, behind our HTTP.
//!
//! The suite needs things that pgrecall does not have: a tool that reports progress, a prompt with
//! an image, questions to the user. So the suite runs on this server, and tests everything between
//! the socket and the server: [`pgrecall_server::transport::http`].

mod changes;
mod inputs;
mod prompts;
mod resources;
mod tools;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use axum::Router;
use clap::Parser;
use pgrecall_access::keys::Scopes;
use pgrecall_callers::auth::Gate;
use pgrecall_callers::caller::{Caller, Weights};
use pgrecall_postgres::db::Scope;
use pgrecall_process::tasks::{self, Tasks};
use pgrecall_server::transport::{
    Handler,
    http::{self, Guard, Options},
};
#[expect(deprecated, reason = "the older revisions have it")]
use rmcp::model::{SetLevelRequestMethod, SetLevelRequestParams};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, GetPromptRequestParams,
        GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use shared::listener::{Limits, Proxies};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{changes::Changes, inputs::Rounds};

/// Serves the tools, prompts and resources that the MCP conformance suite calls.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address on which HTTP listens.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    address: SocketAddr,
    /// Keep sessions, for clients of the older revisions, in which a server needs one to send
    /// requests to the client.
    #[arg(long)]
    sessions: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let unheard = |error| format!("nothing can listen on {}: {error}", arguments.address);
    let listener = TcpListener::bind(arguments.address).await.map_err(unheard)?;
    eprintln!("MCP is served at http://{}/mcp", listener.local_addr().map_err(unheard)?);
    let nobody = Scope { tenant: "conformance".to_owned(), owner: "conformance".to_owned(), persona: None };
    let options = Options {
        // The hosts that `mcp-server` allows by default.
        guard: Guard::new(["localhost", "127.0.0.1", "[::1]"].into_iter(), [].into_iter())?,
        gate: Gate::open(Caller { scope: nobody, scopes: Scopes::ALL, name: "the suite".into() }),
        tls: None,
        requests: 64,
        weights: Weights::default(),
        limits: Limits::of_service(1_024),
        proxies: Proxies::default(),
        shutdown_delay: Duration::ZERO,
        drain: Duration::from_secs(1),
        sessions: arguments.sessions,
    };
    let shutdown = CancellationToken::new();
    Tasks::new(shutdown.clone()).spawn("signals", tasks::cancel_on_signal(shutdown.clone()));
    http::serve(listener, Fixture::default(), options, Router::new(), shutdown).await;
    Ok(())
}

/// The server. Clones share all of their state.
#[derive(Clone, Default)]
struct Fixture(Arc<State>);

/// The state that a fixture keeps between requests.
#[derive(Default)]
struct State {
    changes: Changes,
    rounds: Rounds,
}

impl Handler for Fixture {
    fn of(&self, _: Caller) -> Self {
        self.clone()
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        #[expect(deprecated, reason = "the older revisions have it")]
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_completions()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        let about = Implementation::new("pgrecall-conformance", env!("CARGO_PKG_VERSION"))
            .with_description("What the MCP conformance suite calls");
        ServerConfig::new(capabilities).with_server_info(about)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all(self.0.changes.has_extra_tool())))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        tools::call(self, &params, &context).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all(self.0.changes.has_extra_tool()).into_iter().find(|tool| tool.name == name)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::all(self.0.changes.has_extra_prompt())))
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(self, &params, &context)
    }

    async fn complete(
        &self,
        params: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        prompts::complete(&params)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::all()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&params.uri).map(ReadResourceResponse::from)
    }

    // No resource here ever changes, so there is no subscription to remember.
    async fn subscribe(&self, params: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        resources::read(&params.uri).map(drop)
    }

    async fn unsubscribe(
        &self,
        params: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        resources::read(&params.uri).map(drop)
    }

    // rmcp removes whatever the capabilities do not offer.
    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        self.0.changes.tell(&subscription).await;
        Ok(())
    }

    // A level would need a session to be remembered. This server may send every message from `info`
    // on, and does.
    #[expect(deprecated, reason = "the older revisions have it")]
    async fn set_level(&self, _: SetLevelRequestParams, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        match is_modern(&context) {
            true => Err(ErrorData::method_not_found::<SetLevelRequestMethod>()),
            false => Ok(()),
        }
    }
}

/// Whether a request is of a revision without sessions, in which a server cannot send requests.
fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}
