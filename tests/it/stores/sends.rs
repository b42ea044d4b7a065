//! Send keys: one send has one key, whoever claims it wherever and however often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use switchboard::store::{Claim, SendKey};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{key, open};
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    a_send_is_claimed_once_and_its_result_is_found
    a_send_that_failed_can_be_claimed_again
    old_sends_are_forgotten
    of_many_claims_at_once_one_is_the_first
    a_key_that_is_released_and_claimed_all_the_time_has_one_holder
}

async fn a_send_is_claimed_once_and_its_result_is_found(database: TestDatabase) {
    let store = open(&database).await;
    assert_eq!(store.claim_send(key("1"), "print", 100).await.unwrap(), Claim::Fresh);
    assert_eq!(store.claim_send(key("1"), "print", 200).await.unwrap(), Claim::Open { since: 100 });
    assert_eq!(store.claim_send(key("1"), "another", 200).await.unwrap(), Claim::Other);
    store.finish_send(key("1"), r#"{"sid":"IM1"}"#).await.unwrap();
    let done = Claim::Done(r#"{"sid":"IM1"}"#.to_owned());
    assert_eq!(store.claim_send(key("1"), "print", 300).await.unwrap(), done);
    assert_eq!(store.claim_send(key("1"), "another", 300).await.unwrap(), Claim::Other);
    // Each part of the key counts.
    let others = [
        SendKey { sender: "bob", ..key("1") },
        SendKey { conversation_sid: "CH2", ..key("1") },
        SendKey { client_message_id: "2", ..key("1") },
    ];
    for other in others {
        assert_eq!(store.claim_send(other, "another", 300).await.unwrap(), Claim::Fresh, "{other:?}");
    }
}

async fn a_send_that_failed_can_be_claimed_again(database: TestDatabase) {
    let store = open(&database).await;
    store.claim_send(key("1"), "print", 100).await.unwrap();
    store.release_send(key("1")).await.unwrap();
    assert_eq!(store.claim_send(key("1"), "another", 200).await.unwrap(), Claim::Fresh);
    store.finish_send(key("1"), "{}").await.unwrap();
    // A late release does not undo what was stored.
    store.release_send(key("1")).await.unwrap();
    assert_eq!(store.claim_send(key("1"), "another", 200).await.unwrap(), Claim::Done("{}".to_owned()));
}

async fn old_sends_are_forgotten(database: TestDatabase) {
    let store = open(&database).await;
    for (id, now) in [("old", 99), ("older", -5), ("new", 100), ("far", i64::MAX)] {
        store.claim_send(key(id), "print", now).await.unwrap();
    }
    assert_eq!(store.forget_sends_before(100).await.unwrap(), 2);
    assert_eq!(store.claim_send(key("old"), "print", 7).await.unwrap(), Claim::Fresh);
    assert_eq!(store.claim_send(key("far"), "print", 7).await.unwrap(), Claim::Open { since: i64::MAX });
}

async fn of_many_claims_at_once_one_is_the_first(database: TestDatabase) {
    const CALLERS: usize = 32;
    // Half of them on another node.
    let stores = [open(&database).await, open(&database).await];
    for round in 0..5 {
        let barrier = Arc::new(Barrier::new(CALLERS));
        let mut claims = JoinSet::new();
        for caller in 0..CALLERS {
            let (store, barrier) = (stores[caller % 2].clone(), Arc::clone(&barrier));
            claims.spawn(async move {
                barrier.wait().await;
                store.claim_send(key(&round.to_string()), "print", 100).await.unwrap()
            });
        }
        let claims = soon("claims", claims.join_all()).await;
        let first = claims.iter().filter(|claim| **claim == Claim::Fresh).count();
        let open = claims.iter().filter(|claim| **claim == Claim::Open { since: 100 }).count();
        assert_eq!((first, open), (1, CALLERS - 1));
    }
}

async fn a_key_that_is_released_and_claimed_all_the_time_has_one_holder(database: TestDatabase) {
    let store = open(&database).await;
    let holders = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (store, holders) = (store.clone(), Arc::clone(&holders));
        callers.spawn(async move {
            for _ in 0..20 {
                if store.claim_send(key("1"), "print", 100).await.unwrap() == Claim::Fresh {
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    holders.fetch_sub(1, Ordering::SeqCst);
                    store.release_send(key("1")).await.unwrap();
                }
            }
        });
    }
    soon("claims", callers.join_all()).await;
}
