//! The rooms of a [`Session`]: entered, under which name, and left.
//!
//! Who is in a room and how it is told is `fanout.rs`; whether somebody may enter is asked of `core` before.

use super::Session;
use crate::auth::{Caller, Identity};
use crate::core::{ConversationSid, Error};
use crate::realtime::fanout::{Member, RoomKey};

impl Session {
    /// Enters the room of `conversation` as `identity`; what is told there from now on is heard, or kept until
    /// [`Session::caught_up`] when `catching_up`. Entering twice changes nothing.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the socket is in too many rooms.
    pub fn enter(
        &self,
        protocol: &'static str,
        conversation: ConversationSid,
        identity: &Identity,
        catching_up: bool,
    ) -> Result<(), Error> {
        if self.bound().is_none() {
            self.bind(identity, None)?;
        }
        self.enter_as(RoomKey { protocol, conversation }, Some(identity), catching_up)
    }

    /// Enters the room of `conversation` without a name: what is told there is heard, and nobody is told who listens.
    ///
    /// # Errors
    /// As [`Session::enter`].
    pub fn listen_in(&self, protocol: &'static str, conversation: ConversationSid) -> Result<(), Error> {
        self.enter_as(RoomKey { protocol, conversation }, None, false)
    }

    fn enter_as(&self, key: RoomKey, identity: Option<&Identity>, catching_up: bool) -> Result<(), Error> {
        let mut entered = self.state.entered.lock();
        if entered.gone {
            return Ok(());
        }
        let full = entered.rooms.len() >= self.core().limits().rooms;
        let member = || Member::new(self.clone(), identity.cloned(), catching_up);
        match entered.rooms.iter_mut().find(|(room, _)| *room == key) {
            Some((_, already)) if already.as_ref() == identity => return Ok(()),
            Some((_, already)) => {
                if let Some(other) = std::mem::replace(already, identity.cloned()) {
                    self.core().leave_room(key.conversation, &other, self.state.id);
                }
                self.state.hub.rooms.replace(key, member());
            }
            None if full => {
                return Err(Error::LimitReached(
                    "this connection has joined as many conversations as it can",
                ));
            }
            None => {
                entered.rooms.push((key, identity.cloned()));
                self.state.hub.rooms.add(key, member());
            }
        }
        if let Some(identity) = identity {
            // Still under the lock: the end of the socket must not come between, or it would be in the room for ever.
            self.core().enter_room(key.conversation, identity);
        }
        Ok(())
    }

    /// Ends catching up: what was kept is told now, but for messages up to `index`, which the client has.
    pub fn caught_up(&self, protocol: &'static str, conversation: ConversationSid, index: i64) {
        self.state.hub.rooms.release(RoomKey { protocol, conversation }, self, index);
    }

    /// The conversations whose rooms the socket has entered.
    #[must_use]
    pub fn entered(&self, protocol: &'static str) -> Vec<ConversationSid> {
        let entered = self.state.entered.lock();
        let of_protocol = entered.rooms.iter().filter(|(room, _)| room.protocol == protocol);
        of_protocol.map(|(room, _)| room.conversation).collect()
    }

    /// As whom the socket entered the room of `conversation`.
    #[must_use]
    pub fn entered_as(&self, protocol: &'static str, conversation: ConversationSid) -> Option<Identity> {
        let key = RoomKey { protocol, conversation };
        self.state
            .entered
            .lock()
            .rooms
            .iter()
            .find(|(room, _)| *room == key)
            .and_then(|(_, identity)| identity.clone())
    }

    /// The conversation whose room of `protocol` the socket is in, for protocols with one per socket.
    #[must_use]
    pub fn room(&self, protocol: &'static str) -> Option<ConversationSid> {
        let entered = self.state.entered.lock();
        entered.rooms.iter().find(|(room, _)| room.protocol == protocol).map(|(room, _)| room.conversation)
    }

    /// Whether the socket is in any room.
    pub(in crate::realtime) fn is_in_a_room(&self) -> bool {
        !self.state.entered.lock().rooms.is_empty()
    }

    /// Leaves the room of `conversation`.
    pub fn leave(&self, protocol: &'static str, conversation: ConversationSid) {
        self.leave_where(|room, _| *room == RoomKey { protocol, conversation });
    }

    /// Leaves what was entered by an admin's right, now that the socket is only `holder`'s: whatever was entered as somebody
    /// else, and the conversations that `holder` is not in, or may not be in as far as can be told.
    pub(super) async fn leave_what_admins_enter(&self, holder: &Caller) {
        let rooms = self.state.entered.lock().rooms.clone();
        for (room, entered_as) in rooms {
            let as_holder = entered_as.as_ref().is_none_or(|identity| holder.identity() == Some(identity));
            if !as_holder || self.core().ensure_member(holder, room.conversation).await.is_err() {
                self.leave_where(|left, _| *left == room);
            }
        }
    }

    pub(in crate::realtime) fn leave_where(&self, leaves: impl Fn(&RoomKey, Option<&Identity>) -> bool) {
        let left: Vec<_> = self
            .state
            .entered
            .lock()
            .rooms
            .extract_if(.., |(room, identity)| leaves(room, identity.as_ref()))
            .collect();
        for (room, identity) in left {
            self.state.hub.rooms.remove(room, self.state.id);
            if let Some(identity) = identity {
                self.core().leave_room(room.conversation, &identity, self.state.id);
            }
        }
    }
}
