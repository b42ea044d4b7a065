//! How large and how slow things may be: [`Bounds`]. Unlike the limits of people and addresses they hold in `dev` too, and none
//! can be switched off.
//!
//! What the clients' documents promise to take (message bodies of 32 KiB, uploads of 16 MiB) is no setting. What they promise
//! of frames and JSON can be taken back, for clients that are known to send less, and not exceeded.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::reader::Reader;
use super::{Config, Rate};

/// As people can see it: a hundred times a second is the same as now and then.
const TYPING_GAP: Duration = Duration::from_secs(2);

/// Sizes, numbers and times that hold for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// `LIMIT_CONNECTIONS`: TCP connections, those of sockets included.
    pub connections: usize,
    /// `LIMIT_FRAME_BYTES`: of a frame or polling payload that a client sends.
    pub frame_bytes: usize,
    /// `LIMIT_JSON_BYTES`: of a request's body, uploads excepted.
    pub json_bytes: usize,
    /// `LIMIT_WEBHOOK_BYTES`: of a report of Twilio's. The longest message, of 32 KiB, is three times as long where all of it
    /// must be percent-encoded.
    pub webhook_bytes: usize,
    /// `LIMIT_SOCKET_QUEUE`: packets or frames that may wait for a client that reads slowly.
    pub socket_queue: usize,
    /// `LIMIT_REFUSALS`: what a socket may be refused until it is cut off.
    pub refusals: NonZeroU32,
    /// `LIMIT_CODE_TRIES`: wrong one-time codes tried for one person.
    pub code_tries: u32,
    /// `LIMIT_CODE_TRIES_PER_ADDRESS`: wrong one-time codes tried from one address.
    pub code_tries_per_address: u32,
    /// `TYPING_GAP_MS`: from one beginning to type that others hear of to the same person's next.
    pub typing_gap: Duration,
    /// `FIRST_BYTE_SECONDS`: until the first byte of a connection.
    pub first_byte: Duration,
    /// `HEAD_SECONDS`: from the first byte of a request's head to its last.
    pub head: Duration,
    /// `SOCKET_CONNECT_SECONDS`: until a Socket.IO connection asks for a namespace.
    pub socket_connect: Duration,
    /// `SOCKET_PING_SECONDS`: how often a client is asked whether it is there.
    pub socket_ping: Duration,
    /// `SOCKET_PONG_SECONDS`: how long it may take to answer.
    pub socket_pong: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 20_000,
            frame_bytes: 64 * 1024,
            json_bytes: 1024 * 1024,
            webhook_bytes: 128 * 1024,
            socket_queue: 512,
            refusals: NonZeroU32::new(300).expect("300 is above 0"),
            code_tries: 5,
            code_tries_per_address: 10,
            typing_gap: Duration::ZERO,
            first_byte: Duration::from_secs(5),
            head: Duration::from_secs(5),
            socket_connect: Duration::from_secs(10),
            socket_ping: Duration::from_secs(25),
            socket_pong: Duration::from_secs(20),
        }
    }
}

impl Reader {
    /// `events`: how many a socket may send, without which nobody is kept from typing either.
    pub(super) fn bounds(&mut self, config: &Config, events: Option<Rate>) -> Option<Bounds> {
        const A_MILLION: &str = "a number from 1 to 1000000";
        const A_HUNDRED: &str = "a number from 1 to 100";
        let otherwise = Bounds::default();
        let connections =
            self.within("LIMIT_CONNECTIONS", config.limit_connections.as_ref(), 1..=1_000_000, A_MILLION);
        let frame_bytes = self.within(
            "LIMIT_FRAME_BYTES",
            config.limit_frame_bytes.as_ref(),
            1024..=otherwise.frame_bytes,
            "a number of bytes from 1024 to 65536",
        );
        let json_bytes = self.within(
            "LIMIT_JSON_BYTES",
            config.limit_json_bytes.as_ref(),
            1024..=otherwise.json_bytes,
            "a number of bytes from 1024 to 1048576",
        );
        let webhook_bytes = self.within(
            "LIMIT_WEBHOOK_BYTES",
            config.limit_webhook_bytes.as_ref(),
            16 * 1024..=1024 * 1024,
            "a number of bytes from 16384 to 1048576",
        );
        let socket_queue = self.within(
            "LIMIT_SOCKET_QUEUE",
            config.limit_socket_queue.as_ref(),
            16..=100_000,
            "a number from 16 to 100000",
        );
        let refusals = self.within(
            "LIMIT_REFUSALS",
            config.limit_refusals.as_ref(),
            NonZeroU32::MIN..=NonZeroU32::new(1_000_000).expect("a million is above 0"),
            A_MILLION,
        );
        let code_tries =
            self.within("LIMIT_CODE_TRIES", config.limit_code_tries.as_ref(), 1..=100, A_HUNDRED);
        let code_tries_per_address = self.within(
            "LIMIT_CODE_TRIES_PER_ADDRESS",
            config.limit_code_tries_per_address.as_ref(),
            1..=1_000,
            "a number from 1 to 1000",
        );
        let typing_gap = self.within(
            "TYPING_GAP_MS",
            config.typing_gap_ms.as_ref(),
            0..=60_000,
            "a number of milliseconds from 0 to 60000",
        );
        let first_byte = self.seconds("FIRST_BYTE_SECONDS", config.first_byte_seconds.as_ref());
        let head = self.seconds("HEAD_SECONDS", config.head_seconds.as_ref());
        let socket_connect = self.seconds("SOCKET_CONNECT_SECONDS", config.socket_connect_seconds.as_ref());
        let socket_ping = self.seconds("SOCKET_PING_SECONDS", config.socket_ping_seconds.as_ref());
        let socket_pong = self.seconds("SOCKET_PONG_SECONDS", config.socket_pong_seconds.as_ref());
        Some(Bounds {
            connections: connections?.unwrap_or(otherwise.connections),
            frame_bytes: frame_bytes?.unwrap_or(otherwise.frame_bytes),
            json_bytes: json_bytes?.unwrap_or(otherwise.json_bytes),
            webhook_bytes: webhook_bytes?.unwrap_or(otherwise.webhook_bytes),
            socket_queue: socket_queue?.unwrap_or(otherwise.socket_queue),
            refusals: refusals?.unwrap_or(otherwise.refusals),
            code_tries: code_tries?.unwrap_or(otherwise.code_tries),
            code_tries_per_address: code_tries_per_address?.unwrap_or(otherwise.code_tries_per_address),
            typing_gap: typing_gap?
                .map_or_else(|| events.map_or(Duration::ZERO, |_| TYPING_GAP), Duration::from_millis),
            first_byte: first_byte?.unwrap_or(otherwise.first_byte),
            head: head?.unwrap_or(otherwise.head),
            socket_connect: socket_connect?.unwrap_or(otherwise.socket_connect),
            socket_ping: socket_ping?.unwrap_or(otherwise.socket_ping),
            socket_pong: socket_pong?.unwrap_or(otherwise.socket_pong),
        })
    }

    fn seconds(&mut self, variable: &'static str, written: Option<&String>) -> Option<Option<Duration>> {
        let seconds = self.within(variable, written, 1..=300, "a number of seconds from 1 to 300")?;
        Some(seconds.map(Duration::from_secs))
    }

    fn within<T: FromStr + PartialOrd>(
        &mut self,
        variable: &'static str,
        written: Option<&String>,
        range: RangeInclusive<T>,
        should_be: &'static str,
    ) -> Option<Option<T>> {
        self.optional(variable, written, should_be, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }
}
