//! What the services of all tests log at `trace`, line by line, and whether a secret is in it.
//!
//! One subscriber listens for the whole run. A line that shows a token, a phone number, what the clients of this folder say
//! ([`watch`]: bodies of messages, phones, one-time codes), or what somebody asked not to be shown, fails every test that
//! ends after it. The lines of a service on its own, in whichever format, are `telemetry`'s.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use switchboard::telemetry::{self, LogFormat};
use tracing_subscriber::layer::SubscriberExt;

static WATCHED: RwLock<Vec<String>> = RwLock::new(Vec::new());
static BODIES: RwLock<VecDeque<String>> = RwLock::new(VecDeque::new());
static NUMBERS: Mutex<Option<HashSet<String>>> = Mutex::new(None);
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: AtomicU64 = AtomicU64::new(0);

/// A body this short may be part of a line by chance, in characters.
const DISTINCTIVE: usize = 12;
/// So many bodies are looked for in each line, the last ones: some stories say thousands.
const BODIES_AT_MOST: usize = 500;

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

/// From now on no line may have what `payload` says in it, wherever in it that stands: bodies of messages, phones, codes.
pub(crate) fn watch(payload: &Value) {
    match payload {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) => watch_field(name, text),
                    Value::Number(number) => watch_field(name, &number.to_string()),
                    Value::Object(_) | Value::Array(_) => watch(value),
                    Value::Null | Value::Bool(_) => {}
                }
            }
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            for (country, number) in [("country_code", "phone_number"), ("toCountryCode", "toPhoneNumber")] {
                if let (Some(country), Some(number)) = (text(country), text(number)) {
                    watch_field("phone", &format!("{country}{number}"));
                }
            }
        }
        Value::Array(items) => items.iter().for_each(watch),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// As [`watch`], of one field of a payload or form.
pub(crate) fn watch_field(name: &str, text: &str) {
    match name {
        "body" | "Body" | "text" | "message" | "content" => watch_body(text),
        "code" => watch_number(text, 6),
        "phone" | "phone_number" | "phoneNumber" | "toPhoneNumber" | "from" | "to" | "Author" => {
            watch_number(text, 9);
        }
        _ => {}
    }
}

fn watch_body(text: &str) {
    // A single word may be one of the log's own.
    let is_distinctive = text.chars().count() >= DISTINCTIVE && text.trim().contains(' ');
    if !is_distinctive
        || text.contains(['\n', '\r', '"', '\\'])
        || BODIES.read().iter().any(|known| known == text)
    {
        return;
    }
    let mut bodies = BODIES.write();
    if bodies.len() == BODIES_AT_MOST {
        bodies.pop_front();
    }
    bodies.push_back(text.to_owned());
}

/// A phone or a code: only digits and what people write between them, so many at least.
fn watch_number(text: &str, at_least: usize) {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= at_least && text.chars().all(|c| c.is_ascii_digit() || "+ ()-.:whatsapp".contains(c)) {
        NUMBERS.lock().get_or_insert_default().insert(digits);
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
    if let Some(number) = watched_number(line) {
        return Some(format!("the number {number}"));
    }
    if let Some(body) = BODIES.read().iter().find(|body| line.contains(body.as_str())) {
        return Some(format!("the message {body:?}"));
    }
    WATCHED.read().iter().find(|secret| line.contains(secret.as_str())).map(|secret| format!("{secret:?}"))
}

/// A plus and nine digits or more.
fn has_phone(line: &str) -> bool {
    line.split('+').skip(1).any(|rest| rest.bytes().take_while(u8::is_ascii_digit).count() >= 9)
}

/// A phone or code that stands in the line as a number of its own, not as a piece of an id or of a fraction.
fn watched_number(line: &str) -> Option<String> {
    let numbers = NUMBERS.lock();
    let numbers = numbers.as_ref()?;
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    words.map(|word| word.trim_end_matches('.')).find(|word| numbers.contains(*word)).map(str::to_owned)
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
