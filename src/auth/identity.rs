//! [`Identity`]: who somebody is, in Twilio's sense of the word.
//!
//! Whether somebody with that identity exists, and what they may do, is asked elsewhere.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use utoipa::ToSchema;

/// The name a person has in every dialect and at Twilio, taken verbatim and compared byte for byte.
///
/// 1 to 256 characters, not blank, without space at either end and what is not seen, and composed (NFC): two identities
/// that differ are never drawn alike because of how they are encoded. A clone costs one counter.
///
/// Source: <https://www.twilio.com/docs/conversations/conversations-limits>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 256, description = "Who somebody is.")]
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
    /// White space before or after the name.
    #[error("must not begin or end with a space")]
    SpaceAtAnEnd,
    /// A line break, a NUL, or another character no name contains.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A character that takes no room, looks like a space or turns the text around: with and without it, or with a space in
    /// its place, a name looks the same.
    #[error("must not contain invisible characters")]
    Invisible,
    /// Letters and accents apart where Unicode has them in one.
    #[error("must be composed as Unicode's form NFC has it")]
    NotComposed,
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

    /// Whether nobody can be called so who is just a user, because others would take them for somebody else: who wrote what
    /// nobody wrote (`system`, Twilio's word), those who run the service (`admin`, `support:…`), a guest, or a phone as
    /// Twilio names one that writes over another channel (`whatsapp:+1555…`). A plain phone number may be somebody's
    /// identity: then the app vouches for it. Names that only look like one of these count as it (`ＡＤＭＩＮ`).
    pub fn is_reserved(&self) -> bool {
        const NAMES: [&str; 2] = ["admin", "system"];
        const PREFIXES: [&str; 5] = [Identity::GUEST_PREFIX, "support:", "whatsapp:", "messenger:", "rcs:"];
        let is_one = |text: &str| {
            let begins = |prefix: &&str| {
                text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            };
            NAMES.iter().any(|name| text.eq_ignore_ascii_case(name)) || PREFIXES.iter().any(begins)
        };
        if self.0.is_ascii() {
            return is_one(self.0.trim());
        }
        let plain: String = self.0.nfkc().flat_map(char::to_lowercase).collect();
        is_one(plain.trim())
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
        } else if text.trim().len() != text.len() {
            Err(InvalidIdentity::SpaceAtAnEnd)
        } else if text.is_ascii() {
            Ok(())
        } else if text.chars().any(is_invisible) {
            Err(InvalidIdentity::Invisible)
        } else if !is_nfc(text) {
            Err(InvalidIdentity::NotComposed)
        } else {
            Ok(())
        }
    }
}

/// Formats (zero-width, bidirectional, tags), spaces but the usual one, other separators of lines, what Unicode counts as
/// ignorable though it is a letter or a mark, and signs that are blank.
///
/// Source: `Default_Ignorable_Code_Point` in <https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt>
fn is_invisible(character: char) -> bool {
    const IGNORABLE: [std::ops::RangeInclusive<char>; 9] = [
        '\u{34f}'..='\u{34f}',     // combining grapheme joiner
        '\u{115f}'..='\u{1160}',   // Hangul fillers
        '\u{17b4}'..='\u{17b5}',   // Khmer inherent vowels
        '\u{180b}'..='\u{180f}',   // Mongolian variation selectors
        '\u{2060}'..='\u{206f}',   // joiners, isolates and their reserve
        '\u{3164}'..='\u{3164}',   // Hangul filler
        '\u{fe00}'..='\u{fe0f}',   // variation selectors
        '\u{ffa0}'..='\u{ffa0}',   // halfwidth Hangul filler
        '\u{e0000}'..='\u{e0fff}', // tags, more variation selectors
    ];
    const BLANK: [char; 3] = [
        '\u{2800}',  // Braille without a dot
        '\u{16fe4}', // Khitan filler
        '\u{1d159}', // null notehead
    ];
    let is_unseen = matches!(
        character.general_category(),
        GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::SpaceSeparator
    );
    (is_unseen && character != ' ')
        || BLANK.contains(&character)
        || IGNORABLE.iter().any(|range| range.contains(&character))
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
        for text in ["alice", "al  ice", "alice@example.com", "42", "Zoë 🦀"] {
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
    fn spaces_around_a_name_are_refused() {
        for text in [" alice", "alice ", " alice ", "alice\u{a0}", "\u{2003}alice", "alice\u{3000}"] {
            assert_eq!(Identity::try_from(text), Err(InvalidIdentity::SpaceAtAnEnd), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_seen_is_refused() {
        for invisible in [
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2066}',
            '\u{feff}',
            '\u{ad}',
            '\u{2028}',
            '\u{2029}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{e0061}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{ffa0}',
            '\u{a0}',
            '\u{1680}',
            '\u{2007}',
            '\u{202f}',
            '\u{3000}',
            '\u{2800}',
            '\u{16fe4}',
            '\u{1d159}',
        ] {
            let text = format!("ali{invisible}ce");
            assert_eq!(Identity::try_from(text), Err(InvalidIdentity::Invisible), "{invisible:?}");
        }
        assert_eq!(Identity::try_from("ali\u{85}ce"), Err(InvalidIdentity::ControlCharacter));
    }

    #[test]
    fn accents_are_composed_or_refused() {
        assert!(Identity::try_from("Zo\u{eb}").is_ok());
        assert_eq!(Identity::try_from("Zoe\u{308}"), Err(InvalidIdentity::NotComposed));
        // The sign for kelvin, which composed is the letter.
        assert_eq!(Identity::try_from("\u{212a}"), Err(InvalidIdentity::NotComposed));
    }

    #[test]
    fn what_people_are_called_in_apps_is_taken() {
        for text in [
            "user123",
            "test-user",
            "john.doe@example.com",
            "507f1f77bcf86cd799439011",
            "42",
            "+15551230001",
            "8d9b6b52-5d4c-4e0c-8f6a-0d8f5d2c9a11",
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "José Ñandú",
            "Nguyễn Văn A",
            "李小龍",
            "Анна",
            "עידו",
            "فاطمة",
            "team/alice",
            "a b",
        ] {
            assert_eq!(text.parse::<Identity>().map(|identity| identity.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn names_of_nobody_are_reserved_and_others_are_not() {
        let is_reserved = |text: &str| text.parse::<Identity>().unwrap().is_reserved();
        for text in [
            "system",
            "System",
            "admin",
            "ADMIN",
            "support:1",
            "whatsapp:+15551230001",
            "Messenger:1",
            "guest_1_a",
            "Guest_1",
            "\u{ff41}dmin",
            "\u{ff21}\u{ff24}\u{ff2d}\u{ff29}\u{ff2e}",
            "\u{24d0}dmin",
            "sy\u{17f}tem",
            "support\u{ff1a}1",
            "guest\u{ff3f}1",
        ] {
            assert!(is_reserved(text), "{text}");
        }
        for text in [
            "systems",
            "admin1",
            "administrator",
            "support",
            "supporter",
            "+15551230001",
            "whatsapp",
            "é:",
            "guest",
            "guests_1",
            "\u{e4}dmin",
        ] {
            assert!(!is_reserved(text), "{text}");
        }
    }

    #[test]
    fn json_refuses_what_parsing_refuses() {
        assert_eq!(serde_json::from_str::<Identity>("\"bob\"").unwrap().as_str(), "bob");
        assert!(serde_json::from_str::<Identity>("\"\"").is_err());
        assert_eq!(serde_json::to_string(&Identity::try_from("bob").unwrap()).unwrap(), "\"bob\"");
    }
}
