//! Tools, each for one scenario of the suite or for a few.

#![expect(deprecated, reason = "logging is on its way out of the protocol; the suite asks for it")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateMessageResult, ElicitResult,
        InputRequest, InputRequiredResult, ListRootsResult, LoggingLevel, LoggingMessageNotificationParam,
        ProgressNotificationParam, ResourceContents, Tool, object,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    Fixture,
    inputs::{self, answer, can_answer, elicitation, entered, generated, incapable, places, question, roots, sampling},
    is_modern,
};

/// One red pixel, as PNG.
pub(crate) const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
/// Silence, as WAV.
const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";
/// Pause between two notifications, so that a client receives them one by one.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn all(extra: bool) -> Vec<Tool> {
    let tool = |name, description, arguments: Value| {
        let required: Vec<_> = arguments.as_object().into_iter().flat_map(|it| it.keys().cloned()).collect();
        let schema = json!({"type": "object", "properties": arguments, "required": required});
        Tool::new(name, description, Arc::new(object(schema)))
    };
    let plain = |name, description| tool(name, description, json!({}));
    let text = |description| json!({"type": "string", "description": description});
    let mut all = vec![
        plain("test_simple_text", "Says one sentence"),
        plain("test_image_content", "Shows a picture"),
        plain("test_audio_content", "Plays a sound"),
        plain("test_embedded_resource", "Shows a resource"),
        plain("test_multiple_content_types", "Shows a text, a picture and a resource"),
        plain("test_error_handling", "Fails"),
        plain("test_tool_with_logging", "Logs three times"),
        plain("test_logging_tool", "Logs three times"),
        plain("test_tool_with_progress", "Reports its progress three times"),
        tool("test_sampling", "Asks the client's model", json!({"prompt": text("What it is asked")})),
        tool("test_elicitation", "Asks the user", json!({"message": text("What they are shown")})),
        plain("test_elicitation_sep1034_defaults", "Asks the user, and proposes the answers"),
        plain("test_elicitation_sep1330_enums", "Lets the user choose"),
        plain("test_missing_capability", "Needs a client with a model"),
        plain("test_streaming_elicitation", "Reports its progress, and then asks the user"),
        plain("test_trigger_tool_change", "Adds a tool, or takes it away"),
        plain("test_trigger_prompt_change", "Adds a prompt, or takes it away"),
        plain("test_input_required_result_elicitation", "Asks the user for a name"),
        plain("test_input_required_result_sampling", "Asks the client's model for a capital"),
        plain("test_input_required_result_list_roots", "Asks where the client works"),
        plain("test_input_required_result_request_state", "Asks for a confirmation"),
        plain("test_input_required_result_tampered_state", "Asks for a confirmation"),
        plain("test_input_required_result_multiple_inputs", "Asks for three things at once"),
        plain("test_input_required_result_multi_round", "Asks twice"),
        plain("test_input_required_result_capabilities", "Asks for whatever the client can answer"),
        tool(
            "test_header",
            "Says which region was asked for",
            json!({"region": {"type": "string", "x-mcp-header": "Region"}}),
        ),
        Tool::new("json_schema_2020_12_tool", "Takes an address", Arc::new(object(address_schema()))),
    ];
    if extra {
        all.push(plain("test_extra_tool", "Comes and goes with test_trigger_tool_change"));
    }
    all
}

/// Makes a schema with keywords that a careless server would drop.
fn address_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

pub(crate) async fn call(
    fixture: &Fixture,
    params: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let says = |text: &str| vec![ContentBlock::text(text)];
    let content = match &*params.name {
        "test_simple_text" => says("This is a simple text response for testing."),
        "test_image_content" => vec![ContentBlock::image(PICTURE, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(SOUND, "audio/wav")],
        "test_embedded_resource" => {
            vec![ContentBlock::embedded_text("test://embedded-resource", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => {
            let data = json!({"test": "data", "value": 123}).to_string();
            let resource = ResourceContents::text(data, "test://mixed-content-resource");
            vec![
                ContentBlock::text("Multiple content types test:"),
                ContentBlock::image(PICTURE, "image/png"),
                ContentBlock::resource(resource.with_mime_type("application/json")),
            ]
        }
        "test_error_handling" => {
            return Ok(CallToolResult::error(says("This tool intentionally returns an error for testing")).into());
        }
        "test_tool_with_logging" | "test_logging_tool" => {
            log(context).await?;
            says("It has logged.")
        }
        "test_tool_with_progress" => {
            report_progress(context).await?;
            says("It has reported its progress.")
        }
        "test_trigger_tool_change" => {
            fixture.0.changes.change_tools();
            says("The list of tools has changed.")
        }
        "test_trigger_prompt_change" => {
            fixture.0.changes.change_prompts();
            says("The list of prompts has changed.")
        }
        "test_header" => says(&format!("The region is {}.", argument(params, "region")?)),
        "json_schema_2020_12_tool" => says("The address is noted."),
        "test_extra_tool" if fixture.0.changes.has_extra_tool() => says("It is there."),
        "test_missing_capability" if can_answer(context, &sampling("", 1)) => says("The client has a model."),
        "test_missing_capability" => return Err(incapable(&["sampling"])),
        name if name.starts_with("test_input_required_result_") => return in_rounds(fixture, params, context),
        _ => return asking(params, context).await,
    };
    Ok(CallToolResult::success(content).into())
}

/// Calls the tools that ask the client for something in the middle of the call.
async fn asking(
    params: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let request = match &*params.name {
        "test_sampling" => sampling(argument(params, "prompt")?, 100),
        "test_elicitation" => elicitation(
            argument(params, "message")?,
            json!({
                "username": {"type": "string", "description": "User's response"},
                "email": {"type": "string", "description": "User's email address"},
            }),
        ),
        "test_elicitation_sep1034_defaults" => elicitation("Are these right?", proposals()),
        "test_elicitation_sep1330_enums" => elicitation("Which ones?", choices()),
        "test_streaming_elicitation" => {
            report_progress(context).await?;
            question("Who asks?", "name")
        }
        other => return Err(ErrorData::invalid_params(format!("there is no tool `{other}`"), None)),
    };
    if is_modern(context) {
        return Ok(match params.input_responses.as_ref().and_then(|given| given.get("answer")) {
            Some(given) => CallToolResult::success(vec![told(&request, given)]).into(),
            None => inputs::required(context, [("answer", request)], None)?.into(),
        });
    }
    Ok(match inputs::ask(context, request.clone()).await {
        Ok(given) => CallToolResult::success(vec![told(&request, &given)]).into(),
        Err(sentence) => CallToolResult::error(vec![ContentBlock::text(sentence)]).into(),
    })
}

/// Describes the client's answer.
fn told(request: &InputRequest, answer: &Value) -> ContentBlock {
    ContentBlock::text(match request {
        InputRequest::CreateMessage(_) => format!("LLM response: {}", answer["content"]["text"].as_str().unwrap_or("")),
        _ => {
            format!("User response: action={}, content={}", answer["action"].as_str().unwrap_or(""), answer["content"])
        }
    })
}

/// Makes one field of each type, with a default.
fn proposals() -> Value {
    json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    })
}

/// Makes fields that cover each way to write a choice.
fn choices() -> Value {
    let options = json!(["option1", "option2", "option3"]);
    let titled = |noun| {
        let ordinals = ["First", "Second", "Third"].iter().zip(1..);
        Value::from_iter(ordinals.map(|(it, n)| json!({"const": format!("value{n}"), "title": format!("{it} {noun}")})))
    };
    json!({
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled("Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
    })
}

/// Calls the tools that answer with the input that they still need, until they have all of it.
fn in_rounds(
    fixture: &Fixture,
    params: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let (given, name) = (params.input_responses.as_ref(), &*params.name);
    let rounds = &fixture.0.rounds;
    let round = rounds.find(name, params.request_state.as_deref())?;
    let ask = |key, request, state| -> Result<CallToolResponse, ErrorData> {
        Ok(inputs::required(context, [(key, request)], state)?.into())
    };
    let text = match name {
        "test_input_required_result_elicitation" => match answer::<ElicitResult>(given, "user_name") {
            Some(said) => format!("Hello, {}!", entered(&said, "name")),
            None => return ask("user_name", question("What is your name?", "name"), None),
        },
        "test_input_required_result_sampling" => match answer::<CreateMessageResult>(given, "capital_question") {
            Some(said) => generated(&said),
            None => return ask("capital_question", sampling("What is the capital of France?", 100), None),
        },
        "test_input_required_result_list_roots" => match answer::<ListRootsResult>(given, "client_roots") {
            Some(said) => format!("The client works in {}.", places(&said)),
            None => return ask("client_roots", roots(), None),
        },
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            match (round, answer::<ElicitResult>(given, "confirm")) {
                (Some(_), Some(said)) => format!("state-ok, confirmed: {}", entered(&said, "ok")),
                _ => {
                    let asks = elicitation("Please confirm", json!({"ok": {"type": "boolean"}}));
                    return ask("confirm", asks, Some(rounds.note(name, Vec::new())));
                }
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let said = (answer(given, "user_name"), answer(given, "greeting"), answer(given, "client_roots"));
            let (Some(_), (Some(user), Some(greeting), Some(places_of))) = (round, said) else {
                let requests = [
                    ("user_name", question("What is your name?", "name")),
                    ("greeting", sampling("Generate a greeting", 50)),
                    ("client_roots", roots()),
                ];
                return Ok(inputs::required(context, requests, Some(rounds.note(name, Vec::new())))?.into());
            };
            format!("{} {}, in {}", generated(&greeting), entered(&user, "name"), places(&places_of))
        }
        "test_input_required_result_multi_round" => {
            let before = round.map(|round| round.answers).unwrap_or_default();
            let second = || question("Step 2: What is your favorite color?", "color");
            let Some(user) = before.first() else {
                let Some(said) = answer::<ElicitResult>(given, "step1") else {
                    let state = rounds.note(name, Vec::new());
                    return ask("step1", question("Step 1: What is your name?", "name"), Some(state));
                };
                return ask("step2", second(), Some(rounds.note(name, vec![entered(&said, "name")])));
            };
            match answer::<ElicitResult>(given, "step2") {
                Some(said) => format!("{user} likes {}.", entered(&said, "color")),
                None => return ask("step2", second(), Some(rounds.note(name, before))),
            }
        }
        "test_input_required_result_capabilities" => {
            let all = [
                ("user_name", question("What is your name?", "name")),
                ("greeting", sampling("Generate a greeting", 50)),
                ("client_roots", roots()),
            ];
            let possible = all.into_iter().filter(|(_, request)| can_answer(context, request));
            let missing = possible.filter(|(key, _)| given.is_none_or(|given| !given.contains_key(*key)));
            let missing: BTreeMap<_, _> = missing.map(|(key, request)| (key.to_owned(), request)).collect();
            if !missing.is_empty() {
                return Ok(InputRequiredResult::from_input_requests(missing).into());
            }
            "The client has answered what it can.".to_owned()
        }
        other => return Err(ErrorData::invalid_params(format!("there is no tool `{other}`"), None)),
    };
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
}

/// Logs three lines, if the client wants them.
async fn log(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    if is_modern(context) && context.meta.log_level().is_none_or(|level| level as u8 > LoggingLevel::Info as u8) {
        return Ok(());
    }
    for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        let line = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(line));
        context.peer.notify_logging_message(line).await.map_err(untold)?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Reports three steps, if the client asked for progress.
async fn report_progress(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    let Some(token) = context.meta.get_progress_token() else { return Ok(()) };
    for step in [0.0, 50.0, 100.0] {
        let progress = ProgressNotificationParam::new(token.clone(), step).with_total(100.0);
        context.peer.notify_progress(progress).await.map_err(untold)?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn untold(error: rmcp::service::ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn argument<'a>(params: &'a CallToolRequestParams, name: &str) -> Result<&'a str, ErrorData> {
    let given = params.arguments.as_ref().and_then(|given| given.get(name)?.as_str());
    given.ok_or_else(|| ErrorData::invalid_params(format!("`{}` needs the argument `{name}`", params.name), None))
}
