//! One request and its answer: recognise the account, misbehave if told to, parse, answer under the account's lock, note it down.
//!
//! What a path means is in `resources/`; this file is the same for every path. Handlers are plain functions from a
//! [`Call`] and the locked [`Tenant`] to an [`Outcome`]: they cannot wait, so the lock is never held across a wait. One that
//! has to ask a pre-webhook first is left, and run again when the answer is there ([`Tenant::ask`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::mock::account::Account;
use crate::mock::error::{self, Refusal};
use crate::mock::event::Origin;
use crate::mock::faults::{self, CloseUnanswered, Fault};
use crate::mock::form::Form;
use crate::mock::journal::RequestEntry;
use crate::mock::login::{Login, login};
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{State, Tenant};
use crate::mock::view::View;

/// Most bytes of a form or JSON body.
const MOST_FORM_BYTES: usize = 1024 * 1024;

/// Most bytes of an upload: 150 MB, the documented limit for chat.
const MOST_MEDIA_BYTES: usize = 150 * 1024 * 1024;

/// What a handler makes of a call.
pub(crate) type Outcome = Result<Answer, Refusal>;

/// A successful answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 201 with the new resource.
    Created(Value),
    /// 202 with the new resource, which is not finished yet.
    Accepted(Value),
    /// 200 with a resource, a list or nothing in particular.
    Ok(Value),
    /// 204.
    Deleted,
    /// 200 with a file.
    File {
        /// What the uploader said it is.
        content_type: String,
        /// The file.
        bytes: Bytes,
    },
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Created(body) => json_response(201, &body),
            Self::Accepted(body) => json_response(202, &body),
            Self::Ok(body) => json_response(200, &body),
            Self::Deleted => StatusCode::NO_CONTENT.into_response(),
            Self::File { content_type, bytes } => {
                let content_type = HeaderValue::from_str(&content_type)
                    .unwrap_or(HeaderValue::from_static("application/octet-stream"));
                ([(CONTENT_TYPE, content_type)], bytes).into_response()
            }
        }
    }
}

/// A JSON body with Twilio's content type.
pub(crate) fn json_response(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("the mock only answers with HTTP's own statuses");
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

/// A request that has been read and whose account is known.
#[derive(Debug)]
pub(crate) struct Received {
    method: Method,
    path: String,
    base: String,
    query: Form,
    form: Form,
    body: Bytes,
    headers: HeaderMap,
    login: Login,
}

impl Received {
    /// 404 for this path.
    pub(crate) fn not_found(&self) -> Refusal {
        Refusal::not_found(&self.path)
    }
}

/// A [`Received`] request at the path it was meant for.
#[derive(Debug)]
pub(crate) struct Call {
    received: Arc<Received>,
    parameters: Vec<(String, String)>,
    origin: Origin,
}

impl Call {
    /// A decoded segment of the path; empty when the route has none of that name.
    pub(crate) fn segment(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The service of a service-scoped path. `None` on a default-service path.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == "service").map(|(_, value)| value.as_str())
    }

    pub(crate) fn query(&self) -> &Form {
        &self.received.query
    }

    pub(crate) fn form(&self) -> &Form {
        &self.received.form
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.received.body
    }

    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.received.headers.get(name)?.to_str().ok()
    }

    /// Who acts and when: REST, with or without webhooks.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whose access token came with it; `None` for the account itself.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.received.login.identity.as_deref()
    }

    /// The path as it was sent, `/v1` included.
    pub(crate) fn path(&self) -> &str {
        &self.received.path
    }

    /// Scheme, host and port the caller used.
    pub(crate) fn base(&self) -> &str {
        &self.received.base
    }

    /// 404 for this path.
    pub(crate) fn not_found(&self) -> Refusal {
        self.received.not_found()
    }

    /// The service the call is about.
    ///
    /// # Errors
    /// 404 when the path names a service there is not, or the default one was deleted.
    pub(crate) fn service_sid(&self, tenant: &Tenant) -> Result<Sid, Refusal> {
        match self.scope() {
            None => Some(tenant.default_service_sid),
            Some(text) => Sid::parse(prefix::SERVICE, text),
        }
        .filter(|sid| tenant.services.get(*sid).is_some())
        .ok_or_else(|| self.not_found())
    }

    /// How resources are to be shown to this caller.
    pub(crate) fn view(&self, tenant: &Tenant) -> View {
        View::new(
            self.base(),
            tenant.account_sid,
            self.scope().and_then(|text| Sid::parse(prefix::SERVICE, text)),
        )
    }
}

/// A handler of one operation.
pub(crate) type Operation = fn(&Call, &mut Tenant) -> Outcome;

/// Answers a call by `operation`; its pre-webhooks are waited for, its post-webhooks only queued.
pub(crate) async fn answer(
    received: Arc<Received>,
    parameters: Vec<(String, String)>,
    operation: Operation,
) -> Response {
    let account = received.login.account.clone();
    if received.method != Method::GET {
        if let Err(refusal) = account.keep_pace() {
            return refusal.into_response();
        }
        account.touch();
    }
    let announced = received
        .headers
        .get("x-twilio-webhook-enabled")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let origin = Origin::rest(account.clock().now(), announced);
    let outcome = perform(&account, Call { received, parameters, origin }, operation).await;
    outcome.map_or_else(IntoResponse::into_response, IntoResponse::into_response)
}

/// Runs an operation of REST for somebody who did not come over REST.
pub(crate) async fn from_inside(
    account: &Arc<Account>,
    parameters: Vec<(String, String)>,
    form: Form,
    origin: Origin,
    operation: Operation,
) -> Outcome {
    let received = Received {
        method: Method::POST,
        path: String::new(),
        base: String::new(),
        query: Form::default(),
        form,
        body: Bytes::new(),
        headers: HeaderMap::new(),
        login: Login { account: account.clone(), identity: origin.client_identity.clone() },
    };
    perform(account, Call { received: Arc::new(received), parameters, origin }, operation).await
}

async fn perform(account: &Account, mut call: Call, operation: Operation) -> Outcome {
    loop {
        let outcome = account.change(|tenant| operation(&call, tenant));
        if !account.settle(&mut call.origin).await {
            return outcome;
        }
    }
}

/// Reads, authenticates and notes down whatever comes, and misbehaves as the account's faults say. Whoever cannot log in
/// is the first account's business.
pub(crate) async fn transact(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let login = login(&state, request.headers(), request.uri().path());
    let account = login.as_ref().map_or_else(|_| state.first().clone(), |login| login.account.clone());
    let in_flight = account.enter();
    let fault = account.faults().strike(request.method(), request.uri().path());
    let mut note = Note::of(account.clone(), &request, fault.as_ref());
    let latency = account.switches().latency_ms;
    if latency > 0 {
        faults::hold(Duration::from_millis(latency), state.stopping()).await;
    }

    let read = match login {
        Ok(login) => read(&state, login, request).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = match read {
        Ok((parts, received)) => {
            note.entry.params = received.form.pairs().to_vec();
            misbehave(&state, fault.as_ref(), || {
                let mut request = Request::from_parts(parts, Body::empty());
                request.extensions_mut().insert(Arc::new(received));
                next.run(request)
            })
            .await
        }
        Err(refusal) => refusal.into_response(),
    };

    let headers = response.headers_mut();
    for (name, value) in [
        ("twilio-request-id", note.entry.request_id.clone()),
        ("twilio-request-duration", format!("{:.3}", note.started.elapsed().as_secs_f64())),
        ("twilio-concurrent-requests", in_flight.count().to_string()),
        ("x-api-domain", "conversations.twilio.com".to_owned()),
        ("x-home-region", "us1".to_owned()),
    ] {
        let value = HeaderValue::from_str(&value).expect("these values are plain ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
    if response.extensions().get::<CloseUnanswered>().is_none() {
        note.entry.status = response.status().as_u16();
    }
    response
}

/// A journal entry in the making. It is written when dropped, so that a request whose caller went away is in the
/// journal too (with status 0).
struct Note {
    account: Arc<Account>,
    started: Instant,
    entry: RequestEntry,
}

impl Note {
    fn of(account: Arc<Account>, request: &Request, fault: Option<&Fault>) -> Self {
        let entry = RequestEntry {
            id: 0,
            request_id: Sid::random(prefix::REQUEST).to_string(),
            time: account.clock().now(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            params: Vec::new(),
            status: 0,
            duration_ms: 0,
            fault: fault.map(Fault::name),
        };
        Self { account, started: Instant::now(), entry }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.entry.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.account.journal().note_request(std::mem::take(&mut self.entry));
    }
}

async fn misbehave<F>(state: &State, fault: Option<&Fault>, answer: impl FnOnce() -> F) -> Response
where
    F: Future<Output = Response>,
{
    let Some(fault) = fault else { return answer().await };
    if let Some(response) = fault.before(state.stopping()).await {
        return response;
    }
    let response = answer().await;
    fault.after(response, state.stopping()).await
}

async fn read(
    state: &State,
    login: Login,
    request: Request,
) -> Result<(axum::http::request::Parts, Received), Refusal> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let media = crate::mock::resources::media::is_upload(&parts.method, &path);
    let most = if media { MOST_MEDIA_BYTES } else { MOST_FORM_BYTES };
    let body = Limited::new(body, most).collect().await.map_err(|cause| {
        if cause.is::<LengthLimitError>() {
            error::TOO_LARGE
        } else {
            Refusal::invalid_parameter("body", "could not be read")
        }
    })?;
    let body = body.to_bytes();
    let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes())?;
    let form = if parts.method == Method::POST && !media && !body.is_empty() {
        form_of(&parts.headers, &path, &body)?
    } else {
        Form::default()
    };
    let base = state.base_for(parts.headers.get(HOST));
    let (method, headers) = (parts.method.clone(), parts.headers.clone());
    let received = Received { method, path, base, query, form, body, headers, login };
    Ok((parts, received))
}

/// The form in the body; empty for the one request with JSON, which is read from the bytes.
fn form_of(headers: &HeaderMap, path: &str, body: &Bytes) -> Result<Form, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Form::parse(body),
        "application/json" if path.ends_with("/MediaSet") => Ok(Form::default()),
        _ => Err(Refusal::invalid_parameter("Content-Type", "must be application/x-www-form-urlencoded")),
    }
}

/// 404 for a path that is none of Twilio's.
pub(crate) async fn unknown_path(request: Request) -> Refusal {
    Refusal::not_found(request.uri().path())
}

/// 405 for a method the path does not take.
pub(crate) async fn wrong_method() -> Refusal {
    error::METHOD_NOT_ALLOWED
}
