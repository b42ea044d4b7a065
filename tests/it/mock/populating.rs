//! A conversation with participants: refused at once or made at once, filled a little later.

use std::time::Duration;

use serde_json::json;

use super::twilio::{Twilio, assert_like, sample};

const PATH: &str = "/v1/ConversationWithParticipants";

fn by_sms(address: &str, proxy: &str) -> String {
    json!({"messaging_binding": {"address": address, "proxy_address": proxy}}).to_string()
}

/// A mock whose clock stands still, so that nobody is added before the test says so.
async fn frozen() -> Twilio {
    let twilio = Twilio::start().await;
    twilio.mock.clock().freeze(twilio.mock.clock().now());
    twilio
}

#[tokio::test]
async fn it_is_initializing_until_everybody_is_in() {
    let twilio = frozen().await;
    let number = twilio.mock.phone_number().to_owned();
    let phone = by_sms("+15558675310", &number);
    let alice = r#"{"identity":"alice","attributes":"{\"a\":1}"}"#;
    let made = twilio.post(PATH, &[("Participant", alice), ("Participant", &phone)]).await.expect(202);
    assert_like(&made.body, &sample("conversation_with_participants.json"));
    assert_eq!(made.text("state"), "initializing");
    let conversation = format!("/v1/Conversations/{}", made.sid());
    assert_like(&twilio.get(&conversation).await.body, &sample("conversation_create_defaults.json"));
    for (path, form) in [
        (conversation.clone(), ("State", "active")),
        (conversation.clone(), ("FriendlyName", "x")),
        (format!("{conversation}/Messages"), ("Body", "x")),
        (format!("{conversation}/Participants"), ("Identity", "bob")),
    ] {
        twilio.post(&path, &[form]).await.refused(409, 50391);
    }
    let participants = twilio.get(&format!("{conversation}/Participants")).await;
    assert_eq!(participants.body["participants"], json!([]));

    twilio.mock.clock().advance(Duration::from_secs(1));
    assert_eq!(twilio.get(&conversation).await.text("state"), "active");
    let alice = twilio.get(&format!("{conversation}/Participants/alice")).await.expect(200);
    assert_eq!(alice.text("attributes"), r#"{"a":1}"#);
    let participants = twilio.get(&format!("{conversation}/Participants")).await;
    assert_eq!(participants.body["participants"].as_array().unwrap().len(), 2);
    twilio.get("/v1/Users/alice").await.expect(200);
    twilio.post(&format!("{conversation}/Messages"), &[("Body", "x")]).await.expect(201);
    let initializing = twilio.get("/v1/Conversations?State=initializing").await;
    assert_eq!(initializing.body["conversations"], json!([]));
}

#[tokio::test]
async fn the_state_that_was_asked_for_comes_after() {
    let twilio = frozen().await;
    let form =
        [("State", "inactive"), ("Participant", r#"{"identity":"alice"}"#), ("UniqueName", "order 42")];
    assert_eq!(twilio.post(PATH, &form).await.expect(202).text("state"), "initializing");
    twilio.mock.clock().advance(Duration::from_secs(1));
    assert_eq!(twilio.get("/v1/Conversations/order%2042").await.text("state"), "inactive");
    // With nobody to be added, there is nothing to wait for.
    let alone = twilio.post(PATH, &[("FriendlyName", "Nobody")]).await.expect(201);
    assert_eq!(alone.text("state"), "active");
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_made() {
    let twilio = frozen().await;
    let number = twilio.mock.phone_number().to_owned();
    let phone = by_sms("+15558675310", &number);
    let held = twilio.conversation().await;
    twilio.join_by_sms(&held, "+15558675319").await;
    let taken = by_sms("+15558675319", &number);
    let projected =
        json!({"identity": "alice", "messaging_binding": {"projected_address": number}}).to_string();
    let plain = r#"{"messaging_binding":{"address":"+15558675311"}}"#;
    for (participants, status, code) in [
        (vec!["{"], 400, 20422),
        (vec!["[]"], 400, 20422),
        (vec![r#"{"identity":7}"#], 400, 20422),
        (vec!["{}"], 400, 50204),
        (vec![r#"{"identity":"a","attributes":"{"}"#], 400, 50304),
        (vec![r#"{"identity":"a","role_sid":"RL1"}"#], 404, 50109),
        (vec![r#"{"identity":"a"}"#, r#"{"identity":"a"}"#], 409, 50433),
        (vec![r#"{"messaging_binding":{"address":"12","proxy_address":"13"}}"#], 400, 50407),
        (vec![&phone, &phone], 409, 50416),
        (vec![&taken], 409, 50416),
        (vec![plain], 400, 50412),
        (vec![plain, &projected], 400, 50435),
        (vec![r#"{"identity":"a"}"#; 11], 400, 50426),
    ] {
        let form: Vec<_> = participants.iter().map(|text| ("Participant", *text)).collect();
        twilio.post(PATH, &form).await.refused(status, code);
    }
    twilio.post(PATH, &[("UniqueName", &"x".repeat(257))]).await.refused(400, 50004);
    twilio.post(PATH, &[("State", "closed")]).await.refused(400, 50384);
    twilio.mock.clock().advance(Duration::from_secs(1));
    let left = twilio.get("/v1/Conversations").await.expect(200);
    assert_eq!(left.body["conversations"].as_array().unwrap().len(), 1, "{left:?}");
    twilio.get("/v1/Users/a").await.refused(404, 20404);
}

#[tokio::test]
async fn a_group_text_is_made_in_any_order_and_known_by_its_numbers() {
    let twilio = frozen().await;
    let number = twilio.mock.phone_number().to_owned();
    let projected =
        json!({"identity": "alice", "messaging_binding": {"projected_address": number}}).to_string();
    let phones = ["+15558675311", "+15558675312"]
        .map(|address| json!({"messaging_binding": {"address": address}}).to_string());
    let form = [("Participant", &phones[0]), ("Participant", &projected), ("Participant", &phones[1])];
    let form = form.map(|(name, text)| (name, text.as_str()));
    let sid = twilio.post(PATH, &form).await.expect(202).sid();
    twilio.mock.clock().advance(Duration::from_secs(1));
    let message = [("Author", "alice"), ("Body", "hello all")];
    twilio.post(&format!("/v1/Conversations/{sid}/Messages"), &message).await.expect(201);
    let again = twilio.post(PATH, &form).await.refused(409, 50438);
    let mut expected = sample("error_50438_group_mms_exists.json");
    let text = expected["message"].as_str().unwrap().replace(&"a".repeat(32), sid.trim_start_matches("CH"));
    expected["message"] = text.into();
    assert_eq!(again.body, expected);
}

#[tokio::test]
async fn it_closes_when_somebody_cannot_be_added_after_all() {
    let twilio = frozen().await;
    let number = twilio.mock.phone_number().to_owned();
    let phone = by_sms("+15558675310", &number);
    let made = twilio.post(PATH, &[("Participant", &phone)]).await.expect(202);
    let quicker = twilio.conversation().await;
    twilio.join_by_sms(&quicker, "+15558675310").await;
    twilio.mock.clock().advance(Duration::from_secs(1));
    let conversation = format!("/v1/Conversations/{}", made.sid());
    assert_eq!(twilio.get(&conversation).await.text("state"), "closed");
    twilio.post(&format!("{conversation}/Messages"), &[("Body", "x")]).await.refused(400, 50377);
}

#[tokio::test]
async fn it_may_be_deleted_while_it_waits() {
    let twilio = frozen().await;
    let made = twilio.post(PATH, &[("Participant", r#"{"identity":"alice"}"#)]).await.expect(202);
    twilio.delete(&format!("/v1/Conversations/{}", made.sid())).await.expect(204);
    twilio.mock.clock().advance(Duration::from_secs(1));
    twilio.get("/v1/Users/alice").await.refused(404, 20404);
}
