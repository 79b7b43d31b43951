//! Why a connection string was refused, or led nowhere: one sentence each, with what to do.

use std::{error::Error, path::PathBuf, time::Duration};

use super::SslMode;

type Source = Box<dyn Error + Send + Sync>;

/// Why there is no connection. No message holds a password.
#[derive(Debug, thiserror::Error)]
pub enum DsnError {
    /// The string cannot be taken apart.
    #[error("the connection string {0}")]
    Malformed(&'static str),
    /// An option that nobody knows.
    #[error("the connection string has the option `{name}`, which does not exist; {}", did_you_mean(*.meant))]
    UnknownOption {
        /// As written.
        name: String,
        /// What it was probably meant to be.
        meant: Option<&'static str>,
    },
    /// An option that libpq knows and that cannot be followed here.
    #[error("the connection string has {option}, which cannot be followed: {instead}")]
    Unsupported {
        /// Which option, or which options together.
        option: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// A value that its option cannot have.
    #[error("the connection string's option `{option}` must be {expected}")]
    BadValue {
        /// Which option.
        option: &'static str,
        /// What it can be.
        expected: String,
    },
    /// A certificate's or key's file.
    #[error("the certificate or key file {} cannot be used; it must be readable, in PEM form and without a passphrase", path.display())]
    CertificateFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// The system trusts nobody.
    #[error(
        "no trusted certificates are installed on this system; install them (Debian: apt install ca-certificates), or name the \
         authority's with sslrootcert=FILE"
    )]
    NoSystemRoots,

    /// The port is closed.
    #[error("nothing listens at {0}; start Postgres there, or correct the host and port of the connection string")]
    NothingListens(String),
    /// The socket's file is missing.
    #[error("there is no socket {0}; start Postgres, or correct `host`, which is the folder of its socket")]
    NoSocket(String),
    /// The socket's file is closed to this user.
    #[error("the socket {0} is closed to this user; give it access, or connect by host name")]
    SocketClosed(String),
    /// The host's name is unknown.
    #[error("there is no host of the name {0}; correct the host of the connection string, or the name server")]
    NoSuchHost(String),
    /// The network gave no way there.
    #[error("there is no way through the network to {0}; check the host, the network policy and the firewall")]
    NoRoute(String),
    /// Nobody answered in time.
    #[error("{place} did not answer within {} s; check that Postgres is up there and that no firewall swallows the connection", after.as_secs())]
    TimedOut {
        /// Where.
        place: String,
        /// The limit, `connect_timeout`.
        after: Duration,
    },
    /// The connection broke while it was being opened.
    #[error("{place} closed the connection while it was being opened; its log says why")]
    Closed {
        /// Where.
        place: String,
        /// How it broke.
        #[source]
        source: Source,
    },

    /// The server has no TLS.
    #[error("{place} does not speak TLS, and sslmode={} asks for it; turn TLS on there, or write sslmode=prefer", mode.as_str())]
    NoTls {
        /// Where.
        place: String,
        /// What was asked for.
        mode: SslMode,
    },
    /// Nobody that is trusted has issued the certificate.
    #[error(
        "the certificate of {0} comes from an authority that is not trusted; name the authority's certificate with sslrootcert=FILE"
    )]
    UnknownIssuer(String),
    /// The certificate is another host's.
    #[error("the certificate of {place} is for {}; connect by a name that it is for, or write sslmode=verify-ca", listed(.names))]
    WrongName {
        /// Where.
        place: String,
        /// The names in it.
        names: Vec<String>,
    },
    /// The certificate's time is over.
    #[error("the certificate of {0} has expired; renew it there")]
    Expired(String),
    /// The certificate's time has not come.
    #[error("the certificate of {0} is not valid yet; set this machine's clock, or the server's")]
    NotYetValid(String),
    /// The certificate cannot be verified.
    #[error("the certificate of {place} cannot be verified; issue a new one, as X.509 version 3 with a subjectAltName")]
    BadCertificate {
        /// Where.
        place: String,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// TLS failed for another reason.
    #[error(
        "{place} and this program found no TLS in common; if it asks for a client certificate, name one with sslcert and sslkey"
    )]
    Handshake {
        /// Where.
        place: String,
        /// What went wrong.
        #[source]
        source: Source,
    },

    /// The password is wrong.
    #[error("the password for the user `{0}` is wrong; correct it in the connection string")]
    WrongPassword(String),
    /// A password is needed.
    #[error("{place} asks the user `{user}` for a password, and the connection string has none; add it")]
    NoPassword {
        /// Where.
        place: String,
        /// Who.
        user: String,
    },
    /// The login is not allowed.
    #[error(
        "{place} does not let the user `{user}` in; check the user's name, its rights on the database, and pg_hba.conf"
    )]
    NotAllowed {
        /// Where.
        place: String,
        /// Who.
        user: String,
        /// The server's words.
        #[source]
        source: Source,
    },
    /// The database does not exist.
    #[error("there is no database `{0}`; create it, or correct the name in the connection string")]
    NoDatabase(String),
    /// The server is full.
    #[error("{0} has no connection left; raise max_connections there, or close other programs' connections")]
    TooManyConnections(String),
    /// The server is on its way up or down.
    #[error("{0} is starting or stopping; try again in a moment")]
    Starting(String),
    /// Only standbys were found.
    #[error("{0} takes no writes; name the primary in the connection string")]
    ReadOnly(String),
    /// A pooler said no, and not why: PgBouncer has one SQLSTATE for all its refusals.
    #[error(
        "the connection pooler at {place} does not let the user `{user}` into `{database}`; check the password, the pooler's list \
         of databases, whether it wants TLS, and its log"
    )]
    Pooler {
        /// Where.
        place: String,
        /// Who.
        user: String,
        /// Whereto.
        database: String,
        /// The pooler's words.
        #[source]
        source: Source,
    },
    /// The server said no for another reason.
    #[error("{place} refused the connection (SQLSTATE {code}); its log says why")]
    Refused {
        /// Where.
        place: String,
        /// Why, by its class.
        code: String,
        /// The server's words.
        #[source]
        source: Source,
    },
    /// Every connection of the pool is busy.
    #[error("all {0} connections to the database were busy for too long; try again, or run fewer queries at once")]
    PoolBusy(usize),
    /// The pool was closed.
    #[error("the program is stopping, and opens no connection any more; start it again")]
    Stopping,
    /// The folder of a private server's socket is open to others, or another user's.
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
        /// The folder of its socket.
        folder: PathBuf,
        /// The user that runs it.
        found: u32,
        /// The user that runs the private server.
        expected: u32,
    },
    /// Anything else.
    #[error("no connection to {place} could be opened; the cause is given with this error")]
    Other {
        /// Where.
        place: String,
        /// What happened.
        #[source]
        source: Source,
    },
}

impl DsnError {
    /// Whether the same attempt may succeed later, with no hand on the configuration.
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
