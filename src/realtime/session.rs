//! [`Session`]: one socket and who is behind it. The dialects' handle on a client; its rooms are `session/rooms.rs`.
//!
//! A session that cannot keep up is cut off, never silently skipped: its connection is closed, so that the client's own
//! library reconnects and catches up.

mod rooms;

use std::panic::{AssertUnwindSafe, catch_unwind};
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

use super::admission::{Excess, Place};
use super::fanout::RoomKey;
use super::lanes::{Lane, Lanes, Work};
use super::websocket::{Frame, Pipe, UNAUTHENTICATED, frame_of};
use super::{Handling, Hub, Incoming, Outgoing, Protocol, Transport, panicked};
use crate::auth::{AuthError, AuthMode, Caller, Identity, Verified};
use crate::core::{Core, Error, SocketId};
use crate::limits::Seat;

/// How long a socket may stay without a token where one is needed.
const TOKEN_WITHIN: Duration = Duration::from_secs(10);
/// How long before its token expires a socket is told.
const EXPIRY_NOTICE: Duration = Duration::from_secs(60);

/// What a socket is told whose person was signed out.
pub(super) const SIGNED_OUT: &str = "signed out";

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
    pub(super) place: Arc<Place>,
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
    /// One of the sockets that this person may have.
    seat: Option<(Identity, Seat<Identity>)>,
    /// When what proves who the caller is no longer does; `None`: it was not a token.
    holds_until: Option<DateTime<Utc>>,
    /// Ends the connection when the token does, or when none came.
    deadline: Option<AbortHandle>,
    /// Whether the connection was told to go: what it asked for before and is still waiting is nobody's.
    parted: bool,
}

#[derive(Default)]
struct Entered {
    /// As whom; `None`: as a listener whose name is not known.
    rooms: Vec<(RoomKey, Option<Identity>)>,
    gone: bool,
}

impl State {
    pub(super) fn new(hub: Arc<Hub>, caller: Caller, transport: Transport, place: Arc<Place>) -> Self {
        place.count_with(&caller);
        let who = Who { caller, bound: None, seat: None, holds_until: None, deadline: None, parted: false };
        Self {
            id: SocketId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            hub,
            lanes: Arc::default(),
            place,
            who: Mutex::new(who),
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

    /// Takes one of the sockets that whoever is known to be behind it may have.
    ///
    /// # Errors
    /// [`Error::LimitReached`]: there is none left.
    pub(super) fn sit_down(&self) -> Result<(), Error> {
        let known = self.who.lock().caller.identity().cloned();
        known.map_or(Ok(()), |known| self.sit_down_as(&known))
    }

    /// Takes one of the sockets that `identity` may have, in place of the one it was.
    fn sit_down_as(&self, identity: &Identity) -> Result<(), Error> {
        let mut who = self.who.lock();
        if who.seat.as_ref().is_some_and(|(of, _)| of == identity) {
            return Ok(());
        }
        let seat = self.hub.core.limits().sockets_per_identity.take(identity.clone());
        let seat = seat.ok_or(Error::LimitReached("this person is connected as often as they can be"))?;
        who.seat = Some((identity.clone(), seat));
        Ok(())
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
    /// [`AuthError::Missing`] where a token is needed and none has come yet; [`AuthError::Invalid`] once it has expired, or
    /// the connection was told to go.
    pub fn caller(&self) -> Result<Caller, AuthError> {
        let caller = {
            let who = self.state.who.lock();
            if who.parted || who.holds_until.is_some_and(|until| until <= self.now()) {
                return Err(AuthError::Invalid);
            }
            who.caller.clone()
        };
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

    /// Takes a token that the client presents; from now on the socket is its holder's, who must be allowed to act as all
    /// that are `claimed`.
    ///
    /// # Errors
    /// [`Error::Auth`], [`Error::TooManyRequests`] after too many that did not hold, [`Error::LimitReached`] when its holder
    /// has too many sockets; the socket stays whose it was.
    pub async fn authenticate(&self, token: &str, claimed: [Option<&Identity>; 2]) -> Result<(), Error> {
        self.state.place.may_show_token()?;
        let verified = self.state.hub.auth.verify(token).await;
        self.state.place.note_token(&verified);
        let verified = verified?;
        let holder = Caller::from(&verified);
        for claimed in claimed {
            holder.acting_as(claimed)?;
        }
        if !holder.is_admin() {
            self.state.sit_down_as(&verified.identity)?;
        }
        self.core().meet(&verified).await;
        let was_admin = self.set_caller(&verified);
        if was_admin && !holder.is_admin() {
            self.leave_what_admins_enter(&holder).await;
        }
        self.close_if_signed_out(&verified);
        Ok(())
    }

    /// From now on the socket is that guest's, and what it entered as another it leaves.
    ///
    /// # Errors
    /// As [`Session::bind`]; the socket stays whose it was.
    pub fn become_guest(&self, guest: &Identity) -> Result<(), Error> {
        self.state.sit_down_as(guest)?;
        self.state.who.lock().caller = Caller::Guest(guest.clone());
        self.bind(guest, None)
    }

    /// Gives back whether the socket was an admin's.
    fn set_caller(&self, verified: &Verified) -> bool {
        let caller = Caller::from(verified);
        self.state.place.count_with(&caller);
        let before = std::mem::replace(&mut self.state.who.lock().caller, caller);
        self.list_admin();
        self.end_at(verified.expires_at);
        before.is_admin()
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
            // It has its seat: see `State::sit_down`.
            let _ = self.bind(&known, None);
        }
        self.list_admin();
        if let Some(verified) = verified {
            self.close_if_signed_out(verified);
        }
    }

    /// Closes a socket whose holder was signed out after their token was verified, but before the socket was counted for
    /// them: the event about it did not find it.
    fn close_if_signed_out(&self, verified: &Verified) {
        if !self.state.hub.auth.still_holds(verified) {
            self.close(UNAUTHENTICATED, SIGNED_OUT);
        }
    }

    /// Whether a token of `identity` opened the socket, or, where nobody needs one, nothing did.
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        match &self.state.who.lock().caller {
            Caller::Known { identity: own, .. } | Caller::Guest(own) => own == identity,
            Caller::Anonymous | Caller::Service => true,
        }
    }

    /// Whether a token says who is behind the socket.
    pub(super) fn is_proven(&self) -> bool {
        matches!(self.state.who.lock().caller, Caller::Known { .. })
    }

    /// Whether a guest is behind the socket: somebody whom nothing but an id of theirs names.
    pub(super) fn is_guest(&self) -> bool {
        matches!(self.state.who.lock().caller, Caller::Guest(_))
    }

    /// Ends the connection when its token expires.
    fn end_at(&self, expires_at: DateTime<Utc>) {
        self.state.who.lock().holds_until = Some(expires_at);
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
    ///
    /// # Errors
    /// [`Error::LimitReached`] when that person has too many sockets; nothing has changed then.
    pub fn bind(&self, identity: &Identity, user_id: Option<Arc<str>>) -> Result<(), Error> {
        let before = {
            let entered = self.state.entered.lock();
            if entered.gone {
                return Ok(());
            }
            self.state.sit_down_as(identity)?;
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
        Ok(())
    }

    /// The person the socket is counted for.
    #[must_use]
    pub fn bound(&self) -> Option<Identity> {
        self.state.who.lock().bound.clone()
    }

    /// What the address of a raw WebSocket named; empty for others.
    #[must_use]
    pub fn opened_at(&self) -> &str {
        &self.state.opened_at
    }

    /// The socket is gone: leaves everything, and nothing can be entered any more.
    pub(super) fn end(&self) {
        self.state.entered.lock().gone = true;
        self.leave_where(|_, _| true);
        let (bound, deadline, seat) = {
            let mut who = self.state.who.lock();
            (who.bound.take(), who.deadline.take(), who.seat.take())
        };
        drop(seat);
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
        if let Err(excess) = self.may_ask_for(protocol, incoming.event) {
            return self.refuse(protocol, incoming, excess);
        }
        // On the task that reads: a panic there would leave a socket that nobody hears.
        match catch_unwind(AssertUnwindSafe(|| (protocol.on_event)(self, incoming))) {
            Ok(Handling::Done) => {}
            Ok(Handling::InTurn(lane, work)) => self.in_turn(lane, work),
            Err(_) => panicked(),
        }
    }

    fn may_ask_for(&self, protocol: &'static Protocol, event: &'static str) -> Result<(), Excess> {
        let place = &self.state.place;
        place.event()?;
        if protocol.joins.contains(&event) {
            place.join()?;
        }
        if self.state.lanes.full() {
            return Err(place.refused(Error::TooManyRequests { retry_after: None }));
        }
        Ok(())
    }

    /// Has `protocol` refuse what is too much.
    pub(super) fn refuse(&self, protocol: &'static Protocol, incoming: Incoming, excess: Excess) {
        match excess {
            Excess::Refuse(error) => (protocol.on_refused)(self, incoming, error),
            Excess::CutOff => self.cut("it asks for too much"),
        }
    }

    /// Takes note of something that no protocol knows, and nobody answers: it counts as an event all the same.
    pub(super) fn ignore(&self) {
        if let Err(Excess::CutOff) = self.state.place.event() {
            self.cut("it asks for too much");
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
        self.state.who.lock().parted = true;
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
