//! Messages: sent, read, and the newest one of a conversation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::timestamp;
use crate::core::{BODY_BYTES, DeliverySummary, Draft, Error, Extras, MEDIA_LINKS, MediaLinks, Message};

/// Characters of one link to media.
const LINK_CHARACTERS: usize = 2_048;
/// Characters of a client's own message id.
const CLIENT_MESSAGE_ID_CHARACTERS: usize = 128;

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct MessageOut {
    id: String,
    conversation_id: String,
    sender_id: String,
    content: String,
    media: Vec<String>,
    created_at: String,
    index: i64,
    /// How it fares with phones, if any got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliverySummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<String>,
    /// What its sender should know although it is sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl MessageOut {
    /// As its sender sees it just now.
    pub(in crate::dialects::messaging) fn sent(message: &Message, links: &MediaLinks) -> Self {
        let not_fetched = Extras::of(message).not_fetched.into_iter();
        let warnings =
            not_fetched.map(|place| format!("media[{place}] could not be fetched and stays a link"));
        Self { warnings: warnings.collect(), ..Self::of(message, links) }
    }

    pub(in crate::dialects::messaging) fn of(message: &Message, links: &MediaLinks) -> Self {
        let extras = Extras::of(message);
        Self {
            id: message.sid.to_string(),
            conversation_id: message.conversation_sid.to_string(),
            sender_id: message.author.clone(),
            content: content(message, &extras),
            media: links.of_message(message, &extras),
            created_at: timestamp(message.date_created),
            index: message.index,
            delivery: message.delivery.filter(|delivery| delivery.total > 0),
            client_message_id: extras.client_message_id,
            warnings: Vec::new(),
        }
    }
}

fn content(message: &Message, extras: &Extras) -> String {
    extras.said(message).unwrap_or_default().to_owned()
}

/// `POST /messages/:id/messages`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct SendMessage {
    content: Option<String>,
    #[serde(default)]
    #[schema(max_items = 10)]
    media: Option<Vec<String>>,
    #[schema(min_length = 1, max_length = 128)]
    client_message_id: Option<String>,
}

impl TryFrom<SendMessage> for Draft {
    type Error = Error;

    fn try_from(message: SendMessage) -> Result<Self, Error> {
        let body = message.content.filter(|content| !content.trim().is_empty());
        if body.as_ref().is_some_and(|body| body.len() > BODY_BYTES) {
            return Err(Error::invalid("content", "must be at most 32 KiB"));
        }
        let media = message.media.unwrap_or_default();
        if body.is_none() && media.is_empty() {
            return Err(Error::invalid("content", "is missing: a message needs content or media"));
        }
        if media.len() > MEDIA_LINKS {
            return Err(Error::invalid("media", "must be at most 10 links"));
        }
        media.iter().try_for_each(|link| check_link(link))?;
        if let Some(id) = &message.client_message_id
            && (id.is_empty()
                || id.chars().count() > CLIENT_MESSAGE_ID_CHARACTERS
                || id.chars().any(char::is_control))
        {
            return Err(Error::invalid("clientMessageId", "must be 1 to 128 characters"));
        }
        Ok(Self { body, media, client_message_id: message.client_message_id, ..Self::default() })
    }
}

/// `error` by this document's names of fields.
pub(in crate::dialects::messaging) fn renamed(error: Error) -> Error {
    let Error::Invalid { field, problem } = error else { return error };
    Error::Invalid { field: if field == "body" { "content" } else { field }, problem }
}

fn check_link(link: &str) -> Result<(), Error> {
    let is_web =
        url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_web || link.chars().count() > LINK_CHARACTERS {
        return Err(Error::invalid("media", "must be http or https links of at most 2048 characters"));
    }
    Ok(())
}

/// The newest message of a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::dialects::messaging) struct LastMessage {
    content: String,
    created_at: String,
}

impl LastMessage {
    pub(in crate::dialects::messaging) fn of(message: &Message) -> Self {
        Self { content: content(message, &Extras::of(message)), created_at: timestamp(message.date_created) }
    }
}
