//! What each resource refuses, with Twilio's status and code, and that a refused request changes nothing.

use super::twilio::Twilio;

type Form<'a> = Vec<(&'a str, &'a str)>;

/// Posts each form to `path`, looks at status and code, and at what is fetched from there before and after.
async fn refuses(twilio: &Twilio, path: &str, cases: Vec<(Form<'_>, u16, u64)>) {
    let before = twilio.get(path).await.expect(200).body;
    for (form, status, code) in cases {
        let answer = twilio.post(path, &form).await;
        let told = (answer.status, answer.body["code"].as_u64());
        assert_eq!(told, (status, Some(code)), "{path} {form:?}: {}", answer.body);
        assert_eq!(answer.body["status"], status);
        let more = format!("https://www.twilio.com/docs/errors/{code}");
        assert_eq!(answer.text("more_info"), more);
    }
    assert_eq!(twilio.get(path).await.expect(200).body, before, "{path} is as before");
}

#[tokio::test]
async fn conversations() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let sid_like = format!("CH{}", "a".repeat(32));
    let cases = || {
        vec![
            (vec![("UniqueName", sid_like.as_str())], 400, 50390),
            (vec![("Attributes", "{")], 400, 50304),
            (vec![("State", "")], 400, 50374),
            (vec![("State", "asleep")], 400, 50378),
            (vec![("MessagingServiceSid", "MG1")], 400, 50341),
            (vec![("DateCreated", "yesterday")], 400, 50308),
            (vec![("DateUpdated", "2026-13-01T00:00:00Z")], 400, 50309),
            (vec![("Timers.Inactive", "PT1S")], 400, 50375),
            (vec![("Timers.Closed", "PT1M")], 400, 50376),
            (vec![("Timers.Inactive", "1M")], 400, 50379),
            (vec![("Timers.Closed", "P")], 400, 50380),
            (vec![("FriendlyName", "a"), ("FriendlyName", "b")], 400, 20422),
        ]
    };
    refuses(&twilio, "/v1/Conversations", cases()).await;
    refuses(&twilio, &conversation, cases()).await;
    refuses(&twilio, &conversation, vec![(vec![("State", "initializing")], 400, 50378)]).await;
    for query in ["State=asleep", "StartDate=soon", "EndDate=2026-02-30"] {
        assert_eq!(twilio.get(&format!("/v1/Conversations?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn participants() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let number = twilio.mock.phone_number().to_owned();
    let sid_like = format!("US{}", "a".repeat(32));
    let service_role = [("FriendlyName", "desk"), ("Type", "service"), ("Permission", "joinConversation")];
    let service_role = twilio.post("/v1/Roles", &service_role).await.expect(201).sid();
    let long = format!("messenger:{}", "x".repeat(247));
    let phone = ("MessagingBinding.Address", "+15558675310");
    let proxy = ("MessagingBinding.ProxyAddress", number.as_str());
    let projected = ("MessagingBinding.ProjectedAddress", number.as_str());
    let cases = vec![
        (vec![("Identity", "")], 400, 50204),
        (vec![("Identity", sid_like.as_str())], 400, 50206),
        (vec![("Identity", "a"), ("RoleSid", "RL1")], 404, 50109),
        (vec![("Identity", "a"), ("RoleSid", &service_role)], 404, 50109),
        (vec![("Identity", "a"), ("DateCreated", "x")], 400, 50308),
        (vec![phone, proxy, ("MessagingBinding.Name", "Bob")], 400, 50420),
        (vec![phone, projected], 400, 50407),
        (vec![phone, proxy, ("Identity", "a")], 400, 50211),
        (vec![proxy], 400, 50411),
        (vec![("MessagingBinding.Address", &long), proxy], 400, 50407),
    ];
    refuses(&twilio, &format!("{conversation}/Participants"), cases).await;
    twilio.get("/v1/Users/a").await.refused(404, 20404);

    let alice = twilio.join(&conversation, "alice").await;
    let cases = vec![
        (vec![("Attributes", "nonsense")], 400, 50304),
        (vec![("LastReadMessageIndex", "-1")], 400, 50421),
        (vec![("LastReadTimestamp", "now")], 400, 50405),
        (vec![("RoleSid", service_role.as_str())], 404, 50109),
        (vec![("Identity", "bob")], 400, 50444),
    ];
    refuses(&twilio, &format!("{conversation}/Participants/{alice}"), cases).await;
    let sid = conversation.rsplit_once('/').unwrap().1;
    let cases = vec![
        (vec![("NotificationLevel", "loud")], 400, 50210),
        (vec![("LastReadMessageIndex", "1.5")], 400, 50421),
        (vec![("LastReadTimestamp", "now")], 400, 50405),
    ];
    refuses(&twilio, &format!("/v1/Users/alice/Conversations/{sid}"), cases).await;
}

#[tokio::test]
async fn messages() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let content = format!("HX{}", "a".repeat(32));
    let variables = |count: usize, key: usize, value: usize| {
        let members = (0..count).map(|at| (format!("{at:0key$}"), "x".repeat(value).into()));
        serde_json::Value::Object(members.collect()).to_string()
    };
    let (many, long_key, long_value) = (variables(101, 3, 1), variables(1, 17, 1), variables(1, 3, 257));
    let with = |variables| vec![("ContentSid", content.as_str()), ("ContentVariables", variables)];
    let subject = "x".repeat(257);
    let cases = vec![
        (vec![("Body", "")], 400, 50503),
        (vec![("ContentSid", "HX1")], 400, 50526),
        (with("[]"), 400, 50527),
        (with("{\"a\":{}}"), 400, 50527),
        (vec![("Body", "x"), ("ContentVariables", "{}")], 400, 50528),
        (with(&many), 400, 50529),
        (with(&long_key), 400, 50540),
        (with(&long_value), 400, 50541),
        (vec![("Body", "x"), ("Subject", &subject)], 400, 20422),
        (vec![("Body", "x"), ("DateCreated", "x")], 400, 50308),
    ];
    let messages = format!("{conversation}/Messages");
    refuses(&twilio, &messages, cases).await;

    let most = variables(100, 16, 256);
    let templated = twilio.post(&messages, &with(&most)).await.expect(201);
    assert_eq!((templated.text("content_sid"), &templated.body["body"]), (content.as_str(), &().into()));
    let cases = vec![
        (vec![("Body", "")], 400, 50503),
        (vec![("Attributes", "{]")], 400, 50304),
        (vec![("DateUpdated", "x")], 400, 50309),
        (vec![("Subject", subject.as_str())], 400, 20422),
    ];
    refuses(&twilio, &format!("{messages}/{}", templated.sid()), cases).await;
    let initializing = twilio.post("/v1/Conversations", &[("State", "initializing")]).await.expect(201);
    let messages = format!("/v1/Conversations/{}/Messages", initializing.sid());
    refuses(&twilio, &messages, vec![(vec![("Body", "x")], 409, 50391)]).await;
}

#[tokio::test]
async fn scoped_webhooks() {
    let twilio = Twilio::start().await;
    let path = format!("{}/Webhooks", twilio.conversation().await);
    let long = format!("https://example.com/{}", "x".repeat(493));
    let with = |more: &[(&'static str, &'static str)]| {
        [&[("Target", "webhook"), ("Configuration.Url", "https://example.com")][..], more].concat()
    };
    let trigger = |words: &[&'static str]| {
        let words = words.iter().map(|word| ("Configuration.Triggers", *word));
        [("Target", "trigger"), ("Configuration.Url", "https://example.com")]
            .into_iter()
            .chain(words)
            .collect::<Vec<_>>()
    };
    let cases = vec![
        (vec![], 400, 50368),
        (vec![("Target", "pigeon")], 400, 50364),
        (vec![("Target", "webhook")], 400, 50369),
        (vec![("Target", "webhook"), ("Configuration.Url", &long)], 400, 50372),
        (vec![("Target", "webhook"), ("Configuration.Url", "ftp://example.com")], 400, 50054),
        (with(&[]), 400, 50370),
        (with(&[("Configuration.Filters", "onMessageAdd")]), 400, 50365),
        (with(&[("Configuration.Method", "PUT")]), 400, 50055),
        (
            with(&[("Configuration.Filters", "onMessageAdded"), ("Configuration.ReplayAfter", "x")]),
            400,
            20422,
        ),
        (trigger(&[]), 400, 50371),
        (trigger(&[" "]), 400, 50366),
        (trigger(&["a", "b", "c", "d", "e", "f"]), 403, 50362),
        (vec![("Target", "studio")], 400, 50367),
        (vec![("Target", "studio"), ("Configuration.FlowSid", "FW1")], 400, 50367),
    ];
    refuses(&twilio, &path, cases).await;
    let good = with(&[("Configuration.Filters", "onMessageAdded"), ("Configuration.ReplayAfter", "7")]);
    let made = twilio.post(&path, &good).await.expect(201);
    assert_eq!(made.body["configuration"]["replay_after"], 7);
    let cases = vec![
        (vec![("Configuration.Url", "nowhere")], 400, 50054),
        (vec![("Configuration.Filters", "onTyping")], 400, 50365),
        (vec![("Configuration.Method", "DELETE")], 400, 50055),
    ];
    refuses(&twilio, &format!("{path}/{}", made.sid()), cases).await;
}

#[tokio::test]
async fn users_roles_and_services() {
    let twilio = Twilio::start().await;
    let sid_like = format!("US{}", "a".repeat(32));
    let (long, longer) = ("x".repeat(65), "x".repeat(257));
    let attributes = format!("\"{}\"", "x".repeat(16 * 1024));
    let role = [("FriendlyName", "member"), ("Type", "CONVERSATION"), ("Permission", "sendMessage")];
    let role = twilio.post("/v1/Roles", &role).await.expect(201).sid();
    let cases = vec![
        (vec![("Identity", "")], 400, 50204),
        (vec![("Identity", sid_like.as_str())], 400, 50206),
        (vec![("Identity", &longer)], 400, 50207),
        (vec![("Identity", "a"), ("FriendlyName", &longer)], 400, 50003),
        (vec![("Identity", "a"), ("Attributes", &attributes)], 400, 50303),
        (vec![("Identity", "a"), ("Attributes", "{")], 400, 50304),
        (vec![("Identity", "a"), ("RoleSid", "RL1")], 404, 50100),
        (vec![("Identity", "a"), ("RoleSid", &role)], 404, 50100),
    ];
    refuses(&twilio, "/v1/Users", cases).await;
    let kind = ("Type", "service");
    let cases = vec![
        (vec![kind, ("Permission", "sendMessage")], 400, 50000),
        (vec![kind, ("FriendlyName", long.as_str()), ("Permission", "sendMessage")], 400, 50003),
        (vec![("FriendlyName", "a"), ("Type", "room"), ("Permission", "sendMessage")], 400, 50105),
        (vec![("FriendlyName", "a"), ("Permission", "sendMessage")], 400, 50105),
        (vec![kind, ("FriendlyName", "a"), ("Permission", "fly")], 404, 50104),
        (vec![kind, ("FriendlyName", "a")], 400, 20422),
    ];
    refuses(&twilio, "/v1/Roles", cases).await;
    refuses(&twilio, &format!("/v1/Roles/{role}"), vec![(vec![("Permission", "fly")], 404, 50104)]).await;
    let cases = vec![(vec![], 400, 50000), (vec![("FriendlyName", longer.as_str())], 400, 50003)];
    refuses(&twilio, "/v1/Services", cases).await;
}

#[tokio::test]
async fn configuration() {
    let twilio = Twilio::start().await;
    let messaging_service = format!("MG{}", "a".repeat(32));
    let cases = vec![
        (vec![("DefaultChatServiceSid", "IS1")], 400, 20422),
        (vec![("DefaultMessagingServiceSid", "x")], 400, 50341),
        (vec![("DefaultInactiveTimer", "PT1S")], 400, 50375),
        (vec![("DefaultClosedTimer", "PT1S")], 400, 50376),
        (
            vec![("DefaultMessagingServiceSid", messaging_service.as_str()), ("DefaultClosedTimer", "x")],
            400,
            50380,
        ),
    ];
    refuses(&twilio, "/v1/Configuration", cases).await;
    let webhooks = || {
        vec![
            (vec![("PreWebhookUrl", "nowhere")], 400, 50054),
            (vec![("Method", "PUT")], 400, 50055),
            (vec![("Filters", "onTyping")], 400, 20422),
            (vec![("Target", "pigeon")], 400, 20422),
        ]
    };
    refuses(&twilio, "/v1/Configuration/Webhooks", webhooks()).await;
    let service = format!("/v1/Services/{}/Configuration", twilio.mock.service_sid());
    refuses(&twilio, &format!("{service}/Webhooks"), webhooks()).await;
    let roles = twilio.get("/v1/Roles").await.expect(200);
    let role = |name: &str| {
        let roles = roles.body["roles"].as_array().unwrap().clone();
        let found = roles.into_iter().find(|role| role["friendly_name"] == name).unwrap();
        found["sid"].as_str().unwrap().to_owned()
    };
    let (user, member) = (role("service user"), role("channel user"));
    let cases = vec![
        (vec![("DefaultConversationCreatorRoleSid", user.as_str())], 404, 50100),
        (vec![("DefaultConversationRoleSid", "RL1")], 404, 50100),
        (vec![("DefaultChatServiceRoleSid", &member)], 404, 50100),
        (vec![("ReachabilityEnabled", "sometimes")], 400, 20422),
    ];
    refuses(&twilio, &service, cases).await;
}
