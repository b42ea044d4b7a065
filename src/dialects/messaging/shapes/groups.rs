//! Groups and who is in them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{avatar, identity, nickname, timestamp};
use crate::auth::Identity;
use crate::core::{ConversationSid, Error, Group, GroupDraft, GroupMember, check_picture};

/// Characters of a group's name.
const NAME_CHARACTERS: usize = 256;

/// `POST /groups`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct CreateGroup {
    #[schema(max_length = 256)]
    name: Option<String>,
    #[schema(value_type = Vec<Identity>)]
    member_ids: Option<Vec<Value>>,
    avatar: Option<String>,
}

impl TryFrom<CreateGroup> for GroupDraft {
    type Error = Error;

    fn try_from(group: CreateGroup) -> Result<Self, Error> {
        let name = group.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        if name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARACTERS) {
            return Err(Error::invalid("name", "must be at most 256 characters"));
        }
        let avatar = group.avatar.filter(|avatar| !avatar.trim().is_empty());
        if let Some(avatar) = &avatar {
            check_picture("avatar", avatar)?;
        }
        let ids = group.member_ids.ok_or_else(|| Error::invalid("memberIds", "is missing"))?;
        Ok(Self { name, avatar, members: people(&ids)? })
    }
}

/// `POST /groups/:id/members` and `DELETE /groups/:id/members`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct GroupMembers {
    #[schema(value_type = Vec<Identity>, min_items = 1)]
    member_ids: Option<Vec<Value>>,
}

impl GroupMembers {
    /// Who is named: somebody at least.
    pub(in crate::dialects::messaging) fn people(self) -> Result<Vec<Identity>, Error> {
        let people = people(&self.member_ids.unwrap_or_default())?;
        if people.is_empty() {
            return Err(Error::invalid("memberIds", "must be a list of at least one id"));
        }
        Ok(people)
    }
}

/// Everybody once. How many a group may have is not decided here.
fn people(ids: &[Value]) -> Result<Vec<Identity>, Error> {
    let mut seen = HashSet::new();
    let mut people = Vec::new();
    for id in ids {
        let text = id.as_str().ok_or_else(|| Error::invalid("memberIds", "must be a list of ids"))?;
        let identity = identity("memberIds", text)?;
        if seen.insert(identity.clone()) {
            people.push(identity);
        }
    }
    Ok(people)
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct GroupOut {
    id: String,
    name: String,
    avatar: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    created_by: Option<String>,
    created_at: String,
    updated_at: String,
    members: Vec<GroupMemberOut>,
    member_count: usize,
    settings: GroupSettingsOut,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct GroupSettingsOut {
    notifications_enabled: bool,
    is_muted: bool,
}

impl GroupOut {
    pub(in crate::dialects::messaging) fn of(group: &Group, me: &Identity) -> Self {
        Self {
            id: group.conversation.sid.to_string(),
            name: group.conversation.friendly_name.clone().unwrap_or_default(),
            avatar: group.avatar.clone(),
            kind: "group",
            created_by: group.created_by.as_ref().map(|creator| creator.as_str().to_owned()),
            created_at: timestamp(group.conversation.date_created),
            updated_at: timestamp(group.conversation.date_updated),
            members: group.members.iter().map(|member| GroupMemberOut::of(member, me)).collect(),
            member_count: group.members.len(),
            settings: GroupSettingsOut {
                notifications_enabled: !group.settings.muted,
                is_muted: group.settings.muted,
            },
        }
    }
}

/// Somebody in a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct GroupMemberOut {
    id: String,
    nickname: String,
    avatar: Option<String>,
    role: &'static str,
    joined_at: String,
}

impl GroupMemberOut {
    pub(in crate::dialects::messaging) fn of(member: &GroupMember, me: &Identity) -> Self {
        Self {
            id: member.peer.identity.as_str().to_owned(),
            nickname: nickname(&member.peer, me),
            avatar: avatar(&member.peer),
            role: member.role.as_str(),
            joined_at: timestamp(member.joined_at),
        }
    }
}

/// Who is no member any more.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::dialects::messaging) struct MembersRemoved {
    pub(in crate::dialects::messaging) id: ConversationSid,
    pub(in crate::dialects::messaging) removed: Vec<Identity>,
}
