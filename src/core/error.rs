//! What can go wrong, in the service's own words; the one place where Twilio's errors become ours.
//!
//! Every dialect says each of these in its own envelope. Twilio's texts and codes never get further than the log.

use std::time::Duration;

use crate::auth::AuthError;
use crate::limits::TooSoon;
use crate::{store, twilio};

/// Bytes of the place of a mistake in JSON that are told.
const PATH_BYTES: usize = 100;

/// Why something was not done. Nothing was changed at Twilio unless the variant says so.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A value is missing, mistyped or out of bounds.
    #[error("{field} {problem}")]
    Invalid {
        /// Name of the field, as the client wrote it.
        field: &'static str,
        /// What is wrong with it, to be read after the name.
        problem: String,
    },
    /// The request itself cannot be read (not JSON, not an object, …).
    #[error("{0}")]
    Unreadable(String),
    /// The body is larger than is taken.
    #[error("the request is too large")]
    TooLarge,
    /// The body is of a type that is not taken.
    #[error("the content type is not supported")]
    UnsupportedMediaType,
    /// There is no such endpoint.
    #[error("no such endpoint")]
    NoSuchEndpoint,
    /// Who is calling is not known, or may not claim to be who they claim.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The caller is not a participant of the conversation.
    #[error("you are not a participant of this conversation")]
    NotAMember,
    /// One of the two people blocks the other.
    #[error("one of you has blocked the other")]
    Blocked,
    /// A rule of groups stands against it.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// There is no such conversation.
    #[error("no such conversation")]
    ConversationNotFound,
    /// There is no such message in the conversation.
    #[error("no such message in this conversation")]
    MessageNotFound,
    /// There is no such participant in the conversation.
    #[error("no such participant in this conversation")]
    ParticipantNotFound,
    /// There is no such person.
    #[error("no such user")]
    PersonNotFound,
    /// Somebody wants to talk to themselves.
    #[error("a conversation needs somebody else")]
    OnlyYourself,
    /// There is no such media.
    #[error("no such media")]
    MediaNotFound,
    /// The conversation is closed for good.
    #[error("the conversation is closed")]
    ConversationClosed,
    /// The phone is already in another open conversation over the same number.
    #[error("this phone number already takes part in another open conversation; it can be in one at a time")]
    PhoneBusy,
    /// Phones of that country are not brought into conversations here.
    #[error("phones of this country cannot be written to from here")]
    PhoneNotAllowed,
    /// Whoever asks has brought in as many new phones, or sent as many texts to phones, as one may within a day.
    #[error("you have {done} as you can within a day")]
    TooManyPhones {
        /// What they did, in words that lead on to "as".
        done: &'static str,
        /// When they may do it again.
        retry_after: Duration,
    },
    /// The idempotency key was used for another content.
    #[error("this message id was already used for another message")]
    KeyReused,
    /// A limit of Twilio on the conversation or person is reached.
    #[error("{0}")]
    LimitReached(&'static str),
    /// The caller does more than is allowed.
    #[error("too many requests")]
    TooManyRequests {
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// Twilio, or we, take no more for now, however long it was waited; nothing was done.
    #[error("the chat service is busy, please try again")]
    Throttled {
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// A setting is missing that this needs.
    #[error("not configured: set {0}")]
    NotConfigured(&'static str),
    /// Twilio (or the database, where it is needed) does not answer; nothing was done.
    #[error("the chat service is unavailable, please try again")]
    Unavailable {
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// It is not known whether the message was stored; a repeat with the same id finds out.
    #[error(
        "it is not known whether the message was sent: repeat it with the same message id, or look at the history first"
    )]
    UnknownOutcome,
    /// Ours to mend: logged where it happened.
    #[error("internal error")]
    Internal,
}

/// Which rule of groups stands against something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A group is more than one person.
    #[error("a group needs at least 2 members")]
    TooFewMembers,
    /// The group would have more members than are allowed.
    #[error("a group has at most {most} members")]
    TooManyMembers {
        /// So many are allowed.
        most: usize,
    },
    /// Whoever is to be added is in the group.
    #[error("the user is already a member of the group")]
    AlreadyMember,
    /// Whoever is to be removed is not in the group.
    #[error("the user is not a member of the group")]
    NotAMember,
    /// The conversation is no group.
    #[error("no such group")]
    NotAGroup,
}

impl Error {
    /// An [`Error::Invalid`].
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }

    /// What is wrong with JSON, and where: without the value, which may be long, and without a position in a text that a
    /// person did not write.
    #[must_use]
    pub fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let text = error.inner().to_string();
        let text = text.split(" at line ").next().unwrap_or(&text);
        if text == "recursion limit exceeded" {
            return Self::Unreadable("the JSON is nested too deeply".to_owned());
        }
        let problem = match text.rsplit_once(", expected ") {
            Some((_, "a sequence")) => "must be a list".to_owned(),
            Some((_, "a map")) => "must be an object".to_owned(),
            Some((_, "i64" | "u64")) => "must be a whole number".to_owned(),
            Some((_, expected)) => format!("must be {expected}"),
            None => text.to_owned(),
        };
        let at = error.path().to_string();
        // The names in it are the client's, who may have made them long.
        let is_short = at.len() <= PATH_BYTES;
        Self::Unreadable(if at == "." || !is_short { problem } else { format!("{at} {problem}") })
    }

    /// When a repeat may succeed, if that is known: in seconds, rounded up, as clients are told.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after()
            .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            .map(|wait| wait.max(1))
    }

    /// When a repeat may succeed, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after }
            | Self::Throttled { retry_after }
            | Self::Unavailable { retry_after } => Some(retry_after.unwrap_or(Duration::from_secs(2))),
            Self::TooManyPhones { retry_after, .. } => Some(*retry_after),
            Self::UnknownOutcome | Self::Auth(AuthError::Unavailable) => Some(Duration::from_secs(2)),
            Self::Invalid { .. }
            | Self::Unreadable(_)
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::NoSuchEndpoint
            | Self::Auth(
                AuthError::Missing
                | AuthError::Invalid
                | AuthError::NotYou
                | AuthError::IdentityMissing
                | AuthError::Forbidden,
            )
            | Self::NotAMember
            | Self::Blocked
            | Self::Group(_)
            | Self::ConversationNotFound
            | Self::MessageNotFound
            | Self::ParticipantNotFound
            | Self::PersonNotFound
            | Self::OnlyYourself
            | Self::MediaNotFound
            | Self::ConversationClosed
            | Self::PhoneBusy
            | Self::PhoneNotAllowed
            | Self::KeyReused
            | Self::LimitReached(_)
            | Self::NotConfigured(_)
            | Self::Internal => None,
        }
    }
}

/// What a refusal of Twilio means for the caller; 404 becomes [`Error::ConversationNotFound`], and whoever asked for
/// something else says so with `or_not_found`.
///
/// Codes: <https://www.twilio.com/docs/api/errors>.
impl From<twilio::Error> for Error {
    fn from(error: twilio::Error) -> Self {
        match &error {
            twilio::Error::Refused { status, code, .. } => match (*status, *code) {
                (404, _) => Self::ConversationNotFound,
                (_, Some(50377)) => Self::ConversationClosed,
                (_, Some(50416)) => Self::PhoneBusy,
                (_, Some(50407 | 50409 | 50414)) => {
                    Self::invalid("phone_number", "cannot be reached from here")
                }
                (_, Some(50417 | 50418 | 50422)) => {
                    Self::LimitReached("the conversation has as many participants as it can")
                }
                (_, Some(50208 | 50214)) => {
                    Self::LimitReached("this person is in as many conversations as possible")
                }
                (_, Some(50509)) => Self::invalid("body", "cannot be changed: the message carries a file"),
                (_, Some(50504)) => Self::invalid("body", "is too long for this conversation"),
                _ => {
                    tracing::error!(%error, twilio.status = status, twilio.code = code, "Twilio refused a request");
                    Self::Internal
                }
            },
            twilio::Error::RateLimited { retry_after } => Self::Throttled { retry_after: *retry_after },
            twilio::Error::Unreachable(_) | twilio::Error::Ambiguous(_) | twilio::Error::Undecodable(_) => {
                tracing::warn!(%error, "Twilio did not answer as hoped");
                Self::Unavailable { retry_after: None }
            }
        }
    }
}

impl From<TooSoon> for Error {
    fn from(TooSoon { retry_after, .. }: TooSoon) -> Self {
        Self::TooManyRequests { retry_after: Some(retry_after) }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the database is needed and does not answer");
        Self::Unavailable { retry_after: None }
    }
}

/// Says `missing` where Twilio says 404.
pub(super) fn or_not_found(missing: Error) -> impl FnOnce(twilio::Error) -> Error {
    move |error| if error.is_not_found() { missing } else { error.into() }
}
