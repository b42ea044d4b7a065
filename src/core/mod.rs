//! What a conversation service does, whichever dialect asks: knows no HTTP, no event names, no dialect.
//!
//! To …                                              read
//! - create, fetch, list, rename, delete             `conversations.rs`, `lists.rs`
//! - find or make the one conversation of a pair     `direct.rs`
//! - add or remove people and phones, check who may  `participants.rs`
//! - send (exactly once), edit, delete a message     `messages.rs`
//! - read history, newest messages                   `history.rs`, `last_messages.rs`
//! - follow who has read what                        `reads.rs`
//! - see who types, who is here, who is reachable    `typing.rs`, `presence.rs`, `people.rs`
//! - store a picture, find a file's link             `media.rs`
//! - understand what Twilio reports                  `inbound.rs`
//! - tell the world                                  `events.rs`

mod changes;
mod conversations;
mod direct;
mod error;
mod events;
mod history;
mod ids;
mod inbound;
mod last_messages;
mod lists;
mod media;
mod messages;
mod participants;
mod people;
mod presence;
mod reads;
mod typing;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::store::{MessageIndex, Store};
use crate::twilio::{self, AccessTokens, Client};

pub use crate::twilio::{Conversation, ConversationState, DeliveryStatus, Message, Participant};
pub use conversations::{ConversationEdit, CreatedGroup, NewGroup};
pub use direct::Direct;
pub use error::Error;
pub use events::{Changed, Event, Status};
pub use history::Span;
pub use ids::{ConversationSid, Id, MediaSid, MessageSid, ParticipantSid, parse_id};
pub use inbound::{Busy, Inbound};
pub use lists::{Cursor, ListedConversation, Listing};
pub use media::{MediaContent, MediaLinks, check_picture};
pub use messages::{BODY_BYTES, Draft, Extras, MEDIA_LINKS, MESSAGE_ATTRIBUTES_BYTES, SMS_CHARACTERS};
pub use participants::{Member, NewParticipant, PhoneNumber};
pub use people::{AccessToken, Reachability};
pub use presence::{OnlineUser, SocketId};

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
    /// The Twilio number that text messages come from (E.164), if there is one.
    pub phone_number: Option<String>,
}

/// The state behind [`Core`]; each part belongs to the file of its name.
pub struct Inner {
    twilio: Client,
    access_tokens: AccessTokens,
    store: Store,
    clock: Clock,
    media_links: MediaLinks,
    phone_number: Option<String>,
    index: MessageIndex,
    door: events::Door,
    history: history::History,
    last_messages: last_messages::LastMessages,
    conversations: conversations::Conversations,
    participants: participants::Rosters,
    directs: direct::Directs,
    lists: lists::Lists,
    sends: messages::Sends,
    presence: presence::Presence,
    typing: typing::Typing,
    people: people::People,
}

impl std::ops::Deref for Core {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Core {
    /// Builds the service and starts what it does by itself: ending silent typing, forgetting old send keys.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let (index, _) = MessageIndex::start(parts.store.clone());
        let core = Self {
            inner: Arc::new(Inner {
                twilio: parts.twilio,
                access_tokens: parts.access_tokens,
                store: parts.store,
                door: events::Door::new(parts.clock.clone()),
                clock: parts.clock,
                media_links: MediaLinks::new(&parts.public_url),
                phone_number: parts.phone_number,
                index,
                history: history::History::new(),
                last_messages: last_messages::LastMessages::new(),
                conversations: conversations::Conversations::new(),
                participants: participants::Rosters::new(),
                directs: direct::Directs::new(),
                lists: lists::Lists::new(),
                sends: messages::Sends::new(),
                presence: presence::Presence::default(),
                typing: typing::Typing::default(),
                people: people::People::new(),
            }),
        };
        core.spawn_while_alive(typing::SWEEP_EVERY, |core| async move { core.end_silent_typing() });
        core.spawn_while_alive(Duration::from_secs(600), |core| async move { core.forget_old_sends().await });
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
        tokio::spawn(crate::telemetry::in_same_count(work)).await.unwrap_or_else(|panicked| {
            tracing::error!(%panicked, "a piece of work panicked");
            Err(Error::Internal)
        })
    }
}
