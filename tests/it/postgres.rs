//! The service on PostgreSQL: the main scene as on SQLite, and two nodes on one database.

use serde_json::{Value, json};

use crate::support::{TestApp, TestDatabase};

async fn list(app: &TestApp, identity: &str) -> Vec<(String, String, u64)> {
    let list = app.rest().get(&format!("?userId={identity}")).await.ok();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let entry = |entry: &Value| {
        let last = text(&entry["last_message"]["body"]);
        (text(&entry["friendly_name"]), last, entry["unread_count"].as_u64().unwrap())
    };
    list.as_array().unwrap().iter().map(entry).collect()
}

#[tokio::test]
async fn two_people_talk_and_a_restart_forgets_nothing() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let mut app = TestApp::on(database).await;
    let pair = json!({ "participants": ["alice", "bob"], "friendly_name": "Alice and Bob" });
    let made = app.rest().post("/newconversation", &pair).await.ok();
    assert_eq!(made["existing"], false);
    let conversation = made["conversation_sid"].as_str().unwrap().to_owned();
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    let send = format!("/{conversation}/send-message");
    let message = json!({ "author": "bob", "body": "hello", "clientMessageId": "id-1" });
    let sent = app.rest().post(&send, &message).await.ok();
    for socket in &mut sockets {
        assert_eq!(socket.hears("new_message").await["message"]["body"], "hello");
    }
    let expected = [("Alice and Bob".to_owned(), "hello".to_owned(), 1)];
    assert_eq!(list(&app, "alice").await, expected);
    drop(sockets);

    app.restart().await;
    let before = app.asked().len();
    assert_eq!(list(&app, "alice").await, expected);
    assert_eq!(app.asked().len() - before, 1, "the memberships; what was said is in the database");
    let found = app.rest().post("/newconversation", &pair).await.ok();
    assert_eq!((&found["existing"], &found["conversation_sid"]), (&json!(true), &json!(conversation)));
    let again = app.rest().post(&send, &message).await.ok();
    assert_eq!(again["message_sid"], sent["message_sid"]);
    assert_eq!(app.stored(&conversation).await, ["hello"]);
    app.finish([]).await;
}

#[tokio::test]
async fn two_nodes_on_one_database_send_a_message_once_and_know_each_others_pairs() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = TestApp::on(database).await;
    let node = app.node().await;
    let pair = json!({ "participants": ["alice", "bob"] });
    let made = app.rest().post("/newconversation", &pair).await.ok();
    let before = app.asked().len();
    let found = node.rest().post("/newconversation", &pair).await.ok();
    assert_eq!((&found["existing"], &found["conversation_sid"]), (&json!(true), &made["conversation_sid"]));
    assert_eq!(app.asked().len() - before, 1, "its history");

    let conversation = made["conversation_sid"].as_str().unwrap().to_owned();
    let send = format!("/{conversation}/send-message");
    for number in 0..10 {
        // A client that repeats itself to another node, at once.
        let id = format!("id-{number}");
        let message = json!({ "author": "alice", "body": id, "clientMessageId": id });
        let (here, there) = (app.rest(), node.rest());
        let (first, second) = tokio::join!(here.post(&send, &message), there.post(&send, &message));
        assert_eq!(first.ok()["message_sid"], second.ok()["message_sid"]);
    }
    assert_eq!(app.stored(&conversation).await.len(), 10);
    node.finish([]).await;
    app.finish([]).await;
}
