//! A text that must not reach a log, an error message or a printed configuration.
//!
//! `Debug`, `Display` and `Serialize` all show a mask, so that a `{:?}` of any structure that holds a secret is harmless.
//! The one way to the text is `expose`, which a reader can search for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// What every secret looks like from outside.
pub const MASK: &str = "****";

/// An API key, a header's value or another text that only the far end may see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Headers sent with each request to a server.
pub type Headers = BTreeMap<String, Secret>;

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without the secret in it: servers quote the key that they refuse.
    pub fn blot_out(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, MASK) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_mask_wherever_it_is_written() {
        let secret = Secret::new("sk-123");
        assert_eq!(format!("{secret} {secret:?}"), "**** ****");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"****\"");
        assert_eq!(secret.expose(), "sk-123");
    }
}
