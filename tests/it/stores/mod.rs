//! What the database keeps: every function of the store, on SQLite and on PostgreSQL alike.
//!
//! What becomes of the service while its database is away is `database_loss.rs`.

mod blocks;
mod conversations;
mod directory;
mod directs;
mod media;
mod opening;
mod people;
mod phones;
mod products;
mod sends;
mod sign_outs;
mod support;

use switchboard::store::{Contact, IndexedMessage, LastMessage, Person, Searched, SendKey, Store, Told};

use crate::support::{TestDatabase, soon};

const CH: &str = "CH00000000000000000000000000000001";

fn key(id: &str) -> SendKey<'_> {
    SendKey { sender: "alice", conversation_sid: CH, client_message_id: id }
}

async fn open(database: &TestDatabase) -> Store {
    soon("the database", Store::open(&database.url)).await.unwrap()
}

/// What somebody is called, with the text they are searched by.
fn named(name: &str) -> Told {
    let searched = Searched { text: name.to_owned(), key: name.to_lowercase() };
    Told { name: Some(Some(searched)), ..Told::default() }
}

async fn person(store: &Store, identity: &str) -> Option<Person> {
    let found = store.find_people(&[identity]).await.unwrap();
    assert!(found.len() < 2);
    found.into_iter().next()
}

fn contact(owner: &str, phone: &str, first_name: &str, now: i64) -> Contact {
    Contact {
        contact_id: format!("{owner}-{phone}-{now}"),
        owner: owner.to_owned(),
        phone: phone.to_owned(),
        first_name: first_name.to_owned(),
        last_name: String::new(),
        customer: None,
        created_at: now,
        updated_at: now,
    }
}

fn message(conversation: &str, index: i64, author: &str) -> IndexedMessage {
    IndexedMessage {
        message_sid: format!("IM-{conversation}-{index}"),
        conversation_sid: conversation.to_owned(),
        message_index: index,
        author: author.to_owned(),
    }
}

fn last(conversation: &str, index: i64, text: Option<&str>, known_from: i64) -> LastMessage {
    LastMessage {
        conversation_sid: conversation.to_owned(),
        message_index: index,
        message: text.map(ToOwned::to_owned),
        known_from,
    }
}

/// What is known of the end of `conversation`: index, text, from where on.
async fn end_of(store: &Store, conversation: &str) -> Option<(i64, Option<String>, i64)> {
    let rows = store.last_messages(&[conversation.to_owned()]).await.unwrap();
    assert!(rows.len() < 2);
    rows.into_iter().next().map(|row| (row.message_index, row.message, row.known_from))
}
