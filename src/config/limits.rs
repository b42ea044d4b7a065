//! How much one person, address or socket may ask for: [`LimitSettings`], and how a [`Rate`] is written.
//!
//! Which request counts against which limit is decided where it arrives; the counting is `limits`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::reader::{Reader, parse_networks};
use super::{Bounds, Config, Purpose};

/// The highest number there is: beyond it, it is no limit.
const MOST: u32 = 1_000_000;

/// So many in a while, and so many at once after a pause. Written `50/s burst 200`; `/m` and `/h` are for rarer things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How long one takes to come back.
    pub one_per: Duration,
    /// At once.
    pub burst: NonZeroU32,
}

/// A text that is no [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not so many in a while and at once")]
pub struct InvalidRate;

impl Rate {
    /// `per_second` and `burst`, which are above 0.
    const fn of(per_second: u32, burst: u32) -> Self {
        Self::within(Duration::from_secs(1), per_second, burst)
    }

    /// As [`Rate::of`], so many in this `time`.
    const fn within(time: Duration, many: u32, burst: u32) -> Self {
        Self {
            one_per: time.checked_div(many).expect("a rate is above 0"),
            burst: NonZeroU32::new(burst).expect("a burst is above 0"),
        }
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, times: NonZeroU32) -> Self {
        Self { one_per: self.one_per / times.get(), burst: self.burst.saturating_mul(times) }
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    /// `50/s burst 200`, or `50/s`, which is as many at once.
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let number = |text: &str| {
            let number: NonZeroU32 = text.trim().parse().map_err(|_| InvalidRate)?;
            if number.get() > MOST { Err(InvalidRate) } else { Ok(number) }
        };
        let (rate, burst) = match text.split_once("burst") {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (many, unit) = rate.trim().split_once('/').ok_or(InvalidRate)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(InvalidRate),
        };
        let many = number(many)?;
        let one_per = Duration::from_secs(seconds) / many.get();
        Ok(Self { one_per, burst: burst.map_or(Ok(many), number)? })
    }
}

/// `LIMIT_…`: `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitSettings {
    /// `LIMIT_REQUESTS`: REST requests of one person.
    pub requests: Option<Rate>,
    /// `LIMIT_REQUESTS_PER_ADDRESS`: HTTP requests from one address.
    pub requests_per_address: Option<Rate>,
    /// `LIMIT_WRONG_TOKENS`: tokens that do not hold, from one address.
    pub wrong_tokens: Option<Rate>,
    /// `LIMIT_SENDS`: messages of one person, by REST and sockets together.
    pub sends: Option<Rate>,
    /// `LIMIT_GUESTS`: guests of support who are new, from one address.
    pub guests: Option<Rate>,
    /// `LIMIT_EVENTS`: events of one socket; all of one person may have more together.
    pub events: Option<Rate>,
    /// `LIMIT_JOINS`: rooms that one socket enters; all of one person may have more together.
    pub joins: Option<Rate>,
    /// `LIMIT_ROOMS`: rooms that one socket is in.
    pub rooms: Option<usize>,
    /// `LIMIT_HANDSHAKES`: sockets that one address opens.
    pub handshakes: Option<Rate>,
    /// `LIMIT_SOCKETS`: sockets that are open.
    pub sockets: Option<usize>,
    /// `LIMIT_SOCKETS_PER_IDENTITY`: of one person.
    pub sockets_per_identity: Option<usize>,
    /// `LIMIT_SOCKETS_PER_ADDRESS`: from one address.
    pub sockets_per_address: Option<usize>,
    /// `LIMIT_CONNECTIONS_PER_ADDRESS`: TCP connections from one address, those of sockets included.
    pub connections_per_address: Option<usize>,
    /// `LIMIT_UPLOADS`: files on their way in, of one person, else from one address.
    pub uploads: Option<usize>,
    /// What holds for everybody.
    pub bounds: Bounds,
}

impl LimitSettings {
    /// What `serve` has where nothing is given.
    fn serve() -> Self {
        Self {
            requests: Some(Rate::of(50, 200)),
            requests_per_address: Some(Rate::of(500, 2000)),
            wrong_tokens: Some(Rate::of(10, 100)),
            sends: Some(Rate::of(20, 200)),
            guests: Some(Rate::within(Duration::from_secs(60), 10, 20)),
            events: Some(Rate::of(50, 300)),
            joins: Some(Rate::of(10, 100)),
            rooms: Some(100),
            handshakes: Some(Rate::of(10, 50)),
            sockets: Some(20_000),
            sockets_per_identity: Some(10),
            sockets_per_address: Some(50),
            connections_per_address: Some(100),
            uploads: Some(10),
            bounds: Bounds::default(),
        }
    }

    /// What `dev` has: there everybody comes from one machine, tests and benchmarks too, so only what bounds memory.
    fn dev() -> Self {
        let serve = Self::serve();
        Self { rooms: serve.rooms, sockets: serve.sockets, ..Self::default() }
    }
}

impl LimitSettings {
    /// Whether it matters which address somebody comes from.
    #[must_use]
    pub fn count_addresses(&self) -> bool {
        self.requests_per_address.is_some()
            || self.wrong_tokens.is_some()
            || self.guests.is_some()
            || self.events.is_some()
            || self.joins.is_some()
            || self.handshakes.is_some()
            || self.sockets_per_address.is_some()
            || self.connections_per_address.is_some()
            || self.uploads.is_some()
    }
}

/// `TRUSTED_PROXIES`: whose word on where a request comes from is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Those in these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether nobody's is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` is one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl Reader {
    pub(super) fn trusted_proxies(&mut self, config: &Config) -> Option<TrustedProxies> {
        let should_be = "networks such as 10.0.0.0/8, separated by commas";
        let written = config.trusted_proxies.as_ref();
        let networks = self.optional("TRUSTED_PROXIES", written, should_be, parse_networks)?;
        Some(networks.map(TrustedProxies::new).unwrap_or_default())
    }

    pub(super) fn limits(&mut self, config: &Config, purpose: Purpose) -> Option<LimitSettings> {
        let otherwise = match purpose {
            Purpose::Serve => LimitSettings::serve(),
            Purpose::Dev => LimitSettings::dev(),
        };
        let requests = self.rate("LIMIT_REQUESTS", config.limit_requests.as_ref(), otherwise.requests);
        let requests_per_address = self.rate(
            "LIMIT_REQUESTS_PER_ADDRESS",
            config.limit_requests_per_address.as_ref(),
            otherwise.requests_per_address,
        );
        let wrong_tokens =
            self.rate("LIMIT_WRONG_TOKENS", config.limit_wrong_tokens.as_ref(), otherwise.wrong_tokens);
        let sends = self.rate("LIMIT_SENDS", config.limit_sends.as_ref(), otherwise.sends);
        let guests = self.rate("LIMIT_GUESTS", config.limit_guests.as_ref(), otherwise.guests);
        let events = self.rate("LIMIT_EVENTS", config.limit_events.as_ref(), otherwise.events);
        let joins = self.rate("LIMIT_JOINS", config.limit_joins.as_ref(), otherwise.joins);
        let rooms = self.count("LIMIT_ROOMS", config.limit_rooms.as_ref(), otherwise.rooms);
        let handshakes =
            self.rate("LIMIT_HANDSHAKES", config.limit_handshakes.as_ref(), otherwise.handshakes);
        let sockets = self.count("LIMIT_SOCKETS", config.limit_sockets.as_ref(), otherwise.sockets);
        let sockets_per_identity = self.count(
            "LIMIT_SOCKETS_PER_IDENTITY",
            config.limit_sockets_per_identity.as_ref(),
            otherwise.sockets_per_identity,
        );
        let sockets_per_address = self.count(
            "LIMIT_SOCKETS_PER_ADDRESS",
            config.limit_sockets_per_address.as_ref(),
            otherwise.sockets_per_address,
        );
        let connections_per_address = self.count(
            "LIMIT_CONNECTIONS_PER_ADDRESS",
            config.limit_connections_per_address.as_ref(),
            otherwise.connections_per_address,
        );
        let uploads = self.count("LIMIT_UPLOADS", config.limit_uploads.as_ref(), otherwise.uploads);
        let bounds = self.bounds(config, events.flatten());
        Some(LimitSettings {
            requests: requests?,
            requests_per_address: requests_per_address?,
            wrong_tokens: wrong_tokens?,
            sends: sends?,
            guests: guests?,
            events: events?,
            joins: joins?,
            rooms: rooms?,
            handshakes: handshakes?,
            sockets: sockets?,
            sockets_per_identity: sockets_per_identity?,
            sockets_per_address: sockets_per_address?,
            connections_per_address: connections_per_address?,
            uploads: uploads?,
            bounds: bounds?,
        })
    }

    fn rate(
        &mut self,
        variable: &'static str,
        written: Option<&String>,
        otherwise: Option<Rate>,
    ) -> Option<Option<Rate>> {
        let rate = self.optional(variable, written, "off, or a rate such as `50/s burst 200`", or_off)?;
        Some(rate.unwrap_or(otherwise))
    }

    fn count(
        &mut self,
        variable: &'static str,
        written: Option<&String>,
        otherwise: Option<usize>,
    ) -> Option<Option<usize>> {
        let count = self.optional(variable, written, "off, or a number from 1 to 1000000", |text| {
            or_off::<usize>(text)
                .filter(|count| count.is_none_or(|count| (1..=MOST as usize).contains(&count)))
        })?;
        Some(count.unwrap_or(otherwise))
    }
}

fn or_off<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text == "off" { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for (text, rate) in [
            ("50/s burst 200", Rate::of(50, 200)),
            ("50/s", Rate::of(50, 50)),
            (" 1/s  burst  1 ", Rate::of(1, 1)),
            ("60/m burst 3", Rate::of(1, 3)),
            ("7200/h burst 3", Rate::of(2, 3)),
        ] {
            assert_eq!(text.parse(), Ok(rate), "{text}");
        }
    }

    #[test]
    fn what_limits_nothing_or_everything_is_refused() {
        for text in
            ["", "50", "0/s", "50/s burst 0", "-1/s", "50/d", "1000001/s", "50/s burst", "burst 5", "/s"]
        {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text}");
        }
    }
}
