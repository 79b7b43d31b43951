//! The command line, for people and scripts.
//!
//! Results go to stdout and everything else to stderr. Each subcommand is a file of its own. This
//! file parses the arguments, runs the subcommand, and converts the result to an exit code: 0, 1
//! for a failure, 2 for wrong use (which includes an invalid configuration), 130 after a signal.

mod ask;
mod backup;
mod configuration;
mod consent;
mod context;
mod doctor;
mod eval;
mod export;
mod failure;
mod failures;
mod help;
mod import;
mod ingest;
mod integrity;
mod keys;
mod migrate;
mod narrow;
mod noting;
mod output;
mod program;
mod progress;
mod queries;
mod read_pdf;
mod records;
mod reindex;
mod remember;
mod restore;
mod serve;
mod setup;
mod status;
mod suggest;
mod upgrade_postgres;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pgrecall_config::Config;
use pgrecall_record::identity;

use self::{context::Context, failure::Failure};

/// Semantic recall for AI agents over MCP, on plain Postgres.
///
/// Without a subcommand it serves MCP over stdin and stdout, as a host such as Claude Desktop
/// starts it.
#[derive(Debug, Parser)]
#[command(name = "mcp-server", version = shared::VERSION, max_term_width = 100)]
pub struct Cli {
    /// The configuration file. Without it, the file that PGRECALL_CONFIG names, or the defaults.
    #[arg(long, global = true, value_name = "FILE", help_heading = help::EVERYWHERE)]
    config: Option<PathBuf>,
    /// Prints JSON instead of text.
    #[arg(long, global = true, help_heading = help::EVERYWHERE)]
    json: bool,
    /// The persona to work as. Without it, the persona that PGRECALL_PERSONA names, or none.
    #[arg(long, global = true, value_name = "NAME", value_parser = name, help_heading = help::EVERYWHERE)]
    persona: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
    /// What the audit log calls the command, such as `cli keys create`. `None`: it is not noted.
    #[arg(skip)]
    noted_as: Option<String>,
}

/// The subcommands, those of every day first.
#[derive(Debug, Subcommand)]
enum Command {
    /// Fetches Postgres and the embedding model, and checks that both work.
    Setup(setup::Setup),
    /// Stores one memory.
    Remember(remember::Remember),
    /// Finds memories.
    Recall(ask::Recall),
    /// Finds documents and the other records that are not memories.
    Search(ask::Search),
    /// Lists the newest memories or other records.
    List(records::List),
    /// Prints whole records with their fields.
    Show(records::Show),
    /// Changes the text of a record in your editor.
    Edit(records::Edit),
    /// Deletes records, after a question. `restore` brings them back for a while.
    Forget(records::Forget),
    /// Brings back records by their ids, or creates a database from a file that `backup` wrote.
    Restore(restore::Restore),
    /// Stores a query, chart, prompt or document.
    Save(records::Save),
    /// Lists the tags, and how many records have each.
    Tags(records::Labels),
    /// Lists the collections, and how many records each has.
    Collections(records::Labels),
    /// Reads files and folders into the database: Markdown, HTML, text, PDF, JSONL, API
    /// descriptions, lists of tools and prompts.
    Ingest(ingest::Ingest),
    /// Restores the output of `export`, or imports from other programs: server-memory, Basic
    /// Memory, ChatGPT, Claude.
    Import(import::Import),
    /// Prints the records that the local user sees as JSON lines, which `import` reads.
    Export(export::Export),
    /// Shows how much is embedded, what is pending and what fails.
    Status,
    /// Checks each part, and says what to do about those that do not work.
    Doctor(doctor::Doctor),
    /// Serves MCP to a host (the default).
    Serve(serve::Serve),
    /// Writes the whole database to one file, and checks that the file is complete.
    Backup(backup::Backup),
    /// Creates, lists, rotates and revokes the API keys of HTTP callers.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Checks or prints the configuration.
    #[command(subcommand)]
    Config(configuration::Configuration),
    /// Lists the records that cannot be embedded, and the reasons.
    Failures(failures::Failures),
    /// Takes records off the list of failures, and leaves them without vectors.
    Dismiss(failures::Dismiss),
    /// Embeds records again, or only those without vectors.
    Reindex(reindex::Reindex),
    /// Moves the private database to the newer Postgres that setup fetched.
    UpgradePostgres,
    /// Brings the database's schema up to date.
    Migrate,
    /// Measures the ranking quality on a collection with judged questions.
    Eval(eval::Eval),
    /// Reads the pages of a PDF for `ingest`, in a process of its own that may crash.
    #[command(hide = true)]
    ReadPdf(read_pdf::ReadPdf),
}

/// Commands that are not noted in the audit log: they read and change no record and no key, note each call on their own, or are for
/// those who administer the database itself, and its audit log with it. `restore` is noted where it brings back records: a backup's
/// file opens no engine, and so writes no entry.
const NOT_NOTED: [&str; 10] =
    ["serve", "setup", "status", "eval", "backup", "upgrade-postgres", "migrate", "config", "doctor", "read-pdf"];

impl Cli {
    /// The arguments of this process. Exits with a message if they are wrong.
    pub fn of_process() -> Self {
        let matches = help::with_examples(Self::command(), program::program())
            .try_get_matches()
            .unwrap_or_else(|error| suggest::corrected(error).exit());
        let (mut names, mut at) = (vec!["cli"], &matches);
        while let Some((name, inner)) = at.subcommand() {
            names.push(name);
            at = inner;
        }
        let noted_as = names.get(1).filter(|name| !NOT_NOTED.contains(name)).map(|_| names.join(" "));
        let cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        Self { noted_as, ..cli }
    }
}

/// Runs the parsed command line, and returns the exit code.
pub async fn run(cli: Cli) -> ExitCode {
    let result = dispatch(cli).await;
    let Err(failure) = result else { return ExitCode::SUCCESS };
    failure.report();
    failure.exit_code()
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    if let Some(Command::ReadPdf(read)) = &cli.command {
        return read_pdf::run(read);
    }
    let mut config = Config::load(cli.config.as_deref())?;
    config.caller.persona = cli.persona.or(config.caller.persona);
    let command = cli.command.unwrap_or(Command::Serve(serve::Serve::default()));
    let telemetry = context::start_telemetry(&config, matches!(command, Command::Serve(_)));
    let context = Context::new(config, cli.json, cli.noted_as);
    let goes_on = matches!(command, Command::Ingest(_) | Command::Import(_));
    let result = match command {
        Command::Serve(serve) => serve::run(&context, serve).await,
        Command::Setup(setup) => setup::run(&context, &setup).await,
        Command::Ingest(ingest) => ingest::run(&context, ingest).await,
        Command::Remember(remember) => remember::run(&context, remember).await,
        Command::Recall(recall) => ask::recall(&context, recall).await,
        Command::Search(search) => ask::search(&context, search).await,
        Command::List(list) => records::list(&context, list).await,
        Command::Show(show) => records::show(&context, show).await,
        Command::Edit(edit) => records::edit(&context, edit).await,
        Command::Forget(forget) => records::forget(&context, forget).await,
        Command::Save(save) => records::save(&context, save).await,
        Command::Tags(labels) => records::tags(&context, labels).await,
        Command::Collections(labels) => records::collections(&context, labels).await,
        Command::Status => status::run(&context).await,
        Command::Failures(failures) => failures::list(&context, failures).await,
        Command::Dismiss(dismiss) => failures::dismiss(&context, dismiss).await,
        Command::Reindex(reindex) => reindex::run(&context, reindex).await,
        Command::Export(export) => export::run(&context, export).await,
        Command::Import(import) => import::run(&context, import).await,
        Command::Eval(eval) => eval::run(&context, eval).await,
        Command::Backup(backup) => backup::run(&context, backup).await,
        Command::Restore(restore) => restore::run(&context, restore).await,
        Command::UpgradePostgres => upgrade_postgres::run(&context).await,
        Command::Migrate => migrate::run(&context).await,
        Command::Keys(keys) => keys::run(&context, keys).await,
        Command::Config(configuration) => configuration::run(&context, &configuration),
        Command::Doctor(doctor) => doctor::run(&context, &doctor).await,
        Command::ReadPdf(read) => read_pdf::run(&read),
    };
    telemetry.finish();
    if goes_on && matches!(result, Err(Failure::Stopped)) {
        eprintln!("What was stored before stays: run the command again to go on.");
    }
    result
}

/// Parses the name of a persona or a tenant.
fn name(text: &str) -> Result<String, String> {
    identity::check(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_subcommand() {
        assert!(parse("mcp-server --json status").unwrap().json);
        assert!(parse("mcp-server status --json --config a.yaml").unwrap().config.is_some());
        assert_eq!(parse("mcp-server recall x --persona analyst").unwrap().persona.unwrap(), "analyst");
        assert!(parse("mcp-server").unwrap().command.is_none());
    }

    #[test]
    fn misuse_is_told_before_anything_starts() {
        for line in [
            "mcp-server recall",
            "mcp-server recall x --limit 0",
            "mcp-server recall x --limit 10000",
            "mcp-server search x --strategy psychic",
            "mcp-server search x --queries f.jsonl",
            "mcp-server search x --filter nonsense",
            "mcp-server search x --filter [1]",
            "mcp-server ingest",
            "mcp-server ingest a --as poem",
            "mcp-server ingest - --format docx",
            "mcp-server serve --transport pigeon",
            "mcp-server import",
            "mcp-server import a --from notion",
            "mcp-server export --kind poem",
            "mcp-server export --tenant a",
            "mcp-server backup",
            "mcp-server backup a --print-dsn",
            "mcp-server restore",
            "mcp-server eval",
            "mcp-server eval a --k 0",
            "mcp-server remember",
            "mcp-server list --kind poem",
            "mcp-server list --limit 0",
            "mcp-server show",
            "mcp-server show nonsense",
            "mcp-server edit",
            "mcp-server forget",
            "mcp-server forget nonsense",
            "mcp-server save title",
            "mcp-server save title text --kind memory",
            "mcp-server tags --limit 0",
            "mcp-server dismiss",
            "mcp-server dismiss a --all",
            "mcp-server reindex a --kind memory",
            "mcp-server reindex --kind poem",
            "mcp-server reindex --model m --all",
            "mcp-server reindex --no-wait",
            "mcp-server failures --limit 0",
            "mcp-server keys",
            "mcp-server keys create",
            "mcp-server keys create k --scopes burn",
            "mcp-server keys create k --expires soon",
            "mcp-server keys create k --expires 0d",
            "mcp-server keys create k --expires 5000d",
            "mcp-server keys rotate",
            "mcp-server keys rotate k --grace soon",
            "mcp-server keys create oauth:1:k",
            "mcp-server keys create k --user oauth:1:local",
            "mcp-server keys revoke",
            "mcp-server recall x --persona=",
            "mcp-server --persona= status",
            "mcp-server keys create k --persona=",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        assert_eq!(parse("mcp-server --version").unwrap_err().kind(), ErrorKind::DisplayVersion);
        assert_eq!(parse("mcp-server help forget").unwrap_err().kind(), ErrorKind::DisplayHelp);
        assert!(parse("mcp-server recall --urn urn:x").is_ok() && parse("mcp-server search --urn urn:x").is_ok());
        assert!(parse("mcp-server recall --queries f.jsonl --limit 100").is_ok());
        assert!(parse("mcp-server serve --transport sse --address 127.0.0.1:0").is_ok());
    }
}
