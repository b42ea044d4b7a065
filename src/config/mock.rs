//! The settings of the mock Twilio, read and checked. What the files hold is the mock's own business, and told by it.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::reader::Reader;
use super::{Config, MockSettings, MockTwilio};

const LISTEN: &str = "127.0.0.1:3002";

/// Longest `MOCK_TWILIO_LATENCY_MS`: what an HTTP client may still wait for.
const MOST_LATENCY_MS: u64 = 60_000;

impl Reader {
    /// All of them; credentials that are not given are those of `mock`.
    pub(super) fn mock(&mut self, config: &Config, mock: &MockTwilio) -> Option<MockSettings> {
        let listen = self.mock_listen(config);
        let webhook_url = self.optional(
            "MOCK_TWILIO_WEBHOOK_URL",
            config.mock_twilio_webhook_url.as_ref(),
            "a URL without user and fragment, such as https://chat.example.com/webhooks/twilio",
            webhook_url,
        );
        let data = self.file("MOCK_TWILIO_DATA", config.mock_twilio_data.as_ref());
        let seed = self.file("MOCK_TWILIO_SEED", config.mock_twilio_seed.as_ref());
        let latency_ms = self.optional(
            "MOCK_TWILIO_LATENCY_MS",
            config.mock_twilio_latency_ms.as_ref(),
            "a number of milliseconds up to 60000, such as 80",
            |text| text.parse().ok().filter(|ms| *ms <= MOST_LATENCY_MS),
        );
        let rate_limit = self.optional(
            "MOCK_TWILIO_RATE_LIMIT",
            config.mock_twilio_rate_limit.as_ref(),
            "a number of writes per second from 1, such as 30",
            |text| text.parse().ok().filter(|writes| *writes > 0),
        );
        let log = self.log(config);
        let credentials = self.credentials(config, Some(mock))?;
        Some(MockSettings {
            listen: listen?,
            webhook_url: webhook_url?,
            data: data?,
            seed: seed?,
            latency_ms: latency_ms?.unwrap_or(0),
            rate_limit: rate_limit?,
            account_sid: credentials.account_sid,
            auth_token: credentials.auth_token,
            api_key_sid: credentials.api_key_sid,
            api_key_secret: credentials.api_key_secret,
            service_sid: credentials.service_sid,
            phone_number: credentials.phone_number,
            log: log?,
        })
    }

    pub(super) fn mock_listen(&mut self, config: &Config) -> Option<SocketAddr> {
        self.listener("MOCK_TWILIO_LISTEN", config.mock_twilio_listen.as_ref(), LISTEN)
    }

    fn file(&mut self, variable: &'static str, written: Option<&String>) -> Option<Option<PathBuf>> {
        self.optional(variable, written, "the path of a file, such as data/mock.json", |text| {
            let path = PathBuf::from(text);
            (!path.is_dir()).then_some(path)
        })
    }
}

/// As Twilio takes one: the query belongs to it and is signed, a fragment would not be sent.
fn webhook_url(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}
