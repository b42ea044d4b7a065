//! Media at Twilio: pictures that come as base64 text, and links to what is stored.
//!
//! Links of ours point at the media endpoint, which redirects to Twilio's temporary link, so they do not die.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use url::Url;

use super::error::or_not_found;
use super::participants::NewParticipant;
use super::{Core, Error, MediaSid};
use crate::twilio::Media;

/// Bytes of a person's picture, decoded.
const PICTURE_BYTES: usize = 512 * 1024;
/// Bytes of a link to a picture, as JSON: with a name it must fit into a participant's attributes (4 KiB).
const LINK_BYTES: usize = 2_048;

/// A file at Twilio.
#[derive(Debug, Clone)]
pub struct MediaContent {
    /// Its MIME type.
    pub content_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it can be fetched by anybody, for some minutes.
    pub url: Url,
}

/// Makes our own lasting links to files: they redirect to Twilio's temporary ones.
#[derive(Debug, Clone)]
pub struct MediaLinks {
    base: String,
}

impl MediaLinks {
    /// For a service that is reached at `public_url`.
    #[must_use]
    pub fn new(public_url: &Url) -> Self {
        Self { base: public_url.as_str().trim_end_matches('/').to_owned() }
    }

    /// The link to `media`.
    #[must_use]
    pub fn of(&self, media: MediaSid) -> String {
        format!("{}/api/conversations/media/{media}/content?redirect=1", self.base)
    }
}

impl Core {
    /// The file and a fresh temporary link to it. One Twilio call.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`], [`Error::Unavailable`].
    pub async fn media_content(&self, media: MediaSid) -> Result<MediaContent, Error> {
        let found = self.twilio.fetch_media(media).await.map_err(or_not_found(Error::MediaNotFound))?;
        let url = found.temporary_url().cloned().ok_or(Error::MediaNotFound)?;
        Ok(MediaContent { content_type: found.content_type, size: found.size, url })
    }

    /// Our own lasting links to files.
    #[must_use]
    pub fn media_links(&self) -> &MediaLinks {
        &self.media_links
    }

    /// The same people, every picture a link.
    pub(super) async fn with_picture_links(
        &self,
        mut people: Vec<NewParticipant>,
    ) -> Result<Vec<NewParticipant>, Error> {
        for person in &mut people {
            if let Some(picture) = person.image.take() {
                person.image = Some(self.picture_link("image", picture).await?);
            }
        }
        Ok(people)
    }

    /// The picture as something short: a base64 one is stored at Twilio first, one call.
    async fn picture_link(&self, field: &'static str, picture: String) -> Result<String, Error> {
        match read_picture(field, &picture)? {
            Picture::Link => Ok(picture),
            Picture::Bytes { bytes, content_type } => {
                let stored: Media = self.twilio.upload_media(bytes, content_type, None).await?;
                Ok(self.media_links.of(stored.sid))
            }
        }
    }
}

/// Whether `picture` is one: a link, the app's own short name for one, or base64 of a PNG, JPEG, GIF or WebP picture.
/// Asked before anything is done.
///
/// # Errors
/// [`Error::Invalid`] naming `field`.
pub fn check_picture(field: &'static str, picture: &str) -> Result<(), Error> {
    read_picture(field, picture).map(drop)
}

enum Picture {
    /// Goes as it is.
    Link,
    /// Came as base64, with or without `data:…;base64,`.
    Bytes { bytes: Bytes, content_type: &'static str },
}

fn read_picture(field: &'static str, picture: &str) -> Result<Picture, Error> {
    let labelled =
        picture.strip_prefix("data:").map(|data| data.split_once(";base64,").map_or("", |(_, text)| text));
    let bytes = STANDARD.decode(labelled.unwrap_or(picture).trim()).unwrap_or_default();
    // What the bytes say, not what the label says; SVG can carry script and is not among them.
    let kind = infer::get(&bytes).map(|kind| kind.mime_type());
    match kind.filter(|kind| ["image/png", "image/jpeg", "image/gif", "image/webp"].contains(kind)) {
        Some(_) if bytes.len() > PICTURE_BYTES => Err(Error::invalid(field, "must be at most 512 KiB")),
        Some(content_type) => Ok(Picture::Bytes { bytes: bytes.into(), content_type }),
        None if labelled.is_none() && bytes_as_json(picture) <= LINK_BYTES => Ok(Picture::Link),
        None => Err(Error::invalid(field, "must be a link or a base64 PNG, JPEG, GIF or WebP picture")),
    }
}

/// The length of `text` in JSON, where some characters take up to six bytes.
fn bytes_as_json(text: &str) -> usize {
    serde_json::to_string(text).map_or(usize::MAX, |json| json.len() - 2)
}
