//! Faults: each goes wrong in its own way, as often as it was told to.

use std::time::Duration;

use serde_json::{Value, json};

use super::twilio::Twilio;

async fn fault(twilio: &Twilio, fault: Value) {
    twilio.control("/_mock/faults", &fault).await.expect(200);
}

fn list(twilio: &Twilio, timeout: u64) -> reqwest::RequestBuilder {
    twilio
        .http
        .get(twilio.url("/v1/Conversations"))
        .basic_auth(twilio.mock.account_sid(), Some(twilio.mock.auth_token()))
        .timeout(Duration::from_millis(timeout))
}

#[expect(clippy::disallowed_methods, reason = "a plain HTTP client, so that nothing of ours is in between")]
async fn outcome(request: reqwest::RequestBuilder) -> Result<(u16, String), reqwest::Error> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test]
async fn statuses_are_answered_as_often_as_told() {
    let twilio = Twilio::start().await;
    fault(&twilio, json!({"method": "GET", "times": 2, "action": {"status": 429, "retry_after": 7}})).await;
    let limited = twilio.get("/v1/Conversations").await.refused(429, 20429);
    assert_eq!(limited.headers["retry-after"], "7");
    twilio.conversation().await;
    twilio.get("/v1/Conversations").await.refused(429, 20429);
    twilio.get("/v1/Conversations").await.expect(200);

    fault(&twilio, json!([{"path": "/Conversations$", "times": 1, "action": {"status": 503, "html": true}}]))
        .await;
    twilio.get("/v1/Users").await.expect(200);
    let (status, body) = outcome(list(&twilio, 5000)).await.unwrap();
    assert_eq!((status, body.starts_with("<html>")), (503, true));

    fault(&twilio, json!({"probability": 0.0, "action": {"status": 500}})).await;
    twilio.get("/v1/Conversations").await.expect(200);
    fault(&twilio, json!({"action": {"status": 500}})).await;
    twilio.get("/v1/Conversations").await.refused(500, 20500);
    twilio.send(twilio.http.delete(twilio.url("/_mock/faults"))).await.expect(204);
    twilio.get("/v1/Conversations").await.expect(200);
}

#[tokio::test]
async fn a_message_is_stored_although_nothing_or_an_error_is_answered() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let messages = format!("{conversation}/Messages");
    fault(&twilio, json!({"path": "/Messages", "times": 1, "action": {"store_then_status": 500}})).await;
    twilio.post(&messages, &[("Body", "one")]).await.refused(500, 20500);
    fault(&twilio, json!({"path": "/Messages", "times": 1, "action": {"store_then_hang": true}})).await;
    let request = twilio
        .http
        .post(twilio.url(&messages))
        .basic_auth(twilio.mock.account_sid(), Some(twilio.mock.auth_token()))
        .form(&[("Body", "two")])
        .timeout(Duration::from_millis(200));
    assert!(outcome(request).await.unwrap_err().is_timeout());
    let stored = twilio.get(&messages).await;
    let bodies: Vec<_> =
        stored.body["messages"].as_array().unwrap().iter().map(|message| message["body"].clone()).collect();
    assert_eq!(bodies, ["one", "two"]);
    let entries = twilio.mock.requests();
    let hung = entries.iter().find(|entry| entry.fault == Some("store_then_hang")).unwrap();
    assert_eq!((hung.status, hung.params[0].1.as_str()), (0, "two"));
}

#[tokio::test]
async fn answers_hang_break_off_or_come_late() {
    let twilio = Twilio::start().await;
    fault(&twilio, json!({"times": 1, "action": {"hang": true}})).await;
    assert!(outcome(list(&twilio, 200)).await.unwrap_err().is_timeout());
    fault(&twilio, json!({"action": {"reset": true}})).await;
    let cut_off = outcome(list(&twilio, 5000)).await.unwrap_err();
    assert!(cut_off.is_request() && !cut_off.is_timeout(), "{cut_off:?}");
    twilio.mock.faults().clear();
    for action in [json!({"delay_ms": [50, 50]}), json!({"delay_answer_ms": [50, 50]})] {
        fault(&twilio, json!({"times": 1, "action": action})).await;
        assert_eq!(outcome(list(&twilio, 5000)).await.unwrap().0, 200);
        assert!(twilio.mock.requests().last().unwrap().duration_ms >= 50);
    }
}

#[tokio::test]
async fn a_body_may_come_slowly() {
    let twilio = Twilio::start().await;
    fault(&twilio, json!({"times": 1, "action": {"slow_body_ms": [300, 300]}})).await;
    let started = std::time::Instant::now();
    let (status, body) = outcome(list(&twilio, 5000)).await.unwrap();
    assert_eq!(status, 200);
    assert!(serde_json::from_str::<Value>(&body).unwrap()["meta"].is_object());
    assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
    fault(&twilio, json!({"times": 1, "action": {"slow_body_ms": [60_000, 60_000]}})).await;
    assert!(outcome(list(&twilio, 200)).await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn every_answer_takes_the_latency_and_writes_have_their_pace() {
    let twilio = Twilio::start().await;
    let switches = twilio.control("/_mock/switches", &json!({"latency_ms": 60})).await.expect(200);
    assert_eq!((&switches.body["latency_ms"], &switches.body["rate_limit"]), (&json!(60), &json!(null)));
    twilio.get("/v1/Users").await.expect(200);
    assert!(twilio.mock.requests().last().unwrap().duration_ms >= 60);
    twilio.control("/_mock/switches", &json!({"latency_ms": 0, "rate_limit": 3})).await.expect(200);
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(twilio.post("/v1/Conversations", &[]).await.status);
        twilio.get("/v1/Users").await.expect(200);
    }
    // Twenty writes take less than five seconds, so some are past three in theirs.
    assert_eq!(codes[..3], [201, 201, 201]);
    assert!(codes.contains(&429), "{codes:?}");
    let limited = async {
        loop {
            let answer = twilio.post("/v1/Conversations", &[]).await;
            if answer.status == 429 {
                return answer;
            }
        }
    };
    limited.await.refused(429, 20429);
    twilio.control("/_mock/switches", &json!({"rate_limit": "many"})).await.expect(400);
    twilio.control("/_mock/switches", &json!({"speed": 1})).await.expect(400);
}

#[tokio::test]
async fn lists_may_lag_behind_what_was_written() {
    let twilio = Twilio::start().await;
    twilio.control("/_mock/clock", &json!({"freeze": "2026-01-01T00:00:00Z"})).await.expect(200);
    let older = twilio.conversation().await;
    let newer = twilio.conversation().await;
    twilio.control("/_mock/switches", &json!({"list_lag_ms": 500})).await.expect(200);
    let newest = twilio.conversation().await;
    twilio.write(&older, "system", "to the top").await;
    twilio.join(&older, "alice").await;
    let lists = async || {
        let sids = |answer: super::twilio::Answer, member: &str| -> Vec<String> {
            let rows = answer.body["conversations"].as_array().unwrap().clone();
            rows.iter().map(|row| format!("/v1/Conversations/{}", row[member].as_str().unwrap())).collect()
        };
        [
            sids(twilio.get("/v1/Conversations").await, "sid"),
            sids(twilio.get("/v1/Conversations?State=active").await, "sid"),
            sids(twilio.get("/v1/Users/alice/Conversations").await, "conversation_sid"),
            sids(twilio.get("/v1/ParticipantConversations?Identity=alice").await, "conversation_sid"),
        ]
    };
    let before = vec![newer.clone(), older.clone()];
    assert_eq!(lists().await, [before.clone(), before, vec![], vec![]]);
    // Asked for by name, everything is there at once.
    twilio.get(&newest).await.expect(200);
    let sid = older.rsplit_once('/').unwrap().1;
    twilio.get(&format!("/v1/Users/alice/Conversations/{sid}")).await.expect(200);
    twilio.post(&format!("{older}/Participants"), &[("Identity", "alice")]).await.refused(409, 50433);
    // Who changes state or goes before it shows does neither repeat nor haunt.
    twilio.post(&newest, &[("State", "inactive")]).await.expect(200);
    twilio.control("/_mock/clock", &json!({"advance_ms": 500})).await.expect(200);
    let (listed, mine) = (vec![older.clone(), newest.clone(), newer.clone()], vec![older.clone()]);
    assert_eq!(lists().await, [listed, vec![older.clone(), newer.clone()], mine.clone(), mine]);
    let gone = twilio.conversation().await;
    twilio.delete(&gone).await.expect(204);
    twilio.delete(&older).await.expect(204);
    twilio.control("/_mock/clock", &json!({"advance_ms": 500})).await.expect(200);
    assert_eq!(lists().await, [vec![newest, newer.clone()], vec![newer], vec![], vec![]]);
}

#[tokio::test]
async fn changes_of_messages_may_use_up_indexes() {
    let twilio = Twilio::start().await;
    twilio.control("/_mock/switches", &json!({"index_gaps": true})).await.expect(200);
    let conversation = twilio.conversation().await;
    let first = twilio.write(&conversation, "alice", "one").await;
    let path = format!("{conversation}/Messages/{}", first.sid());
    twilio.post(&path, &[("Body", "uno")]).await.expect(200);
    twilio.delete(&path).await.expect(204);
    assert_eq!(twilio.write(&conversation, "alice", "two").await.body["index"], json!(3));
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused() {
    let twilio = Twilio::start().await;
    for fault in [
        json!({}),
        json!({"action": {}}),
        json!({"action": {"hang": true, "reset": true}}),
        json!({"action": {"status": 12}}),
        json!({"action": {"explode": true}}),
        json!({"path": "(", "action": {"hang": true}}),
        json!("now"),
    ] {
        let answer = twilio.control("/_mock/faults", &fault).await.expect(400);
        assert!(answer.body["error"].is_string(), "{fault}: {answer:?}");
    }
    assert!(twilio.mock.faults().waiting().is_empty());
}
