//! Twilio's rules: who and what may be where, how long texts may be, what a closed conversation refuses, what counts as unread.

use std::time::Duration;

use serde_json::json;

use super::twilio::Twilio;

#[tokio::test]
async fn whoever_does_not_log_in_is_refused() {
    let twilio = Twilio::start().await;
    let url = twilio.url("/v1/Conversations");
    let answer = twilio.send(twilio.http.get(&url)).await.refused(401, 20003);
    assert_eq!(answer.text("message"), "Authentication Error - No credentials provided");
    let sid = twilio.mock.account_sid();
    twilio.send(twilio.http.get(&url).basic_auth(sid, Some("wrong"))).await.refused(401, 20003);
    twilio.send(twilio.http.get(&url).header("Authorization", "Basic !!")).await.refused(401, 20003);
    twilio.send(twilio.http.get(twilio.url("/v1/Nothing"))).await.refused(401, 20003);
    let key = twilio.http.get(&url).basic_auth(twilio.mock.api_key_sid(), Some(twilio.mock.api_key_secret()));
    let answer = twilio.send(key).await.expect(200);
    assert!(answer.headers["twilio-request-id"].to_str().unwrap().starts_with("RQ"));
    assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
}

#[tokio::test]
async fn requests_that_make_no_sense_get_twilios_errors() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    twilio.get("/v1/Nothing").await.refused(404, 20404);
    twilio.get("/").await.refused(404, 20404);
    twilio.delete("/v1/Conversations").await.refused(405, 20004);
    twilio.delete(&format!("{conversation}/Messages")).await.refused(405, 20004);
    for path in [
        "/v1/Conversations/CH123",
        "/v1/Conversations/%ff",
        "/v1/Conversations/a%2Fb",
        "/v1/Services/IS1/Conversations",
        "/v1/Users/nobody",
        "/v1/Roles/RL1",
        &format!("{conversation}/Messages/IMx"),
        &format!("{conversation}/Participants/nobody"),
    ] {
        twilio.get(path).await.refused(404, 20404);
    }
    for query in
        ["PageSize=0", "PageSize=x", "Page=-1", "PageToken=zzz", "PageSize=1&PageSize=2", "State=gone"]
    {
        let answer = twilio.get(&format!("/v1/Conversations?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
    }
    let url = twilio.url("/v1/Conversations");
    let auth = |request: reqwest::RequestBuilder| {
        request.basic_auth(twilio.mock.account_sid(), Some(twilio.mock.auth_token()))
    };
    for (content_type, body) in [
        ("text/plain", "FriendlyName=x"),
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded", "FriendlyName=%ff"),
        ("application/x-www-form-urlencoded", "FriendlyName=a&FriendlyName=b"),
    ] {
        let request = auth(twilio.http.post(&url)).header("Content-Type", content_type).body(body);
        let answer = twilio.send(request).await;
        assert_eq!(answer.status, 400, "{content_type} {body}: {answer:?}");
    }
    let large = auth(twilio.http.post(&url))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("x".repeat(2 * 1024 * 1024));
    twilio.send(large).await.refused(413, 20413);
}

#[tokio::test]
async fn a_unique_name_names_one_conversation_and_stands_for_its_sid() {
    let twilio = Twilio::start().await;
    let first = twilio.post("/v1/Conversations", &[("UniqueName", "order 42")]).await.expect(201);
    twilio.post("/v1/Conversations", &[("UniqueName", "order 42")]).await.refused(409, 50353);
    assert_eq!(twilio.get("/v1/Conversations/order%2042").await.sid(), first.sid());
    twilio.post("/v1/Conversations/order%2042/Messages", &[("Body", "by name")]).await.expect(201);
    twilio.join("/v1/Conversations/order%2042", "alice").await;
    let membership = twilio.get("/v1/Users/alice/Conversations/order%2042").await.expect(200);
    assert_eq!(membership.text("conversation_sid"), first.sid());
    let other = twilio.post("/v1/Conversations", &[]).await.expect(201);
    let path = format!("/v1/Conversations/{}", other.sid());
    twilio.post(&path, &[("UniqueName", "order 42")]).await.refused(409, 50353);
    twilio.post(&path, &[("UniqueName", &first.sid())]).await.refused(400, 50390);
    twilio.delete("/v1/Conversations/order%2042").await.expect(204);
    twilio.post(&path, &[("UniqueName", "order 42")]).await.expect(200);
    assert_eq!(twilio.get("/v1/Conversations/order%2042").await.sid(), other.sid());
    // Another service has names of its own.
    let service = twilio.post("/v1/Services", &[("FriendlyName", "Other")]).await.expect(201);
    let elsewhere = format!("/v1/Services/{}/Conversations", service.sid());
    twilio.post(&elsewhere, &[("UniqueName", "order 42")]).await.expect(201);
}

#[tokio::test]
async fn texts_have_twilios_lengths() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let long = |length: usize| "é".repeat(length);
    let json = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let create = "/v1/Conversations";
    twilio.post(create, &[("FriendlyName", &long(256))]).await.expect(201);
    twilio.post(create, &[("FriendlyName", &long(257))]).await.refused(400, 50003);
    twilio.post(create, &[("UniqueName", &long(257))]).await.refused(400, 50004);
    twilio.post(create, &[("Attributes", &json(16 * 1024))]).await.expect(201);
    twilio.post(create, &[("Attributes", &json(16 * 1024 + 1))]).await.refused(400, 50303);
    let participants = format!("{conversation}/Participants");
    twilio.post(&participants, &[("Identity", &long(257))]).await.refused(400, 50207);
    twilio.post(&participants, &[("Identity", "a"), ("Attributes", &json(4097))]).await.refused(400, 50303);
    twilio.post(&participants, &[("Identity", "a"), ("Attributes", "nonsense")]).await.refused(400, 50304);
    let messages = format!("{conversation}/Messages");
    twilio.post(&messages, &[("Body", &"x".repeat(32 * 1024))]).await.expect(201);
    twilio.post(&messages, &[("Body", &"x".repeat(32 * 1024 + 1))]).await.refused(400, 50504);
    twilio.post(&messages, &[("Body", "x"), ("Author", &long(257))]).await.refused(400, 50310);
    twilio.post(&messages, &[]).await.refused(400, 50503);
    twilio.post(&messages, &[("Body", &"x".repeat(1601))]).await.expect(201);
    twilio.join_by_sms(&conversation, "+15558675310").await;
    twilio.post(&messages, &[("Body", &long(1600))]).await.expect(201);
    twilio.post(&messages, &[("Body", &long(1601))]).await.refused(400, 50504);
}

#[tokio::test]
async fn bindings_are_checked_and_a_pair_is_in_one_conversation() {
    let twilio = Twilio::start().await;
    let number = twilio.mock.phone_number().to_owned();
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1.to_owned();
    let add = async |address: &str, proxy: &str| {
        let form = [("MessagingBinding.Address", address), ("MessagingBinding.ProxyAddress", proxy)];
        twilio.post(&format!("{conversation}/Participants"), &form).await
    };
    add("12", &number).await.refused(400, 50407);
    add("+15558675310", "12").await.refused(400, 50408);
    add(&number, &number).await.refused(400, 50409);
    add("", &number).await.refused(400, 50411);
    add("+15558675310", "").await.refused(400, 50412);
    add("+15558675310", "+15558675311").await.refused(403, 50413);
    add("whatsapp:+15558675310", &number).await.refused(400, 50414);
    let participants = format!("{conversation}/Participants");
    twilio.post(&participants, &[("MessagingBinding.Address", "+15558675310")]).await.refused(400, 50412);
    twilio.post(&participants, &[]).await.refused(400, 50204);
    let both = [("Identity", "a"), ("MessagingBinding.Address", "+15558675310")];
    twilio.post(&participants, &both).await.refused(400, 50211);

    add("+15558675310", &number).await.expect(201);
    add("whatsapp:+15558675310", &format!("whatsapp:{number}")).await.expect(201);
    let other = twilio.conversation().await;
    let form = [("MessagingBinding.Address", "+15558675310"), ("MessagingBinding.ProxyAddress", &number)];
    let held = twilio.post(&format!("{other}/Participants"), &form).await.refused(409, 50416);
    assert!(held.text("message").ends_with(&format!("Conversation {sid}")), "{held:?}");
    add("+15558675310", &number).await.refused(409, 50416);
    twilio.post(&conversation, &[("State", "closed")]).await.expect(200);
    twilio.post(&format!("{other}/Participants"), &form).await.expect(201);
}

#[tokio::test]
async fn a_participant_is_found_by_identity_and_makes_a_user() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let participant = twilio.join(&conversation, "alice@example").await;
    let path = format!("{conversation}/Participants/alice%40example");
    assert_eq!(twilio.get(&path).await.sid(), participant);
    assert_eq!(twilio.get("/v1/Users/alice%40example").await.expect(200).text("identity"), "alice@example");
    twilio.post("/v1/Users", &[("Identity", "alice@example")]).await.refused(409, 50201);
    twilio.post("/v1/Users", &[]).await.refused(400, 50204);
    let changed = twilio.post("/v1/Users/alice%40example", &[("FriendlyName", "Alice")]).await.expect(200);
    assert_eq!(changed.text("friendly_name"), "Alice");
    twilio.delete(&path).await.expect(204);
    twilio.get(&path).await.refused(404, 20404);
    twilio.join(&conversation, "alice@example").await;
}

#[tokio::test]
async fn a_closed_conversation_can_be_read_and_nothing_else() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1;
    let participant = twilio.join(&conversation, "alice").await;
    let message = twilio.write(&conversation, "alice", "before").await.sid();
    assert_eq!(twilio.post(&conversation, &[("State", "closed")]).await.text("state"), "closed");
    let (message, participant) =
        (format!("{conversation}/Messages/{message}"), format!("{conversation}/Participants/{participant}"));
    for (path, form) in [
        (conversation.clone(), ("FriendlyName", "x")),
        (conversation.clone(), ("State", "active")),
        (format!("{conversation}/Messages"), ("Body", "x")),
        (format!("{conversation}/Participants"), ("Identity", "bob")),
        (message.clone(), ("Body", "x")),
        (participant.clone(), ("LastReadMessageIndex", "0")),
        (format!("/v1/Users/alice/Conversations/{sid}"), ("LastReadMessageIndex", "0")),
    ] {
        twilio.post(&path, &[form]).await.refused(400, 50377);
    }
    twilio.delete(&message).await.refused(400, 50377);
    twilio.delete(&participant).await.refused(400, 50377);
    for path in [&conversation, &message, &participant, &format!("{conversation}/Messages")] {
        twilio.get(path).await.expect(200);
    }
    twilio.post("/v1/Conversations", &[("State", "closed")]).await.refused(400, 50384);
    twilio.delete(&conversation).await.expect(204);
    twilio.get(&message).await.refused(404, 20404);
}

#[tokio::test]
async fn timers_end_by_the_mocks_clock_and_a_message_starts_them_again() {
    let twilio = Twilio::start().await;
    for (name, value, code) in [
        ("Timers.Inactive", "PT59S", 50375),
        ("Timers.Closed", "PT9M", 50376),
        ("Timers.Inactive", "soon", 50379),
        ("Timers.Closed", "P1Y", 50380),
    ] {
        twilio.post("/v1/Conversations", &[(name, value)]).await.refused(400, code);
    }
    let form = [("Timers.Inactive", "PT1M"), ("Timers.Closed", "PT10M")];
    let sid = twilio.post("/v1/Conversations", &form).await.expect(201).sid();
    let conversation = format!("/v1/Conversations/{sid}");
    let state = async || twilio.get(&conversation).await.text("state").to_owned();
    assert_eq!(state().await, "active");
    twilio.mock.clock().advance(Duration::from_secs(61));
    assert_eq!(state().await, "inactive");
    twilio.write(&conversation, "alice", "anyone there?").await;
    assert_eq!(state().await, "active");
    twilio.mock.clock().advance(Duration::from_secs(595));
    assert_eq!(state().await, "inactive");
    twilio.mock.clock().advance(Duration::from_secs(10));
    assert_eq!(state().await, "closed");
}

#[tokio::test]
async fn indexes_only_grow_and_unread_is_counted_from_the_horizon() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1;
    let participant = twilio.join(&conversation, "alice").await;
    let mut sids = Vec::new();
    for index in 0..4 {
        let message = twilio.write(&conversation, "bob", "hi").await;
        assert_eq!(message.body["index"], json!(index));
        assert_eq!(message.body["delivery"], json!(null));
        sids.push(message.sid());
    }
    let membership = format!("/v1/Users/alice/Conversations/{sid}");
    let unread = async || twilio.get(&membership).await.body["unread_messages_count"].clone();
    assert_eq!(unread().await, json!(null));
    let horizon = [("LastReadMessageIndex", "1")];
    let read = twilio.post(&format!("{conversation}/Participants/{participant}"), &horizon).await.expect(200);
    assert_eq!(read.body["last_read_message_index"], json!(1));
    assert!(read.body["last_read_timestamp"].is_string());
    assert_eq!(unread().await, json!(2));
    twilio.delete(&format!("{conversation}/Messages/{}", sids[3])).await.expect(204);
    assert_eq!(unread().await, json!(1));
    assert_eq!(twilio.write(&conversation, "bob", "after").await.body["index"], json!(4));
    twilio.post(&membership, &[("LastReadMessageIndex", "4")]).await.expect(200);
    assert_eq!(unread().await, json!(0));
    twilio.post(&membership, &[("LastReadMessageIndex", "")]).await.expect(200);
    assert_eq!(unread().await, json!(null));
    twilio.post(&membership, &[("LastReadMessageIndex", "soon")]).await.refused(400, 50421);
    let muted = twilio.post(&membership, &[("NotificationLevel", "muted")]).await.expect(200);
    assert_eq!(muted.text("notification_level"), "muted");
    let gap = json!({"conversation_sid": sid, "count": 5});
    twilio.control("/_mock/skip-indexes", &gap).await.expect(200);
    assert_eq!(twilio.write(&conversation, "bob", "far").await.body["index"], json!(10));
    twilio.post(&membership, &[("LastReadMessageIndex", "0")]).await.expect(200);
    assert_eq!(unread().await, json!(4), "messages are counted, not indexes");
    twilio.delete(&membership).await.expect(204);
    twilio.get(&format!("{conversation}/Participants/alice")).await.refused(404, 20404);
}

#[tokio::test]
async fn an_author_is_linked_to_the_participant_it_names() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let alice = twilio.join(&conversation, "alice").await;
    let phone = twilio.join_by_sms(&conversation, "+15558675310").await;
    assert_eq!(twilio.write(&conversation, "alice", "x").await.text("participant_sid"), alice);
    assert_eq!(twilio.write(&conversation, "+15558675310", "x").await.text("participant_sid"), phone);
    let nobody = twilio.post(&format!("{conversation}/Messages"), &[("Body", "x")]).await.expect(201);
    assert_eq!((nobody.text("author"), &nobody.body["participant_sid"]), ("system", &json!(null)));
    assert_eq!(nobody.body["delivery"]["total"], json!(1));
    assert_eq!(nobody.body["attributes"], json!("{}"));
}

#[tokio::test]
async fn both_timers_count_from_the_last_message_and_either_may_be_alone() {
    let twilio = Twilio::start().await;
    twilio.mock.clock().freeze("2026-01-01T00:00:00Z".parse().unwrap());
    let both = [("Timers.Inactive", "PT1M"), ("Timers.Closed", "PT10M")];
    let made = twilio.post("/v1/Conversations", &both).await.expect(201);
    let ends = json!({"date_inactive": "2026-01-01T00:01:00Z", "date_closed": "2026-01-01T00:10:00Z"});
    assert_eq!(made.body["timers"], ends);
    let conversation = format!("/v1/Conversations/{}", made.sid());
    twilio.mock.clock().advance(Duration::from_secs(30));
    twilio.post(&conversation, &[("FriendlyName", "no message")]).await.expect(200);
    assert_eq!(twilio.get(&conversation).await.body["timers"], ends);
    twilio.write(&conversation, "alice", "x").await;
    let ends = json!({"date_inactive": "2026-01-01T00:01:30Z", "date_closed": "2026-01-01T00:10:30Z"});
    assert_eq!(twilio.get(&conversation).await.body["timers"], ends);

    let alone = twilio.post("/v1/Conversations", &[("Timers.Closed", "PT10M")]).await.expect(201);
    assert_eq!(alone.body["timers"], json!({"date_closed": "2026-01-01T00:10:30Z"}));
    let defaults = [("DefaultInactiveTimer", "PT2M"), ("DefaultClosedTimer", "PT1H")];
    twilio.post("/v1/Configuration", &defaults).await.expect(200);
    let plain = twilio.post("/v1/Conversations", &[]).await.expect(201);
    let ends = json!({"date_inactive": "2026-01-01T00:02:30Z", "date_closed": "2026-01-01T01:00:30Z"});
    assert_eq!(plain.body["timers"], ends);
}

#[tokio::test]
async fn each_product_writes_the_same_moment_its_own_way() {
    let twilio = Twilio::start().await;
    twilio.mock.clock().freeze("2026-01-02T03:04:05.678Z".parse().unwrap());
    let conversation = twilio.post("/v1/Conversations", &[]).await.expect(201);
    assert_eq!(conversation.text("date_created"), "2026-01-02T03:04:05Z");
    let media = twilio.upload("", "image/png", vec![1]).await.expect(201);
    assert_eq!(media.text("date_created"), "2026-01-01T20:04:05.678000-07:00");
    let dated = [("DateCreated", "2015-12-16T23:18:37+01:00"), ("Body", "x")];
    let path = format!("/v1/Conversations/{}/Messages", conversation.sid());
    let message = twilio.post(&path, &dated).await.expect(201);
    assert_eq!(message.text("date_created"), "2015-12-16T22:18:37Z");
    assert_eq!((message.text("date_updated"), &message.body["index"]), ("2015-12-16T22:18:37Z", &json!(0)));
}

#[tokio::test]
async fn a_service_starts_with_four_roles_and_gives_them_out() {
    let twilio = Twilio::start().await;
    let roles = twilio.get("/v1/Roles").await.expect(200).body["roles"].as_array().unwrap().clone();
    let named = |name: &str| roles.iter().find(|role| role["friendly_name"] == name).unwrap().clone();
    for (name, kind) in [
        ("channel admin", "conversation"),
        ("channel user", "conversation"),
        ("service admin", "service"),
        ("service user", "service"),
    ] {
        assert_eq!(named(name)["type"], kind);
    }
    let service = format!("/v1/Services/{}", twilio.mock.service_sid());
    let configuration = twilio.get(&format!("{service}/Configuration")).await.expect(200).body;
    assert_eq!(configuration["default_conversation_creator_role_sid"], named("channel admin")["sid"]);
    assert_eq!(configuration["default_conversation_role_sid"], named("channel user")["sid"]);
    assert_eq!(configuration["default_chat_service_role_sid"], named("service user")["sid"]);
    let conversation = twilio.conversation().await;
    twilio.join(&conversation, "alice").await;
    let alice = twilio.get(&format!("{conversation}/Participants/alice")).await.expect(200);
    assert_eq!(alice.body["role_sid"], named("channel user")["sid"]);
    let user = twilio.get("/v1/Users/alice").await.expect(200);
    assert_eq!(user.body["role_sid"], named("service user")["sid"]);
    let admin = named("channel admin")["sid"].as_str().unwrap().to_owned();
    let bob = [("Identity", "bob"), ("RoleSid", admin.as_str())];
    let bob = twilio.post(&format!("{conversation}/Participants"), &bob).await.expect(201);
    assert_eq!(bob.body["role_sid"], admin);
}

#[tokio::test]
async fn a_read_horizon_moves_by_itself_on_whatsapp_only() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let sid = conversation.rsplit_once('/').unwrap().1.to_owned();
    let proxy = format!("whatsapp:{}", twilio.mock.phone_number());
    let whatsapp =
        [("MessagingBinding.Address", "whatsapp:+15558675310"), ("MessagingBinding.ProxyAddress", &proxy)];
    let whatsapp = twilio.post(&format!("{conversation}/Participants"), &whatsapp).await.expect(201).sid();
    let sms = twilio.join_by_sms(&conversation, "+15558675310").await;
    let first = twilio.write(&conversation, "alice", "x").await.sid();
    let second = twilio.write(&conversation, "alice", "y").await.sid();
    for message in [&second, &first] {
        for participant in [&whatsapp, &sms] {
            let read = json!({
                "conversation_sid": sid,
                "message_sid": message,
                "participant_sid": participant,
                "status": "read",
            });
            twilio.control("/_mock/delivery", &read).await.expect(200);
        }
    }
    let horizon = async |participant: &str| {
        let found = twilio.get(&format!("{conversation}/Participants/{participant}")).await.expect(200);
        found.body["last_read_message_index"].clone()
    };
    assert_eq!((horizon(&whatsapp).await, horizon(&sms).await), (json!(1), json!(null)));
}
