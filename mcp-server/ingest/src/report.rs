//! What a run reports: the place of a problem, the problem, and the counts of all results.

use std::{fmt, io, path::PathBuf};

use pgrecall_record::{
    secrets::Redactions,
    source::{RecordError, Stored},
};
use pgrecall_store::write::Outcome;
use serde::Serialize;

/// Where a record is in the input: `FILE`, or a part of it.
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
    /// One of the things that a file lists, by its name.
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

/// Why something did not become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It has no text, which is no mistake: judged sets hold empty documents.
    Empty,
    /// It has no use here and nobody named it: a binary file that happened to be in a folder.
    Useless(String),
    /// It is broken, for the reason in the sentence.
    Broken(String),
    /// It is valid, and a person should know something about it.
    Noted(String),
    /// It is valid, and this many secrets in it were redacted.
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

/// What is reported while files are read and written.
#[derive(Debug)]
pub enum Event<'a> {
    /// The files were counted.
    Counted {
        /// How many there are.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A batch was written.
    Wrote {
        /// Bytes read up to now.
        bytes: u64,
        /// The results up to now.
        tally: &'a Tally,
    },
    /// Something did not become a record.
    Problem {
        /// Where it is.
        place: &'a Place,
        /// Why.
        problem: &'a Problem,
    },
}

/// The counts of all results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Files that were read, or skipped as unchanged.
    pub files: u64,
    /// Of those, the unchanged ones, of which nothing was read or written.
    pub unchanged_files: u64,
    /// Files in the folders that are of other formats.
    pub other_files: u64,
    /// New records.
    pub created: u64,
    /// Records that replaced one with the same key.
    pub replaced: u64,
    /// Records that are stored already with the same content.
    pub unchanged: u64,
    /// What was empty or useless, and skipped.
    pub skipped: u64,
    /// What was broken, and reported.
    pub refused: u64,
    /// Records that were deleted because no file has them any more.
    pub removed: u64,
    /// Records that no file has any more, in a run that does not prune.
    pub removable: u64,
    /// Secrets that were redacted in the records that are in the database now, by their kind.
    #[serde(skip_serializing_if = "Redactions::is_empty")]
    pub redacted: Redactions,
}

impl Tally {
    /// Records that are in the database now.
    pub fn stored(&self) -> u64 {
        self.created + self.replaced + self.unchanged
    }

    /// Counts what became of a record, and returns what there is to report of it.
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
