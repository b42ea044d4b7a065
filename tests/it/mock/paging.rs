//! Lists: following `next_page_url` finds everything once, in Twilio's order, also while things change.

use serde_json::Value;

use super::twilio::Twilio;

async fn walk(twilio: &Twilio, first: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(path) = next {
        let page = twilio.get(&path).await.expect(200).body;
        let key = page["meta"]["key"].as_str().unwrap();
        found.extend(page[key].as_array().unwrap().clone());
        next = page["meta"]["next_page_url"].as_str().map(str::to_owned);
    }
    found
}

fn indexes(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["index"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn messages_are_walked_in_either_order() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    for _ in 0..7 {
        twilio.write(&conversation, "alice", "x").await;
    }
    let messages = format!("{conversation}/Messages");
    assert_eq!(indexes(&walk(&twilio, &format!("{messages}?PageSize=3")).await), [0, 1, 2, 3, 4, 5, 6]);
    let newest_first = walk(&twilio, &format!("{messages}?PageSize=2&Order=desc")).await;
    assert_eq!(indexes(&newest_first), [6, 5, 4, 3, 2, 1, 0]);

    let first = twilio.get(&format!("{messages}?Order=desc&PageSize=2")).await;
    let meta = &first.body["meta"];
    assert_eq!(meta["previous_page_url"], Value::Null);
    assert_eq!(meta["first_page_url"], twilio.url(&format!("{messages}?Order=desc&PageSize=2&Page=0")));
    let next = meta["next_page_url"].as_str().unwrap();
    assert!(next.contains("Order=desc&PageSize=2&Page=1&PageToken=PT"), "{next}");
    // New and deleted messages neither repeat nor hide others on the next page.
    twilio.write(&conversation, "alice", "new").await;
    let gone = first.body["messages"][1]["sid"].as_str().unwrap();
    twilio.delete(&format!("{messages}/{gone}")).await.expect(204);
    let second = twilio.get(next).await.expect(200);
    assert_eq!(indexes(second.body["messages"].as_array().unwrap()), [4, 3]);
    let back = twilio.get(second.body["meta"]["previous_page_url"].as_str().unwrap()).await.expect(200);
    assert_eq!(indexes(back.body["messages"].as_array().unwrap()), [7, 6]);
    twilio.get(&format!("{messages}?Order=sideways")).await.expect(400);
}

#[tokio::test]
async fn page_sizes_have_twilios_limits() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    for (path, default, most) in [
        (format!("{conversation}/Messages"), 50, 100),
        ("/v1/Conversations".to_owned(), 50, 100),
        ("/v1/Users".to_owned(), 50, 50),
        (format!("{conversation}/Webhooks"), 5, 5),
    ] {
        assert_eq!(twilio.get(&path).await.body["meta"]["page_size"], default, "{path}");
        let large = twilio.get(&format!("{path}?PageSize=1000")).await;
        assert_eq!(large.body["meta"]["page_size"], most, "{path}");
    }
}

#[tokio::test]
async fn conversations_come_by_latest_message_and_by_state_and_date() {
    let twilio = Twilio::start().await;
    let mut conversations = Vec::new();
    for _ in 0..5 {
        conversations.push(twilio.conversation().await);
    }
    twilio.write(&conversations[1], "alice", "x").await;
    twilio.post(&conversations[3], &[("FriendlyName", "renamed")]).await.expect(200);
    let sids = |found: &[Value]| -> Vec<String> {
        found.iter().map(|one| format!("/v1/Conversations/{}", one["sid"].as_str().unwrap())).collect()
    };
    let expected: Vec<_> = [1, 4, 3, 2, 0].map(|at| conversations[at].clone()).into();
    assert_eq!(sids(&walk(&twilio, "/v1/Conversations?PageSize=2").await), expected);

    twilio.post(&conversations[2], &[("State", "closed")]).await.expect(200);
    let closed = walk(&twilio, "/v1/Conversations?State=closed&PageSize=1").await;
    assert_eq!(sids(&closed), conversations[2..3]);
    let old = [("DateCreated", "2015-12-16T22:18:37Z")];
    let old = twilio.post("/v1/Conversations", &old).await.expect(201).sid();
    let found = walk(&twilio, "/v1/Conversations?StartDate=2015-12-16&EndDate=2015-12-16").await;
    assert_eq!(sids(&found), [format!("/v1/Conversations/{old}")]);
}

#[tokio::test]
async fn the_conversations_of_somebody_come_by_sid() {
    let twilio = Twilio::start().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        let conversation = twilio.conversation().await;
        twilio.join(&conversation, "alice").await;
        expected.push(conversation.rsplit_once('/').unwrap().1.to_owned());
    }
    expected.sort_unstable();
    let found = walk(&twilio, "/v1/ParticipantConversations?Identity=alice&PageSize=2").await;
    let sids: Vec<_> = found.iter().map(|one| one["conversation_sid"].as_str().unwrap()).collect();
    assert_eq!(sids, expected);
    assert!(walk(&twilio, "/v1/ParticipantConversations?Identity=nobody").await.is_empty());
    twilio.get("/v1/ParticipantConversations").await.refused(400, 50451);
    let both = "/v1/ParticipantConversations?Identity=alice&Address=%2B15558675310";
    twilio.get(both).await.refused(400, 50451);
}
