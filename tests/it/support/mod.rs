//! The stage of the service's tests: [`TestApp`] is the service and a mock Twilio in this process; its clients speak HTTP,
//! Socket.IO and WebSocket over TCP and use nothing of the service's own code.
//!
//! | to … | read |
//! |---|---|
//! | start, restart, look at what reached Twilio | `app.rs` |
//! | keep rows, on SQLite or PostgreSQL | `database.rs` |
//! | ask over REST (conversations) | `rest.rs` |
//! | be a Socket.IO socket | `socket.rs` |
//! | be a client of the chat dialect | `chat.rs` |
//! | be Twilio, telling | `webhook.rs` |
//! | hold the log to showing no secret | `logs.rs` |
//! | hold an answer to a printed sample | `sample.rs` |

pub(crate) mod app;
pub(crate) mod chat;
pub(crate) mod database;
pub(crate) mod logs;
pub(crate) mod rest;
pub(crate) mod sample;
pub(crate) mod socket;
pub(crate) mod webhook;

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub(crate) use app::TestApp;
pub(crate) use database::TestDatabase;
pub(crate) use rest::{Answer, Rest};
pub(crate) use socket::Socket;

/// Longer than anything takes that works.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// What `future` gives; it must not take long.
pub(crate) async fn soon<T>(what: impl Debug, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what:?} takes too long"))
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "{what} does not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A refusal is for people: a sentence in the service's own words, without Twilio's, without internals, without positions
/// in a text that nobody sees.
pub(crate) fn assert_readable(text: &str) {
    let leaks = [
        "Twilio ",
        "twilio",
        "http://",
        "https://",
        " at line ",
        "column",
        "::",
        "\n",
        "panicked",
        "untagged",
        "serde",
    ];
    let leak = leaks.into_iter().find(|leak| text.contains(leak));
    assert_eq!(leak, None, "{text:?}");
    let code = text.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 5);
    assert_eq!(code, None, "a code of Twilio's in {text:?}");
    assert!((4..=200).contains(&text.chars().count()), "{text:?}");
}
