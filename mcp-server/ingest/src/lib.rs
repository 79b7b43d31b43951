//! Ingest and import: files become records, and records are written.
//!
//! Both are one pipeline (`driver`): a thread walks the paths and reads files into batches, and the caller's task writes each batch in one
//! transaction. [`ingest()`] reads documents and data, and `formats` has one reader a format. [`import`] reads what other programs wrote,
//! and `importers` has one reader a program. What cannot be read or stored is reported and the rest goes in: a broken line among a million
//! must not cost the others.

mod batch;
mod driver;
mod dry_run;
mod formats;
pub mod import;
mod importers;
mod ingest;
mod known;
pub mod lines;
mod origin;
mod owners;
mod prune;
mod report;
mod root;
mod walk;

pub use self::{
    formats::{Format, pdf},
    ingest::{Options, ingest},
    report::{Event, Part, Place, Problem, Tally},
};

/// What a person names instead of a path to have stdin read.
pub const STDIN: &str = "-";
