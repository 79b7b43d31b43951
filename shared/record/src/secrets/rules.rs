//! The rules that recognize secrets.
//!
//! A rule is as narrow as its issuer's format allows, because a hash, a UUID, an encoded image or a
//! piece of code must not match. Where a format is ambiguous (`password=`, `sk-`), a second
//! function judges the value.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::Found;

/// A match of a rule's pattern.
struct Match<'t> {
    text: &'t str,
    /// The part that the rule considers the secret.
    secret: &'t str,
    /// The end of the secret.
    end: usize,
    /// The start of the whole match.
    start: usize,
}

type Judge = fn(&Match<'_>) -> bool;

/// A rule for one format.
pub(super) struct Rule {
    /// The name of the secret's kind, in the text that replaces it and in reports.
    pub(super) kind: &'static str,
    /// The pattern. Its group `s`, if there is one, is the secret; otherwise the whole match is.
    pattern: Regex,
    judge: Judge,
}

impl Rule {
    pub(super) fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        self.pattern.captures_iter(text).filter_map(move |captures| {
            let whole = captures.get(0)?.range();
            let range = captures.name("s").map_or_else(|| whole.clone(), |group| group.range());
            let found = Match { text, secret: &text[range.clone()], end: range.end, start: whole.start };
            (self.judge)(&found).then_some(range)
        })
    }
}

/// Returns every rule. Private keys are not among them: see [`private_keys`].
pub(super) fn all() -> &'static [Rule] {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let rule = |(kind, pattern, judge): (&'static str, &str, Judge)| Rule {
            kind,
            pattern: Regex::new(pattern).expect("the pattern is a constant that a test compiles"),
            judge,
        };
        PREFIXED.iter().map(|(kind, pattern)| (*kind, *pattern, is_varied as Judge)).chain(JUDGED).map(rule).collect()
    });
    &RULES
}

/// Keys with a prefix of their issuer. `(?-u:\b)` is the ASCII word boundary, which the regex
/// engine's fast DFA supports for any text.
const PREFIXED: &[(&str, &str)] = &[
    ("anthropic key", r"(?-u:\b)sk-ant-[A-Za-z0-9_-]{20,}"),
    ("openai key", r"(?-u:\b)sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}"),
    ("api key", r"(?-u:\b)sk-(?:or-v1-)?(?:[0-9a-f]{64}|[0-9a-f]{32})(?-u:\b)"),
    ("aws access key", r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?-u:\b)"),
    (
        "aws secret key",
        r#"(?i-u:aws_?secret_?access_?key)["']?\s?[=:]\s?["']?(?P<s>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
    ),
    ("azure storage key", r"(?i-u:accountkey)=(?P<s>[A-Za-z0-9/+]{86}==)"),
    ("digitalocean token", r"(?-u:\b)do[oprt]_v1_[0-9a-f]{64}(?-u:\b)"),
    ("github token", r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})"),
    (
        "gitlab token",
        r"(?-u:\b)gl(?:pat|ptt|dt|rt|soat|cbt|ft|imt|oas|agent)-[A-Za-z0-9_-]{20,}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?",
    ),
    ("google api key", r"(?-u:\b)AIza[A-Za-z0-9_-]{35}"),
    ("google oauth secret", r"(?-u:\b)(?:GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{30,})"),
    ("hugging face token", r"(?-u:\b)hf_[A-Za-z0-9]{34,}"),
    ("json web token", r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"),
    ("npm token", r"(?-u:\b)npm_[A-Za-z0-9]{36}(?-u:\b)"),
    ("pgrecall key", r"(?-u:\b)pgr_[A-Za-z0-9_-]{40,}"),
    ("pypi token", r"(?-u:\b)pypi-AgE[A-Za-z0-9_-]{40,}"),
    ("sendgrid key", r"(?-u:\b)SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("slack token", r"(?-u:\b)(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Z0-9]+-[0-9]+-[A-Za-z0-9]+)"),
    ("slack webhook", r"https://hooks\.slack\.com/services/(?P<s>T[A-Za-z0-9_]+/B[A-Za-z0-9_]+/[A-Za-z0-9]{20,})"),
    ("stripe key", r"(?-u:\b)(?:(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,})"),
];

/// Formats that code, prose and examples can match too, so that each match is judged.
const JUDGED: [(&str, &str, Judge); 6] = [
    ("openai key", r"(?-u:\b)sk-[A-Za-z0-9_-]{32,}", |found| is_mixed(found.secret)),
    // Up to the last `@`, because a password may contain one.
    ("password", r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@:"'<>`()\[\],;]*:(?P<s>[^\s/?#"'<>`]+)@"#, |found| {
        !is_placeholder(found.secret) && !begins_with_port(found.secret)
    }),
    // No word boundary before the name: `DB_PASSWORD`, `PGPASSWORD` and `dbPassword` name passwords
    // too.
    ("password", r"(?i-u:password|passwd|pwd)\s?[=:]\s?'(?P<s>[^'\n]+)'", is_password),
    ("password", r#"(?i-u:password|passwd|pwd)["']?\s?[=:]\s?"(?P<s>[^"\n]+)""#, is_password),
    ("password", r#"(?i-u:password|passwd|pwd)\s?[=:]\s?(?P<s>[^\s;,'"&()\[\]{}<>`]+)"#, is_bare_password),
    (
        "bearer token",
        r#"(?i-u:(?:authorization|proxy-authorization)["']?\s?[:=]\s?["']?(?:bearer|basic|token))\s(?P<s>[A-Za-z0-9._~+/=-]{8,})"#,
        |found| !is_placeholder(found.secret) && classes(found.secret) >= 2 && !is_word(found.secret),
    ),
];

/// Returns whether a quoted value is a password. In a connection string every value that is not a
/// placeholder is one.
fn is_password(found: &Match<'_>) -> bool {
    let looks_like_one = is_strong(found.secret) && !is_address(found.secret);
    !is_placeholder(found.secret) && (is_in_connection_string(found) || looks_like_one)
}

/// Returns whether an unquoted value is a password. Code writes names there:
/// `password=settings.password`, `connect(user=name, password=secret)`.
fn is_bare_password(found: &Match<'_>) -> bool {
    let next = found.text[found.end..].chars().next();
    let is_call = matches!(next, Some('(' | '[' | '{'));
    let is_argument = matches!(next, Some(',' | ')'));
    let is_name = found.secret.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.'))
        && found.secret.contains(['_', '.']);
    let is_path = found.secret.starts_with(['/', '~', '.']) || is_address(found.secret);
    if is_placeholder(found.secret) || is_call {
        return false;
    }
    let is_plain_name = is_name && !found.secret.contains(|letter: char| letter.is_ascii_digit());
    (is_in_connection_string(found) && !is_argument && !is_plain_name)
        || (is_strong(found.secret) && !is_name && !is_path)
}

/// Returns whether a value is a URL or a path with a drive, which says only where a password or a
/// file is.
fn is_address(text: &str) -> bool {
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_drive = |drive: &str| drive.len() == 1 && drive.as_bytes()[0].is_ascii_alphabetic();
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
        || text.split_once(":\\").is_some_and(|(drive, _)| is_drive(drive))
}

/// Returns whether the match is an address's port and the text after it: `8080),[mail](mailto:ops`.
fn begins_with_port(text: &str) -> bool {
    let after = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    (1..=5).contains(&(text.len() - after.len())) && after.starts_with([')', ']', ',', ';'])
}

/// Returns whether a text is one word of prose, such as `Authentication`, possibly at the end of a
/// sentence.
fn is_word(text: &str) -> bool {
    text.trim_end_matches('.').bytes().skip(1).all(|byte| byte.is_ascii_lowercase())
}

/// Returns whether other parts of a connection string are on the same line.
fn is_in_connection_string(found: &Match<'_>) -> bool {
    const NEAR: usize = 200;
    const PARTS: [&str; 9] =
        ["host=", "hostaddr=", "user=", "username=", "dbname=", "server=", "data source=", "user id=", "uid="];
    let from = found.text.floor_char_boundary(found.start.saturating_sub(NEAR));
    let to = found.text.floor_char_boundary((found.end + NEAR).min(found.text.len()));
    let before = found.text[from..found.start].rsplit('\n').next().unwrap_or_default();
    let after = found.text[found.end..to].split('\n').next().unwrap_or_default();
    [before, after].iter().any(|side| {
        let side = side.to_ascii_lowercase().replace(" =", "=");
        PARTS.iter().any(|part| side.contains(part))
    })
}

/// Returns whether a secret has at least 8 different characters. `ghp_xxxxxxxx` is a placeholder,
/// not a token.
fn is_varied(found: &Match<'_>) -> bool {
    let mut seen = [false; 128];
    found.secret.bytes().filter(u8::is_ascii).for_each(|byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|seen| **seen).count() >= 8
}

/// Returns whether a text has capitals, small letters and digits, as generated keys have.
fn is_mixed(text: &str) -> bool {
    let has = |class: fn(&u8) -> bool| text.as_bytes()[2..].iter().any(class);
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// Returns whether a value looks like a password and not like a word.
fn is_strong(text: &str) -> bool {
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    text.len() >= 8 && has_digit && classes(text) >= 2 && !text.contains(' ')
}

/// Returns the number of character classes in a text: capitals, small letters, digits, and others.
fn classes(text: &str) -> usize {
    let is: [fn(char) -> bool; 4] = [
        |letter| letter.is_uppercase(),
        |letter| letter.is_lowercase(),
        |letter| letter.is_ascii_digit(),
        |letter| !letter.is_alphanumeric(),
    ];
    is.iter().filter(|is| text.chars().any(**is)).count()
}

/// Returns whether a value is a placeholder that the reader or a program fills in.
fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 12] =
        ["password", "passwd", "pass", "pwd", "pw", "secret", "token", "none", "null", "true", "false", "hidden"];
    const PARTS: [&str; 9] =
        ["example", "placeholder", "changeme", "redacted", "your_", "your-", "yourpass", "xxxx", "***"];
    let text = text.to_ascii_lowercase();
    text.len() < 2
        || text.starts_with(['$', '%', '<', '{', '['])
        || text.starts_with("...")
        || WORDS.contains(&text.as_str())
        || PARTS.iter().any(|part| text.contains(part))
}

/// Finds private keys in PEM. A regex would not do: a key has no maximum length, and a text of
/// nothing but `BEGIN` markers must not be searched to its end from each of them.
pub(super) fn private_keys(text: &str) -> Vec<Found> {
    const BEGIN: &str = "-----BEGIN ";
    const DASHES: &str = "-----";
    /// Maximum bytes of a label such as `ENCRYPTED PRIVATE KEY` or `PGP PRIVATE KEY BLOCK`, with a
    /// margin.
    const LONGEST_LABEL: usize = 64;
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = text[from..].find(BEGIN) {
        let start = from + at;
        let label = start + BEGIN.len();
        from = label;
        let window = &text[label..text.floor_char_boundary((label + LONGEST_LABEL).min(text.len()))];
        let Some(label_end) = window.find(DASHES).filter(|end| window[..*end].contains("PRIVATE KEY")) else {
            continue;
        };
        let body = label + label_end + DASHES.len();
        let marker = text[body..].find(DASHES).map(|at| body + at);
        let content = &text[body..marker.unwrap_or(text.len())];
        let ends = marker.filter(|at| text[*at..].starts_with("-----END "));
        let end = match ends {
            Some(at) if longest_run(content) >= 16 => {
                let after = at + "-----END ".len();
                text[after..].find(DASHES).map_or(text.len(), |end| after + end + DASHES.len())
            }
            None => body + encoded(content),
            Some(_) => body,
        };
        if end > body {
            found.push(Found { kind: "private key", range: start..end });
        }
        from = end;
    }
    found
}

fn is_encoding(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=')
}

/// Returns the length of the longest run of characters that an encoded key may contain.
fn longest_run(text: &str) -> usize {
    text.split(|letter| !is_encoding(letter)).map(str::len).max().unwrap_or_default()
}

/// Returns the length of an encoded key that has no end marker; 0 if the text does not begin with
/// one.
fn encoded(text: &str) -> usize {
    let (mut at, mut end) = (0, 0);
    for word in text.split_inclusive(char::is_whitespace) {
        let trimmed = word.trim_end();
        // A line of a key has at least 32 such characters, with real line breaks or with JSON's
        // `\n`.
        match longest_run(trimmed) {
            0 if trimmed.is_empty() => {}
            ..32 => break,
            _ => end = at + trimmed.len(),
        }
        at += word.len();
    }
    end
}
