//! Phones outside: what Twilio would have texted to them, and what they wrote back.
//!
//! How a phone's own text finds its conversation is in `inbound.rs`. A text is kept as it was sent, whatever becomes of
//! the message; only how far it got is looked up.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::media::{self, Attachment};
use crate::mock::resources::messages::Message;
use crate::mock::sid::Sid;
use crate::mock::state::{Place, Tenant};

/// Texts kept of one phone; older ones are dropped.
const MOST_TEXTS: usize = 500;

/// Most phones that texts are kept of; further ones receive, but nothing is kept.
const MOST_PHONES: usize = 10_000;

/// The phones of an account's conversations, by address (`+1555…`, `whatsapp:+1555…`).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Phones(HashMap<String, VecDeque<Text>>);

/// Which way a text went, as the phone sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Received,
    Sent,
}

/// One text on a phone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) direction: Direction,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) body: Option<String>,
    pub(crate) media: Vec<Attachment>,
    pub(crate) service_sid: Sid,
    pub(crate) conversation_sid: Sid,
    pub(crate) message_sid: Sid,
    /// Of a text received.
    pub(crate) channel_message_sid: Option<Sid>,
    pub(crate) time: DateTime<Utc>,
}

impl Phones {
    pub(crate) fn note(&mut self, address: &str, text: Text) {
        if !self.0.contains_key(address) && self.0.len() >= MOST_PHONES {
            return;
        }
        let texts = self.0.entry(address.to_owned()).or_default();
        if texts.len() == MOST_TEXTS {
            texts.pop_front();
        }
        texts.push_back(text);
    }

    /// The phones there are, each with the number of its texts.
    pub(crate) fn list(&self) -> Vec<Value> {
        let mut phones: Vec<_> = self.0.iter().collect();
        phones.sort_unstable_by_key(|(address, _)| *address);
        phones
            .into_iter()
            .map(|(address, texts)| json!({ "number": address, "texts": texts.len() }))
            .collect()
    }

    /// Who wrote to the phone last.
    pub(crate) fn last_correspondent(&self, address: &str) -> Option<&str> {
        let received = |text: &&Text| text.direction == Direction::Received;
        self.0.get(address)?.iter().rev().find(received).map(|text| text.from.as_str())
    }
}

/// Texts the message to every phone it has a receipt for.
pub(crate) fn text(tenant: &mut Tenant, place: Place, index: u64) {
    let Tenant { services, phones, .. } = tenant;
    let conversation = services
        .get(place.service_sid)
        .and_then(|service| service.conversations.get(&place.conversation_sid));
    let Some((conversation, message)) =
        conversation.and_then(|conversation| Some((conversation, conversation.messages.get(&index)?)))
    else {
        return;
    };
    for receipt in message.receipts.values() {
        let binding = conversation
            .participants
            .get(receipt.participant_sid)
            .and_then(|participant| participant.binding.as_ref());
        let Some((binding, address)) = binding.and_then(|binding| Some((binding, binding.address.clone()?)))
        else {
            continue;
        };
        let from = binding.proxy_address.clone().or_else(|| group_sender(conversation, message));
        // Of a message with media only the first file goes out, and its text is dropped.
        let media: Vec<Attachment> = message.media.first().cloned().into_iter().collect();
        let text = Text {
            direction: Direction::Received,
            from: from.unwrap_or_default(),
            to: address.clone(),
            body: message.body.clone().filter(|_| media.is_empty()),
            media,
            service_sid: place.service_sid,
            conversation_sid: place.conversation_sid,
            message_sid: message.sid,
            channel_message_sid: Some(receipt.channel_message_sid),
            time: message.date_created,
        };
        phones.note(&address, text);
    }
}

/// The number a group text comes from: the author's, else that of whoever takes part with one.
fn group_sender(conversation: &Conversation, message: &Message) -> Option<String> {
    let projected = |sid: Sid| {
        let participant = conversation.participants.get(sid)?;
        participant.binding.as_ref()?.projected_address.clone()
    };
    message.participant_sid.and_then(projected).or_else(|| {
        let mut bindings = conversation.participants.values().filter_map(|found| found.binding.as_ref());
        bindings.find_map(|binding| binding.projected_address.clone())
    })
}

/// The texts of one phone, oldest first, each with how far it got; `base` is where files are fetched.
pub(crate) fn inbox(tenant: &Tenant, address: &str, base: &str, now: DateTime<Utc>) -> Vec<Value> {
    let texts = tenant.phones.0.get(address).into_iter().flatten();
    let shown = texts.map(|text| {
        let media: Vec<Value> = text
            .media
            .iter()
            .map(|attachment| {
                let mut body = attachment.body();
                body["url"] = media::temporary_url(base, tenant, attachment.sid, now).into();
                body
            })
            .collect();
        let (status, error_code) = progress(tenant, text);
        json!({
            "direction": text.direction,
            "from": text.from,
            "to": text.to,
            "body": text.body,
            "media": media,
            "conversation_sid": text.conversation_sid,
            "message_sid": text.message_sid,
            "channel_message_sid": text.channel_message_sid,
            "time": in_rest(text.time),
            "status": status,
            "error_code": error_code,
        })
    });
    shown.collect()
}

/// The status of the text's receipt. What the phone sent was received; what has no receipt any more was sent.
fn progress(tenant: &Tenant, text: &Text) -> (&'static str, u32) {
    if text.direction == Direction::Sent {
        return ("received", 0);
    }
    let place = Place { service_sid: text.service_sid, conversation_sid: text.conversation_sid };
    let receipt = tenant.conversation(place).ok().and_then(|conversation| {
        let index = conversation.message_indexes.get(&text.message_sid)?;
        let mut receipts = conversation.messages.get(index)?.receipts.values();
        receipts.find(|receipt| Some(receipt.channel_message_sid) == text.channel_message_sid)
    });
    receipt.map_or(("sent", 0), |receipt| (receipt.status.as_str(), receipt.error_code))
}
