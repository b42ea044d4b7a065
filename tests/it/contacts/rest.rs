//! Adding contacts.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ALI, BEN, Contacts, contact, socket_with_phone, token_with_phone};
use crate::support::TestApp;

#[tokio::test]
async fn a_contact_is_added_and_costs_no_twilio_call() {
    let app = TestApp::start().await;
    let ben = Contacts::of(&app, "ben");
    let added = ben.add(&contact(ALI)).await;
    assert_eq!(
        (added.body["msg"].as_str(), &added.headers["x-twilio-calls"]),
        (Some("Contact added successfully"), &"0".parse().unwrap())
    );
    let data = added.ok();
    assert_eq!(data["id"].as_str().unwrap().len(), 36);
    assert_eq!(
        data,
        json!({
            "id": data["id"], "first_name": "Ali", "last_name": "Bin Abu", "phone_number": "123456789",
            "country_code": "60", "customer_id": null,
        }),
    );
    assert_eq!(app.asked_since(0), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn the_same_phone_however_written_is_the_same_contact() {
    let app = TestApp::start().await;
    let ben = Contacts::of(&app, "ben");
    let id = ben.add(&contact(ALI)).await.ok()["id"].clone();
    for (country_code, phone_number) in [
        (json!("60"), json!("123456789")),
        (json!("+60"), json!("012-345 6789")),
        (json!(60), json!(123_456_789)),
        (json!("60"), json!("+60 12 345 6789")),
    ] {
        let body = json!({
            "first_name": "Alicia", "last_name": "", "phone_number": phone_number, "country_code": country_code,
        });
        let again = ben.add(&body).await.ok();
        assert_eq!(again["id"], id, "{body}");
        assert_eq!(again["first_name"], "Alicia");
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(
            (&again["phone_number"], &again["country_code"]),
            (&json!(text(&phone_number)), &json!(text(&country_code)))
        );
    }
    let others = Contacts::of(&app, "carol").add(&contact(ALI)).await.ok();
    assert_ne!(others["id"], id, "a contact is its owner's");
    app.finish([]).await;
}

#[tokio::test]
async fn the_customer_is_whoever_registered_the_phone() {
    let mut app = TestApp::start().await;
    let added = Contacts::of(&app, "ben").add(&contact(ALI)).await.ok();
    assert_eq!(added["customer_id"], Value::Null);
    // First sight, by REST or by socket, is when their token was seen first.
    Contacts::with_token(&app, Some(token_with_phone("alice", ALI))).add(&contact(BEN)).await.ok();
    assert_eq!(Contacts::of(&app, "ben").add(&contact(ALI)).await.ok()["customer_id"], "alice");
    let carol = socket_with_phone(&app, "carol", BEN).await;
    assert_eq!(Contacts::of(&app, "ben").add(&contact(BEN)).await.ok()["customer_id"], "carol");
    carol.finish().await;
    app.restart().await;
    let again = Contacts::of(&app, "ben").add(&contact(ALI)).await.ok();
    assert_eq!((&again["customer_id"], &again["id"]), (&json!("alice"), &added["id"]), "it is all kept");
    app.finish([]).await;
}

#[tokio::test]
async fn a_token_presented_later_registers_its_phone_too() {
    let app = TestApp::start().await;
    let mut alice = app.socket("alice").await;
    let token = token_with_phone("alice", ALI);
    alice.emit("user_connect", &json!({ "identity": "alice", "token": token })).await;
    alice.hears("user_connected").await;
    assert_eq!(Contacts::of(&app, "ben").add(&contact(ALI)).await.ok()["customer_id"], "alice");
    app.finish([alice]).await;
}

#[tokio::test]
async fn the_route_answers_below_api_too() {
    let app = TestApp::required().await;
    let ben = Contacts::of(&app, "ben");
    let here = ben.add(&contact(ALI)).await.ok();
    let there = ben.send(ben.request(Method::POST, "/api/contact/add").json(&contact(ALI))).await.ok();
    assert_eq!(here, there);
    app.finish([]).await;
}

#[tokio::test]
async fn names_may_be_long_and_of_any_script_and_the_last_one_may_be_missing() {
    let app = TestApp::start().await;
    let ben = Contacts::of(&app, "ben");
    let name = "ä".repeat(100);
    let mut body = contact(ALI);
    body["first_name"] = json!(format!(" {name} "));
    body["last_name"] = Value::Null;
    let added = ben.add(&body).await.ok();
    assert_eq!((&added["first_name"], &added["last_name"]), (&json!(name), &json!("")));
    app.finish([]).await;
}
