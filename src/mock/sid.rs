//! Twilio's identifiers as the mock keeps them: two letters and 128 random bits.
//!
//! What kind of thing a SID names is said by the letters only; whether it exists is the stores' business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The two letters in front of a SID.
pub(crate) mod prefix {
    pub(crate) const ADDRESS_CONFIGURATION: &str = "IG";
    pub(crate) const BINDING: &str = "BS";
    pub(crate) const CONTENT: &str = "HX";
    pub(crate) const CONVERSATION: &str = "CH";
    pub(crate) const CREDENTIAL: &str = "CR";
    pub(crate) const DELIVERY_RECEIPT: &str = "DY";
    pub(crate) const FLOW: &str = "FW";
    pub(crate) const MEDIA: &str = "ME";
    pub(crate) const MESSAGE: &str = "IM";
    pub(crate) const MESSAGING_SERVICE: &str = "MG";
    pub(crate) const PARTICIPANT: &str = "MB";
    pub(crate) const REQUEST: &str = "RQ";
    pub(crate) const ROLE: &str = "RL";
    pub(crate) const SERVICE: &str = "IS";
    pub(crate) const CHANNEL_MESSAGE: &str = "SM";
    pub(crate) const USER: &str = "US";
    pub(crate) const WEBHOOK: &str = "WH";
}

/// One SID, 18 bytes, cheap to copy, ordered as its text is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sid {
    prefix: [u8; 2],
    value: u128,
}

impl Sid {
    /// A new random SID, as Twilio's own look.
    pub(crate) fn random(prefix: &str) -> Self {
        Self { prefix: letters(prefix).expect("prefixes are two ASCII letters"), value: rand::random() }
    }

    /// The SID before all others with these letters.
    pub(crate) fn least(prefix: &str) -> Self {
        Self { prefix: letters(prefix).expect("prefixes are two ASCII letters"), value: 0 }
    }

    /// Reads `text` when it is `prefix` and 32 hexadecimal digits.
    pub(crate) fn parse(prefix: &str, text: &str) -> Option<Self> {
        text.parse::<Self>().ok().filter(|sid| sid.has_prefix(prefix))
    }

    /// Whether the SID starts with these two letters.
    pub(crate) fn has_prefix(self, prefix: &str) -> bool {
        self.prefix == prefix.as_bytes()
    }
}

fn letters(text: &str) -> Option<[u8; 2]> {
    let letters: [u8; 2] = text.as_bytes().get(..2)?.try_into().ok()?;
    letters.iter().all(u8::is_ascii_uppercase).then_some(letters)
}

/// The text is not two capital letters and 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotASid;

impl FromStr for Sid {
    type Err = NotASid;

    fn from_str(text: &str) -> Result<Self, NotASid> {
        let prefix = letters(text).ok_or(NotASid)?;
        let digits = &text[2..];
        if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotASid);
        }
        let value = u128::from_str_radix(digits, 16).map_err(|_| NotASid)?;
        Ok(Self { prefix, value })
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:032x}", char::from(self.prefix[0]), char::from(self.prefix[1]), self.value)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom("not a SID"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_reads_back_from_its_text() {
        let sid = Sid::random(prefix::CONVERSATION);
        assert_eq!(sid.to_string().len(), 34);
        assert_eq!(Sid::parse(prefix::CONVERSATION, &sid.to_string()), Some(sid));
        assert_eq!(Sid::parse(prefix::MESSAGE, &sid.to_string()), None);
    }

    #[test]
    fn other_text_is_no_sid() {
        for text in [
            "",
            "C",
            "CH",
            "CH+123",
            "chaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "CHäaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "é",
        ] {
            assert!(text.parse::<Sid>().is_err(), "{text}");
        }
    }
}
