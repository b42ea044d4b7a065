//! What a conversation service does, whichever dialect asks: knows no HTTP, no event names, no dialect.
//!
//! To …                                               read
//! - create, fetch, list, rename, delete              `conversations.rs`, `lists.rs`
//! - find or make the one conversation of a pair      `direct.rs`, `pairs.rs`
//! - groups, their admins and rules                   `groups.rs`
//! - a conversation as one of its people sees it      `details.rs`, `settings.rs`
//! - add or remove people, check who may             `participants.rs`
//! - bring phones in, begin with one                 `phone_participants.rs`, `phone_conversations.rs`
//! - send (exactly once), edit, delete a message      `messages.rs`, `drafts.rs`, `parts.rs`
//! - read history, newest messages, what it is about  `history.rs`, `last_messages.rs`, `products.rs`
//! - follow who has read what, and what phones got    `reads.rs`, `deliveries.rs`
//! - take a file in, and know what it is              `uploads.rs`, `file_type.rs`
//! - fetch what a message links to, send a file again  `ingest.rs`, `copies.rs`
//! - find a file's link, and say who may fetch it     `media.rs`
//! - know what people are called, and whose a phone is  `profiles.rs`, `phones.rs`
//! - people as others see them                        `peers.rs`
//! - whom somebody knows, may want to talk to, blocks  `acquaintances.rs`, `directory.rs`, `blocks.rs`
//! - keep contacts, begin with a phone number         `contacts.rs`
//! - sign somebody out everywhere                  `sign_outs.rs`
//! - ask for support and give it, as a guest too      `support/`, `guests.rs`
//! - give out one-time codes; hashes under a key      `codes.rs`, `secret.rs`
//! - see who types, who is here, who is reachable     `typing.rs`, `presence.rs`, `people.rs`
//! - understand what Twilio reports, find what it did not  `inbound.rs`, `sweep.rs`
//! - tell the world                                   `events.rs`
//! - restore the database from what Twilio has        `reindex.rs`
//! - read ids, fail, notice a change while reading    `ids.rs`, `error.rs`, `changes.rs`
//! - know a late report of the same second            `superseded.rs`

mod acquaintances;
mod blocks;
mod changes;
mod codes;
mod contacts;
mod conversations;
mod copies;
mod deliveries;
mod details;
mod direct;
mod directory;
mod drafts;
mod error;
mod events;
mod file_type;
mod groups;
mod guests;
mod history;
mod ids;
mod inbound;
mod ingest;
mod last_messages;
mod lists;
mod media;
mod messages;
mod pairs;
mod participants;
mod parts;
mod peers;
mod people;
mod phone_conversations;
mod phone_participants;
mod phones;
mod presence;
mod products;
mod profiles;
mod reads;
mod reindex;
mod secret;
mod settings;
mod sign_outs;
mod superseded;
mod support;
mod sweep;
mod typing;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::clock::Clock;
use crate::config::{MediaIngest, SmsSettings};
use crate::fetch::Fetcher;
use crate::limits::Limits;
use crate::store::{MessageIndex, Store};
use crate::twilio::{self, AccessTokens, Client};

pub use crate::twilio::{
    Conversation, ConversationState, DeliveryStatus, DeliverySummary, Message, Participant,
};
pub use acquaintances::{Acquaintance, ContactEntry, Page, PageOf};
pub use blocks::{BlockedPerson, Blocking};
pub use codes::{IssuedCode, NewCode, UsedCode};
pub use contacts::{ByPhone, Contact, NewContact, StartedByPhone};
pub use conversations::{ConversationEdit, CreatedGroup, NewGroup};
pub use deliveries::failure_reason;
pub use details::{Detail, OpenedDirect};
pub use direct::{Direct, Pair, Partner};
pub use directory::{Ranking, SortBy, Suggestion, Wanted};
pub use drafts::{About, BODY_BYTES, Draft, Extras, MEDIA_LINKS, MESSAGE_ATTRIBUTES_BYTES, SMS_CHARACTERS};
pub use error::{Error, GroupError};
pub use events::{Changed, Event, Status};
pub use groups::{ConversationKind, Group, GroupDraft, GroupMember, GroupRole};
pub use guests::GuestRules;
pub use history::Span;
pub use ids::{ConversationSid, Id, MediaSid, MessageSid, ParticipantSid, parse_id};
pub use inbound::{Busy, Inbound};
pub use lists::{Cursor, ListedConversation, Listing};
pub use media::{LinkProof, MediaContent, MediaLinks, check_picture};
pub use pairs::ListedDirect;
pub use participants::{Member, NewParticipant};
pub use peers::Peer;
pub use people::{AccessToken, Reachability};
pub use phone_participants::PhoneNumber;
pub use phones::PhoneKey;
pub use presence::{OnlineUser, SocketId};
pub use profiles::{Change, Kind, Profile, ProfileEdit, search_key};
pub use reindex::{Part, Progress, Reindex};
pub use settings::{ConversationSettings, SettingsEdit};
pub use support::{
    ListedSupport, MessageType, NewSupportMessage, Owner, Priority, Sender, Side, SupportChanges,
    SupportConversation, SupportDetails, SupportEvent, SupportListing, SupportMessages, SupportPerson,
    SupportStatus, Topic,
};
pub use uploads::{Arriving, UPLOAD_BYTES, Upload};

/// How long to look for what a write without a clear answer did: together they stay below the ten seconds that a person
/// waits.
const LOOK_FOR: Duration = Duration::from_millis(3_500);

/// `looking`, for a short while.
async fn look<T>(looking: impl Future<Output = Result<T, twilio::Error>>) -> Result<T, twilio::Error> {
    let looked = tokio::time::timeout(LOOK_FOR, looking).await;
    looked.unwrap_or_else(|_| Err(twilio::Error::Unreachable("no answer in time".to_owned())))
}

/// The conversation service: a cheap clone of shared state.
#[derive(Clone)]
pub struct Core {
    inner: Arc<Inner>,
}

/// What the service is built from.
pub struct Parts {
    /// The way to Twilio.
    pub twilio: Client,
    /// What people on Twilio's own SDKs identify themselves with.
    pub access_tokens: AccessTokens,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Where the service is reached from outside; links to files begin with it.
    pub public_url: Url,
    /// Fetches what messages link to, and when.
    pub fetcher: Fetcher,
    /// As above.
    pub media_ingest: MediaIngest,
    /// Whether callers must prove who they are: links to files are signed then, and what was said to a phone is nobody's
    /// whose token does not vouch for it.
    pub proof_needed: bool,
    /// The Twilio number that text messages come from (E.164), if there is one.
    pub phone_number: Option<String>,
    /// Which phones may be written to, and how many.
    pub sms: SmsSettings,
    /// Whether a message to somebody nobody knows is refused.
    pub strict_users: bool,
    /// How many people a group may have.
    pub max_group_members: usize,
    /// Which guests of support are believed.
    pub guests: GuestRules,
    /// What hashes of our own are keyed with.
    pub secret: SecretString,
    /// How much anybody may ask for.
    pub limits: Limits,
}

/// The state behind [`Core`]; each part belongs to the file of its name.
pub struct Inner {
    twilio: Client,
    access_tokens: AccessTokens,
    store: Store,
    clock: Clock,
    media_links: MediaLinks,
    fetcher: Fetcher,
    media_ingest: MediaIngest,
    phone_number: Option<String>,
    sms: SmsSettings,
    strict_users: bool,
    max_group_members: usize,
    index: MessageIndex,
    door: events::Door,
    history: history::History,
    last_messages: last_messages::LastMessages,
    conversations: conversations::Conversations,
    participants: participants::Rosters,
    directs: direct::Directs,
    pairs: pairs::Pairs,
    blocks: blocks::Blocks,
    strangers: peers::Strangers,
    directory: directory::Directory,
    settings: settings::Standings,
    lists: lists::Lists,
    sends: messages::Sends,
    presence: presence::Presence,
    typing: typing::Typing,
    people: people::People,
    uploads: uploads::Uploads,
    files: media::Files,
    support: support::Known,
    sweep: sweep::Sweep,
    guests: GuestRules,
    signed_out: sign_outs::Known,
    secret: secret::Secret,
    limits: Limits,
    /// Whether we are reached over https.
    https: bool,
    profiles: profiles::Profiles,
    phone_conversations: phone_conversations::PhoneConversations,
    proof_needed: bool,
}

impl std::ops::Deref for Core {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Core {
    /// Builds the service and starts what it does by itself: ending silent typing, looking for what was not reported,
    /// forgetting old send keys.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let (index, _) = MessageIndex::start(parts.store.clone());
        let (support, counting) = support::Known::new();
        let (phone_conversations, registered) = phone_conversations::PhoneConversations::new();
        let secret = secret::Secret::new(parts.secret);
        let signing = parts.proof_needed.then(|| secret.clone());
        let core = Self {
            inner: Arc::new(Inner {
                twilio: parts.twilio,
                access_tokens: parts.access_tokens,
                store: parts.store,
                door: events::Door::new(parts.clock.clone()),
                media_links: MediaLinks::new(&parts.public_url, signing, parts.clock.clone()),
                clock: parts.clock,
                fetcher: parts.fetcher,
                media_ingest: parts.media_ingest,
                phone_number: parts.phone_number,
                sms: parts.sms,
                strict_users: parts.strict_users,
                max_group_members: parts.max_group_members,
                index,
                history: history::History::new(),
                last_messages: last_messages::LastMessages::new(),
                conversations: conversations::Conversations::new(),
                participants: participants::Rosters::new(),
                directs: direct::Directs::new(),
                pairs: pairs::Pairs::new(),
                blocks: blocks::Blocks::new(),
                strangers: peers::Strangers::new(),
                directory: directory::Directory::new(),
                settings: settings::Standings::new(),
                lists: lists::Lists::new(),
                sends: messages::Sends::new(),
                presence: presence::Presence::default(),
                typing: typing::Typing::new(parts.limits.bounds.typing_gap),
                people: people::People::new(),
                uploads: uploads::Uploads::new(),
                files: media::Files::new(),
                support,
                sweep: sweep::Sweep::default(),
                guests: parts.guests,
                signed_out: sign_outs::Known::new(),
                secret,
                limits: parts.limits,
                https: parts.public_url.scheme() == "https",
                profiles: profiles::Profiles::new(),
                phone_conversations,
                proof_needed: parts.proof_needed,
            }),
        };
        core.spawn_while_alive(typing::SWEEP_EVERY, |core| async move { core.settle_typing() });
        core.spawn_while_alive(sweep::LOOK_EVERY, |core| async move { core.sweep().await });
        core.spawn_while_alive(Duration::from_secs(600), |core| async move {
            core.forget_old_sends().await;
            core.forget_old_codes().await;
            core.forget_old_sign_outs().await;
            core.forget_old_phone_counts().await;
            core.hand_over_what_is_left().await;
        });
        core.spawn_while_alive(sign_outs::LOOKED_FOR_EVERY, |core| async move {
            if let Err(error) = core.look_for_sign_outs().await {
                tracing::debug!(%error, "whom other nodes sign out is not known at the moment");
            }
        });
        core.count_support(counting);
        core.hand_over_phones(registered);
        core
    }

    /// Whether what the service cannot work without answers: the database, and Twilio as far as is known without asking.
    ///
    /// # Errors
    /// What is wrong, to be read by an operator.
    pub async fn ready(&self) -> Result<(), &'static str> {
        if !self.twilio.is_available() {
            return Err("Twilio does not answer");
        }
        self.store.ping().await.map_err(|_| "the database does not answer")
    }

    /// How much anybody may ask for: one count, whichever way they come.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether clients reach the service over https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Writes what is still to be written; call it when nobody asks any more.
    pub async fn close(&self) {
        self.index.flushed().await;
        self.store.close().await;
    }

    /// Runs `work` every `period` for as long as somebody holds the core.
    fn spawn_while_alive<F>(&self, period: Duration, work: impl Fn(Self) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(inner) = inner.upgrade() else { break };
                work(Self { inner }).await;
            }
        });
    }

    /// Runs `work` to its end even if whoever asked for it hangs up: what has several steps at Twilio must not stop
    /// between two of them.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        tokio::spawn(crate::telemetry::in_same_count(work)).await.unwrap_or_else(|_| {
            // What it panicked with may quote what somebody wrote.
            tracing::error!("a piece of work panicked");
            Err(Error::Internal)
        })
    }
}
