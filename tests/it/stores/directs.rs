//! Which conversation a set of people has, and the two of a pair.

use switchboard::store::DirectConversation;
use tokio::task::JoinSet;

use super::open;
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    a_direct_conversation_is_remembered_renamed_and_forgotten
    a_pair_is_known_from_either_side
    of_many_who_remember_the_same_at_once_one_row_is_left
}

fn direct(sid: &str, name: Option<&str>, pair: Option<(&str, &str)>) -> DirectConversation {
    DirectConversation {
        conversation_sid: sid.to_owned(),
        friendly_name: name.map(ToOwned::to_owned),
        pair: pair.map(|(a, b)| (a.to_owned(), b.to_owned())),
    }
}

async fn a_direct_conversation_is_remembered_renamed_and_forgotten(database: TestDatabase) {
    let store = open(&database).await;
    let direct = |sid, name| direct(sid, name, None);
    assert_eq!(store.find_direct("dm_1").await.unwrap(), None);
    store.remember_direct("dm_1", &direct("CH1", Some("Alice, Bob"))).await.unwrap();
    store.remember_direct("dm_2", &direct("CH2", None)).await.unwrap();
    assert_eq!(store.find_direct("dm_1").await.unwrap(), Some(direct("CH1", Some("Alice, Bob"))));
    // The pair's next one, after the first was closed.
    store.remember_direct("dm_1", &direct("CH3", None)).await.unwrap();
    assert_eq!(store.find_direct("dm_1").await.unwrap(), Some(direct("CH3", None)));
    store.rename_direct("CH3", Some("Friends")).await.unwrap();
    store.rename_direct("CH9", Some("Nobody's")).await.unwrap();
    assert_eq!(store.find_direct("dm_1").await.unwrap(), Some(direct("CH3", Some("Friends"))));
    store.rename_direct("CH3", None).await.unwrap();
    assert_eq!(store.find_direct("dm_1").await.unwrap(), Some(direct("CH3", None)));
    store.forget_direct("CH3").await.unwrap();
    store.forget_direct("CH3").await.unwrap();
    assert_eq!(store.find_direct("dm_1").await.unwrap(), None);
    assert_eq!(store.find_direct("dm_2").await.unwrap(), Some(direct("CH2", None)));
}

async fn a_pair_is_known_from_either_side(database: TestDatabase) {
    let store = open(&database).await;
    let partners = async |identity: &str| {
        let mut partners = store.partners_of(identity).await.unwrap();
        partners.sort_unstable();
        partners
    };
    let partner = |identity: &str, sid: &str| (identity.to_owned(), sid.to_owned());
    let rows = [
        ("dm_1", direct("CH1", Some("Zoë & 李"), Some(("alice", "zoë")))),
        ("dm_2", direct("CH2", None, Some(("alice", "李")))),
        ("dm_3", direct("CH3", None, Some(("Alice", "zoë")))),
        // Of three; and of two, remembered before it was asked of whom.
        ("dm_4", direct("CH4", Some("All of us"), None)),
    ];
    for (name, row) in &rows {
        store.remember_direct(name, row).await.unwrap();
        assert_eq!(store.find_direct(name).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(partners("alice").await, [partner("zoë", "CH1"), partner("李", "CH2")]);
    assert_eq!(partners("zoë").await, [partner("Alice", "CH3"), partner("alice", "CH1")]);
    assert_eq!(partners("zoe").await, []);
    assert_eq!(store.find_pair("CH2").await.unwrap(), Some(("alice".to_owned(), "李".to_owned())));
    assert_eq!(store.find_pair("CH4").await.unwrap(), None);
    assert_eq!(store.find_pair("CH9").await.unwrap(), None);
    // Another name changes nothing about whose it is.
    store.rename_direct("CH1", None).await.unwrap();
    assert_eq!(store.find_pair("CH1").await.unwrap(), Some(("alice".to_owned(), "zoë".to_owned())));
    // The pair's next one takes the place of the closed one; then it is learned whose one is.
    store.remember_direct("dm_1", &direct("CH5", None, Some(("alice", "zoë")))).await.unwrap();
    assert_eq!(store.find_pair("CH1").await.unwrap(), None);
    store.remember_direct("dm_4", &direct("CH4", None, Some(("alice", "bob")))).await.unwrap();
    let expected = [partner("bob", "CH4"), partner("zoë", "CH5"), partner("李", "CH2")];
    assert_eq!(partners("alice").await, expected);
    store.forget_direct("CH4").await.unwrap();
    assert_eq!(partners("bob").await, []);
    assert_eq!(partners("alice").await, expected[1..]);
}

async fn of_many_who_remember_the_same_at_once_one_row_is_left(database: TestDatabase) {
    // Half of them on another node.
    let stores = [open(&database).await, open(&database).await];
    let mut remembering = JoinSet::new();
    for number in 0..32 {
        let store = stores[number % 2].clone();
        remembering.spawn(async move {
            let row = direct("CH1", Some(&number.to_string()), Some(("alice", "bob")));
            store.remember_direct("dm_1", &row).await.unwrap();
        });
    }
    soon("rows", remembering.join_all()).await;
    for store in &stores {
        assert_eq!(store.partners_of("bob").await.unwrap(), [("alice".to_owned(), "CH1".to_owned())]);
    }
}
