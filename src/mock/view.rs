//! How a caller sees resources: absolute addresses in the path form it used, and which members its form carries.

use serde_json::Value;

use crate::mock::sid::Sid;

/// The caller's side of every body.
#[derive(Debug, Clone)]
pub(crate) struct View {
    root: String,
    version_root: String,
    account_sid: Sid,
    scope: Option<Sid>,
}

impl View {
    /// The view of someone who reached the mock at `base`, on service-scoped paths when `scope` is given.
    pub(crate) fn new(base: &str, account_sid: Sid, scope: Option<Sid>) -> Self {
        let version_root = format!("{base}/v1");
        let root = match scope {
            None => version_root.clone(),
            Some(service) => format!("{version_root}/Services/{service}"),
        };
        Self { root, version_root, account_sid, scope }
    }

    /// The account every body names.
    pub(crate) fn account_sid(&self) -> Sid {
        self.account_sid
    }

    /// `https://host/v1` or `https://host/v1/Services/IS…`.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// `https://host/v1`, whatever the path form.
    pub(crate) fn version_root(&self) -> &str {
        &self.version_root
    }

    /// Adds `chat_service_sid` to a body that carries it on service-scoped paths only.
    pub(crate) fn scoped(&self, mut body: Value) -> Value {
        if let Some(service) = self.scope {
            body["chat_service_sid"] = service.to_string().into();
        }
        body
    }
}
