//! Whose a file is and where it is shown: what was told first stays.

use switchboard::store::StoredMedia;
use tokio::task::JoinSet;

use super::open;
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    what_is_told_of_a_file_is_added_and_never_replaced
    of_many_owners_at_once_one_is_believed
}

fn media(owner: Option<&str>, conversation: Option<&str>) -> StoredMedia {
    StoredMedia {
        media_sid: "ME1".to_owned(),
        owner: owner.map(ToOwned::to_owned),
        conversation_sid: conversation.map(ToOwned::to_owned),
    }
}

async fn what_is_told_of_a_file_is_added_and_never_replaced(database: TestDatabase) {
    let store = open(&database).await;
    let after = async |told: StoredMedia, now: i64| {
        store.remember_media(&told, now).await.unwrap();
        store.find_media("ME1").await.unwrap().unwrap()
    };
    assert_eq!(store.find_media("ME1").await.unwrap(), None);
    assert_eq!(after(media(None, None), 1).await, media(None, None));
    assert_eq!(after(media(Some("zoë 李"), None), 2).await, media(Some("zoë 李"), None));
    assert_eq!(after(media(None, Some("CH1")), 3).await, media(Some("zoë 李"), Some("CH1")));
    // Nobody gets at a file by calling it theirs, or by showing it somewhere else.
    assert_eq!(after(media(Some("mallory"), Some("CH2")), 4).await, media(Some("zoë 李"), Some("CH1")));
    assert_eq!(store.find_media("me1").await.unwrap(), None);
}

async fn of_many_owners_at_once_one_is_believed(database: TestDatabase) {
    // Half of them on another node.
    let stores = [open(&database).await, open(&database).await];
    let mut telling = JoinSet::new();
    for number in 0..32 {
        let store = stores[number % 2].clone();
        telling.spawn(async move {
            let owner = format!("person-{number}");
            store.remember_media(&media(Some(&owner), None), 1).await.unwrap();
            // Who is believed once is believed from then on.
            store.find_media("ME1").await.unwrap().unwrap().owner
        });
    }
    let mut owners = soon("owners", telling.join_all()).await;
    owners.dedup();
    assert!(matches!(owners.as_slice(), [Some(_)]), "{owners:?}");
}
