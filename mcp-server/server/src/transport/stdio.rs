//! MCP over stdin and stdout: one JSON-RPC message a line, and nothing else on stdout.
//!
//! A reader validates each line and answers the malformed ones, rmcp takes the valid ones, and a
//! writer owns the output, so that two answers never mix. When the input ends, calls in progress
//! may still finish.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use parking_lot::Mutex;
use pgrecall_process::tasks::Tasks;
use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage},
    service::{ServerInitializeError, serve_server_with_ct},
    transport::Transport,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Handler,
    frame::{self, Frame},
    lines::{Line, Lines},
};

/// Messages that are queued in each direction.
///
/// Enough that neither side waits for a wake-up, and few enough that the server stops reading from
/// a host that does not read its answers.
const QUEUE_LENGTH: usize = 64;
/// Calls of one session in progress, until their answers are read.
const MAX_CALLS: usize = 64;
/// Time for calls in progress after the input has ended.
///
/// A host has gone by then, but a script that pipes its calls in waits for the answers, perhaps
/// during the first start of the database.
const FINISH_TIMEOUT: Duration = Duration::from_secs(15);
/// Time to write the last answers to a pipe that nobody may be reading.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until the input ends or `shutdown` is cancelled.
pub async fn serve(server: impl Handler, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (stdin, stdout) = rmcp::transport::stdio_pipes();
    serve_on(server, stdin, stdout, MAX_CALLS, shutdown).await
}

/// Serves on any pair of streams, with at most this many calls in progress.
pub(crate) async fn serve_on<R, W>(
    server: impl Handler,
    input: R,
    output: W,
    calls: usize,
    shutdown: CancellationToken,
) -> anyhow::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (outbox, lines_out) = mpsc::channel(QUEUE_LENGTH);
    let (inbox, messages) = mpsc::channel(QUEUE_LENGTH);
    let shared = Arc::new(Shared::default());
    let tasks = Tasks::new(shutdown.child_token());
    let reader = Reader { inbox, outbox: outbox.clone(), calls, shared: shared.clone() };
    // The reader may be waiting for a line that never comes, so a stop cancels it.
    let stop = tasks.token().clone();
    tasks.spawn("stdin", async move { stop.run_until_cancelled(reader.run(input)).await.unwrap_or_default() });
    let gone = shutdown.clone();
    // This task is not cancelled: it ends when all senders are gone, after the last answer is
    // written.
    tasks.spawn("stdout", async move {
        if let Err(error) = write_lines(lines_out, output).await {
            warn!(%error, "the host no longer reads stdout; leaving");
            gone.cancel();
        }
    });
    let messages = Arc::new(tokio::sync::Mutex::new(messages));
    loop {
        let transport = Checked { messages: messages.clone(), outbox: outbox.clone(), shared: shared.clone() };
        match serve_server_with_ct(server.clone(), transport, shutdown.child_token()).await {
            Ok(session) => {
                session.waiting().await.context("the MCP session failed")?;
                break;
            }
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => break,
            // The message did not open the session after all, and rmcp has answered it. The next
            // message may.
            Err(error) => {
                debug!(%error, "the session did not begin");
                shared.open.store(false, Ordering::Release);
                shared.clear();
            }
        }
    }
    drop((outbox, messages));
    if !tasks.stop(FLUSH_TIMEOUT).await.is_empty() {
        warn!("the last answers could not be written: nobody reads stdout");
    }
    Ok(())
}

/// The state that the reader and the transport of rmcp share.
#[derive(Default)]
struct Shared {
    /// Whether the session has begun.
    open: AtomicBool,
    /// Requests without an answer.
    unanswered: Mutex<HashSet<RequestId>>,
    answered: Notify,
}

impl Shared {
    fn began(&self, id: RequestId) {
        self.unanswered.lock().insert(id);
    }

    fn ended(&self, id: &RequestId) {
        self.unanswered.lock().remove(id);
        self.answered.notify_waiters();
    }

    fn clear(&self) {
        self.unanswered.lock().clear();
        self.answered.notify_waiters();
    }

    async fn all_answered(&self) {
        self.fewer_than(1).await;
    }

    /// Waits until fewer calls than this are in progress.
    async fn fewer_than(&self, calls: usize) {
        loop {
            let answered = self.answered.notified();
            if self.unanswered.lock().len() < calls {
                return;
            }
            answered.await;
        }
    }
}

/// The task that reads the input.
struct Reader {
    inbox: mpsc::Sender<ClientJsonRpcMessage>,
    outbox: mpsc::Sender<Vec<u8>>,
    calls: usize,
    shared: Arc<Shared>,
}

impl Reader {
    /// Reads to the end of the input, then waits for the answers, since rmcp stops when `inbox` is
    /// dropped.
    async fn run(self, input: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(input, frame::MAX_MESSAGE_BYTES);
        loop {
            let frame = match lines.next().await {
                Ok(Some(Line::Whole(line))) => frame::validate_message(&line, self.shared.open.load(Ordering::Acquire)),
                Ok(Some(Line::TooLong)) => Frame::Refused(frame::too_long()),
                Ok(None) => break,
                Err(error) => {
                    warn!(%error, "stdin cannot be read");
                    break;
                }
            };
            if !self.pass(frame).await {
                return;
            }
        }
        if timeout(FINISH_TIMEOUT, self.shared.all_answered()).await.is_err() {
            warn!("the input has ended and some calls still run; leaving without their answers");
        }
    }

    /// Passes a frame on. Returns false if the receiver is gone.
    async fn pass(&self, frame: Frame) -> bool {
        match frame {
            Frame::Ignored => true,
            Frame::Refused(error) => {
                debug!(%error, "a message was refused");
                self.outbox.send(line(&error)).await.is_ok()
            }
            Frame::Message { message, opens } => {
                if opens {
                    self.shared.open.store(true, Ordering::Release);
                }
                match message.as_ref() {
                    JsonRpcMessage::Request(request) => {
                        // Reading pauses until a call ends, because rmcp would start all calls at
                        // once.
                        self.shared.fewer_than(self.calls).await;
                        self.shared.began(request.id.clone());
                    }
                    JsonRpcMessage::Notification(notification) => {
                        // A cancelled request gets no answer.
                        if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                            && let Some(id) = &cancelled.params.request_id
                        {
                            self.shared.ended(id);
                        }
                    }
                    JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
                }
                self.inbox.send(*message).await.is_ok()
            }
        }
    }
}

/// The transport that rmcp uses.
struct Checked {
    messages: Arc<tokio::sync::Mutex<mpsc::Receiver<ClientJsonRpcMessage>>>,
    outbox: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

impl Transport<RoleServer> for Checked {
    type Error = mpsc::error::SendError<Vec<u8>>;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let (outbox, shared) = (self.outbox.clone(), self.shared.clone());
        async move {
            let sent = outbox.send(line(&message)).await;
            match &message {
                JsonRpcMessage::Response(response) => shared.ended(&response.id),
                JsonRpcMessage::Error(error) => error.id.iter().for_each(|id| shared.ended(id)),
                _ => {}
            }
            sent
        }
    }

    // rmcp drops this future whenever another event comes first. Nothing is lost, because a
    // receiver's `recv` takes no message before it returns it.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.messages.lock().await.recv().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn line(message: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).expect("a JSON-RPC message has text keys only");
    bytes.push(b'\n');
    bytes
}

async fn write_lines(mut lines: mpsc::Receiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    while let Some(line) = lines.recv().await {
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}
