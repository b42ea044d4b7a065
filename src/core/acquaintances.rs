//! What ties two people: contacts they share, the conversation of the two, a block. Who hears how somebody is, and whom
//! somebody has to talk to.
//!
//! Nearly all of it is known without asking Twilio: contacts and blocks are ours alone, a pair's conversation is remembered
//! since it was made through us (`direct.rs`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;

use super::{Blocking, ConversationSid, Core, Error, Message, Peer};
use crate::auth::{Caller, Identity};

/// Conversations of a person's that are looked through for somebody, and how many at once.
const LOOKED_THROUGH: usize = 20;
const READ_AT_ONCE: usize = 8;

/// A person as the caller stands to them.
#[derive(Debug, Clone)]
pub struct Acquaintance {
    /// Who.
    pub peer: Peer,
    /// How many contacts both have.
    pub mutual_friends: usize,
    /// The conversation of the two.
    pub conversation: Option<ConversationSid>,
    /// Who of the two blocks the other.
    pub blocking: Blocking,
    /// Whether the caller may write to them.
    pub can_message: bool,
}

/// Somebody the caller has to talk to.
#[derive(Debug, Clone)]
pub struct ContactEntry {
    /// Who.
    pub peer: Peer,
    /// What the caller calls them, for somebody who tells no name.
    pub called: Option<String>,
    /// The conversation of the two.
    pub conversation: Option<ConversationSid>,
    /// Its newest message.
    pub last_message: Option<Arc<Message>>,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: usize,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOf {
    /// Counts from 1.
    pub page: usize,
    /// How many on a page, at least 1.
    pub limit: usize,
}

impl PageOf {
    /// How many come before it.
    pub(super) fn offset(self) -> usize {
        (self.page - 1).saturating_mul(self.limit)
    }
}

impl Core {
    /// Somebody, as the caller stands to them. One Twilio call for somebody of whom nobody ever heard here, else none.
    ///
    /// # Errors
    /// [`Error::PersonNotFound`], [`Error::Unavailable`].
    pub async fn acquaintance(&self, caller: &Caller, who: &Identity) -> Result<Acquaintance, Error> {
        let me = caller.person()?;
        self.ensure_known(who).await?;
        let own = self.customers_of(me).await?;
        let theirs = self.customers_of(who).await?;
        let blocking = if me == who { Blocking::default() } else { self.blocking(me, who).await? };
        Ok(Acquaintance {
            peer: self.peer(who).await?,
            mutual_friends: own.intersection(&theirs).count(),
            conversation: self.conversation_with(me, who).await?,
            blocking,
            can_message: me != who && !blocking.any(),
        })
    }

    /// Whether the two have to do with each other: one is the other's contact, or both are in a conversation.
    ///
    /// Costs no Twilio call where that is known here, else those of `me`'s list and of at most [`LOOKED_THROUGH`] of its
    /// rosters that are not in memory; whoever it is that is asked for, nothing is asked about them.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn know_each_other(&self, me: &Identity, who: &Identity) -> Result<bool, Error> {
        let theirs = self.participants.conversations_of(who).await;
        let shared = |sid: &ConversationSid| theirs.contains(sid);
        if me == who
            || self.participants.conversations_of(me).await.iter().any(shared)
            || self.conversation_with(me, who).await?.is_some()
            || self.customers_of(me).await?.contains(who)
            || self.customers_of(who).await?.contains(me)
        {
            return Ok(true);
        }
        let mut unread = Vec::new();
        for sid in self.sids_of(me, |_| true).await? {
            if self.participants.find(sid).await.is_none() {
                unread.push(self.roster(sid));
            }
        }
        unread.truncate(LOOKED_THROUGH);
        let mut rosters = futures::stream::iter(unread).buffer_unordered(READ_AT_ONCE);
        while let Some(roster) = rosters.next().await {
            match roster {
                Ok(roster) if roster.find(who.as_str()).is_some() => return Ok(true),
                Ok(_) | Err(Error::ConversationNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Those of somebody's contacts who are people here.
    async fn customers_of(&self, identity: &Identity) -> Result<HashSet<Identity>, Error> {
        Ok(self.contacts_of(identity).await?.into_iter().filter_map(|contact| contact.customer).collect())
    }

    /// The conversation of the two, if it is known here.
    async fn conversation_with(
        &self,
        me: &Identity,
        other: &Identity,
    ) -> Result<Option<ConversationSid>, Error> {
        let partners = self.partners_of(me).await?;
        Ok(partners.iter().find(|partner| partner.identity == *other).map(|partner| partner.conversation))
    }

    /// The caller's contacts who are people here, and everybody they have a conversation of the two with: whom they
    /// exchanged something with last comes first, those they never wrote with by name at the end. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn contact_list(&self, caller: &Caller, part: PageOf) -> Result<Page<ContactEntry>, Error> {
        let me = caller.person()?;
        let mut found: HashMap<Identity, Found> = HashMap::new();
        for contact in self.contacts_of(me).await? {
            if let Some(customer) = contact.customer.filter(|customer| customer != me) {
                let name = format!("{} {}", contact.first_name, contact.last_name).trim().to_owned();
                found.entry(customer).or_default().called = Some(name).filter(|name| !name.is_empty());
            }
        }
        let partners = self.partners_of(me).await?;
        let conversations: Vec<_> = partners.iter().map(|partner| partner.conversation).collect();
        let mut newest = self.known_last_messages(&conversations).await;
        for partner in partners.iter() {
            let entry = found.entry(partner.identity.clone()).or_default();
            entry.conversation = Some(partner.conversation);
            entry.last_message = newest.remove(&partner.conversation);
        }
        let identities: Vec<_> = found.keys().cloned().collect();
        let names = self.profiles(&identities).await?;
        let name_of =
            |identity: &Identity| names.get(identity).map_or(identity.as_str(), |p| p.name()).to_owned();
        let mut all: Vec<_> = found.into_iter().collect();
        all.sort_by_cached_key(|(identity, found)| {
            let exchanged = found.last_message.as_ref().map(|message| message.date_created);
            (std::cmp::Reverse(exchanged), found.conversation.is_none(), name_of(identity), identity.clone())
        });
        let total = all.len();
        let all: Vec<_> = all.into_iter().skip(part.offset()).take(part.limit).collect();
        let identities: Vec<_> = all.iter().map(|(identity, _)| identity.clone()).collect();
        let peers = self.peers(&identities).await?;
        let entry = |(peer, (_, found)): (Peer, (Identity, Found))| ContactEntry {
            peer,
            called: found.called,
            conversation: found.conversation,
            last_message: found.last_message,
        };
        Ok(Page { items: peers.into_iter().zip(all).map(entry).collect(), total })
    }

    /// Who is to hear how `identity` is: whoever has them as a contact, their own contacts, and everybody they have a
    /// conversation of the two with; of those only who is here, and nobody behind a block.
    pub(super) async fn known_to(&self, identity: &Identity) -> Result<Vec<Identity>, Error> {
        let mut people = self.customers_of(identity).await?;
        people.extend(self.contact_owners_of(identity).await?);
        people.extend(self.partners_of(identity).await?.iter().map(|partner| partner.identity.clone()));
        people.remove(identity);
        people.retain(|person| self.presence.is_online(person.as_str()));
        if !people.is_empty() {
            for blocked in self.blocked_either_way(identity).await? {
                people.remove(&blocked);
            }
        }
        Ok(people.into_iter().collect())
    }
}

/// An entry in the making.
#[derive(Default)]
struct Found {
    called: Option<String>,
    conversation: Option<ConversationSid>,
    last_message: Option<Arc<Message>>,
}
