//! The MCP server: what a host sees, whichever transport carries it.

use std::{sync::Arc, time::Instant};

use axum::http::request::Parts;
use jiff::Timestamp;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, Implementation, JsonObject, ListToolsResult,
        PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::Value;
use shared::{audit, engine::Engine, metrics::metrics, telemetry::go_on_from};
use tokio::sync::mpsc;
use tracing::{Instrument, Span, field, info_span};

use crate::{
    audit::Audit,
    auth::Caller,
    database::{Database, Unavailable},
    tools::{self, Entry, ToolError},
    transport::Handler,
};

/// Read by the model at the start of a conversation: when to call what.
const INSTRUCTIONS: &str = "Long-term memory, and search over the user's documents. \
    Before you answer anything that may rest on earlier conversations (people, preferences, decisions, plans, dates), and when a \
    conversation begins with a task, call memory_recall with the question in plain words. \
    When the user states something that will matter again, or asks you to remember it, call memory_remember: one self-contained \
    fact a call, names and dates written out, not \"he\" or \"yesterday\". \
    For documents, API operations, prompts and saved assets call search, then fetch with a result's id for the whole text. \
    An answer with degraded: true was ranked by words alone: try the words that the text itself would use. \
    Call memory_forget only when the user asks for it.";

/// How long a host may keep the list of tools: it changes with the program, and with what a key may do.
const LISTED_MS: u64 = 300_000;

/// W3C's names of a trace, in a request's headers and in the `_meta` of a message.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// What answers MCP requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    tools: Arc<Vec<Entry>>,
    database: Arc<Database>,
    asking: Asking,
    audit: Option<Audit>,
}

/// A call under way, as it will be noted.
struct Call<'a> {
    entry: &'a Entry,
    caller: Option<&'a Caller>,
    shape: Value,
    at: Timestamp,
    begun: Instant,
}

/// Whom a server's requests come from.
#[derive(Clone)]
enum Asking {
    /// One caller, for as long as a session lasts.
    Caller(Caller),
    /// Each request says it by itself: see [`crate::transport::http`].
    Request,
}

impl Server {
    /// A server over this database, each of whose requests brings its caller along.
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { tools: Arc::new(tools::all()), database, asking: Asking::Request, audit: None }
    }

    /// The same, with its calls noted in the audit log.
    pub(crate) fn audited(self, audit: Audit) -> Self {
        Self { audit: Some(audit), ..self }
    }

    fn caller<'a>(&'a self, context: &'a RequestContext<RoleServer>) -> Option<&'a Caller> {
        match &self.asking {
            Asking::Caller(caller) => Some(caller),
            Asking::Request => context.extensions.get::<Parts>()?.extensions.get(),
        }
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.tools.iter().find(|entry| entry.listed.name == name)
    }

    /// Everything of a call, from its arguments to its answer.
    async fn run(
        &self,
        entry: &Entry,
        caller: Option<&Caller>,
        mut arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value, ToolError> {
        // Nothing is done for someone who is not known, whatever the reason.
        let caller = caller.ok_or(ToolError::NobodyAsks)?;
        entry
            .permits(caller.scopes)
            .map_err(|scope| ToolError::Forbidden { tool: entry.listed.name.to_string(), scope })?;
        entry.check(&mut arguments)?;
        let engine = self.engine(context).await?;
        entry.call(engine, caller.scope.clone(), arguments).await
    }

    /// Counts a call that has ended and, over HTTP, notes it in the audit log.
    fn note(&self, call: Call<'_>, outcome: &'static str) {
        let took = call.begun.elapsed();
        metrics().call(&call.entry.listed.name, outcome, took);
        if let (Some(audit), Some(caller)) = (&self.audit, call.caller) {
            audit.note(audit::Entry {
                at: call.at,
                tenant: caller.scope.tenant.clone(),
                caller: caller.name.to_string(),
                tool: call.entry.listed.name.to_string(),
                outcome,
                took_ms: took.as_secs_f32() * 1e3,
                arguments: call.shape,
            });
        }
    }

    /// The engine. While it starts, a host that asked for progress hears of each step.
    async fn engine(&self, context: &RequestContext<RoleServer>) -> Result<Engine, Unavailable> {
        let Some(token) = context.meta.get_progress_token() else {
            return self.database.engine(|_| {}).await;
        };
        // Steps come a few seconds apart; one that finds the queue full is overtaken by the next.
        let (steps, mut heard) = mpsc::channel::<String>(8);
        let tell = async {
            let mut count = 0.0;
            while let Some(step) = heard.recv().await {
                count += 1.0;
                let progress = ProgressNotificationParam::new(token.clone(), count).with_message(step);
                // A host that does not take it misses nothing that it needs.
                let _ = context.peer.notify_progress(progress).await;
            }
        };
        let wait = async move {
            let result = self.database.engine(|step| drop(steps.try_send(step.to_owned()))).await;
            drop(steps);
            result
        };
        tokio::join!(wait, tell).0
    }
}

/// The span of a call, which goes on with the caller's trace: the one in the message or, over HTTP, the one of the request around it.
fn traced(tool: &str, context: &RequestContext<RoleServer>) -> Span {
    let span = info_span!(
        "tool", tool.name = tool, otel.name = format!("tools/call {tool}"), otel.kind = "server",
        error.type = field::Empty, otel.status_code = field::Empty
    );
    let message = |name: &str| context.meta.get(name).and_then(Value::as_str);
    let header = |name: &str| context.extensions.get::<Parts>()?.headers.get(name)?.to_str().ok();
    let (parent, state) = match message(TRACEPARENT) {
        Some(parent) => (Some(parent), message(TRACESTATE)),
        None => (header(TRACEPARENT), header(TRACESTATE)),
    };
    if let Some(parent) = parent {
        go_on_from(parent, state, &span);
    }
    span
}

fn fails(span: &Span, outcome: &str) {
    span.record("error.type", outcome).record("otel.status_code", "ERROR");
}

impl Handler for Server {
    fn of(&self, caller: Caller) -> Self {
        Self { asking: Asking::Caller(caller), ..self.clone() }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let about = Implementation::new("pgrecall", env!("CARGO_PKG_VERSION"))
            .with_title("pgrecall")
            .with_description("Semantic recall for AI agents on plain Postgres");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let scopes = self.caller(&context).map(|caller| caller.scopes).unwrap_or_default();
        // What a caller may not call is better not offered to a model.
        let listed = self.tools.iter().filter(|entry| entry.permits(scopes).is_ok()).map(|entry| entry.listed.clone());
        Ok(ListToolsResult::with_all_items(listed.collect())
            .with_ttl_ms(LISTED_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = self.find(&params.name) else {
            let names: Vec<_> = self.tools.iter().map(|entry| &*entry.listed.name).collect();
            let text = format!("there is no tool `{}`: call one of {}", params.name, names.join(", "));
            return Err(ErrorData::invalid_params(text, None));
        };
        let arguments = params.arguments.unwrap_or_default();
        let caller = self.caller(&context);
        let shape = if self.audit.is_some() { audit::shape(&arguments, entry.properties()) } else { Value::Null };
        let call = Call { entry, caller, shape, at: Timestamp::now(), begun: Instant::now() };
        let cancelled = context.ct.clone();
        let span = traced(&entry.listed.name, &context);
        let run = self.run(entry, caller, arguments, &context).instrument(span.clone());
        match cancelled.run_until_cancelled(run).await {
            Some(result) => {
                let outcome = result.as_ref().map_or_else(ToolError::outcome, |_| "ok");
                if result.is_err() {
                    fails(&span, outcome);
                }
                self.note(call, outcome);
                Ok(tools::answered(result).into())
            }
            None => {
                fails(&span, "cancelled");
                self.note(call, "cancelled");
                // rmcp sends no answer to a request that the host cancelled.
                Err(ErrorData::internal_error("the call was cancelled", None))
            }
        }
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.find(name).map(|entry| entry.listed.clone())
    }
}
