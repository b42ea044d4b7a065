//! Who the mock is: where it listens, which account it plays, where its webhooks go.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

/// How to start a mock. The defaults are well-formed and plainly not anybody's.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The account (`AC` and 32 hexadecimal digits).
    pub account_sid: String,
    /// Its auth token: the password of REST calls and the key of webhook signatures.
    pub auth_token: String,
    /// An API key of the account (`SK…`).
    pub api_key_sid: String,
    /// The API key's secret.
    pub api_key_secret: String,
    /// The account's default Conversations service (`IS…`).
    pub service_sid: String,
    /// The account's one phone number, E.164: the only allowed proxy address (`whatsapp:` in front is allowed too).
    pub phone_number: String,
    /// Where post-webhooks of the whole account go.
    pub webhook_url: Option<String>,
    /// Scheme, host and port in the addresses the mock hands out; the caller's own `Host` when not given.
    pub public_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token: "mock-auth-token-of-no-account".to_owned(),
            api_key_sid: "SK00000000000000000000000000000001".to_owned(),
            api_key_secret: "mock-api-key-secret-of-no-account".to_owned(),
            service_sid: "IS00000000000000000000000000000001".to_owned(),
            phone_number: "+15005550006".to_owned(),
            webhook_url: None,
            public_url: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The mock may be given a real account's credentials; they stay out of logs.
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("account_sid", &self.account_sid)
            .field("service_sid", &self.service_sid)
            .field("phone_number", &self.phone_number)
            .finish_non_exhaustive()
    }
}
