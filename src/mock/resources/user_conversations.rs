//! A user's conversations, with what is unread in each; also the way to set the read horizon and to leave.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/user-conversation-resource>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::Origin;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::conversations::{Conversation, find};
use crate::mock::resources::participants::{self, Horizon, Participant};
use crate::mock::resources::roster::Memberships;
use crate::mock::resources::users::find_user;
use crate::mock::sid::Sid;
use crate::mock::state::{Place, Tenant};
use crate::mock::view::View;

fn body(
    view: &View,
    tenant: &Tenant,
    user_sid: Sid,
    conversation: &Conversation,
    participant: &Participant,
) -> Value {
    let url = format!("{}/Conversations/{}", view.root(), conversation.sid);
    let own = participant.identity.as_deref().filter(|_| !tenant.switches.unread_counts_own);
    let unread = participant.last_read_message_index.map(|index| conversation.unread_after(index, own));
    json!({
        "account_sid": view.account_sid(),
        "chat_service_sid": conversation.service_sid,
        "conversation_sid": conversation.sid,
        "unread_messages_count": unread,
        "last_read_message_index": participant.last_read_message_index,
        "participant_sid": participant.sid,
        "user_sid": user_sid,
        "friendly_name": conversation.friendly_name,
        "conversation_state": conversation.state.as_str(),
        "timers": conversation.timers.body(),
        "attributes": conversation.attributes,
        "date_created": in_rest(conversation.date_created),
        "date_updated": in_rest(conversation.date_updated),
        "created_by": conversation.created_by,
        "notification_level": if participant.muted { "muted" } else { "default" },
        "unique_name": conversation.unique_name,
        "url": format!("{}/Users/{user_sid}/Conversations/{}", view.root(), conversation.sid),
        "links": {
            "participant": format!("{url}/Participants/{}", participant.sid),
            "conversation": url,
        },
    })
}

struct Membership {
    user_sid: Sid,
    place: Place,
    participant_sid: Sid,
}

/// The membership a path names by user and conversation.
fn find_membership(call: &Call, tenant: &Tenant) -> Result<Membership, Refusal> {
    let (service_sid, user_sid) = find_user(call, tenant)?;
    let place = find(call, tenant)?;
    let service = tenant.service(service_sid)?;
    let participant_sid = service
        .users
        .get(user_sid)
        .and_then(|user| {
            service.memberships.get(&user.identity)?.rows().get(&place.conversation_sid).copied()
        })
        .ok_or_else(|| call.not_found())?;
    Ok(Membership { user_sid, place, participant_sid })
}

/// `GET /Users/{user}/Conversations`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "conversations", size: 50, most: 50, filters: &[] };
    let (service_sid, user_sid) = find_user(call, tenant)?;
    let service = tenant.service(service_sid)?;
    let view = call.view(tenant);
    let identity = service.users.get(user_sid).map_or("", |user| user.identity.as_str());
    let none = BTreeMap::new();
    let memberships = service.memberships.get(identity).map_or(&none, Memberships::rows);
    let show = |conversation_sid: &Sid, participant_sid: &Sid| {
        if service.lag.hides(*participant_sid) {
            return None;
        }
        let conversation = service.conversations.get(conversation_sid)?;
        let participant = conversation.participants.get(*participant_sid)?;
        Some(body(&view, tenant, user_sid, conversation, participant))
    };
    if tenant.switches.user_conversations_by_activity {
        let by_activity: BTreeMap<u64, (&Sid, &Sid)> = memberships
            .iter()
            .filter_map(|(sid, participant)| {
                Some((service.conversations.get(sid)?.activity, (sid, participant)))
            })
            .collect();
        page::page(call, tenant, &LIST, &by_activity, Order::Descending, |_, (conversation, participant)| {
            show(conversation, participant)
        })
    } else {
        page::page(call, tenant, &LIST, memberships, Order::Ascending, show)
    }
    .map(Answer::Ok)
}

fn shown(call: &Call, tenant: &Tenant, membership: &Membership) -> Result<Value, Refusal> {
    let conversation = tenant.conversation(membership.place)?;
    let participant =
        conversation.participants.get(membership.participant_sid).ok_or_else(|| call.not_found())?;
    Ok(body(&call.view(tenant), tenant, membership.user_sid, conversation, participant))
}

/// `GET /Users/{user}/Conversations/{conversation}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let membership = find_membership(call, tenant)?;
    Ok(Answer::Ok(shown(call, tenant, &membership)?))
}

/// `POST /Users/{user}/Conversations/{conversation}`. Fires no webhook, whatever the request asks.
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let membership = find_membership(call, tenant)?;
    let muted = match call.form().lowercase("NotificationLevel")?.as_deref() {
        None => None,
        Some("default") => Some(false),
        Some("muted") => Some(true),
        Some(_) => return Err(error::NOTIFICATION_LEVEL_INVALID),
    };
    let horizon = Horizon::read(call.form())?;
    let now = call.origin().now;
    let conversation = tenant.conversation_mut(membership.place)?;
    conversation.still_open()?;
    let participant =
        conversation.participants.get_mut(membership.participant_sid).ok_or_else(|| call.not_found())?;
    participant.muted = muted.unwrap_or(participant.muted);
    participant.read_up_to(&horizon, now);
    participant.date_updated = now;
    Ok(Answer::Ok(shown(call, tenant, &membership)?))
}

/// `DELETE /Users/{user}/Conversations/{conversation}`: the user leaves. Fires no webhook either.
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let membership = find_membership(call, tenant)?;
    let silent = Origin::rest(call.origin().now, false);
    participants::remove(tenant, membership.place, membership.participant_sid, &silent)?;
    Ok(Answer::Deleted)
}
