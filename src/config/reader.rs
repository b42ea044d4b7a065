//! [`Reader`]: turns written settings into typed ones and collects what is wrong with them.
//!
//! Each method returns `None` after noting a mistake, so that reading goes on and all mistakes are told together.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::settings::is_loopback;
use super::{
    Config, ConfigErrors, CorsOrigins, DEVELOPMENT_JWT_SECRET, DatabaseUrl, EXAMPLE_JWT_SECRET, LogSettings,
    MediaIngest, MediaSettings, Mistake, MockTwilio, PublicUrl, Purpose, TwilioSettings,
};
use crate::auth::{AuthMode, AuthSettings, MAX_APP_LIFETIME, TwilioIssuer};
use crate::telemetry::{LogFilter, LogFormat};

const CONVERSATIONS_URL: &str = "https://conversations.twilio.com";
const MEDIA_URL: &str = "https://mcs.us1.twilio.com";
const DATABASE_URL: &str = "sqlite://data/switchboard.db";
const LISTEN: &str = "127.0.0.1:3001";
const MAX_CONCURRENCY: usize = 20;
const MAX_GROUP_MEMBERS: usize = 100;

const AN_ADDRESS: &str = "an IP address and a port, such as 127.0.0.1:3001";
const A_URL: &str = "a URL without user, query and fragment, such as https://chat.example.com";
const A_JWT_SECRET: &str = "at least 32 random bytes, for example from `openssl rand -base64 48`";

/// Shortest `JWT_SECRET`, in bytes (RFC 7518, section 3.2).
const MIN_JWT_SECRET: usize = 32;
/// Shortest `ADAPTER_API_KEY` and `METRICS_KEY`, in bytes.
const MIN_KEY: usize = 16;

/// Collects mistakes while settings are read.
#[derive(Default)]
pub(super) struct Reader {
    mistakes: Vec<Mistake>,
}

/// Who we are to Twilio.
pub(super) struct Credentials {
    pub(super) account_sid: String,
    pub(super) auth_token: SecretString,
    pub(super) api_key_sid: String,
    pub(super) api_key_secret: SecretString,
    pub(super) service_sid: String,
    pub(super) phone_number: Option<String>,
}

impl Credentials {
    pub(super) fn issuer(&self) -> TwilioIssuer {
        TwilioIssuer {
            account_sid: self.account_sid.clone(),
            api_key_sid: self.api_key_sid.clone(),
            api_key_secret: self.api_key_secret.clone(),
        }
    }
}

/// The text of a setting, unless it is blank: an empty variable is an unset one.
pub(super) fn given(written: Option<&String>) -> Option<&str> {
    written.map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn given_secret(written: Option<&SecretString>) -> Option<SecretString> {
    written.filter(|secret| !secret.expose_secret().trim().is_empty()).cloned()
}

impl Reader {
    /// What `build` makes, if there was no mistake.
    pub(super) fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, ConfigErrors> {
        if self.mistakes.is_empty() {
            Ok(build().expect("a setting that could not be read was noted as a mistake"))
        } else {
            Err(ConfigErrors::new(self.mistakes))
        }
    }

    pub(super) fn wrong<T>(
        &mut self,
        variable: &'static str,
        problem: &str,
        should_be: &'static str,
    ) -> Option<T> {
        self.mistakes.push(Mistake { variable, problem: problem.to_owned(), should_be });
        None
    }

    /// The outer `None` is a mistake, the inner one an unset variable.
    pub(super) fn optional<T>(
        &mut self,
        variable: &'static str,
        written: Option<&String>,
        should_be: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(text) = given(written) else { return Some(None) };
        match parse(text) {
            Some(value) => Some(Some(value)),
            None => self.wrong(variable, "is not understood", should_be),
        }
    }

    pub(super) fn listener(
        &mut self,
        variable: &'static str,
        written: Option<&String>,
        default: &str,
    ) -> Option<SocketAddr> {
        let listen = self.optional(variable, written, AN_ADDRESS, |text| text.parse().ok())?;
        listen.or_else(|| default.parse().ok())
    }

    pub(super) fn listen(&mut self, config: &Config) -> Option<SocketAddr> {
        self.listener("LISTEN", config.listen.as_ref(), LISTEN)
    }

    /// False also when it is not understood: what is unsafe is then told too.
    pub(super) fn allow_insecure(&mut self, config: &Config) -> bool {
        let written = config.allow_insecure.as_ref();
        self.optional("ALLOW_INSECURE", written, "true or false", |text| text.parse().ok())
            .flatten()
            .unwrap_or(false)
    }

    pub(super) fn strict_users(&mut self, config: &Config) -> Option<bool> {
        let written = config.strict_users.as_ref();
        let strict = self.optional("STRICT_USERS", written, "true or false", |text| text.parse().ok())?;
        Some(strict.unwrap_or(false))
    }

    pub(super) fn public_url(
        &mut self,
        config: &Config,
        purpose: Purpose,
        listen: Option<SocketAddr>,
    ) -> Option<PublicUrl> {
        match self.optional("PUBLIC_URL", config.public_url.as_ref(), A_URL, parse_url)? {
            Some(url) => Some(PublicUrl::new(url)),
            None if purpose == Purpose::Dev => listen.map(PublicUrl::of_listener),
            None => self.wrong("PUBLIC_URL", "is missing", A_URL),
        }
    }

    /// A URL that credentials are sent to, or keys come from.
    fn guarded_url(
        &mut self,
        variable: &'static str,
        written: Option<&String>,
        allow_insecure: bool,
    ) -> Option<Option<Url>> {
        let url = self.optional(variable, written, A_URL, parse_url)?;
        match url {
            Some(url) if url.scheme() == "http" && !is_loopback(&url) && !allow_insecure => {
                self.wrong(variable, "is http:// to another machine", "https://, or set ALLOW_INSECURE=true")
            }
            url => Some(url),
        }
    }

    pub(super) fn auth(
        &mut self,
        config: &Config,
        purpose: Purpose,
        allow_insecure: bool,
        twilio: Option<&Credentials>,
    ) -> Option<AuthSettings> {
        let mode = self
            .optional("AUTH_MODE", config.auth_mode.as_ref(), "required or optional", |text| match text {
                "required" => Some(AuthMode::Required),
                "optional" => Some(AuthMode::Optional),
                _ => None,
            })
            .map(|mode| {
                mode.unwrap_or(match purpose {
                    Purpose::Serve => AuthMode::Required,
                    Purpose::Dev => AuthMode::Optional,
                })
            });
        let jwt_secret = self.jwt_secret(config, purpose);
        let jwks_url = self.guarded_url("JWT_JWKS_URL", config.jwt_jwks_url.as_ref(), allow_insecure);
        let (issuer, audience) = (given(config.jwt_issuer.as_ref()), given(config.jwt_audience.as_ref()));
        if purpose == Purpose::Serve
            && matches!(jwks_url, Some(Some(_)))
            && issuer.is_none()
            && audience.is_none()
            && !allow_insecure
        {
            self.wrong::<()>(
                "JWT_AUDIENCE",
                "and JWT_ISSUER are missing where JWT_JWKS_URL is set: whatever its keys sign is believed, for whichever app",
                "the `aud` of the app's tokens (or set JWT_ISSUER to their `iss`); or, if you mean it, set ALLOW_INSECURE=true",
            );
        }
        let written = config.jwt_max_lifetime_hours.as_ref();
        let max_lifetime = self.optional(
            "JWT_MAX_LIFETIME_HOURS",
            written,
            "a number of hours from 1 to 720, such as 24",
            |text| {
                let lifetime = Duration::from_secs(text.parse::<u32>().ok()?.checked_mul(3600)?.into());
                (!lifetime.is_zero() && lifetime <= MAX_APP_LIFETIME).then_some(lifetime)
            },
        );
        let api_key = self.key("ADAPTER_API_KEY", config.adapter_api_key.as_ref(), purpose);
        Some(AuthSettings {
            mode: mode?,
            jwt_secret: jwt_secret?,
            jwks_url: jwks_url?,
            issuer: issuer.map(str::to_owned),
            audience: audience.map(str::to_owned),
            max_lifetime: max_lifetime?.unwrap_or(MAX_APP_LIFETIME),
            api_key,
            twilio: twilio?.issuer(),
        })
    }

    fn jwt_secret(&mut self, config: &Config, purpose: Purpose) -> Option<Option<SecretString>> {
        let secret = given_secret(config.jwt_secret.as_ref());
        match (purpose, &secret) {
            (Purpose::Dev, None) => Some(Some(DEVELOPMENT_JWT_SECRET.into())),
            (Purpose::Dev, Some(_)) | (Purpose::Serve, None) => Some(secret),
            (Purpose::Serve, Some(given)) => {
                let text = given.expose_secret();
                if text.len() < MIN_JWT_SECRET {
                    let problem = format!("is only {} bytes long", text.len());
                    self.wrong("JWT_SECRET", &problem, A_JWT_SECRET)
                } else if [EXAMPLE_JWT_SECRET, DEVELOPMENT_JWT_SECRET].contains(&text) {
                    self.wrong("JWT_SECRET", "is an example that everybody knows", A_JWT_SECRET)
                } else {
                    Some(secret)
                }
            }
        }
    }

    pub(super) fn metrics_key(&mut self, config: &Config, purpose: Purpose) -> Option<SecretString> {
        self.key("METRICS_KEY", config.metrics_key.as_ref(), purpose)
    }

    /// A key that somebody shows us.
    fn key(
        &mut self,
        variable: &'static str,
        written: Option<&SecretString>,
        purpose: Purpose,
    ) -> Option<SecretString> {
        let key = given_secret(written);
        if purpose == Purpose::Serve && key.as_ref().is_some_and(|key| key.expose_secret().len() < MIN_KEY) {
            let should_be = "at least 16 random bytes, for example from `openssl rand -hex 32`";
            self.wrong::<()>(variable, "is too short", should_be);
        }
        key
    }

    pub(super) fn cors_origins(&mut self, config: &Config, purpose: Purpose) -> Option<CorsOrigins> {
        let should_be = "`*` or origins separated by commas, such as https://app.example.com";
        let origins =
            self.optional("CORS_ORIGINS", config.cors_origins.as_ref(), should_be, |text| match text {
                "*" => Some(CorsOrigins::Any),
                list => listed(list).map(parse_origin).collect::<Option<_>>().map(CorsOrigins::These),
            })?;
        Some(origins.unwrap_or_else(|| match purpose {
            Purpose::Serve => CorsOrigins::These(Vec::new()),
            Purpose::Dev => CorsOrigins::Localhost,
        }))
    }

    pub(super) fn guest_capability(&mut self, config: &Config) -> Option<bool> {
        let written = config.guest_capability.as_ref();
        let capability =
            self.optional("GUEST_CAPABILITY", written, "true or false", |text| text.parse().ok())?;
        Some(capability.unwrap_or(true))
    }

    pub(super) fn credentials(&mut self, config: &Config, mock: Option<&MockTwilio>) -> Option<Credentials> {
        let account_sid = self.sid(
            "TWILIO_ACCOUNT_SID",
            config.twilio_account_sid.as_ref(),
            "AC",
            "AC and 32 hex digits",
            mock.map(|mock| &mock.account_sid),
        );
        let auth_token = self.secret(
            "TWILIO_AUTH_TOKEN",
            config.twilio_auth_token.as_ref(),
            "the auth token shown in Twilio's console",
            mock.map(|mock| &mock.auth_token),
        );
        let api_key_sid = self.sid(
            "TWILIO_API_KEY_SID",
            config.twilio_api_key_sid.as_ref(),
            "SK",
            "SK and 32 hex digits",
            mock.map(|mock| &mock.api_key_sid),
        );
        let api_key_secret = self.secret(
            "TWILIO_API_KEY_SECRET",
            config.twilio_api_key_secret.as_ref(),
            "the secret Twilio showed once, when the API key was made",
            mock.map(|mock| &mock.api_key_secret),
        );
        let service_sid = self.sid(
            "TWILIO_CONVERSATIONS_SERVICE_SID",
            config.twilio_conversations_service_sid.as_ref(),
            "IS",
            "IS and 32 hex digits",
            mock.map(|mock| &mock.service_sid),
        );
        let phone_number = self.optional(
            "TWILIO_PHONE_NUMBER",
            config.twilio_phone_number.as_ref(),
            "a number in E.164 form, such as +15017122661",
            |text| is_e164(text).then(|| text.to_owned()),
        );
        Some(Credentials {
            account_sid: account_sid?,
            auth_token: auth_token?,
            api_key_sid: api_key_sid?,
            api_key_secret: api_key_secret?,
            service_sid: service_sid?,
            phone_number: phone_number?.or_else(|| mock.map(|mock| mock.phone_number.clone())),
        })
    }

    fn sid(
        &mut self,
        variable: &'static str,
        written: Option<&String>,
        prefix: &str,
        should_be: &'static str,
        otherwise: Option<&String>,
    ) -> Option<String> {
        let sid = self.optional(variable, written, should_be, |text| {
            let digits = text.strip_prefix(prefix)?;
            (digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .then(|| text.to_owned())
        })?;
        match sid.or_else(|| otherwise.cloned()) {
            Some(sid) => Some(sid),
            None => self.wrong(variable, "is missing", should_be),
        }
    }

    fn secret(
        &mut self,
        variable: &'static str,
        written: Option<&SecretString>,
        should_be: &'static str,
        otherwise: Option<&String>,
    ) -> Option<SecretString> {
        match given_secret(written).or_else(|| otherwise.map(|secret| secret.as_str().into())) {
            Some(secret) => Some(secret),
            None => self.wrong(variable, "is missing", should_be),
        }
    }

    pub(super) fn twilio(
        &mut self,
        config: &Config,
        credentials: Option<Credentials>,
        mock: Option<&MockTwilio>,
        allow_insecure: bool,
    ) -> Option<TwilioSettings> {
        let conversations = self.guarded_url(
            "TWILIO_CONVERSATIONS_URL",
            config.twilio_conversations_url.as_ref(),
            allow_insecure,
        );
        let media = self.guarded_url("TWILIO_MEDIA_URL", config.twilio_media_url.as_ref(), allow_insecure);
        if matches!((&conversations, &media), (Some(Some(_)), Some(None))) {
            // Else a mock's credentials would be sent to the real Twilio, or the other way round.
            let problem = "is missing where TWILIO_CONVERSATIONS_URL is set";
            self.wrong::<()>("TWILIO_MEDIA_URL", problem, "the media service of the same Twilio or mock");
        }
        let written = config.twilio_max_concurrency.as_ref();
        let max_concurrency =
            self.optional("TWILIO_MAX_CONCURRENCY", written, "a number from 1 to 1000, such as 20", |text| {
                text.parse().ok().filter(|calls| (1..=1000).contains(calls))
            });
        let real = |url: &str| url.parse().expect("Twilio's own addresses are URLs");
        let credentials = credentials?;
        Some(TwilioSettings {
            account_sid: credentials.account_sid,
            auth_token: credentials.auth_token,
            auth_token_secondary: given_secret(config.twilio_auth_token_secondary.as_ref()),
            api_key_sid: credentials.api_key_sid,
            api_key_secret: credentials.api_key_secret,
            service_sid: credentials.service_sid,
            phone_number: credentials.phone_number,
            conversations_url: conversations?
                .or_else(|| mock.map(|mock| mock.conversations_url.clone()))
                .unwrap_or_else(|| real(CONVERSATIONS_URL)),
            media_url: media?
                .or_else(|| mock.map(|mock| mock.media_url.clone()))
                .unwrap_or_else(|| real(MEDIA_URL)),
            max_concurrency: max_concurrency?.unwrap_or(MAX_CONCURRENCY),
        })
    }

    /// Twilio allows 1,000 participants in one conversation.
    pub(super) fn max_group_members(&mut self, config: &Config) -> Option<usize> {
        let written = config.max_group_members.as_ref();
        let members =
            self.optional("MAX_GROUP_MEMBERS", written, "a number from 2 to 1000, such as 100", |text| {
                text.parse().ok().filter(|members| (2..=1000).contains(members))
            })?;
        Some(members.unwrap_or(MAX_GROUP_MEMBERS))
    }

    pub(super) fn database_url(&mut self, config: &Config) -> Option<DatabaseUrl> {
        let should_be = "an SQLite file, such as sqlite://data/switchboard.db, or PostgreSQL, such as \
                         postgres://user:password@db.example.com:5432/switchboard?sslmode=verify-full, with what is not a \
                         letter or digit percent-encoded in user and password";
        let url =
            self.optional("DATABASE_URL", config.database_url.as_ref(), should_be, DatabaseUrl::parse)?;
        Some(url.unwrap_or_else(|| DatabaseUrl::parse(DATABASE_URL).expect("the default is an SQLite file")))
    }

    pub(super) fn media(&mut self, config: &Config) -> Option<MediaSettings> {
        let should_be = "auto, always or never";
        let ingest =
            self.optional("MEDIA_INGEST", config.media_ingest.as_ref(), should_be, |text| match text {
                "auto" => Some(MediaIngest::Auto),
                "always" => Some(MediaIngest::Always),
                "never" => Some(MediaIngest::Never),
                _ => None,
            });
        let written = config.media_ingest_networks.as_ref();
        let should_be = "networks such as 10.7.0.0/16, separated by commas";
        let networks = self.optional("MEDIA_INGEST_NETWORKS", written, should_be, parse_networks);
        Some(MediaSettings { ingest: ingest?.unwrap_or_default(), networks: networks?.unwrap_or_default() })
    }

    pub(super) fn log(&mut self, config: &Config) -> Option<LogSettings> {
        let format =
            self.optional("LOG_FORMAT", config.log_format.as_ref(), "text or json", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            });
        let should_be = "levels by module, such as info,switchboard::core=debug";
        let filter = self
            .optional("RUST_LOG", config.rust_log.as_ref(), should_be, |text| text.parse::<LogFilter>().ok());
        Some(LogSettings { format: format?.unwrap_or(LogFormat::Text), filter: filter?.unwrap_or_default() })
    }

    /// Refuses to believe claimed identities, or tokens that everybody can sign, where strangers could come with them and a
    /// real account would pay. A tunnel or proxy brings them to a `LISTEN` that only this machine reaches: then `PUBLIC_URL`
    /// says so.
    pub(super) fn refuse_open_doors(
        &mut self,
        auth: Option<&AuthSettings>,
        twilio: Option<&TwilioSettings>,
        listen: Option<SocketAddr>,
        public_url: Option<&PublicUrl>,
        allow_insecure: bool,
    ) {
        let (Some(auth), Some(twilio), Some(listen)) = (auth, twilio, listen) else { return };
        let reached_at = match public_url {
            _ if !listen.ip().is_loopback() => "LISTEN",
            Some(url) if !url.is_loopback() => "PUBLIC_URL",
            Some(_) | None => return,
        };
        if twilio.is_mock() || allow_insecure {
            return;
        }
        if auth.jwt_secret.as_ref().is_some_and(is_known_or_short) {
            let problem = format!(
                "is an example, or short, and lets everybody who reaches {reached_at} be an admin with a real Twilio account"
            );
            self.wrong::<()>("JWT_SECRET", &problem, A_JWT_SECRET);
        }
        if auth.mode == AuthMode::Optional {
            let problem = format!(
                "lets everybody who reaches {reached_at} use a real Twilio account as whomever they claim to be"
            );
            let should_be = "required; or keep LISTEN and PUBLIC_URL on 127.0.0.1; or, if you mean it, set ALLOW_INSECURE=true";
            self.wrong::<()>("AUTH_MODE", &problem, should_be);
        }
    }
}

/// Whether strangers know or guess it; outside `dev` it was refused before.
fn is_known_or_short(secret: &SecretString) -> bool {
    let text = secret.expose_secret();
    text.len() < MIN_JWT_SECRET || [EXAMPLE_JWT_SECRET, DEVELOPMENT_JWT_SECRET].contains(&text)
}

pub(super) fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Networks, or single addresses, separated by commas.
pub(super) fn parse_networks(text: &str) -> Option<Vec<IpNet>> {
    let network = |text: &str| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
    listed(text).map(network).collect()
}

/// http(s), with nothing in it that must not be printed.
fn parse_url(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

fn parse_origin(text: &str) -> Option<String> {
    let url = parse_url(text)?;
    (url.path() == "/").then(|| url.origin().ascii_serialization())
}

/// Source: <https://www.twilio.com/docs/glossary/what-e164>
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && !digits.starts_with('0')
    })
}
