//! Strangers at every door: whoever has no business with a conversation learns nothing of it and changes nothing in it,
//! on any route and with any event of any dialect. Nor do ids that are none ever get as far as Twilio.

mod ids;
mod rest;
mod routes;
mod sockets;
mod who_exists;

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use switchboard::config::Config;

use self::routes::{Names, Route};
use crate::messaging::{Messaging, introduce};
use crate::support::app::{Stage, token_of};
use crate::support::{TestApp, assert_readable, soon};
use crate::support_dialect::{Api, Line};

/// Stands in everything that is Alice's and Bob's alone.
const CANARY: &str = "canary-7f3a9c";
/// Alice's phone, without what comes before it.
const PHONE: &str = "123456789";

/// Alice and Bob have a conversation of the two and a group, and Alice one with support; in each was said something.
struct Scene {
    app: TestApp,
    pair: Names,
    group: Names,
    support: Names,
}

impl Scene {
    async fn set() -> Self {
        // There are hundreds of requests from one address; what is refused must be refused for what it is.
        let off = || Some("off".to_owned());
        let settings = Config {
            limit_requests: off(),
            limit_requests_per_address: off(),
            limit_guests: off(),
            limit_events: off(),
            limit_joins: off(),
            limit_handshakes: off(),
            limit_sockets_per_identity: off(),
            limit_sockets_per_address: off(),
            ..Config::default()
        };
        let app = TestApp::with(Stage { required: true, settings, ..Stage::default() }).await;
        let alice = json!({
            "sub": "alice", "name": "Alice", "email": format!("{CANARY}@example.com"),
            "phone_number": format!("+60{PHONE}"),
        });
        for claims in
            [&alice, &json!({ "sub": "bob", "name": "Bob" }), &json!({ "sub": "mallory", "name": "Mallory" })]
        {
            introduce(&app, claims).await;
        }
        let messaging = Messaging::of(&app, "alice");
        let media = upload(&app).await;
        let group = json!({ "name": format!("{CANARY} group"), "memberIds": ["bob"] });
        let group = messaging.post("/groups", &group).await.made()["id"].as_str().unwrap().to_owned();
        let rest = app.rest_as("alice");
        let mut said = Vec::new();
        for id in [messaging.open("bob").await, group] {
            let attributes = json!({ "attributes": { "secret": CANARY } });
            rest.patch(&format!("/{id}"), &attributes).await.ok();
            let link = format!("http://{}/media/{media}", app.address);
            let message = json!({ "author": "alice", "body": format!("{CANARY} said"), "media": [link] });
            let sent = rest.post(&format!("/{id}/send-message"), &message).await.ok();
            let message = sent["message_sid"].as_str().unwrap().to_owned();
            said.push(Names { me: "mallory".to_owned(), conversation: id, message, media: media.clone() });
        }
        let id = Api::user(&app, "alice").conversation().await;
        let mut line = Line::user(&app, "alice").await;
        line.join(&id).await;
        line.say(&id, &format!("{CANARY} to support")).await;
        let message = line.hears("message:received").await["id"].as_str().unwrap().to_owned();
        line.finish().await;
        let group = said.pop().unwrap();
        let pair = said.pop().unwrap();
        let support = Names { conversation: id, message, ..pair.clone() };
        Self { app, pair, group, support }
    }

    fn all(&self) -> [&Names; 3] {
        [&self.pair, &self.group, &self.support]
    }

    /// What must be in nothing that a stranger gets: texts, and ids that only members can know.
    async fn canaries(&self) -> Vec<String> {
        let mut canaries = vec![CANARY.to_owned(), PHONE.to_owned()];
        for names in self.all() {
            canaries.push(names.message.clone());
        }
        for names in [&self.pair, &self.group] {
            let path = format!("/{}/participants", names.conversation);
            let members = self.app.rest_as("alice").get(&path).await.ok();
            let sids = members.as_array().unwrap().iter().map(|one| one["participant_sid"].as_str());
            canaries.extend(sids.flatten().map(str::to_owned));
        }
        assert!(canaries.len() >= 9, "{canaries:?}");
        canaries
    }

    /// What Alice sees of it all.
    async fn as_alice_sees_it(&self) -> Value {
        let rest = self.app.rest_as("alice");
        let mut seen = Vec::new();
        for names in self.all() {
            let id = &names.conversation;
            for what in ["messages", "participants"] {
                let mut answer = rest.get(&format!("/{id}/{what}")).await.ok();
                for one in answer.as_array_mut().unwrap() {
                    // Links are signed anew every hour; presence goes on and off.
                    for volatile in ["media", "media_urls", "online"] {
                        one.as_object_mut().unwrap().remove(volatile);
                    }
                }
                seen.push(answer);
            }
        }
        let list = rest.get("").await.ok();
        // Others may begin conversations with her.
        let theirs = |one: &&Value| self.all().iter().any(|names| one["sid"] == names.conversation);
        let names = list.as_array().unwrap().iter().filter(theirs).map(|one| one["friendly_name"].clone());
        seen.push(names.collect());
        seen.push(Messaging::of(&self.app, "alice").get("/users/me").await.ok());
        seen.into()
    }

    /// Requests after the first `before` that would change something of Alice's and Bob's at Twilio.
    fn meddled(&self, before: usize) -> Vec<String> {
        let sids: Vec<_> = self.all().iter().map(|names| names.conversation.replace('-', "")).collect();
        let touches = |line: &String| {
            !line.starts_with("GET ") && sids.iter().any(|sid| line.contains(sid.trim_start_matches("CH")))
        };
        self.app.asked_since(before).into_iter().filter(touches).collect()
    }
}

/// A picture of Alice's; its SID.
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn upload(app: &TestApp) -> String {
    const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
    let part = reqwest::multipart::Part::bytes(GIF).file_name("a.gif").mime_str("image/gif").unwrap();
    let request = app
        .http
        .post(format!("http://{}/api/upload/image", app.address))
        .bearer_auth(crate::support::app::token("alice"))
        .multipart(reqwest::multipart::Form::new().part("image", part));
    let answer = soon("an upload", request.send()).await.unwrap();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    body["media_sid"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// Somebody with credentials of some kind, or none.
#[derive(Debug, Clone)]
struct Actor {
    name: &'static str,
    header: Option<(&'static str, String)>,
}

impl Actor {
    fn nobody() -> Self {
        Self { name: "nobody", header: None }
    }

    fn with_token(name: &'static str, token: &str) -> Self {
        Self { name, header: Some(("authorization", format!("Bearer {token}"))) }
    }

    /// Known, and not concerned.
    async fn strangers(app: &TestApp) -> Vec<Self> {
        let token = crate::support::app::token("mallory");
        let minted = app.rest_as("mallory").post("/generate-token", &json!({ "user_id": "mallory" })).await;
        vec![
            Self::with_token("mallory", &token),
            Self::with_token("mallory on Twilio's SDK", minted.body["token"].as_str().unwrap()),
        ]
    }

    /// Not known at all, whatever their tokens claim.
    fn unknown() -> Vec<Self> {
        let hour = Duration::from_secs(3600);
        let claims = json!({ "sub": "alice", "role": "admin", "exp": 9_999_999_999_i64 });
        let forged = jsonwebtoken::encode(
            &jsonwebtoken::Header::default(),
            &claims,
            &jsonwebtoken::EncodingKey::from_secret(b"another secret, which is long enough"),
        );
        vec![
            Self::nobody(),
            Self::with_token(
                "alice, expired",
                &token_of(&json!({ "sub": "alice", "exp": 1_000_000_000 }), hour),
            ),
            Self::with_token(
                "alice, not yet",
                &token_of(&json!({ "sub": "alice", "nbf": 9_999_999_999_i64 }), hour),
            ),
            Self::with_token("alice, forged", &forged.unwrap()),
            Self::with_token("system", &token_of(&json!({ "sub": "system" }), hour)),
            Self {
                name: "the wrong back end",
                header: Some(("x-api-key", "the-api-key-of-nobody".to_owned())),
            },
        ]
    }

    /// A guest of support.
    async fn guest(app: &TestApp) -> Self {
        Self { name: "a guest", header: Some(("x-guest-id", Api::of(app).guest().await.0)) }
    }
}

/// An answer, whichever dialect's.
#[derive(Debug)]
struct Told {
    status: u16,
    headers: HeaderMap,
    text: String,
}

/// Asks `target` as `actor`; a failure must be told as the dialect there tells it.
#[expect(clippy::disallowed_methods, reason = "a client of the service, not a way to Twilio")]
async fn ask(app: &TestApp, actor: &Actor, method: &str, target: &str, body: Option<&Value>) -> Told {
    let method: Method = method.parse().unwrap();
    let mut request = app.http.request(method, format!("http://{}{target}", app.address));
    if let Some((name, value)) = &actor.header {
        request = request.header(*name, value);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = soon("a request", request.send()).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = soon("an answer", answer.text()).await.unwrap();
    let told = Told { status, headers, text };
    if status >= 400 {
        told.assert_in_the_voice_of(target);
    }
    told
}

impl Route {
    async fn ask(&self, app: &TestApp, actor: &Actor, names: &Names) -> Told {
        ask(app, actor, self.method, &self.target(names), self.body(names).as_ref()).await
    }
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// A failure in the envelope of the dialect whose path it is, and nothing beside it.
    fn assert_in_the_voice_of(&self, target: &str) {
        let body = self.json();
        let path = target.strip_prefix("/api").unwrap_or(target);
        let begins = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
        let (keys, message): (&[&str], _) = if begins(&["/contact"]) {
            (&["code", "msg", "status"], &body["msg"])
        } else if begins(&["/chat", "/ws"]) {
            (&["error", "success"], &body["error"])
        } else if begins(&["/users", "/messages", "/groups"]) {
            (&["error", "success", "timestamp"], &body["error"]["message"])
        } else if begins(&["/support"]) {
            (&["errors", "message", "success"], &body["message"])
        } else {
            (&["message", "status"], &body["message"])
        };
        let mut found: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys, "{target}: {body}");
        assert_readable(message.as_str().unwrap_or_else(|| panic!("{target}: {body}")));
    }

    /// Nothing in it is one of `canaries`.
    fn assert_clean(&self, canaries: &[String], what: &str) {
        let all = format!("{:?} {}", self.headers, self.text);
        let leak = canaries.iter().find(|canary| all.contains(canary.as_str()));
        assert_eq!(leak, None, "{what}: {self:?}");
    }
}
