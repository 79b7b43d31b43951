//! The pages for operators: their SQL runs, and their commands exist and do what the page says.

use std::path::PathBuf;

use pgrecall_harness::embedder::{Mood, ScriptedEmbedder};
use pgrecall_harness::home::Home;
use pgrecall_harness::{postgres, wait};
use pgrecall_postgres::dsn::Dsn;
use serde_json::json;

fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/run").join(name);
    std::fs::read_to_string(path).expect("the page is there")
}

/// Returns the SQL blocks of a page.
fn statements(page: &str) -> Vec<String> {
    let blocks = page.split("```sql\n").skip(1);
    let statements: Vec<_> = blocks.filter_map(|block| block.split("```").next()).map(str::to_owned).collect();
    assert!(!statements.is_empty());
    statements
}

/// Returns the `mcp-server` commands in the text of a page, without the program's name.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.strip_prefix("mcp-server "))
        .map(|command| command.split(' ').map(str::to_owned).collect())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Returns a page without its section on the private database, and that section.
fn sections(name: &str) -> (String, String) {
    let page = page(name);
    let (before, rest) = page.split_once("\n## The private database\n").expect("the section is there");
    let (private, after) = rest.split_once("\n## ").expect("it is not the last one");
    (format!("{before}\n## {after}"), private.to_owned())
}

#[tokio::test]
async fn the_sql_of_every_page_runs() -> anyhow::Result<()> {
    let (client, connection) = Dsn::parse(&postgres::database().await?)?.connect().await?;
    let serving = pgrecall_process::tasks::connection("test-reads", connection);
    for name in ["operations.md", "traces.md", "http.md"] {
        for statement in statements(&page(name)) {
            client.simple_query(&statement).await.map_err(|error| anyhow::anyhow!("{name}: {statement}{error:?}"))?;
        }
    }
    drop(client);
    serving.await.ok();
    Ok(())
}

#[test]
fn the_commands_of_the_runbook_do_what_it_says() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&embedder.config(&postgres::database_now()));
    let worker = home.worker();
    let mut host = home.host();
    embedder.set(Mood::Refusing("poison".into()));
    let id = host.ask("memory_remember", json!({"content": "poison"}))["id"].as_str().expect("an id").to_owned();
    wait::until("it fails", || home.run(&["failures"]).stdout.contains(&id[..8]));
    let typed = commands(&sections("operations.md").0);
    for wanted in ["status", "failures", "reindex", "dismiss"] {
        assert!(typed.iter().any(|command| command[0] == wanted), "{wanted} is not in {typed:?}");
    }
    for command in typed {
        let arguments: Vec<&str> = command.iter().map(|word| if word == "ID" { id.as_str() } else { word }).collect();
        let said = home.run(&arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.stdout, said.stderr);
    }
    host.leave();
    worker.stop();
}

#[test]
fn the_commands_for_the_private_database_do_what_the_page_says() {
    let embedder = ScriptedEmbedder::start();
    let url = embedder.url();
    let config =
        format!("memory:\n  embedding:\n    provider: openai\n    openai: {{ url: \"{url}\", model: scripted }}\n");
    let (home, other) = (Home::with(&config), Home::with(&config));
    home.json(&["remember", "Ana owns the billing service.", "--json"]);
    let typed = commands(&sections("operations.md").1);
    for wanted in ["backup", "restore", "upgrade-postgres", "doctor", "export"] {
        assert!(typed.iter().any(|command| command[0] == wanted), "{wanted} is not in {typed:?}");
    }
    let file = home.folder().join("all.dump");
    let file = file.to_str().expect("a plain path");
    // The commands are sorted, so `backup` runs before `restore`.
    for command in typed {
        let arguments: Vec<&str> = command.iter().map(|word| if word == "FILE" { file } else { word }).collect();
        let home = if arguments == ["restore", file] { &other } else { &home };
        let said = home.run(&arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.stdout, said.stderr);
    }
    assert_eq!(other.json(&["recall", "who owns billing?", "--json"])["count"], 1);
}
