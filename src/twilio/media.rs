//! Files: uploaded first, then named in a message, then downloaded from an address that expires.
//!
//! Another host than the rest (`mcs.us1.twilio.com`), with the same credentials. Which files are allowed is not decided
//! here.
//!
//! Source: <https://www.twilio.com/docs/conversations/media-support-conversations>

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use url::Url;

use super::call::{Call, Content, Service, Source, Verb, query};
use super::{Client, ConversationSid, Error, MediaSid, lenient};

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// To name it in a message, and to fetch it with.
    pub sid: MediaSid,
    /// Its MIME type.
    pub content_type: String,
    /// In bytes.
    pub size: u64,
    /// As it was uploaded.
    pub filename: Option<String>,
    /// The conversation with the message that it was sent with, once it was.
    #[serde(default, rename = "channel_sid", deserialize_with = "lenient::or_default")]
    pub conversation_sid: Option<ConversationSid>,
    /// Where it can be had.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub links: MediaLinks,
}

/// Where a file can be had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaLinks {
    /// Signed, and good for a while; new with each fetch. To be opened without credentials.
    pub content_direct_temporary: Option<Url>,
}

impl Media {
    /// Where anyone can download the file for a while.
    pub fn temporary_url(&self) -> Option<&Url> {
        self.links.content_direct_temporary.as_ref()
    }

    /// Until when, in unix seconds, as far as the address says.
    pub fn temporary_until(&self) -> Option<i64> {
        let (_, expires) = self.temporary_url()?.query_pairs().find(|(name, _)| name == "Expires")?;
        expires.parse().ok()
    }
}

/// A file on its way from Twilio.
#[derive(Debug)]
pub struct Downloading(reqwest::Response);

impl Downloading {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        self.0.chunk().await.map_err(|error| Error::Unreachable(super::answer::reason(&error)))
    }
}

/// Bytes of a file that are in memory at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A file that is sent from disk, whatever its size a piece at a time, and from its beginning with every try.
#[derive(Debug, Clone)]
pub struct FileOnDisk {
    file: Arc<File>,
    size: u64,
}

impl FileOnDisk {
    /// The first `size` bytes of `file`.
    #[must_use]
    pub fn new(file: File, size: u64) -> Self {
        Self { file: Arc::new(file), size }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn body(self) -> reqwest::Body {
        let chunks = futures::stream::try_unfold(0, move |offset: u64| {
            let file = Arc::clone(&self.file);
            let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let reading = move || {
                    let mut chunk = vec![0; left.min(CHUNK_BYTES)];
                    file.read_exact_at(&mut chunk, offset).map(|()| chunk)
                };
                let chunk = tokio::task::spawn_blocking(reading).await.map_err(io::Error::other)??;
                let next = offset + chunk.len() as u64;
                Ok::<_, io::Error>(Some((Frame::data(Bytes::from(chunk)), next)))
            }
        });
        reqwest::Body::wrap(StreamBody::new(chunks))
    }
}

impl Client {
    /// Stores a small file that is in no message yet.
    ///
    /// # Errors
    /// As [`Client::upload_file`].
    pub async fn upload_media(
        &self,
        bytes: Bytes,
        content_type: &str,
        filename: Option<&str>,
    ) -> Result<Media, Error> {
        self.upload(Source::Bytes(bytes), content_type, filename).await
    }

    /// Stores a file that is in no message yet.
    ///
    /// # Errors
    /// [`Error::Refused`] with status 400 if `content_type` cannot be a header. After [`Error::Ambiguous`] trying again at
    /// worst leaves a file that no message names.
    pub async fn upload_file(
        &self,
        file: FileOnDisk,
        content_type: &str,
        filename: Option<&str>,
    ) -> Result<Media, Error> {
        self.upload(Source::File(file), content_type, filename).await
    }

    async fn upload(
        &self,
        source: Source,
        content_type: &str,
        filename: Option<&str>,
    ) -> Result<Media, Error> {
        let content_type = HeaderValue::try_from(content_type).map_err(|_| Error::Refused {
            status: 400,
            code: None,
            message: "the content type cannot be a header".to_owned(),
        })?;
        let query = match filename {
            Some(filename) => query(&[("Category", "media"), ("Filename", filename)]),
            None => query(&[("Category", "media")]),
        };
        self.send(Call {
            operation: "media.upload",
            verb: Verb::Create,
            service: Service::Media,
            path: "Media".into(),
            query: Some(query),
            content: Some(Content { content_type, source }),
            announced: false,
        })
        .await
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none.
    pub async fn remove_media(&self, sid: MediaSid) -> Result<(), Error> {
        let call = Call::remove("media.remove", format!("Media/{sid}"));
        self.send_remove(Call { service: Service::Media, ..call.silent() }).await
    }

    /// Begins to download a file from its temporary address, without our credentials.
    ///
    /// # Errors
    /// [`Error::Unreachable`], also when the address has expired.
    pub async fn download_media(&self, temporary: &Url) -> Result<Downloading, Error> {
        self.open(temporary.clone()).await.map(Downloading)
    }

    /// What Twilio knows of a file, with a new temporary address for it.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none.
    pub async fn fetch_media(&self, sid: MediaSid) -> Result<Media, Error> {
        self.send(Call { service: Service::Media, ..Call::fetch("media.fetch", format!("Media/{sid}")) })
            .await
    }
}
