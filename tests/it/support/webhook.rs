//! Twilio, telling: signed webhooks from the samples of `fixtures/twilio/webhooks`.
#![expect(clippy::disallowed_methods, reason = "Twilio's part, not a call to Twilio")]

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Response;
use switchboard::clock::Clock;
use switchboard::mock::Mock;
use switchboard::{twilio, webhooks};

use super::{TestApp, logs, soon};

/// The moment some time ago, as Twilio's webhooks write it.
pub(crate) fn ago(time: TimeDelta) -> String {
    let then: DateTime<Utc> = Clock::system().now() - time;
    then.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A webhook in the making: names and values.
#[derive(Debug, Clone)]
pub(crate) struct Webhook(pub(crate) Vec<(String, String)>);

impl Webhook {
    /// A sample, of the mock's account and service.
    pub(crate) fn sample(name: &str, mock: &Mock) -> Self {
        let path = format!("{}/fixtures/twilio/webhooks/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"));
        let fields = form_urlencoded::parse(text.trim().as_bytes()).into_owned().collect();
        let mut webhook = Self(fields).with("AccountSid", mock.account_sid());
        // Older deliveries do not say which service; the others must say the right one.
        if webhook.0.iter().any(|(name, _)| name == "ChatServiceSid") {
            webhook = webhook.with("ChatServiceSid", mock.service_sid());
        }
        webhook
    }

    /// With another value of a field, or one more field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(&self) -> String {
        self.0.iter().for_each(|(name, text)| logs::watch_field(name, text));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

impl TestApp {
    /// Where Twilio posts, as Twilio knows it when nothing stands between.
    pub(crate) fn webhook_url(&self) -> String {
        format!("http://{}{}", self.address, webhooks::PATH)
    }

    /// Posts `webhook` as Twilio would; it must be taken.
    pub(crate) async fn tell(&self, webhook: &Webhook) {
        let signature = twilio::sign_form(self.mock.auth_token(), &self.webhook_url(), &webhook.0);
        let answer = self.post_webhook(webhook.body(), &signature, None).await;
        assert_eq!(answer.status(), 200, "{webhook:?}");
    }

    /// Posts a form with this signature.
    pub(crate) async fn post_webhook(&self, body: String, signature: &str, token: Option<&str>) -> Response {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let request = self.signed_post(webhooks::PATH, form, body, signature);
        let request = match token {
            Some(token) => request.header("I-Twilio-Idempotency-Token", token),
            None => request,
        };
        soon("a webhook", request.send()).await.unwrap()
    }

    /// A signed request to `path`.
    pub(crate) fn signed_post(
        &self,
        path: &str,
        content_type: &str,
        body: String,
        signature: &str,
    ) -> reqwest::RequestBuilder {
        self.http
            .post(format!("http://{}{path}", self.address))
            .header("content-type", content_type)
            .header("user-agent", "TwilioProxy/1.1")
            .header("x-twilio-signature", signature)
            .body(body)
    }
}
