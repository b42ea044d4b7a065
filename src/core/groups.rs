//! Groups: conversations with a name, a picture, admins, and rules about who joins.
//!
//! At Twilio a group is a conversation whose attributes say so (`switchboard.{kind, avatar, createdBy}`), and each
//! participant's attributes say what they are in it (`switchboard.role`). Its creator is its admin; admins add and remove
//! others, everybody may leave. A group that was made without such marks, as a plain conversation, has no admins: there
//! every member may do what an admin may.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::conversations::{NewGroup, OURS};
use super::participants::NewParticipant;
use super::{
    Conversation, ConversationSettings, ConversationSid, Core, Error, GroupError, Participant, Peer,
};
use crate::auth::{AuthError, Caller, Identity};
use crate::twilio::ParticipantChanges;

/// What the UniqueNames of groups begin with, and those of conversations of a set of people.
pub(super) const GROUP_NAMES: &str = "group_";
pub(super) const DIRECT_NAMES: &str = "dm_";

/// Characters of a group's name.
const NAME_CHARACTERS: usize = 256;

/// What kind of conversation one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationKind {
    /// The one of two people.
    Direct,
    /// Of any people, made as a group.
    Group,
    /// What serves something else, or was made elsewhere.
    Other,
}

impl ConversationKind {
    /// The kind of a conversation in which so many people take part.
    #[must_use]
    pub fn of(conversation: &Conversation, people: usize) -> Self {
        let name = conversation.unique_name.as_deref().unwrap_or_default();
        if name.starts_with(DIRECT_NAMES) && people <= 2 {
            Self::Direct
        } else if name.starts_with(DIRECT_NAMES)
            || name.starts_with(GROUP_NAMES)
            || Marks::of(conversation).is_group()
        {
            Self::Group
        } else {
            Self::Other
        }
    }
}

/// A group to be made by its first admin.
#[derive(Debug, Clone)]
pub struct GroupDraft {
    /// At most 256 characters; `None`: what its members are called, joined.
    pub name: Option<String>,
    /// URL of a picture, or a base64 one.
    pub avatar: Option<String>,
    /// Who is in it besides its creator. Who is named twice is in it once.
    pub members: Vec<Identity>,
}

/// A group as one of its members sees it.
#[derive(Debug, Clone)]
pub struct Group {
    /// It.
    pub conversation: Arc<Conversation>,
    /// Its picture.
    pub avatar: Option<String>,
    /// Who made it, if that is known.
    pub created_by: Option<Identity>,
    /// Everybody in it: who made it, then the others in the order they came.
    pub members: Vec<GroupMember>,
    /// How the caller set it up for themselves.
    pub settings: ConversationSettings,
}

/// Somebody in a group.
#[derive(Debug, Clone)]
pub struct GroupMember {
    /// Who.
    pub peer: Peer,
    /// What they are in it.
    pub role: GroupRole,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

/// What somebody is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupRole {
    /// Adds and removes others.
    Admin,
    /// May leave.
    Member,
}

impl GroupRole {
    /// `admin` or `member`, in attributes and everywhere else.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    fn of(participant: &Participant) -> Self {
        let attributes: Value = serde_json::from_str(&participant.attributes).unwrap_or_default();
        if attributes[OURS]["role"] == Self::Admin.as_str() { Self::Admin } else { Self::Member }
    }
}

/// Which roles people get who are added to a conversation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Roles<'a> {
    /// None: it is no group of ours.
    None,
    /// They make it; this one is its admin.
    Founders(&'a Identity),
    /// They are members.
    Members,
}

impl<'a> Roles<'a> {
    /// Of those who are in a conversation from the start.
    pub(super) fn of_founders(conversation: &Conversation, creator: Option<&'a Identity>) -> Self {
        match creator {
            Some(creator) if Marks::of(conversation).is_group() => Self::Founders(creator),
            Some(_) | None => Self::None,
        }
    }

    pub(super) fn role_of(self, identity: &Identity) -> Option<GroupRole> {
        match self {
            Self::None => None,
            Self::Founders(creator) if creator == identity => Some(GroupRole::Admin),
            Self::Founders(_) | Self::Members => Some(GroupRole::Member),
        }
    }
}

/// What a group's attributes say of it, under `switchboard`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marks {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    avatar: Option<String>,
    #[serde(default)]
    created_by: Option<Identity>,
}

impl Marks {
    fn of(conversation: &Conversation) -> Self {
        #[derive(Deserialize)]
        struct Attributes {
            #[serde(default)]
            switchboard: Marks,
        }
        if !conversation.attributes.contains(OURS) {
            return Self::default();
        }
        // What others wrote there is no group of ours.
        serde_json::from_str::<Attributes>(&conversation.attributes)
            .map(|all| all.switchboard)
            .unwrap_or_default()
    }

    fn is_group(&self) -> bool {
        self.kind.as_deref() == Some("group")
    }
}

/// The attributes of a new group.
pub(super) fn attributes_of_group(creator: &Identity) -> String {
    let marks =
        Marks { kind: Some("group".to_owned()), created_by: Some(creator.clone()), ..Marks::default() };
    json!({ OURS: marks }).to_string()
}

impl Core {
    /// Makes a group of the caller and others. All or nothing.
    ///
    /// Costs one Twilio call, one per member, one for a picture that is no link, and one for each member of whom nobody
    /// ever heard here.
    ///
    /// # Errors
    /// [`Error::Group`] for too few or too many members, [`Error::PersonNotFound`], [`Error::Blocked`] where a block stands
    /// between the caller and a member, [`Error::Auth`] for a guest, [`Error::Unavailable`]; nothing is left half-made.
    pub async fn start_group(&self, caller: &Caller, draft: GroupDraft) -> Result<Group, Error> {
        let sid = self.found_group(caller, draft).await?;
        self.group(caller, sid).await
    }

    /// Makes a group as [`Core::start_group`] does, without looking at it then.
    pub(super) async fn found_group(
        &self,
        caller: &Caller,
        draft: GroupDraft,
    ) -> Result<ConversationSid, Error> {
        let me = caller.person()?.clone();
        let others = others_than(&me, draft.members);
        if others.is_empty() {
            return Err(GroupError::TooFewMembers.into());
        }
        let everybody: Vec<_> = std::iter::once(me.clone()).chain(others).collect();
        self.ensure_room_for(everybody.len())?;
        self.ensure_welcome(&me, &everybody[1..]).await?;
        self.ensure_may_bring(caller, &everybody[1..]).await?;
        let name = match draft.name {
            Some(name) => name,
            None => self.joined_names(&everybody).await?,
        };
        let core = self.clone();
        let creator = me.clone();
        self.to_the_end(async move {
            let avatar = match draft.avatar {
                Some(avatar) => Some(core.picture_link("avatar", avatar, Some(&creator)).await?),
                None => None,
            };
            let marks = Marks { kind: Some("group".to_owned()), avatar, created_by: Some(creator.clone()) };
            let participants = everybody.into_iter().map(nameless).collect();
            let group = NewGroup { friendly_name: name, participants };
            let attributes = Some(json!({ OURS: marks }).to_string());
            let created = core.make_group(group, Some(creator), attributes).await?;
            Ok(created.conversation.sid)
        })
        .await
    }

    /// What these people are called, joined: the name of a conversation that was given none.
    pub(super) async fn joined_names(&self, people: &[Identity]) -> Result<String, Error> {
        let peers = self.peers(people).await?;
        let names: Vec<_> = peers.iter().map(Peer::name).collect();
        Ok(names.join(", ").chars().take(NAME_CHARACTERS).collect())
    }

    /// The group as the caller sees it. A warm answer costs no Twilio call.
    ///
    /// # Errors
    /// [`GroupError::NotAGroup`] for the conversation of a pair, [`Error::ConversationNotFound`], [`Error::NotAMember`],
    /// [`Error::Unavailable`].
    pub async fn group(&self, caller: &Caller, sid: ConversationSid) -> Result<Group, Error> {
        self.ensure_member(caller, sid).await?;
        let (conversation, participants) = self.group_and_people(sid).await?;
        let identities: Vec<_> = participants.iter().filter_map(|p| identity_of(p)).collect();
        let peers = self.peers(&identities).await?;
        let member = |(peer, participant): (Peer, &Arc<Participant>)| GroupMember {
            peer,
            role: GroupRole::of(participant),
            joined_at: participant.date_created,
        };
        let marks = Marks::of(&conversation);
        Ok(Group {
            avatar: marks.avatar.map(|avatar| self.media_links.shown(&avatar)),
            created_by: marks.created_by,
            members: peers.into_iter().zip(&participants).map(member).collect(),
            settings: self.settings_of(caller, sid).await?,
            conversation,
        })
    }

    /// The conversation, which must be a group, and the people in it in the order they came.
    async fn group_and_people(
        &self,
        sid: ConversationSid,
    ) -> Result<(Arc<Conversation>, Vec<Arc<Participant>>), Error> {
        let conversation = self.conversation(sid).await?;
        let mut people = self.roster(sid).await?.all();
        people.retain(|participant| identity_of(participant).is_some());
        // Many come in the same second, which is all that Twilio tells.
        let maker = Marks::of(&conversation).created_by;
        people.sort_by_cached_key(|participant| {
            let identity = identity_of(participant);
            (identity != maker, participant.date_created, identity)
        });
        match ConversationKind::of(&conversation, people.len()) {
            ConversationKind::Group => Ok((conversation, people)),
            ConversationKind::Direct | ConversationKind::Other => Err(GroupError::NotAGroup.into()),
        }
    }

    /// Adds people to a group, all or none. One Twilio call per person.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for who is no admin of it and for a guest, [`Error::Group`] for who is in it already or one
    /// too many, [`Error::PersonNotFound`], [`Error::Blocked`]; else as [`Core::group`].
    pub async fn add_group_members(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        people: Vec<Identity>,
    ) -> Result<Group, Error> {
        let me = caller.person()?.clone();
        self.ensure_member(caller, sid).await?;
        let (conversation, members) = self.group_and_people(sid).await?;
        ensure_group_admin(caller, &me, &conversation, &members)?;
        if people.iter().any(|new| is_among(&members, new)) {
            return Err(GroupError::AlreadyMember.into());
        }
        let people = others_than(&me, people);
        self.ensure_room_for(members.len() + people.len())?;
        self.ensure_welcome(&me, &people).await?;
        self.ensure_may_bring(caller, &people).await?;
        let roles = if Marks::of(&conversation).is_group() { Roles::Members } else { Roles::None };
        let core = self.clone();
        self.to_the_end(async move {
            let mut added: Vec<Participant> = Vec::with_capacity(people.len());
            for new in people {
                let role = roles.role_of(&new);
                match core.add_at_twilio(sid, &nameless(new), role).await {
                    Ok(participant) => added.push(participant),
                    Err(error) => {
                        core.take_back(sid, &added).await;
                        return Err(error);
                    }
                }
            }
            for participant in added {
                core.participant_added(Arc::new(participant)).await;
            }
            Ok(())
        })
        .await?;
        self.group(caller, sid).await
    }

    /// Removes people who could be added before one who could not.
    async fn take_back(&self, sid: ConversationSid, added: &[Participant]) {
        for participant in added {
            if let Err(error) = self.twilio.remove_participant(sid, participant.sid).await
                && !error.is_not_found()
            {
                tracing::error!(conversation.sid = %sid, participant.sid = %participant.sid, %error,
                    "somebody stays in a group to which another could not be added with them");
            }
        }
    }

    /// Removes people from a group; everybody may remove themselves. When no admin is left, whoever is in it longest
    /// becomes one. One Twilio call per person, and one then.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for others than oneself without being an admin, [`GroupError::NotAMember`] for who is not
    /// in it; else as [`Core::group`].
    pub async fn remove_group_members(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        people: Vec<Identity>,
    ) -> Result<(), Error> {
        let me = caller.person()?.clone();
        self.ensure_member(caller, sid).await?;
        let (conversation, members) = self.group_and_people(sid).await?;
        if people.iter().any(|who| *who != me) {
            ensure_group_admin(caller, &me, &conversation, &members)?;
        }
        if !people.iter().all(|who| is_among(&members, who)) {
            return Err(GroupError::NotAMember.into());
        }
        let goes = |participant: &Arc<Participant>| people.iter().any(|who| is(participant, who));
        let (going, staying): (Vec<_>, Vec<_>) = members.into_iter().partition(goes);
        let heir = heir(&conversation, staying);
        let core = self.clone();
        self.to_the_end(async move {
            for participant in going {
                match core.twilio.remove_participant(sid, participant.sid).await {
                    Err(error) if !error.is_not_found() => return Err(error.into()),
                    Ok(()) | Err(_) => core.participant_removed(&participant).await,
                }
            }
            core.appoint(sid, heir).await
        })
        .await
    }

    /// Makes `heir` an admin of the group.
    async fn appoint(&self, sid: ConversationSid, heir: Option<Arc<Participant>>) -> Result<(), Error> {
        let Some(heir) = heir else { return Ok(()) };
        let attributes = super::settings::with_ours(&heir.attributes, |ours| {
            ours.insert("role".to_owned(), json!(GroupRole::Admin.as_str()));
        })?;
        let changes = ParticipantChanges { attributes: Some(attributes), ..Default::default() };
        let changed = self.twilio.update_participant(sid, heir.sid, &changes).await?;
        self.participant_changed(changed).await;
        Ok(())
    }

    /// Gives a group whose last admin left another one, as [`Core::remove_group_members`] does. One Twilio call then.
    pub(super) async fn appoint_heir(&self, sid: ConversationSid) -> Result<(), Error> {
        if !Marks::of(&*self.conversation(sid).await?).is_group() {
            return Ok(());
        }
        let (conversation, staying) = self.group_and_people(sid).await?;
        self.appoint(sid, heir(&conversation, staying)).await
    }

    /// Refuses who may not say who is in the conversation, nor end it for everybody: in a group that has admins those may,
    /// elsewhere whoever is in it. `leaving`: who would be taken out; oneself everybody may.
    ///
    /// One Twilio call when the conversation is not in memory.
    pub(super) async fn ensure_may_manage(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        leaving: Option<&Participant>,
    ) -> Result<(), Error> {
        self.ensure_member(caller, sid).await?;
        let Some(me) = caller.identity().filter(|_| !caller.is_admin()) else { return Ok(()) };
        if leaving.is_some_and(|leaving| is(leaving, me)) {
            return Ok(());
        }
        let conversation = self.conversation(sid).await?;
        if !Marks::of(&conversation).is_group() {
            return Ok(());
        }
        ensure_group_admin(caller, me, &conversation, &[self.participant_of(sid, me).await?])
    }

    /// Refuses a group of more than may be in one.
    pub(super) fn ensure_room_for(&self, people: usize) -> Result<(), Error> {
        let most = self.max_group_members;
        if people > most { Err(GroupError::TooManyMembers { most }.into()) } else { Ok(()) }
    }

    /// Everybody is known, and no block stands between any of them and `me`.
    async fn ensure_welcome(&self, me: &Identity, people: &[Identity]) -> Result<(), Error> {
        self.ensure_all_known(people).await?;
        let blocked = self.blocked_either_way(me).await?;
        if people.iter().any(|identity| blocked.contains(identity)) { Err(Error::Blocked) } else { Ok(()) }
    }
}

/// `people` without `me`, each once.
fn others_than(me: &Identity, people: Vec<Identity>) -> Vec<Identity> {
    let mut seen = HashSet::from([me.clone()]);
    people.into_iter().filter(|identity| seen.insert(identity.clone())).collect()
}

/// By identity alone: what they are called is in the directory, where they can change it.
fn nameless(identity: Identity) -> NewParticipant {
    NewParticipant { identity, name: None, image: None }
}

fn identity_of(participant: &Participant) -> Option<Identity> {
    participant.identity.as_deref()?.try_into().ok()
}

fn is(participant: &Participant, who: &Identity) -> bool {
    participant.identity.as_deref() == Some(who.as_str())
}

fn is_among(participants: &[Arc<Participant>], who: &Identity) -> bool {
    participants.iter().any(|participant| is(participant, who))
}

/// Whoever is in the group longest, if nobody who stays is an admin of it.
fn heir(group: &Conversation, staying: Vec<Arc<Participant>>) -> Option<Arc<Participant>> {
    let heirless = Marks::of(group).is_group()
        && staying.iter().all(|staying| GroupRole::of(staying) != GroupRole::Admin);
    staying.into_iter().next().filter(|_| heirless)
}

fn ensure_group_admin(
    caller: &Caller,
    me: &Identity,
    conversation: &Conversation,
    members: &[Arc<Participant>],
) -> Result<(), Error> {
    let role = members.iter().find(|participant| is(participant, me)).map(|own| GroupRole::of(own));
    if caller.is_admin() || role == Some(GroupRole::Admin) || !Marks::of(conversation).is_group() {
        Ok(())
    } else {
        Err(AuthError::Forbidden.into())
    }
}
