//! Repairs a PDF whose cross-reference table cannot be found.
//!
//! The table and the trailer stand at the end of a file. A download that was cut off or continued
//! with something else, and an edit by a program that does not count bytes, leave the objects intact.

use std::collections::BTreeMap;

/// The end of a file, if there is one.
const END: &[u8] = b"%%EOF";
/// Greatest number of an object in a PDF.
const MAX_OBJECT: u32 = 8_388_607;

/// Returns the part of a file that ends with its last end mark.
pub(super) fn trim(pdf: &[u8]) -> Option<&[u8]> {
    let end = find_last(pdf, END)? + END.len();
    (end < pdf.len()).then(|| &pdf[..end])
}

/// Returns the file with a new table of its objects at its end.
pub(super) fn rebuild(pdf: &[u8]) -> Option<Vec<u8>> {
    // Offsets count from the header, which may stand after other bytes.
    let pdf = &pdf[find(pdf, b"%PDF-").unwrap_or_default()..];
    let objects = objects(pdf);
    let root = reference(pdf, b"/Root").or_else(|| catalog(pdf, &objects))?;
    let mut trailer = format!("trailer\n<< /Size {} /Root {root}", objects.keys().last()? + 1);
    for (name, key) in [("Info", b"/Info".as_slice()), ("Encrypt", b"/Encrypt")] {
        if let Some(value) = reference(pdf, key) {
            trailer.push_str(&format!(" /{name} {value}"));
        }
    }
    let mut table = "\nxref\n".to_owned();
    for (number, (offset, generation)) in &objects {
        table.push_str(&format!("{number} 1\n{offset:010} {generation:05} n \n"));
    }
    let start = pdf.len() + 1;
    Some([pdf, table.as_bytes(), format!("{trailer} >>\nstartxref\n{start}\n%%EOF\n").as_bytes()].concat())
}

/// Finds where each object begins, and its generation. Of two with one number, the later one is valid.
fn objects(pdf: &[u8]) -> BTreeMap<u32, (usize, u32)> {
    let mut objects = BTreeMap::new();
    for at in pdf.windows(4).enumerate().filter(|(_, window)| *window == b" obj").map(|(at, _)| at) {
        let Some((rest, generation)) = number_before(&pdf[..at]) else { continue };
        let Some((rest, number)) = rest.strip_suffix(b" ").and_then(number_before) else { continue };
        if (1..=MAX_OBJECT).contains(&number) && generation <= u32::from(u16::MAX) {
            objects.insert(number, (rest.len(), generation));
        }
    }
    objects
}

/// Splits the number off the end of a text.
fn number_before(text: &[u8]) -> Option<(&[u8], u32)> {
    let digits = text.iter().rev().take(11).take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, number) = text.split_at(text.len() - digits);
    Some((rest, std::str::from_utf8(number).ok()?.parse().ok()?))
}

/// Finds the last reference after a key: `/Root 1 0 R`.
fn reference(pdf: &[u8], key: &[u8]) -> Option<String> {
    let mut before = pdf;
    loop {
        let at = find_last(before, key)?;
        let text = &pdf[at + key.len()..pdf.len().min(at + key.len() + 40)];
        let mut parts = text.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
        let [number, generation] =
            [parts.next(), parts.next()].map(|part| number_before(part?).filter(|(rest, _)| rest.is_empty()));
        if let (Some((_, number)), Some((_, generation)), Some(b'R')) =
            (number, generation, parts.next().and_then(|part| part.first()))
        {
            return Some(format!("{number} {generation} R"));
        }
        before = &pdf[..at];
    }
}

/// Finds the last object that says that it is the catalog.
fn catalog(pdf: &[u8], objects: &BTreeMap<u32, (usize, u32)>) -> Option<String> {
    let at = find_last(pdf, b"/Catalog")?;
    let (number, (_, generation)) =
        objects.iter().filter(|(_, (offset, _))| *offset < at).max_by_key(|(_, (offset, _))| *offset)?;
    Some(format!("{number} {generation} R"))
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

fn find_last(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).rposition(|window| window == pattern)
}
