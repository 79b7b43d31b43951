//! Web pages: one page is one document; headings, lists and tables become Markdown.
//!
//! The page is read as a stream of tags, not as a tree. No function recurses, so no nesting is too
//! deep, and every byte is read once or, if that leaves too little, three times. The furniture around
//! a page's text (navigation, footers, banners, hidden elements) is left out
//! ([44](../../../../docs/decisions/0044-documents-as-found.md)).

mod furniture;
mod reader;
mod regions;
mod title;
mod writer;

use encoding_rs::{Encoding, UTF_8};
use pgrecall_record::source::{Record, SourceKind, TextFormat};

use self::reader::{Reader, Strictness};
use crate::{
    Format, Options, Problem,
    batch::{Batcher, Stop},
    formats::document,
    origin::Origin,
};

/// Number of leading bytes in which a page may declare its encoding; browsers search the same
/// range.
const PRESCAN: usize = 1024;

/// Reads one page as one document.
pub(super) fn read(origin: &Origin, bytes: Vec<u8>, options: &Options, out: &mut Batcher) -> Result<(), Stop> {
    let key = origin.key(&bytes);
    let page = page(&decode(origin, bytes)?);
    let mut record = Record { format: TextFormat::Markdown, ..Record::new(SourceKind::Document, page.text) };
    record.fields.title = page.title.unwrap_or_default();
    document::add(origin, key, record, options, out)
}

/// Decodes a page with the encoding that it declares. Without a declaration it must be UTF-8.
fn decode(origin: &Origin, bytes: Vec<u8>) -> Result<String, Problem> {
    let of_bom = Encoding::for_bom(&bytes).map(|(encoding, _)| encoding);
    match of_bom.or_else(|| declared_encoding(&bytes[..bytes.len().min(PRESCAN)])) {
        Some(encoding) if encoding != UTF_8 => Ok(encoding.decode(&bytes).0.into_owned()),
        _ => origin.text(bytes, Format::Html),
    }
}

fn declared_encoding(head: &[u8]) -> Option<&'static Encoding> {
    let head = head.to_ascii_lowercase();
    let at = head.windows(8).position(|window| window == b"charset=")? + 8;
    let label = head[at..].iter().copied().skip_while(|byte| b"\"' ".contains(byte));
    let label: Vec<u8> = label.take_while(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(byte)).collect();
    Encoding::for_label_no_replacement(&label).map(|encoding| encoding.output_encoding())
}

/// The title and the text that a person sees on a page.
pub struct Page {
    /// Its title, without the name of its site.
    pub title: Option<String>,
    /// Its text, as Markdown.
    pub text: String,
}

/// Reads a page, without the furniture around its text.
///
/// If the rules leave too little of it, those for classes and links are not applied, then none.
pub fn page(html: &str) -> Page {
    for strictness in [Strictness::Rules, Strictness::Names] {
        let reader = Reader::read(html, strictness);
        if !reader.is_too_little() {
            return reader.page();
        }
    }
    Reader::read(html, Strictness::Nothing).page()
}

#[cfg(test)]
mod tests;
