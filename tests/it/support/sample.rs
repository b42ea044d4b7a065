//! The documents' printed samples, and what it means that an answer is "as printed".
//!
//! Same keys at every level, same JSON types, same literals, but for the placeholders that `fixtures/<dialect>/README.md`
//! lists. More keys than printed only where they are allowed by name.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use serde_json::Value;

/// The samples, and which were not replayed yet.
pub(crate) struct Samples {
    folder: String,
    left: BTreeSet<String>,
}

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

/// Keys that answers may have beyond those printed, by sample.
const ADDITIVE: &[(&str, &[&str])] = &[
    ("rest/generate-token.response", &["identity", "expires_in"]),
    ("rest/list.response", &["unread_count", "dateCreated", "media_urls", "index"]),
    ("rest/messages.response", &["dateCreated", "media_urls", "index"]),
    ("rest/newconversation.response.existing", &["dateCreated", "media_urls", "index"]),
    ("rest/send-message.response", &["sid", "dateCreated", "media", "media_urls", "index"]),
    ("rest/create-conversation.response", &["isEmpty"]),
    ("events/new_message.payload", &["date_created", "media_urls", "index"]),
    ("events/message_sent.payload", &["index"]),
    ("rest/conversation-guest.response", &["subject", "priority", "lastMessageAt", "updatedAt"]),
    ("rest/details.response", &["guestId", "subject", "priority", "lastMessageAt", "createdAt", "updatedAt"]),
];

impl Samples {
    /// Those of a dialect.
    pub(crate) fn of(dialect: &str) -> Self {
        let folder = format!("{FIXTURES}/{dialect}");
        let mut left = BTreeSet::new();
        for kind in ["rest", "events"] {
            for file in fs::read_dir(format!("{folder}/{kind}")).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                left.insert(format!("{kind}/{}", name.strip_suffix(".json").unwrap()));
            }
        }
        Self { folder, left }
    }

    /// The sample as printed. It counts as replayed.
    pub(crate) fn printed(&mut self, name: &str) -> Value {
        self.left.remove(name);
        let path = format!("{}/{name}.json", self.folder);
        let text = fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"));
        serde_json::from_str(&text).unwrap()
    }

    /// The sample, its `CHxxx…` being `conversation`: to be sent.
    pub(crate) fn request(&mut self, name: &str, conversation: &str) -> Value {
        let mut sample = self.printed(name);
        if let Some(sid) = sample.get_mut("conversationSid") {
            *sid = conversation.into();
        }
        sample
    }

    /// Holds `answer` to the sample.
    pub(crate) fn compare(&mut self, answer: &Value, name: &str) {
        let printed = self.printed(name);
        assert_as_printed(answer, &printed, name);
    }

    /// Whatever was not replayed is named.
    pub(crate) fn finish(self) {
        assert!(self.left.is_empty(), "nobody replays {:?}", self.left);
    }
}

/// Holds `answer` to `printed`, with the additive keys and placeholders of the sample `name`.
pub(crate) fn assert_as_printed(answer: &Value, printed: &Value, name: &str) {
    let additive = ADDITIVE.iter().find(|(sample, _)| *sample == name).map_or(&[][..], |(_, keys)| keys);
    compare(answer, printed, additive, name);
}

fn compare(answer: &Value, printed: &Value, additive: &[&str], at: &str) {
    match (answer, printed) {
        (Value::Object(answer), Value::Object(printed)) if printed.is_empty() => {
            assert!(!answer.is_empty(), "{at}: printed as {{ /* … */ }}");
        }
        (Value::Object(answer), Value::Object(printed)) => {
            for (key, printed) in printed {
                let answer = answer.get(key).unwrap_or_else(|| panic!("{at}.{key} is missing in {answer:?}"));
                compare(answer, printed, additive, &format!("{at}.{key}"));
            }
            for key in answer.keys() {
                assert!(
                    printed.contains_key(key) || additive.contains(&key.as_str()),
                    "{at}.{key} is too much"
                );
            }
        }
        (Value::Array(answer), Value::Array(printed)) => {
            assert_eq!(answer.len(), printed.len(), "{at}: {answer:?}");
            for (place, (answer, printed)) in answer.iter().zip(printed).enumerate() {
                compare(answer, printed, additive, &format!("{at}[{place}]"));
            }
        }
        (Value::String(answer), Value::String(printed)) => match pattern_of(printed) {
            Some(pattern) => {
                assert!(
                    Regex::new(&pattern).unwrap().is_match(answer),
                    "{at}: {answer:?}, printed {printed:?}"
                );
            }
            None => assert_eq!(answer, printed, "{at}"),
        },
        (answer, printed) => assert_eq!(answer, printed, "{at}"),
    }
}

/// What a placeholder stands for; `None` for a literal.
fn pattern_of(printed: &str) -> Option<String> {
    let sid = Regex::new("^(CH|IM|MB|ME)(x+|y+|z+)$").unwrap();
    if let Some(sid) = sid.captures(printed) {
        return Some(format!("^{}[0-9a-f]{{32}}$", &sid[1]));
    }
    let pattern = match printed {
        "uuid" | "550e8400-e29b-41d4-a716-446655440000" => {
            "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]+)$"
        }
        "guest_1234567890_abc123" => "^guest_[0-9]{13}_[0-9a-z]{16,}$",
        "Error message" => "^.{4,}$",
        "123456" => "^[0-9]{6}$",
        "user-uuid" => "^[a-z]+$",
        text if text.starts_with("2025-12-10T") => r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        "contact_uuid" | "chat_uuid" => "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        "Error description here" | "Error message description" => "^.{4,}$",
        "Joined conversation CHxxxxx..." => "^Joined conversation CH[0-9a-f]{32}$",
        text if text.starts_with("https://media.twiliocdn.com/") => "^https?://[^ ]+$",
        text if text.starts_with("eyJ") => r"^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$",
        "conv-123" | "conv-124" | "conv-126" | "group-123" => "^CH[0-9a-f]{32}$",
        text if text.starts_with("2025-01-15T") => r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
        text if text.starts_with("2025-12-17T") => r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        _ => return None,
    };
    Some(pattern.to_owned())
}

#[test]
fn placeholders_are_told_from_literals() {
    assert!(
        pattern_of("CHxxxxxxxx").is_some() && pattern_of("IMyyyy").is_some() && pattern_of("MEzz").is_some()
    );
    assert!(pattern_of("2025-12-17T10:30:00.000Z").is_some());
    assert!(pattern_of("user123").is_none() && pattern_of("Message sent successfully").is_none());
}
