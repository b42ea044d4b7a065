//! The HTTP server: what the service is built from, the router and its layers, start and end.
//!
//! Layers, from the outside: where a request comes from, security headers, CORS, the limit of an address, the pace of
//! bodies, foreign pages, the Socket.IO engine, panics, the count of Twilio calls, body limits, routes. The accept loop with its deadlines is `connection.rs`; routes of clients are the dialects', the one of Twilio is `webhooks`.

mod body_pace;
mod client_address;
pub mod connection;
mod layers;
mod media;
mod openapi;
mod operations;
mod pages;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;

use crate::auth::{Auth, AuthMode, AuthSetupError};
use crate::clock::Clock;
use crate::config::{PublicUrl, Settings, TrustedProxies};
use crate::core::{Core, GuestRules, Inbound, Parts};
use crate::dialects::openapi::Callers;
use crate::dialects::{self, Services};
use crate::fetch::Fetcher;
use crate::limits::Limits;
use crate::realtime;
use crate::store::{self, OpenError, Store};
use crate::telemetry::Metrics;
use crate::twilio::{self, AccessTokens, Client, Deadlines, InvalidSid, Validator};
use crate::webhooks::{self, Webhooks};

use connection::{Admission, ConnectionLimits};
use layers::{Pages, SecureHeaders};
use openapi::Document;
use operations::Operations;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0} (LISTEN): {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The database cannot be opened.
    #[error("DATABASE_URL: {0}")]
    Store(#[from] OpenError),
    /// It can, and does not answer.
    #[error("DATABASE_URL: {0}")]
    Database(#[from] store::Error),
    /// Tokens cannot be verified.
    #[error(transparent)]
    Auth(#[from] AuthSetupError),
    /// The way to Twilio cannot be set up.
    #[error("cannot set up the way to Twilio: {0}")]
    Twilio(#[from] twilio::Error),
    /// A SID among the settings is none.
    #[error("a SID among the TWILIO_… settings is not one: {0}")]
    Sid(#[from] InvalidSid),
    /// Files that messages link to could not be fetched.
    #[error("cannot set up fetching of files: {0}")]
    Fetch(String),
    /// Metrics cannot be kept.
    #[error("cannot keep metrics: {0}")]
    Metrics(String),
}

/// Builds what the service does, without its doors.
///
/// # Errors
/// [`StartError`], naming the setting to mend.
pub async fn core(settings: &Settings, clock: Clock) -> Result<Core, StartError> {
    let twilio = &settings.twilio;
    let service_sid = twilio.service_sid.parse()?;
    Ok(Core::start(Parts {
        twilio: Client::new(twilio::Settings {
            username: twilio.api_key_sid.clone(),
            password: twilio.api_key_secret.clone(),
            service_sid,
            conversations_url: twilio.conversations_url.clone(),
            media_url: twilio.media_url.clone(),
            max_concurrency: twilio.max_concurrency,
            deadlines: Deadlines::default(),
        })?,
        access_tokens: AccessTokens::new(
            twilio.account_sid.parse()?,
            twilio.api_key_sid.parse()?,
            &twilio.api_key_secret,
            service_sid,
        ),
        store: Store::open(settings.database_url.expose()).await?,
        clock,
        public_url: settings.public_url.join(""),
        phone_number: twilio.phone_number.clone(),
        sms: settings.sms.clone(),
        fetcher: Fetcher::new(settings.media.networks.clone())
            .map_err(|error| StartError::Fetch(error.to_string()))?,
        media_ingest: settings.media.ingest,
        proof_needed: settings.auth.mode == AuthMode::Required,
        strict_users: settings.strict_users,
        max_group_members: settings.max_group_members,
        guests: GuestRules {
            any_id: settings.auth.mode == AuthMode::Optional,
            capability: settings.guest_capability,
        },
        secret: twilio.api_key_secret.clone(),
        limits: Limits::new(&settings.limits),
    }))
}

/// The service, ready to run.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    core: Core,
    inbound: Inbound,
    sockets: realtime::Closing,
    ending: Arc<AtomicBool>,
    metrics: Metrics,
    trusted_proxies: TrustedProxies,
}

impl Server {
    /// Opens what the service needs and listens; nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// [`StartError`], naming the setting to mend.
    pub async fn bind(mut settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let metrics = Metrics::install().map_err(|error| StartError::Metrics(error.to_string()))?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|error| StartError::Listen(settings.listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(settings.listen, error))?;
        if settings.public_url.join("").port() == Some(0) {
            // It followed from a LISTEN that takes any free port.
            settings.public_url = PublicUrl::of_listener(address);
        }
        let account_sid = settings.twilio.account_sid.parse()?;
        let service_sid = settings.twilio.service_sid.parse()?;
        let validator = Validator::new(settings.twilio.auth_tokens());
        let core = core(&settings, clock.clone()).await?;
        core.look_for_sign_outs().await?;
        let auth = Auth::new(settings.auth, clock.clone(), core.sign_outs())?;
        let auth_mode = auth.mode();
        let pages = if auth_mode == AuthMode::Optional { pages::routes() } else { Router::new() };
        let inbound = Inbound::start(core.clone());
        let webhook_url = settings.public_url.join(webhooks::PATH);
        let limits = core.limits().clone();
        let webhooks =
            Webhooks::new(inbound.clone(), limits, validator, account_sid, service_sid, webhook_url);
        let ending = Arc::new(AtomicBool::new(false));
        let (socketio, entrance, sockets, websockets) =
            realtime::layer(core.clone(), auth.clone(), clock, &dialects::PROTOCOLS);

        let mut document = Document::new(auth_mode);
        let services = Services { core: core.clone(), auth, websockets };
        let mut router = Router::new();
        for dialect in dialects::ALL {
            let (routes, part) = (dialect.routes)(services.clone()).split_for_parts();
            document.add(dialect.name, dialect.callers, &part);
            router = router.merge(routes);
        }
        let (others, part) = webhooks
            .routes()
            .merge(media::routes(services))
            .merge(operations::routes(Operations::new(
                core.clone(),
                auth_mode,
                Arc::clone(&ending),
                metrics.clone(),
                settings.metrics_key,
            )))
            .split_for_parts();
        document.add("service", Callers::Known, &part);
        let pages_let_in = Pages::new(settings.cors_origins.clone(), settings.public_url.clone(), auth_mode);
        let router = router
            .layer(DefaultBodyLimit::max(core.limits().bounds.json_bytes))
            .merge(others)
            .merge(pages)
            .merge(document.route(&settings.public_url.join("")))
            .fallback(layers::no_such_endpoint)
            .method_not_allowed_fallback(layers::no_such_endpoint)
            // Before the layers: a fallback without its state is built anew for every request, and with it the Socket.IO
            // engine around it, which then knows no session.
            .with_state(())
            .layer(from_fn(layers::count_twilio_calls))
            .layer(from_fn(layers::answer_panics))
            .layer(socketio)
            .layer(from_fn_with_state(entrance, layers::prepare_socket))
            .layer(from_fn_with_state(pages_let_in, layers::refuse_foreign_pages))
            .layer(from_fn(body_pace::keep_pace))
            .layer(from_fn_with_state(core.limits().clone(), layers::limit_addresses))
            .layer(layers::cors(settings.cors_origins))
            .layer(from_fn_with_state(SecureHeaders::new(&settings.public_url), layers::secure_headers))
            .layer(from_fn_with_state(settings.trusted_proxies.clone(), client_address::tell_client_address));
        let trusted_proxies = settings.trusted_proxies;
        Ok(Self { listener, address, router, core, inbound, sockets, ending, metrics, trusted_proxies })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` ends; then takes nothing new, finishes what is under way, and lets clients reconnect
    /// elsewhere (they see `transport close`).
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let upkeep = tokio::spawn(self.metrics.upkeep());
        let ending = self.ending;
        let told_to_end = async {
            shutdown.await;
            tracing::info!("ending: finishing what is under way");
            ending.store(true, Ordering::Relaxed);
        };
        let admission = Admission {
            limits: ConnectionLimits::new(&self.core.limits().bounds),
            per_address: self.core.limits().connections_per_address.clone(),
            proxies: self.trusted_proxies,
        };
        connection::serve(self.listener, self.router, told_to_end, self.sockets.close(), admission).await;
        upkeep.abort();
        self.inbound.drained().await;
        self.core.close().await;
    }
}
