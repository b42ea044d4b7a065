//! Bad input: whatever is wrong, the answer is this document's failure with the code that fits and a text that names what to
//! mend; nothing reaches Twilio, nothing is kept.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use switchboard::mock::Action;

use super::{
    ALI, Contacts, NOBODY, assert_failure, contact, conversation, create, sid_of, socket_with_phone,
    token_with_phone,
};
use crate::support::app::{API_KEY, JWT_SECRET, token_of};
use crate::support::socket::Heard;
use crate::support::{Socket, TestApp};

fn wrong_texts(characters: usize) -> Vec<Value> {
    vec![json!(true), json!({}), json!([]), json!("x".repeat(characters)), json!("a\u{0}b"), json!("a\nb")]
}

fn wrong_digits() -> Vec<Value> {
    let texts = ["", " ", "+", "abc", "12a45678", "１２３４５６７８９", "0", "-", "9".repeat(20).as_str()]
        .map(Value::from);
    let others =
        [Value::Null, json!(true), json!({}), json!([]), json!(-60), json!(1.5), json!("1".repeat(41))];
    texts.into_iter().chain(others).collect()
}

/// A request for each thing that is wrong: the field, and the value that it must not have.
fn wrong_fields() -> Vec<(&'static str, Value)> {
    let names = [wrong_texts(101), vec![json!(7)]].concat();
    let first =
        names.iter().cloned().chain([Value::Null, json!(""), json!(" ")]).map(|value| ("first_name", value));
    let last = names.iter().cloned().map(|value| ("last_name", value));
    let country = wrong_digits()
        .into_iter()
        .chain([json!("6012"), json!("999"), json!("+")])
        .map(|v| ("country_code", v));
    let number = wrong_digits()
        .into_iter()
        .chain([json!("12"), json!("+447911123456"), json!("123456789 ext 5"), json!("999999999")])
        .map(|v| ("phone_number", v));
    first.chain(last).chain(country).chain(number).collect()
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let app = TestApp::start().await;
    let ben = Contacts::of(&app, "ben");
    for (field, value) in wrong_fields() {
        let mut body = contact(ALI);
        body[field] = value.clone();
        let answer = ben.add(&body).await;
        let msg = answer.refused(400);
        let named = [field, "country", "phone_number"].iter().any(|name| msg.contains(name));
        assert!(named, "{field}: {value}: {msg}");
    }
    for field in ["first_name", "country_code", "phone_number"] {
        let mut body = contact(ALI);
        body.as_object_mut().unwrap().remove(field);
        let answer = ben.add(&body).await;
        assert!(answer.refused(400).contains(field), "{}", answer.body);
    }
    assert_eq!(app.asked_since(0), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn whatever_the_path_the_envelope_is_this_documents() {
    let app = TestApp::start().await;
    let ben = Contacts::of(&app, "ben");
    for path in [
        "/contact",
        "/contact/",
        "/contact/add/",
        "/contact/add/7",
        "/contact/nothing",
        "/api/contact",
        "/api/contact/%00",
    ] {
        ben.send(ben.request(Method::POST, path).json(&contact(ALI))).await.refused(404);
    }
    for (path, method) in [("/contact/add", "GET"), ("/contact/add", "PUT"), ("/api/contact/add", "DELETE")] {
        ben.send(ben.request(method.parse().unwrap(), path)).await.refused(404);
    }
    for path in ["/contact/add", "/api/contact/add"] {
        let post = |content_type: &str, body: String| {
            let request = ben.request(Method::POST, path).header("content-type", content_type);
            ben.send(request.body(body))
        };
        for body in ["{", "[]", "null", "7", "\"text\"", "{\"first_name\":}", "{}{}", "\u{0}"] {
            post("application/json", body.to_owned()).await.refused(400);
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            post(content_type, contact(ALI).to_string()).await.refused(415);
        }
        let large = json!({ "first_name": "x".repeat(1024 * 1024) }).to_string();
        post("application/json", large).await.refused(413);
        post("application/json; charset=utf-8", contact(ALI).to_string()).await.ok();
    }
    app.finish([]).await;
}

#[tokio::test]
async fn nobody_keeps_contacts_without_a_token() {
    let other_algorithm = {
        let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS512);
        jsonwebtoken::encode(&header, &json!({ "sub": "ben", "exp": 4_000_000_000_u64 }), &key).unwrap()
    };
    let tokens = [
        None,
        Some("nonsense".to_owned()),
        Some(token_of(&json!({ "sub": "ben", "exp": 1_700_000_000 }), Duration::ZERO)),
        Some(token_of(&json!({ "name": "nobody" }), Duration::from_secs(60))),
        Some(other_algorithm),
    ];
    for app in [TestApp::start().await, TestApp::required().await] {
        for token in &tokens {
            let nobody = Contacts::with_token(&app, token.clone());
            nobody.add(&contact(ALI)).await.refused(401);
            nobody.add(&json!({})).await.refused(401);
        }
        app.finish([]).await;
    }
}

#[tokio::test]
async fn the_back_end_has_no_contacts_of_its_own() {
    let app = TestApp::required().await;
    let nobody = Contacts::with_token(&app, None);
    let request = nobody.request(Method::POST, "/contact/add").header("x-api-key", API_KEY);
    nobody.send(request.json(&contact(ALI))).await.refused(400);
    app.finish([]).await;
}

#[tokio::test]
async fn every_wrong_payload_is_acknowledged() {
    let app = TestApp::start().await;
    let mut ben = app.socket_as("ben").await;
    let payloads =
        ["null", "7", "true", "\"text\"", "[]", "[[]]", "[\"60\"]", "{\"_placeholder\":true,\"num\":0}"];
    for (id, payload) in (100..).zip(payloads) {
        ben.write(format!("42{id}[\"create_conversation\",{payload}]")).await;
        assert_400(&ben.hears_ack(id).await);
    }
    ben.write("4299[\"create_conversation\"]".to_owned()).await;
    assert_400(&ben.hears_ack(99).await);
    let mut wrong: Vec<_> = wrong_digits().into_iter().map(|value| ("toCountryCode", value)).collect();
    wrong.extend(wrong_digits().into_iter().map(|value| ("toPhoneNumber", value)));
    let kinds =
        [Value::Null, json!(""), json!("Private"), json!("public"), json!(7), json!({}), json!(["private"])];
    wrong.extend(kinds.into_iter().map(|value| ("conversationType", value)));
    for (field, value) in wrong {
        let mut payload = conversation(ALI, "private");
        payload[field] = value.clone();
        let ack = create(&mut ben, &payload).await;
        assert_400(&ack);
        let msg = ack["msg"].as_str().unwrap();
        assert!(
            [field, "toPhoneNumber", "toCountryCode"].iter().any(|name| msg.contains(name)),
            "{field} {value}: {msg}"
        );
    }
    assert_eq!(app.asked_since(0), [""; 0]);
    app.finish([ben]).await;
}

fn assert_400(ack: &Value) {
    assert_failure(ack);
    assert_eq!(ack["code"], 400, "{ack}");
}

#[tokio::test]
async fn nobody_there_and_oneself_are_refused_and_twilio_is_not_asked() {
    let app = TestApp::start().await;
    let mut ali = socket_with_phone(&app, "alice", ALI).await;
    for kind in ["private", "group"] {
        let nobody = create(&mut ali, &conversation(NOBODY, kind)).await;
        assert_failure(&nobody);
        assert_eq!(
            (&nobody["code"], &nobody["msg"]),
            (&json!(404), &json!("this contact is not registered yet"))
        );
        let oneself = create(&mut ali, &conversation(ALI, kind)).await;
        assert_400(&oneself);
        assert_eq!(oneself["msg"], "you cannot start a conversation with yourself");
    }
    assert_eq!(app.asked_since(0), [""; 0]);
    app.finish([ali]).await;
}

#[tokio::test]
async fn more_than_a_socket_may_ask_for_at_once_is_refused() {
    let app = TestApp::start().await;
    let ali = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = app.socket_as("ben").await;
    app.fault("POST", "/Conversations$", 1, Action::DelayMs([400, 400]));
    let asked: u64 = 400;
    for id in 0..asked {
        let phone = if id == 0 { ALI } else { NOBODY };
        ben.write(format!("42{id}[\"create_conversation\",{}]", conversation(phone, "private"))).await;
    }
    let mut codes = Vec::new();
    for _ in 0..asked {
        let Heard::Ack(id, ack) = ben.next().await else { panic!("an acknowledgement") };
        if id == 0 {
            sid_of(&ack);
        } else {
            assert_failure(&ack);
            codes.push(ack["code"].as_u64().unwrap());
        }
    }
    let refused = codes.iter().take_while(|code| **code == 429).count();
    assert!(refused > 100, "while the first waits for Twilio there is no room for all: {codes:?}");
    assert!(codes[refused..].iter().all(|code| *code == 404), "{codes:?}");
    app.finish([ali, ben]).await;
}

#[tokio::test]
async fn when_twilio_fails_the_acknowledgement_says_so_in_our_own_words() {
    let app = TestApp::start().await;
    let ali = socket_with_phone(&app, "alice", ALI).await;
    let mut ben = Socket::connect(app.address, "ben", Some(&token_with_phone("ben", NOBODY))).await;
    for (status, code) in [(401, 500), (403, 500), (400, 500)] {
        app.fault_always(Action::Status { status, retry_after: None, html: false });
        for kind in ["private", "group"] {
            let ack = create(&mut ben, &conversation(ALI, kind)).await;
            assert_failure(&ack);
            assert_eq!(ack["code"], code, "{status}: {ack}");
        }
        app.mock.faults().clear();
    }
    app.finish([ali, ben]).await;
}
