//! A plain HTTP client of the mock, and the comparison of bodies with Twilio's samples.
#![expect(clippy::disallowed_methods, reason = "a plain HTTP client, so that nothing of ours is in between")]

use serde_json::Value;
use switchboard::mock::{Mock, Options};

/// A mock and somebody who knows its password.
pub(crate) struct Twilio {
    pub(crate) mock: Mock,
    pub(crate) http: reqwest::Client,
}

/// An answer with a JSON body, or none.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The error code, or panics with the whole answer.
    pub(crate) fn code(&self) -> u64 {
        self.body["code"].as_u64().unwrap_or_else(|| panic!("{self:?} has no code"))
    }

    /// A text member of the body.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("{self:?} has no text {name}"))
    }

    pub(crate) fn sid(&self) -> String {
        self.text("sid").to_owned()
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    pub(crate) fn refused(self, status: u16, code: u64) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        self
    }
}

impl Twilio {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let mock = Mock::start(options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { mock, http }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.mock.url()) }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, body }
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.basic_auth(self.mock.account_sid(), Some(self.mock.auth_token()))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.authorized(self.http.get(self.url(path)))).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(self.authorized(self.http.post(self.url(path)).form(form))).await
    }

    /// A write that asks for webhooks.
    pub(crate) async fn announce(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(self.url(path)).form(form).header("X-Twilio-Webhook-Enabled", "true");
        self.send(self.authorized(request)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.authorized(self.http.delete(self.url(path)))).await
    }

    pub(crate) async fn announce_delete(&self, path: &str) -> Answer {
        let request = self.http.delete(self.url(path)).header("X-Twilio-Webhook-Enabled", "true");
        self.send(self.authorized(request)).await
    }

    /// A control of the mock, or something from the other side.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> Answer {
        self.send(self.http.post(self.url(path)).json(body)).await
    }

    pub(crate) async fn upload(&self, query: &str, content_type: &str, bytes: Vec<u8>) -> Answer {
        let url = self.url(&format!("/v1/Services/{}/Media{query}", self.mock.service_sid()));
        self.send(self.authorized(self.http.post(url)).header("Content-Type", content_type).body(bytes)).await
    }

    /// A new conversation's path.
    pub(crate) async fn conversation(&self) -> String {
        let sid = self.post("/v1/Conversations", &[("FriendlyName", "Home")]).await.expect(201).sid();
        format!("/v1/Conversations/{sid}")
    }

    /// Adds someone on chat.
    pub(crate) async fn join(&self, conversation: &str, identity: &str) -> String {
        self.post(&format!("{conversation}/Participants"), &[("Identity", identity)]).await.expect(201).sid()
    }

    /// Adds a phone.
    pub(crate) async fn join_by_sms(&self, conversation: &str, address: &str) -> String {
        let form = [
            ("MessagingBinding.Address", address),
            ("MessagingBinding.ProxyAddress", self.mock.phone_number()),
        ];
        self.post(&format!("{conversation}/Participants"), &form).await.expect(201).sid()
    }

    /// Writes as `author`.
    pub(crate) async fn write(&self, conversation: &str, author: &str, body: &str) -> Answer {
        self.post(&format!("{conversation}/Messages"), &[("Author", author), ("Body", body)])
            .await
            .expect(201)
    }
}

/// A file of `fixtures/twilio`.
pub(crate) fn fixture(name: &str) -> String {
    let path = format!("{}/fixtures/twilio/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

pub(crate) fn sample(name: &str) -> Value {
    serde_json::from_str(&fixture(name)).unwrap()
}

/// Checks that `actual` has the members and JSON types of Twilio's `sample`; null stands for any type.
pub(crate) fn assert_like(actual: &Value, sample: &Value) {
    compare(actual, sample, "$");
}

fn compare(actual: &Value, sample: &Value, at: &str) {
    match (actual, sample) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(ours), Value::Object(theirs)) => {
            let names = |object: &serde_json::Map<String, Value>| {
                let mut names: Vec<String> = object.keys().cloned().collect();
                names.sort_unstable();
                names
            };
            assert_eq!(names(ours), names(theirs), "members at {at}");
            for (name, value) in ours {
                compare(value, &theirs[name], &format!("{at}.{name}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            for value in ours {
                compare(value, theirs.first().unwrap_or(&Value::Null), &format!("{at}[]"));
            }
        }
        (Value::String(ours), Value::String(theirs)) => {
            let date = |text: &str| text.len() == 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
            assert_eq!(date(ours), date(theirs), "{ours} and {theirs} at {at}");
        }
        (ours, theirs) => {
            let same = std::mem::discriminant(ours) == std::mem::discriminant(theirs);
            assert!(same, "{ours} where the sample has {theirs} at {at}");
        }
    }
}
