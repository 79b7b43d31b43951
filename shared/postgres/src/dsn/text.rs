//! Splits a connection string, a `postgres://` URL or `key=value` pairs, as libpq does.
//!
//! The result is names and texts; `options` interprets them. The positions of passwords are
//! recorded, so that the string can be shown as written without them.

use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::DsnError;
use pgrecall_record::secret::MASK;

/// The options of a connection string in order, where a later one overrides an earlier one, and the
/// string with its passwords masked.
#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub(super) options: Vec<(String, String)>,
    pub(super) masked: String,
}

/// Splits a connection string into its options.
pub(super) fn parse(text: &str) -> Result<Text, DsnError> {
    let mut parts = Parts::default();
    let scheme = ["postgres://", "postgresql://"].iter().find(|scheme| text.starts_with(**scheme));
    match scheme {
        Some(scheme) => url(text, scheme.len(), &mut parts)?,
        None => pairs(text, &mut parts)?,
    }
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for secret in parts.secrets {
        masked.push_str(&text[from..secret.start]);
        masked.push_str(MASK);
        from = secret.end;
        // The mask also replaces the quotes, and without them the next name would continue the
        // mask.
        if scheme.is_none() && text[from..].starts_with(|next: char| !next.is_whitespace()) {
            masked.push(' ');
        }
    }
    masked.push_str(&text[from..]);
    Ok(Text { options: parts.options, masked })
}

#[derive(Default)]
struct Parts {
    options: Vec<(String, String)>,
    /// The positions of passwords in the string, in order.
    secrets: Vec<Range<usize>>,
}

impl Parts {
    fn push(&mut self, name: &str, value: String, at: Range<usize>) {
        if matches!(name, "password" | "sslpassword") {
            self.secrets.push(at);
        }
        self.options.push((name.to_owned(), value));
    }
}

/// Splits `user:password@host:port,host:port/database?name=value&…`. Each part is percent-encoded
/// and optional.
fn url(text: &str, start: usize, parts: &mut Parts) -> Result<(), DsnError> {
    let end = text[start..].find(['/', '?']).map_or(text.len(), |at| start + at);
    let authority = &text[start..end];
    if authority.matches('@').count() > 1 {
        return Err(DsnError::Malformed(
            "has more than one @ before the host; write an @ of the user or password as %40",
        ));
    }
    let (login, hosts) = authority.split_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
    if let Some(login) = login {
        let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
        if !user.is_empty() {
            parts.push("user", decode(user)?, 0..0);
        }
        if let Some(password) = password {
            let at = start + user.len() + 1;
            parts.push("password", decode(password)?, at..at + password.len());
        }
    }
    if !hosts.is_empty() {
        let (hosts, ports) = host_list(hosts, text[end..].contains('@'))?;
        parts.push("host", hosts, 0..0);
        parts.push("port", ports, 0..0);
    }
    let (path, query) = text[end..].split_once('?').map_or((&text[end..], None), |(path, query)| (path, Some(query)));
    if let Some(database) = path.strip_prefix('/').filter(|database| !database.is_empty()) {
        parts.push("dbname", decode(database)?, 0..0);
    }
    let mut at = end + path.len() + 1;
    for pair in query.unwrap_or_default().split('&') {
        if !pair.is_empty() {
            let (name, value) =
                pair.split_once('=').ok_or(DsnError::Malformed("has an option without a value after `?`"))?;
            let place = at + name.len() + 1..at + pair.len();
            match (decode(name)?.as_str(), value) {
                // libpq accepts this option of JDBC URLs.
                ("ssl", "true") => parts.push("sslmode", "require".to_owned(), place),
                (name, _) => parts.push(name, decode(value)?, place),
            }
        }
        at += pair.len() + 1;
    }
    Ok(())
}

/// Splits `host:port,[v6]:port,…` into the lists of the options `host` and `port`.
fn host_list(hosts: &str, at_sign_follows: bool) -> Result<(String, String), DsnError> {
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for chunk in hosts.split(',') {
        let (name, port) = match chunk.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((name, rest))) => (name, rest.strip_prefix(':').unwrap_or(rest)),
            Some(None) => return Err(DsnError::Malformed("has a [ without its ] around an IPv6 address")),
            None => chunk.split_once(':').unwrap_or((chunk, "")),
        };
        if at_sign_follows && !port.is_empty() && port.parse::<u16>().is_err() {
            return Err(DsnError::Malformed("has a / or ? in its user or password; write it as %2F or %3F"));
        }
        names.push(decode(name)?);
        ports.push(decode(port)?);
    }
    Ok((names.join(","), ports.join(",")))
}

fn decode(text: &str) -> Result<String, DsnError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| DsnError::Malformed("has a % code that is not UTF-8"))
}

/// Splits `name = value name='quoted \' value'`. Spaces around `=` are allowed, and a backslash
/// escapes the next character.
fn pairs(text: &str, parts: &mut Parts) -> Result<(), DsnError> {
    let mut at = 0;
    let skip_spaces = |at: usize| at + text[at..].len() - text[at..].trim_start().len();
    loop {
        at = skip_spaces(at);
        if at == text.len() {
            return Ok(());
        }
        let end = text[at..].find(|c: char| c == '=' || c.is_whitespace()).map_or(text.len(), |length| at + length);
        let name = &text[at..end];
        at = skip_spaces(end);
        if !text[at..].starts_with('=') {
            return Err(DsnError::Malformed("is neither a postgres:// URL nor pairs of name=value"));
        }
        at = skip_spaces(at + 1);
        let (value, length) = value(&text[at..])?;
        parts.push(name, value, at..at + length);
        at += length;
    }
}

/// Returns the value at the start of a text, and its length there in bytes.
fn value(text: &str) -> Result<(String, usize), DsnError> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            '\'' if quoted => return Ok((value, at + 1)),
            c if c.is_whitespace() && !quoted => return Ok((value, at)),
            c => value.push(c),
        }
    }
    if quoted { Err(DsnError::Malformed("has a quote without its end")) } else { Ok((value, text.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().options
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_url_is_taken_apart_and_decoded() {
        assert_eq!(
            options("postgres://me:p%40ss@db:5433/my%20base?sslmode=require&options=-c%20a%3Db"),
            [
                pair("user", "me"),
                pair("password", "p@ss"),
                pair("host", "db"),
                pair("port", "5433"),
                pair("dbname", "my base"),
                pair("sslmode", "require"),
                pair("options", "-c a=b"),
            ]
        );
    }

    #[test]
    fn every_part_of_a_url_may_be_missing() {
        assert_eq!(options("postgresql://"), []);
        assert_eq!(options("postgres:///x"), [pair("dbname", "x")]);
        assert_eq!(options("postgres:///x?host=/run/pg"), [pair("dbname", "x"), pair("host", "/run/pg")]);
        assert_eq!(options("postgres://%2Frun%2Fpg/x")[0], pair("host", "/run/pg"));
        assert_eq!(options("postgres://h?ssl=true")[2], pair("sslmode", "require"));
    }

    #[test]
    fn several_hosts_keep_their_ports() {
        let options = options("postgres://a:1,[::1]:2,c/x");
        assert_eq!(options[..2], [pair("host", "a,::1,c"), pair("port", "1,2,")]);
    }

    #[test]
    fn pairs_may_be_quoted_and_spaced() {
        assert_eq!(
            options(r"host = /run/pg  password='it\'s a \\ secret' dbname=a\ b user=''"),
            [pair("host", "/run/pg"), pair("password", r"it's a \ secret"), pair("dbname", "a b"), pair("user", "")]
        );
    }

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        let masked = |text: &str| parse(text).unwrap().masked;
        assert_eq!(masked("postgres://u:pw%40@h/x"), "postgres://u:****@h/x");
        assert_eq!(
            masked("postgres://u@h/x?password=pw&a=b&sslpassword=k"),
            "postgres://u@h/x?password=****&a=b&sslpassword=****"
        );
        assert_eq!(masked("host=h password='p w' user=u"), "host=h password=**** user=u");
        assert_eq!(masked("password='p'user=u"), "password=**** user=u");
        assert_eq!(masked("host=h"), "host=h");
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        let refused = |text: &str| parse(text).unwrap_err().to_string();
        assert!(refused("mysql://h/x").contains("postgres:// URL"));
        assert!(refused("just words").contains("name=value"));
        assert!(refused("postgres://u:p@ss@h/x").contains("%40"));
        assert!(refused("postgres://u:p/ss@h/x").contains("%2F"));
        assert!(refused("password='x").contains("quote"));
        assert!(refused("postgres://h/x?sslmode").contains("without a value"));
    }
}
