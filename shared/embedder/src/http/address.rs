//! A configured URL: the address to call, and the part of it that may be shown and stored.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::EmbedError;

/// The address of a provider, with the query string apart so that the model's identity does not
/// hold it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Scheme, host, port and path, without a slash at the end.
    pub(crate) base: String,
    /// The query string with its question mark, or an empty text.
    query: String,
    /// Whether the host is a loopback address.
    pub(super) is_loopback: bool,
}

impl Address {
    /// Parses a configured URL.
    pub(crate) fn parse(url: &str) -> Result<Self, EmbedError> {
        let wrong = |why: &str| EmbedError::Configuration(format!("{why}, as in http://localhost:11434"));
        let uri: Uri = url.trim().parse().map_err(|_| wrong("its url must be an http or https address"))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("its url must begin with http:// or https://"));
        };
        if authority.as_str().contains('@') {
            return Err(EmbedError::Configuration(
                "its url holds credentials, which would end up in logs and in the database; put them under api_key or headers"
                    .to_owned(),
            ));
        }
        let host = authority.host().trim_matches(['[', ']']);
        Ok(Self {
            base: format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/')),
            query: uri.query().map(|query| format!("?{query}")).unwrap_or_default(),
            is_loopback: host.eq_ignore_ascii_case("localhost")
                || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        })
    }

    /// Returns the URL of `path`, which begins with a slash, with the query string.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}{}", self.base, self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_last_slash_and_keep_their_query_out_of_the_base() {
        let address = Address::parse("https://host:1/v1/?api-version=2").expect("an address");
        assert_eq!(address.base, "https://host:1/v1");
        assert_eq!(address.join("/embeddings"), "https://host:1/v1/embeddings?api-version=2");
        assert!(!address.is_loopback);
        for url in ["http://localhost:1", "http://127.0.0.1", "http://[::1]:80/x"] {
            assert!(Address::parse(url).expect("an address").is_loopback, "{url}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused_with_what_to_write() {
        for url in ["ollama:11434", "ftp://host", "", "http://", "http://user:secret@host"] {
            let error = Address::parse(url).expect_err(url);
            assert!(matches!(error, EmbedError::Configuration(_)), "{url}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
