//! `switchboard mock-twilio`: the mock alone, for tests of other projects and for official Twilio libraries.

use std::fmt::Write as _;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Config, MockSettings};
use crate::mock::{Mock, NotStarted, Options, Switches};
use crate::telemetry;

use super::{asked_to_end, mock_account};

/// The flags of this command: the settings that concern the mock, under short names.
#[derive(Debug, Args)]
pub(super) struct MockTwilioArguments {
    /// Address it listens on. Default `127.0.0.1:3002`.
    #[arg(long, alias = "mock-twilio-listen", env = "MOCK_TWILIO_LISTEN", value_name = "IP:PORT")]
    listen: Option<String>,

    /// Where it posts the webhooks of the account. Default: nowhere, until the API is told.
    #[arg(long, alias = "mock-twilio-webhook-url", env = "MOCK_TWILIO_WEBHOOK_URL", value_name = "URL")]
    webhook_url: Option<String>,

    /// SID of the account it plays.
    #[arg(long, alias = "twilio-account-sid", env = "TWILIO_ACCOUNT_SID", value_name = "AC…")]
    account_sid: Option<String>,

    /// The account's auth token; signs webhooks.
    #[arg(
        long,
        alias = "twilio-auth-token",
        env = "TWILIO_AUTH_TOKEN",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    auth_token: Option<SecretString>,

    /// SID of an API key of the account.
    #[arg(long, alias = "twilio-api-key-sid", env = "TWILIO_API_KEY_SID", value_name = "SK…")]
    api_key_sid: Option<String>,

    /// Secret of that API key.
    #[arg(
        long,
        alias = "twilio-api-key-secret",
        env = "TWILIO_API_KEY_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    api_key_secret: Option<SecretString>,

    /// SID of the account's default Conversations service.
    #[arg(
        long,
        alias = "twilio-conversations-service-sid",
        env = "TWILIO_CONVERSATIONS_SERVICE_SID",
        value_name = "IS…"
    )]
    service_sid: Option<String>,

    /// The account's phone number, in E.164 form.
    #[arg(long, alias = "twilio-phone-number", env = "TWILIO_PHONE_NUMBER", value_name = "+NUMBER")]
    phone_number: Option<String>,

    /// File it keeps its state in across restarts; it is made. Default: in memory only.
    #[arg(long, env = "MOCK_TWILIO_DATA", value_name = "FILE")]
    data: Option<String>,

    /// JSON file it is filled from while it is empty: users and conversations, or a snapshot.
    #[arg(long, env = "MOCK_TWILIO_SEED", value_name = "FILE")]
    seed: Option<String>,

    /// How long it holds every answer back, in milliseconds.
    #[arg(long, env = "MOCK_TWILIO_LATENCY_MS", value_name = "MS")]
    latency_ms: Option<String>,

    /// Writes per second and account before it answers 429; Twilio's own default is 30. Default: any number.
    #[arg(long, env = "MOCK_TWILIO_RATE_LIMIT", value_name = "WRITES")]
    rate_limit: Option<String>,

    /// How log lines look: `text` for people or `json` for machines. Default `text`.
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,

    /// Which log lines are written: levels by module, separated by commas. Default `info`.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER")]
    rust_log: Option<String>,
}

impl From<MockTwilioArguments> for Config {
    fn from(arguments: MockTwilioArguments) -> Self {
        Self {
            mock_twilio_listen: arguments.listen,
            mock_twilio_webhook_url: arguments.webhook_url,
            mock_twilio_data: arguments.data,
            mock_twilio_seed: arguments.seed,
            mock_twilio_latency_ms: arguments.latency_ms,
            mock_twilio_rate_limit: arguments.rate_limit,
            twilio_account_sid: arguments.account_sid,
            twilio_auth_token: arguments.auth_token,
            twilio_api_key_sid: arguments.api_key_sid,
            twilio_api_key_secret: arguments.api_key_secret,
            twilio_conversations_service_sid: arguments.service_sid,
            twilio_phone_number: arguments.phone_number,
            log_format: arguments.log_format,
            rust_log: arguments.rust_log,
            ..Self::default()
        }
    }
}

pub(super) async fn run(arguments: MockTwilioArguments) -> anyhow::Result<()> {
    let settings = Config::from(arguments).mock(&mock_account("http://127.0.0.1:3002")?)?;
    telemetry::init(settings.log.format, &settings.log.filter);
    let mock = start(&settings).await?;
    println!("{}", greeting(&mock, &settings));
    asked_to_end().await;
    mock.stop().await;
    Ok(())
}

/// Who it is, and what to paste next.
fn greeting(mock: &Mock, settings: &MockSettings) -> String {
    let (url, account_sid, auth_token) = (mock.url(), mock.account_sid(), mock.auth_token());
    let mut text = format!(
        "mock Twilio: Conversations v1 and media on {url}, nothing is sent to Twilio

  watch        {url}/_mock   conversations, phones, requests, webhooks, faults, clock
  account      {account_sid}, auth token {auth_token}
  API key      {}, secret {}
  service      {}
  number       {}
  webhooks     {}
  state        {}",
        mock.api_key_sid(),
        mock.api_key_secret(),
        mock.service_sid(),
        mock.phone_number(),
        settings.webhook_url.as_ref().map_or("nowhere (--webhook-url)", |url| url.as_str()),
        settings
            .data
            .as_ref()
            .map_or_else(|| "in memory only (--data)".to_owned(), |file| file.display().to_string()),
    );
    if settings.latency_ms > 0 {
        let _ = write!(text, "\n  latency      {} ms", settings.latency_ms);
    }
    if let Some(writes) = settings.rate_limit {
        let _ = write!(text, "\n  rate limit   {writes} writes per second");
    }
    let _ = write!(
        text,
        "

  curl         curl -s {url}/v1/Conversations -u {account_sid}:{auth_token} -d FriendlyName=Hello
  Node         const client = require(\"twilio\")(\"{account_sid}\", \"{auth_token}\");
               client.conversations.baseUrl = \"{url}\";
  Python       client = Client(\"{account_sid}\", \"{auth_token}\")
               client.conversations.base_url = \"{url}\"
  Switchboard  TWILIO_CONVERSATIONS_URL={url} TWILIO_MEDIA_URL={url} \\
               TWILIO_ACCOUNT_SID={account_sid} TWILIO_AUTH_TOKEN={auth_token} \\
               TWILIO_API_KEY_SID={} TWILIO_API_KEY_SECRET={} \\
               TWILIO_CONVERSATIONS_SERVICE_SID={} TWILIO_PHONE_NUMBER={} switchboard dev
  a text       curl -s {url}/_mock/inbound-sms -d '{{\"from\":\"+15551230001\",\"body\":\"hello\"}}'   (once a phone was added)
  a failure    curl -s {url}/_mock/faults -d '{{\"path\":\"/Messages$\",\"times\":1,\"action\":{{\"status\":503}}}}'

  Ctrl-C ends it.",
        mock.api_key_sid(),
        mock.api_key_secret(),
        mock.service_sid(),
        mock.phone_number(),
    );
    text
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
        data: settings.data.clone(),
        seed: settings.seed.clone(),
        switches: Switches {
            latency_ms: settings.latency_ms,
            rate_limit: settings.rate_limit,
            ..Switches::default()
        },
    };
    Mock::start(options).await.map_err(|problem| {
        let setting = match &problem {
            NotStarted::Address { .. } => "MOCK_TWILIO_LISTEN",
            NotStarted::File { .. } => "MOCK_TWILIO_DATA, MOCK_TWILIO_SEED",
        };
        anyhow::Error::new(problem).context(format!("the mock Twilio does not start ({setting})"))
    })
}
