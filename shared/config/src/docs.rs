//! Generates `docs/run/configuration.md` from the table of keys.
//!
//! The test fails if the page is stale; `UPDATE_DOCS=1` rewrites it.

use std::{fmt::Write, path::Path};

use super::keys::{KEYS, Kind, name};

const HEAD: &str = "\
# Configuration

<!-- Made from the doc comments of the keys in shared/config/src: change them there, then run
     UPDATE_DOCS=1 cargo test -p pgrecall-config docs -->

Nothing needs to be configured: without a file, pgrecall runs its own Postgres and its own model. A file is named by
`--config FILE` or `PGRECALL_CONFIG`, and is YAML:

```yaml
database:
  dsn: \"${DATABASE_URL}\"
memory:
  embedding:
    provider: ollama
    ollama: { url: \"http://ollama:11434\", model: nomic-embed-text }
```

`${VAR}` inside a value is replaced from the environment, and `${VAR:-default}` has a default for a variable that is unset or
empty; `$${` writes a plain `${`. A variable that is not set is an error that names it, except `${DATABASE_URL}` as a whole
`dsn`, which then means the embedded Postgres. A key that does not exist is an error that says where it belongs.
`mcp-server config check` reads the file and says everything that is wrong with it; `mcp-server config print` shows every value
in effect and where it came from, secrets masked.

## Keys
";

const CONNECTION_STRINGS: &str = "
## Connection strings

They mean what they mean to libpq (`psql`), as a URL or as `key=value` pairs, with these differences:

- The variables that libpq reads (`PGHOST`, `PGPASSWORD`, …), `~/.pgpass` and service files are not read.
- `sslmode=verify-full` without `sslrootcert` trusts whom the system trusts. `sslmode=verify-ca` needs `sslrootcert`.
- A self-signed certificate is trusted when `sslrootcert` names that very certificate. Host names are looked for in the certificate's
  `subjectAltName`, and certificates are X.509 version 3.
- `connect_timeout` is 10 seconds unless it is set, and keepalives begin after 30 idle seconds.
- Of several hosts, the one that takes writes is used.
- Options that cannot be followed are refused with what to do instead, never passed over where security depends on them.
";

const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "PGRECALL_PERSONA",
        "none",
        "The persona that the local caller works as, where `--persona` names none. A blank one is refused.",
    ),
    ("PGRECALL_CONFIG", "none", "The file, when `--config` does not name one."),
    ("DATABASE_URL", "none", "`database.dsn`, when the file does not set it."),
    (
        "PGRECALL_HOME",
        "the user's data folder and `pgrecall`; `/var/lib/pgrecall` for root",
        "Where the embedded database keeps its data. The user's data folder is `$XDG_DATA_HOME`, else `~/.local/share`, and \
         `~/Library/Application Support` on macOS.",
    ),
    (
        "PGRECALL_RUNTIME",
        "`PGRECALL_HOME/runtime`",
        "Where setup puts Postgres and the model. Several homes can share one.",
    ),
    ("PGRECALL_USER", "`local`", "The owner of private records that a local caller writes."),
    (
        "PGRECALL_LOG",
        "`RUST_LOG`, else `info`",
        "What is logged, as a filter such as `info,pgrecall=debug,shared=debug`.",
    ),
    (
        "PGRECALL_LOG_FORMAT",
        "`auto`",
        "`text`, `json`, or `auto`: text on a terminal, JSON elsewhere. Logs go to stderr.",
    ),
    ("VISUAL", "`EDITOR`, else `vi`", "The editor that `mcp-server edit` opens."),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "none", "`traces.endpoint`, when the file does not set it."),
    ("OTEL_SERVICE_NAME", "the program's name", "What traces call the program."),
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
