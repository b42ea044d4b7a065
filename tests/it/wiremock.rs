//! The stubs in `wiremock/`: every call the client makes is among them, and the client understands every answer.
//!
//! The same files serve the real WireMock; with one running on them, `WIREMOCK_URL=… cargo test -- --ignored wiremock` asks it
//! instead.

mod replay;
mod scenes;
mod stubs;

use std::collections::BTreeSet;

use ::wiremock::{Match, MockServer, Request};
use futures::stream::{self, StreamExt};
use switchboard::twilio::{Client, Deadlines, Error, Settings};

use scenes::{SCENES, Scene};
use stubs::Stub;

/// Scenes played at a time: enough to hide the patience of some, few enough to leave the others in time.
const AT_ONCE: usize = 8;

/// A client as `scene` wants it.
fn client(scene: &Scene, url: &str) -> Client {
    let (username, password) = match scene.name {
        "unauthorized" => ("SK00000000000000000000000000000401", "revoked"),
        _ => ("SK00000000000000000000000000000001", "secret"),
    };
    Client::new(Settings {
        username: username.to_owned(),
        password: password.into(),
        service_sid: scenes::SERVICE,
        conversations_url: url.parse().unwrap(),
        media_url: url.parse().unwrap(),
        max_concurrency: 20,
        deadlines: Deadlines::default(),
    })
    .unwrap()
}

/// Plays `scene` against the stubs, and returns the request the client made.
async fn recorded(scene: &Scene, stubs: &[Stub]) -> Request {
    let server = MockServer::start().await;
    for stub in stubs {
        server.register(stub.as_mock()).await;
    }
    let stub = stubs.iter().find(|stub| stub.name == scene.name).unwrap();
    assert_outcome(stub, (scene.play)(&client(scene, &server.uri())).await);
    server.received_requests().await.unwrap().swap_remove(0)
}

/// What the client makes of an answer follows from the answer.
#[track_caller]
fn assert_outcome(stub: &Stub, outcome: Result<(), Error>) {
    let name = &stub.name;
    match (stub.status(), outcome) {
        (200..=299, outcome) => assert_eq!(outcome, Ok(()), "{name}"),
        (429, outcome) => assert!(matches!(outcome, Err(Error::RateLimited { .. })), "{name}: {outcome:?}"),
        (expected @ 400..=499, Err(Error::Refused { status, code, .. })) => {
            assert_eq!((status, code.map(u64::from)), (expected, stub.body()["code"].as_u64()), "{name}");
        }
        (500.., Err(Error::Ambiguous(_))) if stub.is_create() => {}
        (500.., Err(Error::Unreachable(_))) if !stub.is_create() => {}
        (status, outcome) => panic!("{name}: {status} became {outcome:?}"),
    }
}

#[tokio::test]
async fn the_client_understands_every_stub() {
    let stubs = stubs::all();
    let requests = stream::iter(SCENES).map(async |scene| (scene, recorded(scene, &stubs).await));
    let requests: Vec<_> = requests.buffer_unordered(AT_ONCE).collect().await;
    for (scene, request) in requests {
        let best = stubs.iter().filter(|stub| stub.matches(&request)).map(|stub| stub.priority).min();
        let matching: Vec<_> = stubs
            .iter()
            .filter(|stub| Some(stub.priority) == best && stub.matches(&request))
            .map(|stub| &stub.name)
            .collect();
        assert_eq!(matching, [scene.name], "the request of {} must be answered by it alone", scene.name);
    }
}

#[test]
fn every_stub_is_asked_for_by_one_scene() {
    let stubs: Vec<_> = stubs::all().into_iter().map(|stub| stub.name).collect();
    let scenes: BTreeSet<_> = SCENES.iter().map(|scene| scene.name.to_owned()).collect();
    assert_eq!(scenes.len(), SCENES.len());
    assert_eq!(BTreeSet::from_iter(stubs), scenes);
}

#[test]
fn every_body_belongs_to_a_stub() {
    let used: BTreeSet<_> = stubs::all().iter().filter_map(Stub::body_file).collect();
    assert_eq!(stubs::body_files(), used);
}

#[tokio::test]
#[ignore = "needs WIREMOCK_URL: a WireMock 3 that was started on wiremock/"]
async fn the_client_understands_every_stub_of_a_real_wiremock() {
    let url = std::env::var("WIREMOCK_URL").expect("WIREMOCK_URL says where WireMock listens");
    let stubs = stubs::all();
    let outcomes = stream::iter(SCENES).map(async |scene| (scene, (scene.play)(&client(scene, &url)).await));
    let outcomes: Vec<_> = outcomes.buffer_unordered(AT_ONCE).collect().await;
    for (scene, outcome) in outcomes {
        let stub = stubs.iter().find(|stub| stub.name == scene.name).unwrap();
        assert_outcome(stub, outcome);
    }
}
