//! A scene to start from: users and conversations as one would write them down by hand.
//!
//! ```json
//! {
//!   "users": ["alice", {"identity": "bob", "friendly_name": "Bob", "attributes": {"team": "blue"}}],
//!   "conversations": [{
//!     "unique_name": "order-42", "friendly_name": "Order 42", "attributes": {"kind": "support"},
//!     "participants": ["alice", "bob", "+15558675310", {"address": "whatsapp:+15558675311"}],
//!     "messages": [{"author": "alice", "body": "Hello"}]
//!   }]
//! }
//! ```
//!
//! It is brought in over the mock's own API, so the same rules hold and the same errors come back. A snapshot is a seed,
//! too.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

use crate::mock::account::Credentials;
use crate::mock::data::FileProblem;
use crate::mock::resources::binding::channel_of;
use crate::mock::snapshot;
use crate::mock::state::State;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Seed {
    users: Vec<User>,
    conversations: Vec<Conversation>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither an identity nor a user with one")]
enum User {
    Identity(String),
    Whole(WholeUser),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeUser {
    identity: String,
    friendly_name: Option<String>,
    attributes: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversation {
    unique_name: Option<String>,
    friendly_name: Option<String>,
    attributes: Option<Value>,
    /// `active` or `inactive`.
    state: Option<String>,
    #[serde(default)]
    participants: Vec<Participant>,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither an identity or address nor a participant with one")]
enum Participant {
    /// An identity; with a `+`, alone or after a channel, an address.
    Name(String),
    Whole(WholeParticipant),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WholeParticipant {
    identity: Option<String>,
    address: Option<String>,
    /// The account's number when left out.
    proxy_address: Option<String>,
    attributes: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    author: Option<String>,
    body: String,
    attributes: Option<Value>,
    /// ISO 8601.
    date_created: Option<String>,
}

/// Fills the first account from `json`.
///
/// # Errors
/// [`FileProblem`], which names the place in the JSON.
pub(crate) async fn apply(state: &State, router: Router, json: &[u8]) -> Result<(), FileProblem> {
    #[derive(Deserialize)]
    struct Kind {
        accounts: Option<serde::de::IgnoredAny>,
    }
    if serde_json::from_slice::<Kind>(json).is_ok_and(|kind| kind.accounts.is_some()) {
        return Ok(snapshot::restore(state, json)?);
    }
    let reader = &mut serde_json::Deserializer::from_slice(json);
    let seed: Seed = serde_path_to_error::deserialize(reader)
        .map_err(|cause| FileProblem::Seed(format!("{}: {}", cause.path(), cause.inner())))?;
    let door = Door { router, credentials: state.first().credentials().clone() };
    // It is to be there at once, and nobody asked for it.
    let switches = state.first().switches();
    state.first().set_switches(crate::mock::options::Switches::default());
    let sown = door.sow(seed).await;
    state.first().set_switches(switches);
    state.first().journal().clear();
    sown
}

/// The way in.
struct Door {
    router: Router,
    credentials: Credentials,
}

type Form = Vec<(&'static str, Option<String>)>;

fn text(attributes: Option<Value>) -> Option<String> {
    attributes.map(|attributes| attributes.to_string())
}

impl Door {
    async fn sow(&self, seed: Seed) -> Result<(), FileProblem> {
        for (number, user) in seed.users.into_iter().enumerate() {
            let user = match user {
                User::Identity(identity) => WholeUser { identity, friendly_name: None, attributes: None },
                User::Whole(user) => user,
            };
            let form = vec![
                ("Identity", Some(user.identity)),
                ("FriendlyName", user.friendly_name),
                ("Attributes", text(user.attributes)),
            ];
            self.post("/v1/Users", form, || format!("users[{number}]")).await?;
        }
        for (number, conversation) in seed.conversations.into_iter().enumerate() {
            self.sow_conversation(conversation, &format!("conversations[{number}]")).await?;
        }
        Ok(())
    }

    async fn sow_conversation(&self, conversation: Conversation, place: &str) -> Result<(), FileProblem> {
        let form = vec![
            ("UniqueName", conversation.unique_name),
            ("FriendlyName", conversation.friendly_name),
            ("Attributes", text(conversation.attributes)),
            ("State", conversation.state),
        ];
        let made = self.post("/v1/Conversations", form, || place.to_owned()).await?;
        let path = format!("/v1/Conversations/{}", made["sid"].as_str().unwrap_or_default());
        for (number, participant) in conversation.participants.into_iter().enumerate() {
            let form = self.participant(participant);
            let place = || format!("{place}.participants[{number}]");
            self.post(&format!("{path}/Participants"), form, place).await?;
        }
        for (number, message) in conversation.messages.into_iter().enumerate() {
            let form = vec![
                ("Author", message.author),
                ("Body", Some(message.body)),
                ("Attributes", text(message.attributes)),
                ("DateCreated", message.date_created),
            ];
            let place = || format!("{place}.messages[{number}]");
            self.post(&format!("{path}/Messages"), form, place).await?;
        }
        Ok(())
    }

    fn participant(&self, participant: Participant) -> Form {
        let participant = match participant {
            Participant::Name(name) if name.starts_with('+') || name.contains(":+") => {
                WholeParticipant { address: Some(name), ..WholeParticipant::default() }
            }
            Participant::Name(name) => {
                WholeParticipant { identity: Some(name), ..WholeParticipant::default() }
            }
            Participant::Whole(participant) => participant,
        };
        let own = participant.address.as_deref().map(|address| match channel_of(address) {
            "sms" => self.credentials.phone_number.clone(),
            channel => format!("{channel}:{}", self.credentials.phone_number),
        });
        vec![
            ("Identity", participant.identity),
            ("MessagingBinding.Address", participant.address),
            ("MessagingBinding.ProxyAddress", participant.proxy_address.or(own)),
            ("Attributes", text(participant.attributes)),
        ]
    }

    async fn post(
        &self,
        path: &str,
        form: Form,
        place: impl FnOnce() -> String,
    ) -> Result<Value, FileProblem> {
        let given = form.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
        let login = format!("{}:{}", self.credentials.account_sid, self.credentials.auth_token);
        let request = Request::post(path)
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(login)))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .map_err(|cause| FileProblem::Seed(cause.to_string()))?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or("refused");
        Err(FileProblem::Seed(format!("{}: {} {message}", place(), body["code"])))
    }
}
