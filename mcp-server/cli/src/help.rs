//! The examples at the end of each command's help, and the headings of its options.

use clap::Command;

/// Heading of the options that few people need.
pub(super) const EXPERT: &str = "Expert options";
/// Heading of the options that every command has.
pub(super) const EVERYWHERE: &str = "Options of every command";

/// Examples of each command, by its words. `$` stands for the program.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "$ setup",
            "$ remember \"Ana owns the billing service.\" --tag people",
            "$ recall \"who is responsible for invoices?\"",
            "$ ingest docs/",
            "$ search \"how do we deploy?\"",
        ],
    ),
    ("setup", &["$ setup", "$ setup --repair"]),
    (
        "remember",
        &[
            "$ remember \"Ana owns the billing service.\"",
            "$ remember \"Ben likes tea.\" --dimension preference --urn urn:person:ben",
            "$ remember \"The office is in Porto.\" --valid-from 2025-01-01 --key office",
        ],
    ),
    (
        "recall",
        &[
            "$ recall \"who is responsible for invoices?\"",
            "$ recall invoices --tag people --limit 3",
            "$ recall --urn urn:person:ben",
            "$ recall \"where is the office?\" --as-of 2025-06-01",
        ],
    ),
    (
        "search",
        &[
            "$ search \"how do we deploy?\"",
            "$ search \"create an invoice\" --kind api_operation",
            "$ search revenue --tag sql --filter year=2026",
        ],
    ),
    ("list", &["$ list", "$ list --tag people --limit 5", "$ list --kind document --tag handbook"]),
    ("show", &["$ show ID"]),
    ("edit", &["$ edit ID"]),
    ("forget", &["$ forget ID", "$ forget --dry-run ID", "$ forget --yes --for-good ID"]),
    ("restore", &["$ restore ID", "$ restore monday.pgrecall --replace"]),
    (
        "save",
        &[
            "$ save \"Net revenue\" \"SELECT sum(amount) FROM orders\" --tag sql",
            "$ save \"Code review\" - --kind prompt < review.md",
        ],
    ),
    ("tags", &["$ tags", "$ tags team/"]),
    ("collections", &["$ collections"]),
    (
        "ingest",
        &[
            "$ ingest docs/ README.md --tag handbook",
            "$ ingest notes/ --exclude drafts/ --exclude '*.tmp.md'",
            "$ ingest docs/ --prune",
            "$ ingest facts.jsonl --as memory",
        ],
    ),
    ("import", &["$ import memory.jsonl --dry-run", "$ import --from basic-memory ~/notes"]),
    ("export", &["$ export > records.jsonl", "$ export --kind memory"]),
    ("status", &["$ status", "$ status --json"]),
    ("doctor", &["$ doctor", "$ doctor --size"]),
    ("serve", &["$ serve", "$ serve --transport http --address 127.0.0.1:8080"]),
    ("backup", &["$ backup monday.pgrecall", "$ backup --print-dsn"]),
    ("keys", &["$ keys create ana", "$ keys list"]),
    (
        "keys create",
        &["$ keys create ana", "$ keys create reports --scopes read --expires 30d", "$ keys create bot --user ana"],
    ),
    ("keys list", &["$ keys list", "$ keys list --all"]),
    ("keys rotate", &["$ keys rotate ana", "$ keys rotate ana --grace 0"]),
    ("keys revoke", &["$ keys revoke ana"]),
    ("config", &["$ config check", "$ config print"]),
    ("config check", &["$ config check --config pgrecall.yaml"]),
    ("config print", &["$ config print"]),
    ("failures", &["$ failures", "$ failures --all"]),
    ("dismiss", &["$ dismiss ID", "$ dismiss --all"]),
    ("reindex", &["$ reindex", "$ reindex --kind document", "$ reindex --model nomic-embed-text --config ollama.yaml"]),
    ("upgrade-postgres", &["$ upgrade-postgres"]),
    ("migrate", &["$ migrate"]),
    ("eval", &["$ eval scifact/", "$ eval scifact/ --k 5"]),
];

/// Adds the examples to the help of a command and of its subcommands. `program` is how the program
/// is called, so that an example can be copied.
pub(super) fn with_examples(command: Command, program: &str) -> Command {
    add(command, "", program)
}

fn add(mut command: Command, words: &str, program: &str) -> Command {
    if let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == words) {
        let lines: String = examples.iter().map(|line| format!("\n  {}", line.replacen('$', program, 1))).collect();
        command = command.after_help(format!("Examples:{lines}"));
    }
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in names {
        let words = if words.is_empty() { name.clone() } else { format!("{words} {name}") };
        command = command.mut_subcommand(&name, |inner| add(inner, &words, program));
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::Cli;

    /// Splits a line at spaces outside of quotes, and leaves out what the shell takes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for c in line.split(['>', '<']).next().unwrap().trim().chars() {
            match (c, quote) {
                (c, Some(open)) if c == open => quote = None,
                ('"' | '\'', None) => quote = Some(c),
                (' ', None) => words.push(std::mem::take(&mut word)),
                (c, _) => word.push(c),
            }
        }
        words.push(word);
        words
    }

    #[test]
    fn every_command_has_examples_that_it_accepts() {
        fn visit(command: &Command, path: &str, seen: &mut Vec<String>) {
            seen.push(path.to_owned());
            for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
                visit(inner, format!("{path} {}", inner.get_name()).trim(), seen);
            }
        }
        let mut paths = Vec::new();
        visit(&Cli::command(), "", &mut paths);
        for path in &paths {
            let found = EXAMPLES.iter().find(|(of, _)| of == path);
            let (_, examples) = found.unwrap_or_else(|| panic!("`{path}` has no example"));
            for line in *examples {
                assert!(line.starts_with(format!("$ {path}").trim()), "`{line}` is not of `{path}`");
                if let Err(error) =
                    Cli::try_parse_from(words(&line.replace("ID", "01890000-0000-7000-8000-000000000000")))
                {
                    panic!("`{line}`: {error}");
                }
            }
        }
        assert_eq!(EXAMPLES.len(), paths.len(), "examples of commands that do not exist");
    }

    #[test]
    fn help_shows_examples_with_the_program_as_it_was_called_and_expert_options_last() {
        let mut command = with_examples(Cli::command(), "/opt/mcp-server");
        // Building gives each command the options of every command.
        command.build();
        let mut help = |name: &str| command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
        assert!(help("forget").contains("Examples:\n  /opt/mcp-server forget ID"));
        for name in ["recall", "search", "remember", "ingest", "export", "restore"] {
            let help = help(name);
            let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{name}: no `{text}` in {help}"));
            assert!(at("\nOptions:") < at(EXPERT) && at(EXPERT) < at(EVERYWHERE) && at(EVERYWHERE) < at("Examples:"));
        }
    }
}
