//! Content negotiation on `/mcp`: the answer has a type that the client's `Accept` allows.
//!
//! rmcp compares the header as text: it demands that JSON and event streams are both named, and then
//! chooses the type itself (JSON, or an event stream if a call reports progress). Clients send what
//! their HTTP library sends, such as `*/*` or nothing. So the header is read as RFC 9110 defines it,
//! rmcp gets the header that it demands, and its answer is converted if the client does not take its
//! type.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use http_body_util::BodyExt;
use pgrecall_process::lines::{Line, LineBuffer};
use serde_json::Value;

use super::{super::frame::MAX_MESSAGE_BYTES, refusal};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// What a browser shows at `/mcp`.
const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>pgrecall</title>\n\
    <p>This is the address of a pgrecall server, for programs that speak MCP (the Model Context Protocol). Enter it in an \
    AI host as the URL of a server with streamable HTTP. There is no page to see here.</p></html>\n";
/// What a GET is told where no streams are offered.
const NO_STREAM: &str = "this address speaks MCP: send a JSON-RPC message by POST; it offers no event stream by GET";
/// The header that rmcp demands.
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The weights that a client gives to the two types of answers, from 0 (refused) to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Weights {
    json: f32,
    events: f32,
}

impl Weights {
    /// Reads the weights in `Accept`. Without a media range in it, everything is accepted.
    fn of(headers: &HeaderMap) -> Self {
        let ranges = ranges(headers);
        if ranges.is_empty() {
            return Self { json: 1.0, events: 1.0 };
        }
        Self { json: weight(&ranges, JSON), events: weight(&ranges, EVENTS) }
    }
}

/// Returns the media ranges in `Accept` with their weights.
fn ranges(headers: &HeaderMap) -> Vec<(String, f32)> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(range).collect()
}

/// Whether a browser asks for a page to show. Programs do not name HTML.
fn is_browser(headers: &HeaderMap) -> bool {
    let names = |name: &str| ranges(headers).iter().any(|(range, weight)| range == name && *weight > 0.0);
    names("text/html") && !names(EVENTS)
}

/// Parses a media range and its weight.
fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    // Java sends `*` for any type.
    let range = parts.next().map(|range| if range == "*" { "*/*" } else { range })?.to_ascii_lowercase();
    let given = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    // A weight that is no weight is ignored, so that its type stays accepted.
    let weight = given.and_then(|(_, weight)| weight.trim().parse().ok()).filter(|weight| (0.0..=1.0).contains(weight));
    range.contains('/').then_some((range, weight.unwrap_or(1.0)))
}

/// Returns the weight of the most specific range that a type matches; 0 if none does.
fn weight(ranges: &[(String, f32)], wanted: &str) -> f32 {
    let any_of_type = wanted.split_once('/').map(|(kind, _)| format!("{kind}/*")).unwrap_or_default();
    let of = |name: &str| ranges.iter().filter(|(range, _)| range == name).map(|(_, weight)| *weight).reduce(f32::max);
    of(wanted).or_else(|| of(&any_of_type)).or_else(|| of("*/*")).unwrap_or(0.0)
}

/// Answers a request for MCP in a type that its client accepts. `streams` says whether a GET opens
/// a stream.
pub(super) async fn negotiate(State(streams): State<bool>, mut request: Request, next: Next) -> Response {
    let weights = Weights::of(request.headers());
    let is_post = request.method() == Method::POST;
    let is_negotiated = request.uri().path() == "/mcp" && (is_post || request.method() == Method::GET);
    // A GET can only be answered by a stream.
    let acceptable = if is_post { weights.json.max(weights.events) } else { weights.events };
    if !is_negotiated {
        return next.run(request).await;
    }
    if !is_post && (!streams || is_browser(request.headers())) {
        return no_stream(is_browser(request.headers()));
    }
    if acceptable == 0.0 {
        let types = if is_post { format!("{JSON} or {EVENTS}") } else { EVENTS.to_owned() };
        return refusal(
            StatusCode::NOT_ACCEPTABLE,
            &format!("`Accept` allows no type in which this can be answered: allow {types}"),
        );
    }
    request.headers_mut().insert(header::ACCEPT, BOTH);
    let response = next.run(request).await;
    // An error's status says enough, whatever the type of its body.
    let (is_json, is_events) = (has_type(&response, JSON), has_type(&response, EVENTS));
    if is_post && is_json && weights.events > weights.json {
        as_events(response).await
    } else if is_post && is_events && weights.events == 0.0 {
        as_json(response).await
    } else {
        response
    }
}

/// Answers a GET that opens no stream: a client of the protocol expects this status.
fn no_stream(is_browser: bool) -> Response {
    let mut response = match is_browser {
        true => (StatusCode::METHOD_NOT_ALLOWED, Html(PAGE)).into_response(),
        false => refusal(StatusCode::METHOD_NOT_ALLOWED, NO_STREAM),
    };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

fn has_type(response: &Response, name: &str) -> bool {
    let given = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    response.status() == StatusCode::OK && given.is_some_and(|given| given.starts_with(name))
}

/// Makes a stream of one event from an answer in JSON.
async fn as_events(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    match body.collect().await {
        // JSON that serde_json writes has no line breaks.
        Ok(body) => {
            let event = [b"event: message\ndata: ", &*body.to_bytes(), b"\n\n"].concat();
            let mut response = retyped(parts.headers, EVENTS, event);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }
        Err(error) => broke_off(&error),
    }
}

/// Waits for the answer in a stream, and leaves out the notifications before it.
async fn as_json(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    match answer(body).await {
        Some(answer) => retyped(parts.headers, JSON, answer),
        None => broke_off("the stream has no answer"),
    }
}

/// Makes an answer of another type, with the other headers as they were.
fn retyped(mut headers: HeaderMap, name: &'static str, body: Vec<u8>) -> Response {
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(name));
    (headers, body).into_response()
}

fn broke_off(why: impl std::fmt::Display) -> Response {
    tracing::warn!(%why, "an answer could not be converted to the type that its client accepts");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "the call ended without an answer: retry it")
}

/// Reads events up to the one that answers the request.
async fn answer(mut body: Body) -> Option<Vec<u8>> {
    let mut lines = LineBuffer::new(MAX_MESSAGE_BYTES);
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.ok()?.into_data() else { continue };
        let mut rest = &*chunk;
        while !rest.is_empty() {
            let (used, line) = lines.take(rest);
            rest = &rest[used..];
            let Some(Line::Whole(line)) = line else { continue };
            let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { continue };
            let message: Value = serde_json::from_slice(data).unwrap_or_default();
            if message.get("result").or(message.get("error")).is_some() {
                return Some(data.to_vec());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights(values: &[&str]) -> (f32, f32) {
        let headers = values.iter().map(|value| (header::ACCEPT, HeaderValue::from_str(value).unwrap())).collect();
        let Weights { json, events } = Weights::of(&headers);
        (json, events)
    }

    #[test]
    fn a_header_is_read_as_media_ranges_with_weights() {
        for (values, expected) in [
            (&[][..], (1.0, 1.0)),
            (&[""], (1.0, 1.0)),
            (&["*/*"], (1.0, 1.0)),
            (&["*"], (1.0, 1.0)),
            (&["application/json"], (1.0, 0.0)),
            (&["APPLICATION/JSON; charset=utf-8"], (1.0, 0.0)),
            (&["text/event-stream"], (0.0, 1.0)),
            (&["application/json, text/event-stream"], (1.0, 1.0)),
            (&["application/json", "text/event-stream"], (1.0, 1.0)),
            (&["application/json, */*"], (1.0, 1.0)),
            (&["application/*"], (1.0, 0.0)),
            (&["application/*, text/*"], (1.0, 1.0)),
            (&["text/*;q=0.3, application/json ; Q=0.7"], (0.7, 0.3)),
            (&["application/json;q=0, */*"], (0.0, 1.0)),
            (&["application/json;q=0.0,application/*;q=0.9"], (0.0, 0.0)),
            (&["*/*;q=0"], (0.0, 0.0)),
            (&["*/*;q=0, text/event-stream"], (0.0, 1.0)),
            (&["text/html, image/gif, *; q=.2, */*; q=.2"], (0.2, 0.2)),
            (&["application/json;q=high"], (1.0, 0.0)),
            (&["application/json;q=7, text/event-stream;q=NaN"], (1.0, 1.0)),
            (&["text/html"], (0.0, 0.0)),
            (&["application/xml, text/plain;q=0.5"], (0.0, 0.0)),
            (&["application/jsonp"], (0.0, 0.0)),
            (&["nonsense"], (1.0, 1.0)),
            (&[",, ;q=1, application/json,"], (1.0, 0.0)),
        ] {
            assert_eq!(weights(values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_gives_two_weights(value in "[ -~]{0,80}") {
            let (json, events) = weights(&[&value]);
            prop_assert!((0.0..=1.0).contains(&json) && (0.0..=1.0).contains(&events));
        }
    }

    #[test]
    fn a_browser_is_told_from_a_program() {
        for (value, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true),
            ("text/html", true),
            ("TEXT/HTML; q=0.5", true),
            ("text/html;q=0", false),
            ("text/html, text/event-stream", false),
            ("text/event-stream", false),
            ("text/*", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
            assert_eq!(is_browser(&headers), expected, "{value}");
        }
    }

    #[tokio::test]
    async fn a_get_without_a_stream_is_told_what_the_address_is_for() {
        for (is_browser, kind, said) in
            [(true, "text/html; charset=utf-8", "Enter it in an AI host"), (false, JSON, "by POST")]
        {
            let response = no_stream(is_browser);
            assert_eq!(
                (response.status(), &response.headers()[header::ALLOW]),
                (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("POST"))
            );
            assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains(said), "{body:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_converted_between_json_and_events() {
        let message = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let json = ([(header::CONTENT_TYPE, JSON), (header::CONTENT_LENGTH, "36")], message).into_response();
        let events = as_events(json).await;
        assert_eq!(
            (&events.headers()[header::CONTENT_TYPE], events.headers().get(header::CONTENT_LENGTH)),
            (&HeaderValue::from_static(EVENTS), None)
        );
        let text = events.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, format!("event: message\ndata: {message}\n\n"));
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#;
        let stream = format!(": hello\n\nid: 0\ndata:{progress}\n\nevent: message\ndata: {message}\n\ndata: later\n\n");
        let chunks =
            stream.as_bytes().chunks(5).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
        let stream = Body::from_stream(futures_util::stream::iter(chunks));
        let answered = as_json(([("mcp-session-id", "s"), ("content-type", EVENTS)], stream).into_response()).await;
        assert_eq!(answered.headers()[header::CONTENT_TYPE], JSON);
        assert_eq!(answered.headers()["mcp-session-id"], "s");
        assert_eq!(answered.into_body().collect().await.unwrap().to_bytes(), message);
        let cut = as_json(([("content-type", EVENTS)], format!("data: {progress}\n\n")).into_response()).await;
        assert_eq!(cut.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
