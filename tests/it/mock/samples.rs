//! Every body has the members and the JSON types of Twilio's samples.

use serde_json::{Value, json};

use super::twilio::{Twilio, assert_like, sample};

#[tokio::test]
async fn resources_look_like_twilios_samples() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let alice = twilio.join(&conversation, "alice").await;
    let phone = twilio.join_by_sms(&conversation, "+15558675310").await;
    let message = twilio.write(&conversation, "alice", "Hello").await;

    assert_like(&twilio.get(&conversation).await.body, &sample("conversation_create_defaults.json"));
    assert_like(
        &twilio.get(&format!("{conversation}/Participants/{alice}")).await.body,
        &sample("participant_chat.json"),
    );
    assert_like(
        &twilio.get(&format!("{conversation}/Participants/{phone}")).await.body,
        &sample("participant_sms.json"),
    );
    assert_like(&message.body, &sample("message.json"));
    assert_like(&twilio.get("/v1/Users/alice").await.body, &sample("user.json"));
    let roles = twilio.get("/v1/Roles").await.body;
    assert_like(&roles["roles"][0], &sample("role.json"));

    let receipts = format!("{conversation}/Messages/{}/Receipts", message.sid());
    let receipts_list = twilio.get(&receipts).await.body;
    assert_like(&receipts_list, &sample("delivery_receipts_list.json"));
    let receipt = receipts_list["delivery_receipts"][0]["sid"].as_str().unwrap();
    assert_like(&twilio.get(&format!("{receipts}/{receipt}")).await.body, &sample("delivery_receipt.json"));

    let timed = [("Timers.Inactive", "PT1M"), ("Timers.Closed", "PT10M"), ("UniqueName", "timed")];
    assert_like(
        &twilio.post("/v1/Conversations", &timed).await.expect(201).body,
        &sample("conversation.json"),
    );
}

#[tokio::test]
async fn a_group_text_and_a_template_look_like_twilios_samples() {
    let twilio = Twilio::start().await;
    let participants = format!("{}/Participants", twilio.conversation().await);
    let number = twilio.mock.phone_number();
    let alice = [("Identity", "alice"), ("MessagingBinding.ProjectedAddress", number)];
    let alice = twilio.post(&participants, &alice).await.expect(201);
    assert_like(&alice.body, &sample("participant_group_mms_chat.json"));
    let phone = [("MessagingBinding.Address", "+15558675310")];
    let phone = twilio.post(&participants, &phone).await.expect(201);
    assert_like(&phone.body, &sample("participant_group_mms_sms.json"));
    let messages = format!("{}/Messages", twilio.conversation().await);
    let template =
        [("ContentSid", "HXaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), ("ContentVariables", r#"{"1":"John"}"#)];
    let message = twilio.post(&messages, &template).await.expect(201);
    assert_like(&message.body, &sample("message_content_template.json"));
}

#[tokio::test]
async fn lists_look_like_twilios_samples() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    twilio.join(&conversation, "alice").await;
    twilio.join_by_sms(&conversation, "+15558675310").await;
    twilio.write(&conversation, "alice", "Hello").await;
    let mut conversations = sample("conversations_list.json");
    conversations["conversations"][0]["timers"] = Value::Null; // set in the sample, not here
    let mut memberships = sample("user_conversations_list.json");
    memberships["conversations"][0]["timers"] = Value::Null;
    let mut by_identity = sample("participant_conversations_by_identity.json");
    by_identity["conversations"][0]["conversation_timers"] = Value::Null;
    let mut by_address = sample("participant_conversations_by_address.json");
    by_address["conversations"][0]["conversation_timers"] = Value::Null;
    let mut participants = sample("participants_list.json");
    participants["participants"][0]["messaging_binding"] = Value::Null; // one on chat, one by SMS
    for (path, sample) in [
        ("/v1/Conversations", conversations),
        (&format!("{conversation}/Participants"), participants),
        (&format!("{conversation}/Messages"), sample("messages_list.json")),
        ("/v1/Users", sample("users_list.json")),
        ("/v1/Users/alice/Conversations", memberships),
        ("/v1/ParticipantConversations?Identity=alice", by_identity),
        ("/v1/ParticipantConversations?Address=%2B15558675310", by_address),
        ("/v1/Roles", sample("roles_list.json")),
        ("/v1/Services", sample("services_list.json")),
    ] {
        let list = twilio.get(path).await.expect(200).body;
        assert_like(&list, &sample);
        let key = list["meta"]["key"].as_str().unwrap();
        assert!(!list[key].as_array().unwrap().is_empty(), "{path}");
        let first = list["meta"]["first_page_url"].as_str().unwrap().to_owned();
        let expected = sample["meta"]["first_page_url"].as_str().unwrap();
        assert_eq!(
            first.rsplit_once("PageSize").unwrap().1,
            expected.rsplit_once("PageSize").unwrap().1,
            "{path}"
        );
    }
}

#[tokio::test]
async fn service_scoped_bodies_name_the_service_and_their_own_path_form() {
    let twilio = Twilio::start().await;
    let service = format!("/v1/Services/{}", twilio.mock.service_sid());
    let made =
        twilio.post(&format!("{service}/Conversations"), &[("FriendlyName", "Scoped")]).await.expect(201);
    let mut expected = sample("service_conversation.json");
    expected["timers"] = Value::Null;
    assert_like(&made.body, &expected);
    let conversation = format!("{service}/Conversations/{}", made.sid());
    assert_eq!(made.text("url"), twilio.url(&conversation));
    let participant =
        twilio.post(&format!("{conversation}/Participants"), &[("Identity", "alice")]).await.expect(201);
    assert_like(&participant.body, &sample("service_participant_chat.json"));
    let message = twilio.write(&conversation, "alice", "Hello").await;
    assert_like(&message.body, &sample("service_message.json"));
    assert!(message.text("url").starts_with(&twilio.url(&service)));
    assert_like(&twilio.get(&format!("{service}/Users/alice")).await.body, &sample("service_user.json"));
    let membership =
        twilio.get(&format!("{service}/Users/alice/Conversations/{}", made.sid())).await.expect(200);
    let mut expected = sample("service_user_conversation.json");
    expected["timers"] = Value::Null;
    assert_like(&membership.body, &expected);

    // The same things by the other path form.
    let plain =
        twilio.get(&format!("/v1/Conversations/{}/Messages/{}", made.sid(), message.sid())).await.expect(200);
    assert_eq!(plain.body.get("chat_service_sid"), None);
}

#[tokio::test]
async fn configuration_looks_like_twilios_samples() {
    let twilio = Twilio::start().await;
    let service = format!("/v1/Services/{}", twilio.mock.service_sid());
    assert_like(&twilio.get("/v1/Configuration").await.body, &sample("configuration.json"));
    assert_like(&twilio.get("/v1/Configuration/Webhooks").await.body, &sample("configuration_webhook.json"));
    assert_like(&twilio.get(&service).await.body, &sample("service.json"));
    let path = format!("{service}/Configuration");
    assert_like(&twilio.get(&path).await.body, &sample("service_configuration.json"));
    assert_like(
        &twilio.get(&format!("{path}/Webhooks")).await.body,
        &sample("service_configuration_webhook.json"),
    );

    let enabled = twilio.post(&path, &[("ReachabilityEnabled", "true")]).await.expect(200);
    assert_eq!(enabled.body["reachability_enabled"], json!(true));
    let webhooks = [
        ("PostWebhookUrl", "https://example.com/post"),
        ("Filters", "onMessageAdded"),
        ("Filters", "onParticipantAdded"),
        ("Method", "get"),
    ];
    let set = twilio.post(&format!("{path}/Webhooks"), &webhooks).await.expect(200);
    assert_eq!(set.body["filters"], json!(["onMessageAdded", "onParticipantAdded"]));
    assert_eq!(set.body["method"], "GET");
    twilio.post(&path, &[("ReachabilityEnabled", "maybe")]).await.expect(400);
    twilio.post("/v1/Configuration/Webhooks", &[("PostWebhookUrl", "nowhere")]).await.expect(400);
}

#[tokio::test]
async fn scoped_webhooks_look_like_twilios_samples_and_are_at_most_five() {
    let twilio = Twilio::start().await;
    let path = format!("{}/Webhooks", twilio.conversation().await);
    let webhook = [
        ("Target", "webhook"),
        ("Configuration.Url", "https://example.com"),
        ("Configuration.Method", "GET"),
        ("Configuration.Filters", "onMessageAdded"),
    ];
    let made = twilio.post(&path, &webhook).await.expect(201);
    assert_like(&made.body, &sample("webhook_scoped.json"));
    for _ in 1..5 {
        twilio.post(&path, &webhook).await.expect(201);
    }
    twilio.post(&path, &webhook).await.refused(403, 50361);
    assert_like(&twilio.get(&path).await.body, &sample("webhooks_scoped_list.json"));
    let one = format!("{path}/{}", made.sid());
    let changed = twilio.post(&one, &[("Configuration.Filters", "onParticipantAdded")]).await.expect(200);
    assert_eq!(changed.body["configuration"]["filters"], json!(["onParticipantAdded"]));
    twilio.delete(&one).await.expect(204);
    twilio.get(&one).await.refused(404, 20404);
    twilio.post(&path, &[("Target", "webhook")]).await.refused(400, 50369);
    twilio.post(&path, &[("Target", "pigeon")]).await.refused(400, 50364);
}

#[tokio::test]
async fn errors_are_worded_as_captured() {
    let twilio = Twilio::start().await;
    let missing = "CHaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let answer = twilio.get(&format!("/v1/Conversations/{missing}")).await;
    assert_eq!(answer.body, sample("error_20404_conversation.json"));

    let service = format!("/v1/Services/{}", twilio.mock.service_sid());
    let answer =
        twilio.post(&format!("{service}/Conversations/abc6/Participants"), &[("Identity", "a")]).await;
    let mut expected = sample("error_20404_participants_of_missing_conversation.json");
    expected["message"] = format!(
        "The requested resource /Services/{}/Conversations/abc6/Participants was not found",
        twilio.mock.service_sid()
    )
    .into();
    assert_eq!(answer.body, expected);

    let request = twilio.http.get(twilio.url("/v1/Conversations")).basic_auth("ACother", Some("x"));
    let answer = twilio.send(request).await;
    assert_eq!((answer.status, answer.body), (401, sample("error_20003_unauthorized.json")));

    let bad = twilio.post("/v1/Conversations", &[("Attributes", "{")]).await;
    assert_eq!(bad.body, sample("error_50304_attributes_not_json.json"));
    twilio.post("/v1/Conversations", &[("UniqueName", "one")]).await.expect(201);
    let twice = twilio.post("/v1/Conversations", &[("UniqueName", "one")]).await;
    assert_eq!(twice.body, sample("error_50353_unique_name_exists.json"));

    let conversation = twilio.conversation().await;
    let participants = format!("{conversation}/Participants");
    twilio.join(&conversation, "alice").await;
    let twice = twilio.post(&participants, &[("Identity", "alice")]).await;
    assert_eq!(twice.body, sample("error_50433_participant_exists.json"));
    let bad = twilio.post(&participants, &[("MessagingBinding.Address", "12")]).await;
    assert_eq!(bad.body, sample("error_50407_invalid_binding_address.json"));
    twilio.post(&conversation, &[("State", "closed")]).await.expect(200);
    let late = twilio.post(&format!("{conversation}/Messages"), &[("Body", "late")]).await;
    assert_eq!(late.body, sample("error_50377_conversation_closed.json"));
}
