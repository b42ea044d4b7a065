//! Whom somebody may want to talk to: everybody of the directory but themselves and whom a block keeps away, the most
//! likely first.
//!
//! The order: who shares the most contacts, who is here, with whom something was exchanged last, then by name. A search
//! finds a text anywhere in a name or in what people say about themselves, whatever its case and accents; names come first.
//!
//! Twilio is never asked. Search keys of everybody are kept in memory (`index.rs`: about 350 bytes a person, for at most
//! [`PEOPLE_AT_MOST`]), read from the database when first needed and then kept up with what changed there, so that nodes
//! that share a database agree within [`FRESH_FOR`]. Everything about the caller comes from the database for each search.

mod index;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::{ConversationSid, Core, Error, Page, PageOf, Peer, search_key};
use crate::auth::{Caller, Identity};
use index::{Index, Standing};
pub use index::{Ranking, SortBy};

/// People in the directory's memory. Whoever was last told of after so many others is not suggested.
const PEOPLE_AT_MOST: usize = 1_000_000;
/// How long what was read of everybody serves.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Changes up to so many seconds old are read again, because clocks of nodes differ and writes take time.
const OVERLAP_SECONDS: i64 = 10;
/// People read in one query.
const READ_AT_ONCE: i64 = 10_000;
/// People whose mutual contacts are kept in memory, and for how long.
const MUTUAL_AT_MOST: u64 = 2_000;
const MUTUAL_FOR: Duration = Duration::from_secs(10);

/// Somebody the caller may want to talk to.
#[derive(Debug, Clone)]
pub struct Suggestion {
    /// Who.
    pub peer: Peer,
    /// How many contacts both have.
    pub mutual_friends: u32,
    /// The conversation of the two.
    pub conversation: Option<ConversationSid>,
}

/// Who is looked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What their name or what they say about themselves contains; `None`: anything.
    pub text: Option<String>,
    /// In which order.
    pub ranking: Ranking,
    /// Which part.
    pub part: PageOf,
}

/// The directory in memory.
pub(super) struct Directory {
    index: Arc<RwLock<Index>>,
    progress: Mutex<Progress>,
    /// One reads at a time.
    reading: tokio::sync::Mutex<()>,
    mutual: Cache<Identity, Arc<Vec<(Identity, u32)>>>,
}

/// How far the database was read.
#[derive(Debug, Clone, Copy)]
struct Progress {
    read_at: Option<Instant>,
    /// Unix seconds: what changed since is to be read.
    since: i64,
}

impl Directory {
    pub(super) fn new() -> Self {
        Self {
            index: Arc::default(),
            progress: Mutex::new(Progress { read_at: None, since: i64::MIN }),
            reading: tokio::sync::Mutex::default(),
            mutual: Cache::builder().max_capacity(MUTUAL_AT_MOST).time_to_live(MUTUAL_FOR).build(),
        }
    }

    /// Somebody changed through us: the next search is to know.
    pub(super) fn changed(&self) {
        self.progress.lock().read_at = None;
    }

    /// What `look` makes of the index. A hundred thousand people take milliseconds: too long for a thread that serves
    /// sockets.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Index) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let index = Arc::clone(&self.index);
        aside(move || look(&index.read())).await
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Index) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let index = Arc::clone(&self.index);
        aside(move || change(&mut index.write())).await
    }

    fn is_fresh(&self) -> bool {
        self.progress.lock().read_at.is_some_and(|at| at.elapsed() < FRESH_FOR)
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        // What it panicked with may quote what somebody wrote.
        tracing::error!("looking through the directory panicked");
        Error::Internal
    })
}

impl Core {
    /// Whom the caller may want to talk to, and how many there are. No Twilio call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn suggestions(&self, caller: &Caller, wanted: Wanted) -> Result<Page<Suggestion>, Error> {
        let me = caller.person()?;
        self.refresh_directory().await?;
        let mutual = self.mutual_friends(me).await?;
        let partners = self.partners_of(me).await?;
        let conversations: HashMap<_, _> =
            partners.iter().map(|partner| (partner.identity.clone(), partner.conversation)).collect();
        let newest = self.known_last_messages(&conversations.values().copied().collect::<Vec<_>>()).await;
        let mut special: HashMap<Identity, Standing> = HashMap::new();
        for (identity, count) in mutual.iter() {
            special.entry(identity.clone()).or_default().mutual = *count;
        }
        for (identity, sid) in &conversations {
            let exchanged = newest.get(sid).map_or(1, |message| message.date_created.timestamp());
            special.entry(identity.clone()).or_default().exchanged = exchanged;
        }
        for identity in self.presence.everybody().into_iter().chain(self.people.everybody_at_twilio()) {
            special.entry(identity).or_default().online = true;
        }
        let mut kept_out: HashSet<_> = self.blocked_either_way(me).await?.into_iter().collect();
        kept_out.insert(me.clone());
        let text = wanted.text.as_deref().map(search_key).filter(|text| !text.is_empty());
        let Wanted { ranking, part, .. } = wanted;
        let rank = move |index: &Index| index.page(&special, &kept_out, text.as_deref(), ranking, part);
        let ranked = self.directory.look(rank).await?;
        let identities: Vec<_> = ranked.items.iter().map(|(identity, _)| identity.clone()).collect();
        let peers = self.peers(&identities).await?;
        let items = peers.into_iter().zip(ranked.items).map(|(peer, (identity, mutual_friends))| {
            Suggestion { peer, mutual_friends, conversation: conversations.get(&identity).copied() }
        });
        Ok(Page { items: items.collect(), total: ranked.total })
    }

    /// Who shares contacts with `me`, and how many.
    async fn mutual_friends(&self, me: &Identity) -> Result<Arc<Vec<(Identity, u32)>>, Error> {
        let read = async {
            let rows = self.store.mutual_contacts(me.as_str()).await?;
            let parse = |(owner, count): (String, i64)| {
                Some((Identity::try_from(owner).ok()?, u32::try_from(count).ok()?))
            };
            Ok::<_, Error>(Arc::new(rows.into_iter().filter_map(parse).collect()))
        };
        let mutual = self.directory.mutual.try_get_with(me.clone(), read).await;
        mutual.map_err(|error| (*error).clone())
    }

    /// Takes in what changed in the directory of the database since it was last read.
    async fn refresh_directory(&self) -> Result<(), Error> {
        if self.directory.is_fresh() {
            return Ok(());
        }
        let _one = self.directory.reading.lock().await;
        if self.directory.is_fresh() {
            return Ok(()); // somebody else has read meanwhile
        }
        let since = self.directory.progress.lock().since;
        let now = self.clock.now().timestamp();
        let (mut after, mut seen) = ((since, String::new()), Vec::new());
        loop {
            let rows = self.store.listed_since((after.0, &after.1), READ_AT_ONCE).await?;
            let all = i64::try_from(rows.len()).unwrap_or(i64::MAX) < READ_AT_ONCE;
            if let Some(last) = rows.last() {
                after = (last.updated_at, last.identity.clone());
                if !self.directory.change(move |index| index.take_in(rows, PEOPLE_AT_MOST)).await? {
                    tracing::warn!(
                        "there are more people than the directory holds; the latest are not suggested"
                    );
                    break;
                }
            }
            if all {
                break;
            }
        }
        if since > i64::MIN {
            seen = self.store.seen_since(since).await?;
        }
        let settle = move |index: &mut Index| {
            index.note_seen(&seen);
            index.settle();
        };
        self.directory.change(settle).await?;
        *self.directory.progress.lock() =
            Progress { read_at: Some(Instant::now()), since: now - OVERLAP_SECONDS };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::LogFormat;
    use crate::telemetry::tests::logged;

    #[test]
    fn what_a_panic_says_stays_out_of_the_log() {
        let written = logged(LogFormat::Text, "info", || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let failed: Result<(), Error> = runtime.block_on(aside(|| panic!("canary")));
            assert!(matches!(failed, Err(Error::Internal)));
        });
        assert!(written.contains("panicked") && !written.contains("canary"), "{written}");
    }
}
