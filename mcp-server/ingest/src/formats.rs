//! The readers: one for each format, and the choice of it.

pub(crate) mod document;
pub(crate) mod front_matter;
pub mod html;
pub(crate) mod json;
mod jsonl;
mod listing;
mod openapi;
pub mod pdf;
mod structured;
#[cfg(test)]
mod tests;
mod yaml;

use std::{io::Read, path::Path};

use pgrecall_record::source::MAX_BODY_BYTES;

use crate::{
    Format, Options, Problem,
    batch::{Batcher, Stop},
    encoding,
    origin::Origin,
};

/// Size limit, in bytes, of a file that is read whole and holds more than its text.
const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

/// Returns the size limit, in bytes, of a file that is read whole.
fn limit(format: Format) -> usize {
    match format {
        Format::Markdown | Format::Text | Format::JsonLines => MAX_BODY_BYTES,
        Format::Html | Format::Structured => MAX_FILE_BYTES,
        Format::Pdf => usize::try_from(pdf::max_file()).unwrap_or(usize::MAX),
    }
}

/// Reads a file of this format.
pub(crate) fn read(
    origin: &Origin,
    format: Format,
    opened: impl Read,
    options: &Options,
    out: &mut Batcher,
) -> Result<(), Stop> {
    let whole = |opened| -> Result<_, Problem> { origin.whole(encoding::text(opened)?, format, limit(format)) };
    match format {
        Format::JsonLines => jsonl::read(origin, encoding::text(opened)?, options, out),
        Format::Markdown | Format::Text => document::read(origin, whole(opened)?, format, options, out),
        Format::Html => html::read(origin, whole(opened)?, options, out),
        Format::Pdf => pdf::read(origin, origin.whole(opened, format, limit(format))?, options, out),
        Format::Structured => structured::read(origin, whole(opened)?, out),
    }
}

/// Returns the format that the options name for a named file, else that of the file's name, else
/// text.
///
/// Stdin without such an option is JSONL. A known format that no reader supports is an error with
/// advice.
pub(crate) fn choose(origin: &Origin, options: &Options) -> Result<Format, Problem> {
    if let Some(format) = options.format.filter(|_| origin.is_named()) {
        return Ok(format);
    }
    if origin.absolute.is_none() {
        return Ok(Format::JsonLines);
    }
    match (Format::of(&origin.path), advice(&origin.path)) {
        (Some(format), _) => Ok(format),
        (None, Some(advice)) => Err(advice.into()),
        (None, None) => Ok(Format::Text),
    }
}

/// Gives advice about a file whose extension belongs to an unsupported format.
///
/// Such a file is not read as plain text, because searches would then match its markup.
fn advice(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let what = match extension.as_str() {
        "zip" | "tar" | "gz" | "tgz" | "bz2" | "xz" | "zst" | "7z" | "rar" | "jar" => "unpack it first",
        "docx" | "doc" | "odt" | "rtf" | "epub" | "tex" | "ipynb" => {
            "convert it to Markdown first, for example with pandoc"
        }
        "pptx" | "ppt" | "odp" => "save it as PDF first",
        "xlsx" | "xls" | "ods" | "csv" | "tsv" | "parquet" => "write it as JSONL first, one record a line",
        _ => return None,
    };
    Some(format!("files of type .{extension} are not read: {what}"))
}
