//! The journal: which requests came and which webhooks went, the latest 10,000 of each and no more than 16 MB.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;

/// Entries kept of each kind; older ones are dropped.
const CAPACITY: usize = 10_000;

/// Most bytes of texts kept of each kind.
const MOST_BYTES: usize = 16 * 1024 * 1024;

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

/// What an entry weighs: the bytes of its texts.
trait Weight {
    fn weight(&self) -> usize;
}

fn weight_of(params: &[(String, String)]) -> usize {
    params.iter().map(|(name, value)| name.len() + value.len()).sum()
}

impl Weight for RequestEntry {
    fn weight(&self) -> usize {
        self.path.len() + self.query.len() + weight_of(&self.params)
    }
}

impl Weight for WebhookEntry {
    fn weight(&self) -> usize {
        self.url.len() + weight_of(&self.params)
    }
}

#[derive(Debug)]
struct Ring<T> {
    entries: VecDeque<T>,
    noted: u64,
    bytes: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), noted: 0, bytes: 0 }
    }
}

impl<T: Weight + Clone> Ring<T> {
    fn note(&mut self, with_id: impl FnOnce(u64) -> T) {
        self.noted += 1;
        let entry = with_id(self.noted);
        self.bytes += entry.weight();
        self.entries.push_back(entry);
        while (self.entries.len() > CAPACITY || self.bytes > MOST_BYTES)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.weight();
        }
    }

    /// Up to `limit` entries after the one with id `since`. Ids have no gaps, so their place is known.
    fn after(&self, since: u64, limit: usize) -> Vec<T> {
        let gone = self.noted - self.entries.len() as u64;
        let skipped = usize::try_from(since.saturating_sub(gone)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skipped).take(limit).cloned().collect()
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

impl Journal {
    /// The requests after the one with id `since`, oldest first.
    pub fn requests(&self, since: u64) -> Vec<RequestEntry> {
        self.requests_up_to(since, usize::MAX)
    }

    /// The first `limit` requests after the one with id `since`, oldest first.
    pub fn requests_up_to(&self, since: u64, limit: usize) -> Vec<RequestEntry> {
        self.requests.lock().after(since, limit)
    }

    /// The webhooks after the one with id `since`, oldest first.
    pub fn webhooks(&self, since: u64) -> Vec<WebhookEntry> {
        self.webhooks_up_to(since, usize::MAX)
    }

    /// The first `limit` webhooks after the one with id `since`, oldest first.
    pub fn webhooks_up_to(&self, since: u64, limit: usize) -> Vec<WebhookEntry> {
        self.webhooks.lock().after(since, limit)
    }

    /// The ids of the latest request and the latest webhook, 0 where there was none.
    pub(crate) fn noted(&self) -> (u64, u64) {
        (self.requests.lock().noted, self.webhooks.lock().noted)
    }

    /// Webhooks kept here that nobody took: no 2xx came back, or they were never sent.
    pub fn webhook_failures(&self) -> usize {
        let taken = |entry: &&WebhookEntry| !entry.status.is_some_and(|status| (200..300).contains(&status));
        self.webhooks.lock().entries.iter().filter(taken).count()
    }

    pub(crate) fn clear(&self) {
        self.requests.lock().clear();
        self.webhooks.lock().clear();
    }

    pub(crate) fn note_request(&self, entry: RequestEntry) {
        self.requests.lock().note(|id| RequestEntry { id, ..entry });
    }

    pub(crate) fn note_webhook(&self, entry: WebhookEntry) {
        self.webhooks.lock().note(|id| WebhookEntry { id, ..entry });
    }
}
