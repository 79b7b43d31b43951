//! The configuration: a YAML file, a few environment variables, and defaults that work without
//! both.
//!
//! Programs call `Config::load`. Tests call `Config::parse`, which does the same without touching
//! the process. A key is declared once, with the field that holds its value (`section.rs`);
//! reading, the check for unknown keys, `config print` and `docs/run/configuration.md` follow from that
//! declaration. No other module reads the environment.

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

/// Looks up an environment variable.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The whole configuration of a program.
#[derive(Debug, Clone)]
pub struct Config {
    /// The Postgres to use.
    pub database: Database,
    /// Embedding, ranking, near-duplicates, and the retention of deleted records.
    pub memory: Memory,
    /// The embedding queue; the reference platform has a section of the same name.
    pub apigateway: ApiGateway,
    /// Transport, addresses and authentication of the MCP server.
    pub server: Server,
    /// How audit entries are kept while the database does not take them.
    pub audit: Audit,
    /// Limits on what each tenant may store and write.
    pub quotas: Quotas,
    /// The folders of the data and the runtime.
    pub paths: Paths,
    /// The log's filter and format.
    pub log: Log,
    /// The trace collector. `None`: no traces are sent.
    pub traces: Option<Traces>,
    /// The identity of a local caller.
    pub caller: Caller,
    /// The editor of `edit`: `VISUAL`, else `EDITOR`.
    pub editor: Option<String>,
    /// The source of each value; a key that is missing here has its default.
    sources: BTreeMap<&'static str, Source>,
}

/// The identity of a local caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant, always `default`.
    pub tenant: String,
    /// The owner of private records: `PGRECALL_USER`, else `local`.
    pub owner: String,
    /// The persona, if any: `--persona`, else `PGRECALL_PERSONA`.
    pub persona: Option<String>,
}

impl Caller {
    /// Returns the scope of the caller's transactions.
    pub fn scope(&self) -> Scope {
        Scope { tenant: self.tenant.clone(), owner: self.owner.clone(), persona: self.persona.clone() }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read; check the path in --config or PGRECALL_CONFIG", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: std::io::Error,
    },
    /// The configuration is invalid. Each entry is one sentence that names the file and line, or
    /// the variable.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Config {
    /// Reads `file`, else the file in `PGRECALL_CONFIG`, else no file; and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let from_env = process_env("PGRECALL_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
        let Some(path) = file.map(Path::to_path_buf).or(from_env) else {
            return Self::parse(None, &process_env);
        };
        let yaml = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        Self::parse(Some((&yaml, &path.display().to_string())), &process_env)
    }

    /// Reads a file's text and name, and the given environment. All findings are reported together.
    pub fn parse(yaml: Option<(&str, &str)>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        build::build(yaml, env).map_err(ConfigError::Invalid)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn process_env(name: &str) -> Option<String> {
    // Replacement characters make a value that is not Unicode fail visibly where it is used; it
    // must not look unset.
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
