//! Connects to Postgres by a connection string, which means the same as to libpq.
//!
//! [`Dsn::parse`] reads both forms of the string, [`Dsn::connect`] opens one connection, and
//! [`Dsn::pool`] creates a pool. This module adds what the driver lacks: all six `sslmode`s,
//! certificates, sensible timeouts, and errors that say what to do.

mod connection;
mod error;
mod explain;
mod given;
mod options;
mod place;
mod pool;
pub mod proven;
mod text;
mod tls;

use std::{fmt, path::PathBuf};

use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, Client, Config, config::SslMode as WireTls, error::SqlState};

use self::proven::Private;
pub use self::{connection::Connection, error::DsnError, options::SslMode, tls::Tls};
use pgrecall_process::tasks;

/// A parsed connection string.
#[derive(Clone)]
pub struct Dsn {
    settings: options::Settings,
    options: Vec<(String, String)>,
    masked: String,
    /// Set for a private server, which is verified before each connection.
    private: Option<Private>,
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dsn").field(&self.masked).finish()
    }
}

impl Dsn {
    /// Parses a `postgres://` URL or `name=value` pairs. It contacts no server and reads no file.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let text::Text { options, masked } = text::parse(text.trim())?;
        Ok(Self { settings: options::settings(&options)?, options, masked, private: None })
    }

    /// Returns the same database on a private server, whose socket is found and whose process is
    /// verified as `private` says before anything is sent to it.
    pub fn on(self, private: Private) -> Self {
        Self { private: Some(private), ..self }
    }

    /// Returns the string as it was written, with each password masked.
    pub fn redacted(&self) -> String {
        self.masked.clone()
    }

    /// Returns the string for a program that uses libpq, without passwords, because every user of
    /// the machine can see a command line.
    pub fn without_passwords(&self) -> String {
        let shown = self.options.iter().filter(|(name, _)| !["password", "sslpassword"].contains(&name.as_str()));
        let pairs = shown.map(|(name, value)| format!("{name}={}", quote(value)));
        pairs.collect::<Vec<_>>().join(" ")
    }

    /// Returns the user that runs a private server, and the folder of its socket.
    pub fn private_server(&self) -> Option<(u32, PathBuf)> {
        let private = self.private.as_ref()?;
        Some((private.server, private.folder()?))
    }

    /// Returns the password in the string.
    pub fn password(&self) -> Option<&str> {
        self.options.iter().rev().find(|(name, _)| name == "password").map(|(_, value)| value.as_str())
    }

    /// Returns the user to log in as, or the placeholder `<user>` if the string leaves it to the
    /// operating system.
    pub fn user(&self) -> String {
        self.settings.config.get_user().unwrap_or("<user>").to_owned()
    }

    /// Returns the name of the database. It defaults to the user's name.
    pub fn database(&self) -> String {
        self.settings.config.get_dbname().map(str::to_owned).unwrap_or_else(|| self.user())
    }

    /// Returns the server's address for messages: `host:port` or the path of its socket; several
    /// are separated by commas.
    pub fn place(&self) -> String {
        if let Some(private) = &self.private {
            return private.place();
        }
        let places: Vec<_> = self.settings.places.iter().map(ToString::to_string).collect();
        places.join(", ")
    }

    /// Returns the required level of TLS. Sockets have no TLS.
    pub fn ssl_mode(&self) -> SslMode {
        self.settings.mode
    }

    /// Returns the driver's configuration, to be used with [`Dsn::tls`].
    pub fn config(&self) -> Config {
        self.settings.config.clone()
    }

    /// Returns the TLS connector that the string asks for.
    pub fn tls(&self) -> Tls {
        Tls::new(self.settings.tls.clone())
    }

    /// Opens a connection within twice the string's `connect_timeout` (default 10 s).
    pub async fn connect(&self) -> Result<(Client, Connection), DsnError> {
        let after = self.settings.timeout;
        match tokio::time::timeout(after * 2, self.open()).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => Err(self.explain(error).await),
            Err(_) => Err(DsnError::TimedOut { place: self.place(), after: after * 2 }),
        }
    }

    /// Opens a connection as [`Dsn::connect`] does, and drives it in a task. `name` is for the log.
    pub async fn connect_in_task(&self, name: &'static str) -> Result<(Client, JoinHandle<()>), DsnError> {
        let (client, connection) = self.connect().await?;
        Ok((client, tasks::connection(name, connection)))
    }

    /// Opens a connection with or without TLS. If `sslmode` permits both, it tries the other way
    /// after a failure that this may avoid.
    pub async fn open(&self) -> Result<(Client, Connection), tokio_postgres::Error> {
        if let Some(private) = &self.private {
            return private.open(&self.settings.config).await;
        }
        let first = self.open_with(self.settings.mode.wire()).await;
        let Err(error) = &first else { return first };
        match self.settings.mode {
            SslMode::Prefer if explain::tls_error(error).is_some() || is_not_allowed(error) => {
                tracing::warn!(place = self.place(), %error, "TLS failed and sslmode=prefer allows to go without: trying that");
                self.open_with(WireTls::Disable).await
            }
            SslMode::Allow if error.code().is_some() => {
                // The server may require TLS, and its error message does not say so reliably. If
                // TLS fails too, the first error is the more useful one.
                let second = self.open_with(WireTls::Require).await;
                if second.is_ok() { second } else { first }
            }
            _ => first,
        }
    }

    /// Asks the server to cancel the statement of this token's connection. The protocol does not
    /// say whether it did.
    pub(crate) async fn cancel(&self, token: CancelToken) {
        let limit = self.settings.timeout;
        let cancel = async {
            match &self.private {
                Some(private) => private.cancel(&token, limit).await,
                None => token.cancel_query(self.tls()).await,
            }
        };
        if let Ok(Err(error)) = tokio::time::timeout(limit, cancel).await {
            tracing::debug!(%error, "a statement could not be cancelled; it runs until its timeout");
        }
    }

    async fn open_with(&self, wire: WireTls) -> Result<(Client, Connection), tokio_postgres::Error> {
        let mut config = self.config();
        config.ssl_mode(wire);
        let (client, connection) = config.connect(self.tls()).await?;
        Ok((client, connection.into()))
    }
}

/// Quotes a value for the form `name=value` of a connection string.
pub fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Returns whether pg_hba.conf has no entry for this kind of connection.
fn is_not_allowed(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_shown_without_its_password() {
        let dsn = Dsn::parse(" postgres://ada:hush@db/x?sslmode=require\n").unwrap();
        assert_eq!(dsn.redacted(), "postgres://ada:****@db/x?sslmode=require");
        assert_eq!(format!("{dsn:?}"), "Dsn(\"postgres://ada:****@db/x?sslmode=require\")");
        assert_eq!((dsn.user(), dsn.database(), dsn.place()), ("ada".to_owned(), "x".to_owned(), "db:5432".to_owned()));
    }

    #[test]
    fn a_program_gets_the_string_without_its_password() {
        let dsn = Dsn::parse("postgres://ada:it's@db:5433/x?sslmode=require").unwrap();
        assert_eq!(dsn.without_passwords(), "user='ada' host='db' port='5433' dbname='x' sslmode='require'");
        assert_eq!(dsn.password(), Some("it's"));
        let dsn = Dsn::parse(r"host='/a b/it\'s' dbname=x").unwrap();
        assert_eq!((dsn.without_passwords().as_str(), dsn.password()), (r"host='/a b/it\'s' dbname='x'", None));
    }

    #[tokio::test]
    async fn a_closed_port_and_a_missing_socket_and_an_unknown_host_are_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let refused = async |dsn: &str| Dsn::parse(dsn).unwrap().connect().await.err().unwrap();
        assert!(matches!(refused(&format!("host=127.0.0.1 port={port}")).await, DsnError::NothingListens(_)));
        let error = refused("host=/nowhere/at/all port=1").await;
        assert!(matches!(&error, DsnError::NoSocket(path) if path == "/nowhere/at/all/.s.PGSQL.1"));
        assert!(matches!(refused("host=no..such.host").await, DsnError::NoSuchHost(_)));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dsn = Dsn::parse(&format!("host=127.0.0.1 port={port} connect_timeout=1")).unwrap();
        assert!(matches!(dsn.connect().await.err().unwrap(), DsnError::TimedOut { .. }));
        drop(listener);
    }

    #[tokio::test]
    async fn a_missing_authority_file_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dsn = Dsn::parse(&format!(
            "host=127.0.0.1 port={port} sslmode=verify-ca sslrootcert=/nowhere/ca.pem user=u password=p"
        ));
        let error = dsn.unwrap().connect().await.err().unwrap();
        assert!(matches!(&error, DsnError::CertificateFile { path, .. } if path.ends_with("ca.pem")), "{error:?}");
        drop(listener);
    }
}
