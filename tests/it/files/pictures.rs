//! Pictures of people that come as base64 text: held to what files are held to, before there is a conversation, and then
//! links like theirs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{PNG, fetch, leads_to};
use crate::messaging::Messaging;
use crate::support::TestApp;
use crate::support::app::token;

fn labelled(label: &str, bytes: &[u8]) -> String {
    format!("data:{label};base64,{}", STANDARD.encode(bytes))
}

#[tokio::test]
async fn what_is_no_whole_picture_is_refused_before_there_is_a_conversation() {
    let app = TestApp::start().await;
    let mut huge = PNG.to_vec();
    huge.resize(600 * 1024, 0);
    let mut bomb = PNG.to_vec();
    bomb[16..24].copy_from_slice(b"\0\0\xff\xff\0\0\xff\xff");
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    let refused = [
        (415, labelled("image/svg+xml", svg)),
        (415, labelled("image/png", svg)),
        (415, labelled("image/png", b"<!DOCTYPE html><script>alert(1)</script>")),
        (415, labelled("image/png", b"%PDF-1.4\n1 0 obj\nendobj\ntrailer\n%%EOF\n")),
        (415, labelled("image/gif", b"GIF89a\x01\0\x01\0\0\0\0<script>alert(1)</script>;")),
        (415, STANDARD.encode([b'x'; 3_000])),
        (413, labelled("image/png", &huge)),
        (413, STANDARD.encode(&huge)),
        (400, labelled("image/png", &PNG[..PNG.len() - 6])),
        (400, labelled("image/png", &bomb)),
        (400, labelled("image/png", b"")),
        (400, "data:image/png;base64,@@@@".to_owned()),
        (400, "data:image/png,hello".to_owned()),
        (400, "javascript:alert(1)".to_owned()),
        (400, " \u{1}java\nscript:alert(1)".to_owned()),
        (400, "file:///etc/passwd".to_owned()),
    ];
    for (status, image) in &refused {
        let shown: String = image.chars().take(60).collect();
        let people = json!({ "participants": ["bob", { "id": "alice", "image": image }] });
        for path in ["/create", "/newconversation"] {
            let answer = app.rest().post(path, &people).await;
            assert_eq!(answer.status, *status, "{path} {shown}: {}", answer.body);
        }
        let group = json!({ "name": "Friends", "memberIds": ["bob"], "avatar": image });
        let answer = Messaging::of(&app, "alice").post("/groups", &group).await;
        assert_eq!(answer.status, *status, "/groups {shown}: {}", answer.body);
    }
    assert_eq!(app.writes(), 0, "{:?}", app.asked_since(0));
    app.finish([]).await;
}

#[tokio::test]
async fn a_picture_becomes_a_link_and_is_stored_once() {
    let app = TestApp::required().await;
    let image = labelled("image/jpeg", PNG);
    for _ in 0..2 {
        let people = json!({ "participants": ["alice", { "id": "bob", "image": image }, { "id": "carol", "image": STANDARD.encode(PNG) }] });
        let made = app.rest_as("alice").post("/newconversation", &people).await.ok();
        let link = made["participants"][1]["image"].as_str().unwrap();
        assert_eq!(made["participants"][2]["image"], link);
        leads_to(link, PNG).await;
        let plain = link.split('?').next().unwrap();
        assert_eq!(fetch(plain, None).await.0, 401, "where it is signed");
        assert_eq!(fetch(plain, Some(&token("alice"))).await.0, 302, "it is hers");
        assert_eq!(fetch(plain, Some(&token("mallory"))).await.0, 404);
        let conversation = made["conversation_sid"].as_str().unwrap();
        let path =
            format!("/v1/Services/{}/Conversations/{conversation}/Participants", app.mock.service_sid());
        let at_twilio = app.twilio(&path).await.to_string();
        assert!(!at_twilio.contains("base64") && at_twilio.contains("/media/ME"), "{at_twilio}");
    }
    let group = json!({ "name": "Friends", "memberIds": ["bob"], "avatar": image });
    let made = Messaging::of(&app, "alice").post("/groups", &group).await;
    leads_to(made.body["data"]["avatar"].as_str().unwrap_or_else(|| panic!("{}", made.body)), PNG).await;
    let uploads = app.asked().iter().filter(|asked| asked.path.ends_with("/Media")).count();
    assert_eq!(uploads, 1, "the same picture");
    app.finish([]).await;
}

#[tokio::test]
async fn links_and_short_names_of_pictures_stay_what_they_are() {
    let app = TestApp::start().await;
    for image in ["https://example.com/alice.png", "avatar1", "avatars/7.png", "c2hvcnQ="] {
        let people = json!({ "participants": [{ "id": "alice", "image": image }, "bob"] });
        let made = app.rest().post("/create", &people).await.ok();
        assert_eq!(made["participants"][0]["image"], Value::from(image));
    }
    assert!(app.asked().iter().all(|asked| !asked.path.ends_with("/Media")));
    app.finish([]).await;
}

#[tokio::test]
async fn a_persons_picture_is_shown_to_whoever_sees_them_and_kept_without_a_date() {
    let app = TestApp::required().await;
    let image = labelled("image/png", PNG);
    let people = json!({ "participants": ["alice", { "id": "bob", "image": image }] });
    app.rest_as("alice").post("/newconversation", &people).await.ok();
    let seen = || async {
        let list = app.chat("alice").list().await;
        let chat = list[0]["otherUser"]["profileImage"].as_str().unwrap().to_owned();
        let me = Messaging::of(&app, "bob").get("/users/me").await;
        let messaging =
            me.body["data"]["avatar"].as_str().unwrap_or_else(|| panic!("{}", me.body)).to_owned();
        (chat, messaging)
    };
    let (chat, messaging) = seen().await;
    leads_to(&chat, PNG).await;
    leads_to(&messaging, PNG).await;

    let own = super::stored(&app, Some(&token("bob"))).await;
    let me = Messaging::of(&app, "bob");
    let edit = json!({ "avatar": own });
    assert_eq!(me.ask("PUT", "/users/me", Some(&edit)).await.status, 200);
    let path = format!("/v1/Services/{}/Users/bob", app.mock.service_sid());
    let kept = app.twilio(&path).await["attributes"].as_str().unwrap().to_owned();
    let plain = own.split('?').next().unwrap();
    assert!(kept.contains(&format!("\"{plain}\"")), "a signed link is dead tomorrow: {kept}");
    let (chat, messaging) = seen().await;
    for link in [&chat, &messaging] {
        assert!(link.starts_with(plain), "{link}");
        leads_to(link, PNG).await;
    }
    // Told again by Twilio, or set again by a form that shows it, it stays.
    let again = json!({ "avatar": plain, "bio": "hello" });
    assert_eq!(me.ask("PUT", "/users/me", Some(&again)).await.status, 200);
    assert!(seen().await.0.starts_with(plain));
    // Somebody else's file is nobody's picture by its name alone.
    let theirs = super::stored(&app, Some(&token("alice"))).await;
    let edit = json!({ "avatar": theirs.split('?').next().unwrap() });
    assert_eq!(me.ask("PUT", "/users/me", Some(&edit)).await.status, 404);
    app.finish([]).await;
}
