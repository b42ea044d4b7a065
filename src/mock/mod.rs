//! A stateful Twilio, in memory: Conversations v1 and the media service, over real HTTP.
//!
//! It uses nothing of the rest of the project: a mock built from the client's structs would agree with the client's
//! mistakes. What one reads where:
//!
//! * `resources/` – one file per resource: what it is, its body, its rules, its operations; `resources/mod.rs` is the
//!   table of paths.
//! * `exchange.rs` – what happens to every request; `login.rs` – whose it is; `form.rs`, `page.rs`, `error.rs`, `view.rs` –
//!   what the resources share.
//! * `state.rs` – the accounts and what is in each; `account.rs` – what keeps them apart; `table.rs`, `sid.rs`, `clock.rs`,
//!   `lag.rs` – what they are made of.
//! * `event.rs`, `webhooks.rs`, `delivery.rs`, `signature.rs` – how changes are asked about before, and told after.
//! * `other_side.rs`, `inbound.rs`, `phones.rs` – phones, SDK clients and carriers; `control.rs`, `faults.rs`, `journal.rs` –
//!   for tests (both under `/_mock/…`); `console.rs` – the page at `/_mock`.
//! * `snapshot.rs`, `data.rs`, `seed.rs` – the state as JSON, in a file, and from a file written by hand.
//!
//! `docs/mock-coverage.md` lists every operation. Not here: content templates have nothing to fill in, Studio flows are
//! kept and shown but not run, and nothing is pushed to a device.

mod account;
mod clock;
mod console;
mod control;
mod data;
mod delivery;
mod error;
mod event;
mod exchange;
mod faults;
mod form;
mod inbound;
mod journal;
mod lag;
mod login;
mod options;
mod other_side;
mod page;
mod phones;
mod resources;
mod seed;
mod serve;
mod sid;
mod signature;
mod snapshot;
mod state;
mod table;
mod view;
mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use account::{Account, Credentials, NewAccount, NotOpened};
pub use clock::Clock;
pub use data::FileProblem;
pub use faults::{Action, Fault, Faults};
pub use journal::{Journal, JournalEntry, RequestEntry, WebhookEntry};
pub use options::{Options, Switches};
pub use snapshot::NotRestored;
pub use state::State;

/// A running mock. Dropping it stops it, too, without waiting for anybody.
///
/// What it says of an account is about the first one; [`Mock::open_account`] opens more.
#[derive(Debug)]
pub struct Mock {
    state: State,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// Why a mock did not start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The state's file or the seed was not taken in; the text says what is wrong with it.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The mistake.
        problem: FileProblem,
    },
}

impl Mock {
    /// Starts a mock. What was saved is loaded; an empty state is filled from the seed.
    ///
    /// # Errors
    /// When the address cannot be listened on, or a file has a mistake.
    pub async fn start(options: Options) -> Result<Self, NotStarted> {
        let address = options.listen;
        let unusable = |source| NotStarted::Address { address, source };
        let listener = TcpListener::bind(address).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let (data, seed) = (options.data.clone(), options.seed.clone());
        let state = State::new(options);
        if let Some(path) = &data {
            data::load(&state, path).map_err(|problem| NotStarted::File { path: path.clone(), problem })?;
            // What the mock is started with counts more than what it was stopped with.
            state.first().set_switches(state.options().switches);
            if let Some(url) = &state.options().webhook_url {
                state.first().set_webhook_url(Some(url.clone()));
            }
        }
        if let Some(path) = seed.filter(|_| state.first().look(state::Tenant::is_untouched)) {
            sow(&state, &path).await.map_err(|problem| NotStarted::File { path, problem })?;
        }
        let server = tokio::spawn(serve::serve(listener, state.clone()));
        let server = match data {
            None => server,
            Some(path) => tokio::spawn(data::keep(state.clone(), path, server)),
        };
        Ok(Self { state, address, server })
    }

    /// Opens another account in the same mock, apart from all others: for tests that run at the same time.
    ///
    /// # Errors
    /// [`NotOpened`] says why not.
    pub fn open_account(&self, new: &NewAccount) -> Result<Arc<Account>, NotOpened> {
        self.state.open_account(new)
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
        self.state.first().set_webhook_url(url);
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

    /// Forgets everything the first account did: resources, journal, faults. Webhooks go where they went.
    pub fn reset(&self) {
        self.state.first().reset();
    }

    /// Stops taking requests, lets those under way end, saves, and returns when all is done.
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

async fn sow(state: &State, path: &Path) -> Result<(), FileProblem> {
    let json = std::fs::read(path)?;
    seed::apply(state, router(state.clone()), &json).await
}

/// The mock as a router, for who has a server already. Faults that close connections need [`Mock`]'s own server;
/// here they are answered 503.
pub fn router(state: State) -> Router {
    let twilio = resources::router().layer(from_fn_with_state(state.clone(), exchange::transact));
    control::router()
        .route("/media/{media}", get(resources::media::download))
        .fallback_service(twilio.with_state(state.clone()))
        .with_state(state)
}
