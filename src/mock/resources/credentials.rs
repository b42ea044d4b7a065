//! Push credentials: what is to be told to Apple and Google. The mock pushes nothing, and forgets every secret at once.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/credential-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::page::{self, List, Order};
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::Tenant;
use crate::mock::view::View;

const MOST_NAME: usize = 64;

/// One credential, without what is secret about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Credential {
    sid: Sid,
    friendly_name: Option<String>,
    kind: String,
    sandbox: bool,
    date_created: DateTime<Utc>,
    date_updated: DateTime<Utc>,
}

impl Credential {
    fn body(&self, view: &View) -> Value {
        json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "friendly_name": self.friendly_name,
            "type": self.kind,
            // A text with a capital letter, in every sample.
            "sandbox": if self.sandbox { "True" } else { "False" },
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "url": format!("{}/Credentials/{}", view.version_root(), self.sid),
        })
    }
}

struct Changes {
    friendly_name: Option<String>,
    kind: Option<String>,
    sandbox: Option<bool>,
}

impl Changes {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let form = call.form();
        let kind = form.lowercase("Type")?;
        if kind.as_deref().is_some_and(|kind| !["apn", "gcm", "fcm"].contains(&kind)) {
            return Err(Refusal::invalid_parameter("Type", "is none of apn, gcm, fcm"));
        }
        for secret in ["Certificate", "PrivateKey", "ApiKey", "Secret"] {
            form.text(secret)?;
        }
        let friendly_name = form.text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?;
        Ok(Self { friendly_name: friendly_name.map(str::to_owned), kind, sandbox: form.flag("Sandbox")? })
    }
}

fn find_credential(call: &Call, tenant: &Tenant) -> Result<Sid, Refusal> {
    Sid::parse(prefix::CREDENTIAL, call.segment("credential"))
        .filter(|sid| tenant.credentials.get(*sid).is_some())
        .ok_or_else(|| call.not_found())
}

fn shown(call: &Call, tenant: &Tenant, sid: Sid) -> Result<Value, Refusal> {
    let credential = tenant.credentials.get(sid).ok_or_else(|| call.not_found())?;
    Ok(credential.body(&call.view(tenant)))
}

/// `GET /v1/Credentials`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "credentials", size: 50, most: 100, filters: &[] };
    let view = call.view(tenant);
    page::page(call, tenant, &LIST, tenant.credentials.rows(), Order::Ascending, |_, row| {
        Some(row.body(&view))
    })
    .map(Answer::Ok)
}

/// `POST /v1/Credentials`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let new = Changes::read(call)?;
    let kind = new.kind.ok_or_else(|| Refusal::missing_parameter("Type"))?;
    let now = call.origin().now;
    let credential = Credential {
        sid: Sid::random(prefix::CREDENTIAL),
        friendly_name: new.friendly_name,
        kind,
        sandbox: new.sandbox.unwrap_or(false),
        date_created: now,
        date_updated: now,
    };
    let sid = credential.sid;
    tenant.credentials.insert(sid, credential);
    Ok(Answer::Created(shown(call, tenant, sid)?))
}

/// `GET /v1/Credentials/{credential}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    Ok(Answer::Ok(shown(call, tenant, find_credential(call, tenant)?)?))
}

/// `POST /v1/Credentials/{credential}`
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let sid = find_credential(call, tenant)?;
    let changes = Changes::read(call)?;
    let credential = tenant.credentials.get_mut(sid).ok_or_else(|| call.not_found())?;
    if changes.friendly_name.is_some() {
        credential.friendly_name = changes.friendly_name;
    }
    if let Some(kind) = changes.kind {
        credential.kind = kind;
    }
    credential.sandbox = changes.sandbox.unwrap_or(credential.sandbox);
    credential.date_updated = call.origin().now;
    Ok(Answer::Ok(shown(call, tenant, sid)?))
}

/// `DELETE /v1/Credentials/{credential}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let sid = find_credential(call, tenant)?;
    tenant.credentials.remove(sid);
    Ok(Answer::Deleted)
}
