//! Secrets: redaction of credentials in records before they are stored.
//!
//! Stored text is searched, embedded, exported and shown to models, and a credential must not reach
//! any of these. So a record is screened before it is hashed, split or embedded. The rules
//! ([`rules`]) know only formats that are unlikely to match by accident: a key with its issuer's
//! prefix, a password in a connection string. A secret in prose ("the code is swordfish") is not
//! recognized.
//!
//! The regex engine takes linear time in the length of the text, so no text can make screening
//! slow.

mod rules;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr};

use crate::source::{Record, RecordError};

/// The policy for credentials in a record that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Secrets {
    /// Replaces each secret by a note of its kind.
    Redact,
    /// Refuses the record.
    Refuse,
    /// Stores the record unchanged.
    Off,
}

/// The number of redacted secrets of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Redactions(BTreeMap<&'static str, u64>);

impl Redactions {
    /// Returns whether nothing was redacted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the total number of redacted secrets.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Adds the counts of another record.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    fn add_one(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }
}

impl std::fmt::Display for Redactions {
    /// Writes `2 secrets (github token, password)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<&str> = self.0.keys().copied().collect();
        let noun = if self.count() == 1 { "secret" } else { "secrets" };
        write!(f, "{} {noun} ({})", self.count(), kinds.join(", "))
    }
}

/// A secret found in a text.
struct Found {
    kind: &'static str,
    range: Range<usize>,
}

/// Redacts the secrets in a record, or refuses the record, depending on `policy`.
///
/// # Errors
/// If the policy is [`Secrets::Refuse`], or if the key or the collection contains a secret: these
/// are names, and a redacted name would identify another record.
pub fn screen(record: &mut Record, policy: Secrets) -> Result<Redactions, RecordError> {
    let mut redacted = Redactions::default();
    if policy == Secrets::Off {
        return Ok(redacted);
    }
    for (field, name) in
        [("key", record.fields.key.as_deref().unwrap_or_default()), ("collection", &record.fields.collection)]
    {
        if let Some(found) = find(name).first() {
            return Err(RecordError::Secret { field, kind: found.kind });
        }
    }
    let refuses = policy == Secrets::Refuse;
    let mut refused = None;
    let mut screen = |field: &'static str, text: &mut String| {
        let found = find(text);
        if let Some(first) = found.first() {
            refused.get_or_insert(RecordError::Secret { field, kind: first.kind });
            found.iter().for_each(|found| redacted.add_one(found.kind));
            *text = replaced(text, &found);
        }
    };
    screen("text", &mut record.body);
    screen("title", &mut record.fields.title);
    for (field, text) in [
        ("uri", &mut record.fields.uri),
        ("category", &mut record.fields.category),
        ("source", &mut record.fields.origin),
    ] {
        text.iter_mut().for_each(|text| screen(field, text));
    }
    record.fields.tags.iter_mut().for_each(|tag| screen("tags", tag));
    record.fields.entity_urns.iter_mut().for_each(|urn| screen("entity_urns", urn));
    screen_object(&mut record.fields.metadata, &mut |text| screen("metadata", text));
    if let Some(details) = &mut record.details {
        screen_object(details, &mut |text| screen("details", text));
    }
    match refused {
        Some(error) if refuses => Err(error),
        _ => Ok(redacted),
    }
}

/// Returns the text with its secrets redacted.
pub fn redact(text: &str) -> Cow<'_, str> {
    let found = find(text);
    if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replaced(text, &found)) }
}

/// Screens all text in free data, including the names of fields.
fn screen_object(object: &mut Map<String, Value>, screen: &mut impl FnMut(&mut String)) {
    // Rebuilds the object only if a name contains a secret, which is rare. The order of the names
    // is kept.
    if object.keys().any(|name| !find(name).is_empty()) {
        let renamed = std::mem::take(object).into_iter().map(|(mut name, value)| {
            screen(&mut name);
            (name, value)
        });
        *object = renamed.collect();
    }
    object.values_mut().for_each(|value| screen_value(value, screen));
}

fn screen_value(value: &mut Value, screen: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => screen(text),
        Value::Array(items) => items.iter_mut().for_each(|item| screen_value(item, screen)),
        Value::Object(object) => screen_object(object, screen),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Finds the secrets in a text, in order and without overlaps.
fn find(text: &str) -> Vec<Found> {
    let mut found = rules::private_keys(text);
    for rule in rules::all() {
        found.extend(rule.find(text).map(|range| Found { kind: rule.kind, range }));
    }
    // Of two overlapping matches the longer one is kept; of two equally long ones, the match of the
    // earlier rule.
    found.sort_by_key(|found| std::cmp::Reverse(found.range.len()));
    let mut kept: BTreeMap<usize, Found> = BTreeMap::new();
    for found in found {
        let before = kept.range(..found.range.end).next_back();
        if before.is_none_or(|(_, before)| before.range.end <= found.range.start) {
            kept.insert(found.range.start, found);
        }
    }
    kept.into_values().collect()
}

fn replaced(text: &str, found: &[Found]) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for Found { kind, range } in found {
        out.push_str(&text[from..range.start]);
        out.push_str(&format!("[redacted: {kind}]"));
        from = range.end;
    }
    out + &text[from..]
}
