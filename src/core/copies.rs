//! Copies of files: Twilio takes a file in one message only, so one that is sent again (forwarded, or after a send that
//! failed) is stored once more.
//!
//! Its content comes from the temporary address that Twilio gives out, and goes the way of every upload.

use std::time::Duration;

use super::{Arriving, Core, Error, MediaSid, UPLOAD_BYTES};
use crate::auth::Caller;

/// How long copying one file may take.
const COPIED_WITHIN: Duration = Duration::from_secs(5);

impl Core {
    /// The file once more, in no message yet; `None` if it cannot be had. Two Twilio calls, and a download.
    pub(super) async fn copy_file(&self, caller: &Caller, file: MediaSid) -> Option<MediaSid> {
        let copying = async {
            let copy = self.download(file).await?;
            Ok(self.store_upload(caller, copy, None).await?.sid)
        };
        let copied = tokio::time::timeout(COPIED_WITHIN, copying).await;
        match copied.unwrap_or(Err(Error::Unavailable { retry_after: None })) {
            Ok(copy) => Some(copy),
            Err(error) => {
                metrics::counter!("switchboard_files_not_copied_total").increment(1);
                tracing::warn!(%error, "a file that is in a message already could not be copied and stays a link");
                None
            }
        }
    }

    async fn download(&self, file: MediaSid) -> Result<Arriving, Error> {
        let content = self.content(file).await?;
        if content.size > UPLOAD_BYTES {
            return Err(Error::TooLarge);
        }
        let mut copy = self.expect_fetched().await?;
        let mut content = self.twilio.download_media(&content.url).await?;
        while let Some(piece) = content.piece().await? {
            copy.write(&piece).await?;
        }
        Ok(copy)
    }
}
