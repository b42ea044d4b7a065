//! What the settings come to: typed, complete, and nothing left to check.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use secrecy::SecretString;
use url::{Host, Url};

use super::{DatabaseUrl, LimitSettings, SmsSettings, TrustedProxies};
use crate::auth::AuthSettings;
use crate::telemetry::{LogFilter, LogFormat};

/// What `serve` and `dev` run with. Secrets hide themselves, other URLs hold none, so all of it may be printed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `LISTEN`.
    pub listen: SocketAddr,
    /// `PUBLIC_URL`.
    pub public_url: PublicUrl,
    /// `AUTH_MODE`, `JWT_…`, `ADAPTER_API_KEY`, and the Twilio API key that signs access tokens.
    pub auth: AuthSettings,
    /// `CORS_ORIGINS`.
    pub cors_origins: CorsOrigins,
    /// `STRICT_USERS`.
    pub strict_users: bool,
    /// `TWILIO_…`.
    pub twilio: TwilioSettings,
    /// `SMS_…`.
    pub sms: SmsSettings,
    /// `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// `MEDIA_INGEST` and `MEDIA_INGEST_NETWORKS`.
    pub media: MediaSettings,
    /// `MAX_GROUP_MEMBERS`: at least 2.
    pub max_group_members: usize,
    /// `GUEST_CAPABILITY`.
    pub guest_capability: bool,
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: TrustedProxies,
    /// `LIMIT_…`.
    pub limits: LimitSettings,
    /// `METRICS_KEY`.
    pub metrics_key: Option<SecretString>,
    /// `LOG_FORMAT` and `RUST_LOG`.
    pub log: LogSettings,
    /// What is allowed but may not be meant, one sentence each, to be told at start.
    pub warnings: Vec<String>,
}

/// `LOG_FORMAT` and `RUST_LOG`.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written.
    pub filter: LogFilter,
}

/// `MEDIA_INGEST` and `MEDIA_INGEST_NETWORKS`.
#[derive(Debug, Clone, Default)]
pub struct MediaSettings {
    /// When.
    pub ingest: MediaIngest,
    /// From where, besides the public internet.
    pub networks: Vec<IpNet>,
}

/// Whether files that messages only link to are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaIngest {
    /// Where a phone takes part, which would get nothing but the link.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// How to reach Twilio, and as whom. SIDs have the right prefix and 32 hex digits.
#[derive(Debug, Clone)]
pub struct TwilioSettings {
    /// `AC…`.
    pub account_sid: String,
    /// Signs webhooks.
    pub auth_token: SecretString,
    /// Signs webhooks too, while tokens are rotated.
    pub auth_token_secondary: Option<SecretString>,
    /// `SK…`.
    pub api_key_sid: String,
    /// Goes with `api_key_sid`.
    pub api_key_secret: SecretString,
    /// `IS…`.
    pub service_sid: String,
    /// E.164.
    pub phone_number: Option<String>,
    /// The Conversations API.
    pub conversations_url: Url,
    /// The media service.
    pub media_url: Url,
    /// Most calls in flight at once; at least 1.
    pub max_concurrency: usize,
}

impl TwilioSettings {
    /// The tokens a webhook may be signed with.
    pub fn auth_tokens(&self) -> Vec<SecretString> {
        std::iter::once(&self.auth_token).chain(&self.auth_token_secondary).cloned().collect()
    }

    /// Whether this is a mock: Twilio is on another machine.
    pub fn is_mock(&self) -> bool {
        is_loopback(&self.conversations_url)
    }
}

/// What stands in for Twilio settings that are not given: the fixed account of the mock.
#[derive(Debug, Clone)]
pub struct MockTwilio {
    /// `AC…`.
    pub account_sid: String,
    /// Signs webhooks.
    pub auth_token: String,
    /// `SK…`.
    pub api_key_sid: String,
    /// Goes with `api_key_sid`.
    pub api_key_secret: String,
    /// `IS…`.
    pub service_sid: String,
    /// E.164.
    pub phone_number: String,
    /// Where the mock answers, as `TWILIO_CONVERSATIONS_URL`.
    pub conversations_url: Url,
    /// Where the mock answers, as `TWILIO_MEDIA_URL`.
    pub media_url: Url,
}

/// What the mock Twilio runs with.
#[derive(Debug, Clone)]
pub struct MockSettings {
    /// `MOCK_TWILIO_LISTEN`.
    pub listen: SocketAddr,
    /// `MOCK_TWILIO_WEBHOOK_URL`.
    pub webhook_url: Option<Url>,
    /// `MOCK_TWILIO_DATA`.
    pub data: Option<PathBuf>,
    /// `MOCK_TWILIO_SEED`.
    pub seed: Option<PathBuf>,
    /// `MOCK_TWILIO_LATENCY_MS`.
    pub latency_ms: u64,
    /// `MOCK_TWILIO_RATE_LIMIT`: writes per second.
    pub rate_limit: Option<u32>,
    /// `AC…`.
    pub account_sid: String,
    /// Signs webhooks.
    pub auth_token: SecretString,
    /// `SK…`.
    pub api_key_sid: String,
    /// Goes with `api_key_sid`.
    pub api_key_secret: SecretString,
    /// `IS…`.
    pub service_sid: String,
    /// E.164.
    pub phone_number: Option<String>,
    /// `LOG_FORMAT` and `RUST_LOG`.
    pub log: LogSettings,
}

/// `http(s)://host[:port][/prefix]`: what every link we hand out starts with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// The URL must be http(s), without user, query and fragment, which the reader of the settings has checked.
    pub(super) fn new(url: Url) -> Self {
        Self(url)
    }

    /// What a browser on this machine calls `listen`.
    pub fn of_listener(listen: SocketAddr) -> Self {
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        let url = format!("http://{}", SocketAddr::new(ip, listen.port()));
        Self(url.parse().expect("an address and a port make a URL"))
    }

    /// The URL of `path` (which begins with `/`) as seen from outside, under the prefix.
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// `scheme://host[:port]`, as a browser's `Origin` has it.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether `host`, a name or an address (of IPv6: in brackets), is its own.
    pub fn is_at(&self, host: &str) -> bool {
        self.0.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether it is reached over https.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it names this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether tokens sent here cross a network unencrypted.
    pub(super) fn is_plain_http_to_elsewhere(&self) -> bool {
        self.0.scheme() == "http" && !self.is_loopback()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whose pages may call the service from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody's. Tokens travel in headers, never in cookies, so a foreign page has nothing to borrow.
    Any,
    /// Those served from this machine, at any port.
    Localhost,
    /// These, as `Origin` has them. None: only pages of the service's own origin.
    These(Vec<String>),
}

impl CorsOrigins {
    /// Whether a page from `origin` (the header's text) may call.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Localhost => origin.parse().is_ok_and(|url| is_loopback(&url)),
            Self::These(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }
}

/// Whether `url` names this machine without asking DNS.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_prefix() {
        for written in ["https://chat.example.com/api/v2", "https://chat.example.com/api/v2/"] {
            let url = PublicUrl::new(written.parse().unwrap());
            assert_eq!(
                url.join("/webhooks/twilio").as_str(),
                "https://chat.example.com/api/v2/webhooks/twilio"
            );
            assert_eq!(url.to_string(), "https://chat.example.com/api/v2");
            assert_eq!(url.origin(), "https://chat.example.com");
        }
    }

    #[test]
    fn an_unspecified_address_is_reached_at_loopback() {
        let url = |listen: &str| PublicUrl::of_listener(listen.parse().unwrap()).to_string();
        assert_eq!(url("0.0.0.0:3001"), "http://127.0.0.1:3001");
        assert_eq!(url("[::]:3001"), "http://[::1]:3001");
        assert_eq!(url("10.1.2.3:80"), "http://10.1.2.3");
    }

    #[test]
    fn localhost_is_told_by_the_host_alone() {
        let allows = |origin| CorsOrigins::Localhost.allows(origin);
        assert!(allows("http://localhost:5173") && allows("http://127.0.0.1") && allows("http://[::1]:80"));
        assert!(
            !allows("http://localhost.evil.example") && !allows("null") && !allows("http://evil/localhost")
        );
    }
}
