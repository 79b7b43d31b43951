//! The configuration: one YAML file, a few environment variables, and defaults with which everything works by itself.
//!
//! `Config::load` is what programs call; `Config::parse` is the same without touching the process, for tests. Every key is a row
//! of one table (`config/keys.rs`), from which the check for unknown keys, `config print` and `docs/configuration.md` follow.
//! This module is the only one that reads the environment.

mod build;
#[cfg(test)]
mod docs;
mod expand;
#[cfg(test)]
mod fuzz;
mod keys;
mod limits;
mod memory;
mod paths;
mod print;
mod read;
mod tree;

use std::{collections::BTreeMap, fmt, net::SocketAddr, num::NonZeroU32, path::Path, path::PathBuf, time::Duration};

use ipnet::IpNet;
use strum::{EnumString, IntoStaticStr};

pub use pgrecall_process::telemetry::settings::{Log, LogFormat, Traces};
use pgrecall_record::identity::Scope;
pub use pgrecall_record::model::Provider;
pub use pgrecall_record::secret::{Headers, MASK, Secret};
pub use pgrecall_record::secrets::Secrets;

pub use self::{
    limits::{Audit, Quotas},
    memory::{Embedding, Forget, Fusion, Local, Memory, NearDuplicates, Ollama, Openai, Recall, Remember, Rerank, Tei},
    paths::Paths,
    print::Entry,
    read::{Source, parse_duration},
};

/// Looks a variable of the environment up.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything that a program needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which Postgres.
    pub database: Database,
    /// The memory's settings.
    pub memory: Memory,
    /// The gateway's settings, under the reference platform's name for them.
    pub apigateway: ApiGateway,
    /// How MCP is served.
    pub server: Server,
    /// What happens to audit entries that the database does not take.
    pub audit: Audit,
    /// What each tenant may have and write.
    pub quotas: Quotas,
    /// Where files lie.
    pub paths: Paths,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces go; nowhere, if it is not set.
    pub traces: Option<Traces>,
    /// On whose behalf a local caller acts.
    pub caller: Caller,
    /// Where each key's value came from.
    sources: BTreeMap<&'static str, Source>,
}

/// Which Postgres is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// The server's connection string; a transaction pooler is fine. `None`: the embedded Postgres.
    pub dsn: Option<String>,
    /// A direct or session-pooled connection to the same database, for LISTEN. Set exactly when `dsn` is, and the same unless
    /// the file says otherwise.
    pub session_dsn: Option<String>,
    /// Connections that one program opens at the most, without a worker's sessions.
    pub connections: usize,
}

impl fmt::Debug for Database {
    // Connection strings hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |dsn: &Option<String>| dsn.as_ref().map(|dsn| print::masked_dsn(dsn));
        f.debug_struct("Database")
            .field("dsn", &masked(&self.dsn))
            .field("session_dsn", &masked(&self.session_dsn))
            .field("connections", &self.connections)
            .finish()
    }
}

/// The gateway's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiGateway {
    /// The queue of texts to embed.
    pub embed_jobs: EmbedJobs,
}

/// The queue of texts to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedJobs {
    /// Batches that one process embeds at the same time, at least 1.
    pub workers: usize,
    /// The longest that one batch may take in the embedder.
    pub embed_timeout: Duration,
    /// How long a claim holds without a heartbeat; the heartbeat comes at a third of it.
    pub lease_duration: Duration,
    /// The most texts in one call to the embedder, 1 to 512.
    pub batch_size: usize,
    /// Days for which finished jobs are kept.
    pub retention_days: u32,
    /// How often the queue is looked at when no notification arrives.
    pub poll_interval: Duration,
    /// Where the program `embed-worker` answers for its health and metrics.
    pub address: SocketAddr,
}

/// How MCP is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Over what.
    pub transport: Transport,
    /// Where HTTP listens.
    pub address: SocketAddr,
    /// Where clients find it, when that is elsewhere; without a slash at the end.
    pub public_url: Option<String>,
    /// Hosts that a request may name. `None`: those that this server is bound to have.
    pub allowed_hosts: Option<Vec<String>>,
    /// Web pages that may call. `None`: those of the server itself.
    pub allowed_origins: Option<Vec<String>>,
    /// Whether requests without credentials are the local caller's.
    pub anonymous: Anonymous,
    /// Requests a minute that one caller may make. `None`: any number.
    pub rate_limit: Option<NonZeroU32>,
    /// Requests a minute with wrong credentials that one address may send. `None`: any number.
    pub failure_limit: Option<NonZeroU32>,
    /// Networks of the proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Callers whose share is larger than others'.
    pub weights: Vec<Weight>,
    /// Whose tokens are taken. `None`: nobody's.
    pub oauth: Option<Oauth>,
    /// Days for which calls are kept in the audit log. 0: they are not noted.
    pub audit_days: u32,
    /// Where metrics are served.
    pub metrics_address: SocketAddr,
    /// HTTPS.
    pub tls: Option<Tls>,
    /// Requests that are answered at once.
    pub max_requests: usize,
    /// How long requests under way may take once the server is told to stop.
    pub drain: Duration,
    /// How long requests are still taken once the server is told to stop.
    pub shutdown_delay: Duration,
}

impl Server {
    /// The hosts that a request may name.
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

    /// Where clients find the server, without a slash at the end.
    pub fn public_address(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", self.address))
    }

    /// Whether a request without credentials is the local caller's.
    pub fn takes_anonymous(&self) -> bool {
        match self.anonymous {
            Anonymous::Loopback => self.address.ip().is_loopback() && self.public_url.is_none() && self.oauth.is_none(),
            Anonymous::Always => true,
            Anonymous::Never => false,
        }
    }
}

/// A caller whose share of the server is larger than others'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Its tenant.
    pub tenant: String,
    /// The name under which it writes.
    pub owner: String,
    /// How many others' shares it has, 1 to 100.
    pub weight: u32,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}={}", self.tenant, self.owner, self.weight)
    }
}

/// The host of an address, with its port if it names one.
fn host_of(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}

/// Whether requests without credentials are the local caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Anonymous {
    /// On a loopback address that no public address leads to.
    Loopback,
    /// Whoever reaches the server is the local caller.
    Always,
    /// Everyone must say who they are.
    Never,
}

impl Anonymous {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The authorization server whose tokens are taken, and what their claims mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oauth {
    /// Its name, which is an address, as tokens write it.
    pub issuer: String,
    /// What a token must be meant for.
    pub audience: String,
    /// Its keys. `None`: where its metadata says.
    pub jwks_url: Option<String>,
    /// The claim with the tenant. `None`: `default`.
    pub tenant_claim: Option<String>,
    /// The claim with the caller's name.
    pub user_claim: String,
    /// The claim with the persona. `None`: nobody has one.
    pub persona_claim: Option<String>,
    /// The claim with the scopes.
    pub scope_claim: String,
    /// What stands before each of them.
    pub scope_prefix: String,
    /// The longest time from a token's issue to its end.
    pub max_lifetime: Duration,
}

/// HTTPS, by certificate files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Over what MCP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Transport {
    /// With the program that started this one, over stdin and stdout.
    Stdio,
    /// Streamable HTTP.
    Http,
}

impl Transport {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// On whose behalf a local caller acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant, `default`.
    pub tenant: String,
    /// The owner of private records: `PGRECALL_USER`, else `local`.
    pub owner: String,
    /// The persona that it works as, if any: `--persona`, else `PGRECALL_PERSONA`.
    pub persona: Option<String>,
}

impl Caller {
    /// The rows that it sees and the name under which it writes.
    pub fn scope(&self) -> Scope {
        Scope { tenant: self.tenant.clone(), owner: self.owner.clone(), persona: self.persona.clone() }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read; check the path in --config or PGRECALL_CONFIG", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What it says does not fit. Each entry is one sentence that names the file and line or the variable.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Config {
    /// Reads the file that is named, else the one in `PGRECALL_CONFIG`, else none, and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let from_env = process_env("PGRECALL_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
        let Some(path) = file.map(Path::to_path_buf).or(from_env) else {
            return Self::parse(None, &process_env);
        };
        let yaml = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        Self::parse(Some((&yaml, &path.display().to_string())), &process_env)
    }

    /// The same from a file's text and name, and a given environment. All findings are reported together.
    pub fn parse(yaml: Option<(&str, &str)>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        build::build(yaml, env).map_err(ConfigError::Invalid)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn process_env(name: &str) -> Option<String> {
    // A variable that is not Unicode must not pass for one that is unset: it fails later, visibly, where it is used.
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
