//! `read-pdf`: the process in which `ingest` reads a PDF's pages. Nobody types it; it needs no configuration and no database.

use std::io::{self, Read};

use clap::Args;

use super::{failure::Failure, output};
use pgrecall_ingest::pdf::pages;

/// Which pages to read of the PDF on stdin.
#[derive(Debug, Args)]
pub(super) struct ReadPdf {
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u32,
    /// Bytes of memory that this process may take.
    #[arg(long)]
    memory: u64,
}

pub(super) fn run(read: &ReadPdf) -> Result<(), Failure> {
    pages::bound(read.memory);
    let mut pdf = Vec::new();
    io::stdin().lock().read_to_end(&mut pdf)?;
    Ok(pages::write(&pdf, read.from, read.memory, &mut output::raw())?)
}
