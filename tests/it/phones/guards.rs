//! Who may bring in which phones: text messages cost money.

use futures::future::join_all;
use serde_json::json;
use switchboard::config::Config;

use super::{PHONE, bring_in, received};
use crate::contacts::{NOBODY, conversation, create};
use crate::support::app::Stage;
use crate::support::{Answer, Rest, TestApp};
use crate::support_dialect::admin_token;

async fn add(rest: &Rest, conversation: &str, phone: &str) -> Answer {
    rest.post(&format!("/{conversation}/add-sms-participant"), &json!({ "phone_number": phone })).await
}

fn number(digit: usize) -> String {
    format!("+1555123{digit:04}")
}

fn of_admin(app: &TestApp) -> Rest {
    app.rest().with_token(&admin_token("admin"))
}

#[tokio::test]
async fn phones_of_other_countries_are_refused_before_twilio_hears_of_them() {
    let stage =
        Stage { required: true, sms_countries: Some("US,CA"), sms_fallback: true, ..Stage::default() };
    let app = TestApp::with(stage).await;
    let sid = app.conversation(&["ada"]).await;
    let before = app.asked().len();
    let words = "phones of this country cannot be written to from here";
    // Great Britain, Jamaica and Latvia; a number that is nobody's is in no country.
    for phone in ["+447911123456", "+18765550123", "+37120000000", PHONE, "whatsapp:+447911123456"] {
        assert_eq!(add(&app.rest_as("ada"), &sid, phone).await.refused(403), words, "{phone}");
    }
    assert_eq!(add(&of_admin(&app), &sid, "+447911123456").await.refused(403), words, "nor by admins");
    let mut ada = app.socket_as("ada").await;
    let refused = create(&mut ada, &conversation(NOBODY, "private")).await;
    assert_eq!((&refused["code"], &refused["msg"]), (&json!(403), &json!(words)));
    assert_eq!(app.asked_since(before), [""; 0]);
    for phone in ["+12025550143", "+14165550123", "whatsapp:+12025550143"] {
        add(&app.rest_as("ada"), &sid, phone).await.ok();
    }
    app.finish([ada]).await;
}

#[tokio::test]
async fn a_person_brings_in_so_many_new_phones_a_day() {
    let stage = Stage { required: true, sms_daily_cap: Some(2), sms_fallback: true, ..Stage::default() };
    let mut app = TestApp::with(stage).await;
    let sid = app.conversation(&["ada", "ben"]).await;
    let elsewhere = app.conversation(&["ben"]).await;
    bring_in(&app, "ben", &elsewhere, PHONE).await;

    add(&app.rest_as("ada"), &sid, PHONE).await.refused(409);
    add(&app.rest_as("ada"), &sid, &number(2)).await.ok();
    for _ in 0..3 {
        add(&app.rest_as("ada"), &sid, &number(2)).await.ok();
    }
    add(&app.rest_as("ada"), &sid, &number(3)).await.ok();
    let before = app.asked().len();
    let refused = add(&app.rest_as("ada"), &sid, &number(4)).await;
    assert_eq!(refused.refused(429), "you have brought in as many new phones as you can within a day");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    let mut ada = app.socket_as("ada").await;
    assert_eq!(create(&mut ada, &conversation(NOBODY, "private")).await["code"], 429);
    assert_eq!(app.asked_since(before), [""; 0], "Twilio heard nothing of it");
    ada.finish().await;

    add(&app.rest_as("ada"), &sid, &number(2)).await.ok();
    add(&app.rest_as("ben"), &sid, &number(5)).await.ok();
    app.restart().await;
    add(&app.rest_as("ada"), &sid, &number(6)).await.refused(429);
    add(&of_admin(&app), &sid, &number(7)).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn whoever_asks_for_many_at_once_gets_no_more() {
    let app = TestApp::with(Stage { required: true, sms_daily_cap: Some(3), ..Stage::default() }).await;
    let sid = app.conversation(&["ada"]).await;
    let rest = app.rest_as("ada");
    let phones: Vec<_> = (0..10).map(number).collect();
    let answers = join_all(phones.iter().map(|phone| add(&rest, &sid, phone))).await;
    let of = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((of(200), of(429)), (3, 7));
    app.finish([]).await;
}

#[tokio::test]
async fn with_a_cap_of_nothing_only_admins_bring_phones_in() {
    let app = TestApp::with(Stage { sms_daily_cap: Some(0), ..Stage::default() }).await;
    let sid = app.conversation(&["ada"]).await;
    add(&app.rest_as("ada"), &sid, PHONE).await.refused(429);
    add(&app.rest(), &sid, PHONE).await.refused(429);
    add(&of_admin(&app), &sid, PHONE).await.ok();
    app.finish([]).await;
}

#[tokio::test]
async fn a_person_sends_so_many_texts_a_day() {
    let settings = Config { sms_daily_texts: Some("3".to_owned()), ..Config::default() };
    let app = TestApp::with(Stage { required: true, settings, ..Stage::default() }).await;
    let sid = app.conversation(&["ada", "ben"]).await;
    bring_in(&app, "ada", &sid, PHONE).await;
    let path = format!("/{sid}/send-message");
    let message =
        |author: &str, body: &str| json!({ "author": author, "body": body, "clientMessageId": body });
    for body in ["one", "two", "two", "three"] {
        app.rest_as("ada").post(&path, &message("ada", body)).await.ok();
    }
    let writes = app.writes();
    let refused = app.rest_as("ada").post(&path, &message("ada", "four")).await;
    assert_eq!(refused.refused(429), "you have sent as many texts to phones as you can within a day");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    assert_eq!(app.writes(), writes);
    app.rest_as("ben").post(&path, &message("ben", "mine")).await.ok();
    of_admin(&app).post(&path, &message("ada", "by an admin")).await.ok();
    let chat = app.conversation(&["ada"]).await;
    app.rest_as("ada").say(&chat, "ada", "without a phone").await;
    assert_eq!(received(&app, PHONE).await, ["one", "two", "three", "mine", "by an admin"]);
    app.finish([]).await;
}

#[tokio::test]
async fn numbers_that_cost_extra_are_not_written_to() {
    let app = TestApp::required().await;
    let sid = app.conversation(&["ada"]).await;
    let before = app.asked().len();
    let refused = add(&of_admin(&app), &sid, "+19002345678").await;
    assert_eq!(refused.refused(400), "phone_number is one that costs extra, which is not written to");
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}
