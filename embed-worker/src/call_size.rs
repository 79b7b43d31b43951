//! The size of a call that the embedder takes, learned from the calls that it refuses.
//!
//! Servers limit the number of texts or the length of a request, and few report the limit. A
//! refused call whose two halves are embedded was too large, and further calls are smaller. A limit
//! grows again by a little after many calls of its size, and more seldom each time the embedder
//! refuses that.

use parking_lot::Mutex;
use pgrecall_store::vectors::Pending;

/// How many calls of the largest size pass before the limit grows.
const CALLS_BEFORE_GROWTH: u32 = 64;
/// The most calls before a limit grows. With calls of ten texts these are a million texts.
const MAX_CALLS_BEFORE_GROWTH: u32 = 1 << 17;

/// The number of texts and of bytes in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) texts: usize,
    pub(crate) bytes: usize,
}

impl Size {
    /// Returns the size of a call with these passages.
    pub(crate) fn of(passages: &[Pending]) -> Self {
        Self { texts: passages.len(), bytes: passages.iter().map(|passage| passage.text.len()).sum() }
    }

    /// Returns the size that is within both.
    pub(crate) fn within(self, other: Self) -> Self {
        Self { texts: self.texts.min(other.texts), bytes: self.bytes.min(other.bytes) }
    }
}

/// What is known of the embedder's limits, for all loops of a worker.
#[derive(Debug, Default)]
pub(crate) struct CallSizes(Mutex<(Limit, Limit)>);

/// A limit of one quantity.
#[derive(Debug)]
struct Limit {
    /// The most that a call may have.
    most: usize,
    /// The most that a call had that was embedded.
    taken: usize,
    /// The calls of the largest size since the limit changed.
    calls: u32,
    before_growth: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self { most: usize::MAX, taken: 0, calls: 0, before_growth: CALLS_BEFORE_GROWTH }
    }
}

impl Limit {
    fn passed(&mut self, size: usize) {
        self.taken = self.taken.max(size);
        let step = self.most / 8;
        // Calls seldom have exactly the most bytes.
        if self.most == usize::MAX || size + step < self.most {
            return;
        }
        self.calls += 1;
        if self.calls >= self.before_growth {
            (self.most, self.calls) = (self.most + step.max(1), 0);
        }
    }

    fn refused(&mut self, size: usize) {
        self.taken = self.taken.min(size.saturating_sub(1));
        if size > self.most {
            return;
        }
        if self.most < usize::MAX {
            self.before_growth = (self.before_growth * 4).min(MAX_CALLS_BEFORE_GROWTH);
        }
        (self.most, self.calls) = (self.taken.max(size / 2).max(1), 0);
    }
}

impl CallSizes {
    /// Returns the largest call that the embedder is known to take.
    pub(crate) fn most(&self) -> Size {
        let (texts, bytes) = &*self.0.lock();
        Size { texts: texts.most, bytes: bytes.most }
    }

    /// Records a call that was embedded.
    pub(crate) fn passed(&self, size: Size) {
        let (texts, bytes) = &mut *self.0.lock();
        texts.passed(size.texts);
        bytes.passed(size.bytes);
    }

    /// Records a refused call whose halves were embedded. If as many texts were embedded before,
    /// the bytes were too many.
    pub(crate) fn refused(&self, size: Size) {
        let (texts, bytes) = &mut *self.0.lock();
        if size.texts <= texts.taken && size.bytes > bytes.taken {
            bytes.refused(size.bytes);
        } else {
            texts.refused(size.texts);
        }
        tracing::info!(
            texts = texts.most,
            bytes = bytes.most,
            refused_texts = size.texts,
            refused_bytes = size.bytes,
            "the embedder refused a call for its size; further calls are smaller"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A server that takes calls up to a size, and the calls that it got.
    struct Server {
        takes: Size,
        calls: usize,
        refused: usize,
    }

    impl Server {
        /// Sends a call of `texts` texts of `bytes` bytes each, halved as the worker does it.
        /// Returns whether the call was embedded whole.
        fn send(&mut self, sizes: &CallSizes, texts: usize, bytes: usize) -> bool {
            self.calls += 1;
            let size = Size { texts, bytes: texts * bytes };
            if size == size.within(self.takes) || texts == 1 {
                sizes.passed(size);
                return true;
            }
            self.refused += 1;
            let halves = [texts / 2, texts - texts / 2].map(|half| self.send(sizes, half, bytes));
            if halves == [true, true] {
                sizes.refused(size);
            }
            false
        }

        /// Embeds `calls` calls, each as large as is known to be taken and at most 32 texts.
        fn embed(&mut self, sizes: &CallSizes, calls: usize, bytes: usize) {
            for _ in 0..calls {
                let most = sizes.most();
                self.send(sizes, most.texts.min(most.bytes / bytes).clamp(1, 32), bytes);
            }
        }
    }

    #[test]
    fn a_limit_of_ten_texts_costs_few_calls_and_is_used_whole() {
        let sizes = CallSizes::default();
        let mut server = Server { takes: Size { texts: 10, bytes: usize::MAX }, calls: 0, refused: 0 };
        server.embed(&sizes, 1, 100);
        assert_eq!(sizes.most().texts, 8);
        server.embed(&sizes, 200, 100);
        assert_eq!((sizes.most(), server.refused), (Size { texts: 10, bytes: usize::MAX }, 4));
        // The server takes more from now on.
        server.takes.texts = 20;
        server.embed(&sizes, 20_000, 100);
        assert!(sizes.most().texts > 15, "{:?}", sizes.most());
    }

    #[test]
    fn a_limit_of_bytes_leaves_short_texts_in_large_calls() {
        let sizes = CallSizes::default();
        let mut server = Server { takes: Size { texts: 100, bytes: 4_000 }, calls: 0, refused: 0 };
        server.embed(&sizes, 10, 50);
        server.embed(&sizes, 10, 1_000);
        assert!(sizes.most().texts > 100 && sizes.most().bytes <= 4_000, "{:?}", sizes.most());
    }

    proptest! {
        #[test]
        fn few_calls_are_refused_whatever_the_limit(
            texts in 1..40_usize, bytes in 500..50_000_usize, each in 10..500_usize
        ) {
            let sizes = CallSizes::default();
            let mut server = Server { takes: Size { texts, bytes }, calls: 0, refused: 0 };
            server.embed(&sizes, 2_000, each);
            prop_assert!(server.refused * 50 < server.calls, "{} of {}", server.refused, server.calls);
        }
    }
}
