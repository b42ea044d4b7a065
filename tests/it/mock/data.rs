//! The state in a file, and the scene an empty state starts from.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard::mock::{Mock, NotStarted, Options};

use super::twilio::Twilio;

fn kept_in(path: &Path) -> Options {
    Options { data: Some(path.to_owned()), ..Options::default() }
}

fn seeded_from(path: &Path) -> Options {
    Options { seed: Some(path.to_owned()), ..Options::default() }
}

async fn mistake(options: Options) -> String {
    match Mock::start(options).await {
        Ok(_) => panic!("it started"),
        Err(cause @ NotStarted::File { .. }) => cause.to_string(),
        Err(cause) => panic!("{cause:?}"),
    }
}

#[tokio::test]
async fn the_state_outlives_the_mock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.json");
    let twilio = Twilio::with(kept_in(&path)).await;
    let conversation = twilio.conversation().await;
    let message = twilio.write(&conversation, "alice", "remember me").await.sid();
    twilio.mock.stop().await;
    assert!(!folder.path().join("mock.json.new").exists());

    let twilio = Twilio::with(kept_in(&path)).await;
    let found = twilio.get(&format!("{conversation}/Messages/{message}")).await.expect(200);
    assert_eq!(found.text("body"), "remember me");
    // It is saved while it runs, too: whoever kills the process finds all but the last second.
    twilio.write(&conversation, "alice", "and me").await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&path).unwrap().contains("and me") {
        assert!(Instant::now() < deadline, "it is not saved");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_state_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.json");
    std::fs::write(&path, "{\"version\":1,\"accounts\":[{\"credentials\":{}}]}").unwrap();
    let said = mistake(kept_in(&path)).await;
    assert!(said.starts_with(path.to_str().unwrap()), "{said}");
    assert!(said.contains("accounts[0].credentials: missing field `account_sid`"), "{said}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("{\"version\":1"));
    let nowhere = folder.path().join("no/such/folder/mock.json");
    assert!(mistake(kept_in(&nowhere)).await.starts_with(nowhere.to_str().unwrap()));
}

#[tokio::test]
async fn a_seed_furnishes_an_empty_state_once() {
    let folder = tempfile::tempdir().unwrap();
    let (seed, data) = (folder.path().join("seed.json"), folder.path().join("mock.json"));
    let scene = json!({
        "users": ["alice", {"identity": "bob", "friendly_name": "Bob", "attributes": {"team": "blue"}}],
        "conversations": [{
            "unique_name": "order-42", "friendly_name": "Order 42", "attributes": {"kind": "support"},
            "participants": ["alice", "+15558675310", {"identity": "carol", "attributes": {"guest": true}}, {"address": "whatsapp:+15558675311"}],
            "messages": [{"author": "alice", "body": "Hello", "attributes": {"n": 1}}, {"body": "From the house"}],
        }],
    });
    std::fs::write(&seed, scene.to_string()).unwrap();
    let options = || Options { seed: Some(seed.clone()), data: Some(data.clone()), ..Options::default() };
    let twilio = Twilio::with(options()).await;
    assert_eq!(twilio.get("/v1/Users/bob").await.expect(200).text("attributes"), r#"{"team":"blue"}"#);
    let conversation = "/v1/Conversations/order-42";
    assert_eq!(twilio.get(conversation).await.expect(200).text("attributes"), r#"{"kind":"support"}"#);
    let participants = twilio.get(&format!("{conversation}/Participants")).await.body["participants"].clone();
    let addresses: Vec<_> =
        participants.as_array().unwrap().iter().map(|found| &found["messaging_binding"]["address"]).collect();
    assert_eq!(
        addresses,
        [&Value::Null, &json!("+15558675310"), &Value::Null, &json!("whatsapp:+15558675311")]
    );
    let messages = twilio.get(&format!("{conversation}/Messages")).await.body["messages"].clone();
    assert_eq!((&messages[0]["author"], &messages[1]["author"]), (&json!("alice"), &json!("system")));
    assert_eq!(twilio.mock.requests().len(), 4, "the seed is not in the journal");
    twilio.delete(conversation).await.expect(204);
    twilio.mock.stop().await;

    let twilio = Twilio::with(options()).await;
    twilio.get(conversation).await.refused(404, 20404);
    twilio.get("/v1/Users/bob").await.expect(200);
}

#[tokio::test]
async fn a_snapshot_is_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.json");
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let snapshot = twilio.control("/_mock/snapshot", &json!({})).await.expect(200).body;
    std::fs::write(&path, snapshot.to_string()).unwrap();
    Twilio::with(seeded_from(&path)).await.get(&conversation).await.expect(200);
}

#[tokio::test]
async fn a_mistake_in_a_seed_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.json");
    for (seed, said) in [
        (json!({"people": []}), "people: unknown field"),
        (json!({"users": [5]}), "users[0]: neither an identity nor a user with one"),
        (json!({"users": ["alice", "alice"]}), "users[1]: 50201 User already exists"),
        (
            json!({"conversations": [{}, {"participants": ["alice", "+1"]}]}),
            "conversations[1].participants[1]: 50407 Invalid messaging binding address",
        ),
        (json!({"conversations": [{"messages": [{"body": ""}]}]}), "conversations[0].messages[0]: 50503"),
        (
            json!({"conversations": [{"messages": [{}]}]}),
            "conversations[0].messages[0]: missing field `body`",
        ),
    ] {
        std::fs::write(&path, seed.to_string()).unwrap();
        let mistake = mistake(seeded_from(&path)).await;
        assert!(mistake.starts_with(&format!("{}: {said}", path.display())), "{mistake}");
    }
    std::fs::write(&path, "{").unwrap();
    assert!(mistake(seeded_from(&path)).await.contains("line 1"));
    assert!(mistake(seeded_from(&folder.path().join("none.json"))).await.contains("none.json"));
}
