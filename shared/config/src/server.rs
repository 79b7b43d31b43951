//! The section `server`: transport, addresses, limits and authentication.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use strum::{EnumString, IntoStaticStr};

use super::{
    keys::{Key, Kind, key},
    read::Reader,
    value::{Part, Setting, Shown, Word},
};

section! {
    /// Transport, addresses, limits and authentication of the MCP server.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Server {
        /// Transport of MCP: `stdio` to the host that started the program, or `http`, which serves
        /// `/mcp` and `/sse`. `sse` means `http`.
        pub transport: Transport = key("server.transport", Kind::Word(&["stdio", "http", "sse=http"])).default("stdio"),
        /// Address of the `http` transport.
        pub address: SocketAddr = key("server.address", Kind::Address).default("127.0.0.1:8080"),
        /// URL at which clients reach the `http` transport, such as `https://recall.example.com`,
        /// if it is not `address`.
        pub public_url: Option<String> = key("server.public_url", Kind::Url),
        /// Accepted values of the header `Host`: `example.com`, or `example.com:8443`; `*` accepts
        /// any. Unset: `localhost`, `127.0.0.1`, `[::1]`, the host of `public_url`, and `address`
        /// unless it is a loopback address or `0.0.0.0`.
        pub allowed_hosts: Option<Vec<String>> = key("server.allowed_hosts", Kind::List),
        /// Accepted values of the header `Origin`, which browsers send, such as
        /// `https://app.example.com`. Unset: the server's own origin.
        pub allowed_origins: Option<Vec<String>> = key("server.allowed_origins", Kind::List),
        /// Whether requests without credentials run as the local caller. `loopback`: if `address`
        /// is a loopback address, neither `public_url` nor `oauth.issuer` is set, and the request
        /// did not come through a proxy.
        pub anonymous: Anonymous =
            key("server.anonymous", Kind::Word(&["loopback", "always", "never"])).default("loopback"),
        /// Maximum number of requests per minute of one caller, a tenth of them at once. Others get
        /// 429 and `Retry-After`. 0: no limit.
        pub rate_limit: Option<NonZeroU32> = key("server.rate_limit", Kind::Number(0, 1_000_000)).default("6000"),
        /// Maximum number of requests per minute with a wrong key or token from one address. Others
        /// get 429. A valid key is accepted from any address at any time. 0: no limit.
        pub failure_limit: Option<NonZeroU32> = key("server.failure_limit", Kind::Number(0, 1_000_000)).default("120"),
        /// Networks of the proxies in front of the server, such as `10.0.0.0/8`. The client's
        /// address is then the one in their `X-Forwarded-For`. Unset: the address that connects.
        pub trusted_proxies: Vec<IpNet> = key("server.trusted_proxies", Kind::List),
        /// Weights of callers while calls wait: `USER=WEIGHT` in the tenant `default`, or
        /// `TENANT/USER=WEIGHT`, from 1 to 100. A weight applies to all keys of the user, and to
        /// tokens whose `oauth.user_claim` names the user. All others have the weight 1.
        pub weights: Vec<Weight> = key("server.weights", Kind::List),
        /// Number of days for which the audit log keeps its entries: who called what, without the
        /// texts. No entry is deleted before it is 7 days old. 0: nothing is logged.
        pub audit_days: u32 = key("server.audit_days", Kind::Number(0, 3650)).default("90"),
        /// Address at which the `http` transport serves `/metrics`. In a pod: `0.0.0.0:9090`.
        pub metrics_address: SocketAddr = key("server.metrics_address", Kind::Address).default("127.0.0.1:9090"),
        /// Maximum number of concurrent requests, half of them from one caller. As many more of
        /// each caller wait for up to two seconds; others get 503 and `Retry-After`.
        pub max_requests: usize = key("server.max_requests", Kind::Number(1, 65_536)).default("256"),
        /// How long the server accepts requests after SIGTERM, while `/readyz` already answers 503,
        /// so that a load balancer notices. In a pod: a few seconds.
        pub shutdown_delay: Duration = key("server.shutdown_delay", Kind::Duration(0)).default("0s"),
        /// How long requests in progress may take after `shutdown_delay`. The server accepts no new
        /// connections during this time.
        pub drain: Duration = key("server.drain", Kind::Duration(0)).default("20s"),
        /// The authorization server whose tokens are accepted. `None`: no tokens are accepted.
        pub oauth: Option<Oauth> = Oauth::SECTION,
        /// The certificate files for HTTPS. `None`: plain HTTP.
        pub tls: Option<Tls> = Tls::SECTION,
    }
}

section! {
    /// The authorization server whose tokens are accepted, and the meaning of their claims.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Oauth {
        /// The authorization server whose tokens (JWT) are accepted, exactly as in their claim
        /// `iss`. Unset: API keys only.
        pub issuer: String = key("server.oauth.issuer", Kind::Url),
        /// Required value of a token's claim `aud`. Unset: `public_url` followed by `/mcp`.
        pub audience: String = key("server.oauth.audience", Kind::Text),
        /// URL of the issuer's keys. Unset: the URL in the issuer's metadata.
        pub jwks_url: Option<String> = key("server.oauth.jwks_url", Kind::Url),
        /// Claim with the caller's tenant. Unset: every caller's tenant is `default`.
        pub tenant_claim: Option<String> = key("server.oauth.tenant_claim", Kind::Text),
        /// Claim with the caller's name, the owner of the records that the caller writes.
        pub user_claim: String = key("server.oauth.user_claim", Kind::Text).default("sub"),
        /// Claim with the persona that the caller uses.
        pub persona_claim: Option<String> = key("server.oauth.persona_claim", Kind::Text),
        /// Claim with the scopes, a string or a list.
        pub scope_claim: String = key("server.oauth.scope_claim", Kind::Text).default("scope"),
        /// Prefix of `read`, `write` and `admin` in the issuer's scopes, such as `recall:`.
        pub scope_prefix: String = key("server.oauth.scope_prefix", Kind::Prefix),
        /// Maximum lifetime of a token, from `iat` to `exp`. A token with a longer lifetime is
        /// refused.
        pub max_lifetime: Duration = key("server.oauth.max_lifetime", Kind::Duration(60_000)).default("24h"),
    }
}

section! {
    /// Certificate files for HTTPS.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Tls {
        /// PEM file with the certificate chain for HTTPS. The server reads it again when it
        /// changes.
        pub certificate: PathBuf = key("server.tls.certificate", Kind::Text),
        /// PEM file with the private key of the certificate.
        pub key: PathBuf = key("server.tls.key", Kind::Text),
    }
}

impl Server {
    /// Returns the hosts that a request may name.
    pub fn hosts(&self) -> Vec<String> {
        if let Some(hosts) = &self.allowed_hosts {
            return hosts.clone();
        }
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        let address = self.address.ip();
        if !address.is_unspecified() && !address.is_loopback() {
            hosts.push(if address.is_ipv6() { format!("[{address}]") } else { address.to_string() });
        }
        hosts.extend(self.public_url.as_deref().and_then(host_of).map(str::to_owned));
        hosts
    }

    /// Returns the URL at which clients reach the server, without a trailing slash.
    pub fn public_address(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", self.address))
    }

    /// Whether requests without credentials run as the local caller.
    pub fn takes_anonymous(&self) -> bool {
        match self.anonymous {
            Anonymous::Loopback => self.address.ip().is_loopback() && self.public_url.is_none() && self.oauth.is_none(),
            Anonymous::Always => true,
            Anonymous::Never => false,
        }
    }

    /// Checks the rules between the section's keys.
    pub(super) fn complete(&mut self, reader: &mut Reader) {
        let (certificate, key) = ("server.tls.certificate", "server.tls.key");
        for (there, missing) in [(certificate, key), (key, certificate)] {
            if reader.is_set(there) && !reader.is_set(missing) {
                reader.find_at(there, &format!(" is set and `{missing}` is not; HTTPS needs both."));
            }
        }
        if let Some(oauth) = &mut self.oauth {
            oauth.complete(reader);
        }
    }
}

impl Oauth {
    /// Fills in the default of `audience`, and checks the rules between the section's keys.
    fn complete(&mut self, reader: &mut Reader) {
        // `Kind::Url` strips a trailing slash, and tokens name the issuer exactly as it is written.
        self.issuer = reader.text("server.oauth.issuer").unwrap_or_default();
        if self.audience.is_empty() {
            match reader.text("server.public_url") {
                Some(url) => self.audience = format!("{}/mcp", url.trim_end_matches('/')),
                None => reader.find_at(
                    "server.oauth.issuer",
                    " is set; set `server.public_url` as well, or `server.oauth.audience`: a token must be meant for this server.",
                ),
            }
        }
        for path in ["server.oauth.issuer", "server.oauth.jwks_url"] {
            // An attacker on the path could replace keys that are fetched without TLS, and then
            // sign tokens for any caller.
            if reader.text(path).is_some_and(|url| url.starts_with("http://") && !is_loopback(&url)) {
                let wrong = " must begin with https://: the keys that tokens are verified with come from there.";
                reader.find_at(path, wrong);
            }
        }
    }
}

/// Whether the host of a URL is a loopback address.
fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the host of a URL, with its port if it names one.
fn host_of(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}

/// A caller with a larger share of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// The tenant of the caller.
    pub tenant: String,
    /// The owner of the caller's records.
    pub owner: String,
    /// The share, from 1 to 100; other callers have 1.
    pub weight: u32,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}={}", self.tenant, self.owner, self.weight)
    }
}

impl Part for Weight {
    const EXPECTED: &'static str = "a caller and a weight from 1 to 100, such as ana=4 or acme/ana=4";

    fn parse(text: &str) -> Option<Self> {
        let (caller, weight) = text.rsplit_once('=')?;
        let (tenant, owner) = caller.split_once('/').unwrap_or(("default", caller));
        let weight = weight.parse().ok().filter(|weight| (1..=100).contains(weight))?;
        let named = !tenant.is_empty() && !owner.is_empty();
        named.then(|| Self { tenant: tenant.to_owned(), owner: owner.to_owned(), weight })
    }
}

impl Part for IpNet {
    const EXPECTED: &'static str = "a network such as 10.0.0.0/8, nor an address such as 10.0.0.7";

    fn parse(text: &str) -> Option<Self> {
        text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from)).ok()
    }
}

/// Whether requests without credentials run as the local caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Anonymous {
    /// Only if `address` is a loopback address, and neither `public_url` nor `oauth.issuer` is set.
    Loopback,
    /// Every request without credentials runs as the local caller.
    Always,
    /// Every request needs credentials.
    Never,
}

/// The transport of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Transport {
    /// stdin and stdout, to the host that started the program.
    Stdio,
    /// Streamable HTTP.
    Http,
}

impl Word for Anonymous {}
impl Word for Transport {}
