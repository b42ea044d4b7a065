//! How much one person, address or socket may ask for, and how long until more: counted in one place for every way in.
//!
//! - `rate.rs`: so many per second, by key ([`Limiter`]) or for one holder ([`Budget`])
//! - `seats.rs`: so many at once ([`Seats`])
//! - `network.rs`: where a request comes from, and what counts as one address
//!
//! Memory is bounded whatever clients do: a [`Limiter`] has a fixed table, and [`Seats`] count what is open, of which there
//! is only so much. Which request counts against which limit, and how a refusal is told, is the business of whoever asks.
//! Not here: Twilio's own limits (`twilio/limiter.rs`), one-time codes (`core/codes.rs`, counted in the database).

mod network;
mod rate;
mod seats;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub use network::{ClientAddress, Network};
pub use rate::{Budget, Limiter, Pace, TooSoon};
pub use seats::{Seat, Seats};

use crate::auth::Identity;
use crate::config::{Bounds, LimitSettings, Rate};

/// Nobody who watches the service looks more often; each look costs some work. Where requests have no limit, neither have
/// these.
const FIGURES: Rate =
    Rate { one_per: Duration::from_millis(200), burst: NonZeroU32::new(50).expect("50 is above 0") };

/// All sockets of a person, or of an address, may ask for so many times what one may: who comes back finds the count that
/// they left.
const SOCKETS_TOGETHER: NonZeroU32 = NonZeroU32::new(5).expect("5 is above 0");

/// Every limit, as one node counts it: a cheap clone of shared counts.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Each>);

/// The limits behind [`Limits`].
#[derive(Debug)]
pub struct Each {
    /// REST requests, by whoever a token names.
    pub requests: Limiter,
    /// HTTP requests, by [`Network`].
    pub requests_per_address: Limiter,
    /// Tokens that do not hold, by [`Network`].
    pub wrong_tokens: Limiter,
    /// Webhooks that Twilio did not sign, by [`Network`]: as many as tokens, but counted for themselves.
    pub wrong_signatures: Limiter,
    /// Looks at the figures of the service, by [`Network`].
    pub figures: Limiter,
    /// Messages, by their author's [`Identity`], whichever way they come.
    pub sends: Limiter,
    /// Guests of support who are new, by [`Network`]: a conversation of theirs costs calls to Twilio.
    pub guests: Limiter,
    /// Sockets being opened, by [`Network`].
    pub handshakes: Limiter,
    /// What each socket gets for its events.
    pub events: Pace,
    /// What each socket gets for the rooms it enters.
    pub joins: Pace,
    /// Events of all sockets, by whoever a token names, else by [`Network`].
    pub events_together: Limiter,
    /// Rooms that all sockets enter, counted alike.
    pub joins_together: Limiter,
    /// Rooms that one socket may be in.
    pub rooms: usize,
    /// Sockets that are open.
    pub sockets: Seats<()>,
    /// Sockets of one person.
    pub sockets_per_identity: Seats<Identity>,
    /// Sockets from one address.
    pub sockets_per_address: Seats<Network>,
    /// TCP connections from one address.
    pub connections_per_address: Seats<Network>,
    /// Files on their way in.
    pub uploads: Seats<Uploader>,
    /// What holds for everybody.
    pub bounds: Bounds,
}

/// Whose files are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Uploader {
    /// Somebody whom a token names.
    Person(Identity),
    /// Whoever comes from there without one.
    Address(Network),
}

impl Limits {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(settings: &LimitSettings) -> Self {
        Self(Arc::new(Each {
            requests: Limiter::new("requests", settings.requests),
            requests_per_address: Limiter::new("requests_per_address", settings.requests_per_address),
            wrong_tokens: Limiter::new("wrong_tokens", settings.wrong_tokens),
            wrong_signatures: Limiter::new("wrong_signatures", settings.wrong_tokens),
            figures: Limiter::new("figures", settings.requests_per_address.map(|_| FIGURES)),
            sends: Limiter::new("sends", settings.sends),
            guests: Limiter::new("guests", settings.guests),
            handshakes: Limiter::new("handshakes", settings.handshakes),
            events: Pace::new("events", settings.events),
            joins: Pace::new("joins", settings.joins),
            events_together: together("events_together", settings.events),
            joins_together: together("joins_together", settings.joins),
            rooms: settings.rooms.unwrap_or(usize::MAX),
            sockets: Seats::new("sockets", settings.sockets),
            sockets_per_identity: Seats::new("sockets_per_identity", settings.sockets_per_identity),
            sockets_per_address: Seats::new("sockets_per_address", settings.sockets_per_address),
            connections_per_address: Seats::new("connections_per_address", settings.connections_per_address),
            uploads: Seats::new("uploads", settings.uploads),
            bounds: settings.bounds,
        }))
    }
}

impl std::ops::Deref for Limits {
    type Target = Each;

    fn deref(&self) -> &Each {
        &self.0
    }
}

fn together(limit: &'static str, of_one: Option<Rate>) -> Limiter {
    Limiter::new(limit, of_one.map(|rate| rate.times(SOCKETS_TOGETHER)))
}

/// Counts a refusal. By the limit only: a person or an address would make a metric for each.
fn refused(limit: &'static str) {
    metrics::counter!("switchboard_refused_total", "limit" => limit).increment(1);
}
