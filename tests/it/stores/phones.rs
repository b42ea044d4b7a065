//! Conversations that began with a phone, and how many new phones somebody has brought in.

use switchboard::store::PhoneConversation;
use tokio::task::JoinSet;

use super::{open, person};
use crate::support::TestDatabase;
use crate::support::database::on_both;
use switchboard::store::{Source, Told};

on_both! {
    a_conversation_that_began_with_a_phone_is_known_until_one_of_the_two_goes
    a_phone_that_somebody_registers_is_found
    new_phones_are_counted_for_a_day
    of_many_at_once_only_so_many_are_counted
}

const DAY: i64 = 24 * 3600 * 1000;

fn begun(sid: &str, owner: &str, phone: &str, created_at: i64) -> PhoneConversation {
    PhoneConversation {
        conversation_sid: sid.to_owned(),
        owner: owner.to_owned(),
        phone: phone.to_owned(),
        kind: "private".to_owned(),
        created_at,
    }
}

async fn a_conversation_that_began_with_a_phone_is_known_until_one_of_the_two_goes(database: TestDatabase) {
    let store = open(&database).await;
    assert_eq!(store.phone_conversations("1").await.unwrap(), []);
    let (one, two) = (begun("CH1", "ada", "1", 10), begun("CH2", "ben", "1", 20));
    for conversation in [&one, &two, &begun("CH1", "carol", "2", 30), &begun("CH3", "ada", "3", 30)] {
        store.remember_phone_conversation(conversation).await.unwrap();
    }
    assert_eq!(store.phone_conversations("1").await.unwrap(), [two.clone(), one.clone()]);
    store.forget_phone_conversation_of("CH1", Some("somebody else"), None).await.unwrap();
    store.forget_phone_conversation_of("CH1", None, Some("another phone")).await.unwrap();
    assert_eq!(store.phone_conversations("1").await.unwrap(), [two.clone(), one]);
    store.forget_phone_conversation_of("CH1", Some("ada"), None).await.unwrap();
    assert_eq!(store.phone_conversations("1").await.unwrap(), [two]);
    store.forget_phone_conversation_of("CH2", None, Some("1")).await.unwrap();
    assert_eq!(store.phone_conversations("1").await.unwrap(), []);
    store.forget_phone_conversation("CH3").await.unwrap();
    assert_eq!(store.phone_conversations("3").await.unwrap(), []);
}

async fn a_phone_that_somebody_registers_is_found(database: TestDatabase) {
    let store = open(&database).await;
    for (sid, phone) in [("CH1", "1"), ("CH2", "1"), ("CH3", "2")] {
        store.remember_phone_conversation(&begun(sid, "ada", phone, 10)).await.unwrap();
    }
    assert!(store.registered_phones("", 10).await.unwrap().is_empty());
    let told = Told { phone: Some(Some("1".to_owned())), ..Told::default() };
    store.remember_person("ben", &told, Source::Token, 20_000).await.unwrap();
    assert!(person(&store, "ben").await.is_some());
    assert_eq!(store.registered_phones("", 10).await.unwrap(), ["1"]);
    assert!(store.registered_phones("", 0).await.unwrap().is_empty());
    let told = Told { phone: Some(Some("2".to_owned())), ..Told::default() };
    store.remember_person("carol", &told, Source::Token, 20_000).await.unwrap();
    assert_eq!(store.registered_phones("", 1).await.unwrap(), ["1"]);
    assert_eq!(store.registered_phones("1", 1).await.unwrap(), ["2"]);
    assert!(store.registered_phones("2", 1).await.unwrap().is_empty());
}

async fn new_phones_are_counted_for_a_day(database: TestDatabase) {
    let store = open(&database).await;
    let count = async |owner: &str, now: i64| store.count_phones(owner, 1, 2, now - DAY, now).await.unwrap();
    assert_eq!(store.phones_counted_since("ada").await.unwrap(), None);
    assert!(count("ada", DAY).await && count("ada", DAY + 1).await);
    assert!(!count("ada", DAY + 2).await);
    assert!(count("ben", DAY + 2).await, "everybody has a count of their own");
    store.uncount_phone("ada").await.unwrap();
    assert!(count("ada", DAY + 3).await && !count("ada", 2 * DAY - 1).await);
    assert_eq!(store.phones_counted_since("ada").await.unwrap(), Some(DAY));
    assert!(count("ada", 2 * DAY).await, "a new day");
    assert_eq!(store.phones_counted_since("ada").await.unwrap(), Some(2 * DAY));
    let several = async |many: i64| store.count_phones("carol", many, 5, 0, 2 * DAY).await.unwrap();
    assert!(several(3).await && !several(3).await && several(2).await && !several(1).await);
    store.forget_old_phone_counts(DAY + 2).await.unwrap();
    assert_eq!(store.phones_counted_since("ben").await.unwrap(), None);
    assert_eq!(store.phones_counted_since("ada").await.unwrap(), Some(2 * DAY));
}

async fn of_many_at_once_only_so_many_are_counted(database: TestDatabase) {
    let store = open(&database).await;
    let mut counting = JoinSet::new();
    for now in 0..12 {
        let store = store.clone();
        counting.spawn(async move { store.count_phones("ada", 1, 5, -1, now).await.unwrap() });
    }
    let counted = counting.join_all().await;
    assert_eq!(counted.into_iter().filter(|counted| *counted).count(), 5);
}
