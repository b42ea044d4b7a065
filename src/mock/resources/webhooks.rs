//! Webhooks of one conversation: at most five, told after the fact only.
//!
//! A new one with `ReplayAfter` hears of the messages after that index, as if they were added now. Studio flows are kept
//! and shown, but not run.
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-scoped-webhook-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Event, Origin, ScopedTarget, WebhookMethod};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::configuration::webhook_url;
use crate::mock::resources::conversations::find;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, Tenant};
use crate::mock::view::View;
use crate::mock::webhooks::MOST_IN_A_LANE;

const MOST_WEBHOOKS: usize = 5;
const MOST_TRIGGERS: usize = 5;

const EVENTS: [&str; 10] = [
    "onMessageAdded",
    "onMessageUpdated",
    "onMessageRemoved",
    "onConversationUpdated",
    "onConversationStateUpdated",
    "onConversationRemoved",
    "onParticipantAdded",
    "onParticipantUpdated",
    "onParticipantRemoved",
    "onDeliveryUpdated",
];

/// One scoped webhook.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScopedWebhook {
    sid: Sid,
    target: Target,
    replay_after: Option<u64>,
    date_created: DateTime<Utc>,
    date_updated: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    /// Hears the events in `filters`.
    Webhook { url: String, method: WebhookMethod, filters: Vec<String> },
    /// Hears of messages that contain a keyword.
    Trigger { url: String, method: WebhookMethod, keywords: Vec<String> },
    /// Would start a Studio flow.
    Studio { flow_sid: String },
}

impl ScopedWebhook {
    /// Who is to be told of `kind`, about a message with `body` if it is one.
    pub(crate) fn target_for(&self, kind: &str, body: Option<&str>) -> Option<ScopedTarget> {
        let (url, method) = match &self.target {
            Target::Webhook { url, method, filters } if filters.iter().any(|filter| filter == kind) => {
                (url, method)
            }
            Target::Trigger { url, method, keywords }
                if kind == "onMessageAdded"
                    && body.is_some_and(|body| {
                        keywords.iter().any(|keyword| body.contains(keyword.as_str()))
                    }) =>
            {
                (url, method)
            }
            Target::Webhook { .. } | Target::Trigger { .. } | Target::Studio { .. } => return None,
        };
        Some(ScopedTarget { sid: self.sid, url: url.clone(), method: *method })
    }

    fn body(&self, view: &View, conversation_sid: Sid) -> Value {
        let (target, mut configuration) = match &self.target {
            Target::Webhook { url, method, filters } => {
                ("webhook", json!({ "url": url, "method": method.as_str(), "filters": filters }))
            }
            Target::Trigger { url, method, keywords } => {
                ("trigger", json!({ "url": url, "method": method.as_str(), "filters": keywords }))
            }
            Target::Studio { flow_sid } => ("studio", json!({ "flow_sid": flow_sid })),
        };
        if let Some(index) = self.replay_after {
            configuration["replay_after"] = index.into();
        }
        view.scoped(json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "conversation_sid": conversation_sid,
            "target": target,
            "configuration": configuration,
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "url": format!("{}/Conversations/{conversation_sid}/Webhooks/{}", view.root(), self.sid),
        }))
    }
}

impl Target {
    /// The target as the parameters describe it; `old` fills what they leave out.
    fn read(call: &Call, kind: &str, old: Option<&Self>) -> Result<Self, Refusal> {
        let form = call.form();
        let (old_url, old_method, old_names, old_flow) = match old {
            Some(Self::Webhook { url, method, filters }) => (Some(url), Some(*method), Some(filters), None),
            Some(Self::Trigger { url, method, keywords }) => (Some(url), Some(*method), Some(keywords), None),
            Some(Self::Studio { flow_sid }) => (None, None, None, Some(flow_sid)),
            None => (None, None, None, None),
        };
        if kind == "studio" {
            let flow_sid = form.text("Configuration.FlowSid")?.or(old_flow.map(String::as_str));
            return match flow_sid {
                Some(sid) if Sid::parse(prefix::FLOW, sid).is_some() => {
                    Ok(Self::Studio { flow_sid: sid.to_owned() })
                }
                Some(_) | None => Err(error::WEBHOOK_FLOW_INVALID),
            };
        }
        let url = match form.text("Configuration.Url")?.filter(|url| !url.is_empty()) {
            Some(url) => webhook_url(url)?,
            None => old_url.cloned().ok_or(error::WEBHOOK_URL_MISSING)?,
        };
        let method = match form.text("Configuration.Method")? {
            Some(text) => WebhookMethod::parse(text).ok_or(error::WEBHOOK_METHOD_INVALID)?,
            None => old_method.unwrap_or(WebhookMethod::Post),
        };
        if kind == "trigger" {
            let keywords = form
                .list("Configuration.Triggers")
                .or(old_names.cloned())
                .ok_or(error::WEBHOOK_TRIGGER_MISSING)?;
            if keywords.len() > MOST_TRIGGERS {
                return Err(error::TOO_MANY_TRIGGERS);
            }
            if keywords.iter().any(|keyword| keyword.trim().is_empty()) {
                return Err(error::WEBHOOK_TRIGGER_INVALID);
            }
            return Ok(Self::Trigger { url, method, keywords });
        }
        let filters =
            form.list("Configuration.Filters").or(old_names.cloned()).ok_or(error::WEBHOOK_FILTER_MISSING)?;
        check_filters(&filters)?;
        Ok(Self::Webhook { url, method, filters })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Trigger { .. } => "trigger",
            Self::Studio { .. } => "studio",
        }
    }
}

/// Refuses events that scoped webhooks are never told of.
///
/// # Errors
/// 50365.
pub(crate) fn check_filters(filters: &[String]) -> Result<(), Refusal> {
    if filters.iter().all(|filter| EVENTS.contains(&filter.as_str())) {
        Ok(())
    } else {
        Err(error::WEBHOOK_FILTER_INVALID)
    }
}

fn find_webhook(call: &Call, tenant: &Tenant) -> Result<(Place, Sid), Refusal> {
    let place = find(call, tenant)?;
    let sid = Sid::parse(prefix::WEBHOOK, call.segment("webhook"))
        .filter(|sid| tenant.conversation(place).is_ok_and(|found| found.webhooks.get(*sid).is_some()))
        .ok_or_else(|| call.not_found())?;
    Ok((place, sid))
}

fn shown(call: &Call, tenant: &Tenant, place: Place, sid: Sid) -> Result<Value, Refusal> {
    let webhook = tenant.conversation(place)?.webhooks.get(sid).ok_or_else(|| call.not_found())?;
    Ok(webhook.body(&call.view(tenant), place.conversation_sid))
}

/// `GET …/Webhooks`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "webhooks", size: 5, most: 5, filters: &[] };
    let conversation = tenant.conversation(find(call, tenant)?)?;
    let view = call.view(tenant);
    page::page(call, tenant, &LIST, conversation.webhooks.rows(), Order::Ascending, |_, webhook| {
        Some(webhook.body(&view, conversation.sid))
    })
    .map(Answer::Ok)
}

/// `POST …/Webhooks`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let place = find(call, tenant)?;
    let kind = call.form().lowercase("Target")?.ok_or(error::WEBHOOK_TYPE_MISSING)?;
    if !["webhook", "trigger", "studio"].contains(&kind.as_str()) {
        return Err(error::WEBHOOK_TYPE_INVALID);
    }
    let target = Target::read(call, &kind, None)?;
    let replay_after = call
        .form()
        .text("Configuration.ReplayAfter")?
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| Refusal::invalid_parameter("Configuration.ReplayAfter", "is not a message index"))?;
    let now = call.origin().now;
    let conversation = tenant.conversation_mut(place)?;
    conversation.still_open()?;
    if conversation.webhooks.len() >= MOST_WEBHOOKS {
        return Err(error::TOO_MANY_WEBHOOKS);
    }
    let sid = Sid::random(prefix::WEBHOOK);
    let webhook = ScopedWebhook { sid, target, replay_after, date_created: now, date_updated: now };
    conversation.webhooks.insert(sid, webhook);
    if let Some(index) = replay_after {
        replay(tenant, place, sid, index, now)?;
    }
    Ok(Answer::Created(shown(call, tenant, place, sid)?))
}

/// Adds a webhook that a conversation is made with.
pub(crate) fn add(
    tenant: &mut Tenant,
    place: Place,
    url: String,
    method: WebhookMethod,
    filters: Vec<String>,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let sid = Sid::random(prefix::WEBHOOK);
    let target = Target::Webhook { url, method, filters };
    let webhook = ScopedWebhook { sid, target, replay_after: None, date_created: now, date_updated: now };
    tenant.conversation_mut(place)?.webhooks.insert(sid, webhook);
    Ok(())
}

/// Tells the new webhook of the messages after `index`, oldest first, as far as its queue holds them.
fn replay(
    tenant: &mut Tenant,
    place: Place,
    sid: Sid,
    index: u64,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let conversation = tenant.conversation(place)?;
    let Some(webhook) = conversation.webhooks.get(sid) else { return Ok(()) };
    let messages = conversation.messages.range(index.saturating_add(1)..).take(MOST_IN_A_LANE);
    let events: Vec<Event> = messages
        .filter_map(|(_, message)| {
            let target = webhook.target_for("onMessageAdded", message.body.as_deref())?;
            let mut event = message.event("onMessageAdded", conversation);
            event.scoped = vec![target];
            Some(event)
        })
        .collect();
    for event in events {
        tenant.tell_scoped(&Origin::rest(now, true), &event);
    }
    Ok(())
}

/// `GET …/Webhooks/{webhook}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, sid) = find_webhook(call, tenant)?;
    Ok(Answer::Ok(shown(call, tenant, place, sid)?))
}

/// `POST …/Webhooks/{webhook}`
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, sid) = find_webhook(call, tenant)?;
    let conversation = tenant.conversation_mut(place)?;
    conversation.still_open()?;
    let webhook = conversation.webhooks.get_mut(sid).ok_or_else(|| call.not_found())?;
    webhook.target = Target::read(call, webhook.target.kind(), Some(&webhook.target))?;
    webhook.date_updated = call.origin().now;
    Ok(Answer::Ok(shown(call, tenant, place, sid)?))
}

/// `DELETE …/Webhooks/{webhook}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, sid) = find_webhook(call, tenant)?;
    tenant.conversation_mut(place)?.webhooks.remove(sid);
    Ok(Answer::Deleted)
}
