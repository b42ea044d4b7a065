//! What the mock keeps: accounts, each behind its own lock, and what they share (clock, faults, journal, webhook queues).
//!
//! The resources themselves are described in `resources/`, one file each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use crate::mock::clock::Clock;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Event, Origin};
use crate::mock::faults::Faults;
use crate::mock::journal::Journal;
use crate::mock::options::Options;
use crate::mock::resources::configuration::{AccountConfiguration, ServiceConfiguration, WebhookSettings};
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::media::Media;
use crate::mock::resources::roles::Role;
use crate::mock::resources::users::User;
use crate::mock::sid::{Sid, prefix};
use crate::mock::table::Table;
use crate::mock::webhooks::{Delivery, Webhooks};

/// The whole mock. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    tenants: RwLock<Tenants>,
    clock: Clock,
    faults: Faults,
    journal: Arc<Journal>,
    webhooks: Webhooks,
    stopping: CancellationToken,
    in_flight: AtomicUsize,
    /// Where the account's post-webhooks go; it outlasts a reset.
    webhook_url: Mutex<Option<String>>,
}

/// The accounts, by what one may log in with: account SID or API key SID.
#[derive(Debug, Default)]
struct Tenants {
    by_username: HashMap<String, Login>,
    first: Option<Arc<TenantDoor>>,
}

#[derive(Debug, Clone)]
struct Login {
    password: String,
    tenant: Arc<TenantDoor>,
}

/// One account behind its lock. The lock is held for the length of one operation, never across a wait.
#[derive(Debug)]
pub(crate) struct TenantDoor {
    tenant: Mutex<Tenant>,
}

impl State {
    /// An empty account as `options` describe it.
    pub fn new(options: Options) -> Self {
        let journal = Arc::new(Journal::default());
        let stopping = CancellationToken::new();
        let state = Self(Arc::new(Shared {
            webhooks: Webhooks::new(journal.clone(), stopping.clone()),
            webhook_url: Mutex::new(options.webhook_url.clone()),
            options,
            tenants: RwLock::default(),
            clock: Clock::default(),
            faults: Faults::default(),
            journal,
            stopping,
            in_flight: AtomicUsize::new(0),
        }));
        state.open_account();
        state
    }

    fn open_account(&self) {
        let options = &self.0.options;
        let now = self.clock().now();
        let webhook_url = self.0.webhook_url.lock().clone();
        let tenant = Arc::new(TenantDoor { tenant: Mutex::new(Tenant::new(options, webhook_url, now)) });
        let login = |password: &str| Login { password: password.to_owned(), tenant: tenant.clone() };
        *self.0.tenants.write() = Tenants {
            by_username: HashMap::from([
                (options.account_sid.clone(), login(&options.auth_token)),
                (options.api_key_sid.clone(), login(&options.api_key_secret)),
            ]),
            first: Some(tenant.clone()),
        };
    }

    /// Forgets everything that was done: resources, journal and faults. The clock runs with the system's again; the
    /// account's webhook address stays.
    pub fn reset(&self) {
        self.0.clock.reset();
        self.0.faults.clear();
        self.0.journal.clear();
        self.0.webhooks.forget();
        self.open_account();
    }

    /// The mock's time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// What the mock was told to do wrong.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What has been asked and told so far.
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// The settings the mock was made with.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.0.webhooks
    }

    /// The account with these credentials.
    ///
    /// # Errors
    /// 401 as Twilio words it.
    pub(crate) fn tenant_of(&self, headers: &HeaderMap) -> Result<Arc<TenantDoor>, Refusal> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            let mut refusal =
                error::INVALID_USERNAME.saying("Authentication Error - No credentials provided".to_owned());
            refusal.detail = Some("Your AccountSid or AuthToken was incorrect.");
            return Err(refusal);
        };
        let (username, password) = basic(header).ok_or(error::INVALID_USERNAME)?;
        let tenants = self.0.tenants.read();
        let login = tenants.by_username.get(&username).ok_or(error::INVALID_USERNAME)?;
        if login.password != password {
            return Err(error::INVALID_USERNAME.saying("Authenticate".to_owned()));
        }
        Ok(login.tenant.clone())
    }

    /// The account that what comes from outside (SMS, SDK clients) belongs to.
    pub(crate) fn first_tenant(&self) -> Arc<TenantDoor> {
        self.0.tenants.read().first.clone().expect("an account is opened with the mock and on every reset")
    }

    /// Runs `operation` under the account's lock, and queues the webhooks it caused in the order of the changes.
    pub(crate) fn change<T>(&self, door: &TenantDoor, operation: impl FnOnce(&mut Tenant) -> T) -> T {
        let mut tenant = door.tenant.lock();
        tenant.end_timers(self.clock().now());
        let result = operation(&mut tenant);
        for delivery in tenant.outbox.drain(..) {
            self.0.webhooks.queue(delivery);
        }
        result
    }

    /// Sends the account's post-webhooks to `url` from now on, or nowhere.
    pub(crate) fn set_webhook_url(&self, url: Option<String>) {
        self.0.webhook_url.lock().clone_from(&url);
        self.first_tenant().tenant.lock().webhooks.set_post_url(url);
    }

    /// Ends the timers that are due, in every account.
    pub(crate) fn end_timers(&self) {
        self.change(&self.first_tenant(), |_| ());
    }

    /// Scheme, host and port for addresses in bodies: the configured ones, else those the caller used.
    pub(crate) fn base_for(&self, host: Option<&HeaderValue>) -> String {
        if let Some(url) = &self.0.options.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let host = host.and_then(|host| host.to_str().ok()).filter(|host| {
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        });
        format!("http://{}", host.unwrap_or("localhost"))
    }

    /// Counts a request in; it is counted out when the value is dropped.
    pub(crate) fn enter(&self) -> InFlight {
        let count = self.0.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        InFlight { state: self.clone(), count }
    }
}

/// A request being answered.
pub(crate) struct InFlight {
    state: State,
    count: usize,
}

impl InFlight {
    /// How many there were when it came, itself included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// One account.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) account_sid: Sid,
    pub(crate) auth_token: String,
    pub(crate) default_service_sid: Sid,
    pub(crate) configuration: AccountConfiguration,
    pub(crate) webhooks: WebhookSettings,
    pub(crate) services: Table<Service>,
    /// Numbers that may be proxy addresses.
    pub(crate) numbers: HashSet<String>,
    /// (address, proxy address) → the conversation that is not closed and holds the pair. Account-wide, as at Twilio.
    pub(crate) bindings: HashMap<(String, String), Place>,
    /// Ends of timers to come.
    pub(crate) deadlines: BTreeSet<(DateTime<Utc>, Place)>,
    pub(crate) outbox: Vec<Delivery>,
}

/// Where a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) service_sid: Sid,
    pub(crate) conversation_sid: Sid,
}

impl Tenant {
    fn new(options: &Options, webhook_url: Option<String>, now: DateTime<Utc>) -> Self {
        let account_sid = options.account_sid.parse().unwrap_or_else(|_| Sid::random("AC"));
        let service_sid =
            Sid::parse(prefix::SERVICE, &options.service_sid).unwrap_or_else(|| Sid::random(prefix::SERVICE));
        let mut services = Table::default();
        services.insert(service_sid, Service::new(service_sid, "Default Conversations Service", now));
        Self {
            account_sid,
            auth_token: options.auth_token.clone(),
            default_service_sid: service_sid,
            configuration: AccountConfiguration::default(),
            webhooks: WebhookSettings::posting_to(webhook_url),
            services,
            numbers: HashSet::from([options.phone_number.clone()]),
            bindings: HashMap::new(),
            deadlines: BTreeSet::new(),
            outbox: Vec::new(),
        }
    }

    pub(crate) fn service(&self, sid: Sid) -> Result<&Service, Refusal> {
        self.services.get(sid).ok_or(error::NOT_FOUND)
    }

    pub(crate) fn service_mut(&mut self, sid: Sid) -> Result<&mut Service, Refusal> {
        self.services.get_mut(sid).ok_or(error::NOT_FOUND)
    }

    pub(crate) fn conversation(&self, place: Place) -> Result<&Conversation, Refusal> {
        self.service(place.service_sid)?.conversations.get(&place.conversation_sid).ok_or(error::NOT_FOUND)
    }

    pub(crate) fn conversation_mut(&mut self, place: Place) -> Result<&mut Conversation, Refusal> {
        self.service_mut(place.service_sid)?
            .conversations
            .get_mut(&place.conversation_sid)
            .ok_or(error::NOT_FOUND)
    }

    /// Addresses `event` to the webhooks that listen to it; silent REST changes are told to nobody.
    pub(crate) fn tell(&mut self, origin: &Origin, event: &Event) {
        if !origin.announced {
            return;
        }
        let service = self.services.get(event.service_sid);
        let mut targets = Vec::new();
        for settings in [Some(&self.webhooks), service.map(|service| &service.webhooks)].into_iter().flatten()
        {
            if let Some(target) = settings.post_target(event.kind)
                && !targets.contains(&target)
            {
                targets.push(target);
            }
        }
        for (url, method) in targets {
            self.outbox.push(Delivery::new(self, origin, event, url, method, None));
        }
        for scoped in &event.scoped {
            self.outbox.push(Delivery::new(
                self,
                origin,
                event,
                scoped.url.clone(),
                scoped.method,
                Some(scoped.sid),
            ));
        }
    }

    /// Ends the timers that are due, oldest first.
    pub(crate) fn end_timers(&mut self, now: DateTime<Utc>) {
        while let Some((deadline, place)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            crate::mock::resources::conversations::end_timer(self, place, deadline);
        }
    }
}

/// One Conversations service: names, identities and roles are its own.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) sid: Sid,
    pub(crate) friendly_name: String,
    pub(crate) date_created: DateTime<Utc>,
    pub(crate) date_updated: DateTime<Utc>,
    pub(crate) configuration: ServiceConfiguration,
    pub(crate) webhooks: WebhookSettings,
    pub(crate) roles: Table<Role>,
    pub(crate) users: Table<User>,
    /// Identity → user.
    pub(crate) identities: HashMap<String, Sid>,
    pub(crate) conversations: HashMap<Sid, Conversation>,
    pub(crate) unique_names: HashMap<String, Sid>,
    /// Conversations by their latest activity; the greatest key is the most recent.
    pub(crate) by_activity: BTreeMap<u64, Sid>,
    /// Conversations by date of creation.
    pub(crate) by_creation: BTreeMap<(DateTime<Utc>, Sid), ()>,
    pub(crate) next_activity: u64,
    /// Identity → its conversations and its participant in each, in the order of the conversations' SIDs.
    pub(crate) memberships: HashMap<String, BTreeMap<Sid, Sid>>,
    /// Address → (conversation, participant) of each binding with it.
    pub(crate) addresses: HashMap<String, BTreeMap<(Sid, Sid), ()>>,
    pub(crate) media: HashMap<Sid, Media>,
}

impl Service {
    pub(crate) fn new(sid: Sid, friendly_name: &str, now: DateTime<Utc>) -> Self {
        let (roles, configuration) = crate::mock::resources::roles::defaults(now);
        Self {
            sid,
            friendly_name: friendly_name.to_owned(),
            date_created: now,
            date_updated: now,
            configuration,
            webhooks: WebhookSettings::default(),
            roles,
            users: Table::default(),
            identities: HashMap::new(),
            conversations: HashMap::new(),
            unique_names: HashMap::new(),
            by_activity: BTreeMap::new(),
            by_creation: BTreeMap::new(),
            next_activity: 0,
            memberships: HashMap::new(),
            addresses: HashMap::new(),
            media: HashMap::new(),
        }
    }

    /// Moves the conversation to the top of the list.
    pub(crate) fn bump(&mut self, conversation_sid: Sid) {
        let activity = self.next_activity;
        if let Some(conversation) = self.conversations.get_mut(&conversation_sid) {
            self.by_activity.remove(&conversation.activity);
            conversation.activity = activity;
            self.by_activity.insert(activity, conversation_sid);
            self.next_activity += 1;
        }
    }
}
