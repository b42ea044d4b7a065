//! Where Twilio does not say what it does, the mock can do either.

use std::time::Duration;

use serde_json::json;
use switchboard::mock::{Options, Switches};

use super::twilio::Twilio;

async fn with(switches: Switches) -> Twilio {
    Twilio::with(Options { switches, ..Options::default() }).await
}

#[tokio::test]
async fn lengths_and_sizes_may_differ() {
    let twilio = with(Switches {
        large_pages_refused: true,
        most_unique_name: 10,
        most_user_attributes: 20,
        timers_need_state: true,
        ..Switches::default()
    })
    .await;
    twilio.get("/v1/Conversations?PageSize=100").await.expect(200);
    twilio.get("/v1/Conversations?PageSize=101").await.refused(400, 20007);
    let create = "/v1/Conversations";
    twilio.post(create, &[("UniqueName", "ten letter")]).await.expect(201);
    twilio.post(create, &[("UniqueName", "eleven let…")]).await.refused(400, 50004);
    let attributes = r#"{"more":"than twenty"}"#;
    twilio.post("/v1/Users", &[("Identity", "a"), ("Attributes", attributes)]).await.refused(400, 50303);
    let timer = ("Timers.Closed", "PT10M");
    twilio.post(create, &[timer]).await.refused(400, 50382);
    let timed = twilio.post(create, &[timer, ("State", "active")]).await.expect(201);
    twilio.post(&format!("{create}/{}", timed.sid()), &[timer]).await.expect(200);
}

#[tokio::test]
async fn own_messages_and_the_delivery_on_chat_may_count_otherwise() {
    let twilio = with(Switches {
        unread_counts_own: false,
        delivery_on_chat: true,
        user_conversations_by_activity: true,
        ..Switches::default()
    })
    .await;
    let mut conversations = Vec::new();
    for _ in 0..3 {
        let conversation = twilio.conversation().await;
        twilio.join(&conversation, "alice").await;
        conversations.push(conversation.rsplit_once('/').unwrap().1.to_owned());
    }
    let conversation = format!("/v1/Conversations/{}", conversations[1]);
    let message = twilio.write(&conversation, "alice", "mine").await;
    let nothing = json!({
        "total": 0, "sent": "none", "delivered": "none", "read": "none", "failed": "none", "undelivered": "none",
    });
    assert_eq!(message.body["delivery"], nothing);
    twilio.write(&conversation, "bob", "his").await;
    twilio.write(&conversation, "alice", "mine").await;
    twilio.write(&conversation, "bob", "his").await;
    let membership = format!("/v1/Users/alice/Conversations/{}", conversations[1]);
    let read = twilio.post(&membership, &[("LastReadMessageIndex", "0")]).await.expect(200);
    assert_eq!(read.body["unread_messages_count"], 2);
    let list = twilio.get("/v1/Users/alice/Conversations?PageSize=2").await.expect(200);
    let second = twilio.get(list.body["meta"]["next_page_url"].as_str().unwrap()).await.expect(200);
    let rows = [&list, &second].map(|page| page.body["conversations"].as_array().unwrap().clone()).concat();
    let sids: Vec<_> = rows.iter().map(|row| row["conversation_sid"].as_str().unwrap()).collect();
    assert_eq!(sids, [&conversations[1], &conversations[2], &conversations[0]]);
}

#[tokio::test]
async fn users_may_be_made_and_go_otherwise() {
    let twilio = with(Switches { users_by_joining: false, ..Switches::default() }).await;
    let conversation = twilio.conversation().await;
    twilio.join(&conversation, "alice").await;
    twilio.get("/v1/Users/alice").await.refused(404, 20404);
    let found = twilio.get("/v1/ParticipantConversations?Identity=alice").await.expect(200);
    assert_eq!(found.body["conversations"][0]["participant_user_sid"], json!(null));

    for (leave, status) in [(false, 200), (true, 404)] {
        let twilio = with(Switches { deleted_users_leave: leave, ..Switches::default() }).await;
        let conversation = twilio.conversation().await;
        twilio.join(&conversation, "alice").await;
        twilio.delete("/v1/Users/alice").await.expect(204);
        twilio.get(&format!("{conversation}/Participants/alice")).await.expect(status);
    }
}

#[tokio::test]
async fn files_may_go_with_their_conversation_and_their_addresses_sooner() {
    let twilio = with(Switches {
        media_deleted_with_conversation: true,
        media_address_seconds: 10,
        ..Switches::default()
    })
    .await;
    let conversation = twilio.conversation().await;
    let media = twilio.upload("", "image/png", vec![1]).await.expect(201);
    let temporary = media.body["links"]["content_direct_temporary"].as_str().unwrap();
    twilio.send(twilio.http.get(temporary)).await.expect(200);
    twilio.mock.clock().advance(Duration::from_secs(11));
    twilio.send(twilio.http.get(temporary)).await.expect(403);
    twilio.post(&format!("{conversation}/Messages"), &[("MediaSid", &media.sid())]).await.expect(201);
    twilio.get(media.text("url")).await.expect(200);
    twilio.delete(&conversation).await.expect(204);
    twilio.get(media.text("url")).await.refused(404, 20404);
}

#[tokio::test]
async fn a_conversation_with_participants_may_take_its_time() {
    let twilio = with(Switches { initializing_ms: 60_000, ..Switches::default() }).await;
    let form = [("Participant", r#"{"identity":"alice"}"#)];
    let made = twilio.post("/v1/ConversationWithParticipants", &form).await.expect(202);
    let conversation = format!("/v1/Conversations/{}", made.sid());
    twilio.mock.clock().advance(Duration::from_secs(50));
    assert_eq!(twilio.get(&conversation).await.text("state"), "initializing");
    twilio.mock.clock().advance(Duration::from_secs(10));
    assert_eq!(twilio.get(&conversation).await.text("state"), "active");
}
