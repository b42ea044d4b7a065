//! The two people of a direct conversation: who the other one is, messages from one to the other, and lists of such
//! conversations.
//!
//! A pair's conversation is known by its UniqueName, a hash of the two: whoever is guessed to be in it (who wrote last, who
//! is in the roster) is proven by it, and whoever joins or leaves later changes nothing. Finding and making it is
//! `direct.rs`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use super::direct::{LOOKED_AMONG, Pair, is_direct, is_of, pair_among};
use super::drafts::{Composed, Extras};
use super::{Conversation, ConversationSid, Core, Draft, Error, ListedConversation, Message, Profile};
use crate::auth::{Caller, Identity};

/// Conversations of which it is kept in memory whose they are.
const KEPT_AT_MOST: u64 = 100_000;
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Conversations of a list of which it is found out at once whose they are.
const FOUND_AT_ONCE: usize = 8;

/// Whose conversation each is, for those who cannot wait for an answer: whose it is never changes.
pub(super) struct Pairs {
    cache: moka::sync::Cache<ConversationSid, Pair>,
}

impl Pairs {
    pub(super) fn new() -> Self {
        Self { cache: moka::sync::Cache::builder().max_capacity(KEPT_AT_MOST).time_to_idle(KEPT_FOR).build() }
    }

    pub(super) fn note(&self, conversation: ConversationSid, pair: Pair) {
        self.cache.insert(conversation, pair);
    }
}

/// A direct conversation in a person's list.
#[derive(Debug, Clone)]
pub struct ListedDirect {
    /// It, with its last message and what is unread.
    pub listed: ListedConversation,
    /// The other person.
    pub other: Identity,
    /// What is known of them.
    pub profile: Option<Arc<Profile>>,
    /// The product that was named last, by the app's id.
    pub product_id: Option<String>,
}

impl Core {
    /// The other person of a direct conversation, as far as that is in memory: once it was asked or made here.
    #[must_use]
    pub fn other_of(&self, conversation: ConversationSid, one: &str) -> Option<Identity> {
        self.pairs.cache.get(&conversation)?.other(&Identity::try_from(one).ok()?).cloned()
    }

    /// Finds out whose conversation this is, for [`Core::other_of`]; nothing is found for a group.
    ///
    /// Costs no Twilio call when it is known here, else at most one for the conversation and one for its roster.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::Unavailable`].
    pub async fn learn_pair(&self, conversation: ConversationSid) -> Result<(), Error> {
        let known = self.conversation(conversation).await?;
        if !is_direct(&known) || self.pairs.cache.contains_key(&conversation) {
            return Ok(());
        }
        let pair = match self.pair_of(conversation).await {
            Some(pair) => Some(pair),
            None => self.pair_at_twilio(&known).await?,
        };
        if let Some(pair) = pair {
            self.pairs.note(conversation, pair);
        }
        Ok(())
    }

    async fn pair_at_twilio(&self, conversation: &Conversation) -> Result<Option<Pair>, Error> {
        let people = self.roster(conversation.sid).await?.people(LOOKED_AMONG);
        let pair = pair_among(conversation, &people);
        if let Some(pair) = &pair {
            self.note_pair(conversation, pair.clone()).await;
        }
        Ok(pair)
    }

    /// The other person of `conversation` for `one`; `guess` saves reading the roster when it is right.
    async fn find_other(
        &self,
        conversation: &Conversation,
        one: &Identity,
        guess: Option<&str>,
    ) -> Result<Option<Identity>, Error> {
        if let Some(other) = self.other_of(conversation.sid, one.as_str()) {
            return Ok(Some(other));
        }
        let guess = guess.and_then(|guess| Identity::try_from(guess).ok());
        let guessed = guess.and_then(|guess| Pair::of([one, &guess].into_iter()));
        let pair = match guessed.filter(|pair| is_of(conversation, pair)) {
            Some(pair) => Some(pair),
            None => match self.pair_at_twilio(conversation).await {
                Err(Error::ConversationNotFound) => None,
                pair => pair?,
            },
        };
        let other = pair.as_ref().and_then(|pair| pair.other(one)).cloned();
        if let Some(pair) = pair {
            self.pairs.note(conversation.sid, pair);
        }
        Ok(other)
    }

    /// Whom `sender` writes to in `conversation`, given whom they named: `receiver`, who must take part, else the other one
    /// of the pair. The sender must take part too, unless an admin speaks for them.
    ///
    /// # Errors
    /// [`Error::Auth`] when `caller` may not act as `sender`, [`Error::NotAMember`] for the sender, [`Error::ParticipantNotFound`] for the receiver, [`Error::OnlyYourself`],
    /// [`Error::Invalid`] when nobody was named where that is needed; else as [`Core::conversation`].
    pub async fn addressee(
        &self,
        caller: &Caller,
        sender: &Identity,
        receiver: Option<&Identity>,
        conversation: ConversationSid,
    ) -> Result<Identity, Error> {
        let sender = caller.acting_as(Some(sender))?;
        if receiver == Some(&sender) {
            return Err(Error::OnlyYourself);
        }
        self.ensure_member(caller, conversation).await?;
        if !caller.is_admin() {
            self.participant_of(conversation, &sender).await?;
        }
        match receiver {
            Some(receiver) => match self.participant_of(conversation, receiver).await {
                Ok(_) => Ok(receiver.clone()),
                Err(Error::NotAMember) => Err(Error::ParticipantNotFound),
                Err(error) => Err(error),
            },
            None => {
                if self.other_of(conversation, sender.as_str()).is_none() {
                    self.learn_pair(conversation).await?;
                }
                let other = self.other_of(conversation, sender.as_str());
                other.ok_or_else(|| Error::invalid("receiverId", "is missing"))
            }
        }
    }

    /// The conversation of `sender` and `receiver` for `draft`, made if there is none and `draft` can be sent.
    ///
    /// Costs no Twilio call when it is known, three when it is made; where unknown receivers are refused, one more for a
    /// receiver that this service has not heard of.
    ///
    /// # Errors
    /// [`Error::OnlyYourself`], [`Error::Blocked`], [`Error::PersonNotFound`], [`Error::Auth`] when `caller` may not act as `sender`
    /// or `receiver` is called what no user can be, [`Error::LimitReached`], [`Error::Unavailable`], and those of
    /// [`Core::send_message`] that `draft` brings about; nothing is left half-made.
    pub async fn direct_for(
        &self,
        caller: &Caller,
        sender: &Identity,
        receiver: &Identity,
        draft: &Draft,
    ) -> Result<ConversationSid, Error> {
        let sender = caller.acting_as(Some(sender))?;
        self.ensure_may_bring(caller, [receiver]).await?;
        self.ensure_sendable(caller, &sender, draft).await?;
        self.direct_between(&sender, receiver).await
    }

    /// Refuses what [`Core::send_message`] would, wherever it goes: a refused message leaves no empty conversation.
    async fn ensure_sendable(&self, caller: &Caller, sender: &Identity, draft: &Draft) -> Result<(), Error> {
        self.limits.sends.look(sender)?;
        let mut draft = draft.clone();
        let files = self.own_files(caller, &mut draft.media).await?;
        let client_message_id = draft.client_message_id.clone();
        // As long as one of ours.
        let send_id = client_message_id.is_none().then(|| Uuid::nil().simple().to_string());
        let ours = Extras { client_message_id, send_id, ..Extras::default() };
        Composed::new(draft, files, sender, ours).map(drop)
    }

    async fn direct_between(&self, sender: &Identity, receiver: &Identity) -> Result<ConversationSid, Error> {
        let sender = sender.clone();
        if sender == *receiver {
            return Err(Error::OnlyYourself);
        }
        self.ensure_not_blocked(&sender, receiver).await?;
        if self.strict_users {
            self.ensure_known(receiver).await?;
        }
        let (core, receiver) = (self.clone(), receiver.clone());
        self.to_the_end(async move { core.direct_of_two(&sender, &receiver).await }).await
    }

    /// Sends `draft` from `sender` (else the caller) to `receiver`, in the conversation of the two.
    ///
    /// Costs one Twilio call beside those of [`Core::direct_for`], and one for the roster when it is not in memory.
    ///
    /// # Errors
    /// As [`Core::direct_for`] and [`Core::send_message`].
    pub async fn send_directly(
        &self,
        caller: &Caller,
        sender: Option<&Identity>,
        receiver: &Identity,
        draft: Draft,
    ) -> Result<Arc<Message>, Error> {
        let sender = caller.acting_as(sender)?;
        let conversation = self.direct_for(caller, &sender, receiver, &draft).await?;
        match self.send_message(caller, &sender, conversation, draft.clone()).await {
            // Deleted or closed behind our back: once more, with nothing remembered.
            Err(Error::ConversationNotFound) => self.conversation_removed(conversation).await,
            Err(Error::ConversationClosed) => self.forget_direct(conversation).await,
            done => return done,
        }
        let conversation = self.direct_between(&sender, receiver).await?;
        self.send_message(caller, &sender, conversation, draft).await
    }

    /// The direct conversations of `identity` (else the caller) with one other person, newest activity first.
    ///
    /// A warm list costs no Twilio call. A cold one costs one per 50 conversations, and one for each whose messages this
    /// service has not seen or whose other person never wrote.
    ///
    /// # Errors
    /// [`Error::Auth`] for somebody else's list, [`Error::Unavailable`]. An unknown person has an empty list.
    pub async fn list_directs(
        &self,
        caller: &Caller,
        identity: Option<&Identity>,
    ) -> Result<Vec<ListedDirect>, Error> {
        let own = caller.acting_as(identity)?;
        let sids = self.sids_of(&own, is_direct).await?;
        match self.partners_of(&own).await {
            Ok(partners) => {
                for partner in partners.iter() {
                    if let Some(pair) = Pair::of([&own, &partner.identity].into_iter()) {
                        self.pairs.note(partner.conversation, pair);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "whose conversations these are is asked of Twilio"),
        }
        // Products first: where they make us read a history, the last message is known from it.
        let mut products = self.products_of(&sids).await?;
        let mut all = self.conversations_of(&own, is_direct).await?;
        all.sort_unstable_by_key(|(place, _)| Reverse(*place));
        let finding: Vec<_> = all
            .iter()
            .map(|(_, listed)| {
                let guess = listed.last_message.as_ref().map(|message| message.author.as_str());
                self.find_other(&listed.conversation, &own, guess)
            })
            .collect();
        let found: Vec<_> = futures::stream::iter(finding).buffered(FOUND_AT_ONCE).try_collect().await?;
        let mut directs = Vec::with_capacity(all.len());
        for ((_, listed), other) in all.into_iter().zip(found) {
            let Some(other) = other else { continue };
            let product_id = products.remove(&listed.conversation.sid);
            directs.push(ListedDirect { listed, other, profile: None, product_id });
        }
        let others: Vec<_> = directs.iter().map(|direct| direct.other.clone()).collect();
        let mut profiles = self.profiles(&others).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a list shows no names");
            HashMap::new()
        });
        for direct in &mut directs {
            direct.profile = profiles.remove(&direct.other);
        }
        Ok(directs)
    }
}
