//! Reads one value at a time, from its text to its type.
//!
//! The reader holds the given values and the findings so far. A value that does not fit becomes a
//! finding and the default is used, so one run reports every mistake.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Env, Headers, Secret,
    expand::expand,
    keys::{self, Key, Kind},
    tree::{self, Leaf},
    value::Value,
};

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Neither the file nor the environment sets the key.
    Default,
    /// A line of the file, and the variables in its text.
    File {
        /// The name of the file as given.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The variables, in order of use.
        variables: Vec<String>,
    },
    /// An environment variable.
    Environment(&'static str),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File { name, line, variables } => {
                write!(f, "{name}:{line}")?;
                variables.iter().try_for_each(|variable| write!(f, ", environment {variable}"))
            }
        }
    }
}

struct Given {
    text: String,
    source: Source,
}

/// The given values by path, and the findings.
pub(super) struct Reader {
    texts: BTreeMap<&'static str, Given>,
    headers: BTreeMap<&'static str, Vec<(String, Given)>>,
    findings: Vec<String>,
}

/// The variable that names the database; unset, `${DATABASE_URL}` means the embedded Postgres.
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

impl Reader {
    /// Reads the text of the file, if there is one, and replaces its variables.
    pub(super) fn new(yaml: Option<(&str, &str)>, env: Env<'_>) -> Self {
        let mut reader = Self { texts: BTreeMap::new(), headers: BTreeMap::new(), findings: Vec::new() };
        let Some((yaml, name)) = yaml else { return reader };
        let (leaves, findings) = tree::read(yaml).unwrap_or_else(|finding| (Vec::new(), vec![finding]));
        for finding in findings {
            reader.find(format!("{name}:{}: {}", finding.line, finding.what));
        }
        for leaf in leaves {
            reader.give(leaf, name, env);
        }
        reader
    }

    fn give(&mut self, leaf: Leaf, name: &str, env: Env<'_>) {
        let line = leaf.line;
        let shown = match &leaf.header {
            Some(header) => format!("{}.{header}", leaf.path),
            None => leaf.path.to_owned(),
        };
        // The documented example sets both keys to `${DATABASE_URL}`, and must mean the embedded
        // Postgres where the variable is not set.
        let names_database = leaf.text == format!("${{{DATABASE_URL}}}") && keys::find(leaf.path).kind == Kind::Dsn;
        if names_database && env(DATABASE_URL).is_none() {
            return;
        }
        let expanded = match expand(&leaf.text, env) {
            Ok(expanded) => expanded,
            Err(error) => return self.find(format!("{name}:{line}: `{shown}` {error}.")),
        };
        let source = Source::File { name: name.to_owned(), line, variables: expanded.variables };
        let given = Given { text: expanded.text, source };
        match leaf.header {
            Some(header) => self.headers.entry(leaf.path).or_default().push((header, given)),
            None => {
                if self.texts.insert(leaf.path, given).is_some() {
                    self.find(format!("{name}:{line}: `{shown}` is set a second time; keep one of the two."));
                }
            }
        }
    }

    /// Sets a key from an environment variable, unless the file sets it.
    pub(super) fn fall_back(&mut self, path: &'static str, variable: &'static str, env: Env<'_>) {
        if let Some(text) = env(variable).filter(|text| !text.is_empty())
            && self.text(path).is_none()
        {
            self.texts.insert(path, Given { text, source: Source::Environment(variable) });
        }
    }

    /// Records a finding, as a whole sentence.
    pub(super) fn find(&mut self, sentence: String) {
        self.findings.push(sentence);
    }

    /// Records a finding about a key. `wrong` ends a sentence that begins with the place of the
    /// value.
    pub(super) fn find_at(&mut self, path: &str, wrong: &str) {
        let at = match self.texts.get(path).map(|given| &given.source) {
            Some(Source::File { name, line, .. }) => format!("{name}:{line}: `{path}`"),
            Some(Source::Environment(variable)) => (*variable).to_owned(),
            Some(Source::Default) | None => format!("`{path}`"),
        };
        self.find(format!("{at}{wrong}"));
    }

    /// Returns the source of each value, or all findings.
    pub(super) fn finish(self) -> Result<BTreeMap<&'static str, Source>, Vec<String>> {
        if !self.findings.is_empty() {
            return Err(self.findings);
        }
        let texts = self.texts.into_iter().map(|(path, given)| (path, given.source));
        let headers = self.headers.into_iter().filter_map(|(path, mut headers)| Some((path, headers.pop()?.1.source)));
        Ok(texts.chain(headers).collect())
    }

    /// Returns a text as given. An empty one counts as unset, except for `Kind::Prefix`.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let keep_empty = keys::find(path).kind == Kind::Prefix;
        self.texts.get(path).map(|given| given.text.clone()).filter(|text| keep_empty || !text.is_empty())
    }

    /// Whether a key is set.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.text(path).is_some()
    }

    /// Returns the value of a key, if it is set. A text that does not fit becomes a finding.
    pub(super) fn value<T: Value>(&mut self, key: &Key) -> Option<T> {
        let value = T::parse(&self.text(key.path)?, key.kind);
        value.map_err(|wrong| self.find_at(key.path, &wrong)).ok()
    }

    /// Returns the headers of a key. A header that HTTP cannot carry becomes a finding.
    pub(super) fn headers(&mut self, path: &'static str) -> Headers {
        let given = self.headers.get(path).map(Vec::as_slice).unwrap_or_default();
        let mut seen = BTreeSet::new();
        for (name, value) in given {
            let Source::File { name: file, line, .. } = &value.source else { continue };
            let token =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
            let wrong = if !token {
                format!("`{path}` has the header `{name}`; a name is letters, digits and -.")
            } else if value.text.contains(|c: char| c.is_control() && c != '\t') {
                format!("`{path}.{name}` holds a line end or another control character; remove it.")
            } else if !seen.insert(name.to_ascii_lowercase()) {
                format!("`{path}` has the header `{name}` twice; keep one of the two.")
            } else {
                continue;
            };
            self.findings.push(format!("{file}:{line}: {wrong}"));
        }
        given.iter().map(|(name, value)| (name.clone(), Secret::new(value.text.as_str()))).collect()
    }
}
