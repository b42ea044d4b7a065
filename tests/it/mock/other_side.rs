//! The other side: phones, SDK clients and carriers, and the controls.

use serde_json::json;

use super::twilio::Twilio;

#[tokio::test]
async fn a_text_message_finds_the_conversation_of_its_two_numbers() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let phone = twilio.join_by_sms(&conversation, "+15558675310").await;
    let file = json!({"content_type": "image/png", "filename": "a.png", "base64": "AAEC"});
    let text = json!({"from": "+15558675310", "body": "Is my car ready?", "media": [file]});
    let told = twilio.control("/_mock/inbound-sms", &text).await.expect(200);
    let message =
        twilio.get(&format!("{conversation}/Messages/{}", told.text("message_sid"))).await.expect(200);
    assert_eq!((message.text("author"), message.text("participant_sid")), ("+15558675310", phone.as_str()));
    assert_eq!(message.body["media"][0]["size"], json!(3));
    let stranger = json!({"from": "+15558675311", "body": "hello?"});
    let answer = twilio.control("/_mock/inbound-sms", &stranger).await.expect(404);
    assert!(answer.body["error"].is_string());
    twilio.post(&conversation, &[("State", "closed")]).await.expect(200);
    twilio.control("/_mock/inbound-sms", &text).await.expect(404);
}

#[tokio::test]
async fn a_participant_writes_through_an_sdk_and_others_may_not() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1;
    twilio.join(&conversation, "alice").await;
    let text = json!({"conversation_sid": sid, "identity": "alice", "body": "hi", "attributes": {"a": 1}});
    let told = twilio.control("/_mock/sdk-message", &text).await.expect(200);
    let message =
        twilio.get(&format!("{conversation}/Messages/{}", told.text("message_sid"))).await.expect(200);
    assert_eq!((message.text("author"), message.text("attributes")), ("alice", r#"{"a":1}"#));
    for (status, wrong) in [
        (403, json!({"conversation_sid": sid, "identity": "mallory", "body": "hi"})),
        (404, json!({"conversation_sid": "CH1", "identity": "alice", "body": "hi"})),
        (400, json!({"conversation_sid": sid, "identity": "alice"})),
        (400, json!({"conversation_sid": sid, "identity": "alice", "body": "x", "attributes": "{"})),
        (400, json!({"identity": "alice"})),
        (400, json!([])),
    ] {
        twilio.control("/_mock/sdk-message", &wrong).await.expect(status);
    }
}

#[tokio::test]
async fn who_is_online_shows_only_with_reachability_and_not_in_lists() {
    let twilio = Twilio::start().await;
    let online = json!({"identity": "alice", "online": true});
    twilio.control("/_mock/user-online", &online).await.expect(404);
    let path = format!("/v1/Services/{}/Configuration", twilio.mock.service_sid());
    twilio.post(&path, &[("ReachabilityEnabled", "true")]).await.expect(200);
    twilio.control("/_mock/user-online", &online).await.expect(200);
    let user = twilio.get("/v1/Users/alice").await.expect(200);
    assert_eq!((&user.body["is_online"], &user.body["is_notifiable"]), (&json!(true), &json!(null)));
    assert_eq!(twilio.get("/v1/Users").await.body["users"][0]["is_online"], json!(null));
    twilio.control("/_mock/user-online", &json!({"identity": "alice", "online": false})).await.expect(200);
    assert_eq!(twilio.get("/v1/Users/alice").await.body["is_online"], json!(false));
    twilio.post(&path, &[("ReachabilityEnabled", "false")]).await.expect(200);
    assert_eq!(twilio.get("/v1/Users/alice").await.body["is_online"], json!(null));
}

#[tokio::test]
async fn carriers_report_how_far_a_message_got() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let phones = [
        twilio.join_by_sms(&conversation, "+15558675310").await,
        twilio.join_by_sms(&conversation, "+15558675311").await,
    ];
    let message =
        format!("{conversation}/Messages/{}", twilio.write(&conversation, "system", "x").await.sid());
    let report = async |phone: &str, status: &str, error_code: Option<u32>| {
        let (conversation_sid, message_sid) =
            (conversation.rsplit_once('/').unwrap().1, message.rsplit_once('/').unwrap().1);
        let report = json!({
            "conversation_sid": conversation_sid, "message_sid": message_sid, "participant_sid": phone,
            "status": status, "error_code": error_code,
        });
        twilio.control("/_mock/delivery", &report).await
    };
    report(&phones[0], "delivered", None).await.expect(200);
    report(&phones[1], "undelivered", Some(30003)).await.expect(200);
    report("MB00000000000000000000000000000000", "read", None).await.expect(404);
    report(&phones[0], "lost", None).await.expect(400);
    let delivery = twilio.get(&message).await.body["delivery"].clone();
    let expected = json!({
        "total": 2, "sent": "all", "delivered": "some", "read": "none", "failed": "none", "undelivered": "some",
    });
    assert_eq!(delivery, expected);
    let receipts = twilio.get(&format!("{message}/Receipts")).await;
    assert_eq!(receipts.body["delivery_receipts"][1]["error_code"], json!(30003));
}

#[tokio::test]
async fn the_journal_knows_every_request_and_a_reset_forgets_all() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    twilio.get(&format!("{conversation}?x=y")).await.expect(200);
    let journal = async |since: u64| {
        let url = twilio.url(&format!("/_mock/journal?since={since}"));
        twilio.send(twilio.http.get(url)).await.expect(200).body
    };
    let all = journal(0).await;
    let requests = all["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2, "controls are not in it");
    assert_eq!((&requests[0]["method"], &requests[0]["status"]), (&json!("POST"), &json!(201)));
    assert_eq!(requests[0]["params"], json!([["FriendlyName", "Home"]]));
    assert_eq!((&requests[1]["path"], &requests[1]["query"]), (&json!(conversation), &json!("x=y")));
    let later = journal(requests[0]["id"].as_u64().unwrap()).await;
    assert_eq!(later["requests"].as_array().unwrap().len(), 1);

    twilio.control("/_mock/reset", &json!({})).await.expect(204);
    assert!(journal(0).await["requests"].as_array().unwrap().is_empty());
    twilio.get(&conversation).await.refused(404, 20404);
    twilio.send(twilio.http.get(twilio.url("/healthz"))).await.expect(200);
    twilio.send(twilio.http.get(twilio.url("/_mock/journal?since=x"))).await.expect(400);
}

#[tokio::test]
async fn the_clock_is_set_over_http() {
    let twilio = Twilio::start().await;
    let frozen = json!({"freeze": "2026-01-01T00:00:00Z"});
    assert_eq!(twilio.control("/_mock/clock", &frozen).await.text("now"), "2026-01-01T00:00:00Z");
    let later = twilio.control("/_mock/clock", &json!({"advance_ms": 61_000})).await;
    assert_eq!(later.text("now"), "2026-01-01T00:01:01Z");
    let made = twilio.post("/v1/Conversations", &[]).await.expect(201);
    assert_eq!(made.text("date_created"), "2026-01-01T00:01:01Z");
    twilio.control("/_mock/clock", &json!({"stop": true})).await.expect(400);
}
