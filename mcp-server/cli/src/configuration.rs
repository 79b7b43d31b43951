//! `config check` and `config print`.

use clap::Subcommand;
use serde_json::json;

use super::{context::Context, failure::Failure, output};

/// Checks or prints the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum Configuration {
    /// Checks whether the configuration is valid.
    Check,
    /// Prints the configuration as YAML, with the source of each value. Secrets are masked.
    Print,
}

pub(super) fn run(context: &Context, configuration: &Configuration) -> Result<(), Failure> {
    // The configuration was loaded before this point, which reported its errors.
    match (configuration, context.json) {
        (Configuration::Check, false) => output::line("The configuration is valid."),
        (Configuration::Check, true) => output::json(&json!({"valid": true})),
        (Configuration::Print, false) => output::line(context.config.print(true).trim_end()),
        (Configuration::Print, true) => output::json(&context.config.entries()),
    }
}
