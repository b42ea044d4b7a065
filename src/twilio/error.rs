//! What can go wrong between here and Twilio, told by what it means for the caller: did anything happen or not.
//!
//! A log line has the number of Twilio's reason and not its text. What an app is told is decided elsewhere.

use std::time::Duration;

use super::ConversationSid;

/// Why a call to Twilio gave no result.
///
/// The order of the variants is the order in which to ask: was it refused, is it worth another try, may it have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Twilio answered 4xx: nothing happened, and asking again will not help. Also what cannot be asked at all, such as
    /// an identity that no path can carry (status 400, no code).
    #[error("twilio refused ({status}{})", .code.map(|code| format!(", https://www.twilio.com/docs/api/errors/{code}")).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Twilio's own number for the reason, see <https://www.twilio.com/docs/api/errors>.
        code: Option<u32>,
        /// Twilio's text, for nobody's eyes: it may name people, or repeat what was sent.
        message: String,
    },
    /// Twilio answered 429 until there was no time left: nothing happened.
    #[error("twilio is limiting the rate of requests")]
    RateLimited {
        /// How long Twilio asked to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// Nothing happened: no connection, no free slot, no time left before sending, or it was only a read.
    #[error("twilio could not be reached: {0}")]
    Unreachable(String),
    /// A change was sent and what became of it is unknown: it may have happened.
    #[error("twilio may or may not have made the change: {0}")]
    Ambiguous(String),
    /// Twilio answered a read with something that could not be understood.
    #[error("twilio's answer could not be understood: {0}")]
    Undecodable(String),
}

impl Error {
    /// Twilio's own number for the reason, if Twilio refused and gave one.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => *code,
            Self::RateLimited { .. } | Self::Unreachable(_) | Self::Ambiguous(_) | Self::Undecodable(_) => {
                None
            }
        }
    }

    /// Whether the resource, or the one it hangs on, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether another conversation has the unique name, or is about to.
    pub fn is_conflict_on_unique_name(&self) -> bool {
        matches!(self.code(), Some(50353 | 50391))
    }

    /// Whether the identity is in the conversation already.
    pub fn is_already_participant(&self) -> bool {
        self.code() == Some(50433)
    }

    /// Whether a user with the identity exists already.
    pub fn is_already_user(&self) -> bool {
        self.code() == Some(50201)
    }

    /// The conversation that holds the pair of addresses that was asked for, if that is why Twilio refused.
    ///
    /// Twilio names it in prose only: "A binding for this participant and proxy address already exists in Conversation CH…".
    pub fn binding_holder(&self) -> Option<ConversationSid> {
        match self {
            Self::Refused { code: Some(50416), message, .. } => {
                let words = message.split(|c: char| !c.is_ascii_alphanumeric());
                words.filter_map(|word| word.parse().ok()).next_back()
            }
            Self::Refused { .. }
            | Self::RateLimited { .. }
            | Self::Unreachable(_)
            | Self::Ambiguous(_)
            | Self::Undecodable(_) => None,
        }
    }

    /// Whether the conversation is closed, which is final.
    pub fn is_closed(&self) -> bool {
        self.code() == Some(50377)
    }

    /// Whether our credentials are wrong or revoked.
    pub fn is_unauthorized(&self) -> bool {
        self.status() == Some(401) || self.code() == Some(20003)
    }

    /// How long Twilio asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            Self::Refused { .. } | Self::Unreachable(_) | Self::Ambiguous(_) | Self::Undecodable(_) => None,
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::RateLimited { .. } | Self::Unreachable(_) | Self::Ambiguous(_) | Self::Undecodable(_) => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: u32, message: &str) -> Error {
        Error::Refused { status, code: Some(code), message: message.to_owned() }
    }

    #[test]
    fn the_holder_of_a_binding_is_read_from_the_text() {
        let holder = "CH1880a9cde40c4dbb88dd97fc3aedac08";
        let text = format!(
            "A binding for this participant and proxy address already exists in Conversation {holder}"
        );
        assert_eq!(refused(409, 50416, &text).binding_holder(), Some(holder.parse().unwrap()));
        assert_eq!(refused(409, 50416, &format!("{text}.")).binding_holder(), Some(holder.parse().unwrap()));
        assert_eq!(refused(409, 50416, "already exists").binding_holder(), None);
        assert_eq!(refused(409, 50438, &text).binding_holder(), None);
    }

    #[test]
    fn the_log_line_says_where_the_reason_is_explained_and_nothing_of_what_was_sent() {
        assert_eq!(
            refused(404, 20404, "+15551230001 is gone").to_string(),
            "twilio refused (404, https://www.twilio.com/docs/api/errors/20404)"
        );
        let unexplained = Error::Refused { status: 400, code: None, message: "alice".to_owned() };
        assert_eq!(unexplained.to_string(), "twilio refused (400)");
    }
}
