//! Files in support: uploaded by users, admins and guests, sent as the document's `file`, and shown to both sides.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{Answer, Api, Line, talk};
use crate::files::{PNG, file, leads_to};
use crate::support::TestApp;
use crate::support::app::Stage;

impl Api<'_> {
    async fn upload(&self, query: &str, form: Form) -> Answer {
        self.send(self.request("POST", &format!("/upload{query}")).multipart(form)).await
    }

    async fn uploaded(&self, query: &str) -> String {
        let stored = self.upload(query, one(PNG)).await.ok();
        assert_eq!((&stored["contentType"], &stored["size"]), (&json!("image/png"), &json!(PNG.len())));
        assert!(stored["mediaSid"].as_str().unwrap().starts_with("ME"), "{stored}");
        stored["url"].as_str().unwrap().to_owned()
    }
}

fn one(bytes: &[u8]) -> Form {
    Form::new().part("file", file(bytes))
}

/// What is stored of the newest message of a conversation at Twilio.
async fn at_twilio(app: &TestApp, id: &str) -> Value {
    let sid = format!("CH{}", id.replace('-', ""));
    let path = format!("/v1/Services/{}/Conversations/{sid}/Messages?Order=desc", app.mock.service_sid());
    app.twilio(&path).await["messages"][0].clone()
}

#[tokio::test]
async fn guests_users_and_admins_send_files_that_both_sides_see() {
    for stage in [Stage::default(), Stage { required: true, ..Stage::default() }] {
        let app = TestApp::with(stage).await;
        let (id, mut guest, mut admin) = talk(&app).await;
        let user = Api::user(&app, "alice");
        let theirs = user.conversation().await;
        let mut alice = Line::user(&app, "alice").await;
        alice.join(&theirs).await;
        let by_id = format!("?conversationId={id}");
        for (api, query, sender, asker, conversation) in [
            (Api::of(&app), by_id.as_str(), "guest", &mut guest, &id),
            (Api::admin(&app, "eve"), "", "admin", &mut admin, &id),
            (user.clone(), "", "user", &mut alice, &theirs),
        ] {
            let link = api.uploaded(query).await;
            let message =
                json!({ "conversationId": conversation, "messageType": "file", "attachments": [link] });
            let answer = asker.asks("message:send", &message).await;
            assert_eq!((&answer["success"], answer.get("warnings")), (&json!(true), None), "{answer}");
            let history =
                Api::admin(&app, "eve").get(&format!("/conversation/{conversation}/messages")).await.ok();
            let kept = history["messages"].as_array().unwrap().last().unwrap();
            assert_eq!((&kept["id"], &kept["senderType"]), (&answer["messageId"], &json!(sender)));
            assert_eq!((&kept["messageType"], &kept["message"]), (&json!("file"), &kept["attachments"][0]));
            leads_to(kept["attachments"][0].as_str().unwrap(), PNG).await;
            let stored = at_twilio(&app, conversation).await;
            assert_eq!(
                (&stored["media"][0]["content_type"], &stored["body"]),
                (&json!("image/png"), &Value::Null)
            );
        }
        let heard = guest.hears("message:received").await;
        assert_eq!((&heard["senderType"], &heard["messageType"]), (&json!("admin"), &json!("file")));
        leads_to(heard["message"].as_str().unwrap(), PNG).await;
        guest.finish().await;
        alice.finish().await;
        drop(admin);
        app.finish([]).await;
    }
}

#[tokio::test]
async fn a_text_that_is_only_a_link_is_the_file_for_who_knows_the_document_only() {
    let app = TestApp::start().await;
    let (id, mut guest, mut admin) = talk(&app).await;
    let link = Api::of(&app).uploaded(&format!("?conversationId={id}")).await;
    let message = |text: &str| json!({ "conversationId": id, "message": text, "messageType": "file" });
    guest.emit("message:send", &message(&link)).await;
    let heard = admin.hears("message:received").await;
    assert_eq!((&heard["message"], &heard["attachments"]), (&json!(link), &json!([link])));
    assert_eq!(at_twilio(&app, &id).await["media"][0]["content_type"], "image/png");
    admin.hears("conversation:new_message").await;
    guest.hears("message:received").await;

    // Somebody else's link stays one, for whoever is on Twilio's SDK too; other words stay words.
    guest.emit("message:send", &message("https://example.com/a.pdf")).await;
    let heard = guest.hears("message:received").await;
    assert_eq!(heard["attachments"], json!(["https://example.com/a.pdf"]));
    assert_eq!((&heard["message"], &heard["messageType"]), (&heard["attachments"][0], &json!("file")));
    assert_eq!(at_twilio(&app, &id).await["body"], "https://example.com/a.pdf");
    guest.emit("message:send", &message("see https://example.com/a.pdf")).await;
    let heard = guest.hears("message:received").await;
    assert_eq!((heard.get("attachments"), &heard["messageType"]), (None, &json!("file")));

    // With words, and without saying what it is.
    let both =
        json!({ "conversationId": id, "message": "my cat", "attachments": ["https://example.com/cat.png"] });
    guest.emit("message:send", &both).await;
    let heard = guest.hears("message:received").await;
    assert_eq!((&heard["message"], &heard["messageType"]), (&json!("my cat"), &json!("file")));
    assert_eq!(heard["attachments"], both["attachments"]);
    guest.finish().await;
    drop(admin);
    app.finish([]).await;
}

#[tokio::test]
async fn who_may_not_upload_and_what_is_no_file_reaches_nothing() {
    let stage = Stage { required: true, no_guest_capability: true, ..Stage::default() };
    let app = TestApp::with(stage).await;
    let (guest_id, id) = Api::of(&app).guest().await;
    let (other_id, _) = Api::of(&app).guest().await;
    let theirs = Api::user(&app, "alice").conversation().await;
    let guest = Api::of(&app).with("x-guest-id", &guest_id);
    let to = |id: &str| format!("?conversationId={id}");
    let closed = {
        let (owner, id) = Api::of(&app).guest().await;
        let path = format!("/conversation/{id}");
        Api::admin(&app, "eve").patch(&path, &json!({ "status": "closed" })).await.ok();
        (Api::of(&app).with("x-guest-id", &owner), to(&id))
    };
    let before = app.writes();
    Api::of(&app).upload("", one(PNG)).await.refused(401);
    Api::of(&app).upload(&to(&id), one(PNG)).await.refused(401);
    Api::of(&app).with("authorization", "Bearer nonsense").upload(&to(&id), one(PNG)).await.refused(401);
    assert_eq!(guest.upload("", one(PNG)).await.fields(), ["conversationId"]);
    Api::of(&app).with("x-guest-id", &other_id).upload(&to(&id), one(PNG)).await.refused(403);
    guest.upload(&to(&theirs), one(PNG)).await.refused(403);
    Api::user(&app, "bob").upload(&to(&theirs), one(PNG)).await.refused(403);
    guest.upload(&to("nonsense"), one(PNG)).await.refused(400);
    guest.upload(&to("550e8400-e29b-41d4-a716-446655440000"), one(PNG)).await.refused(404);
    closed.0.upload(&closed.1, one(PNG)).await.refused(409);

    let mut huge = PNG.to_vec();
    huge.resize(17 * 1024 * 1024, 0);
    for (status, form) in [
        (400, one(b"")),
        (400, one(&PNG[..PNG.len() - 6])),
        (415, one(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")),
        (415, one(b"<!DOCTYPE html><script>alert(1)</script>")),
        (413, one(&huge)),
        (400, Form::new().text("file_name", "x")),
        (400, Form::new().part("image", file(PNG))),
        (400, one(PNG).part("file", file(PNG))),
    ] {
        guest.upload(&to(&id), form).await.refused(status);
    }
    guest.send(guest.request("POST", &format!("/upload{}", to(&id))).json(&json!({}))).await.refused(415);
    guest.send(guest.request("GET", "/upload")).await.refused(404);
    assert_eq!(app.writes(), before);

    // Its name is harmless when it gets to Twilio.
    let named = |name: &'static str| Form::new().part("file", Part::bytes(PNG).file_name(name));
    guest.upload(&to(&id), named("cat.png\r\nX-Evil: 1")).await.refused(400);
    let stored = guest.upload(&to(&id), named("../..\u{202e}/C:\\cat.png")).await.ok();
    let media =
        format!("/v1/Services/{}/Media/{}", app.mock.service_sid(), stored["mediaSid"].as_str().unwrap());
    let kept = app.twilio(&media).await;
    assert_eq!(kept["filename"], "cat.png", "{kept}");
    app.finish([]).await;
}

#[tokio::test]
async fn attachments_that_are_none_are_refused_and_so_is_anothers_file() {
    let app = TestApp::with(Stage { required: true, ..Stage::default() }).await;
    let (id, mut guest, admin) = talk(&app).await;
    let link = Api::user(&app, "alice").uploaded("").await;
    let not_mine = link.split('?').next().unwrap();
    let before = app.writes();
    for attachments in [
        json!("https://example.com/a.png"),
        json!(7),
        json!({}),
        json!([7]),
        json!([null]),
        json!(["javascript:alert(1)"]),
        json!(["data:image/png;base64,AAAA"]),
        json!(["/media/x"]),
        json!([format!("https://example.com/{}", "x".repeat(2048))]),
        json!(vec!["https://example.com/a.png"; 11]),
    ] {
        let message = json!({ "conversationId": id, "message": "x", "attachments": attachments });
        guest.emit("message:send", &message).await;
        assert!(guest.hears_error().await.starts_with("attachments must be"), "{attachments}");
    }
    for message in [
        json!({ "conversationId": id, "messageType": "file" }),
        json!({ "conversationId": id, "attachments": [] }),
        json!({ "conversationId": id, "attachments": null, "message": " " }),
        json!({ "conversationId": id, "attachments": ["https://example.com/a.png"], "message": 7 }),
    ] {
        guest.emit("message:send", &message).await;
        assert!(guest.hears_error().await.starts_with("message "), "{message}");
    }
    guest.emit("message:send", &json!({ "conversationId": id, "attachments": [not_mine] })).await;
    assert_eq!(guest.hears_error().await, "no such media");
    assert_eq!(app.writes(), before, "{:?}", app.asked_since(0));
    guest.finish().await;
    drop(admin);
    app.finish([]).await;
}
