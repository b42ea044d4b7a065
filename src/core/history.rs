//! The history of conversations: the newest messages kept in memory, older ones read page by page.
//!
//! A conversation's window is read from Twilio once (one call per 100 messages) and then kept true by every message that is
//! sent, reported, edited or deleted, so a warm history page costs no call. Twilio's lists cannot be entered in the middle;
//! the places where older pages begin are remembered, so that paging back costs one call a page. What is nearer to the
//! beginning is read from there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::deliveries::Deliveries;
use super::drafts::is_part;
use super::error::or_not_found;
use super::{ConversationSid, Core, Error, Message, MessageSid};
use crate::auth::Caller;
use crate::twilio::{MessageMedia, NextPage, Order};

/// Messages Twilio gives in one page, at most.
const PAGE: u8 = 100;
/// Messages kept of one conversation; past it the window is dropped and read anew when somebody asks.
const WINDOW_AT_MOST: usize = 600;
/// Conversations whose window is kept, and bytes of all their messages.
const WINDOWS_AT_MOST: u32 = 2_000;
const WINDOWS_BYTES: u32 = 256 * 1024 * 1024;
/// A window is weighed again with a message of so many bytes, or with one of so many messages: most are short.
const WEIGHED_AT: u32 = 2 * 1024;
const WEIGHED_EVERY: i64 = 64;
/// How long a window serves without having been read anew: bounds what a lost webhook, or a change over REST that asked for
/// none, can hide.
const WINDOW_FOR: Duration = Duration::from_secs(60);
/// Pages one request may walk, and how long: together they stay below the ten seconds that a person waits.
const PAGES_AT_ONCE: usize = 100;
const WALK_FOR: Duration = Duration::from_secs(7);
/// Edited and deleted messages remembered, so that a late report of an older state is not believed.
const CHANGES_AT_MOST: u32 = 50_000;
const CHANGES_BYTES: u32 = 64 * 1024 * 1024;
const CHANGES_FOR: Duration = Duration::from_secs(900);

/// Which messages are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// At most so many, the newest of those that fit.
    pub limit: usize,
    /// Only those below this index.
    pub before: Option<i64>,
}

/// What is known of the messages of all conversations.
pub(super) struct History {
    windows: Cache<ConversationSid, Arc<Window>>,
    /// The newest version of messages that were edited, `None` for deleted ones.
    changes: Cache<MessageSid, Option<Arc<Message>>>,
    /// What was reported of copies for phones, laid over every message that is taken in.
    pub(super) deliveries: Deliveries,
}

/// The newest messages of one conversation. It takes in what is reported from the moment it exists, also while its first
/// page is on the way, so that nothing falls between.
#[derive(Default)]
struct Window {
    read: OnceCell<()>,
    state: Mutex<WindowState>,
}

#[derive(Default)]
struct WindowState {
    /// Without holes from the lowest one read to the newest.
    messages: BTreeMap<i64, Arc<Message>>,
    /// The lowest index read from Twilio; with `Older::None` everything is here.
    floor: Option<i64>,
    /// Where the pages below certain indices begin.
    older: BTreeMap<i64, Older>,
}

/// Where to read on: the page of what is below this index.
type Place = (i64, Arc<NextPage>);

#[derive(Clone)]
enum Older {
    Page(Arc<NextPage>),
    None,
}

/// How far one request has walked through Twilio's pages.
struct Walk {
    began: tokio::time::Instant,
    pages: usize,
}

impl Walk {
    fn begin() -> Self {
        Self { began: tokio::time::Instant::now(), pages: 0 }
    }

    /// One page more, unless it went far enough.
    fn step(&mut self) -> Result<(), Error> {
        if self.pages == PAGES_AT_ONCE || self.began.elapsed() > WALK_FOR {
            return Err(Error::invalid(
                "before",
                "is too far back to jump to: page back from the newest messages",
            ));
        }
        self.pages += 1;
        Ok(())
    }
}

/// `error` of a place in a history, for whoever named it by its page.
pub(super) fn of_page(error: Error) -> Error {
    let Error::Invalid { field: "before", problem } = error else { return error };
    Error::Invalid { field: "page", problem }
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            windows: Cache::builder()
                .max_capacity(WINDOWS_BYTES.into())
                .weigher(|_, window: &Arc<Window>| window.weight().max(WINDOWS_BYTES / WINDOWS_AT_MOST))
                .expire_after(WindowExpiry)
                .build(),
            changes: Cache::builder()
                .max_capacity(CHANGES_BYTES.into())
                .weigher(|_, changed: &Option<Arc<Message>>| {
                    changed.as_deref().map_or(0, weight).max(CHANGES_BYTES / CHANGES_AT_MOST)
                })
                .time_to_live(CHANGES_FOR)
                .build(),
            deliveries: Deliveries::new(),
        }
    }

    /// Takes in a message that was sent or reported; gives back the newest version known of it.
    pub(super) fn take_in(&self, message: &Arc<Message>) -> Arc<Message> {
        let newest = match self.changes.get(&message.sid) {
            Some(Some(changed)) if changed.date_updated >= message.date_updated => changed,
            Some(_) | None => Arc::clone(message),
        };
        self.deliveries.note(&newest);
        let newest = self.deliveries.laid_over(&newest);
        let window = self.window(newest.conversation_sid);
        let mut state = window.state.lock();
        state.messages.insert(newest.index, Arc::clone(&newest));
        let is_full = state.messages.len() > WINDOW_AT_MOST;
        drop(state);
        if is_full {
            self.windows.invalidate(&newest.conversation_sid);
        } else if weight(&newest) > WEIGHED_AT || newest.index % WEIGHED_EVERY == 0 {
            self.weigh(newest.conversation_sid, &window);
        }
        newest
    }

    /// Has the cache take note of how large a window has become.
    fn weigh(&self, conversation: ConversationSid, window: &Arc<Window>) {
        self.windows.entry(conversation).and_compute_with(|kept| {
            // Not one that was forgotten meanwhile.
            let is_kept = kept.is_some_and(|kept| Arc::ptr_eq(kept.value(), window));
            if is_kept { Op::Put(Arc::clone(window)) } else { Op::Nop }
        });
    }

    /// Takes in an edited message, and gives it back with its delivery, which reports do not tell; `None` when this, or
    /// something newer, was known.
    pub(super) fn take_in_change(&self, message: &Arc<Message>) -> Option<Arc<Message>> {
        let mut newer = None;
        // Compared and kept in one step: our own edit and Twilio's report of it often come together.
        self.changes.entry(message.sid).and_compute_with(|kept| {
            let known = kept.map_or_else(|| self.find(message).map(Some), |kept| Some(kept.into_value()));
            newer = match known {
                Some(None) => None, // deleted
                None => Some(Arc::clone(message)),
                Some(Some(known)) => {
                    let is_news = message.date_updated >= known.date_updated
                        && (message.body != known.body
                            || message.attributes != known.attributes
                            || message.author != known.author);
                    is_news.then(|| match (message.delivery, known.delivery) {
                        (None, Some(_)) => {
                            Arc::new(Message { delivery: known.delivery, ..(**message).clone() })
                        }
                        _ => Arc::clone(message),
                    })
                }
            };
            newer.clone().map_or(Op::Nop, |newer| Op::Put(Some(newer)))
        });
        let newer = self.deliveries.laid_over(&newer?);
        self.replace(&newer);
        Some(newer)
    }

    /// Puts another version of a message in its place, if it is in memory.
    pub(super) fn replace(&self, message: &Arc<Message>) {
        let Some(window) = self.windows.get(&message.conversation_sid) else { return };
        match window.state.lock().messages.get_mut(&message.index) {
            Some(place) => *place = Arc::clone(message),
            None => return,
        }
        if weight(message) > WEIGHED_AT {
            self.weigh(message.conversation_sid, &window);
        }
    }

    /// Whether the message is known to carry only a file of another.
    pub(super) fn is_known_part(&self, conversation: ConversationSid, message: MessageSid) -> bool {
        self.deliveries.is_part(message)
            || self.find_by_sid(conversation, message).is_some_and(|known| is_part(&known))
    }

    /// Forgets a deleted message.
    pub(super) fn remove(&self, conversation: ConversationSid, message: MessageSid) {
        self.changes.insert(message, None);
        if let Some(window) = self.windows.get(&conversation) {
            window.state.lock().messages.retain(|_, known| known.sid != message);
        }
    }

    /// Forgets a conversation.
    pub(super) fn forget(&self, conversation: ConversationSid) {
        self.windows.invalidate(&conversation);
    }

    /// Starts the window of a conversation that was made just now: it is known to be empty.
    pub(super) fn begin(&self, conversation: ConversationSid) {
        let window = self.window(conversation);
        let mut state = window.state.lock();
        if state.floor.is_none() && window.read.set(()).is_ok() {
            state.floor = Some(0);
            state.older.insert(0, Older::None);
        }
    }

    fn window(&self, conversation: ConversationSid) -> Arc<Window> {
        self.windows.get_with(conversation, Arc::default)
    }

    fn find(&self, message: &Message) -> Option<Arc<Message>> {
        self.windows.get(&message.conversation_sid)?.state.lock().messages.get(&message.index).cloned()
    }

    /// The message if it is in memory.
    pub(super) fn find_by_sid(
        &self,
        conversation: ConversationSid,
        message: MessageSid,
    ) -> Option<Arc<Message>> {
        let window = self.windows.get(&conversation)?;
        let state = window.state.lock();
        state.messages.values().rev().find(|known| known.sid == message).cloned()
    }

    /// The newest message in memory that `fits`.
    pub(super) fn find_newest(
        &self,
        conversation: ConversationSid,
        fits: impl Fn(&Message) -> bool,
    ) -> Option<Arc<Message>> {
        let window = self.windows.get(&conversation)?;
        let state = window.state.lock();
        state.messages.values().rev().find(|known| fits(known)).cloned()
    }

    /// Merges a page (newest first) that reaches down from index `below`; `below: None` for the newest page.
    /// Gives back where to read on.
    fn merge(
        &self,
        window: &Window,
        below: Option<i64>,
        page: &[Message],
        next: Option<NextPage>,
    ) -> Option<Place> {
        let lowest = page.iter().map(|message| message.index).min();
        let floor = lowest.or(below).unwrap_or(0);
        let next = next.map(Arc::new);
        // The oldest first: a message that names its parts comes after them.
        page.iter().rev().for_each(|message| self.deliveries.note(message));
        let mut state = window.state.lock();
        state.older.insert(floor, next.clone().map_or(Older::None, Older::Page));
        let adjoins = below == state.floor;
        let next = next.map(|next| (floor, next));
        let is_newest = below.is_none();
        if !adjoins || (!is_newest && state.messages.len() + page.len() > WINDOW_AT_MOST) {
            return next; // read, but not kept: only where its next page begins
        }
        state.floor = Some(floor);
        for message in page {
            match self.changes.get(&message.sid) {
                Some(None) => {}
                Some(Some(changed)) if changed.date_updated >= message.date_updated => {
                    state.messages.insert(message.index, self.deliveries.laid_over(&changed));
                }
                Some(Some(_)) | None => {
                    let read = || self.deliveries.laid_over(&Arc::new(message.clone()));
                    state.messages.entry(message.index).or_insert_with(read);
                }
            }
        }
        next
    }
}

/// Counts from when a window was made, however often it is weighed since.
struct WindowExpiry;

impl Expiry<ConversationSid, Arc<Window>> for WindowExpiry {
    fn expire_after_create(&self, _: &ConversationSid, _: &Arc<Window>, _: Instant) -> Option<Duration> {
        Some(WINDOW_FOR)
    }
}

/// Bytes that a message takes up in memory, about.
pub(super) fn weight(message: &Message) -> u32 {
    let of_file = |file: &MessageMedia| {
        size_of_val(file)
            + file.content_type.as_ref().map_or(0, String::len)
            + file.filename.as_ref().map_or(0, String::len)
    };
    let bytes = size_of_val(message)
        + message.author.len()
        + message.body.as_ref().map_or(0, String::len)
        + message.attributes.len()
        + message.media.iter().map(of_file).sum::<usize>();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Window {
    fn weight(&self) -> u32 {
        let state = self.state.lock();
        state.messages.values().map(|message| weight(message)).fold(0, u32::saturating_add)
    }

    /// What memory holds of `span`, newest first, and where to read on if that is not all of it.
    fn gather(&self, span: Span) -> (Vec<Arc<Message>>, Option<Place>) {
        let state = self.state.lock();
        let floor = state.floor.unwrap_or(0);
        let below = span.before.unwrap_or(i64::MAX);
        let found: Vec<_> = state
            .messages
            .range(floor.min(below)..below)
            .rev()
            .filter(|(_, message)| !is_part(message))
            .take(span.limit)
            .map(|(_, m)| Arc::clone(m))
            .collect();
        if found.len() == span.limit {
            return (found, None);
        }
        // The nearest known place from which pages reach below what was found.
        let next = match state.older.range(below.min(floor)..).next() {
            Some((from, Older::Page(next))) => Some((*from, Arc::clone(next))),
            Some((_, Older::None)) | None => None,
        };
        (found, next)
    }
}

impl Core {
    /// The messages of `span`, oldest first, as `caller` may read them.
    ///
    /// Costs no Twilio call when they are in memory, else one per 100 messages walked, from whichever end is nearer.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`], [`Error::NotAMember`], [`Error::Unavailable`]; [`Error::Invalid`] when `before`
    /// is so far from both ends that it must be reached by paging.
    pub async fn messages(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        span: Span,
    ) -> Result<Vec<Arc<Message>>, Error> {
        self.ensure_member(caller, conversation).await?;
        self.history_of(conversation, span).await
    }

    pub(super) async fn history_of(
        &self,
        conversation: ConversationSid,
        span: Span,
    ) -> Result<Vec<Arc<Message>>, Error> {
        self.conversations.ensure_not_unknown(conversation)?;
        let window = self.history.window(conversation);
        let read = window
            .read
            .get_or_try_init(|| async {
                let page = self
                    .twilio
                    .list_messages(conversation, Order::NewestFirst, PAGE)
                    .await
                    .map_err(or_not_found(Error::ConversationNotFound))?;
                self.history.merge(&window, None, &page.items, page.next);
                self.history.weigh(conversation, &window);
                self.index_page(conversation, &window);
                Ok::<_, Error>(())
            })
            .await;
        self.conversations.note_found(conversation, read)?;
        let (mut found, mut next) = window.gather(span);
        let below = span.before.unwrap_or(i64::MAX);
        let mut walk = Walk::begin();
        if next.as_ref().is_some_and(|(from, _)| below < from.saturating_sub(below)) {
            return self.read_from_the_beginning(conversation, span.limit, below, walk).await;
        }
        while let Some((from, page)) = next.take() {
            walk.step()?;
            let page = self
                .twilio
                .next_messages(conversation, &page)
                .await
                .map_err(or_not_found(Error::ConversationNotFound))?;
            let room = span.limit - found.len();
            let fits = page.items.iter().filter(|message| message.index < below && !is_part(message));
            found.extend(fits.take(room).cloned().map(Arc::new));
            let older = self.history.merge(&window, Some(from), &page.items, page.next);
            if found.len() < span.limit {
                next = older;
            }
        }
        if walk.pages > 0 {
            self.history.weigh(conversation, &window);
            self.index_page(conversation, &window);
        }
        found.reverse();
        Ok(found)
    }

    /// The last `limit` messages below an index, oldest first, read from the oldest on.
    async fn read_from_the_beginning(
        &self,
        conversation: ConversationSid,
        limit: usize,
        below: i64,
        mut walk: Walk,
    ) -> Result<Vec<Arc<Message>>, Error> {
        let mut found = VecDeque::with_capacity(limit);
        let mut next = None;
        loop {
            walk.step()?;
            let page = match next {
                None => self.twilio.list_messages(conversation, Order::OldestFirst, PAGE).await,
                Some(next) => self.twilio.next_messages(conversation, &next).await,
            };
            let page = page.map_err(or_not_found(Error::ConversationNotFound))?;
            let there = page.items.last().is_none_or(|message| message.index + 1 >= below);
            let fits = |message: &Message| message.index < below && !is_part(message);
            for message in page.items.into_iter().filter(fits) {
                if found.len() == limit {
                    found.pop_front();
                }
                found.push_back(Arc::new(message));
            }
            next = page.next.filter(|_| !there);
            if next.is_none() {
                return Ok(found.into());
            }
        }
    }

    /// Every message above `index` that can be had in one page, oldest first, and whether those are all there are.
    ///
    /// # Errors
    /// As [`Core::messages`].
    pub async fn messages_since(
        &self,
        caller: &Caller,
        conversation: ConversationSid,
        index: i64,
    ) -> Result<(Vec<Arc<Message>>, bool), Error> {
        let newest =
            self.messages(caller, conversation, Span { limit: usize::from(PAGE), before: None }).await?;
        let all = newest.len() < usize::from(PAGE)
            || newest.first().is_none_or(|oldest| oldest.index <= index.saturating_add(1));
        Ok((newest.into_iter().filter(|message| message.index > index).collect(), all))
    }

    /// The index learns what the window knows.
    fn index_page(&self, conversation: ConversationSid, window: &Window) {
        let state = window.state.lock();
        let known_from = match state.floor {
            Some(floor) if matches!(state.older.get(&floor), Some(Older::None)) => 0,
            Some(floor) => floor,
            None => return,
        };
        self.index_messages(conversation, state.messages.values(), known_from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONVERSATION: &str = "CH0123456789abcdef0123456789abcdef";

    fn message(index: i64, body_bytes: usize) -> Arc<Message> {
        let message = serde_json::json!({
            "sid": format!("IM{index:032x}"),
            "conversation_sid": CONVERSATION,
            "index": index,
            "author": "alice",
            "body": "x".repeat(body_bytes),
            "date_created": "2025-12-17T10:30:00Z",
            "date_updated": "2025-12-17T10:30:00Z",
        });
        Arc::new(serde_json::from_value(message).unwrap())
    }

    #[test]
    fn a_window_weighs_what_is_in_it() {
        let history = History::new();
        let weighed = || {
            history.windows.run_pending_tasks();
            history.windows.weighted_size()
        };
        history.take_in(&message(1, 10));
        assert_eq!(weighed(), u64::from(WINDOWS_BYTES / WINDOWS_AT_MOST), "at least");
        for index in 2..102 {
            history.take_in(&message(index, 32 * 1024));
        }
        assert!((100 * 32 * 1024..110 * 32 * 1024).contains(&weighed()), "{}", weighed());
        history.take_in_change(&message(1, 32 * 1024));
        assert!(weighed() >= 101 * 32 * 1024, "{}", weighed());
        history.forget(CONVERSATION.parse().unwrap());
        assert_eq!(weighed(), 0);
    }

    #[test]
    fn long_messages_that_are_edited_do_not_fill_the_memory() {
        let history = History::new();
        for index in 0..4_000 {
            history.take_in_change(&message(index, 32 * 1024));
        }
        history.changes.run_pending_tasks();
        assert!(history.changes.weighted_size() <= u64::from(CHANGES_BYTES));
        assert!(history.changes.entry_count() > 1_000, "{}", history.changes.entry_count());
    }
}
