//! The table of configuration keys: the path, kind, default and documentation of each key.
//!
//! Each row is declared with its struct field (`section.rs`). Reading, the check for unknown keys,
//! `config print` and `docs/run/configuration.md` all use this table, so a declared key is known
//! everywhere, and any other key is refused.

use std::sync::LazyLock;

use super::{
    database::Database,
    jobs::ApiGateway,
    limits::{Audit, Quotas},
    memory::Memory,
    server::Server,
    traces::Collector,
    tree::closest,
};

/// The type of a key's value, and its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text. An empty one counts as unset.
    Text,
    /// A text that may be empty: the empty text means "no prefix", and does not count as unset.
    Prefix,
    /// A text that is printed masked.
    Secret,
    /// A Postgres connection string; its password is printed masked.
    Dsn,
    /// An `http` or `https` address without credentials.
    Url,
    /// An IP address and port.
    Address,
    /// A whole number within bounds, both included.
    Number(u32, u32),
    /// A number of MiB within bounds, both included. The struct's field holds bytes.
    Mebibytes(u32, u32),
    /// A list of texts: a YAML sequence, or one text with commas.
    List,
    /// A duration of at least this many milliseconds.
    Duration(u64),
    /// One of a list of words. `alias=word` declares an alias: with `sse=http`, `sse` means `http`.
    Word(&'static [&'static str]),
    /// A mapping of header names to values; the values are printed masked.
    Headers,
    /// A mapping of further keys.
    Section(&'static [Key]),
}

impl Kind {
    /// Returns the expected value, as the end of "must be …".
    pub(super) fn expected(self) -> String {
        match self {
            Self::Text | Self::Prefix | Self::Secret => "a text".to_owned(),
            Self::Dsn => "a Postgres connection string such as postgres://user:password@host:5432/database".to_owned(),
            Self::Url => "an address such as http://host:port".to_owned(),
            Self::Address => "an IP address and port such as 127.0.0.1:8080".to_owned(),
            Self::Number(from, to) | Self::Mebibytes(from, to) => format!("a whole number from {from} to {to}"),
            Self::List => "a list of texts, as a sequence or with commas between them".to_owned(),
            Self::Duration(_) => "a duration with its unit, such as 250ms, 30s, 5m or 1h".to_owned(),
            Self::Word(words) => {
                format!("one of {}", words.iter().map(|word| name(word)).collect::<Vec<_>>().join(", "))
            }
            Self::Headers => "a mapping of header names to values".to_owned(),
            Self::Section(_) => "a mapping of keys".to_owned(),
        }
    }

    /// Says why `text` is refused, as the end of a sentence that begins with the key.
    pub(super) fn refusal(self, text: &str) -> String {
        let meant = match self {
            Self::Word(words) => closest(text, words.iter().map(|word| name(word))),
            _ => None,
        };
        let end = meant.map_or_else(|| ".".to_owned(), |word| format!("; did you mean `{word}`?"));
        format!(" must be {}, and is `{text}`{end}", self.expected())
    }
}

/// Returns a word of `Kind::Word` without the target of its alias.
pub(super) fn name(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

/// One key of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// The path, joined with dots; empty for a section.
    pub(super) path: &'static str,
    /// The kind of the value.
    pub(super) kind: Kind,
    /// The default. `None`: without a value the key stays unset, and `doc` says what that means.
    pub(super) default: Option<&'static str>,
    /// The documentation, one or two sentences.
    pub(super) doc: &'static str,
}

/// Declares a key without a default.
pub(super) const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, default: None, doc: "" }
}

impl Key {
    /// Adds a default, written as in YAML.
    pub(super) const fn default(self, text: &'static str) -> Self {
        Self { default: Some(text), ..self }
    }

    /// Adds the documentation, the text of a doc comment without its leading space.
    pub(super) const fn documented(self, comment: &'static str) -> Self {
        Self { doc: comment.trim_ascii(), ..self }
    }

    /// Returns the keys directly in this section.
    pub(super) fn keys(&self) -> &'static [Self] {
        match self.kind {
            Kind::Section(keys) => keys,
            _ => &[],
        }
    }

    /// Returns the keys that have a value: this key, or all keys of a section and its subsections.
    pub(super) fn leaves(&'static self) -> Vec<&'static Self> {
        match self.kind {
            Kind::Section(keys) => keys.iter().flat_map(Self::leaves).collect(),
            _ => vec![self],
        }
    }
}

/// Every key, section by section, in the order of `docs/run/configuration.md`.
pub(super) static KEYS: LazyLock<Vec<&'static Key>> = LazyLock::new(|| SECTIONS.iter().flat_map(Key::leaves).collect());

const SECTIONS: &[Key] = &[
    Database::SECTION,
    Memory::SECTION,
    ApiGateway::SECTION,
    Server::SECTION,
    Audit::SECTION,
    Quotas::SECTION,
    Collector::SECTION,
];

/// Returns the key at `path`.
///
/// The code names only paths of the table, so a path that is missing is a bug.
pub(super) fn find(path: &str) -> &'static Key {
    KEYS.iter().find(|key| key.path == path).expect("each path that the code reads is in the table of keys")
}

/// Returns the names directly in a section (`""` is the top level), each once, in table order.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    all_names().into_iter().filter(|(home, _)| *home == section).map(|(_, name)| name).collect()
}

/// The result of looking up a path in the table.
#[derive(Debug)]
pub(super) enum Place {
    /// A key with a value.
    Key(&'static Key),
    /// A mapping of further keys.
    Section,
    /// Neither a key nor a section.
    Unknown,
}

/// Looks up a path in the table.
pub(super) fn place(path: &str) -> Place {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        Place::Key(key)
    } else if !names_in(path).is_empty() {
        Place::Section
    } else {
        Place::Unknown
    }
}

/// Returns every section and key as (section that holds it, name), each pair once.
pub(super) fn all_names() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<(&'static str, &'static str)> = Vec::new();
    for key in KEYS.iter() {
        let dots = key.path.match_indices('.').map(|(at, _)| at);
        for end in dots.chain([key.path.len()]) {
            let pair = key.path[..end].rsplit_once('.').unwrap_or(("", &key.path[..end]));
            if !all.contains(&pair) {
                all.push(pair);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_in_the_table_once() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[at + 1..].iter().all(|other| other.path != key.path), "{} is there twice", key.path);
            assert!(key.doc.ends_with('.'), "{} has no sentence", key.path);
        }
    }

    #[test]
    fn sections_know_their_names() {
        assert_eq!(names_in(""), ["database", "memory", "apigateway", "server", "audit", "tenants", "traces"]);
        assert_eq!(names_in("database"), ["dsn", "session_dsn", "connections"]);
        assert!(matches!(place("memory.embedding"), Place::Section));
        assert!(matches!(place("memory.embed"), Place::Unknown));
        assert!(all_names().contains(&("memory", "embedding")));
        assert!(all_names().contains(&("", "memory")));
    }
}
