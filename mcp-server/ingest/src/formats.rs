//! The supported formats: the format of a file, and one reader for each format.

pub(crate) mod document;
pub(crate) mod front_matter;
mod html;
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

use clap::ValueEnum;
use pgrecall_record::source::MAX_BODY_BYTES;

use crate::{
    Options,
    batch::{Batcher, Stop},
    origin::Origin,
};

/// A supported file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Format {
    /// Markdown (CommonMark).
    Markdown,
    /// Plain text.
    Text,
    /// A web page.
    Html,
    /// PDF with text, not only scanned pages.
    Pdf,
    /// JSON Lines: one record on each line.
    #[value(name = "jsonl")]
    JsonLines,
    /// JSON or YAML: an OpenAPI or Swagger description, a list of tools, or a list of prompts.
    #[value(name = "openapi", alias = "json", alias = "yaml")]
    Structured,
}

/// Size limit, in bytes, of a file that is read whole and holds more than its text.
const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

impl Format {
    /// Guesses the format from a file's name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else {
            let name = path.file_name()?.to_str()?.to_ascii_uppercase();
            return ["README", "CHANGELOG", "CONTRIBUTING", "NOTES", "TODO"]
                .contains(&name.as_str())
                .then_some(Self::Text);
        };
        match extension.to_ascii_lowercase().as_str() {
            "md" | "markdown" | "mdown" | "mdx" => Some(Self::Markdown),
            "txt" | "text" | "rst" | "adoc" | "asciidoc" | "org" => Some(Self::Text),
            "html" | "htm" | "xhtml" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "json" | "yaml" | "yml" => Some(Self::Structured),
            _ => None,
        }
    }

    /// Returns the size limit, in bytes, of a file that is read whole.
    pub(crate) fn limit(self) -> usize {
        match self {
            Self::Markdown | Self::Text | Self::JsonLines => MAX_BODY_BYTES,
            Self::Html | Self::Structured => MAX_FILE_BYTES,
            Self::Pdf => usize::try_from(pdf::max_file()).unwrap_or(usize::MAX),
        }
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
    let whole = |opened| origin.whole(opened, format);
    match format {
        Format::JsonLines => jsonl::read(origin, opened, options, out),
        Format::Markdown | Format::Text => document::read(origin, whole(opened)?, format, options, out),
        Format::Html => html::read(origin, whole(opened)?, options, out),
        Format::Pdf => pdf::read(origin, whole(opened)?, options, out),
        Format::Structured => structured::read(origin, whole(opened)?, out),
    }
}

/// Gives advice about a file whose extension belongs to an unsupported format.
///
/// Such a file is not read as plain text, because searches would then match its markup.
pub(crate) fn advice(path: &Path) -> Option<String> {
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
