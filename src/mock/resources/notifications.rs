//! The texts and sounds of a service's push notifications. Kept and shown; the mock pushes nothing.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/service-notification-resource>

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::mock::error::{self, Refusal};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::state::Tenant;

/// Most characters of a template. Twilio names the mistake (50058) but not the number.
const MOST_TEMPLATE: usize = 2048;

/// Most characters of a sound's name (50059), a guess as well.
const MOST_SOUND: usize = 256;

/// What a service pushes on which occasion.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NotificationSettings {
    log_enabled: bool,
    new_message: Notification,
    badge_count_enabled: bool,
    new_message_with_media: Notification,
    added_to_conversation: Notification,
    removed_from_conversation: Notification,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Notification {
    enabled: bool,
    template: Option<String>,
    sound: Option<String>,
}

impl Notification {
    fn change(&mut self, call: &Call, occasion: &str) -> Result<(), Refusal> {
        let form = call.form();
        if let Some(enabled) = form.flag(&format!("{occasion}.Enabled"))? {
            self.enabled = enabled;
        }
        let template = format!("{occasion}.Template");
        if let Some(text) = form.text_up_to(&template, MOST_TEMPLATE, error::TEMPLATE_TOO_LONG)? {
            self.template = Some(text.to_owned());
        }
        if let Some(name) =
            form.text_up_to(&format!("{occasion}.Sound"), MOST_SOUND, error::SOUND_TOO_LONG)?
        {
            self.sound = Some(name.to_owned());
        }
        Ok(())
    }
}

fn body(call: &Call, tenant: &Tenant) -> Outcome {
    let service = tenant.service(call.service_sid(tenant)?)?;
    let settings = &service.notifications;
    let plain = |notification: &Notification| {
        json!({
            "enabled": notification.enabled,
            "template": notification.template,
            "sound": notification.sound,
        })
    };
    let mut new_message = plain(&settings.new_message);
    new_message["badge_count_enabled"] = settings.badge_count_enabled.into();
    new_message["with_media"] = json!({
        "enabled": settings.new_message_with_media.enabled,
        "template": settings.new_message_with_media.template,
    });
    let view = call.view(tenant);
    Ok(Answer::Ok(json!({
        "account_sid": view.account_sid(),
        "chat_service_sid": service.sid,
        "log_enabled": settings.log_enabled,
        "new_message": new_message,
        "added_to_conversation": plain(&settings.added_to_conversation),
        "removed_from_conversation": plain(&settings.removed_from_conversation),
        "url": format!("{}/Configuration/Notifications", view.root()),
    })))
}

/// `GET /v1/Services/{service}/Configuration/Notifications`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    body(call, tenant)
}

/// `POST /v1/Services/{service}/Configuration/Notifications`
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let service = tenant.service_mut(service_sid)?;
    let mut changed = service.notifications.clone();
    changed.log_enabled = call.form().flag("LogEnabled")?.unwrap_or(changed.log_enabled);
    let badge = call.form().flag("NewMessage.BadgeCountEnabled")?;
    changed.badge_count_enabled = badge.unwrap_or(changed.badge_count_enabled);
    for (occasion, notification) in [
        ("NewMessage", &mut changed.new_message),
        ("NewMessage.WithMedia", &mut changed.new_message_with_media),
        ("AddedToConversation", &mut changed.added_to_conversation),
        ("RemovedFromConversation", &mut changed.removed_from_conversation),
    ] {
        notification.change(call, occasion)?;
    }
    service.notifications = changed;
    body(call, tenant)
}
