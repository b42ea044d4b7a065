//! The documents' printed samples: every one is sent, or held against what comes, once at least.

use serde_json::{Value, json};

use crate::contacts;
use crate::support::sample::{Samples, assert_as_printed};
use crate::support::{Socket, TestApp};

#[tokio::test]
async fn every_printed_sample_is_what_happens() {
    let mut samples = Samples::of("conversations");
    conversations(&mut samples).await;
    messages(&mut samples).await;
    people(&mut samples).await;
    let app = TestApp::start().await;
    let conversation = app.conversation(&["user123", "user456"]).await;
    let (john, jane) = rooms(&mut samples, &app, &conversation).await;
    let (john, jane) = talk(&mut samples, &app, &conversation, john, jane).await;
    partings(&mut samples, &app, &conversation, john, jane).await;
    app.finish([]).await;
    samples.finish();
}

#[tokio::test]
async fn every_sample_of_the_contacts_document_is_what_happens() {
    let mut samples = Samples::of("contacts");
    let app = TestApp::start().await;
    let ali = contacts::socket_with_phone(&app, "100001", contacts::ALI).await;
    let request = samples.printed("rest/add.request");
    let added = contacts::Contacts::of(&app, "ben").add(&request).await;
    samples.compare(&added.body, "rest/add.response");
    let mut ben = app.socket_as("ben").await;
    let ack = contacts::create(&mut ben, &contacts::conversation(contacts::ALI, "private")).await;
    samples.compare(&ack, "events/create_conversation.ack");
    app.finish([ali, ben]).await;
    samples.finish();
}

/// Takes what is not to be sent out of a sample.
fn without(mut sample: Value, key: &str) -> Value {
    sample.as_object_mut().unwrap().remove(key).unwrap();
    sample
}

async fn conversations(samples: &mut Samples) {
    let app = TestApp::start().await;
    let rest = app.rest();

    let token = rest.post("/generate-token", &samples.printed("rest/generate-token.request")).await;
    samples.compare(&token.body, "rest/generate-token.response");

    let create = samples.printed("rest/create.request");
    let named = rest.post("/create", &create).await.ok();
    assert_eq!(named["friendly_name"], "Optional Custom Name", "a name that is given wins");
    let made = rest.post("/create", &without(create, "friendly_name")).await;
    samples.compare(&made.body, "rest/create.response");

    let pair = without(samples.printed("rest/newconversation.request"), "friendly_name");
    let made = rest.post("/newconversation", &pair).await;
    samples.compare(&made.body, "rest/newconversation.response.new");
    let conversation = made.body["data"]["conversation_sid"].as_str().unwrap();
    rest.say(conversation, "user123", "Hello!").await;
    let existing = rest.post("/newconversation", &pair).await;
    samples.compare(&existing.body, "rest/newconversation.response.existing");
    assert_eq!(existing.body["data"]["conversation_sid"], conversation);

    // As printed with its name: the pair has its conversation, whatever it is to be called.
    let named = rest.post("/newconversation", &samples.printed("rest/newconversation.request")).await.ok();
    assert_eq!(named["conversation_sid"], conversation);

    let deleted = rest.delete(&format!("/{conversation}")).await;
    samples.compare(&deleted.body, "rest/delete.response");
    let gone = rest.delete(&format!("/{conversation}")).await;
    let mut printed = samples.printed("rest/error");
    printed["status"] = json!(gone.status);
    assert_as_printed(&gone.body, &printed, "rest/error");
    app.finish([]).await;
}

async fn messages(samples: &mut Samples) {
    let app = TestApp::start().await;
    let rest = app.rest();
    let people = without(samples.printed("rest/create.request"), "friendly_name");
    let made = rest.post("/create", &people).await.ok();
    let conversation = made["conversation_sid"].as_str().unwrap();

    rest.say(conversation, "user123", "Hello, how are you?").await;
    let picture = json!({ "content_type": "application/octet-stream", "base64": "AAEC" });
    app.other_side(
        "sdk-message",
        &json!({
            "conversation_sid": conversation, "identity": "user456", "body": "I'm good, thanks!", "media": [picture],
        }),
    )
    .await;
    app.told("onMessageAdded", 2).await;
    let messages = rest.get(&format!("/{conversation}/messages")).await;
    samples.compare(&messages.body, "rest/messages.response");

    let media = messages.body["data"][1]["media"][0].as_str().unwrap();
    let content = rest.get(&format!("/media/{media}/content")).await;
    let mut printed = samples.printed("rest/media-content.response");
    printed["data"]["size"] = json!(3);
    assert_as_printed(&content.body, &printed, "rest/media-content.response");

    let sent = rest
        .post(&format!("/{conversation}/send-message"), &samples.printed("rest/send-message.request"))
        .await;
    samples.compare(&sent.body, "rest/send-message.response");
    assert_eq!(sent.body["data"]["media"], samples.printed("rest/send-message.request")["media"]);

    rest.say(conversation, "user123", "Last message text").await;
    for path in ["", "?userId=user123", "/user123/conversations"] {
        samples.compare(&rest.get(path).await.body, "rest/list.response");
    }
    app.finish([]).await;
}

async fn people(samples: &mut Samples) {
    let app = TestApp::start().await;
    let rest = app.rest();
    let conversation = app.conversation(&["user123", "user456"]).await;

    let chat = samples.printed("rest/add-chat-participant.request");
    let added = rest.post(&format!("/{conversation}/add-chat-participant"), &chat).await;
    samples.compare(&added.body, "rest/add-chat-participant.response");
    let again = rest.post(&format!("/{conversation}/add-chat-participant"), &chat).await;
    assert_eq!(again.body, added.body, "already a member: the participant there is");

    let sms = samples.printed("rest/add-sms-participant.request");
    let added = rest.post(&format!("/{conversation}/add-sms-participant"), &sms).await;
    samples.compare(&added.body, "rest/add-sms-participant.response");

    let enabled = rest.send(rest.request(reqwest::Method::POST, "/enable-reachability")).await;
    samples.compare(&enabled.body, "rest/enable-reachability.response");
    let reachable = rest.get("/users/user123/reachability").await;
    samples.compare(&reachable.body, "rest/reachability.response");
    app.finish([]).await;
}

async fn rooms(samples: &mut Samples, app: &TestApp, conversation: &str) -> (Socket, Socket) {
    let mut john = app.socket("user123").await;
    john.emit("user_connect", &samples.printed("events/user_connect.emit")).await;
    samples.compare(&john.hears("user_connected").await, "events/user_connected.payload");
    john.emit("join_conversation", &samples.request("events/join_conversation.emit", conversation)).await;
    samples.compare(&john.hears("joined_conversation").await, "events/joined_conversation.payload");
    samples.compare(&john.hears("conversation_users").await, "events/conversation_users.payload");
    john.emit("get_online_users", &samples.request("events/get_online_users.emit", conversation)).await;
    samples.compare(&john.hears("online_users").await, "events/online_users.payload");
    john.emit_bare("ping").await;
    samples.compare(&john.hears("pong").await, "events/pong.payload");

    let mut jane = app.socket("user456").await;
    jane.enter(conversation, "user456").await;
    let (joined, status) = john.hears_of_coming().await;
    samples.compare(&joined, "events/user_joined.payload");
    assert_eq!(status["status"]["online"], true);
    john.emit("set_status", &json!({ "status": "away" })).await;
    samples.compare(&jane.hears("user_status_changed").await, "events/user_status_changed.payload");
    (john, jane)
}

async fn talk(
    samples: &mut Samples,
    app: &TestApp,
    conversation: &str,
    mut john: Socket,
    mut jane: Socket,
) -> (Socket, Socket) {
    let message = samples.request("events/send_message.emit", conversation);
    john.emit("send_message", &message).await;
    let heard = john.hears("new_message").await;
    assert_eq!(heard["message"]["media"], message["media"], "every link that was sent");
    let mut printed = samples.printed("events/new_message.payload");
    printed["message"]["media"] = message["media"].clone();
    assert_as_printed(&heard, &printed, "events/new_message.payload");
    assert_eq!(jane.hears("new_message").await, heard);
    samples.compare(&john.hears("message_sent").await, "events/message_sent.payload");

    // The printed answer has one link.
    let mut one_link = message;
    one_link["media"].as_array_mut().unwrap().truncate(1);
    john.emit("send_message", &one_link).await;
    samples.compare(&john.hears("new_message").await, "events/new_message.payload");
    jane.hears("new_message").await;
    john.hears("message_sent").await;

    let mut nothing = one_link;
    nothing["media"] = json!([]);
    nothing["body"] = json!(" ");
    john.emit("send_message", &nothing).await;
    samples.compare(&john.hears("message_error").await, "events/message_error.payload");

    for (emit, typing) in [("typing_start", true), ("typing_stop", false)] {
        let payload = samples.request(&format!("events/{emit}.emit"), conversation);
        john.emit(emit, &payload).await;
        assert_eq!(jane.hears("user_typing").await["isTyping"], typing);
        jane.emit(emit, &json!({ "conversationSid": conversation, "identity": "user456" })).await;
        let mut printed = samples.printed("events/user_typing.payload");
        printed["isTyping"] = json!(typing);
        assert_as_printed(&john.hears("user_typing").await, &printed, "events/user_typing.payload");
    }

    app.rest().patch(&format!("/{conversation}"), &json!({ "friendly_name": "Renamed" })).await.ok();
    let updated = john.hears("conversation_updated").await;
    samples.compare(&updated, "events/conversation_updated.payload");
    assert_eq!(updated["update"], json!({ "event": "updated", "friendly_name": "Renamed" }));
    jane.hears("conversation_updated").await;
    (john, jane)
}

async fn partings(samples: &mut Samples, app: &TestApp, conversation: &str, mut john: Socket, jane: Socket) {
    jane.finish().await;
    samples.compare(&john.hears("user_left").await, "events/user_left.payload");
    let mut jane = app.socket("user456").await;
    jane.enter(conversation, "user456").await;
    assert_eq!(john.hears("user_joined").await["identity"], "user456");
    john.emit("leave_conversation", &samples.request("events/leave_conversation.emit", conversation)).await;
    assert_eq!(jane.hears("user_left").await["identity"], "user123");
    john.finish().await;
    jane.finish().await;
}
