//! The media service: upload, fetch, content, temporary addresses, and attaching once.

use std::time::Duration;

use serde_json::json;

use super::twilio::{Twilio, assert_like, sample};

#[tokio::test]
async fn a_file_is_uploaded_fetched_and_downloaded_for_five_minutes() {
    let twilio = Twilio::start().await;
    let made =
        twilio.upload("?Category=media&Filename=car.jpg", "image/jpeg", b"\xff\xd8jpeg".to_vec()).await;
    let made = made.expect(201);
    assert_like(&made.body, &sample("mcs_media_unattached.json"));
    assert_eq!(made.body["size"], json!(6));
    assert!(made.text("url").starts_with("/v1/Services/IS"));
    let date = made.text("date_created");
    assert_eq!((date.len(), &date[26..]), (32, "-07:00"), "{date}");

    let fetched = twilio.get(made.text("url")).await.expect(200);
    let content = fetched.body["links"]["content"].as_str().unwrap();
    assert_eq!(twilio.get(content).await.headers["content-type"], "image/jpeg");
    twilio.send(twilio.http.get(twilio.url(content))).await.refused(401, 20003);
    let temporary = fetched.body["links"]["content_direct_temporary"].as_str().unwrap().to_owned();
    assert!(temporary.starts_with(&twilio.mock.url()), "{temporary}");
    let answer = twilio.send(twilio.http.get(&temporary)).await.expect(200);
    assert_eq!(answer.headers["content-length"], "6");
    let forged = temporary.replace("Signature=", "Signature=x");
    twilio.send(twilio.http.get(forged)).await.expect(403);
    twilio.send(twilio.http.get(temporary.split('?').next().unwrap())).await.expect(403);
    twilio.mock.clock().advance(Duration::from_secs(301));
    twilio.send(twilio.http.get(&temporary)).await.expect(403);
}

#[tokio::test]
async fn a_file_is_sent_with_one_message() {
    let twilio = Twilio::start().await;
    let conversation = twilio.conversation().await;
    let messages = format!("{conversation}/Messages");
    let media = twilio.upload("?Filename=car.jpg", "image/jpeg", vec![0; 42]).await.expect(201);
    let sid = media.sid();
    twilio.post(&messages, &[("MediaSid", "car")]).await.refused(400, 50510);
    let unknown = [("MediaSid", "ME00000000000000000000000000000000")];
    twilio.post(&messages, &unknown).await.refused(404, 50507);
    let message = twilio.post(&messages, &[("MediaSid", &sid)]).await.expect(201);
    let mut expected = sample("message_with_media.json");
    expected["media"][0]["category"] = json!("media"); // not in the sample, but on the wire
    assert_like(&message.body, &expected);
    assert_eq!(message.body["media"][0]["sid"], json!(sid));
    assert_eq!(message.body["body"], json!(null));
    twilio.post(&messages, &[("MediaSid", &sid)]).await.refused(409, 50508);
    twilio.post(&format!("{messages}/{}", message.sid()), &[("Body", "x")]).await.refused(400, 50509);

    let attached = twilio.get(media.text("url")).await.expect(200);
    assert_like(&attached.body, &sample("mcs_media.json"));
    assert_eq!(attached.text("message_sid"), message.sid());
    assert!(conversation.ends_with(attached.text("channel_sid")));
}

#[tokio::test]
async fn several_files_are_fetched_at_once() {
    let twilio = Twilio::start().await;
    let sid = twilio.upload("", "image/png", vec![1]).await.expect(201).sid();
    let url = twilio.url(&format!("/v1/Services/{}/MediaSet", twilio.mock.service_sid()));
    let ask = async |body: serde_json::Value| {
        let request =
            twilio.http.post(&url).basic_auth(twilio.mock.account_sid(), Some(twilio.mock.auth_token()));
        twilio.send(request.json(&body)).await
    };
    let mut wanted = sample("mcs_media_set_request.json");
    wanted["list"][0]["media_sid"] = json!(sid);
    let answer = ask(wanted).await.expect(200);
    assert_like(&answer.body, &sample("mcs_media_set_response.json"));
    let missing = ask(json!({"command": "get", "list": [{"media_sid": "ME1"}]})).await.expect(200);
    assert_eq!(missing.body[0]["code"], json!(404));
    ask(json!({"command": "steal"})).await.expect(400);
    twilio.upload("?Category=loot", "image/png", vec![1]).await.expect(400);
}
