//! Parts of the chart that run without a cluster: the proxy that requires a key in front of Ollama,
//! and the first start of Postgres.

use std::path::Path;
use std::process::Command;

use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::Home;
use pgrecall_harness::http;
use pgrecall_harness::postgres::{self, Cluster};
use pgrecall_harness::programs::{self, Program};
use pgrecall_harness::wait;

/// A key of the length that the chart generates.
const KEY: &str = "0123456789abcdefghijABCDEFGHIJ0123456789";

/// Returns the proxy's configuration from the chart's template.
fn configuration() -> String {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/pgrecall/templates/ollama/config.yaml");
    let text = std::fs::read_to_string(template).expect("the chart has it");
    let (_, after) = text.split_once("nginx.conf: |\n").expect("the proxy's configuration");
    let lines = after.lines().take_while(|line| !line.trim_start().starts_with("{{-"));
    lines.map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn the_proxy_before_ollama_lets_in_who_has_the_key_and_nobody_else() {
    let embedder = ScriptedEmbedder::start();
    let behind = embedder.url().trim_start_matches("http://").split('/').next().expect("a host").to_owned();
    let (folder, address) = (programs::folder("auth-proxy"), http::free_address());
    let settings = configuration()
        .replace("${API_KEY}", KEY)
        .replace("/tmp/", &format!("{}/", folder.display()))
        .replace("listen 11434", &format!("listen {address}"))
        .replace("127.0.0.1:11435", &behind);
    let file = folder.join("nginx.conf");
    std::fs::write(&file, settings).expect("the folder can be written to");
    let mut command = Command::new("nginx");
    command
        .arg("-c")
        .arg(&file)
        .args(["-g", "daemon off;"])
        .arg("-p")
        .arg(&folder)
        .arg("-e")
        .arg(folder.join("errors"));
    command.env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin");
    let proxy = Program::start(&command, folder.join("said"), None);
    wait::until("the proxy takes connections", || {
        assert!(!proxy.has_ended(), "{}", proxy.stderr());
        http::connect(address).is_some()
    });
    let ask = |key: Option<&str>| {
        let authorization = key.map(|key| format!("Bearer {key}")).unwrap_or_default();
        let headers: Vec<_> = key.iter().map(|_| ("Authorization", authorization.as_str())).collect();
        let body = br#"{"model": "scripted", "input": ["a text"]}"#;
        http::send(address, "POST", "/v1/embeddings", &headers, body).expect("it answers").status
    };
    assert_eq!((ask(Some(KEY)), embedder.calls()), (200, 1));
    assert_eq!([ask(None), ask(Some("")), ask(Some("another")), ask(Some(&KEY[1..]))], [401; 4]);
    assert_eq!(embedder.calls(), 1, "nobody else came through");
    proxy.stop();
    std::fs::remove_dir_all(&folder).ok();
}

#[test]
fn the_programs_log_in_as_a_user_that_is_no_superuser() {
    let cluster = Cluster::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/pgrecall/scripts/initialize.sh");
    let programs = postgres::install().expect("the tests have a Postgres").bin;
    let mut command = Command::new("sh");
    command.arg("-eu").arg(script).env_clear().env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    command
        .env("PGHOST", cluster.directory())
        .env("POSTGRES_USER", "postgres")
        .env("PGRECALL_PASSWORD", "it's \"one\"");
    wait::until("Postgres takes connections", || command.output().is_ok_and(|output| output.status.success()));

    let superuser = cluster.dsn("postgres", "pgrecall");
    let rights = "SELECT concat_ws(' ', rolsuper, rolcreaterole, rolbypassrls, rolpassword IS NOT NULL) FROM pg_authid WHERE rolname = 'pgrecall'";
    assert_eq!(postgres::texts_now(&superuser, rights), ["f f f t"]);

    let home = Home::with(&format!(
        "database: {{ dsn: \"{}\" }}\nmemory: {{ embedding: {{ provider: noop }} }}\n",
        cluster.dsn("pgrecall", "pgrecall")
    ));
    home.json(&["migrate", "--json"]);
    home.json(&["remember", "The office moved to Lisbon.", "--json"]);
    assert_eq!(home.json(&["recall", "Lisbon", "--json"])["count"], 1);
}
