//! The conversations of an identity or an address, by the SID of the conversation.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/participant-conversation-resource>

use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::binding::Binding;
use crate::mock::resources::roster::Memberships;
use crate::mock::sid::Sid;
use crate::mock::state::{Service, Tenant};
use crate::mock::view::View;

fn body(view: &View, service: &Service, conversation_sid: Sid, participant_sid: Sid) -> Option<Value> {
    let conversation = service.conversations.get(&conversation_sid)?;
    let participant = conversation.participants.get(participant_sid)?;
    if service.lag.hides(participant_sid) {
        return None;
    }
    let user_sid = participant.identity.as_ref().and_then(|identity| service.identities.get(identity));
    let url = format!("{}/Conversations/{conversation_sid}", view.root());
    Some(json!({
        "account_sid": view.account_sid(),
        "chat_service_sid": service.sid,
        "participant_sid": participant_sid,
        "participant_user_sid": user_sid,
        "participant_identity": participant.identity,
        "participant_messaging_binding": participant.binding.as_ref().map(Binding::full_body),
        "conversation_sid": conversation_sid,
        "conversation_unique_name": conversation.unique_name,
        "conversation_friendly_name": conversation.friendly_name,
        "conversation_attributes": conversation.attributes,
        "conversation_date_created": in_rest(conversation.date_created),
        "conversation_date_updated": in_rest(conversation.date_updated),
        "conversation_created_by": conversation.created_by,
        "conversation_state": conversation.state.as_str(),
        "conversation_timers": conversation.timers.body(),
        "links": {
            "participant": format!("{url}/Participants/{participant_sid}"),
            "conversation": url,
        },
    }))
}

/// `GET /ParticipantConversations?Identity=…` or `?Address=…`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "conversations", size: 50, most: 50, filters: &["Identity", "Address"] };
    let service = tenant.service(call.service_sid(tenant)?)?;
    let view = call.view(tenant);
    let page = match (call.query().text("Identity")?, call.query().text("Address")?) {
        (Some(identity), None) => {
            let none = std::collections::BTreeMap::new();
            let memberships = service.memberships.get(identity).map_or(&none, Memberships::rows);
            page::page(call, tenant, &LIST, memberships, Order::Ascending, |conversation, participant| {
                body(&view, service, *conversation, *participant)
            })
        }
        (None, Some(address)) => {
            let none = std::collections::BTreeMap::new();
            let places = service.addresses.get(address).unwrap_or(&none);
            page::page(call, tenant, &LIST, places, Order::Ascending, |(conversation, participant), ()| {
                body(&view, service, *conversation, *participant)
            })
        }
        (Some(_), Some(_)) | (None, None) => Err(error::ONE_LOOKUP_AT_A_TIME),
    };
    page.map(Answer::Ok)
}
