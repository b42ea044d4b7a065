//! Every route of every dialect, what it is about, and what somebody would send who wants what is not theirs.
//!
//! `{conversation}`, `{message}`, `{media}`: of Alice and Bob. `{alice}`, `{bob}`: they.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::{Actor, ask};
use crate::support::TestApp;

/// What a route is about, and so who may use it as it is asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// A conversation, which the caller is not in.
    Theirs,
    /// Somebody else, as whom the caller would act.
    Another,
    /// The caller themselves, or what all people may know: it may be answered.
    Oneself,
    /// What only admins and the back end do.
    Operators,
    /// What needs no token at all.
    Anybody,
    /// A WebSocket; see `sockets.rs`.
    Socket,
}

/// A request to a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// As the router has it, with our names for what varies; perhaps with a query.
    pub(crate) path: &'static str,
    pub(crate) about: About,
    /// JSON, with the same names; empty: no body.
    body: &'static str,
}

const fn route(method: &'static str, path: &'static str, about: About, body: &'static str) -> Route {
    Route { method, path, about, body }
}

use About::{Another, Anybody, Oneself, Operators, Socket, Theirs};

/// The routes; some of them several times, asked in several ways.
pub(crate) const ROUTES: &[Route] = &[
    // contacts
    route(
        "POST",
        "/contact/add",
        Oneself,
        r#"{"first_name":"A","last_name":"B","country_code":"60","phone_number":"198765432"}"#,
    ),
    // conversations
    route("POST", "/api/conversations/generate-token", Another, r#"{"user_id":"{alice}"}"#),
    route("POST", "/api/conversations/create", Another, r#"{"participants":["{alice}","{bob}"]}"#),
    route("POST", "/api/conversations/newconversation", Another, r#"{"participants":["{alice}","{bob}"]}"#),
    route(
        "POST",
        "/api/conversations/newconversation",
        Another,
        r#"{"participants":[{"id":"{bob}"},{"id":"{alice}"}]}"#,
    ),
    route("GET", "/api/conversations", Oneself, ""),
    route("GET", "/api/conversations?userId={alice}", Another, ""),
    route("GET", "/api/conversations/{alice}/conversations", Another, ""),
    route("GET", "/api/conversations/{conversation}/messages", Theirs, ""),
    route("GET", "/api/conversations/{conversation}/messages?limit=500&before=100", Theirs, ""),
    route(
        "POST",
        "/api/conversations/{conversation}/send-message",
        Theirs,
        r#"{"author":"{me}","body":"let me in"}"#,
    ),
    route(
        "POST",
        "/api/conversations/{conversation}/send-message",
        Another,
        r#"{"author":"{alice}","body":"forged"}"#,
    ),
    route("POST", "/api/conversations/{conversation}/add-chat-participant", Theirs, r#"{"identity":"{me}"}"#),
    route(
        "POST",
        "/api/conversations/{conversation}/add-sms-participant",
        Theirs,
        r#"{"phone_number":"+15551230001"}"#,
    ),
    route("GET", "/api/conversations/media/{media}/content", Theirs, ""),
    route("GET", "/api/conversations/media/{media}/content?redirect=1", Theirs, ""),
    route("DELETE", "/api/conversations/{conversation}", Theirs, ""),
    route(
        "PATCH",
        "/api/conversations/{conversation}",
        Theirs,
        r#"{"friendly_name":"Mine","attributes":{"mine":true}}"#,
    ),
    route("POST", "/api/conversations/enable-reachability", Operators, ""),
    route("GET", "/api/conversations/users/{alice}/reachability", Oneself, ""),
    route("PATCH", "/api/conversations/{conversation}/messages/{message}", Theirs, r#"{"body":"edited"}"#),
    route("DELETE", "/api/conversations/{conversation}/messages/{message}", Theirs, ""),
    route("POST", "/api/conversations/{conversation}/read", Theirs, "{}"),
    route("POST", "/api/conversations/{conversation}/read", Another, r#"{"identity":"{alice}","index":0}"#),
    route("GET", "/api/conversations/{conversation}/participants", Theirs, ""),
    route("DELETE", "/api/conversations/{conversation}/participants/{alice}", Theirs, ""),
    route("POST", "/api/upload/image", Oneself, ""),
    route("POST", "/api/upload/audio", Oneself, ""),
    // chat
    route("GET", "/api/chat/conversations", Oneself, ""),
    route("GET", "/api/chat/conversations?userId={alice}", Another, ""),
    route(
        "POST",
        "/api/chat/send",
        Another,
        r#"{"senderId":"{alice}","receiverId":"{bob}","text":"forged"}"#,
    ),
    route("GET", "/ws/chat/{conversation}", Socket, ""),
    route("GET", "/api/chat/conversations/{conversation}/messages", Theirs, ""),
    route("GET", "/api/chat/conversations/{conversation}/messages?userId={alice}", Another, ""),
    route("GET", "/api/chat/unread-status", Oneself, ""),
    route("GET", "/api/chat/unread-status?userId={alice}", Another, ""),
    route("POST", "/api/chat/upload", Oneself, ""),
    // messaging
    route("GET", "/users/suggestions?type=forward&q=%25&limit=100", Oneself, ""),
    route("GET", "/users/suggestions", Oneself, ""),
    route("POST", "/messages", Oneself, r#"{"participantId":"{bob}"}"#),
    route("GET", "/messages/{conversation}", Theirs, ""),
    route("POST", "/groups", Oneself, r#"{"memberIds":["{alice}","{bob}"],"createdBy":"{alice}"}"#),
    route("GET", "/users/{alice}", Oneself, ""),
    route("GET", "/users/contacts?userId={alice}", Oneself, ""),
    route("GET", "/messages/{conversation}/messages", Theirs, ""),
    route("POST", "/messages/{conversation}/messages", Theirs, r#"{"content":"let me in"}"#),
    route("PATCH", "/messages/{conversation}/settings", Theirs, r#"{"isMuted":true}"#),
    route("POST", "/messages/{conversation}/read", Theirs, "{}"),
    route("GET", "/groups/{conversation}", Theirs, ""),
    route("GET", "/groups/{conversation}/members", Theirs, ""),
    route("POST", "/groups/{conversation}/members", Theirs, r#"{"memberIds":["{me}"]}"#),
    route("DELETE", "/groups/{conversation}/members", Theirs, r#"{"memberIds":["{alice}"]}"#),
    route("DELETE", "/groups/{conversation}/members/{alice}", Theirs, ""),
    route("POST", "/users/{alice}/block", Oneself, "{}"),
    route("DELETE", "/users/{alice}/block", Oneself, ""),
    route("DELETE", "/users/{alice}/sessions", Operators, ""),
    route("GET", "/users/blocked?userId={alice}", Oneself, ""),
    route("GET", "/users/me?userId={alice}", Oneself, ""),
    route(
        "PUT",
        "/users/me",
        Oneself,
        r#"{"bio":"mine","id":"{alice}","identity":"{alice}","type":"vip","role":"admin"}"#,
    ),
    // support
    route("GET", "/api/support/conversation?userId={alice}", Oneself, ""),
    route("POST", "/api/support/conversation/guest", Anybody, r#"{"userId":"{alice}","guestId":"{alice}"}"#),
    route("GET", "/api/support/conversation/{conversation}/messages", Theirs, ""),
    route("GET", "/api/support/conversation/{conversation}", Theirs, ""),
    route(
        "PATCH",
        "/api/support/conversation/{conversation}",
        Operators,
        r#"{"status":"closed","adminId":"{me}"}"#,
    ),
    route("POST", "/api/support/onboarding/generate-code", Operators, r#"{"userId":"{alice}"}"#),
    route("POST", "/api/support/onboarding/verify-code", Anybody, r#"{"code":"000000","userId":"{alice}"}"#),
    route("GET", "/api/support/conversations", Operators, ""),
    route("POST", "/api/support/upload?conversationId={conversation}", Theirs, ""),
    // Of every dialect.
    route("GET", "/media/{media}", Theirs, ""),
];

/// What stands in a route's place holders.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) me: String,
    pub(crate) conversation: String,
    pub(crate) message: String,
    pub(crate) media: String,
}

impl Route {
    /// Where it is asked.
    pub(crate) fn target(&self, names: &Names) -> String {
        filled(self.path, names)
    }

    /// Its body, if it has one.
    pub(crate) fn body(&self, names: &Names) -> Option<Value> {
        (!self.body.is_empty()).then(|| serde_json::from_str(&filled(self.body, names)).unwrap())
    }

    /// Its path as routers write it: `/messages/{}/read`.
    pub(crate) fn shape(&self) -> String {
        shape(self.path)
    }
}

fn filled(text: &str, names: &Names) -> String {
    [
        ("{me}", names.me.as_str()),
        ("{conversation}", &names.conversation),
        ("{message}", &names.message),
        ("{media}", &names.media),
        ("{alice}", "alice"),
        ("{bob}", "bob"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let segment = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Every route, and those with a second path (under `/api` too; chat's with or without the last slash) by that as well.
pub(crate) fn all_ways() -> &'static [Route] {
    static ALL: LazyLock<Vec<Route>> = LazyLock::new(|| {
        let aliases =
            ROUTES.iter().filter_map(|route| Some(Route { path: alias(route.path)?.leak(), ..*route }));
        ROUTES.iter().copied().chain(aliases).collect()
    });
    &ALL
}

/// The other path of a route, if it has one.
pub(crate) fn alias(path: &str) -> Option<String> {
    let begins = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
    if begins(&["/contact/", "/users/", "/messages", "/groups"]) {
        return Some(format!("/api{path}"));
    }
    let (path, query) =
        path.split_once('?').map_or((path, String::new()), |(path, query)| (path, format!("?{query}")));
    begins(&["/api/chat/", "/ws/chat/"]).then(|| format!("{path}/{query}"))
}

/// The table has the routes of `/openapi.json`, which are all there are, each with each of its methods.
#[tokio::test]
async fn the_table_has_every_route() {
    // What everybody may read, and Twilio's webhooks (`webhooks.rs`).
    const FOR_ALL: [&str; 5] =
        ["/healthz", "/metrics", "/readyz", "/support/socket.io.js", "/support/widget.js"];
    let app = TestApp::start().await;
    let told = ask(&app, &Actor::nobody(), "GET", "/openapi.json", None).await;
    let document = told.json();
    let mut told = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if FOR_ALL.contains(&path.as_str()) || path.starts_with("/webhooks/") {
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            told.insert((method.to_uppercase(), shape(path.trim_end_matches('/'))));
        }
    }
    let known = ROUTES.iter().map(|route| (route.method.to_owned(), route.shape())).collect();
    assert!(told.len() >= 50, "{}", told.len());
    assert_eq!(told, known);
    app.finish([]).await;
}
