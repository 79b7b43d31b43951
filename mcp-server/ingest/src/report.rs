//! What is said of a run: where something stands, what is wrong with it, and what became of everything.

use std::{fmt, path::PathBuf};

use pgrecall_record::{
    secrets::Redactions,
    source::{RecordError, Stored},
};
use pgrecall_store::write::Outcome;
use serde::Serialize;

/// Where a record stands: `FILE`, or a part of it.
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
    /// There is nothing in it, which is no mistake: judged sets hold empty documents.
    Empty,
    /// It is of no use here and nobody said that it was: a binary file that happened to lie in a folder.
    Useless(String),
    /// It is broken, for the reason in the sentence.
    Broken(String),
    /// It is in order but for something that a person should know.
    Noted(String),
    /// It is valid, and this many secrets in it were redacted.
    Redacted(String),
}

impl Problem {
    /// Why a record was refused.
    pub fn of(refused: &RecordError) -> Self {
        match refused {
            RecordError::Empty => Self::Empty,
            refused => Self::Broken(refused.to_string()),
        }
    }
}

/// What there is to say while files are read and written.
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
        /// Where it stands.
        place: &'a Place,
        /// Why.
        problem: &'a Problem,
    },
}

/// What became of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Files that were read, or found to be as they were.
    pub files: u64,
    /// Of those, files that are as they were: nothing of them was read or written.
    pub unchanged_files: u64,
    /// Files in the folders that are of other formats.
    pub other_files: u64,
    /// New records.
    pub created: u64,
    /// Records that replaced one with the same key.
    pub replaced: u64,
    /// Records that were there already, just so.
    pub unchanged: u64,
    /// What was empty or useless, and passed over.
    pub skipped: u64,
    /// What was broken, and named.
    pub refused: u64,
    /// Records that no file holds any more, and that were forgotten.
    pub removed: u64,
    /// The same, while nobody asked to forget them.
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

    /// Counts something that did not become a record.
    pub fn count(&mut self, problem: &Problem) {
        match problem {
            Problem::Empty | Problem::Useless(_) => self.skipped += 1,
            Problem::Broken(_) => self.refused += 1,
            Problem::Noted(_) | Problem::Redacted(_) => {}
        }
    }
}

/// Counts what became of records, and tells what did not become one, and why.
pub fn settle(
    tally: &mut Tally,
    written: impl Iterator<Item = (Place, Outcome)>,
    mut problems: Vec<(Place, Problem)>,
    tell: &mut impl FnMut(Event<'_>),
) {
    for (place, outcome) in written {
        if let Ok(receipt) = &outcome
            && !receipt.redacted.is_empty()
        {
            tally.redacted.add(&receipt.redacted);
            problems.push((place.clone(), Problem::Redacted(receipt.redacted.to_string())));
        }
        match outcome.map(|receipt| receipt.stored) {
            Ok(Stored::Created) => tally.created += 1,
            Ok(Stored::Replaced) => tally.replaced += 1,
            Ok(Stored::Unchanged) => tally.unchanged += 1,
            Err(refused) => problems.push((place, Problem::of(&refused))),
        }
    }
    for (place, problem) in &problems {
        tally.count(problem);
        tell(Event::Problem { place, problem });
    }
}

/// Tells that the thread that reads has failed, which is a defect of ours.
pub fn half_way(command: &str, tally: &mut Tally, tell: &mut impl FnMut(Event<'_>)) {
    tracing::error!("the reading of the files failed half-way");
    let place = Place { path: PathBuf::from(command), part: Part::Whole };
    let sentence = "reading failed inside pgrecall; the log on stderr says where".to_owned();
    settle(tally, std::iter::empty(), vec![(place, Problem::Broken(sentence))], tell);
}
