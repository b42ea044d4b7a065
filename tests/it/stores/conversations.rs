//! The index of messages and the newest message of each conversation.

use std::collections::HashMap;

use switchboard::store::{LastMessage, MessageIndex, SendKey};

use super::{CH, end_of, key, last, message, open};
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    the_newest_message_of_a_conversation_is_the_highest
    unread_messages_are_those_of_others_past_an_index
    a_message_has_its_place_and_is_counted_from_there
    many_conversations_are_asked_about_at_once
    two_writers_of_the_same_conversations_lose_nothing
    an_entry_that_cannot_be_written_takes_no_other_with_it
}

async fn the_newest_message_of_a_conversation_is_the_highest(database: TestDatabase) {
    let store = open(&database).await;
    let (index, _) = MessageIndex::start(store.clone());
    let after = async |entry: LastMessage| {
        index.set_last(entry);
        soon("the writer", index.flushed()).await;
        end_of(&store, CH).await.unwrap()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(end_of(&store, CH).await, None);
    assert_eq!(after(last(CH, -1, None, 0)).await, (-1, None, 0));
    assert_eq!(after(last(CH, 5, Some("five"), 5)).await, (5, text("five"), 0));
    // An older one that comes late changes nothing; the same one, edited, does.
    assert_eq!(after(last(CH, 4, Some("four"), 4)).await, (5, text("five"), 0));
    assert_eq!(after(last(CH, 5, Some("five, edited"), 5)).await, (5, text("five, edited"), 0));
    // Several together, in any order.
    for number in [8, 6, 7] {
        index.set_last(last(CH, number, Some(&number.to_string()), number));
    }
    soon("the writer", index.flushed()).await;
    assert_eq!(end_of(&store, CH).await, Some((8, text("8"), 0)));
    index.forget(CH.to_owned());
    index.set_last(last(CH, 3, Some("three"), 2));
    soon("the writer", index.flushed()).await;
    assert_eq!(end_of(&store, CH).await, Some((3, text("three"), 2)));
    index.forget(CH.to_owned());
    soon("the writer", index.flushed()).await;
    assert_eq!(end_of(&store, CH).await, None);
}

async fn unread_messages_are_those_of_others_past_an_index(database: TestDatabase) {
    let store = open(&database).await;
    let (index, _) = MessageIndex::start(store.clone());
    for number in 0..10 {
        index.add(message("CH1", number, if number % 2 == 0 { "alice" } else { "bob" }));
        // Told twice: by the answer and by the report.
        index.add(message("CH1", number, if number % 2 == 0 { "alice" } else { "bob" }));
        index.add(message("CH2", number, "alice"));
    }
    index.remove("IM-CH1-9".to_owned());
    soon("the writer", index.flushed()).await;
    let unread = async |reader: &str, past: &[(&str, i64)]| {
        let past: Vec<_> = past.iter().map(|(sid, index)| ((*sid).to_owned(), *index)).collect();
        let mut counts: Vec<_> = store.count_unread(reader, &past).await.unwrap().into_iter().collect();
        counts.sort_unstable();
        counts
    };
    let counted = |sid: &str, count: i64| (sid.to_owned(), count);
    assert_eq!(unread("alice", &[("CH1", -1), ("CH2", -1)]).await, [counted("CH1", 4)]);
    assert_eq!(unread("bob", &[("CH1", 3), ("CH2", 6)]).await, [counted("CH1", 3), counted("CH2", 3)]);
    assert_eq!(unread("carol", &[("CH1", 8), ("CH2", 9)]).await, []);
    assert_eq!(unread("carol", &[]).await, []);
}

async fn a_message_has_its_place_and_is_counted_from_there(database: TestDatabase) {
    let store = open(&database).await;
    let (index, _) = MessageIndex::start(store.clone());
    // With gaps, as deletions leave them, and in no order.
    for number in [7, 0, 3, 12, 4] {
        index.add(message("CH1", number, "bob"));
    }
    index.add(message("CH2", 5, "bob"));
    index.remove("IM-CH1-4".to_owned());
    soon("the writer", index.flushed()).await;
    let found = async |sid: &str| store.find_message(sid).await.unwrap();
    assert_eq!(found("IM-CH1-7").await, Some(("CH1".to_owned(), 7)));
    assert_eq!(found("IM-CH2-5").await, Some(("CH2".to_owned(), 5)));
    assert_eq!(found("IM-CH1-4").await, None);
    assert_eq!(found("im-ch1-7").await, None);
    for (from, count) in [(-1, 4), (0, 4), (1, 3), (7, 2), (12, 1), (13, 0), (i64::MAX, 0)] {
        assert_eq!(store.count_messages("CH1", from).await.unwrap(), count, "from {from}");
    }
    assert_eq!(store.count_messages("CH9", 0).await.unwrap(), 0);
    for (nth, place) in [(0, Some(12)), (1, Some(7)), (3, Some(0)), (4, None), (i64::MAX, None)] {
        assert_eq!(store.nth_newest_index("CH1", nth).await.unwrap(), place, "the {nth}th");
    }
    assert_eq!(store.nth_newest_index("CH9", 0).await.unwrap(), None);
}

async fn many_conversations_are_asked_about_at_once(database: TestDatabase) {
    const MANY: usize = 1_000;
    let store = open(&database).await;
    let (index, writer) = MessageIndex::start(store.clone());
    let sids: Vec<_> = (0..MANY).map(|number| format!("CH{number:032}")).collect();
    for sid in &sids {
        index.add(message(sid, 0, "bob"));
        index.set_last(last(sid, 0, Some("{}"), 0));
    }
    drop(index);
    soon("the writer's end", writer).await.unwrap();
    assert_eq!(store.last_messages(&sids).await.unwrap().len(), MANY);
    let past: Vec<_> = sids.iter().map(|sid| (sid.clone(), -1)).collect();
    let counts = store.count_unread("alice", &past).await.unwrap();
    assert_eq!(counts, sids.into_iter().map(|sid| (sid, 1)).collect::<HashMap<_, _>>());
}

async fn two_writers_of_the_same_conversations_lose_nothing(database: TestDatabase) {
    const CONVERSATIONS: i64 = 300;
    let mut writers = Vec::new();
    for node in 0..2 {
        let (index, writer) = MessageIndex::start(open(&database).await);
        for place in 0..CONVERSATIONS {
            // In opposite order: whoever locks rows as they come waits for the other for ever.
            let number = if node == 0 { place } else { CONVERSATIONS - 1 - place };
            let sid = format!("CH{number:032}");
            index.add(message(&sid, node, "bob"));
            index.set_last(last(&sid, node, Some(&node.to_string()), node));
            if place % 50 == 0 {
                index.remove(format!("IM-{sid}-{}", 1 - node));
            }
        }
        writers.push(writer);
    }
    for writer in writers {
        soon("the writer's end", writer).await.unwrap();
    }
    let store = open(&database).await;
    let sids: Vec<_> = (0..CONVERSATIONS).map(|number| format!("CH{number:032}")).collect();
    let rows = store.last_messages(&sids).await.unwrap();
    assert_eq!(rows.len(), sids.len());
    assert!(rows.iter().all(|row| row.message_index == 1 && row.known_from == 0 || row.known_from == 1));
}

async fn an_entry_that_cannot_be_written_takes_no_other_with_it(database: TestDatabase) {
    let store = open(&database).await;
    let (index, _) = MessageIndex::start(store.clone());
    index.add(message("CH1", 0, "bob"));
    // PostgreSQL's texts hold anything but this.
    index.add(message("CH1", 1, "bo\0b"));
    index.add(message("CH1", 2, "bob"));
    soon("the writer", index.flushed()).await;
    let counts = store.count_unread("alice", &[("CH1".to_owned(), -1)]).await.unwrap();
    let expected = if database.url.starts_with("sqlite") { 3 } else { 2 };
    assert_eq!(counts["CH1"], expected);
    // The same in a value that is not behind a queue: refused, and the database is not thought to be away for it.
    let sender = SendKey { sender: "al\0ice", ..key("1") };
    let refused = store.claim_send(sender, "print", 1).await.is_err();
    assert_eq!(refused, !database.url.starts_with("sqlite"));
    store.ping().await.unwrap();
}
