//! Typing indicators: who is typing where, until they stop, send, leave, or go silent for [`TYPING_TTL`].
//!
//! Lives only in memory: Twilio's REST API has no typing, so Twilio is never asked. Only changes are told. Event names
//! (`user_typing`, `typing:start`) are the dialects' business.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ConversationSid, Core, Event, SocketId};
use crate::auth::Identity;

/// How long typing lasts without another sign of it.
const TYPING_TTL: Duration = Duration::from_secs(8);
/// How often silence is looked for: typing ends at most this much late.
pub(super) const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Who is typing where.
#[derive(Default)]
pub(super) struct Typing {
    typists: Mutex<HashMap<(ConversationSid, Identity), Typist>>,
}

struct Typist {
    socket: SocketId,
    until: Instant,
}

impl Core {
    /// `identity` types in `conversation`, on `socket` (which must be in its room).
    pub fn start_typing(&self, conversation: ConversationSid, identity: &Identity, socket: SocketId) {
        let typist = Typist { socket, until: Instant::now() + TYPING_TTL };
        let before = self.typing.typists.lock().insert((conversation, identity.clone()), typist);
        if before.is_none() {
            self.tell_typing(conversation, identity.clone(), true);
        }
    }

    /// `identity` no longer types in `conversation`.
    pub fn stop_typing(&self, conversation: ConversationSid, identity: &Identity) {
        let before = self.typing.typists.lock().remove(&(conversation, identity.clone()));
        if before.is_some() {
            self.tell_typing(conversation, identity.clone(), false);
        }
    }

    /// Ends the typing that began on a socket which left; the person may still type on another one.
    pub(super) fn stop_typing_on(
        &self,
        conversation: ConversationSid,
        identity: &Identity,
        socket: SocketId,
    ) {
        let key = (conversation, identity.clone());
        let mut typists = self.typing.typists.lock();
        if typists.get(&key).is_some_and(|typist| typist.socket == socket) {
            typists.remove(&key);
            drop(typists);
            self.tell_typing(conversation, key.1, false);
        }
    }

    /// Ends the typing of those who went silent.
    pub(super) fn end_silent_typing(&self) {
        let now = Instant::now();
        let silent: Vec<_> = self
            .typing
            .typists
            .lock()
            .extract_if(|_, typist| typist.until <= now)
            .map(|(key, _)| key)
            .collect();
        for (conversation, identity) in silent {
            self.tell_typing(conversation, identity, false);
        }
    }

    fn tell_typing(&self, conversation: ConversationSid, identity: Identity, typing: bool) {
        self.publish(&Event::TypingChanged { conversation, identity, typing });
    }
}
