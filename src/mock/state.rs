//! What the mock keeps: its accounts, and what is in each – services and what belongs to the whole account.
//!
//! What an account has beside its resources is in `account.rs`; the resources themselves are in `resources/`, one file
//! each. What is kept of all this when the mock stops is what serde writes: the indexes are not, they are built anew
//! (`snapshot.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use axum::http::HeaderValue;
use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::mock::account::{Account, Credentials, NewAccount, NotOpened};
use crate::mock::clock::Clock;
use crate::mock::delivery::{Delivery, Sender};
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Amendment, Event, Origin, Question, WebhookMethod};
use crate::mock::faults::Faults;
use crate::mock::journal::Journal;
use crate::mock::lag::Lag;
use crate::mock::options::{Options, Switches};
use crate::mock::phones::Phones;
use crate::mock::resources::addresses::AddressConfiguration;
use crate::mock::resources::bindings::DeviceBindings;
use crate::mock::resources::configuration::{AccountConfiguration, ServiceConfiguration, WebhookSettings};
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::credentials::Credential;
use crate::mock::resources::media::Media;
use crate::mock::resources::notifications::NotificationSettings;
use crate::mock::resources::roles::Role;
use crate::mock::resources::roster::Memberships;
use crate::mock::resources::states::ConversationState;
use crate::mock::resources::users::User;
use crate::mock::sid::{Sid, prefix};
use crate::mock::table::Table;

/// Most accounts of one mock.
const MOST_ACCOUNTS: usize = 1000;

/// The whole mock. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    /// The account the options describe: the one meant where none is named.
    first: Arc<Account>,
    accounts: RwLock<Accounts>,
    sender: Sender,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct Accounts {
    /// By what one may log in with: account SID or API key SID.
    by_username: HashMap<String, Arc<Account>>,
    in_order: Vec<Arc<Account>>,
}

impl State {
    /// One empty account as `options` describe it. Files are not looked at; [`Mock::start`](crate::mock::Mock::start)
    /// does that.
    pub fn new(options: Options) -> Self {
        let stopping = CancellationToken::new();
        let sender = Sender::new();
        let first = Arc::new(Account::new(
            Credentials::from(&options),
            options.switches,
            options.webhook_url.clone(),
            sender.clone(),
            stopping.clone(),
        ));
        let accounts = Accounts {
            by_username: HashMap::from([
                (options.account_sid.clone(), first.clone()),
                (options.api_key_sid.clone(), first.clone()),
            ]),
            in_order: vec![first.clone()],
        };
        Self(Arc::new(Shared { options, first, accounts: RwLock::new(accounts), sender, stopping }))
    }

    /// Opens another account beside those there are.
    ///
    /// # Errors
    /// [`NotOpened`] says why not; nothing changed then.
    pub fn open_account(&self, new: &NewAccount) -> Result<Arc<Account>, NotOpened> {
        let credentials = new.credentials(&self.0.options.phone_number)?;
        let switches = new.switches.unwrap_or(self.0.options.switches);
        self.open(credentials, switches, new.webhook_url.clone())
    }

    pub(crate) fn open(
        &self,
        credentials: Credentials,
        switches: Switches,
        webhook_url: Option<String>,
    ) -> Result<Arc<Account>, NotOpened> {
        let mut accounts = self.0.accounts.write();
        if accounts.in_order.len() >= MOST_ACCOUNTS {
            return Err(NotOpened::TooMany(MOST_ACCOUNTS));
        }
        let usernames = [credentials.account_sid.clone(), credentials.api_key_sid.clone()];
        if let Some(taken) = usernames.iter().find(|name| accounts.by_username.contains_key(*name)) {
            return Err(NotOpened::Taken(taken.clone()));
        }
        let (sender, stopping) = (self.0.sender.clone(), self.0.stopping.clone());
        let account = Arc::new(Account::new(credentials, switches, webhook_url, sender, stopping));
        for username in usernames {
            accounts.by_username.insert(username, account.clone());
        }
        accounts.in_order.push(account.clone());
        Ok(account)
    }

    /// The account that logs in with `username`, its SID or its API key's.
    pub fn account(&self, username: &str) -> Option<Arc<Account>> {
        self.0.accounts.read().by_username.get(username).cloned()
    }

    /// All accounts, oldest first.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.0.accounts.read().in_order.clone()
    }

    /// The account the mock was started with.
    pub fn first(&self) -> &Arc<Account> {
        &self.0.first
    }

    /// The first account's time.
    pub fn clock(&self) -> &Clock {
        self.0.first.clock()
    }

    /// What the first account was told to do wrong.
    pub fn faults(&self) -> &Faults {
        self.0.first.faults()
    }

    /// What the first account was asked, and told.
    pub fn journal(&self) -> &Journal {
        self.0.first.journal()
    }

    /// The settings the mock was made with.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Does what is due by now, in every account.
    pub(crate) fn catch_up(&self) {
        for account in self.accounts() {
            account.change(|_| ());
        }
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
}

/// The resources of one account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) account_sid: Sid,
    #[serde(skip)]
    pub(crate) auth_token: String,
    #[serde(skip)]
    pub(crate) switches: Switches,
    pub(crate) default_service_sid: Sid,
    pub(crate) configuration: AccountConfiguration,
    pub(crate) webhooks: WebhookSettings,
    pub(crate) services: Table<Service>,
    /// Numbers that may be proxy addresses.
    pub(crate) numbers: HashSet<String>,
    /// (address, proxy address) → the conversation that is not closed and holds the pair. Account-wide, as at Twilio.
    #[serde(skip)]
    pub(crate) bindings: HashMap<(String, String), Place>,
    /// The numbers of each group text, in order → the conversation that is not closed and has them.
    #[serde(skip)]
    pub(crate) groups: HashMap<String, Place>,
    pub(crate) address_configurations: Table<AddressConfiguration>,
    pub(crate) credentials: Table<Credential>,
    /// Whether lists may lag behind, or did and there is something left to show.
    #[serde(skip)]
    pub(crate) lagging: bool,
    /// Ends of timers to come.
    #[serde(skip)]
    pub(crate) deadlines: BTreeSet<(DateTime<Utc>, Place)>,
    /// What phones outside have received and sent.
    #[serde(default)]
    pub(crate) phones: Phones,
    /// Webhooks of the operation under way.
    #[serde(skip)]
    pub(crate) outbox: Vec<Delivery>,
}

/// Where a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) service_sid: Sid,
    pub(crate) conversation_sid: Sid,
}

impl Tenant {
    /// One empty service.
    pub(crate) fn new(credentials: &Credentials, webhook_url: Option<String>, now: DateTime<Utc>) -> Self {
        let account_sid = credentials.account_sid.parse().unwrap_or_else(|_| Sid::random("AC"));
        let service_sid = Sid::parse(prefix::SERVICE, &credentials.service_sid)
            .unwrap_or_else(|| Sid::random(prefix::SERVICE));
        let mut services = Table::default();
        services.insert(service_sid, Service::new(service_sid, "Default Conversations Service", now));
        Self {
            account_sid,
            auth_token: credentials.auth_token.clone(),
            switches: Switches::default(),
            default_service_sid: service_sid,
            configuration: AccountConfiguration::default(),
            webhooks: WebhookSettings::posting_to(webhook_url),
            services,
            numbers: HashSet::from([credentials.phone_number.clone()]),
            bindings: HashMap::new(),
            groups: HashMap::new(),
            address_configurations: Table::default(),
            credentials: Table::default(),
            lagging: false,
            deadlines: BTreeSet::new(),
            phones: Phones::default(),
            outbox: Vec::new(),
        }
    }

    /// Whether there is nobody, and no conversation.
    pub(crate) fn is_untouched(&self) -> bool {
        self.services.values().all(|service| service.users.is_empty() && service.conversations.is_empty())
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

    /// Asks the pre-webhooks that listen to `kind` before something is changed. An operation calls this once: after its
    /// checks, before its first change. The first time it is left by the error, nothing having happened; then the
    /// webhooks are asked with nothing locked, and the operation is run again and gets their answer here
    /// ([`Account::act`]).
    ///
    /// # Errors
    /// 50056 when a pre-webhook refuses.
    pub(crate) fn ask(
        &self,
        origin: &Origin,
        kind: &'static str,
        service_sid: Sid,
        event: impl FnOnce() -> Event,
    ) -> Result<Amendment, Refusal> {
        if let Some(answer) = &origin.answer {
            return answer.clone();
        }
        if !origin.announced {
            return Ok(Amendment::default());
        }
        let targets = self.targets(service_sid, |settings| settings.pre_target(kind));
        if targets.is_empty() {
            return Ok(Amendment::default());
        }
        let event = event();
        let deliveries = targets
            .into_iter()
            .map(|(url, method)| {
                let delivery = Delivery::new(self, origin, &event, url, method, None);
                delivery.repeated(self.pre_webhook_retries(service_sid))
            })
            .collect();
        origin.question.replace(Some(Question { event: kind, deliveries }));
        Err(error::WEBHOOK_REFUSED)
    }

    /// Addresses `event` to the webhooks that listen to it; silent REST changes are told to nobody.
    pub(crate) fn tell(&mut self, origin: &Origin, event: &Event) {
        if !origin.announced {
            return;
        }
        let retries = self.post_webhook_retries(event.service_sid);
        for (url, method) in self.targets(event.service_sid, |settings| settings.post_target(event.kind)) {
            let delivery = Delivery::new(self, origin, event, url, method, None).repeated(retries);
            self.outbox.push(delivery);
        }
        self.tell_scoped(origin, event);
    }

    /// Addresses `event` to its scoped webhooks only.
    pub(crate) fn tell_scoped(&mut self, origin: &Origin, event: &Event) {
        let retries = self.post_webhook_retries(event.service_sid);
        for scoped in &event.scoped {
            let delivery =
                Delivery::new(self, origin, event, scoped.url.clone(), scoped.method, Some(scoped.sid));
            self.outbox.push(delivery.repeated(retries));
        }
    }

    /// Where the account's and the service's settings send something, each place once.
    fn targets(
        &self,
        service_sid: Sid,
        target: impl Fn(&WebhookSettings) -> Option<(String, WebhookMethod)>,
    ) -> Vec<(String, WebhookMethod)> {
        let service = self.services.get(service_sid).map(|service| &service.webhooks);
        let mut targets: Vec<_> =
            [Some(&self.webhooks), service].into_iter().flatten().filter_map(target).collect();
        targets.dedup();
        targets
    }

    fn pre_webhook_retries(&self, service_sid: Sid) -> u32 {
        let service = self.services.get(service_sid).and_then(|service| service.pre_webhook_retry_count);
        service.unwrap_or(self.switches.pre_webhook_retry_count)
    }

    fn post_webhook_retries(&self, service_sid: Sid) -> u32 {
        let service = self.services.get(service_sid).and_then(|service| service.post_webhook_retry_count);
        service.unwrap_or(self.switches.post_webhook_retry_count)
    }

    /// Ends the timers that are due, oldest first, and shows in lists what was held back until `now`. Whether a timer
    /// ended.
    pub(crate) fn catch_up(&mut self, now: DateTime<Utc>) -> bool {
        if self.switches.list_lag_ms > 0 || self.lagging {
            let mut lagging = self.switches.list_lag_ms > 0;
            for service in self.services.values_mut() {
                lagging |= service.show(now, self.switches.list_lag_ms);
            }
            self.lagging = lagging;
        }
        let mut ended = false;
        while let Some((deadline, place)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            crate::mock::resources::states::end_timer(self, place, deadline);
            ended = true;
        }
        ended
    }
}

/// One Conversations service: names, identities and roles are its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) sid: Sid,
    pub(crate) friendly_name: String,
    pub(crate) date_created: DateTime<Utc>,
    pub(crate) date_updated: DateTime<Utc>,
    pub(crate) configuration: ServiceConfiguration,
    pub(crate) webhooks: WebhookSettings,
    /// How often failed webhooks are repeated; the account's switches decide until it is set.
    #[serde(default)]
    pub(crate) pre_webhook_retry_count: Option<u32>,
    #[serde(default)]
    pub(crate) post_webhook_retry_count: Option<u32>,
    pub(crate) roles: Table<Role>,
    pub(crate) users: Table<User>,
    /// Identity → user.
    #[serde(skip)]
    pub(crate) identities: HashMap<String, Sid>,
    pub(crate) conversations: HashMap<Sid, Conversation>,
    #[serde(skip)]
    pub(crate) unique_names: HashMap<String, Sid>,
    /// Conversations by their latest activity; the greatest key is the most recent.
    #[serde(skip)]
    pub(crate) by_activity: BTreeMap<u64, Sid>,
    /// The same, of each state.
    #[serde(skip)]
    pub(crate) by_state: HashMap<ConversationState, BTreeMap<u64, Sid>>,
    /// Conversations by date of creation.
    #[serde(skip)]
    pub(crate) by_creation: BTreeMap<(DateTime<Utc>, Sid), ()>,
    pub(crate) next_activity: u64,
    /// Identity → its conversations and its participant in each.
    #[serde(skip)]
    pub(crate) memberships: HashMap<String, Memberships>,
    /// Address → (conversation, participant) of each binding with it.
    #[serde(skip)]
    pub(crate) addresses: HashMap<String, BTreeMap<(Sid, Sid), ()>>,
    #[serde(skip)]
    pub(crate) lag: Lag,
    pub(crate) media: HashMap<Sid, Media>,
    pub(crate) devices: DeviceBindings,
    pub(crate) notifications: NotificationSettings,
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
            pre_webhook_retry_count: None,
            post_webhook_retry_count: None,
            roles,
            users: Table::default(),
            identities: HashMap::new(),
            conversations: HashMap::new(),
            unique_names: HashMap::new(),
            by_activity: BTreeMap::new(),
            by_state: HashMap::new(),
            by_creation: BTreeMap::new(),
            next_activity: 0,
            memberships: HashMap::new(),
            addresses: HashMap::new(),
            lag: Lag::default(),
            media: HashMap::new(),
            devices: DeviceBindings::default(),
            notifications: NotificationSettings::default(),
        }
    }
}
