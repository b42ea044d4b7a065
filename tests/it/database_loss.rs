//! The database goes away: people go on talking, what needs the database says so at once, and all comes back by itself.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::contacts::{ALI, Contacts, contact};
use crate::support::webhook::Webhook;
use crate::support::{Socket, TestApp, TestDatabase, soon, until};

/// What people notice of a database that is away: the first who asks waits for it, the others do not.
const UNNOTICED: Duration = Duration::from_millis(900);

#[expect(clippy::disallowed_methods, reason = "an operator's look at the service")]
async fn readiness(app: &TestApp) -> (u16, String) {
    let answer = app.http.get(format!("http://{}/readyz", app.address)).send();
    let answer = soon("readiness", answer).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn is_away(app: &TestApp) {
    until("the loss of the database", || async {
        (readiness(app).await == (503, "the database does not answer\n".to_owned())).then_some(())
    })
    .await;
}

async fn is_back(app: &TestApp) {
    until("the database", || async { (readiness(app).await.0 == 200).then_some(()) }).await;
}

/// A conversation and what was said in it.
struct Scene {
    app: TestApp,
    conversation: String,
    sockets: Vec<Socket>,
    said: usize,
}

impl Scene {
    async fn on(database: TestDatabase) -> Self {
        let app = TestApp::on(database).await;
        let conversation = app.conversation(&["alice", "bob"]).await;
        let sockets = app.room(&conversation, &["alice", "bob"]).await;
        let mut scene = Self { app, conversation, sockets, said: 0 };
        scene.goes_on().await;
        scene
    }

    /// Alice adds a contact, which nothing but the database can hold: what the answer's code is.
    async fn adds_a_contact(&self) -> u16 {
        let began = Instant::now();
        let answer = Contacts::of(&self.app, "alice").add(&contact(ALI)).await;
        if answer.code != 201 {
            answer.refused(503);
            assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
            assert!(began.elapsed() < UNNOTICED, "{:?}", began.elapsed());
        }
        answer.code
    }

    /// Twilio, which waits for an answer, is answered in time, however many reports come.
    async fn takes_reports_in_time(&self) {
        for number in 0..20 {
            let elsewhere = format!("CH{number:032}");
            let report = Webhook::sample("webhook_onConversationUpdated.form", &self.app.mock)
                .with("ConversationSid", &elsewhere);
            let began = Instant::now();
            self.app.tell(&report).await;
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
    }

    /// Bob says something, a new pair meets, and lists are read, as if nothing were missing.
    async fn goes_on(&mut self) {
        let rest = self.app.rest();
        let mut took = Vec::new();
        for _ in 0..5 {
            let id = format!("id-{}", self.said);
            let message = json!({ "author": "bob", "body": id, "clientMessageId": id });
            let began = Instant::now();
            rest.post(&format!("/{}/send-message", self.conversation), &message).await.ok();
            took.push(began.elapsed());
            for socket in &mut self.sockets {
                assert_eq!(socket.hears("new_message").await["message"]["body"], id);
            }
            self.said += 1;
        }
        took.sort_unstable();
        // One of them may have been the first.
        assert!(took[3] < UNNOTICED, "{took:?}");
        let pair = json!({ "participants": ["alice", format!("carol-{}", self.said)] });
        assert_eq!(rest.post("/newconversation", &pair).await.ok()["existing"], false);
        let entry = self.entry().await;
        assert_eq!(entry["last_message"]["body"], format!("id-{}", self.said - 1));
        assert_eq!(rest.history(&self.conversation).await.len(), self.said);
    }

    /// The conversation in Alice's list.
    async fn entry(&self) -> Value {
        let list = self.app.rest().get("?userId=alice").await.ok();
        let mut entries = list.as_array().unwrap().iter();
        entries.find(|entry| entry["sid"] == self.conversation).unwrap().clone()
    }

    /// What was said meanwhile is in the database: after a restart a list needs nothing but the memberships.
    async fn ends_whole(mut self) {
        drop(self.sockets.drain(..));
        self.app.restart().await;
        let before = self.app.asked().len();
        assert_eq!(self.entry().await["unread_count"], self.said);
        assert_eq!(self.app.asked_since(before), ["GET /Users/alice/Conversations"]);
        let repeated = json!({ "author": "bob", "body": "id-0", "clientMessageId": "id-0" });
        self.app.rest().post(&format!("/{}/send-message", self.conversation), &repeated).await.ok();
        assert_eq!(self.app.stored(&self.conversation).await.len(), self.said);
        self.app.finish([]).await;
    }
}

#[tokio::test]
async fn a_postgres_that_stops_and_starts_again_is_hardly_noticed() {
    let (Some(database), Ok(server)) =
        (TestDatabase::fragile().await, std::env::var("TEST_POSTGRES_FRAGILE"))
    else {
        return;
    };
    let server = async |act: &str| {
        let done = Command::new(&server).arg(act).status();
        assert!(soon(act, done).await.unwrap().success(), "{act}");
    };
    let mut scene = Scene::on(database).await;
    server("stop").await;
    is_away(&scene.app).await;
    scene.takes_reports_in_time().await;
    scene.goes_on().await;
    assert_eq!(scene.adds_a_contact().await, 503);
    server("start").await;
    is_back(&scene.app).await;
    scene.goes_on().await;
    assert_eq!(scene.adds_a_contact().await, 201);
    scene.ends_whole().await;
}

#[tokio::test]
async fn a_postgres_that_falls_silent_is_hardly_noticed() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (port, frozen) = freezer(&database).await;
    let mut scene = Scene::on(database.through(port)).await;
    frozen.send(true).unwrap();
    is_away(&scene.app).await;
    scene.takes_reports_in_time().await;
    scene.goes_on().await;
    assert_eq!(scene.adds_a_contact().await, 503);
    frozen.send(false).unwrap();
    is_back(&scene.app).await;
    scene.goes_on().await;
    assert_eq!(scene.adds_a_contact().await, 201);
    scene.ends_whole().await;
}

#[tokio::test]
async fn leave_to_add_a_message_is_given_at_once_though_postgres_is_silent() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (port, frozen) = freezer(&database).await;
    let app = TestApp::on(database.through(port)).await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    frozen.send(true).unwrap();
    let asking = Webhook::sample("webhook_pre_onMessageAdd.form", &app.mock)
        .with("ConversationSid", &conversation)
        .with("ClientIdentity", "alice")
        .with("Author", "alice");
    for _ in 0..2 {
        let began = Instant::now();
        app.tell(&asking).await;
        assert!(began.elapsed() < UNNOTICED, "{:?}", began.elapsed());
    }
    frozen.send(false).unwrap();
    is_back(&app).await;
    app.finish([]).await;
}

#[tokio::test]
async fn an_sqlite_file_that_somebody_else_has_locked_is_hardly_noticed() {
    let database = TestDatabase::sqlite();
    let mut scene = Scene::on(database.clone()).await;
    let mut somebody = database.connection().await;
    let lock = somebody.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    scene.takes_reports_in_time().await;
    scene.goes_on().await;
    lock.rollback().await.unwrap();
    is_back(&scene.app).await;
    scene.goes_on().await;
    assert_eq!(scene.adds_a_contact().await, 201);
    scene.ends_whole().await;
}

/// A way to the database that can be frozen: connections stay, nothing gets through.
async fn freezer(database: &TestDatabase) -> (u16, watch::Sender<bool>) {
    let (_, server) = database.url.rsplit_once('@').unwrap();
    let (server, _) = server.split_once('/').unwrap();
    let server = server.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (freeze, frozen) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (server, mut frozen) = (server.clone(), frozen.clone());
            tokio::spawn(async move {
                let Ok(mut far) = TcpStream::connect(server).await else { return };
                loop {
                    if frozen.wait_for(|frozen| !frozen).await.is_err() {
                        return;
                    }
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        changed = frozen.wait_for(|frozen| *frozen) => if changed.is_err() { return },
                    }
                }
            });
        }
    });
    (port, freeze)
}
