//! The agents' side: who may see and change a support conversation, their list, changes, and who answers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use moka::ops::compute::Op;

use super::open::{retired_name, unique_name};
use super::{Owner, Priority, Side, SupportConversation, SupportStatus, Topic};
use crate::auth::{AuthError, Caller, Identity};
use crate::core::codes::forbidden;
use crate::core::{ConversationSid, Core, Error};
use crate::store::SupportFilter;
use crate::twilio::ConversationChanges;

/// What to change about a support conversation.
#[derive(Debug, Clone, Default)]
pub struct SupportChanges {
    /// Where it stands.
    pub status: Option<SupportStatus>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Who answers; `Some(None)`: nobody yet.
    pub admin: Option<Option<Identity>>,
}

/// A page of the agents' list.
#[derive(Debug, Clone)]
pub struct SupportListing {
    /// Newest activity first.
    pub conversations: Vec<ListedSupport>,
    /// How many there are on all pages.
    pub total: u64,
}

/// A support conversation in the agents' list.
#[derive(Debug, Clone)]
pub struct ListedSupport {
    /// It.
    pub conversation: SupportConversation,
    /// When its last message was written.
    pub last_message_at: Option<DateTime<Utc>>,
    /// Messages of its owner that no admin has read.
    pub unread: i64,
}

/// Somebody in a support conversation, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportPerson {
    /// Who.
    pub identity: Identity,
    /// What to call them.
    pub name: Option<String>,
    /// Where to write to them.
    pub email: Option<String>,
}

/// A support conversation with its people.
#[derive(Debug, Clone)]
pub struct SupportDetails {
    /// It.
    pub conversation: Arc<SupportConversation>,
    /// Whose it is, if a user's.
    pub user: Option<SupportPerson>,
    /// Who answers.
    pub admin: Option<SupportPerson>,
}

/// What became of a change.
pub(super) enum Edit {
    /// It is made, or was not needed.
    Done(Arc<SupportConversation>),
    /// The UniqueName it should have is another conversation's.
    NameTaken,
}

impl Core {
    /// The support conversation with this SID. One Twilio call when it is neither in memory nor in the index.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`] also for one that is no support conversation; [`Error::Unavailable`].
    pub(in crate::core) async fn support_conversation(
        &self,
        sid: ConversationSid,
    ) -> Result<Arc<SupportConversation>, Error> {
        self.learn_support(sid).await;
        if let Some(known) = self.support.find(sid) {
            return Ok(known);
        }
        let conversation = self.conversation(sid).await?;
        self.take_in_support(&conversation).await;
        self.support.find(sid).ok_or(Error::ConversationNotFound)
    }

    /// The support conversation as `caller` may see it, and on which side of it they stand.
    ///
    /// Its owner and admins may. Whoever shows no token may see a guest's, because its id is known to nobody else, where
    /// the rules for guests say so.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAMember`], [`AuthError::Missing`] where a token would do;
    /// [`Error::Unavailable`].
    pub async fn support_for(
        &self,
        caller: &Caller,
        sid: ConversationSid,
    ) -> Result<(Arc<SupportConversation>, Side), Error> {
        let conversation = self.support_conversation(sid).await?;
        if caller.is_admin() {
            return Ok((conversation, Side::Admin));
        }
        let by_id = self.guests.capability && matches!(conversation.owner(), Owner::Guest(_));
        let may = match (caller, conversation.owner()) {
            (Caller::Known { identity, .. }, Owner::User(user)) => *identity == user,
            (Caller::Guest(identity), Owner::Guest(guest)) => by_id || *identity == guest,
            (Caller::Anonymous, _) if !by_id => return Err(AuthError::Missing.into()),
            (Caller::Anonymous, _) => true,
            (Caller::Known { .. } | Caller::Guest(_) | Caller::Service, _) => false,
        };
        if may { Ok((conversation, Side::Owner)) } else { Err(Error::NotAMember) }
    }

    /// A support conversation with what is known of its people. No Twilio call when it is known.
    ///
    /// # Errors
    /// As [`Core::support_for`].
    pub async fn support_details(
        &self,
        caller: &Caller,
        sid: ConversationSid,
    ) -> Result<SupportDetails, Error> {
        let (conversation, _) = self.support_for(caller, sid).await?;
        let user = self.support_person(conversation.user.as_ref()).await;
        let admin = self.support_person(conversation.admin.as_ref()).await;
        Ok(SupportDetails { conversation, user, admin })
    }

    async fn support_person(&self, identity: Option<&Identity>) -> Option<SupportPerson> {
        let identity = identity?.clone();
        let known = self.profile(&identity).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the name of somebody is not known");
            None
        });
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let (name, email) = known.map_or((None, None), |known| (text(&known.nickname), text(&known.email)));
        Some(SupportPerson { identity, name, email })
    }

    /// A page of all support conversations, newest activity first; `page` counts from 1. No Twilio call.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for others than admins; [`Error::Unavailable`].
    pub async fn list_support(
        &self,
        caller: &Caller,
        status: Option<SupportStatus>,
        topic: Option<Topic>,
        page: u32,
        limit: u32,
    ) -> Result<SupportListing, Error> {
        if !caller.is_admin() {
            return Err(forbidden(caller));
        }
        // What was sent before this question is in the answer.
        self.support_counted().await;
        let filter = SupportFilter {
            status: status.map(|status| status.as_str().to_owned()),
            topic: topic.map(|topic| topic.as_str().to_owned()),
        };
        let offset = i64::from(page.saturating_sub(1)) * i64::from(limit);
        let listed = self.store.list_support(&filter, offset, i64::from(limit)).await;
        let (total, rows) = listed.map_err(|error| {
            tracing::error!(%error, "the list of support conversations needs the database");
            Error::Unavailable { retry_after: None }
        })?;
        let listed = |(row, unread): (crate::store::SupportRow, i64)| {
            Some(ListedSupport {
                conversation: SupportConversation::from_row(&row)?,
                last_message_at: (row.last_message_at > 0)
                    .then(|| DateTime::from_timestamp_millis(row.last_message_at))
                    .flatten(),
                unread,
            })
        };
        let conversations = rows.into_iter().filter_map(listed).collect();
        Ok(SupportListing { conversations, total: u64::try_from(total).unwrap_or(0) })
    }

    /// Changes where a support conversation stands, how urgent it is, or who answers. One Twilio call, two when it is not
    /// in memory; none when nothing changes.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for others than admins, [`Error::ConversationNotFound`], [`Error::ConversationClosed`],
    /// [`Error::Invalid`] for one that is to be opened again beside another; [`Error::Unavailable`].
    pub async fn change_support(
        &self,
        caller: &Caller,
        sid: ConversationSid,
        changes: SupportChanges,
    ) -> Result<Arc<SupportConversation>, Error> {
        if !caller.is_admin() {
            return Err(forbidden(caller));
        }
        self.support_conversation(sid).await?;
        let core = self.clone();
        self.to_the_end(async move {
            let edited = core
                .edit_support(sid, |now| {
                    let was_closed = now.status == SupportStatus::Closed;
                    now.status = changes.status.unwrap_or(now.status);
                    now.priority = changes.priority.unwrap_or(now.priority);
                    if let Some(admin) = changes.admin {
                        now.admin = admin;
                    }
                    match (was_closed, now.status == SupportStatus::Closed) {
                        (false, true) => Some(retired_name(sid)),
                        (true, false) => {
                            now.aside = false;
                            Some(unique_name(&now.owner(), now.topic))
                        }
                        (false, false) | (true, true) => None,
                    }
                })
                .await?;
            match edited {
                Edit::Done(changed) => {
                    core.support.open.invalidate(&unique_name(&changed.owner(), changed.topic)).await;
                    Ok(changed)
                }
                Edit::NameTaken => {
                    Err(Error::invalid("status", "cannot be open again: there is another open conversation"))
                }
            }
        })
        .await
    }

    /// Makes the caller, if an admin, the one who answers, if nobody is. One Twilio call when that is so, else none. Where it
    /// cannot be done, the next answer does it.
    pub async fn assign_support(&self, caller: &Caller, conversation: &SupportConversation) {
        let Some(admin) = caller.identity().filter(|_| caller.is_admin()).cloned() else { return };
        if conversation.admin.is_some() {
            return;
        }
        let (core, sid) = (self.clone(), conversation.sid);
        let assigned = self.to_the_end(async move {
            core.edit_support(sid, |now| {
                now.admin.get_or_insert(admin);
                None
            })
            .await
            .map(drop)
        });
        if let Err(error) = assigned.await {
            tracing::warn!(%error, conversation.sid = %sid, "nobody is noted as answering");
        }
    }

    /// When the last message was written. No Twilio call for a conversation whose messages passed through here, else one.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn last_message_at(&self, sid: ConversationSid) -> Result<Option<DateTime<Utc>>, Error> {
        let last = self.last_messages_of(&[sid]).await?.remove(&sid);
        Ok(last.and_then(|last| last.message).map(|message| message.date_created))
    }

    /// Changes the attributes of a support conversation, and its UniqueName where `change` gives one; changes of one
    /// conversation one after the other, each from what the one before made of it.
    pub(super) async fn edit_support(
        &self,
        sid: ConversationSid,
        change: impl FnOnce(&mut SupportConversation) -> Option<String>,
    ) -> Result<Edit, Error> {
        let mut edit = None;
        let editing = async {
            let conversation = self.conversation(sid).await?;
            let before = SupportConversation::of(&conversation).ok_or(Error::ConversationNotFound)?;
            let mut now = before.clone();
            let unique_name = change(&mut now);
            if now == before {
                edit = Some(Edit::Done(Arc::new(now)));
                return Ok(Op::Nop);
            }
            let attributes = Some(now.to_attributes(&conversation.attributes)?);
            let changes = ConversationChanges { attributes, unique_name, ..Default::default() };
            edit = Some(match self.twilio.update_conversation(sid, &changes).await {
                Ok(changed) => {
                    self.conversation_changed(changed).await;
                    Edit::Done(self.support.find(sid).unwrap_or_else(|| Arc::new(now)))
                }
                Err(error) if error.is_conflict_on_unique_name() => Edit::NameTaken,
                Err(error) => return Err(Error::from(error)),
            });
            Ok(Op::Nop)
        };
        self.support.edits.entry(sid).and_try_compute_with(|_| editing).await?;
        edit.ok_or(Error::Internal)
    }

    /// Up to where the owner has read. One Twilio call when the roster is not in memory.
    pub(super) async fn owner_read(&self, conversation: &SupportConversation) -> Result<Option<i64>, Error> {
        let roster = self.roster(conversation.sid).await?;
        let owner = roster.find(conversation.owner().identity().as_str());
        Ok(owner.and_then(|owner| owner.last_read_message_index))
    }
}
