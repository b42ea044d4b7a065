//! Conversations: made, read, set up.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::messages::LastMessage;
use super::{KindOut, avatar, identity, nickname, status, timestamp};
use crate::auth::Identity;
use crate::core::{
    ConversationKind, ConversationSettings, ConversationSid, Detail, Error, Peer, SettingsEdit,
};

/// `POST /messages`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct CreateConversation {
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    participant_id: Option<String>,
    #[serde(rename = "type")]
    #[schema(pattern = "^direct$")]
    kind: Option<String>,
}

impl CreateConversation {
    /// With whom.
    pub(in crate::dialects::messaging) fn participant(&self) -> Result<Identity, Error> {
        if self.kind.as_deref().is_some_and(|kind| kind != "direct") {
            return Err(Error::invalid("type", "must be direct: groups are made with POST /groups"));
        }
        let id = self.participant_id.as_deref();
        identity("participantId", id.ok_or_else(|| Error::invalid("participantId", "is missing"))?)
    }
}

/// Somebody in a conversation; "You" for the caller.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ParticipantOut {
    id: String,
    nickname: String,
    avatar: Option<String>,
    is_online: bool,
    status: String,
    /// Of the caller the document tells no more.
    #[serde(flatten)]
    #[schema(value_type = OtherParticipant)]
    more: Option<OtherParticipant>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OtherParticipant {
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    type_icon: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_seen: Option<Option<String>>,
}

impl ParticipantOut {
    fn of(peer: &Peer, me: &Identity, with_last_seen: bool) -> Self {
        let kind = KindOut::of(peer.profile.as_deref().and_then(|profile| profile.kind));
        let is_me = peer.identity == *me;
        Self {
            id: peer.identity.as_str().to_owned(),
            nickname: nickname(peer, me),
            avatar: avatar(peer),
            is_online: peer.online,
            status: status(peer.online, &peer.state),
            more: (!is_me).then(|| OtherParticipant {
                kind: kind.name,
                type_icon: kind.type_icon,
                last_seen: with_last_seen.then(|| peer.last_seen.map(timestamp)),
            }),
        }
    }
}

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct ConversationOut {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    participants: Vec<ParticipantOut>,
    created_at: String,
    updated_at: String,
    is_muted: bool,
    is_pinned: bool,
    unread_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsOut>,
    last_message: Option<LastMessage>,
    message_count: u64,
    is_empty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    existing: Option<bool>,
}

impl ConversationOut {
    /// As it was opened: both people, "You" first.
    pub(in crate::dialects::messaging) fn opened(detail: &Detail, me: &Identity, existing: bool) -> Self {
        let participants = detail.people.iter().map(|peer| ParticipantOut::of(peer, me, false));
        Self::of(detail, participants.collect(), None, existing.then_some(true))
    }

    /// As it is read: of a direct one only the other.
    pub(in crate::dialects::messaging) fn read(detail: &Detail, me: &Identity) -> Self {
        let direct = detail.kind == ConversationKind::Direct;
        let shown = detail.people.iter().filter(|peer| !direct || peer.identity != *me);
        let participants = shown.map(|peer| ParticipantOut::of(peer, me, true));
        Self::of(detail, participants.collect(), Some((&detail.settings).into()), None)
    }

    fn of(
        detail: &Detail,
        participants: Vec<ParticipantOut>,
        settings: Option<SettingsOut>,
        existing: Option<bool>,
    ) -> Self {
        let direct = detail.kind == ConversationKind::Direct;
        Self {
            id: detail.conversation.sid.to_string(),
            kind: if direct { "direct" } else { "group" },
            name: detail.conversation.friendly_name.clone().filter(|_| !direct),
            participants,
            created_at: timestamp(detail.conversation.date_created),
            updated_at: timestamp(detail.updated_at()),
            is_muted: detail.settings.muted,
            is_pinned: detail.settings.pinned,
            unread_count: detail.unread_count,
            settings,
            last_message: detail.last_message.as_deref().map(LastMessage::of),
            message_count: detail.message_count,
            is_empty: detail.message_count == 0,
            existing,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SettingsOut {
    notifications_enabled: bool,
    gift_sounds_enabled: bool,
}

impl From<&ConversationSettings> for SettingsOut {
    fn from(settings: &ConversationSettings) -> Self {
        Self { notifications_enabled: !settings.muted, gift_sounds_enabled: settings.gift_sounds }
    }
}

/// `PATCH /messages/:id/settings`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct EditSettings {
    is_muted: Option<bool>,
    is_pinned: Option<bool>,
    gift_sounds_enabled: Option<bool>,
}

impl TryFrom<EditSettings> for SettingsEdit {
    type Error = Error;

    fn try_from(edit: EditSettings) -> Result<Self, Error> {
        let edit =
            Self { muted: edit.is_muted, pinned: edit.is_pinned, gift_sounds: edit.gift_sounds_enabled };
        if edit == Self::default() {
            return Err(Error::invalid("isMuted", "isPinned or giftSoundsEnabled must be there"));
        }
        Ok(edit)
    }
}

/// What `PATCH /messages/:id/settings` gives back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct SettingsChanged {
    id: String,
    is_muted: bool,
    is_pinned: bool,
    settings: SettingsOut,
}

impl SettingsChanged {
    pub(in crate::dialects::messaging) fn of(id: String, settings: &ConversationSettings) -> Self {
        Self { id, is_muted: settings.muted, is_pinned: settings.pinned, settings: settings.into() }
    }
}

/// What `POST /messages/:id/read` gives back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct ReadOut {
    pub(in crate::dialects::messaging) id: ConversationSid,
    pub(in crate::dialects::messaging) last_read_index: Option<i64>,
}
