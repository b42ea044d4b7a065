//! Sign-outs: the latest of each person, until none of their earlier tokens can be valid.

use super::open;
use crate::support::TestDatabase;
use crate::support::database::on_both;

on_both! {
    only_the_latest_sign_out_of_somebody_is_kept
    sign_outs_are_found_by_their_time_and_forgotten_by_it
}

async fn only_the_latest_sign_out_of_somebody_is_kept(database: TestDatabase) {
    // As two nodes write them, in whichever order.
    let stores = [open(&database).await, open(&database).await];
    for (store, at) in stores.iter().cycle().zip([20, 30, 10, 30]) {
        store.sign_out("zoë", at).await.unwrap();
    }
    for store in &stores {
        assert_eq!(store.signed_out_since(0).await.unwrap(), [("zoë".to_owned(), 30)]);
    }
}

async fn sign_outs_are_found_by_their_time_and_forgotten_by_it(database: TestDatabase) {
    let store = open(&database).await;
    for (identity, at) in [("alice", 10), ("bob", 20), ("carol", 30)] {
        store.sign_out(identity, at).await.unwrap();
    }
    let since = async |at| {
        let mut found = store.signed_out_since(at).await.unwrap();
        found.sort();
        found.into_iter().map(|(identity, _)| identity).collect::<Vec<_>>()
    };
    assert_eq!(since(20).await, ["bob", "carol"]);
    assert_eq!(since(31).await, [""; 0]);
    store.forget_sign_outs(20).await.unwrap();
    assert_eq!(since(0).await, ["bob", "carol"]);
}
