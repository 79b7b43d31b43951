//! Waiting for a state, not for a time: it is looked at until it is there, and what never comes fails the test by its name.

use std::time::{Duration, Instant};

/// Longer than anything takes on a machine however busy.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Returns when it is so.
///
/// # Panics
/// When it is not so after [`PATIENCE`]; `what` says what was waited for.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(within(PATIENCE, &mut is_so), "it never came to this: {what}");
}

/// Whether it became so in time.
pub fn within(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}
