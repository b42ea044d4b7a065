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
