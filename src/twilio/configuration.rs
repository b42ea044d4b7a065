//! The service's own settings at Twilio, as far as this service depends on them.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/service-configuration-resource>

use serde::{Deserialize, Serialize};

use super::call::{Call, Form};
use super::{Client, Error, RoleSid, ServiceSid, lenient};

/// A service's settings as Twilio stores them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConfiguration {
    /// Whose.
    pub chat_service_sid: ServiceSid,
    /// The role of whoever creates a conversation over an SDK.
    pub default_conversation_creator_role_sid: Option<RoleSid>,
    /// The role of new participants.
    pub default_conversation_role_sid: Option<RoleSid>,
    /// The role of new users.
    pub default_chat_service_role_sid: Option<RoleSid>,
    /// Whether Twilio tells who is online on its own SDKs.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub reachability_enabled: bool,
}

impl Client {
    /// The settings of the service.
    ///
    /// # Errors
    /// [`Error::is_unauthorized`] if our credentials are wrong; [`Error::is_not_found`] if they are another account's.
    pub async fn fetch_service_configuration(&self) -> Result<ServiceConfiguration, Error> {
        self.send(Call::fetch("configuration.fetch", "Configuration")).await
    }

    /// Makes Twilio tell who is online on its own SDKs: `is_online` of users, and a webhook when it changes.
    ///
    /// # Errors
    /// As [`Client::fetch_service_configuration`].
    ///
    /// Source: <https://www.twilio.com/docs/conversations/reachability>
    pub async fn enable_reachability(&self) -> Result<ServiceConfiguration, Error> {
        let form = Form::new().with("ReachabilityEnabled", "true");
        self.send(Call::update("configuration.update", "Configuration", form).silent()).await
    }
}
