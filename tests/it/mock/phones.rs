//! Virtual phones: what would have been texted to them, what they write, and conversations made for strangers.

use serde_json::{Value, json};

use super::listener::{Listener, Manner, assert_fields};
use super::twilio::Twilio;

const PHONE: &str = "+15558675310";

async fn inbox(twilio: &Twilio, number: &str) -> Vec<Value> {
    let path = format!("/_mock/phones/{}", number.replace('+', "%2B").replace(':', "%3A"));
    let answer = twilio.send(twilio.http.get(twilio.url(&path))).await.expect(200);
    assert_eq!(answer.text("number"), number);
    answer.body["texts"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_phone_gets_what_the_others_write_and_answers() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    twilio.join(&conversation, "alice").await;
    let phone = twilio.join_by_sms(&conversation, PHONE).await;
    let sent = twilio.write(&conversation, "alice", "Your car is ready").await;
    let media = twilio.upload("?Filename=car.jpg", "image/jpeg", vec![1, 2]).await.expect(201).sid();
    let form = [("Author", "alice"), ("Body", "look"), ("MediaSid", media.as_str())];
    twilio.post(&format!("{conversation}/Messages"), &form).await.expect(201);

    let reply = json!({"body": "Thank you", "media": [{"content_type": "image/png", "base64": "AAEC"}]});
    let path = "/_mock/phones/%2B15558675310/reply";
    let arrived = twilio.control(path, &reply).await.expect(200);
    assert_eq!(arrived.body["index"], json!(2));
    let message = twilio.get(&format!("{conversation}/Messages/{}", arrived.text("message_sid"))).await;
    assert_eq!((message.text("author"), message.text("participant_sid")), (PHONE, phone.as_str()));

    let texts = inbox(&twilio, PHONE).await;
    let first = &texts[0];
    assert_eq!(
        (&first["direction"], &first["from"]),
        (&json!("received"), &json!(twilio.mock.phone_number()))
    );
    assert_eq!((&first["to"], &first["body"]), (&json!(PHONE), &json!("Your car is ready")));
    assert_eq!((&first["message_sid"], &first["status"]), (&json!(sent.sid()), &json!("sent")));
    assert_eq!(first["time"], sent.body["date_created"]);
    // Of a message with media, the text does not go out.
    assert_eq!((&texts[1]["body"], &texts[1]["media"][0]["filename"]), (&Value::Null, &json!("car.jpg")));
    let file = twilio.http.get(texts[1]["media"][0]["url"].as_str().unwrap());
    twilio.send(file).await.expect(200);
    assert_eq!((&texts[2]["direction"], &texts[2]["body"]), (&json!("sent"), &json!("Thank you")));
    assert_eq!(texts[2]["media"][0]["size"], json!(3));
    assert_eq!(texts.len(), 3, "nobody is texted what they wrote themselves");

    let report = json!({
        "conversation_sid": sent.text("conversation_sid"), "message_sid": sent.sid(), "participant_sid": phone,
        "status": "undelivered", "error_code": 30003,
    });
    twilio.control("/_mock/delivery", &report).await.expect(200);
    let texts = inbox(&twilio, PHONE).await;
    assert_eq!((&texts[0]["status"], &texts[0]["error_code"]), (&json!("undelivered"), &json!(30003)));
    // A phone keeps what it got, whatever becomes of the conversation.
    twilio.delete(&conversation).await.expect(204);
    assert_eq!(inbox(&twilio, PHONE).await.len(), 3);
    let phones = twilio.send(twilio.http.get(twilio.url("/_mock/phones"))).await.expect(200);
    assert_eq!(phones.body["phones"], json!([{"number": PHONE, "texts": 3}]));
    assert!(inbox(&twilio, "+15558675399").await.is_empty());
}

#[tokio::test]
async fn a_stranger_is_turned_away_unless_the_number_makes_conversations() {
    let twilio = Twilio::start().await;
    let text = json!({"from": PHONE, "body": "Hi, is my car ready?"});
    let refused = twilio.control("/_mock/inbound-sms", &text).await.expect(404);
    assert!(refused.text("error").contains("no address configuration"));

    let mut pre = Listener::start(Manner::Polite).await;
    let mut post = Listener::start(Manner::Polite).await;
    let mut scoped = Listener::start(Manner::Polite).await;
    let form = [
        ("PreWebhookUrl", pre.url.as_str()),
        ("PostWebhookUrl", &post.url),
        ("Filters", "onConversationAdd"),
        ("Filters", "onConversationAdded"),
        ("Filters", "onParticipantAdded"),
        ("Filters", "onMessageAdded"),
    ];
    twilio.post("/v1/Configuration/Webhooks", &form).await.expect(200);
    let form = [
        ("Type", "sms"),
        ("Address", twilio.mock.phone_number()),
        ("AutoCreation.Enabled", "true"),
        ("AutoCreation.Type", "webhook"),
        ("AutoCreation.WebhookUrl", &scoped.url),
        ("AutoCreation.WebhookFilters", "onParticipantAdded"),
        ("AutoCreation.WebhookFilters", "onMessageAdded"),
    ];
    twilio.post("/v1/Configuration/Addresses", &form).await.expect(201);

    pre.answers([Manner::Saying(403, "")]);
    let refused = twilio.control("/_mock/inbound-sms", &text).await.expect(400);
    assert_eq!(refused.code(), 50056);
    assert!(twilio.get("/v1/Conversations").await.body["conversations"].as_array().unwrap().is_empty());
    assert_fields(&pre.next().await, "webhook_pre_onConversationAdd_autocreate_sms.form");

    pre.answers([Manner::Saying(200, r#"{"friendly_name":"A stranger"}"#)]);
    let arrived = twilio.control("/_mock/inbound-sms", &text).await.expect(200);
    let asked = pre.next().await;
    assert_eq!((asked.field("MessageBody"), asked.field("Source")), ("Hi, is my car ready?", "SMS"));
    let conversation = format!("/v1/Conversations/{}", arrived.text("conversation_sid"));
    assert_eq!(twilio.get(&conversation).await.expect(200).text("friendly_name"), "A stranger");
    let added = post.next().await;
    assert_eq!((added.event(), added.field("MessagingBinding.Address")), ("onConversationAdded", PHONE));
    assert_eq!(
        post.hears("onParticipantAdded", "webhook_onParticipantAdded_sms.form").await.field("Source"),
        "SMS"
    );
    assert_eq!(post.next().await.field("Body"), "Hi, is my car ready?");
    assert_eq!(scoped.next().await.event(), "onParticipantAdded");
    assert_eq!(scoped.next().await.event(), "onMessageAdded");

    // The next text goes to the same conversation; once that is closed, a new one is made.
    let again = twilio.control("/_mock/inbound-sms", &text).await.expect(200);
    assert_eq!(
        (again.text("conversation_sid"), &again.body["index"]),
        (arrived.text("conversation_sid"), &json!(1))
    );
    twilio.post(&conversation, &[("State", "closed")]).await.expect(200);
    let anew = twilio.control("/_mock/inbound-sms", &text).await.expect(200);
    assert_ne!(anew.text("conversation_sid"), arrived.text("conversation_sid"));
    // Numbers that are none and channels nobody configured make nothing.
    twilio.control("/_mock/inbound-sms", &json!({"from": "stranger", "body": "x"})).await.expect(400);
    twilio
        .control("/_mock/inbound-sms", &json!({"from": "whatsapp:+15558675312", "body": "x"}))
        .await
        .expect(404);
}
