//! Opening a database: in any state, by many at once, again, or in vain.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{Connection, Row};
use switchboard::store::{Claim, DirectConversation, MessageIndex, OpenError, SendKey, Source, Store, Told};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{CH, contact, end_of, key, last, message, named, open, person};
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    any_text_comes_back_as_it_was
    everything_is_there_after_a_restart
    nodes_that_start_together_make_the_tables_once
}

async fn any_text_comes_back_as_it_was(database: TestDatabase) {
    let store = open(&database).await;
    let texts = [
        "",
        " ",
        "'; DROP TABLE people; --",
        "$1 ? %s %_ \\ \\0 {}",
        "日本語 العربية עברית ภาษาไทย",
        "👩‍👩‍👧‍👦 \u{1F3F3}\u{FE0F}\u{200D}\u{1F308}",
        "e\u{301} \u{e9}",
        "\u{202E}\u{FEFF}\u{10FFFF}\t\r\n\u{7F}",
        &"long ".repeat(60_000),
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let id = format!("{number}-{}", text.chars().take(256).collect::<String>());
        let told = Told { image: Some(Some(text.to_owned())), ..named(text) };
        store.remember_person(&id, &told, Source::Others, 1).await.unwrap();
        let known = person(&store, &id).await.unwrap();
        assert_eq!((known.name.as_deref(), known.image.as_deref()), (Some(text), Some(text)));
        let direct = DirectConversation {
            conversation_sid: CH.to_owned(),
            friendly_name: Some(text.to_owned()),
            pair: None,
        };
        store.remember_direct(&id, &direct).await.unwrap();
        assert_eq!(store.find_direct(&id).await.unwrap(), Some(direct));
        let key = SendKey { sender: &id, conversation_sid: CH, client_message_id: &id };
        assert_eq!(store.claim_send(key, text, 1).await.unwrap(), Claim::Fresh);
        store.finish_send(key, text).await.unwrap();
        assert_eq!(store.claim_send(key, text, 1).await.unwrap(), Claim::Done(text.to_owned()));
        let (index, _) = MessageIndex::start(store.clone());
        index.set_last(last(&id, 0, Some(text), 0));
        index.add(message(&id, 0, &id));
        soon("the writer", index.flushed()).await;
        assert_eq!(end_of(&store, &id).await, Some((0, Some(text.to_owned()), 0)));
        assert_eq!(store.count_unread(&id, &[(id.clone(), -1)]).await.unwrap(), HashMap::new());
    }
}

async fn everything_is_there_after_a_restart(database: TestDatabase) {
    let store = open(&database).await;
    let (index, writer) = MessageIndex::start(store.clone());
    store.claim_send(key("1"), "print", 100).await.unwrap();
    let direct = DirectConversation { conversation_sid: CH.to_owned(), friendly_name: None, pair: None };
    store.remember_direct("dm_1", &direct).await.unwrap();
    store.remember_person("alice", &named("Alice"), Source::Others, 1).await.unwrap();
    let alice = person(&store, "alice").await;
    store.add_contact(&contact("alice", "601", "Ben", 1), 10).await.unwrap();
    index.add(message(CH, 0, "bob"));
    index.set_last(last(CH, 0, Some("{}"), 0));
    drop(index);
    soon("the writer's end", writer).await.unwrap();
    store.close().await;
    assert!(store.ping().await.is_err());

    let store = open(&database).await;
    assert_eq!(store.claim_send(key("1"), "print", 200).await.unwrap(), Claim::Open { since: 100 });
    assert_eq!(store.find_direct("dm_1").await.unwrap(), Some(direct));
    assert_eq!(person(&store, "alice").await, alice);
    assert_eq!(store.contacts_of("alice").await.unwrap(), [contact("alice", "601", "Ben", 1)]);
    assert_eq!(end_of(&store, CH).await, Some((0, Some("{}".to_owned()), 0)));
    assert_eq!(store.count_unread("alice", &[(CH.to_owned(), -1)]).await.unwrap()[CH], 1);
}

async fn nodes_that_start_together_make_the_tables_once(database: TestDatabase) {
    const NODES: usize = 6;
    let barrier = Arc::new(Barrier::new(NODES));
    let mut nodes = JoinSet::new();
    for node in 0..NODES {
        let (database, barrier) = (database.clone(), Arc::clone(&barrier));
        nodes.spawn(async move {
            barrier.wait().await;
            let store = open(&database).await;
            store.claim_send(key(&node.to_string()), "print", 1).await.unwrap()
        });
    }
    let claims = soon("nodes", nodes.join_all()).await;
    assert!(claims.iter().all(|claim| *claim == Claim::Fresh), "{claims:?}");
    let mut connection = database.connection().await;
    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    let row = sqlx::query("SELECT COUNT(*) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), i64::try_from(migrations).unwrap());
}

#[tokio::test]
async fn an_sqlite_file_is_read_while_it_is_written() {
    let database = TestDatabase::sqlite();
    let store = open(&database).await;
    let mut beside = database.connection().await;
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut beside).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "wal");
    let mut writing = beside.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("DELETE FROM people").execute(&mut *writing).await.unwrap();
    assert_eq!(soon("a read", person(&store, "alice")).await, None);
    // A writer waits for its turn.
    let claim = tokio::spawn(async move { store.claim_send(key("1"), "print", 1).await });
    tokio::task::yield_now().await;
    writing.commit().await.unwrap();
    assert_eq!(soon("a claim", claim).await.unwrap().unwrap(), Claim::Fresh);
}

#[tokio::test]
async fn a_database_in_memory_is_one_for_all() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let mut callers = JoinSet::new();
    for number in 0..8 {
        let store = store.clone();
        callers.spawn(async move { store.claim_send(key(&number.to_string()), "print", 1).await.unwrap() });
    }
    assert!(callers.join_all().await.iter().all(|claim| *claim == Claim::Fresh));
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_told_with_its_cure_and_without_its_password() {
    let refused = async |url: &str| -> String {
        let error: OpenError = soon("a refusal", Store::open(url)).await.unwrap_err();
        let text = error.to_string();
        assert!(!text.contains("hunter2") && !text.contains("hunter%32"), "{text}");
        text
    };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = refused(&format!("postgres://alice:hunter2@{nobody}/chat")).await;
    assert!(text.contains("is it running"), "{text}");
    let text = refused("postgres://alice:hunter2@nobody.invalid/chat").await;
    assert!(text.contains("is it running"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let text = refused(&format!("sqlite://{}", folder.path().display())).await;
    assert!(text.contains("may this user write"), "{text}");
    let Some(database) = TestDatabase::postgres().await else { return };
    let (before, after) = database.url.rsplit_once('@').unwrap();
    let (user, _) = before.rsplit_once(':').unwrap();
    let text = refused(&format!("{user}:hunter2@{after}")).await;
    assert!(text.contains("percent-encode"), "{text}");
    let text = refused(&format!("{}_and_more", database.url)).await;
    assert!(text.contains("createdb"), "{text}");
    let text = refused(&format!("{}?sslmode=require", database.url)).await;
    assert!(text.contains("cannot open the database"), "{text}");
}
