//! What request bodies hold, for the OpenAPI document. They are read field by field (`shapes.rs`, `Fields`), so that each
//! mistake names its field.

use utoipa::ToSchema;

use crate::auth::Identity;
use crate::core::{Priority, SupportStatus, Topic};

/// `POST /conversation/guest`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct OpenAsGuest {
    guest_id: Option<String>,
    #[schema(rename = "type")]
    topic: Option<Topic>,
    #[schema(max_length = 256)]
    subject: Option<String>,
}

/// `PATCH /conversation/:id`: at least one of these.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", min_properties = 1)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Change {
    status: Option<SupportStatus>,
    priority: Option<Priority>,
    /// `null`: nobody's.
    admin_id: Option<Identity>,
}

/// `POST /onboarding/generate-code`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct GenerateCode {
    user_id: Option<Identity>,
    guest_id: Option<Identity>,
    conversation_id: Option<String>,
    /// JSON.
    device_info: Option<String>,
}

/// `POST /onboarding/verify-code`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct VerifyCode {
    #[schema(pattern = "^\\s*[0-9]{6}\\s*$")]
    code: String,
    user_id: Option<Identity>,
    guest_id: Option<Identity>,
}
