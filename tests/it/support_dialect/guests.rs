//! Guests: the document's widget as it is, in both modes; whose a conversation is, and who may not see it.

use serde_json::json;
use switchboard::mock::Action;

use super::{Api, Line};
use crate::support::TestApp;
use crate::support::app::{Stage, token, token_of};

/// What the document's widget does, in its order, with no header that it does not send.
async fn widget(app: &TestApp) {
    let api = Api::of(app);
    let (mut socket, hello) = Line::open(app, "widget", json!({ "guestId": null })).await;
    let connected_as = hello["guestId"].as_str().unwrap();
    let made = api.post("/conversation/guest", &json!({ "type": "general" })).await.ok();
    let (id, guest_id) = (made["conversation"]["id"].as_str().unwrap(), made["guestId"].as_str().unwrap());
    assert_ne!(guest_id, connected_as, "the widget does not say who it is");
    socket.join(id).await;
    assert!(api.history(id).await.is_empty());
    socket.say(id, "I need help").await;
    let heard = socket.hears("message:received").await;
    assert_eq!((&heard["senderType"], &heard["guestId"]), (&json!("guest"), &json!(guest_id)));

    let mut admin = Line::admin(app, "eve").await;
    admin.say(id, "How can I help?").await;
    assert_eq!(socket.hears_message().await, "How can I help?");
    assert_eq!(admin.hears("conversation:new_message").await["conversationId"], id);
    assert_eq!(admin.hears("conversation:updated").await["adminId"], "eve");
    socket.hears("conversation:updated").await;
    assert_eq!(api.history(id).await, ["I need help", "How can I help?"]);
    socket.finish().await;
    admin.finish().await;

    // The page is loaded again; the browser has kept the id.
    let mut again = Line::guest(app, guest_id).await;
    again.join(id).await;
    let same = api.post("/conversation/guest", &json!({ "guestId": guest_id })).await.ok();
    assert_eq!((&same["conversation"]["id"], &same["guestId"]), (&json!(id), &json!(guest_id)));
    again.finish().await;
}

#[tokio::test]
async fn the_documents_widget_works_where_nobody_needs_a_token() {
    let app = TestApp::start().await;
    widget(&app).await;
    app.finish([]).await;
}

#[tokio::test]
async fn the_documents_widget_works_where_others_need_a_token() {
    let app = TestApp::required().await;
    widget(&app).await;
    app.finish([]).await;
}

#[tokio::test]
async fn an_id_that_nobody_issued_is_answered_with_a_new_one() {
    let app = TestApp::required().await;
    for wrong in ["guest_1234567890_abc123", "test_guest_123", "eve", "", "x; DROP TABLE", &"g".repeat(300)] {
        let (line, hello) = Line::open(&app, "guest", json!({ "guestId": wrong })).await;
        let issued = hello["guestId"].as_str().unwrap();
        assert_ne!(issued, wrong);
        line.finish().await;
        let made = Api::of(&app).post("/conversation/guest", &json!({ "guestId": wrong })).await.ok();
        assert_ne!(made["guestId"], wrong);
        // What was issued is known again, also without a conversation.
        Line::guest(&app, issued).await.finish().await;
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_clients_own_id_is_taken_where_nobody_needs_a_token() {
    let app = TestApp::start().await;
    Line::guest(&app, "test_guest_123").await.finish().await;
    let made = Api::of(&app).post("/conversation/guest", &json!({ "guestId": "test_guest_123" })).await.ok();
    assert_eq!(made["guestId"], "test_guest_123");
    app.finish([]).await;
}

#[tokio::test]
async fn a_guest_is_known_by_header_query_and_cookie() {
    let mut app = TestApp::required().await;
    let made = Api::of(&app).post("/conversation/guest", &json!({})).await;
    let cookie = made.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Path=/api/support"), "{cookie}");
    let kept = cookie.split(';').next().unwrap().to_owned();
    let made = made.ok();
    let guest_id = made["guestId"].as_str().unwrap();
    let before = app.writes();
    let by_header = Api::of(&app).with("x-guest-id", guest_id);
    let by_cookie = Api::of(&app).with("cookie", &format!("other=1; {kept}"));
    let query = format!("/conversation/guest?guestId={guest_id}");
    for again in [
        by_header.post("/conversation/guest", &json!({})).await,
        by_cookie.post("/conversation/guest", &json!({})).await,
        Api::of(&app).post(&query, &json!({})).await,
    ] {
        assert_eq!(again.twilio_calls(), 0);
        assert_eq!(again.ok()["conversation"]["id"], made["conversation"]["id"]);
    }
    assert_eq!(app.writes(), before);
    app.restart().await;
    let again = Api::of(&app).post(&query, &json!({})).await;
    assert!(again.twilio_calls() <= 1, "{}", again.twilio_calls());
    assert_eq!(again.ok()["conversation"]["id"], made["conversation"]["id"]);
    app.finish([]).await;
}

#[tokio::test]
async fn without_the_capability_a_guest_must_say_who_it_is() {
    let app = TestApp::with(Stage { required: true, no_guest_capability: true, ..Stage::default() }).await;
    let (guest_id, id) = Api::of(&app).guest().await;
    let (other_id, _) = Api::of(&app).guest().await;
    let history = format!("/conversation/{id}/messages");
    Api::of(&app).get(&history).await.refused(401);
    Api::of(&app).with("x-guest-id", &other_id).get(&history).await.refused(403);
    Api::of(&app).with("x-guest-id", &guest_id).get(&history).await.ok();
    let mut other = Line::guest(&app, &other_id).await;
    other.emit("conversation:join", &json!({ "conversationId": id })).await;
    other.hears_error().await;
    other.say(&id, "let me in").await;
    other.hears_error().await;
    other.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_users_conversation_is_its_users_and_the_admins() {
    for app in [TestApp::start().await, TestApp::required().await] {
        let id = Api::user(&app, "alice").conversation().await;
        let (guest_id, _) = Api::of(&app).guest().await;
        let before = app.asked().len();
        for path in [format!("/conversation/{id}"), format!("/conversation/{id}/messages")] {
            Api::of(&app).get(&path).await.refused(401);
            Api::of(&app).with("x-guest-id", &guest_id).get(&path).await.refused(403);
            Api::user(&app, "mallory").get(&path).await.refused(403);
        }
        let mut guest = Line::guest(&app, &guest_id).await;
        let mut mallory = Line::user(&app, "mallory").await;
        for stranger in [&mut guest, &mut mallory] {
            for event in ["conversation:join", "typing:start", "message:send"] {
                let payload = json!({ "conversationId": id, "message": "hello" });
                stranger.emit(event, &payload).await;
                stranger.hears_error().await;
            }
        }
        assert_eq!(app.asked_since(before), [""; 0], "nothing was written, nothing asked");
        Api::user(&app, "alice").get(&format!("/conversation/{id}")).await.ok();
        Api::admin(&app, "eve").get(&format!("/conversation/{id}")).await.ok();
        guest.finish().await;
        mallory.finish().await;
        app.finish([]).await;
    }
}

#[tokio::test]
async fn a_guests_conversation_is_no_users() {
    let app = TestApp::required().await;
    let (_, id) = Api::of(&app).guest().await;
    Api::user(&app, "mallory").get(&format!("/conversation/{id}/messages")).await.refused(403);
    let mut mallory = Line::user(&app, "mallory").await;
    mallory.say(&id, "hello").await;
    mallory.hears_error().await;
    mallory.finish().await;
    app.finish([]).await;
}

#[tokio::test]
async fn no_token_names_a_guest() {
    let app = TestApp::required().await;
    let (guest_id, id) = Api::of(&app).guest().await;
    let forged = token(&guest_id);
    let api = Api::of(&app).with("authorization", &format!("Bearer {forged}"));
    api.get(&format!("/conversation/{id}")).await.refused(401);
    assert!(Line::knock(&app, "forger", json!({ "token": forged })).await.is_err());
    let minting = app.rest_as("eve").with_header("x-api-key", crate::support::app::API_KEY);
    minting.post("/generate-token", &json!({ "user_id": guest_id })).await.refused(400);
    app.finish([]).await;
}

#[tokio::test]
async fn a_bad_token_is_refused_unless_a_guests_id_came_too() {
    let app = TestApp::start().await;
    let expired = token_of(&json!({ "sub": "alice", "exp": 1_000_000_000 }), std::time::Duration::ZERO);
    for bad in ["nonsense", &expired] {
        assert!(Line::knock(&app, "alice", json!({ "token": bad })).await.is_err());
        let (line, hello) =
            Line::open(&app, "alice", json!({ "token": bad, "guestId": "test_guest_123" })).await;
        assert_eq!(hello, json!({ "type": "guest", "guestId": "test_guest_123" }));
        line.finish().await;
    }
    assert!(Line::knock(&app, "alice", json!({ "token": 7 })).await.is_err());
    app.finish([]).await;
}

#[tokio::test]
async fn a_guest_who_logs_in_takes_the_conversation_along() {
    for by_socket in [true, false] {
        let app = TestApp::required().await;
        let (guest_id, id) = Api::of(&app).guest().await;
        let mut guest = Line::guest(&app, &guest_id).await;
        guest.join(&id).await;
        guest.say(&id, "before I had an account").await;
        guest.hears_message().await;

        let alice = Api::user(&app, "alice");
        if by_socket {
            let auth = json!({ "token": token("alice"), "guestId": guest_id });
            let (line, hello) = Line::open(&app, "alice", auth).await;
            assert_eq!(hello, json!({ "type": "user", "userId": "alice" }));
            line.finish().await;
        } else {
            alice.clone().with("x-guest-id", &guest_id).get("/conversation").await.ok();
        }
        let found = alice.get("/conversation").await.ok();
        assert_eq!(
            (&found["id"], &found["userId"], &found["guestId"]),
            (&json!(id), &json!("alice"), &json!(guest_id))
        );
        let history = alice.get(&format!("/conversation/{id}/messages")).await.ok();
        let first = &history["messages"][0];
        assert_eq!(
            (&first["message"], &first["senderType"], &first["guestId"]),
            (&json!("before I had an account"), &json!("guest"), &json!(guest_id))
        );
        // It is the user's alone now.
        Api::of(&app).get(&format!("/conversation/{id}")).await.refused(401);
        Api::of(&app).with("x-guest-id", &guest_id).get(&format!("/conversation/{id}")).await.refused(403);
        let made = Api::of(&app).post("/conversation/guest", &json!({ "guestId": guest_id })).await.ok();
        assert_ne!(made["conversation"]["id"], id);
        let sid = format!("CH{}", id.replace('-', ""));
        let path = format!("/v1/Services/{}/Conversations/{sid}/Participants", app.mock.service_sid());
        let participants = app.twilio(&path).await;
        let people: Vec<_> =
            participants["participants"].as_array().unwrap().iter().map(|one| &one["identity"]).collect();
        assert_eq!(people, ["alice"]);
        drop(guest);
        app.finish([]).await;
    }
}

#[tokio::test]
async fn a_user_who_has_one_open_keeps_both() {
    let app = TestApp::required().await;
    let alice = Api::user(&app, "alice");
    let own = alice.conversation().await;
    let (guest_id, guests) = Api::of(&app).guest().await;
    let found = alice.clone().with("x-guest-id", &guest_id).get("/conversation").await.ok();
    assert_eq!(found["id"], own);
    let other = alice.get(&format!("/conversation/{guests}")).await.ok();
    assert_eq!(other["userId"], "alice");
    assert_eq!(alice.conversation().await, own);
    app.finish([]).await;
}

#[tokio::test]
async fn of_many_at_once_one_opens_it() {
    let app = TestApp::start().await;
    let alice = Api::user(&app, "alice");
    let all = futures::future::join_all((0..12).map(|_| alice.conversation())).await;
    assert!(all.iter().all(|id| *id == all[0]), "{all:?}");
    let made = app.asked().iter().filter(|entry| entry.method == "POST").count();
    assert_eq!(made, 2, "the conversation and its owner");
    let onboarding = alice.get("/conversation?type=onboarding").await.ok();
    assert_ne!(onboarding["id"], all[0], "another topic is another conversation");
    // Another service at the same Twilio finds the same one.
    let neighbour = app.neighbour().await;
    assert_eq!(Api::user(&neighbour, "alice").conversation().await, all[0]);
    neighbour.finish([]).await;
    app.finish([]).await;
}

#[tokio::test]
async fn nothing_is_left_of_one_that_cannot_be_opened() {
    let app = TestApp::start().await;
    app.fault("POST", "/Participants$", 3, Action::Status { status: 403, retry_after: None, html: false });
    Api::user(&app, "alice").get("/conversation").await.refused(500);
    let deleted = app.asked().iter().filter(|entry| entry.method == "DELETE").count();
    assert_eq!(deleted, 1, "{:?}", app.asked_since(0));
    let listed = Api::admin(&app, "eve").get("/conversations").await.ok();
    assert_eq!(listed["pagination"]["total"], 0);
    app.finish([]).await;
}

#[tokio::test]
async fn a_guest_who_chose_a_users_id_hears_nothing_of_the_user() {
    let app = TestApp::start().await;
    let mut impostor = Line::guest(&app, "bob-bobson").await;
    let mut bob = Line::user(&app, "bob-bobson").await;
    let admin = Api::admin(&app, "eve");
    admin.post("/onboarding/generate-code", &json!({ "userId": "bob-bobson" })).await.ok();
    assert_eq!(bob.hears("message:received").await["messageType"], "auth_code");
    let id = Api::user(&app, "bob-bobson").conversation().await;
    admin.patch(&format!("/conversation/{id}"), &json!({ "priority": "high" })).await.ok();
    assert_eq!(bob.hears("conversation:updated").await["priority"], "high");
    impostor.hears_nothing_else().await;

    // Nor the other way round.
    let (guest_id, _) = Api::of(&app).guest().await;
    let mut guest = Line::guest(&app, &guest_id).await;
    admin.post("/onboarding/generate-code", &json!({ "guestId": guest_id })).await.ok();
    assert_eq!(guest.hears("message:received").await["guestId"], guest_id);
    for line in [impostor, bob, guest] {
        line.finish().await;
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_persons_id_is_no_guests() {
    let app = TestApp::start().await;
    Api::user(&app, "bob-bobson").conversation().await;
    let (line, hello) = Line::open(&app, "guest", json!({ "guestId": "bob-bobson" })).await;
    assert_ne!(hello["guestId"], "bob-bobson");
    line.finish().await;
    let made = Api::of(&app).post("/conversation/guest", &json!({ "guestId": "bob-bobson" })).await.ok();
    assert_ne!(made["guestId"], "bob-bobson");
    app.finish([]).await;
}

#[tokio::test]
async fn a_clients_own_id_counts_for_nothing_once_proof_is_needed() {
    let mut app = TestApp::start().await;
    let own = json!({ "guestId": "bob-bobson" });
    let made = Api::of(&app).post("/conversation/guest", &own).await.ok();
    assert_eq!(made["guestId"], "bob-bobson");
    let (guest_id, id) = Api::of(&app).guest().await;
    app.demand_tokens().await;
    let (line, hello) = Line::open(&app, "guest", own.clone()).await;
    assert_ne!(hello["guestId"], "bob-bobson");
    line.finish().await;
    assert_ne!(Api::of(&app).post("/conversation/guest", &own).await.ok()["guestId"], "bob-bobson");
    let again = Api::of(&app).post("/conversation/guest", &json!({ "guestId": guest_id })).await.ok();
    assert_eq!(again["conversation"]["id"], id, "what was issued is known");
    app.finish([]).await;
}
