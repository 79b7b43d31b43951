//! PDF: one file is one document, and each page has its number as a heading.
//!
//! The format is a drawing program, and on files from scanners, printers and attackers its
//! libraries panic, fill the memory or overflow the stack. So a process of its own (this program,
//! called as `read-pdf`) reads the pages, and limits its own time and memory. If that process dies,
//! the page that it was reading is reported, and another process continues after that page
//! (decision 20).

mod child;
mod memory;
pub mod pages;
mod repair;

use pgrecall_record::source::{MAX_BODY_BYTES, Record, SourceKind, TextFormat};

pub(super) use self::memory::max_file;
use self::{
    child::{Cause, Ended, Read},
    pages::TIMEOUT,
};
use crate::{
    Options, Part, Problem,
    batch::{Batcher, Stop},
    formats::document,
    origin::Origin,
};

const MIB: u64 = 1024 * 1024;

/// Reads one file as one document.
pub(super) fn read(origin: &Origin, bytes: Vec<u8>, options: &Options, out: &mut Batcher) -> Result<(), Stop> {
    if !bytes[..bytes.len().min(1024)].windows(5).any(|window| window == b"%PDF-") {
        return Err(origin.misfit("it is not a PDF, despite its name").into());
    }
    let key = origin.key(&bytes);
    let memory = memory::allowed();
    let read = child::read(&bytes, memory)
        .map_err(|error| format!("no process can be started to read it ({error}): run the command again"))?;
    drop(bytes);
    for (page, cause) in &read.failed {
        let why = match cause {
            Cause::Damaged => "the page is damaged, or beyond what is understood, and was left out".to_owned(),
            Cause::Memory => format!(
                "reading the page needs more memory than the {} MiB that a PDF may take; the page was left out",
                memory / MIB
            ),
            Cause::Time => format!("reading the page takes longer than {} s; the page was left out", TIMEOUT.as_secs()),
        };
        out.problem(origin.place(Part::Page(*page)), why)?;
    }
    if let Some(problem) = ending(&read, memory) {
        out.problem(origin.place(Part::Whole), problem)?;
    }
    if read.texts.is_empty() {
        return Ok(());
    }
    let mut record = Record { format: TextFormat::Markdown, ..Record::new(SourceKind::Document, body(&read.texts)) };
    record.fields.title = read.title.unwrap_or_default().trim().to_owned();
    document::add(origin, key, record, options, out)
}

/// Returns the problem of the file as a whole, if it has one.
fn ending(read: &Read, memory: u64) -> Option<Problem> {
    let why = match read.ended {
        Ended::Encrypted => "it is encrypted: save it without a password first".to_owned(),
        Ended::Before(Cause::Damaged) => {
            "it is damaged, and no page of it can be read: save it again in the program that made it".to_owned()
        }
        Ended::Before(Cause::Memory) => format!(
            "reading it needs more memory than the {} MiB that a PDF may take: its pages from {} on were left out; split it, or ingest it \
             where more memory is allowed",
            memory / MIB,
            read.reached
        ),
        Ended::Before(Cause::Time) | Ended::GaveUp => format!(
            "reading it takes longer than {} s: its pages from {} on were left out; split it",
            TIMEOUT.as_secs(),
            read.reached
        ),
        Ended::TooLong => format!(
            "its text is longer than {} MiB, the most that one document may hold: its pages from {} on were left out; split it",
            MAX_BODY_BYTES / 1024 / 1024,
            read.reached
        ),
        Ended::Well if read.texts.is_empty() && read.failed.is_empty() => {
            "no page of it holds text, as when it was scanned: run OCR over it first, for example with ocrmypdf"
                .to_owned()
        }
        Ended::Well if !read.scanned.is_empty() => {
            return Some(Problem::Noted(format!(
                "{} {} no text that can be read, as when it was scanned: run OCR over the file, for example with ocrmypdf",
                numbers(&read.scanned),
                if read.scanned.len() == 1 { "holds" } else { "hold" }
            )));
        }
        Ended::Well => return None,
    };
    Some(why.into())
}

/// Formats page numbers: `page 3`, or `pages 3, 5-9`.
fn numbers(pages: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *page => *last = *page,
            _ => runs.push((*page, *page)),
        }
    }
    let runs: Vec<_> = runs
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    format!("page{} {}", if pages.len() == 1 { "" } else { "s" }, runs.join(", "))
}

/// Joins the pages' texts under their numbers, so that a passage names its page.
fn body(texts: &[(u32, String)]) -> String {
    let mut body = String::new();
    for (page, text) in texts {
        if !body.is_empty() {
            body.push_str("\n\n");
        }
        body.push_str(&format!("## Page {page}\n\n"));
        flow(text, &mut body);
    }
    body
}

/// Joins a page's lines into text, and rejoins words that were hyphenated at a line end.
fn flow(text: &str, body: &mut String) {
    let mut blanks = 0;
    let mut divided = false;
    let from = body.len();
    for line in text.lines() {
        let line: String = line.chars().filter(|char| !char.is_control() || *char == '\t').collect();
        let line = spaced(line.trim());
        if line.is_empty() {
            blanks += 1;
            continue;
        }
        if divided && blanks == 0 && line.starts_with(char::is_lowercase) {
            body.pop();
        } else if body.len() > from {
            body.push_str(if blanks > 0 { "\n\n" } else { "\n" });
        }
        if line.starts_with(['#', '`', '~', '=']) {
            body.push('\\');
        }
        body.push_str(&line);
        let mut ends = line.chars().rev();
        divided = ends.next() == Some('-') && ends.next().is_some_and(char::is_alphabetic);
        blanks = 0;
    }
}

/// Removes spaces between ideographs: their scripts have no spaces, so these only stretched a line.
fn spaced(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(char) = rest.next() {
        let stands_between =
            char == ' ' && text.ends_with(is_ideograph) && rest.peek().is_some_and(|next| is_ideograph(*next));
        if !stands_between {
            text.push(char);
        }
    }
    text
}

fn is_ideograph(char: char) -> bool {
    matches!(char, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_without_spaces_get_none() {
        assert_eq!(spaced("1948 年 通 过 a 通"), "1948 年通过 a 通");
    }

    #[test]
    fn lines_become_text_and_divided_words_whole() {
        let mut body = String::new();
        flow("  A recon-\nciler finds\nsources.\n\n\n# Not a heading\n2-\nthree\nA-\nB\0\n", &mut body);
        assert_eq!(body, "A reconciler finds\nsources.\n\n\\# Not a heading\n2-\nthree\nA-\nB");
    }

    #[test]
    fn pages_are_named_in_runs() {
        assert_eq!(numbers(&[3]), "page 3");
        assert_eq!(numbers(&[1, 3, 4, 5, 9]), "pages 1, 3-5, 9");
    }
}
