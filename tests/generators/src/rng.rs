//! A pseudo-random generator whose numbers are the same in every run with the same seed:
//! SplitMix64.

use std::time::Duration;

/// The state of a generator, which begins as its seed.
#[derive(Debug, Clone)]
pub struct SeededRng(pub u64);

impl SeededRng {
    /// Returns the next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and is nobody's iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut rng = self.0;
        rng = (rng ^ (rng >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        rng = (rng ^ (rng >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        rng ^ (rng >> 31)
    }

    /// Returns a number from 0 to `count` - 1.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// Returns true in `cases` of 100 calls on average.
    pub fn in_a_hundred(&mut self, cases: usize) -> bool {
        self.below(100) < cases
    }

    /// Returns a duration from `from` up to, but not including, `to`, both in milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from).max(1))
    }

    /// Returns a random element.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Shuffles the slice in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for at in (1..things.len()).rev() {
            things.swap(at, self.below(at + 1));
        }
    }
}
