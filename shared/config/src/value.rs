//! The types of values: how each is read from text, and printed as the file would hold it.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use super::{
    Headers, MASK, Secret,
    keys::{Key, Kind},
    read::Reader,
};
use pgrecall_postgres::dsn::Dsn;

/// A key with its value as the file would hold it, secrets masked. `None`: unset.
pub(super) type Shown = (&'static Key, Option<String>);

/// The type of a field in a section.
pub(super) trait Setting: Sized {
    /// Reads the key. A value that does not fit becomes a finding, and the default is used.
    fn read(reader: &mut Reader, key: &'static Key) -> Self;

    /// Appends the key, or each key of a section, with its value in effect to `shown`.
    fn show(&self, key: &'static Key, shown: &mut Vec<Shown>);
}

/// A type that is read from one text. Without `Option`, a field needs a default or a type with an
/// empty value.
pub(super) trait Value: Sized {
    /// Parses a text. The error is the end of a sentence that begins with the key.
    fn parse(text: &str, kind: Kind) -> Result<Self, String>;

    /// Formats the value as the file would hold it.
    fn format(&self, kind: Kind) -> String;
}

impl<T: Value> Setting for T {
    fn read(reader: &mut Reader, key: &'static Key) -> Self {
        let default = || Self::parse(key.default.unwrap_or_default(), key.kind);
        reader.value(key).unwrap_or_else(|| default().expect("each default in the table of keys fits its kind"))
    }

    fn show(&self, key: &'static Key, shown: &mut Vec<Shown>) {
        shown.push((key, Some(self.format(key.kind))));
    }
}

impl<T: Value> Setting for Option<T> {
    fn read(reader: &mut Reader, key: &'static Key) -> Self {
        reader.value(key)
    }

    fn show(&self, key: &'static Key, shown: &mut Vec<Shown>) {
        shown.push((key, self.as_ref().map(|value| value.format(key.kind))));
    }
}

/// A limit; 0 means no limit.
impl Setting for Option<NonZeroU32> {
    fn read(reader: &mut Reader, key: &'static Key) -> Self {
        NonZeroU32::new(Setting::read(reader, key))
    }

    fn show(&self, key: &'static Key, shown: &mut Vec<Shown>) {
        self.map_or(0, u32::from).show(key, shown);
    }
}

impl Setting for Headers {
    fn read(reader: &mut Reader, key: &'static Key) -> Self {
        reader.headers(key.path)
    }

    fn show(&self, key: &'static Key, shown: &mut Vec<Shown>) {
        let headers: Vec<_> =
            self.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(&value.to_string()))).collect();
        shown.push((key, (!headers.is_empty()).then(|| format!("{{ {} }}", headers.join(", ")))));
    }
}

/// An element of a list that is parsed from its text.
pub(super) trait Part: fmt::Display + Sized {
    /// The expected form, as the end of "which is not …".
    const EXPECTED: &'static str;

    /// Parses an element.
    fn parse(text: &str) -> Option<Self>;
}

/// A list; an empty one counts as unset.
impl<T: Part> Setting for Vec<T> {
    fn read(reader: &mut Reader, key: &'static Key) -> Self {
        let texts: Vec<String> = reader.value(key).unwrap_or_default();
        let mut part = |text: String| {
            let part = T::parse(&text);
            if part.is_none() {
                reader.find_at(key.path, &format!(" holds `{text}`, which is not {}.", T::EXPECTED));
            }
            part
        };
        texts.into_iter().filter_map(&mut part).collect()
    }

    fn show(&self, key: &'static Key, shown: &mut Vec<Shown>) {
        let texts: Vec<String> = self.iter().map(ToString::to_string).collect();
        shown.push((key, (!texts.is_empty()).then(|| texts.format(key.kind))));
    }
}

/// An enum whose variants are the words of its key.
pub(super) trait Word: FromStr<Err: fmt::Debug> + Into<&'static str> + Copy {}

impl<T: Word> Value for T {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        word(text, kind).map(|word| word.parse().expect("the table of keys has the names of the enum"))
    }

    fn format(&self, _: Kind) -> String {
        Into::<&str>::into(*self).to_owned()
    }
}

impl Value for bool {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        word(text, kind).map(|word| word == "true")
    }

    fn format(&self, _: Kind) -> String {
        self.to_string()
    }
}

/// Returns the word of the key that `text` names, aliases resolved.
fn word(text: &str, kind: Kind) -> Result<&'static str, String> {
    let Kind::Word(words) = kind else { unreachable!("an enum's key is one of a list of words") };
    let pairs = words.iter().map(|word| word.split_once('=').unwrap_or((word, word)));
    pairs.into_iter().find(|(name, _)| *name == text).map(|(_, means)| means).ok_or_else(|| kind.refusal(text))
}

impl Value for String {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        match kind {
            // An unset key without a default gives an empty field.
            _ if text.is_empty() => Ok(Self::new()),
            Kind::Url => parse_url(text),
            Kind::Dsn => check_dsn(text).map(|()| text.to_owned()),
            _ => Ok(text.to_owned()),
        }
    }

    fn format(&self, kind: Kind) -> String {
        match (kind, self.split_once('?')) {
            (Kind::Dsn, _) => quoted(&masked_dsn(self)),
            // The query string may hold an API key.
            (Kind::Url, Some((address, _))) => quoted(&format!("{address}?{MASK}")),
            _ => quoted(self),
        }
    }
}

/// Returns the URL without its trailing slash.
fn parse_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let wrong = match host.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default()) {
        None => "must begin with http:// or https://",
        Some(host) if host.contains('@') => "must not hold a password; put it into `api_key` or `headers`",
        Some(host) if host.is_empty() || host.starts_with(':') => "names no host",
        Some(_) if url.contains(|c: char| c.is_whitespace() || c.is_control()) => "holds a space or a line end",
        Some(_) => return Ok(url.to_owned()),
    };
    Err(format!(" {wrong}."))
}

fn check_dsn(text: &str) -> Result<(), String> {
    let sentence = |error: String| if error.ends_with('?') { format!(": {error}") } else { format!(": {error}.") };
    Dsn::parse(text).map(drop).map_err(|error| sentence(error.to_string()))
}

/// Returns a connection string without its password; masks the whole text if it cannot be parsed.
pub(super) fn masked_dsn(dsn: &str) -> String {
    Dsn::parse(dsn).map_or_else(|_| MASK.to_owned(), |dsn| dsn.redacted())
}

/// Quotes a text for YAML, which shares JSON's escapes. `${` is doubled, so reading it back does
/// not expand it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}

impl Value for Vec<String> {
    fn parse(text: &str, _: Kind) -> Result<Self, String> {
        Ok(text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
    }

    fn format(&self, _: Kind) -> String {
        format!("[{}]", self.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
    }
}

impl Value for Secret {
    fn parse(text: &str, _: Kind) -> Result<Self, String> {
        Ok(Self::new(text))
    }

    fn format(&self, _: Kind) -> String {
        quoted(&self.to_string())
    }
}

impl Value for PathBuf {
    fn parse(text: &str, _: Kind) -> Result<Self, String> {
        Ok(text.into())
    }

    fn format(&self, _: Kind) -> String {
        quoted(&self.display().to_string())
    }
}

/// An address; as in other programs, `:8080` means every interface and `localhost` the loopback.
impl Value for SocketAddr {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        let on = |host: Ipv4Addr, port: &str| port.parse().ok().map(|port: u16| (host, port).into());
        let address = match text.rsplit_once(':') {
            Some(("", port)) => on(Ipv4Addr::UNSPECIFIED, port),
            Some(("localhost", port)) => on(Ipv4Addr::LOCALHOST, port),
            _ => text.parse().ok(),
        };
        address.ok_or_else(|| kind.refusal(text))
    }

    fn format(&self, _: Kind) -> String {
        quoted(&self.to_string())
    }
}

impl Value for Duration {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        let Kind::Duration(least) = kind else { unreachable!("a duration's key is one") };
        match parse_duration(text) {
            Some(duration) if duration < Self::from_millis(least) => Err(format!(" must be at least {least}ms.")),
            Some(duration) => Ok(duration),
            None => Err(kind.refusal(text)),
        }
    }

    /// Formats with the units of the file: `1h30m`, `250ms`.
    fn format(&self, _: Kind) -> String {
        let (seconds, millis) = (self.as_secs(), self.subsec_millis());
        let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(millis), "ms")];
        units.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
    }
}

/// Parses a duration such as `30s`, `5m`, `1h30m` or `250ms`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok())
}

impl Value for u64 {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        let (Kind::Number(from, to) | Kind::Mebibytes(from, to)) = kind else { unreachable!("a number's key is one") };
        let number = text.parse().ok().filter(|number| (from..=to).contains(number)).map(Self::from);
        number.map(|number| number << shift(kind)).ok_or_else(|| kind.refusal(text))
    }

    fn format(&self, kind: Kind) -> String {
        (self >> shift(kind)).to_string()
    }
}

/// Returns the left shift from the number of the key to that of the field: 20 from MiB to bytes.
fn shift(kind: Kind) -> u32 {
    if matches!(kind, Kind::Mebibytes(..)) { 20 } else { 0 }
}

impl Value for u32 {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        u64::parse(text, kind).map(|number| number as Self)
    }

    fn format(&self, _: Kind) -> String {
        self.to_string()
    }
}

impl Value for usize {
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        u64::parse(text, kind).map(|number| number as Self)
    }

    fn format(&self, _: Kind) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::keys;

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
                Kind::Number(..) | Kind::Mebibytes(..) => drop(u64::read(&mut reader, key)),
                Kind::Duration(_) => drop(Duration::read(&mut reader, key)),
                Kind::Word(_) => drop(word(key.default.unwrap(), key.kind).unwrap()),
                Kind::Address => drop(SocketAddr::read(&mut reader, key)),
                Kind::Url | Kind::Text => drop(String::read(&mut reader, key)),
                Kind::Prefix | Kind::Secret | Kind::Dsn | Kind::Headers | Kind::List | Kind::Section(_) => {
                    panic!("{} cannot have a default", key.path)
                }
            }
        }
        assert_eq!(reader.finish(), Ok(BTreeMap::new()));
    }
}
