//! What happens in the world, and the one door through which it is told: [`Core::publish`].
//!
//! Every source is at-least-once (our own send, Twilio's webhook about it, a repeat of either). The door drops what was
//! seen, keeps a conversation's messages in Twilio's order, and tells this node's listeners. Shapes and event names are the
//! dialects' business; what a webhook means is `inbound.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Conversation, ConversationSid, Core, DeliveryStatus, DeliverySummary, Member, Message, MessageSid,
    Participant, ParticipantSid, SupportConversation, SupportEvent,
};
use crate::auth::Identity;
use crate::clock::Clock;

/// How long a message waits for one with a lower index that may still come. Twilio's indices may skip, so a hole is no
/// proof of loss: after this the message is told all the same.
const REORDER_WINDOW: Duration = Duration::from_millis(250);
/// How long what was told is remembered, so that a late duplicate is not told again.
const SEEN_FOR: Duration = Duration::from_secs(24 * 3600);
/// How many things are remembered as told.
const SEEN_AT_MOST: u64 = 500_000;
/// Conversations whose order is kept track of at once.
const LINES_AT_MOST: u64 = 100_000;

/// Something that happened, once.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message is in the conversation.
    MessageAdded(Arc<Message>),
    /// Its body, author or attributes changed.
    MessageUpdated(Arc<Message>),
    /// It was deleted.
    MessageRemoved {
        /// Where it was.
        conversation: ConversationSid,
        /// Which it was.
        message: MessageSid,
        /// Its place.
        index: i64,
    },
    /// An SMS or WhatsApp participant's copy got further, or did not.
    DeliveryUpdated {
        /// Where.
        conversation: ConversationSid,
        /// Which message.
        message: MessageSid,
        /// Whose copy.
        participant: ParticipantSid,
        /// How far it got.
        status: DeliveryStatus,
        /// Twilio's code when it failed, else 0.
        error_code: u32,
        /// How the message fares with all of them now, as far as is known.
        summary: Option<DeliverySummary>,
    },
    /// A conversation was made.
    ConversationAdded {
        /// It.
        conversation: Arc<Conversation>,
        /// Who is in it from the start, as far as is known: nobody when Twilio reports what others made.
        members: Vec<Member>,
        /// Who made it, if a person did so through us.
        creator: Option<Identity>,
    },
    /// Its name, attributes or state changed.
    ConversationUpdated {
        /// As it is now.
        conversation: Arc<Conversation>,
        /// What is new.
        changed: Changed,
    },
    /// It was deleted.
    ConversationRemoved {
        /// Which.
        conversation: ConversationSid,
    },
    /// Somebody (a person or a phone) is in the conversation.
    ParticipantAdded(Arc<Participant>),
    /// Somebody no longer is.
    ParticipantRemoved(Arc<Participant>),
    /// A person has read up to a message.
    ReadHorizonMoved {
        /// Where.
        conversation: ConversationSid,
        /// Who.
        identity: Identity,
        /// The last message read.
        index: i64,
    },
    /// A person began or ceased to type.
    TypingChanged {
        /// Where.
        conversation: ConversationSid,
        /// Who.
        identity: Identity,
        /// Whether they type now.
        typing: bool,
    },
    /// A person's first socket entered the room of a conversation.
    UserJoined {
        /// Where.
        conversation: ConversationSid,
        /// Who.
        identity: Identity,
    },
    /// A person's last socket left the room of a conversation.
    UserLeft {
        /// Where.
        conversation: ConversationSid,
        /// Who.
        identity: Identity,
    },
    /// A person came online, went offline or set a status; told per conversation they share with somebody here.
    StatusChanged {
        /// Where.
        conversation: ConversationSid,
        /// Who, and how they are.
        status: Status,
    },
    /// A person came online, went offline or set a status; told once to everybody who knows them.
    PersonStatusChanged {
        /// Who, and how they are.
        status: Status,
        /// Who is to hear of it, of those who are here.
        known_to: Vec<Identity>,
    },
    /// A person was signed out: the sockets that their tokens opened are to be closed.
    SignedOut {
        /// Who.
        identity: Identity,
    },
    /// Something happened in support.
    Support(SupportEvent),
}

/// Which fields of a conversation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// `friendly_name`.
    pub friendly_name: bool,
    /// `attributes`.
    pub attributes: bool,
    /// `state`.
    pub state: bool,
}

impl Changed {
    /// Whether anything changed.
    #[must_use]
    pub fn any(self) -> bool {
        self.friendly_name || self.attributes || self.state
    }
}

/// How a person is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Who.
    pub identity: Identity,
    /// What the app calls them (`userId` of its connection), if it said.
    pub user_id: Option<Arc<str>>,
    /// `online`, `offline`, or what they set themselves (`away`, …).
    pub state: Arc<str>,
    /// Whether a socket of theirs is connected, here or at Twilio.
    pub online: bool,
    /// When they were last heard of; `None`: never here.
    pub last_seen: Option<DateTime<Utc>>,
}

impl Event {
    /// The conversation it happened in, if in one.
    #[must_use]
    pub fn conversation(&self) -> Option<ConversationSid> {
        Some(match self {
            Self::MessageAdded(message) | Self::MessageUpdated(message) => message.conversation_sid,
            Self::ConversationAdded { conversation, .. } | Self::ConversationUpdated { conversation, .. } => {
                conversation.sid
            }
            Self::ParticipantAdded(participant) | Self::ParticipantRemoved(participant) => {
                participant.conversation_sid
            }
            Self::MessageRemoved { conversation, .. }
            | Self::DeliveryUpdated { conversation, .. }
            | Self::ConversationRemoved { conversation }
            | Self::ReadHorizonMoved { conversation, .. }
            | Self::TypingChanged { conversation, .. }
            | Self::UserJoined { conversation, .. }
            | Self::UserLeft { conversation, .. }
            | Self::StatusChanged { conversation, .. } => *conversation,
            Self::PersonStatusChanged { .. } | Self::SignedOut { .. } => return None,
            Self::Support(event) => return event.conversation(),
        })
    }
}

/// What makes a report of something a repeat of one already told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    MessageAdded(MessageSid),
    MessageRemoved(MessageSid),
    /// By the sender's own id: should Twilio have stored one send twice, the second is not told.
    Sent(ConversationSid, Arc<str>),
    ConversationAdded(ConversationSid),
    ConversationRemoved(ConversationSid),
    ParticipantAdded(ParticipantSid),
    ParticipantRemoved(ParticipantSid),
    Delivery(MessageSid, ParticipantSid, DeliveryStatus),
    Webhook(Arc<str>),
}

type Listener = Box<dyn Fn(&Event, DateTime<Utc>) + Send + Sync>;

/// The door's state. One per [`Core`].
pub(super) struct Door {
    lines: Cache<ConversationSid, Arc<Line>>,
    seen: Cache<Seen, ()>,
    listener: OnceLock<Listener>,
    clock: Clock,
}

/// One conversation's events, told one after the other.
#[derive(Default)]
struct Line {
    state: Mutex<LineState>,
}

#[derive(Default)]
struct LineState {
    /// The highest index told; `None`: none since the start.
    told: Option<i64>,
    /// Messages above a hole, by index.
    held: BTreeMap<i64, Held>,
}

/// A message whose turn has not come.
struct Held {
    message: Arc<Message>,
    /// Where it is, if that is support.
    support: Option<Arc<SupportConversation>>,
    /// Whoever wants to know when it has.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Held {
    fn wait(&mut self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.waiting.push(tell);
        told
    }
}

impl Door {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            lines: Cache::builder()
                .max_capacity(LINES_AT_MOST)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
            seen: Cache::builder().max_capacity(SEEN_AT_MOST).time_to_live(SEEN_FOR).build(),
            listener: OnceLock::new(),
            clock,
        }
    }

    /// Whether this is the first report of `what`; from now on it is not.
    pub(super) fn first(&self, what: Seen) -> bool {
        self.seen.entry(what).or_insert(()).is_fresh()
    }

    /// Whether `what` was reported.
    pub(super) fn has_seen(&self, what: &Seen) -> bool {
        self.seen.contains_key(what)
    }

    fn line(&self, conversation: ConversationSid) -> Arc<Line> {
        self.lines.get_with(conversation, Arc::default)
    }

    fn tell(&self, event: &Event) {
        if let Some(listener) = self.listener.get() {
            listener(event, self.clock.now());
        }
    }

    /// Tells a message, and once more as one of support where it is. What only carries a file of another one is told with
    /// that.
    fn tell_message(&self, message: Arc<Message>, support: Option<Arc<SupportConversation>>) {
        if super::drafts::is_part(&message) {
            return;
        }
        self.tell(&Event::MessageAdded(Arc::clone(&message)));
        if let Some(conversation) = support {
            self.tell(&Event::Support(SupportEvent::MessageAdded { conversation, message }));
        }
    }

    /// Tells what is held up to the next hole, or all of it when `past_holes`.
    fn release(&self, state: &mut LineState, past_holes: bool) {
        while let Some(entry) = state.held.first_entry() {
            if !past_holes && state.told.is_some_and(|told| *entry.key() > told + 1) {
                break;
            }
            state.told = state.told.max(Some(*entry.key()));
            let held = entry.remove();
            self.tell_message(held.message, held.support);
            for waiting in held.waiting {
                // Whoever waited may have gone.
                let _ = waiting.send(());
            }
        }
    }
}

impl Core {
    /// Makes `listener` hear every event of this node and the time of it, each once, those of one conversation one after
    /// the other. It must not block. Only the first listener is kept.
    pub fn listen(&self, listener: impl Fn(&Event, DateTime<Utc>) + Send + Sync + 'static) {
        if self.door.listener.set(Box::new(listener)).is_err() {
            tracing::error!("a second listener was refused");
        }
    }

    /// Tells an event that is known to be new and has no place in the order of messages.
    pub(super) fn publish(&self, event: &Event) {
        let line = event.conversation().map(|conversation| self.door.line(conversation));
        let _in_turn = line.as_ref().map(|line| line.state.lock());
        self.door.tell(event);
    }

    /// Tells a message in its turn, unless it was told; returns when it has been.
    pub(super) async fn publish_message(&self, message: Arc<Message>) {
        let Some(told) = self.take_message(&message) else { return };
        // An error means that the line was dropped with the message in it: nobody is left to hear.
        let _ = told.await;
    }

    /// As [`Core::publish_message`], without waiting for the message's turn.
    pub(super) fn publish_message_in_turn(&self, message: &Arc<Message>) {
        drop(self.take_message(message));
    }

    /// Everything in the conversation's turn: whoever comes second with the same message finds it told, or waiting.
    fn take_message(&self, message: &Arc<Message>) -> Option<oneshot::Receiver<()>> {
        let line = self.door.line(message.conversation_sid);
        let mut state = line.state.lock();
        if self.door.has_seen(&Seen::MessageRemoved(message.sid)) {
            return None;
        }
        if !self.door.first(Seen::MessageAdded(message.sid)) {
            self.note_delivery(message);
            return state.held.get_mut(&message.index).map(Held::wait);
        }
        let extras = super::drafts::Extras::of(message);
        if let Some(id) = extras.id().filter(|_| !super::drafts::is_part(message))
            && !self
                .door
                .first(Seen::Sent(message.conversation_sid, format!("{} {id}", message.author).into()))
        {
            metrics::counter!("switchboard_duplicate_upstream_total").increment(1);
            tracing::warn!(message.sid = %message.sid, "Twilio holds a message twice; the second is not told");
            return None;
        }
        // A newer version may have been reported before the message itself.
        let message = self.history.take_in(message);
        self.note_last_message(&message);
        let support = self.support.find(message.conversation_sid);
        if support.is_some() {
            self.support.recount(message.conversation_sid);
        }
        let index = message.index;
        if state.told.is_none_or(|told| index <= told + 1) {
            state.told = state.told.max(Some(index));
            self.door.tell_message(message, support);
            self.door.release(&mut state, false);
            return None;
        }
        let first_held = state.held.is_empty();
        let held = state.held.entry(index).or_insert(Held { message, support, waiting: Vec::new() });
        let told = held.wait();
        drop(state);
        if first_held {
            let core = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(REORDER_WINDOW).await;
                core.door.release(&mut line.state.lock(), true);
            });
        }
        Some(told)
    }
}
