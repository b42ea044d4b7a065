//! Files that come from elsewhere: from Twilio's SDK, as MMS, over WhatsApp. Each is in every dialect's messages with a link that
//! leads to it, live and in the history, for those it was sent to.

use serde_json::{Value, json};

use super::{PNG, fetch, from_elsewhere, leads_to};
use crate::messaging::Messaging;
use crate::support::app::{Stage, token};
use crate::support::{Socket, TestApp};
use crate::support_dialect::{Api, Line};

/// The conversation of Alice and Bob.
async fn pair(app: &TestApp) -> String {
    let pair = json!({ "participants": ["alice", "bob"] });
    let made = app.rest_as("alice").post("/newconversation", &pair).await.ok();
    made["conversation_sid"].as_str().unwrap().to_owned()
}

/// The file's SID, from a message of the conversations dialect whose links lead to it.
async fn shown(message: &Value) -> String {
    let sid = message["media"][0].as_str().unwrap_or_else(|| panic!("{message}")).to_owned();
    assert!(sid.starts_with("ME") && sid.len() == 34, "{message}");
    assert_eq!(message["media"].as_array().unwrap().len(), 1, "{message}");
    leads_to(message["media_urls"][0].as_str().unwrap(), PNG).await;
    sid
}

/// The file of a message that was just heard in the room is in the history, and can be fetched by its SID.
async fn heard_and_kept(app: &TestApp, conversation: &str, room: &mut Socket, text: &str) {
    let heard = room.hears("new_message").await["message"].clone();
    assert_eq!(heard["body"], text);
    let sid = shown(&heard).await;
    let history = app.rest_as("alice").get(&format!("/{conversation}/messages")).await.ok();
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!((shown(last).await, &last["sid"]), (sid.clone(), &heard["sid"]));

    let content = app.rest_as("alice").get(&format!("/media/{sid}/content")).await.ok();
    assert_eq!((&content["content_type"], &content["size"]), (&json!("image/png"), &json!(PNG.len())));
    let url = content["url"].as_str().unwrap();
    assert_eq!(fetch(url, None).await.2, PNG);
    let redirect = format!("http://{}/api/conversations/media/{sid}/content?redirect=1", app.address);
    let redirect = fetch(&redirect, Some(&token("alice"))).await;
    assert_eq!(redirect.0, 302);
    assert_eq!(fetch(redirect.location(), None).await.2, PNG);
}

#[tokio::test]
async fn a_file_from_twilios_sdk_is_in_every_dialect() {
    let app = TestApp::required().await;
    let conversation = pair(&app).await;
    let mut room = app.room(&conversation, &["alice"]).await.remove(0);
    let mut raw = app.chat_socket("alice", &conversation).await;
    for text in [None, Some("a cat")] {
        let sent = json!({ "conversation_sid": conversation, "identity": "bob", "body": text, "media": [from_elsewhere()] });
        app.other_side("sdk-message", &sent).await;
        let text = text.unwrap_or_default();
        heard_and_kept(&app, &conversation, &mut room, text).await;

        let live = raw.hears("chat_message").await["message"].clone();
        let page = app.chat("alice").get(&format!("/conversations/{conversation}/messages/")).await.ok();
        room.hears("message_read").await;
        let kept = page["messages"].as_array().unwrap().last().unwrap().clone();
        for message in [live, kept] {
            assert_eq!(message["text"], text);
            leads_to(message["attachments"][0].as_str().unwrap(), PNG).await;
        }
        let page = Messaging::of(&app, "alice").get(&format!("/messages/{conversation}/messages")).await;
        let messages = page.body["data"]["messages"].as_array().unwrap();
        let found = messages.iter().find(|message| message["content"] == text).unwrap();
        leads_to(found["media"][0].as_str().unwrap(), PNG).await;
    }
    app.finish([room]).await;
}

#[tokio::test]
async fn a_file_from_a_phone_is_in_the_conversation() {
    let app = TestApp::required().await;
    for number in ["+15005550199", "whatsapp:+15005550198"] {
        let made = app.rest_as("alice").post("/create", &json!({ "participants": ["alice"] })).await.ok();
        let conversation = made["conversation_sid"].as_str().unwrap();
        let phone = json!({ "phone_number": number });
        app.rest_as("alice").post(&format!("/{conversation}/add-sms-participant"), &phone).await.ok();
        let mut room = app.room(conversation, &["alice"]).await.remove(0);
        for text in [None, Some("a cat")] {
            let sms = json!({ "from": number, "body": text, "media": [from_elsewhere()] });
            let arrived = app.other_side("inbound-sms", &sms).await;
            assert_eq!(arrived["conversation_sid"], conversation);
            heard_and_kept(&app, conversation, &mut room, text.unwrap_or_default()).await;
        }
        room.finish().await;
    }
    app.finish([]).await;
}

#[tokio::test]
async fn several_files_of_one_message_are_all_there() {
    let app = TestApp::required().await;
    let conversation = pair(&app).await;
    let phone = "+15005550199";
    let brought = json!({ "phone_number": phone });
    app.rest_as("alice").post(&format!("/{conversation}/add-sms-participant"), &brought).await.ok();
    let mut room = app.room(&conversation, &["alice"]).await.remove(0);
    let files = [from_elsewhere(), from_elsewhere(), from_elsewhere()];
    let sdk = json!({ "conversation_sid": conversation, "identity": "bob", "body": "cats", "media": files });
    let mms = json!({ "from": phone, "body": "cats", "media": files });
    for (way, sent) in [("sdk-message", sdk), ("inbound-sms", mms)] {
        app.other_side(way, &sent).await;
        let heard = room.hears("new_message").await["message"].clone();
        let history = app.rest_as("alice").get(&format!("/{conversation}/messages")).await.ok();
        for message in [&heard, history.as_array().unwrap().last().unwrap()] {
            assert_eq!(message["sid"], heard["sid"], "{way}");
            let links: Vec<_> =
                message["media_urls"].as_array().unwrap().iter().map(|link| link.as_str().unwrap()).collect();
            assert_eq!((links.len(), &message["body"]), (3, &json!("cats")), "{way}: {message}");
            for link in &links {
                leads_to(link, PNG).await;
            }
            let files: std::collections::HashSet<_> =
                links.iter().map(|link| link.split('?').next().unwrap()).collect();
            assert_eq!(files.len(), 3, "{way}: each is another");
        }
    }
    app.finish([room]).await;
}

#[tokio::test]
async fn a_file_from_elsewhere_is_in_a_support_conversation() {
    let app = TestApp::required().await;
    let alice = Api::user(&app, "alice");
    let id = alice.conversation().await;
    let mut line = Line::user(&app, "alice").await;
    line.join(&id).await;
    let mut admin = Line::admin(&app, "eve").await;
    let sid = format!("CH{}", id.replace('-', ""));
    for text in [None, Some("a cat")] {
        let sent = json!({ "conversation_sid": sid, "identity": "alice", "body": text, "media": [from_elsewhere()] });
        app.other_side("sdk-message", &sent).await;
        let heard = line.hears("message:received").await;
        assert_eq!(admin.hears("conversation:new_message").await["message"], heard);
        let history = alice.get(&format!("/conversation/{id}/messages")).await.ok();
        let details = alice.get(&format!("/conversation/{id}")).await.ok();
        for messages in [&history["messages"], &details["messages"]] {
            assert_eq!(*messages.as_array().unwrap().last().unwrap(), heard);
        }
        let link = heard["attachments"][0].as_str().unwrap();
        assert_eq!(heard["message"], text.unwrap_or(link));
        assert_eq!(heard["messageType"], if text.is_some() { "text" } else { "file" });
        leads_to(link, PNG).await;
    }
    line.finish().await;
    admin.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_file_that_nobody_reported_is_still_its_conversations() {
    let mut app = TestApp::with(Stage { required: true, silent: true, ..Stage::default() }).await;
    let conversation = pair(&app).await;
    let sent = json!({ "conversation_sid": conversation, "identity": "bob", "media": [from_elsewhere()] });
    app.other_side("sdk-message", &sent).await;
    app.restart().await;
    let history = app.rest_as("alice").get(&format!("/{conversation}/messages")).await.ok();
    let sid = history[0]["media"][0].as_str().unwrap();
    let path = format!("/media/{sid}/content");
    app.rest_as("mallory").get(&path).await.refused(404);
    let content = app.rest_as("alice").get(&path).await.ok();
    assert_eq!(fetch(content["url"].as_str().unwrap(), None).await.2, PNG);
    let fetches = app.asked().iter().filter(|asked| asked.path.ends_with(&format!("/Media/{sid}"))).count();
    assert_eq!(fetches, 1, "one Twilio call for all of it");
    app.finish([]).await;
}
