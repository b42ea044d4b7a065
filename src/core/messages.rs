//! Messages: send (exactly once), edit, delete. What they are made of is `drafts.rs`, their further files `parts.rs`,
//! reading them `history.rs`.
//!
//! Twilio has no idempotency key for messages, so every send carries an id of its own in the message's attributes. When the
//! outcome of a POST is unknown (a time-out, a 5xx, a reset), the conversation is searched for that id before anything is
//! posted again. With an id chosen by the client the same holds for its repeats, across restarts, for [`KEYS_FOR`].

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use uuid::Uuid;

use super::drafts::{Composed, Extras, is_part};
use super::error::or_not_found;
use super::events::Seen;
use super::history::weight;
use super::participants::ensure_author;
use super::parts::Progress;
use super::{ConversationSid, Core, Draft, Error, Event, MediaSid, Message, MessageSid, SMS_CHARACTERS};
use crate::auth::{Caller, Identity};
use crate::store::{Claim, SendKey};
use crate::twilio::{self, MessageChanges, NewMessage, Order};

/// How long a repeat with the same client id is recognised.
const KEYS_FOR: Duration = Duration::from_secs(24 * 3600);
/// Sends whose result is kept in memory, so that a simultaneous repeat waits for the first.
const SENDS_AT_MOST: u32 = 50_000;
/// Bytes of them all.
const SENDS_BYTES: u32 = 64 * 1024 * 1024;
const SENDS_FOR: Duration = Duration::from_secs(600);
/// When to look for a message whose POST had no clear outcome, after it.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_millis(2_500)];
/// How long one send may take in all before the sender is told that its outcome is unknown, and how much longer for each
/// further link, since each file is a call to Twilio of its own, or several.
const SEND_DEADLINE: Duration = Duration::from_millis(9_500);
const LINK_TAKES: Duration = Duration::from_millis(2_500);
/// Twilio's codes for a file that is unknown, or none; and for one that is in another message.
const FILE_UNKNOWN: [u32; 2] = [50507, 50510];
const FILE_TAKEN: u32 = 50508;
/// How many of the newest messages are searched for it.
pub(super) const LOOKED_THROUGH: u8 = 50;

/// The results of sends with a client's id. Entries are made one at a time per id.
pub(super) struct Sends {
    cache: Cache<(Identity, ConversationSid, String), (Arc<Message>, String)>,
}

impl Sends {
    pub(super) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(SENDS_BYTES.into())
            .weigher(|_, (message, _): &(Arc<Message>, String)| {
                weight(message).max(SENDS_BYTES / SENDS_AT_MOST)
            })
            .time_to_live(SENDS_FOR);
        Self { cache: cache.build() }
    }
}

impl Core {
    /// Sends `draft` as `author`, tells everybody, and gives back the message as Twilio stored it.
    ///
    /// Costs one Twilio call; one more for the roster where it decides and is not in memory. With a
    /// `client_message_id` at most one message is ever stored, however often this is called.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] past `LIMIT_SENDS`; [`Error::NotAMember`], [`Error::Blocked`],
    /// [`Error::ConversationNotFound`], [`Error::ConversationClosed`], [`Error::Invalid`], [`Error::KeyReused`],
    /// [`Error::Unavailable`]: nothing was sent. [`Error::UnknownOutcome`]: a repeat with the same id finds out.
    pub async fn send_message(
        &self,
        caller: &Caller,
        author: &Identity,
        conversation: ConversationSid,
        mut draft: Draft,
    ) -> Result<Arc<Message>, Error> {
        let author = caller.acting_as(Some(author))?;
        self.limits.sends.check(&author)?;
        self.ensure_member(caller, conversation).await?;
        self.ensure_may_write(&author, conversation).await?;
        self.ensure_not_over(conversation).await?;
        let files = self.own_files(caller, &mut draft.media).await?;
        self.ensure_fits_phones(conversation, draft.body.as_deref()).await?;
        let (core, caller) = (self.clone(), caller.clone());
        self.to_the_end(async move {
            let message = match draft.client_message_id.clone() {
                Some(id) => core.send_once(&caller, &author, conversation, draft, files, id).await?,
                None => core.send_with_own_id(&caller, &author, conversation, draft, files).await?,
            };
            core.note_media(&message).await;
            core.stop_typing(conversation, &author);
            core.learn_support(conversation).await;
            core.publish_message(Arc::clone(&message)).await;
            Ok(message)
        })
        .await
    }

    /// Refuses a body that would not reach the phones in the conversation. The roster is only read for a long one.
    async fn ensure_fits_phones(
        &self,
        conversation: ConversationSid,
        body: Option<&str>,
    ) -> Result<(), Error> {
        let is_long = body.is_some_and(|body| body.chars().nth(SMS_CHARACTERS).is_some());
        if is_long && self.roster(conversation).await?.has_phone() {
            return Err(Error::invalid("body", "must be at most 1600 characters where a phone takes part"));
        }
        Ok(())
    }

    async fn send_with_own_id(
        &self,
        caller: &Caller,
        author: &Identity,
        conversation: ConversationSid,
        draft: Draft,
        files: Vec<Option<MediaSid>>,
    ) -> Result<Arc<Message>, Error> {
        let id = Uuid::new_v4().simple().to_string();
        let ours = Extras { send_id: Some(id), ..Default::default() };
        self.post(caller, conversation, Composed::new(draft, files, author, ours)?, false).await
    }

    async fn send_once(
        &self,
        caller: &Caller,
        author: &Identity,
        conversation: ConversationSid,
        draft: Draft,
        files: Vec<Option<MediaSid>>,
        id: String,
    ) -> Result<Arc<Message>, Error> {
        let fingerprint = draft.fingerprint();
        let ours = Extras { client_message_id: Some(id.clone()), ..Default::default() };
        let composed = Composed::new(draft, files, author, ours)?;
        let send = self.claim_and_post(caller, conversation, composed, &id, &fingerprint);
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
        caller: &Caller,
        conversation: ConversationSid,
        composed: Composed,
        id: &str,
        fingerprint: &str,
    ) -> Result<Arc<Message>, Error> {
        let (sid, author) = (conversation.to_string(), composed.author.clone());
        let key = SendKey { sender: &author, conversation_sid: &sid, client_message_id: id };
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
        let outcome = self.post(caller, conversation, composed, begun_before).await;
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

    /// Posts it all, files first, so that the message itself is only there when they are. `begun_before`: it may be stored
    /// already, look first.
    async fn post(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        composed: Composed,
        begun_before: bool,
    ) -> Result<Arc<Message>, Error> {
        let further = u32::try_from(composed.files.len().saturating_sub(1)).unwrap_or_default();
        let within = SEND_DEADLINE + LINK_TAKES * further;
        let (author, sent_as, has_files) =
            (composed.author.clone(), composed.extras.clone(), !composed.files.is_empty());
        let mut progress = Progress { begun_before, ..Progress::default() };
        let posting = self.post_all(caller, conversation, composed, &mut progress);
        let outcome = tokio::time::timeout(within, posting).await;
        let in_time = outcome.is_ok();
        let outcome = outcome.unwrap_or(Err(Error::UnknownOutcome));
        match &outcome {
            Ok(_) => {}
            // A repeat finds what there is, and goes on from there.
            Err(Error::UnknownOutcome) if sent_as.client_message_id.is_some() || !has_files => {}
            // The message itself may still come.
            Err(Error::UnknownOutcome) if progress.whole_begun && !in_time => {}
            Err(Error::UnknownOutcome) => self.clear_away_parts(conversation, &author, &sent_as).await,
            Err(_) => self.delete_parts(conversation, &progress.parts).await,
        }
        outcome
    }

    async fn post_all(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        mut composed: Composed,
        progress: &mut Progress,
    ) -> Result<Arc<Message>, Error> {
        if progress.begun_before {
            let stored = self.look_for(conversation, &composed.author, &composed.extras, &LOOKS[..1]).await?;
            if let Some(stored) = stored {
                return Ok(stored);
            }
        }
        let for_phones = !composed.files.is_empty() && self.roster(conversation).await?.has_phone();
        let leads_elsewhere = composed.files.iter().any(Option::is_none);
        let ingests = leads_elsewhere && self.ingests_in(conversation).await?;
        if for_phones && !ingests {
            // Nothing has been asked of Twilio yet.
            composed.has_text_for_phones(&self.media_links)?;
        }
        if ingests {
            self.ingest_links(caller, &mut composed).await;
        }
        // A phone would get the file alone, and nothing of what the message says.
        let says_something = |composed: &Composed| {
            Ok::<_, Error>(for_phones && composed.has_text_for_phones(&self.media_links)?)
        };
        let mut files = composed.distinct_files();
        let apart = says_something(&composed)?;
        let phones = self.participants.find(conversation).await.map_or(0, |roster| roster.phones());
        let messages = files.len() + usize::from(apart || files.is_empty());
        self.permit_texts(caller, phones * messages).await?;
        let mut own = if apart || files.is_empty() { None } else { Some(files.remove(0)) };
        for file in files {
            self.add_part(caller, conversation, &mut composed, file, progress).await?;
        }
        // The link to a file that could not be sent is to be read, too.
        if says_something(&composed)?
            && let Some(file) = own.take()
        {
            self.add_part(caller, conversation, &mut composed, file, progress).await?;
            composed.has_text_for_phones(&self.media_links)?;
        }
        progress.whole_begun = true;
        if let Some((_, file)) = own {
            let (mut message, extras) = composed.message(Some(file), &self.media_links, for_phones)?;
            let begun_before = progress.begun_before;
            let posted =
                self.post_and_look(caller, conversation, &mut message, &extras, begun_before).await?;
            if let Some(posted) = posted {
                return Ok(posted);
            }
            composed.stays_link(file);
            says_something(&composed)?;
        }
        let (mut message, extras) = composed.message(None, &self.media_links, for_phones)?;
        let posted = self.post_and_look(caller, conversation, &mut message, &extras, progress.begun_before);
        posted.await?.ok_or(Error::Internal)
    }

    /// Stores what the links that lead elsewhere lead to.
    async fn ingest_links(&self, caller: &Caller, composed: &mut Composed) {
        let elsewhere: Vec<usize> =
            (0..composed.files.len()).filter(|at| composed.files[*at].is_none()).collect();
        let links: Vec<_> = elsewhere.iter().map(|at| composed.extras.media[*at].clone()).collect();
        for (at, file) in elsewhere.into_iter().zip(self.ingest(caller, &links).await) {
            composed.files[at] = file;
            if file.is_none() {
                composed.extras.not_fetched.push(at);
            }
        }
    }

    /// Posts `new`; an unclear outcome is cleared up by looking. A file that is in a message already is copied; `None`: it
    /// could not be, and nothing was posted.
    pub(super) async fn post_and_look(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        new: &mut NewMessage,
        extras: &Extras,
        begun_before: bool,
    ) -> Result<Option<Arc<Message>>, Error> {
        let author = new.author.clone();
        let look = |looks: &'static [Duration]| self.look_for(conversation, &author, extras, looks);
        if begun_before && let Some(stored) = look(&LOOKS[..1]).await? {
            return Ok(Some(stored));
        }
        let (mut attempt, mut copied) = (0, false);
        while attempt < 2 {
            match self.twilio.create_message(conversation, new).await {
                Ok(message) => return Ok(Some(Arc::new(message))),
                Err(error) if error.code().is_some_and(|code| FILE_UNKNOWN.contains(&code)) => {
                    return Err(Error::MediaNotFound);
                }
                Err(error) if error.code() == Some(FILE_TAKEN) => {
                    if attempt > 0 {
                        // By the try before, which stored the message after all.
                        return look(&LOOKS).await?.map(Some).ok_or(Error::UnknownOutcome);
                    }
                    let copy = match new.media_sid.filter(|_| !copied) {
                        Some(file) => self.copy_file(caller, file).await,
                        None => None,
                    };
                    let Some(copy) = copy else { return Ok(None) };
                    (new.media_sid, copied) = (Some(copy), true);
                    continue;
                }
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
            if let Some(stored) = look(&LOOKS).await? {
                return Ok(Some(stored));
            }
            attempt += 1;
        }
        Err(Error::UnknownOutcome)
    }

    /// Remembers in which conversation the files of `message` are shown.
    pub(super) async fn note_media(&self, message: &Message) {
        for media in &message.media {
            self.remember_media(media.sid, None, Some(message.conversation_sid)).await;
        }
    }

    /// Looks for the message of the send that carries `extras`: in memory (the webhook may have brought it), then at Twilio.
    async fn look_for(
        &self,
        conversation: ConversationSid,
        author: &str,
        extras: &Extras,
        looks: &[Duration],
    ) -> Result<Option<Arc<Message>>, Error> {
        let is_it = |message: &Message| message.author == author && Extras::of(message).is_same_send(extras);
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
    /// [`Error::MessageNotFound`], [`crate::auth::AuthError::Forbidden`] for somebody else's message, [`Error::Invalid`]
    /// also for one that carries a file; else as [`Core::send_message`].
    pub async fn edit_message(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        message: MessageSid,
        body: String,
    ) -> Result<Arc<Message>, Error> {
        self.ensure_member(caller, conversation).await?;
        let known = self.message(conversation, message).await?;
        ensure_author(caller, &known.author)?;
        if !known.media.is_empty() {
            // Twilio refuses it, whoever asks.
            return Err(Error::invalid("body", "cannot be changed: the message carries a file"));
        }
        let author = Identity::try_from(known.author.clone()).ok();
        self.ensure_may_rewrite(caller, author.as_ref(), conversation).await?;
        let body = Extras::of(&known).said_anew(&known, body);
        self.ensure_fits_phones(conversation, Some(&body)).await?;
        let changes = MessageChanges { body: Some(body), ..Default::default() };
        let changed = self.twilio.update_message(conversation, message, &changes).await;
        let changed = Arc::new(changed.map_err(or_not_found(Error::MessageNotFound))?);
        self.message_changed(&changed);
        Ok(changed)
    }

    /// Takes in and tells an edited message, if that is news.
    pub(super) fn message_changed(&self, message: &Arc<Message>) {
        if let Some(message) = self.history.take_in_change(message)
            && !is_part(&message)
        {
            self.note_change(&message);
            self.publish(&Event::MessageUpdated(message));
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
        self.delete_parts(conversation, &self.parts_of(&known).await).await;
        self.message_removed(conversation, message, known.index);
        Ok(())
    }

    /// Takes in and tells that a message is gone, if that is news.
    pub(super) fn message_removed(&self, conversation: ConversationSid, message: MessageSid, index: i64) {
        // Nobody was told of a part.
        let is_part = self.history.is_known_part(conversation, message);
        self.history.remove(conversation, message);
        if self.door.first(Seen::MessageRemoved(message)) && !is_part {
            self.note_removal(conversation, message);
            self.forget_product(conversation, Some(index));
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
