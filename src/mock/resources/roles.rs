//! Roles: the four a service starts with, and those added to them. REST calls are not bound by them.
//!
//! The default permission sets are assembled from SDK examples; Twilio does not document its own.
//! Source: <https://www.twilio.com/docs/conversations/api/role-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::configuration::ServiceConfiguration;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Service, Tenant};
use crate::mock::table::Table;
use crate::mock::view::View;

const MOST_NAME: usize = 64;

const PERMISSIONS: [&str; 22] = [
    "addNonChatParticipant",
    "addParticipant",
    "createConversation",
    "deleteAnyMessage",
    "deleteConversation",
    "deleteOwnMessage",
    "editAnyMessage",
    "editAnyMessageAttributes",
    "editAnyParticipantAttributes",
    "editAnyUserInfo",
    "editConversationAttributes",
    "editConversationName",
    "editNotificationLevel",
    "editOwnMessage",
    "editOwnMessageAttributes",
    "editOwnParticipantAttributes",
    "editOwnUserInfo",
    "joinConversation",
    "leaveConversation",
    "removeParticipant",
    "sendMediaMessage",
    "sendMessage",
];

/// One role.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    sid: Sid,
    friendly_name: String,
    kind: RoleType,
    permissions: Vec<String>,
    date_created: DateTime<Utc>,
    date_updated: DateTime<Utc>,
}

/// Whom a role is given to: users of the service, or participants of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoleType {
    Conversation,
    Service,
}

impl Service {
    /// Whether there is such a role, and of that type.
    pub(crate) fn has_role(&self, sid: Sid, kind: RoleType) -> bool {
        self.roles.get(sid).is_some_and(|role| role.kind == kind)
    }
}

impl Role {
    fn new(friendly_name: &str, kind: RoleType, permissions: Vec<String>, now: DateTime<Utc>) -> Self {
        Self {
            sid: Sid::random(prefix::ROLE),
            friendly_name: friendly_name.to_owned(),
            kind,
            permissions,
            date_created: now,
            date_updated: now,
        }
    }

    /// Whether whoever has the role may do this.
    pub(crate) fn permits(&self, permission: &str) -> bool {
        self.permissions.iter().any(|permitted| permitted == permission)
    }

    fn body(&self, view: &View, service_sid: Sid) -> Value {
        json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "chat_service_sid": service_sid,
            "friendly_name": self.friendly_name,
            "type": self.kind,
            "permissions": self.permissions,
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "url": format!("{}/Roles/{}", view.root(), self.sid),
        })
    }
}

/// The roles of a new service, and the configuration that points at them.
pub(crate) fn defaults(now: DateTime<Utc>) -> (Table<Role>, ServiceConfiguration) {
    let conversation_admin = "sendMessage sendMediaMessage leaveConversation editNotificationLevel addParticipant \
        removeParticipant deleteConversation editConversationName editConversationAttributes \
        editAnyParticipantAttributes editAnyMessage editAnyMessageAttributes deleteAnyMessage";
    let conversation_user = "sendMessage sendMediaMessage leaveConversation editNotificationLevel \
        editOwnParticipantAttributes editOwnMessage editOwnMessageAttributes deleteOwnMessage";
    let service_admin = "joinConversation createConversation deleteConversation addParticipant removeParticipant \
        editConversationName editConversationAttributes editAnyUserInfo editAnyParticipantAttributes editAnyMessage \
        editAnyMessageAttributes deleteAnyMessage";
    let service_user = "joinConversation createConversation editOwnUserInfo";
    let role = |name: &str, kind, permissions: &str| {
        Role::new(name, kind, permissions.split_whitespace().map(str::to_owned).collect(), now)
    };
    let admin = role("channel admin", RoleType::Conversation, conversation_admin);
    let member = role("channel user", RoleType::Conversation, conversation_user);
    let user = role("service user", RoleType::Service, service_user);
    let configuration = ServiceConfiguration {
        default_conversation_creator_role_sid: admin.sid,
        default_conversation_role_sid: member.sid,
        default_chat_service_role_sid: user.sid,
        reachability_enabled: false,
    };
    let mut roles = Table::default();
    for role in [admin, member, role("service admin", RoleType::Service, service_admin), user] {
        roles.insert(role.sid, role);
    }
    (roles, configuration)
}

fn find_role(call: &Call, tenant: &Tenant) -> Result<(Sid, Sid), Refusal> {
    let service_sid = call.service_sid(tenant)?;
    let sid = Sid::parse(prefix::ROLE, call.segment("role"))
        .filter(|sid| tenant.service(service_sid).is_ok_and(|service| service.roles.get(*sid).is_some()))
        .ok_or_else(|| call.not_found())?;
    Ok((service_sid, sid))
}

fn shown(call: &Call, tenant: &Tenant, service_sid: Sid, sid: Sid) -> Result<Value, Refusal> {
    let role = tenant.service(service_sid)?.roles.get(sid).ok_or_else(|| call.not_found())?;
    Ok(role.body(&call.view(tenant), service_sid))
}

fn permissions(call: &Call) -> Result<Vec<String>, Refusal> {
    let permissions =
        call.form().list("Permission").ok_or_else(|| Refusal::missing_parameter("Permission"))?;
    if permissions.iter().all(|permission| PERMISSIONS.contains(&permission.as_str())) {
        Ok(permissions)
    } else {
        Err(error::PERMISSION_NOT_FOUND)
    }
}

/// `GET /Roles`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "roles", size: 50, most: 50, filters: &[] };
    let service = tenant.service(call.service_sid(tenant)?)?;
    let view = call.view(tenant);
    page::page(call, tenant, &LIST, service.roles.rows(), Order::Ascending, |_, role| {
        Some(role.body(&view, service.sid))
    })
    .map(Answer::Ok)
}

/// `POST /Roles`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let name = call
        .form()
        .text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?
        .filter(|name| !name.is_empty())
        .ok_or(error::FRIENDLY_NAME_MISSING)?;
    let kind = match call.form().lowercase("Type")?.as_deref() {
        Some("conversation") => RoleType::Conversation,
        Some("service") => RoleType::Service,
        Some(_) | None => return Err(error::ROLE_TYPE_INVALID),
    };
    let role = Role::new(name, kind, permissions(call)?, call.origin().now);
    let sid = role.sid;
    tenant.service_mut(service_sid)?.roles.insert(sid, role);
    Ok(Answer::Created(shown(call, tenant, service_sid, sid)?))
}

/// `GET /Roles/{role}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, sid) = find_role(call, tenant)?;
    Ok(Answer::Ok(shown(call, tenant, service_sid, sid)?))
}

/// `POST /Roles/{role}`: replaces the permissions.
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, sid) = find_role(call, tenant)?;
    let permissions = permissions(call)?;
    let role = tenant.service_mut(service_sid)?.roles.get_mut(sid).ok_or_else(|| call.not_found())?;
    role.permissions = permissions;
    role.date_updated = call.origin().now;
    Ok(Answer::Ok(shown(call, tenant, service_sid, sid)?))
}

/// `DELETE /Roles/{role}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (service_sid, sid) = find_role(call, tenant)?;
    tenant.service_mut(service_sid)?.roles.remove(sid);
    Ok(Answer::Deleted)
}
