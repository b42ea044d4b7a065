//! How Twilio says no: an HTTP status, one of its five-digit codes, and the dictionary's text.
//!
//! The texts are the error dictionary's titles, which is what captured answers carry.
//! Source: <https://www.twilio.com/docs/api/errors>

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::mock::exchange::json_response;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) message: Cow<'static, str>,
    /// A second sentence some authentication errors carry.
    pub(crate) detail: Option<&'static str>,
}

impl Refusal {
    const fn known(code: u32, status: u16, message: &'static str) -> Self {
        Self { status, code, message: Cow::Borrowed(message), detail: None }
    }

    /// The same refusal with a text that names something of the request.
    pub(crate) fn saying(mut self, message: String) -> Self {
        self.message = Cow::Owned(message);
        self
    }

    /// 404 with the path Twilio prints, which is the requested one without `/v1`.
    pub(crate) fn not_found(path: &str) -> Self {
        let path = path.strip_prefix("/v1").unwrap_or(path);
        NOT_FOUND.saying(format!("The requested resource {path} was not found"))
    }

    /// A parameter that does not read as what it should be.
    pub(crate) fn invalid_parameter(name: &str, problem: &str) -> Self {
        INVALID_PARAMETER.saying(format!("Invalid Parameter: {name} {problem}"))
    }

    /// A required parameter that was left out.
    pub(crate) fn missing_parameter(name: &str) -> Self {
        INVALID_PARAMETER.saying(format!("Missing required parameter {name} in the post body"))
    }

    /// A pair of address and proxy address that `holder` has already.
    pub(crate) fn binding_in_use(holder: impl std::fmt::Display) -> Self {
        BINDING_IN_USE.saying(format!(
            "A binding for this participant and proxy address already exists in Conversation {holder}"
        ))
    }
}

impl Refusal {
    /// A group text with the same numbers, which `holder` is already.
    pub(crate) fn group_exists(holder: impl std::fmt::Display) -> Self {
        GROUP_EXISTS
            .saying(format!("Group MMS with given participant list already exists as Conversation {holder}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status,
        });
        if let Some(detail) = self.detail {
            body["detail"] = detail.into();
        }
        json_response(self.status, &body)
    }
}

macro_rules! refusals {
    ($($name:ident = $status:literal $code:literal $message:literal;)*) => {
        $(pub(crate) const $name: Refusal = Refusal::known($code, $status, $message);)*
    };
}

refusals! {
    INVALID_USERNAME = 401 20003 "Authentication Error - invalid username";
    ACCESS_TOKEN_INVALID = 401 20101 "Invalid Access Token";
    ACCESS_TOKEN_HEADER_INVALID = 401 20102 "Invalid Access Token header";
    ACCESS_TOKEN_ISSUER_INVALID = 401 20103 "Invalid Access Token issuer/subject";
    ACCESS_TOKEN_EXPIRED = 401 20104 "Access Token expired or expiration date invalid";
    ACCESS_TOKEN_NOT_YET_VALID = 401 20105 "Access Token not yet valid";
    ACCESS_TOKEN_GRANTS_INVALID = 401 20106 "Invalid Access Token grants";
    ACCESS_TOKEN_SIGNATURE_INVALID = 401 20107 "Invalid Access Token signature";
    ACCESS_TOKEN_TOO_LONG = 401 20157 "Expiration Time Exceeds Maximum Time Allowed";
    METHOD_NOT_ALLOWED = 405 20004 "Method not allowed";
    PAGE_TOO_LARGE = 400 20007 "Page size too large";
    NOT_FOUND = 404 20404 "Not Found";
    CONFLICT = 409 20409 "Conflict";
    INVALID_PARAMETER = 400 20422 "Invalid Parameter";
    TOO_MANY_REQUESTS = 429 20429 "Too Many Requests";
    SERVICE_UNAVAILABLE = 503 20503 "Service unavailable";
    INTERNAL_SERVER_ERROR = 500 20500 "Internal Server Error";
    TOO_LARGE = 413 20413 "Request Entity Too Large";

    FRIENDLY_NAME_MISSING = 400 50000 "FriendlyName not provided";
    FRIENDLY_NAME_TOO_LONG = 400 50003 "Friendly name too long";
    UNIQUE_NAME_TOO_LONG = 400 50004 "Unique Name too long";
    SERVICE_NOT_FOUND = 404 50050 "Service Instance not found";
    WEBHOOK_URL_INVALID = 400 50054 "Invalid webhook format";
    WEBHOOK_METHOD_INVALID = 400 50055 "Invalid webhook method";
    WEBHOOK_REFUSED = 400 50056 "Webhook disabled processing of command";
    TEMPLATE_TOO_LONG = 400 50058 "Notification template too long";
    SOUND_TOO_LONG = 400 50059 "Notification sound name too long";

    ROLE_NOT_FOUND = 404 50100 "Role not found";
    PERMISSION_NOT_FOUND = 404 50104 "Permission not found";
    ROLE_TYPE_INVALID = 400 50105 "Invalid role type";
    NOT_AUTHORIZED = 403 50107 "User not authorized for command";
    CONVERSATION_ROLE_NOT_FOUND = 404 50109 "Conversation role not found";

    USER_EXISTS = 409 50201 "User already exists";
    IDENTITY_MISSING = 400 50204 "Identity not provided";
    IDENTITY_LIKE_A_SID = 400 50206 "Identity should not match user SID pattern";
    IDENTITY_TOO_LONG = 400 50207 "Identity too long";
    BINDING_TYPE_INVALID = 400 50209 "Invalid binding type";
    NOTIFICATION_LEVEL_INVALID = 400 50210 "Invalid notification level";
    IDENTITY_NOT_ACCEPTABLE = 400 50211 "Identity parameter not acceptable for this Participant";
    TOO_MANY_CONVERSATIONS = 403 50214 "User conversation limit exceeded";

    ATTRIBUTES_TOO_LONG = 400 50303 "Attributes too long";
    ATTRIBUTES_NOT_JSON = 400 50304 "Attributes not valid JSON";
    DATE_CREATED_INVALID = 400 50308 "Invalid Date Created parameter";
    DATE_UPDATED_INVALID = 400 50309 "Invalid Date Updated parameter";
    AUTHOR_TOO_LONG = 400 50310 "Author parameter is too long";
    MESSAGING_SERVICE_INVALID = 400 50341 "Invalid messaging service SID";

    UNIQUE_NAME_EXISTS = 409 50353 "Conversation with provided unique name already exists";
    TOO_MANY_WEBHOOKS = 403 50361 "Too many conversation webhooks";
    TOO_MANY_TRIGGERS = 403 50362 "Too many conversation webhook triggers";
    WEBHOOK_TYPE_INVALID = 400 50364 "Invalid conversation webhook type";
    WEBHOOK_FILTER_INVALID = 400 50365 "Invalid conversation webhook filter";
    WEBHOOK_TRIGGER_INVALID = 400 50366 "Invalid conversation webhook trigger";
    WEBHOOK_FLOW_INVALID = 400 50367 "Invalid conversation webhook flow SID";
    WEBHOOK_TYPE_MISSING = 400 50368 "Conversation webhook type not provided";
    WEBHOOK_URL_MISSING = 400 50369 "Conversation webhook URL not provided";
    WEBHOOK_FILTER_MISSING = 400 50370 "Conversation webhook filter not provided";
    WEBHOOK_TRIGGER_MISSING = 400 50371 "Conversation webhook trigger not provided";
    WEBHOOK_URL_TOO_LONG = 400 50372 "Conversation webhook URL is too long";

    STATE_EMPTY = 400 50374 "'State' field can't be empty";
    INACTIVE_TIMER_TOO_SHORT = 400 50375 "TimeToInactive should be greater or equal to 1 minute";
    CLOSED_TIMER_TOO_SHORT = 400 50376 "TimeToClosed should be greater or equal to 10 minutes";
    CONVERSATION_CLOSED = 400 50377 "Can't update conversation as it's in final closed state";
    STATE_INVALID = 400 50378 "'State' parameter value is invalid";
    INACTIVE_TIMER_INVALID = 400 50379 "TimeToInactive format is invalid";
    CLOSED_TIMER_INVALID = 400 50380 "TimeToClosed format is invalid";
    TIMER_WITHOUT_STATE = 400 50382 "Timer can't be set without state";
    INITIALLY_CLOSED = 400 50384 "Initial state can't be 'closed'";
    UNIQUE_NAME_LIKE_A_SID = 400 50390 "Unique name should not match conversation sid pattern";
    CONVERSATION_INITIALIZING = 409 50391 "Conflicting conversation modification";

    LAST_READ_TIMESTAMP_INVALID = 400 50405 "Invalid last consumption timestamp format";
    ADDRESS_INVALID = 400 50407 "Invalid messaging binding address";
    PROXY_ADDRESS_INVALID = 400 50408 "Invalid participant proxy address";
    ADDRESS_EQUALS_PROXY = 400 50409 "Participant address equals proxy address";
    ADDRESS_EMPTY = 400 50411 "Participant address is empty";
    PROXY_ADDRESS_EMPTY = 400 50412 "Participant proxy address is empty";
    PROXY_ADDRESS_NOT_OURS = 403 50413 "Account is not authorized to use proxy address";
    ADDRESS_TYPES_DIFFER = 400 50414 "Participant address type does not match proxy address type";
    BINDING_IN_USE = 409 50416 "Participant and proxy address pair is already in use";
    TOO_MANY_PARTICIPANTS = 403 50417 "Participants limit exceeded";
    LAST_READ_INDEX_INVALID = 400 50421 "Invalid last read message index format";
    BINDING_PARAMETERS_UNSUPPORTED = 400 50420 "Participant Messaging Binding type does not support all of the provided Messaging Binding parameters";
    TOO_MANY_NON_CHAT_PARTICIPANTS = 403 50422 "Non-chat conversation participants limit exceeded";
    TOO_MANY_AT_ONCE = 400 50426 "Request contains too many participants.";
    PARTICIPANT_EXISTS = 409 50433 "Participant already exists";
    PROJECTED_ADDRESS_MISSING = 400 50434 "Participant projected address not provided";
    GROUP_NOT_ACTIVATED = 400 50435 "Group MMS activation failed.";
    GROUP_FULL = 403 50436 "Participant limit exceeded for group conversation";
    GROUP_PARTICIPANT_EXISTS = 409 50437 "Group Participant already exists";
    GROUP_EXISTS = 409 50438 "Group conversation with given participant list already exists";
    PROJECTED_ADDRESS_NOT_OURS = 403 50439 "Account is not authorized to use the projected address";
    PROXY_ADDRESS_NOT_REMOVED = 400 50440 "Failed to remove the proxy address of a participant.";
    PROXY_ADDRESS_NOT_ADDED = 400 50441 "Failed to add a proxy address to a participant.";
    PROJECTED_ADDRESS_NOT_REMOVED = 400 50442 "Failed to remove the projected address of a participant.";
    PROJECTED_ADDRESS_NOT_ADDED = 400 50443 "Failed to add a projected address to a participant.";
    IDENTITY_NOT_ADDED = 400 50444 "Failed to add an identity to a participant.";
    ONE_LOOKUP_AT_A_TIME = 400 50451 "One user identifier parameter for lookup at a time is allowed. Please, use either Identity or Address.";

    BODY_MISSING = 400 50503 "Message body not provided";
    BODY_TOO_LONG = 400 50504 "Message body parameter is too long";
    MEDIA_NOT_FOUND = 404 50507 "Media not found";
    MEDIA_ALREADY_SENT = 409 50508 "Media already sent with another message";
    MEDIA_MESSAGE_BODY_FIXED = 400 50509 "Media message body cannot be updated";
    MEDIA_SID_INVALID = 400 50510 "Invalid message media SID";
    AUTHOR_NOT_IN_GROUP = 400 50513 "Message author should be among Group MMS participants.";
    CONTENT_SID_INVALID = 400 50526 "Invalid content SID";
    CONTENT_VARIABLES_INVALID = 400 50527 "Invalid content variables format";
    CONTENT_SID_MISSING = 400 50528 "Content SID is missing";
    CONTENT_VARIABLES_TOO_LONG = 400 50529 "Content variables are too long";
    NO_CHANNEL_METADATA = 404 50530 "Message has no channel metadata";
    CONTENT_KEY_TOO_LONG = 400 50540 "Content variable key is too long";
    CONTENT_VALUE_TOO_LONG = 400 50541 "Content variable value is too long";
}
