//! The state as JSON and back: accounts with everything in them.
//!
//! Only the resources are written. What is found by – names, identities, addresses, the order of lists – is built anew
//! when they are read, so a snapshot cannot disagree with itself. Files are `data.rs`' business.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::mock::account::{Account, Credentials, NotOpened};
use crate::mock::clock::Setting;
use crate::mock::options::Switches;
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::participants::Participant;
use crate::mock::resources::states::ConversationState;
use crate::mock::sid::Sid;
use crate::mock::state::{Place, Service, State, Tenant};

/// What this version writes, and the only one it reads.
const VERSION: u32 = 1;

/// Why a snapshot was not restored. Nothing changed then.
#[derive(Debug, thiserror::Error)]
pub enum NotRestored {
    /// It does not read as a snapshot; the text says where.
    #[error("{0}")]
    Malformed(String),
    /// It was written by another version.
    #[error("version: {0} is not {VERSION}, the one this mock reads")]
    Version(u32),
    /// An account of it cannot be opened beside those there are.
    #[error(transparent)]
    Account(#[from] NotOpened),
    /// It was to be restored into one account, but holds another number of them.
    #[error("accounts: there are {0}, but one is to be restored")]
    NotOne(usize),
}

#[derive(Serialize)]
struct Written {
    version: u32,
    accounts: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct WrittenAccount<'a> {
    credentials: &'a Credentials,
    clock: Setting,
    switches: Switches,
    resources: &'a Tenant,
}

#[derive(Deserialize)]
struct Snapshot {
    version: u32,
    accounts: Vec<SavedAccount>,
}

#[derive(Deserialize)]
struct SavedAccount {
    credentials: Credentials,
    clock: Setting,
    #[serde(default)]
    switches: Switches,
    resources: Tenant,
}

/// These accounts as JSON, each as it is at one moment.
pub(crate) fn write(accounts: &[std::sync::Arc<Account>]) -> Vec<u8> {
    let accounts = accounts.iter().map(|account| {
        account.look(|tenant| {
            let written = WrittenAccount {
                credentials: account.credentials(),
                clock: account.clock().setting(),
                switches: account.switches(),
                resources: tenant,
            };
            serde_json::value::to_raw_value(&written).expect("the state has only texts as keys")
        })
    });
    let written = Written { version: VERSION, accounts: accounts.collect() };
    serde_json::to_vec(&written).expect("JSON made of JSON")
}

fn read(json: &[u8]) -> Result<Vec<SavedAccount>, NotRestored> {
    let reader = &mut serde_json::Deserializer::from_slice(json);
    let snapshot: Snapshot = serde_path_to_error::deserialize(reader)
        .map_err(|cause| NotRestored::Malformed(format!("{}: {}", cause.path(), cause.inner())))?;
    if snapshot.version == VERSION {
        Ok(snapshot.accounts)
    } else {
        Err(NotRestored::Version(snapshot.version))
    }
}

/// Puts the accounts of a snapshot in the place of those with the same SID; those there are not yet are opened.
///
/// # Errors
/// [`NotRestored`].
pub(crate) fn restore(state: &State, json: &[u8]) -> Result<(), NotRestored> {
    let mut restored = Vec::new();
    for saved in read(json)? {
        let account = match state.account(&saved.credentials.account_sid) {
            Some(account) => account,
            None => state.open(saved.credentials.clone(), saved.switches, None)?,
        };
        restored.push((account, saved));
    }
    for (account, saved) in restored {
        put(&account, saved);
    }
    Ok(())
}

/// Puts the one account of a snapshot into `account`, whatever its SID was: a scene that tests start from.
///
/// # Errors
/// [`NotRestored`].
pub(crate) fn restore_into(account: &Account, json: &[u8]) -> Result<(), NotRestored> {
    let mut accounts = read(json)?;
    match (accounts.pop(), accounts.len()) {
        (Some(saved), 0) => put(account, saved),
        (None, _) => return Err(NotRestored::NotOne(0)),
        (Some(_), others) => return Err(NotRestored::NotOne(others + 1)),
    }
    Ok(())
}

fn put(account: &Account, saved: SavedAccount) {
    let SavedAccount { clock, switches, mut resources, .. } = saved;
    let credentials = account.credentials();
    if let Some(sid) = Sid::parse("AC", &credentials.account_sid) {
        resources.account_sid = sid;
    }
    resources.auth_token.clone_from(&credentials.auth_token);
    resources.numbers.insert(credentials.phone_number.clone());
    resources.index();
    account.clock().set(clock);
    account.set_switches(switches);
    account.replace(resources);
}

impl Tenant {
    /// Builds every index anew.
    fn index(&mut self) {
        let Self { services, bindings, groups, deadlines, .. } = self;
        bindings.clear();
        groups.clear();
        deadlines.clear();
        for service in services.values_mut() {
            service.index();
            for conversation in service.conversations.values() {
                let place = Place { service_sid: service.sid, conversation_sid: conversation.sid };
                if conversation.state != ConversationState::Closed {
                    let pairs = conversation.participants.values().filter_map(Participant::pair);
                    bindings.extend(pairs.map(|pair| (pair, place)));
                    if let Some(key) = conversation.group.clone() {
                        groups.entry(key).or_insert(place);
                    }
                }
                deadlines.extend(conversation.timers.scheduled.map(|deadline| (deadline, place)));
            }
        }
    }
}

impl Service {
    fn index(&mut self) {
        self.identities = self.users.values().map(|user| (user.identity.clone(), user.sid)).collect();
        self.unique_names.clear();
        self.by_creation.clear();
        self.by_activity.clear();
        self.by_state.clear();
        self.memberships.clear();
        self.addresses.clear();
        let mut conversations = std::mem::take(&mut self.conversations);
        let mut by_activity: Vec<(u64, Sid)> = Vec::with_capacity(conversations.len());
        for (sid, conversation) in &mut conversations {
            conversation.index();
            if let Some(name) = &conversation.unique_name {
                self.unique_names.insert(name.clone(), *sid);
            }
            self.by_creation.insert((conversation.date_created, *sid), ());
            by_activity.push((conversation.activity, *sid));
            for participant in conversation.participants.values() {
                self.note_membership(*sid, conversation.state, participant);
            }
        }
        self.conversations = conversations;
        // Those whose place in the list was still to come share a number; each gets one of its own.
        by_activity.sort_unstable();
        self.next_activity = 0;
        for (_, sid) in by_activity {
            self.bump(sid);
        }
    }
}

impl Conversation {
    fn index(&mut self) {
        self.identities.clear();
        self.non_chat.clear();
        self.projecting.clear();
        let participants = std::mem::take(&mut self.participants);
        for participant in participants.values() {
            self.note(participant);
        }
        self.participants = participants;
        self.message_indexes = self.messages.iter().map(|(index, message)| (message.sid, *index)).collect();
    }
}

/// Bytes as a text.
pub(crate) mod as_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(serde::de::Error::custom)
    }
}
