//! Verifies a private server behind a Unix socket before anything is sent to it (decision 23).
//!
//! Anyone could create a folder and a socket at a predictable path, and would receive everything
//! that is remembered. So the folder must belong to the server's user or this process's and be
//! closed to others, and the system must confirm that the process behind the socket runs as the
//! server's user. The socket is opened through the folder's descriptor, so that both checks concern
//! the same folder.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    time::timeout,
};
use tokio_postgres::{CancelToken, Client, Config, NoTls, tls::NoTlsStream};

use super::{Connection, DsnError};
use pgrecall_process::nofollow::{self, Folder, Unsafe};

/// A connection to a verified private server.
pub(super) type ProvenConnection = tokio_postgres::Connection<ProvenStream, NoTlsStream>;

type Folders = dyn Fn() -> Vec<PathBuf> + Send + Sync;

/// The location of a private server's socket, and the user that the server runs as.
#[derive(Clone)]
pub struct Private {
    /// Returns the folders in which the socket may be, likeliest first. Called for each connection,
    /// since a restart may move the socket.
    folders: Arc<Folders>,
    socket: String,
    /// The user that runs the server.
    pub(super) server: u32,
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Private").field("folders", &(self.folders)()).field("server", &self.server).finish()
    }
}

impl Private {
    /// Describes a server that runs as the user `server` and listens at `port` in one of `folders`.
    pub fn new(server: u32, port: &str, folders: impl Fn() -> Vec<PathBuf> + Send + Sync + 'static) -> Self {
        Self { folders: Arc::new(folders), socket: format!(".s.PGSQL.{port}"), server }
    }

    /// Returns the folder in which the socket is, or will be.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let folders = (self.folders)();
        folders.iter().find(|folder| folder.join(&self.socket).exists()).or(folders.first()).cloned()
    }

    /// Returns the path of the socket, for messages.
    pub(super) fn place(&self) -> String {
        (self.folders)().first().map(|folder| folder.join(&self.socket).display().to_string()).unwrap_or_default()
    }

    /// Opens a connection.
    pub(super) async fn open(&self, config: &Config) -> Result<(Client, Connection), tokio_postgres::Error> {
        let limit = config.get_connect_timeout().copied().unwrap_or(Duration::MAX);
        let stream = ProvenStream::of(self.connect(limit).await);
        let (client, connection) = config.connect_raw(stream, NoTls).await?;
        Ok((client, connection.into()))
    }

    /// Cancels a statement, over a connection that is verified like any other.
    pub(super) async fn cancel(&self, token: &CancelToken, limit: Duration) -> Result<(), tokio_postgres::Error> {
        token.cancel_query_raw(ProvenStream::of(self.connect(limit).await), NoTls).await
    }

    async fn connect(&self, limit: Duration) -> io::Result<UnixStream> {
        let mut absent = io::Error::from(io::ErrorKind::NotFound);
        for folder in (self.folders)() {
            match timeout(limit, self.connect_in(&folder)).await {
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(Err(error))
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
                {
                    absent = error;
                }
                Ok(connected) => return connected,
            }
        }
        Err(absent)
    }

    async fn connect_in(&self, folder: &Path) -> io::Result<UnixStream> {
        let foreign = || refused(DsnError::ForeignFolder(folder.to_owned()));
        let may_own = |owner| [nofollow::effective_uid(), self.server].contains(&owner);
        let open = Folder::open_real(folder).and_then(|open| open.must_be_private(may_own).map(|()| open));
        let open = open.map_err(|error| if Unsafe::of(&error).is_some() { foreign() } else { error })?;
        let stream = UnixStream::connect(open.path_to(&self.socket, folder)).await?;
        match stream.peer_cred()?.uid() {
            server if server == self.server => Ok(stream),
            found => Err(refused(DsnError::ForeignServer { folder: folder.to_owned(), found, expected: self.server })),
        }
    }
}

/// Wraps our own error in an I/O error, so that it passes through the driver.
fn refused(why: DsnError) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Returns the driver's error, or as the error our own one that passed through the driver.
pub fn driver_error(error: tokio_postgres::Error) -> Result<tokio_postgres::Error, DsnError> {
    let is_ours =
        super::explain::io_error(&error).and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<DsnError>());
    if !is_ours {
        return Ok(error);
    }
    let source = error.into_source().and_then(|source| source.downcast::<io::Error>().ok());
    let own = source.and_then(|source| source.into_inner()).and_then(|inner| inner.downcast::<DsnError>().ok());
    Err(*own.expect("it was looked at above"))
}

/// A stream to a verified server, or the reason why there is none. Only the driver can create its
/// errors, so a failed stream returns the reason from the driver's first write.
#[derive(Debug)]
pub(super) enum ProvenStream {
    /// A stream to a verified server.
    Open(UnixStream),
    /// The reason, until it has been returned.
    Failed(Option<io::Error>),
}

impl ProvenStream {
    fn of(connected: io::Result<UnixStream>) -> Self {
        connected.map_or_else(|error| Self::Failed(Some(error)), Self::Open)
    }

    fn stream(&mut self) -> Poll<io::Result<Pin<&mut UnixStream>>> {
        match self {
            Self::Open(stream) => Poll::Ready(Ok(Pin::new(stream))),
            Self::Failed(error) => Poll::Ready(Err(error.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into()))),
        }
    }
}

impl AsyncRead for ProvenStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream())?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for ProvenStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.stream())?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream())?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream())?.poll_shutdown(cx)
    }
}
