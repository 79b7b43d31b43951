//! Requests to the client in the middle of a call.
//!
//! In the older revisions, the server sends a request of its own, which needs a session. From
//! 2026-07-28 on, the server answers that input is missing, and the client repeats the call with
//! it.

#![expect(deprecated, reason = "sampling and roots are on their way out of the protocol; the suite asks for them")]

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientCapabilities, CreateMessageResult, ElicitResult, ElicitationAction, InputRequest, InputRequiredResult,
        InputResponses, ListRootsResult, ServerRequest,
    },
    service::RequestContext,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

/// Number of calls in progress. Beyond it, the oldest is dropped.
const MAX_INPUTS: usize = 256;

/// Makes an elicitation of an object in which each of these properties is required.
pub(crate) fn elicitation(message: &str, properties: Value) -> InputRequest {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(|it| it.keys().cloned()).collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    request(json!({
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    }))
}

/// Makes an elicitation of one text.
pub(crate) fn question(message: &str, property: &str) -> InputRequest {
    elicitation(message, json!({property: {"type": "string"}}))
}

/// Makes a request for the client's model to answer a prompt.
pub(crate) fn sampling(prompt: &str, tokens: u32) -> InputRequest {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    request(json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}))
}

/// Makes a request for the client's roots.
pub(crate) fn roots() -> InputRequest {
    request(json!({"method": "roots/list", "params": {}}))
}

fn request(value: Value) -> InputRequest {
    serde_json::from_value(value).expect("it is written as the protocol has it")
}

/// Reads the client's answer to one of the requests.
///
/// Returns `None` if the answer is missing or cannot be read; the tool then asks again.
pub(crate) fn answer<T: DeserializeOwned>(responses: Option<&InputResponses>, key: &str) -> Option<T> {
    serde_json::from_value(responses?.get(key)?.clone()).ok()
}

/// Returns the text that the user entered, or the action that they chose instead.
pub(crate) fn entered(answer: &ElicitResult, property: &str) -> String {
    match (&answer.action, &answer.content) {
        (ElicitationAction::Accept, Some(content)) => match &content[property] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        (action, _) => format!("{action:?}").to_lowercase(),
    }
}

/// Returns the text that the client's model generated.
pub(crate) fn generated(answer: &CreateMessageResult) -> String {
    answer.message.content.iter().filter_map(|block| block.as_text()).map(|block| block.text.as_str()).collect()
}

/// Returns the client's roots.
pub(crate) fn places(answer: &ListRootsResult) -> String {
    answer.roots.iter().map(|root| root.uri.as_str()).collect::<Vec<_>>().join(", ")
}

/// Makes the result that says that input is missing.
pub(crate) fn required<const N: usize>(
    context: &RequestContext<RoleServer>,
    requests: [(&str, InputRequest); N],
    state: Option<String>,
) -> Result<InputRequiredResult, ErrorData> {
    let missing: Vec<_> = requests.iter().map(|(_, it)| it).filter(|it| !can_answer(context, it)).map(needs).collect();
    if !missing.is_empty() {
        return Err(incapable(&missing));
    }
    let requests = requests.into_iter().map(|(key, request)| (key.to_owned(), request)).collect();
    Ok(InputRequiredResult::new(Some(requests), state))
}

/// Sends a request to the client, as the older revisions do. An error is a sentence.
pub(crate) async fn ask(context: &RequestContext<RoleServer>, request: InputRequest) -> Result<Value, String> {
    if !can_answer(context, &request) {
        return Err(format!("the client does not offer {}, or cannot be asked without a session", needs(&request)));
    }
    let request = match request {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        _ => return Err("nothing else is ever asked".to_owned()),
    };
    let answer = context.peer.send_request(request).await.map_err(|error| error.to_string())?;
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// Whether the client declared that it can answer a request of this type.
pub(crate) fn can_answer(context: &RequestContext<RoleServer>, request: &InputRequest) -> bool {
    context.client_capabilities().is_some_and(|offered| match request {
        InputRequest::CreateMessage(_) => offered.sampling.is_some(),
        InputRequest::Elicitation(_) => offered.elicitation.is_some(),
        InputRequest::ListRoots(_) => offered.roots.is_some(),
        _ => false,
    })
}

/// Makes the error for a client that lacks these capabilities.
pub(crate) fn incapable(names: &[&str]) -> ErrorData {
    let named: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    let required: ClientCapabilities = serde_json::from_value(named.into()).expect("the protocol has these names");
    ErrorData::missing_required_client_capability(required)
}

fn needs(request: &InputRequest) -> &'static str {
    match request {
        InputRequest::CreateMessage(_) => "sampling",
        InputRequest::ListRoots(_) => "roots",
        _ => "elicitation",
    }
}

/// Calls in progress.
///
/// The client holds only an unguessable handle as the state of its call, and the state itself stays
/// here.
#[derive(Default)]
pub(crate) struct Rounds(Mutex<VecDeque<Round>>);

/// The progress of a call.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    handle: String,
    tool: String,
    /// The answers that the client has given so far.
    pub(crate) answers: Vec<String>,
}

impl Rounds {
    /// Records the progress of a call, and returns the state for the client.
    pub(crate) fn note(&self, tool: &str, answers: Vec<String>) -> String {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = Uuid::new_v4().to_string();
        rounds.push_back(Round { handle: handle.clone(), tool: tool.to_owned(), answers });
        if rounds.len() > MAX_INPUTS {
            rounds.pop_front();
        }
        handle
    }

    /// Finds the progress of a call by its state; `None` for a call that has just begun.
    pub(crate) fn find(&self, tool: &str, state: Option<&str>) -> Result<Option<Round>, ErrorData> {
        let Some(state) = state else { return Ok(None) };
        let rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = rounds.iter().find(|round| round.handle == state && round.tool == tool).cloned();
        found.map(Some).ok_or_else(|| ErrorData::invalid_params("this server gave out no such `requestState`", None))
    }
}
