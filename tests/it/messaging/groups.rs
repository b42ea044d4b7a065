//! Groups: made, grown, left; who may do what.

use serde_json::{Value, json};
use switchboard::mock::Action;

use super::{Messaging, ears, failing, meet};
use crate::support::TestApp;

fn roles(group: &Value) -> Vec<(String, String)> {
    let text = |member: &Value, key: &str| member[key].as_str().unwrap().to_owned();
    group["members"].as_array().unwrap().iter().map(|m| (text(m, "id"), text(m, "role"))).collect()
}

fn listed(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, role)| ((*id).to_owned(), (*role).to_owned())).collect()
}

#[tokio::test]
async fn a_group_is_made_once_with_everybody_named_once() {
    let mut app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let group = json!({ "name": " Friends ", "memberIds": ["bob", "alice", "carol", "bob"], "avatar": "https://example.com/g.png" });
    let made = Messaging::of(&app, "alice").post("/groups", &group).await;
    assert_eq!(made.twilio_calls(), 4, "it and the three of them");
    assert_eq!(made.body["message"], "Group created successfully");
    let made = made.made();
    assert_eq!(
        (&made["name"], &made["avatar"], &made["createdBy"]),
        (&json!("Friends"), &group["avatar"], &json!("alice"))
    );
    assert_eq!(roles(&made), listed(&[("alice", "admin"), ("bob", "member"), ("carol", "member")]));
    assert_eq!((&made["memberCount"], &made["members"][0]["nickname"]), (&json!(3), &json!("You")));
    let path = format!("/groups/{}", made["id"].as_str().unwrap());
    app.restart().await;
    let mut seen = Messaging::of(&app, "carol").get(&path).await.ok();
    assert_eq!(seen["members"][0]["nickname"], "Name of alice");
    assert_eq!(seen["members"][2]["nickname"], "You");
    for member in [0, 2] {
        seen["members"][member]["nickname"] = made["members"][member]["nickname"].clone();
    }
    assert_eq!(seen, made, "the same after a restart, from Twilio alone");
    let unnamed = Messaging::of(&app, "alice").post("/groups", &json!({ "memberIds": ["bob"] })).await.made();
    assert_eq!(unnamed["name"], "Name of alice, Name of bob");
    let detail =
        Messaging::of(&app, "bob").get(&format!("/messages/{}", unnamed["id"].as_str().unwrap())).await.ok();
    assert_eq!((&detail["type"], &detail["name"]), (&json!("group"), &unnamed["name"]));
    app.finish([]).await;
}

#[tokio::test]
async fn a_group_has_a_least_and_a_most() {
    let app = TestApp::start().await;
    let people: Vec<String> = (0..101).map(|n| format!("person-{n}")).collect();
    meet(&app, &people.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = Messaging::of(&app, "person-0");
    let before = app.asked().len();
    for nobody in [json!([]), json!(["person-0"]), json!(["person-0", "person-0"])] {
        first.post("/groups", &json!({ "memberIds": nobody })).await.refused("MIN_MEMBERS_REQUIRED");
    }
    let refused = first.post("/groups", &json!({ "memberIds": people })).await;
    assert_eq!(refused.refused("MAX_MEMBERS_REACHED")["maxMembers"], 100);
    let crowd: Vec<_> = (0..1_001).map(|n| format!("stranger-{n}")).collect();
    first.post("/groups", &json!({ "memberIds": crowd })).await.refused("MAX_MEMBERS_REACHED");
    // Nor a conversation that another dialect makes.
    for path in ["/create", "/newconversation"] {
        app.rest_as("person-0").post(path, &json!({ "participants": people })).await.refused(400);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    let repeated = json!({ "memberIds": vec!["person-1"; 1_001] });
    assert_eq!(first.post("/groups", &repeated).await.made()["memberCount"], 2, "each is in it once");
    let full = first.post("/groups", &json!({ "memberIds": people[..100] })).await.made();
    assert_eq!(full["memberCount"], 100);
    let members = format!("/groups/{}/members", full["id"].as_str().unwrap());
    first.post(&members, &json!({ "memberIds": ["person-100"] })).await.refused("MAX_MEMBERS_REACHED");
    app.finish([]).await;
}

#[tokio::test]
async fn admins_add_and_remove_and_everybody_may_leave() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol", "dave", "eve"]).await;
    let (alice, bob) = (Messaging::of(&app, "alice"), Messaging::of(&app, "bob"));
    let id = alice.group(&["bob", "carol"]).await;
    let members = format!("/groups/{id}/members");
    let of = |people: &[&str]| json!({ "memberIds": people });

    bob.post(&members, &of(&["dave"])).await.refused("FORBIDDEN");
    bob.delete(&format!("{members}/carol")).await.refused("FORBIDDEN");
    Messaging::of(&app, "dave").post(&members, &of(&["dave"])).await.refused("FORBIDDEN");
    alice.post(&members, &of(&["dave", "bob"])).await.refused("USER_ALREADY_IN_GROUP");
    alice.post(&members, &of(&["alice"])).await.refused("USER_ALREADY_IN_GROUP");
    alice.post(&members, &of(&["dave", "nobody"])).await.refused("NOT_FOUND");
    alice.delete(&format!("{members}/dave")).await.refused("NOT_FOUND");
    assert_eq!(alice.get(&members).await.ok()["memberCount"], 3, "nothing of it happened");

    let grown = alice.post(&members, &of(&["dave", "eve"])).await;
    assert_eq!(grown.twilio_calls(), 2);
    let grown = grown.ok();
    assert_eq!(roles(&grown)[3..], listed(&[("dave", "member"), ("eve", "member")]));
    Messaging::of(&app, "dave").get(&format!("/groups/{id}")).await.ok();

    alice.ask("DELETE", &members, Some(&of(&["dave"]))).await.ok();
    Messaging::of(&app, "dave").get(&format!("/groups/{id}")).await.refused("FORBIDDEN");
    Messaging::of(&app, "eve").delete(&format!("{members}/eve")).await.ok();
    assert_eq!(
        roles(&alice.get(&members).await.ok()),
        listed(&[("alice", "admin"), ("bob", "member"), ("carol", "member")])
    );
    alice.delete(&format!("{members}/alice")).await.ok();
    assert_eq!(
        roles(&bob.get(&members).await.ok()),
        listed(&[("bob", "admin"), ("carol", "member")]),
        "somebody keeps the keys"
    );
    bob.delete(&format!("{members}/carol")).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn of_several_either_all_are_added_or_none() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol", "dave"]).await;
    let alice = Messaging::of(&app, "alice");
    let id = alice.group(&["bob"]).await;
    let members = format!("/groups/{id}/members");
    let twilio = format!("/v1/Services/{}/Conversations/{id}/Participants", app.mock.service_sid());
    // Carol can be added, Dave cannot.
    app.fault("POST", "/Participants$", 1, Action::DelayMs([0, 0]));
    app.fault("POST", "/Participants$", 1, failing(400));
    alice.post(&members, &json!({ "memberIds": ["carol", "dave"] })).await.refused("INTERNAL_SERVER_ERROR");
    let left = app.twilio(&twilio).await;
    assert_eq!(left["participants"].as_array().unwrap().len(), 2);
    assert_eq!(alice.get(&members).await.ok()["memberCount"], 2);
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_no_group_is_none_here_and_a_plain_conversation_is_everybodys() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol"]).await;
    let alice = Messaging::of(&app, "alice");
    let pair = alice.open("bob").await;
    alice.get(&format!("/groups/{pair}")).await.refused("NOT_FOUND");
    let members = json!({ "memberIds": ["carol"] });
    alice.post(&format!("/groups/{pair}/members"), &members).await.refused("NOT_FOUND");
    let plain = app.conversation(&["alice", "bob"]).await;
    let group = alice.get(&format!("/groups/{plain}")).await.ok();
    assert_eq!((&group["createdBy"], &group["memberCount"]), (&Value::Null, &json!(2)));
    Messaging::of(&app, "bob").post(&format!("/groups/{plain}/members"), &members).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn everybody_hears_of_a_new_group_on_every_socket() {
    let app = TestApp::start().await;
    meet(&app, &["alice", "bob", "carol", "dave"]).await;
    let mut sockets = Vec::new();
    for identity in ["alice", "bob", "bob", "carol"] {
        sockets.push(ears(&app, identity).await);
    }
    let bystander = ears(&app, "dave").await;
    let group = json!({ "name": "Friends", "memberIds": ["bob", "carol"] });
    let made = Messaging::of(&app, "alice").post("/groups", &group).await.made();
    for socket in &mut sockets {
        let told = socket.hears("group_created").await;
        assert_eq!(
            told,
            json!({
                "id": made["id"], "name": "Friends", "createdBy": "alice", "members": ["alice", "bob", "carol"],
                "createdAt": made["createdAt"],
            })
        );
    }
    sockets.push(bystander);
    app.finish(sockets).await;
}

#[tokio::test]
async fn the_rules_of_a_group_hold_in_every_dialect() {
    let app = TestApp::required().await;
    meet(&app, &["alice", "bob", "carol", "dave"]).await;
    let id = Messaging::of(&app, "alice").group(&["bob", "carol"]).await;
    let (alice, bob) = (app.rest_as("alice"), app.rest_as("bob"));
    let before = app.writes();
    bob.post(&format!("/{id}/add-chat-participant"), &json!({ "identity": "dave" })).await.refused(403);
    bob.post(&format!("/{id}/add-sms-participant"), &json!({ "phone_number": "+15551230001" }))
        .await
        .refused(403);
    bob.delete(&format!("/{id}/participants/alice")).await.refused(403);
    bob.delete(&format!("/{id}/participants/carol")).await.refused(403);
    bob.delete(&format!("/{id}")).await.refused(403);
    assert_eq!(app.writes(), before);
    // Whoever is in already is in, whoever asks.
    bob.post(&format!("/{id}/add-chat-participant"), &json!({ "identity": "carol" })).await.ok();

    alice.post(&format!("/{id}/add-chat-participant"), &json!({ "identity": "dave" })).await.ok();
    alice.delete(&format!("/{id}/participants/carol")).await.ok();
    // The last admin goes, and there is another.
    alice.delete(&format!("/{id}/participants/alice")).await.ok();
    bob.delete(&format!("/{id}/participants/dave")).await.ok();
    assert_eq!(bob.participants(&id).await, ["bob"]);
    bob.delete(&format!("/{id}")).await.ok();

    // A conversation that is no such group is its participants'.
    let plain = app.conversation(&["alice", "bob"]).await;
    bob.post(&format!("/{plain}/add-chat-participant"), &json!({ "identity": "carol" })).await.ok();
    bob.delete(&format!("/{plain}/participants/alice")).await.ok();
    bob.delete(&format!("/{plain}")).await.ok();
    app.finish([]).await;
}
