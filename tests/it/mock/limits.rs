//! How many of what Twilio allows, and what goes with what when it is deleted.

use serde_json::{Value, json};

use super::twilio::Twilio;

#[tokio::test]
async fn a_conversation_has_a_thousand_participants_of_whom_fifty_are_not_on_chat() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let participants = format!("{conversation}/Participants");
    for number in 0..50 {
        twilio.join_by_sms(&conversation, &format!("+155586753{number:02}")).await;
    }
    let number = twilio.mock.phone_number().to_owned();
    let one_more =
        [("MessagingBinding.Address", "+15558675399"), ("MessagingBinding.ProxyAddress", number.as_str())];
    twilio.post(&participants, &one_more).await.refused(403, 50422);
    for number in 50..1000 {
        twilio.join(&conversation, &format!("user{number}")).await;
    }
    twilio.post(&participants, &[("Identity", "one more")]).await.refused(403, 50417);
    twilio.get("/v1/Users/one%20more").await.refused(404, 20404);
    twilio.delete(&format!("{participants}/user50")).await.expect(204);
    twilio.join(&conversation, "one more").await;
}

#[tokio::test]
async fn an_identity_is_in_a_thousand_conversations_that_are_not_closed() {
    let twilio = Twilio::start().await;
    let mut conversations = Vec::new();
    for _ in 0..1000 {
        let conversation = twilio.conversation().await;
        twilio.join(&conversation, "alice").await;
        conversations.push(conversation);
    }
    let one_more = twilio.conversation().await;
    let participants = format!("{one_more}/Participants");
    let join = async || twilio.post(&participants, &[("Identity", "alice")]).await;
    join().await.refused(403, 50214);
    let invited = [("Participant", r#"{"identity":"alice"}"#)];
    twilio.post("/v1/ConversationWithParticipants", &invited).await.refused(403, 50214);
    twilio.post(&conversations[0], &[("State", "inactive")]).await.expect(200);
    join().await.refused(403, 50214);
    // Each of these makes room for one.
    twilio.post(&conversations[0], &[("State", "closed")]).await.expect(200);
    let joined = join().await.expect(201).sid();
    twilio.delete(&format!("{participants}/{joined}")).await.expect(204);
    join().await.expect(201);
    twilio.delete(&conversations[1]).await.expect(204);
    let other = twilio.conversation().await;
    twilio.join(&other, "alice").await;
    // A closed one that is deleted makes none.
    twilio.delete(&conversations[0]).await.expect(204);
    let last = format!("{}/Participants", twilio.conversation().await);
    twilio.post(&last, &[("Identity", "alice")]).await.refused(403, 50214);
}

#[tokio::test]
async fn unread_messages_are_counted_up_to_a_thousand() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1.to_owned();
    let mut first = None;
    twilio.join(&conversation, "alice").await;
    for _ in 0..1003 {
        let message = twilio.write(&conversation, "bob", "x").await.sid();
        first.get_or_insert(message);
    }
    let membership = format!("/v1/Users/alice/Conversations/{sid}");
    let unread_after = async |index: &str| {
        let read = twilio.post(&membership, &[("LastReadMessageIndex", index)]).await.expect(200);
        read.body["unread_messages_count"].clone()
    };
    assert_eq!(unread_after("0").await, 1000);
    assert_eq!(unread_after("3").await, 999);
    assert_eq!(unread_after("1002").await, 0);
    assert_eq!(unread_after("5000").await, 0);
    // A deleted message counts neither before nor after the horizon.
    let newest = twilio.get(&format!("{conversation}/Messages?Order=DESC&PageSize=1")).await.expect(200);
    let newest = newest.body["messages"][0]["sid"].as_str().unwrap().to_owned();
    twilio.delete(&format!("{conversation}/Messages/{}", first.unwrap())).await.expect(204);
    assert_eq!(unread_after("3").await, 999);
    twilio.delete(&format!("{conversation}/Messages/{newest}")).await.expect(204);
    assert_eq!(unread_after("3").await, 998);
}

#[tokio::test]
async fn everything_in_a_conversation_goes_with_it() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let participant = twilio.join(&conversation, "alice").await;
    twilio.join_by_sms(&conversation, "+15558675310").await;
    let message = twilio.write(&conversation, "alice", "x").await.sid();
    let webhook = [("Target", "studio"), ("Configuration.FlowSid", "FWaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")];
    let webhook = twilio.post(&format!("{conversation}/Webhooks"), &webhook).await.expect(201).sid();
    twilio.delete(&conversation).await.expect(204);
    for path in [
        "",
        "/Participants",
        "/Messages",
        "/Webhooks",
        &format!("/Participants/{participant}"),
        &format!("/Messages/{message}"),
        &format!("/Messages/{message}/Receipts"),
        &format!("/Webhooks/{webhook}"),
    ] {
        twilio.get(&format!("{conversation}{path}")).await.refused(404, 20404);
    }
    let lists = [
        "ParticipantConversations?Identity=alice",
        "Users/alice/Conversations",
        "Conversations?State=active",
    ];
    for list in lists {
        let found = twilio.get(&format!("/v1/{list}")).await.expect(200);
        assert_eq!(found.body["conversations"], json!([]), "{list}");
    }
    let other = twilio.conversation().await;
    twilio.join_by_sms(&other, "+15558675310").await;
}

#[tokio::test]
async fn everything_in_a_service_goes_with_it() {
    let twilio = Twilio::start().await;
    let service = twilio.post("/v1/Services", &[("FriendlyName", "Other")]).await.expect(201).sid();
    let service = format!("/v1/Services/{service}");
    let made = twilio.post(&format!("{service}/Conversations"), &[("UniqueName", "one")]).await.expect(201);
    let conversation = format!("{service}/Conversations/{}", made.sid());
    twilio.join_by_sms(&conversation, "+15558675310").await;
    twilio.post(&format!("{service}/Users"), &[("Identity", "alice")]).await.expect(201);
    twilio.get(&format!("/v1/Conversations/{}", made.sid())).await.refused(404, 20404);
    twilio.delete(&service).await.expect(204);
    for path in ["", "/Configuration", "/Conversations", "/Users/alice", "/Roles", "/Bindings"] {
        twilio.get(&format!("{service}{path}")).await.refused(404, 20404);
    }
    twilio.get(&conversation).await.refused(404, 20404);
    // Its numbers are free again.
    let other = twilio.conversation().await;
    twilio.join_by_sms(&other, "+15558675310").await;
}

#[tokio::test]
async fn an_account_without_its_default_service_names_another() {
    let twilio = Twilio::start().await;
    let default = twilio.mock.service_sid().to_owned();
    twilio.delete(&format!("/v1/Services/{default}")).await.expect(204);
    let gone = twilio.get("/v1/Conversations").await.refused(404, 20404);
    assert_eq!(gone.text("message"), "The requested resource /Conversations was not found");
    twilio.post("/v1/Conversations", &[]).await.refused(404, 20404);
    twilio.get("/v1/Configuration").await.expect(200);
    let other = twilio.post("/v1/Services", &[("FriendlyName", "Other")]).await.expect(201).sid();
    twilio.post("/v1/Configuration", &[("DefaultChatServiceSid", &other)]).await.expect(200);
    let conversation = twilio.post("/v1/Conversations", &[]).await.expect(201);
    assert_eq!(conversation.text("chat_service_sid"), other);
}

#[tokio::test]
async fn lists_of_a_state_or_of_some_days_hold_just_those() {
    let twilio = Twilio::start().await;
    let mut sids = Vec::new();
    for (date, state) in [
        ("2026-01-01", "active"),
        ("2026-01-02", "inactive"),
        ("2026-01-02", "active"),
        ("2026-01-03", "active"),
    ] {
        let date = format!("{date}T10:00:00Z");
        let made = twilio.post("/v1/Conversations", &[("DateCreated", &date), ("State", state)]).await;
        sids.push(made.expect(201).sid());
    }
    let list = async |query: &str| -> Vec<usize> {
        let mut found = Vec::new();
        let mut next = Value::from(format!("/v1/Conversations?PageSize=1&{query}"));
        while let Some(path) = next.as_str() {
            let page = twilio.get(path).await.expect(200).body;
            for one in page["conversations"].as_array().unwrap() {
                found.push(sids.iter().position(|sid| one["sid"] == *sid).unwrap());
            }
            next = page["meta"]["next_page_url"].clone();
        }
        found.sort_unstable();
        found
    };
    assert_eq!(list("State=ACTIVE").await, [0, 2, 3]);
    assert_eq!(list("StartDate=2026-01-02").await, [1, 2, 3]);
    assert_eq!(list("EndDate=2026-01-02").await, [0, 1, 2]);
    assert_eq!(list("StartDate=2026-01-02&EndDate=2026-01-02&State=active").await, [2]);
    assert_eq!(list("StartDate=2026-01-02T10:00:00Z&EndDate=2026-01-03T10:00:00Z").await, [1, 2]);
    assert!(list("StartDate=2026-01-03&EndDate=2026-01-01").await.is_empty());
    twilio.post(&format!("/v1/Conversations/{}", sids[0]), &[("State", "closed")]).await.expect(200);
    assert_eq!((list("State=active").await, list("State=closed").await), (vec![2, 3], vec![0]));
    // A token of one list in another list leads nowhere, and breaks nothing.
    let page = twilio.get("/v1/Conversations?StartDate=2026-01-01&PageSize=1").await.expect(200);
    let next = page.body["meta"]["next_page_url"].as_str().unwrap();
    let token = next.split("PageToken=").nth(1).unwrap();
    let foreign = format!("/v1/Conversations?StartDate=2027-01-01&PageToken={token}");
    assert_eq!(twilio.get(&foreign).await.expect(200).body["conversations"], json!([]));
}
