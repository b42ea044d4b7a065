//! The directory as it is searched: what a search reads, when people were last here, whose contacts overlap.

use std::collections::HashMap;

use switchboard::store::{Listed, Searched, Source, Told};
use tokio::task::JoinSet;

use super::{contact, named, open, person};
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    a_search_goes_on_where_it_was
    when_somebody_was_last_here_is_the_latest_that_was_told
    many_people_are_asked_when_they_were_here
    mutual_contacts_are_people_both_have
}

async fn a_search_goes_on_where_it_was(database: TestDatabase) {
    let store = open(&database).await;
    assert_eq!(store.listed_since((0, ""), 10).await.unwrap(), []);
    // All in one second but the last two.
    for (identity, now_ms) in
        [("carol", 5_000), ("alice", 5_999), ("zoë", 5_001), ("bob", 4_000), ("dave", 6_000)]
    {
        store.remember_person(identity, &named(identity), Source::Others, now_ms).await.unwrap();
    }
    let bio = Searched { text: "Ça va, 李?".to_owned(), key: "ca va, 李?".to_owned() };
    let about = Told { bio: Some(Some(bio)), ..named("Zoë") };
    store.remember_person("zoë", &about, Source::Themselves, 5_500).await.unwrap();
    store.note_last_seen("zoë", 9).await.unwrap();
    let mut listed = Vec::new();
    let mut after = (4, "bob".to_owned());
    loop {
        let page = store.listed_since((after.0, &after.1), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = (last.updated_at, last.identity.clone());
        listed.extend(page);
    }
    let order: Vec<_> = listed.iter().map(|row| row.identity.as_str()).collect();
    assert_eq!(order, ["alice", "carol", "zoë", "dave"]);
    let expected = Listed {
        identity: "zoë".to_owned(),
        nickname_key: Some("zoë".to_owned()),
        bio_key: Some("ca va, 李?".to_owned()),
        created_at: 5,
        last_seen: Some(9),
        updated_at: 5,
    };
    assert_eq!(listed[2], expected);
    // To be seen is nothing that was told.
    assert_eq!(store.listed_since((7, ""), 10).await.unwrap(), []);
    assert_eq!(store.listed_since((0, ""), 10).await.unwrap().len(), 5);
}

async fn when_somebody_was_last_here_is_the_latest_that_was_told(database: TestDatabase) {
    let stores = [open(&database).await, open(&database).await];
    let [store, _] = &stores;
    let seen_since = async |since: i64| {
        let mut seen = store.seen_since(since).await.unwrap();
        seen.sort_unstable();
        seen
    };
    for identity in ["alice", "bob", "carol"] {
        store.remember_person(identity, &named(identity), Source::Others, 1).await.unwrap();
    }
    assert_eq!(seen_since(i64::MIN).await, []);
    store.note_last_seen("alice", 100).await.unwrap();
    store.note_last_seen("alice", 90).await.unwrap();
    store.note_last_seen("nobody", 100).await.unwrap();
    assert_eq!(person(store, "nobody").await, None);
    // Two nodes tell of the same person, in any order.
    let mut telling = JoinSet::new();
    for number in 0..32 {
        let store = stores[number % 2].clone();
        let at = 200 + i64::try_from(number * 7 % 32).unwrap();
        telling.spawn(async move { store.note_last_seen("bob", at).await.unwrap() });
    }
    soon("times", telling.join_all()).await;
    let (alice, bob) = (("alice".to_owned(), 100), ("bob".to_owned(), 231));
    assert_eq!(seen_since(100).await, [alice, bob.clone()]);
    assert_eq!(seen_since(101).await, [bob]);
    assert_eq!(seen_since(232).await, []);
}

async fn many_people_are_asked_when_they_were_here(database: TestDatabase) {
    const MANY: i64 = 450;
    let store = open(&database).await;
    let identities: Vec<_> = (0..MANY).map(|number| format!("persón-{number}")).collect();
    let mut expected = HashMap::new();
    for (identity, at) in identities.iter().zip(0..) {
        store.remember_person(identity, &named(identity), Source::Others, 1).await.unwrap();
        if at % 2 == 0 {
            store.note_last_seen(identity, at).await.unwrap();
            expected.insert(identity.clone(), at);
        }
    }
    let asked: Vec<_> = identities.iter().map(String::as_str).chain(["nobody"]).collect();
    assert_eq!(store.last_seen_of(&asked).await.unwrap(), expected);
    assert_eq!(store.last_seen_of(&[]).await.unwrap(), HashMap::new());
}

async fn mutual_contacts_are_people_both_have(database: TestDatabase) {
    let store = open(&database).await;
    // 603 and 604 are nobody's.
    for (identity, phone) in [("ben", "601"), ("carol", "602")] {
        let phone = Told { phone: Some(Some(phone.to_owned())), ..Told::default() };
        store.remember_person(identity, &phone, Source::Themselves, 1).await.unwrap();
    }
    for (owner, phones) in [
        ("alice", &["601", "602", "603"][..]),
        ("zoë", &["601", "602", "604"]),
        ("frank", &["602", "603"]),
        ("ben", &["602"]),
        ("gina", &["603"]),
    ] {
        for phone in phones {
            store.add_contact(&contact(owner, phone, "Somebody", 1), 10).await.unwrap();
        }
    }
    for phone in ["601", "602", "603", "604"] {
        store.relink_contacts(Some(phone), None, 2).await.unwrap();
    }
    let mutual = async |owner: &str| {
        let mut mutual = store.mutual_contacts(owner).await.unwrap();
        mutual.sort_unstable();
        mutual
    };
    let shares = |owner: &str, count: i64| (owner.to_owned(), count);
    assert_eq!(mutual("alice").await, [shares("ben", 1), shares("frank", 1), shares("zoë", 2)]);
    assert_eq!(mutual("ben").await, [shares("alice", 1), shares("frank", 1), shares("zoë", 1)]);
    assert_eq!(mutual("gina").await, []);
    assert_eq!(mutual("nobody").await, []);
}
