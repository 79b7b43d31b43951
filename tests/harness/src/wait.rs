//! Waits for a condition by polling it. A condition that never becomes true fails the test with its
//! name.

use std::time::{Duration, Instant};

/// Longer than any operation takes, even on a very busy machine.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// The time between two polls.
const PAUSE: Duration = Duration::from_millis(5);

/// Returns when the condition is true.
///
/// # Panics
/// If it is not true after [`PATIENCE`]; `what` names the condition in the message.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(within(PATIENCE, &mut is_so), "it never came to this: {what}");
}

/// Like [`until`], for a condition that is asked with `await`. Fails if the condition does.
pub async fn until_true<E>(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool, E>) -> Result<(), E> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await? {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Returns whether the condition became true within this time.
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
