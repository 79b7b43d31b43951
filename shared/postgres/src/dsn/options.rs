//! The meaning of a connection string's options.
//!
//! libpq's names and values mean the same as in libpq. An option that affects who can eavesdrop or
//! log in is either honored or refused, never ignored. Options without a meaning here are ignored,
//! and unknown ones are refused, as in libpq.

use std::{path::PathBuf, time::Duration};

use tokio_postgres::config::{
    ChannelBinding, Config, LoadBalanceHosts, SslMode as WireTls, SslNegotiation, TargetSessionAttrs,
};

use super::{
    DsnError,
    given::Given,
    place::{Place, places},
    tls::{Check, Roots, TlsOptions},
};

/// The level of TLS: libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only if the server requires it.
    Allow,
    /// TLS if the server offers it, without verification.
    Prefer,
    /// TLS always, without verification unless `sslrootcert` is given.
    Require,
    /// TLS always, with a certificate from a trusted authority.
    VerifyCa,
    /// TLS always, with a certificate from a trusted authority for this host's name.
    VerifyFull,
}

const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

impl SslMode {
    /// Returns libpq's name for the mode.
    pub fn as_str(self) -> &'static str {
        SSL_MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

    /// Returns the driver's TLS mode for the first attempt.
    pub(super) fn wire(self) -> WireTls {
        match self {
            Self::Disable | Self::Allow => WireTls::Disable,
            Self::Prefer => WireTls::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => WireTls::Require,
        }
    }
}

/// The interpreted options of a connection string.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) mode: SslMode,
    pub(super) tls: TlsOptions,
    /// Each host with its port, or the path of its socket.
    pub(super) places: Vec<Place>,
    /// Time limit of one attempt, including name lookup, connection, TLS and login.
    pub(super) timeout: Duration,
}

/// Default of `connect_timeout`. libpq waits forever by default, but a server that accepts and
/// sends nothing must not block a start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// With these defaults a vanished peer is noticed within a minute or two, even by a listener that
/// never writes. The system's default is hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// Default of `tcp_user_timeout`: a peer that has not acknowledged data for this long is considered
/// gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Options that this module or the driver honors.
const SUPPORTED: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "connect_timeout",
    "application_name",
    "fallback_application_name",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "channel_binding",
    "target_session_attrs",
    "load_balance_hosts",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "client_encoding",
    "gssencmode",
];
/// Options of libpq without a meaning here, which are ignored.
const IGNORED: &[&str] = &["sslcompression", "sslsni", "krbsrvname", "gsslib", "gssdelegation", "servicefile"];
/// Options of libpq that are refused, with what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("passfile", "write the password into the connection string, from a variable if need be"),
    ("service", "write the service's options into the connection string"),
    ("sslpassword", "use a key file without a passphrase"),
    ("sslcrl", "revocation lists are not read; remove it"),
    ("sslcrldir", "revocation lists are not read; remove it"),
    ("sslcertmode", "name a certificate with sslcert, or leave it out"),
    ("ssl_min_protocol_version", "TLS 1.2 is the oldest that is spoken; remove it"),
    ("ssl_max_protocol_version", "TLS 1.2 and 1.3 are spoken; remove it"),
    ("requirepeer", "remove it, and keep the socket's folder closed to others"),
    ("requiressl", "write sslmode=require"),
    ("require_auth", "write channel_binding=require, or remove it"),
    ("replication", "remove it: this is no replication client"),
];

/// Interprets the options.
pub(super) fn settings(options: &[(String, String)]) -> Result<Settings, DsnError> {
    options.iter().try_for_each(|(name, _)| known(name))?;
    let given = Given(options);
    let mut config = Config::new();
    let places = places(&given, &mut config)?;
    if let Some(user) = given.get("user") {
        config.user(user);
    }
    if let Some(password) = given.get("password") {
        config.password(password);
    }
    if let Some(database) = given.get("dbname") {
        config.dbname(database);
    }
    if let Some(options) = given.get("options") {
        config.options(options);
    }
    config.application_name(
        given.get("application_name").or(given.get("fallback_application_name")).unwrap_or("pgrecall"),
    );
    if given
        .get("client_encoding")
        .is_some_and(|name| !matches!(name.to_uppercase().as_str(), "UTF8" | "UTF-8" | "AUTO"))
    {
        return Err(DsnError::BadValue { option: "client_encoding", expected: "UTF8".to_owned() });
    }
    // The third value of `gssencmode`, `require`, asks for GSSAPI encryption, which is not
    // supported.
    given.word("gssencmode", &[("disable", ()), ("prefer", ())])?;
    let timeout = network(&given, &mut config)?;
    session(&given, &mut config, places.len())?;
    let (mode, tls) = encryption(&given, &mut config, &places)?;
    Ok(Settings { config, mode, tls, places, timeout })
}

fn known(name: &str) -> Result<(), DsnError> {
    if SUPPORTED.contains(&name) || IGNORED.contains(&name) {
        return Ok(());
    }
    if let Some((option, instead)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(DsnError::Unsupported { option, instead });
    }
    let meant =
        SUPPORTED.iter().map(|known| (strsim::jaro_winkler(name, known), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = meant.filter(|(alike, _)| *alike >= 0.85).map(|(_, known)| known);
    Err(DsnError::UnknownOption { name: name.to_owned(), meant })
}

fn network(given: &Given<'_>, config: &mut Config) -> Result<Duration, DsnError> {
    let timeout = given.seconds("connect_timeout")?.unwrap_or(CONNECT_TIMEOUT);
    config.connect_timeout(timeout);
    config.keepalives(given.get("keepalives") != Some("0"));
    config.keepalives_idle(given.seconds("keepalives_idle")?.unwrap_or(KEEPALIVE_IDLE));
    config.keepalives_interval(given.seconds("keepalives_interval")?.unwrap_or(KEEPALIVE_INTERVAL));
    config.keepalives_retries(given.positive("keepalives_count")?.unwrap_or(KEEPALIVE_RETRIES));
    // libpq measures this option in milliseconds.
    let unacknowledged = given.positive("tcp_user_timeout")?.map(|millis| Duration::from_millis(millis.into()));
    config.tcp_user_timeout(unacknowledged.unwrap_or(TCP_USER_TIMEOUT));
    Ok(timeout)
}

fn session(given: &Given<'_>, config: &mut Config, hosts: usize) -> Result<(), DsnError> {
    use TargetSessionAttrs as Target;
    let words = [("any", Target::Any), ("read-write", Target::ReadWrite), ("primary", Target::ReadWrite)];
    // Both programs write, so among several hosts they need the primary, even if the string does
    // not say so.
    let default = if hosts > 1 { Target::ReadWrite } else { Target::Any };
    config.target_session_attrs(given.word("target_session_attrs", &words)?.unwrap_or(default));
    let words = [("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];
    if let Some(balance) = given.word("load_balance_hosts", &words)? {
        config.load_balance_hosts(balance);
    }
    let words = [
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
    if let Some(binding) = given.word("channel_binding", &words)? {
        config.channel_binding(binding);
    }
    Ok(())
}

fn encryption(given: &Given<'_>, config: &mut Config, places: &[Place]) -> Result<(SslMode, TlsOptions), DsnError> {
    let roots = match given.get("sslrootcert") {
        Some("system") => Some(Roots::System),
        Some(file) => Some(Roots::File(PathBuf::from(file))),
        None => None,
    };
    let default = if roots == Some(Roots::System) { SslMode::VerifyFull } else { SslMode::Prefer };
    let mut mode = given.word("sslmode", &SSL_MODES)?.unwrap_or(default);
    // Anyone can get a certificate from a public authority, so it proves nothing unless the name is
    // verified. libpq refuses this too.
    if mode == SslMode::VerifyCa && roots.is_none() {
        return Err(DsnError::Unsupported {
            option: "sslmode=verify-ca without sslrootcert",
            instead: "name the authority's certificate with sslrootcert=FILE, or write sslmode=verify-full",
        });
    }
    if mode < SslMode::VerifyFull && roots == Some(Roots::System) {
        return Err(DsnError::Unsupported {
            option: "sslrootcert=system with a weaker sslmode",
            instead: "write sslmode=verify-full, or leave sslmode out",
        });
    }
    let check = match mode {
        SslMode::VerifyFull => Check::ChainAndName,
        SslMode::VerifyCa => Check::Chain,
        SslMode::Require if roots.is_some() => Check::Chain,
        _ => Check::Nothing,
    };
    let identity = match (given.get("sslcert"), given.get("sslkey")) {
        (Some(certificate), Some(key)) => Some((PathBuf::from(certificate), PathBuf::from(key))),
        (None, None) => None,
        _ => return Err(DsnError::Malformed("has one of sslcert and sslkey; a client certificate needs both")),
    };
    let direct = given.word("sslnegotiation", &[("postgres", false), ("direct", true)])?.unwrap_or(false);
    if direct && mode < SslMode::Require {
        return Err(DsnError::Unsupported {
            option: "sslnegotiation=direct with a weaker sslmode",
            instead: "write sslmode=require or stronger",
        });
    }
    if direct {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    // Postgres has no TLS on sockets, and libpq ignores sslmode there.
    if places.iter().any(|place| matches!(place, Place::Socket(_))) {
        mode = SslMode::Disable;
        config.ssl_negotiation(SslNegotiation::Postgres);
    }
    config.ssl_mode(mode.wire());
    Ok((mode, TlsOptions { check, roots: roots.unwrap_or(Roots::System), identity, direct }))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;
    use crate::dsn::text;

    fn read(dsn: &str) -> Result<Settings, DsnError> {
        settings(&text::parse(dsn)?.options)
    }

    fn refused(dsn: &str) -> String {
        read(dsn).unwrap_err().to_string()
    }

    #[test]
    fn both_forms_mean_the_same() {
        let url = read("postgres://u:p@h:6/d?application_name=a&options=-c%20x%3Dy&connect_timeout=3").unwrap();
        let pairs =
            read("host=h port=6 dbname=d user=u password=p application_name=a options='-c x=y' connect_timeout=3")
                .unwrap();
        assert_eq!(url.config, pairs.config);
        assert_eq!(url.timeout, Duration::from_secs(3));
        assert_eq!(url.places, [Place::Tcp("h".to_owned(), 6)]);
        assert_eq!(url.config.get_application_name(), Some("a"));
    }

    #[test]
    fn a_socket_is_a_place_and_has_no_tls() {
        let settings = read("host=/run/pg port=7 sslmode=verify-full").unwrap();
        assert_eq!(settings.config.get_hosts(), [Host::Unix("/run/pg".into())]);
        assert_eq!(settings.mode, SslMode::Disable);
        assert_eq!(settings.places[0].to_string(), "/run/pg/.s.PGSQL.7");
    }

    #[test]
    fn an_address_alone_is_a_host_too() {
        let settings = read("hostaddr=::1 sslmode=verify-full").unwrap();
        assert_eq!(settings.config.get_hosts(), [Host::Tcp("::1".to_owned())]);
        assert_eq!(settings.places[0].to_string(), "[::1]:5432");
    }

    #[test]
    fn several_hosts_are_searched_for_the_primary() {
        let settings = read("postgres://a:1,b/x").unwrap();
        assert_eq!(settings.config.get_ports(), [1, 5432]);
        assert_eq!(settings.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(read("host=a").unwrap().config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert!(refused("host=a,b port=1,2,3").contains("number of ports"));
        assert!(refused("host=a,/run").contains("one kind"));
    }

    #[test]
    fn sslmode_means_what_it_means_to_libpq() {
        let check = |dsn: &str| read(dsn).map(|settings| (settings.mode, settings.tls.check)).unwrap();
        assert_eq!(check("host=h"), (SslMode::Prefer, Check::Nothing));
        assert_eq!(check("host=h sslmode=require"), (SslMode::Require, Check::Nothing));
        assert_eq!(check("host=h sslmode=require sslrootcert=ca.pem"), (SslMode::Require, Check::Chain));
        assert_eq!(check("host=h sslmode=verify-ca sslrootcert=ca.pem"), (SslMode::VerifyCa, Check::Chain));
        assert_eq!(check("host=h sslmode=verify-full"), (SslMode::VerifyFull, Check::ChainAndName));
        assert_eq!(check("host=h sslrootcert=system"), (SslMode::VerifyFull, Check::ChainAndName));
        assert!(refused("host=h sslmode=verify-ca").contains("sslrootcert=FILE"));
        assert!(refused("host=h sslmode=require sslrootcert=system").contains("verify-full"));
        assert!(refused("host=h sslmode=on").contains("disable, allow, prefer, require, verify-ca, verify-full"));
        assert!(refused("host=h sslcert=a").contains("needs both"));
        assert!(refused("host=h sslnegotiation=direct").contains("sslmode=require"));
    }

    #[test]
    fn unknown_and_unsupported_options_say_what_to_do() {
        assert_eq!(
            refused("host=h sslmod=require"),
            "the connection string has the option `sslmod`, which does not exist; did you mean `sslmode`?"
        );
        assert!(refused("host=h pgbouncer=true").contains("remove it"));
        assert!(refused("host=h passfile=x").contains("password into the connection string"));
        assert!(refused("host=h port=x").contains("1 to 65535"));
        assert!(refused("host=h connect_timeout=soon").contains("whole number"));
        assert!(read("host=h sslsni=1 gssencmode=prefer client_encoding=utf8").is_ok());
        assert!(refused("host=h gssencmode=require").contains("disable, prefer"));
    }

    #[test]
    fn every_wait_on_the_network_ends() {
        let settings = read("host=h connect_timeout=0").unwrap();
        assert_eq!(settings.timeout, CONNECT_TIMEOUT);
        assert_eq!(settings.config.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
        assert_eq!(settings.config.get_keepalives_idle(), KEEPALIVE_IDLE);
        assert_eq!(settings.config.get_tcp_user_timeout(), Some(&TCP_USER_TIMEOUT));
    }
}
