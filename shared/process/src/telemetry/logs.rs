//! Log lines on stderr: text for people, or one JSON object per line for machines. A panic is
//! logged as an ERROR.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::IsTerminal,
    panic::PanicHookInfo,
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::ParseError,
    fmt::{self, MakeWriter},
    registry::LookupSpan,
};

use super::settings::{Log, LogFormat};

/// Returns the layer that writes the log and, if its filter could not be parsed and `info` is used
/// instead, the error.
pub fn layer<S>(log: &Log) -> (Box<dyn Layer<S> + Send + Sync>, Option<ParseError>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (filter, refused) = filter(&log.filter);
    let lines = lines(log.format, std::io::stderr().is_terminal(), std::io::stderr);
    (lines.with_filter(filter).boxed(), refused)
}

fn filter(directives: &str) -> (EnvFilter, Option<ParseError>) {
    match EnvFilter::try_new(directives) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    }
}

/// Returns the layer that writes log lines.
fn lines<S, W>(format: LogFormat, terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A host may close our stderr. With internal errors enabled, the library would report that on
    // stderr, which panics.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => {
            lines.json().flatten_event(true).with_span_list(false).boxed()
        }
        (LogFormat::Text, false) => lines.with_ansi(false).boxed(),
        // Whether to use colors is the library's decision here: it respects NO_COLOR.
        (LogFormat::Text | LogFormat::Auto, true) => lines.boxed(),
    }
}

/// Panic hook that logs the panic.
pub fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    // Captured only if RUST_BACKTRACE=1 is set.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        panic = panic.payload_as_str().unwrap_or("no message"),
        location = panic.location().map(tracing::field::display),
        thread = thread.name(),
        backtrace,
        "a panic: this is a bug in the program"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(directives: &str, format: LogFormat, terminal: bool, events: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let lines = lines(format, terminal, move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter(directives).0));
        with_default(subscriber, events);
        String::from_utf8(std::mem::take(&mut *written.0.lock().unwrap())).unwrap()
    }

    #[test]
    fn a_machine_gets_an_object_a_line_with_its_fields_and_span() {
        let events = || {
            let _span = tracing::info_span!("task", task = "reaper").entered();
            tracing::info!(job.id = 7, "gave a job back");
        };
        let line = logged("info", LogFormat::Auto, false, events);
        let object: Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!(object["message"], "gave a job back");
        assert_eq!(object["job.id"], 7);
        assert_eq!(object["span"]["task"], "reaper");
    }

    #[test]
    fn a_person_gets_a_line_without_colors_where_they_would_be_noise() {
        let line = logged("info", LogFormat::Text, false, || tracing::warn!(left = 3, "nearly done"));
        assert!(line.contains("WARN") && line.contains("nearly done left=3") && !line.contains('\u{1b}'), "{line}");
        assert!(logged("info", LogFormat::Auto, true, || tracing::warn!("x")).contains("WARN"));
    }

    #[test]
    fn the_filter_decides_and_a_broken_one_means_info() {
        let events = || {
            tracing::debug!("detail");
            tracing::info!("news");
        };
        assert!(!logged("warn", LogFormat::Text, false, events).contains("news"));
        assert!(logged("pgrecall_process=debug", LogFormat::Text, false, events).contains("detail"));
        let (_, refused) = filter("info,=,nonsense=loud");
        assert!(refused.is_some());
        let fallen_back = logged("info,=,nonsense=loud", LogFormat::Text, false, events);
        assert!(fallen_back.contains("news") && !fallen_back.contains("detail"));
    }

    #[test]
    fn a_panic_is_an_error_with_its_place() {
        // The hook is global to the process, and other tests panic too: log only panics of this
        // thread.
        let before = std::panic::take_hook();
        let me = std::thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() == me { log_panic(panic) } else { before(panic) }
        }));
        let line = logged("info", LogFormat::Json, false, || {
            let _ = std::panic::catch_unwind(|| panic!("dropped {}", "it"));
        });
        let object: Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!((&object["level"], &object["panic"]), (&Value::from("ERROR"), &Value::from("dropped it")));
        assert!(object["location"].as_str().unwrap().contains("logs.rs"));
    }
}
