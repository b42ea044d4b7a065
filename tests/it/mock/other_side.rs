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
async fn sdk_clients_edit_delete_and_read_as_their_role_allows() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1;
    twilio.join(&conversation, "alice").await;
    twilio.join(&conversation, "bob").await;
    let message = twilio.write(&conversation, "alice", "hi").await.sid();
    let act = async |what: &str, who: &str, more: serde_json::Value| {
        let mut body = json!({"conversation_sid": sid, "identity": who});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        twilio.control(&format!("/_mock/{what}"), &body).await
    };
    let of_message = json!({"message_sid": message});
    let edited = json!({"message_sid": message, "body": "hello", "attributes": {"edited": true}});
    assert_eq!(act("sdk-edit", "bob", edited.clone()).await.expect(403).code(), 50107);
    act("sdk-edit", "mallory", edited.clone()).await.expect(403);
    let answer = act("sdk-edit", "alice", edited).await.expect(200);
    assert_eq!((answer.text("body"), answer.text("attributes")), ("hello", r#"{"edited":true}"#));
    assert_eq!(
        act("sdk-edit", "alice", json!({"message_sid": message, "body": ""})).await.expect(400).code(),
        50503
    );
    act("sdk-read", "bob", json!({"last_read_message_index": 0})).await.expect(200);
    let bob = twilio.get(&format!("{conversation}/Participants/bob")).await;
    assert_eq!(bob.body["last_read_message_index"], json!(0));
    act("sdk-read", "bob", json!({"last_read_message_index": null})).await.expect(200);
    let bob = twilio.get(&format!("{conversation}/Participants/bob")).await;
    assert_eq!(bob.body["last_read_message_index"], json!(null));
    assert_eq!(act("sdk-delete", "bob", of_message.clone()).await.expect(403).code(), 50107);
    act("sdk-delete", "alice", of_message.clone()).await.expect(204);
    act("sdk-delete", "alice", of_message).await.expect(404);

    // Whoever may edit anything may do so.
    let roles = twilio.get("/v1/Roles").await.body["roles"].as_array().unwrap().clone();
    let admin = roles.iter().find(|role| role["friendly_name"] == "channel admin").unwrap();
    let form = [("RoleSid", admin["sid"].as_str().unwrap())];
    twilio.post(&format!("{conversation}/Participants/bob"), &form).await.expect(200);
    let message = twilio.write(&conversation, "alice", "again").await.sid();
    act("sdk-edit", "bob", json!({"message_sid": message, "body": "by bob"})).await.expect(200);
}

#[tokio::test]
async fn the_journal_is_read_page_by_page() {
    let twilio = Twilio::start().await;
    for _ in 0..5 {
        twilio.get("/v1/Users").await.expect(200);
    }
    let page = async |query: &str| {
        let url = twilio.url(&format!("/_mock/journal?{query}"));
        let answer = twilio.send(twilio.http.get(url)).await.expect(200);
        let requests = answer.body["requests"].as_array().unwrap().clone();
        requests.iter().map(|entry| entry["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(page("limit=2").await, [1, 2]);
    assert_eq!(page("since=2&limit=2").await, [3, 4]);
    assert_eq!(page("since=4&limit=2").await, [5]);
    assert!(page("since=99").await.is_empty());
    twilio.control("/_mock/reset", &json!({})).await.expect(204);
    twilio.get("/v1/Users").await.expect(200);
    assert_eq!(page("since=5").await, [6], "ids are not used twice");
}

#[tokio::test]
async fn the_journal_forgets_what_is_old_before_it_grows_large() {
    let twilio = Twilio::start().await;
    let long = "x".repeat(1_000_000);
    for _ in 0..20 {
        twilio.post("/v1/Users", &[("Identity", long.as_str())]).await.refused(400, 50207);
    }
    let kept = twilio.mock.requests();
    assert!((10..=16).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().unwrap().id, 20);
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
