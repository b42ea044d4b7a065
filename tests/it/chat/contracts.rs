//! The document's printed samples: sent as printed, and held against what comes. Every printed key is there with a value of
//! the same type and, but for ids, times and links, the same value; more only where it is allowed by name.

use std::fs;

use serde_json::{Value, json};

use crate::support::TestApp;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat");
const JOHN: &str = "507f1f77bcf86cd799439012";
const JANE: &str = "507f1f77bcf86cd799439011";

/// Keys of a message beyond those printed.
const ADDITIVE: &[&str] = &[
    "attachments",
    "senderId",
    "receiverId",
    "conversationId",
    "conversation_id",
    "createdAt",
    "productId",
    "offerId",
];
/// Keys whose printed value stands for any of its kind.
const ANY: &[&str] = &["id", "conversationId", "timestamp", "lastMessageAt", "profileImage"];

fn sample(name: &str) -> Value {
    let path = format!("{FOLDER}/{name}.json");
    serde_json::from_str(&fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}")))
        .unwrap()
}

fn assert_as_printed(answer: &Value, printed: &Value, at: &str) {
    match (answer, printed) {
        (Value::Object(answer), Value::Object(printed)) => {
            for (key, printed) in printed {
                let answer = answer.get(key).unwrap_or_else(|| panic!("{at}.{key} is missing in {answer:?}"));
                if ANY.contains(&key.as_str()) {
                    assert!(answer.is_string() && printed.is_string(), "{at}.{key}: {answer}");
                    assert_eq!(shape(answer), shape(printed), "{at}.{key}: {answer}");
                } else {
                    assert_as_printed(answer, printed, &format!("{at}.{key}"));
                }
            }
            for key in answer.keys() {
                assert!(
                    printed.contains_key(key) || ADDITIVE.contains(&key.as_str()),
                    "{at}.{key} is too much"
                );
            }
        }
        (Value::Array(answer), Value::Array(printed)) => {
            assert_eq!(answer.len(), printed.len(), "{at}");
            for (answer, printed) in answer.iter().zip(printed) {
                assert_as_printed(answer, printed, at);
            }
        }
        (answer, printed) => assert_eq!(answer, printed, "{at}"),
    }
}

/// A time's length and punctuation; nothing of what is no time.
fn shape(value: &Value) -> String {
    let text = value.as_str().unwrap();
    let is_time = text.starts_with("20") && text.contains('T');
    if is_time {
        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
    } else {
        String::new()
    }
}

#[tokio::test]
async fn every_printed_sample_is_what_happens() {
    let app = TestApp::start().await;
    let jane = app.chat(JANE);
    // What to call John and how he looks was told through another dialect.
    let people =
        json!([{ "id": JOHN, "name": "john_doe", "image": "https://example.com/john.png" }, { "id": JANE }]);
    app.rest().post("/create", &json!({ "participants": people })).await.ok();

    let sent = jane.post("/send/", &sample("rest/send.request")).await.made();
    assert_as_printed(&sent, &sample("rest/send.response"), "rest/send.response");

    app.chat(JOHN).say(JANE, "Hello!").await;
    let list = jane.get("/conversations/").await.ok();
    assert_as_printed(&list, &sample("rest/conversations.response"), "rest/conversations.response");
    let conversation = list["conversations"][0]["conversationId"].as_str().unwrap();
    assert_eq!(list["conversations"][0]["id"], conversation);
    assert_eq!(sent["message"]["conversationId"], conversation);
    assert_eq!(sent["message"]["conversation_id"], conversation);

    let mut socket = app.bare_chat_socket("jane", conversation).await;
    socket.send(&sample("frames/chat_message.emit")).await;
    let heard = socket.hears("chat_message").await;
    assert_as_printed(&heard, &sample("frames/chat_message.payload"), "frames/chat_message.payload");
    socket.hears_nothing_else().await;

    let mut printed: Vec<_> = ["rest", "frames"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(format!("{FOLDER}/{folder}")).unwrap())
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    printed.sort_unstable();
    let replayed = [
        "chat_message.emit.json",
        "chat_message.payload.json",
        "conversations.response.json",
        "send.request.json",
        "send.response.json",
    ];
    assert_eq!(printed, replayed);
}
