//! [`TestApp`]: the service on a free port, a mock Twilio on another, a database of its own; and what reached Twilio.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::clock::Clock;
use switchboard::config::{Config, MockTwilio};
use switchboard::mock::{Action, Fault, Mock, Options, RequestEntry, Switches, WebhookEntry};
use switchboard::server::Server;
use switchboard::webhooks;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Rest, Socket, TestDatabase, logs, soon, until};

/// Signs the app's tokens.
pub(crate) const JWT_SECRET: &str = "a-secret-of-the-tests-that-is-long-enough";
/// The one address of this machine that files are fetched from.
pub(crate) const INGESTED_FROM: &str = "127.0.0.2";
/// What the app's back end shows.
pub(crate) const API_KEY: &str = "the-api-key-of-the-back-end";

/// What is different from the usual.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    /// Every request needs a token.
    pub(crate) required: bool,
    /// Twilio does not tell the service of changes.
    pub(crate) silent: bool,
    /// There is no number to write text messages from.
    pub(crate) no_phone_number: bool,
    /// Messages to somebody nobody knows are refused.
    pub(crate) strict_users: bool,
    /// Who has registered no phone is written to by text.
    pub(crate) sms_fallback: bool,
    /// Whose phones may be brought in; `None`: as it is with a mock.
    pub(crate) sms_countries: Option<&'static str>,
    /// How many new ones within a day.
    pub(crate) sms_daily_cap: Option<u32>,
    /// The id of a guest's conversation is no key to it.
    pub(crate) no_guest_capability: bool,
    /// Settings beside those that the stage has words for.
    pub(crate) settings: Config,
    /// The service's clock; `None`: the system's.
    pub(crate) clock: Option<Clock>,
    /// What Twilio does where it does not say what.
    pub(crate) switches: Switches,
    /// The address Twilio knows the service by, if it is not where the service listens.
    pub(crate) public_url: Option<&'static str>,
}

/// The service and its neighbours.
pub(crate) struct TestApp {
    pub(crate) mock: Arc<Mock>,
    pub(crate) address: SocketAddr,
    /// For whoever asks over HTTP: making a client takes longer than most tests.
    pub(crate) http: reqwest::Client,
    stage: Stage,
    pub(crate) database: TestDatabase,
    running: Option<Running>,
}

struct Running {
    end: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl TestApp {
    /// Whoever says who they are is believed.
    pub(crate) async fn start() -> Self {
        Self::with(Stage::default()).await
    }

    /// Every request needs a token.
    pub(crate) async fn required() -> Self {
        Self::with(Stage { required: true, ..Stage::default() }).await
    }

    /// Twilio does not tell the service of changes.
    pub(crate) async fn without_webhooks() -> Self {
        Self::with(Stage { silent: true, ..Stage::default() }).await
    }

    /// There is no number to write text messages from.
    pub(crate) async fn without_phone_number() -> Self {
        Self::with(Stage { no_phone_number: true, ..Stage::default() }).await
    }

    pub(crate) async fn with(stage: Stage) -> Self {
        let options = Options { switches: stage.switches, ..Options::default() };
        let mock = Mock::start(options).await.unwrap();
        Self::beside(Arc::new(mock), stage, TestDatabase::usual().await).await
    }

    /// On this database.
    pub(crate) async fn on(database: TestDatabase) -> Self {
        let mock = Mock::start(Options::default()).await.unwrap();
        Self::beside(Arc::new(mock), Stage::default(), database).await
    }

    /// Another service at the same Twilio, with a database of its own; Twilio does not tell it of changes.
    pub(crate) async fn neighbour(&self) -> Self {
        self.neighbour_on(TestDatabase::usual().await).await
    }

    /// Another service at the same Twilio and on the same database; Twilio does not tell it of changes.
    pub(crate) async fn node(&self) -> Self {
        self.neighbour_on(self.database.clone()).await
    }

    async fn neighbour_on(&self, database: TestDatabase) -> Self {
        let stage = Stage { silent: true, ..self.stage.clone() };
        Self::beside(Arc::clone(&self.mock), stage, database).await
    }

    async fn beside(mock: Arc<Mock>, stage: Stage, database: TestDatabase) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut app = Self { mock, address, http, stage, database, running: None };
        app.run().await;
        app
    }

    async fn run(&mut self) {
        logs::listen();
        for secret in [JWT_SECRET, API_KEY, self.mock.auth_token(), self.mock.api_key_secret()] {
            logs::must_not_show(secret);
        }
        let settings = self.stage.settings.clone();
        let config = Config {
            listen: Some("127.0.0.1:0".to_owned()),
            public_url: Some(self.stage.public_url.unwrap_or("http://127.0.0.1:0").to_owned()),
            database_url: Some(self.database.url.clone()),
            jwt_secret: Some(JWT_SECRET.into()),
            adapter_api_key: Some(API_KEY.into()),
            media_ingest_networks: Some(INGESTED_FROM.to_owned()),
            strict_users: Some(self.stage.strict_users.to_string()),
            sms_fallback: self.stage.sms_fallback.then(|| "true".to_owned()),
            sms_countries: self.stage.sms_countries.map(str::to_owned),
            sms_daily_cap: self.stage.sms_daily_cap.map(|cap| cap.to_string()),
            guest_capability: self.stage.no_guest_capability.then(|| "false".to_owned()),
            // Stories of tokens that do not hold have more of them than one address may show.
            limit_wrong_tokens: settings.limit_wrong_tokens.clone().or_else(|| Some("off".to_owned())),
            ..settings
        };
        let mut settings = if self.stage.required { self.serve(config) } else { self.dev(config) };
        settings.twilio.phone_number = settings.twilio.phone_number.filter(|_| !self.stage.no_phone_number);
        let server =
            Server::bind(settings, self.stage.clock.clone().unwrap_or_else(Clock::system)).await.unwrap();
        self.address = server.address();
        if !self.stage.silent {
            self.mock.set_webhook_url(Some(format!("http://{}{}", self.address, webhooks::PATH)));
        }
        let (end, asked) = oneshot::channel::<()>();
        let served = tokio::spawn(server.run(async { drop(asked.await) }));
        self.running = Some(Running { end, served });
    }

    /// What the service beside this mock would be built from, with these settings.
    pub(crate) fn dev(&self, config: Config) -> switchboard::config::Settings {
        let url = || self.mock.url().parse().unwrap();
        let mock = MockTwilio {
            account_sid: self.mock.account_sid().to_owned(),
            auth_token: self.mock.auth_token().to_owned(),
            api_key_sid: self.mock.api_key_sid().to_owned(),
            api_key_secret: self.mock.api_key_secret().to_owned(),
            service_sid: self.mock.service_sid().to_owned(),
            phone_number: self.mock.phone_number().to_owned(),
            conversations_url: url(),
            media_url: url(),
        };
        config.dev(&mock).unwrap()
    }

    fn serve(&self, config: Config) -> switchboard::config::Settings {
        let config = Config {
            twilio_account_sid: Some(self.mock.account_sid().to_owned()),
            twilio_auth_token: Some(self.mock.auth_token().into()),
            twilio_api_key_sid: Some(self.mock.api_key_sid().to_owned()),
            twilio_api_key_secret: Some(self.mock.api_key_secret().into()),
            twilio_conversations_service_sid: Some(self.mock.service_sid().to_owned()),
            twilio_phone_number: Some(self.mock.phone_number().to_owned()),
            twilio_conversations_url: Some(self.mock.url()),
            twilio_media_url: Some(self.mock.url()),
            ..config
        };
        config.serve().unwrap()
    }

    /// Ends the service as an operator does, and waits for it.
    pub(crate) async fn stop(&mut self) {
        let Some(Running { end, served }) = self.running.take() else { return };
        end.send(()).unwrap();
        soon("the end of the service", served).await.unwrap();
    }

    /// Ends the service and starts it again on the same database, with empty memory. Its address is another.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// Starts the service again on the same database; from now on every request needs a token.
    pub(crate) async fn demand_tokens(&mut self) {
        self.stage.required = true;
        self.restart().await;
    }

    /// Starts the service, stopped before, on another database.
    pub(crate) async fn start_on(&mut self, database: TestDatabase) {
        self.database = database;
        self.run().await;
    }

    /// A client without a token.
    pub(crate) fn rest(&self) -> Rest {
        Rest::new(self.http.clone(), self.address)
    }

    /// A client with a token of the app.
    pub(crate) fn rest_as(&self, identity: &str) -> Rest {
        self.rest().with_token(&token(identity))
    }

    /// A socket without a token, named for its person in what is reported of it.
    pub(crate) async fn socket(&self, name: &str) -> Socket {
        Socket::connect(self.address, name, None).await
    }

    /// A socket whose person is known by a token of the app.
    pub(crate) async fn socket_as(&self, identity: &str) -> Socket {
        Socket::connect(self.address, identity, Some(&token(identity))).await
    }

    /// A conversation of these people.
    pub(crate) async fn conversation(&self, people: &[&str]) -> String {
        let rest = if self.stage.required { self.rest_as(people[0]) } else { self.rest() };
        let made = rest.post("/create", &json!({ "participants": people })).await.ok();
        made["conversation_sid"].as_str().unwrap().to_owned()
    }

    /// These people's sockets, all of them in the room of `conversation`, with nothing unread.
    pub(crate) async fn room(&self, conversation: &str, people: &[&str]) -> Vec<Socket> {
        let mut sockets: Vec<Socket> = Vec::new();
        for person in people {
            let mut socket =
                if self.stage.required { self.socket_as(person).await } else { self.socket(person).await };
            socket.enter(conversation, person).await;
            for other in &mut sockets {
                other.hears_of_coming().await;
            }
            sockets.push(socket);
        }
        sockets
    }

    /// What a POST to the mock's own side does: `inbound-sms`, `sdk-message`, `user-online`, `delivery`.
    #[expect(clippy::disallowed_methods, reason = "the other side of Twilio, not a call of ours")]
    pub(crate) async fn other_side(&self, what: &str, body: &Value) -> Value {
        logs::watch(body);
        let url = format!("{}/_mock/{what}", self.mock.url());
        let answer = self.http.post(url).json(body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{what}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// What reached Twilio so far.
    pub(crate) fn asked(&self) -> Vec<RequestEntry> {
        self.mock.requests()
    }

    /// What reached Twilio after the first `before` requests, as `POST …/Messages`.
    pub(crate) fn asked_since(&self, before: usize) -> Vec<String> {
        let service = format!("/v1/Services/{}", self.mock.service_sid());
        let line = |entry: &RequestEntry| {
            format!("{} {}", entry.method, entry.path.strip_prefix(&service).unwrap_or(&entry.path))
        };
        self.asked().iter().skip(before).map(line).collect()
    }

    /// How many requests that change something reached Twilio.
    pub(crate) fn writes(&self) -> usize {
        self.asked().iter().filter(|entry| entry.method != "GET").count()
    }

    /// How many messages were posted with success, and how many there are.
    pub(crate) async fn stored(&self, conversation: &str) -> Vec<String> {
        let url = format!(
            "{}/v1/Services/{}/Conversations/{conversation}/Messages?PageSize=100",
            self.mock.url(),
            self.mock.service_sid()
        );
        let list = self.twilio(&url).await;
        let messages = list["messages"].as_array().unwrap_or_else(|| panic!("{list}"));
        messages.iter().map(|message| message["body"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A resource, asked of Twilio by somebody else with the account's credentials.
    #[expect(clippy::disallowed_methods, reason = "somebody else's call to Twilio, to look at what is there")]
    pub(crate) async fn twilio(&self, path: &str) -> Value {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.mock.url()) };
        let request = self.http.get(url).basic_auth(self.mock.account_sid(), Some(self.mock.auth_token()));
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// A change made at Twilio by somebody else with the account's credentials; told by webhook.
    #[expect(clippy::disallowed_methods, reason = "somebody else's call to Twilio")]
    pub(crate) async fn elsewhere(
        &self,
        method: reqwest::Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> Value {
        form.iter().for_each(|(name, text)| logs::watch_field(name, text));
        let url = format!("{}/v1/Services/{}{path}", self.mock.url(), self.mock.service_sid());
        let request = self
            .http
            .request(method, url)
            .basic_auth(self.mock.account_sid(), Some(self.mock.auth_token()))
            .header("X-Twilio-Webhook-Enabled", "true")
            .form(form);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    /// Waits until Twilio has told `event` so many times, and the service took each.
    pub(crate) async fn told(&self, event: &str, times: usize) {
        until(&format!("{times} × {event}"), || async {
            let taken = |entry: &&WebhookEntry| entry.event == event && entry.status == Some(200);
            (self.mock.webhooks().iter().filter(taken).count() >= times).then_some(())
        })
        .await;
    }

    /// From now on requests whose method and path fit go wrong, `times` times.
    pub(crate) fn fault(&self, method: &str, path: &str, times: u32, action: Action) {
        self.mock.faults().add(Fault {
            method: Some(method.to_owned()),
            path: Some(regex::Regex::new(path).unwrap()),
            times: Some(times),
            ..Fault::always(action)
        });
    }

    /// From now on everything goes wrong.
    pub(crate) fn fault_always(&self, action: Action) {
        self.mock.faults().add(Fault::always(action));
    }

    /// Nobody has anything unread, and the service ends in order.
    pub(crate) async fn finish(mut self, sockets: impl IntoIterator<Item = Socket>) {
        let mut sockets: Vec<Socket> = sockets.into_iter().collect();
        for socket in &mut sockets {
            socket.hears_nothing_else().await;
        }
        drop(sockets);
        self.stop().await;
        for secret in [self.mock.auth_token(), self.mock.api_key_secret()] {
            logs::forget(secret);
        }
        logs::assert_no_secret_shown();
    }
}

/// A token of the app for a plain user, valid for an hour.
pub(crate) fn token(identity: &str) -> String {
    token_of(&json!({ "sub": identity }), Duration::from_secs(3600))
}

/// A token of the app with these claims.
pub(crate) fn token_of(claims: &Value, valid_for: Duration) -> String {
    logs::watch(claims);
    let mut claims = claims.clone();
    let now = Clock::system().now().timestamp();
    let seconds = i64::try_from(valid_for.as_secs()).unwrap();
    claims.as_object_mut().unwrap().entry("exp").or_insert(json!(now + seconds));
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}
