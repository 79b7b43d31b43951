//! The HTTP client that the providers share: one bounded JSON exchange, and the error of each
//! status.
//!
//! Redirects are not followed, answers are read up to a limit, and nothing waits past the deadline.
//! Only this module decides which statuses blame the texts and which the server, so that no
//! provider classifies differently.

mod address;

use std::{
    io,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use ureq::http::{HeaderName, HeaderValue, header};

pub(super) use self::address::Address;
use super::{Access, EmbedError, ModelId, Secret, VectorFault};

/// The most bytes of a vector in an answer: 8,192 dimensions at 24 characters each, and a reserve.
/// A longer answer is not an embedding.
const BYTES_PER_TEXT: u64 = 256 * 1024;
/// The most bytes around the vectors, and of an error page.
const BYTES_AROUND: u64 = 64 * 1024;
/// The most characters of the server's own message in an error.
const DETAIL_CHARS: usize = 300;
/// The timeout of the connection. A server that is up accepts one in this time, however long it
/// then computes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one server. It keeps connections alive between calls.
#[derive(Debug)]
pub(super) struct Http {
    agent: ureq::Agent,
    headers: Vec<(HeaderName, HeaderValue)>,
    secrets: Vec<Secret>,
}

/// A complete answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Whether the body is an error in spite of status 200.
    is_error: bool,
    html: bool,
    location: Option<String>,
    retry_after: Option<Duration>,
}

/// The error format of Ollama and text-embeddings-inference.
#[derive(Deserialize)]
pub(super) struct Failure {
    pub(super) error: String,
}

impl Http {
    /// Makes a client for `address` that sends the credentials and headers of `access`.
    pub(super) fn new(address: &Address, access: Access) -> Result<Self, EmbedError> {
        let Access { api_key, headers } = access;
        let bearer =
            api_key.iter().map(|key| ("authorization".to_owned(), Secret::new(format!("Bearer {}", key.expose()))));
        let prepared = bearer.chain(headers.clone()).map(|(name, value)| prepare_header(&name, &value));
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("pgrecall/", env!("CARGO_PKG_VERSION")));
        // ureq takes a proxy from the usual variables (HTTPS_PROXY, NO_PROXY); a proxy cannot reach
        // this machine's own servers.
        let config = if address.is_loopback { config.proxy(None) } else { config };
        Ok(Self {
            agent: config.build().new_agent(),
            headers: prepared.collect::<Result<_, _>>()?,
            secrets: api_key.into_iter().chain(headers.into_values()).collect(),
        })
    }

    /// Posts `body` as JSON. The answer may be as long as `texts` vectors are.
    pub(super) fn post(
        &self,
        url: &str,
        body: &impl Serialize,
        texts: usize,
        deadline: Instant,
    ) -> Result<Reply, EmbedError> {
        let body = serde_json::to_vec(body).expect("requests hold strings and numbers only");
        let limit = BYTES_AROUND + BYTES_PER_TEXT * texts as u64;
        self.exchange(url, limit, deadline, |remaining| {
            let request = self.agent.post(url).config().timeout_global(Some(remaining)).build();
            self.headers
                .iter()
                .fold(request.content_type("application/json"), |request, (name, value)| request.header(name, value))
                .send(&body[..])
        })
    }

    pub(super) fn get(&self, url: &str, deadline: Instant) -> Result<Reply, EmbedError> {
        self.exchange(url, BYTES_AROUND, deadline, |remaining| {
            let request = self.agent.get(url).config().timeout_global(Some(remaining)).build();
            self.headers.iter().fold(request, |request, (name, value)| request.header(name, value)).call()
        })
    }

    fn exchange(
        &self,
        url: &str,
        limit: u64,
        deadline: Instant,
        send: impl Fn(Duration) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Reply, EmbedError> {
        let start = Instant::now();
        let url = shown(url);
        let failed = |error| transport_error(error, url, limit, start);
        let mut response = match send(remaining(deadline, url, start)?) {
            // The server closed a kept-alive connection just as it was used again. Embedding twice
            // does no harm.
            Err(ureq::Error::Io(error)) if broke_off(&error) => send(remaining(deadline, url, start)?),
            other => other,
        }
        .map_err(failed)?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let location = header(header::LOCATION).map(|location| self.blot_out(shown(location)));
        let retry_after = header(header::RETRY_AFTER).and_then(|value| parse_retry_after(value, SystemTime::now()));
        let html = header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(limit).read_to_vec().map_err(failed)?;
        let error = if status == 200 { error_in(&body) } else { None };
        // A router passes on the status of the server behind it inside of the error.
        let status = error.as_ref().and_then(named_status).unwrap_or(status);
        Ok(Reply { url: url.to_owned(), status, body, is_error: error.is_some(), html, location, retry_after })
    }

    /// Returns the error that a reply without embeddings means. `message` is the server's own
    /// message, if its format was understood.
    pub(super) fn status_error(
        &self,
        reply: &Reply,
        model: &ModelId,
        texts: usize,
        message: Option<&str>,
    ) -> EmbedError {
        let Reply { status, .. } = *reply;
        let url = reply.url.clone();
        let detail = message.map_or_else(|| self.detail(reply), |message| self.shorten(message));
        match status {
            300..=399 => {
                let location = reply.location.clone().unwrap_or_else(|| "an unnamed address".to_owned());
                EmbedError::Redirected { url, location }
            }
            // The server's message about a key is not repeated: some servers quote part of the key.
            401..=403 => EmbedError::Unauthorized { url, status },
            429 if says_too_large(&detail) => {
                EmbedError::Refused { embedder: model.to_string(), status, texts, detail }
            }
            429 => EmbedError::Busy { url, status, detail, retry_after: reply.retry_after },
            503 if reply.retry_after.is_some() => {
                EmbedError::Busy { url, status, detail, retry_after: reply.retry_after }
            }
            // text-embeddings-inference reports its own faults as 424.
            408 | 424 | 425 | 500.. => EmbedError::ServerFault { url, status, detail },
            400 | 406 | 409 | 411..=414 | 416..=422 => {
                EmbedError::Refused { embedder: model.to_string(), status, texts, detail }
            }
            // LM Studio and routers answer with status 200 in any case.
            200 => EmbedError::UnexpectedReply { url, what: format!("an error ({detail})") },
            _ => EmbedError::UnexpectedReply { url, what: format!("status {status} ({detail})") },
        }
    }

    /// Shortens the server's message to one line for the log, secrets masked.
    fn shorten(&self, words: &str) -> String {
        let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self.blot_out(&line);
        match line.char_indices().nth(DETAIL_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None if line.is_empty() => "no message".to_owned(),
            None => line,
        }
    }

    fn detail(&self, reply: &Reply) -> String {
        if reply.is_html() { "an HTML page".to_owned() } else { self.shorten(&String::from_utf8_lossy(&reply.body)) }
    }

    fn blot_out(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| secret.blot_out(&text))
    }
}

impl Reply {
    /// Whether the server answered with what was asked for.
    pub(super) fn is_ok(&self) -> bool {
        self.status == 200 && !self.is_error
    }

    /// Parses the body of a successful reply.
    pub(super) fn parse<T: DeserializeOwned>(&self, model: &ModelId) -> Result<T, EmbedError> {
        let url = self.url.clone();
        serde_json::from_slice(&self.body).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof if !self.body.is_empty() => {
                EmbedError::BrokenReply { url, source: Box::new(error) }
            }
            // Python servers write NaN, which is not JSON.
            serde_json::error::Category::Syntax if self.holds_nan() => {
                let fault = VectorFault::NotFinite { index: 0 };
                EmbedError::BadVector { embedder: model.to_string(), fault }
            }
            _ => EmbedError::UnexpectedReply { url, what: self.what_instead().to_owned() },
        })
    }

    /// Parses the body if it has the form of `T`.
    pub(super) fn parse_if<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    fn holds_nan(&self) -> bool {
        let holds = |word: &[u8]| self.body.windows(word.len()).any(|window| window == word);
        !self.is_html() && (holds(b"NaN") || holds(b"Infinity"))
    }

    fn is_html(&self) -> bool {
        self.html || self.body.trim_ascii_start().starts_with(b"<")
    }

    fn what_instead(&self) -> &'static str {
        match self.body.trim_ascii() {
            [] => "an empty page",
            _ if self.is_html() => "an HTML page",
            [b'{' | b'[', ..] => "JSON of another shape",
            _ => "something that is not JSON",
        }
    }
}

fn prepare_header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), EmbedError> {
    let wrong = || EmbedError::Configuration(format!("its header {name} holds a character that no header may hold"));
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((header, value))
}

/// Returns a URL without its query string, which may hold a key.
fn shown(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn remaining(deadline: Instant, url: &str, start: Instant) -> Result<Duration, EmbedError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(EmbedError::Timeout { embedder: url.to_owned(), waited: start.elapsed() });
    }
    Ok(left)
}

fn broke_off(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof)
}

fn transport_error(error: ureq::Error, url: &str, limit: u64, start: Instant) -> EmbedError {
    let url = url.to_owned();
    match error {
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            EmbedError::Unreachable { url, source: Box::new(error) }
        }
        ureq::Error::Timeout(_) => EmbedError::Timeout { embedder: url, waited: start.elapsed() },
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => {
            EmbedError::Tls { url, source: Box::new(error) }
        }
        ureq::Error::BodyExceedsLimit(_) => {
            EmbedError::UnexpectedReply { url, what: format!("an answer of more than {limit} bytes") }
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            EmbedError::UnexpectedReply { url, what: "something that is not HTTP".to_owned() }
        }
        ureq::Error::Io(ref io) if broke_off(io) || io.kind() == io::ErrorKind::InvalidData => {
            EmbedError::BrokenReply { url, source: Box::new(error) }
        }
        _ => EmbedError::Unreachable { url, source: Box::new(error) },
    }
}

/// Returns the error in an answer whose body is one.
fn error_in(body: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Body {
        error: Value,
    }
    // An answer with vectors is not parsed twice.
    if body.len() as u64 > BYTES_AROUND || body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(body).ok().map(|Body { error }| error).filter(|error| !error.is_null())
}

/// Returns the HTTP status that an error names as its code.
fn named_status(error: &Value) -> Option<u16> {
    let code = error.get("code").or_else(|| error.get("status"))?.as_u64()?;
    u16::try_from(code).ok().filter(|code| (400..600).contains(code))
}

/// Whether a server that answers 429 means the size of the request and not the rate of requests.
///
/// OpenAI has one status and one code for both. A wait never helps against the size
/// (docs/decisions/0046-two-things-that-are-read-from-an-error.md).
fn says_too_large(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["too large", "must be reduced"].iter().any(|words| message.contains(words))
}

/// Parses seconds, or a date relative to `now`; a date in the past means at once.
///
/// A date is only as exact as the clocks of this machine and the embedder.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = SystemTime::from(jiff::fmt::rfc2822::parse(value).ok()?.timestamp());
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        assert_eq!(parse_retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(parse_retry_after("Wed, 21 Oct 1998 07:28:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon", now), None);
    }
}
