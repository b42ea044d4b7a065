//! What conversations are about: the last product that a message named, written by the message index.

use std::collections::HashMap;

use switchboard::store::{MessageIndex, Product, Store};

use super::{CH, open};
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    the_product_of_the_highest_message_counts
    a_product_goes_with_the_message_that_named_it
    many_conversations_have_their_products
    two_writers_of_the_same_products_lose_nothing
}

fn product(conversation: &str, index: i64, id: Option<&str>) -> Product {
    Product {
        conversation_sid: conversation.to_owned(),
        message_index: index,
        product_id: id.map(ToOwned::to_owned),
    }
}

/// `None`: nothing is known; `Some(None)`: it is about no product.
async fn product_of(store: &Store, index: &MessageIndex, conversation: &str) -> Option<Option<String>> {
    soon("the writer", index.flushed()).await;
    store.products(&[conversation.to_owned()]).await.unwrap().remove(conversation)
}

fn named(id: &str) -> Option<Option<String>> {
    Some(Some(id.to_owned()))
}

async fn the_product_of_the_highest_message_counts(database: TestDatabase) {
    let store = open(&database).await;
    let (index, _) = MessageIndex::start(store.clone());
    let after = async |told: Product| {
        index.set_product(told);
        product_of(&store, &index, CH).await
    };
    assert_eq!(product_of(&store, &index, CH).await, None);
    assert_eq!(after(product(CH, -1, None)).await, Some(None));
    assert_eq!(after(product(CH, 5, Some("p-5"))).await, named("p-5"));
    // An older one that comes late changes nothing, nor does somebody who saw none; the same one, told anew, does.
    assert_eq!(after(product(CH, 4, Some("p-4"))).await, named("p-5"));
    assert_eq!(after(product(CH, -1, None)).await, named("p-5"));
    assert_eq!(after(product(CH, 5, Some("鞋 №5"))).await, named("鞋 №5"));
    // Several together, in any order.
    for number in [8, 6, 7] {
        index.set_product(product(CH, number, Some(&number.to_string())));
    }
    index.set_product(product("CH2", 1, Some("another")));
    assert_eq!(product_of(&store, &index, CH).await, named("8"));
    assert_eq!(product_of(&store, &index, "CH2").await, named("another"));
    assert_eq!(store.products(&[]).await.unwrap(), HashMap::new());
}

async fn a_product_goes_with_the_message_that_named_it(database: TestDatabase) {
    let store = open(&database).await;
    let (index, _) = MessageIndex::start(store.clone());
    index.set_product(product(CH, 5, Some("p-5")));
    index.set_product(product("CH2", 5, Some("p-5")));
    index.forget_product(CH.to_owned(), Some(4));
    assert_eq!(product_of(&store, &index, CH).await, named("p-5"));
    index.forget_product(CH.to_owned(), Some(5));
    assert_eq!(product_of(&store, &index, CH).await, None);
    // In the order they were told, although all are written together.
    index.set_product(product(CH, 7, Some("p-7")));
    index.forget_product(CH.to_owned(), Some(7));
    index.set_product(product(CH, 6, Some("p-6")));
    assert_eq!(product_of(&store, &index, CH).await, named("p-6"));
    index.set_product(product(CH, 8, Some("p-8")));
    index.forget_product(CH.to_owned(), None);
    assert_eq!(product_of(&store, &index, CH).await, None);
    assert_eq!(product_of(&store, &index, "CH2").await, named("p-5"));
}

async fn many_conversations_have_their_products(database: TestDatabase) {
    const MANY: usize = 1_000;
    let store = open(&database).await;
    let (index, writer) = MessageIndex::start(store.clone());
    let sids: Vec<_> = (0..MANY).map(|number| format!("CH{number:032}")).collect();
    let id = |number: usize| (!number.is_multiple_of(3)).then(|| format!("p-{number}"));
    for (number, sid) in sids.iter().enumerate() {
        index.set_product(product(sid, if number % 3 == 0 { -1 } else { 0 }, id(number).as_deref()));
    }
    drop(index);
    soon("the writer's end", writer).await.unwrap();
    let asked: Vec<_> = sids.iter().cloned().chain(["CH of nobody".to_owned()]).collect();
    let expected: HashMap<_, _> =
        sids.into_iter().enumerate().map(|(number, sid)| (sid, id(number))).collect();
    assert_eq!(store.products(&asked).await.unwrap(), expected);
}

async fn two_writers_of_the_same_products_lose_nothing(database: TestDatabase) {
    const CONVERSATIONS: usize = 300;
    let sids: Vec<_> = (0..CONVERSATIONS).map(|number| format!("CH{number:032}")).collect();
    let mut writers = Vec::new();
    for node in 0..2 {
        let (index, writer) = MessageIndex::start(open(&database).await);
        let mut order: Vec<_> = sids.iter().collect();
        if node == 1 {
            // Whoever locks rows as they come waits for the other for ever.
            order.reverse();
        }
        for sid in order {
            index.set_product(product(sid, node, Some(&format!("p-{node}"))));
        }
        writers.push(writer);
    }
    for writer in writers {
        soon("the writer's end", writer).await.unwrap();
    }
    let found = open(&database).await.products(&sids).await.unwrap();
    let is_lost = |sid: &&String| found.get(*sid) != Some(&Some("p-1".to_owned()));
    assert_eq!(sids.iter().filter(is_lost).collect::<Vec<_>>(), [""; 0]);
}
