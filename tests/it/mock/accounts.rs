//! Accounts beside each other: what is one's own, how controls name one, and scenes that are taken from one to another.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::mock::{NewAccount, NotOpened};

use super::listener::{Listener, Manner};
use super::twilio::{Answer, Twilio};

/// Another account of the same mock.
struct Tenant<'a> {
    twilio: &'a Twilio,
    credentials: Value,
}

impl<'a> Tenant<'a> {
    async fn open(twilio: &'a Twilio, new: Value) -> Self {
        let credentials = twilio.control("/_mock/accounts", &new).await.expect(201).body;
        Self { twilio, credentials }
    }

    fn text(&self, name: &str) -> &str {
        self.credentials[name].as_str().unwrap()
    }

    fn sid(&self) -> &str {
        self.text("account_sid")
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.twilio.send(request.basic_auth(self.sid(), Some(self.text("auth_token")))).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.twilio.http.get(self.twilio.url(path))).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.twilio.http.post(self.twilio.url(path)).form(form);
        self.send(request.header("X-Twilio-Webhook-Enabled", "true")).await
    }

    async fn control(&self, path: &str, body: &Value) -> Answer {
        self.twilio.control(&format!("{path}?account={}", self.sid()), body).await
    }
}

#[tokio::test]
async fn accounts_see_nothing_of_each_other() {
    let twilio = Twilio::start().await;
    let other = Tenant::open(&twilio, json!({})).await;
    let named = [("UniqueName", "order-42")];
    twilio.post("/v1/Conversations", &named).await.expect(201);
    let made = other.post("/v1/Conversations", &named).await.expect(201);
    assert_eq!(
        (made.text("account_sid"), made.text("chat_service_sid")),
        (other.sid(), other.text("service_sid"))
    );
    twilio.get(&format!("/v1/Conversations/{}", made.sid())).await.refused(404, 20404);
    assert_eq!(other.get("/v1/Conversations").await.body["conversations"].as_array().unwrap().len(), 1);

    // An API key is as good as the auth token, and everybody has their own.
    let list = || twilio.http.get(twilio.url("/v1/Conversations"));
    let key = (other.text("api_key_sid"), other.text("api_key_secret"));
    twilio.send(list().basic_auth(key.0, Some(key.1))).await.expect(200);
    twilio.send(list().basic_auth(key.0, Some(other.text("auth_token")))).await.refused(401, 20003);
    twilio.send(list().basic_auth(other.sid(), Some(twilio.mock.auth_token()))).await.refused(401, 20003);
    let nobody = "AC00000000000000000000000000000009";
    twilio.send(list().basic_auth(nobody, Some("x"))).await.refused(401, 20003);

    // The same two phones may talk in both.
    for path in [twilio.mock.account_sid(), other.sid()] {
        let listed = twilio.send(twilio.http.get(twilio.url("/_mock/accounts"))).await.expect(200);
        let accounts = listed.body["accounts"].as_array().unwrap().clone();
        assert!(accounts.iter().any(|account| account["account_sid"] == path));
    }
}

#[tokio::test]
async fn clock_faults_journal_and_reset_are_each_accounts_own() {
    let twilio = Twilio::start().await;
    let other = Tenant::open(&twilio, json!({})).await;
    other.control("/_mock/clock", &json!({"freeze": "2020-01-01T00:00:00Z"})).await.expect(200);
    other.control("/_mock/faults", &json!({"action": {"status": 503}})).await.expect(200);
    other.get("/v1/Conversations").await.refused(503, 20503);
    let made = twilio.post("/v1/Conversations", &[]).await.expect(201);
    assert!(!made.text("date_created").starts_with("2020"));
    let basic = twilio.http.delete(twilio.url("/_mock/faults")).basic_auth(other.sid(), Some(""));
    twilio.send(basic).await.expect(204);
    let made = other.post("/v1/Conversations", &[("UniqueName", "x")]).await.expect(201);
    assert_eq!(made.text("date_created"), "2020-01-01T00:00:00Z");

    let journal = async |account: &str| {
        let url = twilio.url(&format!("/_mock/journal?account={account}"));
        twilio.send(twilio.http.get(url)).await.expect(200).body["requests"].as_array().unwrap().len()
    };
    assert_eq!(journal(other.sid()).await, 2);
    assert_eq!(journal(twilio.mock.account_sid()).await, 1);
    other.control("/_mock/reset", &json!({})).await.expect(204);
    assert_eq!((journal(other.sid()).await, journal(twilio.mock.account_sid()).await), (0, 1));
    other.get("/v1/Conversations/x").await.refused(404, 20404);
    assert_eq!(twilio.get("/v1/Conversations").await.body["conversations"].as_array().unwrap().len(), 1);
    twilio.control("/_mock/reset?account=AC00000000000000000000000000000009", &json!({})).await.expect(404);
}

#[tokio::test]
async fn webhooks_are_signed_by_the_account_they_come_from() {
    let twilio = Twilio::start().await;
    let mut listener = Listener::of_account("the other's token", Manner::Polite).await;
    let new = json!({"auth_token": "the other's token", "webhook_url": listener.url, "phone_number": "+15005550009"});
    let other = Tenant::open(&twilio, new).await;
    other.post("/v1/Conversations", &[]).await.expect(201);
    assert_eq!(listener.next().await.field("AccountSid"), other.sid());
    let conversation = other.post("/v1/Conversations", &[]).await.expect(201).sid();
    assert_eq!(listener.next().await.event(), "onConversationAdded");
    let participants = format!("/v1/Conversations/{conversation}/Participants");
    let pair =
        |proxy| [("MessagingBinding.Address", "+15558675310"), ("MessagingBinding.ProxyAddress", proxy)];
    other.post(&participants, &pair("+15005550006")).await.refused(403, 50413);
    other.post(&participants, &pair("+15005550009")).await.expect(201);
    assert_eq!(listener.next().await.event(), "onParticipantAdded");
    other.control("/_mock/inbound-sms", &json!({"from": "+15558675310", "body": "hi"})).await.expect(200);
    assert_eq!(listener.next().await.field("Body"), "hi");
    other.control("/_mock/webhook-url", &json!({"url": null})).await.expect(204);
    other.post("/v1/Conversations", &[]).await.expect(201);
    assert!(listener.unheard().is_none());
    other.control("/_mock/webhook-url", &json!({"url": "nowhere"})).await.expect(400);
}

#[tokio::test]
async fn media_is_downloaded_from_whoever_signed_the_address() {
    let twilio = Twilio::start().await;
    let other = Tenant::open(&twilio, json!({})).await;
    let url = twilio.url(&format!("/v1/Services/{}/Media", other.text("service_sid")));
    let media = other.send(twilio.http.post(url).body(vec![7])).await.expect(201);
    let address = media.body["links"]["content_direct_temporary"].as_str().unwrap();
    twilio.send(twilio.http.get(address)).await.expect(200);
    let stolen = address.replace(other.sid(), twilio.mock.account_sid());
    twilio.send(twilio.http.get(stolen)).await.expect(403);
}

#[tokio::test]
async fn accounts_that_make_no_sense_are_not_opened() {
    let twilio = Twilio::start().await;
    for (status, wrong) in [
        (400, json!({"account_sid": "AC1"})),
        (400, json!({"api_key_sid": "AC00000000000000000000000000000002"})),
        (400, json!({"service_sid": 5})),
        (400, json!({"name": "x"})),
        (409, json!({"account_sid": twilio.mock.account_sid()})),
        (409, json!({"api_key_sid": twilio.mock.api_key_sid()})),
    ] {
        twilio.control("/_mock/accounts", &wrong).await.expect(status);
    }
    let sid = twilio.mock.account_sid().to_owned();
    let new = NewAccount { account_sid: Some(sid.clone()), ..NewAccount::default() };
    assert_eq!(twilio.mock.open_account(&new).unwrap_err(), NotOpened::Taken(sid));
}

/// A conversation with something of everything.
async fn furnish(twilio: &Twilio) -> String {
    let form = [("UniqueName", "order-42"), ("FriendlyName", "Order"), ("Timers.Closed", "PT1H")];
    let conversation =
        format!("/v1/Conversations/{}", twilio.post("/v1/Conversations", &form).await.expect(201).sid());
    twilio.join(&conversation, "alice").await;
    twilio.join_by_sms(&conversation, "+15558675310").await;
    let media = twilio.upload("?Filename=a.png", "image/png", vec![1, 2, 3]).await.expect(201).sid();
    for form in [
        vec![("Author", "alice"), ("Body", "hi"), ("Attributes", r#"{"a":[1]}"#)],
        vec![("Author", "alice"), ("MediaSid", &media)],
    ] {
        twilio.post(&format!("{conversation}/Messages"), &form).await.expect(201);
    }
    twilio
        .post(&format!("{conversation}/Participants/alice"), &[("LastReadMessageIndex", "0")])
        .await
        .expect(200);
    conversation
}

/// Everything a client of Twilio could see of that conversation.
async fn view(twilio: &Twilio, conversation: &str) -> Vec<Value> {
    let service = format!("/v1/Services/{}", twilio.mock.service_sid());
    let mut seen = Vec::new();
    for path in [
        conversation.to_owned(),
        format!("{conversation}/Participants"),
        format!("{conversation}/Messages"),
        "/v1/Conversations".to_owned(),
        "/v1/Conversations?State=active".to_owned(),
        "/v1/Conversations/order-42".to_owned(),
        "/v1/Users".to_owned(),
        "/v1/Users/alice/Conversations".to_owned(),
        "/v1/ParticipantConversations?Identity=alice".to_owned(),
        "/v1/ParticipantConversations?Address=%2B15558675310".to_owned(),
        "/v1/Roles".to_owned(),
        format!("{service}/Configuration"),
    ] {
        seen.push(twilio.get(&path).await.expect(200).body);
    }
    seen
}

#[tokio::test]
async fn a_snapshot_brings_everything_back() {
    let twilio = Twilio::start().await;
    let conversation = furnish(&twilio).await;
    let before = view(&twilio, &conversation).await;
    let snapshot = twilio.control("/_mock/snapshot", &json!({})).await.expect(200).body;
    twilio.control("/_mock/reset", &json!({})).await.expect(204);
    twilio.get(&conversation).await.refused(404, 20404);
    twilio.control("/_mock/restore", &snapshot).await.expect(204);
    assert_eq!(view(&twilio, &conversation).await, before);

    // What is found by names, identities and numbers is found again, and the rules still know what is taken.
    twilio.post("/v1/Conversations", &[("UniqueName", "order-42")]).await.refused(409, 50353);
    let participants = format!("{conversation}/Participants");
    twilio.post(&participants, &[("Identity", "alice")]).await.refused(409, 50433);
    let sms = json!({"from": "+15558675310", "body": "still there?"});
    assert_eq!(twilio.control("/_mock/inbound-sms", &sms).await.expect(200).body["index"], json!(2));
    twilio.mock.clock().advance(Duration::from_secs(3601));
    assert_eq!(twilio.get(&conversation).await.text("state"), "closed");

    // Into a mock that knows nothing of the account, and into another account.
    let elsewhere = Twilio::start().await;
    let other = Tenant::open(&elsewhere, json!({})).await;
    other.control("/_mock/restore", &snapshot).await.expect(204);
    let found = other.get("/v1/Conversations/order-42").await.expect(200);
    assert_eq!(found.text("account_sid"), other.sid());
    let both = elsewhere.control("/_mock/snapshot", &json!({})).await.expect(200).body;
    assert_eq!(both["accounts"].as_array().unwrap().len(), 2);
    let third = Twilio::start().await;
    third.control("/_mock/restore", &both).await.expect(204);
    let list = third.http.get(third.url("/v1/Conversations/order-42"));
    third.send(list.basic_auth(other.sid(), Some(other.text("auth_token")))).await.expect(200);
}

#[tokio::test]
async fn what_is_no_snapshot_is_refused_with_its_place() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let mut snapshot = twilio.control("/_mock/snapshot", &json!({})).await.expect(200).body;
    twilio.control("/_mock/restore", &json!({})).await.expect(400);
    twilio.control("/_mock/restore", &json!({"version": 9, "accounts": []})).await.expect(400);
    twilio.control("/_mock/restore", &json!([])).await.expect(400);
    let named = format!("/_mock/restore?account={}", twilio.mock.account_sid());
    twilio.control(&named, &json!({"version": 1, "accounts": []})).await.expect(400);
    snapshot["accounts"][0]["resources"]["services"]["rows"]["0"]["sid"] = json!("IS1");
    let refused = twilio.control("/_mock/restore", &snapshot).await.expect(400);
    assert!(refused.text("error").starts_with("accounts[0].resources.services.rows"), "{refused:?}");
    twilio.get(&conversation).await.expect(200);
}
