//! Progress on stderr, for a person who waits. Nothing is drawn if stderr is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::program::named;

const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// Delay before the spinner is shown: for shorter work it would only flicker.
const SHOW_AFTER: Duration = Duration::from_millis(400);

/// A line that shows the current step.
pub(super) struct Spinner(ProgressBar);

impl Spinner {
    /// Creates a spinner that is not shown yet.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self(bar.with_style(style("{spinner} {msg} ({elapsed})")))
    }

    /// Sets the current step.
    pub(super) fn say(&self, step: &str) {
        self.0.set_message(step.to_owned());
    }

    /// Shows the spinner.
    pub(super) fn show(&self) {
        self.0.set_draw_target(target());
        self.0.enable_steady_tick(TICK_INTERVAL);
    }

    /// Runs `work`, and shows the spinner if that takes longer than `SHOW_AFTER`.
    pub(super) async fn over<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let result = match tokio::time::timeout(SHOW_AFTER, &mut work).await {
            Ok(result) => result,
            Err(_) => {
                self.show();
                work.await
            }
        };
        self.clear();
        result
    }

    /// Removes the spinner.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Creates a progress bar over `total` bytes, with a message.
pub(super) fn bytes(total: u64, message: &'static str) -> ProgressBar {
    bar(total, message, "{msg:28} [{bar:32}] {bytes} of {total_bytes} ({bytes_per_sec})")
}

/// Creates a progress bar over `total` items, with a message.
pub(super) fn count(total: u64, message: &'static str) -> ProgressBar {
    bar(total, message, "{msg:28} [{bar:32}] {pos} of {len} ({eta} left)")
}

fn bar(total: u64, message: &'static str, template: &str) -> ProgressBar {
    ProgressBar::with_draw_target(Some(total), target()).with_style(style(template)).with_message(message)
}

/// Writes a line to stderr without breaking the bar.
pub(super) fn tell(bar: &ProgressBar, line: &str) {
    // File names and file contents may contain hidden characters.
    let line = pgrecall_record::visible::text(line);
    bar.suspend(|| eprintln!("{}", named(&line)));
}

fn target() -> ProgressDrawTarget {
    // indicatif draws nothing if stderr is not a terminal.
    ProgressDrawTarget::stderr_with_hz(10)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant that a test draws").progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_can_be_drawn() {
        let spinner = Spinner::new();
        spinner.say("starting");
        spinner.show();
        spinner.clear();
        bytes(10, "reading").inc(5);
        count(10, "embedding").finish_and_clear();
    }
}
