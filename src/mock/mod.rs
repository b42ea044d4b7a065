//! A stateful Twilio, in memory: Conversations v1 and the media service, over real HTTP.
//!
//! It uses nothing of the rest of the project: a mock built from the client's structs would agree with the client's
//! mistakes. What one reads where:
//!
//! * `resources/` – one file per resource: what it is, its body, its rules, its operations; `resources/mod.rs` is the
//!   table of paths.
//! * `exchange.rs` – what happens to every request; `form.rs`, `page.rs`, `error.rs`, `view.rs` – what the resources share.
//! * `state.rs` – accounts and services; `table.rs`, `sid.rs`, `clock.rs` – what they are made of.
//! * `event.rs`, `webhooks.rs`, `signature.rs` – how changes are told.
//! * `other_side.rs` – phones, SDK clients and carriers (`/_mock/…`); `faults.rs`, `journal.rs` – for tests.
//!
//! Not here: `ConversationWithParticipants`, Address Configurations, Bindings, Credentials, notification settings, Studio,
//! pre-webhooks, content templates, and the rules that count the members of a group text. A pre-webhook's place would be
//! in `exchange.rs` between reading and answering, where nothing is locked: it refuses a request or replaces some of its
//! parameters.

mod clock;
mod error;
mod event;
mod exchange;
mod faults;
mod form;
mod journal;
mod options;
mod other_side;
mod page;
mod resources;
mod serve;
mod sid;
mod signature;
mod state;
mod table;
mod view;
mod webhooks;

use std::net::SocketAddr;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use faults::{Action, Fault, Faults};
pub use journal::{Journal, JournalEntry, RequestEntry, WebhookEntry};
pub use options::Options;
pub use state::State;

/// A running mock. Dropping it stops it, too, without waiting for anybody.
#[derive(Debug)]
pub struct Mock {
    state: State,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Mock {
    /// Starts a mock.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let state = State::new(options);
        let server = tokio::spawn(serve::serve(listener, state.clone()));
        Ok(Self { state, address, server })
    }

    /// Where it answers: `http://127.0.0.1:port`, for Conversations and for media.
    pub fn url(&self) -> String {
        match &self.state.options().public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.address),
        }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The account's SID, `AC…`.
    pub fn account_sid(&self) -> &str {
        &self.state.options().account_sid
    }

    /// The account's auth token, which also signs webhooks.
    pub fn auth_token(&self) -> &str {
        &self.state.options().auth_token
    }

    /// The API key's SID, `SK…`.
    pub fn api_key_sid(&self) -> &str {
        &self.state.options().api_key_sid
    }

    /// The API key's secret.
    pub fn api_key_secret(&self) -> &str {
        &self.state.options().api_key_secret
    }

    /// The default service's SID, `IS…`.
    pub fn service_sid(&self) -> &str {
        &self.state.options().service_sid
    }

    /// The account's phone number.
    pub fn phone_number(&self) -> &str {
        &self.state.options().phone_number
    }

    /// Sends the account's post-webhooks to `url` from now on, or nowhere.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.state.set_webhook_url(url);
    }

    /// Everything that was asked and told, requests first, each oldest first.
    pub fn journal(&self) -> Vec<JournalEntry> {
        let journal = self.state.journal();
        let requests = journal.requests(0).into_iter().map(JournalEntry::Request);
        requests.chain(journal.webhooks(0).into_iter().map(JournalEntry::Webhook)).collect()
    }

    /// The requests to Twilio's API, oldest first.
    pub fn requests(&self) -> Vec<RequestEntry> {
        self.state.journal().requests(0)
    }

    /// The webhooks sent, oldest first.
    pub fn webhooks(&self) -> Vec<WebhookEntry> {
        self.state.journal().webhooks(0)
    }

    /// What it does wrong, on demand.
    pub fn faults(&self) -> &Faults {
        self.state.faults()
    }

    /// Its time.
    pub fn clock(&self) -> &Clock {
        self.state.clock()
    }

    /// Forgets everything: resources, journal, faults. Webhooks go where they went.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Stops taking requests, lets those under way end, and returns when all is done.
    pub async fn stop(mut self) {
        self.state.stopping().cancel();
        // The server ends by itself once told; it cannot fail, only be dropped with its runtime.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.state.stopping().cancel();
    }
}

/// The mock as a router, for who has a server already. Faults that close connections need [`Mock`]'s own server;
/// here they are answered 503.
pub fn router(state: State) -> Router {
    let twilio = resources::router().layer(from_fn_with_state(state.clone(), exchange::transact));
    other_side::router()
        .route("/media/{media}", get(resources::media::download))
        .fallback_service(twilio.with_state(state.clone()))
        .with_state(state)
}
