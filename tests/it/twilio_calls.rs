//! How many Twilio calls things cost, counted where they arrive: in the mock's journal.

use serde_json::{Value, json};

use crate::support::{Rest, TestApp, until};

/// What `asking` made the service ask Twilio.
async fn calls_of<T>(app: &TestApp, asking: impl Future<Output = T>) -> (T, Vec<String>) {
    let before = app.asked().len();
    let answer = asking.await;
    (answer, app.asked_since(before))
}

async fn free<T>(app: &TestApp, asking: impl Future<Output = T>) -> T {
    let (answer, calls) = calls_of(app, asking).await;
    assert_eq!(calls, [""; 0]);
    answer
}

/// The list of `identity`, which must cost nothing: name, last message and number of unread ones of each conversation.
async fn warm_list(app: &TestApp, identity: &str) -> Vec<(String, String, u64)> {
    let list = free(app, app.rest().get(&format!("?userId={identity}"))).await.ok();
    let line = |entry: &Value| {
        let name = entry["friendly_name"].as_str().unwrap().to_owned();
        let last = entry["last_message"]["body"].as_str().unwrap_or("-").to_owned();
        (name, last, entry["unread_count"].as_u64().unwrap())
    };
    list.as_array().unwrap().iter().map(line).collect()
}

fn line(name: &str, last: &str, unread: u64) -> (String, String, u64) {
    (name.to_owned(), last.to_owned(), unread)
}

async fn named(rest: &Rest, name: &str, people: &[&str]) -> String {
    let made = rest.post("/create", &json!({ "friendly_name": name, "participants": people })).await.ok();
    made["conversation_sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn history_costs_one_call_and_then_none() {
    let mut app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    free(&app, app.rest().history(&conversation)).await;
    for number in 0..3 {
        app.rest().say(&conversation, "alice", &number.to_string()).await;
    }
    assert_eq!(free(&app, app.rest().history(&conversation)).await, ["0", "1", "2"]);
    app.restart().await;
    let (history, calls) = calls_of(&app, app.rest().history(&conversation)).await;
    assert_eq!((history.len(), calls.len()), (3, 1), "{calls:?}");
    assert_eq!(free(&app, app.rest().history(&conversation)).await, ["0", "1", "2"]);
    app.finish([]).await;
}

#[tokio::test]
async fn older_pages_cost_one_call_each_and_are_whole() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    for number in 0..250 {
        let form = [("Author", "alice"), ("Body", &number.to_string())];
        app.elsewhere(reqwest::Method::POST, &format!("/Conversations/{conversation}/Messages"), &form).await;
    }
    app.told("onMessageAdded", 250).await;
    let mut app = app;
    app.restart().await;
    let mut before = 250;
    while before > 0 {
        let path = format!("/{conversation}/messages?before={before}");
        let (page, calls) = calls_of(&app, app.rest().get(&path)).await;
        let page = page.ok();
        let indices: Vec<i64> =
            page.as_array().unwrap().iter().map(|message| message["index"].as_i64().unwrap()).collect();
        let from = (before - 100).max(0);
        assert_eq!(indices, (from..before).collect::<Vec<_>>());
        assert_eq!(calls.len(), 1, "{calls:?}");
        before = from;
    }
    let all = free(&app, app.rest().get(&format!("/{conversation}/messages?limit=500"))).await.ok();
    assert_eq!(all.as_array().unwrap().len(), 250);
    app.finish([]).await;
}

#[tokio::test]
async fn an_existing_pair_costs_at_most_one_call_and_then_none() {
    let mut app = TestApp::start().await;
    let pair = json!({ "participants": ["alice", "bob"] });
    let (made, calls) = calls_of(&app, app.rest().post("/newconversation", &pair)).await;
    assert_eq!((made.ok()["existing"].clone(), calls.len()), (json!(false), 3), "{calls:?}");
    assert_eq!(free(&app, app.rest().post("/newconversation", &pair)).await.ok()["existing"], true);
    app.restart().await;
    let (found, calls) = calls_of(&app, app.rest().post("/newconversation", &pair)).await;
    assert_eq!(found.ok()["existing"], true);
    assert!(calls.len() <= 1, "{calls:?}");
    free(&app, app.rest().post("/newconversation", &pair)).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn a_message_costs_exactly_one_call() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    let post = format!("POST /Conversations/{conversation}/Messages");
    let message = json!({ "author": "alice", "body": "hello", "clientMessageId": "id-1" });
    let (answer, calls) =
        calls_of(&app, app.rest().post(&format!("/{conversation}/send-message"), &message)).await;
    assert_eq!((calls, answer.twilio_calls()), (vec![post.clone()], 1));
    sockets[0].hears("new_message").await;
    sockets[1].hears("new_message").await;

    let before = app.asked().len();
    let message = json!({ "conversationSid": conversation, "author": "alice", "body": "hello" });
    sockets[0].emit("send_message", &message).await;
    sockets[0].hears("new_message").await;
    sockets[0].hears("message_sent").await;
    sockets[1].hears("new_message").await;
    assert_eq!(app.asked_since(before), [post]);
    app.finish(sockets).await;
}

#[tokio::test]
async fn membership_is_asked_once() {
    let mut app = TestApp::required().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.restart().await;
    let bob = app.rest_as("bob");
    let (_, calls) = calls_of(&app, bob.say(&conversation, "bob", "first")).await;
    assert_eq!(calls.len(), 2, "the participants, and the message: {calls:?}");
    let (_, calls) = calls_of(&app, bob.say(&conversation, "bob", "second")).await;
    assert_eq!(calls.len(), 1, "{calls:?}");
    // Somebody who is no member does not make Twilio work for every refusal.
    app.rest_as("mallory").get(&format!("/{conversation}/messages")).await.refused(403);
    free(&app, app.rest_as("mallory").get(&format!("/{conversation}/messages"))).await.refused(403);
    app.finish([]).await;
}

#[tokio::test]
async fn presence_typing_and_whoever_is_connected_cost_nothing() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut sockets = free(&app, app.room(&conversation, &["alice", "bob"])).await;
    let here = json!({ "conversationSid": conversation, "identity": "alice" });
    free(&app, async {
        sockets[0].emit("typing_start", &here).await;
        sockets[1].hears("user_typing").await;
        sockets[0].emit("typing_stop", &here).await;
        sockets[1].hears("user_typing").await;
        sockets[0].emit("set_status", &json!({ "status": "away" })).await;
        sockets[1].hears("user_status_changed").await;
        sockets[0].emit("get_online_users", &here).await;
        sockets[0].hears("online_users").await;
    })
    .await;
    let reachable = free(&app, app.rest().get("/users/alice/reachability")).await;
    assert_eq!((reachable.twilio_calls(), reachable.ok()["online"].clone()), (0, json!(true)));
    let (_, calls) = calls_of(&app, app.rest().get("/users/carol/reachability")).await;
    assert_eq!(calls.len(), 1);
    free(&app, app.rest().get("/users/carol/reachability")).await;
    app.finish(sockets).await;
}

#[tokio::test]
async fn a_list_of_fifty_costs_two_calls_at_most_and_then_none() {
    let mut app = TestApp::start().await;
    let rest = app.rest();
    for number in 0..50 {
        let conversation = named(&rest, &number.to_string(), &["alice", "bob"]).await;
        rest.say(&conversation, "bob", &format!("message {number}")).await;
    }
    app.told("onMessageAdded", 50).await;
    app.restart().await;
    let (list, calls) = calls_of(&app, app.rest().get("?userId=alice")).await;
    assert!(calls.len() <= 2, "{calls:?}");
    assert_eq!(usize::try_from(list.twilio_calls()).unwrap(), calls.len());
    let list = list.ok();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 50);
    for entry in list {
        let last = entry["last_message"]["body"].as_str().unwrap();
        assert_eq!(last, format!("message {}", entry["friendly_name"].as_str().unwrap()));
        assert_eq!(entry["unread_count"], 1);
    }
    free(&app, app.rest().get("?userId=alice")).await.ok();
    let paged = free(&app, app.rest().get("?userId=alice&limit=30")).await;
    let cursor = paged.body["next_cursor"].as_str().unwrap().to_owned();
    let rest = free(&app, app.rest().get(&format!("?userId=alice&limit=30&cursor={cursor}"))).await;
    assert_eq!((rest.body["data"].as_array().unwrap().len(), rest.body.get("next_cursor")), (20, None));
    app.finish([]).await;
}

#[tokio::test]
async fn a_warm_list_stays_true() {
    let mut app = TestApp::start().await;
    let first = named(&app.rest(), "First", &["alice", "bob"]).await;
    let second = named(&app.rest(), "Second", &["alice", "carol"]).await;
    app.told("onParticipantAdded", 4).await;
    app.restart().await;
    app.rest().get("?userId=alice").await.ok();
    let rest = app.rest();

    // What we send ourselves.
    app.mock.clock().advance(std::time::Duration::from_secs(60));
    rest.say(&first, "bob", "from Bob").await;
    assert_eq!(warm_list(&app, "alice").await, [line("First", "from Bob", 1), line("Second", "-", 0)]);

    // What comes from Twilio's SDK.
    app.mock.clock().advance(std::time::Duration::from_secs(60));
    app.other_side(
        "sdk-message",
        &json!({ "conversation_sid": second, "identity": "carol", "body": "from Carol" }),
    )
    .await;
    let newest = || async {
        let list = warm_list(&app, "alice").await;
        (list[0] == line("Second", "from Carol", 1)).then_some(())
    };
    until("Carol's message in Alice's list", newest).await;

    // Reading.
    rest.post(&format!("/{second}/read"), &json!({ "identity": "alice" })).await.ok();
    assert_eq!(warm_list(&app, "alice").await[0], line("Second", "from Carol", 0));

    // A name, by us and by somebody else.
    rest.patch(&format!("/{second}"), &json!({ "friendly_name": "Second, renamed" })).await.ok();
    assert_eq!(warm_list(&app, "alice").await[0].0, "Second, renamed");
    app.mock.clock().advance(std::time::Duration::from_secs(60));
    app.elsewhere(
        reqwest::Method::POST,
        &format!("/Conversations/{first}"),
        &[("FriendlyName", "First, renamed")],
    )
    .await;
    until("the new name", || async {
        (warm_list(&app, "alice").await[1].0 == "First, renamed").then_some(())
    })
    .await;

    // Joining and leaving, by us and by somebody else.
    assert_eq!(rest.get("?userId=dave").await.ok(), json!([]));
    rest.post(&format!("/{first}/add-chat-participant"), &json!({ "identity": "dave" })).await.ok();
    assert_eq!(warm_list(&app, "dave").await, [line("First, renamed", "from Bob", 1)]);
    app.elsewhere(reqwest::Method::DELETE, &format!("/Conversations/{second}/Participants/alice"), &[]).await;
    until("Alice out of the second", || async { (warm_list(&app, "alice").await.len() == 1).then_some(()) })
        .await;
    rest.delete(&format!("/{first}/participants/alice")).await.ok();
    assert_eq!(warm_list(&app, "alice").await, []);

    // The end of it.
    rest.delete(&format!("/{first}")).await.ok();
    assert_eq!(warm_list(&app, "dave").await, []);
    app.finish([]).await;
}

#[tokio::test]
async fn a_warm_list_forgets_a_deleted_message() {
    let app = TestApp::start().await;
    let conversation = named(&app.rest(), "First", &["alice", "bob"]).await;
    app.rest().say(&conversation, "bob", "stays").await;
    let sent = app.rest().say(&conversation, "bob", "goes").await;
    assert_eq!(warm_list_of(&app).await, line("First", "goes", 2));
    let message = sent["message_sid"].as_str().unwrap();
    app.rest().patch(&format!("/{conversation}/messages/{message}"), &json!({ "body": "edited" })).await.ok();
    assert_eq!(warm_list_of(&app).await, line("First", "edited", 2));
    app.rest().delete(&format!("/{conversation}/messages/{message}")).await.ok();
    assert_eq!(warm_list_of(&app).await, line("First", "stays", 1));
    assert_eq!(free(&app, app.rest().history(&conversation)).await, ["stays"]);
    app.finish([]).await;
}

/// Alice's only conversation, whatever the list costs.
async fn warm_list_of(app: &TestApp) -> (String, String, u64) {
    let list = app.rest().get("?userId=alice").await.ok();
    let entry = &list[0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        text(&entry["friendly_name"]),
        text(&entry["last_message"]["body"]),
        entry["unread_count"].as_u64().unwrap(),
    )
}
