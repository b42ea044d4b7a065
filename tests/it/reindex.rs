//! `switchboard reindex`: a lost database is restored from what Twilio has, by the binary as an operator runs it.

use std::collections::BTreeMap;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use switchboard::mock::Action;
use tokio::process::Command;

use crate::messaging::Messaging;
use crate::support::database::on_both;
use crate::support::{TestApp, TestDatabase, soon};

on_both! {
    a_lost_database_is_restored
    a_second_run_changes_nothing
    a_part_is_restored_by_itself
    whoever_twilio_knows_is_found
}

/// Runs `switchboard reindex` with these arguments on `database`.
async fn reindex(app: &TestApp, database: &TestDatabase, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.arg("reindex").args(arguments).env_clear().envs([
        ("DATABASE_URL", database.url.as_str()),
        ("PUBLIC_URL", "http://127.0.0.1:3001"),
        ("JWT_SECRET", crate::support::app::JWT_SECRET),
        ("TWILIO_ACCOUNT_SID", app.mock.account_sid()),
        ("TWILIO_AUTH_TOKEN", app.mock.auth_token()),
        ("TWILIO_API_KEY_SID", app.mock.api_key_sid()),
        ("TWILIO_API_KEY_SECRET", app.mock.api_key_secret()),
        ("TWILIO_CONVERSATIONS_SERVICE_SID", app.mock.service_sid()),
        ("TWILIO_CONVERSATIONS_URL", &app.mock.url()),
        ("TWILIO_MEDIA_URL", &app.mock.url()),
    ]);
    soon("reindex", command.kill_on_drop(true).output()).await.unwrap()
}

/// What it said; it must have succeeded.
async fn reindexed(app: &TestApp, database: &TestDatabase, arguments: &[&str]) -> String {
    let output = reindex(app, database, arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// What can be restored, row by row; times of writing aside.
async fn rows(database: &TestDatabase) -> BTreeMap<&'static str, Vec<Value>> {
    const TABLES: [(&str, &str, &[&str]); 5] = [
        ("people", "identity", &["identity", "name", "image", "bio", "kind", "phone", "nickname_key"]),
        (
            "direct_conversations",
            "unique_name",
            &["unique_name", "conversation_sid", "friendly_name", "person_a", "person_b"],
        ),
        ("messages", "message_sid", &["message_sid", "conversation_sid", "message_index", "author"]),
        (
            "last_messages",
            "conversation_sid",
            &["conversation_sid", "message_index", "message", "known_from"],
        ),
        ("products", "conversation_sid", &["conversation_sid", "message_index", "product_id"]),
    ];
    use sqlx::{AssertSqlSafe, Row};
    let mut connection = database.connection().await;
    let mut tables = BTreeMap::new();
    for (table, key, columns) in TABLES {
        // As text, so that one reading fits all columns.
        let cast: Vec<_> = columns.iter().map(|column| format!("CAST({column} AS TEXT)")).collect();
        let query = format!("SELECT {} FROM {table} ORDER BY {key}", cast.join(", "));
        let found = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
        let row = |row: &sqlx::any::AnyRow| {
            let value = |place: usize| match row.get::<Option<String>, _>(place) {
                // A message: its JSON.
                Some(text) if text.starts_with('{') => serde_json::from_str(&text).unwrap(),
                text => json!(text),
            };
            (0..columns.len()).map(value).collect::<Value>()
        };
        tables.insert(table, found.iter().map(row).collect());
    }
    tables
}

/// What Alice's list shows.
async fn list(app: &TestApp) -> BTreeMap<String, (Value, Value)> {
    let list = app.rest().get("?userId=alice").await.ok();
    let entry = |entry: &Value| {
        let name = entry["friendly_name"].as_str().unwrap().to_owned();
        (name, (entry["last_message"]["body"].clone(), entry["unread_count"].clone()))
    };
    list.as_array().unwrap().iter().map(entry).collect()
}

/// Alice's partners, what each conversation is about, and how many calls that cost.
async fn partners(app: &TestApp) -> (BTreeMap<String, Value>, u32) {
    let list = app.chat("alice").get("/conversations/").await;
    let calls = list.twilio_calls();
    let entry = |entry: &Value| {
        let other = entry["otherUser"]["id"].as_str().unwrap().to_owned();
        (other, json!([entry["conversationId"], entry["productId"]]))
    };
    let list = list.ok();
    (list["conversations"].as_array().unwrap().iter().map(entry).collect(), calls)
}

/// Conversations of all kinds, ten pairs and so many groups; and what people say of themselves and of others.
async fn lived_in(database: TestDatabase, groups: usize) -> TestApp {
    let app = TestApp::on(database).await;
    let rest = app.rest();
    let about_alice = json!({
        "theirs": 1,
        "switchboard": { "bio": "Hi, I'm Alice", "avatar": "https://example.com/a.png", "type": "vip", "phone": "+60123456789" }
    });
    let form = [("FriendlyName", "Alice A."), ("Attributes", &about_alice.to_string())];
    app.elsewhere(Method::POST, "/Users", &[&[("Identity", "alice")], &form[..]].concat()).await;
    app.elsewhere(Method::POST, "/Users/alice", &form).await;
    app.told("onUserUpdated", 1).await;
    for number in 0..10 {
        let other = json!({ "id": format!("person-{number}"), "name": format!("Person {number}"), "image": "https://example.com/p.png" });
        let pair = json!({ "participants": ["alice", other], "friendly_name": format!("Pair {number}") });
        let made = rest.post("/newconversation", &pair).await.ok();
        let conversation = made["conversation_sid"].as_str().unwrap();
        if number % 3 == 0 {
            let product = json!({ "receiverId": format!("person-{number}"), "text": "this?", "productId": format!("p-{number}") });
            app.chat("alice").post("/send/", &product).await.made();
        }
        if number == 9 {
            let added = json!({ "identity": "an-agent" });
            rest.post(&format!("/{conversation}/add-chat-participant"), &added).await.ok();
        }
        for message in 0..number {
            rest.say(conversation, "alice", &format!("mine {message}")).await;
            rest.say(conversation, &format!("person-{number}"), &format!("theirs {message}")).await;
        }
        if number % 2 == 0 {
            rest.post(&format!("/{conversation}/read"), &json!({ "identity": "alice" })).await.ok();
        }
    }
    for number in 0..groups {
        let group =
            json!({ "friendly_name": format!("Group {number}"), "participants": ["alice", "bob", "carol"] });
        let made = rest.post("/create", &group).await.ok();
        let conversation = made["conversation_sid"].as_str().unwrap().to_owned();
        if number % 4 != 0 {
            let said = rest.say(&conversation, "bob", &format!("message {number}")).await;
            let message = format!("/{conversation}/messages/{}", said["message_sid"].as_str().unwrap());
            match number % 4 {
                1 => drop(rest.patch(&message, &json!({ "body": "edited" })).await.ok()),
                2 => drop(rest.delete(&message).await.ok()),
                _ => {}
            }
        }
    }
    app.told("onConversationAdded", 10 + groups).await;
    app
}

async fn a_lost_database_is_restored(database: TestDatabase) {
    let lost = TestDatabase::sqlite();
    let mut app = lived_in(lost.clone(), 40).await;
    let shown = list(&app).await;
    assert_eq!(shown.len(), 50);
    let (pairs, _) = partners(&app).await;
    assert_eq!(pairs.len(), 10);
    assert_eq!(pairs["person-3"][1], "p-3");
    app.stop().await;
    let before = app.asked().len();
    let said = reindexed(&app, &database, &[]).await;
    let calls = app.asked().len() - before;
    assert!(said.contains(&format!("with {calls} Twilio calls")), "{calls} calls, and it says {said}");
    assert!(said.contains("50 conversations, 10 of them the one of a set of people"), "{said}");
    // Users; conversations, counted and read; participants and messages of each.
    assert!(calls <= 3 + 2 * 50, "{calls}");
    let (lost, restored) = (rows(&lost).await, rows(&database).await);
    for (table, lost) in lost {
        // Of whom nothing is known but that Twilio has them is somebody to be found from now on.
        let restored = restored[table].iter().filter(|row| table != "people" || lost.contains(row));
        assert_eq!(restored.cloned().collect::<Vec<_>>(), lost, "{table}");
    }

    app.start_on(database).await;
    let before = app.asked().len();
    assert_eq!(list(&app).await, shown);
    assert_eq!(app.asked_since(before), ["GET /Users/alice/Conversations"]);
    assert_eq!(partners(&app).await, (pairs, 0), "no roster, no history");
    let pair = json!({ "participants": ["person-3", "alice"] });
    let before = app.asked().len();
    assert_eq!(app.rest().post("/newconversation", &pair).await.ok()["existing"], true);
    assert_eq!(app.asked().len() - before, 1, "its history");
    app.finish([]).await;
}

async fn whoever_twilio_knows_is_found(database: TestDatabase) {
    let mut app = TestApp::on(TestDatabase::sqlite()).await;
    app.conversation(&["alice", "nameless"]).await;
    let (guest_id, _) = crate::support_dialect::Api::of(&app).guest().await;
    app.stop().await;
    reindexed(&app, &database, &["--only", "people"]).await;
    app.start_on(database).await;
    let found = Messaging::of(&app, "alice").get("/users/suggestions").await.ok();
    let found: Vec<_> = found["suggestions"].as_array().unwrap().iter().map(|user| &user["id"]).collect();
    assert_eq!(found, ["nameless"], "not the guest {guest_id}");
    app.finish([]).await;
}

async fn a_second_run_changes_nothing(database: TestDatabase) {
    let mut app = lived_in(database.clone(), 4).await;
    // Beside the service.
    reindexed(&app, &database, &["--concurrency", "50"]).await;
    let first = rows(&database).await;
    reindexed(&app, &database, &["--concurrency", "1"]).await;
    assert_eq!(rows(&database).await, first);
    let shown = list(&app).await;
    app.restart().await;
    assert_eq!(list(&app).await, shown);
    app.finish([]).await;
}

async fn a_part_is_restored_by_itself(database: TestDatabase) {
    let mut app = lived_in(TestDatabase::sqlite(), 4).await;
    app.stop().await;
    let filled = async || {
        let rows = rows(&database).await;
        ["people", "direct_conversations", "messages", "last_messages", "products"]
            .map(|table| !rows[table].is_empty())
    };
    let before = app.asked().len();
    reindexed(&app, &database, &["--only", "people"]).await;
    assert_eq!(app.asked_since(before), ["GET /Users"]);
    assert_eq!(filled().await, [true, false, false, false, false]);
    reindexed(&app, &database, &["--only", "messages"]).await;
    assert_eq!(filled().await, [true, false, true, true, true]);
    reindexed(&app, &database, &["--only", "conversations", "--only", "messages"]).await;
    assert_eq!(filled().await, [true; 5]);
    app.finish([]).await;
}

#[tokio::test]
async fn a_run_that_is_cut_short_says_where_to_go_on() {
    let app = TestApp::without_webhooks().await;
    let mut sids = Vec::new();
    for number in 0..230 {
        let name = format!("group_{number}");
        let made = app.elsewhere(Method::POST, "/Conversations", &[("UniqueName", &name)]).await;
        sids.push(made["sid"].as_str().unwrap().to_owned());
    }
    let database = TestDatabase::sqlite();
    // Newest first, a hundred on a page: on the second. A refusal is no reason for patience.
    let refused = Action::Status { status: 403, retry_after: None, html: false };
    app.fault("GET", &format!("{}/Participants", sids[100]), 1, refused);
    let output = reindex(&app, &database, &[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    let (_, cursor) = said.split_once("go on with: switchboard reindex --from '").unwrap();
    let (cursor, _) = cursor.split_once('\'').unwrap();
    let known = rows(&database).await["last_messages"].len();
    assert!((100..200).contains(&known), "{known}");
    let said = reindexed(&app, &database, &["--from", cursor]).await;
    assert!(said.contains("130 conversations"), "{said}");
    assert_eq!(rows(&database).await["last_messages"].len(), 230);
    app.finish([]).await;
}

#[tokio::test]
async fn twilio_that_is_busy_is_waited_for() {
    let mut app = lived_in(TestDatabase::sqlite(), 4).await;
    app.stop().await;
    let database = TestDatabase::sqlite();
    app.fault("GET", "/Messages", 8, Action::Status { status: 429, retry_after: Some(1), html: false });
    reindexed(&app, &database, &["--only", "messages"]).await;
    assert_eq!(rows(&database).await["last_messages"].len(), 14);
    app.finish([]).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_words_that_name_the_cure() {
    let app = TestApp::start().await;
    let failed = async |database: &TestDatabase, arguments: &[&str]| {
        let output = reindex(&app, database, arguments).await;
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let database = TestDatabase::sqlite();
    let said = failed(&database, &["--from", "nonsense"]).await;
    assert!(said.contains("from is not what an earlier run said"), "{said}");
    let said = failed(&database, &["--concurrency", "51"]).await;
    assert!(said.contains("--concurrency"), "{said}");
    let mut nowhere = database.clone();
    nowhere.url = "postgres://127.0.0.1:1/chat".to_owned();
    let said = failed(&nowhere, &[]).await;
    assert!(said.contains("DATABASE_URL") && said.contains("is it running"), "{said}");
    app.finish([]).await;
}
