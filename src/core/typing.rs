//! Typing indicators: who is typing where, until they stop, send, leave, or go silent for [`TYPING_TTL`].
//!
//! Lives only in memory: Twilio's REST API has no typing, so Twilio is never asked. Only changes are told, and not more often
//! than somebody can read. Event names (`user_typing`, `typing:start`) are the dialects' business.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ConversationSid, Core, Event, SocketId};
use crate::auth::Identity;

/// How long typing lasts without another sign of it.
const TYPING_TTL: Duration = Duration::from_secs(8);
/// How often silence is looked for: typing is told at most this much late.
pub(super) const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Who is typing where.
pub(super) struct Typing {
    typists: Mutex<HashMap<(ConversationSid, Identity), Typist>>,
    /// From one beginning that the others are told of to the next. Whoever begins and stops more often is told of less
    /// often: what the others know is true again after this time.
    gap: Duration,
}

impl Typing {
    pub(super) fn new(gap: Duration) -> Self {
        Self { typists: Mutex::default(), gap }
    }
}

struct Typist {
    /// Where; `None`: they stopped, and are known only for the sake of `again_at`.
    socket: Option<SocketId>,
    until: Instant,
    /// Whether the others know.
    told: bool,
    /// Before this the others are told of no other beginning.
    again_at: Instant,
}

impl Typist {
    /// They type no longer; whether that is news.
    fn stop(&mut self) -> bool {
        self.socket = None;
        std::mem::take(&mut self.told)
    }

    /// Whether it is news, and time to tell it, that they type.
    fn begin(&mut self, now: Instant, gap: Duration) -> bool {
        let news = self.socket.is_some() && !self.told && self.again_at <= now;
        if news {
            self.told = true;
            self.again_at = now + gap;
        }
        news
    }
}

impl Core {
    /// `identity` types in `conversation`, on `socket` (which must be in its room).
    pub fn start_typing(&self, conversation: ConversationSid, identity: &Identity, socket: SocketId) {
        let now = Instant::now();
        let unknown = || Typist { socket: None, until: now, told: false, again_at: now };
        let news = {
            let mut typists = self.typing.typists.lock();
            let typist = typists.entry((conversation, identity.clone())).or_insert_with(unknown);
            typist.socket = Some(socket);
            typist.until = now + TYPING_TTL;
            typist.begin(now, self.typing.gap)
        };
        if news {
            self.tell_typing(conversation, identity.clone(), true);
        }
    }

    /// `identity` no longer types in `conversation`.
    pub fn stop_typing(&self, conversation: ConversationSid, identity: &Identity) {
        self.stop_typing_if(conversation, identity, |_| true);
    }

    /// Ends the typing that began on a socket which left; the person may still type on another one.
    pub(super) fn stop_typing_on(
        &self,
        conversation: ConversationSid,
        identity: &Identity,
        socket: SocketId,
    ) {
        self.stop_typing_if(conversation, identity, |typist| typist.socket == Some(socket));
    }

    fn stop_typing_if(
        &self,
        conversation: ConversationSid,
        identity: &Identity,
        stops: impl Fn(&Typist) -> bool,
    ) {
        let key = (conversation, identity.clone());
        let news =
            self.typing.typists.lock().get_mut(&key).is_some_and(|typist| stops(typist) && typist.stop());
        if news {
            self.tell_typing(conversation, key.1, false);
        }
    }

    /// Ends the typing of those who went silent, tells of those whose beginning was held back, and forgets the others.
    pub(super) fn settle_typing(&self) {
        let now = Instant::now();
        let mut news = Vec::new();
        self.typing.typists.lock().retain(|(conversation, identity), typist| {
            let silent = typist.socket.is_some() && typist.until <= now;
            if silent && typist.stop() {
                news.push((*conversation, identity.clone(), false));
            } else if typist.begin(now, self.typing.gap) {
                news.push((*conversation, identity.clone(), true));
            }
            typist.socket.is_some() || typist.again_at > now
        });
        for (conversation, identity, typing) in news {
            self.tell_typing(conversation, identity, typing);
        }
    }

    fn tell_typing(&self, conversation: ConversationSid, identity: Identity, typing: bool) {
        self.publish(&Event::TypingChanged { conversation, identity, typing });
    }
}
