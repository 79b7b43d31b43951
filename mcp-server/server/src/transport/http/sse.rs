//! HTTP with server-sent events, the predecessor of streamable HTTP.
//!
//! Answers come on one long stream, and messages by POST. A session is the same conversation as
//! over stdin and stdout, one message a line, so the same code serves it: a posted message goes in
//! as a line, and each line that comes out is an event. A session lives in this process, and a load
//! balancer must send its messages here.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    extract::{Extension, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use parking_lot::Mutex;
use pgrecall_process::tasks::Tasks;
use pgrecall_store::metrics::metrics;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{
    super::{
        Handler, frame,
        lines::{Line, Lines},
        stdio,
    },
    KEEP_ALIVE, refusal,
};
use pgrecall_callers::auth::AuthValidity;
use pgrecall_callers::caller::{Caller, CallerId};

/// Sessions of all callers, and of one caller.
///
/// At either limit the session that was idle longest is closed, among those of the caller with the
/// most sessions.
const MAX_SESSIONS: usize = 1_000;
const MAX_SESSIONS_OF_ONE: usize = 50;
/// A session that was used within this time is not closed for another caller's session.
const IN_USE: Duration = Duration::from_secs(60);
/// Calls of one session in progress, until their answers are read: an unread answer takes memory.
const MAX_CALLS: usize = 16;
/// Bytes that are buffered in each direction.
const BUFFER_BYTES: usize = 64 * 1024;
/// Time that a message may wait until the session reads it.
///
/// It exceeds the time that a call may wait for its permit (20 s), so that a session whose calls
/// all wait has room before the timeout.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The sessions of this process.
pub(super) struct Sessions<S> {
    server: S,
    /// `None` once the server is stopping, so that no session is opened.
    open: Mutex<Option<HashMap<Uuid, Session>>>,
    tasks: Tasks,
}

struct Session {
    caller: Caller,
    input: Arc<tokio::sync::Mutex<DuplexStream>>,
    last_used: Instant,
    /// Ends the session.
    stop: CancellationToken,
}

impl<S> Sessions<S> {
    pub(super) fn new(server: S, tasks: Tasks) -> Self {
        Self { server, open: Mutex::new(Some(HashMap::new())), tasks }
    }

    /// Returns the input of a session. Another caller's session looks like none.
    fn input(&self, id: Uuid, caller: &Caller) -> Option<Arc<tokio::sync::Mutex<DuplexStream>>> {
        let mut open = self.open.lock();
        // The whole caller is compared: a key that may only read must not use the session of a key
        // that may write.
        let session = open.as_mut()?.get_mut(&id).filter(|session| session.caller == *caller)?;
        session.last_used = Instant::now();
        Some(session.input.clone())
    }

    fn insert(&self, id: Uuid, session: Session) -> Result<(), &'static str> {
        let mut open = self.open.lock();
        let open = open.as_mut().ok_or("the server is stopping: open the session again in a few seconds")?;
        let mut by_caller: HashMap<CallerId, usize> = HashMap::new();
        open.values().for_each(|other| *by_caller.entry(other.caller.id()).or_default() += 1);
        let own = session.caller.id();
        let gives_way = if by_caller.get(&own).is_some_and(|sessions| *sessions >= MAX_SESSIONS_OF_ONE) {
            Some(own)
        } else if open.len() >= MAX_SESSIONS {
            by_caller.into_iter().max_by_key(|(_, sessions)| *sessions).map(|(caller, _)| caller)
        } else {
            None
        };
        if let Some(caller) = gives_way {
            let of_caller = open.iter().filter(|(_, other)| other.caller.id() == caller);
            let oldest = of_caller.min_by_key(|(_, other)| other.last_used).map(|(id, other)| (*id, other.last_used));
            let (oldest, last_used) = oldest.ok_or("there are too many sessions: use /mcp, which has none")?;
            if caller != session.caller.id() && last_used.elapsed() < IN_USE {
                return Err("there are too many sessions: use /mcp, which has none");
            }
            if let Some(session) = open.remove(&oldest) {
                session.stop.cancel();
            }
            metrics().refuse("sessions");
        }
        open.insert(id, session);
        Ok(())
    }

    /// Accepts no more messages. Each session ends after its pending requests are answered.
    pub(super) fn close(&self) {
        *self.open.lock() = None;
    }

    fn remove(&self, id: Uuid) {
        if let Some(open) = &mut *self.open.lock() {
            open.remove(&id);
        }
    }
}

/// Ends a session when the stream is dropped, because the host left or the server stops.
struct Ending<S> {
    sessions: Arc<Sessions<S>>,
    id: Uuid,
    _stop: DropGuard,
}

impl<S> Drop for Ending<S> {
    fn drop(&mut self) {
        self.sessions.remove(self.id);
    }
}

/// Opens a session.
pub(super) async fn open<S: Handler>(
    State(sessions): State<Arc<Sessions<S>>>,
    Extension(caller): Extension<Caller>,
    Extension(validity): Extension<AuthValidity>,
) -> Response {
    let id = Uuid::new_v4();
    let (input, messages) = duplex(BUFFER_BYTES);
    let (answers, output) = duplex(BUFFER_BYTES);
    let stop = CancellationToken::new();
    let input = Arc::new(tokio::sync::Mutex::new(input));
    let session = Session { caller: caller.clone(), input, last_used: Instant::now(), stop: stop.clone() };
    if let Err(sentence) = sessions.insert(id, session) {
        metrics().refuse("sessions");
        return refusal(StatusCode::SERVICE_UNAVAILABLE, sentence);
    }
    let ending = Ending { sessions: sessions.clone(), id, _stop: stop.clone().drop_guard() };
    let server = sessions.server.of(caller);
    let ended = stop.clone();
    sessions.tasks.spawn("sse-validity", async move {
        if ended.run_until_cancelled(validity.ended()).await.is_some() {
            tracing::info!("a session was closed: its key was revoked or has expired, or its token has");
            ended.cancel();
        }
    });
    sessions.tasks.spawn("sse-session", async move {
        if let Err(error) = stdio::serve_on(server, messages, answers, MAX_CALLS, stop).await {
            tracing::warn!(error = format!("{error:#}"), "a session ended");
        }
    });
    let first = Event::default().event("endpoint").data(format!("/message?sessionId={id}"));
    let lines = Lines::new(output, frame::MAX_MESSAGE_BYTES);
    let events = stream::unfold((Some(first), lines, ending), async |(first, mut lines, ending)| {
        let event = match first {
            Some(first) => first,
            None => match lines.next().await {
                Ok(Some(Line::Whole(line))) => Event::default().event("message").data(String::from_utf8_lossy(&line)),
                // No host would read such a long answer.
                Ok(Some(Line::TooLong)) => Event::default().comment("an answer was too long"),
                Ok(None) | Err(_) => return None,
            },
        };
        Some((Ok::<_, Infallible>(event), (None, lines, ending)))
    });
    // nginx would buffer the events. The connection ends with the session, so that the host notices
    // the end.
    let headers = [("x-accel-buffering", "no"), ("connection", "close")];
    (headers, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

/// The session that a message is for.
#[derive(serde::Deserialize)]
pub(super) struct Address {
    #[serde(rename = "sessionId")]
    session: Uuid,
}

/// Takes a message. The answer comes on the session's stream.
pub(super) async fn message<S: Handler>(
    State(sessions): State<Arc<Sessions<S>>>,
    Extension(caller): Extension<Caller>,
    address: Result<Query<Address>, QueryRejection>,
    body: Bytes,
) -> Response {
    let session =
        address.ok().and_then(|Query(Address { session })| Some((session, sessions.input(session, &caller)?)));
    let Some((id, input)) = session else {
        return refusal(StatusCode::NOT_FOUND, "there is no such session: open one at /sse, or use /mcp");
    };
    // Between tokens, a line break is equivalent to a space, and inside a string JSON has none.
    let mut line: Vec<u8> = body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    line.push(b'\n');
    match tokio::time::timeout(MAX_WAIT, sessions.pass_on(id, &input, &line)).await {
        Ok(Ok(())) => StatusCode::ACCEPTED.into_response(),
        Ok(Err(_)) => refusal(StatusCode::NOT_FOUND, "the session has ended: open another one at /sse"),
        Err(_) => refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the session did not read this message, since earlier ones of it are not answered yet: read their answers, then retry; \
             if it is gone then, open another one at /sse",
        ),
    }
}

impl<S> Sessions<S> {
    /// Writes a line to a session, after the lines before it.
    ///
    /// A partial line would corrupt the next one, so a session that got only a part of a line is
    /// removed, whatever interrupted the write.
    async fn pass_on(&self, id: Uuid, input: &tokio::sync::Mutex<DuplexStream>, line: &[u8]) -> std::io::Result<()> {
        let mut input = input.lock().await;
        let mut half = Half { sessions: self, id, is_begun: false };
        let mut rest = line;
        while !rest.is_empty() {
            rest = &rest[input.write(rest).await?..];
            half.is_begun = !rest.is_empty();
        }
        Ok(())
    }
}

/// A line that may be written only in part.
struct Half<'a, S> {
    sessions: &'a Sessions<S>,
    id: Uuid,
    is_begun: bool,
}

impl<S> Drop for Half<'_, S> {
    fn drop(&mut self) {
        if self.is_begun {
            self.sessions.remove(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use pgrecall_access::keys::Scopes;
    use pgrecall_postgres::db::Scope;

    use super::*;

    #[tokio::test]
    async fn a_message_that_is_not_read_ends_a_session_only_if_a_part_of_it_was_written() {
        let stop = CancellationToken::new();
        let sessions = Sessions::new((), Tasks::new(stop.clone()));
        let scope = Scope { tenant: "default".into(), owner: "ana".into(), persona: None };
        let caller = Caller { scope, scopes: Scopes::ALL, name: "key 1".into() };
        let (input, _unread) = duplex(10);
        let (id, input) = (Uuid::new_v4(), Arc::new(tokio::sync::Mutex::new(input)));
        let session = Session { caller: caller.clone(), input: input.clone(), last_used: Instant::now(), stop };
        sessions.insert(id, session).unwrap();
        let pass_on = async |line: &[u8]| {
            tokio::time::timeout(Duration::from_millis(20), sessions.pass_on(id, &input, line)).await.is_ok()
        };
        assert!(pass_on(b"123456789\n").await && !pass_on(b"next\n").await);
        assert!(sessions.input(id, &caller).is_some(), "nothing of the second one was written");
        let (input, _unread) = duplex(10);
        let input = tokio::sync::Mutex::new(input);
        let late = tokio::time::timeout(Duration::from_millis(20), sessions.pass_on(id, &input, b"longer than that\n"));
        assert!(late.await.is_err() && sessions.input(id, &caller).is_none());
    }
}
