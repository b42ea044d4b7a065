//! Sockets: who is connected, in which rooms, and how events get in and out in order. Knows no dialect by name.
//!
//! A dialect hands over a [`Protocol`]: the events it listens to, what to do about each, and what of the world's events it
//! shows in which shape. The rest is here:
//!
//! - `admission.rs`: who gets in, and how much each may ask for
//! - `socketio.rs`: Socket.IO connections, both transports
//! - `websocket.rs`: raw WebSocket connections
//! - `session.rs`: one socket, who is behind it, and what it has entered
//! - `lanes.rs`: the order of what one socket asks for
//! - `fanout.rs`: rooms, and telling them what happened
//!
//! What typing, presence or a message *is* belongs to `core`.

mod admission;
mod fanout;
mod fuzzing;
mod lanes;
mod session;
mod socketio;
mod websocket;

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{Auth, AuthError, Caller, Identity};
use crate::clock::Clock;
use crate::core::{ConversationSid, Core, Error, Event, MediaLinks};
use crate::limits::Network;

pub use session::Session;
pub use socketio::{Closing, Entrance, Kill, layer};
pub use websocket::{NotAWebSocket, RawProtocol, UNAUTHENTICATED, Unknown, WebSockets};

/// How one dialect speaks over sockets.
pub struct Protocol {
    /// The dialect's name, for logs.
    pub name: &'static str,
    /// How its clients connect.
    pub transport: Transport,
    /// The events clients may send.
    pub listens: &'static [&'static str],
    /// Those of them that enter a room or begin a conversation: they have a limit of their own, since each may cost calls to
    /// Twilio.
    pub joins: &'static [&'static str],
    /// The events clients may get.
    pub emits: &'static [&'static str],
    /// Rules of its own for who is let in, if it has any; else a token is taken, and none where none is needed. Of protocols
    /// that share a namespace one may have them.
    pub welcome: Option<Welcome>,
    /// Answers one event of a client. Called in the order of arrival; it must not block.
    pub on_event: fn(&Session, Incoming) -> Handling,
    /// Answers an event that is refused before it is looked at: too many came, or too many are waiting.
    pub on_refused: fn(&Session, Incoming, Error),
    /// Whether somebody hears of the event who is not in its conversation's room. Most events are for rooms, and most rooms
    /// are empty: then nothing is written at all.
    pub beyond_rooms: fn(&Event) -> bool,
    /// Who hears what of an event.
    pub outgoing: fn(&Event, &Telling<'_>) -> Vec<Outgoing>,
}

/// A protocol's own rules for who is let in.
#[derive(Debug, Clone, Copy)]
pub struct Welcome {
    /// Says who is behind a socket that wants in; an error is its `connect_error`.
    pub admit: fn(Core, Handshake) -> BoxFuture<'static, Result<Caller, Error>>,
    /// Greets a socket that was let in.
    pub greet: fn(&Session),
}

/// What a client shows when it connects.
#[derive(Debug)]
pub struct Handshake {
    /// Whom its token names, if it has one, or why the token is not taken.
    pub proven: Result<Option<Caller>, AuthError>,
    /// The id it has as a guest.
    pub guest_id: Option<String>,
    /// Where it comes from, as far as that is known.
    pub from: Option<Network>,
}

/// How a dialect's clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Socket.IO, in this namespace; dialects may share one.
    SocketIo(&'static str),
    /// A WebSocket of its own for each conversation, where the dialect's routes open it.
    WebSocket,
}

/// An event that a client sent.
pub struct Incoming {
    /// Its name, one of [`Protocol::listens`].
    pub event: &'static str,
    payload: Option<Box<RawValue>>,
    ack: Option<AckSender>,
}

impl Incoming {
    /// The first argument, which must be an object, as `T`.
    ///
    /// # Errors
    /// [`Error::Unreadable`], saying what is wrong with it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let text = self.payload.as_deref().map_or("null", RawValue::get);
        // Serde would take an array for an object whose fields stand in order.
        if !text.starts_with('{') {
            return Err(Error::Unreadable("the payload must be an object".to_owned()));
        }
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|error| Error::unreadable(&error))
    }

    /// The client's acknowledgement callback, if it gave one.
    pub fn ack(&mut self) -> Ack {
        Ack(self.ack.take())
    }
}

/// A client's acknowledgement callback; does nothing when the client gave none.
pub struct Ack(Option<AckSender>);

impl Ack {
    /// Answers it.
    pub fn send(self, answer: &impl Serialize) {
        if let Some(ack) = self.0
            && let Err(error) = ack.send(answer)
        {
            tracing::debug!(%error, "an acknowledgement was not sent");
        }
    }
}

/// What is left to do for an event.
pub enum Handling {
    /// Nothing: it was answered.
    Done,
    /// This, after everything else this socket asked for in the same conversation, or (`None`) about itself.
    InTurn(Option<ConversationSid>, BoxFuture<'static, ()>),
}

/// What a dialect needs to tell an event, besides the event.
pub struct Telling<'a> {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Links to files.
    pub links: &'a MediaLinks,
    core: &'a Core,
}

impl Telling<'_> {
    /// Whom `author` writes to, where that is one person and known without asking anybody.
    #[must_use]
    pub fn other_of(&self, conversation: ConversationSid, author: &str) -> Option<Identity> {
        self.core.other_of(conversation, author)
    }
}

/// One event as one dialect tells it. What differs per reader ("me" and "other") is told in several.
#[derive(Debug)]
pub struct Outgoing {
    /// The event's name.
    pub event: &'static str,
    /// Its argument, encoded once for all who hear it.
    pub payload: Box<RawValue>,
    /// Who hears it.
    pub to: Audience,
    /// Whose sockets do not hear it.
    pub except: Option<Identity>,
    /// Its place among the conversation's messages, if it is a new one: who is just catching up may have it already.
    pub index: Option<i64>,
    /// With what code and reason the connection of whoever hears it ends.
    pub then_close: Option<(u16, &'static str)>,
    /// It as a frame, once a raw WebSocket hears it; all of them share its bytes.
    frame: OnceLock<Utf8Bytes>,
}

/// Who hears an [`Outgoing`], of those who speak its dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// The sockets in the room of the event's conversation.
    Room,
    /// Of those, the ones that this person entered with.
    InRoom(Identity),
    /// Every socket of this person, whatever rooms it is in; none of a guest's, who may have chosen the same id.
    Person(Identity),
    /// Of those, the ones that a token opened: for a dialect in which nothing goes without.
    Proven(Identity),
    /// Every socket of this guest, whatever rooms it is in.
    Guest(Identity),
    /// Every socket of an admin.
    Admins,
}

impl Outgoing {
    /// `event` with `payload`, to everybody in the room.
    pub fn new(event: &'static str, payload: &impl Serialize) -> Option<Self> {
        match serde_json::value::to_raw_value(payload) {
            Ok(payload) => Some(Self {
                event,
                payload,
                to: Audience::Room,
                except: None,
                index: None,
                then_close: None,
                frame: OnceLock::new(),
            }),
            Err(error) => {
                tracing::error!(%error, event, "an event could not be written as JSON");
                None
            }
        }
    }

    /// To these sockets.
    #[must_use]
    pub fn to(mut self, audience: Audience) -> Self {
        self.to = audience;
        self
    }

    /// Not to the sockets of `identity`.
    #[must_use]
    pub fn except(mut self, identity: &Identity) -> Self {
        self.except = Some(identity.clone());
        self
    }

    /// As the message at `index`.
    #[must_use]
    pub fn at(mut self, index: i64) -> Self {
        self.index = Some(index);
        self
    }

    /// As the last that whoever hears it hears.
    #[must_use]
    pub fn then_close(mut self, code: u16, reason: &'static str) -> Self {
        self.then_close = Some((code, reason));
        self
    }

    fn frame(&self) -> Utf8Bytes {
        self.frame.get_or_init(|| websocket::frame_of(self.event, self.payload.get())).clone()
    }
}

/// What a panic that was caught leaves to be done: it took down one event, and nothing else.
fn panicked() {
    metrics::counter!("switchboard_panics_total").increment(1);
    tracing::error!("a socket's event panicked");
}

/// What all sockets share.
pub(crate) struct Hub {
    core: Core,
    auth: Auth,
    clock: Clock,
    protocols: &'static [&'static Protocol],
    rooms: fanout::Rooms,
    sockets: fanout::Sockets,
    gate: admission::Gate,
    kills: socketio::Kills,
    /// What sockets asked for and is still being done.
    tasks: TaskTracker,
    /// Raw WebSockets.
    connections: TaskTracker,
    /// Whether raw WebSockets are to end.
    ending: CancellationToken,
}

impl Hub {
    fn new(core: Core, auth: Auth, clock: Clock, protocols: &'static [&'static Protocol]) -> Arc<Self> {
        let hub = Arc::new(Self {
            gate: admission::Gate::new(core.limits().clone()),
            core,
            auth,
            clock,
            protocols,
            rooms: fanout::Rooms::default(),
            sockets: fanout::Sockets::default(),
            kills: socketio::Kills::default(),
            tasks: TaskTracker::new(),
            connections: TaskTracker::new(),
            ending: CancellationToken::new(),
        });
        let listening = Arc::downgrade(&hub);
        hub.core.listen(move |event, at| {
            if let Some(hub) = listening.upgrade() {
                fanout::tell(&hub, event, at);
            }
        });
        hub
    }

    /// Rules of their own that connections over `transport` have.
    fn welcome(&self, transport: Transport) -> Option<Welcome> {
        self.protocols
            .iter()
            .filter(|protocol| protocol.transport == transport)
            .find_map(|protocol| protocol.welcome)
    }

    /// The protocol over `transport` that listens to `event`, and the event's static name.
    fn listener(&self, transport: Transport, event: &str) -> Option<(&'static Protocol, &'static str)> {
        self.protocols.iter().filter(|protocol| protocol.transport == transport).find_map(|protocol| {
            let name = protocol.listens.iter().find(|name| **name == event)?;
            Some((*protocol, *name))
        })
    }
}
