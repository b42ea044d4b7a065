//! What an account and a service have besides conversations: address configurations, devices, credentials, notifications.

use serde_json::{Value, json};

use super::twilio::{Twilio, assert_like, sample};

const ADDRESSES: &str = "/v1/Configuration/Addresses";

#[tokio::test]
async fn an_address_is_configured_and_found_by_sid_and_by_itself() {
    let twilio = Twilio::start().await;
    let service = twilio.mock.service_sid().to_owned();
    let form = [
        ("Type", "SMS"),
        ("Address", "+37256123457"),
        ("FriendlyName", "My Test Configuration"),
        ("AddressCountry", "CA"),
        ("AutoCreation.Enabled", "True"),
        ("AutoCreation.Type", "webhook"),
        ("AutoCreation.ConversationServiceSid", &service),
        ("AutoCreation.WebhookUrl", "https://example.com"),
        ("AutoCreation.WebhookFilters", "onParticipantAdded"),
        ("AutoCreation.WebhookFilters", "onMessageAdded"),
    ];
    let made = twilio.post(ADDRESSES, &form).await.expect(201);
    let mut expected = sample("address_configuration.json");
    assert_like(&made.body, &expected);
    assert_eq!(made.body["auto_creation"]["webhook_method"], "POST");
    expected["auto_creation"]["conversation_service_sid"] = service.as_str().into();
    assert_eq!(made.body["auto_creation"], expected["auto_creation"]);
    assert_eq!(made.text("type"), "sms");
    assert!(made.text("url").ends_with(&format!("/v1/Configuration/Addresses/{}", made.sid())));

    let one = format!("{ADDRESSES}/{}", made.sid());
    assert_eq!(twilio.get(&one).await.body, made.body);
    assert_eq!(twilio.get(&format!("{ADDRESSES}/%2B37256123457")).await.body, made.body);
    let studio = [
        ("AutoCreation.Enabled", "false"),
        ("AutoCreation.Type", "studio"),
        ("AutoCreation.StudioFlowSid", "FWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("AutoCreation.StudioRetryCount", "3"),
    ];
    let changed = twilio.post(&one, &studio).await.expect(200);
    let expected = json!({
        "enabled": false,
        "type": "studio",
        "conversation_service_sid": service,
        "studio_flow_sid": "FWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "studio_retry_count": 3,
    });
    assert_eq!(changed.body["auto_creation"], expected);
    assert_eq!(changed.text("friendly_name"), "My Test Configuration");
    twilio.post(ADDRESSES, &[("Type", "email"), ("Address", "desk@example.com")]).await.expect(201);
    let by_type = async |kind: &str| {
        let found = twilio.get(&format!("{ADDRESSES}?Type={kind}")).await.expect(200);
        found.body["address_configurations"].as_array().unwrap().len()
    };
    assert_eq!((by_type("sms").await, by_type("email").await, by_type("rcs").await), (1, 1, 0));
    twilio.delete(&format!("{ADDRESSES}/%2B37256123457")).await.expect(204);
    twilio.get(&one).await.refused(404, 20404);
}

#[tokio::test]
async fn addresses_that_make_no_sense_are_refused() {
    let twilio = Twilio::start().await;
    let good = [("Type", "sms"), ("Address", "+15558675310")];
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    for (form, status, code) in [
        (vec![("Address", "+15558675310")], 400, 20422),
        (vec![("Type", "sms")], 400, 20422),
        (vec![("Type", "pigeon"), ("Address", "+15558675310")], 400, 20422),
        (vec![("Type", "sms"), ("Address", "home")], 400, 50407),
        (vec![("Type", "email"), ("Address", "home")], 400, 50407),
        (with(&[("AddressCountry", "Canada")]), 400, 20422),
        (with(&[("AutoCreation.Enabled", "maybe")]), 400, 20422),
        (with(&[("AutoCreation.Type", "magic")]), 400, 20422),
        (with(&[("AutoCreation.Type", "webhook")]), 400, 50369),
        (with(&[("AutoCreation.Type", "studio")]), 400, 50367),
        (with(&[("AutoCreation.StudioFlowSid", "FW1")]), 400, 50367),
        (with(&[("AutoCreation.StudioRetryCount", "4")]), 400, 20422),
        (with(&[("AutoCreation.WebhookUrl", "nowhere")]), 400, 50054),
        (with(&[("AutoCreation.WebhookMethod", "PUT")]), 400, 50055),
        (with(&[("AutoCreation.WebhookFilters", "onMessageAdd")]), 400, 50365),
        (with(&[("AutoCreation.ConversationServiceSid", "IS1")]), 404, 50050),
    ] {
        twilio.post(ADDRESSES, &form).await.refused(status, code);
    }
    let long = "x".repeat(257);
    twilio.post(ADDRESSES, &[good[0], good[1], ("FriendlyName", &long)]).await.refused(400, 50003);
    twilio.post(ADDRESSES, &good).await.expect(201);
    twilio.post(ADDRESSES, &good).await.refused(409, 20409);
    twilio.get(&format!("{ADDRESSES}/IG00000000000000000000000000000000")).await.refused(404, 20404);
    twilio.get(&format!("{ADDRESSES}/%2B15550000000")).await.refused(404, 20404);
    twilio
        .get(&format!("/v1/Services/{}/Configuration/Addresses", twilio.mock.service_sid()))
        .await
        .expect(404);
}

#[tokio::test]
async fn a_device_makes_its_user_notifiable_until_the_last_one_goes() {
    let twilio = Twilio::start().await;
    let service = format!("/v1/Services/{}", twilio.mock.service_sid());
    let bindings = format!("{service}/Bindings");
    twilio.post(&format!("{service}/Configuration"), &[("ReachabilityEnabled", "true")]).await.expect(200);
    let credential = twilio.post("/v1/Credentials", &[("Type", "gcm")]).await.expect(201).sid();
    let register = async |body: Value| twilio.control("/_mock/bindings", &body).await;
    let device = json!({"identity": "alice", "binding_type": "gcm", "credential_sid": credential});
    let first = register(device).await.expect(201);
    assert_like(&first.body, &sample("binding.json"));
    let second = register(json!({"identity": "alice", "binding_type": "apn"})).await.expect(201);
    register(json!({"identity": "bob", "binding_type": "fcm"})).await.expect(201);
    let notifiable = async || twilio.get("/v1/Users/alice").await.body["is_notifiable"].clone();
    assert_eq!(notifiable().await, true);
    assert_eq!(twilio.get(&format!("{bindings}/{}", first.sid())).await.body, first.body);

    let count = async |query: &str| {
        let found = twilio.get(&format!("{bindings}?{query}")).await.expect(200);
        found.body["bindings"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 3);
    assert_eq!(count("Identity=alice").await, 2);
    assert_eq!(count("Identity=alice&Identity=bob&BindingType=apn&BindingType=FCM").await, 2);
    assert_eq!(count("Identity=nobody").await, 0);
    let page = twilio.get(&format!("{bindings}?Identity=alice&PageSize=1")).await;
    let next = page.body["meta"]["next_page_url"].as_str().unwrap();
    assert!(next.contains("Identity=alice&PageSize=1&Page=1"), "{next}");
    assert_eq!(twilio.get(next).await.expect(200).body["bindings"].as_array().unwrap().len(), 1);
    twilio.get(&format!("{bindings}?BindingType=pigeon")).await.refused(400, 50209);

    twilio.delete(&format!("{bindings}/{}", first.sid())).await.expect(204);
    assert_eq!(notifiable().await, true);
    twilio.delete(&format!("{bindings}/{}", second.sid())).await.expect(204);
    assert_eq!(notifiable().await, false);
    twilio.delete(&format!("{bindings}/{}", second.sid())).await.refused(404, 20404);
    for bad in [
        json!({"identity": "a", "binding_type": "pigeon"}),
        json!({"identity": "a", "binding_type": "apn", "message_types": ["typing"]}),
    ] {
        register(bad).await.expect(400);
    }
    let unknown = "CR00000000000000000000000000000000";
    register(json!({"identity": "a", "binding_type": "apn", "credential_sid": unknown})).await.expect(404);
    twilio.get("/v1/Bindings").await.refused(404, 20404);
}

#[tokio::test]
async fn credentials_are_kept_without_their_secrets() {
    let twilio = Twilio::start().await;
    let form =
        [("Type", "APN"), ("FriendlyName", "Phones"), ("PrivateKey", "the secret"), ("Sandbox", "true")];
    let made = twilio.post("/v1/Credentials", &form).await.expect(201);
    assert_like(&made.body, &sample("credential.json"));
    assert_eq!((made.text("type"), made.text("sandbox")), ("apn", "True"));
    assert!(!made.body.to_string().contains("secret"));
    let one = format!("/v1/Credentials/{}", made.sid());
    let changed = twilio.post(&one, &[("Sandbox", "false")]).await.expect(200);
    assert_eq!((changed.text("friendly_name"), changed.text("sandbox")), ("Phones", "False"));
    twilio.post("/v1/Credentials", &[]).await.refused(400, 20422);
    twilio.post("/v1/Credentials", &[("Type", "pigeon")]).await.refused(400, 20422);
    twilio.post(&one, &[("FriendlyName", &"x".repeat(65))]).await.refused(400, 50003);
    twilio.delete(&one).await.expect(204);
    twilio.get(&one).await.refused(404, 20404);
}

#[tokio::test]
async fn notifications_keep_what_was_set_and_nothing_of_what_was_refused() {
    let twilio = Twilio::start().await;
    let path = format!("/v1/Services/{}/Configuration/Notifications", twilio.mock.service_sid());
    let before = twilio.get(&path).await.expect(200);
    assert_like(&before.body, &sample("service_configuration_notification.json"));
    let bad = [("NewMessage.Enabled", "true"), ("RemovedFromConversation.Enabled", "maybe")];
    twilio.post(&path, &bad).await.refused(400, 20422);
    twilio.post(&path, &[("NewMessage.Template", &"x".repeat(2049))]).await.refused(400, 50058);
    twilio.post(&path, &[("NewMessage.Sound", &"x".repeat(257))]).await.refused(400, 50059);
    assert_eq!(twilio.get(&path).await.body, before.body);
    let good = [("NewMessage.WithMedia.Enabled", "true"), ("AddedToConversation.Sound", "ring")];
    let after = twilio.post(&path, &good).await.expect(200);
    assert_eq!(after.body["new_message"]["with_media"]["enabled"], true);
    assert_eq!(after.body["new_message"]["enabled"], false);
    assert_eq!(after.body["added_to_conversation"]["sound"], "ring");
}

#[tokio::test]
async fn a_snapshot_holds_all_of_it() {
    let twilio = Twilio::start().await;
    twilio.mock.clock().freeze(twilio.mock.clock().now());
    let service = format!("/v1/Services/{}", twilio.mock.service_sid());
    let number = twilio.mock.phone_number().to_owned();
    twilio.post(ADDRESSES, &[("Type", "sms"), ("Address", "+15558675310")]).await.expect(201);
    let credential = twilio.post("/v1/Credentials", &[("Type", "fcm")]).await.expect(201).sid();
    let device = json!({"identity": "alice", "binding_type": "fcm", "credential_sid": credential});
    twilio.control("/_mock/bindings", &device).await.expect(201);
    let notifications = format!("{service}/Configuration/Notifications");
    twilio.post(&notifications, &[("NewMessage.Sound", "ring")]).await.expect(200);
    let projected =
        json!({"identity": "alice", "messaging_binding": {"projected_address": number}}).to_string();
    let phones = ["+15558675311", "+15558675312"]
        .map(|address| json!({"messaging_binding": {"address": address}}).to_string());
    let group = [&projected, &phones[0], &phones[1]].map(|text| ("Participant", text.as_str()));
    let group_sid = twilio.post("/v1/ConversationWithParticipants", &group).await.expect(202).sid();
    twilio.mock.clock().advance(std::time::Duration::from_secs(1));
    twilio.get("/v1/Conversations").await.expect(200);
    let waiting = [("Participant", r#"{"identity":"bob"}"#)];
    let waiting = twilio.post("/v1/ConversationWithParticipants", &waiting).await.expect(202).sid();

    let paths = [
        ADDRESSES.to_owned(),
        "/v1/Credentials".to_owned(),
        format!("{service}/Bindings?Identity=alice"),
        notifications,
        "/v1/Conversations?State=active".to_owned(),
        "/v1/Conversations?State=initializing".to_owned(),
        format!("/v1/Conversations/{group_sid}/Participants"),
    ];
    let look = async || {
        let mut seen = Vec::new();
        for path in &paths {
            seen.push(twilio.get(path).await.expect(200).body);
        }
        seen
    };
    let before = look().await;
    let snapshot = twilio.control("/_mock/snapshot", &json!({})).await.expect(200);
    twilio.control("/_mock/reset", &json!({})).await.expect(204);
    twilio.control("/_mock/restore", &snapshot.body).await;
    assert_eq!(look().await, before);
    // The group is known by its numbers again, and who waited to be added still is.
    twilio.post("/v1/ConversationWithParticipants", &group).await.refused(409, 50438);
    twilio.mock.clock().advance(std::time::Duration::from_secs(1));
    let filled = twilio.get(&format!("/v1/Conversations/{waiting}/Participants/bob")).await.expect(200);
    assert_eq!(filled.text("identity"), "bob");
}
