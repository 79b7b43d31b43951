//! The supported file formats.

use std::path::Path;

use clap::ValueEnum;

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
}
