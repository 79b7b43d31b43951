//! Markdown and text files: one file is one document.
//!
//! The whole path is the key: the same file again replaces its document, and two files of one name in different folders never
//! do. Text that is not UTF-8 is refused rather than guessed at, since a wrong guess would be found by nobody.

use std::{fs, io::Read, path::Path};

use shared::source::{MAX_BODY_BYTES, Record, SourceKind, TextFormat};

use super::{
    Format, Options, Place, Problem,
    batch::{Batcher, Closed},
    walk::{File, absolute},
};

/// A text has no NUL; what has one this early is a picture, an archive or a program.
const BINARY_WITHIN: usize = 8 * 1024;

/// Formats that hold text in a form of their own: as plain text they would be found by their markup.
const NOT_YET: [&str; 7] = ["pdf", "html", "htm", "docx", "odt", "epub", "rtf"];

/// Reads one file as one document.
pub(super) fn read(file: &File, format: Format, options: &Options, out: &mut Batcher) -> Result<(), Closed> {
    let place = Place { path: file.path.clone(), line: None };
    match text(file) {
        Ok(text) => {
            let record = document(&file.path, text, format, options);
            out.record(place, record, file.bytes)
        }
        Err(problem) => out.problem(place, problem),
    }
}

fn text(file: &File) -> Result<String, Problem> {
    let extension = file.path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if NOT_YET.contains(&extension.as_str()) {
        return Err(Problem::Broken(format!(
            "files of type .{extension} are not read: convert it to Markdown or text"
        )));
    }
    let mut bytes = Vec::new();
    fs::File::open(&file.path)
        .and_then(|opened| opened.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| Problem::Broken(format!("it cannot be read ({error})")))?;
    if bytes[..bytes.len().min(BINARY_WITHIN)].contains(&0) {
        let sentence = "it is binary, not text".to_owned();
        return Err(if file.named { Problem::Broken(sentence) } else { Problem::Useless(sentence) });
    }
    if bytes.len() > MAX_BODY_BYTES {
        let limit = MAX_BODY_BYTES / 1024 / 1024;
        return Err(Problem::Broken(format!(
            "it is longer than {limit} MiB, the most that one document may hold: split it"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::Broken(format!(
            "it is not UTF-8 (at byte {at}): convert it, for example with `iconv -f latin1 -t utf-8`"
        ))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn document(path: &Path, text: String, format: Format, options: &Options) -> Record {
    let path = absolute(path);
    let (front, body) = if format == Format::Markdown { front_matter(&text) } else { (None, text.as_str()) };
    let title = front
        .and_then(front_title)
        .or_else(|| (format == Format::Markdown).then(|| first_heading(body)).flatten())
        .unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    // A file of blanks is empty, whatever its name says.
    let title = if body.trim().is_empty() && front.is_none() { String::new() } else { title };
    Record {
        key: Some(path.to_string_lossy().into_owned()),
        uri: Some(file_url(&path)),
        title: bounded(title),
        format: if format == Format::Markdown { TextFormat::Markdown } else { TextFormat::Plain },
        collection: options.collection.clone().unwrap_or_default(),
        ..Record::new(options.kind.unwrap_or(SourceKind::Document), body)
    }
}

/// The YAML between two `---` lines at the beginning, and the text after it.
fn front_matter(text: &str) -> (Option<&str>, &str) {
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else {
        return (None, text);
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if ["---", "..."].contains(&line.trim_end()) {
            return (Some(&rest[..at]), &rest[at + line.len()..]);
        }
        at += line.len();
    }
    (None, text)
}

fn front_title(front: &str) -> Option<String> {
    let title = front.lines().find_map(|line| line.strip_prefix("title:"))?.trim();
    let title = ['"', '\''].iter().find_map(|quote| title.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(title);
    (!title.is_empty()).then(|| title.to_owned())
}

/// The first heading outside a code block.
fn first_heading(body: &str) -> Option<String> {
    let mut fence = None;
    for line in body.lines() {
        let line = line.trim_end();
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(opened)) => fence = Some(opened),
            (Some(opened), Some(closed)) if opened == closed => fence = None,
            _ => {}
        }
        if fence.is_some() {
            continue;
        }
        let text = line.trim_start_matches('#');
        let level = line.len() - text.len();
        if (1..=6).contains(&level) && text.starts_with(' ') {
            let title = text.trim().trim_end_matches('#').trim_end();
            if !title.is_empty() {
                return Some(title.to_owned());
            }
        }
    }
    None
}

/// A title is a line, not a text: a heading that is longer stands in the body anyway.
fn bounded(mut title: String) -> String {
    let end = (0..=200.min(title.len())).rev().find(|end| title.is_char_boundary(*end)).unwrap_or(0);
    title.truncate(end);
    title
}

/// The address of a file, with what may not stand in one escaped.
fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::batch::{Batch, gather};

    fn ingest(name: &str, bytes: &[u8], named: bool) -> Batch {
        let path = std::env::temp_dir().join(format!("pgrecall-document-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let file = File { path: path.clone(), bytes: bytes.len() as u64, named };
        let format = Format::of(&path).unwrap_or(Format::Text);
        let batch = gather(|out| read(&file, format, &Options::default(), out));
        fs::remove_file(path).unwrap();
        batch
    }

    fn title(name: &str, text: &str) -> String {
        ingest(name, text.as_bytes(), true).records.remove(0).1.title
    }

    #[test]
    fn a_title_is_the_front_matters_the_first_headings_or_the_files() {
        assert_eq!(title("a.md", "---\nlang: en\ntitle: \"The plan\"\n---\n# Other\ntext"), "The plan");
        assert_eq!(title("b.md", "intro\n```\n# no\n```\n## Real one ##\ntext"), "Real one");
        assert!(title("c.md", "no heading\n---\n").ends_with("-c"));
        assert!(title("d.txt", "# not a heading in plain text").ends_with("-d"));
    }

    #[test]
    fn front_matter_is_no_text() {
        let batch = ingest("e.md", b"---\r\ntitle: T\r\n---\r\nbody\r\n", true);
        assert_eq!(batch.records[0].1.body, "body\r\n");
        let unclosed = ingest("f.md", b"---\nnot: closed\n", true);
        assert!(unclosed.records[0].1.body.starts_with("---"));
    }

    #[test]
    fn what_is_no_text_is_named_and_only_a_named_file_counts_as_broken() {
        assert!(matches!(&ingest("g.md", b"\x89PNG\0\0", false).problems[0].1, Problem::Useless(_)));
        assert!(matches!(&ingest("g.md", b"\x89PNG\0\0", true).problems[0].1, Problem::Broken(_)));
        let Problem::Broken(said) = &ingest("h.txt", b"caf\xe9", false).problems[0].1 else { panic!("taken") };
        assert!(said.contains("byte 3") && said.contains("iconv"), "{said}");
        let Problem::Broken(said) = &ingest("i.txt", &b"x".repeat(MAX_BODY_BYTES + 1), true).problems[0].1 else {
            panic!("taken")
        };
        assert!(said.contains("16 MiB"), "{said}");
    }

    #[test]
    fn a_blank_file_is_an_empty_record() {
        let batch = ingest("j.md", b" \n\n", true);
        assert_eq!(batch.records[0].1.check(), Err(shared::source::RecordError::Empty));
    }

    #[test]
    fn the_address_of_a_file_is_escaped() {
        assert_eq!(file_url(Path::new("/a b/ü#1.md")), "file:///a%20b/%C3%BC%231.md");
    }
}
