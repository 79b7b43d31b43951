//! The process that reads the pages: a PDF on stdin, a line of JSON for each page on stdout.
//!
//! The process announces each page before it reads it, so that the parent knows on which page it
//! died.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use pdf_extract::{Document, Error, Object, ObjectId, PlainTextOutput, output_doc_page};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::repair;

/// Time limit of a file. A page takes milliseconds, and a book of a thousand pages some seconds.
pub(super) const TIMEOUT: Duration = Duration::from_secs(120);
/// Address space in addition to the memory: mapped programs and libraries, and memory that an
/// allocator reserves but does not use.
const MAX_MAPPED_BYTES: u64 = 1024 * 1024 * 1024;
/// Stack size for libraries that recurse, unless the memory limit is too low for it.
const MAX_STACK: u64 = 64 * 1024 * 1024;

/// One line of the output.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The title in the file's metadata.
    Title(String),
    /// The number of the page that is read next.
    Page(u32),
    /// The text of that page.
    Text(String),
    /// The page has no text that can be read: only pictures, or a font that does not map its codes
    /// to letters.
    Scanned,
    /// The page cannot be read.
    Failed,
    /// The file needs a password.
    Encrypted,
    /// The file cannot be read.
    Damaged,
    /// There are no more pages.
    End,
}

/// Limits this process to `memory` bytes, its stack included, and limits its CPU time.
///
/// Where the system has no such limits, the parent's own limits remain.
pub fn bound(memory: u64) {
    let time = TIMEOUT.as_secs();
    for (resource, soft, hard) in [
        // `RLIMIT_DATA` counts the memory that can be written to, which bounds the resident memory.
        // `RLIMIT_AS` counts the address space, much of which is never used.
        (Resource::Data, memory, memory),
        (Resource::As, memory + MAX_MAPPED_BYTES, memory + MAX_MAPPED_BYTES),
        // The soft limit has a signal of its own, by which the parent recognizes that the time ran
        // out.
        (Resource::Cpu, time, time + 5),
        (Resource::Core, 0, 0),
    ] {
        let _ = setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    }
}

/// Reads the pages of a PDF from page `from` on, and writes a line for each.
///
/// `memory` limits the size of the stack.
pub fn write(pdf: &[u8], from: u32, memory: u64, out: &mut (impl Write + Send)) -> io::Result<()> {
    let stack = MAX_STACK.min(memory / 4);
    // A thread has a stack of this size, while the system chooses the size of the main thread's.
    std::thread::scope(|scope| {
        let reading = std::thread::Builder::new()
            .name("pdf-pages".to_owned())
            .stack_size(usize::try_from(stack).unwrap_or_default())
            .spawn_scoped(scope, || write_lines(pdf, from, out))?;
        reading.join().unwrap_or_else(|_| Err(io::Error::other("reading panicked")))
    })
}

fn write_lines(pdf: &[u8], from: u32, out: &mut impl Write) -> io::Result<()> {
    let mut say = |line: &Line| {
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")?;
        out.flush()
    };
    let loaded = match load(pdf) {
        Err(Line::Damaged) => load_repaired(pdf),
        loaded => loaded,
    };
    let (document, pages) = match loaded {
        Ok(loaded) => loaded,
        Err(line) => return say(&line),
    };
    if let Some(title) = caught(|| title(&document)).flatten() {
        say(&Line::Title(title))?;
    }
    for (number, id) in pages.range(from..) {
        say(&Line::Page(*number))?;
        let text = caught(|| {
            let mut text = String::new();
            let mut output = PlainTextOutput::new(&mut text);
            output_doc_page(&document, &mut output, *number).map(|()| text)
        });
        say(&match text {
            Some(Ok(text)) if text.trim().is_empty() && caught(|| has_pictures(&document, *id)) == Some(true) => {
                Line::Scanned
            }
            Some(Ok(text)) if is_meaningless(&text) => Line::Scanned,
            Some(Ok(text)) => Line::Text(text),
            Some(Err(_)) | None => Line::Failed,
        })?;
    }
    say(&Line::End)
}

type Loaded = Result<(Document, BTreeMap<u32, ObjectId>), Line>;

/// Loads a file and finds its pages, or returns the line that says why it cannot be read.
fn load(pdf: &[u8]) -> Loaded {
    let document = match caught(|| Document::load_mem(pdf)) {
        Some(Ok(document)) if document.is_encrypted() => return Err(Line::Encrypted),
        Some(Ok(document)) => document,
        Some(Err(Error::Decryption(_) | Error::InvalidPassword)) => return Err(Line::Encrypted),
        Some(Err(_)) | None => return Err(Line::Damaged),
    };
    let pages = caught(|| document.get_pages()).unwrap_or_default();
    if pages.is_empty() { Err(Line::Damaged) } else { Ok((document, pages)) }
}

fn load_repaired(pdf: &[u8]) -> Loaded {
    match repair::trim(pdf).map(load) {
        None | Some(Err(Line::Damaged)) => repair::rebuild(pdf).map_or(Err(Line::Damaged), |pdf| load(&pdf)),
        Some(loaded) => loaded,
    }
}

/// Returns the result of `run`, or `None` if it panics.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get(b"Info").ok()?;
    let (_, info) = document.dereference(info).ok()?;
    let title = pdf_extract::decode_text_string(info.as_dict().ok()?.get(b"Title").ok()?).ok()?;
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ").replace('\0', "");
    // A title that was not decoded has no letters, or question marks in their place.
    (title.contains(char::is_alphanumeric) && !title.contains("??")).then_some(title)
}

/// Whether a text has too many characters without a meaning.
///
/// A font without a character map gives numbers in place of letters.
fn is_meaningless(text: &str) -> bool {
    let signs = text.chars().filter(|char| !char.is_whitespace());
    let meaningless = signs.clone().filter(|sign| sign.is_control() || *sign == char::REPLACEMENT_CHARACTER);
    meaningless.count() * 4 > signs.count()
}

fn has_pictures(document: &Document, page: ObjectId) -> bool {
    document.get_page_resources(page).is_ok_and(|(own, others)| {
        let others = others.iter().filter_map(|id| document.get_dictionary(*id).ok());
        own.into_iter().chain(others).any(|resources| {
            let objects = resources.get(b"XObject").and_then(|objects| document.dereference(objects));
            objects.is_ok_and(|(_, objects)| matches!(objects, Object::Dictionary(objects) if !objects.is_empty()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgrecall_harness::pdf::{Page, pdf};
    use proptest::prelude::*;

    fn lines(pdf: &[u8], from: u32) -> Vec<Line> {
        let mut out = Vec::new();
        write(pdf, from, u64::MAX, &mut out).unwrap();
        out.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn each_page_is_announced_and_read() {
        let file = pdf("The plan", &[Page::Text("Hello, page one."), Page::Picture, Page::Broken, Page::Text("Four.")]);
        let said = lines(&file, 1);
        assert_eq!(said[0], Line::Title("The plan".to_owned()));
        let Line::Text(text) = &said[2] else { panic!("{said:?}") };
        assert_eq!(text.trim(), "Hello, page one.");
        assert_eq!(said[3..7], [Line::Page(2), Line::Scanned, Line::Page(3), Line::Failed]);
        assert_eq!((said.last(), said.len()), (Some(&Line::End), 10));
        assert_eq!(lines(&file, 4).len(), 4, "the title, the last page, its text, the end");
    }

    #[test]
    fn signs_without_letters_are_no_text() {
        assert!(is_meaningless("\u{1}\u{2} \u{3}a"));
        assert!(!is_meaningless("a\nb") && !is_meaningless(""));
    }

    #[test]
    fn what_is_no_pdf_is_damaged() {
        assert_eq!(lines(b"", 1), [Line::Damaged]);
        assert_eq!(lines(b"%PDF-1.4\nnonsense", 1), [Line::Damaged]);
    }

    fn text_of(pdf: &[u8]) -> String {
        let lines = lines(pdf, 1);
        lines
            .into_iter()
            .find_map(|line| if let Line::Text(text) = line { Some(text) } else { None })
            .unwrap_or_default()
    }

    /// Cuts off what follows a mark, and puts something else there.
    fn with_end(pdf: &[u8], mark: &str, end: &str) -> Vec<u8> {
        let at = pdf.windows(mark.len()).rposition(|window| window == mark.as_bytes()).unwrap();
        [&pdf[..at], end.as_bytes()].concat()
    }

    #[test]
    fn a_file_is_read_whatever_its_end_says() {
        let good = pdf("The plan", &[Page::Text("Hello, page one.")]);
        let junk = "<html>not a PDF</html>\n".repeat(100);
        let newer =
            "9 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\ntrailer\n<< /Root 9 0 R >>\nstartxref\n7\n%%EOF";
        for (case, bytes) in [
            ("as it is", good.clone()),
            ("junk after it", [&good, junk.as_bytes()].concat()),
            ("zeros after it", [good.as_slice(), &[0; 70_000]].concat()),
            ("junk before it", [b"HTTP/1.1 200 OK\n\n", good.as_slice()].concat()),
            ("junk on both sides", [b"junk\n", good.as_slice(), junk.as_bytes()].concat()),
            ("a start beyond the end", with_end(&good, "startxref", "startxref\n99999999\n%%EOF\n")),
            ("a start in the middle", with_end(&good, "startxref", "startxref\n20\n%%EOF\n")),
            ("a negative start", with_end(&good, "startxref", "startxref\n-5\n%%EOF\n")),
            ("no start", with_end(&good, "startxref", "")),
            ("no trailer", with_end(&good, "trailer", "")),
            ("a later revision", with_end(&good, "xref\n0 ", newer)),
            ("a cut table", with_end(&good, "0000000000 65535", "")),
        ] {
            assert_eq!(text_of(&bytes).trim(), "Hello, page one.", "{case}");
        }
        let encrypted = with_end(&good, "trailer", "trailer\n<< /Root 1 0 R /Encrypt 4 0 R >>\nstartxref\n3\n%%EOF\n");
        assert!(text_of(&encrypted).is_empty());
    }

    proptest! {
        #[test]
        fn any_junk_after_a_file_and_any_start_are_survived(junk in prop::collection::vec(any::<u8>(), 0..3000), start in any::<u32>()) {
            let good = pdf("The plan", &[Page::Text("Hello, page one.")]);
            let mut bytes = with_end(&good, "startxref", &format!("startxref\n{start}\n%%EOF\n"));
            bytes.extend(junk);
            let text = text_of(&bytes);
            prop_assert_eq!(text.trim(), "Hello, page one.");
        }

        #[test]
        fn parts_of_a_file_in_any_order_are_read_or_damaged(parts in prop::collection::vec("[0-9]{1,11}|( |\n|obj|/Root|/Catalog|%%EOF|%PDF-1.4\n|R|<<|>>|xref|trailer)", 0..80)) {
            let bytes = parts.concat().into_bytes();
            let _ = repair::rebuild(&bytes).map(|pdf| load(&pdf).is_ok());
        }
    }
}
