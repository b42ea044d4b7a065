//! [`Client`]: the only thing that sends a request to Twilio. Limits, retries, deadlines and metrics have their home here.
//!
//! A call waits for a slot ([`Limiter`]), asks whether the host is called at all ([`Breaker`]), is sent, and its answer is
//! judged; then it is done, or repeated, or given up:
//!
//! | what happened | repeated? |
//! |---|---|
//! | no connection: nothing was sent | any call, up to [`TRIES`] in all |
//! | 429: nothing was done | any call, up to [`RATE_LIMITED_TRIES`] in all, after what `Retry-After` says |
//! | 5xx, time-out, reset, broken answer | not a create: it may have been done, and doing it twice makes two. The caller is told ([`Error::Ambiguous`]) and must look. Others up to [`TRIES`] in all |
//! | any other 4xx | no |
//!
//! All of it happens within one deadline. Nothing here knows which resource is asked for.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::answer::{self, Answer, Refusal};
use super::breaker::{Breaker, Leave};
use super::call::{Call, Service, Source, Verb};
use super::limiter::{Limiter, Slot};
use super::{Error, ServiceSid};

/// How often a call is sent at most when the host fails.
const TRIES: u32 = 3;

/// How often a call is sent at most when Twilio limits the rate.
const RATE_LIMITED_TRIES: u32 = 5;

/// The pause before the first repetition is random below this; doubled with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Twilio closes idle connections; one closed under a create would make it ambiguous.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// Whom to call, as whom, and how hard.
#[derive(Debug, Clone)]
pub struct Settings {
    /// An API key's SID (`SK…`), or the account's (`AC…`).
    pub username: String,
    /// The API key's secret, or the account's auth token.
    pub password: SecretString,
    /// The service whose conversations these are.
    pub service_sid: ServiceSid,
    /// `https://conversations.twilio.com`, or where else the same is spoken.
    pub conversations_url: Url,
    /// `https://mcs.us1.twilio.com`, or where else the same is spoken.
    pub media_url: Url,
    /// Most calls in flight at once, per host; files on their way to the media service are counted apart.
    pub max_concurrency: usize,
    /// How long a caller waits.
    pub deadlines: Deadlines,
}

/// How long a call may take in all: waiting for a slot, every try, and the pauses between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Of what changes nothing.
    pub read: Duration,
    /// Of a change.
    pub write: Duration,
    /// Of sending a file.
    pub upload: Duration,
}

impl Default for Deadlines {
    /// 5 s, 6 s, 60 s. A write leaves time, within the 10 s a person waits, to look what became of it.
    fn default() -> Self {
        Self { read: Duration::from_secs(5), write: Duration::from_secs(6), upload: Duration::from_secs(60) }
    }
}

/// Twilio Conversations for one service; cheap to clone, one connection pool behind all clones.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    service_sid: ServiceSid,
    authorization: HeaderValue,
    conversations: Host,
    media: Host,
    /// The media service, for files on their way there: they take long, and pictures should be seen meanwhile.
    uploads: Host,
    deadlines: Deadlines,
}

/// One of Twilio's hosts, with what is known of its health.
struct Host {
    /// Ends in `/v1/Services/{ServiceSid}/`.
    base: Url,
    limiter: Limiter,
    breaker: Breaker,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if a URL is not `http` or `https`, or TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings {
            username,
            password,
            service_sid,
            conversations_url,
            media_url,
            max_concurrency,
            deadlines,
        } = settings;
        let is_secure = [&conversations_url, &media_url].iter().all(|url| url.scheme() == "https");
        let host = |name, url| Host::new(name, url, service_sid, max_concurrency);
        Ok(Self(Arc::new(Inner {
            http: http(is_secure)?,
            service_sid,
            authorization: basic(&username, &password),
            conversations: host("conversations", conversations_url)?,
            media: host("media", media_url.clone())?,
            uploads: host("uploads", media_url)?,
            deadlines,
        })))
    }

    /// The service all calls are about.
    pub fn service_sid(&self) -> ServiceSid {
        self.0.service_sid
    }

    /// Whether calls are made at all: false for a few seconds after most have failed.
    pub fn is_available(&self) -> bool {
        !self.0.conversations.breaker.is_open()
    }

    /// Asks Twilio for something small, to see whether it answers and knows us.
    ///
    /// # Errors
    /// As [`Client::fetch_service_configuration`].
    pub async fn ping(&self) -> Result<(), Error> {
        self.fetch_service_configuration().await.map(drop)
    }

    /// Sends `call`, and reads the resource in its answer.
    pub(super) async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let body = self.exchange(&call).await?;
        serde_json::from_slice(&body).map_err(|error| {
            // Not the error's own text, which quotes the value it stumbled over.
            let reason =
                format!("{:?} error in column {} of {}", error.classify(), error.column(), call.operation);
            if call.verb.is_write() { Error::Ambiguous(reason) } else { Error::Undecodable(reason) }
        })
    }

    /// Sends `call`, whose answer has no body.
    pub(super) async fn send_remove(&self, call: Call) -> Result<(), Error> {
        self.exchange(&call).await.map(drop)
    }

    /// Begins to download from an address that Twilio gave out and that needs no credentials: it is none of its API, so
    /// nothing is limited, repeated or counted. How long it may take is the caller's business.
    pub(super) async fn open(&self, url: Url) -> Result<reqwest::Response, Error> {
        let opening = self.0.http.execute(reqwest::Request::new(reqwest::Method::GET, url));
        let response = opening.await.map_err(|error| Error::Unreachable(answer::reason(&error)))?;
        match response.status() {
            reqwest::StatusCode::OK => Ok(response),
            status => Err(Error::Unreachable(format!("status {}", status.as_u16()))),
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Bytes, Error> {
        let time = self.0.deadlines.of(call);
        let budget = Budget {
            deadline: Instant::now() + time,
            // A host that hangs should leave time to ask once more, where asking once more is allowed; one that is only slow
            // should be given the better part.
            for_one_try: if call.verb.is_repeatable() { time * 3 / 5 } else { time },
        };
        let mut tries = 0;
        let mut may_have_happened = false;
        loop {
            let outcome = self.attempt(call, budget).await;
            tries += 1;
            let (pause, give_up) = match outcome {
                Outcome::Answered(Answer::Done(body)) => return Ok(body),
                Outcome::Answered(Answer::Refused(refusal)) => {
                    let error = Error::from(refusal);
                    // The try before did it.
                    let is_gone = may_have_happened && call.verb == Verb::Remove && error.is_not_found();
                    return if is_gone { Ok(Bytes::new()) } else { Err(error) };
                }
                Outcome::Answered(Answer::RateLimited { retry_after }) => {
                    let pause = retry_after.unwrap_or_default() + full_jitter(tries);
                    ((tries < RATE_LIMITED_TRIES).then_some(pause), Error::RateLimited { retry_after })
                }
                Outcome::Answered(Answer::Failed(reason)) => {
                    may_have_happened |= call.verb.is_write();
                    let again = call.verb.is_repeatable() && tries < TRIES;
                    (again.then(|| full_jitter(tries)), Error::Unreachable(reason))
                }
                Outcome::NotSent(reason) => {
                    ((tries < TRIES).then(|| full_jitter(tries)), Error::Unreachable(reason))
                }
                Outcome::NotTried(reason) => (None, Error::Unreachable(reason.to_owned())),
            };
            match pause {
                Some(pause) if Instant::now() + pause < budget.deadline => sleep(pause).await,
                Some(_) | None if may_have_happened => return Err(ambiguous(give_up)),
                Some(_) | None => return Err(give_up),
            }
        }
    }

    /// Sends `call` once.
    async fn attempt(&self, call: &Call, budget: Budget) -> Outcome {
        let host = self.host(call);
        let (slot, leave) = match host.admit(budget.deadline).await {
            Ok(admitted) => admitted,
            Err(reason) => {
                let outcome = Outcome::NotTried(reason);
                outcome.report(call.operation, Duration::ZERO);
                return outcome;
            }
        };
        let started = Instant::now();
        crate::telemetry::twilio_call();
        let sending = self.0.http.execute(self.request(call, host.url(call)));
        let try_deadline = budget.deadline.min(started + budget.for_one_try);
        let outcome = match timeout_at(try_deadline, answered(sending)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Answered(Answer::Failed("no answer in time".to_owned())),
        };
        match &outcome {
            Outcome::Answered(Answer::Done(_) | Answer::Refused(_)) => {
                slot.succeeded();
                leave.succeeded();
            }
            Outcome::Answered(Answer::RateLimited { .. }) => {
                slot.was_rate_limited();
                leave.succeeded();
            }
            Outcome::Answered(Answer::Failed(_)) | Outcome::NotSent(_) | Outcome::NotTried(_) => {
                leave.failed()
            }
        }
        outcome.report(call.operation, started.elapsed());
        outcome
    }

    fn request(&self, call: &Call, url: Url) -> reqwest::Request {
        let mut request = reqwest::Request::new(call.verb.method(), url);
        request.headers_mut().insert(AUTHORIZATION, self.0.authorization.clone());
        if call.announced {
            // Without it Twilio fires no webhook for changes made over REST.
            request.headers_mut().insert("x-twilio-webhook-enabled", HeaderValue::from_static("true"));
        }
        if let Some(content) = call.content.clone() {
            request.headers_mut().insert(CONTENT_TYPE, content.content_type);
            *request.body_mut() = Some(match content.source {
                Source::Bytes(bytes) => bytes.into(),
                Source::File(file) => {
                    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(file.size()));
                    file.body()
                }
            });
        }
        request
    }

    fn host(&self, call: &Call) -> &Host {
        match (call.service, call.verb) {
            (Service::Conversations, _) => &self.0.conversations,
            (Service::Media, Verb::Create | Verb::Update) => &self.0.uploads,
            (Service::Media, Verb::Fetch | Verb::Remove) => &self.0.media,
        }
    }
}

/// The time a call has.
#[derive(Clone, Copy)]
struct Budget {
    deadline: Instant,
    for_one_try: Duration,
}

/// What is known when a change that was sent is given up, for whatever reason.
fn ambiguous(give_up: Error) -> Error {
    match give_up {
        Error::Unreachable(reason) | Error::Ambiguous(reason) | Error::Undecodable(reason) => {
            Error::Ambiguous(reason)
        }
        Error::RateLimited { .. } | Error::Refused { .. } => Error::Ambiguous(give_up.to_string()),
    }
}

/// What became of one try.
enum Outcome {
    Answered(Answer),
    /// No connection.
    NotSent(String),
    /// Not even that was attempted.
    NotTried(&'static str),
}

async fn answered(sending: impl Future<Output = reqwest::Result<reqwest::Response>>) -> Outcome {
    match sending.await {
        Ok(response) => Outcome::Answered(answer::judge(response).await),
        Err(error) if error.is_connect() || error.is_builder() => Outcome::NotSent(answer::reason(&error)),
        Err(error) => Outcome::Answered(Answer::Failed(answer::reason(&error))),
    }
}

impl Outcome {
    fn report(&self, operation: &'static str, took: Duration) {
        let (outcome, status, code, reason) = match self {
            Self::Answered(Answer::Done(_)) => ("done", None, None, None),
            Self::Answered(Answer::Refused(Refusal { status, code, .. })) => {
                ("refused", Some(status.as_u16()), *code, None)
            }
            Self::Answered(Answer::RateLimited { .. }) => ("rate_limited", Some(429), None, None),
            Self::Answered(Answer::Failed(reason)) => ("failed", None, None, Some(reason.as_str())),
            Self::NotSent(reason) => ("not_sent", None, None, Some(reason.as_str())),
            Self::NotTried(reason) => ("not_tried", None, None, Some(*reason)),
        };
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(
            twilio.operation = operation,
            twilio.status = status,
            twilio.code = code,
            reason,
            duration_ms,
            "twilio was asked: {outcome}"
        );
        if status == Some(401) {
            tracing::warn!(
                twilio.operation = operation,
                twilio.code = code,
                "twilio does not accept our credentials"
            );
        }
        metrics::counter!("switchboard_twilio_requests_total", "operation" => operation, "outcome" => outcome)
            .increment(1);
        if !matches!(self, Self::NotTried(_)) {
            metrics::histogram!("switchboard_twilio_request_seconds", "operation" => operation)
                .record(took.as_secs_f64());
        }
    }
}

impl Host {
    fn new(
        name: &'static str,
        mut base: Url,
        service_sid: ServiceSid,
        max_concurrency: usize,
    ) -> Result<Self, Error> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Error::Unreachable(format!("the {name} URL is neither http nor https")));
        }
        base.set_path(&format!("{}/v1/Services/{service_sid}/", base.path().trim_end_matches('/')));
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { base, limiter: Limiter::new(name, max_concurrency), breaker: Breaker::new() })
    }

    /// Waits for a slot, at most until `deadline`; in words, why there is none.
    async fn admit(&self, deadline: Instant) -> Result<(Slot<'_>, Leave<'_>), &'static str> {
        const HOST_FAILS: &str = "most calls have failed of late";
        // Asked before waiting in line as well: while the host hangs the line moves slowly.
        if self.breaker.is_open() {
            return Err(HOST_FAILS);
        }
        let slot = timeout_at(deadline, self.limiter.slot()).await;
        let slot = slot.map_err(|_| "no free slot in time")?.map_err(|_| "too many callers are waiting")?;
        let leave = self.breaker.leave().map_err(|_| HOST_FAILS)?;
        Ok((slot, leave))
    }

    fn url(&self, call: &Call) -> Url {
        let mut url = self.base.clone();
        let mut path = String::with_capacity(url.path().len() + call.path.len());
        path.push_str(url.path());
        path.push_str(&call.path);
        url.set_path(&path);
        url.set_query(call.query.as_deref());
        url
    }
}

impl Deadlines {
    fn of(&self, call: &Call) -> Duration {
        match (call.service, call.verb) {
            (_, Verb::Fetch) => self.read,
            (Service::Media, Verb::Create | Verb::Update) => self.upload,
            (Service::Media, Verb::Remove)
            | (Service::Conversations, Verb::Create | Verb::Update | Verb::Remove) => self.write,
        }
    }
}

fn http(is_secure: bool) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(5))
        .https_only(is_secure)
        // A redirect would carry our credentials elsewhere; a proxy from the environment would see them.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // Its own has no back-off and knows no `Retry-After`.
        .retry(reqwest::retry::never());
    builder.build().map_err(|error| Error::Unreachable(answer::reason(&error)))
}

fn basic(username: &str, password: &SecretString) -> HeaderValue {
    let encoded = BASE64_STANDARD.encode(format!("{username}:{}", password.expose_secret()));
    let mut value =
        HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 is always fit for a header");
    value.set_sensitive(true);
    value
}

/// A random pause before try number `tries + 1`, so that callers who failed together do not come back together.
fn full_jitter(tries: u32) -> Duration {
    let cap = FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(10)).min(LONGEST_PAUSE);
    rand::random_range(Duration::ZERO..=cap)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("service_sid", &self.0.service_sid).finish_non_exhaustive()
    }
}
