//! Bindings: the devices that push notifications of a service would go to.
//!
//! Twilio's SDKs register them; here `/_mock/bindings` does. As long as a user has one, they are notifiable.
//! How somebody without the app is reached (messaging bindings) is in `binding.rs`.
//! Source: <https://www.twilio.com/docs/conversations/api/binding-resource>

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::Origin;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::users;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::Tenant;
use crate::mock::view::View;

const TYPES: [&str; 4] = ["apn", "gcm", "fcm", "twilsock"];
const MESSAGE_TYPES: [&str; 3] = ["removed_from_conversation", "new_message", "added_to_conversation"];

/// One device of one user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceBinding {
    sid: Sid,
    identity: String,
    endpoint: String,
    binding_type: String,
    credential_sid: Option<Sid>,
    message_types: Vec<String>,
    date_created: DateTime<Utc>,
    date_updated: DateTime<Utc>,
}

impl DeviceBinding {
    fn body(&self, view: &View, service_sid: Sid) -> Value {
        json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "chat_service_sid": service_sid,
            "identity": self.identity,
            "endpoint": self.endpoint,
            "binding_type": self.binding_type,
            "credential_sid": self.credential_sid,
            "message_types": self.message_types,
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "url": format!("{}/Bindings/{}", view.root(), self.sid),
        })
    }
}

/// The devices of a service, found by SID and by identity.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Vec<DeviceBinding>")]
pub(crate) struct DeviceBindings {
    rows: BTreeMap<Sid, DeviceBinding>,
    by_identity: HashMap<String, BTreeSet<Sid>>,
}

impl DeviceBindings {
    fn insert(&mut self, binding: DeviceBinding) {
        self.by_identity.entry(binding.identity.clone()).or_default().insert(binding.sid);
        self.rows.insert(binding.sid, binding);
    }

    fn remove(&mut self, sid: Sid) -> Option<DeviceBinding> {
        let binding = self.rows.remove(&sid)?;
        if let Some(of_the_same) = self.by_identity.get_mut(&binding.identity) {
            of_the_same.remove(&sid);
            if of_the_same.is_empty() {
                self.by_identity.remove(&binding.identity);
            }
        }
        Some(binding)
    }
}

impl From<Vec<DeviceBinding>> for DeviceBindings {
    fn from(bindings: Vec<DeviceBinding>) -> Self {
        let mut all = Self::default();
        bindings.into_iter().for_each(|binding| all.insert(binding));
        all
    }
}

impl Serialize for DeviceBindings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.values())
    }
}

/// A device that registers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDeviceBinding {
    identity: String,
    /// `apn`, `gcm`, `fcm` or `twilsock`.
    binding_type: String,
    /// The device's own name; made up when left out.
    endpoint: Option<String>,
    credential_sid: Option<String>,
    /// What it is to be told of; everything when left out.
    message_types: Option<Vec<String>>,
    /// The default service when left out.
    service_sid: Option<String>,
}

impl NewDeviceBinding {
    /// Whose device it is.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }
}

/// Registers a device, makes its user notifiable, and returns the resource.
///
/// # Errors
/// 404 when service or credential are not there; 50209, 20422 when a type is none of Twilio's.
pub(crate) fn register(
    tenant: &mut Tenant,
    base: &str,
    origin: &Origin,
    new: NewDeviceBinding,
) -> Result<Value, Refusal> {
    let service_sid = match &new.service_sid {
        None => tenant.default_service_sid,
        Some(text) => Sid::parse(prefix::SERVICE, text).ok_or(error::SERVICE_NOT_FOUND)?,
    };
    tenant.service(service_sid)?;
    if !TYPES.contains(&new.binding_type.as_str()) {
        return Err(error::BINDING_TYPE_INVALID);
    }
    let credential_sid = match &new.credential_sid {
        None => None,
        Some(text) => Some(
            Sid::parse(prefix::CREDENTIAL, text)
                .filter(|sid| tenant.credentials.get(*sid).is_some())
                .ok_or_else(|| error::NOT_FOUND.saying("no such credential".to_owned()))?,
        ),
    };
    let message_types = new.message_types.unwrap_or_else(|| MESSAGE_TYPES.map(str::to_owned).to_vec());
    if !message_types.iter().all(|name| MESSAGE_TYPES.contains(&name.as_str())) {
        return Err(Refusal::invalid_parameter("message_types", "has a type that is never pushed"));
    }
    let sid = Sid::random(prefix::BINDING);
    let binding = DeviceBinding {
        sid,
        endpoint: new.endpoint.unwrap_or_else(|| format!("{}-{sid}", new.identity)),
        identity: new.identity,
        binding_type: new.binding_type,
        credential_sid,
        message_types,
        date_created: origin.now,
        date_updated: origin.now,
    };
    users::ensure(tenant, service_sid, &binding.identity, origin)?;
    users::become_notifiable(tenant, service_sid, origin, &binding.identity, true)?;
    let view = View::new(base, tenant.account_sid, Some(service_sid));
    let body = binding.body(&view, service_sid);
    tenant.service_mut(service_sid)?.devices.insert(binding);
    Ok(body)
}

fn find_binding<'a>(call: &Call, tenant: &'a Tenant) -> Result<(Sid, &'a DeviceBinding), Refusal> {
    let service = tenant.service(call.service_sid(tenant)?)?;
    Sid::parse(prefix::BINDING, call.segment("binding"))
        .and_then(|sid| service.devices.rows.get(&sid))
        .map(|binding| (service.sid, binding))
        .ok_or_else(|| call.not_found())
}

/// `GET /v1/Services/{service}/Bindings`, of some types or identities or all.
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "bindings", size: 50, most: 100, filters: &["BindingType", "Identity"] };
    let service = tenant.service(call.service_sid(tenant)?)?;
    let view = call.view(tenant);
    let types = call.query().list("BindingType");
    if types.iter().flatten().any(|kind| !TYPES.contains(&kind.to_ascii_lowercase().as_str())) {
        return Err(error::BINDING_TYPE_INVALID);
    }
    let devices = &service.devices;
    let show = |sid: &Sid| {
        let binding = devices.rows.get(sid)?;
        let wanted =
            |kinds: &Vec<String>| kinds.iter().any(|kind| kind.eq_ignore_ascii_case(&binding.binding_type));
        types.as_ref().is_none_or(wanted).then(|| binding.body(&view, service.sid))
    };
    match call.query().list("Identity") {
        None => page::page(call, tenant, &LIST, &devices.rows, Order::Ascending, |sid, _| show(sid)),
        Some(identities) => {
            let theirs = identities.iter().filter_map(|identity| devices.by_identity.get(identity)).flatten();
            let rows: BTreeMap<Sid, ()> = theirs.map(|sid| (*sid, ())).collect();
            page::page(call, tenant, &LIST, &rows, Order::Ascending, |sid, ()| show(sid))
        }
    }
    .map(Answer::Ok)
}

/// `GET /v1/Services/{service}/Bindings/{binding}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, binding) = find_binding(call, tenant)?;
    Ok(Answer::Ok(binding.body(&call.view(tenant), service_sid)))
}

/// `DELETE /v1/Services/{service}/Bindings/{binding}`. Whose last device this was is not notifiable any more.
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, binding) = find_binding(call, tenant)?;
    let sid = binding.sid;
    let devices = &mut tenant.service_mut(service_sid)?.devices;
    if let Some(binding) = devices.remove(sid)
        && !devices.by_identity.contains_key(&binding.identity)
    {
        // Told as what the device did, which went: REST asks for no webhooks here.
        let origin = Origin::sdk(call.origin().now, &binding.identity);
        users::become_notifiable(tenant, service_sid, &origin, &binding.identity, false)?;
    }
    Ok(Answer::Deleted)
}
