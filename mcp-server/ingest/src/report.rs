//! The report of a run: problems with their places, and the counts of all results.

use std::{fmt, io, path::PathBuf};

use pgrecall_record::{
    secrets::Redactions,
    source::{RecordError, Stored},
};
use pgrecall_store::write::Outcome;
use serde::Serialize;
use uuid::Uuid;

use crate::Formats;

/// A place in the input: a file, or a part of it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The part of it.
    pub part: Part,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// A line, from 1.
    Line(u64),
    /// A page, from 1.
    Page(u32),
    /// One of the items that a file lists, by its name.
    Entry(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.part {
            Part::Whole => Ok(()),
            Part::Line(line) => write!(f, ":{line}"),
            Part::Page(page) => write!(f, ", page {page}"),
            Part::Entry(name) => write!(f, ", {name}"),
        }
    }
}

/// Why an input did not become a record, or what to know about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The input has no text. This is not an error: judged collections hold empty documents.
    Empty,
    /// The input is of no use and nobody named it, such as a binary file in a folder.
    Useless(String),
    /// The input is broken, for the reason in the sentence.
    Broken(String),
    /// The input is valid, and the sentence tells a person something about it.
    Noted(String),
    /// The input is valid, and these secrets in it were redacted.
    Redacted(String),
}

impl From<RecordError> for Problem {
    fn from(refused: RecordError) -> Self {
        match refused {
            RecordError::Empty => Self::Empty,
            refused => Self::Broken(refused.to_string()),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Broken(format!("it cannot be read ({error})"))
    }
}

impl From<String> for Problem {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

/// An event while files are read and written.
#[derive(Debug)]
pub enum Event<'a> {
    /// The files were counted.
    Counted {
        /// The number of files.
        files: usize,
        /// Their total bytes.
        bytes: u64,
    },
    /// A batch was written.
    Wrote {
        /// Bytes that were read so far.
        bytes: u64,
        /// The results so far.
        tally: &'a Tally,
    },
    /// Everything was read and written.
    Finished,
    /// A problem was found.
    Problem {
        /// The place of the problem.
        place: &'a Place,
        /// The problem itself.
        problem: &'a Problem,
    },
}

/// The counts of all results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Files that were read, or skipped as unchanged.
    pub files: u64,
    /// Of those, the unchanged ones, whose records were not written again.
    pub unchanged_files: u64,
    /// Files in the folders that have other formats.
    pub other_files: u64,
    /// Of those, how many have each extension.
    #[serde(skip_serializing_if = "Formats::is_empty")]
    pub other_formats: Formats,
    /// Files and folders that `.gitignore` or `--exclude` leave out.
    pub ignored: u64,
    /// New records.
    pub created: u64,
    /// Records that replaced one with the same key.
    pub replaced: u64,
    /// Records that were already stored with the same content.
    pub unchanged: u64,
    /// Inputs that were empty or useless, and were skipped.
    pub skipped: u64,
    /// Inputs that were broken, and were reported.
    pub refused: u64,
    /// Records that were deleted because they are no longer in any file.
    pub removed: u64,
    /// Records that are no longer in any file, in a run that does not prune.
    pub removable: u64,
    /// Records that are no longer in any file and stay, because a path lost too many of them and
    /// nobody agreed.
    pub withheld: u64,
    /// The ids of the records whose vectors the run may wait for: those that it wrote, and those of
    /// unchanged files that are not embedded yet.
    #[serde(skip)]
    pub records: Vec<Uuid>,
    /// Secrets that were redacted in the records that are in the database now, by kind.
    #[serde(skip_serializing_if = "Redactions::is_empty")]
    pub redacted: Redactions,
}

impl Tally {
    /// Returns the number of records that are in the database now.
    pub fn stored(&self) -> u64 {
        self.created + self.replaced + self.unchanged
    }

    /// Counts the outcome of a record, and returns a problem if there is one to report.
    pub(crate) fn add(&mut self, outcome: Outcome) -> Option<Problem> {
        let receipt = match outcome {
            Ok(receipt) => receipt,
            Err(refused) => return Some(refused.into()),
        };
        match receipt.stored {
            Stored::Created => self.created += 1,
            Stored::Replaced => self.replaced += 1,
            Stored::Unchanged => self.unchanged += 1,
        }
        self.records.push(receipt.id);
        self.redacted.add(&receipt.redacted);
        (!receipt.redacted.is_empty()).then(|| Problem::Redacted(receipt.redacted.to_string()))
    }

    /// Counts a problem.
    pub(crate) fn count(&mut self, problem: &Problem) {
        match problem {
            Problem::Empty | Problem::Useless(_) => self.skipped += 1,
            Problem::Broken(_) => self.refused += 1,
            Problem::Noted(_) | Problem::Redacted(_) => {}
        }
    }
}
