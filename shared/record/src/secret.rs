//! A text that must not appear in a log, an error message or a printed configuration.
//!
//! `Debug`, `Display` and `Serialize` all write a mask, so that a `{:?}` of any structure with a
//! secret in it is harmless. Only `expose` returns the text, which makes its uses easy to search
//! for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// The mask that is written instead of a secret.
pub const MASK: &str = "****";

/// An API key, a header's value or another text that only its recipient may see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// HTTP headers sent with each request to a server.
pub type Headers = BTreeMap<String, Secret>;

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself, for the code that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Masks the secret in `text`: some servers quote a key that they refuse.
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
