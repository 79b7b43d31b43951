//! The configuration in effect, as `config print` shows it: YAML that reads back, secrets masked.

use std::fmt::Write;

use serde::Serialize;

use super::{ApiGateway, Audit, Config, Database, Memory, Quotas, Server, Source, traces, value::Setting};

/// One key with its value in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The path of the key, joined with dots.
    pub path: &'static str,
    /// The value as written in the file, secrets masked. `None`: unset.
    pub value: Option<String>,
    /// Where the value came from: `default`, `FILE:LINE` or `environment NAME`.
    pub source: String,
    /// The documentation of the key, in one or two sentences.
    pub doc: &'static str,
}

impl Config {
    /// Lists every key with its value in effect and its source, in the order of the documentation.
    pub fn entries(&self) -> Vec<Entry> {
        let mut shown = Vec::new();
        self.database.show(&Database::SECTION, &mut shown);
        self.memory.show(&Memory::SECTION, &mut shown);
        self.apigateway.show(&ApiGateway::SECTION, &mut shown);
        self.server.show(&Server::SECTION, &mut shown);
        self.audit.show(&Audit::SECTION, &mut shown);
        self.quotas.show(&Quotas::SECTION, &mut shown);
        traces::show(self.traces.as_ref(), &mut shown);
        let source = |path| self.sources.get(path).unwrap_or(&Source::Default).to_string();
        let entries = shown.into_iter();
        entries.map(|(key, value)| Entry { path: key.path, value, source: source(key.path), doc: key.doc }).collect()
    }

    /// Prints the configuration in effect as YAML, secrets masked.
    ///
    /// With `show_source` each value names its source. The settings that only the environment holds
    /// follow as comments.
    pub fn print(&self, show_source: bool) -> String {
        let mut out = String::new();
        let mut open: Vec<&str> = Vec::new();
        for entry in self.entries() {
            let parts: Vec<&str> = entry.path.split('.').collect();
            let (name, sections) = parts.split_last().expect("a path has at least one part");
            let kept = open.iter().zip(sections).take_while(|(a, b)| a == b).count();
            for (depth, section) in sections.iter().enumerate().skip(kept) {
                line(&mut out, depth, &format!("{section}:"), None);
            }
            open = sections.to_vec();
            let source = show_source.then_some(entry.source.as_str());
            match &entry.value {
                Some(value) => line(&mut out, sections.len(), &format!("{name}: {value}"), source),
                None => line(&mut out, sections.len(), &format!("# {name}:"), show_source.then_some("unset")),
            }
        }
        let log_format = self.log.format.as_str();
        let _ = write!(
            out,
            "# From the environment only:\n# PGRECALL_HOME={}\n# PGRECALL_RUNTIME={}\n# PGRECALL_LOG={}\n\
             # PGRECALL_LOG_FORMAT={log_format}\n# PGRECALL_USER={}\n# PGRECALL_PERSONA={}\n",
            self.paths.home.display(),
            self.paths.runtime.display(),
            self.log.filter,
            self.caller.owner,
            self.caller.persona.as_deref().unwrap_or_default(),
        );
        out
    }
}

fn line(out: &mut String, depth: usize, text: &str, source: Option<&str>) {
    let indent = "  ".repeat(depth);
    let _ = match source {
        // The sources line up in one column, since nearly all values are shorter than 60
        // characters.
        Some(source) => writeln!(out, "{:<60}  # {source}", format!("{indent}{text}")),
        None => writeln!(out, "{indent}{text}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    fn env(name: &str) -> Option<String> {
        match name {
            "PGRECALL_HOME" => Some("/h".to_owned()),
            "DATABASE_URL" => Some("postgres://ada:hush@db/x".to_owned()),
            "KEY" => Some("sk-123".to_owned()),
            _ => None,
        }
    }

    const FILE: &str = "memory:\n  embedding:\n    provider: openai\n    timeout: 90s\n    query_prefix: 'a \"${b}\"'\n    openai:\n      \
                        api_key: ${KEY}\n      headers: { X-Org: hush }\n";

    #[test]
    fn every_key_has_a_field_and_secrets_never_show() {
        let config = Config::parse(Some((FILE.replace("${b}", "$${b}").as_str(), "c.yaml")), &env).unwrap();
        let printed = config.print(true);
        assert!(!printed.contains("sk-123") && !printed.contains("hush"), "{printed}");
        assert_eq!(config.entries().len(), keys::KEYS.len());
        assert!(!format!("{config:?}").contains("sk-123"));
    }

    // The query string of an address may hold an API key.
    #[test]
    fn an_address_is_shown_without_its_query() {
        let yaml = "memory:\n  embedding:\n    ollama: { url: \"http://h/x?key=hush\" }\n    openai: { url: \"https://h/v1?key=hush\" }\n    \
                    tei: { url: \"http://h?key=hush\" }\n  recall: { rerank: { url: \"http://h/r?key=hush\" } }\nserver:\n  public_url: \
                    \"https://h/p?key=hush\"\n  oauth: { issuer: \"https://i/?key=hush\", jwks_url: \"https://i/k?key=hush\", audience: a }\n\
                    traces: { endpoint: \"http://c:4318?key=hush\" }\n";
        let config = Config::parse(Some((yaml, "c.yaml")), &env).unwrap();
        let printed = config.print(true) + &serde_json::to_string(&config.entries()).unwrap();
        assert!(!printed.contains("hush"), "{printed}");
        assert!(printed.contains("http://h/x?****"), "{printed}");
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let config = Config::parse(Some((FILE.replace("${b}", "$${b}").as_str(), "c.yaml")), &env).unwrap();
        let again = Config::parse(Some((&config.print(true), "again.yaml")), &env).unwrap();
        assert_eq!(again.print(false), config.print(false));
        assert_eq!(again.memory.embedding.query_prefix.as_deref(), Some("a \"${b}\""));
    }

    #[test]
    fn each_value_says_where_it_came_from() {
        let config = Config::parse(Some((FILE.replace("${b}", "b").as_str(), "c.yaml")), &env).unwrap();
        let printed = config.print(true);
        let find = |name: &str| {
            printed.lines().find(|line| line.contains(name)).unwrap().rsplit("  # ").next().unwrap().to_owned()
        };
        assert_eq!(find("timeout: 1m30s"), "c.yaml:4");
        assert_eq!(find("api_key: \"****\""), "c.yaml:7, environment KEY");
        assert_eq!(find("session_dsn: \"postgres://ada:****@db/x\""), "default");
        assert_eq!(find("  dsn: "), "environment DATABASE_URL");
        assert_eq!(find("workers: 1"), "default");
        assert_eq!(find("threads:"), "unset");
    }
}
