//! Builds the configuration from its sections and from the settings that only the environment
//! holds.

use super::{
    ApiGateway, Audit, Caller, Config, Database, Env, Log, LogFormat, Memory, Paths, Quotas, Server,
    read::{DATABASE_URL, Reader},
    traces,
    value::Setting,
};
use pgrecall_process::nofollow::effective_uid;
use pgrecall_record::identity;

/// Reads every section. The error is the list of all findings.
pub(super) fn build(yaml: Option<(&str, &str)>, env: Env<'_>) -> Result<Config, Vec<String>> {
    let mut reader = Reader::new(yaml, env);
    reader.fall_back("database.dsn", DATABASE_URL, env);
    reader.fall_back("traces.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", env);
    let mut database = Database::read(&mut reader, &Database::SECTION);
    database.complete(&mut reader);
    let memory = Memory::read(&mut reader, &Memory::SECTION);
    memory.complete(&mut reader);
    let apigateway = ApiGateway::read(&mut reader, &ApiGateway::SECTION);
    let mut server = Server::read(&mut reader, &Server::SECTION);
    server.complete(&mut reader);
    let log = log(&mut reader, env);
    let traces = traces::read(&mut reader, env);
    let caller = caller(&mut reader, env);
    let paths = Paths::from_env(env, effective_uid() == 0);
    if paths.is_none() {
        reader.find("There is no home folder to keep data in; set PGRECALL_HOME to a folder.".to_owned());
    }
    let quotas = Quotas::read(&mut reader, &Quotas::SECTION);
    let mut audit = Audit::read(&mut reader, &Audit::SECTION);
    audit.complete(&mut reader, paths.as_ref(), server.audit_days);
    let editor = ["VISUAL", "EDITOR"].into_iter().filter_map(env).find(|editor| !editor.trim().is_empty());
    let sources = reader.finish()?;
    let paths = paths.expect("a missing home is a finding, and findings have returned above");
    Ok(Config { database, memory, apigateway, server, audit, quotas, paths, log, traces, caller, editor, sources })
}

fn caller(reader: &mut Reader, env: Env<'_>) -> Caller {
    let persona = env("PGRECALL_PERSONA");
    let owner = env("PGRECALL_USER").filter(|user| !user.is_empty()).unwrap_or_else(|| "local".to_owned());
    if let Some(Err(error)) = persona.as_deref().map(identity::check) {
        reader.find(format!("PGRECALL_PERSONA cannot be used as a name: {error}."));
    }
    if let Err(error) = identity::check_owner(&owner) {
        reader.find(format!("PGRECALL_USER cannot be used as a name: {error}."));
    }
    Caller { tenant: "default".to_owned(), owner, persona }
}

fn log(reader: &mut Reader, env: Env<'_>) -> Log {
    let set = |name| env(name).filter(|value| !value.is_empty());
    let filter = set("PGRECALL_LOG").or_else(|| set("RUST_LOG")).unwrap_or_else(|| "info".to_owned());
    let name = set("PGRECALL_LOG_FORMAT").unwrap_or_else(|| "auto".to_owned());
    let format = name.parse().unwrap_or_else(|_| {
        reader.find(format!("PGRECALL_LOG_FORMAT must be one of auto, text, json, and is `{name}`."));
        LogFormat::Auto
    });
    Log { filter, format }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{ConfigError, Provider, Source, Transport};

    fn parse_with(yaml: &str, vars: &[(&str, &str)]) -> Result<Config, String> {
        let env = |name: &str| match vars.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Some((*value).to_owned()),
            None => (name == "PGRECALL_HOME").then(|| "/h".to_owned()),
        };
        Config::parse((!yaml.is_empty()).then_some((yaml, "c.yaml")), &env).map_err(|error| error.to_string())
    }

    fn refused(yaml: &str) -> String {
        parse_with(yaml, &[]).unwrap_err()
    }

    #[test]
    fn nothing_configured_is_the_embedded_database_and_the_local_model() {
        let config = parse_with("", &[]).unwrap();
        assert_eq!(config.database, Database { dsn: None, session_dsn: None, connections: 10 });
        assert_eq!(config.memory.embedding.provider, Provider::Local);
        assert_eq!(config.memory.embedding.timeout, Duration::from_secs(30));
        assert_eq!(config.apigateway.embed_jobs.lease_duration, Duration::from_secs(600));
        assert_eq!(config.server.transport, Transport::Stdio);
        assert_eq!(config.caller, Caller { tenant: "default".to_owned(), owner: "local".to_owned(), persona: None });
        assert_eq!(config.log, Log { filter: "info".to_owned(), format: LogFormat::Auto });
    }

    const CONTRACT: &str = r#"
database:
  dsn: "${DATABASE_URL}"
  session_dsn: "${DATABASE_URL}"
memory:
  embedding:
    provider: ollama
    timeout: 30s
    ollama: { url: "http://ollama:11434", model: nomic-embed-text }
apigateway:
  embed_jobs: { workers: 1, embed_timeout: 5m, lease_duration: 10m, batch_size: 32, retention_days: 14 }
server:
  transport: sse
  address: "127.0.0.1:8080"
"#;

    #[test]
    fn the_documented_example_is_read_as_it_stands() {
        let config = parse_with(CONTRACT, &[("DATABASE_URL", "postgres://u:p@db/x")]).unwrap();
        assert_eq!(config.database.dsn.as_deref(), Some("postgres://u:p@db/x"));
        assert_eq!(config.database.session_dsn, config.database.dsn);
        assert_eq!(config.memory.embedding.ollama.url, "http://ollama:11434");
        assert_eq!(config.server.transport, Transport::Http);
        let source = &config.sources["database.dsn"];
        assert!(matches!(source, Source::File { line: 3, variables, .. } if variables == &["DATABASE_URL"]));
    }

    #[test]
    fn the_documented_example_without_a_database_is_the_embedded_one() {
        assert_eq!(parse_with(CONTRACT, &[]).unwrap().database.dsn, None);
        assert_eq!(parse_with(CONTRACT, &[("DATABASE_URL", "")]).unwrap().database.session_dsn, None);
    }

    #[test]
    fn database_url_alone_names_the_database_and_a_file_overrules_it() {
        let vars = [("DATABASE_URL", "postgres://env/x")];
        let config = parse_with("", &vars).unwrap();
        assert_eq!(config.database.session_dsn.as_deref(), Some("postgres://env/x"));
        assert_eq!(config.sources["database.dsn"], Source::Environment("DATABASE_URL"));
        let config = parse_with("database: { dsn: postgres://file/x }", &vars).unwrap();
        assert_eq!(config.database.dsn.as_deref(), Some("postgres://file/x"));
    }

    #[test]
    fn a_session_dsn_of_its_own_is_kept_and_needs_a_dsn() {
        let yaml = "database: { dsn: postgres://a/x, session_dsn: postgres://b/x }";
        assert_eq!(parse_with(yaml, &[]).unwrap().database.session_dsn.as_deref(), Some("postgres://b/x"));
        assert!(refused("database: { session_dsn: postgres://b/x }").contains("set `database.dsn`"));
    }

    #[test]
    fn a_connection_string_that_cannot_be_read_is_refused_without_its_password() {
        assert_eq!(
            parse_with("", &[("DATABASE_URL", "postgres://u:hush@h/x?sslmod=require")]).unwrap_err(),
            "DATABASE_URL: the connection string has the option `sslmod`, which does not exist; did you mean `sslmode`?"
        );
        let refused = refused("database: { dsn: mysql://u:hush@h/x }");
        assert!(refused.starts_with("c.yaml:1: `database.dsn`: the connection string is neither"), "{refused}");
    }

    #[test]
    fn all_findings_come_together_each_with_its_line() {
        let yaml = "server: { transport: htp }\napigateway:\n  embed_jobs:\n    workers: 0\n    batch_size: many\n    \
                    lease_duration: 10\nembedding: {}\n";
        assert_eq!(
            refused(yaml).lines().collect::<Vec<_>>(),
            [
                "c.yaml:7: `embedding` is not a key of the top level: it belongs under `memory`.",
                "c.yaml:4: `apigateway.embed_jobs.workers` must be a whole number from 1 to 64, and is `0`.",
                "c.yaml:6: `apigateway.embed_jobs.lease_duration` must be a duration with its unit, such as 250ms, 30s, 5m \
                 or 1h, and is `10`.",
                "c.yaml:5: `apigateway.embed_jobs.batch_size` must be a whole number from 1 to 512, and is `many`.",
                "c.yaml:1: `server.transport` must be one of stdio, http, sse, and is `htp`; did you mean `http`?",
            ]
        );
    }

    #[test]
    fn a_provider_that_does_not_exist_gets_a_suggestion() {
        assert_eq!(
            refused("memory: { embedding: { provider: openapi } }"),
            "c.yaml:1: `memory.embedding.provider` must be one of local, ollama, openai, tei, noop, and is `openapi`; did you \
             mean `openai`?"
        );
    }

    #[test]
    fn an_unset_variable_is_named_with_its_key() {
        assert_eq!(
            refused("memory: { embedding: { openai: { api_key: \"${KEY}\" } } }"),
            "c.yaml:1: `memory.embedding.openai.api_key` uses ${KEY}, which is not set; set the variable, or write ${KEY:-default}."
        );
        let config = parse_with("apigateway: { embed_jobs: { workers: \"${N:-3}\" } }", &[]).unwrap();
        assert_eq!(config.apigateway.embed_jobs.workers, 3);
    }

    #[test]
    fn an_address_of_an_embedder_must_be_one_and_loses_its_slash() {
        let url = |text: &str| parse_with(&format!("memory: {{ embedding: {{ tei: {{ url: \"{text}\" }} }} }}"), &[]);
        assert_eq!(url("http://tei/").unwrap().memory.embedding.tei.url.as_deref(), Some("http://tei"));
        assert!(url("tei:80").unwrap_err().contains("must begin with http:// or https://"));
        assert!(url("http://:80").unwrap_err().contains("names no host"));
        let refused = url("http://me:secret@tei").unwrap_err();
        assert!(refused.contains("must not hold a password") && !refused.contains("secret"));
        assert!(super::tests::refused("memory: { embedding: { provider: tei } }").contains("memory.embedding.tei.url"));
    }

    #[test]
    fn an_empty_prefix_is_a_choice_and_an_empty_key_is_none() {
        let config =
            parse_with("memory: { embedding: { query_prefix: \"\", openai: { api_key: \"${K:-}\" } } }", &[]).unwrap();
        assert_eq!(config.memory.embedding.query_prefix.as_deref(), Some(""));
        assert_eq!(config.memory.embedding.document_prefix, None);
        assert_eq!(config.memory.embedding.openai.api_key, None);
    }

    #[test]
    fn short_addresses_mean_what_they_mean_elsewhere() {
        let address = |text: &str| {
            parse_with(&format!("server: {{ address: \"{text}\" }}"), &[])
                .map(|config| config.server.address.to_string())
        };
        assert_eq!(address(":8080").unwrap(), "0.0.0.0:8080");
        assert_eq!(address("localhost:81").unwrap(), "127.0.0.1:81");
        assert_eq!(address("[::1]:8080").unwrap(), "[::1]:8080");
        assert!(address("8080").unwrap_err().contains("an IP address and port"));
    }

    #[test]
    fn a_server_answers_for_its_own_names_and_knows_whom_it_serves_without_a_key() {
        let server = |yaml: &str| parse_with(&format!("server: {{ {yaml} }}"), &[]).unwrap().server;
        let local = server("");
        assert_eq!((local.hosts().join(" "), local.takes_anonymous()), ("localhost 127.0.0.1 [::1]".to_owned(), true));
        assert!(!server("address: \":8080\"").takes_anonymous() && !server("anonymous: never").takes_anonymous());
        assert!(server("address: \":8080\", anonymous: always").takes_anonymous());
        let public = server("public_url: \"https://recall.example:8443/x/\"");
        assert_eq!((public.hosts().last().unwrap().as_str(), public.takes_anonymous()), ("recall.example:8443", false));
        assert_eq!(server("address: \"10.0.0.7:80\"").hosts().last().unwrap(), "10.0.0.7");
        let listed = Some(vec!["a".to_owned(), "b:1".to_owned()]);
        assert_eq!(server("allowed_hosts: [a, \"b:1\"]").allowed_hosts, listed);
        assert_eq!(server("allowed_hosts: \"a, b:1\"").allowed_hosts, listed);
        assert!(refused("server: { allowed_hosts: [{a: b}] }").contains("must hold texts only"));
        assert!(
            refused("server: { tls: { key: k.pem } }").contains("`server.tls.certificate` is not; HTTPS needs both")
        );
    }

    #[test]
    fn proxies_and_weights_are_read_and_what_is_neither_is_named() {
        let server =
            parse_with("server: { trusted_proxies: [10.0.0.0/8, \"::1\"], weights: [ana=4, acme/bob=2] }", &[]);
        let server = server.unwrap().server;
        assert_eq!(server.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let weights = server.weights.iter().map(|it| (&*it.tenant, &*it.owner, it.weight)).collect::<Vec<_>>();
        assert_eq!(weights, [("default", "ana", 4), ("acme", "bob", 2)]);
        assert!(refused("server: { trusted_proxies: proxy }").contains("holds `proxy`, which is not a network"));
        for wrong in ["ana", "ana=0", "=3", "ana=101", "/ana=2"] {
            assert!(
                refused(&format!("server: {{ weights: [\"{wrong}\"] }}")).contains("a weight from 1 to 100"),
                "{wrong}"
            );
        }
        let limits = parse_with("", &[]).unwrap().server;
        assert_eq!((limits.rate_limit.map(u32::from), limits.failure_limit.map(u32::from)), (Some(6000), Some(120)));
        assert_eq!(parse_with("server: { rate_limit: 0 }", &[]).unwrap().server.rate_limit, None);
    }

    #[test]
    fn headers_that_http_cannot_carry_are_refused_without_their_value() {
        let refused = refused("memory: { embedding: { tei: { headers: { \"X A\": v, Ok: \"se\\ncret\" } } } }");
        assert!(refused.contains("the header `X A`") && refused.contains("headers.Ok` holds a line end"));
        assert!(!refused.contains("cret"));
    }

    #[test]
    fn the_log_and_the_caller_come_from_the_environment() {
        let vars = [
            ("RUST_LOG", "debug"),
            ("PGRECALL_LOG", "warn"),
            ("PGRECALL_LOG_FORMAT", "json"),
            ("PGRECALL_USER", "ada"),
            ("VISUAL", " "),
            ("EDITOR", "nano -w"),
        ];
        let config = parse_with("", &vars).unwrap();
        assert_eq!(config.log, Log { filter: "warn".to_owned(), format: LogFormat::Json });
        assert_eq!((config.caller.owner.as_str(), config.editor.as_deref()), ("ada", Some("nano -w")));
        // A blank persona is refused; it does not count as unset.
        assert_eq!(
            parse_with("", &[("PGRECALL_PERSONA", "analyst")]).unwrap().caller.scope().persona.unwrap(),
            "analyst"
        );
        for blank in ["", " ", "a\nb"] {
            assert!(
                parse_with("", &[("PGRECALL_PERSONA", blank)])
                    .unwrap_err()
                    .starts_with("PGRECALL_PERSONA cannot be used as a name: ")
            );
        }
        assert_eq!(parse_with("", &vars[..1]).unwrap().log.filter, "debug");
        assert!(parse_with("", &[("PGRECALL_LOG_FORMAT", "xml")]).unwrap_err().contains("auto, text, json"));
    }

    #[test]
    fn an_audit_that_is_required_keeps_something_and_has_a_place_for_it() {
        let audit = parse_with("", &[]).unwrap().audit;
        assert_eq!((audit.required, audit.spill.to_str(), audit.spill_bytes), (false, Some("/h/audit"), 64 << 20));
        let audit = parse_with("audit: { required: true, spill: /var/spill, spill_mib: 1 }", &[]).unwrap().audit;
        assert_eq!((audit.required, audit.spill.to_str(), audit.spill_bytes), (true, Some("/var/spill"), 1 << 20));
        assert!(refused("audit: { required: true }\nserver: { audit_days: 0 }").contains("`server.audit_days` is 0"));
        assert!(refused("audit: { required: maybe }").contains("one of false, true"));
    }

    // Plain HTTP would let an attacker on the path replace the issuer's keys.
    #[test]
    fn the_keys_of_an_issuer_come_over_tls_or_from_this_machine() {
        let issuer = |url: &str| {
            parse_with(&format!("server: {{ public_url: \"https://r.example\", oauth: {{ issuer: \"{url}\" }} }}"), &[])
        };
        for good in ["https://login.example", "http://127.0.0.1:8080/x", "http://[::1]:80", "http://localhost"] {
            assert!(issuer(good).is_ok(), "{good}");
        }
        for wrong in ["http://login.example", "http://localhost.example", "http://127.0.0.1.example"] {
            assert!(issuer(wrong).unwrap_err().contains("must begin with https://"), "{wrong}");
        }
    }

    // Otherwise a local user could read and write the private records of a token's owner.
    #[test]
    fn a_local_user_cannot_have_the_name_of_a_tokens_owner() {
        for name in ["oauth:1:ada", " ada", "a\u{202e}da"] {
            assert!(parse_with("", &[("PGRECALL_USER", name)]).unwrap_err().contains("PGRECALL_USER"), "{name:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Config::load(Some(std::path::Path::new("/nowhere/c.yaml"))).unwrap_err();
        assert!(matches!(error, ConfigError::Read { .. }));
        assert!(error.to_string().contains("/nowhere/c.yaml"));
    }
}
