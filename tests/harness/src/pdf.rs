//! Generates small PDFs.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

/// The content of a page.
#[derive(Debug, Clone, Copy)]
pub enum Page<'a> {
    /// A line of text.
    Text(&'a str),
    /// A picture and no text, as a scanner produces.
    Picture,
    /// A page without a MediaBox; PDF readers disagree on how to handle it.
    Broken,
    /// This many bytes of drawing operators without effect, compressed to about a thousandth.
    Bomb(usize),
}

/// Returns a PDF file with this title and these pages.
pub fn pdf(title: &str, pages: &[Page<'_>]) -> Vec<u8> {
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 5 + 2 * page)).collect();
    let mut objects: Vec<Vec<u8>> = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), pages.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        format!("<< /Title ({title}) >>"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    for (number, page) in pages.iter().enumerate() {
        let (content, resources) = match page {
            Page::Text(text) => (format!("BT /F1 12 Tf 72 720 Td ({text}) Tj ET"), "/Font << /F1 3 0 R >>"),
            Page::Picture => (String::new(), "/XObject << /Im1 3 0 R >>"),
            Page::Broken => ("BT".to_owned(), ""),
            Page::Bomb(_) => (String::new(), ""),
        };
        let (content, filter) = match page {
            Page::Bomb(bytes) => (compressed(*bytes), "/Filter /FlateDecode"),
            _ => (content.into_bytes(), ""),
        };
        let size = if matches!(page, Page::Broken) { "" } else { "/MediaBox [0 0 612 792]" };
        let contents = 6 + 2 * number;
        objects.push(
            format!("<< /Type /Page /Parent 2 0 R {size} /Resources << {resources} >> /Contents {contents} 0 R >>")
                .into_bytes(),
        );
        let mut stream = format!("<< /Length {} {filter} >>\nstream\n", content.len()).into_bytes();
        stream.extend(content);
        stream.extend(b"\nendstream");
        objects.push(stream);
    }
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n", number + 1).bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for offset in offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    let size = objects.len() + 1;
    file.extend(format!("trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{table}\n%%EOF\n").bytes());
    file
}

/// Compresses this many bytes of operators that save and restore the graphics state.
fn compressed(bytes: usize) -> Vec<u8> {
    let part = b"q Q\n".repeat(64 * 1024);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for _ in 0..bytes / part.len() {
        encoder.write_all(&part).expect("memory takes it");
    }
    encoder.finish().expect("memory takes it")
}
