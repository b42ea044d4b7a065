//! One webhook on its way: its form, its signature, and the attempts to hand it over.
//!
//! Which webhook goes when is in `webhooks.rs`. Source:
//! <https://www.twilio.com/docs/conversations/conversations-webhooks>; repeated calls are the underlying service's
//! `PreWebhookRetryCount` and `PostWebhookRetryCount` (<https://www.twilio.com/docs/chat/rest/service-resource>).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::mock::event::{Event, Origin, WebhookMethod};
use crate::mock::journal::{Journal, WebhookEntry};
use crate::mock::sid::Sid;
use crate::mock::signature;
use crate::mock::state::Tenant;

/// How long a webhook may take to be answered.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// How long after a failure the next attempt is made.
const PAUSE: Duration = Duration::from_millis(100);

/// Most post-webhooks on their way at a time, of all accounts.
const MOST_AT_ONCE: usize = 64;

/// Most bytes of an answer that are read.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// One webhook to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) event: &'static str,
    /// What it has to keep its order with.
    pub(crate) lane: Lane,
    /// How long it is held back first.
    pub(crate) delay: Option<Duration>,
    method: WebhookMethod,
    params: Vec<(String, String)>,
    idempotency_token: String,
    auth_token: String,
    retries: u32,
    time: DateTime<Utc>,
}

/// What is told in order: all about one conversation or user, to one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
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
        params.extend(event.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        if let Some(sid) = scoped {
            params.push(("WebhookType".to_owned(), "webhook".to_owned()));
            params.push(("WebhookSid".to_owned(), sid.to_string()));
        }
        Self {
            event: event.kind,
            lane: Lane { subject: event.subject, url },
            delay: None,
            method,
            params,
            idempotency_token: Uuid::new_v4().to_string(),
            auth_token: tenant.auth_token.clone(),
            retries: 0,
            time: origin.now,
        }
    }

    /// The same, called up to `retries` times more when it is not taken.
    pub(crate) fn repeated(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// The form of an attempt, counted from 0.
    fn form(&self, attempt: u32) -> Vec<(String, String)> {
        let mut params = self.params.clone();
        params.push(("RetryCount".to_owned(), attempt.to_string()));
        params
    }

    /// What the journal says of an attempt that was never made.
    pub(crate) fn unsent(&self, reason: &str) -> WebhookEntry {
        WebhookEntry {
            id: 0,
            time: self.time,
            event: self.event.to_owned(),
            url: self.lane.url.clone(),
            params: self.form(0),
            idempotency_token: self.idempotency_token.clone(),
            status: None,
            error: Some(reason.to_owned()),
            duration_ms: 0,
        }
    }
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered {
        status: u16,
        /// As much of it as is read at all.
        body: Bytes,
    },
    /// Not within five seconds.
    TimedOut,
    /// No connection, or one that broke.
    Unreachable(String),
}

impl Outcome {
    /// Whether another attempt may help: after a timeout, 429, 503 and 504.
    fn calls_for_another(&self) -> bool {
        match self {
            Self::Answered { status, .. } => matches!(status, 429 | 503 | 504),
            Self::TimedOut => true,
            Self::Unreachable(_) => false,
        }
    }

    fn error(&self) -> Option<String> {
        match self {
            Self::Answered { status: 200..300, .. } => None,
            Self::Answered { status, .. } => Some(format!("answered {status}")),
            Self::TimedOut => Some("no answer within 5 s".to_owned()),
            Self::Unreachable(cause) => Some(cause.clone()),
        }
    }
}

/// The way out. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    client: reqwest::Client,
    at_once: Arc<Semaphore>,
}

impl Sender {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .timeout(TIME_TO_ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client without certificates of its own can be built");
        Self { client, at_once: Arc::new(Semaphore::new(MOST_AT_ONCE)) }
    }

    /// Waits until another post-webhook may go. Pre-webhooks need no turn: they are as many as requests are answered.
    pub(crate) async fn turn(&self) -> OwnedSemaphorePermit {
        self.at_once.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Sends `delivery`, again as often as it asks for, and notes every attempt down. What became of the last one.
    pub(crate) async fn send(&self, delivery: &Delivery, journal: &Journal) -> Outcome {
        let mut attempt = 0;
        loop {
            let started = Instant::now();
            let form = delivery.form(attempt);
            let outcome = self.call(delivery, &form).await;
            journal.note_webhook(WebhookEntry {
                params: form,
                status: match &outcome {
                    Outcome::Answered { status, .. } => Some(*status),
                    Outcome::TimedOut | Outcome::Unreachable(_) => None,
                },
                error: outcome.error(),
                duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                ..delivery.unsent("")
            });
            if attempt >= delivery.retries || !outcome.calls_for_another() {
                return outcome;
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn call(&self, delivery: &Delivery, params: &[(String, String)]) -> Outcome {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let url = &delivery.lane.url;
        let (request, signature) = match delivery.method {
            WebhookMethod::Post => {
                let signature = signature::sign_form(&delivery.auth_token, url, params);
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
        match answer(request).await {
            Ok((status, body)) => Outcome::Answered { status, body },
            Err(cause) if cause.is_timeout() => Outcome::TimedOut,
            Err(cause) => Outcome::Unreachable(cause.without_url().to_string()),
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Bytes), reqwest::Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the mock is Twilio here, telling someone; it is no client of Twilio"
    )]
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut body = BytesMut::new();
    while body.len() <= MOST_ANSWER_BYTES
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    Ok((status, body.freeze()))
}
