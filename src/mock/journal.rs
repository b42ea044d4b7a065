//! The journal: which requests came and which webhooks went, the latest 10,000 of each.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;

/// Entries kept of each kind; older ones are dropped.
const CAPACITY: usize = 10_000;

/// A request to Twilio's API, as the mock received and answered it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RequestEntry {
    /// Counts up from 1.
    pub id: u64,
    /// `Twilio-Request-Id` of the answer.
    pub request_id: String,
    /// When it came.
    pub time: DateTime<Utc>,
    /// GET, POST or DELETE.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent, empty without one.
    pub query: String,
    /// The decoded form parameters. Uploads have none.
    pub params: Vec<(String, String)>,
    /// The status answered; 0 when the connection was closed without an answer.
    pub status: u16,
    /// How long the answer took.
    pub duration_ms: u64,
    /// The fault that struck, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
}

/// A webhook, as the mock sent it.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookEntry {
    /// Counts up from 1.
    pub id: u64,
    /// When it went.
    pub time: DateTime<Utc>,
    /// The event, such as `onMessageAdded`.
    pub event: String,
    /// Where it went.
    pub url: String,
    /// The form fields.
    pub params: Vec<(String, String)>,
    /// `I-Twilio-Idempotency-Token`.
    pub idempotency_token: String,
    /// The status answered, if anything was.
    pub status: Option<u16>,
    /// Why it failed, if it did: no answer, no connection, a full queue.
    pub error: Option<String>,
    /// How long the answer took.
    pub duration_ms: u64,
}

/// One line of the journal.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum JournalEntry {
    /// Someone asked.
    Request(RequestEntry),
    /// The mock told.
    Webhook(WebhookEntry),
}

/// The two ring buffers.
#[derive(Debug, Default)]
pub struct Journal {
    requests: Mutex<Ring<RequestEntry>>,
    webhooks: Mutex<Ring<WebhookEntry>>,
}

#[derive(Debug)]
struct Ring<T> {
    entries: VecDeque<T>,
    noted: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), noted: 0 }
    }
}

impl<T> Ring<T> {
    fn note(&mut self, with_id: impl FnOnce(u64) -> T) {
        self.noted += 1;
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        self.entries.push_back(with_id(self.noted));
    }
}

impl Journal {
    /// The requests after the one with id `since`, oldest first.
    pub fn requests(&self, since: u64) -> Vec<RequestEntry> {
        self.requests.lock().entries.iter().filter(|entry| entry.id > since).cloned().collect()
    }

    /// The webhooks after the one with id `since`, oldest first.
    pub fn webhooks(&self, since: u64) -> Vec<WebhookEntry> {
        self.webhooks.lock().entries.iter().filter(|entry| entry.id > since).cloned().collect()
    }

    /// Webhooks kept here that nobody took: no 2xx came back, or they were never sent.
    pub fn webhook_failures(&self) -> usize {
        let taken = |entry: &&WebhookEntry| !entry.status.is_some_and(|status| (200..300).contains(&status));
        self.webhooks.lock().entries.iter().filter(taken).count()
    }

    pub(crate) fn clear(&self) {
        self.requests.lock().entries.clear();
        self.webhooks.lock().entries.clear();
    }

    pub(crate) fn note_request(&self, entry: RequestEntry) {
        self.requests.lock().note(|id| RequestEntry { id, ..entry });
    }

    pub(crate) fn note_webhook(&self, entry: WebhookEntry) {
        self.webhooks.lock().note(|id| WebhookEntry { id, ..entry });
    }
}
