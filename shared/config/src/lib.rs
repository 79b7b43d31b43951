//! The configuration: one YAML file, a few environment variables, and defaults with which everything works unconfigured.
//!
//! `Config::load` is what programs call; `Config::parse` is the same without touching the process, for tests. A key is
//! declared once, with the field that holds its value (`section.rs` says how), and from that follow its reading, the check for
//! unknown keys, `config print` and `docs/configuration.md`. This module is the only one that reads the environment.

#[macro_use]
mod section;

mod build;
mod database;
#[cfg(test)]
mod docs;
mod expand;
#[cfg(test)]
mod fuzz;
mod jobs;
mod keys;
mod limits;
mod memory;
mod paths;
mod print;
mod read;
mod server;
mod traces;
mod tree;
mod value;

use std::{collections::BTreeMap, path::Path, path::PathBuf};

pub use pgrecall_process::telemetry::settings::{Log, LogFormat, Traces};
use pgrecall_record::identity::Scope;
pub use pgrecall_record::model::Provider;
pub use pgrecall_record::secret::{Headers, MASK, Secret};
pub use pgrecall_record::secrets::Secrets;

pub use self::{
    database::Database,
    jobs::{ApiGateway, EmbedJobs},
    limits::{Audit, Quotas},
    memory::{Embedding, Forget, Fusion, Local, Memory, NearDuplicates, Ollama, Openai, Recall, Remember, Rerank, Tei},
    paths::Paths,
    print::Entry,
    read::Source,
    server::{Anonymous, Oauth, Server, Tls, Transport, Weight},
    value::parse_duration,
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
