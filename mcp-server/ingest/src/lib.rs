//! Ingest and import: files become records, and the records are written.
//!
//! Both are one pipeline (`driver`): a thread walks the paths and reads files into batches, and the
//! caller's task writes each batch in one transaction. [`ingest()`] reads documents and data, and
//! `formats` has a reader for each format. [`import`] reads the data of other programs, and
//! `importers` has a reader for each program. Input that cannot be read or stored is reported and
//! skipped: one broken line must not cost the other million.

mod batch;
mod driver;
mod dry_run;
mod encoding;
mod format;
mod formats;
mod ignored;
pub mod import;
mod importers;
mod ingest;
mod known;
pub mod lines;
mod origin;
mod owners;
mod prune;
mod repeated;
mod report;
mod root;
mod skipped;
mod walk;

pub use self::{
    format::Format,
    formats::{html, pdf},
    ignored::check_pattern,
    ingest::{Options, ingest},
    prune::Loss,
    report::{Event, Part, Place, Problem, Tally},
    skipped::Formats,
};

/// The path that stands for stdin.
pub const STDIN: &str = "-";
