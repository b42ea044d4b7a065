//! `switchboard dev`: the service with a mock Twilio in the same process, for a laptop without an account.

use secrecy::ExposeSecret;

use crate::auth::AuthMode;
use crate::config::Config;
use crate::telemetry;
use crate::webhooks;

use super::serve::run_with;
use super::{mock_account, mock_twilio};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    if !config.embeds_mock() {
        let settings = config.dev(&mock_account("http://127.0.0.1:3002")?)?;
        telemetry::init(settings.log.format, &settings.log.filter);
        let twilio = settings.twilio.conversations_url.clone();
        return run_with(settings, |address| {
            println!("switchboard listens on http://{address}, Twilio is {twilio}");
        })
        .await;
    }
    let mock_settings = config.clone().mock(&mock_account("http://127.0.0.1:3002")?)?;
    telemetry::init(mock_settings.log.format, &mock_settings.log.filter);
    // First, so that the service knows the mock's address whatever port it got.
    let mock = mock_twilio::start(&mock_settings).await?;
    let url = mock.url();
    let settings = config.dev(&mock_account(&url)?)?;
    let public_url = settings.public_url.clone();
    mock.set_webhook_url(Some(public_url.join(webhooks::PATH).into()));
    let account_sid = mock_settings.account_sid.clone();
    let auth_token = mock_settings.auth_token.expose_secret().to_owned();
    let auth = match settings.auth.mode {
        AuthMode::Optional => "optional: without a token, whoever a request names is believed",
        AuthMode::Required => "required: make a token with `switchboard token --identity alice`",
    };
    run_with(settings, |address| {
        println!(
            "switchboard dev: everything runs here, nothing is sent to Twilio

  open         http://{address}   two people talking
  service      http://{address}   REST under /api/conversations, Socket.IO on the same address
  mock Twilio  {url}   account {account_sid}, auth token {auth_token}
  auth         {auth}

  try          curl -s {public_url}/api/conversations/generate-token -H 'content-type: application/json' -d '{{\"user_id\":\"alice\"}}'
  a text       curl -s {url}/_mock/inbound-sms -d '{{\"from\":\"+15551230001\",\"body\":\"hello\"}}'   (once a phone was added)
  all calls    curl -s {url}/_mock/journal

  Ctrl-C ends it."
        );
    })
    .await?;
    mock.stop().await;
    Ok(())
}
