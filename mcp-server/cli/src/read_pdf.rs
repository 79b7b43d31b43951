//! `read-pdf`: the process in which `ingest` reads a PDF's pages.
//!
//! It is not for users, and needs no configuration and no database.

use std::io::{self, Read};

use clap::Args;

use super::{failure::Failure, output};
use pgrecall_ingest::pdf::pages;

/// The pages to read of the PDF on stdin.
#[derive(Debug, Args)]
pub(super) struct ReadPdf {
    /// Number of the first page to read.
    #[arg(long, default_value_t = 1)]
    from: u32,
    /// Memory limit of this process, in bytes.
    #[arg(long)]
    memory: u64,
}

pub(super) fn run(read: &ReadPdf) -> Result<(), Failure> {
    pages::bound(read.memory);
    let mut pdf = Vec::new();
    io::stdin().lock().read_to_end(&mut pdf)?;
    Ok(pages::write(&pdf, read.from, read.memory, &mut output::raw())?)
}
