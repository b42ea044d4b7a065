//! What a message is made of: the draft that a client sends, what Twilio gets of it, and what of ours it carries in its
//! attributes. How it is sent is `messages.rs`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::conversations::OURS;
use super::media::{MediaLinks, is_proof};
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
/// could not be fetched and stand in the body.
const LINK_EXTRA_BYTES: usize = 40;
/// Bytes of the names of these lists.
const LISTS_BYTES: usize = 50;

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
        extras.to_attributes_beside(LISTS_BYTES + extras.media.len() * LINK_EXTRA_BYTES)?;
        Ok(Self { author: author.as_str().to_owned(), body: draft.body, extras, files })
    }

    /// The files of the message, each once, with the place of its link.
    pub(super) fn distinct_files(&self) -> Vec<(usize, MediaSid)> {
        let mut files: Vec<(usize, MediaSid)> = Vec::new();
        for (place, file) in self.files.iter().enumerate() {
            if let Some(file) = file.filter(|file| files.iter().all(|(_, known)| known != file)) {
                files.push((place, file));
            }
        }
        files
    }

    /// The file cannot be in this message: the links to it stay links, and the sender is told.
    pub(super) fn stays_link(&mut self, file: MediaSid) {
        for (place, found) in self.files.iter_mut().enumerate() {
            if *found == Some(file) {
                *found = None;
                self.extras.not_fetched.push(place);
            }
        }
    }

    /// What stands in the body at Twilio, and the places of the links in it: of those that stay links, where nobody but our
    /// clients could make anything of the message, or a phone is to get it, which sees nothing else.
    fn text(&self, links: &MediaLinks, for_phones: bool) -> (Option<String>, Vec<usize>) {
        let places = || (0..self.files.len()).filter(|place| self.files[*place].is_none());
        let staying = places().map(|place| links.shown(&self.extras.media[place]));
        match &self.body {
            Some(body) if !for_phones => (Some(body.clone()), Vec::new()),
            Some(body) => {
                let lines: Vec<String> = std::iter::once(body.clone()).chain(staying).collect();
                (Some(lines.join("\n")), places().collect())
            }
            None => {
                let lines: Vec<String> = staying.collect();
                ((!lines.is_empty()).then(|| lines.join("\n")), places().collect())
            }
        }
    }

    /// Whether the message has a text at Twilio, which phones do not get along with a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is too long for them: links that stay links stand in it.
    pub(super) fn has_text_for_phones(&self, links: &MediaLinks) -> Result<bool, Error> {
        let (text, _) = self.text(links, true);
        match text {
            Some(text) if text.chars().nth(SMS_CHARACTERS).is_some() => Err(Error::invalid(
                "media",
                "must be shorter: links that cannot be sent as files count to the 1600 characters a phone gets",
            )),
            text => Ok(text.is_some()),
        }
    }

    /// The message itself, with one file at most, since over REST it takes no more.
    pub(super) fn message(
        &self,
        file: Option<MediaSid>,
        links: &MediaLinks,
        for_phones: bool,
    ) -> Result<(NewMessage, Extras), Error> {
        let (body, in_body) = self.text(links, for_phones);
        let extras = Extras { in_body, ..self.extras.clone() };
        let attributes = Some(extras.to_attributes()?);
        Ok((NewMessage { author: self.author.clone(), body, attributes, media_sid: file }, extras))
    }
}

/// What we keep in a message's attributes, under `switchboard`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// Links to media, as they were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    /// Places in `media` of links that stand at the end of the body at Twilio, one a line, for those who see nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) in_body: Vec<usize>,
    /// As if all of `media` were in `in_body`, and nothing else in the body: how it was written formerly.
    #[serde(default, skip_serializing)]
    pub(super) without_body: bool,
    /// How many bytes of the body its author wrote, if not all.
    #[serde(skip)]
    pub(super) written: Option<usize>,
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
        extras.written = extras.written(message.body.as_deref().unwrap_or_default());
        extras.media.retain(|link| is_web(link));
        extras
    }

    /// How much of `body` is not links of ours; `None`: all of it, also where they do not stand there (any more) as they
    /// were put.
    fn written(&self, body: &str) -> Option<usize> {
        let all = if self.without_body { 0..self.media.len() } else { 0..0 };
        let places: Vec<usize> = all.chain(self.in_body.iter().copied()).collect();
        let mut rest = (!places.is_empty()).then_some(body);
        for place in places.into_iter().rev() {
            let link = self.media.get(place).filter(|link| is_web(link))?;
            let before = without_link(rest?, link)?;
            rest = if before.is_empty() { Some(before) } else { before.strip_suffix('\n') };
        }
        rest.map(str::len)
    }

    /// What the author of `message`, which carries this, wrote; `None`: nothing.
    #[must_use]
    pub fn said<'a>(&self, message: &'a Message) -> Option<&'a str> {
        let body = message.body.as_deref()?;
        let said = body.get(..self.written.unwrap_or(body.len())).unwrap_or(body);
        (!said.is_empty()).then_some(said)
    }

    /// `body` in place of what the author of `message`, which carries this, wrote: links in it stay.
    pub(super) fn said_anew(&self, message: &Message, body: String) -> String {
        match message.body.as_deref().and_then(|before| before.get(self.said(message).map_or(0, str::len)..))
        {
            Some(links) if !links.is_empty() => format!("{body}\n{}", links.trim_start_matches('\n')),
            Some(_) | None => body,
        }
    }

    /// Of the message with the file that stands at `place` in the message that is sent with `id`. The id of its own is in no
    /// client's way: ids of parts are compared with those of parts only.
    pub(super) fn of_part(id: &str, place: usize) -> Self {
        Self { send_id: Some(format!("{id}.{place}")), part_of: Some(id.to_owned()), ..Self::default() }
    }

    /// Whether this says that what carries it is a part of what carries `whole`.
    pub(super) fn is_part_of(&self, whole: &Self) -> bool {
        self.part_of.is_some() && self.part_of.as_deref() == whole.id()
    }

    /// Whether what carries this is the very send that carries `other`.
    pub(super) fn is_same_send(&self, other: &Self) -> bool {
        self.id() == other.id() && self.part_of == other.part_of
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

/// What stands before `link` at the end of `text`; one of ours may stand there signed.
fn without_link<'a>(text: &'a str, link: &str) -> Option<&'a str> {
    if let Some(before) = text.strip_suffix(link) {
        return Some(before);
    }
    let line = text.rfind('\n').map_or(0, |end| end + 1);
    text[line..].strip_prefix(link).filter(|proof| is_proof(proof)).map(|_| &text[..line])
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str, ours: &serde_json::Value) -> Message {
        let attributes = serde_json::json!({ OURS: ours }).to_string();
        serde_json::from_value(serde_json::json!({
            "sid": format!("IM{:032x}", 1), "conversation_sid": format!("CH{:032x}", 1), "index": 0, "author": "ada",
            "body": body, "media": null, "attributes": attributes, "participant_sid": null,
            "date_created": "2025-12-17T10:30:00Z", "date_updated": "2025-12-17T10:30:00Z", "delivery": null,
        }))
        .unwrap()
    }

    #[test]
    fn links_in_a_body_are_not_what_was_said() {
        let proof = format!("?expires=1765966200&signature={}", "0a".repeat(32));
        let (one, two) = ("https://a.example/1.png", "https://a.example/2.png");
        let media = serde_json::json!([one, two]);
        let said = |body: &str, ours: serde_json::Value| {
            let message = message(body, &ours);
            Extras::of(&message).said(&message).map(str::to_owned)
        };
        let second = || serde_json::json!({ "media": media, "in_body": [1] });
        let both = || serde_json::json!({ "media": media, "in_body": [0, 1] });
        let formerly = || serde_json::json!({ "media": media, "without_body": true });
        let looks = |text: &str| Some(text.to_owned());
        assert_eq!(said("look", serde_json::json!({ "media": media })), looks("look"));
        assert_eq!(said(&format!("look\n{two}"), second()), looks("look"));
        assert_eq!(said(&format!("look\n{two}{proof}"), second()), looks("look"));
        assert_eq!(said(&format!("{one}\n{two}"), both()), None);
        assert_eq!(said(&format!("{one}{proof}\n{two}"), both()), None);
        assert_eq!(said(&format!("{one}\n{two}"), formerly()), None);
        // Whatever else stands there somebody wrote.
        for body in [
            "look".to_owned(),
            format!("look{two}"),
            format!("look\n{two}?expires=never"),
            format!("{two}\n{one}"),
        ] {
            assert_eq!(said(&body, both()), Some(body.clone()));
        }
        assert_eq!(said("a dog", formerly()), looks("a dog"));
        let edited = message(&format!("look\n{two}"), &second());
        assert_eq!(Extras::of(&edited).said_anew(&edited, "here".to_owned()), format!("here\n{two}"));
        let bare = message(&format!("{one}\n{two}"), &both());
        assert_eq!(Extras::of(&bare).said_anew(&bare, "here".to_owned()), format!("here\n{one}\n{two}"));
    }
}
