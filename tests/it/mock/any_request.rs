//! Whatever is sent, the answer is one of Twilio's: no 500, no panic, JSON with a code for what is refused.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::Value;
use switchboard::mock::{Options, State, router};
use tower::ServiceExt;

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("order-42".to_owned()),
        2 => Just("alice".to_owned()),
        1 => Just("+15558675310".to_owned()),
        1 => "(CH|IM|MB|US|IS|ME|RL|WH|IG|BS|CR|DY)[0-9a-f]{30,33}",
        1 => "[a-zA-Z0-9%+._~-]{0,12}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "Conversations",
        "Participants",
        "Messages",
        "Receipts",
        "Webhooks",
        "Users",
        "Roles",
        "ParticipantConversations",
        "Configuration",
        "Services",
        "Media",
        "MediaSet",
        "Content",
        "ConversationWithParticipants",
        "Addresses",
        "Bindings",
        "Credentials",
        "Notifications",
        "Export",
        "ChannelMetadata",
    ]);
    let scope =
        prop_oneof![Just(String::new()), Just("/Services/IS00000000000000000000000000000001".to_owned())];
    let pairs = prop::collection::vec((names, prop::option::weighted(0.7, segment())), 1..4);
    (scope, pairs).prop_map(|(scope, pairs)| {
        let rest = pairs.into_iter().map(|(name, segment)| match segment {
            Some(segment) => format!("/{name}/{segment}"),
            None => format!("/{name}"),
        });
        format!("/v1{scope}{}", rest.collect::<String>())
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("order-42".to_owned()),
        Just("alice".to_owned()),
        Just("{}".to_owned()),
        Just("closed".to_owned()),
        Just("PT1M".to_owned()),
        Just("+15558675310".to_owned()),
        Just("+15005550006".to_owned()),
        "[0-9-]{1,20}",
        Just(r#"{"identity":"bob"}"#.to_owned()),
        Just(r#"{"messaging_binding":{"projected_address":"+15005550006"}}"#.to_owned()),
        Just("sms".to_owned()),
        Just("webhook".to_owned()),
        Just("null".to_owned()),
        "\\PC{0,20}",
        r#"\{("[a-z_]{0,9}":("[^"]{0,5}"|[0-9]|null|\{\}),?){0,3}\}"#,
        "(PT|P)[0-9A-Z]{0,6}",
    ]
}

fn form() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "FriendlyName",
        "UniqueName",
        "Attributes",
        "State",
        "Timers.Inactive",
        "Timers.Closed",
        "DateCreated",
        "Identity",
        "Address",
        "MessagingBinding.Address",
        "MessagingBinding.ProxyAddress",
        "MessagingBinding.ProjectedAddress",
        "RoleSid",
        "LastReadMessageIndex",
        "LastReadTimestamp",
        "Author",
        "Body",
        "MediaSid",
        "ContentSid",
        "ContentVariables",
        "Subject",
        "Participant",
        "AutoCreation.Type",
        "AutoCreation.WebhookUrl",
        "AutoCreation.StudioRetryCount",
        "AddressCountry",
        "BindingType",
        "Sandbox",
        "NewMessage.Enabled",
        "Configuration.Triggers",
        "Configuration.ReplayAfter",
        "NotificationLevel",
        "Target",
        "Configuration.Url",
        "Configuration.Filters",
        "Filters",
        "PostWebhookUrl",
        "Permission",
        "Type",
        "ReachabilityEnabled",
        "PageSize",
        "Page",
        "PageToken",
        "Order",
        "StartDate",
        "EndDate",
    ]);
    prop::collection::vec((names, value()), 0..5)
        .prop_map(|pairs| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

async fn ask(router: &axum::Router, method: Method, uri: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
    let options = Options::default();
    let credentials = STANDARD.encode(format!("{}:{}", options.account_sid, options.auth_token));
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("Authorization", format!("Basic {credentials}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Twilio-Webhook-Enabled", "true")
        .body(Body::from(body))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    (response.status(), response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

/// The state written and read back answers as before: what is kept up change by change is what is built at once.
async fn read_back(first: &axum::Router) {
    const LISTS: [&str; 10] = [
        "Conversations",
        "Conversations?State=active",
        "Conversations?State=inactive",
        "Conversations?State=closed",
        "Conversations?StartDate=2000-01-01",
        "ParticipantConversations?Identity=alice",
        "ParticipantConversations?Address=%2B15558675310",
        "Users",
        "Users/alice/Conversations",
        "Conversations/order-42/Participants",
    ];
    let (status, snapshot) = ask(first, Method::POST, "/_mock/snapshot", Vec::new()).await;
    assert_eq!(status, StatusCode::OK);
    let second = router(State::new(Options::default()));
    let (status, answer) = ask(&second, Method::POST, "/_mock/restore", snapshot).await;
    assert!(status.is_success(), "{}", String::from_utf8_lossy(&answer));
    for list in LISTS {
        let path = format!("/v1/{list}");
        let [before, after] = [first, &second].map(|router| ask(router, Method::GET, &path, Vec::new()));
        let (before, after) = (before.await, after.await);
        assert_eq!(before.0, after.0, "{list}");
        assert_eq!(String::from_utf8_lossy(&before.1), String::from_utf8_lossy(&after.1), "{list}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_request_is_answered_as_twilio_would(
        requests in prop::collection::vec(
            (
                prop::sample::select(vec![Method::GET, Method::POST, Method::POST, Method::DELETE, Method::PUT]),
                path(),
                form(),
                prop_oneof![9 => form().prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..64)],
            ),
            1..20,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let router = router(State::new(Options::default()));
            for (path, form) in [
                ("/v1/Conversations", "UniqueName=order-42"),
                ("/v1/Conversations/order-42/Participants", "Identity=alice"),
                ("/v1/Conversations/order-42/Messages", "Author=alice&Body=hi"),
            ] {
                assert_eq!(ask(&router, Method::POST, path, form.into()).await.0, StatusCode::CREATED);
            }
            for (method, path, query, body) in requests {
                let uri = format!("{path}?{query}");
                let (status, body) = ask(&router, method.clone(), &uri, body).await;
                assert!(status.is_success() || status.is_client_error(), "{status} for {method} {uri}");
                if status.is_client_error() {
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(body["status"].as_u64(), Some(status.as_u16().into()), "{method} {uri}: {body}");
                    assert!(body["code"].is_u64() && body["message"].is_string());
                }
            }
            read_back(&router).await;
        });
    }
}
