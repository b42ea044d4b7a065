//! Delivery receipts: how far each message got to each participant who is not on chat.
//!
//! A receipt starts as `sent` when its message is added; what follows is told through `/_mock/delivery`.
//! Source: <https://www.twilio.com/docs/conversations/delivery-receipts>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::Origin;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::conversations::Conversation;
use crate::mock::resources::messages::find_message;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, Tenant};
use crate::mock::table::Table;
use crate::mock::view::View;

/// The latest word on one message and one participant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Receipt {
    sid: Sid,
    pub(crate) participant_sid: Sid,
    pub(crate) channel_message_sid: Sid,
    pub(crate) status: DeliveryStatus,
    pub(crate) error_code: u32,
    date_created: DateTime<Utc>,
    date_updated: DateTime<Utc>,
}

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeliveryStatus {
    Sent,
    Delivered,
    Read,
    Failed,
    Undelivered,
}

impl DeliveryStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Undelivered => "undelivered",
        }
    }

    /// Whether a message with this status has come as far as `milestone`: what was read was delivered, too.
    fn reached(self, milestone: Self) -> bool {
        match milestone {
            Self::Sent => matches!(self, Self::Sent | Self::Delivered | Self::Read | Self::Undelivered),
            Self::Delivered => matches!(self, Self::Delivered | Self::Read),
            Self::Read | Self::Failed | Self::Undelivered => self == milestone,
        }
    }
}

impl Receipt {
    fn body(&self, view: &View, conversation_sid: Sid, message_sid: Sid) -> Value {
        let url = format!(
            "{}/Conversations/{conversation_sid}/Messages/{message_sid}/Receipts/{}",
            view.root(),
            self.sid
        );
        view.scoped(json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "conversation_sid": conversation_sid,
            "message_sid": message_sid,
            "channel_message_sid": self.channel_message_sid,
            "participant_sid": self.participant_sid,
            "status": self.status.as_str(),
            "error_code": self.error_code,
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "url": url,
        }))
    }
}

/// A receipt for everybody who is not on chat, has a phone, and did not write the message.
pub(crate) fn issue(conversation: &Conversation, author: Option<Sid>, now: DateTime<Utc>) -> Table<Receipt> {
    let mut receipts = Table::default();
    let reached = |sid: &Sid| {
        let binding = conversation.participants.get(*sid).and_then(|found| found.binding.as_ref());
        Some(*sid) != author && binding.is_some_and(|binding| binding.address.is_some())
    };
    for participant_sid in conversation.non_chat.iter().copied().filter(reached) {
        let sid = Sid::random(prefix::DELIVERY_RECEIPT);
        receipts.insert(
            sid,
            Receipt {
                sid,
                participant_sid,
                channel_message_sid: Sid::random(prefix::CHANNEL_MESSAGE),
                status: DeliveryStatus::Sent,
                error_code: 0,
                date_created: now,
                date_updated: now,
            },
        );
    }
    receipts
}

/// The `delivery` member of a message: null when it went to chat only, unless `on_chat` wants zeros there.
pub(crate) fn summary(receipts: &Table<Receipt>, on_chat: bool) -> Value {
    let total = receipts.len();
    if total == 0 && !on_chat {
        return Value::Null;
    }
    let share = |milestone: DeliveryStatus| match receipts
        .values()
        .filter(|receipt| receipt.status.reached(milestone))
        .count()
    {
        0 => "none",
        reached if reached == total => "all",
        _ => "some",
    };
    json!({
        "total": total,
        "sent": share(DeliveryStatus::Sent),
        "delivered": share(DeliveryStatus::Delivered),
        "read": share(DeliveryStatus::Read),
        "failed": share(DeliveryStatus::Failed),
        "undelivered": share(DeliveryStatus::Undelivered),
    })
}

/// Notes how far a message got to one participant, and tells of it.
///
/// # Errors
/// 404 when the message has no receipt for that participant.
pub(crate) fn progress(
    tenant: &mut Tenant,
    origin: &Origin,
    place: Place,
    message_sid: Sid,
    delivery: &Delivery,
) -> Result<(), Refusal> {
    let conversation = tenant.conversation_mut(place)?;
    let index = conversation.message_indexes.get(&message_sid).copied().ok_or(error::NOT_FOUND)?;
    let message = conversation.messages.get_mut(&index).ok_or(error::NOT_FOUND)?;
    let receipt = message
        .receipts
        .values_mut()
        .find(|receipt| receipt.participant_sid == delivery.participant_sid)
        .ok_or(error::NOT_FOUND)?;
    receipt.status = delivery.status;
    receipt.error_code = delivery.error_code.unwrap_or(0);
    receipt.date_updated = origin.now;
    let (sid, channel_message_sid, date_created) =
        (receipt.sid, receipt.channel_message_sid, receipt.date_created);
    if delivery.status == DeliveryStatus::Read
        && let Some(reader) = conversation.participants.get_mut(delivery.participant_sid)
    {
        reader.has_read(index, origin.now);
    }
    let event = conversation
        .event("onDeliveryUpdated", None)
        .with("MessageSid", message_sid)
        .with("DeliveryReceiptSid", sid)
        .with("ChannelMessageSid", channel_message_sid)
        .with("ParticipantSid", delivery.participant_sid)
        .with("Status", delivery.status.as_str())
        .with_some("ErrorCode", delivery.error_code.filter(|code| *code != 0))
        .with_date("DateCreated", date_created)
        .with_date("DateUpdated", origin.now);
    tenant.tell(origin, &event);
    Ok(())
}

/// What a carrier reports.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) participant_sid: Sid,
    pub(crate) status: DeliveryStatus,
    pub(crate) error_code: Option<u32>,
}

/// `GET …/Messages/{message}/Receipts`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "delivery_receipts", size: 50, most: 50, filters: &[] };
    let (place, index) = find_message(call, tenant)?;
    let conversation = tenant.conversation(place)?;
    let message = conversation.messages.get(&index).ok_or_else(|| call.not_found())?;
    let view = call.view(tenant);
    page::page(call, tenant, &LIST, message.receipts.rows(), Order::Ascending, |_, receipt| {
        Some(receipt.body(&view, conversation.sid, message.sid))
    })
    .map(Answer::Ok)
}

/// `GET …/Messages/{message}/Receipts/{receipt}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, index) = find_message(call, tenant)?;
    let conversation = tenant.conversation(place)?;
    let message = conversation.messages.get(&index).ok_or_else(|| call.not_found())?;
    let receipt = Sid::parse(prefix::DELIVERY_RECEIPT, call.segment("receipt"))
        .and_then(|sid| message.receipts.get(sid))
        .ok_or_else(|| call.not_found())?;
    Ok(Answer::Ok(receipt.body(&call.view(tenant), conversation.sid, message.sid)))
}
