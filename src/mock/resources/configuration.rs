//! Configuration of the account and of a service, and the webhooks of both.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/configuration-resource>,
//! <https://www.twilio.com/docs/conversations/api/service-configuration-resource>

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::error::{self, Refusal};
use crate::mock::event::{POST_EVENTS, PRE_EVENTS, WebhookMethod};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::resources::roles::RoleType;
use crate::mock::resources::timers::{self, Timers};
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::Tenant;

/// The account's settings, apart from its default service.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountConfiguration {
    pub(crate) default_messaging_service_sid: String,
    default_inactive_timer: Option<(String, TimeDelta)>,
    default_closed_timer: Option<(String, TimeDelta)>,
}

impl Default for AccountConfiguration {
    fn default() -> Self {
        Self {
            default_messaging_service_sid: Sid::random("MG").to_string(),
            default_inactive_timer: None,
            default_closed_timer: None,
        }
    }
}

impl AccountConfiguration {
    /// The timers of a conversation that brings none.
    pub(crate) fn default_timers(&self) -> Timers {
        let length = |timer: &Option<(String, TimeDelta)>| timer.as_ref().map(|(_, length)| *length);
        Timers::new(length(&self.default_inactive_timer), length(&self.default_closed_timer))
    }
}

/// A service's settings.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ServiceConfiguration {
    pub(crate) default_conversation_creator_role_sid: Sid,
    pub(crate) default_conversation_role_sid: Sid,
    pub(crate) default_chat_service_role_sid: Sid,
    pub(crate) reachability_enabled: bool,
}

/// Where events of an account or a service go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WebhookSettings {
    pre_webhook_url: Option<String>,
    post_webhook_url: Option<String>,
    method: WebhookMethod,
    /// Events that are told; all post-events until someone chooses.
    filters: Vec<String>,
    target: String,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            pre_webhook_url: None,
            post_webhook_url: None,
            method: WebhookMethod::Post,
            filters: POST_EVENTS.map(str::to_owned).to_vec(),
            target: "webhook".to_owned(),
        }
    }
}

impl WebhookSettings {
    /// All post-events to `url`.
    pub(crate) fn posting_to(url: Option<String>) -> Self {
        Self { post_webhook_url: url, ..Self::default() }
    }

    /// Sends post-events elsewhere, or nowhere.
    pub(crate) fn set_post_url(&mut self, url: Option<String>) {
        self.post_webhook_url = url;
    }

    /// Where and how the post-event `kind` goes, if anywhere.
    pub(crate) fn post_target(&self, kind: &str) -> Option<(String, WebhookMethod)> {
        let url = self.post_webhook_url.as_ref()?;
        self.filters.iter().any(|filter| filter == kind).then(|| (url.clone(), self.method))
    }

    /// Where and how the pre-event `kind` goes, if anywhere.
    pub(crate) fn pre_target(&self, kind: &str) -> Option<(String, WebhookMethod)> {
        let url = self.pre_webhook_url.as_ref()?;
        self.filters.iter().any(|filter| filter == kind).then(|| (url.clone(), self.method))
    }

    fn change(&mut self, call: &Call) -> Result<(), Refusal> {
        let form = call.form();
        let mut changed = self.clone();
        for (name, url) in [
            ("PreWebhookUrl", &mut changed.pre_webhook_url),
            ("PostWebhookUrl", &mut changed.post_webhook_url),
        ] {
            if let Some(text) = form.text(name)? {
                *url = if text.is_empty() { None } else { Some(webhook_url(text)?) };
            }
        }
        if let Some(text) = form.text("Method")? {
            changed.method = WebhookMethod::parse(text).ok_or(error::WEBHOOK_METHOD_INVALID)?;
        }
        if let Some(filters) = form.list("Filters") {
            if let Some(unknown) = filters
                .iter()
                .find(|name| ![&POST_EVENTS[..], &PRE_EVENTS[..]].concat().contains(&name.as_str()))
            {
                return Err(Refusal::invalid_parameter("Filters", &format!("has no event {unknown}")));
            }
            changed.filters = filters;
        }
        match form.lowercase("Target")? {
            None => {}
            Some(target) if ["webhook", "flex"].contains(&target.as_str()) => changed.target = target,
            Some(_) => return Err(Refusal::invalid_parameter("Target", "is neither webhook nor flex")),
        }
        *self = changed;
        Ok(())
    }

    fn body(&self) -> Value {
        json!({
            "pre_webhook_url": self.pre_webhook_url,
            "post_webhook_url": self.post_webhook_url,
            "method": self.method.as_str(),
            "filters": self.filters,
        })
    }
}

/// Most characters of a webhook's address, as the error page of 50372 has it.
const MOST_URL: usize = 512;

/// An address a webhook can be sent to.
///
/// # Errors
/// 50054, 50372.
pub(crate) fn webhook_url(text: &str) -> Result<String, Refusal> {
    if text.chars().count() > MOST_URL {
        return Err(error::WEBHOOK_URL_TOO_LONG);
    }
    let http = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    // The text is kept as given: it is what the signature covers.
    url::Url::parse(text).ok().filter(http).map(|_| text.to_owned()).ok_or(error::WEBHOOK_URL_INVALID)
}

fn account_body(call: &Call, tenant: &Tenant) -> Value {
    let root = call.view(tenant).version_root().to_owned();
    let length = |timer: &Option<(String, TimeDelta)>| timer.as_ref().map(|(text, _)| text.clone());
    json!({
        "account_sid": tenant.account_sid,
        "default_chat_service_sid": tenant.default_service_sid,
        "default_messaging_service_sid": tenant.configuration.default_messaging_service_sid,
        "default_inactive_timer": length(&tenant.configuration.default_inactive_timer),
        "default_closed_timer": length(&tenant.configuration.default_closed_timer),
        "url": format!("{root}/Configuration"),
        "links": {
            "service": format!("{root}/Services/{}/Configuration", tenant.default_service_sid),
            "webhooks": format!("{root}/Configuration/Webhooks"),
        },
    })
}

/// `GET /v1/Configuration`
pub(crate) fn fetch_account(call: &Call, tenant: &mut Tenant) -> Outcome {
    Ok(Answer::Ok(account_body(call, tenant)))
}

/// `POST /v1/Configuration`
pub(crate) fn update_account(call: &Call, tenant: &mut Tenant) -> Outcome {
    let form = call.form();
    let service = match form.text("DefaultChatServiceSid")? {
        None => None,
        Some(text) => Some(
            Sid::parse(prefix::SERVICE, text)
                .filter(|sid| tenant.services.get(*sid).is_some())
                .ok_or_else(|| Refusal::invalid_parameter("DefaultChatServiceSid", "names no service"))?,
        ),
    };
    let messaging_service = match form.text("DefaultMessagingServiceSid")? {
        Some(text) if Sid::parse("MG", text).is_none() => return Err(error::MESSAGING_SERVICE_INVALID),
        text => text.map(str::to_owned),
    };
    let inactive_text = form.text("DefaultInactiveTimer")?;
    let inactive = timers::inactive(inactive_text)?;
    let closed_text = form.text("DefaultClosedTimer")?;
    let closed = timers::closed(closed_text)?;

    tenant.default_service_sid = service.unwrap_or(tenant.default_service_sid);
    let configuration = &mut tenant.configuration;
    if let Some(sid) = messaging_service {
        configuration.default_messaging_service_sid = sid;
    }
    if let (Some(text), Some(length)) = (inactive_text, inactive) {
        configuration.default_inactive_timer = Some((text.to_owned(), length));
    }
    if let (Some(text), Some(length)) = (closed_text, closed) {
        configuration.default_closed_timer = Some((text.to_owned(), length));
    }
    Ok(Answer::Ok(account_body(call, tenant)))
}

fn account_webhooks_body(call: &Call, tenant: &Tenant) -> Value {
    let mut body = tenant.webhooks.body();
    body["account_sid"] = tenant.account_sid.to_string().into();
    body["target"] = tenant.webhooks.target.clone().into();
    body["url"] = format!("{}/Configuration/Webhooks", call.view(tenant).version_root()).into();
    body
}

/// `GET /v1/Configuration/Webhooks`
pub(crate) fn fetch_account_webhooks(call: &Call, tenant: &mut Tenant) -> Outcome {
    Ok(Answer::Ok(account_webhooks_body(call, tenant)))
}

/// `POST /v1/Configuration/Webhooks`
pub(crate) fn update_account_webhooks(call: &Call, tenant: &mut Tenant) -> Outcome {
    tenant.webhooks.change(call)?;
    Ok(Answer::Ok(account_webhooks_body(call, tenant)))
}

fn service_body(call: &Call, tenant: &Tenant) -> Outcome {
    let service = tenant.service(call.service_sid(tenant)?)?;
    let url = format!("{}/Configuration", call.view(tenant).root());
    let configuration = &service.configuration;
    Ok(Answer::Ok(json!({
        "chat_service_sid": service.sid,
        "default_conversation_creator_role_sid": configuration.default_conversation_creator_role_sid,
        "default_conversation_role_sid": configuration.default_conversation_role_sid,
        "default_chat_service_role_sid": configuration.default_chat_service_role_sid,
        "reachability_enabled": configuration.reachability_enabled,
        "links": {
            "notifications": format!("{url}/Notifications"),
            "webhooks": format!("{url}/Webhooks"),
        },
        "url": url,
    })))
}

/// `GET /v1/Services/{service}/Configuration`
pub(crate) fn fetch_service(call: &Call, tenant: &mut Tenant) -> Outcome {
    service_body(call, tenant)
}

/// `POST /v1/Services/{service}/Configuration`
pub(crate) fn update_service(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let service = tenant.service_mut(service_sid)?;
    let mut changed = service.configuration;
    for (name, kind, role) in [
        (
            "DefaultConversationCreatorRoleSid",
            RoleType::Conversation,
            &mut changed.default_conversation_creator_role_sid,
        ),
        ("DefaultConversationRoleSid", RoleType::Conversation, &mut changed.default_conversation_role_sid),
        ("DefaultChatServiceRoleSid", RoleType::Service, &mut changed.default_chat_service_role_sid),
    ] {
        if let Some(text) = call.form().text(name)? {
            *role = Sid::parse(prefix::ROLE, text)
                .filter(|sid| service.has_role(*sid, kind))
                .ok_or(error::ROLE_NOT_FOUND)?;
        }
    }
    if let Some(enabled) = call.form().flag("ReachabilityEnabled")? {
        changed.reachability_enabled = enabled;
    }
    service.configuration = changed;
    service_body(call, tenant)
}

fn service_webhooks_body(call: &Call, tenant: &Tenant) -> Outcome {
    let service = tenant.service(call.service_sid(tenant)?)?;
    let mut body = service.webhooks.body();
    body["account_sid"] = tenant.account_sid.to_string().into();
    body["chat_service_sid"] = service.sid.to_string().into();
    body["url"] = format!("{}/Configuration/Webhooks", call.view(tenant).root()).into();
    Ok(Answer::Ok(body))
}

/// `GET /v1/Services/{service}/Configuration/Webhooks`
pub(crate) fn fetch_service_webhooks(call: &Call, tenant: &mut Tenant) -> Outcome {
    service_webhooks_body(call, tenant)
}

/// `POST /v1/Services/{service}/Configuration/Webhooks`
pub(crate) fn update_service_webhooks(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    tenant.service_mut(service_sid)?.webhooks.change(call)?;
    service_webhooks_body(call, tenant)
}
