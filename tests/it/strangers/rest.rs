//! Every route, asked by who is not concerned, by a guest, and by who is not known at all.

use std::collections::BTreeSet;

use super::routes::{About, Names, ROUTES, Route, all_ways};
use super::{Actor, Scene, ask};
use crate::support::app::API_KEY;

/// A route as it is asked about one of several conversations: other routes are asked only once.
fn concerns(route: &Route, names: &Names, scene: &Scene) -> bool {
    route.path.contains("{conversation}") || names.conversation == scene.pair.conversation
}

fn is_of_support(route: &Route) -> bool {
    route.path.starts_with("/api/support")
}

#[tokio::test]
async fn who_is_not_concerned_learns_nothing_and_changes_nothing() {
    let scene = Scene::set().await;
    let canaries = scene.canaries().await;
    let seen = scene.as_alice_sees_it().await;
    let before = scene.app.asked().len();
    for actor in Actor::strangers(&scene.app).await {
        for names in scene.all() {
            for route in all_ways().iter().filter(|route| concerns(route, names, &scene)) {
                let what = format!("{} {} by {}", route.method, route.target(names), actor.name);
                let told = route.ask(&scene.app, &actor, names).await;
                told.assert_clean(&canaries, &what);
                let expected: &[u16] = match route.about {
                    About::Theirs => &[403, 404],
                    About::Another | About::Operators => &[403],
                    // No token is needed; but whoever shows one names nobody else.
                    About::Anybody if is_of_support(route) => &[200, 400, 403, 429],
                    About::Oneself | About::Anybody => &[200, 201, 400, 415, 429],
                    About::Socket => &[400],
                };
                assert!(expected.contains(&told.status), "{what}: {told:?}");
            }
        }
    }
    assert_eq!(scene.meddled(before), [""; 0]);
    assert_eq!(scene.as_alice_sees_it().await, seen);
    scene.app.finish([]).await;
}

#[tokio::test]
async fn who_is_not_known_is_answered_nothing_at_all() {
    let scene = Scene::set().await;
    let canaries = scene.canaries().await;
    let seen = scene.as_alice_sees_it().await;
    let before = scene.app.asked().len();
    for actor in Actor::unknown() {
        for names in scene.all() {
            for route in all_ways().iter().filter(|route| concerns(route, names, &scene)) {
                let what = format!("{} {} by {}", route.method, route.target(names), actor.name);
                let told = route.ask(&scene.app, &actor, names).await;
                told.assert_clean(&canaries, &what);
                let expected: &[u16] = match route.about {
                    // Nor is a token needed; but one that is there must hold.
                    About::Anybody if is_of_support(route) && actor.header.is_some() => &[401],
                    About::Anybody => &[200, 201, 400, 429],
                    About::Socket => &[400],
                    // Where guests may ask, nobody is told only whether it is about support.
                    About::Theirs if is_of_support(route) && actor.header.is_none() => &[401, 404],
                    About::Theirs | About::Another | About::Oneself | About::Operators => &[401],
                };
                assert!(expected.contains(&told.status), "{what}: {told:?}");
            }
        }
    }
    assert_eq!(scene.meddled(before), [""; 0]);
    assert_eq!(scene.as_alice_sees_it().await, seen);
    scene.app.finish([]).await;
}

#[tokio::test]
async fn a_guest_knows_support_and_nothing_else() {
    let scene = Scene::set().await;
    let canaries = scene.canaries().await;
    let seen = scene.as_alice_sees_it().await;
    let guest = Actor::guest(&scene.app).await;
    let before = scene.app.asked().len();
    for names in scene.all() {
        for route in all_ways().iter().filter(|route| concerns(route, names, &scene)) {
            let what = format!("{} {}", route.method, route.target(names));
            let told = route.ask(&scene.app, &guest, names).await;
            told.assert_clean(&canaries, &what);
            let expected: &[u16] = match route.about {
                About::Anybody => &[200, 201, 400, 429],
                About::Socket => &[400],
                About::Theirs if is_of_support(route) => &[403, 404],
                About::Theirs | About::Another | About::Oneself | About::Operators => &[401],
            };
            assert!(expected.contains(&told.status), "{what}: {told:?}");
        }
    }
    assert_eq!(scene.meddled(before), [""; 0]);
    assert_eq!(scene.as_alice_sees_it().await, seen);
    scene.app.finish([]).await;
}

/// What the table does not have is no endpoint, whoever asks: so it has every method of every path.
#[tokio::test]
async fn the_table_has_every_method() {
    let scene = Scene::set().await;
    let back_end = Actor { name: "the back end", header: Some(("x-api-key", API_KEY.to_owned())) };
    let known: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.shape())).collect();
    let before = scene.app.asked().len();
    for route in ROUTES {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if known.contains(&(method, route.shape())) {
                continue;
            }
            // Of two routes that fit the fixed one is asked: `/users/me` is no user.
            let target = route.target(&scene.pair);
            let told = ask(&scene.app, &back_end, method, &target, None).await;
            assert_eq!(told.status, 404, "{method} {target}: {told:?}");
        }
    }
    assert_eq!(scene.app.asked_since(before), [""; 0]);
    scene.app.finish([]).await;
}
