//! A private server behind a Unix socket, proven to be ours before anything is sent to it.
//!
//! Anyone can make a folder and a socket under a name that can be computed, and would be sent whatever is remembered. So the folder must be
//! private to the user that runs the server, and the system must confirm that the process behind the socket runs as that user. The
//! socket is opened through the folder's descriptor, so that both proofs are about the same folder.

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

/// A connection to a private server.
pub(super) type ProvenConnection = tokio_postgres::Connection<ProvenStream, NoTlsStream>;

type Folders = dyn Fn() -> Vec<PathBuf> + Send + Sync;

/// Where a private server listens, and as whom it runs.
#[derive(Clone)]
pub struct Private {
    /// The folders in which its socket can be, the likeliest one first; read for each connection, since a restart may move it.
    folders: Arc<Folders>,
    socket: String,
    /// The user that runs it.
    pub(super) server: u32,
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Private").field("folders", &(self.folders)()).field("server", &self.server).finish()
    }
}

impl Private {
    /// A server that runs as the user `server` and listens at `port` in one of `folders`.
    pub fn new(server: u32, port: &str, folders: impl Fn() -> Vec<PathBuf> + Send + Sync + 'static) -> Self {
        Self { folders: Arc::new(folders), socket: format!(".s.PGSQL.{port}"), server }
    }

    /// The folder in which its socket is, or will be.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let folders = (self.folders)();
        folders.iter().find(|folder| folder.join(&self.socket).exists()).or(folders.first()).cloned()
    }

    /// The path of the socket, for a person.
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

    /// Cancels a statement, over a connection that is proven as every other one.
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

/// Our own error, to travel through the driver.
fn refused(why: DsnError) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Our own error out of the driver's, or the driver's error as it was.
pub fn refusal(error: tokio_postgres::Error) -> Result<DsnError, tokio_postgres::Error> {
    let is_ours =
        super::explain::io_error(&error).and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<DsnError>());
    if !is_ours {
        return Err(error);
    }
    let source = error.into_source().and_then(|source| source.downcast::<io::Error>().ok());
    let own = source.and_then(|source| source.into_inner()).and_then(|inner| inner.downcast::<DsnError>().ok());
    Ok(*own.expect("it was looked at above"))
}

/// A stream to a proven server, or the reason why there is none: errors of the driver can only be made by the driver, which passes on
/// what its first write gets.
#[derive(Debug)]
pub(super) enum ProvenStream {
    /// To a server that was proven.
    Open(UnixStream),
    /// There is none.
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
