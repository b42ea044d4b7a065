//! The directory, whose phone is whose, and contacts.

use switchboard::store::{Contact, Person, Searched, Source, Told};
use tokio::task::JoinSet;

use super::{contact, named, open, person};
use crate::support::database::on_both;
use crate::support::{TestDatabase, soon};

on_both! {
    what_is_told_of_a_person_stays_until_somebody_of_higher_rank_speaks
    many_people_are_asked_about_at_once
    a_phone_is_of_whom_a_token_vouches_for_else_of_the_latest
    a_contact_is_one_row_of_its_owner_and_phone
    a_contact_is_a_customer_whichever_is_there_first
}

fn with_phone(phone: Option<&str>) -> Told {
    Told { phone: Some(phone.map(ToOwned::to_owned)), ..Told::default() }
}

async fn what_is_told_of_a_person_stays_until_somebody_of_higher_rank_speaks(database: TestDatabase) {
    let store = open(&database).await;
    let name = async |identity: &str| person(&store, identity).await.and_then(|known| known.name);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(person(&store, "alice").await, None);
    store.remember_person("alice", &named("Ally"), Source::Others, 1_500).await.unwrap();
    let known = person(&store, "alice").await.unwrap();
    assert_eq!((known.created_at, known.updated_at), (1, 1));
    store.remember_person("alice", &named("Alice"), Source::Token, 2_000).await.unwrap();
    store.remember_person("alice", &named("Ally"), Source::Others, 3_000).await.unwrap();
    assert_eq!(name("alice").await, text("Alice"));
    let image = Told { image: Some(text("https://example.com/a.png")), ..Told::default() };
    store.remember_person("alice", &image, Source::Others, 4_000).await.unwrap();
    store.remember_person("alice", &named("Al"), Source::Themselves, 5_000).await.unwrap();
    store.remember_person("alice", &named("Alice"), Source::Token, 6_000).await.unwrap();
    let known = person(&store, "alice").await.unwrap();
    assert_eq!((known.name, known.image), (text("Al"), text("https://example.com/a.png")));
    assert_eq!((known.created_at, known.updated_at), (1, 6));
    let everything = Told {
        bio: Some(Some(Searched { text: "Hi!".to_owned(), key: "hi!".to_owned() })),
        kind: Some(text("vip")),
        email: Some(text("alice@example.com")),
        name: Some(None),
        ..with_phone(Some("60123456789"))
    };
    store.remember_person("alice", &everything, Source::Themselves, 7_000).await.unwrap();
    let expected = Person {
        identity: "alice".to_owned(),
        name: None,
        image: text("https://example.com/a.png"),
        bio: text("Hi!"),
        kind: text("vip"),
        email: text("alice@example.com"),
        phone: text("60123456789"),
        created_at: 1,
        updated_at: 7,
    };
    assert_eq!(person(&store, "alice").await, Some(expected));
    // Identities are told apart by their case.
    assert_eq!(person(&store, "Alice").await, None);
}

async fn many_people_are_asked_about_at_once(database: TestDatabase) {
    const MANY: usize = 450;
    let store = open(&database).await;
    let identities: Vec<_> = (0..MANY).map(|number| format!("person-{number:03}")).collect();
    for identity in &identities {
        store.remember_person(identity, &named(identity), Source::Others, 1).await.unwrap();
    }
    let asked: Vec<_> = identities.iter().map(String::as_str).chain(["nobody"]).collect();
    let mut found: Vec<_> =
        store.find_people(&asked).await.unwrap().into_iter().map(|known| known.identity).collect();
    found.sort_unstable();
    assert_eq!(found, identities);
    assert_eq!(store.find_people(&[]).await.unwrap(), []);
}

async fn a_phone_is_of_whom_a_token_vouches_for_else_of_the_latest(database: TestDatabase) {
    const PHONE: &str = "60123456789";
    let store = open(&database).await;
    let owner = async || store.find_owner_of_phone(PHONE).await.unwrap();
    let tells = async |identity: &str, phone: Option<&str>, source: Source, now_ms: i64| {
        store.remember_person(identity, &with_phone(phone), source, now_ms).await.unwrap();
    };
    assert_eq!(owner().await, None);
    tells("alice", Some(PHONE), Source::Themselves, 1).await;
    tells("bob", Some(PHONE), Source::Themselves, 2).await;
    assert_eq!(owner().await.as_deref(), Some("bob"));
    // Told again, it is not registered anew.
    tells("alice", Some(PHONE), Source::Themselves, 3).await;
    assert_eq!(owner().await.as_deref(), Some("bob"));
    tells("carol", Some(PHONE), Source::Token, 1).await;
    assert_eq!(owner().await.as_deref(), Some("carol"));
    tells("carol", None, Source::Themselves, 4).await;
    assert_eq!(owner().await.as_deref(), Some("bob"));
    tells("bob", Some("60123456780"), Source::Themselves, 5).await;
    assert_eq!(owner().await.as_deref(), Some("alice"));
}

async fn a_contact_is_one_row_of_its_owner_and_phone(database: TestDatabase) {
    let store = open(&database).await;
    assert!(store.add_contact(&contact("alice", "601", "Ben", 1), 2).await.unwrap());
    assert!(store.add_contact(&contact("alice", "602", "Carol", 2), 2).await.unwrap());
    assert!(!store.add_contact(&contact("alice", "603", "Dave", 3), 2).await.unwrap());
    assert!(store.add_contact(&contact("alice", "601", "Benjamin", 4), 2).await.unwrap());
    assert!(store.add_contact(&contact("ben", "601", "Me", 5), 2).await.unwrap());
    let expected = [
        Contact { first_name: "Benjamin".to_owned(), updated_at: 4, ..contact("alice", "601", "", 1) },
        contact("alice", "602", "Carol", 2),
    ];
    assert_eq!(store.contacts_of("alice").await.unwrap(), expected);
    assert_eq!(store.find_contact("alice", "602").await.unwrap().as_ref(), expected.get(1));
    assert_eq!(store.find_contact("alice", "603").await.unwrap(), None);
    assert_eq!(store.contacts_of("carol").await.unwrap(), []);
    // Many of the same at once.
    let mut adding = JoinSet::new();
    for number in 0..16 {
        let store = store.clone();
        adding.spawn(
            async move { store.add_contact(&contact("dave", "601", "Ben", number), 1).await.unwrap() },
        );
    }
    assert!(soon("contacts", adding.join_all()).await.into_iter().all(|added| added));
    assert_eq!(store.contacts_of("dave").await.unwrap().len(), 1);
}

async fn a_contact_is_a_customer_whichever_is_there_first(database: TestDatabase) {
    let store = open(&database).await;
    let customer =
        async |owner: &str, phone: &str| store.find_contact(owner, phone).await.unwrap().unwrap().customer;
    store.add_contact(&contact("alice", "601", "Ben", 1), 10).await.unwrap();
    store.relink_contacts(Some("601"), None, 1).await.unwrap();
    assert_eq!(customer("alice", "601").await, None);
    store.remember_person("ben", &with_phone(Some("601")), Source::Themselves, 1).await.unwrap();
    store.relink_contacts(Some("601"), Some("ben"), 2).await.unwrap();
    assert_eq!(customer("alice", "601").await.as_deref(), Some("ben"));
    store.add_contact(&contact("carol", "601", "Ben", 3), 10).await.unwrap();
    store.relink_contacts(Some("601"), None, 3).await.unwrap();
    assert_eq!(store.contact_owners_of("ben").await.unwrap(), ["alice", "carol"]);
    // Ben has another number now.
    store.add_contact(&contact("alice", "602", "Ben, new", 4), 10).await.unwrap();
    store.remember_person("ben", &with_phone(Some("602")), Source::Themselves, 4_000).await.unwrap();
    store.relink_contacts(Some("602"), Some("ben"), 4).await.unwrap();
    assert_eq!(customer("alice", "601").await, None);
    assert_eq!(customer("alice", "602").await.as_deref(), Some("ben"));
    assert_eq!(store.contact_owners_of("ben").await.unwrap(), ["alice"]);
    store.remember_person("ben", &with_phone(None), Source::Themselves, 5_000).await.unwrap();
    store.relink_contacts(None, Some("ben"), 5).await.unwrap();
    assert_eq!(store.contact_owners_of("ben").await.unwrap(), [""; 0]);
}
