//! Conversations of two: made, found, read, set up; people; and what each costs at Twilio.

use serde_json::{Value, json};

use super::{Messaging, failing, introduce, meet};
use crate::support::TestApp;

#[tokio::test]
async fn a_pair_has_one_conversation_which_is_made_once_and_found_ever_after() {
    let mut app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let before = app.asked().len();
    let answer = Messaging::of(&app, "alice").post("/messages", &json!({ "participantId": "bob" })).await;
    assert_eq!(answer.body["message"], "Conversation created successfully");
    assert_eq!(answer.twilio_calls(), 3, "it and the two of them: {:?}", app.asked_since(before));
    let made = answer.made();
    assert_eq!(made["participants"][0]["nickname"], "You");
    assert_eq!(made["participants"][1]["nickname"], "Name of bob");
    assert_eq!(
        (&made["isEmpty"], &made["messageCount"], &made["lastMessage"]),
        (&json!(true), &json!(0), &Value::Null)
    );
    assert_eq!(made["createdAt"], made["updatedAt"]);

    for (who, other) in [("alice", "bob"), ("bob", "alice")] {
        let again = Messaging::of(&app, who).post("/api/messages", &json!({ "participantId": other })).await;
        assert_eq!((again.status, again.twilio_calls()), (200, 0));
        assert_eq!(again.body["code"], "CONVERSATION_EXISTS");
        let again = again.ok();
        assert_eq!((&again["id"], &again["existing"]), (&made["id"], &json!(true)));
        assert_eq!(again["participants"][0]["nickname"], "You");
    }
    let elsewhere =
        app.rest_as("bob").post("/newconversation", &json!({ "participants": ["bob", "alice"] })).await;
    assert_eq!(elsewhere.ok()["conversation_sid"], made["id"]);
    app.restart().await;
    assert_eq!(Messaging::of(&app, "bob").open("alice").await, made["id"]);
    app.finish([]).await;
}

#[tokio::test]
async fn many_who_open_it_at_once_open_the_same() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let (alice, bob) = (Messaging::of(&app, "alice"), Messaging::of(&app, "bob"));
    let opened = futures::future::join_all((0..8).map(|n| {
        let (who, other) = if n % 2 == 0 { (&alice, "bob") } else { (&bob, "alice") };
        who.open(other)
    }));
    let opened = opened.await;
    assert!(opened.iter().all(|id| *id == opened[0]), "{opened:?}");
    app.finish([]).await;
}

#[tokio::test]
async fn a_conversation_tells_what_is_unread_last_and_how_much() {
    let mut app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let (alice, bob) = (Messaging::of(&app, "alice"), Messaging::of(&app, "bob"));
    let id = alice.open("bob").await;
    let detail = bob.get(&format!("/messages/{id}")).await;
    assert_eq!(detail.twilio_calls(), 0, "what was made here is known here");
    let detail = detail.ok();
    let shown: Vec<_> = detail["participants"].as_array().unwrap().iter().map(|p| p["id"].clone()).collect();
    assert_eq!(shown, ["alice"], "only the other");
    assert_eq!(detail["updatedAt"], detail["createdAt"]);

    for n in 1..=3 {
        alice.say(&id, &format!("message {n}")).await;
    }
    bob.say(&id, "an answer").await;
    let of = |who: &'static str| {
        let (client, path) = (Messaging::of(&app, who), format!("/messages/{id}"));
        async move { client.get(&path).await.ok() }
    };
    let (hers, his) = (of("alice").await, of("bob").await);
    assert_eq!((&hers["unreadCount"], &his["unreadCount"]), (&json!(1), &json!(3)), "nothing was read yet");
    assert_eq!((&his["messageCount"], &his["isEmpty"]), (&json!(4), &json!(false)));
    assert_eq!(his["lastMessage"]["content"], "an answer");
    bob.post(&format!("/messages/{id}/read"), &json!({})).await.ok();
    assert_eq!(of("bob").await["unreadCount"], 0);
    alice.say(&id, "one more").await;
    assert_eq!(of("bob").await["unreadCount"], 1);

    // Deleted through another dialect.
    let newest = bob.get(&format!("/messages/{id}/messages?limit=1")).await.ok();
    let sid = newest["messages"][0]["id"].as_str().unwrap();
    app.rest_as("alice").delete(&format!("/{id}/messages/{sid}")).await.ok();
    let his = of("bob").await;
    assert_eq!((&his["messageCount"], &his["unreadCount"]), (&json!(4), &json!(0)));
    assert_eq!(his["lastMessage"]["content"], "an answer");

    app.restart().await;
    let cold = Messaging::of(&app, "bob").get(&format!("/messages/{id}")).await;
    assert!(cold.twilio_calls() <= 4, "{}", cold.twilio_calls());
    assert_eq!(cold.ok(), his, "a restart changes nothing");
    app.finish([]).await;
}

#[tokio::test]
async fn messages_come_in_pages_the_newest_first_and_each_in_order() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let alice = Messaging::of(&app, "alice");
    let id = alice.open("bob").await;
    for n in 0..7 {
        alice.say(&id, &n.to_string()).await;
    }
    // A deleted one leaves a gap in Twilio's indexes.
    let all = alice.get(&format!("/messages/{id}/messages")).await.ok();
    let third = all["messages"][3]["id"].as_str().unwrap();
    app.rest_as("alice").delete(&format!("/{id}/messages/{third}")).await.ok();
    let mut pages = Vec::new();
    for page in 1..=4 {
        let page = alice.get(&format!("/messages/{id}/messages?limit=2&page={page}")).await.ok();
        let contents: Vec<_> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["content"].as_str().unwrap().to_owned())
            .collect();
        pages.push((
            contents.join(""),
            page["pagination"]["total"].clone(),
            page["pagination"]["hasNext"].clone(),
        ));
    }
    let expected = [("56", true), ("24", true), ("01", false), ("", false)];
    assert_eq!(pages, expected.map(|(page, next)| (page.to_owned(), json!(6), json!(next))));
    app.finish([]).await;
}

#[tokio::test]
async fn the_oldest_page_of_many_is_read_from_the_beginning() {
    let app = TestApp::without_webhooks().await;
    meet(&app, &["alice", "bob"]).await;
    let alice = Messaging::of(&app, "alice");
    let id = alice.open("bob").await;
    let path = format!("/Conversations/{id}/Messages");
    for number in 0..1_500 {
        let form = [("Author", "bob"), ("Body", &*format!("no. {number}"))];
        app.elsewhere(reqwest::Method::POST, &path, &form).await;
    }
    let cold = app.neighbour().await;
    let alice = Messaging::of(&cold, "alice");
    for (page, oldest) in [(29, 50), (30, 0)] {
        let answer = alice.get(&format!("/messages/{id}/messages?limit=50&page={page}")).await;
        assert!(answer.twilio_calls() <= 4, "{} calls", answer.twilio_calls());
        let data = answer.ok();
        assert_eq!(data["pagination"]["totalPages"], 30);
        let messages = data["messages"].as_array().unwrap();
        let indexes: Vec<_> = messages.iter().map(|message| message["index"].as_i64().unwrap()).collect();
        assert_eq!(indexes, (oldest..oldest + 50).collect::<Vec<_>>());
    }
    cold.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_message_is_heard_in_the_other_dialect_and_a_repeat_is_not_another() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let alice = Messaging::of(&app, "alice");
    let id = alice.open("bob").await;
    let mut bob = app.room(&id, &["bob"]).await.remove(0);
    let message = json!({
        "content": "hello", "media": ["https://example.com/a.png"], "clientMessageId": "one",
    });
    let sent = alice.post(&format!("/messages/{id}/messages"), &message).await.made();
    let again = alice.post(&format!("/messages/{id}/messages"), &message).await.made();
    assert_eq!(sent, again);
    assert_eq!((&sent["senderId"], &sent["media"]), (&json!("alice"), &message["media"]));
    assert_eq!(bob.hears_message().await, "hello");
    assert_eq!(app.stored(&id).await, ["hello"]);
    app.finish([bob]).await;
}

#[tokio::test]
async fn how_one_sets_up_a_conversation_is_ones_own_and_kept_at_twilio() {
    let mut app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let id = Messaging::of(&app, "alice").open("bob").await;
    let path = format!("/messages/{id}/settings");
    let before = app.writes();
    let edit = json!({ "isMuted": true, "isPinned": true, "giftSoundsEnabled": false });
    let changed = Messaging::of(&app, "alice").ask("PATCH", &path, Some(&edit)).await;
    assert_eq!(changed.twilio_calls(), 2, "one for muting, one for the rest");
    let changed = changed.ok();
    assert_eq!((&changed["isMuted"], &changed["isPinned"]), (&json!(true), &json!(true)));
    let again = Messaging::of(&app, "alice").ask("PATCH", &path, Some(&edit)).await;
    assert_eq!(again.twilio_calls(), 0, "it is so already");
    assert_eq!(app.writes(), before + 2);
    for restarted in [false, true] {
        if restarted {
            app.restart().await;
        }
        let hers = Messaging::of(&app, "alice").get(&format!("/messages/{id}")).await.ok();
        let shown = (&hers["isMuted"], &hers["isPinned"], &hers["settings"]);
        let settings = json!({ "notificationsEnabled": false, "giftSoundsEnabled": false });
        assert_eq!(shown, (&json!(true), &json!(true), &settings));
        let his = Messaging::of(&app, "bob").get(&format!("/messages/{id}")).await.ok();
        let settings = json!({ "notificationsEnabled": true, "giftSoundsEnabled": true });
        assert_eq!(
            (&his["isMuted"], &his["isPinned"], &his["settings"]),
            (&json!(false), &json!(false), &settings)
        );
    }
    let back = json!({ "isMuted": false });
    let back = Messaging::of(&app, "alice").ask("PATCH", &path, Some(&back)).await.ok();
    assert_eq!((&back["isMuted"], &back["isPinned"]), (&json!(false), &json!(true)), "the rest stays");
    app.finish([]).await;
}

#[tokio::test]
async fn what_others_keep_in_a_participants_attributes_survives() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let alice = Messaging::of(&app, "alice");
    let id = alice.open("bob").await;
    let path = format!("/Conversations/{id}/Participants/alice");
    app.elsewhere(reqwest::Method::POST, &path, &[("Attributes", r#"{"theirs":{"deep":[1]}}"#)]).await;
    app.told("onParticipantUpdated", 1).await;
    alice.ask("PATCH", &format!("/messages/{id}/settings"), Some(&json!({ "isPinned": true }))).await.ok();
    let stored = app.twilio(&format!("/v1/Services/{}{path}", app.mock.service_sid())).await;
    let attributes: Value = serde_json::from_str(stored["attributes"].as_str().unwrap()).unwrap();
    assert_eq!(attributes["theirs"], json!({ "deep": [1] }));
    assert_eq!(attributes["switchboard"]["pinned"], true);
    app.finish([]).await;
}

#[tokio::test]
async fn somebody_only_twilio_knows_is_asked_for_once() {
    let app = TestApp::start().await;
    meet(&app, &["alice"]).await;
    app.elsewhere(reqwest::Method::POST, "/Users", &[("Identity", "bob"), ("FriendlyName", "Bobby")]).await;
    let alice = Messaging::of(&app, "alice");
    let found = alice.get("/users/bob").await;
    assert_eq!(found.twilio_calls(), 1);
    assert_eq!(found.ok()["nickname"], "Bobby");
    assert_eq!(alice.get("/users/bob").await.twilio_calls(), 0);
    for path in ["/users/nobody", "/users/nobody", "/api/users/%2e%2e%2f"] {
        alice.get(path).await.refused("NOT_FOUND");
    }
    let before = app.asked().len();
    alice.post("/messages", &json!({ "participantId": "nobody" })).await.refused("NOT_FOUND");
    assert_eq!(app.asked_since(before), [""; 0], "nor is it asked again at once who nobody is");
    app.finish([]).await;
}

#[tokio::test]
async fn one_tells_of_oneself_and_others_see_it() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    let alice = Messaging::of(&app, "alice");
    let told = json!({
        "nickname": "Alice L.", "avatar": "https://example.com/alice.png", "bio": "Striving.", "type": "vip",
        "phone": "+60123456789",
    });
    let changed = alice.ask("PUT", "/users/me", Some(&told)).await;
    assert_eq!(changed.twilio_calls(), 2);
    let changed = changed.ok();
    assert_eq!((&changed["nickname"], &changed["phone"]), (&told["nickname"], &told["phone"]));
    let seen = Messaging::of(&app, "bob").get("/users/alice").await.ok();
    assert_eq!((&seen["nickname"], &seen["bio"]), (&told["nickname"], &told["bio"]));
    assert_eq!(
        (&seen["type"], &seen["typeIcon"], &seen["typeIconColor"]),
        (&json!("vip"), &json!("👑"), &json!("gold"))
    );
    assert!(
        seen.get("phone").is_none() && seen.get("email").is_none(),
        "that is nobody else's business: {seen}"
    );
    let cleared = alice.ask("PUT", "/users/me", Some(&json!({ "bio": null, "type": null }))).await.ok();
    assert_eq!(
        (&cleared["bio"], &cleared["type"], &cleared["typeIcon"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(cleared["nickname"], told["nickname"], "what is not named stays");
    app.finish([]).await;
}

#[tokio::test]
async fn contacts_are_those_one_keeps_and_those_one_talks_to() {
    let app = TestApp::start().await;
    super::five_customers(&app).await;
    meet(&app, &["alice", "bob", "carol"]).await;
    for digit in [1, 2, 9] {
        super::add_contact(&app, "alice", digit).await; // nobody has the last
    }
    let alice = Messaging::of(&app, "alice");
    let with_bob = alice.open("bob").await;
    let with_first = alice.open("customer-1").await;
    alice.open("carol").await;
    alice.say(&with_bob, "to Bob").await;
    let page = alice.get("/users/contacts").await;
    assert_eq!(page.twilio_calls(), 0);
    let page = page.ok();
    let ids = |page: &Value| -> Vec<String> {
        page["contacts"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&page)[0], "bob", "the last exchange comes first");
    assert_eq!(ids(&page)[3], "customer-2", "whom nothing was ever exchanged with comes last");
    let bob = &page["contacts"][0];
    assert_eq!(
        (&bob["conversationId"], &bob["lastMessage"]["content"]),
        (&json!(with_bob), &json!("to Bob"))
    );
    let second = &page["contacts"][3];
    assert_eq!((&second["nickname"], &second["hasConversation"]), (&json!("Contact 2"), &json!(false)));
    assert_eq!((&second["lastMessage"], second.get("conversationId")), (&Value::Null, None));
    assert_eq!(
        page["pagination"],
        json!({
            "page": 1, "limit": 50, "total": 4, "totalPages": 1, "hasNext": false, "hasPrev": false,
        })
    );
    let first = page["contacts"].as_array().unwrap().iter().find(|c| c["id"] == "customer-1").unwrap();
    assert_eq!(first["conversationId"], with_first);
    let last = alice.get("/users/contacts?limit=3&page=2").await.ok();
    assert_eq!((ids(&last), &last["pagination"]["hasPrev"]), (vec!["customer-2".to_owned()], &json!(true)));
    app.finish([]).await;
}

#[tokio::test]
async fn what_cannot_be_filled_is_not_left_behind() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let alice = Messaging::of(&app, "alice");
    app.fault("POST", "/Participants$", 40, failing(400));
    alice.post("/messages", &json!({ "participantId": "bob" })).await.refused("INTERNAL_SERVER_ERROR");
    alice.post("/groups", &json!({ "memberIds": ["bob", "carol"] })).await.refused("INTERNAL_SERVER_ERROR");
    app.mock.faults().clear();
    let list = app.twilio(&format!("/v1/Services/{}/Conversations", app.mock.service_sid())).await;
    assert_eq!(list["conversations"], json!([]));
    alice.open("bob").await;
    app.finish([]).await;
}

#[tokio::test]
async fn twilios_sustained_refusal_to_take_more_is_the_documented_code() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob"]).await;
    app.fault("POST", "/Conversations$", 100, failing(429));
    let refused = Messaging::of(&app, "alice").post("/messages", &json!({ "participantId": "bob" })).await;
    refused.refused("RATE_LIMIT_EXCEEDED");
    assert!(refused.headers.contains_key("retry-after"));
    app.finish([]).await;
}

#[tokio::test]
async fn nicknames_say_nothing_of_identities_that_others_hide() {
    let app = TestApp::start().await;
    introduce(&app, &json!({ "sub": "alice" })).await;
    introduce(
        &app,
        &json!({ "sub": "bob", "name": "Bob", "email": "bob@example.com", "phone_number": "+60123456789" }),
    )
    .await;
    let seen = Messaging::of(&app, "alice").get("/users/bob").await.ok();
    assert!(!seen.to_string().contains("example.com") && !seen.to_string().contains("123456789"), "{seen}");
    app.finish([]).await;
}
