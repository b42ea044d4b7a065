//! `/media/{ME…}`: for how long a link leads somewhere, what is told with it, and how it is refused.

use std::time::Duration;

use serde_json::json;
use switchboard::clock::Clock;
use switchboard::config::Config;
use switchboard::mock::{Action, Switches};

use super::uploads::told;
use super::{PNG, fetch, file, leads_to, stored, upload};
use crate::support::app::{Stage, token_of};
use crate::support::{TestApp, until};

fn fetches(app: &TestApp) -> usize {
    app.asked().iter().filter(|asked| asked.method == "GET" && asked.path.contains("/Media/")).count()
}

#[tokio::test]
async fn what_is_no_link_is_refused_in_words() {
    let app = TestApp::start().await;
    let sid = "ME00000000000000000000000000000000";
    for (status, path) in [
        (400, format!("/media/{sid}?expires=1&expires=2")),
        (400, "/media/%ff".to_owned()),
        (404, "/media/ME1".to_owned()),
        (404, format!("/media/{sid}")),
        (404, format!("/media/{sid}/content")),
    ] {
        let refused = fetch(&format!("http://{}{path}", app.address), None).await;
        let body = refused.json();
        assert_eq!((refused.0.as_u16(), &body["status"]), (status, &json!(status)), "{path}: {body}");
        told(&body);
    }
    app.finish([]).await;
}

#[tokio::test]
async fn the_way_to_a_file_tells_browsers_how_to_go_it() {
    let app = TestApp::required().await;
    let link = stored(&app, Some(&token_of(&json!({ "sub": "alice" }), Duration::from_secs(60)))).await;
    let found = fetch(&link, None).await;
    assert_eq!(found.0, 302);
    assert_eq!(found.1["x-content-type-options"], "nosniff");
    assert_eq!(found.1["referrer-policy"], "no-referrer", "the link is a key");
    assert_eq!(found.1["cache-control"], "private, max-age=60");
    assert!(found.2.is_empty());
    app.finish([]).await;
}

#[tokio::test]
async fn a_temporary_link_is_not_kept_past_its_end() {
    // Shorter than what anybody needs to follow it: kept by nobody.
    let switches = Switches { media_address_seconds: 4, ..Switches::default() };
    let app = TestApp::with(Stage { switches, ..Stage::default() }).await;
    let link = stored(&app, None).await;
    let first = fetch(&link, None).await;
    assert_eq!(first.1["cache-control"], "private, max-age=0");
    app.mock.clock().advance(Duration::from_secs(5));
    assert_eq!(fetch(first.location(), None).await.0, 403, "Twilio's link has died");
    leads_to(&link, PNG).await;
    assert_eq!(fetches(&app), 2);
    app.finish([]).await;

    // One that lives longer serves all who come meanwhile, until shortly before.
    let switches = Switches { media_address_seconds: 30, ..Switches::default() };
    let clock = Clock::fixed(Clock::system().now());
    let app = TestApp::with(Stage { switches, clock: Some(clock.clone()), ..Stage::default() }).await;
    let link = stored(&app, None).await;
    let kept_for = async || {
        let told = fetch(&link, None).await.1["cache-control"].to_str().unwrap().to_owned();
        told.strip_prefix("private, max-age=").unwrap().parse::<u64>().unwrap()
    };
    let first = kept_for().await;
    assert!((20..60).contains(&first), "{first}");
    clock.advance(Duration::from_secs(20));
    assert_eq!(kept_for().await, first - 20);
    assert_eq!(fetches(&app), 1);
    app.finish([]).await;
}

#[tokio::test]
async fn a_signed_link_ends_and_the_history_has_a_fresh_one() {
    let clock = Clock::fixed(Clock::system().now());
    let stage = Stage { required: true, clock: Some(clock.clone()), ..Stage::default() };
    let app = TestApp::with(stage).await;
    let week = Duration::from_secs(7 * 24 * 3600);
    let alice = token_of(&json!({ "sub": "alice" }), week);
    let rest = app.rest().with_token(&alice);
    let link = stored(&app, Some(&alice)).await;
    let made = rest.post("/create", &json!({ "participants": ["alice", "bob"] })).await.ok();
    let conversation = made["conversation_sid"].as_str().unwrap();
    let message = json!({ "author": "alice", "media": [link] });
    rest.post(&format!("/{conversation}/send-message"), &message).await.ok();
    leads_to(&link, PNG).await;

    clock.advance(Duration::from_secs(24 * 3600 - 60));
    assert_eq!(fetch(&link, None).await.0, 302, "good for a day at least");
    clock.advance(Duration::from_secs(3600 + 120));
    let ended = fetch(&link, None).await;
    assert_eq!(ended.0, 401);
    told(&ended.json());
    let history = rest.get(&format!("/{conversation}/messages")).await.ok();
    let fresh = history[0]["media"][0].as_str().unwrap();
    assert_ne!(fresh, link);
    leads_to(fresh, PNG).await;
    app.finish([]).await;
}

#[tokio::test]
async fn pictures_are_seen_while_files_are_on_their_way_to_twilio() {
    let settings = Config { twilio_max_concurrency: Some("1".to_owned()), ..Config::default() };
    let app = TestApp::with(Stage { settings, ..Stage::default() }).await;
    let link = stored(&app, None).await;
    app.fault("POST", "/Media$", 1, Action::Hang);
    let uploading = upload(&app, "image", None, reqwest::multipart::Form::new().part("image", file(PNG)));
    let seen = async {
        until("an upload at Twilio", || async { app.mock.faults().waiting().is_empty().then_some(()) }).await;
        fetch(&link, None).await
    };
    let seen = tokio::select! {
        seen = seen => seen,
        _ = uploading => panic!("the upload should hang"),
    };
    assert_eq!(seen.0, 302);
    app.finish([]).await;
}
