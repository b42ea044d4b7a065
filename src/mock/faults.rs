//! Faults on demand: which requests go wrong, how often, and in what way.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
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

/// One fault: `{"method":"POST","path":"/Messages$","times":1,"action":{"store_then_hang":true}}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests with this method; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose path has a match of this regular expression (a plain text is one); any when absent.
    #[serde(default, with = "pattern", skip_serializing_if = "Option::is_none")]
    pub path: Option<Regex>,
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
        ]
        .into_iter()
        .flatten();
        match (named.next(), named.next()) {
            (Some(action), None) => Ok(action),
            (None | Some(_), _) => {
                Err("an action is exactly one of delay_ms, delay_answer_ms, status, hang, \
                store_then_hang, store_then_status, reset")
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
        Self { method: None, path: None, times: None, probability: None, action }
    }

    fn fits(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path.as_ref().is_none_or(|pattern| pattern.is_match(path))
            && self.probability.is_none_or(|probability| rand::rng().random::<f64>() < probability)
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
            Action::DelayAnswerMs(_) | Action::StoreThenHang | Action::StoreThenStatus(_) => None,
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
            Action::DelayMs(_) | Action::Status { .. } | Action::Hang | Action::Reset => response,
        }
    }
}

fn between([least, most]: [u64; 2]) -> Duration {
    let millis = if least < most { rand::rng().random_range(least..=most) } else { least };
    Duration::from_millis(millis).min(LONGEST)
}

async fn hold(time: Duration, stopping: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stopping.cancelled() => {}
    }
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

/// The faults that wait for a request.
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
        let mut waiting = self.waiting.lock();
        let position = waiting.iter().position(|fault| fault.times != Some(0) && fault.fits(method, path))?;
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
