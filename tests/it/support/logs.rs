//! What the services of all tests log at `trace`, line by line, and whether a secret is in it.
//!
//! One subscriber listens for the whole run. A line that shows a token, a phone number, or what somebody asked not to be
//! shown, fails every test that ends after it. The lines of a service on its own, in whichever format, are `telemetry`'s.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use switchboard::telemetry::{self, LogFormat};
use tracing_subscriber::layer::SubscriberExt;

static WATCHED: RwLock<Vec<String>> = RwLock::new(Vec::new());
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: AtomicU64 = AtomicU64::new(0);

/// Listens from now on.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let everything = "trace".parse().unwrap();
        let lines = telemetry::lines(LogFormat::Text, &everything, false, || Ear);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
    });
}

/// From now on no line may have `secret` in it.
pub(crate) fn must_not_show(secret: &str) {
    let mut watched = WATCHED.write();
    if !watched.iter().any(|known| known == secret) {
        watched.push(secret.to_owned());
    }
}

/// `secret` is none any more: whose it was is gone, and looking for it costs time.
pub(crate) fn forget(secret: &str) {
    WATCHED.write().retain(|known| known != secret);
}

/// No line so far, of any test, showed what it must not.
pub(crate) fn assert_no_secret_shown() {
    let leaks = LEAKS.lock();
    assert!(leaks.is_empty(), "the log shows secrets:\n{}", leaks.join("\n"));
}

/// How many lines there were.
pub(crate) fn lines() -> u64 {
    LINES.load(Ordering::Relaxed)
}

/// What is wrong with `line`, if anything.
pub(crate) fn fault_in(line: &str) -> Option<String> {
    if line.trim_end_matches('\n').contains(['\n', '\r']) {
        return Some("more than a line".to_owned());
    }
    if line.contains("eyJ") {
        return Some("a token".to_owned());
    }
    if has_phone(line) {
        return Some("a phone number".to_owned());
    }
    WATCHED.read().iter().find(|secret| line.contains(secret.as_str())).map(|secret| format!("{secret:?}"))
}

/// A plus and nine digits or more.
fn has_phone(line: &str) -> bool {
    line.split('+').skip(1).any(|rest| rest.bytes().take_while(u8::is_ascii_digit).count() >= 9)
}

struct Ear;

impl Write for Ear {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(line);
        if let Some(fault) = fault_in(&text) {
            LEAKS.lock().push(format!("{fault} in {text}"));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
