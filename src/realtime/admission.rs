//! Who gets in at all, and what each connection may ask for from then on.
//!
//! A connection gets its [`Place`] with its first request, before anything remembers it, and gives it back once nothing does
//! any more: what a client opens and leaves lying about is counted like the rest. How a refusal is told is the business of
//! whoever asked; who is behind a connection is found out later.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::socketio::Kill;
use crate::auth::{AuthError, Caller};
use crate::config::Rate;
use crate::core::Error;
use crate::limits::{Budget, Limits, Network, Pace, Seat};

/// From one connection to the next, once [`AT_ONCE`] have come: after a restart all clients come back within seconds, and
/// each asks for its rooms.
const GAP: Duration = Duration::from_millis(1);
/// How many need not wait.
const AT_ONCE: u32 = 1_000;
/// How long one may wait for its turn. Who would have to wait longer is told to come back, which takes less memory.
const WAITS_AT_MOST: Duration = Duration::from_secs(5);
/// When to come back where nobody knows when there is room.
const COME_BACK_IN: Duration = Duration::from_secs(5);
/// How soon something that a connection asked for in vain is forgotten: an honest client that is refused slows down.
const FORGIVEN_IN: Duration = Duration::from_secs(1);

/// Lets connections in one after the other.
pub(super) struct Gate {
    limits: Limits,
    /// When it is the turn of the next one.
    next: Mutex<Instant>,
    patience: Pace,
}

/// One connection, from its first request until nothing remembers it.
pub(super) struct Place {
    limits: Limits,
    from: Option<Network>,
    events: Budget,
    joins: Budget,
    /// Where what it asks for is counted with that of other sockets: events and rooms.
    together: [AtomicUsize; 2],
    patience: Budget,
    /// Cuts off what carries it, if that is not what opened it.
    carrier: Mutex<Option<Kill>>,
    _seats: (Seat<()>, Option<Seat<Network>>),
}

/// What to do with something that a connection asks for in excess.
pub(super) enum Excess {
    /// Refuse it.
    Refuse(Error),
    /// Cut the connection off: it was refused too often.
    CutOff,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let patience = Rate { one_per: FORGIVEN_IN, burst: limits.bounds.refusals };
        let patience = Pace::new("patience", Some(patience));
        Self { limits, next: Mutex::new(Instant::now()), patience }
    }

    /// A place for a connection, when it is its turn.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] when too many come from there, [`Error::Throttled`] when from everywhere.
    pub(super) async fn pass(&self, from: Option<Network>) -> Result<Place, Error> {
        let place = self.place(from)?;
        self.turn().await?;
        Ok(place)
    }

    /// A place, whoever's turn it is.
    ///
    /// # Errors
    /// As [`Gate::pass`].
    pub(super) fn place(&self, from: Option<Network>) -> Result<Place, Error> {
        self.limits.handshakes.check(&from)?;
        let full = Error::TooManyRequests { retry_after: Some(COME_BACK_IN) };
        let at_address = match from {
            Some(network) => Some(self.limits.sockets_per_address.take(network).ok_or(full)?),
            None => None,
        };
        let here = self.limits.sockets.take(());
        let here = here.ok_or(Error::Throttled { retry_after: Some(COME_BACK_IN) })?;
        Ok(Place {
            events: self.limits.events.budget(),
            joins: self.limits.joins.budget(),
            together: counted_with(&self.limits, &from).map(AtomicUsize::new),
            patience: self.patience.budget(),
            limits: self.limits.clone(),
            from,
            carrier: Mutex::default(),
            _seats: (here, at_address),
        })
    }

    async fn turn(&self) -> Result<(), Error> {
        let now = Instant::now();
        let turn = {
            let mut next = self.next.lock();
            let turn = (*next).max(now.checked_sub(GAP * AT_ONCE).unwrap_or(now));
            let wait = turn.saturating_duration_since(now);
            if wait > WAITS_AT_MOST {
                metrics::counter!("switchboard_refused_total", "limit" => "herd").increment(1);
                return Err(Error::Throttled { retry_after: Some(wait) });
            }
            *next = turn + GAP;
            turn
        };
        if turn > now {
            sleep_until(turn).await;
        }
        Ok(())
    }
}

impl Place {
    /// Where the connection comes from, as far as that is known.
    pub(super) fn from(&self) -> Option<Network> {
        self.from
    }

    /// Takes one event of what the connection, and all of whoever is behind it, may ask for.
    ///
    /// # Errors
    /// [`Excess`].
    pub(super) fn event(&self) -> Result<(), Excess> {
        let [events, _] = &self.together;
        let together = || self.limits.events_together.check_at(events.load(Ordering::Relaxed));
        self.events.spend().and_then(|()| together()).map_err(|too_soon| self.refused(too_soon.into()))
    }

    /// Takes one room of what the connection, and all of whoever is behind it, may enter.
    ///
    /// # Errors
    /// [`Excess`].
    pub(super) fn join(&self) -> Result<(), Excess> {
        let [_, joins] = &self.together;
        let together = || self.limits.joins_together.check_at(joins.load(Ordering::Relaxed));
        self.joins.spend().and_then(|()| together()).map_err(|too_soon| self.refused(too_soon.into()))
    }

    /// Takes one namespace, which counts as a room of the connection's: how many connections there are is counted already.
    ///
    /// # Errors
    /// [`Excess`].
    pub(super) fn enter_namespace(&self) -> Result<(), Excess> {
        self.joins.spend().map_err(|too_soon| self.refused(too_soon.into()))
    }

    /// From now on what the connection asks for is counted with all of `caller`, if a token names them. Who is not proven to
    /// be anybody is counted by address: whoever wants another name takes one.
    pub(super) fn count_with(&self, caller: &Caller) {
        let Caller::Known { identity, .. } = caller else { return };
        let places = counted_with(&self.limits, identity);
        for (place, now) in self.together.iter().zip(places) {
            place.store(now, Ordering::Relaxed);
        }
    }

    /// It goes on over another connection than the one that opened it.
    pub(super) fn set_carrier(&self, kill: Kill) {
        *self.carrier.lock() = Some(kill);
    }

    /// Cuts off what carries it, if that is not what opened it.
    pub(super) fn carrier(&self) -> Option<Kill> {
        self.carrier.lock().clone()
    }

    /// What follows from refusing something with `error`.
    pub(super) fn refused(&self, error: Error) -> Excess {
        if self.patience.spend().is_ok() { Excess::Refuse(error) } else { Excess::CutOff }
    }

    /// Whether tokens from where the connection comes from are looked at: guessing is slow.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`].
    pub(super) fn may_show_token(&self) -> Result<(), Error> {
        Ok(self.limits.wrong_tokens.look(&self.from)?)
    }

    /// Counts a token that did not hold.
    pub(super) fn note_token<T>(&self, outcome: &Result<T, AuthError>) {
        if matches!(outcome, Err(AuthError::Invalid)) {
            // Whether there is more room is asked before the next one.
            let _ = self.limits.wrong_tokens.check(&self.from);
        }
    }
}

fn counted_with(limits: &Limits, key: &impl Hash) -> [usize; 2] {
    [limits.events_together.place_of(key), limits.joins_together.place_of(key)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;
    use crate::config::LimitSettings;

    fn network(address: &str) -> Option<Network> {
        address.parse().ok().map(Network::of)
    }

    fn gate(settings: LimitSettings) -> Gate {
        Gate::new(Limits::new(&settings))
    }

    #[tokio::test(start_paused = true)]
    async fn a_herd_is_let_in_one_after_the_other_and_nobody_waits_long() {
        let gate = gate(LimitSettings::default());
        let began = Instant::now();
        let mut places = Vec::new();
        for _ in 0..2_000 {
            places.push(gate.pass(None).await.unwrap_or_else(|error| panic!("{error}")));
        }
        let took = began.elapsed();
        assert!(took >= GAP * 900 && took <= GAP * 2_000, "{took:?}");

        // All at once: some at once, some in turn, the others another time.
        let came = Instant::now();
        let all = futures::future::join_all((0..10_000).map(|_| gate.pass(None))).await;
        assert!(came.elapsed() <= WAITS_AT_MOST + GAP, "{:?}", came.elapsed());
        let refused = all.iter().filter(|place| matches!(place, Err(Error::Throttled { .. }))).count();
        assert_eq!(all.iter().filter(|place| place.is_ok()).count() + refused, 10_000);
        assert!((4_900..5_100).contains(&refused), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_once_nothing_remembers_it() {
        let gate =
            gate(LimitSettings { sockets: Some(3), sockets_per_address: Some(2), ..Default::default() });
        let (here, elsewhere) = (network("127.0.0.1"), network("2001:db8::1"));
        let first = gate.pass(here).await.ok().unwrap();
        let _second = gate.pass(here).await.ok().unwrap();
        assert!(matches!(gate.pass(here).await.err(), Some(Error::TooManyRequests { retry_after: Some(_) })));
        let _third = gate.pass(elsewhere).await.ok().unwrap();
        assert!(matches!(gate.pass(elsewhere).await.err(), Some(Error::Throttled { retry_after: Some(_) })));
        drop(first);
        assert!(gate.pass(here).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_and_on_although_refused_is_cut_off() {
        let rate = "10/s burst 20".parse().ok();
        let gate = gate(LimitSettings { events: rate, ..Default::default() });
        let place = gate.pass(None).await.ok().unwrap();
        let taken = (0..20).filter(|_| place.event().is_ok()).count();
        assert_eq!(taken, 20);
        for _ in 0..300 {
            assert!(matches!(place.event(), Err(Excess::Refuse(Error::TooManyRequests { .. }))));
        }
        assert!(matches!(place.event(), Err(Excess::CutOff)));
        assert!(place.join().is_ok(), "no limit of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_no_new_budget() {
        let rate = "1/m burst 20".parse().ok();
        let gate = gate(LimitSettings { events: rate, joins: rate, ..Default::default() });
        let known = |name: &str| Caller::Known { identity: name.try_into().unwrap(), role: Role::User };
        let (here, elsewhere) = (network("192.0.2.1"), network("192.0.2.2"));
        for (from, caller, expected) in [
            (here, Caller::Anonymous, 100),
            (here, Caller::Guest("guest_1_abcdefgh".try_into().unwrap()), 0),
            (elsewhere, Caller::Anonymous, 100),
            (here, known("alice"), 100),
            (elsewhere, known("alice"), 0),
            (here, known("bob"), 100),
        ] {
            let (mut events, mut joins) = (0, 0);
            for _ in 0..10 {
                let place = gate.pass(from).await.ok().unwrap();
                place.count_with(&caller);
                events += (0..30).filter(|_| place.event().is_ok()).count();
                joins += (0..30).filter(|_| place.join().is_ok()).count();
            }
            assert_eq!((events, joins), (expected, expected), "{caller:?} from {from:?}");
        }
    }
}
