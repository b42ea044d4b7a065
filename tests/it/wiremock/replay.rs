//! The mock Twilio answers the request of every stub as the stub does: the same status, the same members, the same kinds of
//! value in them. So neither can drift away from the other, nor from the client that made the requests.

use ::wiremock::Request;
use futures::stream::{self, StreamExt};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use secrecy::SecretString;
use serde_json::{Value, json};
use switchboard::mock::{Mock, Options};
use switchboard::twilio::{
    Client, ConversationChanges, ConversationState, Deadlines, Message, NewConversation, NewMessage, Order,
    Settings,
};

use super::scenes::{
    BUSY, CLOSED, CONVERSATION, DOWN, MEDIA, MESSAGE, OUR_PHONE, PARTICIPANT, PHONE_IN_USE, SCENES, SERVICE,
};
use super::{AT_ONCE, recorded, stubs};

#[tokio::test]
async fn the_mock_answers_as_the_stubs_do() {
    let stubs = stubs::all();
    let complaints = stream::iter(SCENES).map(async |scene| {
        let stub = stubs.iter().find(|stub| stub.name == scene.name).unwrap();
        let request = recorded(scene, &stubs).await;
        let world = World::start().await;
        world.make_ready_for(scene.name).await;
        let (status, body) = world.answer(scene.name, &request).await;
        let name = scene.name;
        if status != stub.status() {
            return vec![format!("{name} is {} in the stub and {status} in the mock: {body}", stub.status())];
        }
        let differences = differences("", &stub.body(), &body);
        differences.into_iter().map(|difference| format!("{name}: {difference}")).collect()
    });
    let complaints = complaints.buffer_unordered(AT_ONCE).collect::<Vec<Vec<String>>>().await.concat();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// A mock in which there is everything that the scenes ask for, under other SIDs.
struct World {
    mock: Mock,
    twilio: Client,
    /// What stands in the requests, and what the mock has in its place.
    names: Vec<(String, String)>,
}

impl World {
    async fn start() -> Self {
        let mock = Mock::start(Options::default()).await.unwrap();
        let twilio = Client::new(Settings {
            username: mock.api_key_sid().to_owned(),
            password: SecretString::from(mock.api_key_secret()),
            service_sid: mock.service_sid().parse().unwrap(),
            conversations_url: mock.url().parse().unwrap(),
            media_url: mock.url().parse().unwrap(),
            max_concurrency: 20,
            deadlines: Deadlines::default(),
        })
        .unwrap();
        let conversation = async |unique_name: &str| {
            let new =
                NewConversation { unique_name: Some(unique_name.to_owned()), ..NewConversation::default() };
            let sid = twilio.create_conversation(&new).await.unwrap().sid;
            (sid, twilio.add_chat_participant(sid, "alice", None).await.unwrap().sid)
        };
        let message = async |sid, body: &str| -> Message {
            let new = NewMessage {
                author: "alice".to_owned(),
                body: Some(body.to_owned()),
                ..NewMessage::default()
            };
            twilio.create_message(sid, &new).await.unwrap()
        };
        let (closed, alice_in_closed) = conversation("closed").await;
        let close =
            ConversationChanges { state: Some(ConversationState::Closed), ..ConversationChanges::default() };
        twilio.update_conversation(closed, &close).await.unwrap();
        conversation("taken").await;
        let (open, alice) = conversation("order-42").await;
        twilio.add_chat_participant(open, "already-there", None).await.unwrap();
        let our_phone = mock.phone_number().to_owned();
        let first = message(open, "Hello there").await;
        message(open, "Is my car ready?").await;
        twilio.add_sms_participant(open, PHONE_IN_USE, &our_phone, None).await.unwrap();
        let bytes = bytes::Bytes::from_static(b"not a picture");
        let media = twilio.upload_media(bytes, "image/png", Some("car.png")).await.unwrap().sid;
        let names = vec![
            (SERVICE.to_string(), mock.service_sid().to_owned()),
            (CONVERSATION.to_string(), open.to_string()),
            (BUSY.to_string(), open.to_string()),
            (DOWN.to_string(), open.to_string()),
            // Before the participant alone, who is another in each conversation.
            (
                format!("{CLOSED}/Participants/{PARTICIPANT}"),
                format!("{closed}/Participants/{alice_in_closed}"),
            ),
            (CLOSED.to_string(), closed.to_string()),
            (PARTICIPANT.to_string(), alice.to_string()),
            (MESSAGE.to_string(), first.sid.to_string()),
            (MEDIA.to_string(), media.to_string()),
            (OUR_PHONE.replace('+', "%2B"), our_phone.replace('+', "%2B")),
        ];
        Self { mock, twilio, names }
    }

    async fn make_ready_for(&self, scene: &str) {
        let action = match scene.rsplit_once('.') {
            Some((_, "rate_limited")) => json!({"status": 429, "retry_after": 1}),
            Some((_, "unavailable")) => json!({"status": 503, "html": true}),
            _ => return,
        };
        let faults = format!("{}/_mock/faults", self.mock.url()).parse().unwrap();
        let mut request = reqwest::Request::new(reqwest::Method::POST, faults);
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *request.body_mut() = Some(json!({"times": 1, "action": action}).to_string().into());
        let answer = reqwest::Client::new().execute(request).await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// What the mock says to a request that was made of the stubs.
    async fn answer(&self, scene: &str, recorded: &Request) -> (u16, Value) {
        let mut url: url::Url = self.mock.url().parse().unwrap();
        url.set_path(&self.named(recorded.url.path()));
        let query = match scene {
            // A cursor is good only where it was given.
            "conversations.list.next" => {
                self.twilio.list_conversations(1).await.unwrap().next.map(String::from)
            }
            "messages.list.next" => {
                let sid = self.named(&CONVERSATION.to_string()).parse().unwrap();
                self.twilio.list_messages(sid, Order::NewestFirst, 1).await.unwrap().next.map(String::from)
            }
            _ => recorded.url.query().map(|query| self.named(query)),
        };
        url.set_query(query.as_deref());
        let mut request = reqwest::Request::new(recorded.method.clone(), url);
        *request.headers_mut() = recorded.headers.clone();
        request.headers_mut().remove(HOST);
        request.headers_mut().remove(CONTENT_LENGTH);
        if scene != "unauthorized" {
            let credentials = format!("{}:{}", self.mock.api_key_sid(), self.mock.api_key_secret());
            let basic =
                format!("Basic {}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, credentials));
            request.headers_mut().insert(AUTHORIZATION, basic.parse().unwrap());
        }
        let body = String::from_utf8(recorded.body.clone()).unwrap();
        *request.body_mut() = Some(self.named(&body).into());
        let answer = reqwest::Client::new().execute(request).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }
}

/// Where two values differ in kind. What may be null is null in one world and set in another.
fn differences(at: &str, stub: &Value, mock: &Value) -> Vec<String> {
    match (stub, mock) {
        (Value::Null, _) | (_, Value::Null) => vec![],
        (Value::Object(stub), Value::Object(mock)) => {
            let missing = stub.keys().filter(|key| !mock.contains_key(*key));
            let surplus = mock.keys().filter(|key| !stub.contains_key(*key));
            let missing = missing.map(|key| format!("{at}.{key} is missing in the mock"));
            let surplus = surplus.map(|key| format!("{at}.{key} is in the mock only"));
            let inside = stub.iter().filter_map(|(key, value)| Some((key, value, mock.get(key)?)));
            let inside = inside.flat_map(|(key, stub, mock)| differences(&format!("{at}.{key}"), stub, mock));
            missing.chain(surplus).chain(inside).collect()
        }
        (Value::Array(stub), Value::Array(mock)) => match (stub.first(), mock.first()) {
            (Some(stub), Some(mock)) => differences(&format!("{at}[0]"), stub, mock),
            (None, None) => vec![],
            (Some(_), None) => vec![format!("{at} is empty in the mock")],
            (None, Some(_)) => vec![format!("{at} is empty in the stub")],
        },
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => vec![],
        (stub, mock) => vec![format!("{at} is {stub} in the stub and {mock} in the mock")],
    }
}
