//! Files and links that phones get: each in a text of its own, and none lost, whatever could not be sent as a file.

use serde_json::{Value, json};
use switchboard::config::Config;
use switchboard::mock::Action;

use super::{PHONE, bring_in, carrier};
use crate::files::{PNG, leads_to, stored};
use crate::messaging::{Messaging, meet};
use crate::support::TestApp;
use crate::support::app::{Stage, token};

/// Nothing is to be had there.
const UNREACHABLE: &str = "http://127.0.0.1:9/cat.png";

/// What each text on a phone says, and how many files it carries.
async fn texts(app: &TestApp, phone: &str) -> Vec<(Value, usize)> {
    let texts = app.twilio(&format!("/_mock/phones/{phone}")).await;
    let shown = |text: &Value| (text["body"].clone(), text["media"].as_array().unwrap().len());
    texts["texts"].as_array().map(|texts| texts.iter().map(shown).collect()).unwrap_or_default()
}

/// The messages of a conversation as Twilio has them.
async fn at_twilio(app: &TestApp, conversation: &str) -> Vec<Value> {
    let path = format!("/v1/Services/{}/Conversations/{conversation}/Messages", app.mock.service_sid());
    app.twilio(&path).await["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_link_that_stays_one_is_in_the_text_for_the_phone_and_only_there() {
    let app = TestApp::required().await;
    meet(&app, &["ada", "ben"]).await;
    let conversation = Messaging::of(&app, "ada").open("ben").await;
    bring_in(&app, "ada", &conversation, PHONE).await;
    let picture = stored(&app, Some(&token("ada"))).await;
    let path = format!("/{conversation}/send-message");

    let message = json!({ "author": "ada", "media": [picture, UNREACHABLE] });
    let sent = app.rest_as("ada").post(&path, &message).await.ok();
    assert_eq!((&sent["body"], &sent["media"][1]), (&json!(""), &json!(UNREACHABLE)));
    assert_eq!(sent["warnings"], json!(["media[1] could not be fetched and stays a link"]));
    let message = json!({ "author": "ada", "body": "look", "media": [UNREACHABLE] });
    let sent = app.rest_as("ada").post(&path, &message).await.ok();
    assert_eq!((&sent["body"], &sent["media"]), (&json!("look"), &json!([UNREACHABLE])));
    let look = format!("look\n{UNREACHABLE}");
    assert_eq!(
        texts(&app, PHONE).await,
        [(Value::Null, 1), (json!(UNREACHABLE), 0), (json!(look), 0)],
        "Twilio sends no text along with a file"
    );

    assert_eq!(app.rest_as("ben").history(&conversation).await, ["", "look"]);
    let page = app.chat("ben").get(&format!("/conversations/{conversation}/messages/")).await.ok();
    assert_eq!(page["messages"][1]["text"], "look");
    assert_eq!(page["messages"][1]["attachments"], json!([UNREACHABLE]));
    assert_eq!(app.chat("ben").list().await[0]["lastMessage"], "look");
    let page = Messaging::of(&app, "ben").get(&format!("/messages/{conversation}/messages")).await.ok();
    assert_eq!(page["messages"][1]["content"], "look", "{page}");

    let edit = format!("/{conversation}/messages/{}", sent["sid"].as_str().unwrap());
    let edited = app.rest_as("ada").patch(&edit, &json!({ "body": "look here" })).await.ok();
    assert_eq!((&edited["body"], &edited["media"]), (&json!("look here"), &json!([UNREACHABLE])));
    assert_eq!(app.rest_as("ben").history(&conversation).await, ["", "look here"]);
    let kept = at_twilio(&app, &conversation).await;
    assert_eq!(kept.last().unwrap()["body"], format!("look here\n{UNREACHABLE}"), "for who sees no media");
    app.finish([]).await;
}

#[tokio::test]
async fn links_that_make_a_text_too_long_for_a_phone_are_refused_before_anything_is_sent() {
    let links: Vec<_> = (0..3).map(|n| format!("{UNREACHABLE}?{}", n.to_string().repeat(600))).collect();
    for ingest in ["never", "auto"] {
        let settings = Config { media_ingest: Some(ingest.to_owned()), ..Config::default() };
        let app = TestApp::with(Stage { required: true, settings, ..Stage::default() }).await;
        let conversation = app.conversation(&["ada"]).await;
        bring_in(&app, "ada", &conversation, PHONE).await;
        let picture = stored(&app, Some(&token("ada"))).await;
        let writes = app.writes();
        let media: Vec<_> = links.iter().chain([&picture]).collect();
        let message = json!({ "author": "ada", "media": media });
        let refused = app.rest_as("ada").post(&format!("/{conversation}/send-message"), &message).await;
        assert_eq!(
            refused.refused(400),
            "media must be shorter: links that cannot be sent as files count to the 1600 characters a phone gets"
        );
        assert_eq!(app.writes(), writes, "nothing was written at Twilio");
        app.finish([]).await;
    }
}

#[tokio::test]
async fn how_a_picture_fares_is_told_of_the_message_it_belongs_to() {
    let mut app = TestApp::required().await;
    let conversation = app.conversation(&["ada", "ben"]).await;
    let phone = bring_in(&app, "ada", &conversation, PHONE).await;
    let mut room = app.room(&conversation, &["ben"]).await.remove(0);
    let picture = stored(&app, Some(&token("ada"))).await;
    let message = json!({ "author": "ada", "body": "my cat", "media": [picture] });
    let sent = app.rest_as("ada").post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!(room.hears_message().await, "my cat");
    app.told("onMessageAdded", 2).await;
    let of = |message: &Value| json!({ "conversation": conversation, "sid": message["sid"] });
    let parts = at_twilio(&app, &conversation).await;
    let [part, whole] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!(whole["sid"], sent["sid"]);

    carrier(&app, &of(part), &phone, "sent", 0).await;
    carrier(&app, &of(whole), &phone, "sent", 0).await;
    let told = room.hears("message_status").await;
    assert_eq!((&told["messageSid"], &told["status"]), (&sent["sid"], &json!("sent")));
    carrier(&app, &of(whole), &phone, "delivered", 0).await;
    carrier(&app, &of(part), &phone, "delivered", 0).await;
    let told = room.hears("message_status").await;
    assert_eq!((&told["messageSid"], &told["status"]), (&sent["sid"], &json!("delivered")));
    assert_eq!(told["delivery"]["delivered"], "all", "once all of it is");

    let picture = stored(&app, Some(&token("ada"))).await;
    let message = json!({ "author": "ada", "body": "once more", "media": [picture] });
    let sent = app.rest_as("ada").post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!(room.hears_message().await, "once more");
    app.told("onMessageAdded", 4).await;
    let parts = at_twilio(&app, &conversation).await;
    carrier(&app, &of(&parts[3]), &phone, "delivered", 0).await;
    assert_eq!(room.hears("message_status").await["status"], "delivered");
    carrier(&app, &of(&parts[2]), &phone, "undelivered", 30003).await;
    let told = room.hears("message_status").await;
    assert_eq!((&told["messageSid"], &told["status"]), (&sent["sid"], &json!("undelivered")));
    assert_eq!(told["error"], "the phone is switched off or out of reach");
    let history = app.rest_as("ben").get(&format!("/{conversation}/messages")).await.ok();
    for delivery in [&told["delivery"], &history[1]["delivery"]] {
        assert_eq!(
            (&delivery["total"], &delivery["delivered"], &delivery["undelivered"]),
            (&json!(1), &json!("none"), &json!("all"))
        );
    }

    room.finish().await;
    app.restart().await;
    let mut room = app.room(&conversation, &["ben"]).await.remove(0);
    carrier(&app, &of(&parts[2]), &phone, "read", 0).await;
    carrier(&app, &of(&parts[3]), &phone, "read", 0).await;
    let told = room.hears("message_status").await;
    assert_eq!(
        (&told["messageSid"], &told["status"]),
        (&sent["sid"], &json!("read")),
        "after a restart, too"
    );
    app.finish([room]).await;
}

#[tokio::test]
async fn what_becomes_of_a_part_elsewhere_is_told_to_nobody_by_itself() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["ada", "ben"]).await;
    bring_in(&app, "ada", &conversation, PHONE).await;
    let mut room = app.room(&conversation, &["ben"]).await.remove(0);
    let picture = stored(&app, Some(&token("ada"))).await;
    let message = json!({ "author": "ada", "body": "my cat", "media": [picture] });
    let sent = app.rest_as("ada").post(&format!("/{conversation}/send-message"), &message).await.ok();
    assert_eq!(room.hears_message().await, "my cat");
    app.told("onMessageAdded", 2).await;
    let part = at_twilio(&app, &conversation).await.remove(0);
    let path = format!("/Conversations/{conversation}/Messages/{}", part["sid"].as_str().unwrap());
    let mut attributes: Value = serde_json::from_str(part["attributes"].as_str().unwrap()).unwrap();
    attributes["theirs"] = json!(1);
    app.elsewhere(reqwest::Method::POST, &path, &[("Attributes", &attributes.to_string())]).await;
    app.told("onMessageUpdated", 1).await;
    app.elsewhere(reqwest::Method::DELETE, &path, &[]).await;
    app.told("onMessageRemoved", 1).await;
    app.rest_as("ada").say(&conversation, "ada", "and now?").await;
    assert_eq!(room.hears_message().await, "and now?", "nothing was told in between");

    let path = format!("/{conversation}/messages/{}", sent["sid"].as_str().unwrap());
    app.rest_as("ada").delete(&path).await.ok();
    assert_eq!(room.hears("message_deleted").await["messageSid"], sent["sid"]);
    app.finish([room]).await;
}

#[tokio::test]
async fn a_file_that_is_sent_again_reaches_the_phone_again() {
    let app = TestApp::required().await;
    let conversation = app.conversation(&["ada", "ben"]).await;
    bring_in(&app, "ada", &conversation, PHONE).await;
    let picture = stored(&app, Some(&token("ada"))).await;
    let path = format!("/{conversation}/send-message");
    for text in ["my cat", "my cat again"] {
        let message = json!({ "author": "ada", "body": text, "media": [picture] });
        let sent = app.rest_as("ada").post(&path, &message).await.ok();
        assert_eq!(sent.get("warnings"), None, "{sent}");
    }
    let expected = [(Value::Null, 1), (json!("my cat"), 0), (Value::Null, 1), (json!("my cat again"), 0)];
    assert_eq!(texts(&app, PHONE).await, expected);

    // One that cannot be copied is a link that leads to it, and its sender is told.
    app.fault("GET", "/Media/ME", 3, Action::Status { status: 404, retry_after: None, html: false });
    let again = stored(&app, Some(&token("ada"))).await;
    for text in ["another", "another again"] {
        let message = json!({ "author": "ada", "body": text, "media": [again] });
        let sent = app.rest_as("ada").post(&path, &message).await.ok();
        let warned = sent["warnings"] == json!(["media[0] could not be fetched and stays a link"]);
        assert_eq!(warned, text == "another again", "{sent}");
        assert_eq!(sent["body"], text);
    }
    app.mock.faults().clear();
    let last = texts(&app, PHONE).await.pop().unwrap();
    let (text, link) = last.0.as_str().unwrap().split_once('\n').unwrap();
    assert_eq!((text, last.1), ("another again", 0));
    leads_to(link, PNG).await;
    assert_eq!(app.rest_as("ben").history(&conversation).await.last().unwrap(), "another again");
    app.finish([]).await;
}
