//! Generates `docs/run/configuration.md` from the table of keys.
//!
//! The test fails if the page is stale; `UPDATE_DOCS=1` rewrites it.

use std::{fmt::Write, path::Path};

use super::keys::{KEYS, Kind, name};

const HEAD: &str = "\
# Configuration

<!-- Made from the doc comments of the keys in shared/config/src: change them there, then run
     UPDATE_DOCS=1 cargo test -p pgrecall-config docs -->

Without a configuration file, pgrecall runs its own Postgres and its own model. `--config FILE` or `PGRECALL_CONFIG` names a
YAML file:

```yaml
database:
  dsn: \"${DATABASE_URL}\"
memory:
  embedding:
    provider: ollama
    ollama: { url: \"http://ollama:11434\", model: nomic-embed-text }
```

In a value, `${VAR}` is replaced by the environment variable, `${VAR:-default}` by the default if the variable is unset or empty,
and `$${` by `${`. An unset variable is an error, except `dsn: ${DATABASE_URL}`, which then means the embedded Postgres. So is an
unknown key; the error names the likely one. `mcp-server config check` lists every error of the file, and
`mcp-server config print` prints every value in effect and its source, without the secrets.

## Keys
";

const CONNECTION_STRINGS: &str = "
## Connection strings

Connection strings have the syntax and the meaning of libpq (`psql`), as a URL or as `key=value` pairs, with these differences:

- The variables that libpq reads (`PGHOST`, `PGPASSWORD`, …), `~/.pgpass` and service files are not read.
- `sslmode=verify-full` without `sslrootcert` trusts the system's certificate authorities. `sslmode=verify-ca` needs `sslrootcert`.
- A self-signed certificate is trusted if `sslrootcert` names it. The host name must be in the certificate's `subjectAltName`, and
  certificates must be X.509 version 3.
- `connect_timeout` is 10 seconds unless it is set, and keepalives begin after 30 idle seconds.
- Of several hosts, pgrecall uses the one that accepts writes.
- An unsupported option is an error that says what to do instead; options that matter to security are never ignored.
";

const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "PGRECALL_PERSONA",
        "none",
        "The persona of the local caller, unless `--persona` names one. A blank value is an error.",
    ),
    ("PGRECALL_CONFIG", "none", "The configuration file, unless `--config` names one."),
    ("DATABASE_URL", "none", "`database.dsn`, unless the file sets it."),
    (
        "PGRECALL_HOME",
        "the user's data folder and `pgrecall`; `/var/lib/pgrecall` for root",
        "Folder of the embedded database. The user's data folder is `$XDG_DATA_HOME`, else `~/.local/share`, and \
         `~/Library/Application Support` on macOS.",
    ),
    (
        "PGRECALL_RUNTIME",
        "`PGRECALL_HOME/runtime`",
        "Folder in which setup installs Postgres and the model. Several homes can share one.",
    ),
    ("PGRECALL_USER", "`local`", "The owner of the private records that a local caller writes."),
    ("PGRECALL_LOG", "`RUST_LOG`, else `info`", "Filter of the log, such as `info,pgrecall=debug,shared=debug`."),
    (
        "PGRECALL_LOG_FORMAT",
        "`auto`",
        "`text`, `json`, or `auto`: JSON from a server whose stderr is no terminal, else text. Logs go to stderr.",
    ),
    ("VISUAL", "`EDITOR`, else `vi`", "The editor that `mcp-server edit` opens."),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "none", "`traces.endpoint`, unless the file sets it."),
    ("OTEL_SERVICE_NAME", "the program's name", "Name of the program in traces."),
];

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for key in KEYS.iter() {
        let (home, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if home != section {
            let _ = write!(page, "\n### {home}\n\n| key | value | default | |\n| --- | --- | --- | --- |\n");
            section = home;
        }
        let default = key.default.map(|default| format!("`{default}`")).unwrap_or_else(|| "unset".to_owned());
        let _ = writeln!(page, "| `{name}` | {} | {default} | {} |", value(key.kind), key.doc);
    }
    page.push_str(CONNECTION_STRINGS);
    page.push_str("\n## Environment\n\n| variable | default | |\n| --- | --- | --- |\n");
    for (name, default, doc) in VARIABLES {
        let _ = writeln!(page, "| `{name}` | {default} | {doc} |");
    }
    page
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Prefix => "text".to_owned(),
        Kind::Secret => "text, a secret".to_owned(),
        Kind::Dsn => "connection string, URL or `key=value`".to_owned(),
        Kind::Url => "`http://` or `https://` address".to_owned(),
        Kind::Address => "IP address and port".to_owned(),
        Kind::Number(from, to) | Kind::Mebibytes(from, to) => format!("{from} to {to}"),
        Kind::Duration(0) => "duration, such as `90s` or `12h`".to_owned(),
        Kind::Duration(least) if least % 1_000 == 0 => format!("duration, `{}s` or longer", least / 1_000),
        Kind::Duration(least) => format!("duration, `{least}ms` or longer"),
        Kind::Word(words) => words.iter().map(|word| format!("`{}`", name(word))).collect::<Vec<_>>().join(", "),
        Kind::List => "list of texts".to_owned(),
        Kind::Headers => "mapping of names to secret values".to_owned(),
        Kind::Section(_) => unreachable!("a section is not a row of the page"),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for the person who runs this test")]
fn the_page_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/run/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/run/configuration.md is stale: UPDATE_DOCS=1 cargo test -p pgrecall-config docs");
}
