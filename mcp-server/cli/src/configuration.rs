//! `config check` and `config print`.

use clap::Subcommand;
use serde_json::json;

use super::{context::Context, failure::Failure, output};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum Configuration {
    /// Says whether it is valid.
    Check,
    /// Prints it as YAML with where each value comes from; secrets are masked.
    Print,
}

pub(super) fn run(context: &Context, configuration: &Configuration) -> Result<(), Failure> {
    // It was read before anything else, and what is wrong with it has been said by now.
    match (configuration, context.json) {
        (Configuration::Check, false) => output::line("The configuration is valid."),
        (Configuration::Check, true) => output::json(&json!({"valid": true})),
        (Configuration::Print, false) => output::line(context.config.print(true).trim_end()),
        (Configuration::Print, true) => output::json(&context.config.entries()),
    }
}
