//! Logs, metrics, and the count of Twilio calls behind each request.
//!
//! Which metric is counted where stands beside what it counts; the route `/metrics` is the server's.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Calls to Twilio, by all requests together.
const TWILIO_CALLS: &str = "switchboard_twilio_calls_total";

/// How often histograms are folded, so that they do not grow while nobody reads `/metrics`.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Bounds of every histogram of durations, in seconds. Such metrics end in `_seconds`.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The only code whose lines below `info` are written. Libraries show request headers, packets, statements and bodies there
/// (hyper, reqwest, tungstenite, engineioxide, sqlx, axum), the next version of any of them may, and so do tokens and
/// messages come into a log.
const OWN: &str = "switchboard";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which log lines are written, in the syntax of `RUST_LOG`: `info,switchboard::core=debug`.
///
/// Source: <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// A text that is no [`LogFilter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of `level` or `target=level`")]
pub struct InvalidLogFilter;

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<Self, InvalidLogFilter> {
        EnvFilter::try_new(text).map_err(|_| InvalidLogFilter)?;
        Ok(Self(text.to_owned()))
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

/// Starts logging to standard error, from now on of panics too. A second call changes nothing.
pub fn init(format: LogFormat, filter: &LogFilter) {
    start(format, filter);
    std::panic::set_hook(Box::new(log_panic));
}

/// Logs where it panicked, and not with what: an `unwrap` or an index out of bounds quotes the value, which may be what
/// somebody wrote.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    tracing::error!(place, thread = thread.name().unwrap_or_default(), "panicked");
}

fn start(format: LogFormat, filter: &LogFilter) {
    let colours = std::io::stderr().is_terminal();
    // An error means that a subscriber is in place: this was called before.
    let _already =
        tracing_subscriber::registry().with(lines(format, filter, colours, std::io::stderr)).try_init();
}

/// The log as a layer, written to `writer`: each event is one line, whatever text of a client's is in it.
///
/// Whatever `filter` says, libraries stay at `info`: no level shows a token or a message.
pub fn lines<S, W>(
    format: LogFormat,
    filter: &LogFilter,
    colours: bool,
    writer: W,
) -> impl Layer<S> + use<S, W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'line> MakeWriter<'line> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(OneLine(writer));
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colours).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    lines.with_filter(line_filter(filter))
}

fn line_filter<S>(filter: &LogFilter) -> impl tracing_subscriber::layer::Filter<S> + use<S> {
    let asked_for = EnvFilter::try_new(&filter.0).unwrap_or_else(|_| EnvFilter::new("info"));
    asked_for.and(filter_fn(may_be_written).with_max_level_hint(LevelFilter::TRACE))
}

fn may_be_written(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().split("::").next() == Some(OWN)
}

/// Writes each event as one line: a line feed inside it would begin a line that nobody wrote.
struct OneLine<W>(W);

impl<'line, W: MakeWriter<'line>> MakeWriter<'line> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'line self) -> Self::Writer {
        OneLine(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLine<W> {
    /// `event` is all of one: the formatter writes nothing else.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let (text, end) = match event.strip_suffix(b"\n") {
            Some(text) => (text, "\n"),
            None => (event, ""),
        };
        if text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            let text = String::from_utf8_lossy(text).replace('\n', "\\n").replace('\r', "\\r");
            self.0.write_all(format!("{text}{end}").as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// The metrics recorder of this process; clones show the same figures.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts recording. Later calls give the same recorder.
    ///
    /// # Errors
    /// [`BuildError`] when the exporter refuses its own settings, which a test would have shown.
    pub fn install() -> Result<Self, BuildError> {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        if let Some(handle) = INSTALLED.get() {
            return Ok(Self(handle.clone()));
        }
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let handle = INSTALLED.get_or_init(|| {
            let handle = recorder.handle();
            // An error means that a program around us records already; ours then shows nothing.
            let _elsewhere = metrics::set_global_recorder(recorder);
            metrics::describe_counter!(TWILIO_CALLS, "Calls to Twilio's REST API, repeats included.");
            handle
        });
        Ok(Self(handle.clone()))
    }

    /// The figures, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Never ends; to be spawned once beside the server. Keeps histograms from growing while nobody reads them.
    pub async fn upkeep(self) {
        let mut interval = tokio::time::interval(UPKEEP_EVERY);
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }
}

tokio::task_local! {
    static CALLS: Arc<AtomicU32>;
}

/// Counts one call to Twilio, for the metric and for the request on whose behalf it is made.
pub fn twilio_call() {
    metrics::counter!(TWILIO_CALLS).increment(1);
    // Outside `counting` (a background task) there is no request to count for.
    let _uncounted = CALLS.try_with(|calls| calls.fetch_add(1, Ordering::Relaxed));
}

/// Runs `future` and returns, beside its output, how many calls to Twilio it made. What it spawns is counted if it is
/// wrapped in [`in_same_count`].
pub async fn counting<F: Future>(future: F) -> (F::Output, u32) {
    let calls = Arc::new(AtomicU32::new(0));
    let output = counting_in(Arc::clone(&calls), future).await;
    (output, calls.load(Ordering::Relaxed))
}

/// Runs `future` and counts its calls to Twilio in `calls`, to be read meanwhile.
pub async fn counting_in<F: Future>(calls: Arc<AtomicU32>, future: F) -> F::Output {
    CALLS.scope(calls, future).await
}

/// Wraps a `future` that is about to be spawned, so that its calls count for whoever spawns it.
pub fn in_same_count<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let calls = CALLS.try_with(Arc::clone).unwrap_or_default();
    CALLS.scope(calls, future)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn calls_are_counted_for_the_request_that_makes_them() {
        twilio_call();
        let one = counting(async { twilio_call() });
        let two = counting(async {
            twilio_call();
            tokio::task::yield_now().await;
            twilio_call();
            "done"
        });
        assert_eq!(tokio::join!(one, two), (((), 1), ("done", 2)));
    }

    #[test]
    fn a_second_start_changes_nothing() {
        for _ in 0..2 {
            start(LogFormat::Json, &LogFilter::default());
            Metrics::install().unwrap();
        }
        twilio_call();
        assert!(Metrics::install().unwrap().render().contains(TWILIO_CALLS));
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What `log` logs.
    pub(crate) fn logged(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let lines = lines(format, &filter.parse().unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let written = written.0.lock().clone();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn no_level_shows_what_libraries_write_about_packets() {
        let written = logged(LogFormat::Text, "trace,engineioxide=trace", || {
            tracing::trace!("ours");
            tracing::info!(target: "engineioxide::socket", "theirs");
            tracing::debug!(target: "engineioxide::socket", "canary");
            tracing::trace!(target: "socketioxide_core::parser", "canary");
            tracing::debug!(target: "hyper_util::client", "canary");
            tracing::trace!(target: "axum::rejection", "canary");
            tracing::debug!(target: "switchboard_of_somebody_else", "canary");
        });
        assert!(["ours", "theirs"].iter().all(|line| written.contains(line)), "{written}");
        assert!(!written.contains("canary"), "{written}");
    }

    #[test]
    fn a_text_with_line_feeds_stays_on_its_line() {
        let forged = "x\r\n2026-01-01T00:00:00Z  INFO switchboard: an admin signed in\n";
        for format in [LogFormat::Text, LogFormat::Json] {
            let written = logged(format, "info", || {
                tracing::info!(identity = %forged, text = forged, "{forged}");
                tracing::info!("the next");
            });
            assert_eq!(written.lines().count(), 2, "{written}");
            assert!(!written.contains('\r'), "{written}");
        }
    }

    #[test]
    fn a_panic_tells_its_place_and_not_its_text() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let written = logged(format, "info", || {
                let before = std::panic::take_hook();
                std::panic::set_hook(Box::new(log_panic));
                let read = || "canary".parse::<i32>().map_err(|_| "canary").expect("canary");
                let panicked = std::panic::catch_unwind(read);
                std::panic::set_hook(before);
                assert!(panicked.is_err());
            });
            assert!(written.contains("panicked") && written.contains("telemetry.rs:"), "{written}");
            assert!(!written.contains("canary"), "{written}");
            assert_eq!(written.lines().count(), 1, "{written}");
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        assert!("info,switchboard::core=debug".parse::<LogFilter>().is_ok());
        assert_eq!("switchboard=loud".parse::<LogFilter>(), Err(InvalidLogFilter));
    }
}
