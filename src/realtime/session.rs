//! [`Session`]: one socket, who is behind it, and the rooms it has entered. The dialects' handle on a client.
//!
//! A session that cannot keep up is cut off, never silently skipped: its connection is closed, so that the client's own
//! library reconnects and catches up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use socketioxide::SendError;
use socketioxide::SocketError;
use socketioxide::extract::SocketRef;
use tokio::task::AbortHandle;

use super::fanout::{Member, RoomKey};
use super::lanes::{Lane, Lanes, Work};
use super::websocket::{Frame, Pipe, UNAUTHENTICATED, frame_of};
use super::{Handling, Hub, Incoming, Outgoing, Protocol, Transport};
use crate::auth::{AuthError, AuthMode, Caller, Identity, Verified};
use crate::core::{ConversationSid, Core, Error, SocketId};

/// Rooms one socket may be in.
const ROOMS_AT_MOST: usize = 100;
/// How long a socket may stay without a token where one is needed.
const TOKEN_WITHIN: Duration = Duration::from_secs(10);
/// How long before its token expires a socket is told.
const EXPIRY_NOTICE: Duration = Duration::from_secs(60);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One socket: a cheap clone.
#[derive(Clone)]
pub struct Session {
    pub(super) state: Arc<State>,
    pub(super) link: Link,
}

/// The way to a socket's client.
#[derive(Clone)]
pub(super) enum Link {
    SocketIo(SocketRef),
    WebSocket(Arc<Pipe>),
}

/// What is known of a socket. Holds no [`Link`], which would keep a dead socket in memory.
pub(super) struct State {
    pub(super) id: SocketId,
    pub(super) hub: Arc<Hub>,
    pub(super) lanes: Arc<Lanes>,
    who: Mutex<Who>,
    entered: Mutex<Entered>,
    pub(super) transport: Transport,
    opened_at: Box<str>,
    cut: AtomicBool,
}

struct Who {
    caller: Caller,
    /// The person presence counts this socket for.
    bound: Option<Identity>,
    /// Ends the connection when the token does, or when none came.
    deadline: Option<AbortHandle>,
}

#[derive(Default)]
struct Entered {
    /// As whom; `None`: as a listener whose name is not known.
    rooms: Vec<(RoomKey, Option<Identity>)>,
    gone: bool,
}

impl State {
    pub(super) fn new(hub: Arc<Hub>, caller: Caller, transport: Transport) -> Self {
        Self {
            id: SocketId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            hub,
            lanes: Arc::default(),
            who: Mutex::new(Who { caller, bound: None, deadline: None }),
            entered: Mutex::default(),
            transport,
            opened_at: Box::default(),
            cut: AtomicBool::new(false),
        }
    }

    /// Notes what a raw WebSocket was opened for.
    pub(super) fn opened_at(mut self, address: Box<str>) -> Self {
        self.opened_at = address;
        self
    }

    /// Whether the socket must not hear anything more.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Session {
    /// The conversation service.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.state.hub.core
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.state.hub.clock.now()
    }

    /// Who is behind the socket, as far as is proven.
    ///
    /// # Errors
    /// [`AuthError::Missing`] where a token is needed and none has come yet.
    pub fn caller(&self) -> Result<Caller, AuthError> {
        let caller = self.state.who.lock().caller.clone();
        let nobody = caller.is_anonymous() && self.state.hub.auth.mode() == AuthMode::Required;
        if nobody { Err(AuthError::Missing) } else { Ok(caller) }
    }

    /// Lets the socket hear what admins hear, if it is one's.
    fn list_admin(&self) {
        let entered = self.state.entered.lock();
        if entered.gone || !self.state.who.lock().caller.is_admin() {
            self.state.hub.sockets.remove_admin(self.state.id);
        } else {
            self.state.hub.sockets.add_admin(self.clone());
        }
    }

    /// Takes a token that the client presents; from now on the socket is its holder's.
    ///
    /// # Errors
    /// [`AuthError`]; the socket stays whose it was.
    pub async fn authenticate(&self, token: &str) -> Result<(), AuthError> {
        let verified = self.state.hub.auth.verify(token).await?;
        self.core().meet(&verified).await;
        self.set_caller(&verified);
        Ok(())
    }

    /// From now on the socket is that guest's, and what it entered as another it leaves.
    pub fn become_guest(&self, guest: &Identity) {
        self.state.who.lock().caller = Caller::Guest(guest.clone());
        self.bind(guest, None);
    }

    fn set_caller(&self, verified: &Verified) {
        self.state.who.lock().caller = Caller::from(verified);
        self.list_admin();
        self.end_at(verified.expires_at);
    }

    /// Begins what a connection that stands entails: it counts for its person and ends with its token, or soon where one
    /// is needed and none came. What the client has done meanwhile is not undone.
    pub(super) fn settle(&self, verified: Option<&Verified>) {
        if self.state.who.lock().deadline.is_none() {
            match verified {
                Some(verified) => self.end_at(verified.expires_at),
                None if self.caller().is_ok() => {}
                None => self.expect_token(),
            }
        }
        let known = self.state.who.lock().caller.identity().cloned();
        if let (Some(known), None) = (known, self.bound()) {
            self.bind(&known, None);
        }
        self.list_admin();
    }

    /// Ends the connection when its token expires.
    fn end_at(&self, expires_at: DateTime<Utc>) {
        let left = expires_at.signed_duration_since(self.now()).to_std().unwrap_or_default();
        let session = self.clone();
        self.set_deadline(async move {
            tokio::time::sleep(left.saturating_sub(EXPIRY_NOTICE)).await;
            session.emit("token_expiring", &json!({ "expiresIn": left.min(EXPIRY_NOTICE).as_secs() }));
            tokio::time::sleep(left.min(EXPIRY_NOTICE)).await;
            session.close(UNAUTHENTICATED, "the token has expired");
        });
    }

    /// Where a token is needed: ends the connection unless one comes soon.
    fn expect_token(&self) {
        if self.state.hub.auth.mode() != AuthMode::Required {
            return;
        }
        let session = self.clone();
        self.set_deadline(async move {
            tokio::time::sleep(TOKEN_WITHIN).await;
            tracing::debug!("a socket without a token is disconnected");
            session.close(UNAUTHENTICATED, "no token came");
        });
    }

    /// Lets `ending` run in place of an earlier one; not for a socket that is gone, which nobody would release from it.
    fn set_deadline(&self, ending: impl Future<Output = ()> + Send + 'static) {
        let entered = self.state.entered.lock();
        if entered.gone {
            return;
        }
        let ending = tokio::spawn(ending).abort_handle();
        if let Some(before) = self.state.who.lock().deadline.replace(ending) {
            before.abort();
        }
    }

    /// Counts the socket for `identity`, whom the app calls `user_id`. A second call re-binds it, and what it entered as
    /// somebody else it leaves.
    pub fn bind(&self, identity: &Identity, user_id: Option<Arc<str>>) {
        let before = {
            let entered = self.state.entered.lock();
            if entered.gone {
                return;
            }
            self.core().socket_connected(identity, user_id);
            let before = self.state.who.lock().bound.replace(identity.clone());
            if before.as_ref() != Some(identity) {
                // Still under the lock: the end of the socket must not come between.
                self.state.hub.sockets.add(identity, self.clone());
            }
            before
        };
        if let Some(before) = before {
            if before != *identity {
                self.state.hub.sockets.remove(&before, self.state.id);
                self.leave_where(|_, entered_as| entered_as == Some(&before));
            }
            self.core().socket_disconnected(&before);
        }
    }

    /// The person the socket is counted for.
    #[must_use]
    pub fn bound(&self) -> Option<Identity> {
        self.state.who.lock().bound.clone()
    }

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
            self.bind(identity, None);
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
        let full = entered.rooms.len() >= ROOMS_AT_MOST;
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
    pub(super) fn is_in_a_room(&self) -> bool {
        !self.state.entered.lock().rooms.is_empty()
    }

    /// What the address of a raw WebSocket named; empty for others.
    #[must_use]
    pub fn opened_at(&self) -> &str {
        &self.state.opened_at
    }

    /// Leaves the room of `conversation`.
    pub fn leave(&self, protocol: &'static str, conversation: ConversationSid) {
        self.leave_where(|room, _| *room == RoomKey { protocol, conversation });
    }

    pub(super) fn leave_where(&self, leaves: impl Fn(&RoomKey, Option<&Identity>) -> bool) {
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

    /// The socket is gone: leaves everything, and nothing can be entered any more.
    pub(super) fn end(&self) {
        self.state.entered.lock().gone = true;
        self.leave_where(|_, _| true);
        let (bound, deadline) = {
            let mut who = self.state.who.lock();
            (who.bound.take(), who.deadline.take())
        };
        if let Some(deadline) = deadline {
            deadline.abort();
        }
        if let Some(identity) = bound {
            self.state.hub.sockets.remove(&identity, self.state.id);
            self.core().socket_disconnected(&identity);
        }
        self.state.hub.sockets.remove_admin(self.state.id);
    }

    /// How it is connected.
    pub(super) fn transport(&self) -> Transport {
        self.state.transport
    }

    /// This socket, as presence counts it.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.state.id
    }

    /// Whether what the client sends is not looked at any more.
    pub(super) fn is_deaf(&self) -> bool {
        self.state.is_cut() || self.state.hub.tasks.is_closed()
    }

    /// Has `protocol` answer an event of the client's.
    pub(super) fn take_in(&self, protocol: &'static Protocol, incoming: Incoming) {
        if let Some(identity) = self.bound() {
            self.core().heard_of(&identity);
        }
        if self.state.lanes.full() {
            return (protocol.on_overload)(self, incoming);
        }
        match (protocol.on_event)(self, incoming) {
            Handling::Done => {}
            Handling::InTurn(lane, work) => self.in_turn(lane, work),
        }
    }

    /// Does `work` after what the socket asked for before in the same lane.
    pub(super) fn in_turn(&self, lane: Lane, work: Work) {
        self.state.lanes.run(&self.state.hub.tasks, lane, work);
    }

    /// Sends an event to this socket only.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &'static str, payload: &T) {
        if self.state.is_cut() {
            return;
        }
        match &self.link {
            Link::SocketIo(socket) => self.sent(socket.emit(event, payload)),
            Link::WebSocket(pipe) => match serde_json::to_string(payload) {
                Ok(payload) => self.queue(pipe, Frame::Text(frame_of(event, &payload))),
                Err(error) => tracing::error!(%error, "an event could not be encoded"),
            },
        }
    }

    /// Sends an event that several hear.
    pub(super) fn hear(&self, outgoing: &Outgoing) {
        if self.state.is_cut() {
            return;
        }
        match &self.link {
            Link::SocketIo(socket) => self.sent(socket.emit(outgoing.event, &*outgoing.payload)),
            Link::WebSocket(pipe) => self.queue(pipe, Frame::Text(outgoing.frame())),
        }
        if let Some((code, reason)) = outgoing.then_close {
            self.close(code, reason);
        }
    }

    fn sent(&self, outcome: Result<(), SendError>) {
        match outcome {
            Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
            Err(SendError::Socket(SocketError::InternalChannelFull)) => self.cut("it does not read"),
            Err(SendError::Serialize(error)) => tracing::error!(%error, "an event could not be encoded"),
        }
    }

    fn queue(&self, pipe: &Pipe, frame: Frame) {
        if pipe.push(frame).is_err() {
            self.cut("it does not read");
        }
    }

    /// Cuts the connection: from now on the client hears nothing, so it never misses anything in the middle.
    pub(super) fn cut(&self, why: &'static str) {
        if self.state.cut.swap(true, Ordering::Relaxed) {
            return;
        }
        metrics::counter!("switchboard_sockets_cut_total").increment(1);
        tracing::warn!(why, "a socket is cut off");
        match &self.link {
            Link::SocketIo(socket) => self.state.hub.kills.kill(socket),
            Link::WebSocket(pipe) => pipe.kill(),
        }
    }

    /// Ends the connection for good, after what was sent: a raw WebSocket with `code`, Socket.IO by leaving the namespace,
    /// after which its client does not reconnect by itself.
    pub fn close(&self, code: u16, reason: &'static str) {
        match &self.link {
            Link::SocketIo(socket) => {
                if socket.clone().disconnect().is_err() {
                    self.cut("it does not read");
                }
            }
            // Once: nothing is said after a farewell.
            Link::WebSocket(_) if self.state.is_cut() => {}
            Link::WebSocket(pipe) => {
                self.queue(pipe, Frame::Close(code, reason));
                self.state.cut.store(true, Ordering::Relaxed);
            }
        }
    }
}
