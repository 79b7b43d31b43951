//! Maps a failed connection to its cause by SQLSTATE, kind of I/O error and type of TLS error,
//! never by an error's text.
//!
//! The driver does not distinguish every failure. Where two look alike, the server is contacted
//! once more, which costs time only after a failure.

use std::{error::Error, io, time::Duration};

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use rustls::CertificateError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_postgres::{config::TargetSessionAttrs, error::SqlState};

use super::{Dsn, DsnError, SslMode, place::Place, proven::driver_error};

/// Time limit for contacting the server or name service once more.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The SSLRequest message: its length, and a code that is no protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Returns the TLS library's error inside the driver's.
pub(super) fn tls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    io_error(error)?.get_ref()?.downcast_ref()
}

/// Returns the I/O error inside the driver's.
pub(super) fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

impl Dsn {
    /// Returns the reason why the driver could not connect.
    pub async fn explain(&self, error: tokio_postgres::Error) -> DsnError {
        let error = match driver_error(error) {
            Ok(error) => error,
            Err(own) => return own,
        };
        if let Some(code) = error.code() {
            let code = code.clone();
            return self.explain_code(&code, error);
        }
        if let Some(tls) = tls_error(&error) {
            return self.explain_tls(tls.clone());
        }
        if let Some(kind) = io_error(&error).map(io::Error::kind) {
            return self.explain_io(kind, error).await;
        }
        if error.is_closed() {
            return DsnError::Closed { place: self.place(), source: Box::new(error) };
        }
        let place = self.place();
        // Our own errors reach this point through the driver, from building the TLS configuration.
        let source = match error.into_source().map(|source| source.downcast::<DsnError>()) {
            Some(Ok(own)) => return *own,
            Some(Err(source)) => source,
            None => "the driver gave no cause".into(),
        };
        if self.settings.mode >= SslMode::Require && self.speaks_tls().await == Some(false) {
            return DsnError::NoTls { place, mode: self.settings.mode };
        }
        if self.settings.config.get_password().is_none() {
            return DsnError::NoPassword { place, user: self.user() };
        }
        DsnError::Other { place, source }
    }

    /// Returns the reason why the pool gave no connection.
    pub async fn explain_pool(&self, error: PoolError, connections: usize) -> DsnError {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                self.explain(error).await
            }
            PoolError::Timeout(TimeoutType::Wait) => DsnError::PoolBusy(connections),
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                DsnError::TimedOut { place: self.place(), after: self.settings.timeout }
            }
            PoolError::Closed => DsnError::Stopping,
            PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                DsnError::Other { place: self.place(), source: Box::new(error) }
            }
        }
    }

    fn explain_code(&self, code: &SqlState, error: tokio_postgres::Error) -> DsnError {
        let (place, user) = (self.place(), self.user());
        match *code {
            SqlState::INVALID_PASSWORD if self.settings.config.get_password().is_none() => {
                DsnError::NoPassword { place, user }
            }
            SqlState::INVALID_PASSWORD => DsnError::WrongPassword(user),
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION | SqlState::INSUFFICIENT_PRIVILEGE => {
                DsnError::NotAllowed { place, user, source: Box::new(error) }
            }
            SqlState::INVALID_CATALOG_NAME => DsnError::NoDatabase(self.database()),
            SqlState::TOO_MANY_CONNECTIONS => DsnError::TooManyConnections(place),
            SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
                DsnError::Starting(place)
            }
            SqlState::READ_ONLY_SQL_TRANSACTION => DsnError::ReadOnly(place),
            // Postgres itself never answers a valid startup message this way, but poolers do.
            SqlState::PROTOCOL_VIOLATION => {
                DsnError::Pooler { place, user, database: self.database(), source: Box::new(error) }
            }
            _ => DsnError::Refused { place, code: code.code().to_owned(), source: Box::new(error) },
        }
    }

    fn explain_tls(&self, error: rustls::Error) -> DsnError {
        let place = self.place();
        match error {
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                CertificateError::UnknownIssuer => DsnError::UnknownIssuer(place),
                CertificateError::NotValidForName => DsnError::WrongName { place, names: Vec::new() },
                CertificateError::NotValidForNameContext { presented, .. } => {
                    DsnError::WrongName { place, names: presented }
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => DsnError::Expired(place),
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    DsnError::NotYetValid(place)
                }
                other => DsnError::BadCertificate { place, source: Box::new(rustls::Error::InvalidCertificate(other)) },
            },
            other => DsnError::Handshake { place, source: Box::new(other) },
        }
    }

    async fn explain_io(&self, kind: io::ErrorKind, error: tokio_postgres::Error) -> DsnError {
        use io::ErrorKind as Kind;
        let place = self.place();
        let socket = matches!(self.settings.places.first(), Some(Place::Socket(_)));
        match kind {
            // The driver reports a standby, where a primary is required, with this kind and without
            // an OS error code; a refusal by the system has a code.
            Kind::PermissionDenied
                if self.settings.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite
                    && io_error(&error).is_some_and(|error| error.raw_os_error().is_none()) =>
            {
                DsnError::ReadOnly(place)
            }
            Kind::PermissionDenied if socket => DsnError::SocketClosed(place),
            Kind::NotFound if socket => DsnError::NoSocket(place),
            Kind::ConnectionRefused => DsnError::NothingListens(place),
            Kind::HostUnreachable | Kind::NetworkUnreachable => DsnError::NoRoute(place),
            Kind::TimedOut => DsnError::TimedOut { place, after: self.settings.timeout },
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
                DsnError::Closed { place, source: Box::new(error) }
            }
            _ => match self.unknown_host().await {
                Some(host) => DsnError::NoSuchHost(host),
                None => DsnError::Other { place, source: Box::new(error) },
            },
        }
    }

    /// Returns the first host whose name cannot be resolved.
    async fn unknown_host(&self) -> Option<String> {
        for place in &self.settings.places {
            if let Place::Tcp(host, port) = place
                && let Ok(Err(_)) = timeout(ASK_TIMEOUT, lookup_host((host.as_str(), *port))).await
            {
                return Some(host.clone());
            }
        }
        None
    }

    /// Asks the first server whether it supports TLS; `None` if it does not answer.
    async fn speaks_tls(&self) -> Option<bool> {
        let Some(Place::Tcp(host, port)) = self.settings.places.first() else { return None };
        let ask = async {
            let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.write_all(&SSL_REQUEST).await?;
            stream.read_u8().await
        };
        Some(timeout(ASK_TIMEOUT, ask).await.ok()?.ok()? == b'S')
    }
}
