//! Markdown and text files: one file is one document.
//!
//! The whole path is the key. Reading the same file again replaces its document, and files with one
//! name in different folders never replace each other.

use pgrecall_record::source::{Record, SourceKind, TextFormat};

use crate::{
    Format, Options, Part, Problem,
    batch::{Batcher, Stop},
    formats::front_matter,
    origin::{Origin, bounded},
};

/// Size limit, in bytes, of a title that is derived and not given.
pub(super) const TITLE_BYTES: usize = 200;

/// Reads one file as one document.
pub(super) fn read(
    origin: &Origin,
    bytes: Vec<u8>,
    format: Format,
    options: &Options,
    out: &mut Batcher,
) -> Result<(), Stop> {
    let key = origin.key(&bytes);
    let text = origin.text(bytes, format)?;
    let is_markdown = format == Format::Markdown;
    let record = if is_markdown { markdown(origin, &text, options)? } else { Record::new(SourceKind::Document, text) };
    add(origin, key, record, options, out)
}

/// Adds the document of a file, with the fields that depend on the file's location and on the
/// options.
pub(super) fn add(
    origin: &Origin,
    key: String,
    mut record: Record,
    options: &Options,
    out: &mut Batcher,
) -> Result<(), Stop> {
    // A text without a title is named after its file. A file of blanks stays empty, whatever its
    // name.
    if record.fields.title.is_empty() && !record.body.trim().is_empty() {
        record.fields.title = origin.stem();
    }
    if let Some(kind) = options.kind {
        (record.kind, record.visibility) = (kind, Record::new(kind, "").visibility);
    }
    record.fields.title = bounded(record.fields.title, TITLE_BYTES);
    (record.fields.key, record.fields.uri) = (Some(key), origin.url());
    out.record(origin.place(Part::Whole), record, origin.bytes)
}

fn markdown(origin: &Origin, text: &str, options: &Options) -> Result<Record, Problem> {
    let (front, body) = front_matter::split(text);
    let has_front = front.is_some();
    let kind = options.kind.unwrap_or(SourceKind::Document);
    let mut record = Record { format: TextFormat::Markdown, ..Record::new(kind, body) };
    if kind != SourceKind::Prompt {
        front.unwrap_or_default().apply(&mut record);
    } else if let Some(why) = front_matter::refusal(text) {
        return Err(why.into());
    } else {
        front_matter::prompt(&mut record, front.unwrap_or_default());
    }
    if record.fields.title.is_empty() {
        let of_file = || has_front.then(|| origin.stem());
        record.fields.title = first_heading(body).or_else(of_file).unwrap_or_default();
    }
    Ok(record)
}

/// Finds the first heading outside a code block.
fn first_heading(body: &str) -> Option<String> {
    prose(body).find_map(|(_, line)| {
        let line = line.trim_end();
        let text = line.trim_start_matches('#');
        let is_heading = (1..=6).contains(&(line.len() - text.len())) && text.starts_with(' ');
        let title = text.trim().trim_end_matches('#').trim_end();
        (is_heading && !title.is_empty()).then(|| title.to_owned())
    })
}

/// Returns the lines of a Markdown text outside its code blocks, each with its index.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence = None;
    text.lines().enumerate().filter(move |(_, line)| {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, None) => return true,
            (None, Some(_)) => fence = mark,
            (Some(open), Some(close)) if open == close => fence = None,
            (Some(_), _) => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::{Batch, gather},
        origin::from_bytes,
    };
    use pgrecall_record::source::MAX_BODY_BYTES;

    fn ingest_as(kind: Option<SourceKind>, name: &str, bytes: &[u8], named: bool) -> Batch {
        let mut batch = Batch::default();
        let options = Options { kind, ..Options::default() };
        from_bytes(&format!("document-{name}"), bytes, named, |origin| {
            batch = gather(|out| crate::ingest::read_origin(origin, &options, out).map(|_| ()));
        });
        batch
    }

    fn ingest(name: &str, bytes: &[u8], named: bool) -> Batch {
        ingest_as(None, name, bytes, named)
    }

    fn title(name: &str, text: &str) -> String {
        ingest(name, text.as_bytes(), true).records.remove(0).1.fields.title
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
    fn a_markdown_file_may_be_a_prompt() {
        let file = b"---\nname: greet\narguments: [who]\n---\nSay hello to {{who}}.\n";
        let (_, record) = ingest_as(Some(SourceKind::Prompt), "p.md", file, true).records.remove(0);
        assert_eq!((record.kind, record.fields.title.as_str()), (SourceKind::Prompt, "greet"));
        assert_eq!(record.details.unwrap()["arguments"][0]["name"], "who");
        // Text between two thematic breaks belongs to the prompt.
        for rule in ["\nA rule text\n\n", "\nAlice: hello there\n\n"] {
            let text = format!("---\n{rule}---\n\nBody\n");
            let (_, record) = ingest_as(Some(SourceKind::Prompt), "r.md", text.as_bytes(), true).records.remove(0);
            assert_eq!(record.body, text);
        }
        let broken = ingest_as(Some(SourceKind::Prompt), "q.md", b"---\na: [\n---\ntext", true);
        assert!(matches!(broken.problems[0].1, Problem::Broken(_)));
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
    fn a_byte_order_mark_decides_before_a_nul_does_and_a_carriage_return_ends_a_line() {
        let text = "# Server\n\nThe database host is orion-db-7 in Frankfurt.\n";
        for bytes in crate::encoding::encodings(text) {
            let (_, record) = ingest("m.md", &bytes, false).records.remove(0);
            assert_eq!((record.fields.title.as_str(), record.body.as_str()), ("Server", text));
        }
        let (_, record) = ingest("two.md", format!("\u{feff}\u{feff}{text}").as_bytes(), false).records.remove(0);
        assert_eq!((record.fields.title.as_str(), record.body.as_str()), ("Server", text));
        let (_, record) = ingest("n.md", b"---\rtitle: Old Mac\r---\r# A\r\rtext\r", true).records.remove(0);
        assert_eq!((record.fields.title.as_str(), record.body.as_str()), ("Old Mac", "# A\n\ntext\n"));
    }

    #[test]
    fn an_archive_is_refused_with_what_to_do() {
        let Problem::Broken(said) = &ingest("k.zip", b"PK\x03\x04\0\0", true).problems[0].1 else { panic!("taken") };
        assert!(said.contains("unpack it first"), "{said}");
        let Problem::Broken(said) = &ingest("l.csv", b"a,b\n1,2\n", true).problems[0].1 else { panic!("taken") };
        assert!(said.contains("JSONL"), "{said}");
    }

    #[test]
    fn a_blank_file_is_empty() {
        assert_eq!(ingest("j.md", b" \n\n", true).problems[0].1, Problem::Empty);
    }
}
