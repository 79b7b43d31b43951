//! The configuration in effect, as `config print` shows it: YAML that can be read back, secrets masked.

use std::{fmt::Write, time::Duration};

use serde::Serialize;

use super::{Config, Headers, MASK, Secret, Source, keys};
use pgrecall_postgres::dsn::Dsn;

/// One key with its value in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The key's path, joined with dots.
    pub path: &'static str,
    /// Its value as it would be written in the file, secrets masked. `None`: it is unset.
    pub value: Option<String>,
    /// Where the value came from: `default`, `FILE:LINE` or `environment NAME`.
    pub source: String,
    /// What the key is for, in a sentence or two.
    pub doc: &'static str,
}

impl Config {
    /// Every key with its value in effect and where that came from, in the order of the documentation.
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |key: &keys::Key| Entry {
            path: key.path,
            value: self.shown(key.path),
            source: self.sources.get(key.path).unwrap_or(&Source::Default).to_string(),
            doc: key.doc,
        };
        keys::KEYS.iter().map(entry).collect()
    }

    /// The configuration in effect as YAML, secrets masked; with `show_source` each value says where it came from. What the
    /// environment alone decides stands below as comments.
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

    /// A key's value as the file would hold it.
    fn shown(&self, path: &str) -> Option<String> {
        let (embedding, jobs) = (&self.memory.embedding, &self.apigateway.embed_jobs);
        let recall = &self.memory.recall;
        let oauth = self.server.oauth.as_ref();
        let text = |value: &str| Some(quoted(value));
        let maybe = |value: &Option<String>| value.as_deref().map(quoted);
        match path {
            "database.dsn" => self.database.dsn.as_deref().map(|dsn| quoted(&masked_dsn(dsn))),
            "database.connections" => Some(self.database.connections.to_string()),
            "database.session_dsn" => self.database.session_dsn.as_deref().map(|dsn| quoted(&masked_dsn(dsn))),
            "memory.embedding.provider" => Some(embedding.provider.to_string()),
            "memory.embedding.timeout" => Some(duration(embedding.timeout)),
            "memory.embedding.keep_replaced" => Some(duration(embedding.keep_replaced)),
            "memory.embedding.query_prefix" => maybe(&embedding.query_prefix),
            "memory.embedding.document_prefix" => maybe(&embedding.document_prefix),
            "memory.embedding.local.threads" => embedding.local.threads.map(|threads| threads.to_string()),
            "memory.embedding.ollama.url" => Some(url(&embedding.ollama.url)),
            "memory.embedding.ollama.model" => text(&embedding.ollama.model),
            "memory.embedding.ollama.headers" => headers(&embedding.ollama.headers),
            "memory.embedding.openai.url" => Some(url(&embedding.openai.url)),
            "memory.embedding.openai.model" => text(&embedding.openai.model),
            "memory.embedding.openai.api_key" => secret(embedding.openai.api_key.as_ref()),
            "memory.embedding.openai.dimensions" => embedding.openai.dimensions.map(|number| number.to_string()),
            "memory.embedding.openai.headers" => headers(&embedding.openai.headers),
            "memory.embedding.tei.url" => embedding.tei.url.as_deref().map(url),
            "memory.embedding.tei.api_key" => secret(embedding.tei.api_key.as_ref()),
            "memory.embedding.tei.headers" => headers(&embedding.tei.headers),
            "memory.recall.fusion" => Some(recall.fusion.as_str().to_owned()),
            "memory.recall.meaning" => Some(recall.meaning.to_string()),
            "memory.recall.recency" => Some(recall.recency.to_string()),
            "memory.recall.half_life" => Some(duration(recall.half_life)),
            "memory.recall.rerank.url" => recall.rerank.as_ref().map(|rerank| url(&rerank.url)),
            "memory.recall.rerank.api_key" => secret(recall.rerank.as_ref().and_then(|rerank| rerank.api_key.as_ref())),
            "memory.recall.rerank.headers" => recall.rerank.as_ref().and_then(|rerank| headers(&rerank.headers)),
            "memory.recall.rerank.timeout" => recall.rerank.as_ref().map(|rerank| duration(rerank.timeout)),
            "memory.recall.rerank.candidates" => recall.rerank.as_ref().map(|rerank| rerank.candidates.to_string()),
            "memory.remember.near_duplicates" => Some(self.memory.remember.near_duplicates.as_str().to_owned()),
            "memory.remember.similarity" => Some(self.memory.remember.similarity.to_string()),
            "memory.remember.timeout" => Some(duration(self.memory.remember.timeout)),
            "memory.forget.keep" => Some(duration(self.memory.forget.keep)),
            "memory.secrets" => Some(self.memory.secrets.as_str().to_owned()),
            "apigateway.embed_jobs.workers" => Some(jobs.workers.to_string()),
            "apigateway.embed_jobs.embed_timeout" => Some(duration(jobs.embed_timeout)),
            "apigateway.embed_jobs.lease_duration" => Some(duration(jobs.lease_duration)),
            "apigateway.embed_jobs.batch_size" => Some(jobs.batch_size.to_string()),
            "apigateway.embed_jobs.retention_days" => Some(jobs.retention_days.to_string()),
            "apigateway.embed_jobs.poll_interval" => Some(duration(jobs.poll_interval)),
            "apigateway.embed_jobs.address" => Some(quoted(&jobs.address.to_string())),
            "server.transport" => Some(self.server.transport.as_str().to_owned()),
            "server.address" => Some(quoted(&self.server.address.to_string())),
            "server.public_url" => self.server.public_url.as_deref().map(url),
            "server.allowed_hosts" => self.server.allowed_hosts.as_deref().map(list),
            "server.allowed_origins" => self.server.allowed_origins.as_deref().map(list),
            "server.anonymous" => Some(self.server.anonymous.as_str().to_owned()),
            "server.rate_limit" => Some(self.server.rate_limit.map_or(0, u32::from).to_string()),
            "server.failure_limit" => Some(self.server.failure_limit.map_or(0, u32::from).to_string()),
            "server.trusted_proxies" => listed(self.server.trusted_proxies.iter().map(ToString::to_string)),
            "server.weights" => listed(self.server.weights.iter().map(ToString::to_string)),
            "server.oauth.issuer" => oauth.map(|oauth| url(&oauth.issuer)),
            "server.oauth.audience" => oauth.map(|oauth| quoted(&oauth.audience)),
            "server.oauth.jwks_url" => oauth.and_then(|oauth| oauth.jwks_url.as_deref().map(url)),
            "server.oauth.tenant_claim" => oauth.and_then(|oauth| maybe(&oauth.tenant_claim)),
            "server.oauth.user_claim" => oauth.map(|oauth| quoted(&oauth.user_claim)),
            "server.oauth.persona_claim" => oauth.and_then(|oauth| maybe(&oauth.persona_claim)),
            "server.oauth.scope_claim" => oauth.map(|oauth| quoted(&oauth.scope_claim)),
            "server.oauth.scope_prefix" => oauth.map(|oauth| quoted(&oauth.scope_prefix)),
            "server.oauth.max_lifetime" => oauth.map(|oauth| duration(oauth.max_lifetime)),
            "server.audit_days" => Some(self.server.audit_days.to_string()),
            "server.metrics_address" => Some(quoted(&self.server.metrics_address.to_string())),
            "server.tls.certificate" => self.server.tls.as_ref().map(|tls| path_text(&tls.certificate)),
            "server.tls.key" => self.server.tls.as_ref().map(|tls| path_text(&tls.key)),
            "server.max_requests" => Some(self.server.max_requests.to_string()),
            "server.shutdown_delay" => Some(duration(self.server.shutdown_delay)),
            "server.drain" => Some(duration(self.server.drain)),
            "audit.required" => Some(self.audit.required.to_string()),
            "audit.spill" => Some(path_text(&self.audit.spill)),
            "audit.spill_mib" => Some((self.audit.spill_bytes >> 20).to_string()),
            "tenants.quotas.records" => self.quotas.records.map(|records| records.to_string()),
            "tenants.quotas.text_mib" => self.quotas.text_bytes.map(|bytes| (bytes >> 20).to_string()),
            "tenants.quotas.writes_per_minute" => self.quotas.writes_per_minute.map(|writes| writes.to_string()),
            "traces.headers" => self.traces.as_ref().and_then(|traces| headers(&traces.headers)),
            "traces.endpoint" => self.traces.as_ref().map(|traces| url(&traces.endpoint)),
            _ => unreachable!("{path} is in the table of keys and has no field"),
        }
    }
}

/// A list that is unset when it is empty.
fn listed(texts: impl Iterator<Item = String>) -> Option<String> {
    let texts: Vec<String> = texts.collect();
    (!texts.is_empty()).then(|| list(&texts))
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

fn path_text(path: &std::path::Path) -> String {
    quoted(&path.display().to_string())
}

fn line(out: &mut String, depth: usize, text: &str, source: Option<&str>) {
    let indent = "  ".repeat(depth);
    let _ = match source {
        // The comments stand in a column where the values are short, which is nearly always.
        Some(source) => writeln!(out, "{:<60}  # {source}", format!("{indent}{text}")),
        None => writeln!(out, "{indent}{text}"),
    };
}

/// A connection string without its password. One that cannot be read is masked whole.
pub(super) fn masked_dsn(dsn: &str) -> String {
    Dsn::parse(dsn).map_or_else(|_| MASK.to_owned(), |dsn| dsn.redacted())
}

/// A YAML text in double quotes, whose escapes JSON shares. `${` is doubled, so that reading it back changes nothing.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}

/// An address without its query: it may hold a key (`?key=`).
fn url(url: &str) -> String {
    match url.split_once('?') {
        Some((address, _)) => quoted(&format!("{address}?{MASK}")),
        None => quoted(url),
    }
}

fn secret(secret: Option<&Secret>) -> Option<String> {
    secret.map(|secret| quoted(&secret.to_string()))
}

fn headers(headers: &Headers) -> Option<String> {
    if headers.is_empty() {
        return None;
    }
    let shown: Vec<_> =
        headers.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(&value.to_string()))).collect();
    Some(format!("{{ {} }}", shown.join(", ")))
}

/// A length of time with the units of the file: `1h30m`, `250ms`.
fn duration(value: Duration) -> String {
    let (seconds, millis) = (value.as_secs(), value.subsec_millis());
    let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(millis), "ms")];
    units.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    // L1
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
