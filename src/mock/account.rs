//! One account: its resources behind a lock, and all that keeps accounts apart – clock, faults, journal, webhooks, pace.
//!
//! Accounts share nothing but the process, so tests that take one each can run at the same time. Which request belongs to
//! which account is in `login.rs`; what the lock guards is [`Tenant`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::mock::clock::Clock;
use crate::mock::delivery::Sender;
use crate::mock::error::{self, Refusal};
use crate::mock::event::Origin;
use crate::mock::faults::Faults;
use crate::mock::journal::Journal;
use crate::mock::options::{Options, Switches};
use crate::mock::sid::Sid;
use crate::mock::state::Tenant;
use crate::mock::webhooks::Webhooks;

/// What one needs to know to use an account.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// The account, `AC…`.
    pub account_sid: String,
    /// Its auth token: a password of REST calls, and the key of webhook signatures.
    pub auth_token: String,
    /// An API key, `SK…`.
    pub api_key_sid: String,
    /// The API key's secret: a password of REST calls, and the key of access tokens.
    pub api_key_secret: String,
    /// The default Conversations service, `IS…`.
    pub service_sid: String,
    /// The account's phone number, E.164.
    pub phone_number: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("account_sid", &self.account_sid).finish_non_exhaustive()
    }
}

impl From<&Options> for Credentials {
    fn from(options: &Options) -> Self {
        Self {
            account_sid: options.account_sid.clone(),
            auth_token: options.auth_token.clone(),
            api_key_sid: options.api_key_sid.clone(),
            api_key_secret: options.api_key_secret.clone(),
            service_sid: options.service_sid.clone(),
            phone_number: options.phone_number.clone(),
        }
    }
}

/// An account to be opened. What is left out is made up.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewAccount {
    /// `AC…`.
    pub account_sid: Option<String>,
    /// Any text.
    pub auth_token: Option<String>,
    /// `SK…`.
    pub api_key_sid: Option<String>,
    /// Any text.
    pub api_key_secret: Option<String>,
    /// `IS…`.
    pub service_sid: Option<String>,
    /// E.164; the first account's number when left out, since accounts do not see each other.
    pub phone_number: Option<String>,
    /// Where the account's post-webhooks go.
    pub webhook_url: Option<String>,
    /// How it differs from the mock's own switches.
    pub switches: Option<Switches>,
}

/// Why an account was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// A SID without its two letters and 32 hexadecimal digits.
    #[error("{0} is not the SID it should be")]
    Malformed(&'static str),
    /// The account or the API key is there already.
    #[error("{0} is taken")]
    Taken(String),
    /// There are as many as the mock keeps.
    #[error("there are {0} accounts, which is all the mock keeps")]
    TooMany(usize),
}

impl NewAccount {
    /// The credentials, with what was left out made up.
    pub(crate) fn credentials(&self, phone_number: &str) -> Result<Credentials, NotOpened> {
        let sid = |given: &Option<String>, prefix: &'static str, name: &'static str| match given {
            None => Ok(Sid::random(prefix).to_string()),
            Some(text) if Sid::parse(prefix, text).is_some() => Ok(text.clone()),
            Some(_) => Err(NotOpened::Malformed(name)),
        };
        let secret = |given: &Option<String>| {
            given.clone().unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()))
        };
        Ok(Credentials {
            account_sid: sid(&self.account_sid, "AC", "account_sid")?,
            auth_token: secret(&self.auth_token),
            api_key_sid: sid(&self.api_key_sid, "SK", "api_key_sid")?,
            api_key_secret: secret(&self.api_key_secret),
            service_sid: sid(&self.service_sid, "IS", "service_sid")?,
            phone_number: self.phone_number.clone().unwrap_or_else(|| phone_number.to_owned()),
        })
    }
}

/// One account of the mock.
#[derive(Debug)]
pub struct Account {
    credentials: Credentials,
    clock: Clock,
    faults: Arc<Faults>,
    journal: Arc<Journal>,
    webhooks: Webhooks,
    /// Held for the length of one operation, never across a wait.
    tenant: Mutex<Tenant>,
    switches: Mutex<Switches>,
    /// Where its post-webhooks go; it outlasts a reset.
    webhook_url: Mutex<Option<String>>,
    pace: Mutex<Option<Second>>,
    in_flight: AtomicUsize,
    unsaved: AtomicBool,
}

/// The writes of the current second.
#[derive(Debug)]
struct Second {
    since: Instant,
    writes: u32,
}

impl Account {
    pub(crate) fn new(
        credentials: Credentials,
        switches: Switches,
        webhook_url: Option<String>,
        sender: Sender,
        stopping: CancellationToken,
    ) -> Self {
        let clock = Clock::default();
        let faults = Arc::new(Faults::default());
        let journal = Arc::new(Journal::default());
        let mut tenant = Tenant::new(&credentials, webhook_url.clone(), clock.now());
        tenant.switches = switches;
        Self {
            webhooks: Webhooks::new(sender, journal.clone(), faults.clone(), stopping),
            tenant: Mutex::new(tenant),
            switches: Mutex::new(switches),
            webhook_url: Mutex::new(webhook_url),
            pace: Mutex::new(None),
            in_flight: AtomicUsize::new(0),
            unsaved: AtomicBool::new(true),
            credentials,
            clock,
            faults,
            journal,
        }
    }

    /// How to log in.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Its time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What it does wrong, on demand.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What was asked of it, and what it told.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How it behaves where Twilio leaves a choice.
    pub fn switches(&self) -> Switches {
        *self.switches.lock()
    }

    /// Behaves differently from now on.
    pub fn set_switches(&self, switches: Switches) {
        *self.switches.lock() = switches;
        self.tenant.lock().switches = switches;
        self.touch();
    }

    /// Sends its post-webhooks to `url` from now on, or nowhere.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.webhook_url.lock().clone_from(&url);
        self.tenant.lock().webhooks.set_post_url(url);
        self.touch();
    }

    /// Forgets everything that was done: resources, journal and faults. The clock runs with the system's again; the
    /// webhook address and the switches stay.
    pub fn reset(&self) {
        self.clock.reset();
        self.faults.clear();
        self.journal.clear();
        self.webhooks.forget();
        let mut fresh = Tenant::new(&self.credentials, self.webhook_url.lock().clone(), self.clock.now());
        fresh.switches = self.switches();
        *self.tenant.lock() = fresh;
        self.touch();
    }

    /// Its resources are `tenant` from now on.
    pub(crate) fn replace(&self, mut tenant: Tenant) {
        tenant.switches = self.switches();
        self.webhooks.forget();
        *self.tenant.lock() = tenant;
        self.touch();
    }

    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Looks at the resources, without anything happening meanwhile.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Tenant) -> T) -> T {
        look(&self.tenant.lock())
    }

    /// Runs `operation` under the lock, after what was due before it, and queues the webhooks it caused in the order of
    /// the changes.
    pub(crate) fn change<T>(&self, operation: impl FnOnce(&mut Tenant) -> T) -> T {
        let mut tenant = self.tenant.lock();
        if tenant.catch_up(self.clock.now()) {
            self.touch();
        }
        let result = operation(&mut tenant);
        for delivery in tenant.outbox.drain(..) {
            self.webhooks.queue(delivery);
        }
        result
    }

    /// Runs `operation` as [`Account::change`] does. When it asks a pre-webhook ([`Tenant::ask`]), the webhook is asked
    /// with nothing locked, and the operation run again with its answer.
    pub(crate) async fn act<T>(
        &self,
        origin: &mut Origin,
        operation: impl Fn(&mut Tenant, &Origin) -> T,
    ) -> T {
        loop {
            let outcome = self.change(|tenant| operation(tenant, origin));
            if !self.settle(origin).await {
                return outcome;
            }
        }
    }

    /// Asks what an operation wanted to have asked, if it did: then it has to be run again.
    pub(crate) async fn settle(&self, origin: &mut Origin) -> bool {
        let Some(question) = origin.question.take() else { return false };
        origin.answer = Some(self.webhooks.ask(question).await);
        origin.now = self.clock.now();
        true
    }

    /// Says that something changed, so that it is saved.
    pub(crate) fn touch(&self) {
        self.unsaved.store(true, Ordering::Relaxed);
    }

    /// Whether something changed since this was asked last.
    pub(crate) fn changed(&self) -> bool {
        self.unsaved.swap(false, Ordering::Relaxed)
    }

    /// Counts a write against the limit of the second.
    ///
    /// # Errors
    /// 20429 past the limit.
    pub(crate) fn keep_pace(&self) -> Result<(), Refusal> {
        let Some(limit) = self.switches().rate_limit else { return Ok(()) };
        let mut pace = self.pace.lock();
        let now = Instant::now();
        let second = pace
            .take()
            .filter(|second| now.duration_since(second.since) < Duration::from_secs(1))
            .unwrap_or(Second { since: now, writes: 0 });
        let second = pace.insert(Second { writes: second.writes.saturating_add(1), ..second });
        if second.writes > limit { Err(error::TOO_MANY_REQUESTS) } else { Ok(()) }
    }

    /// Counts a request in; it is counted out when the value is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        let count = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        InFlight { account: self.clone(), count }
    }
}

/// A request being answered.
pub(crate) struct InFlight {
    account: Arc<Account>,
    count: usize,
}

impl InFlight {
    /// How many the account had when it came, itself included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.account.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
