//! Ids from clients: a Twilio SID or the UUID with the same 128 bits, and nothing else.
//!
//! Above all no UniqueName: Twilio takes one in a SID's place for fetch, update and delete, so what comes from a client is
//! parsed here before any path is built from it. Which of the two forms a dialect *emits* is the dialect's business.

use std::str::FromStr;

use uuid::Uuid;

use super::Error;
pub use crate::twilio::{ConversationSid, MediaSid, MessageSid, ParticipantSid};

/// An id that has both forms.
pub trait Id: FromStr + Sized {
    /// The id with these 128 bits.
    fn from_uuid(uuid: Uuid) -> Self;
}

macro_rules! ids {
    ($($name:ident),*) => { $(
        impl Id for $name {
            fn from_uuid(uuid: Uuid) -> Self {
                $name::from_uuid(uuid)
            }
        }
    )* };
}
ids!(ConversationSid, MessageSid, ParticipantSid, MediaSid);

/// Parses `text` in either form.
///
/// # Errors
/// [`Error::Invalid`] naming `field`.
pub fn parse_id<T: Id>(field: &'static str, text: &str) -> Result<T, Error> {
    // `Uuid` also reads braces, `urn:uuid:` and bare hex; only the hyphenated form is ours.
    let hyphenated = || (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten();
    text.parse()
        .ok()
        .or_else(|| hyphenated().map(T::from_uuid))
        .ok_or_else(|| Error::invalid(field, "is not a valid id"))
}
