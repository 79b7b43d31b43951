//! What the programs tell about themselves: logs, on stderr and nowhere else, since stdout belongs to the protocol and to what a command
//! prints; and [`traces`], for a collector.
//!
//! People get lines, machines get one JSON object a line, and a panic is an ERROR like any other. Which events are logged is the
//! filter's business, see [`settings::Log`].

pub mod settings;
mod traces;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::IsTerminal,
    panic::PanicHookInfo,
};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::ParseError,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::{SubscriberInitExt, TryInitError},
};

use self::settings::{Log, LogFormat, Traces};
pub use self::traces::{Trace, go_on_from, link_to_current};

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Logs were set up before.
    #[error("logs are set up twice in one process; set them up once, at its start")]
    Twice(#[from] TryInitError),
}

/// What must be brought to its end with the program.
#[derive(Debug, Default)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends the spans that were not sent yet, within two seconds.
    pub fn finish(self) {
        self.provider.iter().for_each(traces::finish);
    }
}

/// Sets up logs and traces for the process, and logs panics from now on. `program` is what the traces call it.
pub fn init(log: &Log, traces: Option<&Traces>, program: &'static str) -> Result<Telemetry, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let (filter, refused) = filter(&log.filter);
    let (traced, provider, untraced) = match traces.map(|traces| traces::layer(traces, program)) {
        Some(Ok((layer, ours, provider))) => (Some(layer.with_filter(ours)), Some(provider), None),
        Some(Err(error)) => (None, None, Some(error)),
        None => (None, None, None),
    };
    tracing_subscriber::registry()
        .with(traced)
        .with(lines(log.format, terminal, std::io::stderr).with_filter(filter))
        .try_init()?;
    if let Some(error) = refused {
        // A slip in a variable that other programs read as well is no reason not to start.
        tracing::warn!(filter = log.filter, %error, "the log filter cannot be read; logging `info`");
    }
    if let Some(error) = untraced {
        tracing::warn!(%error, "no traces are sent: check `traces.endpoint` and the variables that begin with OTEL_");
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(Telemetry { provider })
}

fn filter(directives: &str) -> (EnvFilter, Option<ParseError>) {
    match EnvFilter::try_new(directives) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    }
}

/// Log lines.
fn lines<S, W>(format: LogFormat, terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A host may close our stderr. The library would complain about that on stderr, which panics.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => {
            lines.json().flatten_event(true).with_span_list(false).boxed()
        }
        (LogFormat::Text, false) => lines.with_ansi(false).boxed(),
        // Colours are the library's choice here: it heeds NO_COLOR.
        (LogFormat::Text | LogFormat::Auto, true) => lines.boxed(),
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    // Set RUST_BACKTRACE=1 to have one.
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
    fn a_person_gets_a_line_without_colours_where_they_would_be_noise() {
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
        assert!(logged("shared=debug", LogFormat::Text, false, events).contains("detail"));
        let (_, refused) = filter("info,=,nonsense=loud");
        assert!(refused.is_some());
        let fallen_back = logged("info,=,nonsense=loud", LogFormat::Text, false, events);
        assert!(fallen_back.contains("news") && !fallen_back.contains("detail"));
    }

    #[test]
    fn a_panic_is_an_error_with_its_place() {
        // The hook belongs to the process, and other tests panic as well: this one logs in its own thread only.
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
        assert!(object["location"].as_str().unwrap().contains("telemetry.rs"));
    }
}
