//! Suggests the right command for a word that another program would use.
//!
//! clap suggests names that are spelled alike. Nothing is spelled like `delete`, and `rm` is not
//! like `forget`, so the words that people try have a table.

use clap::{
    Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Words that people try, and the commands that do what they mean.
const MEANT: [(&[&str], &[&str]); 14] = [
    (&["delete", "del", "remove", "rm", "erase", "drop", "prune"], &["forget"]),
    (&["undo", "undelete", "unforget", "unarchive", "recover", "revert"], &["restore"]),
    (&["get", "cat", "view", "read", "open", "fetch", "print", "display"], &["show"]),
    (&["ls", "all", "latest", "recent", "newest", "memories", "records", "history"], &["list"]),
    (&["add", "new", "create", "store", "put", "note", "memorize", "write"], &["remember", "save"]),
    (&["find", "query", "ask", "grep", "lookup", "look"], &["recall", "search"]),
    (&["update", "change", "modify", "correct", "set"], &["edit"]),
    (&["load", "index", "sync", "upload", "scan", "crawl", "embed"], &["ingest"]),
    (&["dump"], &["export", "backup"]),
    (&["start", "run", "server", "daemon", "listen", "mcp", "up"], &["serve"]),
    (&["init", "install", "bootstrap"], &["setup"]),
    (&["info", "stats", "stat", "ps", "health", "progress"], &["status"]),
    (&["check", "diagnose", "verify", "debug"], &["doctor"]),
    (&["label", "labels", "folders", "namespaces"], &["tags", "collections"]),
];

/// Returns the error with the commands that the wrong word means, if the table has the word, or with
/// a tip for a text without quotes.
pub(super) fn corrected(mut error: Error) -> Error {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(commands) = meant(word)
    {
        let commands = commands.iter().map(|name| (*name).to_owned()).collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(commands));
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && !word.starts_with('-')
    {
        let tip = StyledStr::from("put a text of several words in quotes");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    if error.kind() == ErrorKind::MissingRequiredArgument && asks_without_a_question(&error) {
        let tip = StyledStr::from("`list` lists records without a question, with the same filters");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// Whether `recall` or `search` lacks its question.
fn asks_without_a_question(error: &Error) -> bool {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return false };
    missing.iter().any(|argument| argument == "<QUERY>" || argument.starts_with("<QUERY|"))
}

fn meant(word: &str) -> Option<&'static [&'static str]> {
    let word = word.to_lowercase();
    MEANT.iter().find(|(words, _)| words.contains(&word.as_str())).map(|(_, commands)| *commands)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::Cli;

    #[test]
    fn each_word_is_no_command_and_means_commands_that_exist() {
        let commands: Vec<String> = Cli::command().get_subcommands().map(|it| it.get_name().to_owned()).collect();
        let mut seen = Vec::new();
        for (words, means) in MEANT {
            assert!(means.iter().all(|name| commands.contains(&(*name).to_owned())), "{means:?}");
            for word in words {
                assert!(!commands.contains(&(*word).to_owned()) && !seen.contains(word), "{word}");
                seen.push(*word);
            }
        }
    }

    #[test]
    fn a_text_without_quotes_or_no_text_is_answered_with_a_tip() {
        for line in ["mcp-server recall --tag people", "mcp-server search --collection handbook"] {
            let said = corrected(Cli::try_parse_from(line.split(' ')).unwrap_err()).to_string();
            assert!(said.contains("tip: `list` lists"), "{said}");
        }
        for line in ["mcp-server remember the office", "mcp-server recall who is it", "mcp-server search a b"] {
            let said = corrected(Cli::try_parse_from(line.split(' ')).unwrap_err()).to_string();
            assert!(said.contains("tip: put a text of several words in quotes"), "{said}");
        }
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_command_that_it_means() {
        for (line, command) in [
            ("mcp-server delete x", "forget"),
            ("mcp-server LS", "list"),
            ("mcp-server get x", "show"),
            ("mcp-server recal x", "recall"),
            ("mcp-server colections", "collections"),
        ] {
            let error = corrected(Cli::try_parse_from(line.split(' ')).unwrap_err());
            assert_eq!(error.exit_code(), 2);
            let said = error.to_string();
            assert!(said.contains("similar subcommand") && said.contains(&format!("'{command}'")), "{line}: {said}");
        }
    }
}
