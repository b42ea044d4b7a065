//! The service as Programmable Chat sees it, for the two settings of webhooks that Conversations itself has not.
//!
//! On Twilio this is another host (`chat.twilio.com/v2`); the mock serves it on its one port.
//! Source: <https://www.twilio.com/docs/chat/rest/service-resource>

use serde_json::{Value, json};

use crate::mock::error::Refusal;
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::state::Tenant;

/// Most repetitions of a webhook.
const MOST_RETRIES: u32 = 3;

fn body(call: &Call, tenant: &Tenant) -> Result<Value, Refusal> {
    let service = tenant.service(call.service_sid(tenant)?)?;
    let switches = &tenant.switches;
    Ok(json!({
        "sid": service.sid,
        "account_sid": tenant.account_sid,
        "friendly_name": service.friendly_name,
        "pre_webhook_retry_count": service.pre_webhook_retry_count.unwrap_or(switches.pre_webhook_retry_count),
        "post_webhook_retry_count": service.post_webhook_retry_count.unwrap_or(switches.post_webhook_retry_count),
        "url": format!("{}/v2/Services/{}", call.base(), service.sid),
    }))
}

/// `GET /v2/Services/{service}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    Ok(Answer::Ok(body(call, tenant)?))
}

/// `POST /v2/Services/{service}` `PreWebhookRetryCount=…&PostWebhookRetryCount=…`; nothing else can be changed here.
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let pre = retries(call, "PreWebhookRetryCount")?;
    let post = retries(call, "PostWebhookRetryCount")?;
    let service = tenant.service_mut(service_sid)?;
    service.pre_webhook_retry_count = pre.or(service.pre_webhook_retry_count);
    service.post_webhook_retry_count = post.or(service.post_webhook_retry_count);
    Ok(Answer::Ok(body(call, tenant)?))
}

fn retries(call: &Call, name: &str) -> Result<Option<u32>, Refusal> {
    let read = |text: &str| text.parse().ok().filter(|count| *count <= MOST_RETRIES);
    let invalid = || Refusal::invalid_parameter(name, "is not a number from 0 to 3");
    call.form().text(name)?.map(|text| read(text).ok_or_else(invalid)).transpose()
}
