//! Webhooks out: signed form posts, in order per conversation, each with five seconds to be taken.
//!
//! Nothing waits for them but their own queue, which is bounded; what fails or does not fit is in the journal. Which
//! events go where is decided in `state.rs` (`Tenant::tell`). Failed posts are not repeated, which is Twilio's default.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::mock::event::{Event, Origin, WebhookMethod};
use crate::mock::journal::{Journal, WebhookEntry};
use crate::mock::sid::Sid;
use crate::mock::signature;
use crate::mock::state::Tenant;

/// How long a webhook may take.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// Most webhooks waiting for one conversation and address.
const MOST_IN_A_LANE: usize = 1000;

/// Most webhooks waiting altogether.
const MOST_WAITING: usize = 20_000;

/// Most webhooks on their way at a time.
const MOST_AT_ONCE: usize = 64;

/// One webhook to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    event: &'static str,
    /// What it has to keep its order with.
    lane: Lane,
    method: WebhookMethod,
    params: Vec<(String, String)>,
    idempotency_token: String,
    auth_token: String,
    time: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane {
    subject: Sid,
    url: String,
}

impl Delivery {
    /// `event` as the form for one address; `scoped` is the scoped webhook it goes to, if it goes to one.
    pub(crate) fn new(
        tenant: &Tenant,
        origin: &Origin,
        event: &Event,
        url: String,
        method: WebhookMethod,
        scoped: Option<Sid>,
    ) -> Self {
        let mut params = vec![
            ("EventType".to_owned(), event.kind.to_owned()),
            ("AccountSid".to_owned(), tenant.account_sid.to_string()),
            ("Source".to_owned(), origin.source.clone()),
            ("ChatServiceSid".to_owned(), event.service_sid.to_string()),
        ];
        if let Some(identity) = &origin.client_identity {
            params.push(("ClientIdentity".to_owned(), identity.clone()));
        }
        params.push(("RetryCount".to_owned(), "0".to_owned()));
        params.extend(event.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        if let Some(sid) = scoped {
            params.push(("WebhookType".to_owned(), "webhook".to_owned()));
            params.push(("WebhookSid".to_owned(), sid.to_string()));
        }
        Self {
            event: event.kind,
            lane: Lane { subject: event.subject, url },
            method,
            params,
            idempotency_token: Uuid::new_v4().to_string(),
            auth_token: tenant.auth_token.clone(),
            time: origin.now,
        }
    }

    fn entry(&self) -> WebhookEntry {
        WebhookEntry {
            id: 0,
            time: self.time,
            event: self.event.to_owned(),
            url: self.lane.url.clone(),
            params: self.params.clone(),
            idempotency_token: self.idempotency_token.clone(),
            status: None,
            error: None,
            duration_ms: 0,
        }
    }
}

/// The queues. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    lanes: Arc<Mutex<Lanes>>,
    client: reqwest::Client,
    at_once: Arc<Semaphore>,
    journal: Arc<Journal>,
    stopping: CancellationToken,
}

#[derive(Debug, Default)]
struct Lanes {
    waiting: HashMap<Lane, VecDeque<Delivery>>,
    count: usize,
}

impl Webhooks {
    pub(crate) fn new(journal: Arc<Journal>, stopping: CancellationToken) -> Self {
        let client = reqwest::Client::builder()
            .timeout(TIME_TO_ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client without certificates of its own can be built");
        Self {
            lanes: Arc::default(),
            client,
            at_once: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            journal,
            stopping,
        }
    }

    /// Puts `delivery` at the end of its queue; never waits.
    pub(crate) fn queue(&self, delivery: Delivery) {
        let mut lanes = self.lanes.lock();
        let lane = delivery.lane.clone();
        let full = lanes.count >= MOST_WAITING
            || lanes.waiting.get(&lane).is_some_and(|waiting| waiting.len() >= MOST_IN_A_LANE);
        if full {
            drop(lanes);
            self.journal.note_webhook(WebhookEntry {
                error: Some("the queue is full".to_owned()),
                ..delivery.entry()
            });
            return;
        }
        lanes.count += 1;
        match lanes.waiting.get_mut(&lane) {
            // Whoever empties this lane finds it.
            Some(waiting) => waiting.push_back(delivery),
            None => {
                lanes.waiting.insert(lane.clone(), VecDeque::from([delivery]));
                let webhooks = self.clone();
                tokio::spawn(async move { webhooks.empty(lane).await });
            }
        }
    }

    /// Drops everything that still waits.
    pub(crate) fn forget(&self) {
        let mut lanes = self.lanes.lock();
        lanes.waiting.values_mut().for_each(VecDeque::clear);
        lanes.count = 0;
    }

    /// How many have not been sent yet.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.lock().count
    }

    /// Sends what waits in `lane`, one after the other, until nothing does.
    async fn empty(&self, lane: Lane) {
        while let Some(delivery) = self.next(&lane) {
            let Ok(_turn) = self.at_once.acquire().await else { return };
            tokio::select! {
                () = self.send(delivery) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// The next of `lane`; an empty lane is taken away in the same breath, so that the next delivery starts a new one.
    fn next(&self, lane: &Lane) -> Option<Delivery> {
        let mut lanes = self.lanes.lock();
        let delivery = lanes.waiting.get_mut(lane).and_then(VecDeque::pop_front);
        match delivery {
            Some(_) => lanes.count -= 1,
            None => {
                lanes.waiting.remove(lane);
            }
        }
        delivery
    }

    async fn send(&self, delivery: Delivery) {
        let started = Instant::now();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(&delivery.params).finish();
        let url = &delivery.lane.url;
        let (request, signature) = match delivery.method {
            WebhookMethod::Post => {
                let signature = signature::sign_form(&delivery.auth_token, url, &delivery.params);
                let content_type = "application/x-www-form-urlencoded; charset=utf-8";
                (self.client.post(url).header(CONTENT_TYPE, content_type).body(form), signature)
            }
            WebhookMethod::Get => {
                let url = format!("{url}{}{form}", if url.contains('?') { '&' } else { '?' });
                let signature = signature::sign_url(&delivery.auth_token, &url);
                (self.client.get(url), signature)
            }
        };
        let request = request
            .header(USER_AGENT, "TwilioProxy/1.1")
            .header("X-Twilio-Signature", signature)
            .header("I-Twilio-Idempotency-Token", &delivery.idempotency_token);
        #[expect(
            clippy::disallowed_methods,
            reason = "the mock is Twilio here, telling someone; it is no client of Twilio"
        )]
        let outcome = request.send().await;
        let mut entry = delivery.entry();
        entry.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(response) => {
                let status = response.status();
                entry.status = Some(status.as_u16());
                entry.error = (!status.is_success()).then(|| format!("answered {status}"));
            }
            Err(cause) if cause.is_timeout() => entry.error = Some("no answer within 5 s".to_owned()),
            Err(cause) => entry.error = Some(cause.without_url().to_string()),
        }
        self.journal.note_webhook(entry);
    }
}
