//! Faults on demand: which requests and which webhooks go wrong, how often, and in what way.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use rand::Rng;
use regex::Regex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::mock::error;

/// Most faults waiting at a time.
const MOST_FAULTS: usize = 1000;

/// The longest a request is held back, whatever a fault says.
const LONGEST: Duration = Duration::from_secs(600);

/// One fault: `{"method":"POST","path":"/Messages$","times":1,"action":{"store_then_hang":true}}`, or of webhooks
/// `{"webhook":"^onMessage","action":{"double":true}}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests with this method; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose path has a match of this regular expression (a plain text is one); any when absent.
    #[serde(default, with = "pattern", skip_serializing_if = "Option::is_none")]
    pub path: Option<Regex>,
    /// Only webhooks whose event has a match of this regular expression. A fault with it is about webhooks alone, one
    /// without it about requests alone.
    #[serde(default, with = "pattern", skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Regex>,
    /// How often it strikes before it is forgotten; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How likely it strikes, 0 to 1; always when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// What happens.
    pub action: Action,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ActionFields", into = "ActionFields")]
pub enum Action {
    /// Waits a random time between the two, then works as usual.
    DelayMs([u64; 2]),
    /// Works as usual, but answers a random time later.
    DelayAnswerMs([u64; 2]),
    /// Does nothing and answers with a status.
    Status {
        /// The status.
        status: u16,
        /// The `Retry-After` header in seconds, if there is to be one.
        retry_after: Option<u64>,
        /// Whether the body is a gateway's HTML page instead of Twilio's JSON.
        html: bool,
    },
    /// Does nothing and never answers.
    Hang,
    /// Does what was asked and never answers.
    StoreThenHang,
    /// Does what was asked and answers with a status as if it had not.
    StoreThenStatus(u16),
    /// Does nothing and closes the connection.
    Reset,
    /// Works as usual, but the answer's body takes a random time between the two to come, bit by bit.
    SlowBodyMs([u64; 2]),
    /// Of a webhook: it is not sent.
    Drop,
    /// Of a webhook: it is sent twice.
    Double,
    /// Of a webhook: the next one about the same conversation goes first.
    Reorder,
}

/// The fields an action is written with; exactly one of those that name it is given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ActionFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_answer_ms: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    html: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hang: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    store_then_hang: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_then_status: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reset: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_body_ms: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drop: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    double: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reorder: bool,
}

impl TryFrom<ActionFields> for Action {
    type Error = &'static str;

    fn try_from(fields: ActionFields) -> Result<Self, &'static str> {
        let status_is_one = |status: u16| (100..=999).contains(&status);
        if !fields.status.into_iter().chain(fields.store_then_status).all(status_is_one) {
            return Err("a status has three digits");
        }
        let mut named = [
            fields.delay_ms.map(Self::DelayMs),
            fields.delay_answer_ms.map(Self::DelayAnswerMs),
            fields.status.map(|status| Self::Status {
                status,
                retry_after: fields.retry_after,
                html: fields.html,
            }),
            fields.hang.then_some(Self::Hang),
            fields.store_then_hang.then_some(Self::StoreThenHang),
            fields.store_then_status.map(Self::StoreThenStatus),
            fields.reset.then_some(Self::Reset),
            fields.slow_body_ms.map(Self::SlowBodyMs),
            fields.drop.then_some(Self::Drop),
            fields.double.then_some(Self::Double),
            fields.reorder.then_some(Self::Reorder),
        ]
        .into_iter()
        .flatten();
        match (named.next(), named.next()) {
            (Some(action), None) => Ok(action),
            (None | Some(_), _) => {
                Err("an action is exactly one of delay_ms, delay_answer_ms, status, hang, \
                store_then_hang, store_then_status, reset, slow_body_ms; of a webhook delay_ms, drop, double, reorder")
            }
        }
    }
}

impl From<Action> for ActionFields {
    fn from(action: Action) -> Self {
        let none = Self::default();
        match action {
            Action::DelayMs(range) => Self { delay_ms: Some(range), ..none },
            Action::DelayAnswerMs(range) => Self { delay_answer_ms: Some(range), ..none },
            Action::Status { status, retry_after, html } => {
                Self { status: Some(status), retry_after, html, ..none }
            }
            Action::Hang => Self { hang: true, ..none },
            Action::StoreThenHang => Self { store_then_hang: true, ..none },
            Action::StoreThenStatus(status) => Self { store_then_status: Some(status), ..none },
            Action::Reset => Self { reset: true, ..none },
            Action::SlowBodyMs(range) => Self { slow_body_ms: Some(range), ..none },
            Action::Drop => Self { drop: true, ..none },
            Action::Double => Self { double: true, ..none },
            Action::Reorder => Self { reorder: true, ..none },
        }
    }
}

mod pattern {
    use regex::{Regex, RegexBuilder};
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's `with` hands over a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        pattern: &Option<Regex>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(pattern.as_ref().map_or("", Regex::as_str))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let pattern = RegexBuilder::new(&text).size_limit(1 << 20).build();
        pattern.map(Some).map_err(serde::de::Error::custom)
    }
}

/// Marks an answer that is not to be sent: the connection closes instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseUnanswered;

impl Fault {
    /// Any request, any number of times.
    pub fn always(action: Action) -> Self {
        Self { method: None, path: None, webhook: None, times: None, probability: None, action }
    }

    /// Says what is wrong with a fault that could never strike.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let about_webhooks = self.webhook.is_some();
        match self.action {
            Action::Drop | Action::Double | Action::Reorder if !about_webhooks => {
                Some("drop, double and reorder are for webhooks: say which with webhook")
            }
            Action::DelayMs(_) | Action::Drop | Action::Double | Action::Reorder => (about_webhooks
                && (self.method.is_some() || self.path.is_some()))
            .then_some("a fault of webhooks has neither method nor path"),
            Action::DelayAnswerMs(_)
            | Action::Status { .. }
            | Action::Hang
            | Action::StoreThenHang
            | Action::StoreThenStatus(_)
            | Action::Reset
            | Action::SlowBodyMs(_) => {
                about_webhooks.then_some("a webhook can only be struck by delay_ms, drop, double and reorder")
            }
        }
    }

    fn fits(&self, method: &Method, path: &str) -> bool {
        self.webhook.is_none()
            && self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path.as_ref().is_none_or(|pattern| pattern.is_match(path))
            && self.is_likely()
    }

    fn is_likely(&self) -> bool {
        self.probability.is_none_or(|probability| rand::rng().random::<f64>() < probability)
    }

    /// The action's name, for the journal.
    pub(crate) fn name(&self) -> &'static str {
        match self.action {
            Action::DelayMs(_) => "delay_ms",
            Action::DelayAnswerMs(_) => "delay_answer_ms",
            Action::Status { .. } => "status",
            Action::Hang => "hang",
            Action::StoreThenHang => "store_then_hang",
            Action::StoreThenStatus(_) => "store_then_status",
            Action::Reset => "reset",
            Action::SlowBodyMs(_) => "slow_body_ms",
            Action::Drop => "drop",
            Action::Double => "double",
            Action::Reorder => "reorder",
        }
    }

    /// What happens before the request is looked at; an answer when it never will be.
    pub(crate) async fn before(&self, stopping: &CancellationToken) -> Option<Response> {
        match self.action {
            Action::DelayMs(range) => {
                hold(between(range), stopping).await;
                None
            }
            Action::Status { status, retry_after, html } => Some(failure(status, retry_after, html)),
            Action::Hang => {
                hold(LONGEST, stopping).await;
                Some(unanswered())
            }
            Action::Reset => Some(unanswered()),
            Action::DelayAnswerMs(_)
            | Action::StoreThenHang
            | Action::StoreThenStatus(_)
            | Action::SlowBodyMs(_)
            | Action::Drop
            | Action::Double
            | Action::Reorder => None,
        }
    }

    /// What becomes of the answer.
    pub(crate) async fn after(&self, response: Response, stopping: &CancellationToken) -> Response {
        match self.action {
            Action::DelayAnswerMs(range) => {
                hold(between(range), stopping).await;
                response
            }
            Action::StoreThenHang => {
                hold(LONGEST, stopping).await;
                unanswered()
            }
            Action::StoreThenStatus(status) => failure(status, None, false),
            Action::SlowBodyMs(range) => slowly(response, between(range)),
            Action::DelayMs(_)
            | Action::Status { .. }
            | Action::Hang
            | Action::Reset
            | Action::Drop
            | Action::Double
            | Action::Reorder => response,
        }
    }
}

fn between([least, most]: [u64; 2]) -> Duration {
    let millis = if least < most { rand::rng().random_range(least..=most) } else { least };
    Duration::from_millis(millis).min(LONGEST)
}

/// Waits for `time`, or until the mock stops.
pub(crate) async fn hold(time: Duration, stopping: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stopping.cancelled() => {}
    }
}

/// The same answer, its body in pieces that take `time` altogether.
fn slowly(response: Response, time: Duration) -> Response {
    const PIECES: u32 = 16;
    let (parts, body) = response.into_parts();
    let pieces = futures::stream::once(async move {
        // The mock's own bodies are in memory; collecting one neither fails nor waits.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let size = body.len().div_ceil(PIECES as usize).max(1);
        let pieces: Vec<Bytes> = body.chunks(size).map(Bytes::copy_from_slice).collect();
        futures::stream::iter(pieces).then(move |piece| async move {
            tokio::time::sleep(time / PIECES).await;
            Ok::<_, std::convert::Infallible>(piece)
        })
    });
    Response::from_parts(parts, Body::from_stream(pieces.flatten()))
}

fn unanswered() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.extensions_mut().insert(CloseUnanswered);
    response
}

fn failure(status: u16, retry_after: Option<u64>, html: bool) -> Response {
    let mut response = if html {
        let page = "<html><head><title>Service Temporarily Unavailable</title></head><body></body></html>";
        ([(CONTENT_TYPE, "text/html")], page).into_response()
    } else {
        let mut refusal = match status {
            401 => error::INVALID_USERNAME,
            404 => error::NOT_FOUND,
            429 => error::TOO_MANY_REQUESTS,
            400..500 => error::INVALID_PARAMETER,
            503 => error::SERVICE_UNAVAILABLE,
            _ => error::INTERNAL_SERVER_ERROR,
        };
        refusal.status = status;
        refusal.into_response()
    };
    *response.status_mut() = StatusCode::from_u16(status).expect("an action's status has three digits");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What befalls a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    Delay(Duration),
    Drop,
    Double,
    Reorder,
}

/// The faults that wait for a request or a webhook.
#[derive(Debug, Default)]
pub struct Faults {
    waiting: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Adds a fault behind those there are; the oldest is dropped past a thousand.
    pub fn add(&self, fault: Fault) {
        let mut waiting = self.waiting.lock();
        if waiting.len() == MOST_FAULTS {
            waiting.remove(0);
        }
        waiting.push(fault);
    }

    /// Forgets all faults.
    pub fn clear(&self) {
        self.waiting.lock().clear();
    }

    /// The faults still waiting.
    pub fn waiting(&self) -> Vec<Fault> {
        self.waiting.lock().clone()
    }

    /// The first fault that strikes this request, one time used up.
    pub(crate) fn strike(&self, method: &Method, path: &str) -> Option<Fault> {
        self.first(|fault| fault.fits(method, path))
    }

    /// What befalls a webhook about `event`, one time used up.
    pub(crate) fn strike_webhook(&self, event: &str) -> Option<Mishap> {
        let fits = |fault: &Fault| {
            fault.webhook.as_ref().is_some_and(|pattern| pattern.is_match(event)) && fault.is_likely()
        };
        match self.first(fits)?.action {
            Action::DelayMs(range) => Some(Mishap::Delay(between(range))),
            Action::Drop => Some(Mishap::Drop),
            Action::Double => Some(Mishap::Double),
            Action::Reorder => Some(Mishap::Reorder),
            Action::DelayAnswerMs(_)
            | Action::Status { .. }
            | Action::Hang
            | Action::StoreThenHang
            | Action::StoreThenStatus(_)
            | Action::Reset
            | Action::SlowBodyMs(_) => None,
        }
    }

    fn first(&self, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut waiting = self.waiting.lock();
        let position = waiting.iter().position(|fault| fault.times != Some(0) && fits(fault))?;
        let fault = waiting[position].clone();
        if let Some(times) = &mut waiting[position].times {
            *times -= 1;
            if *times == 0 {
                waiting.remove(position);
            }
        }
        Some(fault)
    }
}
