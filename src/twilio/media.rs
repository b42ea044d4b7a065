//! Files: uploaded first, then named in a message, then downloaded from an address that expires.
//!
//! Another host than the rest (`mcs.us1.twilio.com`), with the same credentials. Which files are allowed is not decided
//! here.
//!
//! Source: <https://www.twilio.com/docs/conversations/media-support-conversations>

use bytes::Bytes;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use url::Url;

use super::call::{Call, Content, Service, Verb, query};
use super::{Client, Error, MediaSid, lenient};

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
}

impl Client {
    /// Stores a file that is in no message yet.
    ///
    /// # Errors
    /// [`Error::Refused`] with status 400 if `content_type` cannot be a header. After [`Error::Ambiguous`] trying again at
    /// worst leaves a file that no message names.
    pub async fn upload_media(
        &self,
        bytes: Bytes,
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
            content: Some(Content { content_type, bytes }),
            announced: false,
        })
        .await
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
