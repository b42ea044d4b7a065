//! Services: list, fetch, create, delete. Everything in a service goes with it.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/service-resource>

use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Service, Tenant};
use crate::mock::view::View;

const MOST_NAME: usize = 256;

fn body(view: &View, service: &Service) -> Value {
    let url = format!("{}/Services/{}", view.version_root(), service.sid);
    json!({
        "sid": service.sid,
        "account_sid": view.account_sid(),
        "friendly_name": service.friendly_name,
        "date_created": in_rest(service.date_created),
        "date_updated": in_rest(service.date_updated),
        "links": {
            "conversations": format!("{url}/Conversations"),
            "users": format!("{url}/Users"),
            "roles": format!("{url}/Roles"),
            "bindings": format!("{url}/Bindings"),
            "configuration": format!("{url}/Configuration"),
            "participant_conversations": format!("{url}/ParticipantConversations"),
            "conversation_with_participants": format!("{url}/ConversationWithParticipants"),
        },
        "url": url,
    })
}

/// `GET /Services`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "services", size: 50, most: 100, filters: &[] };
    let view = call.view(tenant);
    page::page(call, tenant, &LIST, tenant.services.rows(), Order::Ascending, |_, service| {
        Some(body(&view, service))
    })
    .map(Answer::Ok)
}

/// `POST /Services`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let name = call
        .form()
        .text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?
        .filter(|name| !name.is_empty())
        .ok_or(error::FRIENDLY_NAME_MISSING)?;
    let service = Service::new(Sid::random(prefix::SERVICE), name, call.origin().now);
    let answer = body(&call.view(tenant), &service);
    tenant.services.insert(service.sid, service);
    Ok(Answer::Created(answer))
}

/// `GET /Services/{service}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service = tenant.service(call.service_sid(tenant)?)?;
    Ok(Answer::Ok(body(&call.view(tenant), service)))
}

/// `DELETE /Services/{service}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let sid = call.service_sid(tenant)?;
    tenant.services.remove(sid);
    tenant.bindings.retain(|_, place| place.service_sid != sid);
    tenant.groups.retain(|_, place| place.service_sid != sid);
    tenant.deadlines.retain(|(_, place)| place.service_sid != sid);
    Ok(Answer::Deleted)
}
