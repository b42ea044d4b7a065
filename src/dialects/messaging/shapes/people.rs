//! People: suggestions, contacts, details, oneself, whom one blocks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::messages::LastMessage;
use super::{PersonOut, avatar, status, timestamp};
use crate::auth::Identity;
use crate::core::{
    Acquaintance, BlockedPerson, Change, ContactEntry, Error, Kind, Peer, PhoneKey, ProfileEdit, Suggestion,
};

/// A person in the shape of a suggestion.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct SuggestionOut {
    #[serde(flatten)]
    person: PersonOut,
    mutual_friends: u32,
    has_conversation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    /// Not told in every list; `null` for who never was here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_seen: Option<Option<String>>,
}

impl SuggestionOut {
    pub(in crate::dialects::messaging) fn of(suggestion: &Suggestion, with_last_seen: bool) -> Self {
        Self {
            person: PersonOut::of(&suggestion.peer),
            mutual_friends: suggestion.mutual_friends,
            has_conversation: suggestion.conversation.is_some(),
            conversation_id: suggestion.conversation.map(|sid| sid.to_string()),
            last_seen: with_last_seen.then(|| suggestion.peer.last_seen.map(timestamp)),
        }
    }
}

/// `GET /users/:userId`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct UserDetail {
    #[serde(flatten)]
    person: PersonOut,
    status: String,
    last_seen: Option<String>,
    mutual_friends: usize,
    has_conversation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    is_blocked: bool,
    is_blocked_by: bool,
    can_message: bool,
}

impl From<&Acquaintance> for UserDetail {
    fn from(known: &Acquaintance) -> Self {
        Self {
            person: PersonOut::of(&known.peer),
            status: status(known.peer.online, &known.peer.state),
            last_seen: known.peer.last_seen.map(timestamp),
            mutual_friends: known.mutual_friends,
            has_conversation: known.conversation.is_some(),
            conversation_id: known.conversation.map(|sid| sid.to_string()),
            is_blocked: known.blocking.by_me,
            is_blocked_by: known.blocking.by_them,
            can_message: known.can_message,
        }
    }
}

/// `GET /users/me`: what only the person themselves may know too.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct OwnProfile {
    #[serde(flatten)]
    person: PersonOut,
    status: String,
    email: Option<String>,
    phone: Option<String>,
}

impl OwnProfile {
    pub(in crate::dialects::messaging) fn of(peer: &Peer) -> Self {
        let profile = peer.profile.as_deref();
        Self {
            person: PersonOut::of(peer),
            status: status(peer.online, &peer.state),
            email: profile.and_then(|profile| profile.email.as_deref()).map(str::to_owned),
            phone: profile
                .and_then(|profile| profile.phone.as_ref())
                .map(|phone| format!("+{}", phone.as_str())),
        }
    }
}

/// `PUT /users/me`. What is left out stays, what is `null` is taken away.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::dialects::messaging) struct EditProfile {
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    nickname: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    avatar: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    bio: Option<Option<String>>,
    #[serde(default, rename = "type", deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    kind: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<String>>,
}

/// Tells `null` from what is not there.
fn told<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<EditProfile> for ProfileEdit {
    type Error = Error;

    fn try_from(edit: EditProfile) -> Result<Self, Error> {
        let kind = |name: String| {
            Kind::named(&name).ok_or_else(|| Error::invalid("type", "must be premium, male, female or vip"))
        };
        Ok(Self {
            nickname: change(edit.nickname, Ok)?,
            avatar: change(edit.avatar, Ok)?,
            bio: change(edit.bio, Ok)?,
            kind: change(edit.kind, kind)?,
            phone: change(edit.phone, |phone| PhoneKey::international("phone", &phone))?,
        })
    }
}

fn change<T>(
    told: Option<Option<String>>,
    parse: impl FnOnce(String) -> Result<T, Error>,
) -> Result<Change<T>, Error> {
    Ok(match told {
        None => Change::Keep,
        Some(None) => Change::Clear,
        Some(Some(text)) => Change::Set(parse(text)?),
    })
}

/// An entry of `GET /users/contacts`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct ContactOut {
    id: String,
    nickname: String,
    avatar: Option<String>,
    is_online: bool,
    has_conversation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    last_message: Option<LastMessage>,
}

impl From<&ContactEntry> for ContactOut {
    fn from(entry: &ContactEntry) -> Self {
        let told = entry.peer.profile.as_deref().and_then(|profile| profile.nickname.as_deref());
        Self {
            id: entry.peer.identity.as_str().to_owned(),
            nickname: told.or(entry.called.as_deref()).unwrap_or(entry.peer.identity.as_str()).to_owned(),
            avatar: avatar(&entry.peer),
            is_online: entry.peer.online,
            has_conversation: entry.conversation.is_some(),
            conversation_id: entry.conversation.map(|sid| sid.to_string()),
            last_message: entry.last_message.as_deref().map(LastMessage::of),
        }
    }
}

/// An entry of `GET /users/blocked`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct BlockedOut {
    id: String,
    nickname: String,
    avatar: Option<String>,
    blocked_at: String,
}

impl BlockedOut {
    pub(in crate::dialects::messaging) fn of(peer: &Peer, blocked: &BlockedPerson) -> Self {
        Self {
            id: peer.identity.as_str().to_owned(),
            nickname: peer.name().to_owned(),
            avatar: avatar(peer),
            blocked_at: timestamp(blocked.since),
        }
    }
}

/// Since when somebody's tokens no longer hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct SignedOut {
    pub(in crate::dialects::messaging) id: Identity,
    pub(in crate::dialects::messaging) signed_out_at: String,
}

/// Whether the caller blocks somebody now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct BlockOut {
    pub(in crate::dialects::messaging) id: Identity,
    pub(in crate::dialects::messaging) is_blocked: bool,
}
