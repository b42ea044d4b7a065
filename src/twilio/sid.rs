//! Twilio's identifiers: two letters that say what is meant, and 32 hex digits.
//!
//! Each kind is its own type, so that a message's SID cannot stand where a conversation's is asked for. The digits are
//! 128 bits, as many as a UUID has; which client sees which spelling is not decided here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// The text is not the SID that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SID: expected {expected} and 32 hex digits")]
pub struct InvalidSid {
    /// The two letters the SID should begin with.
    pub expected: &'static str,
}

macro_rules! sids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        ///
        /// Kept as its 128 bits: two spellings of one SID are equal. Printed in lower case, as Twilio does.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The two letters this kind of SID begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The SID with these 128 bits.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid.as_u128())
            }

            /// The 128 bits, spelled as a UUID. They are Twilio's random bits: no UUID version can be read from them.
            pub const fn uuid(self) -> Uuid {
                Uuid::from_u128(self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidSid;

            fn from_str(text: &str) -> Result<Self, InvalidSid> {
                bits(text, $prefix).map(Self).ok_or(InvalidSid { expected: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($prefix, " and 32 hex digits"))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let pattern = concat!("^", $prefix, "[0-9a-f]{32}$");
                ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

sids! {
    /// One conversation.
    ConversationSid = "CH";
    /// One message; its place in the conversation is its `index`, not its SID.
    MessageSid = "IM";
    /// One membership: a person, or a phone number, in one conversation.
    ParticipantSid = "MB";
    /// One identity within a service.
    UserSid = "US";
    /// One uploaded file.
    MediaSid = "ME";
    /// What participants, or users, may do over Twilio's own SDKs.
    RoleSid = "RL";
    /// What became of one message for one participant outside the chat.
    DeliveryReceiptSid = "DY";
    /// The sender pool behind SMS participants.
    MessagingServiceSid = "MG";
    /// One Conversations service: a closed world of users and conversations.
    ServiceSid = "IS";
    /// One Twilio account, or subaccount.
    AccountSid = "AC";
    /// One API key: a revocable name and secret in place of the account's own.
    ApiKeySid = "SK";
}

fn bits(text: &str, prefix: &str) -> Option<u128> {
    let digits = text.strip_prefix(prefix)?;
    // `from_str_radix` alone would take a leading "+".
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sid_is_read_in_either_case_and_printed_in_lower_case() {
        let sid: ConversationSid = "CHABCDEF0123456789abcdef0123456789".parse().unwrap();
        assert_eq!(sid.to_string(), "CHabcdef0123456789abcdef0123456789");
        assert_eq!(sid.uuid().to_string(), "abcdef01-2345-6789-abcd-ef0123456789");
        assert_eq!(ConversationSid::from_uuid(sid.uuid()), sid);
        assert_eq!(serde_json::to_string(&sid).unwrap(), format!("\"{sid}\""));
    }

    #[test]
    fn what_is_not_the_sid_asked_for_is_refused() {
        for text in [
            "",
            "CH",
            "IMabcdef0123456789abcdef0123456789",
            "chabcdef0123456789abcdef0123456789",
            "CHabcdef0123456789abcdef012345678",
            "CHabcdef0123456789abcdef01234567890",
            "CH+bcdef0123456789abcdef0123456789",
            "CHgbcdef0123456789abcdef0123456789",
            "CHabcdef0123456789abcdef012345678\n",
            "CH/../../../Services/IS0123456789",
            "CHé234567890123456789012345678901",
        ] {
            assert_eq!(text.parse::<ConversationSid>(), Err(InvalidSid { expected: "CH" }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_sid_survives_print_and_parse(bits in any::<u128>()) {
            let sid = MessageSid::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(sid.to_string().parse::<MessageSid>(), Ok(sid));
            prop_assert_eq!(serde_json::from_str::<MessageSid>(&serde_json::to_string(&sid).unwrap()).unwrap(), sid);
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = text.parse::<UserSid>();
        }
    }
}
