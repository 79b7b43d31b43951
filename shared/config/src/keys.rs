//! The one table of configuration keys.
//!
//! Reading, the check for unknown keys, `config print` and `docs/configuration.md` all follow it, so a key that is added here
//! is known everywhere, and one that is not here does not exist. Defaults are written as a person would write them in YAML.

/// What a key's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text that is not empty.
    Text,
    /// A text whose empty form is a choice of its own ("no prefix"), not an absence.
    Prefix,
    /// A text that is shown masked.
    Secret,
    /// A Postgres connection string; its password is shown masked.
    Dsn,
    /// An `http` or `https` address without credentials in it.
    Url,
    /// An IP address and port.
    Address,
    /// A whole number within bounds, both included.
    Number(u32, u32),
    /// Texts: a sequence, or one text with commas between them.
    List,
    /// A length of time of at least so many milliseconds.
    Duration(u64),
    /// One of a list of words. A word after `=` is what the one before it stands for.
    Word(&'static [&'static str]),
    /// A mapping of header names to values; the values are shown masked.
    Headers,
}

impl Kind {
    /// What the key takes, as the end of "must be …".
    pub(super) fn expected(self) -> String {
        match self {
            Self::Text | Self::Prefix | Self::Secret => "a text".to_owned(),
            Self::Dsn => "a Postgres connection string such as postgres://user:password@host:5432/database".to_owned(),
            Self::Url => "an address such as http://host:port".to_owned(),
            Self::Address => "an IP address and port such as 127.0.0.1:8080".to_owned(),
            Self::Number(from, to) => format!("a whole number from {from} to {to}"),
            Self::List => "a list of texts, as a sequence or with commas between them".to_owned(),
            Self::Duration(_) => "a duration with its unit, such as 250ms, 30s, 5m or 1h".to_owned(),
            Self::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| word.split('=').next().unwrap_or(word)).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Headers => "a mapping of header names to values".to_owned(),
        }
    }

    /// Whether a value may be repeated in an error message.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Dsn | Self::Headers)
    }
}

/// One key of the file.
#[derive(Debug)]
pub(super) struct Key {
    /// Its place, joined with dots.
    pub(super) path: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// Its value when nothing says otherwise. `None`: it stays unset, and `doc` says what that means.
    pub(super) default: Option<&'static str>,
    /// What it is for, one or two sentences.
    pub(super) doc: &'static str,
}

const PROVIDERS: &[&str] = &["local", "ollama", "openai", "tei", "noop"];
const ANONYMOUS: &[&str] = &["loopback", "always", "never"];
const FUSIONS: &[&str] = &["blend", "rrf"];
const NEAR_DUPLICATES: &[&str] = &["report", "supersede", "ignore"];
const BOOLEANS: &[&str] = &["false", "true"];
const TRANSPORTS: &[&str] = &["stdio", "http", "sse=http"];

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>, doc: &'static str) -> Key {
    Key { path, kind, default, doc }
}

/// Every key, section by section, in the order in which a file is best written.
pub(super) const KEYS: &[Key] = &[
    key(
        "database.dsn",
        Kind::Dsn,
        None,
        "The server's database; a transaction pooler is fine. Unset: `DATABASE_URL`, and without that the embedded Postgres.",
    ),
    key(
        "database.session_dsn",
        Kind::Dsn,
        None,
        "The worker's: direct or session-pooled connections to the same database, a dozen at the most. Unset: `database.dsn`.",
    ),
    key(
        "database.connections",
        Kind::Number(6, 500),
        Some("10"),
        "Connections to `dsn` that one program opens at the most. Four are for API keys, the audit log, metrics and the background; each of the others runs one call at a time.",
    ),
    key(
        "memory.embedding.provider",
        Kind::Word(PROVIDERS),
        Some("local"),
        "Who turns text into vectors. `local` is a model inside the process; `noop` makes no vectors, and recall answers by words alone.",
    ),
    key(
        "memory.embedding.timeout",
        Kind::Duration(1),
        Some("30s"),
        "A query's whole wait for its embedding. After it, the answer is by words alone, and says so.",
    ),
    key(
        "memory.embedding.keep_replaced",
        Kind::Duration(0),
        Some("24h"),
        "How long the vectors of a model are kept after another has replaced it. Until then, configuring it again takes the change back at once.",
    ),
    key(
        "memory.embedding.query_prefix",
        Kind::Prefix,
        None,
        "Put before each query that is embedded. Unset: what the model is known to need (`search_query: ` for nomic models).",
    ),
    key(
        "memory.embedding.document_prefix",
        Kind::Prefix,
        None,
        "Put before each passage that is embedded. Unset: what the model is known to need (`search_document: ` for nomic models).",
    ),
    key(
        "memory.embedding.local.threads",
        Kind::Number(1, 256),
        None,
        "Threads of the local model. Unset: one for each physical core, within the container's CPU limit.",
    ),
    key("memory.embedding.ollama.url", Kind::Url, Some("http://127.0.0.1:11434"), "Where Ollama listens."),
    key("memory.embedding.ollama.model", Kind::Text, Some("nomic-embed-text"), "The model, as `ollama list` names it."),
    key("memory.embedding.ollama.headers", Kind::Headers, None, "Headers sent with each request."),
    key(
        "memory.embedding.openai.url",
        Kind::Url,
        Some("https://api.openai.com/v1"),
        "The base of an OpenAI-compatible API; `/embeddings` is added.",
    ),
    key("memory.embedding.openai.model", Kind::Text, Some("text-embedding-3-small"), "The model's name."),
    key("memory.embedding.openai.api_key", Kind::Secret, None, "Sent as a bearer token. Unset: none is sent."),
    key(
        "memory.embedding.openai.dimensions",
        Kind::Number(1, 4000),
        None,
        "The length of the vectors to ask for. Unset: the model's own, as detected.",
    ),
    key("memory.embedding.openai.headers", Kind::Headers, None, "Headers sent with each request."),
    key(
        "memory.embedding.tei.url",
        Kind::Url,
        None,
        "Where text-embeddings-inference listens. Needed when it is the provider.",
    ),
    key("memory.embedding.tei.api_key", Kind::Secret, None, "Sent as a bearer token. Unset: none is sent."),
    key("memory.embedding.tei.headers", Kind::Headers, None, "Headers sent with each request."),
    key(
        "memory.recall.fusion",
        Kind::Word(FUSIONS),
        Some("blend"),
        "How the ranking by meaning and the one by words become one: `blend` adds the scores, `rrf` the reciprocal ranks.",
    ),
    key(
        "memory.recall.meaning",
        Kind::Number(0, 100),
        Some("70"),
        "How much meaning counts in a blend, in percent; words count the rest.",
    ),
    key(
        "memory.recall.recency",
        Kind::Number(0, 100),
        Some("0"),
        "How much of a score age takes at the most, in percent. 0: age does not count.",
    ),
    key(
        "memory.recall.half_life",
        Kind::Duration(1000),
        Some("720h"),
        "After how long age has taken half of what `recency` lets it take.",
    ),
    key(
        "memory.recall.rerank.url",
        Kind::Url,
        None,
        "Where a cross-encoder listens, as text-embeddings-inference serves one (`/rerank` is added): it looks at the best answers once more. Unset: nothing does.",
    ),
    key("memory.recall.rerank.api_key", Kind::Secret, None, "Sent as a bearer token. Unset: none is sent."),
    key("memory.recall.rerank.headers", Kind::Headers, None, "Headers sent with each request."),
    key(
        "memory.recall.rerank.timeout",
        Kind::Duration(1),
        Some("2s"),
        "The longest that a query waits for it. After it, the answer is ranked without, and says so.",
    ),
    key(
        "memory.recall.rerank.candidates",
        Kind::Number(1, 100),
        Some("30"),
        "How many of the best answers it is shown.",
    ),
    key(
        "memory.remember.near_duplicates",
        Kind::Word(NEAR_DUPLICATES),
        Some("report"),
        "What becomes of the caller's memories that say nearly the same as a new one: `report` names them, `supersede` puts the new one in their place, `ignore` does not look.",
    ),
    key(
        "memory.remember.similarity",
        Kind::Number(50, 100),
        Some("92"),
        "From which cosine on two memories say nearly the same, in percent: for this look, for `review_duplicates`, and where of answers that say the same one stands for all. It depends on the model.",
    ),
    key(
        "memory.remember.timeout",
        Kind::Duration(1),
        Some("2s"),
        "The longest that a look for them may take. After it, what is new is remembered without.",
    ),
    key(
        "memory.forget.keep",
        Kind::Duration(0),
        Some("168h"),
        "How long a forgotten record, and the replaced version of a shared record, can be restored. `0s`: not at all.",
    ),
    key(
        "memory.secrets",
        Kind::Word(&["redact", "refuse", "off"]),
        Some("redact"),
        "How credentials of a known shape (keys of cloud services, tokens, private keys, passwords in connection strings) are handled when a record is written: `redact` replaces each by a note of its kind, `refuse` refuses the record, `off` stores the record unchanged.",
    ),
    key(
        "apigateway.embed_jobs.workers",
        Kind::Number(1, 64),
        Some("1"),
        "Batches that one process embeds at the same time. The section is called as in the platform that the worker was made for.",
    ),
    key(
        "apigateway.embed_jobs.embed_timeout",
        Kind::Duration(1),
        Some("5m"),
        "The longest that one batch may take in the embedder.",
    ),
    key(
        "apigateway.embed_jobs.lease_duration",
        Kind::Duration(1000),
        Some("10m"),
        "How long a claim holds without a heartbeat. A heartbeat renews it at a third of this, so it may be shorter than `embed_timeout`.",
    ),
    key(
        "apigateway.embed_jobs.batch_size",
        Kind::Number(1, 512),
        Some("32"),
        "The most texts in one call to the embedder. A claim takes up to four times as many jobs.",
    ),
    key(
        "apigateway.embed_jobs.retention_days",
        Kind::Number(1, 3650),
        Some("14"),
        "Days for which finished jobs are kept. Open failures are kept until they are resolved.",
    ),
    key(
        "apigateway.embed_jobs.poll_interval",
        Kind::Duration(10),
        Some("30s"),
        "How often the queue is looked at when no notification arrives.",
    ),
    key(
        "apigateway.embed_jobs.address",
        Kind::Address,
        Some("127.0.0.1:9091"),
        "Where the program `embed-worker` answers `/healthz`, `/readyz` and `/metrics`. In a pod: `0.0.0.0:9091`.",
    ),
    key(
        "server.transport",
        Kind::Word(TRANSPORTS),
        Some("stdio"),
        "How MCP is spoken: `stdio` to the host that started the program, or `http`. `sse` means `http`.",
    ),
    key("server.address", Kind::Address, Some("127.0.0.1:8080"), "Where the `http` transport listens."),
    key(
        "server.public_url",
        Kind::Url,
        None,
        "Where clients find the `http` transport, such as `https://recall.example.com`, when that is not its address.",
    ),
    key(
        "server.allowed_hosts",
        Kind::List,
        None,
        "Hosts that a request may name: `example.com`, or `example.com:8443`; `*` is any. Unset: `localhost`, `127.0.0.1`, `[::1]`, the host of `public_url`, and an address that is neither loopback nor every interface.",
    ),
    key(
        "server.allowed_origins",
        Kind::List,
        None,
        "Web pages that may call from a browser, such as `https://app.example.com`. Unset: those that the server itself sent.",
    ),
    key(
        "server.anonymous",
        Kind::Word(ANONYMOUS),
        Some("loopback"),
        "Whether requests without credentials are the local caller's. `loopback`: where `address` is a loopback address, there is neither `public_url` nor `oauth.issuer`, and no proxy has passed the request on.",
    ),
    key(
        "server.rate_limit",
        Kind::Number(0, 1_000_000),
        Some("6000"),
        "Requests a minute that one caller may make, a tenth of them at once; others get 429 and `Retry-After`. 0: no limit.",
    ),
    key(
        "server.failure_limit",
        Kind::Number(0, 1_000_000),
        Some("120"),
        "Requests with a wrong key or token that one address may send in a minute. More of them get 429. Each key is still looked up, so a good one is accepted from any address. 0: no limit.",
    ),
    key(
        "server.trusted_proxies",
        Kind::List,
        None,
        "Networks of the proxies in front of the server, such as `10.0.0.0/8`: the client's address is the one that they pass on in `X-Forwarded-For`. Unset: the address that connects.",
    ),
    key(
        "server.weights",
        Kind::List,
        None,
        "Callers that get a larger share of the server while calls wait: `USER=WEIGHT` of the tenant `default`, or `TENANT/USER=WEIGHT`, from 1 to 100. It counts for each of the user's keys, and for the user of a token by the name in `oauth.user_claim`. Everybody else weighs 1.",
    ),
    key(
        "server.audit_days",
        Kind::Number(0, 3650),
        Some("90"),
        "Days for which the audit log keeps who called what, over HTTP, on stdio and on the command line, without what was said. An entry is never deleted before it is 7 days old. 0: nothing is noted.",
    ),
    key(
        "server.metrics_address",
        Kind::Address,
        Some("127.0.0.1:9090"),
        "Where the `http` transport answers `/metrics`. In a pod: `0.0.0.0:9090`.",
    ),
    key(
        "server.max_requests",
        Kind::Number(1, 65_536),
        Some("256"),
        "Requests that are read and answered at once, of one caller at most half. As many of each caller wait, two seconds at the most; others get 503 and `Retry-After`.",
    ),
    key(
        "server.shutdown_delay",
        Kind::Duration(0),
        Some("0s"),
        "How long requests are still taken after SIGTERM, while `/readyz` says 503: until what sends them here has noticed. In a pod: some seconds.",
    ),
    key(
        "server.drain",
        Kind::Duration(0),
        Some("20s"),
        "How long requests under way may take after that. No connection is taken any more.",
    ),
    key(
        "server.oauth.issuer",
        Kind::Url,
        None,
        "The authorization server whose tokens (JWT) are taken, exactly as they name it. Unset: API keys only.",
    ),
    key(
        "server.oauth.audience",
        Kind::Text,
        None,
        "What a token must be meant for (`aud`). Unset: `public_url` and `/mcp`.",
    ),
    key("server.oauth.jwks_url", Kind::Url, None, "The issuer's keys. Unset: where the issuer's metadata says."),
    key(
        "server.oauth.tenant_claim",
        Kind::Text,
        None,
        "The claim that names the caller's tenant. Unset: every caller's is `default`.",
    ),
    key(
        "server.oauth.user_claim",
        Kind::Text,
        Some("sub"),
        "The claim that names the caller, who owns what it writes.",
    ),
    key("server.oauth.persona_claim", Kind::Text, None, "The claim that names the persona that the caller works as."),
    key("server.oauth.scope_claim", Kind::Text, Some("scope"), "The claim with the scopes, a text or a list."),
    key(
        "server.oauth.scope_prefix",
        Kind::Prefix,
        None,
        "What stands before `read`, `write` and `admin` in the issuer's scopes, such as `recall:`.",
    ),
    key(
        "server.oauth.max_lifetime",
        Kind::Duration(60_000),
        Some("24h"),
        "The longest time from a token's issue (`iat`) to its end (`exp`). A token that lives longer is refused.",
    ),
    key(
        "server.tls.certificate",
        Kind::Text,
        None,
        "The certificate chain of HTTPS, a PEM file. Read anew when it changes.",
    ),
    key("server.tls.key", Kind::Text, None, "Its private key, a PEM file."),
    key(
        "audit.required",
        Kind::Word(BOOLEANS),
        Some("false"),
        "Whether a call is refused when its audit entry could not be kept: neither the database nor the spill file could take it. `false`: the call is answered, and the lost entry is counted and logged.",
    ),
    key(
        "audit.spill",
        Kind::Text,
        None,
        "The folder of the spill file, which keeps audit entries while the database does not take them. Unset: `audit` in `PGRECALL_HOME`. In a pod, it outlives the process only on a volume that does.",
    ),
    key(
        "audit.spill_mib",
        Kind::Number(1, 65_536),
        Some("64"),
        "The largest that the spill file may become, in MiB. An entry takes some 300 bytes.",
    ),
    key(
        "tenants.quotas.records",
        Kind::Number(1, 1_000_000_000),
        None,
        "The most records that one tenant may have. Forgotten ones count while they can be restored. Unset: any number.",
    ),
    key(
        "tenants.quotas.text_mib",
        Kind::Number(1, 1_000_000),
        None,
        "The most text that the records of one tenant may hold, in MiB. Forgotten records and earlier versions count \
         while they can be restored. Unset: any amount.",
    ),
    key(
        "tenants.quotas.writes_per_minute",
        Kind::Number(1, 10_000_000),
        None,
        "The most records that one tenant may write in a minute, over all servers. Unset: any number.",
    ),
    key(
        "traces.endpoint",
        Kind::Url,
        None,
        "An OpenTelemetry collector that takes OTLP over HTTP, such as `http://collector:4318`; `/v1/traces` is added. Unset: `OTEL_EXPORTER_OTLP_ENDPOINT`, and without that no traces are sent.",
    ),
    key("traces.headers", Kind::Headers, None, "Headers sent with each delivery of traces."),
];

/// The key at a path. Every path in the code is one of the table's, which the tests hold.
pub(super) fn find(path: &str) -> &'static Key {
    KEYS.iter().find(|key| key.path == path).expect("each path that the code reads is in the table of keys")
}

/// What lies directly in a section (`""` is the top), each name once, in the table's order.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in KEYS {
        let rest = if section.is_empty() {
            Some(key.path)
        } else {
            key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        if let Some(name) = rest.and_then(|rest| rest.split('.').next())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// What a path names in the table.
#[derive(Debug)]
pub(super) enum Place {
    /// A key with a value.
    Key(&'static Key),
    /// A mapping of further keys.
    Section,
    /// Nothing.
    Unknown,
}

/// Looks a path up.
pub(super) fn place(path: &str) -> Place {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        Place::Key(key)
    } else if !names_in(path).is_empty() {
        Place::Section
    } else {
        Place::Unknown
    }
}

/// Every section and key as (section it lies in, name), each once.
pub(super) fn all_names() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<(&'static str, &'static str)> = Vec::new();
    for key in KEYS {
        let dots = key.path.match_indices('.').map(|(at, _)| at);
        for end in dots.chain([key.path.len()]) {
            let pair = key.path[..end].rsplit_once('.').unwrap_or(("", &key.path[..end]));
            if !all.contains(&pair) {
                all.push(pair);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_in_the_table_once() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[at + 1..].iter().all(|other| other.path != key.path), "{} is there twice", key.path);
            assert!(key.doc.ends_with('.'), "{} has no sentence", key.path);
        }
    }

    #[test]
    fn sections_know_their_names() {
        assert_eq!(names_in(""), ["database", "memory", "apigateway", "server", "audit", "tenants", "traces"]);
        assert_eq!(names_in("database"), ["dsn", "session_dsn", "connections"]);
        assert!(matches!(place("memory.embedding"), Place::Section));
        assert!(matches!(place("memory.embed"), Place::Unknown));
        assert!(all_names().contains(&("memory", "embedding")));
        assert!(all_names().contains(&("", "memory")));
    }
}
