//! What a message is made of: the draft that a client sends, what Twilio gets of it, and what of ours it carries in its
//! attributes. How it is sent is `messages.rs`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::conversations::OURS;
use super::support::MessageType;
use super::{Error, MediaSid, Message, MessageSid};
use crate::auth::Identity;
use crate::twilio::NewMessage;

/// Bytes of a message body. Source: <https://www.twilio.com/docs/conversations/conversations-limits>
pub const BODY_BYTES: usize = 32 * 1024;
/// Characters of a body that still reaches a phone.
pub const SMS_CHARACTERS: usize = 1_600;
/// Bytes of a message's attributes, ours included.
pub const MESSAGE_ATTRIBUTES_BYTES: usize = 4 * 1024;
/// Links in one message.
pub const MEDIA_LINKS: usize = 10;

/// Bytes that a link may still add to the attributes: the SID of a message with its file, or its place among those that
/// could not be fetched.
const LINK_EXTRA_BYTES: usize = 40;

/// A message to be sent; its lengths are right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// What it says; `None`: only media.
    pub body: Option<String>,
    /// Links to media, http or https.
    pub media: Vec<String>,
    /// The client's own id of this send: makes a repeat harmless.
    pub client_message_id: Option<String>,
    /// What it is about.
    pub about: About,
    /// What it is, in a support conversation.
    pub message_type: Option<MessageType>,
}

impl Draft {
    /// Tells two contents apart.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in self.body.iter().chain(&self.media) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update([u8::from(self.body.is_some())]);
        for (kind, id) in [(b'p', &self.about.product_id), (b'o', &self.about.offer_id)] {
            if let Some(id) = id {
                hash.update([kind]);
                hash.update((id.len() as u64).to_be_bytes());
                hash.update(id.as_bytes());
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a message is about, by the app's own ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// A product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// An offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer_id: Option<String>,
}

/// A draft on its way to Twilio.
pub(super) struct Composed {
    pub(super) author: String,
    pub(super) body: Option<String>,
    pub(super) extras: Extras,
    /// For each link of `extras.media` the file at Twilio that it leads to, as far as there is one.
    pub(super) files: Vec<Option<MediaSid>>,
}

impl Composed {
    pub(super) fn new(
        draft: Draft,
        files: Vec<Option<MediaSid>>,
        author: &Identity,
        ours: Extras,
    ) -> Result<Self, Error> {
        let message_type = draft.message_type.filter(|message_type| *message_type != MessageType::Text);
        let extras = Extras { media: draft.media, about: draft.about, message_type, ..ours };
        // Refused now, should it be too long with what is still to come.
        extras.to_attributes_beside(extras.media.len() * LINK_EXTRA_BYTES)?;
        Ok(Self { author: author.as_str().to_owned(), body: draft.body, extras, files })
    }

    /// The message itself, with one file at most, since over REST it takes no more.
    pub(super) fn into_message(self, file: Option<MediaSid>) -> (NewMessage, Extras) {
        let Self { author, body, mut extras, files: by_link } = self;
        // What nobody but our clients could make anything of must stand in the body.
        extras.without_body = body.is_none() && by_link.iter().any(Option::is_none);
        let body = body.or_else(|| extras.without_body.then(|| extras.media.join("\n")));
        (NewMessage { author, body, attributes: None, media_sid: file }, extras)
    }
}

/// What we keep in a message's attributes, under `switchboard`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// Links to media, as they were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    /// Whether the message came without a body, so that what stands at Twilio in its place (which wants one, and whose
    /// other clients show nothing else) is the links.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_body: bool,
    /// The client's own id of the send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<String>,
    /// What the message is about.
    #[serde(flatten)]
    pub about: About,
    /// What the message is, in a support conversation, unless it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<MessageType>,
    /// Our id of the send, where the client chose none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) send_id: Option<String>,
    /// Places in `media` of links that were to be fetched and could not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_fetched: Vec<usize>,
    /// Messages before this one that carry its further files; not shown by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<MessageSid>,
    /// The id of the send that this message only carries a file of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part_of: Option<String>,
}

impl Extras {
    /// What `message` carries of ours; nothing when another writer's attributes cannot be read. Whoever is on Twilio's SDK can
    /// write them too, so what a browser would run in a link's place is left out, and words are never taken for links.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        #[derive(Deserialize)]
        struct Attributes {
            #[serde(default)]
            switchboard: Extras,
        }
        if !message.attributes.contains(OURS) {
            return Self::default();
        }
        let read = serde_json::from_str::<Attributes>(&message.attributes);
        let mut extras = read.map(|all| all.switchboard).unwrap_or_default();
        // It may have been edited since, too.
        extras.without_body &= message.body.as_ref().is_some_and(|body| *body == extras.media.join("\n"));
        extras.media.retain(|link| is_web(link));
        extras
    }

    /// The id that makes the send recognisable.
    pub(super) fn id(&self) -> Option<&str> {
        self.client_message_id.as_deref().or(self.send_id.as_deref())
    }

    pub(super) fn to_attributes(&self) -> Result<String, Error> {
        self.to_attributes_beside(0)
    }

    /// With `more` bytes still to come.
    fn to_attributes_beside(&self, more: usize) -> Result<String, Error> {
        let text = serde_json::to_string(&serde_json::json!({ OURS: self })).map_err(|_| Error::Internal)?;
        if text.len() + more > MESSAGE_ATTRIBUTES_BYTES {
            return Err(Error::invalid("media", "links are too long: all together must stay under 4 KiB"));
        }
        Ok(text)
    }
}

fn is_web(link: &str) -> bool {
    Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether a message only carries a file of another one, in whose place it is shown.
///
/// Whoever is on Twilio's SDK can write the same attributes. So one that says something is none: nobody gets words past the
/// people on our side.
pub(super) fn is_part(message: &Message) -> bool {
    let only_media = !message.media.is_empty() && message.body.as_deref().is_none_or(str::is_empty);
    only_media && message.attributes.contains("part_of") && Extras::of(message).part_of.is_some()
}
