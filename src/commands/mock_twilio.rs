//! `switchboard mock-twilio`: the mock alone, for tests of other projects and for official Twilio libraries.

use anyhow::Context;
use secrecy::ExposeSecret;

use crate::config::{Config, MockSettings};
use crate::mock::{Mock, Options};
use crate::telemetry;

use super::{asked_to_end, mock_account};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let settings = config.mock(&mock_account("http://127.0.0.1:3002")?)?;
    telemetry::init(settings.log.format, &settings.log.filter);
    let mock = start(&settings).await?;
    println!(
        "mock Twilio: Conversations and media on {}

  account      {}
  auth token   {}
  API key      {}
  its secret   {}
  service      {}
  webhooks     {}",
        mock.url(),
        mock.account_sid(),
        mock.auth_token(),
        mock.api_key_sid(),
        mock.api_key_secret(),
        mock.service_sid(),
        settings.webhook_url.as_ref().map_or("nowhere (MOCK_TWILIO_WEBHOOK_URL)", |url| url.as_str()),
    );
    asked_to_end().await;
    mock.stop().await;
    Ok(())
}

/// Starts the mock that these settings describe.
pub(super) async fn start(settings: &MockSettings) -> anyhow::Result<Mock> {
    let defaults = Options::default();
    let options = Options {
        listen: settings.listen,
        account_sid: settings.account_sid.clone(),
        auth_token: settings.auth_token.expose_secret().to_owned(),
        api_key_sid: settings.api_key_sid.clone(),
        api_key_secret: settings.api_key_secret.expose_secret().to_owned(),
        service_sid: settings.service_sid.clone(),
        phone_number: settings.phone_number.clone().unwrap_or(defaults.phone_number),
        webhook_url: settings.webhook_url.as_ref().map(ToString::to_string),
        public_url: None,
    };
    let started = Mock::start(options).await;
    started.with_context(|| format!("{} (MOCK_TWILIO_LISTEN) cannot be listened on", settings.listen))
}
