//! Somebody who takes the mock's webhooks: checks every signature by the book, answers as told, and hands them on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use switchboard::mock::Options;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::twilio::{Twilio, fixture};

/// Longer than any webhook takes that comes at all.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// One webhook as it was received.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) headers: HeaderMap,
    pub(crate) form: BTreeMap<String, String>,
}

impl Told {
    pub(crate) fn event(&self) -> &str {
        &self.form["EventType"]
    }

    /// A field that must be there.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_else(|| panic!("{self:?} has no {name}"))
    }
}

/// What the listener answers; polite once it has said all it was told to.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    Polite,
    Failing,
    Silent,
    /// A status and a body.
    Saying(u16, &'static str),
}

pub(crate) struct Listener {
    pub(crate) url: String,
    told: UnboundedReceiver<Told>,
    manners: Arc<Mutex<VecDeque<Manner>>>,
}

struct Door {
    tell: UnboundedSender<Told>,
    url: String,
    auth_token: String,
    manner: Manner,
    manners: Arc<Mutex<VecDeque<Manner>>>,
}

/// The signature by the book: the URL, then every name and value in the order of the names.
fn signature(auth_token: &str, url: &str, form: &BTreeMap<String, String>) -> String {
    let text = form.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(auth_token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

async fn take(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let form: BTreeMap<String, String> = if parts.method == Method::GET {
        let (_, path) = door.url.split_once("/webhooks").unwrap();
        let url = format!("{}{}", door.url.strip_suffix(&format!("/webhooks{path}")).unwrap(), parts.uri);
        assert_eq!(parts.headers["x-twilio-signature"], signature(&door.auth_token, &url, &BTreeMap::new()));
        form_urlencoded::parse(parts.uri.query().unwrap().as_bytes()).into_owned().collect()
    } else {
        let form = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        assert_eq!(parts.headers["x-twilio-signature"], signature(&door.auth_token, &door.url, &form));
        form
    };
    let manner = door.manners.lock().pop_front().unwrap_or_else(|| door.manner.clone());
    door.tell.send(Told { headers: parts.headers, form }).unwrap();
    match manner {
        Manner::Polite => StatusCode::OK.into_response(),
        Manner::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Manner::Silent => std::future::pending().await,
        Manner::Saying(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
    }
}

impl Listener {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::of_account(&Options::default().auth_token, manner).await
    }

    /// Expects the signatures of the account with this token.
    pub(crate) async fn of_account(auth_token: &str, manner: Manner) -> Self {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks?from=twilio", socket.local_addr().unwrap());
        let (tell, told) = unbounded_channel();
        let manners = Arc::<Mutex<VecDeque<Manner>>>::default();
        let (url, auth_token) = (url, auth_token.to_owned());
        let door = Door { tell, url: url.clone(), auth_token, manner, manners: manners.clone() };
        let router = Router::new().fallback(take).with_state(Arc::new(door));
        tokio::spawn(async move { axum::serve(socket, router).await });
        Self { url, told, manners }
    }

    /// Answers the webhooks to come like this, one after the other.
    pub(crate) fn answers(&self, manners: impl IntoIterator<Item = Manner>) {
        self.manners.lock().extend(manners);
    }

    pub(crate) async fn next(&mut self) -> Told {
        tokio::time::timeout(SOON, self.told.recv()).await.expect("a webhook in time").unwrap()
    }

    /// What came and was not looked at, if anything.
    pub(crate) fn unheard(&mut self) -> Option<Told> {
        self.told.try_recv().ok()
    }

    /// The next webhook, which must be this event with exactly these fields.
    pub(crate) async fn hears(&mut self, event: &str, sample: &str) -> Told {
        let told = self.next().await;
        assert_eq!(told.event(), event, "{told:?}");
        assert_fields(&told, sample);
        told
    }

    /// Nothing was told up to now: a marker that must come is the next thing that does.
    pub(crate) async fn hears_nothing_else(&mut self, twilio: &Twilio) {
        twilio.announce("/v1/Users", &[("Identity", "marker")]).await.expect(201);
        let told = self.next().await;
        assert_eq!(told.form.get("Identity").map(String::as_str), Some("marker"), "{told:?}");
        twilio.delete("/v1/Users/marker").await.expect(204);
    }
}

/// The field names of a sample form, apart from one Twilio sends or leaves out.
pub(crate) fn assert_fields(told: &Told, sample: &str) {
    let optional = ["MessagingServiceSid"];
    let form = fixture(&format!("webhooks/{sample}"));
    let expected: BTreeSet<String> =
        form_urlencoded::parse(form.trim().as_bytes()).map(|(name, _)| name.into_owned()).collect();
    let expected: BTreeSet<&str> =
        expected.iter().map(String::as_str).filter(|name| !optional.contains(name)).collect();
    let actual: BTreeSet<&str> =
        told.form.keys().map(String::as_str).filter(|name| !optional.contains(name)).collect();
    assert_eq!(actual, expected, "{sample}");
    let (headers, form) = (&told.headers, &told.form);
    assert_eq!(headers["user-agent"], "TwilioProxy/1.1");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded; charset=utf-8");
    assert_eq!(headers["i-twilio-idempotency-token"].len(), 36);
    assert_eq!(form["RetryCount"], "0");
    for name in ["DateCreated", "DateUpdated", "DateRemoved", "StateUpdated"] {
        if let Some(date) = form.get(name) {
            assert_eq!((date.len(), &date[19..20], &date[23..]), (24, ".", "Z"), "{name} {date}");
        }
    }
}
