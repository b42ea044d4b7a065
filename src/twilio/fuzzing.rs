//! Twilio's answers, read as in service but without a connection: the door for fuzzing and for the test that replays its
//! corpora. Nothing here is used by the service.

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::page::page_in;
use super::{Error, Page};

/// The page of a list in `body`, if there is one.
pub fn page<T: DeserializeOwned>(body: &[u8]) -> Option<Page<T>> {
    page_in(&serde_json::from_slice(body).ok()?).ok()
}

/// What Twilio's refusal with `body` becomes.
pub fn refusal(body: &[u8]) -> Error {
    Refusal::of(StatusCode::CONFLICT, body).into()
}
