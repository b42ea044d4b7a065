//! Support conversations and one-time codes.

use switchboard::store::{AuthCode, MessageIndex, SupportFilter, SupportRow};
use tokio::task::JoinSet;

use super::{message, open};
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    a_support_conversation_is_found_by_whose_it_is
    the_agents_list_is_newest_first_with_what_is_unread
    a_code_is_used_once
    tries_are_counted_whoever_tries_at_once
}

fn row(sid: &str, user_id: Option<&str>, guest_id: Option<&str>) -> SupportRow {
    SupportRow {
        conversation_sid: sid.to_owned(),
        user_id: user_id.map(ToOwned::to_owned),
        guest_id: guest_id.map(ToOwned::to_owned),
        admin_id: None,
        topic: "billing".to_owned(),
        subject: Some("An invoice".to_owned()),
        status: "open".to_owned(),
        priority: "normal".to_owned(),
        aside: 0,
        admin_read: -1,
        last_message_at: 0,
        created_at: 1_000,
        updated_at: 1_000,
    }
}

async fn a_support_conversation_is_found_by_whose_it_is(database: TestDatabase) {
    let store = open(&database).await;
    let of_user = row("CH1", Some("alice"), None);
    let of_guest = row("CH2", None, Some("guest-1"));
    let of_both = SupportRow { created_at: 900, ..row("CH3", Some("alice"), Some("guest-2")) };
    let closed = SupportRow { status: "closed".to_owned(), ..row("CH4", Some("alice"), Some("guest-3")) };
    for row in [&of_user, &of_guest, &of_both, &closed] {
        store.remember_support(row).await.unwrap();
        store.remember_support(row).await.unwrap();
    }
    assert_eq!(store.find_support("CH4").await.unwrap(), Some(closed));
    assert_eq!(store.find_support("CH9").await.unwrap(), None);
    assert_eq!(store.open_support_of_user("alice").await.unwrap(), [of_both, of_user.clone()]);
    assert_eq!(store.open_support_of_guest("guest-1").await.unwrap(), [of_guest]);
    assert_eq!(store.open_support_of_guest("guest-2").await.unwrap(), []);
    assert!(store.knows_guest("guest-3").await.unwrap() && !store.knows_guest("guest-9").await.unwrap());
    // An older state changes nothing, and the last message only advances.
    let older = SupportRow { status: "closed".to_owned(), updated_at: 999, ..of_user.clone() };
    store.remember_support(&older).await.unwrap();
    assert_eq!(store.find_support("CH1").await.unwrap(), Some(of_user.clone()));
    for at in [5_000, 4_000] {
        store.note_support_message("CH1", at, at).await.unwrap();
    }
    let spoken = SupportRow { last_message_at: 5_000, ..of_user };
    assert_eq!(store.find_support("CH1").await.unwrap(), Some(spoken));
    store.forget_support("CH1").await.unwrap();
    assert_eq!(store.find_support("CH1").await.unwrap(), None);
}

async fn the_agents_list_is_newest_first_with_what_is_unread(database: TestDatabase) {
    let store = open(&database).await;
    let (index, _) = MessageIndex::start(store.clone());
    for number in 0..5 {
        let topic = if number % 2 == 0 { "billing" } else { "other" };
        let sid = format!("CH{number}");
        let row = SupportRow { topic: topic.to_owned(), admin_read: 0, ..row(&sid, Some("alice"), None) };
        store.remember_support(&row).await.unwrap();
        store.note_support_message(&sid, 10_000 + number, 10_000 + number).await.unwrap();
        for place in 0..=number {
            index.add(message(&sid, place, if place % 2 == 0 { "agent" } else { "alice" }));
        }
    }
    soon("the writer", index.flushed()).await;
    let listed = async |filter: SupportFilter, offset: i64, limit: i64| {
        let (total, rows) = store.list_support(&filter, offset, limit).await.unwrap();
        (total, rows.into_iter().map(|(row, unread)| (row.conversation_sid, unread)).collect::<Vec<_>>())
    };
    let expected =
        |rows: &[(&str, i64)]| rows.iter().map(|(sid, unread)| ((*sid).to_owned(), *unread)).collect();
    let all = expected(&[("CH4", 2), ("CH3", 2), ("CH2", 1), ("CH1", 1), ("CH0", 0)]);
    assert_eq!(listed(SupportFilter::default(), 0, 100).await, (5, all));
    let billing = SupportFilter { status: Some("open".to_owned()), topic: Some("billing".to_owned()) };
    assert_eq!(listed(billing, 1, 1).await, (3, expected(&[("CH2", 1)])));
    let closed = SupportFilter { status: Some("closed".to_owned()), topic: None };
    assert_eq!(listed(closed, 0, 100).await, (0, vec![]));
    assert_eq!(store.count_support_unread("CH4", 1).await.unwrap(), (2, 2));
    assert_eq!(store.count_support_unread("CH9", -1).await.unwrap(), (0, 0));
}

async fn a_code_is_used_once(database: TestDatabase) {
    let store = open(&database).await;
    let code = AuthCode {
        code_id: "code-1".to_owned(),
        user_id: None,
        guest_id: Some("guest-1".to_owned()),
        conversation_sid: Some("CH1".to_owned()),
        issued_by: Some("agent".to_owned()),
        device_info: Some("{}".to_owned()),
        expires_at: 2_000,
    };
    assert!(store.add_code("hash", &code, 1_000).await.unwrap());
    assert!(!store.add_code("hash", &code, 1_999).await.unwrap());
    assert_eq!(store.use_code("another hash", 1_000).await.unwrap(), None);
    assert_eq!(store.use_code("hash", 2_000).await.unwrap(), None);
    let mut using = JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        using.spawn(async move { store.use_code("hash", 1_500).await.unwrap() });
    }
    let used: Vec<_> = soon("uses", using.join_all()).await.into_iter().flatten().collect();
    assert_eq!(used, std::slice::from_ref(&code));
    // An expired one makes room.
    assert!(store.add_code("hash", &AuthCode { expires_at: 9_000, ..code }, 2_000).await.unwrap());
    store.forget_old_codes(9_001, 0).await.unwrap();
    assert_eq!(store.use_code("hash", 1_000).await.unwrap(), None);
}

async fn tries_are_counted_whoever_tries_at_once(database: TestDatabase) {
    let store = open(&database).await;
    let mut trying = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        trying.spawn(async move { store.count_try("ip", 0, 1_000).await.unwrap() });
    }
    let mut counts = soon("tries", trying.join_all()).await;
    counts.sort_unstable();
    assert_eq!(counts, (1..=20).map(|count| (1_000, count)).collect::<Vec<_>>());
    store.forgive_try("ip").await.unwrap();
    assert_eq!(store.count_try("ip", 999, 2_000).await.unwrap(), (1_000, 20));
    // A new window.
    assert_eq!(store.count_try("ip", 1_000, 3_000).await.unwrap(), (3_000, 1));
    store.forget_old_codes(0, 3_001).await.unwrap();
    assert_eq!(store.count_try("ip", 0, 4_000).await.unwrap(), (4_000, 1));
}
