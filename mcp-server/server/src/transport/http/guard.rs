//! Checks Host and Origin.
//!
//! A page of another site must not reach a server on the reader's own machine or network, neither
//! by pointing its own name there (DNS rebinding) nor by a plain cross-origin request.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::{Edge, refusal};

/// The hosts that requests may name, and the origins whose pages may send them.
#[derive(Debug, Clone)]
pub struct Guard {
    /// `None` allows any host.
    hosts: Option<Vec<Authority>>,
    origins: Vec<Uri>,
}

impl Guard {
    /// Creates a guard. An error is a sentence.
    ///
    /// A host is a name, or a name with a port; `*` allows any. An origin is `scheme://host` or
    /// `scheme://host:port`.
    pub fn new<'a>(
        hosts: impl Iterator<Item = &'a str>,
        origins: impl Iterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let hosts: Vec<&str> = hosts.collect();
        let named = |host: &&str| {
            host.parse::<Authority>()
                .ok()
                .filter(|authority| !authority.as_str().contains('@'))
                .ok_or_else(|| format!("`{host}` is not a host name: write it like example.com or example.com:8443"))
        };
        let any = hosts.contains(&"*");
        let hosts = if any { None } else { Some(hosts.iter().map(named).collect::<Result<_, _>>()?) };
        let page = |origin: &str| {
            parse_origin(origin).ok_or_else(|| {
                format!("`{origin}` is not an origin: write it like https://example.com or https://example.com:8443")
            })
        };
        Ok(Self { hosts, origins: origins.map(page).collect::<Result<_, _>>()? })
    }

    /// Whether an origin is on the list.
    pub(super) fn lists(&self, origin: &HeaderValue) -> bool {
        let Some(origin) = origin.to_str().ok().and_then(parse_origin) else { return false };
        self.origins.iter().any(|listed| same_origin(listed, &origin))
    }

    /// Returns the problem of a request's Host or Origin, if there is one.
    fn violation(&self, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
        let named = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default().parse::<Authority>().ok());
        // A proxy in front may have checked the other header.
        if headers.get_all(header::HOST).iter().count() > 1 {
            return Some("the request has two Host headers");
        }
        let Some(host) = named.unwrap_or_else(|| uri.authority().cloned()) else {
            return Some("the request names no host that can be read");
        };
        if let Some(hosts) = &self.hosts
            && !hosts.iter().any(|listed| is_host(listed, &host))
        {
            return Some("this server does not answer for the host that the request names: see `server.allowed_hosts`");
        }
        // Proxies and browsers differ: one checks the first header, another the last.
        if headers.get_all(header::ORIGIN).iter().count() > 1 {
            return Some("the request has two Origin headers");
        }
        let origin = headers.get(header::ORIGIN)?;
        let own = origin.to_str().ok().and_then(parse_origin).is_some_and(|page| page.authority() == Some(&host));
        (!own && !self.lists(origin)).then_some("pages of this origin may not call: see `server.allowed_origins`")
    }
}

/// Refuses a request to which [`Guard::violation`].
pub(super) async fn check(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    match edge.guard.violation(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(sentence) => {
            let (host, origin) = (request.headers().get(header::HOST), request.headers().get(header::ORIGIN));
            tracing::debug!(?host, ?origin, "a request was refused: {sentence}");
            refusal(StatusCode::FORBIDDEN, sentence)
        }
    }
}

/// Whether a host matches a listed one. A listed name without a port matches every port.
fn is_host(listed: &Authority, host: &Authority) -> bool {
    listed.host().eq_ignore_ascii_case(host.host()) && (listed.port().is_none() || listed.port_u16() == host.port_u16())
}

fn parse_origin(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let bare = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/") && !text.ends_with('/');
    (uri.scheme().is_some() && uri.authority().is_some_and(|it| !it.as_str().contains('@')) && bare).then_some(uri)
}

fn same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().or(if uri.scheme_str() == Some("https") { Some(443) } else { Some(80) });
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &str, origins: &str) -> Guard {
        let list = |text: &'static str| text.split(',').filter(|one| !one.is_empty());
        Guard::new(list(hosts.to_owned().leak()), list(origins.to_owned().leak())).unwrap()
    }

    fn violation(guard: &Guard, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        guard.violation(&"/mcp".parse().unwrap(), &headers).is_some()
    }

    #[test]
    fn only_the_hosts_that_are_listed_are_answered() {
        let local = guard("localhost,127.0.0.1,[::1],mcp.example:8443", "");
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "mcp.example:8443"] {
            assert!(!violation(&local, host, None), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "mcp.example",
            "mcp.example:1",
            "a b",
            "",
            "\u{fc}",
            "x@localhost/",
        ] {
            assert!(violation(&local, host, None), "{host}");
        }
        assert!(!violation(&guard("*", ""), "anything.example", None));
        let nothing = HeaderMap::new();
        assert!(local.violation(&"/mcp".parse().unwrap(), &nothing).is_some());
        let mut two = HeaderMap::new();
        two.append(header::HOST, HeaderValue::from_static("localhost"));
        two.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(local.violation(&"/mcp".parse().unwrap(), &two).is_some());
    }

    #[test]
    fn a_page_may_call_the_server_it_came_from_and_others_only_when_listed() {
        let guard = guard("localhost", "https://app.example,http://localhost:6274");
        for origin in
            ["http://localhost:8080", "https://app.example", "https://APP.example:443", "http://localhost:6274"]
        {
            assert!(!violation(&guard, "localhost:8080", Some(origin)), "{origin}");
        }
        for origin in [
            "http://localhost:9",
            "http://app.example",
            "https://app.example:8443",
            "null",
            "https://app.example/x",
            "\u{fc}",
            "",
        ] {
            assert!(violation(&guard, "localhost:8080", Some(origin)), "{origin}");
        }
    }

    // The first of two Origin headers must not hide the second, whichever is allowed.
    #[test]
    fn a_request_with_two_origins_is_refused_whichever_comes_first() {
        let guard = guard("localhost", "https://app.example");
        for (one, other) in
            [("https://app.example", "https://evil.example"), ("https://app.example", "https://app.example")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost"));
            headers.append(header::ORIGIN, HeaderValue::from_static(one));
            headers.append(header::ORIGIN, HeaderValue::from_static(other));
            assert_eq!(guard.violation(&"/mcp".parse().unwrap(), &headers), Some("the request has two Origin headers"));
        }
    }

    #[test]
    fn what_is_no_host_and_no_origin_is_named() {
        let refused = |hosts: &'static str, origins: &'static str| {
            Guard::new([hosts].into_iter(), [origins].into_iter()).unwrap_err()
        };
        assert!(refused("me@host", "https://a.example").contains("`me@host`"));
        assert!(refused("a.example", "a.example").contains("`a.example` is not an origin"));
        assert!(refused("a.example", "https://a.example/").contains("not an origin"));
    }
}
