//! Ingest: a file that a message only links to is fetched and stored at Twilio, so that phones and Twilio's SDK get the file
//! itself. One that cannot be had stays a link, and its sender is told.
//!
//! Where it may be fetched from is `fetch`'s decision, what it must be `file_type.rs`'.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::{Arriving, ConversationSid, Core, Error, MediaSid, UPLOAD_BYTES};
use crate::auth::Caller;
use crate::config::MediaIngest;

/// Files of one message fetched at once.
const FETCHED_AT_ONCE: usize = 3;
/// How long it may take in all to fetch the links of one message and to store what they lead to: the message itself must
/// still be sent before its sender gives up.
const INGEST_WITHIN: Duration = Duration::from_secs(5);

impl Core {
    /// Whether the links of a message to `conversation` are fetched.
    pub(super) async fn ingests_in(&self, conversation: ConversationSid) -> Result<bool, Error> {
        Ok(match self.media_ingest {
            MediaIngest::Never => false,
            MediaIngest::Always => true,
            MediaIngest::Auto => self.roster(conversation).await?.has_phone(),
        })
    }

    /// Stores what `links` lead to; `None` for each that could not be had in time. One that is given up while Twilio takes
    /// it in at worst leaves a file there that no message names.
    pub(super) async fn ingest(&self, caller: &Caller, links: &[String]) -> Vec<Option<MediaSid>> {
        let until = Instant::now() + INGEST_WITHIN;
        let fetching: Vec<_> = links.iter().map(|link| self.ingest_one(caller, link, until)).collect();
        futures::stream::iter(fetching).buffered(FETCHED_AT_ONCE).collect().await
    }

    async fn ingest_one(&self, caller: &Caller, link: &str, until: Instant) -> Option<MediaSid> {
        let ingested = async {
            let file = self.fetch(link).await?;
            let name = link.split(['?', '#']).next().and_then(|path| path.rsplit('/').next());
            self.store_upload(caller, file, name).await
        };
        let in_time = timeout_at(until, ingested).await;
        match in_time.unwrap_or_else(|_| Err(Error::invalid("media", "could not be fetched in time"))) {
            Ok(upload) => Some(upload.sid),
            Err(error) => {
                metrics::counter!("switchboard_links_not_ingested_total").increment(1);
                tracing::info!(%error, "a link in a message could not be fetched and stays one");
                None
            }
        }
    }

    async fn fetch(&self, link: &str) -> Result<Arriving, Error> {
        let not_fetched = |error: crate::fetch::NotFetched| {
            tracing::debug!(%error, "a link was not fetched");
            Error::invalid("media", "could not be fetched")
        };
        let mut fetched = self.fetcher.get(link).await.map_err(not_fetched)?;
        if fetched.announced_size().is_some_and(|size| size > UPLOAD_BYTES) {
            return Err(Error::TooLarge);
        }
        let mut file = self.expect_fetched().await?;
        while let Some(piece) = fetched.piece().await.map_err(not_fetched)? {
            file.write(&piece).await?;
        }
        Ok(file)
    }
}
