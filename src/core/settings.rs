//! How a person has set up a conversation for themselves: muted, pinned, with or without gift sounds.
//!
//! Muting is Twilio's own notification level of the person in the conversation, so that it also silences push
//! notifications; Twilio reports no change of it. The others Twilio has no place for: they stand in the participant's
//! attributes, under `switchboard`.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/user-conversation-resource>

use std::time::Duration;

use moka::future::Cache;
use serde_json::{Map, Value, json};

use super::conversations::OURS;
use super::error::or_not_found;
use super::{ConversationSid, Core, Error, Participant};
use crate::auth::{Caller, Identity};
use crate::twilio::{NotificationLevel, ParticipantChanges, UserConversation, UserConversationChanges};

/// Standings kept in memory, and for how long: bounds how long a change made over Twilio's SDK stays unseen.
const KEPT_AT_MOST: u64 = 100_000;
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Bytes of a participant's attributes. Source: <https://www.twilio.com/docs/conversations/conversations-limits>
const ATTRIBUTES_BYTES: usize = 4 * 1024;

/// How a person has set up a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationSettings {
    /// They want no notifications of it.
    pub muted: bool,
    /// They want it on top.
    pub pinned: bool,
    /// They want to hear gifts.
    pub gift_sounds: bool,
}

impl Default for ConversationSettings {
    fn default() -> Self {
        Self { muted: false, pinned: false, gift_sounds: true }
    }
}

/// What to change about it; `None` stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettingsEdit {
    /// See [`ConversationSettings`].
    pub muted: Option<bool>,
    /// See [`ConversationSettings`].
    pub pinned: Option<bool>,
    /// See [`ConversationSettings`].
    pub gift_sounds: Option<bool>,
}

/// How a person stands to a conversation, as only Twilio knows it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) muted: bool,
    /// Messages they have not read, where Twilio counts.
    pub(super) unread: Option<u32>,
}

/// The standings in memory.
pub(super) struct Standings {
    cache: Cache<(Identity, ConversationSid), Standing>,
}

impl Standings {
    pub(super) fn new() -> Self {
        Self { cache: Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(KEPT_FOR).build() }
    }

    /// Takes in that somebody was added just now: nothing is muted, nothing unread.
    pub(super) async fn begin(&self, identity: Identity, conversation: ConversationSid) {
        self.cache.insert((identity, conversation), Standing::default()).await;
    }
}

impl Core {
    /// How `identity`, a participant, stands to the conversation. One Twilio call when not in memory.
    pub(super) async fn standing(
        &self,
        identity: &Identity,
        conversation: ConversationSid,
    ) -> Result<Standing, Error> {
        let fetch = async {
            let fetched = self.twilio.fetch_user_conversation(identity.as_str(), conversation).await;
            fetched.map(|fetched| standing_of(&fetched)).map_err(or_not_found(Error::NotAMember))
        };
        let known = self.settings.cache.try_get_with((identity.clone(), conversation), fetch).await;
        known.map_err(|error| (*error).clone())
    }

    /// How the caller has set up the conversation; an admin who is not in it has set up nothing. One Twilio call when
    /// not in memory.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::Unavailable`].
    pub async fn settings_of(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
    ) -> Result<ConversationSettings, Error> {
        let me = caller.person()?;
        let Some(participant) = self.roster(conversation).await?.find(me.as_str()) else {
            return Ok(ConversationSettings::default());
        };
        let standing = self.standing(me, conversation).await?;
        Ok(ConversationSettings { muted: standing.muted, ..in_attributes(&participant) })
    }

    /// Changes how the caller has set up the conversation. One Twilio call for muting, one for the rest; none for what
    /// is so already.
    ///
    /// # Errors
    /// [`Error::NotAMember`], [`Error::ConversationNotFound`], [`Error::ConversationClosed`], [`Error::LimitReached`] when
    /// the app's own attributes of the participant leave no room, [`Error::Unavailable`].
    pub async fn change_settings(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        edit: SettingsEdit,
    ) -> Result<ConversationSettings, Error> {
        let me = caller.person()?.clone();
        self.ensure_member(caller, conversation).await?;
        let participant = self.participant_of(conversation, &me).await?;
        let now = ConversationSettings {
            muted: self.standing(&me, conversation).await?.muted,
            ..in_attributes(&participant)
        };
        let then = ConversationSettings {
            muted: edit.muted.unwrap_or(now.muted),
            pinned: edit.pinned.unwrap_or(now.pinned),
            gift_sounds: edit.gift_sounds.unwrap_or(now.gift_sounds),
        };
        let core = self.clone();
        self.to_the_end(async move {
            if (then.pinned, then.gift_sounds) != (now.pinned, now.gift_sounds) {
                let attributes = with_ours(&participant.attributes, |ours| {
                    ours.insert("pinned".to_owned(), json!(then.pinned));
                    ours.insert("giftSounds".to_owned(), json!(then.gift_sounds));
                })?;
                let changes = ParticipantChanges { attributes: Some(attributes), ..Default::default() };
                let changed = core.twilio.update_participant(conversation, participant.sid, &changes).await;
                core.participant_changed(changed.map_err(or_not_found(Error::NotAMember))?).await;
            }
            if then.muted != now.muted {
                let level = if then.muted { NotificationLevel::Muted } else { NotificationLevel::Default };
                let changes =
                    UserConversationChanges { notification_level: Some(level), ..Default::default() };
                let changed = core.twilio.update_user_conversation(me.as_str(), conversation, &changes).await;
                let standing = standing_of(&changed.map_err(or_not_found(Error::NotAMember))?);
                core.settings.cache.insert((me, conversation), standing).await;
            }
            Ok(then)
        })
        .await
    }
}

fn standing_of(conversation: &UserConversation) -> Standing {
    Standing {
        muted: conversation.notification_level == NotificationLevel::Muted,
        unread: conversation.unread_messages_count,
    }
}

fn in_attributes(participant: &Participant) -> ConversationSettings {
    let attributes: Value = serde_json::from_str(&participant.attributes).unwrap_or_default();
    let flag = |key: &str, default| attributes[OURS][key].as_bool().unwrap_or(default);
    let default = ConversationSettings::default();
    ConversationSettings {
        pinned: flag("pinned", default.pinned),
        gift_sounds: flag("giftSounds", default.gift_sounds),
        ..default
    }
}

/// A participant's attributes with ours changed; what others wrote stays.
pub(super) fn with_ours(
    attributes: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<String, Error> {
    let mut all = match serde_json::from_str(attributes) {
        Ok(Value::Object(all)) => all,
        Ok(_) | Err(_) => Map::new(),
    };
    let mut ours = match all.remove(OURS) {
        Some(Value::Object(ours)) => ours,
        Some(_) | None => Map::new(),
    };
    change(&mut ours);
    all.insert(OURS.to_owned(), Value::Object(ours));
    let text = Value::Object(all).to_string();
    if text.len() > ATTRIBUTES_BYTES {
        return Err(Error::LimitReached("there is no room for more settings of this participant"));
    }
    Ok(text)
}
