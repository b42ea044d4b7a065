//! Bad input over REST: whatever is wrong, the answer is the document's envelope with the status that fits and a text that
//! names what to mend; nothing reaches Twilio, nothing is half-made.

use serde_json::{Value, json};

use crate::support::TestApp;

/// One route with a request that would succeed.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: String,
    /// `Null`: the route takes none.
    pub(super) body: Value,
    /// Values that a field must not have.
    wrong: Vec<(&'static str, Vec<Value>)>,
}

fn text(characters: usize) -> String {
    "ä".repeat(characters)
}

fn wrong_ids(required: bool) -> Vec<Value> {
    let mut wrong =
        vec![json!({}), json!([]), json!(true), json!(""), json!(" \t"), json!(text(257)), json!("a\u{0}b")];
    wrong.extend(required.then_some(Value::Null));
    wrong
}

fn wrong_participants() -> Vec<Value> {
    let wrong_entries = [
        json!({}),
        json!(null),
        json!([]),
        json!(true),
        json!(" "),
        json!({ "id": {} }),
        json!({ "id": text(257) }),
        json!({ "name": "nobody" }),
        json!({ "id": "a", "name": 7 }),
        json!({ "id": "a", "name": text(257) }),
        json!({ "id": "a", "image": 7 }),
        json!({ "id": "a", "image": "x".repeat(2049) }),
        json!({ "id": "a", "image": text(2048) }),
        json!({ "id": "a", "image": "data:nonsense" }),
    ];
    let mut wrong = vec![json!(null), json!(7), json!({}), json!("alice"), json!([])];
    wrong.extend(wrong_entries.into_iter().map(|entry| json!(["alice", "bob", entry])));
    wrong.push((0..1001).map(|number| number.to_string()).collect());
    wrong
}

fn routes(conversation: &str, message: &str) -> Vec<Route> {
    let long_link = format!("https://example.com/{}", "x".repeat(2048));
    let half_a_kib = format!("https://example.com/{}", "x".repeat(500));
    let phones = [
        "",
        "12345",
        "+0123456789",
        "+1 (555) 867-5310",
        "+12",
        "+1234567890123456",
        "whatsapp:",
        "+１２３４５６７８",
    ];
    let wrong_body = || vec![json!(7), json!({}), json!(" "), json!("x".repeat(32 * 1024 + 1))];
    let route = |method, path: &str, body, wrong| Route { method, path: path.to_owned(), body, wrong };
    let of = |what: &str| format!("/{conversation}{what}");
    let mut pair = wrong_participants();
    pair.extend([json!(["alice"]), json!(["alice", { "id": "alice" }])]);
    vec![
        route("POST", "/generate-token", json!({ "user_id": "alice" }), vec![("user_id", wrong_ids(true))]),
        route(
            "POST",
            "/create",
            json!({ "participants": ["alice", "bob"] }),
            vec![("participants", wrong_participants()), ("friendly_name", vec![json!(7), json!({})])],
        ),
        route(
            "POST",
            "/newconversation",
            json!({ "participants": ["alice", "bob"] }),
            vec![("participants", pair)],
        ),
        route(
            "POST",
            &of("/send-message"),
            json!({ "author": "alice", "body": "hello" }),
            vec![
                ("author", wrong_ids(true)),
                ("body", [wrong_body(), vec![json!(null), json!("")]].concat()),
                (
                    "media",
                    vec![
                        json!(7),
                        json!("x".repeat(10_000)),
                        json!([7]),
                        json!(["ftp://example.com/a.png"]),
                        json!(["javascript:alert(1)"]),
                        json!(["no link"]),
                        json!([""]),
                        json!([long_link]),
                        json!(vec![half_a_kib; 9]),
                        json!(vec!["https://example.com/a.png"; 11]),
                    ],
                ),
                ("clientMessageId", vec![json!(7), json!(""), json!("a\nb"), json!(text(129))]),
            ],
        ),
        route(
            "POST",
            &of("/add-chat-participant"),
            json!({ "identity": "carol" }),
            vec![("identity", wrong_ids(true))],
        ),
        route(
            "POST",
            &of("/add-sms-participant"),
            json!({ "phone_number": "+15551230001" }),
            vec![(
                "phone_number",
                phones.map(Value::from).into_iter().chain([json!(7), json!(null)]).collect(),
            )],
        ),
        route(
            "PATCH",
            &of(""),
            json!({ "friendly_name": "Renamed" }),
            vec![
                ("friendly_name", vec![json!(7), json!(null), json!(text(257))]),
                ("attributes", vec![json!(7), json!("{}"), json!([]), json!({ "x": "y".repeat(16 * 1024) })]),
            ],
        ),
        route(
            "POST",
            &of("/read"),
            json!({ "identity": "bob" }),
            vec![
                ("identity", wrong_ids(true)),
                ("index", vec![json!("1"), json!(1.5), json!(-1), json!({})]),
            ],
        ),
        route(
            "PATCH",
            &of(&format!("/messages/{message}")),
            json!({ "body": "edited" }),
            vec![("body", [wrong_body(), vec![json!(null)]].concat())],
        ),
        route("GET", "", Value::Null, vec![]),
        route("GET", "/alice/conversations", Value::Null, vec![]),
        route("GET", &of("/messages"), Value::Null, vec![]),
        route("GET", &of("/participants"), Value::Null, vec![]),
        route("GET", "/users/alice/reachability", Value::Null, vec![]),
        route("GET", "/media/ME00000000000000000000000000000001/content", Value::Null, vec![]),
        route("POST", "/enable-reachability", Value::Null, vec![]),
        route("DELETE", &of(&format!("/messages/{message}")), Value::Null, vec![]),
        route("DELETE", &of("/participants/bob"), Value::Null, vec![]),
        route("DELETE", &of(""), Value::Null, vec![]),
    ]
}

/// Alice and Bob's conversation with a message, and every route about it.
pub(super) async fn scene() -> (TestApp, Vec<Route>, String) {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let sent = app.rest().say(&conversation, "alice", "hello").await;
    let routes = routes(&conversation, sent["message_sid"].as_str().unwrap());
    (app, routes, conversation)
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let (app, routes, conversation) = scene().await;
    let before = app.asked().len();
    let rest = app.rest();
    for Route { method, path, body, wrong } in &routes {
        for (field, values) in wrong {
            for value in values {
                let mut wrong = body.clone();
                wrong[*field] = value.clone();
                let answer = rest.ask(method, path, Some(&wrong)).await;
                let shown = value.to_string().chars().take(60).collect::<String>();
                assert_eq!(answer.status, 400, "{method} {path} {field}: {shown}: {}", answer.body);
                let message = answer.message();
                let names = ["id", "name", "image"].into_iter().chain([*field]);
                assert!(
                    names.into_iter().any(|name| message.contains(name)),
                    "{path} {field}: {shown}: {message}"
                );
            }
        }
    }
    assert_eq!(app.asked_since(before), [""; 0], "nothing reached Twilio");
    assert_eq!(rest.history(&conversation).await, ["hello"]);
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let (app, routes, _) = scene().await;
    let before = app.asked().len();
    let rest = app.rest();
    let bodies: [&[u8]; 12] = [
        b"{",
        b"nonsense",
        b"null",
        b"7",
        b"\"alice\"",
        b"[]",
        b"[\"alice\"]",
        b"[[\"alice\",\"bob\"]]",
        b"{} {}",
        b"{\"user_id\":\"\xff\"}",
        b"\x00",
        b"{\"user_id\":\"a\",\"participants\":[],\"author\":\"a\",",
    ];
    for Route { method, path, .. } in routes.iter().filter(|route| !route.body.is_null()) {
        for body in bodies {
            let answer = rest.ask_with(method, path, "application/json", body).await;
            assert_eq!(answer.status, 400, "{path} {:?}: {}", String::from_utf8_lossy(body), answer.body);
        }
        rest.ask(method, path, Some(&json!({}))).await.refused(400);
        rest.ask(method, path, None).await.refused(400);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        rest.ask_with(method, path, "application/json", format!("{{\"attributes\":{deep}}}"))
            .await
            .refused(400);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn other_content_types_larger_bodies_and_wrong_methods_are_refused() {
    let (app, routes, _) = scene().await;
    let before = app.asked().len();
    let rest = app.rest();
    for Route { method, path, body, .. } in &routes {
        rest.ask("PUT", path, None).await.refused(404);
        if body.is_null() {
            continue;
        }
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data"]
        {
            rest.ask_with(method, path, content_type, body.to_string()).await.refused(415);
        }
        let padding = 1024 * 1024 + 1 - r#"{"padding":""}"#.len();
        let large = json!({ "padding": "x".repeat(padding) }).to_string();
        rest.ask_with(method, path, "application/json", large).await.refused(413);
    }
    for path in ["/", "/a/b/c/d", "/users/alice", "/media/x", "/create/", "//", "/messages/x/y/z"] {
        rest.ask("GET", path, None).await;
    }
    for path in ["/a/b/c/d", "/media/x/y/z", "/users/alice/nothing"] {
        rest.get(path).await.refused(404);
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}

#[tokio::test]
async fn what_is_just_within_the_limits_is_taken() {
    let app = TestApp::start().await;
    let rest = app.rest();
    rest.post("/generate-token", &json!({ "user_id": text(256) })).await;
    let people = json!({ "participants": [{ "id": text(256), "name": text(256), "image": "x".repeat(2000) }, { "id": 7 }] });
    let made = rest.post("/create", &people).await.ok();
    assert_eq!(made["friendly_name"].as_str().unwrap().chars().count(), 256, "a longer name is cut");
    let conversation = made["conversation_sid"].as_str().unwrap();
    assert_eq!(rest.participants(conversation).await, ["7".to_owned(), text(256)]);
    rest.say(conversation, &text(256), &"x".repeat(32 * 1024)).await;
    rest.patch(&format!("/{conversation}"), &json!({ "friendly_name": text(256) })).await.ok();
    rest.patch(&format!("/{conversation}"), &json!({ "attributes": { "x": "y".repeat(16 * 1024 - 8) } }))
        .await
        .ok();
    app.finish([]).await;
}

#[tokio::test]
async fn sixteen_hundred_characters_are_the_limit_where_a_phone_takes_part() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let rest = app.rest();
    rest.say(&conversation, "alice", &text(1601)).await;
    let phone = json!({ "phone_number": "+15551230001" });
    rest.post(&format!("/{conversation}/add-sms-participant"), &phone).await.ok();
    rest.say(&conversation, "alice", &text(1600)).await;
    let writes = app.writes();
    let long = json!({ "author": "alice", "body": text(1601) });
    let refused = rest.post(&format!("/{conversation}/send-message"), &long).await.refused(400);
    assert!(refused.contains("1600"), "{refused}");
    assert_eq!(app.writes(), writes);
    app.finish([]).await;
}

#[tokio::test]
async fn an_id_that_is_none_never_reaches_twilio() {
    let (app, routes, conversation) = scene().await;
    let before = app.asked().len();
    let rest = app.rest();
    let unique_name = "dm_0123456789abcdef0123456789abcdef01234567";
    let sid = conversation.strip_prefix("CH").unwrap();
    let wrong = [
        "CHx",
        unique_name,
        "my-conversation",
        "%00",
        "CH..%2f..%2fServices",
        "%ff",
        "a%20b",
        "*",
        "CH",
        &format!("IM{sid}"),
        &format!("ch{sid}"),
        &format!("CH{sid}0"),
        &format!("CH{}", "g".repeat(32)),
        sid,
        &format!("%7B{sid}%7D"),
        &format!("CH{sid}%0a"),
        &format!("{conversation}%3Fx"),
    ];
    for Route { method, path, body, .. } in &routes {
        for id in wrong {
            for part in path.split('/').filter(|part| part.len() == 34) {
                if part.starts_with("IM") && id.starts_with("IM") {
                    continue;
                }
                let path = path.replacen(part, id, 1);
                let body = (!body.is_null()).then_some(body);
                let answer = rest.ask(method, &path, body).await;
                assert!([400, 404].contains(&answer.status), "{method} {path}: {}", answer.body);
            }
        }
    }
    for target in [
        "/api/conversations/CH../../Services/messages",
        "/api/conversations/../../v1/Services",
        "/api/conversations/%2e%2e/messages",
        "/api/conversations/%2e%2e%2f%2e%2e%2fServices/messages",
        "/api/conversations/CH00000000000000000000000000000001/../../messages",
    ] {
        for method in ["GET", "DELETE", "POST", "PATCH"] {
            let answer = rest.raw(method, target).await;
            assert!([400, 404].contains(&answer.status), "{method} {target}: {}", answer.body);
        }
    }
    assert_eq!(app.asked_since(before), [""; 0]);
    assert_eq!(rest.history(&conversation).await, ["hello"], "nothing happened to it");
    app.finish([]).await;
}

#[tokio::test]
async fn an_id_as_a_uuid_is_the_same_id() {
    let (app, _, conversation) = scene().await;
    let hex = conversation.strip_prefix("CH").unwrap();
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    assert_eq!(app.rest().history(&uuid).await, ["hello"]);
    app.finish([]).await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_and_not_made() {
    let (app, routes, conversation) = scene().await;
    let nowhere = format!("CH{}", "0".repeat(31) + "1");
    let succeeded = || app.asked().iter().filter(|entry| entry.method != "GET" && entry.status < 300).count();
    let before = succeeded();
    let rest = app.rest();
    for Route { method, path, body, .. } in routes.iter().filter(|route| route.path.contains(&conversation)) {
        let path = path.replace(&conversation, &nowhere);
        let body = (!body.is_null()).then_some(body);
        let answer = rest.ask(method, &path, body).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    }
    let missing = format!("IM{}", "0".repeat(32));
    for (method, path, body) in [
        ("PATCH", format!("/{conversation}/messages/{missing}"), Some(json!({ "body": "x" }))),
        ("DELETE", format!("/{conversation}/messages/{missing}"), None),
        ("DELETE", format!("/{conversation}/participants/nobody"), None),
        ("DELETE", format!("/{conversation}/participants/%2e%2e"), None),
        ("GET", format!("/media/ME{}/content", "0".repeat(32)), None),
    ] {
        rest.ask(method, &path, body.as_ref()).await.refused(404);
    }
    assert_eq!(succeeded(), before);
    // Somebody nobody knows has no conversations and cannot be reached; that is no error.
    for nobody in ["nobody", "%2e%2e", ".", "a%2Fb", "%F0%9F%A6%8A"] {
        assert_eq!(rest.raw_ok(&format!("/api/conversations?userId={nobody}")).await, json!([]));
        if nobody != "." {
            assert_eq!(rest.raw_ok(&format!("/api/conversations/{nobody}/conversations")).await, json!([]));
            let reachable = rest.raw_ok(&format!("/api/conversations/users/{nobody}/reachability")).await;
            assert_eq!((&reachable["online"], &reachable["not_reachable"]), (&json!(false), &json!(true)));
        }
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let (app, _, conversation) = scene().await;
    let before = app.asked().len();
    for query in [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=many",
        "limit=99999999999999999999",
        "before=then",
        "before=1.5",
    ] {
        app.rest().get(&format!("/{conversation}/messages?{query}")).await.refused(400);
    }
    let blank = text(257);
    for query in [
        "limit=x",
        "cursor=x",
        "cursor=1-CHx",
        "userId=",
        "userId=%20",
        &format!("userId={blank}"),
        "userId=%00",
    ] {
        app.rest().get(&format!("?{query}")).await.refused(400);
    }
    app.rest().get(&format!("/{blank}/conversations")).await.refused(400);
    app.rest().get(&format!("/users/{blank}/reachability")).await.refused(400);
    assert_eq!(app.asked_since(before), [""; 0]);
    app.finish([]).await;
}
