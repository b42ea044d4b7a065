//! Users of a service: one per identity, made on sight; online and notifiable only when reachability is on.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/user-resource>, <https://www.twilio.com/docs/conversations/reachability>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Event, Origin};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::form::Form;
use crate::mock::page::{self, List, Order};
use crate::mock::resources::participants::{self, MOST_IDENTITY};
use crate::mock::resources::roles::RoleType;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, Tenant};
use crate::mock::view::View;

const MOST_NAME: usize = 256;

/// One user.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) sid: Sid,
    pub(crate) identity: String,
    pub(crate) friendly_name: Option<String>,
    pub(crate) attributes: String,
    pub(crate) role_sid: Sid,
    /// `None` until the user was online once.
    pub(crate) online: Option<bool>,
    /// `None` until a device was registered once.
    pub(crate) notifiable: Option<bool>,
    pub(crate) date_created: DateTime<Utc>,
    pub(crate) date_updated: DateTime<Utc>,
}

/// Whether reachability is to be shown: never in lists, and only where the service has it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reachability {
    Shown,
    Hidden,
}

impl User {
    fn body(&self, view: &View, service_sid: Sid, reachability: Reachability) -> Value {
        let url = format!("{}/Users/{}", view.root(), self.sid);
        let shown = |value: Option<bool>| value.filter(|_| reachability == Reachability::Shown);
        json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "chat_service_sid": service_sid,
            "role_sid": self.role_sid,
            "identity": self.identity,
            "friendly_name": self.friendly_name,
            "attributes": self.attributes,
            "is_online": shown(self.online),
            "is_notifiable": shown(self.notifiable),
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "links": { "user_conversations": format!("{url}/Conversations") },
            "url": url,
        })
    }

    fn event(&self, kind: &'static str, service_sid: Sid) -> Event {
        Event::new(kind, service_sid, self.sid)
            .with("UserSid", self.sid)
            .with_date("DateCreated", self.date_created)
            .with("Identity", &self.identity)
            .with("RoleSid", self.role_sid)
            .with("Attributes", &self.attributes)
            .with_some("FriendlyName", self.friendly_name.as_ref())
    }

    fn updated_event(&self, service_sid: Sid) -> Event {
        self.event("onUserUpdated", service_sid)
            .with_date("DateUpdated", self.date_updated)
            .with("isOnline", self.online.unwrap_or(false))
            .with("isNotifiable", self.notifiable.unwrap_or(false))
    }
}

/// The user a path names by SID or identity.
pub(crate) fn find_user(call: &Call, tenant: &Tenant) -> Result<(Sid, Sid), Refusal> {
    let service_sid = call.service_sid(tenant)?;
    let service = tenant.service(service_sid)?;
    let id = call.segment("user");
    let sid = Sid::parse(prefix::USER, id)
        .or_else(|| service.identities.get(id).copied())
        .filter(|sid| service.users.get(*sid).is_some())
        .ok_or_else(|| call.not_found())?;
    Ok((service_sid, sid))
}

/// The user with this identity, added and told of when there is none.
pub(crate) fn ensure(
    tenant: &mut Tenant,
    service_sid: Sid,
    identity: &str,
    origin: &Origin,
) -> Result<Sid, Refusal> {
    match tenant.service(service_sid)?.identities.get(identity) {
        Some(sid) => Ok(*sid),
        None => add(tenant, service_sid, identity, origin, Changes::default()),
    }
}

/// `GET /Users`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "users", size: 50, most: 50, filters: &[] };
    let service = tenant.service(call.service_sid(tenant)?)?;
    let view = call.view(tenant);
    page::page(call, tenant, &LIST, service.users.rows(), Order::Ascending, |_, user| {
        Some(user.body(&view, service.sid, Reachability::Hidden))
    })
    .map(Answer::Ok)
}

/// `POST /Users`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let identity = call
        .form()
        .text_up_to("Identity", MOST_IDENTITY, error::IDENTITY_TOO_LONG)?
        .filter(|identity| !identity.is_empty())
        .ok_or(error::IDENTITY_MISSING)?;
    if Sid::parse(prefix::USER, identity).is_some() {
        return Err(error::IDENTITY_LIKE_A_SID);
    }
    let changes = Changes::read(call, tenant)?;
    if tenant.service(service_sid)?.identities.contains_key(identity) {
        return Err(error::USER_EXISTS);
    }
    let sid = add(tenant, service_sid, identity, call.origin(), changes)?;
    Ok(Answer::Created(shown(call, tenant, service_sid, sid)?))
}

fn add(
    tenant: &mut Tenant,
    service_sid: Sid,
    identity: &str,
    origin: &Origin,
    changes: Changes,
) -> Result<Sid, Refusal> {
    let service = tenant.service_mut(service_sid)?;
    let user = User {
        sid: Sid::random(prefix::USER),
        identity: identity.to_owned(),
        friendly_name: changes.friendly_name,
        attributes: changes.attributes.unwrap_or_else(|| "{}".to_owned()),
        role_sid: changes.role_sid.unwrap_or(service.configuration.default_chat_service_role_sid),
        online: None,
        notifiable: None,
        date_created: origin.now,
        date_updated: origin.now,
    };
    let sid = user.sid;
    let event = user.event("onUserAdded", service_sid);
    service.identities.insert(identity.to_owned(), sid);
    service.users.insert(sid, user);
    tenant.tell(origin, &event);
    Ok(sid)
}

fn shown(call: &Call, tenant: &Tenant, service_sid: Sid, sid: Sid) -> Result<Value, Refusal> {
    let service = tenant.service(service_sid)?;
    let user = service.users.get(sid).ok_or_else(|| call.not_found())?;
    let reachability =
        if service.configuration.reachability_enabled { Reachability::Shown } else { Reachability::Hidden };
    Ok(user.body(&call.view(tenant), service_sid, reachability))
}

/// `GET /Users/{user}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, sid) = find_user(call, tenant)?;
    Ok(Answer::Ok(shown(call, tenant, service_sid, sid)?))
}

/// `POST /Users/{user}`
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, sid) = find_user(call, tenant)?;
    let changes = Changes::read(call, tenant)?;
    let user = tenant.service(service_sid)?.users.get(sid).ok_or_else(|| call.not_found())?;
    tenant.ask(call.origin(), "onUserUpdate", service_sid, || {
        Event::new("onUserUpdate", service_sid, sid)
            .with("UserSid", sid)
            .with_date("DateUpdated", call.origin().now)
            .with("Identity", &user.identity)
            .with("RoleSid", changes.role_sid.unwrap_or(user.role_sid))
            .with("Attributes", changes.attributes.as_ref().unwrap_or(&user.attributes))
            .with_some("FriendlyName", changes.friendly_name.as_ref().or(user.friendly_name.as_ref()))
    })?;
    let user = tenant.service_mut(service_sid)?.users.get_mut(sid).ok_or_else(|| call.not_found())?;
    if changes.friendly_name.is_some() {
        user.friendly_name = changes.friendly_name;
    }
    if let Some(attributes) = changes.attributes {
        user.attributes = attributes;
    }
    user.role_sid = changes.role_sid.unwrap_or(user.role_sid);
    user.date_updated = call.origin().now;
    let event = user.updated_event(service_sid);
    tenant.tell(call.origin(), &event);
    Ok(Answer::Ok(shown(call, tenant, service_sid, sid)?))
}

/// `DELETE /Users/{user}`. The participants stay, unless a switch says otherwise.
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, sid) = find_user(call, tenant)?;
    if tenant.switches.deleted_users_leave {
        leave_all(tenant, service_sid, sid, call.origin())?;
    }
    let service = tenant.service_mut(service_sid)?;
    if let Some(user) = service.users.remove(sid) {
        service.identities.remove(&user.identity);
    }
    Ok(Answer::Deleted)
}

/// Takes the user out of every conversation that is not closed.
fn leave_all(tenant: &mut Tenant, service_sid: Sid, sid: Sid, origin: &Origin) -> Result<(), Refusal> {
    let service = tenant.service(service_sid)?;
    let memberships = service.users.get(sid).and_then(|user| service.memberships.get(&user.identity));
    let memberships: Vec<(Sid, Sid)> =
        memberships.into_iter().flat_map(|all| all.rows()).map(|(key, value)| (*key, *value)).collect();
    for (conversation_sid, participant_sid) in memberships {
        let place = Place { service_sid, conversation_sid };
        if tenant.conversation(place)?.still_open().is_ok() {
            participants::remove(tenant, place, participant_sid, origin)?;
        }
    }
    Ok(())
}

/// A device of the user registered, or the last one went. Told only when reachability is on and something changed.
pub(crate) fn become_notifiable(
    tenant: &mut Tenant,
    service_sid: Sid,
    origin: &Origin,
    identity: &str,
    notifiable: bool,
) -> Result<(), Refusal> {
    let service = tenant.service_mut(service_sid)?;
    if !service.configuration.reachability_enabled {
        return Ok(());
    }
    let Some(sid) = service.identities.get(identity).copied() else { return Ok(()) };
    let user = service.users.get_mut(sid).ok_or(error::NOT_FOUND)?;
    if user.notifiable != Some(notifiable) {
        user.notifiable = Some(notifiable);
        user.date_updated = origin.now;
        let event = user.updated_event(service_sid);
        tenant.tell(origin, &event);
    }
    Ok(())
}

/// A client of the user came or went. Told only when reachability is on and something changed.
///
/// # Errors
/// 404 when the service has no reachability: Twilio would not notice either.
pub(crate) fn come_or_go(
    tenant: &mut Tenant,
    service_sid: Sid,
    origin: &Origin,
    identity: &str,
    online: bool,
) -> Result<(), Refusal> {
    if !tenant.service(service_sid)?.configuration.reachability_enabled {
        return Err(error::NOT_FOUND.saying("reachability is not enabled for the service".to_owned()));
    }
    let sid = ensure(tenant, service_sid, identity, origin)?;
    let user = tenant.service_mut(service_sid)?.users.get_mut(sid).ok_or(error::NOT_FOUND)?;
    if user.online == Some(online) {
        return Ok(());
    }
    user.online = Some(online);
    user.date_updated = origin.now;
    let event = user.updated_event(service_sid);
    tenant.tell(origin, &event);
    Ok(())
}

#[derive(Debug, Default)]
struct Changes {
    friendly_name: Option<String>,
    attributes: Option<String>,
    role_sid: Option<Sid>,
}

impl Changes {
    fn read(call: &Call, tenant: &Tenant) -> Result<Self, Refusal> {
        let form: &Form = call.form();
        let service = tenant.service(call.service_sid(tenant)?)?;
        let role_sid = match form.text("RoleSid")? {
            None => None,
            Some(text) => Some(
                Sid::parse(prefix::ROLE, text)
                    .filter(|sid| service.has_role(*sid, RoleType::Service))
                    .ok_or(error::ROLE_NOT_FOUND)?,
            ),
        };
        Ok(Self {
            friendly_name: form
                .text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?
                .map(str::to_owned),
            attributes: form.attributes(tenant.switches.most_user_attributes)?,
            role_sid,
        })
    }
}
