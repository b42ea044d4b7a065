//! Lists of Twilio's, followed from page to page: to the end, never elsewhere, and never for ever.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::wiremock::matchers::{any, query_param};
use ::wiremock::{Mock, MockServer, Request, ResponseTemplate};
use serde_json::json;
use switchboard::twilio::{Error, NextPage, Order};

use crate::twilio_client::{CONVERSATION, SERVICE, answering, asked, client, conversation_sid, fixture};

fn page(items: usize, next_page_url: Option<&str>) -> ResponseTemplate {
    let items = vec![fixture("service_participant_chat"); items];
    let meta = json!({"key": "participants", "next_page_url": next_page_url});
    ResponseTemplate::new(200).set_body_json(json!({"participants": items, "meta": meta}))
}

#[tokio::test]
async fn pages_are_followed_to_the_last() {
    let server = MockServer::start().await;
    let next = format!("{}/v1/anything?PageSize=100&Page=1&PageToken=PTabc%3D", server.uri());
    Mock::given(query_param("PageToken", "PTabc="))
        .respond_with(page(2, None))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(query_param("PageSize", "100")).respond_with(page(3, Some(&next))).mount(&server).await;
    let participants = client(&server.uri()).list_participants(conversation_sid()).await.unwrap();
    assert_eq!(participants.len(), 5);
    for request in server.received_requests().await.unwrap() {
        assert_eq!(
            request.url.path(),
            format!("/v1/Services/{SERVICE}/Conversations/{CONVERSATION}/Participants")
        );
    }
}

#[tokio::test]
async fn a_next_page_elsewhere_is_never_asked_for() {
    let elsewhere = MockServer::start().await;
    let away = format!("{}/latest/meta-data?PageToken=PTx", elsewhere.uri());
    let server = answering([page(1, Some(&away)), page(1, None)]).await;
    let _ = client(&server.uri()).list_participants(conversation_sid()).await;
    assert_eq!(asked(&elsewhere).await, 0);

    let server = answering([page(1, Some("http://169.254.169.254/"))]).await;
    let outcome = client(&server.uri()).list_participants(conversation_sid()).await;
    assert!(matches!(outcome, Err(Error::Undecodable(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_list_that_goes_in_circles_ends() {
    let itself = Some("https://conversations.twilio.com/v1/x?PageToken=PTsame");
    let server = answering([page(1, itself)]).await;
    let outcome = client(&server.uri()).list_participants(conversation_sid()).await;
    assert!(matches!(outcome, Err(Error::Undecodable(_))), "{outcome:?}");
    assert_eq!(asked(&server).await, 2);

    let number = AtomicUsize::new(0);
    let server = MockServer::start().await;
    let endless = move |_: &Request| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        page(100, Some(&format!("https://conversations.twilio.com/v1/x?PageToken=PT{number}")))
    };
    Mock::given(any()).respond_with(endless).mount(&server).await;
    let participants = client(&server.uri()).list_participants(conversation_sid()).await.unwrap();
    assert_eq!(participants.len(), 1000);
    assert_eq!(asked(&server).await, 10);
}

#[tokio::test]
async fn a_cursor_survives_being_a_text_and_what_is_none_is_refused() {
    let next = "https://conversations.twilio.com/v1/x?PageSize=1&Page=1&Order=desc&PageToken=PTeyJw%3D%3D";
    let list = json!({"messages": [], "meta": {"key": "messages", "next_page_url": next}});
    let server = answering([ResponseTemplate::new(200).set_body_json(list)]).await;
    let twilio = client(&server.uri());
    let cursor = twilio.list_messages(conversation_sid(), Order::NewestFirst, 1).await.unwrap().next.unwrap();
    let kept: NextPage = serde_json::from_value(serde_json::to_value(&cursor).unwrap()).unwrap();
    assert_eq!(kept, cursor);
    twilio.next_messages(conversation_sid(), &kept.to_string().parse().unwrap()).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].url.query(), Some("Order=desc&PageSize=1"));
    assert_eq!(requests[1].url.query(), Some("PageSize=1&Page=1&Order=desc&PageToken=PTeyJw%3D%3D"));

    let long = format!("PageToken={}", "x".repeat(4096));
    for text in ["", "PageSize=50", "PageToken=a b", "PageToken=a\r\nX: y", "PageToken=#", &long] {
        assert!(text.parse::<NextPage>().is_err(), "{text:?}");
    }
}
