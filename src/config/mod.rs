//! Every setting, with its variable, default and unit.
//!
//! [`Config`] is what was written (texts); [`Config::serve`] and its like turn it into [`Settings`], where everything
//! is right and typed, or into all mistakes at once. Whether Twilio agrees (credentials, SIDs) is not asked here.

mod bounds;
mod database;
mod limits;
mod mistakes;
mod mock;
mod reader;
mod settings;
mod sms;

use std::fmt;
use std::net::SocketAddr;

use clap::Args;
use secrecy::SecretString;

pub use bounds::Bounds;
pub use database::DatabaseUrl;
pub use limits::{InvalidRate, LimitSettings, Rate, TrustedProxies};
pub use mistakes::{ConfigErrors, Mistake};
pub use settings::{
    CorsOrigins, LogSettings, MediaIngest, MediaSettings, MockSettings, MockTwilio, PublicUrl, Settings,
    TwilioSettings,
};
pub use sms::{SmsCountries, SmsSettings, is_premium};

use crate::auth::{AuthMode, AuthSettings};
use reader::Reader;

/// What `.env.example` says for `JWT_SECRET`; refused outside `dev`, like [`DEVELOPMENT_JWT_SECRET`].
pub const EXAMPLE_JWT_SECRET: &str = "replace-this-with-the-output-of-openssl-rand-base64-48";

/// Signs the app's tokens in `dev` when no `JWT_SECRET` is given. Everybody knows it.
pub const DEVELOPMENT_JWT_SECRET: &str = "switchboard-development-secret-known-to-everybody";

/// Every setting as it was written: a flag, else its environment variable. An empty text counts as unset.
///
/// Each field's text is the one in `.env.example`; `tests/it/env_example.rs` compares the two.
#[derive(Clone, Default, Args)]
pub struct Config {
    /// Address the service listens on. Default `127.0.0.1:3001`.
    #[arg(long, env, hide_env_values = true, value_name = "IP:PORT")]
    pub listen: Option<String>,

    /// Address the mock Twilio of `dev` and `mock-twilio` listens on. Default `127.0.0.1:3002`.
    #[arg(long, env, hide_env_values = true, value_name = "IP:PORT")]
    pub mock_twilio_listen: Option<String>,

    /// Where `mock-twilio` posts its webhooks; `dev` takes them itself. Default: nowhere.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub mock_twilio_webhook_url: Option<String>,

    /// File the mock Twilio keeps its state in across restarts; it is made. Unset: in memory only.
    #[arg(long, env, hide_env_values = true, value_name = "FILE")]
    pub mock_twilio_data: Option<String>,

    /// JSON file an empty mock Twilio is filled from: users and conversations, or a snapshot. Unset: it begins empty.
    #[arg(long, env, hide_env_values = true, value_name = "FILE")]
    pub mock_twilio_seed: Option<String>,

    /// How long the mock Twilio holds every answer back, in milliseconds. Unset: not at all.
    #[arg(long, env, hide_env_values = true, value_name = "MS")]
    pub mock_twilio_latency_ms: Option<String>,

    /// Writes the mock Twilio takes per second and account before it answers 429; Twilio's own default is 30. Unset: any
    /// number.
    #[arg(long, env, hide_env_values = true, value_name = "WRITES")]
    pub mock_twilio_rate_limit: Option<String>,

    /// Address the service is reached at from outside: Twilio posts its webhooks to it and links start with it.
    /// Needed by `serve`; in `dev` it follows from LISTEN.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub public_url: Option<String>,

    /// Whether a request without a token is refused (`required`) or believed (`optional`, for development).
    /// Default `required`; in `dev` optional.
    #[arg(long, env, hide_env_values = true, value_name = "MODE")]
    pub auth_mode: Option<String>,

    /// Permits what is refused as unsafe: AUTH_MODE=optional or a known JWT_SECRET with a real Twilio account where LISTEN or
    /// PUBLIC_URL is not this machine's own, JWT_JWKS_URL without JWT_AUDIENCE and JWT_ISSUER, and http:// to other
    /// machines. Default `false`.
    #[arg(long, env, hide_env_values = true, value_name = "BOOLEAN")]
    pub allow_insecure: Option<String>,

    /// Secret the app's own HS256 tokens are signed with, at least 32 bytes.
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    pub jwt_secret: Option<SecretString>,

    /// Address of the public keys (JWKS) the app's own RS256 or ES256 tokens are signed with.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub jwt_jwks_url: Option<String>,

    /// The `iss` the app's own tokens must have. Unset: any.
    #[arg(long, env, hide_env_values = true, value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// The `aud` the app's own tokens must have. Unset: any.
    #[arg(long, env, hide_env_values = true, value_name = "TEXT")]
    pub jwt_audience: Option<String>,

    /// How long the app's own tokens may be valid, from `iat` to `exp`, in hours, at most 720 (30 days). Default `720`.
    #[arg(long, env, hide_env_values = true, value_name = "HOURS")]
    pub jwt_max_lifetime_hours: Option<String>,

    /// Key the app's back end sends as X-Api-Key to act for anybody, at least 16 bytes. Unset: no key is accepted.
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    pub adapter_api_key: Option<SecretString>,

    /// Key that `/metrics` asks for as a bearer token, at least 16 bytes. Unset: everybody is told, unless a proxy keeps them
    /// from it.
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    pub metrics_key: Option<SecretString>,

    /// Origins whose pages may call the service, separated by commas, or `*`. Unset: none; in `dev` any on localhost.
    #[arg(long, env, hide_env_values = true, value_name = "ORIGINS")]
    pub cors_origins: Option<String>,

    /// Whether the dialect chat refuses messages to somebody nobody knows. Default `false`.
    #[arg(long, env, hide_env_values = true, value_name = "BOOLEAN")]
    pub strict_users: Option<String>,

    /// Whether whoever knows the id of a support guest's conversation may read and join it as that guest. Default `true`.
    #[arg(long, env, hide_env_values = true, value_name = "BOOLEAN")]
    pub guest_capability: Option<String>,

    /// Load balancers and proxies whose `X-Forwarded-For` is believed, as networks separated by commas, such as
    /// `10.0.0.0/8`. Default: none, so that every address is that of the connection.
    #[arg(long, env, hide_env_values = true, value_name = "NETWORKS")]
    pub trusted_proxies: Option<String>,

    /// REST requests of one person: so many a second (`/s`, else `/m` or `/h`), and so many at once after a pause; or
    /// `off`. Default `50/s burst 200`; in `dev` this and all rates are off, and so are the limits by person and
    /// address.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_requests: Option<String>,

    /// HTTP requests from one address (of IPv6: from one /64), or `off`. Default `500/s burst 2000`.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_requests_per_address: Option<String>,

    /// Tokens and API keys that do not hold, from one address, or `off`; beyond it, none from there is looked at. As many
    /// webhooks that Twilio did not sign. Default `10/s burst 100`.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_wrong_tokens: Option<String>,

    /// Messages of one person, by REST and sockets together, or `off`. Default `20/s burst 200`.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_sends: Option<String>,

    /// Guests of support who are new, from one address, or `off`. Default `10/m burst 20`.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_guests: Option<String>,

    /// Events of one socket, or `off`; all sockets of one person, or without a token of one address, may have five times as
    /// many together. Default `50/s burst 300`.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_events: Option<String>,

    /// Rooms that one socket enters and conversations it begins, or `off`; together as with events. Default
    /// `10/s burst 100`.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_joins: Option<String>,

    /// Most rooms one socket is in at once, or `off`. Default `100`, also in `dev`.
    #[arg(long, env, hide_env_values = true, value_name = "ROOMS")]
    pub limit_rooms: Option<String>,

    /// Sockets that one address opens, or `off`. Default `10/s burst 50`.
    #[arg(long, env, hide_env_values = true, value_name = "RATE")]
    pub limit_handshakes: Option<String>,

    /// Most sockets open at once, or `off`. Default `20000`, also in `dev`.
    #[arg(long, env, hide_env_values = true, value_name = "SOCKETS")]
    pub limit_sockets: Option<String>,

    /// Most sockets of one person at once, or `off`. Default `10`.
    #[arg(long, env, hide_env_values = true, value_name = "SOCKETS")]
    pub limit_sockets_per_identity: Option<String>,

    /// Most sockets from one address at once, or `off`; an office behind one address may need more. Default `50`.
    #[arg(long, env, hide_env_values = true, value_name = "SOCKETS")]
    pub limit_sockets_per_address: Option<String>,

    /// Most TCP connections from one address at once, those of sockets included, or `off`; trusted proxies may have any
    /// number. Default `100`.
    #[arg(long, env, hide_env_values = true, value_name = "CONNECTIONS")]
    pub limit_connections_per_address: Option<String>,

    /// Most files of one person on their way in at once, or `off`; without a token, those from one address. Default `10`.
    #[arg(long, env, hide_env_values = true, value_name = "FILES")]
    pub limit_uploads: Option<String>,

    /// Most TCP connections at once, those of sockets included. Default `20000`, also in `dev`, as with all that
    /// follow.
    #[arg(long, env, hide_env_values = true, value_name = "CONNECTIONS")]
    pub limit_connections: Option<String>,

    /// Most bytes of a frame or polling payload that a client sends; it can be lowered only. Default `65536`.
    #[arg(long, env, hide_env_values = true, value_name = "BYTES")]
    pub limit_frame_bytes: Option<String>,

    /// Most bytes of a request's body, uploads excepted; it can be lowered only. Default `1048576`.
    #[arg(long, env, hide_env_values = true, value_name = "BYTES")]
    pub limit_json_bytes: Option<String>,

    /// Most bytes of a webhook. Default `131072`.
    #[arg(long, env, hide_env_values = true, value_name = "BYTES")]
    pub limit_webhook_bytes: Option<String>,

    /// Most packets or frames that wait for a socket whose client reads slowly; one more cuts it off. Default `512`.
    #[arg(long, env, hide_env_values = true, value_name = "PACKETS")]
    pub limit_socket_queue: Option<String>,

    /// How often a socket is refused what is too much until it is cut off; one is forgiven each second. Default `300`.
    #[arg(long, env, hide_env_values = true, value_name = "TIMES")]
    pub limit_refusals: Option<String>,

    /// Most wrong one-time codes tried for one person within 15 minutes. Default `5`.
    #[arg(long, env, hide_env_values = true, value_name = "TIMES")]
    pub limit_code_tries: Option<String>,

    /// Most wrong one-time codes tried from one address within 15 minutes. Default `10`.
    #[arg(long, env, hide_env_values = true, value_name = "TIMES")]
    pub limit_code_tries_per_address: Option<String>,

    /// After how many milliseconds others are told again that somebody begins to type. Default `2000`; 0 where
    /// LIMIT_EVENTS is off.
    #[arg(long, env, hide_env_values = true, value_name = "MS")]
    pub typing_gap_ms: Option<String>,

    /// How long a connection may take to send its first byte. Default `5`.
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS")]
    pub first_byte_seconds: Option<String>,

    /// How long the head of a request may take. Default `5`.
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS")]
    pub head_seconds: Option<String>,

    /// How long a Socket.IO connection may take to ask for a namespace. Default `10`.
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS")]
    pub socket_connect_seconds: Option<String>,

    /// How often a socket's client is asked whether it is there. Default `25`.
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS")]
    pub socket_ping_seconds: Option<String>,

    /// How long it may take to answer; one on a raw WebSocket 15 s more. Default `20`.
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS")]
    pub socket_pong_seconds: Option<String>,

    /// SID of the Twilio account.
    #[arg(long, env, hide_env_values = true, value_name = "AC…")]
    pub twilio_account_sid: Option<String>,

    /// Auth token of the Twilio account; proves that webhooks come from Twilio.
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    pub twilio_auth_token: Option<SecretString>,

    /// The other auth token while tokens are rotated; webhooks signed with either are accepted.
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    pub twilio_auth_token_secondary: Option<SecretString>,

    /// SID of the API key that calls Twilio and signs access tokens.
    #[arg(long, env, hide_env_values = true, value_name = "SK…")]
    pub twilio_api_key_sid: Option<String>,

    /// Secret of that API key.
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    pub twilio_api_key_secret: Option<SecretString>,

    /// SID of the Conversations service.
    #[arg(long, env, hide_env_values = true, value_name = "IS…")]
    pub twilio_conversations_service_sid: Option<String>,

    /// Number SMS participants are written to from, in E.164 form. Unset: SMS participants are refused.
    #[arg(long, env, hide_env_values = true, value_name = "+NUMBER")]
    pub twilio_phone_number: Option<String>,

    /// Whether a conversation with a phone that nobody has registered begins as text messages; needs TWILIO_PHONE_NUMBER.
    /// Default `false`.
    #[arg(long, env, hide_env_values = true, value_name = "BOOLEAN")]
    pub sms_fallback: Option<String>,

    /// Countries whose phones may be brought into conversations, as ISO codes separated by commas such as `US,CA,GB`, or
    /// `*`. Unset: the country of TWILIO_PHONE_NUMBER; with a mock any.
    #[arg(long, env, hide_env_values = true, value_name = "COUNTRIES")]
    pub sms_countries: Option<String>,

    /// Most new phones that somebody who is no admin may bring into conversations within a day. Default `20`.
    #[arg(long, env, hide_env_values = true, value_name = "PHONES")]
    pub sms_daily_cap: Option<String>,

    /// Most texts to phones that somebody who is no admin may send within a day, all phones together. Default `500`.
    #[arg(long, env, hide_env_values = true, value_name = "TEXTS")]
    pub sms_daily_texts: Option<String>,

    /// Address of Twilio's Conversations API, or of a mock. Default `https://conversations.twilio.com`.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub twilio_conversations_url: Option<String>,

    /// Address of Twilio's media service. Default `https://mcs.us1.twilio.com`; needed where TWILIO_CONVERSATIONS_URL
    /// is set.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub twilio_media_url: Option<String>,

    /// Most calls to Twilio in flight at once; above it callers wait in order. Default `20`.
    #[arg(long, env, hide_env_values = true, value_name = "CALLS")]
    pub twilio_max_concurrency: Option<String>,

    /// Whether files that messages only link to are fetched into Twilio's media service: `auto` (where a phone takes part),
    /// `always` or `never`. Default `auto`.
    #[arg(long, env, hide_env_values = true, value_name = "WHEN")]
    pub media_ingest: Option<String>,

    /// Internal networks that files may be fetched from all the same, separated by commas, such as `10.7.0.0/16`. Default:
    /// none.
    #[arg(long, env, hide_env_values = true, value_name = "NETWORKS")]
    pub media_ingest_networks: Option<String>,

    /// Most members of a group that is made or grows here, its creator included. Default `100`.
    #[arg(long, env, hide_env_values = true, value_name = "PEOPLE")]
    pub max_group_members: Option<String>,

    /// Database of what Twilio has no place for: an SQLite file, or PostgreSQL
    /// (`postgres://user:password@host:5432/name?sslmode=verify-full`), which several nodes need. Default
    /// `sqlite://data/switchboard.db`.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// How log lines look: `text` for people or `json` for machines. Default `text`.
    #[arg(long, env, hide_env_values = true, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Which log lines are written: levels by module, separated by commas. Default `info`.
    #[arg(long, env, hide_env_values = true, value_name = "FILTER")]
    pub rust_log: Option<String>,
}

/// Which command the settings are for: what is needed and what is refused differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Serve,
    Dev,
}

impl Config {
    /// The settings of `switchboard serve`.
    ///
    /// # Errors
    /// Everything that is missing, malformed or unsafe, at once.
    pub fn serve(self) -> Result<Settings, ConfigErrors> {
        self.settings(Purpose::Serve, None)
    }

    /// The settings of `switchboard dev`, where `mock` stands in for each `TWILIO_…` that is not given.
    ///
    /// Nothing is taken from `mock` when `TWILIO_CONVERSATIONS_URL` is given: see [`Config::embeds_mock`].
    ///
    /// # Errors
    /// Everything that is malformed or unsafe, at once.
    pub fn dev(self, mock: &MockTwilio) -> Result<Settings, ConfigErrors> {
        let mock = self.embeds_mock().then_some(mock);
        self.settings(Purpose::Dev, mock)
    }

    /// Whether `dev` runs a mock Twilio: unless it is told which Twilio to call.
    pub fn embeds_mock(&self) -> bool {
        reader::given(self.twilio_conversations_url.as_ref()).is_none()
    }

    /// The settings of `switchboard mock-twilio`, and of the mock in `dev`: it answers to the credentials that are
    /// given, else to those of `mock`.
    ///
    /// # Errors
    /// Everything that is malformed, at once.
    pub fn mock(self, mock: &MockTwilio) -> Result<MockSettings, ConfigErrors> {
        let mut read = Reader::default();
        let settings = read.mock(&self, mock);
        read.finish(|| settings)
    }

    /// Where the mock Twilio of `dev` listens, told before the rest so that its address can be known to the rest.
    ///
    /// # Errors
    /// `MOCK_TWILIO_LISTEN` is no address.
    pub fn mock_listen(&self) -> Result<SocketAddr, ConfigErrors> {
        let mut read = Reader::default();
        let listen = read.mock_listen(self);
        read.finish(|| listen)
    }

    /// What `switchboard token` signs with: `JWT_SECRET`, else `dev`'s.
    ///
    /// # Errors
    /// Everything that is malformed, at once.
    pub fn token(self, mock: &MockTwilio) -> Result<AuthSettings, ConfigErrors> {
        let mut read = Reader::default();
        let allow_insecure = read.allow_insecure(&self);
        let credentials = read.credentials(&self, Some(mock));
        let auth = read.auth(&self, Purpose::Dev, allow_insecure, credentials.as_ref());
        read.finish(|| auth)
    }

    fn settings(self, purpose: Purpose, mock: Option<&MockTwilio>) -> Result<Settings, ConfigErrors> {
        let mut read = Reader::default();
        let allow_insecure = read.allow_insecure(&self);
        let listen = read.listen(&self);
        let public_url = read.public_url(&self, purpose, listen);
        let credentials = read.credentials(&self, mock);
        let auth = read.auth(&self, purpose, allow_insecure, credentials.as_ref());
        let twilio = read.twilio(&self, credentials, mock, allow_insecure);
        let sms = read.sms(&self, twilio.as_ref());
        let metrics_key = read.metrics_key(&self, purpose);
        let cors_origins = read.cors_origins(&self, purpose);
        let strict_users = read.strict_users(&self);
        let max_group_members = read.max_group_members(&self);
        let guest_capability = read.guest_capability(&self);
        let trusted_proxies = read.trusted_proxies(&self);
        let limits = read.limits(&self, purpose);
        let database_url = read.database_url(&self);
        let media = read.media(&self);
        let log = read.log(&self);
        read.refuse_open_doors(auth.as_ref(), twilio.as_ref(), listen, public_url.as_ref(), allow_insecure);
        let mut warnings = warnings(auth.as_ref(), public_url.as_ref(), database_url.as_ref());
        warnings.extend(unnamed_proxy(public_url.as_ref(), trusted_proxies.as_ref(), limits.as_ref()));
        warnings.extend(sms.as_ref().and_then(|sms| sms.warning(twilio.as_ref())));
        read.finish(|| {
            Some(Settings {
                listen: listen?,
                public_url: public_url?,
                auth: auth?,
                cors_origins: cors_origins?,
                strict_users: strict_users?,
                guest_capability: guest_capability?,
                trusted_proxies: trusted_proxies?,
                limits: limits?,
                twilio: twilio?,
                sms: sms?,
                max_group_members: max_group_members?,
                database_url: database_url?,
                media: media?,
                metrics_key,
                log: log?,
                warnings,
            })
        })
    }
}

/// What is allowed but may not be meant.
fn warnings(
    auth: Option<&AuthSettings>,
    public_url: Option<&PublicUrl>,
    database_url: Option<&DatabaseUrl>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(auth) = auth
        && auth.mode == AuthMode::Required
        && auth.jwt_secret.is_none()
        && auth.jwks_url.is_none()
    {
        warnings.push(
            "neither JWT_SECRET nor JWT_JWKS_URL is set: only Twilio access tokens are accepted, and nobody is an \
             admin"
                .to_owned(),
        );
    }
    if let Some(auth) = auth
        && auth.mode == AuthMode::Optional
    {
        warnings.push("AUTH_MODE is optional: whoever sends no token is believed".to_owned());
    }
    if let Some(url) = public_url
        && url.is_plain_http_to_elsewhere()
    {
        warnings.push("PUBLIC_URL is http://: tokens and webhooks travel in clear text".to_owned());
    }
    if database_url.is_some_and(DatabaseUrl::is_believed_unseen) {
        warnings.push(
            "DATABASE_URL has no sslmode=verify-full: whoever stands between can read what is sent to the database"
                .to_owned(),
        );
    }
    warnings
}

/// Who is reached over https stands behind a proxy, since the service itself does not speak it.
fn unnamed_proxy(
    public_url: Option<&PublicUrl>,
    trusted: Option<&TrustedProxies>,
    limits: Option<&LimitSettings>,
) -> Option<String> {
    let unnamed = public_url?.is_https() && trusted?.is_empty() && limits?.count_addresses();
    unnamed.then(|| {
        "PUBLIC_URL is https:// and TRUSTED_PROXIES does not name the proxy before the service: all clients share the \
         limits of one address"
            .to_owned()
    })
}

/// Shows no value: any may hold a secret, or be one put in the wrong place.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}
