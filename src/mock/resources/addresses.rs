//! Address configurations: what becomes of a message to one of our addresses that no conversation waits for.
//!
//! The table only; conversations are made of it where messages from outside come in (`other_side.rs`).
//! Source: <https://www.twilio.com/docs/conversations/api/address-configuration-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::WebhookMethod;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::binding::is_e164;
use crate::mock::resources::configuration::webhook_url;
use crate::mock::resources::webhooks;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::Tenant;
use crate::mock::view::View;

const MOST_NAME: usize = 256;
const MOST_ADDRESS: usize = 256;
const MOST_RETRIES: u32 = 3;
const TYPES: [&str; 8] = ["sms", "whatsapp", "messenger", "gbm", "email", "rcs", "apple", "chat"];

/// One of our addresses and what is to happen there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AddressConfiguration {
    sid: Sid,
    kind: String,
    pub(crate) address: String,
    friendly_name: Option<String>,
    address_country: Option<String>,
    pub(crate) auto_creation: AutoCreation,
    date_created: DateTime<Utc>,
    date_updated: DateTime<Utc>,
}

/// Whether a message to the address makes a conversation, and who hears of that one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AutoCreation {
    pub(crate) enabled: bool,
    pub(crate) kind: AutoCreationType,
    /// The service of the conversation; the default one when there is none.
    pub(crate) conversation_service_sid: Option<Sid>,
    pub(crate) webhook_url: Option<String>,
    pub(crate) webhook_method: WebhookMethod,
    pub(crate) webhook_filters: Vec<String>,
    studio_flow_sid: Option<String>,
    studio_retry_count: u32,
}

/// What a conversation that is made on sight starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AutoCreationType {
    /// A scoped webhook.
    Webhook,
    /// A Studio flow, which the mock does not run.
    Studio,
    /// Nothing.
    Default,
}

impl AutoCreation {
    fn none() -> Self {
        Self {
            enabled: false,
            kind: AutoCreationType::Default,
            conversation_service_sid: None,
            webhook_url: None,
            webhook_method: WebhookMethod::Post,
            webhook_filters: Vec::new(),
            studio_flow_sid: None,
            studio_retry_count: 0,
        }
    }

    /// The same with what the `AutoCreation.…` parameters say.
    ///
    /// # Errors
    /// 20422, 50050, 50054, 50055, 50365, 50367, 50369, 50372.
    fn changed(&self, call: &Call, tenant: &Tenant) -> Result<Self, Refusal> {
        let form = call.form();
        let mut changed = self.clone();
        if let Some(enabled) = form.flag("AutoCreation.Enabled")? {
            changed.enabled = enabled;
        }
        changed.kind = match form.lowercase("AutoCreation.Type")?.as_deref() {
            None => changed.kind,
            Some("webhook") => AutoCreationType::Webhook,
            Some("studio") => AutoCreationType::Studio,
            Some("default") => AutoCreationType::Default,
            Some(_) => {
                let problem = "is none of webhook, studio, default";
                return Err(Refusal::invalid_parameter("AutoCreation.Type", problem));
            }
        };
        if let Some(text) = form.text("AutoCreation.ConversationServiceSid")? {
            let service = Sid::parse(prefix::SERVICE, text)
                .filter(|sid| tenant.services.get(*sid).is_some())
                .ok_or(error::SERVICE_NOT_FOUND)?;
            changed.conversation_service_sid = Some(service);
        }
        if let Some(text) = form.text("AutoCreation.WebhookUrl")? {
            changed.webhook_url = Some(webhook_url(text)?);
        }
        if let Some(text) = form.text("AutoCreation.WebhookMethod")? {
            changed.webhook_method = WebhookMethod::parse(text).ok_or(error::WEBHOOK_METHOD_INVALID)?;
        }
        if let Some(filters) = form.list("AutoCreation.WebhookFilters") {
            webhooks::check_filters(&filters)?;
            changed.webhook_filters = filters;
        }
        if let Some(text) = form.text("AutoCreation.StudioFlowSid")? {
            if Sid::parse(prefix::FLOW, text).is_none() {
                return Err(error::WEBHOOK_FLOW_INVALID);
            }
            changed.studio_flow_sid = Some(text.to_owned());
        }
        if let Some(text) = form.text("AutoCreation.StudioRetryCount")? {
            let name = "AutoCreation.StudioRetryCount";
            changed.studio_retry_count = text
                .parse()
                .ok()
                .filter(|count| *count <= MOST_RETRIES)
                .ok_or_else(|| Refusal::invalid_parameter(name, "is not a number from 0 to 3"))?;
        }
        match changed.kind {
            AutoCreationType::Webhook if changed.webhook_url.is_none() => Err(error::WEBHOOK_URL_MISSING),
            AutoCreationType::Studio if changed.studio_flow_sid.is_none() => Err(error::WEBHOOK_FLOW_INVALID),
            AutoCreationType::Webhook | AutoCreationType::Studio | AutoCreationType::Default => Ok(changed),
        }
    }

    fn body(&self) -> Value {
        let mut body = match self.kind {
            AutoCreationType::Default => json!({ "type": "default" }),
            AutoCreationType::Webhook => json!({
                "type": "webhook",
                "webhook_url": self.webhook_url,
                "webhook_method": self.webhook_method.as_str(),
                "webhook_filters": self.webhook_filters,
            }),
            AutoCreationType::Studio => json!({
                "type": "studio",
                "studio_flow_sid": self.studio_flow_sid,
                "studio_retry_count": self.studio_retry_count,
            }),
        };
        body["enabled"] = self.enabled.into();
        if let Some(service) = self.conversation_service_sid {
            body["conversation_service_sid"] = service.to_string().into();
        }
        body
    }
}

impl AddressConfiguration {
    fn body(&self, view: &View) -> Value {
        json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "type": self.kind,
            "address": self.address,
            "friendly_name": self.friendly_name,
            "address_country": self.address_country,
            "auto_creation": self.auto_creation.body(),
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "url": format!("{}/Configuration/Addresses/{}", view.version_root(), self.sid),
        })
    }
}

impl Tenant {
    /// What is configured for one of our addresses.
    pub(crate) fn address_configuration(&self, address: &str) -> Option<&AddressConfiguration> {
        self.address_configurations.values().find(|configuration| configuration.address == address)
    }
}

/// A phone number for what is reached by one; other channels have names of their own.
fn is_address(kind: &str, text: &str) -> bool {
    let short_code =
        |text: &str| (3..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        "sms" => is_e164(text) || short_code(text),
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
        _ => !text.is_empty(),
    }
}

/// The configuration a path names by SID or address.
fn find_address(call: &Call, tenant: &Tenant) -> Result<Sid, Refusal> {
    let id = call.segment("address");
    match Sid::parse(prefix::ADDRESS_CONFIGURATION, id) {
        Some(sid) => tenant.address_configurations.get(sid),
        None => tenant.address_configuration(id),
    }
    .map(|configuration| configuration.sid)
    .ok_or_else(|| call.not_found())
}

fn shown(call: &Call, tenant: &Tenant, sid: Sid) -> Result<Value, Refusal> {
    let configuration = tenant.address_configurations.get(sid).ok_or_else(|| call.not_found())?;
    Ok(configuration.body(&call.view(tenant)))
}

/// `GET /v1/Configuration/Addresses`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "address_configurations", size: 50, most: 50, filters: &["Type"] };
    let view = call.view(tenant);
    let kind = call.query().lowercase("Type")?;
    page::page(call, tenant, &LIST, tenant.address_configurations.rows(), Order::Ascending, |_, row| {
        kind.as_ref().is_none_or(|kind| row.kind == *kind).then(|| row.body(&view))
    })
    .map(Answer::Ok)
}

/// `POST /v1/Configuration/Addresses`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let form = call.form();
    let kind = form.lowercase("Type")?.ok_or_else(|| Refusal::missing_parameter("Type"))?;
    if !TYPES.contains(&kind.as_str()) {
        return Err(Refusal::invalid_parameter("Type", "is no type of address"));
    }
    let address = form
        .text_up_to("Address", MOST_ADDRESS, error::ADDRESS_INVALID)?
        .ok_or_else(|| Refusal::missing_parameter("Address"))?;
    if !is_address(&kind, address) {
        return Err(error::ADDRESS_INVALID);
    }
    let friendly_name = form.text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?;
    let address_country = country(form.text("AddressCountry")?)?;
    let auto_creation = AutoCreation::none().changed(call, tenant)?;
    if tenant.address_configuration(address).is_some() {
        return Err(error::CONFLICT.saying(format!("Address {address} is already configured")));
    }
    let now = call.origin().now;
    let configuration = AddressConfiguration {
        sid: Sid::random(prefix::ADDRESS_CONFIGURATION),
        kind,
        address: address.to_owned(),
        friendly_name: friendly_name.map(str::to_owned),
        address_country,
        auto_creation,
        date_created: now,
        date_updated: now,
    };
    let sid = configuration.sid;
    tenant.address_configurations.insert(sid, configuration);
    Ok(Answer::Created(shown(call, tenant, sid)?))
}

/// Two letters, as in ISO 3166-1.
fn country(text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            Err(Refusal::invalid_parameter("AddressCountry", "is not an ISO 3166-1 alpha-2 code"))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// `GET /v1/Configuration/Addresses/{address}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    Ok(Answer::Ok(shown(call, tenant, find_address(call, tenant)?)?))
}

/// `POST /v1/Configuration/Addresses/{address}`: address and type stay.
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let sid = find_address(call, tenant)?;
    let friendly_name = call.form().text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?;
    let old = tenant.address_configurations.get(sid).ok_or_else(|| call.not_found())?;
    let auto_creation = old.auto_creation.changed(call, tenant)?;
    let configuration = tenant.address_configurations.get_mut(sid).ok_or_else(|| call.not_found())?;
    configuration.auto_creation = auto_creation;
    if let Some(name) = friendly_name {
        configuration.friendly_name = Some(name.to_owned());
    }
    configuration.date_updated = call.origin().now;
    Ok(Answer::Ok(shown(call, tenant, sid)?))
}

/// `DELETE /v1/Configuration/Addresses/{address}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let sid = find_address(call, tenant)?;
    tenant.address_configurations.remove(sid);
    Ok(Answer::Deleted)
}
