//! Messages: send (exactly once), edit, delete. Reading them is `history.rs`.
//!
//! Twilio has no idempotency key for messages, so every send carries an id of its own in the message's attributes. When the
//! outcome of a POST is unknown (a time-out, a 5xx, a reset), the conversation is searched for that id before anything is
//! posted again. With an id chosen by the client the same holds for its repeats, across restarts, for [`KEYS_FOR`].

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::conversations::OURS;
use super::error::or_not_found;
use super::events::Seen;
use super::participants::ensure_author;
use super::{ConversationSid, Core, Error, Event, Message, MessageSid};
use crate::auth::{Caller, Identity};
use crate::store::{Claim, SendKey};
use crate::twilio::{self, MessageChanges, NewMessage, Order};

/// Bytes of a message body. Source: <https://www.twilio.com/docs/conversations/conversations-limits>
pub const BODY_BYTES: usize = 32 * 1024;
/// Characters of a body that still reaches a phone.
pub const SMS_CHARACTERS: usize = 1_600;
/// Bytes of a message's attributes, ours included.
pub const MESSAGE_ATTRIBUTES_BYTES: usize = 4 * 1024;
/// Links in one message.
pub const MEDIA_LINKS: usize = 10;

/// How long a repeat with the same client id is recognised.
const KEYS_FOR: Duration = Duration::from_secs(24 * 3600);
/// Sends whose result is kept in memory, so that a simultaneous repeat waits for the first.
const SENDS_AT_MOST: u64 = 50_000;
const SENDS_FOR: Duration = Duration::from_secs(600);
/// When to look for a message whose POST had no clear outcome, after it.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_millis(2_500)];
/// How long one send may take in all before the sender is told that its outcome is unknown.
const SEND_DEADLINE: Duration = Duration::from_millis(9_500);
/// How many of the newest messages are searched for it.
const LOOKED_THROUGH: u8 = 50;

/// A message to be sent; its lengths are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it says; `None`: only media.
    pub body: Option<String>,
    /// Links to media, http or https.
    pub media: Vec<String>,
    /// The client's own id of this send: makes a repeat harmless.
    pub client_message_id: Option<String>,
}

impl Draft {
    /// As Twilio takes it, with what we keep beside it.
    fn into_message(self, author: &Identity, ours: Extras) -> Result<(NewMessage, Extras), Error> {
        let without_body = self.body.is_none();
        let extras = Extras { media: self.media, without_body, ..ours };
        let body = self.body.unwrap_or_else(|| extras.media.join("\n"));
        let attributes = Some(extras.to_attributes()?);
        Ok((
            NewMessage { author: author.as_str().to_owned(), body: Some(body), attributes, media_sid: None },
            extras,
        ))
    }
}

/// What we keep in a message's attributes, under `switchboard`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// Links to media, as they were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    /// Whether the message came without a body, so that what stands at Twilio in its place (which wants one, and whose
    /// other clients show nothing else) is the links.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_body: bool,
    /// The client's own id of the send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<String>,
    /// Our id of the send, where the client chose none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    send_id: Option<String>,
}

impl Extras {
    /// What `message` carries of ours; nothing when another writer's attributes cannot be read.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        #[derive(Deserialize)]
        struct Attributes {
            #[serde(default)]
            switchboard: Extras,
        }
        if !message.attributes.contains(OURS) {
            return Self::default();
        }
        serde_json::from_str::<Attributes>(&message.attributes).map(|all| all.switchboard).unwrap_or_default()
    }

    /// The id that makes the send recognisable.
    pub(super) fn id(&self) -> Option<&str> {
        self.client_message_id.as_deref().or(self.send_id.as_deref())
    }

    fn to_attributes(&self) -> Result<String, Error> {
        let text = serde_json::to_string(&serde_json::json!({ OURS: self })).map_err(|_| Error::Internal)?;
        if text.len() > MESSAGE_ATTRIBUTES_BYTES {
            return Err(Error::invalid("media", "links are too long: all together must stay under 4 KiB"));
        }
        Ok(text)
    }
}

/// The results of sends with a client's id. Entries are made one at a time per id.
pub(super) struct Sends {
    cache: Cache<(Identity, ConversationSid, String), (Arc<Message>, String)>,
}

impl Sends {
    pub(super) fn new() -> Self {
        Self { cache: Cache::builder().max_capacity(SENDS_AT_MOST).time_to_live(SENDS_FOR).build() }
    }
}

impl Core {
    /// Sends `draft` as `author`, tells everybody, and gives back the message as Twilio stored it.
    ///
    /// Costs one Twilio call; one more for the roster where it decides and is not in memory. With a
    /// `client_message_id` at most one message is ever stored, however often this is called.
    ///
    /// # Errors
    /// [`Error::NotAMember`], [`Error::ConversationNotFound`], [`Error::ConversationClosed`], [`Error::Invalid`],
    /// [`Error::KeyReused`], [`Error::Unavailable`]: nothing was sent. [`Error::UnknownOutcome`]: a repeat with the same
    /// id finds out.
    pub async fn send_message(
        &self,
        caller: &Caller,
        author: &Identity,
        conversation: ConversationSid,
        draft: Draft,
    ) -> Result<Arc<Message>, Error> {
        let author = caller.acting_as(Some(author))?;
        self.ensure_member(caller, conversation).await?;
        if draft.body.as_deref().is_some_and(|body| body.chars().nth(SMS_CHARACTERS).is_some())
            && self.roster(conversation).await?.has_phone()
        {
            return Err(Error::invalid("body", "must be at most 1600 characters where a phone takes part"));
        }
        let core = self.clone();
        self.to_the_end(async move {
            let message = match draft.client_message_id.clone() {
                Some(id) => core.send_once(&author, conversation, draft, id).await?,
                None => core.send_with_own_id(&author, conversation, draft).await?,
            };
            core.stop_typing(conversation, &author);
            core.publish_message(Arc::clone(&message)).await;
            Ok(message)
        })
        .await
    }

    async fn send_with_own_id(
        &self,
        author: &Identity,
        conversation: ConversationSid,
        draft: Draft,
    ) -> Result<Arc<Message>, Error> {
        let id = Uuid::new_v4().simple().to_string();
        let (new, extras) = draft.into_message(author, Extras { send_id: Some(id), ..Default::default() })?;
        self.post(conversation, &new, &extras, false).await
    }

    async fn send_once(
        &self,
        author: &Identity,
        conversation: ConversationSid,
        draft: Draft,
        id: String,
    ) -> Result<Arc<Message>, Error> {
        let fingerprint = fingerprint(&draft);
        let ours = Extras { client_message_id: Some(id.clone()), ..Default::default() };
        let (new, extras) = draft.into_message(author, ours)?;
        let send = self.claim_and_post(conversation, &new, &extras, &id, &fingerprint);
        let entry = (author.clone(), conversation, id.clone());
        let sent = self
            .sends
            .cache
            .try_get_with(entry, async { Ok::<_, Error>((send.await?, fingerprint.clone())) });
        let (message, sent_as) = sent.await.map_err(|error| (*error).clone())?;
        if sent_as == fingerprint { Ok(message) } else { Err(Error::KeyReused) }
    }

    async fn claim_and_post(
        &self,
        conversation: ConversationSid,
        new: &NewMessage,
        extras: &Extras,
        id: &str,
        fingerprint: &str,
    ) -> Result<Arc<Message>, Error> {
        let sid = conversation.to_string();
        let key = SendKey { sender: &new.author, conversation_sid: &sid, client_message_id: id };
        let claim = match self.store.claim_send(key, fingerprint, self.clock.now().timestamp()).await {
            Ok(claim) => claim,
            Err(error) => {
                tracing::warn!(%error, "a message is sent without protection against a repeat after a restart");
                Claim::Fresh
            }
        };
        let begun_before = match claim {
            Claim::Fresh => false,
            Claim::Open { .. } => true,
            Claim::Done(json) => {
                return serde_json::from_str(&json).map(Arc::new).map_err(|_| Error::Internal);
            }
            Claim::Other => return Err(Error::KeyReused),
        };
        let outcome = self.post(conversation, new, extras, begun_before).await;
        let noted = match &outcome {
            Ok(message) => match serde_json::to_string(&**message) {
                Ok(json) => self.store.finish_send(key, &json).await,
                Err(_) => Ok(()),
            },
            // Open: the next repeat looks before it posts.
            Err(Error::UnknownOutcome) => Ok(()),
            Err(_) => self.store.release_send(key).await,
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "the outcome of a send was not noted");
        }
        outcome
    }

    /// Posts `new`; an unclear outcome is cleared up by looking. `begun_before`: it may be stored already, look first.
    async fn post(
        &self,
        conversation: ConversationSid,
        new: &NewMessage,
        extras: &Extras,
        begun_before: bool,
    ) -> Result<Arc<Message>, Error> {
        let posting = self.post_and_look(conversation, new, extras, begun_before);
        tokio::time::timeout(SEND_DEADLINE, posting).await.unwrap_or(Err(Error::UnknownOutcome))
    }

    async fn post_and_look(
        &self,
        conversation: ConversationSid,
        new: &NewMessage,
        extras: &Extras,
        begun_before: bool,
    ) -> Result<Arc<Message>, Error> {
        let id = extras.id().unwrap_or_default();
        if begun_before
            && let Some(stored) = self.look_for(conversation, &new.author, id, &LOOKS[..1]).await?
        {
            return Ok(stored);
        }
        for attempt in 0..2 {
            match self.twilio.create_message(conversation, new).await {
                Ok(message) => return Ok(Arc::new(message)),
                Err(twilio::Error::Ambiguous(cause)) => {
                    tracing::warn!(%cause, attempt, conversation.sid = %conversation, "looking for a message whose POST had no clear outcome");
                }
                // This try did nothing, but an earlier one may have: the key stays open, so that a repeat looks first.
                Err(twilio::Error::Unreachable(_) | twilio::Error::RateLimited { .. })
                    if begun_before || attempt > 0 =>
                {
                    return Err(Error::UnknownOutcome);
                }
                Err(error) => return Err(or_not_found(Error::ConversationNotFound)(error)),
            }
            metrics::counter!("switchboard_ambiguous_sends_total").increment(1);
            if let Some(stored) = self.look_for(conversation, &new.author, id, &LOOKS).await? {
                return Ok(stored);
            }
        }
        Err(Error::UnknownOutcome)
    }

    /// Looks for the message with this id: in memory (the webhook may have brought it), then at Twilio.
    async fn look_for(
        &self,
        conversation: ConversationSid,
        author: &str,
        id: &str,
        looks: &[Duration],
    ) -> Result<Option<Arc<Message>>, Error> {
        let is_it = |message: &Message| message.author == author && Extras::of(message).id() == Some(id);
        let mut looked = false;
        for pause in looks {
            tokio::time::sleep(*pause).await;
            if let Some(reported) = self.history.find_newest(conversation, is_it) {
                return Ok(Some(reported));
            }
            match self.twilio.list_messages(conversation, Order::NewestFirst, LOOKED_THROUGH).await {
                Ok(page) => {
                    looked = true;
                    if let Some(stored) = page.items.into_iter().find(|message| is_it(message)) {
                        return Ok(Some(Arc::new(stored)));
                    }
                }
                Err(error) if error.is_not_found() => return Err(Error::ConversationNotFound),
                Err(error) => tracing::warn!(%error, "could not look for a message"),
            }
        }
        if looked { Ok(None) } else { Err(Error::UnknownOutcome) }
    }

    /// The message. No Twilio call when it is in memory.
    pub(super) async fn message(
        &self,
        conversation: ConversationSid,
        message: MessageSid,
    ) -> Result<Arc<Message>, Error> {
        if let Some(known) = self.history.find_by_sid(conversation, message) {
            return Ok(known);
        }
        let fetched = self.twilio.fetch_message(conversation, message).await;
        fetched.map(Arc::new).map_err(or_not_found(Error::MessageNotFound))
    }

    /// Changes what a message says; its media and attributes stay. One Twilio call, one more when it is not in memory.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`], [`crate::auth::AuthError::Forbidden`] for somebody else's message; else as
    /// [`Core::send_message`].
    pub async fn edit_message(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        message: MessageSid,
        body: String,
    ) -> Result<Arc<Message>, Error> {
        self.ensure_member(caller, conversation).await?;
        ensure_author(caller, &self.message(conversation, message).await?.author)?;
        let changes = MessageChanges { body: Some(body), ..Default::default() };
        let changed = self.twilio.update_message(conversation, message, &changes).await;
        let changed = Arc::new(changed.map_err(or_not_found(Error::MessageNotFound))?);
        self.message_changed(&changed);
        Ok(changed)
    }

    /// Takes in and tells an edited message, if that is news.
    pub(super) fn message_changed(&self, message: &Arc<Message>) {
        if self.history.take_in_change(message) {
            self.note_change(message);
            self.publish(&Event::MessageUpdated(Arc::clone(message)));
        }
    }

    /// Deletes a message for everybody. One Twilio call, one more when it is not in memory.
    ///
    /// # Errors
    /// As [`Core::edit_message`].
    pub async fn delete_message(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        message: MessageSid,
    ) -> Result<(), Error> {
        self.ensure_member(caller, conversation).await?;
        let known = self.message(conversation, message).await?;
        ensure_author(caller, &known.author)?;
        let deleted = self.twilio.delete_message(conversation, message).await;
        deleted.map_err(or_not_found(Error::MessageNotFound))?;
        self.message_removed(conversation, message, known.index);
        Ok(())
    }

    /// Takes in and tells that a message is gone, if that is news.
    pub(super) fn message_removed(&self, conversation: ConversationSid, message: MessageSid, index: i64) {
        self.history.remove(conversation, message);
        if self.door.first(Seen::MessageRemoved(message)) {
            self.note_removal(conversation, message);
            self.publish(&Event::MessageRemoved { conversation, message, index });
        }
    }

    /// Forgets the ids of sends that no client repeats any more.
    pub(super) async fn forget_old_sends(&self) {
        let then = self.clock.now() - KEYS_FOR;
        if let Err(error) = self.store.forget_sends_before(then.timestamp()).await {
            tracing::warn!(%error, "old send keys are still there");
        }
    }
}

/// Tells two contents apart.
fn fingerprint(draft: &Draft) -> String {
    let mut hash = Sha256::new();
    for part in draft.body.iter().chain(&draft.media) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update([u8::from(draft.body.is_some())]);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
