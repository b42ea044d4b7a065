//! Who the mock is: where it listens, which account it plays, where its webhooks go.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    /// A file the state is loaded from and saved to; in memory only when not given.
    pub data: Option<PathBuf>,
    /// A file that an empty state is filled from: a snapshot, or users and conversations as `seed.rs` describes them.
    pub seed: Option<PathBuf>,
    /// How it behaves where Twilio leaves a choice. Accounts opened later start with the same.
    pub switches: Switches,
}

/// How the mock behaves where Twilio leaves a choice, or does not say. The defaults are what is most often assumed, and
/// what is fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// How long every answer is held back, in milliseconds.
    pub latency_ms: u64,
    /// Writes an account may make per second before it gets 429; Twilio's default is 30 actions. No limit when absent.
    pub rate_limit: Option<u32>,
    /// How long after a write the lists of conversations, user conversations and participant conversations still look
    /// as before, in milliseconds.
    pub list_lag_ms: u64,
    /// Whether changing or deleting a message uses up an index, so that later ones leave a gap.
    pub index_gaps: bool,
    /// How often a pre-webhook is called again after a timeout, 429, 503 or 504, unless its service says otherwise.
    pub pre_webhook_retry_count: u32,
    /// The same for post-webhooks.
    pub post_webhook_retry_count: u32,
    /// Whether a user's own messages count as unread while the read horizon is behind them.
    pub unread_counts_own: bool,
    /// Whether a `PageSize` above a list's most is refused (400, 20007) instead of cut to it.
    pub large_pages_refused: bool,
    /// Most characters of a conversation's unique name.
    pub most_unique_name: usize,
    /// Most bytes of a user's attributes.
    pub most_user_attributes: usize,
    /// How long the temporary address of a file works, in seconds.
    pub media_address_seconds: u32,
    /// Whether a message that went to chat only has a `delivery` of nothing but zero and `none` instead of null.
    pub delivery_on_chat: bool,
    /// Whether a user is made of an identity that joins a conversation.
    pub users_by_joining: bool,
    /// Whether a user's conversations are listed by latest activity instead of by SID.
    pub user_conversations_by_activity: bool,
    /// Whether a deleted user is removed from all conversations.
    pub deleted_users_leave: bool,
    /// Whether the files that were sent in a conversation are deleted with it.
    pub media_deleted_with_conversation: bool,
    /// Whether timers of a new conversation are refused without a `State` (400, 50382). Requests without were seen to
    /// work.
    pub timers_need_state: bool,
    /// How long a conversation with participants stays `initializing`, in milliseconds.
    pub initializing_ms: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            rate_limit: None,
            list_lag_ms: 0,
            index_gaps: false,
            pre_webhook_retry_count: 0,
            post_webhook_retry_count: 0,
            unread_counts_own: true,
            large_pages_refused: false,
            most_unique_name: 256,
            most_user_attributes: 16 * 1024,
            media_address_seconds: 300,
            delivery_on_chat: false,
            users_by_joining: true,
            user_conversations_by_activity: false,
            deleted_users_leave: false,
            media_deleted_with_conversation: false,
            timers_need_state: false,
            initializing_ms: 200,
        }
    }
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
            data: None,
            seed: None,
            switches: Switches::default(),
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
