//! A call to the embedder: its texts, its failures, and the next step after one.

use pgrecall_embedder::EmbedError;
use pgrecall_store::vectors::Pending;

use crate::call_size::Size;

/// After this many failures of an isolated text, with a working embedder before and after each, the
/// failure is charged to the text.
pub(crate) const MAX_ISOLATED_FAILURES: u32 = 3;

/// Texts that are sent in one call.
pub(crate) struct Call {
    pub(crate) passages: Vec<Pending>,
    /// How often the call failed while the embedder worked before and after.
    pub(crate) failures: u32,
    /// Whether one of these failures was `Busy`: the embedder was overloaded.
    was_busy: bool,
    pub(crate) half_of: Option<Half>,
}

/// The refused call that a call is half of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Half {
    pub(crate) size: Size,
    /// How many passages the client had cut by then. If it has cut one since, the call was refused
    /// for the length of that passage, not for its own size.
    pub(crate) cut_passages: usize,
    /// Whether the other half was embedded.
    pub(crate) other_passed: bool,
}

/// What the runner does after a call that failed while the embedder worked before and after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Retry the call.
    Retry,
    /// Split the call in half.
    Bisect,
    /// Charge the failure to the text's job.
    FailText,
    /// Release the claim: the embedder is overloaded even by a single text, which is not the text's
    /// fault.
    ReleaseClaim,
}

impl Call {
    /// Makes a call. `failures` is the number of earlier failures if it holds one isolated text.
    pub(crate) fn new(passages: Vec<Pending>, failures: u32) -> Self {
        Self { passages, failures, was_busy: false, half_of: None }
    }

    /// Splits the call in two. A text that is isolated by the split starts with no failures.
    /// `half_of` is the call itself if the embedder refused it.
    pub(crate) fn halves(mut self, half_of: Option<Half>) -> [Self; 2] {
        let second = self.passages.split_off(self.passages.len() / 2);
        [self.passages, second].map(|passages| {
            let failures = if passages.len() > 1 { self.failures } else { 0 };
            Self { half_of, ..Self::new(passages, failures) }
        })
    }

    /// Counts the failure, and decides the next step. A second failure means that the call is too
    /// large for the embedder, or that one of its texts breaks it.
    pub(crate) fn failed(&mut self, error: &EmbedError) -> NextStep {
        // A call that was never sent says nothing about its texts.
        if matches!(error, EmbedError::BreakerOpen { .. } | EmbedError::QueueFull { .. }) {
            return NextStep::Retry;
        }
        self.failures += 1;
        self.was_busy |= matches!(error, EmbedError::Busy { .. });
        let took_long = matches!(error, EmbedError::Timeout { .. } | EmbedError::LostCall { .. });
        match self.passages.len() {
            1 if self.failures < MAX_ISOLATED_FAILURES => NextStep::Retry,
            1 if self.was_busy => NextStep::ReleaseClaim,
            1 => NextStep::FailText,
            _ if took_long || self.failures > 1 => NextStep::Bisect,
            _ => NextStep::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(texts: i64) -> Call {
        let passage = |id| Pending { passage: id, source: id, text_hash: Vec::new(), text: String::new() };
        Call::new((0..texts).map(passage).collect(), 0)
    }

    fn busy() -> EmbedError {
        EmbedError::Busy { url: "http://test".into(), status: 429, detail: String::new(), retry_after: None }
    }

    fn broken() -> EmbedError {
        EmbedError::BrokenReply { url: "http://test".into(), source: "it broke off".into() }
    }

    fn timeout() -> EmbedError {
        EmbedError::Timeout { embedder: "test".into(), waited: Duration::from_secs(300) }
    }

    fn never_sent() -> EmbedError {
        EmbedError::BreakerOpen { reason: "down".into(), open_for: Duration::ZERO, retry_in: Duration::ZERO }
    }

    #[test]
    fn a_call_of_several_texts_is_halved_at_its_second_failure_or_once_it_took_long() {
        let mut several = call(8);
        assert_eq!([broken(), broken()].map(|error| several.failed(&error)), [NextStep::Retry, NextStep::Bisect]);
        assert_eq!(call(8).failed(&timeout()), NextStep::Bisect);
    }

    #[test]
    fn a_call_that_was_never_sent_is_made_as_it_is_whatever_it_inherited() {
        for texts in [1, 8] {
            let mut inherits = Call { failures: 2, ..call(texts) };
            assert_eq!((inherits.failed(&never_sent()), inherits.failures), (NextStep::Retry, 2));
        }
    }

    #[test]
    fn a_text_alone_pays_at_its_third_failure_unless_the_embedder_was_busy_for_it_once() {
        for (errors, end) in [
            ([broken(), timeout(), broken()], NextStep::FailText),
            ([busy(), busy(), busy()], NextStep::ReleaseClaim),
            ([busy(), busy(), broken()], NextStep::ReleaseClaim),
            ([broken(), broken(), busy()], NextStep::ReleaseClaim),
        ] {
            let mut alone = call(1);
            assert_eq!(errors.map(|error| alone.failed(&error)), [NextStep::Retry, NextStep::Retry, end]);
        }
    }
}
