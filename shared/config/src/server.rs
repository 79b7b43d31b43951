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
        /// How MCP is spoken: `stdio` to the host that started the program, or `http`. `sse` means `http`.
        pub transport: Transport = key("server.transport", Kind::Word(&["stdio", "http", "sse=http"])).default("stdio"),
        /// Where the `http` transport listens.
        pub address: SocketAddr = key("server.address", Kind::Address).default("127.0.0.1:8080"),
        /// Where clients find the `http` transport, such as `https://recall.example.com`, when that is not its address.
        pub public_url: Option<String> = key("server.public_url", Kind::Url),
        /// Hosts that a request may name: `example.com`, or `example.com:8443`; `*` is any.
        /// Unset: `localhost`, `127.0.0.1`, `[::1]`, the host of `public_url`, and an address that is neither loopback
        /// nor every interface.
        pub allowed_hosts: Option<Vec<String>> = key("server.allowed_hosts", Kind::List),
        /// Web pages that may call from a browser, such as `https://app.example.com`.
        /// Unset: those that the server itself sent.
        pub allowed_origins: Option<Vec<String>> = key("server.allowed_origins", Kind::List),
        /// Whether requests without credentials are the local caller's.
        /// `loopback`: where `address` is a loopback address, there is neither `public_url` nor `oauth.issuer`, and no
        /// proxy has passed the request on.
        pub anonymous: Anonymous =
            key("server.anonymous", Kind::Word(&["loopback", "always", "never"])).default("loopback"),
        /// Requests a minute that one caller may make, a tenth of them at once; others get 429 and `Retry-After`.
        /// 0: no limit.
        pub rate_limit: Option<NonZeroU32> = key("server.rate_limit", Kind::Number(0, 1_000_000)).default("6000"),
        /// Requests with a wrong key or token that one address may send in a minute.
        /// More of them get 429. Each key is still looked up, so a good one is accepted from any address. 0: no limit.
        pub failure_limit: Option<NonZeroU32> = key("server.failure_limit", Kind::Number(0, 1_000_000)).default("120"),
        /// Networks of the proxies in front of the server, such as `10.0.0.0/8`: the client's address is the one that
        /// they pass on in `X-Forwarded-For`. Unset: the address that connects.
        pub trusted_proxies: Vec<IpNet> = key("server.trusted_proxies", Kind::List),
        /// Callers that get a larger share of the server while calls wait: `USER=WEIGHT` of the tenant `default`, or
        /// `TENANT/USER=WEIGHT`, from 1 to 100. It counts for each of the user's keys, and for the user of a token by
        /// the name in `oauth.user_claim`. Everybody else weighs 1.
        pub weights: Vec<Weight> = key("server.weights", Kind::List),
        /// Days for which the audit log keeps who called what, over HTTP, on stdio and on the command line, without
        /// what was said. An entry is never deleted before it is 7 days old. 0: nothing is noted.
        pub audit_days: u32 = key("server.audit_days", Kind::Number(0, 3650)).default("90"),
        /// Where the `http` transport answers `/metrics`. In a pod: `0.0.0.0:9090`.
        pub metrics_address: SocketAddr = key("server.metrics_address", Kind::Address).default("127.0.0.1:9090"),
        /// Requests that are read and answered at once, of one caller at most half.
        /// As many of each caller wait, two seconds at the most; others get 503 and `Retry-After`.
        pub max_requests: usize = key("server.max_requests", Kind::Number(1, 65_536)).default("256"),
        /// How long requests are still taken after SIGTERM, while `/readyz` says 503: until what sends them here has
        /// noticed. In a pod: some seconds.
        pub shutdown_delay: Duration = key("server.shutdown_delay", Kind::Duration(0)).default("0s"),
        /// How long requests under way may take after that. No connection is taken any more.
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
        /// The authorization server whose tokens (JWT) are taken, exactly as they name it.
        /// Unset: API keys only.
        pub issuer: String = key("server.oauth.issuer", Kind::Url),
        /// What a token must be meant for (`aud`). Unset: `public_url` and `/mcp`.
        pub audience: String = key("server.oauth.audience", Kind::Text),
        /// The issuer's keys. Unset: where the issuer's metadata says.
        pub jwks_url: Option<String> = key("server.oauth.jwks_url", Kind::Url),
        /// The claim that names the caller's tenant. Unset: every caller's is `default`.
        pub tenant_claim: Option<String> = key("server.oauth.tenant_claim", Kind::Text),
        /// The claim that names the caller, who owns what it writes.
        pub user_claim: String = key("server.oauth.user_claim", Kind::Text).default("sub"),
        /// The claim that names the persona that the caller works as.
        pub persona_claim: Option<String> = key("server.oauth.persona_claim", Kind::Text),
        /// The claim with the scopes, a text or a list.
        pub scope_claim: String = key("server.oauth.scope_claim", Kind::Text).default("scope"),
        /// What stands before `read`, `write` and `admin` in the issuer's scopes, such as `recall:`.
        pub scope_prefix: String = key("server.oauth.scope_prefix", Kind::Prefix),
        /// The longest time from a token's issue (`iat`) to its end (`exp`).
        /// A token that lives longer is refused.
        pub max_lifetime: Duration = key("server.oauth.max_lifetime", Kind::Duration(60_000)).default("24h"),
    }
}

section! {
    /// Certificate files for HTTPS.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Tls {
        /// The certificate chain of HTTPS, a PEM file. Read again when it changes.
        pub certificate: PathBuf = key("server.tls.certificate", Kind::Text),
        /// Its private key, a PEM file.
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
