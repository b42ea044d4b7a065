//! Messages: send (exactly once), edit, delete. What they are made of is `drafts.rs`, reading them `history.rs`.
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
use super::{
    ConversationSid, Core, Draft, Error, Event, MEDIA_LINKS, MediaSid, Message, MessageSid, SMS_CHARACTERS,
};
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
/// How long one send may take in all before the sender is told that its outcome is unknown.
const SEND_DEADLINE: Duration = Duration::from_millis(9_500);
/// Twilio's codes for a file that is unknown, in another message, or none.
const FILE_REFUSED: [u32; 3] = [50507, 50508, 50510];
/// How many of the newest messages are searched for it.
const LOOKED_THROUGH: u8 = 50;

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
        mut composed: Composed,
        begun_before: bool,
    ) -> Result<Arc<Message>, Error> {
        let posting = async {
            let nothing_yet = |error| (error, Vec::new());
            let id = composed.extras.id().unwrap_or_default().to_owned();
            if begun_before {
                let stored = self.look_for(conversation, &composed.author, &id, &LOOKS[..1]).await;
                if let Some(stored) = stored.map_err(nothing_yet)? {
                    return Ok(stored);
                }
            }
            let files = self.files_of(caller, conversation, &mut composed).await.map_err(nothing_yet)?;
            let has_both = composed.body.is_some() && !files.is_empty();
            // A phone would get the file alone, and nothing of what the message says.
            let apart = has_both && self.roster(conversation).await.map_err(nothing_yet)?.has_phone();
            let mut files = files.into_iter();
            let own = if apart { None } else { files.next() };
            let (mut message, mut extras) = composed.into_message(own);
            for (place, file) in files.enumerate() {
                let part =
                    self.post_part(conversation, &message.author, &id, place, file, begun_before).await;
                match part {
                    Ok(Some(part)) => {
                        self.note_media(&part).await;
                        extras.parts.push(part.sid);
                    }
                    Ok(None) => {}
                    Err(error) => return Err((error, extras.parts)),
                }
            }
            message.attributes = Some(extras.to_attributes().map_err(|error| (error, extras.parts.clone()))?);
            let posted = self.post_and_look(conversation, &mut message, &mut extras, begun_before).await;
            posted.map_err(|error| (error, extras.parts))
        };
        let posting = async {
            match posting.await {
                Ok(posted) => Ok(posted),
                Err((Error::UnknownOutcome, _)) => Err(Error::UnknownOutcome),
                Err((error, parts)) => {
                    self.delete_parts(conversation, &parts).await;
                    Err(error)
                }
            }
        };
        tokio::time::timeout(SEND_DEADLINE, posting).await.unwrap_or(Err(Error::UnknownOutcome))
    }

    /// The files of a message, each once: of links that lead elsewhere, too, where those are fetched.
    async fn files_of(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        composed: &mut Composed,
    ) -> Result<Vec<MediaSid>, Error> {
        let elsewhere: Vec<usize> =
            (0..composed.files.len()).filter(|at| composed.files[*at].is_none()).collect();
        if !elsewhere.is_empty() && self.ingests_in(conversation).await? {
            let links: Vec<_> = elsewhere.iter().map(|at| composed.extras.media[*at].clone()).collect();
            for (at, file) in elsewhere.into_iter().zip(self.ingest(caller, &links).await) {
                composed.files[at] = file;
                if file.is_none() {
                    composed.extras.not_fetched.push(at);
                }
            }
        }
        let mut files = Vec::new();
        for file in composed.files.iter().flatten() {
            if !files.contains(file) {
                files.push(*file);
            }
        }
        Ok(files)
    }

    /// A message that only carries a file; `None` when Twilio does not take that file (again).
    async fn post_part(
        &self,
        conversation: ConversationSid,
        author: &str,
        id: &str,
        place: usize,
        file: MediaSid,
        begun_before: bool,
    ) -> Result<Option<Arc<Message>>, Error> {
        let mut extras = Extras {
            send_id: Some(format!("{id}.{place}")),
            part_of: Some(id.to_owned()),
            ..Default::default()
        };
        let mut part = NewMessage {
            author: author.to_owned(),
            body: None,
            attributes: Some(extras.to_attributes()?),
            media_sid: Some(file),
        };
        match self.post_and_look(conversation, &mut part, &mut extras, begun_before).await {
            Ok(posted) => Ok(Some(posted)),
            Err(Error::MediaNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The parts of `whole`: of those it names, since its attributes may be anybody's, only its author's own that name it in
    /// turn. One Twilio call for each that is not in memory.
    async fn parts_of(&self, whole: &Message) -> Vec<MessageSid> {
        let extras = Extras::of(whole);
        let mut parts = Vec::new();
        for sid in extras.parts.iter().take(MEDIA_LINKS) {
            let Ok(part) = self.message(whole.conversation_sid, *sid).await else { continue };
            let names_it = Extras::of(&part).part_of.as_deref() == extras.id();
            if is_part(&part) && part.author == whole.author && names_it {
                parts.push(*sid);
            }
        }
        parts
    }

    /// Deletes the parts of a message that was not sent, or is deleted.
    async fn delete_parts(&self, conversation: ConversationSid, parts: &[MessageSid]) {
        for part in parts {
            // Nobody was told of it, so nobody is told that it is gone.
            self.history.remove(conversation, *part);
            self.door.first(Seen::MessageRemoved(*part));
            if let Err(error) = self.twilio.delete_message(conversation, *part).await {
                tracing::warn!(%error, message.sid = %part, "a file of a message that is gone is left in the conversation");
            }
        }
    }

    /// Posts `new`; an unclear outcome is cleared up by looking. A file that Twilio does not take stays a link.
    async fn post_and_look(
        &self,
        conversation: ConversationSid,
        new: &mut NewMessage,
        extras: &mut Extras,
        begun_before: bool,
    ) -> Result<Arc<Message>, Error> {
        let id = extras.id().unwrap_or_default().to_owned();
        if begun_before
            && let Some(stored) = self.look_for(conversation, &new.author, &id, &LOOKS[..1]).await?
        {
            return Ok(stored);
        }
        let mut attempt = 0;
        while attempt < 2 {
            match self.twilio.create_message(conversation, new).await {
                Ok(message) => return Ok(Arc::new(message)),
                Err(error)
                    if new.media_sid.is_some()
                        && error.code().is_some_and(|code| FILE_REFUSED.contains(&code)) =>
                {
                    tracing::info!(
                        twilio.code = error.code(),
                        "a file stays a link: it is in another message already"
                    );
                    if extras.part_of.is_some() {
                        return Err(Error::MediaNotFound);
                    }
                    new.media_sid = None;
                    if new.body.is_none() {
                        extras.without_body = true;
                        new.body = Some(extras.media.join("\n"));
                        new.attributes = Some(extras.to_attributes()?);
                    }
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
            if let Some(stored) = self.look_for(conversation, &new.author, &id, &LOOKS).await? {
                return Ok(stored);
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
        let author = self.message(conversation, message).await?.author.clone();
        ensure_author(caller, &author)?;
        let author = Identity::try_from(author).ok();
        self.ensure_may_rewrite(caller, author.as_ref(), conversation).await?;
        self.ensure_fits_phones(conversation, Some(&body)).await?;
        let changes = MessageChanges { body: Some(body), ..Default::default() };
        let changed = self.twilio.update_message(conversation, message, &changes).await;
        let changed = Arc::new(changed.map_err(or_not_found(Error::MessageNotFound))?);
        self.message_changed(&changed);
        Ok(changed)
    }

    /// Takes in and tells an edited message, if that is news.
    pub(super) fn message_changed(&self, message: &Arc<Message>) {
        if let Some(message) = self.history.take_in_change(message) {
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
        self.history.remove(conversation, message);
        if self.door.first(Seen::MessageRemoved(message)) {
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
