//! The list, sending, the history and what is unread, over REST: with what each costs at Twilio.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::support::TestApp;
use crate::support::app::Stage;

#[tokio::test]
async fn the_first_message_makes_the_conversation_and_the_very_next_list_has_it() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.chat("alice"), app.chat("bob"));
    let answer = alice.post("/send/", &json!({ "receiverId": "bob", "text": "Hello!" })).await;
    assert_eq!(answer.twilio_calls(), 4, "the conversation, two people, the message");
    let message = answer.made()["message"].take();
    assert_eq!(message["senderId"], "alice");
    assert_eq!(message["receiverId"], "bob");
    assert!(message.get("sender").is_none(), "the document's answer has none");

    let list = alice.list().await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["conversationId"], message["conversationId"]);
    assert_eq!(list[0]["otherUser"], json!({ "id": "bob", "username": "bob", "profileImage": null }));
    assert_eq!(list[0]["lastMessage"], "Hello!");
    assert_eq!(list[0]["lastMessageAt"], message["timestamp"]);
    assert_eq!(list[0]["unreadCount"], "0", "one's own messages are read");
    let list = bob.list().await;
    assert_eq!(list[0]["otherUser"]["id"], "alice");
    assert_eq!(list[0]["unreadCount"], "1");

    let answer = bob.post("/send", &json!({ "receiverId": "alice", "text": "Hi" })).await;
    assert_eq!(answer.twilio_calls(), 1, "the message alone");
    assert_eq!(answer.made()["message"]["conversationId"], message["conversationId"]);
    let again = alice.get("/conversations").await;
    assert_eq!(again.twilio_calls(), 0);
    let list = again.ok();
    assert_eq!(list["conversations"][0]["lastMessage"], "Hi");
    assert_eq!(list["conversations"][0]["unreadCount"], "1");
}

#[tokio::test]
async fn a_direct_conversation_of_another_dialect_is_the_same_one() {
    let app = TestApp::start().await;
    let pair = json!({ "participants": ["alice", "bob"] });
    let made = app.rest().post("/newconversation", &pair).await.ok();
    let message = app.chat("bob").say("alice", "here?").await;
    assert_eq!(message["conversationId"], made["conversation_sid"]);
    let again = app.rest().post("/newconversation", &pair).await.ok();
    assert_eq!(again["conversation_sid"], made["conversation_sid"]);
    assert_eq!(again["messages"][0]["body"], "here?");

    let theirs = app.rest().get("?userId=alice").await.ok();
    let ours = app.chat("alice").list().await;
    assert_eq!(theirs[0]["unread_count"], 1);
    assert_eq!(ours[0]["unreadCount"], "1", "both count what nobody has read");
    assert_eq!(app.rest().get("?userId=bob").await.ok()[0]["unread_count"], 0);
    assert_eq!(app.chat("bob").list().await[0]["unreadCount"], "0");
}

#[tokio::test]
async fn only_conversations_of_two_are_listed_newest_first() {
    let app = TestApp::start().await;
    let alice = app.chat("alice");
    app.conversation(&["alice", "bob"]).await;
    app.rest().post("/newconversation", &json!({ "participants": ["alice", "bob", "carol"] })).await.ok();
    app.chat("bob").say("alice", "first").await;
    app.chat("carol").say("alice", "second").await;
    let others = |list: Vec<serde_json::Value>| -> Vec<String> {
        list.iter().map(|one| one["otherUser"]["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(others(alice.list().await), ["carol", "bob"]);
    alice.say("bob", "third").await;
    assert_eq!(others(alice.list().await), ["bob", "carol"]);

    let mut app = app;
    app.restart().await;
    // All in one second, which is all that is remembered of when it was.
    let mut after = others(app.chat("alice").list().await);
    after.sort_unstable();
    assert_eq!(after, ["bob", "carol"]);
}

#[tokio::test]
async fn somebody_who_joins_later_does_not_change_whose_conversation_it_is() {
    let app = TestApp::start().await;
    let sid = app.chat("bob").say("alice", "hi").await["conversationId"].as_str().unwrap().to_owned();
    app.rest().post(&format!("/{sid}/add-chat-participant"), &json!({ "identity": "agent" })).await.ok();
    let list = app.chat("alice").list().await;
    assert_eq!(list[0]["otherUser"]["id"], "bob");
    assert_eq!(app.chat("agent").list().await.len(), 0, "it is not theirs");
}

#[tokio::test]
async fn what_a_message_is_about_is_kept_and_the_last_product_stands_in_the_list() {
    let mut app = TestApp::start().await;
    let alice = app.chat("alice");
    let about = json!({
        "receiverId": "bob", "text": "this?", "productId": "p-1", "offerId": 7,
        "attachments": ["https://example.com/a.png"],
    });
    let message = alice.post("/send/", &about).await.made()["message"].take();
    assert_eq!((&message["productId"], &message["offerId"]), (&json!("p-1"), &json!("7")));
    assert_eq!(message["attachments"], json!(["https://example.com/a.png"]));
    alice.say("bob", "well?").await;
    assert_eq!(app.chat("bob").list().await[0]["productId"], "p-1");
    let second = json!({ "receiverId": "alice", "text": "or this?", "productId": "p-2" });
    let second = app.chat("bob").post("/send/", &second).await.made()["message"].take();
    assert_eq!(alice.list().await[0]["productId"], "p-2");

    app.restart().await;
    let list = app.chat("alice").get("/conversations/").await;
    assert_eq!(list.twilio_calls(), 1, "the list of conversations alone");
    assert_eq!(list.ok()["conversations"][0]["productId"], "p-2");

    // A neighbour that has seen none of it reads it once.
    let neighbour = app.neighbour().await;
    let list = neighbour.chat("alice").get("/conversations/").await;
    assert_eq!(list.twilio_calls(), 2, "the list of conversations, the newest messages");
    assert_eq!(list.ok()["conversations"][0]["productId"], "p-2");
    assert_eq!(neighbour.chat("alice").get("/conversations/").await.twilio_calls(), 0);

    // What the message said goes with it.
    let (sid, id) = (second["conversationId"].as_str().unwrap(), second["id"].as_str().unwrap());
    app.rest_as("bob").delete(&format!("/{sid}/messages/{id}")).await.ok();
    assert_eq!(app.chat("alice").list().await[0]["productId"], "p-1");
}

#[tokio::test]
async fn other_dialects_show_attachments_as_media() {
    let app = TestApp::start().await;
    let link = "https://example.com/a.png";
    let sent = json!({ "receiverId": "bob", "attachments": [link] });
    let message = app.chat("alice").post("/send/", &sent).await.made()["message"].take();
    assert_eq!(message["text"], "");
    let sid = message["conversationId"].as_str().unwrap();
    let history = app.rest().get(&format!("/{sid}/messages")).await.ok();
    assert_eq!(history[0]["media"], json!([link]));
    assert_eq!(app.chat("bob").list().await[0]["lastMessage"], "");

    let media = json!({ "author": "bob", "body": "mine", "media": ["https://example.com/b.png"] });
    app.rest().post(&format!("/{sid}/send-message"), &media).await.ok();
    let page = app.chat("alice").get(&format!("/conversations/{sid}/messages/")).await.ok();
    assert_eq!(page["messages"][1]["attachments"], media["media"]);
}

#[tokio::test]
async fn the_history_comes_in_pages_and_reading_it_is_reading() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.chat("alice"), app.chat("bob"));
    for number in 1..=5 {
        bob.say("alice", &number.to_string()).await;
    }
    let status = alice.get("/unread-status/").await.ok();
    assert_eq!(
        status,
        json!({ "success": true, "hasUnread": true, "unreadCount": "5", "unreadConversations": 1 })
    );
    let sid = alice.list().await[0]["id"].as_str().unwrap().to_owned();
    let path = |page: u32| format!("/conversations/{sid}/messages?page={page}&limit=2");
    let texts = |page: &serde_json::Value| -> Vec<String> {
        let messages = page["messages"].as_array().unwrap().iter();
        messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };

    // The oldest page first: what is above it stays unread.
    let last = alice.get(&path(3)).await.ok();
    assert_eq!(texts(&last), ["1"]);
    assert_eq!(last["pagination"], json!({ "currentPage": 3, "totalPages": 3, "totalItems": 5 }));
    assert_eq!(last["messages"][0]["sender"], "other");
    assert_eq!(last["messages"][0]["receiverId"], "alice");
    assert_eq!(alice.list().await[0]["unreadCount"], "4");
    assert_eq!(texts(&alice.get(&path(1)).await.ok()), ["4", "5"]);
    assert_eq!(alice.list().await[0]["unreadCount"], "0");
    assert_eq!(alice.get("/unread-status").await.ok()["hasUnread"], false);
    let middle = bob.get(&path(2)).await.ok();
    assert_eq!(texts(&middle), ["2", "3"]);
    assert_eq!(middle["messages"][0]["sender"], "me");
    let beyond = alice.get(&path(4)).await;
    assert_eq!(beyond.twilio_calls(), 0);
    assert_eq!(texts(&beyond.ok()), [""; 0]);

    // A deleted message leaves no hole.
    let third = middle["messages"][1]["id"].as_str().unwrap();
    app.rest_as("bob").delete(&format!("/{sid}/messages/{third}")).await.ok();
    let page = alice.get(&path(2)).await.ok();
    assert_eq!(texts(&page), ["1", "2"]);
    assert_eq!(page["pagination"], json!({ "currentPage": 2, "totalPages": 2, "totalItems": 4 }));
}

#[tokio::test]
async fn a_send_that_is_repeated_with_its_id_is_one_message() {
    let app = TestApp::start().await;
    let send = json!({ "receiverId": "bob", "text": "once", "clientMessageId": "c-1" });
    let first = app.chat("alice").post("/send/", &send).await.made();
    let again = app.chat("alice").post("/send/", &send).await.made();
    assert_eq!(first, again);
    assert_eq!(first["message"]["clientMessageId"], "c-1");
    assert_eq!(app.stored(first["message"]["conversationId"].as_str().unwrap()).await, ["once"]);
}

#[tokio::test]
async fn a_conversation_that_is_gone_is_made_anew_by_the_next_message() {
    let app = TestApp::without_webhooks().await;
    let alice = app.chat("alice");
    let first = alice.say("bob", "one").await["conversationId"].as_str().unwrap().to_owned();
    app.elsewhere(reqwest::Method::DELETE, &format!("/Conversations/{first}"), &[]).await;
    let second = alice.say("bob", "two").await["conversationId"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    app.elsewhere(reqwest::Method::POST, &format!("/Conversations/{second}"), &[("State", "closed")]).await;
    let third = alice.say("bob", "three").await["conversationId"].as_str().unwrap().to_owned();
    assert_ne!(second, third);
    assert_eq!(app.stored(&third).await, ["three"]);
}

#[tokio::test]
async fn strict_users_refuses_who_is_not_known() {
    let app = TestApp::with(Stage { strict_users: true, ..Stage::default() }).await;
    let alice = app.chat("alice");
    let nobody = json!({ "receiverId": "nobody", "text": "hello?" });
    assert_eq!(alice.post("/send/", &nobody).await.refused(404), "no such user");
    assert_eq!(app.writes(), 0);
    // Whoever was ever added at Twilio has a User there.
    app.conversation(&["bob", "carol"]).await;
    alice.say("bob", "hello").await;
    // Whoever was named is in the directory.
    let people = json!([{ "id": "dave", "name": "Dave" }, "carol"]);
    app.rest().post("/create", &json!({ "participants": people })).await.ok();
    alice.say("dave", "hello").await;
}

#[tokio::test]
async fn without_a_token_claims_are_believed_where_none_is_needed() {
    let app = TestApp::start().await;
    let anonymous = app.chat_with(None);
    let send = json!({ "senderId": "alice", "receiverId": "bob", "text": "hi" });
    anonymous.post("/send/", &send).await.made();
    let list = anonymous.get("/conversations/?userId=bob").await.ok();
    assert_eq!(list["conversations"][0]["otherUser"]["id"], "alice");
    anonymous.get("/conversations/").await.refused(401);
    anonymous.post("/send/", &json!({ "receiverId": "bob", "text": "hi" })).await.refused(401);
    assert_eq!(anonymous.get("/unread-status?userId=bob").await.ok()["unreadCount"], "1");
}

#[tokio::test]
async fn a_file_that_is_uploaded_can_be_attached_and_fetched() {
    const PNG: &[u8] = include_bytes!("../../../fixtures/pixel.png");
    let app = TestApp::required().await;
    let alice = app.chat("alice");
    let file = Part::bytes(PNG).file_name("cat.png");
    let request = alice.request(Method::POST, "/upload/").multipart(Form::new().part("file", file));
    let url = alice.answer(request).await.ok()["fileUrl"].as_str().unwrap().to_owned();
    let said = json!({ "receiverId": "bob", "attachments": [url] });
    let sent = alice.post("/send/", &said).await.made();
    assert_eq!(sent["message"]["attachments"], json!([url]));
    let conversation = sent["message"]["conversationId"].as_str().unwrap();
    let history = app.chat("bob").get(&format!("/conversations/{conversation}/messages/")).await.ok();
    let shown = history["messages"][0]["attachments"][0].as_str().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a browser's request for a picture")]
    let fetched = app.http.get(shown).send().await.unwrap();
    assert_eq!(fetched.status(), 302);
    alice.answer(alice.request(Method::POST, "/upload/").multipart(Form::new())).await.refused(400);
    app.finish([]).await;
}
