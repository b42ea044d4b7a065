//! Ids that are none, in every place of every route: refused before Twilio is asked.

use super::routes::{Names, ROUTES};
use super::{Actor, Scene, ask};
use crate::support_dialect::admin_token;

/// What is no id, as it stands in a path.
const NO_IDS: &[&str] = &[
    "CHx",
    "CHx%2F..%2F..%2FServices",
    "CHx%2f..%2f..%2fServices",
    "%252e%252e",
    "..%2F..%2FServices",
    "dm_0123456789abcdef0123456789abcdef01234567",
    "group_1",
    "order-42",
    "CH0000000000000000000000000000000",
    "CH000000000000000000000000000000000",
    "CH0000000000000000000000000000000g",
    "ch00000000000000000000000000000001",
    "IS00000000000000000000000000000001",
    "MB00000000000000000000000000000001",
    "00000000000000000000000000000001",
    "%7B00000000-0000-0000-0000-000000000001%7D",
    "urn:uuid:00000000-0000-0000-0000-000000000001",
    "CH00000000000000000000000000000001%00",
    "CH00000000000000000000000000000001%20",
    "CH00000000000000000000000000000001%3FPageSize=1",
    "CH00000000000000000000000000000001%23",
    "%EF%BC%A3%EF%BC%A800000000000000000000000000000001",
    "null",
    "0",
    "-1",
    "%27%20OR%201=1--",
];

#[tokio::test]
async fn what_is_no_id_gets_nowhere() {
    let scene = Scene::set().await;
    let admin = Actor::with_token("an admin", &admin_token("eve"));
    ask(&scene.app, &admin, "GET", "/users/me", None).await;
    let before = scene.app.asked().len();
    let mut asked = 0;
    for (place, name) in [("{conversation}", 0), ("{message}", 1), ("{media}", 2)] {
        for id in NO_IDS {
            let mut names = Names { me: "eve".to_owned(), ..scene.pair.clone() };
            *[&mut names.conversation, &mut names.message, &mut names.media][name] = (*id).to_owned();
            for route in ROUTES.iter().filter(|route| route.path.contains(place)) {
                let target = route.target(&names);
                let told = route.ask(&scene.app, &admin, &names).await;
                let expected: &[u16] = if target.starts_with("/media/") { &[404] } else { &[400] };
                assert!(expected.contains(&told.status), "{} {target}: {told:?}", route.method);
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
    assert_eq!(scene.app.asked_since(before), [""; 0]);
    scene.app.finish([]).await;
}

#[tokio::test]
async fn an_identity_stays_one_segment_of_twilios_path() {
    let scene = Scene::set().await;
    let admin = Actor::with_token("an admin", &admin_token("eve"));
    for (identity, segment) in [
        ("..%2F..%2FServices", "..%2F..%2FServices"),
        ("%252e%252e", "%252e%252e"),
        ("a%3FPageSize=1", "a%3FPageSize%3D1"),
        ("a%23b", "a%23b"),
        ("Zo%C3%AB", "Zo%C3%AB"),
    ] {
        let before = scene.app.asked().len();
        let target = format!("/api/conversations/users/{identity}/reachability");
        let told = ask(&scene.app, &admin, "GET", &target, None).await;
        assert_eq!(told.status, 200, "{target}: {told:?}");
        assert_eq!(scene.app.asked_since(before), [format!("GET /Users/{segment}")]);
    }
    scene.app.finish([]).await;
}
