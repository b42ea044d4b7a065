//! Blocks: two people, one of whom wants to hear nothing from the other, have no conversation of the two.
//!
//! What a block forbids, in whichever dialect it is tried: to find or make the pair's conversation, to write in it, to edit
//! what was written there or what it is called, and to draw the other into a group. Twilio's own SDKs are bound by the webhook that asks before a message is added
//! ([`Core::permits_message`]). Groups both are in go on: nobody is silenced there by one other person.
//!
//! Twilio knows nothing of blocks; they live in the database and, for [`BELIEVED_FOR`], in memory.

use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;

use super::direct::{Pair, is_direct, is_of};
use super::{Conversation, ConversationSid, Core, Error, Page, PageOf, Peer};
use crate::auth::{Caller, Identity};
use crate::store::Block;

/// Pairs whose blocks are kept in memory.
const PAIRS_AT_MOST: u64 = 100_000;
/// How long they are believed: so soon a block made on another node binds here.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// Who of two people blocks the other, as the first of them sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blocking {
    /// The first blocks the second.
    pub by_me: bool,
    /// The second blocks the first.
    pub by_them: bool,
}

impl Blocking {
    /// Whether there is a block at all.
    #[must_use]
    pub fn any(self) -> bool {
        self.by_me || self.by_them
    }

    fn turned(self) -> Self {
        Self { by_me: self.by_them, by_them: self.by_me }
    }
}

/// Somebody whom a person blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedPerson {
    /// Who.
    pub identity: Identity,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The blocks in memory, by the pair in order.
pub(super) struct Blocks {
    pairs: Cache<(Identity, Identity), Blocking>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { pairs: Cache::builder().max_capacity(PAIRS_AT_MOST).time_to_live(BELIEVED_FOR).build() }
    }
}

impl Core {
    /// The caller blocks `who`; repeating it changes nothing. No Twilio call for a person who is known.
    ///
    /// # Errors
    /// [`Error::Invalid`] for oneself, [`Error::PersonNotFound`], [`Error::Unavailable`].
    pub async fn block(&self, caller: &Caller, who: &Identity) -> Result<(), Error> {
        let me = other_than(caller, who)?;
        self.ensure_known(who).await?;
        self.store.block(me.as_str(), who.as_str(), self.clock.now().timestamp()).await?;
        self.forget_blocking(me, who).await;
        Ok(())
    }

    /// The caller does not block `who` any more; whom they never blocked they still do not. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Invalid`] for oneself, [`Error::Unavailable`].
    pub async fn unblock(&self, caller: &Caller, who: &Identity) -> Result<(), Error> {
        let me = other_than(caller, who)?;
        self.store.unblock(me.as_str(), who.as_str()).await?;
        self.forget_blocking(me, who).await;
        Ok(())
    }

    /// Whom the caller blocks, the latest first. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn blocked_by(
        &self,
        caller: &Caller,
        part: PageOf,
    ) -> Result<Page<(Peer, BlockedPerson)>, Error> {
        let me = caller.person()?;
        let blocks = self.store.blocks_about(me.as_str()).await?;
        let own = blocks.into_iter().filter(|block| block.blocker == me.as_str());
        let blocked = |block: Block| {
            let identity = Identity::try_from(block.blocked).ok()?;
            Some(BlockedPerson { identity, since: DateTime::from_timestamp(block.created_at, 0)? })
        };
        let all: Vec<_> = own.filter_map(blocked).collect();
        let total = all.len();
        let shown: Vec<_> = all.into_iter().skip(part.offset()).take(part.limit).collect();
        let identities: Vec<_> = shown.iter().map(|blocked| blocked.identity.clone()).collect();
        let peers = self.peers(&identities).await?;
        Ok(Page { items: peers.into_iter().zip(shown).collect(), total })
    }

    /// Everybody whom `me` blocks or who blocks `me`.
    pub(super) async fn blocked_either_way(&self, me: &Identity) -> Result<Vec<Identity>, Error> {
        let blocks = self.store.blocks_about(me.as_str()).await?;
        let other = |block: Block| {
            let other = if block.blocker == me.as_str() { block.blocked } else { block.blocker };
            Identity::try_from(other).ok()
        };
        Ok(blocks.into_iter().filter_map(other).collect())
    }

    /// Who of the two blocks the other. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn blocking(&self, me: &Identity, other: &Identity) -> Result<Blocking, Error> {
        let in_order = me <= other;
        let (a, b) = if in_order { (me, other) } else { (other, me) };
        let read = async {
            let blocks = self.store.blocks_between(a.as_str(), b.as_str()).await?;
            let by = |who: &Identity| blocks.iter().any(|block| block.blocker == who.as_str());
            Ok::<_, Error>(Blocking { by_me: by(a), by_them: by(b) })
        };
        let known = self.blocks.pairs.try_get_with((a.clone(), b.clone()), read).await;
        let known = known.map_err(|error| (*error).clone())?;
        Ok(if in_order { known } else { known.turned() })
    }

    async fn forget_blocking(&self, me: &Identity, other: &Identity) {
        let pair = if me <= other { (me.clone(), other.clone()) } else { (other.clone(), me.clone()) };
        self.blocks.pairs.invalidate(&pair).await;
    }

    /// Refuses when one of the two blocks the other. Where the database does not answer, blocks do not bind: better a
    /// message too many than no messages at all.
    pub(super) async fn ensure_not_blocked(&self, one: &Identity, other: &Identity) -> Result<(), Error> {
        match self.blocking(one, other).await {
            Ok(blocking) if blocking.any() => Err(Error::Blocked),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "blocks are not known; nobody is held to them");
                Ok(())
            }
        }
    }

    /// Refuses a person who would draw somebody into a conversation with whom a block stands between them. Where the
    /// database does not answer, blocks do not bind, as above.
    pub(super) async fn ensure_none_blocked<'a>(
        &self,
        caller: &Caller,
        people: impl IntoIterator<Item = &'a Identity>,
    ) -> Result<(), Error> {
        let Some(me) = caller.identity().filter(|_| !caller.is_admin()) else { return Ok(()) };
        let blocked = self.blocks_that_bind(me).await;
        if people.into_iter().any(|person| blocked.contains(person)) { Err(Error::Blocked) } else { Ok(()) }
    }

    /// Refuses `author` in the conversation of a pair of whom one blocks the other. One Twilio call where a block might
    /// stand against it and neither whose conversation it is nor the conversation is in memory, else none.
    pub(super) async fn ensure_may_write(
        &self,
        author: &Identity,
        conversation: ConversationSid,
    ) -> Result<(), Error> {
        match self.pair_of(conversation).await.as_ref().and_then(|pair| pair.other(author)) {
            Some(other) => self.ensure_not_blocked(author, other).await,
            None => {
                let known = self.conversations.find(conversation).await;
                if known.is_some_and(|known| !is_direct(&known)) {
                    return Ok(());
                }
                let blocked = self.blocks_that_bind(author).await;
                if blocked.is_empty() {
                    return Ok(());
                }
                ensure_of_none(author, &blocked, &*self.conversation(conversation).await?)
            }
        }
    }

    /// As [`Core::ensure_may_write`], of what `author` has written or what a person would call the conversation. An admin
    /// may set right what stands there.
    pub(super) async fn ensure_may_rewrite(
        &self,
        caller: &Caller,
        author: Option<&Identity>,
        conversation: ConversationSid,
    ) -> Result<(), Error> {
        match caller.identity().or(author).filter(|_| !caller.is_admin()) {
            Some(author) => self.ensure_may_write(author, conversation).await,
            None => Ok(()),
        }
    }

    /// Whether Twilio may add a message of `author`, who writes over Twilio's own SDK. No Twilio call: what is not known
    /// here is permitted, since Twilio waits with the answer.
    pub async fn permits_message(&self, conversation: ConversationSid, author: &str) -> bool {
        let Ok(author) = Identity::try_from(author) else { return true };
        if let Some(other) = self.pair_of(conversation).await.as_ref().and_then(|pair| pair.other(&author)) {
            return self.ensure_not_blocked(&author, other).await.is_ok();
        }
        match self.conversations.find(conversation).await {
            Some(known) if is_direct(&known) => {
                ensure_of_none(&author, &self.blocks_that_bind(&author).await, &known).is_ok()
            }
            Some(_) | None => true,
        }
    }

    /// Everybody whom `me` blocks or who blocks `me`. Where the database does not answer, blocks do not bind, as above.
    async fn blocks_that_bind(&self, me: &Identity) -> Vec<Identity> {
        self.blocked_either_way(me).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "blocks are not known; nobody is held to them");
            Vec::new()
        })
    }
}

/// Refuses the conversation of `author` and one of those who are `blocked`: its name says whose it is, whoever has joined
/// or left since.
fn ensure_of_none(author: &Identity, blocked: &[Identity], conversation: &Conversation) -> Result<(), Error> {
    let with = |other: &Identity| Pair::of([author, other].into_iter());
    let theirs = blocked.iter().filter_map(with).any(|pair| is_of(conversation, &pair));
    if theirs { Err(Error::Blocked) } else { Ok(()) }
}

/// The caller, who is not `who`.
fn other_than<'a>(caller: &'a Caller, who: &Identity) -> Result<&'a Identity, Error> {
    let me = caller.person()?;
    if me == who { Err(Error::invalid("userId", "must be somebody else")) } else { Ok(me) }
}
