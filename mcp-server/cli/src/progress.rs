//! Progress on stderr, for a person who waits. If stderr is not a terminal, a long wait writes a line
//! now and then.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::program::named;

const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// Delay before the spinner is shown: for shorter work it would only flicker.
const SHOW_AFTER: Duration = Duration::from_millis(400);

/// Interval between two lines where no bar can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

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

/// Lines of progress, for a stderr that is no terminal: the log of a job, or a program.
pub(super) struct Lines {
    last: Instant,
    is_wanted: bool,
}

impl Lines {
    /// The first line is due after one interval: shorter work is reported when it is done.
    pub(super) fn new() -> Self {
        Self { last: Instant::now(), is_wanted: !stderr().is_terminal() }
    }

    /// Writes a line if one is due.
    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.is_due(Instant::now()) {
            eprintln!("{}", line());
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.is_wanted && now.saturating_duration_since(self.last) >= LINE_INTERVAL;
        if is_due {
            self.last = now;
        }
        is_due
    }
}

/// Creates a progress bar over `total` bytes, with a message.
pub(super) fn bytes(total: u64, message: &'static str) -> ProgressBar {
    bar(total, message, "{msg:28} [{bar:32}] {bytes} of {total_bytes} ({bytes_per_sec})")
}

/// Creates a progress bar over passages, whose message says how many there are and how long they
/// take. The bar makes no estimate of its own, because it would differ from that of the status.
pub(super) fn embedding(total: u64) -> ProgressBar {
    bar(total, "embedding", "{msg:28} [{bar:32}]")
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
        count(10, "judged").inc(5);
        embedding(10).finish_and_clear();
    }

    #[test]
    fn a_line_is_due_after_each_interval_where_no_bar_is_drawn() {
        let begun = Instant::now();
        let due = |is_wanted| {
            let mut lines = Lines { last: begun, is_wanted };
            [0, 9, 10, 11, 25].map(|seconds| lines.is_due(begun + Duration::from_secs(seconds)))
        };
        assert_eq!(due(true), [false, false, true, false, true]);
        assert_eq!(due(false), [false; 5]);
    }
}
