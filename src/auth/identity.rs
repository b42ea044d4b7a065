//! [`Identity`]: who somebody is, in Twilio's sense of the word.
//!
//! Whether somebody with that identity exists, and what they may do, is asked elsewhere.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// The name a person has in every dialect and at Twilio, taken verbatim and compared byte for byte.
///
/// 1 to 256 characters, not blank, without control characters. A clone costs one counter.
///
/// Source: <https://www.twilio.com/docs/conversations/conversations-limits>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Identity(Arc<str>);

/// Why a text is no [`Identity`]; the message completes a sentence that begins with the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// Nothing, or only white space.
    #[error("must not be blank")]
    Blank,
    /// More than [`Identity::MAX_CHARACTERS`].
    #[error("must be at most {} characters long", Identity::MAX_CHARACTERS)]
    TooLong,
    /// A line break, a NUL, or another character no name contains.
    #[error("must not contain control characters")]
    ControlCharacter,
}

impl Identity {
    /// The longest identity Twilio takes, in characters.
    pub const MAX_CHARACTERS: usize = 256;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of those kept for guests, who have no account: `guest_…`.
    pub fn is_guest(&self) -> bool {
        self.0.starts_with(Self::GUEST_PREFIX)
    }

    /// How the identity of a guest begins.
    pub const GUEST_PREFIX: &str = "guest_";

    fn check(text: &str) -> Result<(), InvalidIdentity> {
        if text.trim().is_empty() {
            Err(InvalidIdentity::Blank)
        } else if text.chars().count() > Self::MAX_CHARACTERS {
            Err(InvalidIdentity::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(InvalidIdentity::ControlCharacter)
        } else {
            Ok(())
        }
    }
}

impl TryFrom<&str> for Identity {
    type Error = InvalidIdentity;

    fn try_from(text: &str) -> Result<Self, InvalidIdentity> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Identity {
    type Error = InvalidIdentity;

    fn try_from(text: String) -> Result<Self, InvalidIdentity> {
        Self::check(&text)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        text.try_into()
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl AsRef<str> for Identity {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Lets a map keyed by `Identity` be asked with a `&str`.
impl Borrow<str> for Identity {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_taken_verbatim() {
        for text in ["alice", " alice ", "alice@example.com", "42", "Zoë 🦀"] {
            assert_eq!(Identity::try_from(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn the_limit_counts_characters_not_bytes() {
        assert!(Identity::try_from("ë".repeat(256)).is_ok());
        assert_eq!(Identity::try_from("ë".repeat(257)), Err(InvalidIdentity::TooLong));
    }

    #[test]
    fn blank_and_control_characters_are_refused() {
        assert_eq!(Identity::try_from(""), Err(InvalidIdentity::Blank));
        assert_eq!(Identity::try_from(" \t"), Err(InvalidIdentity::Blank));
        assert_eq!(Identity::try_from("alice\r\nX-Evil: 1"), Err(InvalidIdentity::ControlCharacter));
    }

    #[test]
    fn json_refuses_what_parsing_refuses() {
        assert_eq!(serde_json::from_str::<Identity>("\"bob\"").unwrap().as_str(), "bob");
        assert!(serde_json::from_str::<Identity>("\"\"").is_err());
        assert_eq!(serde_json::to_string(&Identity::try_from("bob").unwrap()).unwrap(), "\"bob\"");
    }
}
