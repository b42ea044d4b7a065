//! The client when Twilio is slow, busy, broken, or says something odd. Lists have `twilio_pages.rs` to themselves.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ::wiremock::matchers::{any, body_string, header, method, path, query_param};
use ::wiremock::{Mock, MockServer, Request, ResponseTemplate};
use serde_json::{Value, json};
use switchboard::twilio::{
    Client, ConversationChanges, ConversationSid, Deadlines, Error, MessageSid, NewConversation, NewMessage,
    ParticipantChanges, Settings, UserConversationChanges,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub(crate) const SERVICE: &str = "IS00000000000000000000000000000001";
pub(crate) const CONVERSATION: &str = "CH00000000000000000000000000000001";
const MESSAGE: &str = "IM00000000000000000000000000000001";
const PASSWORD: &str = "the-password-that-must-not-be-shown";

fn settings(url: &str) -> Settings {
    Settings {
        username: "SK00000000000000000000000000000001".to_owned(),
        password: PASSWORD.into(),
        service_sid: SERVICE.parse().unwrap(),
        conversations_url: url.parse().unwrap(),
        media_url: url.parse().unwrap(),
        max_concurrency: 20,
        deadlines: Deadlines::default(),
    }
}

/// A client that has all the time Twilio is given in production.
pub(crate) fn client(url: &str) -> Client {
    Client::new(settings(url)).unwrap()
}

/// A client that gives up soon, for tests in which it must.
fn hasty(url: &str) -> Client {
    let soon = Duration::from_millis(600);
    Client::new(Settings { deadlines: Deadlines { read: soon, write: soon, upload: soon }, ..settings(url) })
        .unwrap()
}

pub(crate) fn conversation_sid() -> ConversationSid {
    CONVERSATION.parse().unwrap()
}

fn message_sid() -> MessageSid {
    MESSAGE.parse().unwrap()
}

pub(crate) fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/twilio/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn html(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<html><body>Service Unavailable</body></html>", "text/html")
}

fn refusal(status: u16, code: u32) -> ResponseTemplate {
    let body = json!({"code": code, "message": "no", "more_info": "", "status": status});
    ResponseTemplate::new(status).set_body_json(body)
}

/// Answers the first request with the first, and so on; the last answers all that follow.
pub(crate) async fn answering(answers: impl Into<Vec<ResponseTemplate>>) -> MockServer {
    let server = MockServer::start().await;
    let (answers, asked) = (answers.into(), AtomicUsize::new(0));
    let answer = move |_: &Request| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        answers[number.min(answers.len() - 1)].clone()
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

pub(crate) async fn asked(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

async fn send(client: &Client) -> Result<switchboard::twilio::Message, Error> {
    let new = NewMessage { author: "alice".to_owned(), body: Some("Hi".to_owned()), ..NewMessage::default() };
    client.create_message(conversation_sid(), &new).await
}

async fn within<T>(most: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(most, future).await.expect("an answer in time")
}

#[tokio::test]
async fn a_429_is_waited_out_as_long_as_twilio_asks() {
    let busy = refusal(429, 20429).insert_header("Retry-After", "1");
    let created = ResponseTemplate::new(201).set_body_json(fixture("service_message"));
    let server = answering([busy.clone(), busy, created]).await;
    let started = Instant::now();
    send(&client(&server.uri())).await.unwrap();
    assert_eq!(asked(&server).await, 3);
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_429_without_end_is_given_up_in_time() {
    let server = answering([ResponseTemplate::new(429)]).await;
    let outcome = within(Duration::from_secs(9), send(&client(&server.uri()))).await;
    assert_eq!(outcome, Err(Error::RateLimited { retry_after: None }));
    assert_eq!(asked(&server).await, 5);
}

#[tokio::test]
async fn a_wait_longer_than_the_deadline_is_not_begun() {
    let server = answering([ResponseTemplate::new(429).insert_header("Retry-After", "20")]).await;
    let outcome = within(Duration::from_secs(5), send(&client(&server.uri()))).await;
    assert_eq!(outcome.unwrap_err().retry_after(), Some(Duration::from_secs(20)));
    assert_eq!(asked(&server).await, 1);
}

#[tokio::test]
async fn a_read_is_repeated_when_twilio_fails() {
    let found = ResponseTemplate::new(200).set_body_json(fixture("service_conversation"));
    let server = answering([html(503), html(500), found]).await;
    client(&server.uri()).fetch_conversation(conversation_sid()).await.unwrap();
    assert_eq!(asked(&server).await, 3);

    let server = answering([html(503)]).await;
    let outcome = client(&server.uri()).fetch_conversation(conversation_sid()).await;
    assert!(matches!(outcome, Err(Error::Unreachable(_))), "{outcome:?}");
    assert_eq!(asked(&server).await, 3);
}

#[tokio::test]
async fn a_create_that_failed_is_not_repeated_but_called_ambiguous() {
    for answer in [html(500), html(502), html(503), html(504)] {
        let server = answering([answer]).await;
        let outcome = send(&client(&server.uri())).await;
        assert!(matches!(outcome, Err(Error::Ambiguous(_))), "{outcome:?}");
        assert_eq!(asked(&server).await, 1);
    }
}

#[tokio::test]
async fn a_create_that_is_not_answered_is_ambiguous_and_not_repeated() {
    let late = ResponseTemplate::new(201).set_delay(Duration::from_secs(30));
    let server = answering([late]).await;
    let outcome = within(Duration::from_secs(3), send(&hasty(&server.uri()))).await;
    assert!(matches!(outcome, Err(Error::Ambiguous(_))), "{outcome:?}");
    assert_eq!(asked(&server).await, 1);
}

#[tokio::test]
async fn a_read_that_hangs_is_asked_once_more_within_its_deadline() {
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    let found = ResponseTemplate::new(200).set_body_json(fixture("service_conversation"));
    let server = answering([late, found]).await;
    // 1.2 s for the first try, then a pause of at most 200 ms.
    let deadlines = Deadlines { read: Duration::from_secs(2), ..Deadlines::default() };
    let twilio = Client::new(Settings { deadlines, ..settings(&server.uri()) }).unwrap();
    within(Duration::from_secs(4), twilio.fetch_conversation(conversation_sid())).await.unwrap();
    assert_eq!(asked(&server).await, 2);
}

#[tokio::test]
async fn an_update_is_repeated_for_twice_is_the_same_as_once() {
    let changed = ResponseTemplate::new(200).set_body_json(fixture("service_conversation"));
    let server = answering([html(503), changed]).await;
    let changes = ConversationChanges { attributes: Some("{}".to_owned()), ..ConversationChanges::default() };
    client(&server.uri()).update_conversation(conversation_sid(), &changes).await.unwrap();
    assert_eq!(asked(&server).await, 2);

    let server = answering([html(503)]).await;
    let outcome = client(&server.uri()).update_conversation(conversation_sid(), &changes).await;
    assert!(matches!(outcome, Err(Error::Ambiguous(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_delete_that_finds_its_own_work_done_is_done() {
    let server = answering([html(503), refusal(404, 20404)]).await;
    client(&server.uri()).delete_message(conversation_sid(), message_sid()).await.unwrap();
    assert_eq!(asked(&server).await, 2);

    let server = answering([refusal(404, 20404)]).await;
    let outcome = client(&server.uri()).delete_message(conversation_sid(), message_sid()).await;
    assert!(outcome.unwrap_err().is_not_found());
}

#[tokio::test]
async fn without_a_connection_nothing_happened_and_that_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = within(Duration::from_secs(5), send(&client(&format!("http://{address}")))).await;
    assert!(matches!(outcome, Err(Error::Unreachable(_))), "{outcome:?}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let refused = async |status, code| {
        let server = answering([refusal(status, code)]).await;
        let error = send(&client(&server.uri())).await.unwrap_err();
        assert_eq!(asked(&server).await, 1, "a refusal is final");
        error
    };
    assert!(refused(404, 20404).await.is_not_found());
    assert!(refused(409, 50353).await.is_conflict_on_unique_name());
    assert!(refused(409, 50391).await.is_conflict_on_unique_name());
    assert!(refused(409, 50433).await.is_already_participant());
    assert!(refused(400, 50377).await.is_closed());
    assert!(refused(401, 20003).await.is_unauthorized());
}

#[tokio::test]
async fn no_credential_is_in_what_is_logged() {
    let server = answering([refusal(401, 20003)]).await;
    let client = client(&server.uri());
    let error = send(&client).await.unwrap_err();
    let nowhere = hasty("http://127.0.0.1:1");
    let unreachable = send(&nowhere).await.unwrap_err();
    let printed =
        format!("{client:?} {error:?} {error} {unreachable:?} {unreachable} {:?}", settings("http://a"));
    assert!(!printed.contains(PASSWORD), "{printed}");
}

#[tokio::test]
async fn answers_that_make_no_sense_are_errors_of_their_own() {
    let mut odd_state = fixture("service_conversation");
    odd_state["state"] = "dormant".into();
    let mut no_sid = fixture("service_conversation");
    no_sid.as_object_mut().unwrap().remove("sid");
    let ok = || ResponseTemplate::new(200);
    for answer in [
        html(200),
        ok(),
        ok().set_body_string("{\"sid\":"),
        ok().set_body_json(odd_state),
        ok().set_body_json(no_sid),
    ] {
        let server = answering([answer]).await;
        let outcome = client(&server.uri()).fetch_conversation(conversation_sid()).await;
        assert!(matches!(outcome, Err(Error::Undecodable(_))), "{outcome:?}");
        let outcome = client(&server.uri()).create_conversation(&NewConversation::default()).await;
        assert!(matches!(outcome, Err(Error::Ambiguous(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_an_answer_said_is_not_repeated_in_the_error() {
    let mut body = fixture("service_conversation");
    body["state"] = "a secret".into();
    let server = answering([ResponseTemplate::new(200).set_body_json(body)]).await;
    let error = client(&server.uri()).fetch_conversation(conversation_sid()).await.unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let large = ResponseTemplate::new(200).set_body_bytes(vec![b' '; 9 * 1024 * 1024]);
    let server = answering([large]).await;
    let outcome = client(&server.uri()).fetch_conversation(conversation_sid()).await;
    assert!(matches!(outcome, Err(Error::Unreachable(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockServer::start().await;
    for status in [301, 302, 307, 308] {
        let away = ResponseTemplate::new(status).insert_header("Location", elsewhere.uri());
        let server = answering([away]).await;
        let twilio = client(&server.uri());
        assert!(twilio.fetch_conversation(conversation_sid()).await.is_err());
        assert!(matches!(send(&twilio).await, Err(Error::Ambiguous(_))));
    }
    assert_eq!(asked(&elsewhere).await, 0);
}

#[tokio::test]
async fn an_identity_is_one_segment_of_the_path_whatever_is_in_it() {
    let server = answering([refusal(404, 20404)]).await;
    let twilio = client(&server.uri());
    for identity in ["a/../../b", "a?b#c", "%2e%2e", "ä 😀", "..%2f", "a\\b", "a\tb", "+1;x=y@z"] {
        let error = twilio.fetch_user(identity).await.unwrap_err();
        assert!(error.is_not_found());
        let last = server.received_requests().await.unwrap().pop().unwrap();
        let segments: Vec<_> = last.url.path_segments().unwrap().collect();
        assert_eq!(&segments[..4], ["v1", "Services", SERVICE, "Users"], "{identity:?}");
        assert_eq!(segments.len(), 5, "{identity:?}");
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(segments[4]).collect();
        assert_eq!(decoded, identity.as_bytes());
        assert_eq!(last.url.query(), None);
    }
    let before = asked(&server).await;
    for identity in ["", ".", ".."] {
        let outcome = twilio.fetch_user(identity).await;
        assert!(matches!(outcome, Err(Error::Refused { status: 404, code: None, .. })), "{outcome:?}");
    }
    assert_eq!(asked(&server).await, before);
}

#[tokio::test]
async fn every_change_that_can_announce_itself_does() {
    let server = answering([refusal(404, 20404)]).await;
    let twilio = client(&server.uri());
    let sid = conversation_sid();
    let participant_sid = "MB00000000000000000000000000000001".parse().unwrap();
    let _ = twilio.create_conversation(&NewConversation::default()).await;
    let _ = twilio.update_conversation(sid, &ConversationChanges::default()).await;
    let _ = twilio.delete_conversation(sid).await;
    let _ = twilio.add_chat_participant(sid, "bob", None).await;
    let _ = twilio.add_sms_participant(sid, "+15558675310", "+15017122661", None).await;
    let _ = twilio.update_participant(sid, participant_sid, &ParticipantChanges::default()).await;
    let _ = twilio.remove_participant(sid, participant_sid).await;
    let _ = send(&twilio).await;
    let _ = twilio.delete_message(sid, message_sid()).await;
    let announced =
        |request: &Request| request.headers.get("X-Twilio-Webhook-Enabled").is_some_and(|v| v == "true");
    assert!(server.received_requests().await.unwrap().iter().all(announced));

    server.reset().await;
    let _ = twilio.fetch_conversation(sid).await;
    let _ = twilio.update_user_conversation("alice", sid, &UserConversationChanges::default()).await;
    let _ = twilio.enable_reachability().await;
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3);
    assert!(!requests.iter().any(announced));
}

#[tokio::test]
async fn a_message_is_sent_as_a_form_with_our_credentials() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!("/v1/Services/{SERVICE}/Conversations/{CONVERSATION}/Messages")))
        .and(header("Content-Type", "application/x-www-form-urlencoded"))
        .and(::wiremock::matchers::basic_auth("SK00000000000000000000000000000001", PASSWORD))
        .and(body_string("Author=alice&Body=Hi"))
        .respond_with(ResponseTemplate::new(201).set_body_json(fixture("service_message")))
        .mount(&server)
        .await;
    send(&client(&server.uri())).await.unwrap();
}

#[tokio::test]
async fn a_host_that_mostly_fails_is_left_alone() {
    let server = answering([html(500)]).await;
    let twilio = client(&server.uri());
    assert!(twilio.is_available());
    for _ in 0..20 {
        assert!(matches!(send(&twilio).await, Err(Error::Ambiguous(_))));
    }
    assert!(!twilio.is_available());
    // Now it is known that nothing happened.
    let outcome = within(Duration::from_secs(1), send(&twilio)).await;
    assert!(matches!(outcome, Err(Error::Unreachable(_))), "{outcome:?}");
    assert_eq!(asked(&server).await, 20);
}

#[tokio::test]
async fn refusals_and_429s_do_not_count_as_failures() {
    for answer in [refusal(404, 20404), ResponseTemplate::new(429).insert_header("Retry-After", "20")] {
        let server = answering([answer]).await;
        let twilio = client(&server.uri());
        for _ in 0..30 {
            assert!(send(&twilio).await.is_err());
        }
        assert!(twilio.is_available());
        assert_eq!(asked(&server).await, 30);
    }
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_the_settings_allow() {
    let (here, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let counting = {
        let (here, most, gate) = (Arc::clone(&here), Arc::clone(&most), Arc::clone(&gate));
        async move || {
            most.fetch_max(here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            here.fetch_sub(1, Ordering::SeqCst);
            ([("content-type", "application/json")], fixture("service_conversation").to_string())
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server =
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(counting)).await });
    let twilio =
        Client::new(Settings { max_concurrency: 3, ..settings(&format!("http://{address}")) }).unwrap();
    let calls = (0..30).map(|_| twilio.fetch_conversation(conversation_sid()));
    let all_of_three_at_once = async {
        while here.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(30);
    };
    let everything = futures::future::join(futures::future::try_join_all(calls), all_of_three_at_once);
    within(Duration::from_secs(5), everything).await.0.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);
    server.abort();
}

#[tokio::test]
async fn every_try_counts_as_a_call() {
    let found = ResponseTemplate::new(200).set_body_json(fixture("service_conversation"));
    let server = answering([html(503), html(503), found]).await;
    let twilio = client(&server.uri());
    let (outcome, calls) =
        switchboard::telemetry::counting(twilio.fetch_conversation(conversation_sid())).await;
    outcome.unwrap();
    assert_eq!(calls, 3);
}

/// What a server does with a connection once it has read the request.
#[derive(Clone, Copy)]
enum Fault {
    /// Closes it so that the client sees a reset, or an end where an answer should be.
    Reset,
    /// Promises a long body and then sends a byte now and then.
    Dribble,
    /// Promises a body and ends before it.
    CutShort,
}

/// A server that fails below HTTP, which wiremock cannot; counts the requests it read.
async fn failing(fault: Fault) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(fail(stream, fault, Arc::clone(&count)));
        }
    });
    (address, requests)
}

async fn fail(mut stream: TcpStream, fault: Fault, count: Arc<AtomicUsize>) {
    let mut request = [0; 4096];
    if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
        count.fetch_add(1, Ordering::SeqCst);
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{";
    match fault {
        Fault::Reset => {}
        Fault::Dribble => {
            let _ = stream.write_all(head).await;
            let mut now_and_then = tokio::time::interval(Duration::from_millis(50));
            loop {
                now_and_then.tick().await;
                if stream.write_all(b" ").await.is_err() {
                    return;
                }
            }
        }
        Fault::CutShort => {
            let _ = stream.write_all(head).await;
        }
    }
}

#[tokio::test]
async fn a_connection_lost_after_sending_leaves_a_create_ambiguous_and_a_read_repeated() {
    for fault in [Fault::Reset, Fault::CutShort] {
        let (address, requests) = failing(fault).await;
        let twilio = client(&format!("http://{address}"));
        let outcome = send(&twilio).await;
        assert!(matches!(outcome, Err(Error::Ambiguous(_))), "{outcome:?}");
        assert_eq!(requests.swap(0, Ordering::SeqCst), 1);
        let outcome = twilio.fetch_conversation(conversation_sid()).await;
        assert!(matches!(outcome, Err(Error::Unreachable(_))), "{outcome:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test]
async fn an_answer_that_dribbles_in_does_not_outlast_the_deadline() {
    let (address, _) = failing(Fault::Dribble).await;
    let twilio = hasty(&format!("http://{address}"));
    let outcome = within(Duration::from_secs(3), twilio.fetch_conversation(conversation_sid())).await;
    assert!(matches!(outcome, Err(Error::Unreachable(_))), "{outcome:?}");
    let outcome = within(Duration::from_secs(3), send(&twilio)).await;
    assert!(matches!(outcome, Err(Error::Ambiguous(_))), "{outcome:?}");
}

#[tokio::test]
async fn callers_beyond_the_limit_wait_no_longer_than_their_deadline() {
    let late = ResponseTemplate::new(201).set_delay(Duration::from_secs(30));
    let server = answering([late]).await;
    let soon = Duration::from_millis(300);
    let deadlines = Deadlines { read: soon, write: Duration::from_secs(30), upload: soon };
    let settings = Settings { max_concurrency: 1, deadlines, ..settings(&server.uri()) };
    let twilio = Client::new(settings).unwrap();
    let holder = {
        let twilio = twilio.clone();
        tokio::spawn(async move { send(&twilio).await })
    };
    while asked(&server).await == 0 {
        tokio::task::yield_now().await;
    }
    let outcome = within(Duration::from_secs(2), twilio.fetch_conversation(conversation_sid())).await;
    assert!(matches!(outcome, Err(Error::Unreachable(_))), "{outcome:?}");
    assert_eq!(asked(&server).await, 1, "nothing was sent for the one who waited");
    holder.abort();
}

#[tokio::test]
async fn a_url_that_is_no_http_is_refused_at_once() {
    assert!(Client::new(settings("ftp://conversations.twilio.com")).is_err());
    assert!(Client::new(settings("data:text/plain,x")).is_err());
}

#[tokio::test]
async fn a_file_is_sent_as_it_is_to_the_media_host() {
    let (conversations, media) = (MockServer::start().await, MockServer::start().await);
    Mock::given(method("POST"))
        .and(path(format!("/prefix/v1/Services/{SERVICE}/Media")))
        .and(query_param("Category", "media"))
        .and(query_param("Filename", "ein Bild & mehr.png"))
        .and(header("Content-Type", "image/png"))
        .and(body_string("not a picture"))
        .respond_with(ResponseTemplate::new(201).set_body_json(fixture("mcs_media_unattached")))
        .mount(&media)
        .await;
    let media_url = format!("{}/prefix/", media.uri()).parse().unwrap();
    let twilio = Client::new(Settings { media_url, ..settings(&conversations.uri()) }).unwrap();
    let bytes = bytes::Bytes::from_static(b"not a picture");
    let stored = twilio.upload_media(bytes.clone(), "image/png", Some("ein Bild & mehr.png")).await.unwrap();
    assert_eq!(stored.size, 153_611);
    let outcome = twilio.upload_media(bytes, "image/png\r\nX: y", None).await;
    assert!(matches!(outcome, Err(Error::Refused { status: 400, .. })), "{outcome:?}");
}
