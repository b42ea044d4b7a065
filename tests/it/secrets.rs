//! Secrets, tokens, codes, phones and messages are in nobody's log, in no metric, and in no answer to somebody else; whatever
//! goes wrong. Every other test holds the log to the same (`support/logs.rs`).
#![expect(clippy::disallowed_methods, reason = "clients of the service, not ways to Twilio")]

use std::time::Duration;

use serde_json::json;
use switchboard::clock::Clock;
use switchboard::config::Config;
use switchboard::mock::Action;
use switchboard::server::{self, StartError};
use tokio_tungstenite::tungstenite::Message;

use crate::support::app::{API_KEY, JWT_SECRET, Stage, token, token_of};
use crate::support::webhook::Webhook;
use crate::support::{TestApp, logs, soon};
use crate::support_dialect::{Api, Line};

/// Seen by whoever may, and by no log.
const BODY: &str = "canary-body-5f1c";
const PHONE: &str = "+15551239876";
const WRONG_KEY: &str = "canary-api-key-77ab";
const WRONG_TOKEN: &str = "canary-token-90de";
const SIGNATURE: &str = "canary-signature-3c3c";
const ERROR_TEXT: &str = "canary-twilio-text-b00b";

fn watch(canaries: &[&str]) {
    canaries.iter().for_each(|canary| logs::must_not_show(canary));
}

/// A GET of any path, as somebody without a token.
async fn strangers_answer(app: &TestApp, path: &str) -> String {
    let asking = app.http.get(format!("http://{}{path}", app.address)).send();
    soon("an answer", soon("a request", asking).await.unwrap().text()).await.unwrap()
}

/// What anybody can read of the service, after everything.
async fn assert_public_shows_none(app: &TestApp, canaries: &[&str]) {
    for path in ["/metrics", "/healthz", "/readyz", "/", "/media/canary"] {
        let text = strangers_answer(app, path).await;
        for canary in canaries {
            assert!(!text.contains(canary), "{path} shows {canary}: {text}");
        }
    }
}

#[test]
fn a_line_with_a_secret_would_be_noticed() {
    let noticed = |line: &str| logs::fault_in(line).is_some();
    watch(&["canary-of-the-log-itself"]);
    assert!(noticed("INFO switchboard: canary-of-the-log-itself\n"));
    assert!(noticed("INFO switchboard: token=eyJhbGciOiJIUzI1NiJ9.e30.x\n"));
    assert!(noticed("INFO switchboard: +15551239876 joined\n"));
    assert!(noticed("INFO switchboard: one\nline more\n"));
    logs::watch(
        &json!([{ "body": "a canary that sings", "attributes": { "phone_number": "+1 (555) 123-9870" } }]),
    );
    logs::watch(
        &json!({ "code": "918273", "country_code": "+60", "phone_number": "555123987", "text": "short" }),
    );
    assert!(noticed("INFO switchboard: \"a canary that sings\"\n"));
    assert!(noticed("INFO switchboard: phone=15551239870\n") && noticed("INFO switchboard: 60555123987.\n"));
    assert!(noticed("INFO switchboard: code=918273\n"));
    assert!(!noticed("INFO switchboard: took=0.918273 sid=CH15551239870000 short\n"));
    assert!(!noticed("INFO switchboard: conversation.sid=CH1 +1 more at 2026-11-21T13:00:00+00:00\n"));
}

#[tokio::test]
async fn what_people_say_and_prove_is_in_no_log() {
    let app = TestApp::required().await;
    let alices = token_of(&json!({ "sub": "alice", "phone_number": PHONE }), Duration::from_secs(600));
    let canaries = [BODY, PHONE, WRONG_KEY, WRONG_TOKEN, SIGNATURE, alices.as_str()];
    watch(&canaries);
    let before = logs::lines();
    let rest = app.rest().with_token(&alices);
    let conversation = app.conversation(&["alice", "bob"]).await;
    let send = format!("/{conversation}/send-message");

    // As it should be: REST, Twilio's access token, a phone, sockets of both kinds.
    rest.say(&conversation, "alice", BODY).await;
    let made = rest.post("/generate-token", &json!({ "user_id": "alice" })).await.body;
    assert!(made.to_string().contains("eyJ"), "{made}");
    let phone = json!({ "phone_number": PHONE });
    rest.post(&format!("/{conversation}/add-sms-participant"), &phone).await;
    let in_query =
        app.http.get(format!("http://{}/api/conversations?userId=alice&token={alices}", app.address));
    assert_eq!(soon("a request", in_query.send()).await.unwrap().status(), 200);
    let mut bob = app.room(&conversation, &["bob"]).await.remove(0);
    rest.say(&conversation, "alice", BODY).await;
    assert_eq!(bob.hears_message().await, BODY);
    let mut chat = app.chat_socket("bob", &conversation).await;
    chat.write(Message::Text("canary-body-5f1c is no JSON".into())).await;
    chat.send(&json!({ "type": BODY })).await;

    // As it should not be: tokens and keys that do not hold, bodies that cannot be read, links that were tampered with.
    for wrong in [format!("{WRONG_TOKEN}.b.c"), format!("{alices}x"), WRONG_TOKEN.to_owned()] {
        app.rest().with_token(&wrong).get("?userId=alice").await.refused(401);
        strangers_answer(&app, &format!("/api/conversations?token={wrong}")).await;
        let auth = Some(json!({ "token": wrong }));
        crate::support::Socket::try_connect(app.address, "mallory", auth).await.err().unwrap();
    }
    app.rest().with_header("x-api-key", WRONG_KEY).get("?userId=alice").await.refused(401);
    rest.post(&send, &json!({ "author": { "name": BODY }, "body": [BODY] })).await.refused(400);
    rest.ask_with("POST", &send, "application/json", format!(r#"{{"body":"{BODY}"#)).await.refused(400);
    rest.ask_with("POST", "/upload", "multipart/form-data; boundary=x", format!("--x\r\n{BODY}")).await;
    rest.ask_with("POST", &send, BODY, "{}").await;
    rest.get(&format!("/{BODY}/messages")).await.refused(400);
    strangers_answer(&app, &format!("/media/ME00000000000000000000000000000001?signature={SIGNATURE}")).await;
    bob.emit("send_message", &json!({ "conversationSid": BODY, "body": BODY, "author": PHONE })).await;
    bob.hears("message_error").await;
    bob.emit("user_connect", &json!({ "identity": "bob", "token": WRONG_TOKEN })).await;
    bob.hears("user_connected").await;
    bob.emit(BODY, &json!({})).await;

    assert_public_shows_none(&app, &canaries).await;
    assert!(logs::lines() > before, "the service logs nothing");
    drop(chat);
    app.finish([bob]).await;
}

#[tokio::test]
async fn what_twilio_says_and_how_it_fails_is_in_no_log() {
    let app = TestApp::with(Stage { silent: true, ..Stage::default() }).await;
    let canaries = [BODY, PHONE, ERROR_TEXT, SIGNATURE];
    watch(&canaries);
    let conversation = app.conversation(&["alice", "bob"]).await;
    let send = format!("/{conversation}/send-message");
    let rest = app.rest();

    let report = Webhook::sample("webhook_onMessageAdded.form", &app.mock)
        .with("ConversationSid", &conversation)
        .with("Author", PHONE)
        .with("Body", BODY);
    app.tell(&report).await;
    assert_eq!(app.post_webhook(report.body(), SIGNATURE, Some(BODY)).await.status(), 403);
    let unreadable = report.clone().with("Index", BODY).with("DateCreated", BODY);
    let signature = switchboard::twilio::sign_form(app.mock.auth_token(), &app.webhook_url(), &unreadable.0);
    assert_eq!(app.post_webhook(unreadable.body(), &signature, None).await.status(), 400);

    let message = json!({ "author": "alice", "body": BODY });
    for action in [
        Action::Status { status: 400, retry_after: None, html: false },
        Action::Status { status: 401, retry_after: None, html: false },
        Action::StoreThenStatus(500),
    ] {
        app.fault("POST", "/Messages$", 1, action);
        let answer = rest.post(&send, &message).await;
        assert!(!answer.body.to_string().contains(BODY) || answer.status == 200, "{}", answer.body);
    }
    app.fault("POST", "/Participants$", 3, Action::Status { status: 400, retry_after: None, html: false });
    let phone = json!({ "phone_number": PHONE });
    let answer = rest.post(&format!("/{conversation}/add-sms-participant"), &phone).await;
    assert!(!answer.body.to_string().contains(PHONE), "{}", answer.body);
    assert_public_shows_none(&app, &canaries).await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_refusal_that_repeats_what_was_sent_is_in_no_log() {
    let twilio = wiremock::MockServer::start().await;
    let refusal =
        json!({ "code": 50400, "message": format!("Invalid body: {ERROR_TEXT} of {PHONE}"), "status": 400 });
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(wiremock::ResponseTemplate::new(400).set_body_json(&refusal))
        .mount(&twilio)
        .await;
    logs::listen();
    watch(&[ERROR_TEXT, PHONE]);
    let sid = |prefix: &str| Some(format!("{prefix}{}", "1".repeat(32)));
    let config = Config {
        listen: Some("127.0.0.1:0".to_owned()),
        public_url: Some("http://127.0.0.1:0".to_owned()),
        database_url: Some("sqlite::memory:".to_owned()),
        jwt_secret: Some(JWT_SECRET.into()),
        adapter_api_key: Some(API_KEY.into()),
        twilio_account_sid: sid("AC"),
        twilio_auth_token: Some("0123456789abcdef0123456789abcdef".into()),
        twilio_api_key_sid: sid("SK"),
        twilio_api_key_secret: Some("the secret of an API key of Twilio's".into()),
        twilio_conversations_service_sid: sid("IS"),
        twilio_conversations_url: Some(twilio.uri()),
        twilio_media_url: Some(twilio.uri()),
        ..Config::default()
    };
    let server = server::Server::bind(config.serve().unwrap(), Clock::system()).await.unwrap();
    let url = format!("http://{}/api/conversations/create", server.address());
    let (end, asked) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(server.run(async { drop(asked.await) }));
    let create = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(url)
        .bearer_auth(token("alice"))
        .json(&json!({ "participants": ["alice", "bob"], "friendly_name": ERROR_TEXT }));
    let answer = soon("a request", create.send()).await.unwrap();
    assert_eq!(answer.status(), 500);
    let body = answer.text().await.unwrap();
    assert!(!body.contains(ERROR_TEXT) && !body.contains(PHONE), "{body}");
    end.send(()).unwrap();
    soon("the end", served).await.unwrap();
    logs::assert_no_secret_shown();
}

#[tokio::test]
async fn codes_and_guests_are_in_no_log() {
    let app = TestApp::required().await;
    let (guest_id, id) = Api::of(&app).guest().await;
    watch(&[&guest_id, BODY]);
    let mut guest = Line::guest(&app, &guest_id).await;
    guest.join(&id).await;
    guest.say(&id, BODY).await;
    assert_eq!(guest.hears_message().await, BODY);
    let issue = json!({ "conversationId": id });
    let issued = Api::admin(&app, "eve").post("/onboarding/generate-code", &issue).await;
    let code = issued.ok()["code"].as_str().unwrap().to_owned();
    // Six digits may be part of a number that is no secret.
    let (spoken, quoted) = (format!(" {code}"), format!("\"{code}\""));
    watch(&[&spoken, &quoted]);
    for tried in ["000000", code.as_str()] {
        Api::of(&app).post("/onboarding/verify-code", &json!({ "code": tried, "guestId": guest_id })).await;
    }
    let as_guest = Api::of(&app).with("x-guest-id", &guest_id);
    as_guest.get(&format!("/conversation/{id}/messages")).await;
    as_guest.get(&format!("/conversation/{guest_id}/messages")).await;
    let others = Api::user(&app, "mallory").get(&format!("/conversation/{id}/messages")).await;
    assert!(!others.body.to_string().contains(&guest_id), "{}", others.body);
    assert_public_shows_none(&app, &[&guest_id, &quoted, BODY]).await;
    drop(guest);
    app.finish([]).await;
}

#[tokio::test]
async fn names_with_line_feeds_stay_in_their_fields() {
    let app = TestApp::start().await;
    let forged = "x\r\nset-cookie: admin=1\r\n\r\n2026-01-01 INFO switchboard: forged";
    let rest = app.rest();
    let created =
        rest.post("/create", &json!({ "participants": ["alice", "bob"], "friendly_name": forged })).await;
    assert!(!created.headers.contains_key("set-cookie"));
    rest.post("/create", &json!({ "participants": [forged] })).await.refused(400);
    let conversation = app.conversation(&["alice", "bob"]).await;
    rest.say(&conversation, "alice", forged).await;
    assert_eq!(rest.history(&conversation).await, [forged]);
    let answer = rest.with_header("x-request-id", "a\tb").get("?userId=alice%0d%0aset-cookie:%20a=1").await;
    assert!(!answer.headers.contains_key("set-cookie"), "{:?}", answer.headers);
    // Whether a line of the log has more than one line is looked at in all of them.
    app.finish([]).await;
}

#[tokio::test]
async fn settings_show_no_secrets() {
    let secrets =
        ["canary-password", "canary-auth-token-0123456789abcdef", "canary-key-secret-0123456789abcdef"];
    let long = "canary-jwt-secret-that-is-long-enough-to-be-one";
    let sid = |prefix: &str| Some(format!("{prefix}{}", "1".repeat(32)));
    let config = Config {
        listen: Some("127.0.0.1:0".to_owned()),
        public_url: Some("https://chat.example.com".to_owned()),
        database_url: Some(format!("postgres://switchboard:{}@127.0.0.1:1/switchboard", secrets[0])),
        jwt_secret: Some(long.into()),
        adapter_api_key: Some(API_KEY.into()),
        twilio_account_sid: sid("AC"),
        twilio_auth_token: Some(secrets[1].into()),
        twilio_api_key_sid: sid("SK"),
        twilio_api_key_secret: Some(secrets[2].into()),
        twilio_conversations_service_sid: sid("IS"),
        ..Config::default()
    };
    let settings = config.serve().unwrap();
    let mut shown = format!("{settings:?}");
    // A database that is not there says so without its password.
    let error: StartError = server::core(&settings, Clock::system()).await.err().unwrap();
    shown += &format!("{error} {error:?}");
    for secret in secrets.into_iter().chain([long, API_KEY]) {
        assert!(!shown.contains(secret), "{shown}");
    }
}
