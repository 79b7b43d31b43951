//! The reasons why a connection string is refused or a connection fails, each as one sentence that
//! says what to do.

use std::{error::Error, path::PathBuf, time::Duration};

use super::SslMode;

type Source = Box<dyn Error + Send + Sync>;

/// The reason why there is no connection. No message contains a password.
#[derive(Debug, thiserror::Error)]
pub enum DsnError {
    /// The string cannot be parsed.
    #[error("the connection string {0}")]
    Malformed(&'static str),
    /// An option does not exist.
    #[error("the connection string has the option `{name}`, which does not exist; {}", did_you_mean(*.meant))]
    UnknownOption {
        /// The name as written.
        name: String,
        /// The option that was probably meant.
        meant: Option<&'static str>,
    },
    /// libpq has the option, but this program does not support it.
    #[error("the connection string has {option}, which cannot be followed: {instead}")]
    Unsupported {
        /// The option, or the combination of options.
        option: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A value is not valid for its option.
    #[error("the connection string's option `{option}` must be {expected}")]
    BadValue {
        /// The option.
        option: &'static str,
        /// The accepted values.
        expected: String,
    },
    /// The file of a certificate or key cannot be used.
    #[error("the certificate or key file {} cannot be used; it must be readable, in PEM form and without a passphrase", path.display())]
    CertificateFile {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Source,
    },
    /// The system has no trusted certificates.
    #[error(
        "no trusted certificates are installed on this system; install them (Debian: apt install ca-certificates), or name the \
         authority's with sslrootcert=FILE"
    )]
    NoSystemRoots,

    /// The port is closed.
    #[error("nothing listens at {0}; start Postgres there, or correct the host and port of the connection string")]
    NothingListens(String),
    /// The socket's file does not exist.
    #[error("there is no socket {0}; start Postgres, or correct `host`, which is the folder of its socket")]
    NoSocket(String),
    /// This user may not open the socket's file.
    #[error("the socket {0} is closed to this user; give it access, or connect by host name")]
    SocketClosed(String),
    /// The host's name cannot be resolved.
    #[error("there is no host of the name {0}; correct the host of the connection string, or the name server")]
    NoSuchHost(String),
    /// There is no route to the host.
    #[error("there is no way through the network to {0}; check the host, the network policy and the firewall")]
    NoRoute(String),
    /// The server did not answer in time.
    #[error("{place} did not answer within {} s; check that Postgres is up there and that no firewall swallows the connection", after.as_secs())]
    TimedOut {
        /// The address of the server.
        place: String,
        /// The time limit, from `connect_timeout`.
        after: Duration,
    },
    /// The connection broke while it was being opened.
    #[error("{place} closed the connection while it was being opened; its log says why")]
    Closed {
        /// The address of the server.
        place: String,
        /// The cause.
        #[source]
        source: Source,
    },

    /// The server does not support TLS.
    #[error("{place} does not speak TLS, and sslmode={} asks for it; turn TLS on there, or write sslmode=prefer", mode.as_str())]
    NoTls {
        /// The address of the server.
        place: String,
        /// The mode that the string asks for.
        mode: SslMode,
    },
    /// The certificate's issuer is not trusted.
    #[error(
        "the certificate of {0} comes from an authority that is not trusted; name the authority's certificate with sslrootcert=FILE"
    )]
    UnknownIssuer(String),
    /// The certificate is for another host.
    #[error("the certificate of {place} is for {}; connect by a name that it is for, or write sslmode=verify-ca", listed(.names))]
    WrongName {
        /// The address of the server.
        place: String,
        /// The names in the certificate.
        names: Vec<String>,
    },
    /// The certificate has expired.
    #[error("the certificate of {0} has expired; renew it there")]
    Expired(String),
    /// The certificate is not valid yet.
    #[error("the certificate of {0} is not valid yet; set this machine's clock, or the server's")]
    NotYetValid(String),
    /// The certificate cannot be verified.
    #[error("the certificate of {place} cannot be verified; issue a new one, as X.509 version 3 with a subjectAltName")]
    BadCertificate {
        /// The address of the server.
        place: String,
        /// The cause.
        #[source]
        source: Source,
    },
    /// The TLS handshake failed for another reason.
    #[error(
        "{place} and this program found no TLS in common; if it asks for a client certificate, name one with sslcert and sslkey"
    )]
    Handshake {
        /// The address of the server.
        place: String,
        /// The cause.
        #[source]
        source: Source,
    },

    /// The password is wrong.
    #[error("the password for the user `{0}` is wrong; correct it in the connection string")]
    WrongPassword(String),
    /// The server requires a password, and the string has none.
    #[error("{place} asks the user `{user}` for a password, and the connection string has none; add it")]
    NoPassword {
        /// The address of the server.
        place: String,
        /// The user.
        user: String,
    },
    /// The user may not log in.
    #[error(
        "{place} does not let the user `{user}` in; check the user's name, its rights on the database, and pg_hba.conf"
    )]
    NotAllowed {
        /// The address of the server.
        place: String,
        /// The user.
        user: String,
        /// The server's error.
        #[source]
        source: Source,
    },
    /// The database does not exist.
    #[error("there is no database `{0}`; create it, or correct the name in the connection string")]
    NoDatabase(String),
    /// The server has no connection left.
    #[error("{0} has no connection left; raise max_connections there, or close other programs' connections")]
    TooManyConnections(String),
    /// The server is starting or stopping.
    #[error("{0} is starting or stopping; try again in a moment")]
    Starting(String),
    /// Only servers that accept no writes were found.
    #[error("{0} takes no writes; name the primary in the connection string")]
    ReadOnly(String),
    /// A pooler refused the connection without a reason: PgBouncer has one SQLSTATE for all its
    /// refusals.
    #[error(
        "the connection pooler at {place} does not let the user `{user}` into `{database}`; check the password, the pooler's list \
         of databases, whether it wants TLS, and its log"
    )]
    Pooler {
        /// The address of the pooler.
        place: String,
        /// The user.
        user: String,
        /// The database.
        database: String,
        /// The pooler's error.
        #[source]
        source: Source,
    },
    /// The server refused the connection for another reason.
    #[error("{place} refused the connection (SQLSTATE {code}); its log says why")]
    Refused {
        /// The address of the server.
        place: String,
        /// The SQLSTATE.
        code: String,
        /// The server's error.
        #[source]
        source: Source,
    },
    /// Every connection of the pool is in use.
    #[error("all {0} connections to the database were busy for too long; try again, or run fewer queries at once")]
    PoolBusy(usize),
    /// The pool was closed.
    #[error("the program is stopping, and opens no connection any more; start it again")]
    Stopping,
    /// The folder of a private server's socket is open to other users or belongs to another one.
    #[error(
        "{} is not a private folder of the user that runs Postgres, so nothing was sent to a server in it: remove the folder and \
         start again", .0.display()
    )]
    ForeignFolder(PathBuf),
    /// Another user's server listens where the private one should.
    #[error(
        "the server that listens in {} runs as uid {found} and not as uid {expected}, so nothing was sent to it: end that server, \
         remove the folder and start again", folder.display()
    )]
    ForeignServer {
        /// The folder of the socket.
        folder: PathBuf,
        /// The user that runs the server.
        found: u32,
        /// The user that should run it.
        expected: u32,
    },
    /// Any other failure.
    #[error("no connection to {place} could be opened; the cause is given with this error")]
    Other {
        /// The address of the server.
        place: String,
        /// The cause.
        #[source]
        source: Source,
    },
}

impl DsnError {
    /// Returns whether the same attempt may succeed later without a change of the configuration.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NothingListens(_)
                | Self::NoSocket(_)
                | Self::NoSuchHost(_)
                | Self::NoRoute(_)
                | Self::TimedOut { .. }
                | Self::Closed { .. }
                | Self::TooManyConnections(_)
                | Self::Starting(_)
                | Self::ReadOnly(_)
                | Self::PoolBusy(_)
        )
    }
}

fn did_you_mean(meant: Option<&str>) -> String {
    meant.map_or_else(|| "remove it".to_owned(), |meant| format!("did you mean `{meant}`?"))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no host at all (it has no subjectAltName)".to_owned() } else { names.join(", ") }
}
