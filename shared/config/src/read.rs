//! One value at a time, from its text to its type.
//!
//! The reader holds the values that were given and the findings so far. A value that does not fit becomes a finding, and the
//! default takes its place, so that one run reports everything that is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use super::{
    Env, Headers, Secret,
    expand::expand,
    keys::{self, Key, Kind},
    tree::{self, Leaf},
};
use pgrecall_postgres::dsn::Dsn;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A line of the file, with the variables that its text used.
    File {
        /// The file's name as given.
        name: String,
        /// From 1.
        line: usize,
        /// In order of use.
        variables: Vec<String>,
    },
    /// A variable of the environment.
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

/// The values that were given, by path, and what was found wrong.
pub(super) struct Reader {
    texts: BTreeMap<&'static str, Given>,
    headers: BTreeMap<&'static str, Vec<(String, Given)>>,
    findings: Vec<String>,
}

/// The variable that stands for a database in both keys.
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

impl Reader {
    /// Reads the file's text, if there is one, and replaces its variables.
    pub(super) fn new(yaml: Option<(&str, &str)>, env: Env<'_>) -> Self {
        let mut reader = Self { texts: BTreeMap::new(), headers: BTreeMap::new(), findings: Vec::new() };
        let Some((yaml, name)) = yaml else { return reader };
        match tree::read(yaml) {
            Err(finding) => reader.find(format!("{name}:{}: {}", finding.line, finding.what)),
            Ok((leaves, findings)) => {
                for finding in findings {
                    reader.find(format!("{name}:{}: {}", finding.line, finding.what));
                }
                for leaf in leaves {
                    reader.give(leaf, name, env);
                }
            }
        }
        reader
    }

    fn give(&mut self, leaf: Leaf, name: &str, env: Env<'_>) {
        let line = leaf.line;
        let shown = match &leaf.header {
            Some(header) => format!("{}.{header}", leaf.path),
            None => leaf.path.to_owned(),
        };
        // The contract's own example names the variable in both keys, and without it means the embedded Postgres.
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

    /// Gives a key the value of a variable, unless the file has given it one.
    pub(super) fn fall_back(&mut self, path: &'static str, variable: &'static str, env: Env<'_>) {
        if let Some(text) = env(variable).filter(|text| !text.is_empty())
            && self.text(path).is_none()
        {
            self.texts.insert(path, Given { text, source: Source::Environment(variable) });
        }
    }

    /// Notes something wrong: a whole sentence.
    pub(super) fn find(&mut self, sentence: String) {
        self.findings.push(sentence);
    }

    /// Where a key's value is written, or would be: the beginning of a finding about it.
    pub(super) fn at(&self, path: &str) -> String {
        match self.texts.get(path).map(|given| &given.source) {
            Some(Source::File { name, line, .. }) => format!("{name}:{line}: `{path}`"),
            Some(Source::Environment(variable)) => (*variable).to_owned(),
            Some(Source::Default) | None => format!("`{path}`"),
        }
    }

    /// Where each value came from, or everything that was found wrong.
    pub(super) fn finish(self) -> Result<BTreeMap<&'static str, Source>, Vec<String>> {
        if !self.findings.is_empty() {
            return Err(self.findings);
        }
        let mut sources: BTreeMap<_, _> = self.texts.into_iter().map(|(path, given)| (path, given.source)).collect();
        for (path, mut headers) in self.headers {
            if let Some((_, given)) = headers.pop() {
                sources.insert(path, given.source);
            }
        }
        Ok(sources)
    }

    /// A text as given; an empty one is as good as none, except where emptiness is a choice.
    pub(super) fn text(&self, path: &'static str) -> Option<String> {
        let keep_empty = keys::find(path).kind == Kind::Prefix;
        self.texts.get(path).map(|given| given.text.clone()).filter(|text| keep_empty || !text.is_empty())
    }

    /// A text, or its default.
    pub(super) fn text_or_default(&self, path: &'static str) -> String {
        self.text(path).unwrap_or_else(|| default(keys::find(path)).to_owned())
    }

    /// A text to be masked.
    pub(super) fn secret(&self, path: &'static str) -> Option<Secret> {
        self.text(path).map(Secret::new)
    }

    /// A connection string that can be read; it stays the text that it was.
    pub(super) fn dsn(&mut self, path: &'static str) -> Option<String> {
        let text = self.text(path)?;
        if let Err(error) = Dsn::parse(&text) {
            let end = if error.to_string().ends_with('?') { "" } else { "." };
            self.find(format!("{}: {error}{end}", self.at(path)));
        }
        Some(text)
    }

    /// A value of a type that is read from text, or its default.
    fn value<T>(&mut self, path: &'static str, read: impl Fn(&str) -> Option<T>) -> T {
        let key = keys::find(path);
        let fallback = || read(default(key)).expect("each default in the table of keys fits its kind");
        self.optional(path, &read).unwrap_or_else(fallback)
    }

    fn optional<T>(&mut self, path: &'static str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let key = keys::find(path);
        let text = self.text(path)?;
        let value = read(&text);
        if value.is_none() {
            let got = if key.kind.is_secret() { String::new() } else { format!(", and is `{text}`") };
            let meant = match key.kind {
                Kind::Word(words) => tree::closest(&text, words.iter().filter_map(|word| word.split('=').next())),
                _ => None,
            };
            let meant = meant.map(|word| format!("; did you mean `{word}`?")).unwrap_or_else(|| ".".to_owned());
            self.find(format!("{} must be {}{got}{meant}", self.at(path), key.kind.expected()));
        }
        value
    }

    /// A whole number within its bounds.
    pub(super) fn number(&mut self, path: &'static str) -> u32 {
        self.value(path, number_within(keys::find(path)))
    }

    /// A whole number within its bounds that may be absent.
    pub(super) fn optional_number(&mut self, path: &'static str) -> Option<u32> {
        self.optional(path, number_within(keys::find(path)))
    }

    /// A length of time.
    pub(super) fn duration(&mut self, path: &'static str) -> Duration {
        let Kind::Duration(least) = keys::find(path).kind else { unreachable!("{path} is a duration in the table") };
        let value = self.value(path, parse_duration);
        if value < Duration::from_millis(least) {
            self.find(format!("{} must be at least {least}ms.", self.at(path)));
        }
        value
    }

    /// Texts, none of them empty.
    pub(super) fn list(&self, path: &'static str) -> Option<Vec<String>> {
        let list =
            |text: String| text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        self.text(path).map(list)
    }

    /// One of a list of words, aliases resolved.
    pub(super) fn word(&mut self, path: &'static str) -> &'static str {
        let Kind::Word(words) = keys::find(path).kind else { unreachable!("{path} is a word in the table") };
        self.value(path, |text| {
            words.iter().find_map(|word| {
                let (name, means) = word.split_once('=').unwrap_or((word, word));
                (name == text).then_some(means)
            })
        })
    }

    /// One of a list of words, as the enum that has these names.
    pub(super) fn named<T: FromStr<Err: fmt::Debug>>(&mut self, path: &'static str) -> T {
        self.word(path).parse().expect("the table of keys has the names of the enum")
    }

    /// An address to listen on. As elsewhere, `:8080` means every interface and `localhost` the loopback.
    pub(super) fn address(&mut self, path: &'static str) -> SocketAddr {
        self.value(path, |text| match text.rsplit_once(':') {
            Some(("", port)) => Some((Ipv4Addr::UNSPECIFIED, port.parse().ok()?).into()),
            Some(("localhost", port)) => Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into()),
            _ => text.parse().ok(),
        })
    }

    /// An `http` or `https` address, without a slash at the end, or its default.
    pub(super) fn url(&mut self, path: &'static str) -> Option<String> {
        let text = self.text(path).or_else(|| keys::find(path).default.map(str::to_owned))?;
        let url = text.trim_end_matches('/');
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let wrong = match host.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default()) {
            None => Some("must begin with http:// or https://"),
            Some(host) if host.contains('@') => Some("must not hold a password; put it into `api_key` or `headers`"),
            Some(host) if host.is_empty() || host.starts_with(':') => Some("names no host"),
            Some(_) if url.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Some("holds a space or a line end")
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            self.find(format!("{} {wrong}.", self.at(path)));
        }
        Some(url.to_owned())
    }

    /// Headers, checked for what HTTP can carry.
    pub(super) fn headers(&mut self, path: &'static str) -> Headers {
        let given = self.headers.get(path).map(Vec::as_slice).unwrap_or_default();
        let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
        for (name, value) in given {
            let Source::File { name: file, line, .. } = &value.source else { continue };
            let token =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
            if !token {
                wrong
                    .push(format!("{file}:{line}: `{path}` has the header `{name}`; a name is letters, digits and -."));
            } else if value.text.contains(|c: char| c.is_control() && c != '\t') {
                wrong.push(format!(
                    "{file}:{line}: `{path}.{name}` holds a line end or another control character; remove it."
                ));
            } else if !seen.insert(name.to_ascii_lowercase()) {
                wrong.push(format!("{file}:{line}: `{path}` has the header `{name}` twice; keep one of the two."));
            }
        }
        let headers = given.iter().map(|(name, value)| (name.clone(), Secret::new(value.text.as_str()))).collect();
        self.findings.append(&mut wrong);
        headers
    }
}

fn default(key: &Key) -> &'static str {
    key.default.expect("each key that is read with a default has one in the table")
}

fn number_within(key: &Key) -> impl Fn(&str) -> Option<u32> {
    let Kind::Number(from, to) = key.kind else { unreachable!("{} is a number in the table", key.path) };
    move |text| text.parse().ok().filter(|number| (from..=to).contains(number))
}

/// A length of time as `30s`, `5m`, `1h30m` or `250ms`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        for (text, millis) in
            [("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("250ms", 250), ("1h30m", 5_400_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["30", "-5s", "soon", "", "5 x"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn every_default_fits_its_kind() {
        let mut reader = Reader::new(None, &|_| None);
        for key in keys::KEYS.iter().filter(|key| key.default.is_some()) {
            match key.kind {
                Kind::Number(..) => drop(reader.number(key.path)),
                Kind::Duration(_) => drop(reader.duration(key.path)),
                Kind::Word(_) => drop(reader.word(key.path)),
                Kind::Address => drop(reader.address(key.path)),
                Kind::Url => drop(reader.url(key.path)),
                Kind::Text => drop(reader.text_or_default(key.path)),
                Kind::Prefix | Kind::Secret | Kind::Dsn | Kind::Headers | Kind::List => {
                    panic!("{} cannot have a default", key.path)
                }
            }
        }
        assert_eq!(reader.finish(), Ok(BTreeMap::new()));
    }
}
