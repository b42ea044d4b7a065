//! Media at Twilio: links to what is stored, who may follow them, and pictures that come as base64 text. How a file gets
//! there is `uploads.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use moka::Expiry;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use url::Url;

use super::error::or_not_found;
use super::file_type::type_of;
use super::participants::NewParticipant;
use super::secret::Secret;
use super::{ConversationSid, Core, Error, Extras, MediaSid, Message};
use crate::auth::{AuthError, Caller, Identity};
use crate::clock::Clock;

/// Seconds for which a signed link stays good at least, and for which all links to a file are the same.
const LINK_FOR: i64 = 24 * 3600;
const LINK_STEP: i64 = 3600;
/// Files whose temporary link is kept, and for how many seconds at most.
const CONTENTS_AT_MOST: u64 = 10_000;
const CONTENT_FOR: i64 = 60;
/// Seconds before its end from which on a temporary link is not given out any more: whoever follows it needs some.
const MARGIN: i64 = 5;

/// Pictures that came as base64 text and are known, should they come again, and how long.
const PICTURES_AT_MOST: u64 = 10_000;
const PICTURE_FOR: Duration = Duration::from_secs(24 * 3600);
/// What a person's picture may be.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
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
    /// For how many seconds whoever has `url` may keep it.
    pub fresh_for: u64,
    /// Until when it is given out, in unix seconds.
    until: i64,
    /// The conversation with the message that shows it, if one does.
    shown_in: Option<ConversationSid>,
}

/// Our own lasting links to files: they redirect to Twilio's temporary ones, so they do not die.
///
/// Where callers must prove who they are, a link is signed and good for a day, because `<img src>` carries no token; a
/// message that is read again has fresh ones.
#[derive(Debug, Clone)]
pub struct MediaLinks {
    base: String,
    signer: Option<Arc<Signer>>,
}

/// What a signed link says in its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkProof {
    /// Until when it is good, in unix seconds.
    pub expires: i64,
    /// In hex.
    pub signature: String,
}

struct Signer {
    secret: Secret,
    clock: Clock,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// Tells the hashes of links from all others.
const LINK: &str = "media link";

impl Signer {
    fn sign(&self, media: MediaSid, expires: i64) -> String {
        self.secret.hash(LINK, &[&media.to_string(), &expires.to_string()])
    }

    fn signed(&self, media: MediaSid, proof: &LinkProof) -> bool {
        let signed = [&*media.to_string(), &proof.expires.to_string()];
        proof.expires >= self.clock.now().timestamp() && self.secret.is_hash(&proof.signature, LINK, &signed)
    }
}

impl MediaLinks {
    /// For a service that is reached at `public_url`. `secret`: signs the links, where a link alone is not to be enough for
    /// ever.
    pub(super) fn new(public_url: &Url, secret: Option<Secret>, clock: Clock) -> Self {
        let base = public_url.as_str().trim_end_matches('/').to_owned();
        Self { base, signer: secret.map(|secret| Arc::new(Signer { secret, clock })) }
    }

    /// The link to `media`, good from now on.
    #[must_use]
    pub fn of(&self, media: MediaSid) -> String {
        let Some(signer) = &self.signer else { return self.plain(media) };
        // The same link all hour long, so that browsers keep what they fetched with it.
        let hour = signer.clock.now().timestamp() / LINK_STEP;
        let expires = (hour + 1) * LINK_STEP + LINK_FOR;
        format!("{}?expires={expires}&signature={}", self.plain(media), signer.sign(media, expires))
    }

    /// The link to `media` that says only which file.
    pub(super) fn plain(&self, media: MediaSid) -> String {
        format!("{}/media/{media}", self.base)
    }

    /// The file and the proof that a link of ours names; `None` for any other link.
    pub(super) fn read(&self, link: &str) -> Option<(MediaSid, Option<LinkProof>)> {
        let (path, query) =
            link.strip_prefix(&self.base)?.split_once('?').unwrap_or((&link[self.base.len()..], ""));
        let media = path.strip_prefix("/media/")?.parse().ok()?;
        let value = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        let proof = value("expires").zip(value("signature")).and_then(|((_, expires), (_, signature))| {
            Some(LinkProof { expires: expires.parse().ok()?, signature: signature.into_owned() })
        });
        Some((media, proof))
    }

    /// Where the files of `message` can be fetched: the links it was sent with, as they are shown now, else those of its
    /// native files.
    #[must_use]
    pub fn of_message(&self, message: &Message, extras: &Extras) -> Vec<String> {
        if extras.media.is_empty() {
            return message.media.iter().map(|media| self.of(media.sid)).collect();
        }
        extras.media.iter().map(|link| self.shown(link)).collect()
    }

    /// `link` as it is shown now: one of ours good from now on, any other as it is.
    #[must_use]
    pub fn shown(&self, link: &str) -> String {
        match self.read(link) {
            Some((media, _)) => self.of(media),
            None => link.to_owned(),
        }
    }

    /// `link` as it is kept: one of ours says only which file, any other is as it is.
    pub(super) fn kept(&self, link: String) -> String {
        match self.read(&link) {
            Some((media, _)) => self.plain(media),
            None => link,
        }
    }

    /// Whether whoever has the link may fetch the file, whoever they are.
    fn suffices(&self, media: MediaSid, proof: Option<&LinkProof>) -> bool {
        let Some(signer) = &self.signer else { return true };
        proof.is_some_and(|proof| signer.signed(media, proof))
    }
}

/// Whether `query` is what a signed link has and a plain one has not.
pub(super) fn is_proof(query: &str) -> bool {
    let both = query.strip_prefix("?expires=").and_then(|rest| rest.split_once("&signature="));
    both.is_some_and(|(expires, signature)| {
        expires.bytes().all(|digit| digit.is_ascii_digit())
            && signature.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// What is known of files at Twilio.
pub(super) struct Files {
    contents: Cache<MediaSid, MediaContent>,
    /// By their SHA-256.
    pictures: Cache<[u8; 32], MediaSid>,
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            contents: Cache::builder().max_capacity(CONTENTS_AT_MOST).expire_after(WhileFresh).build(),
            pictures: Cache::builder().max_capacity(PICTURES_AT_MOST).time_to_live(PICTURE_FOR).build(),
        }
    }
}

/// Keeps a temporary link for as long as it is given out.
struct WhileFresh;

impl Expiry<MediaSid, MediaContent> for WhileFresh {
    fn expire_after_create(&self, _: &MediaSid, content: &MediaContent, _: Instant) -> Option<Duration> {
        Some(Duration::from_secs(content.fresh_for))
    }

    fn expire_after_update(
        &self,
        media: &MediaSid,
        content: &MediaContent,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(media, content, now)
    }
}

impl Core {
    /// The file and a temporary link to it, for whoever has a link of ours that suffices, uploaded it, or is in the
    /// conversation that shows it. One Twilio call, none for a minute after.
    ///
    /// # Errors
    /// [`Error::Auth`] without any of that and without a token, [`Error::MediaNotFound`] also for a stranger,
    /// [`Error::Unavailable`].
    pub async fn media_content(
        &self,
        caller: &Caller,
        media: MediaSid,
        proof: Option<&LinkProof>,
    ) -> Result<MediaContent, Error> {
        if !self.media_links.suffices(media, proof) && !caller.is_admin() {
            self.ensure_may_fetch(caller, media).await?;
        }
        self.content(media).await
    }

    pub(super) async fn content(&self, media: MediaSid) -> Result<MediaContent, Error> {
        let fetch = async {
            let found = self.twilio.fetch_media(media).await.map_err(or_not_found(Error::MediaNotFound))?;
            let url = found.temporary_url().cloned().ok_or(Error::MediaNotFound)?;
            let shown_in = found.conversation_sid;
            let latest = self.clock.now().timestamp() + CONTENT_FOR;
            let until = found.temporary_until().map_or(latest, |until| latest.min(until - MARGIN));
            let fresh_for = self.fresh_for(until);
            Ok(MediaContent {
                content_type: found.content_type,
                size: found.size,
                url,
                fresh_for,
                until,
                shown_in,
            })
        };
        let found = self.files.contents.try_get_with(media, fetch).await;
        let mut content = found.map_err(|error: Arc<Error>| (*error).clone())?;
        content.fresh_for = self.fresh_for(content.until);
        Ok(content)
    }

    fn fresh_for(&self, until: i64) -> u64 {
        u64::try_from(until - self.clock.now().timestamp()).unwrap_or_default()
    }

    async fn ensure_may_fetch(&self, caller: &Caller, media: MediaSid) -> Result<(), Error> {
        let Some(identity) = caller.identity() else { return Err(AuthError::Missing.into()) };
        let known = self.store.find_media(&media.to_string()).await.map_err(|error| {
            tracing::warn!(%error, "whose a file is cannot be found out");
            Error::Unavailable { retry_after: None }
        })?;
        let owner = known.as_ref().and_then(|known| known.owner.as_deref());
        if owner == Some(identity.as_str()) {
            return Ok(());
        }
        let shown_in = match known.and_then(|known| known.conversation_sid?.parse().ok()) {
            Some(conversation) => conversation,
            // Sent before this service was here, or while it was away: Twilio knows where.
            None => {
                let conversation = self.content(media).await?.shown_in.ok_or(Error::MediaNotFound)?;
                self.remember_media(media, None, Some(conversation)).await;
                conversation
            }
        };
        match self.ensure_member(caller, shown_in).await {
            // A stranger does not even learn that there is such a file.
            Err(Error::NotAMember | Error::ConversationNotFound) => Err(Error::MediaNotFound),
            outcome => outcome,
        }
    }

    /// For each of `links` the file of ours that it leads to, which `caller` may show to others; the links become what is
    /// kept.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`] for a file that the caller may not fetch.
    pub(super) async fn own_files(
        &self,
        caller: &Caller,
        links: &mut [String],
    ) -> Result<Vec<Option<MediaSid>>, Error> {
        let mut files = Vec::with_capacity(links.len());
        for link in links {
            let Some((media, proof)) = self.media_links.read(link) else {
                files.push(None);
                continue;
            };
            if !self.media_links.suffices(media, proof.as_ref()) && !caller.is_admin() {
                self.ensure_may_fetch(caller, media).await?;
            }
            *link = self.media_links.plain(media);
            files.push(Some(media));
        }
        Ok(files)
    }

    /// Our own lasting links to files.
    #[must_use]
    pub fn media_links(&self) -> &MediaLinks {
        &self.media_links
    }

    /// The same people, every picture a link; what is stored for it is `owner`'s.
    pub(super) async fn with_picture_links(
        &self,
        mut people: Vec<NewParticipant>,
        owner: Option<&Identity>,
    ) -> Result<Vec<NewParticipant>, Error> {
        for person in &mut people {
            if let Some(picture) = person.image.take() {
                person.image = Some(self.picture_link("image", picture, owner).await?);
            }
        }
        Ok(people)
    }

    /// The picture as something short: a base64 one is stored at Twilio first as `owner`'s, one call, none when it was stored
    /// lately.
    pub(super) async fn picture_link(
        &self,
        field: &'static str,
        picture: String,
        owner: Option<&Identity>,
    ) -> Result<String, Error> {
        match read_picture(field, &picture)? {
            Picture::Link => Ok(self.media_links.kept(picture)),
            Picture::Bytes { bytes, content_type } => {
                let hash: [u8; 32] = Sha256::digest(&bytes).into();
                let store = async {
                    let stored = self.twilio.upload_media(bytes, content_type, None).await?;
                    self.remember_media(stored.sid, owner, None).await;
                    Ok(stored.sid)
                };
                let stored = self.files.pictures.try_get_with(hash, store).await;
                let sid = stored.map_err(|error: Arc<Error>| (*error).clone())?;
                Ok(self.media_links.plain(sid))
            }
        }
    }
}

/// Whether a browser would run `link`, or look into its own machine, instead of fetching a picture.
fn is_active(link: &str) -> bool {
    let active = ["javascript", "vbscript", "data", "blob", "file"];
    Url::parse(link).is_ok_and(|url| active.contains(&url.scheme()))
}

/// Whether `picture` is one: a link, the app's own short name for one, or base64 of a PNG, JPEG, GIF or WebP picture.
/// Asked before anything is done.
///
/// # Errors
/// [`Error::Invalid`] naming `field`; [`Error::UnsupportedMediaType`] for base64 of something else, [`Error::TooLarge`].
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
    let neither = || Error::invalid(field, "must be a link or a base64 PNG, JPEG, GIF or WebP picture");
    let labelled = match picture.strip_prefix("data:") {
        Some(data) => Some(data.split_once(";base64,").ok_or_else(neither)?.1),
        None => None,
    };
    let decoded = STANDARD.decode(labelled.unwrap_or(picture).trim());
    // What the bytes say, not what the label says; SVG can carry script and is not among them.
    let kind = decoded.as_ref().ok().and_then(|bytes| infer::get(bytes)).map(|kind| kind.mime_type());
    match (kind.filter(|kind| PICTURES.contains(kind)), decoded) {
        (Some(_), Ok(bytes)) if bytes.len() > PICTURE_BYTES => Err(Error::TooLarge),
        (Some(_), Ok(bytes)) => {
            let content_type = type_of(field, bytes.as_slice(), bytes.len() as u64)?;
            Ok(Picture::Bytes { bytes: bytes.into(), content_type })
        }
        (_, _) if labelled.is_none() && !is_active(picture) && bytes_as_json(picture) <= LINK_BYTES => {
            Ok(Picture::Link)
        }
        (_, Ok(bytes)) if !bytes.is_empty() => Err(Error::UnsupportedMediaType),
        (_, Ok(_) | Err(_)) => Err(neither()),
    }
}

/// The length of `text` in JSON, where some characters take up to six bytes.
fn bytes_as_json(text: &str) -> usize {
    serde_json::to_string(text).map_or(usize::MAX, |json| json.len() - 2)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_link_that_is_kept_is_good_whenever_it_is_shown() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_765_966_200, 0).unwrap());
        let url = "https://chat.example.com".parse().unwrap();
        let links = MediaLinks::new(&url, Some(Secret::new("secret".into())), clock.clone());
        let media: MediaSid = format!("ME{:032x}", 1).parse().unwrap();
        let is_good =
            |link: &str| links.read(link).is_some_and(|(sid, proof)| links.suffices(sid, proof.as_ref()));
        let sent = links.of(media);
        let kept = links.kept(sent.clone());
        assert!(is_good(&sent) && !is_good(&kept));
        assert_eq!(kept, links.plain(media));
        clock.advance(Duration::from_secs(26 * 3600));
        assert!(!is_good(&sent));
        assert!(is_good(&links.shown(&kept)) && is_good(&links.shown(&sent)));
        assert_eq!(links.kept("https://example.com/a.png".to_owned()), "https://example.com/a.png");
    }
}
