//! Blocks: one wish is one row, whoever asks and however often it was said.

use switchboard::store::Block;
use tokio::task::JoinSet;

use super::open;
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    a_block_is_one_persons_wish_until_they_take_it_back
    blocks_about_somebody_are_newest_first
    of_many_blocks_at_once_one_is_left
}

fn block(blocker: &str, blocked: &str, created_at: i64) -> Block {
    Block { blocker: blocker.to_owned(), blocked: blocked.to_owned(), created_at }
}

async fn a_block_is_one_persons_wish_until_they_take_it_back(database: TestDatabase) {
    let store = open(&database).await;
    let between = async |one: &str, other: &str| {
        let mut blocks = store.blocks_between(one, other).await.unwrap();
        blocks.sort_unstable_by_key(|block| block.created_at);
        blocks
    };
    assert_eq!(between("alice", "bob").await, []);
    store.block("alice", "bob", 10).await.unwrap();
    // Said again, it holds since the first time.
    store.block("alice", "bob", 20).await.unwrap();
    for (one, other) in [("alice", "bob"), ("bob", "alice")] {
        assert_eq!(between(one, other).await, [block("alice", "bob", 10)]);
    }
    store.block("bob", "alice", 30).await.unwrap();
    store.block("alice", "zoë", 40).await.unwrap();
    assert_eq!(between("bob", "alice").await, [block("alice", "bob", 10), block("bob", "alice", 30)]);
    // Whose wish it is, counts, and so do case and accents.
    for (blocker, blocked) in [("zoë", "alice"), ("alice", "Bob"), ("alice", "zoe")] {
        store.unblock(blocker, blocked).await.unwrap();
    }
    assert_eq!(between("alice", "zoë").await, [block("alice", "zoë", 40)]);
    store.unblock("alice", "bob").await.unwrap();
    store.unblock("alice", "bob").await.unwrap();
    assert_eq!(between("alice", "bob").await, [block("bob", "alice", 30)]);
    store.block("alice", "bob", 50).await.unwrap();
    assert_eq!(between("alice", "bob").await, [block("bob", "alice", 30), block("alice", "bob", 50)]);
}

async fn blocks_about_somebody_are_newest_first(database: TestDatabase) {
    let store = open(&database).await;
    for (blocker, blocked, at) in [
        ("alice", "dave", 2),
        ("bob", "alice", 1),
        ("alice", "李", 3),
        ("alice", "carol", 2),
        ("bob", "dave", 4),
    ] {
        store.block(blocker, blocked, at).await.unwrap();
    }
    let expected = [
        block("alice", "李", 3),
        block("alice", "carol", 2),
        block("alice", "dave", 2),
        block("bob", "alice", 1),
    ];
    assert_eq!(store.blocks_about("alice").await.unwrap(), expected);
    assert_eq!(store.blocks_about("李").await.unwrap(), expected[..1]);
    assert_eq!(store.blocks_about("nobody").await.unwrap(), []);
}

async fn of_many_blocks_at_once_one_is_left(database: TestDatabase) {
    // Half of them on another node.
    let stores = [open(&database).await, open(&database).await];
    let mut blocking = JoinSet::new();
    for number in 0..32 {
        let store = stores[number % 2].clone();
        blocking.spawn(async move { store.block("alice", "bob", 10).await.unwrap() });
    }
    soon("blocks", blocking.join_all()).await;
    assert_eq!(stores[0].blocks_about("bob").await.unwrap(), [block("alice", "bob", 10)]);
}
