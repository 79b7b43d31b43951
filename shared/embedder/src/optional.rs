//! The optional parameters of a request, and whether the server takes them.
//!
//! Servers that speak another's API refuse parameters that they do not know, each with an error of
//! its own. So the request is sent once more without the parameter, and what the server took is
//! remembered for the life of the process. The error is read only if its status alone does not
//! mean a refusal: it then must name the parameter
//! (docs/decisions/0046-two-things-that-are-read-from-an-error.md).

use std::{
    ops::BitOr,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

use super::{EmbedError, http::Reply, slots::PROBE_TEXT};

/// A set of optional parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters(u8);

impl Parameters {
    /// No parameter.
    pub(super) const NONE: Self = Self(0);
    /// The encoding of the vectors in the answer.
    pub(super) const ENCODING_FORMAT: Self = Self(1);
    /// The dimension to ask for.
    pub(super) const DIMENSIONS: Self = Self(2);
    /// Whether a text that is too long is truncated, instead of refused.
    pub(super) const TRUNCATE: Self = Self(4);
    /// Whether vectors are scaled to length 1.
    pub(super) const NORMALIZE: Self = Self(8);

    const NAMES: [(Self, &str); 4] = [
        (Self::ENCODING_FORMAT, "encoding_format"),
        (Self::DIMENSIONS, "dimensions"),
        (Self::TRUNCATE, "truncate"),
        (Self::NORMALIZE, "normalize"),
    ];

    pub(super) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(parameter, _)| self.contains(*parameter)).map(|(_, name)| name)
    }
}

impl BitOr for Parameters {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The sets to leave out, in this order: a server that takes the dimension must get it.
const ATTEMPTS: [Parameters; 7] = [
    Parameters::ENCODING_FORMAT,
    Parameters::TRUNCATE,
    Parameters::NORMALIZE,
    Parameters(Parameters::TRUNCATE.0 | Parameters::NORMALIZE.0),
    Parameters::DIMENSIONS,
    Parameters(Parameters::ENCODING_FORMAT.0 | Parameters::DIMENSIONS.0),
    Parameters(Parameters::TRUNCATE.0 | Parameters::DIMENSIONS.0),
];

/// What a server was found to take.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    omitted: AtomicU8,
    /// Whether the server has answered with vectors. From then on, a refusal is about the texts.
    is_known: AtomicBool,
}

impl Accepted {
    /// Whether the server refuses a parameter, so that its own default applies.
    pub(super) fn omits(&self, parameter: Parameters) -> bool {
        Parameters(self.omitted.load(Ordering::Relaxed)).contains(parameter)
    }

    /// Sends a request without the parameters that the server refuses. `send` gets the parameters
    /// to leave out of those that the request may have (`optional`).
    pub(super) fn send(
        &self,
        optional: Parameters,
        texts: &[String],
        send: impl Fn(Parameters) -> Result<Reply, EmbedError>,
    ) -> Result<Reply, EmbedError> {
        let omitted = Parameters(self.omitted.load(Ordering::Relaxed) & optional.0);
        let reply = send(omitted)?;
        if reply.is_ok() {
            self.is_known.store(true, Ordering::Relaxed);
            return Ok(reply);
        }
        let is_known = self.is_known.load(Ordering::Relaxed);
        let is_probe = matches!(texts, [text] if text.ends_with(PROBE_TEXT));
        if !is_refusal(&reply, optional) || is_known && !is_probe {
            return Ok(reply);
        }
        for attempt in ATTEMPTS {
            // Once vectors of the asked dimension are stored, those of another are of no use.
            let is_allowed = !is_known || !attempt.contains(Parameters::DIMENSIONS);
            if !optional.contains(attempt) || attempt == omitted || !attempt.contains(omitted) || !is_allowed {
                continue;
            }
            let second = send(attempt)?;
            if second.is_ok() {
                tracing::warn!(
                    url = second.url,
                    parameters = attempt.names().collect::<Vec<_>>().join(", "),
                    "the embedder refused optional parameters, which are left out from now on"
                );
                self.omitted.store(attempt.0, Ordering::Relaxed);
                self.is_known.store(true, Ordering::Relaxed);
                return Ok(second);
            }
        }
        Ok(reply)
    }
}

/// Whether an answer can mean that the server does not take a parameter. A status that has other
/// causes means it only if the error names one.
fn is_refusal(reply: &Reply, optional: Parameters) -> bool {
    let is_named = || {
        let said = String::from_utf8_lossy(&reply.body);
        optional.names().any(|name| said.contains(name))
    };
    match reply.status {
        400 | 403 | 406 | 409 | 415 | 422 | 501 => true,
        404.. => is_named(),
        _ => false,
    }
}
