//! The document's printed samples: every one is sent, or held against what comes, once at least.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, Line};
use crate::support::TestApp;
use crate::support::app::token_of;
use crate::support::sample::{Samples, assert_as_printed};

/// A sample to be sent, its placeholders being these.
fn filled(mut sample: Value, values: &[(&str, &str)]) -> Value {
    for (field, value) in values {
        let place = sample.get_mut(*field).unwrap_or_else(|| panic!("{field}"));
        *place = json!(value);
    }
    sample
}

fn named(identity: &str, name: &str, email: &str, role: &str) -> String {
    let claims = json!({ "sub": identity, "name": name, "email": email, "role": role });
    token_of(&claims, Duration::from_secs(3600))
}

#[tokio::test]
async fn every_sample_of_the_support_document_is_what_happens() {
    let mut samples = Samples::of("support");
    let app = TestApp::start().await;
    rest(&mut samples, &app).await;
    guest_events(&mut samples, &app).await;
    user_events(&mut samples, &app).await;
    codes(&mut samples, &app).await;
    app.finish([]).await;
    samples.finish();
}

async fn rest(samples: &mut Samples, app: &TestApp) {
    let john = named("john", "John Doe", "user@example.com", "user");
    let user = Api::of(app).with("authorization", &format!("Bearer {john}"));
    let opened = user.get("/conversation?type=general").await;
    samples.compare(&opened.body, "rest/conversation.response");
    let id = opened.body["data"]["id"].as_str().unwrap().to_owned();

    let request = samples.printed("rest/conversation-guest.request");
    let made = Api::of(app).post("/conversation/guest", &request).await;
    samples.compare(&made.body, "rest/conversation-guest.response");
    assert_eq!(made.body["data"]["conversation"]["subject"], "Need help");

    let (mut line, _) = Line::open(app, "john", json!({ "token": john })).await;
    line.join(&id).await;
    line.say(&id, "Hello").await;
    line.hears("message:received").await;
    let mut printed = samples.printed("rest/messages.response");
    printed["data"]["pagination"]["total"] = json!(1);
    let messages = user.get(&format!("/conversation/{id}/messages")).await;
    assert_as_printed(&messages.body, &printed, "rest/messages.response");

    let admin_token = named("admin", "Admin One", "admin@example.com", "admin");
    let (mut admin, _) = Line::open(app, "admin", json!({ "token": admin_token })).await;
    admin.join(&id).await;
    admin.hears("conversation:updated").await;
    line.hears("conversation:updated").await;
    let details = user.get(&format!("/conversation/{id}")).await;
    let mut printed = samples.printed("rest/details.response");
    printed["data"]["messages"] = messages.body["data"]["messages"].clone();
    assert_as_printed(&details.body, &printed, "rest/details.response");

    let unknown = user.get("/conversation/550e8400-e29b-41d4-a716-446655440000").await;
    samples.compare(&unknown.body, "rest/error");
    unknown.refused(404);
    line.finish().await;
    admin.finish().await;
}

async fn guest_events(samples: &mut Samples, app: &TestApp) {
    let (mut guest, hello) = Line::open(app, "guest", json!({ "guestId": null })).await;
    samples.compare(&hello, "events/connection_success.guest.payload");
    let guest_id = hello["guestId"].as_str().unwrap().to_owned();
    let made = Api::of(app).post("/conversation/guest", &json!({ "guestId": guest_id })).await.ok();
    let id = made["conversation"]["id"].as_str().unwrap();
    let here = [("conversationId", id)];
    guest.emit("conversation:join", &filled(samples.printed("events/conversation_join.emit"), &here)).await;
    samples.compare(&guest.hears("conversation:joined").await, "events/conversation_joined.payload");

    let (mut admin, hello) = Line::open(app, "eve", json!({ "token": super::admin_token("eve") })).await;
    samples.compare(&hello, "events/connection_success.admin.payload");
    admin.join(id).await;
    admin.hears("conversation:updated").await;
    guest.hears("conversation:updated").await;

    for event in ["start", "stop"] {
        let emit = filled(samples.printed(&format!("events/typing_{event}.emit")), &here);
        guest.emit(&format!("typing:{event}"), &emit).await;
        let heard = admin.hears(&format!("typing:{event}")).await;
        samples.compare(&heard, &format!("events/typing_{event}.guest.payload"));
        admin.emit(&format!("typing:{event}"), &emit).await;
        let heard = guest.hears(&format!("typing:{event}")).await;
        samples.compare(&heard, &format!("events/typing_{event}.payload"));
    }

    guest.emit("message:send", &filled(samples.printed("events/message_send.emit"), &here)).await;
    let heard = guest.hears("message:received").await;
    let mut printed = samples.printed("events/message_received.guest.payload");
    printed["message"] = json!("Hello, I need help");
    assert_as_printed(&heard, &printed, "events/message_received.guest.payload");
    assert_eq!(admin.hears("message:received").await, heard);
    let told = admin.hears("conversation:new_message").await;
    samples.compare(&told, "events/conversation_new_message.payload");
    assert_eq!(told["message"], heard);

    admin.say(id, "Hello, how can I help?").await;
    let heard = guest.hears("message:received").await;
    samples.compare(&heard, "events/message_received.payload");
    admin.hears("message:received").await;
    admin.hears("conversation:new_message").await;

    let read = [("messageId", heard["id"].as_str().unwrap())];
    guest.emit("message:read", &filled(samples.printed("events/message_read.emit"), &read)).await;
    let told = admin.hears("message:read").await;
    samples.compare(&told, "events/message_read.payload");
    assert_eq!(told["messageId"], heard["id"]);
    guest.hears("message:read").await;

    guest.emit("conversation:leave", &filled(samples.printed("events/conversation_leave.emit"), &here)).await;
    samples.compare(&guest.hears("conversation:left").await, "events/conversation_left.payload");
    guest.emit("message:send", &samples.printed("events/message_send.example.emit")).await;
    samples.compare(&guest.hears("message:error").await, "events/message_error.payload");
    guest.finish().await;
    admin.finish().await;
}

async fn user_events(samples: &mut Samples, app: &TestApp) {
    let auth = json!({ "token": crate::support::app::token("mary") });
    let (user, hello) = Line::open(app, "mary", auth).await;
    samples.compare(&hello, "events/connection_success.user.payload");
    user.finish().await;
}

async fn codes(samples: &mut Samples, app: &TestApp) {
    let (guest_id, id) = Api::of(app).guest().await;
    let (user_id, user) = ("paul", Api::user(app, "paul"));
    let users = user.conversation().await;
    let request = samples.printed("rest/generate-code.request");
    let admin = Api::admin(app, "eve");
    let request = filled(
        request,
        &[("userId", user_id), ("guestId", guest_id.as_str()), ("conversationId", users.as_str())],
    );
    let issued = admin.post("/onboarding/generate-code", &request).await;
    assert_eq!(issued.status, 201);
    samples.compare(&issued.body, "rest/generate-code.response");
    let code = issued.body["data"]["code"].as_str().unwrap();
    let request = samples.printed("rest/verify-code.request");
    let request = filled(request, &[("code", code), ("userId", user_id), ("guestId", guest_id.as_str())]);
    let used = Api::of(app).post("/onboarding/verify-code", &request).await;
    let mut printed = samples.printed("rest/verify-code.response.valid");
    printed["data"]["userId"] = json!(user_id);
    assert_as_printed(&used.body, &printed, "rest/verify-code.response.valid");
    let again = Api::of(app).post("/onboarding/verify-code", &request).await;
    assert_eq!(again.status, 200);
    samples.compare(&again.body, "rest/verify-code.response.invalid");
    assert_ne!(id, users);
}
