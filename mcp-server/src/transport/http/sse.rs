//! HTTP with server-sent events, as hosts spoke it before streamable HTTP: answers on one long stream, messages by POST.
//!
//! A session is the same conversation as on stdin and stdout, one message a line, so it is served by the same code: what is posted goes in as
//! a line, each line that comes out is an event. It lives in this process, and a load balancer must send its messages here.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
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
use shared::tasks::Tasks;
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
use crate::auth::{Caller, Standing};

/// Sessions at once: of all callers, and of one.
const MOST: usize = 1_000;
const MOST_OF_ONE: usize = 50;
/// Bytes that may wait in either direction.
const BUFFER: usize = 64 * 1024;
/// How long a message may wait for the one before it.
const PASSED_ON: Duration = Duration::from_secs(10);

/// The sessions of this process.
pub(super) struct Sessions<S> {
    server: S,
    /// `None`: no more are opened.
    open: Mutex<Option<HashMap<Uuid, Session>>>,
    tasks: Tasks,
}

struct Session {
    caller: Caller,
    input: Arc<tokio::sync::Mutex<DuplexStream>>,
}

impl<S> Sessions<S> {
    pub(super) fn new(server: S, tasks: Tasks) -> Self {
        Self { server, open: Mutex::new(Some(HashMap::new())), tasks }
    }

    /// Where a session's messages go. Someone else's session looks like none.
    fn input(&self, id: Uuid, caller: &Caller) -> Option<Arc<tokio::sync::Mutex<DuplexStream>>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // The whole caller: a key that may only read must not speak in the session of one that may write.
        open.as_ref()?.get(&id).filter(|session| session.caller == *caller).map(|session| session.input.clone())
    }

    fn insert(&self, id: Uuid, session: Session) -> Result<(), &'static str> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_mut().ok_or("the server is stopping")?;
        let of_this_caller = open.values().filter(|other| other.caller == session.caller).count();
        if open.len() >= MOST || of_this_caller >= MOST_OF_ONE {
            return Err("there are too many sessions: use /mcp, which has none");
        }
        open.insert(id, session);
        Ok(())
    }

    /// Takes no more messages. What was asked is answered, and then each session ends.
    pub(super) fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn remove(&self, id: Uuid) {
        if let Some(open) = &mut *self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            open.remove(&id);
        }
    }
}

/// What goes when the stream is dropped, because the host has gone or the server stops.
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
    Extension(standing): Extension<Standing>,
) -> Response {
    let id = Uuid::new_v4();
    let (input, messages) = duplex(BUFFER);
    let (answers, output) = duplex(BUFFER);
    let session = Session { caller: caller.clone(), input: Arc::new(tokio::sync::Mutex::new(input)) };
    if let Err(sentence) = sessions.insert(id, session) {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, sentence);
    }
    let stop = CancellationToken::new();
    let ending = Ending { sessions: sessions.clone(), id, _stop: stop.clone().drop_guard() };
    let server = sessions.server.of(caller);
    let ended = stop.clone();
    sessions.tasks.spawn("sse-standing", async move {
        if ended.run_until_cancelled(standing.ended()).await.is_some() {
            tracing::info!("a session was closed: its key was revoked or has expired, or its token has");
            ended.cancel();
        }
    });
    sessions.tasks.spawn("sse-session", async move {
        if let Err(error) = stdio::serve_on(server, messages, answers, stop).await {
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
                // An answer that no host would read.
                Ok(Some(Line::TooLong)) => Event::default().comment("an answer was too long"),
                Ok(None) | Err(_) => return None,
            },
        };
        Some((Ok::<_, Infallible>(event), (None, lines, ending)))
    });
    // nginx would keep the events until it has a bufferful of them.
    let unbuffered = [("x-accel-buffering", "no")];
    (unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

/// Which session a message is for.
#[derive(serde::Deserialize)]
pub(super) struct Address {
    #[serde(rename = "sessionId")]
    session: Uuid,
}

/// Takes a message; its answer comes on the session's stream.
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
    // Between tokens a line end is a space; inside a text JSON has none.
    let mut line: Vec<u8> = body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    line.push(b'\n');
    // Half of a line would spoil the next one, whatever kept the other half away: then the session ends.
    let half = Half { sessions: &sessions, id };
    let passed_on = async { input.lock().await.write_all(&line).await };
    match tokio::time::timeout(PASSED_ON, passed_on).await {
        Ok(Ok(())) => {
            std::mem::forget(half);
            StatusCode::ACCEPTED.into_response()
        }
        Ok(Err(_)) => refusal(StatusCode::NOT_FOUND, "the session has ended: open another one at /sse"),
        Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "the session's answers are not read, and so it was ended"),
    }
}

/// A line that is not whole yet.
struct Half<'a, S> {
    sessions: &'a Sessions<S>,
    id: Uuid,
}

impl<S> Drop for Half<'_, S> {
    fn drop(&mut self) {
        self.sessions.remove(self.id);
    }
}
