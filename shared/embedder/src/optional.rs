//! The optional parameters of a request, and whether the server takes them.
//!
//! Servers that speak another's API refuse parameters that they do not know, each with an error of
//! its own. So no code reads the error: the request is sent once more without the parameter, and
//! what the server took is remembered for the life of the process.

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

    pub(super) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn names(self) -> &'static str {
        match (self.contains(Self::ENCODING_FORMAT), self.contains(Self::DIMENSIONS)) {
            (true, true) => "encoding_format, dimensions",
            (true, false) => "encoding_format",
            (false, true) => "dimensions",
            (false, false) => "",
        }
    }
}

impl BitOr for Parameters {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The sets to leave out, in this order: a server that takes the dimension must get it.
const ATTEMPTS: [Parameters; 3] = [
    Parameters::ENCODING_FORMAT,
    Parameters::DIMENSIONS,
    Parameters(Parameters::ENCODING_FORMAT.0 | Parameters::DIMENSIONS.0),
];

/// What a server was found to take.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    omitted: AtomicU8,
    /// Whether the server has answered with vectors. From then on, a refusal is about the texts.
    is_known: AtomicBool,
}

impl Accepted {
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
        if reply.status == 200 {
            self.is_known.store(true, Ordering::Relaxed);
            return Ok(reply);
        }
        let is_known = self.is_known.load(Ordering::Relaxed);
        let is_probe = matches!(texts, [text] if text.ends_with(PROBE_TEXT));
        if !is_refusal(reply.status) || is_known && !is_probe {
            return Ok(reply);
        }
        for attempt in ATTEMPTS {
            // Once vectors of the asked dimension are stored, those of another are of no use.
            let is_allowed = !is_known || attempt == Parameters::ENCODING_FORMAT;
            if !optional.contains(attempt) || attempt == omitted || !attempt.contains(omitted) || !is_allowed {
                continue;
            }
            let second = send(attempt)?;
            if second.status == 200 {
                tracing::warn!(
                    url = second.url,
                    parameters = attempt.names(),
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

/// Whether a status can mean that the server does not take a parameter.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400 | 406 | 415 | 422)
}
