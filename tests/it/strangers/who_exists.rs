//! Whether somebody exists is told where a document says so (a contact's `customer_id`, an unknown user of messaging), and by
//! nothing else: the same question about somebody and about nobody is answered alike.

use serde_json::{Value, json};

use crate::contacts::{self, ALI, Contacts, NOBODY, contact};
use crate::messaging::{Messaging, introduce};
use crate::support::TestApp;
use crate::support_dialect::Api;

/// Dave was here once, and is not now; his token told his phone and address. Nobody ever heard of Erin.
const PEOPLE: [&str; 2] = ["dave", "erin"];

async fn scene() -> TestApp {
    let app = TestApp::required().await;
    let [_, _, phone] = ALI;
    let claims = json!({
        "sub": "dave", "name": "David", "bio": "likes tea", "email": "dave@post.example", "phone_number": phone,
    });
    introduce(&app, &claims).await;
    introduce(&app, &json!({ "sub": "mallory", "name": "Mallory" })).await;
    app
}

/// The same words, without what is about this one.
fn alike(status: u16, answer: &Value, who: &str) -> (u16, String) {
    let mut text = answer.to_string().replace(who, "somebody");
    for volatile in ["(CH|IM|MB)[0-9a-f]{32}", r"\d{4}-\d\d-\d\dT[0-9:.]+Z?"] {
        text = regex::Regex::new(volatile).unwrap().replace_all(&text, "…").into_owned();
    }
    (status, text)
}

#[tokio::test]
async fn somebody_and_nobody_are_answered_alike() {
    let app = scene().await;
    let (rest, chat) = (app.rest_as("mallory"), app.chat("mallory"));
    let mut answers = Vec::new();
    for who in PEOPLE {
        let reachable = rest.get(&format!("/users/{who}/reachability")).await;
        let minted = rest.post("/generate-token", &json!({ "user_id": who })).await;
        let listed = rest.get(&format!("?userId={who}")).await;
        let written = chat.post("/send/", &json!({ "receiverId": who, "text": "are you there?" })).await;
        let made = rest.post("/create", &json!({ "participants": ["mallory", who] })).await;
        let wrong = json!({ "code": "000000", "userId": who });
        let verified = Api::of(&app).post("/onboarding/verify-code", &wrong).await;
        answers.push([
            alike(reachable.status, &reachable.body, who),
            alike(minted.status, &minted.body, who),
            alike(listed.status, &listed.body, who),
            alike(written.status, &written.body, who),
            alike(made.status, &made.body, who),
            alike(verified.status, &verified.body, who),
        ]);
    }
    assert_eq!(answers[0], answers[1]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_contact_tells_whether_its_phone_is_registered_and_nothing_else_of_whose_it_is() {
    let app = scene().await;
    let mallory = Contacts::of(&app, "mallory");
    let mut added = Vec::new();
    for phone in [ALI, NOBODY] {
        let mut answer = mallory.add(&contact(phone)).await.ok();
        let told = answer["customer_id"].take();
        assert_eq!(told, if phone == ALI { json!("dave") } else { Value::Null });
        for own in ["id", "country_code", "phone_number"] {
            answer.as_object_mut().unwrap().remove(own);
        }
        added.push(answer);
    }
    assert_eq!(added[0], added[1]);
    let mut socket = app.socket_as("mallory").await;
    let ack = contacts::create(&mut socket, &contacts::conversation(NOBODY, "private")).await;
    assert_eq!((&ack["status"], &ack["code"]), (&json!(false), &json!(404)), "{ack}");
    app.finish([socket]).await;
}

#[tokio::test]
async fn people_are_found_by_what_they_are_called_and_not_by_phone_or_address() {
    let app = scene().await;
    let mallory = Messaging::of(&app, "mallory");
    let found = async |text: &str| {
        let path = format!("/users/suggestions?type=message&q={text}");
        mallory.get(&path).await.ok()["suggestions"].as_array().unwrap().len()
    };
    assert_eq!(found("david").await, 1);
    assert_eq!(found("tea").await, 1, "in the bio");
    let [country, number, _] = ALI;
    for text in ["post.example", "dave@post.example", number, &format!("{country}{number}"), &number[..6]] {
        assert_eq!(found(text).await, 0, "{text}");
    }
    let all = mallory.get("/users/suggestions?type=message").await.ok().to_string();
    let detail = mallory.get("/users/dave").await.ok().to_string();
    for private in ["post.example", number] {
        assert!(!all.contains(private) && !detail.contains(private), "{private}");
    }
    app.finish([]).await;
}
