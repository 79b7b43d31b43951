//! The table of configuration keys: what a key is, and where it lies.
//!
//! Its rows stand with the structs' fields (`section.rs`). Reading, the check for unknown keys, `config print` and
//! `docs/configuration.md` all follow them, so a key that is added there is known everywhere, and one that is not there does
//! not exist.

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

/// What a key's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text that is not empty.
    Text,
    /// A text whose empty form is a choice of its own ("no prefix"), not an absence.
    Prefix,
    /// A text that is shown masked.
    Secret,
    /// A Postgres connection string; its password is shown masked.
    Dsn,
    /// An `http` or `https` address without credentials in it.
    Url,
    /// An IP address and port.
    Address,
    /// A whole number within bounds, both included.
    Number(u32, u32),
    /// A number of MiB within bounds, both included. The field holds bytes.
    Mebibytes(u32, u32),
    /// Texts: a sequence, or one text with commas between them.
    List,
    /// A length of time of at least so many milliseconds.
    Duration(u64),
    /// One of a list of words. A word after `=` is what the one before it stands for.
    Word(&'static [&'static str]),
    /// A mapping of header names to values; the values are shown masked.
    Headers,
    /// A mapping of further keys.
    Section(&'static [Key]),
}

impl Kind {
    /// What the key takes, as the end of "must be …".
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

    /// What is wrong with a text that the key does not take, as the end of a sentence.
    pub(super) fn refusal(self, text: &str) -> String {
        let meant = match self {
            Self::Word(words) => closest(text, words.iter().map(|word| name(word))),
            _ => None,
        };
        let end = meant.map_or_else(|| ".".to_owned(), |word| format!("; did you mean `{word}`?"));
        format!(" must be {}, and is `{text}`{end}", self.expected())
    }
}

/// A word of `Kind::Word` without what it stands for.
pub(super) fn name(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

/// One key of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Its place, joined with dots. A section has none of its own.
    pub(super) path: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// Its value when nothing says otherwise. `None`: it stays unset, and `doc` says what that means.
    pub(super) default: Option<&'static str>,
    /// What it is for, one or two sentences.
    pub(super) doc: &'static str,
}

/// A key without a default.
pub(super) const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, default: None, doc: "" }
}

impl Key {
    /// The key with a default, written as a person would write it in YAML.
    pub(super) const fn default(self, text: &'static str) -> Self {
        Self { default: Some(text), ..self }
    }

    /// The key with its documentation: the text of a doc comment, which begins with a space.
    pub(super) const fn documented(self, comment: &'static str) -> Self {
        Self { doc: comment.trim_ascii(), ..self }
    }

    /// The keys directly in a section.
    pub(super) fn keys(&self) -> &'static [Self] {
        match self.kind {
            Kind::Section(keys) => keys,
            _ => &[],
        }
    }

    /// The keys with a value: this one, or those of a section and of the sections in it.
    pub(super) fn leaves(&'static self) -> Vec<&'static Self> {
        match self.kind {
            Kind::Section(keys) => keys.iter().flat_map(Self::leaves).collect(),
            _ => vec![self],
        }
    }
}

/// Every key, section by section, in the order in which a file is best written.
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

/// The key at a path. Every path in the code is one of the table's, which the tests hold.
pub(super) fn find(path: &str) -> &'static Key {
    KEYS.iter().find(|key| key.path == path).expect("each path that the code reads is in the table of keys")
}

/// What lies directly in a section (`""` is the top), each name once, in the table's order.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in KEYS.iter() {
        let rest = if section.is_empty() {
            Some(key.path)
        } else {
            key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        if let Some(name) = rest.and_then(|rest| rest.split('.').next())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// What a path names in the table.
#[derive(Debug)]
pub(super) enum Place {
    /// A key with a value.
    Key(&'static Key),
    /// A mapping of further keys.
    Section,
    /// Nothing.
    Unknown,
}

/// Looks a path up.
pub(super) fn place(path: &str) -> Place {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        Place::Key(key)
    } else if !names_in(path).is_empty() {
        Place::Section
    } else {
        Place::Unknown
    }
}

/// Every section and key as (section it lies in, name), each once.
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
