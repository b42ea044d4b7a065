//! What must hold of any bytes: one function for each fuzz target, which panics when it does not.
//!
//! The targets in `fuzz_targets/` call these with what libFuzzer makes up; `tests/it/corpora.rs` includes this file and calls
//! them with what is in `corpus/`, on every run of the tests. How clients' events are read is taken from the service itself,
//! through a socket that has proven nothing and so may do nothing.

use std::fmt::{Debug, Display};
use std::sync::OnceLock;

use axum::http::{HeaderMap, HeaderValue, Uri};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;
use futures::FutureExt;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use switchboard::auth::{
    Auth, AuthMode, AuthSettings, Identity, MAX_APP_LIFETIME, SignOuts, TwilioIssuer, token_from,
};
use switchboard::clock::Clock;
use switchboard::config::{Config, MockTwilio};
use switchboard::core::{
    ConversationSid, Cursor, Extras, Id, MediaSid, MessageSid, ParticipantSid, PhoneKey, parse_id,
};
use switchboard::dialects;
use switchboard::realtime::{self, WebSockets};
use switchboard::twilio::{
    Conversation, Media, MediaLinks, Message, NextPage, Page, Participant, ParticipantConversation,
    ServiceConfiguration, User, UserConversation, Validator, WebhookError, fuzzing, parse, sign_form,
};

const TWILIO_AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Tokens of the corpus are signed with these.
const JWT_SECRET: &str = "a secret of forty-one characters for tests";
const API_KEY_SECRET: &str = "the secret of an API key of Twilio's";
/// When the tokens of the corpus are valid, in Unix seconds.
const NOW: i64 = 1_790_000_000;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A webhook: the address it is posted to, a line feed, and its body.
pub fn webhook(data: &[u8]) {
    let (url, body) = cut(data, b'\n');
    let url = String::from_utf8_lossy(url);
    let form = parse(Some(FORM), body);
    let is_form = !matches!(form, Err(WebhookError::Form(_)));
    let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();

    let validator = Validator::new(vec![TWILIO_AUTH_TOKEN.into()]);
    let signature = sign_form(TWILIO_AUTH_TOKEN, &url, &pairs);
    assert_eq!(validator.accepts_form(&url, body, &signature), is_form, "what is signed and no other");
    assert!(!validator.accepts_form(&url, body, &sign_form("another", &url, &pairs)), "another's token");
    let added = ("Author".to_owned(), "mallory".to_owned());
    if !pairs.contains(&added) {
        let more = [body, b"&Author=mallory"].concat();
        assert!(!validator.accepts_form(&url, &more, &signature), "something was added");
    }

    let nothing: [(&str, &str); 0] = [];
    if validator.accepts_json(&url, body, &sign_form(TWILIO_AUTH_TOKEN, &url, &nothing)) {
        assert!(url.contains(&hex(&Sha256::digest(body))), "a body that the address does not vouch for");
    }
    // Whatever else it is, it must not panic.
    let _ = parse(Some(JSON), body);
    if is_form {
        // Of a name that comes twice, the first counts.
        let mut object = Map::new();
        for (name, value) in pairs {
            object.entry(name).or_insert(Value::String(value));
        }
        let json = Value::Object(object).to_string();
        assert_eq!(parse(Some(JSON), json.as_bytes()), form, "a form says what the same JSON says");
    }
}

/// What comes over a raw WebSocket once it is open: frames with their headers.
pub fn websocket_frame(data: &[u8]) {
    are_frames(&service().read_frames(dialects::chat::DIALECT.protocol, data));
}

/// The payload of an event, for every event of every dialect.
pub fn events(data: &[u8]) {
    if let Ok(payload) = std::str::from_utf8(data) {
        are_frames(&service().read_payload(payload));
    }
}

/// Where a token may stand, a line each: `Authorization`, the address, `Sec-WebSocket-Protocol`.
pub fn token(data: &[u8]) {
    let (authorization, rest) = cut(data, b'\n');
    let (address, protocol) = cut(rest, b'\n');
    let mut headers = HeaderMap::new();
    for (name, value) in [("authorization", authorization), ("sec-websocket-protocol", protocol)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let uri = Uri::try_from(address).unwrap_or_default();
    let Some(token) = token_from(&headers, &uri) else { return };
    assert!(!token.is_empty() && token.trim() == token, "{token:?} is none");
    let verified = verifier().verify(&token).now_or_never().expect("without public keys nobody is asked");
    if verified.is_ok() {
        assert!([JWT_SECRET, API_KEY_SECRET].iter().any(|key| is_signed(&token, key)), "{token} is forged");
    }
}

/// An id, a cursor, an identity or a phone number; the last also with its country on a line before it.
pub fn ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    is_id::<ConversationSid>(text);
    is_id::<MessageSid>(text);
    is_id::<ParticipantSid>(text);
    is_id::<MediaSid>(text);
    comes_back::<Cursor>(text);
    if let Ok(next) = text.parse::<NextPage>() {
        assert_eq!(next.to_string(), text);
        assert!(!text.contains(['\r', '\n', '#', ' ']), "{text:?} would not stay a query");
    }
    if let Ok(identity) = Identity::try_from(text) {
        assert_eq!(identity.as_str(), text);
        assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
    }
    let (country, number) = text.split_once('\n').unwrap_or(("60", text));
    let keys =
        [PhoneKey::international("phone", text), PhoneKey::in_country(["country", "phone"], country, number)];
    for key in keys.into_iter().flatten() {
        assert!(key.as_str().bytes().all(|byte| byte.is_ascii_digit()), "{key}");
        assert_eq!(PhoneKey::international("phone", key.as_str()).unwrap(), key, "{key} is its own spelling");
    }
}

/// The body of an answer of Twilio's, as every resource, page and refusal there is.
pub fn twilio_answer(data: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<Message>(data) {
        // The database keeps messages as JSON.
        let kept = serde_json::to_vec(&message).unwrap();
        assert_eq!(serde_json::from_slice::<Message>(&kept).unwrap(), message);
        let _ = Extras::of(&message);
    }
    let _ = serde_json::from_slice::<Conversation>(data);
    let _ = serde_json::from_slice::<Participant>(data);
    let _ = serde_json::from_slice::<User>(data);
    let _ = serde_json::from_slice::<UserConversation>(data);
    let _ = serde_json::from_slice::<Media>(data);
    let _ = serde_json::from_slice::<MediaLinks>(data);
    let _ = serde_json::from_slice::<ServiceConfiguration>(data);
    goes_on::<Message>(data);
    goes_on::<Conversation>(data);
    goes_on::<Participant>(data);
    goes_on::<ParticipantConversation>(data);
    goes_on::<User>(data);
    goes_on::<UserConversation>(data);
    let refusal = fuzzing::refusal(data);
    assert!(refusal.to_string().starts_with("twilio refused (409"), "{refusal}");
    let _ = (refusal.binding_holder(), refusal.is_not_found(), refusal.is_conflict_on_unique_name());
}

fn goes_on<T: serde::de::DeserializeOwned>(data: &[u8]) {
    let Some(Page { next: Some(next), .. }) = fuzzing::page::<T>(data) else { return };
    assert_eq!(next.to_string().parse::<NextPage>().as_ref(), Ok(&next));
}

fn is_id<T: Id + Display + Debug + PartialEq>(text: &str) {
    let Ok(id) = parse_id::<T>("id", text) else { return };
    let sid = id.to_string();
    assert!(sid.len() == 34 && sid.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{sid} in a path");
    assert_eq!(parse_id::<T>("id", &sid).unwrap(), id);
}

fn comes_back<T: std::str::FromStr + Display + Debug + PartialEq>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{value}");
}

/// Every answer is an object with a `type`, whatever was asked.
fn are_frames(answers: &[String]) {
    for answer in answers {
        let frame: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert!(frame["type"].is_string(), "{answer}");
    }
}

/// Whether the third part of `token` is the HMAC-SHA-256 of the first two.
fn is_signed(token: &str, key: &str) -> bool {
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let mut hmac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    hmac.update(signed.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(hmac.finalize().into_bytes()) == signature
}

fn cut(data: &[u8], at: u8) -> (&[u8], &[u8]) {
    let place = data.iter().position(|byte| *byte == at);
    place.map_or((data, &[]), |place| (&data[..place], &data[place + 1..]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn clock() -> Clock {
    Clock::fixed(DateTime::from_timestamp(NOW, 0).unwrap())
}

/// Knows tokens of both issuers.
fn verifier() -> &'static Auth {
    static VERIFIER: OnceLock<Auth> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let settings = AuthSettings {
            mode: AuthMode::Required,
            jwt_secret: Some(JWT_SECRET.into()),
            jwks_url: None,
            issuer: None,
            audience: None,
            max_lifetime: MAX_APP_LIFETIME,
            api_key: None,
            twilio: TwilioIssuer {
                account_sid: sid("AC"),
                api_key_sid: sid("SK"),
                api_key_secret: API_KEY_SECRET.into(),
            },
        };
        Auth::new(settings, clock(), SignOuts::default()).unwrap()
    })
}

fn sid(prefix: &str) -> String {
    format!("{prefix}{}", "1".repeat(32))
}

/// The service's sockets, where nobody is believed without a token. It has a Twilio that is not there and a database in
/// memory, and needs neither: what it starts beside is never run.
fn service() -> &'static WebSockets {
    static SERVICE: OnceLock<(tokio::runtime::Runtime, WebSockets)> = OnceLock::new();
    let (runtime, sockets) = SERVICE.get_or_init(|| {
        let nobody = || "http://127.0.0.1:9".parse().unwrap();
        let twilio = MockTwilio {
            account_sid: sid("AC"),
            auth_token: TWILIO_AUTH_TOKEN.to_owned(),
            api_key_sid: sid("SK"),
            api_key_secret: API_KEY_SECRET.to_owned(),
            service_sid: sid("IS"),
            phone_number: "+15005550006".to_owned(),
            conversations_url: nobody(),
            media_url: nobody(),
        };
        let config = Config { database_url: Some("sqlite::memory:".to_owned()), ..Config::default() };
        let mut settings = config.dev(&twilio).unwrap();
        settings.auth.mode = AuthMode::Required;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let core = runtime.block_on(switchboard::server::core(&settings, clock())).unwrap();
        let auth = Auth::new(settings.auth, clock(), SignOuts::default()).unwrap();
        let (_, _, _, sockets) = {
            let _inside = runtime.enter();
            realtime::layer(core, auth, clock(), &dialects::PROTOCOLS)
        };
        (runtime, sockets)
    });
    let _ = runtime;
    sockets
}
