//! Twilio's reports as Twilio posts them: who is believed, what is told to sockets, what a repeat, a delay or disorder does.

use std::fmt::Write as _;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use switchboard::clock::Clock;
use switchboard::config::Config;
use switchboard::core::Inbound;
use switchboard::server;
use switchboard::twilio::{self, sign_form};

use crate::support::app::Stage;
use crate::support::webhook::{Webhook, ago};
use crate::support::{Socket, TestApp, soon};

/// Alice and Bob in a conversation, Bob in its room, nothing said yet; Twilio tells only what the test tells.
struct Scene {
    app: TestApp,
    conversation: String,
    bob: Socket,
}

impl Scene {
    async fn start() -> Self {
        let app = TestApp::without_webhooks().await;
        let conversation = app.conversation(&["alice", "bob"]).await;
        let bob = app.room(&conversation, &["bob"]).await.remove(0);
        Self { app, conversation, bob }
    }

    /// A sample about this conversation, of this moment.
    fn sample(&self, name: &str) -> Webhook {
        Webhook::sample(&format!("webhook_{name}.form"), &self.app.mock)
            .with("ConversationSid", &self.conversation)
            .with("DateCreated", &ago(TimeDelta::zero()))
    }

    /// `onMessageAdded` of the message at `index`, whose body is its index.
    fn message(&self, index: u32) -> Webhook {
        self.sample("onMessageAdded")
            .with("MessageSid", &message_sid(index))
            .with("Index", &index.to_string())
            .with("Body", &index.to_string())
    }

    /// Posts JSON or a form with a signature, to the path Twilio knows.
    async fn status_of(&self, body: String, signature: &str) -> u16 {
        self.app.post_webhook(body, signature, None).await.status().as_u16()
    }

    fn signature(&self, webhook: &Webhook) -> String {
        sign_form(self.app.mock.auth_token(), &self.app.webhook_url(), &webhook.0)
    }

    async fn finish(self) {
        self.app.finish([self.bob]).await;
    }
}

fn message_sid(index: u32) -> String {
    format!("IM{index:032x}")
}

#[tokio::test]
async fn every_kind_of_report_is_taken_when_it_is_signed_and_writes_nothing() {
    let mut app = TestApp::without_webhooks().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/twilio/webhooks");
    let mut taken = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        app.tell(&Webhook::sample(&name, &app.mock)).await;
        taken += 1;
    }
    assert!(taken >= 30, "{taken}");
    // All of them, to the end. What a report made us write would be reported, and so on without end.
    app.restart().await;
    assert_eq!(app.writes(), 0, "taking a report in writes nothing to Twilio");
    app.finish([]).await;
}

#[tokio::test]
async fn what_twilio_did_not_sign_is_refused() {
    let scene = Scene::start().await;
    let genuine = scene.message(0);
    let url = scene.app.webhook_url();
    let token = scene.app.mock.auth_token();
    let forged = [
        ("", "no signature"),
        (&sign_form("another token", &url, &genuine.0), "another's token"),
        (&sign_form(token, &url.replace("/webhooks", "/elsewhere"), &genuine.0), "for another address"),
        (&sign_form(token, &format!("{url}?x=1"), &genuine.0), "for another query"),
        (&sign_form(token, &url, &scene.message(1).0), "of another report"),
        (&sign_form(token, &url, &[("", "")]), "of no report"),
    ];
    for (signature, what) in forged {
        assert_eq!(scene.status_of(genuine.body(), signature).await, 403, "{what}");
    }
    let padded = format!("{}&Body=more", genuine.body());
    assert_eq!(scene.status_of(padded, &scene.signature(&genuine)).await, 403, "something was added");
    scene.finish().await;
}

#[tokio::test]
async fn reports_of_another_account_or_service_are_refused_though_signed() {
    let scene = Scene::start().await;
    let foreign = [
        ("AccountSid", format!("AC{}", "9".repeat(32))),
        ("ChatServiceSid", format!("IS{}", "9".repeat(32))),
    ];
    for (field, sid) in foreign {
        let webhook = scene.message(0).with(field, &sid);
        assert_eq!(scene.status_of(webhook.body(), &scene.signature(&webhook)).await, 403, "{field}");
    }
    // Older deliveries do not say which service: the account alone decides.
    let mut older = scene.message(0);
    older.0.retain(|(name, _)| name != "ChatServiceSid");
    let foreign = older.clone().with("AccountSid", &format!("AC{}", "9".repeat(32)));
    assert_eq!(scene.status_of(foreign.body(), &scene.signature(&foreign)).await, 403);
    assert_eq!(scene.status_of(older.body(), &scene.signature(&older)).await, 200);
    let Scene { app, mut bob, .. } = scene;
    assert_eq!(bob.hears_message().await, "0");
    app.finish([bob]).await;
}

#[tokio::test]
async fn while_the_auth_token_is_rotated_reports_are_signed_with_either() {
    const NEXT: &str = "the-auth-token-that-comes-next-0";
    let settings = Config { twilio_auth_token_secondary: Some(NEXT.into()), ..Config::default() };
    let app = TestApp::with(Stage { silent: true, settings, ..Stage::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut bob = app.room(&conversation, &["bob"]).await.remove(0);
    for (index, (token, status)) in
        [(app.mock.auth_token(), 200), (NEXT, 200), ("the-auth-token-of-somebody-else0", 403)]
            .into_iter()
            .enumerate()
    {
        let report = Webhook::sample("webhook_onMessageAdded.form", &app.mock)
            .with("ConversationSid", &conversation)
            .with("DateCreated", &ago(TimeDelta::zero()))
            .with("MessageSid", &message_sid(u32::try_from(index).unwrap()))
            .with("Index", &index.to_string());
        let signature = sign_form(token, &app.webhook_url(), &report.0);
        assert_eq!(app.post_webhook(report.body(), &signature, None).await.status(), status, "{index}");
        if status == 200 {
            assert_eq!(bob.hears("new_message").await["message"]["index"], index);
        }
    }
    app.finish([bob]).await;
}

#[tokio::test]
async fn a_report_that_comes_to_two_nodes_at_once_is_told_to_each_socket_once() {
    let scene = Scene::start().await;
    let node = scene.app.node().await;
    let mut alice = node.room(&scene.conversation, &["alice"]).await.remove(0);
    for index in 0..3 {
        let report = scene.message(index);
        let (here, there) = (scene.app.tell(&report), node.tell(&report));
        tokio::join!(here, there, scene.app.tell(&report), node.tell(&report));
    }
    let Scene { app, mut bob, .. } = scene;
    for index in 0..3 {
        assert_eq!(bob.hears_message().await, index.to_string());
        assert_eq!(alice.hears_message().await, index.to_string());
    }
    node.finish([alice]).await;
    app.finish([bob]).await;
}

#[tokio::test]
async fn signed_nonsense_is_a_bad_request() {
    let scene = Scene::start().await;
    for (field, value) in [
        ("EventType", ""),
        ("Index", "one"),
        ("ConversationSid", "CHx"),
        ("DateCreated", "yesterday"),
        ("Media", "["),
    ] {
        let webhook = scene.message(0).with(field, value);
        assert_eq!(scene.status_of(webhook.body(), &scene.signature(&webhook)).await, 400, "{field}");
    }
    scene.finish().await;
}

#[tokio::test]
async fn only_posts_of_up_to_128_kib_are_read() {
    let scene = Scene::start().await;
    let got = soon("a GET", reqwest::get(scene.app.webhook_url())).await.unwrap();
    assert_eq!(got.status(), 405);
    let webhook = scene.message(0);
    let largest = |bytes: usize| {
        let rest = bytes - webhook.clone().with("Body", "").body().len();
        webhook.clone().with("Body", &"x".repeat(rest))
    };
    let fits = largest(128 * 1024);
    assert_eq!(fits.body().len(), 128 * 1024);
    assert_eq!(scene.status_of(fits.body(), &scene.signature(&fits)).await, 200);
    let too_large = largest(128 * 1024 + 1);
    assert_eq!(scene.status_of(too_large.body(), &scene.signature(&too_large)).await, 413);
    let Scene { app, mut bob, .. } = scene;
    bob.hears("new_message").await;
    app.finish([bob]).await;
}

#[tokio::test]
async fn the_longest_message_fits_whatever_its_script() {
    let mut scene = Scene::start().await;
    let longest = "я".repeat(16 * 1024);
    let webhook = scene.message(0).with("Body", &longest);
    assert!(webhook.body().len() > 96 * 1024, "every byte of it is written as three");
    assert_eq!(scene.status_of(webhook.body(), &scene.signature(&webhook)).await, 200);
    assert_eq!(scene.bob.hears_message().await, longest);
    scene.finish().await;
}

#[tokio::test]
async fn json_is_taken_when_the_signed_address_carries_its_hash() {
    let mut scene = Scene::start().await;
    let fields: serde_json::Map<String, Value> =
        scene.message(0).0.into_iter().map(|(name, value)| (name, json!(value))).collect();
    let body = Value::Object(fields).to_string();
    let hash = Sha256::digest(&body).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let send = async |query: &str, body: String| {
        let nothing: [(&str, &str); 0] = [];
        let url = format!("{}{query}", scene.app.webhook_url());
        let signature = sign_form(scene.app.mock.auth_token(), &url, &nothing);
        let path = format!("{}{query}", switchboard::webhooks::PATH);
        let request = scene.app.signed_post(&path, "application/json", body, &signature);
        #[expect(clippy::disallowed_methods, reason = "Twilio's part, not a call to Twilio")]
        soon("a webhook", request.send()).await.unwrap().status().as_u16()
    };
    assert_eq!(send(&format!("?bodySHA256={hash}"), body.replace("alice", "carol")).await, 403);
    assert_eq!(send("", body.clone()).await, 403, "without the hash anything could be in the body");
    assert_eq!(send(&format!("?bodySHA256={hash}"), body).await, 200);
    assert_eq!(scene.bob.hears_message().await, "0");
    scene.finish().await;
}

#[tokio::test]
async fn the_signed_address_is_the_public_one() {
    for public in
        ["https://chat.example.com:8443/team/a", "https://chat.example.com/team/a/", "http://localhost"]
    {
        let app = TestApp::with(Stage { silent: true, public_url: Some(public), ..Stage::default() }).await;
        let webhook = Webhook::sample("webhook_onMessageAdded.form", &app.mock);
        let known = format!("{}/webhooks/twilio", public.trim_end_matches('/'));
        let signature = sign_form(app.mock.auth_token(), &known, &webhook.0);
        assert_eq!(app.post_webhook(webhook.body(), &signature, None).await.status(), 200, "{public}");
        let local = sign_form(app.mock.auth_token(), &app.webhook_url(), &webhook.0);
        assert_eq!(app.post_webhook(webhook.body(), &local, None).await.status(), 403, "{public}");
        app.finish([]).await;
    }
}

#[tokio::test]
async fn a_report_that_comes_twice_is_told_once() {
    let mut scene = Scene::start().await;
    let webhook = scene.message(0);
    let signature = scene.signature(&webhook);
    for token in [Some("token-1"), Some("token-1"), Some("token-2"), None] {
        let answer = scene.app.post_webhook(webhook.body(), &signature, token).await;
        assert_eq!(answer.status(), 200, "{token:?}");
    }
    scene.app.tell(&scene.message(1)).await;
    assert_eq!(scene.bob.hears_message().await, "0");
    assert_eq!(scene.bob.hears_message().await, "1");
    assert_eq!(scene.app.rest().history(&scene.conversation).await, ["0", "1"]);
    scene.finish().await;
}

#[tokio::test]
async fn the_report_of_our_own_message_is_no_second_message() {
    let mut scene = Scene::start().await;
    let sent = scene.app.rest().say(&scene.conversation, "alice", "0").await;
    let echo =
        scene.message(0).with("MessageSid", sent["message_sid"].as_str().unwrap()).with("Source", "API");
    scene.app.tell(&echo).await;
    scene.app.tell(&scene.message(1)).await;
    assert_eq!(scene.bob.hears("new_message").await["message"]["sid"], sent["message_sid"]);
    assert_eq!(scene.bob.hears_message().await, "1");
    scene.finish().await;
}

#[tokio::test]
async fn messages_are_told_in_twilios_order_and_a_hole_only_delays() {
    let mut scene = Scene::start().await;
    for index in [0, 2, 3, 1] {
        scene.app.tell(&scene.message(index)).await;
    }
    for index in 0..4 {
        assert_eq!(scene.bob.hears_message().await, index.to_string());
    }
    scene.app.tell(&scene.message(5)).await;
    assert_eq!(scene.bob.hears_message().await, "5");
    assert_eq!(scene.app.rest().history(&scene.conversation).await, ["0", "1", "2", "3", "5"]);
    // Later than anybody waits.
    scene.app.tell(&scene.message(4)).await;
    assert_eq!(scene.bob.hears("new_message").await["message"]["index"], 4);
    assert_eq!(scene.app.rest().history(&scene.conversation).await, ["0", "1", "2", "3", "4", "5"]);
    scene.finish().await;
}

#[tokio::test]
async fn an_edit_is_told_once_and_an_older_one_not_at_all() {
    let mut scene = Scene::start().await;
    scene.app.tell(&scene.message(0)).await;
    scene.bob.hears("new_message").await;
    let edit = |body: &str, seconds: i64| {
        scene
            .sample("onMessageUpdated")
            .with("MessageSid", &message_sid(0))
            .with("Index", "0")
            .with("Body", body)
            .with("DateUpdated", &ago(TimeDelta::seconds(-seconds)))
    };
    let (newest, older) = (edit("second edit", 20), edit("first edit", 10));
    scene.app.tell(&newest).await;
    scene.app.tell(&newest).await;
    scene.app.tell(&older).await;
    scene.app.tell(&scene.message(1)).await;
    let told = scene.bob.hears("message_updated").await;
    assert_eq!(told["message"]["body"], "second edit");
    assert_eq!(told["message"]["sid"], message_sid(0));
    assert_eq!(scene.bob.hears_message().await, "1");
    assert_eq!(scene.app.rest().history(&scene.conversation).await, ["second edit", "1"]);
    scene.finish().await;
}

#[tokio::test]
async fn a_message_whose_edit_was_told_first_appears_once_and_edited() {
    let mut scene = Scene::start().await;
    let edit = scene
        .sample("onMessageUpdated")
        .with("MessageSid", &message_sid(0))
        .with("Index", "0")
        .with("Body", "edited")
        .with("DateUpdated", &ago(TimeDelta::seconds(-10)));
    scene.app.tell(&edit).await;
    scene.app.tell(&scene.message(0)).await;
    scene.app.tell(&scene.message(0)).await;
    scene.app.tell(&scene.message(1)).await;
    scene.bob.hears("message_updated").await;
    assert_eq!(scene.bob.hears_message().await, "edited");
    assert_eq!(scene.bob.hears_message().await, "1");
    assert_eq!(scene.app.rest().history(&scene.conversation).await, ["edited", "1"]);
    scene.finish().await;
}

#[tokio::test]
async fn a_report_about_an_unknown_conversation_is_taken_and_asks_nobody() {
    let scene = Scene::start().await;
    let before = scene.app.asked().len();
    let elsewhere = format!("CH{}", "9".repeat(32));
    for name in ["onMessageAdded", "onParticipantAdded_chat", "onMessageRemoved", "onConversationUpdated"] {
        scene.app.tell(&scene.sample(name).with("ConversationSid", &elsewhere)).await;
    }
    assert_eq!(scene.app.asked_since(before), Vec::<String>::new());
    scene.finish().await;
}

/// On one thread, on which nothing else runs as long as the test does not wait.
#[tokio::test]
async fn of_more_reports_than_can_wait_the_rest_is_refused() {
    let app = TestApp::without_webhooks().await;
    let config = Config { database_url: Some("sqlite::memory:".to_owned()), ..Config::default() };
    let core = server::core(&app.dev(config), Clock::system()).await.unwrap();
    let inbound = Inbound::start(core.clone());
    let report = Webhook::sample("webhook_onMessageAdded.form", &app.mock);
    let report = || twilio::parse(None, report.body().as_bytes()).unwrap();
    let taken = (0..2_000).take_while(|_| inbound.push(report(), None).is_ok()).count();
    assert_eq!(taken, 1_024);
    inbound.drained().await;
    inbound.push(report(), None).expect("there is room again");
    inbound.drained().await;
    core.close().await;
    app.finish([]).await;
}

#[tokio::test]
async fn a_message_whose_removal_was_told_first_never_appears() {
    let mut scene = Scene::start().await;
    let removed = scene.sample("onMessageRemoved").with("MessageSid", &message_sid(0)).with("Index", "0");
    scene.app.tell(&removed).await;
    scene.app.tell(&removed).await;
    scene.app.tell(&scene.message(0)).await;
    scene.app.tell(&scene.message(1)).await;
    assert_eq!(scene.bob.hears("message_deleted").await["messageSid"], message_sid(0));
    assert_eq!(scene.bob.hears_message().await, "1");
    assert_eq!(scene.app.rest().history(&scene.conversation).await, ["1"]);
    scene.finish().await;
}

#[tokio::test]
async fn an_old_message_is_no_news_but_history() {
    let mut scene = Scene::start().await;
    scene.app.tell(&scene.message(0).with("DateCreated", &ago(TimeDelta::hours(2)))).await;
    scene.app.tell(&scene.message(1)).await;
    assert_eq!(scene.bob.hears_message().await, "1");
    assert_eq!(scene.app.rest().history(&scene.conversation).await, ["0", "1"]);
    scene.finish().await;
}

#[tokio::test]
async fn an_old_report_that_somebody_replays_lets_nobody_in() {
    let app = TestApp::with(Stage { required: true, silent: true, ..Stage::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let mut mallory = app.socket_as("mallory").await;
    let replayed = |name: &str| {
        Webhook::sample(&format!("webhook_{name}.form"), &app.mock)
            .with("ConversationSid", &conversation)
            .with("ParticipantSid", "MB000000000000000000000000000000c1")
            .with("Identity", "mallory")
            .with("DateCreated", &ago(TimeDelta::days(3)))
            .with("DateUpdated", &ago(TimeDelta::days(3)))
    };
    for name in ["onParticipantAdded_chat", "onParticipantUpdated"] {
        app.tell(&replayed(name)).await;
        // Reports are taken in beside the answer; one about something else, of now, shows that these have been.
        let renamed = Webhook::sample("webhook_onConversationUpdated.form", &app.mock)
            .with("ConversationSid", &conversation)
            .with("FriendlyName", name)
            .with("DateUpdated", &ago(TimeDelta::seconds(-60)));
        app.tell(&renamed).await;
        let joining = json!({ "conversationSid": conversation, "identity": "mallory" });
        mallory.emit("join_conversation", &joining).await;
        assert_eq!(mallory.hears("joined_conversation").await["success"], false, "{name}");
        let members = app.rest_as("alice").participants(&conversation).await;
        assert_eq!(members, ["alice", "bob"], "{name}");
    }
    app.finish([mallory]).await;
}

#[tokio::test]
async fn an_old_change_that_somebody_replays_changes_nothing() {
    let mut scene = Scene::start().await;
    let sent = scene.app.rest().say(&scene.conversation, "alice", "0").await;
    scene.bob.hears("new_message").await;
    let days_ago = ago(TimeDelta::days(3));
    let edited = scene
        .sample("onMessageUpdated")
        .with("MessageSid", sent["message_sid"].as_str().unwrap())
        .with("Index", "0")
        .with("Body", "of old")
        .with("DateUpdated", &days_ago);
    let renamed =
        scene.sample("onConversationUpdated").with("FriendlyName", "Of old").with("DateUpdated", &days_ago);
    // Unknown here, as after a restart.
    scene.app.restart().await;
    let bob = scene.app.room(&scene.conversation, &["bob"]).await.remove(0);
    scene.bob = bob;
    scene.app.tell(&edited).await;
    scene.app.tell(&renamed).await;
    scene.app.tell(&scene.message(1)).await;
    assert_eq!(scene.bob.hears_message().await, "1");
    assert_eq!(scene.app.rest().history(&scene.conversation).await.first().unwrap(), "0");
    scene.finish().await;
}

#[tokio::test]
async fn what_happens_elsewhere_is_told_in_the_documents_events() {
    let mut scene = Scene::start().await;
    let update = |told: Value| told["update"].clone();

    scene.app.tell(&scene.sample("onMessageAdded_sms").with("Index", "0")).await;
    let told = scene.bob.hears("new_message").await;
    assert_eq!((&told["message"]["author"], &told["message"]["index"]), (&json!("+15558675310"), &json!(0)));

    scene
        .app
        .tell(&scene.sample("onMessageAdded_media").with("MessageSid", &message_sid(77)).with("Index", "1"))
        .await;
    let told = scene.bob.hears("new_message").await;
    assert_eq!(told["message"]["media"], json!(["ME00000000000000000000000000000001"]));
    let link = told["message"]["media_urls"][0].as_str().unwrap();
    assert_eq!(link, format!("http://{}/media/ME00000000000000000000000000000001", scene.app.address));

    let delivered = scene.sample("onDeliveryUpdated");
    scene.app.tell(&delivered).await;
    scene.app.tell(&delivered).await;
    let told = scene.bob.hears("message_status").await;
    assert_eq!((&told["status"], &told["errorCode"]), (&json!("delivered"), &json!(0)));
    scene.app.tell(&scene.sample("onDeliveryUpdated_undelivered")).await;
    let told = scene.bob.hears("message_status").await;
    assert_eq!((&told["status"], &told["errorCode"]), (&json!("undelivered"), &json!(30003)));

    let carol = "MB000000000000000000000000000000c1";
    let added =
        scene.sample("onParticipantAdded_chat").with("Identity", "carol").with("ParticipantSid", carol);
    scene.app.tell(&added).await;
    let expected = json!({ "event": "participant_added", "participant_sid": carol, "identity": "carol" });
    assert_eq!(update(scene.bob.hears("conversation_updated").await), expected);

    let read = scene
        .sample("onParticipantUpdated")
        .with("Identity", "carol")
        .with("ParticipantSid", carol)
        .with("DateUpdated", &ago(TimeDelta::zero()))
        .with("LastReadMessageIndex", "1");
    scene.app.tell(&read).await;
    let told = scene.bob.hears("message_read").await;
    assert_eq!((&told["identity"], &told["lastReadMessageIndex"]), (&json!("carol"), &json!(1)));

    let online =
        scene.sample("onUserUpdated").with("Identity", "carol").with("DateUpdated", &ago(TimeDelta::zero()));
    scene.app.tell(&online).await;
    let told = scene.bob.hears("user_status_changed").await;
    assert_eq!((&told["identity"], &told["status"]["online"]), (&json!("carol"), &json!(true)));

    let removed =
        scene.sample("onParticipantRemoved").with("Identity", "carol").with("ParticipantSid", carol);
    scene.app.tell(&removed).await;
    let expected = json!({ "event": "participant_removed", "participant_sid": carol, "identity": "carol" });
    assert_eq!(update(scene.bob.hears("conversation_updated").await), expected);

    let renamed = scene
        .sample("onConversationUpdated")
        .with("FriendlyName", "Renamed elsewhere")
        .with("DateUpdated", &ago(TimeDelta::seconds(-5)));
    scene.app.tell(&renamed).await;
    scene.app.tell(&renamed).await;
    let expected = json!({ "event": "updated", "friendly_name": "Renamed elsewhere" });
    assert_eq!(update(scene.bob.hears("conversation_updated").await), expected);

    let closed =
        scene.sample("onConversationStateUpdated").with("StateUpdated", &ago(TimeDelta::seconds(-6)));
    scene.app.tell(&closed).await;
    let expected = json!({ "event": "state_changed", "state": "closed" });
    assert_eq!(update(scene.bob.hears("conversation_updated").await), expected);

    let deleted = scene.sample("onConversationRemoved");
    scene.app.tell(&deleted).await;
    scene.app.tell(&deleted).await;
    assert_eq!(update(scene.bob.hears("conversation_updated").await), json!({ "event": "deleted" }));
    scene.finish().await;
}

#[tokio::test]
async fn a_text_message_and_a_message_of_twilios_sdk_reach_the_room() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let phone = json!({ "phone_number": "+15551230001" });
    app.rest().post(&format!("/{conversation}/add-sms-participant"), &phone).await.ok();
    let mut sockets = app.room(&conversation, &["alice", "bob"]).await;
    app.other_side("inbound-sms", &json!({ "from": "+15551230001", "body": "by text" })).await;
    let sdk = json!({ "conversation_sid": conversation, "identity": "alice", "body": "by SDK" });
    app.other_side("sdk-message", &sdk).await;
    for socket in &mut sockets {
        assert_eq!(socket.hears_message().await, "by text");
        assert_eq!(socket.hears_message().await, "by SDK");
    }
    app.finish(sockets).await;
}

#[tokio::test]
async fn whoever_was_removed_is_not_brought_back_by_a_late_report() {
    let app = TestApp::with(Stage { silent: true, required: true, ..Stage::default() }).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let added = app
        .rest_as("alice")
        .post(&format!("/{conversation}/add-chat-participant"), &json!({ "identity": "carol" }))
        .await
        .ok();
    let about_carol = |name: &str| {
        Webhook::sample(&format!("webhook_{name}.form"), &app.mock)
            .with("ConversationSid", &conversation)
            .with("ParticipantSid", added["participant_sid"].as_str().unwrap())
            .with("Identity", "carol")
    };
    let path = format!("/{conversation}/messages");
    app.rest_as("carol").get(&path).await.ok();
    app.rest_as("alice").delete(&format!("/{conversation}/participants/carol")).await.ok();
    app.rest_as("carol").get(&path).await.refused(403);
    for late in ["onParticipantAdded_chat", "onParticipantUpdated"] {
        app.tell(&about_carol(late).with("DateUpdated", &ago(TimeDelta::zero()))).await;
        // Reports are worked off in order: once this one is, so is the late one.
        let marker = Webhook::sample("webhook_onMessageAdded.form", &app.mock)
            .with("ConversationSid", &conversation)
            .with("MessageSid", &message_sid(u32::try_from(late.len()).unwrap()));
        app.tell(&marker).await;
        app.rest_as("carol").get(&path).await.refused(403);
        assert_eq!(app.rest_as("carol").get("").await.ok(), json!([]), "after {late}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_late_report_of_joining_does_not_unread_what_was_read() {
    let app = TestApp::without_webhooks().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    app.rest().say(&conversation, "alice", "read this").await;
    let unread = async || app.rest().get("?userId=bob").await.ok()[0]["unread_count"].clone();
    assert_eq!(unread().await, 1);
    app.rest().post(&format!("/{conversation}/read"), &json!({ "identity": "bob" })).await.ok();
    assert_eq!(unread().await, 0);
    let participants = app.rest().get(&format!("/{conversation}/participants")).await.ok();
    let bob = participants.as_array().unwrap().iter().find(|one| one["identity"] == "bob").unwrap();
    let late = Webhook::sample("webhook_onParticipantAdded_chat.form", &app.mock)
        .with("ConversationSid", &conversation)
        .with("ParticipantSid", bob["participant_sid"].as_str().unwrap());
    app.tell(&late).await;
    app.tell(&late).await;
    assert_eq!(unread().await, 0);
    app.finish([]).await;
}
