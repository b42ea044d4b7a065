//! The directory of people: who said what, which phone is whose, and what Twilio has of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};
use switchboard::auth::{Caller, Identity, Issuer, Profile as Claims, Role, Verified};
use switchboard::clock::Clock;
use switchboard::config::{LimitSettings, MediaIngest, SmsCountries, SmsSettings};
use switchboard::core::{
    ByPhone, Change, Contact, Core, Error, GuestRules, Kind, NewContact, Parts, PhoneKey, Profile,
    ProfileEdit,
};
use switchboard::fetch::Fetcher;
use switchboard::limits::Limits;
use switchboard::mock::{Mock, Options};
use switchboard::store::{Person, Searched, Source, Store, Told};
use switchboard::twilio::{AccessTokens, Client, Deadlines, Settings};
use tempfile::TempDir;

use crate::support::{TestApp, until};

/// A core with a mock Twilio and a database of its own.
struct Stage {
    core: Core,
    store: Store,
    mock: Mock,
    clock: Clock,
    _files: TempDir,
}

impl Stage {
    async fn start() -> Self {
        let mock = Mock::start(Options::default()).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}", files.path().join("it.db").display())).await.unwrap();
        let clock = Clock::fixed(DateTime::from_timestamp(1_765_966_200, 0).unwrap());
        let (core, _) = (Self::core(&mock, &store, &clock), ());
        Self { core, store, mock, clock, _files: files }
    }

    fn core(mock: &Mock, store: &Store, clock: &Clock) -> Core {
        let secret = mock.api_key_secret().to_owned();
        let service_sid = mock.service_sid().parse().unwrap();
        let api_key_sid = mock.api_key_sid().parse().unwrap();
        Core::start(Parts {
            twilio: Client::new(Settings {
                username: mock.api_key_sid().to_owned(),
                password: secret.clone().into(),
                service_sid,
                conversations_url: mock.url().parse().unwrap(),
                media_url: mock.url().parse().unwrap(),
                max_concurrency: 8,
                deadlines: Deadlines::default(),
            })
            .unwrap(),
            access_tokens: AccessTokens::new(
                mock.account_sid().parse().unwrap(),
                api_key_sid,
                &secret.into(),
                service_sid,
            ),
            store: store.clone(),
            clock: clock.clone(),
            public_url: "http://127.0.0.1:3001".parse().unwrap(),
            phone_number: None,
            sms: SmsSettings {
                fallback: false,
                countries: SmsCountries::Any,
                daily_cap: 20,
                daily_texts: 500,
            },
            fetcher: Fetcher::new(Vec::new()).unwrap(),
            media_ingest: MediaIngest::Never,
            proof_needed: false,
            strict_users: false,
            max_group_members: 100,
            guests: GuestRules { any_id: false, capability: true },
            secret: mock.api_key_secret().into(),
            limits: Limits::new(&LimitSettings::default()),
        })
    }

    /// The same service on another node, or after a restart: it remembers what is in the database.
    fn elsewhere(&self) -> Core {
        Self::core(&self.mock, &self.store, &self.clock)
    }

    async fn profile(&self, identity: &str) -> Option<Arc<Profile>> {
        let here = self.core.profile(&who(identity)).await.unwrap();
        assert_eq!(here, self.elsewhere().profile(&who(identity)).await.unwrap(), "memory is not behind");
        here
    }

    async fn nickname(&self, identity: &str) -> Option<String> {
        self.profile(identity).await.and_then(|known| known.nickname.as_deref().map(str::to_owned))
    }

    async fn meets(&self, identity: &str, claims: Claims) {
        self.core.meet(&verified(identity, Role::User, claims)).await;
    }

    async fn others_call(&self, identity: &str, name: &str) {
        let told = Told {
            name: Some(Some(Searched { text: name.to_owned(), key: name.to_lowercase() })),
            ..Told::default()
        };
        self.store.remember_person(identity, &told, Source::Others, 1_000).await.unwrap();
    }

    /// What was asked of Twilio: `POST /Users`.
    fn asked(&self) -> Vec<String> {
        let service = format!("/v1/Services/{}", self.mock.service_sid());
        let requests = self.mock.requests();
        requests.iter().map(|e| format!("{} {}", e.method, e.path.replace(&service, ""))).collect()
    }

    async fn add(&self, owner: &str, phone: &str, first_name: &str) -> Contact {
        let new = NewContact {
            first_name: first_name.to_owned(),
            last_name: String::new(),
            phone: PhoneKey::international("phone", phone).unwrap(),
        };
        self.core.add_contact(&caller(owner), new).await.unwrap()
    }
}

const ALI: &str = "60123456789";
const BEN: &str = "447911123456";

fn who(identity: &str) -> Identity {
    identity.parse().unwrap()
}

fn caller(identity: &str) -> Caller {
    Caller::Known { identity: who(identity), role: Role::User }
}

fn verified(identity: &str, role: Role, profile: Claims) -> Verified {
    let expires_at = DateTime::from_timestamp(1_765_969_800, 0).unwrap();
    Verified { identity: who(identity), role, profile, issued_at: None, expires_at, issuer: Issuer::App }
}

fn named(name: &str) -> Claims {
    Claims { name: Some(name.to_owned()), ..Claims::default() }
}

fn with_phone(phone: &str) -> Claims {
    Claims { phone_number: Some(format!("+{phone}")), ..Claims::default() }
}

fn nickname(nickname: &str) -> ProfileEdit {
    ProfileEdit { nickname: Change::Set(nickname.to_owned()), ..ProfileEdit::default() }
}

fn phone(digits: &str) -> ProfileEdit {
    let phone = PhoneKey::international("phone", digits).unwrap();
    ProfileEdit { phone: Change::Set(phone), ..ProfileEdit::default() }
}

#[tokio::test]
async fn a_token_fills_the_directory_on_first_sight() {
    let stage = Stage::start().await;
    assert_eq!(stage.profile("alice").await, None);
    let claims = Claims {
        name: Some("Alice".to_owned()),
        picture: Some("https://a.example/1.png".to_owned()),
        email: Some("alice@example.com".to_owned()),
        phone_number: Some("012-345 6789".to_owned()),
        country_code: Some("+60".to_owned()),
        bio: Some("Sails".to_owned()),
        kind: Some("vip".to_owned()),
    };
    stage.meets("alice", claims).await;
    let alice = stage.profile("alice").await.unwrap();
    assert_eq!(alice.nickname.as_deref(), Some("Alice"));
    assert_eq!(alice.avatar.as_deref(), Some("https://a.example/1.png"));
    assert_eq!(alice.email.as_deref(), Some("alice@example.com"));
    assert_eq!(alice.phone.as_ref().map(PhoneKey::as_str), Some(ALI));
    assert_eq!((alice.bio.as_deref(), alice.kind), (Some("Sails"), Some(Kind::Vip)));
    assert_eq!(alice.created_at, stage.clock.now());

    stage.core.meet(&verified("robot", Role::Service, named("A back end"))).await;
    assert_eq!(stage.profile("robot").await, None, "a program is nobody");
    stage.meets("carol", Claims::default()).await;
    assert_eq!(
        stage.profile("carol").await.unwrap().name(),
        "carol",
        "a token without claims names somebody, too"
    );
    assert_eq!(stage.asked(), [""; 0], "none of it is Twilio's business");
}

#[tokio::test]
async fn the_same_token_is_written_once() {
    let stage = Stage::start().await;
    stage.meets("alice", named("Alice")).await;
    let first = stage.profile("alice").await.unwrap().updated_at;
    stage.clock.advance(Duration::from_secs(60));
    for _ in 0..3 {
        stage.meets("alice", named("Alice")).await;
    }
    assert_eq!(stage.profile("alice").await.unwrap().updated_at, first);
    stage.meets("alice", named("Alicia")).await;
    let alice = stage.profile("alice").await.unwrap();
    assert_eq!((alice.name(), alice.updated_at), ("Alicia", stage.clock.now()));
    assert_eq!(alice.created_at, first);
}

#[tokio::test]
async fn what_people_say_of_themselves_outranks_their_token_and_that_others() {
    let stage = Stage::start().await;
    stage.others_call("alice", "Allie").await;
    assert_eq!(stage.nickname("alice").await.as_deref(), Some("Allie"));
    stage.others_call("alice", "Al").await;
    assert_eq!(
        stage.elsewhere().profile(&who("alice")).await.unwrap().unwrap().name(),
        "Al",
        "the latest of equals"
    );
    stage.meets("alice", named("Alice")).await;
    stage.others_call("alice", "Somebody").await;
    assert_eq!(stage.nickname("alice").await.as_deref(), Some("Alice"));
    stage.core.edit_profile(&caller("alice"), nickname("Queen of Hearts")).await.unwrap();
    stage.others_call("alice", "Somebody").await;
    stage.meets("alice", named("Alice Liddell")).await;
    assert_eq!(stage.nickname("alice").await.as_deref(), Some("Queen of Hearts"));
    let claims = Claims { bio: Some("Sails".to_owned()), ..named("Alice Liddell") };
    stage.meets("alice", claims).await;
    assert_eq!(
        stage.profile("alice").await.unwrap().bio.as_deref(),
        Some("Sails"),
        "only what was set is theirs"
    );
}

#[tokio::test]
async fn an_edit_is_kept_at_twilio_beside_what_others_keep_there() {
    let stage = Stage::start().await;
    let edit = ProfileEdit {
        nickname: Change::Set("Zoë".to_owned()),
        avatar: Change::Set("https://a.example/z.png".to_owned()),
        bio: Change::Set("Sails".to_owned()),
        kind: Change::Set(Kind::Premium),
        ..phone(ALI)
    };
    let zoe = stage.core.edit_profile(&caller("zoe"), edit).await.unwrap();
    assert_eq!((zoe.name(), zoe.kind, zoe.bio.as_deref()), ("Zoë", Some(Kind::Premium), Some("Sails")));
    assert_eq!(stage.asked(), ["GET /Users/zoe", "POST /Users"], "two calls for somebody new");

    let edit = ProfileEdit { bio: Change::Clear, ..ProfileEdit::default() };
    let zoe = stage.core.edit_profile(&caller("zoe"), edit).await.unwrap();
    assert_eq!((zoe.name(), zoe.bio.as_deref()), ("Zoë", None));
    assert_eq!(stage.asked()[2..], ["GET /Users/zoe", "POST /Users/zoe"]);
    let unchanged = stage.core.edit_profile(&caller("zoe"), ProfileEdit::default()).await.unwrap();
    assert_eq!((unchanged, stage.asked().len()), (zoe, 4));

    let twilio = Client::new(Settings {
        username: stage.mock.api_key_sid().to_owned(),
        password: stage.mock.api_key_secret().to_owned().into(),
        service_sid: stage.mock.service_sid().parse().unwrap(),
        conversations_url: stage.mock.url().parse().unwrap(),
        media_url: stage.mock.url().parse().unwrap(),
        max_concurrency: 1,
        deadlines: Deadlines::default(),
    });
    let user = twilio.unwrap().fetch_user("zoe").await.unwrap();
    assert_eq!(user.friendly_name.as_deref(), Some("Zoë"));
    let attributes: Value = serde_json::from_str(&user.attributes).unwrap();
    let ours = json!({ "avatar": "https://a.example/z.png", "type": "premium", "phone": "+60123456789" });
    assert_eq!(attributes, json!({ "switchboard": ours }));
}

#[tokio::test]
async fn an_edit_that_is_wrong_changes_nothing_anywhere() {
    let stage = Stage::start().await;
    let set = |text: &str| Change::Set(text.to_owned());
    for (field, edit) in [
        ("nickname", nickname(" ")),
        ("nickname", nickname("a\nb")),
        ("nickname", nickname(&"x".repeat(257))),
        ("avatar", ProfileEdit { avatar: set("javascript:alert(1)"), ..ProfileEdit::default() }),
        (
            "avatar",
            ProfileEdit { avatar: set(&format!("https://a.example/{}", "x".repeat(2048))), ..nickname("a") },
        ),
        ("bio", ProfileEdit { bio: set(&"x".repeat(501)), ..nickname("a") }),
    ] {
        let refused = stage.core.edit_profile(&caller("alice"), edit).await;
        assert!(
            matches!(&refused, Err(Error::Invalid { field: named, .. }) if *named == field),
            "{refused:?}"
        );
    }
    for nobody in [Caller::Anonymous, Caller::Service] {
        let refused = stage.core.edit_profile(&nobody, nickname("Alice")).await;
        assert!(matches!(refused, Err(Error::Auth(_))), "{refused:?}");
    }
    assert_eq!((stage.asked(), stage.profile("alice").await), (vec![], None));
}

#[tokio::test]
async fn a_phone_is_the_latests_who_registered_it_and_first_of_all_whose_token_says_so() {
    let stage = Stage::start().await;
    let ali = PhoneKey::international("phone", ALI).unwrap();
    let owner = async || {
        let owner = stage.core.person_by_phone(&ali).await.unwrap();
        owner.map(|identity| identity.as_str().to_owned())
    };
    assert_eq!(owner().await, None);
    stage.core.edit_profile(&caller("bob"), phone(ALI)).await.unwrap();
    assert_eq!(owner().await.as_deref(), Some("bob"));
    stage.clock.advance(Duration::from_secs(1));
    stage.core.edit_profile(&caller("carol"), phone(ALI)).await.unwrap();
    assert_eq!(owner().await.as_deref(), Some("carol"), "the latest");
    stage.meets("bob", with_phone(ALI)).await;
    assert_eq!(owner().await.as_deref(), Some("bob"), "whose token says the same as he typed in");
    stage.clock.advance(Duration::from_secs(1));
    stage.meets("alice", with_phone(ALI)).await;
    stage.clock.advance(Duration::from_secs(1));
    stage.core.edit_profile(&caller("mallory"), phone(ALI)).await.unwrap();
    assert_eq!(owner().await.as_deref(), Some("alice"), "a number typed in takes nobody's away");
    stage.core.edit_profile(&caller("alice"), phone(ALI)).await.unwrap();
    assert_eq!(owner().await.as_deref(), Some("alice"), "not even when she types it in herself");
    stage.clock.advance(Duration::from_secs(1));
    stage.meets("dave", with_phone(ALI)).await;
    assert_eq!(owner().await.as_deref(), Some("dave"), "a number that went to another person");
    stage.core.edit_profile(&caller("dave"), phone(BEN)).await.unwrap();
    assert_eq!(owner().await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_contact_keeps_its_id_and_gets_its_customer_whichever_comes_first() {
    let stage = Stage::start().await;
    let first = stage.add("bob", ALI, "Ali").await;
    assert_eq!((first.customer.as_ref(), &*first.first_name), (None, "Ali"));
    stage.meets("alice", with_phone(ALI)).await;
    let contacts = stage.core.contacts_of(&who("bob")).await.unwrap();
    assert_eq!(contacts.len(), 1);
    assert_eq!((contacts[0].id, contacts[0].customer.clone()), (first.id, Some(who("alice"))));
    let again = stage.add("bob", ALI, "Alice").await;
    assert_eq!((again.id, &*again.first_name, again.customer), (first.id, "Alice", Some(who("alice"))));
    let other = stage.add("carol", ALI, "Ali").await;
    assert_ne!(other.id, first.id);
    assert_eq!(other.customer, Some(who("alice")), "known from the start");
    let owners = stage.core.contact_owners_of(&who("alice")).await.unwrap();
    assert_eq!(owners, [who("bob"), who("carol")]);
    let edit = ProfileEdit { phone: Change::Clear, ..ProfileEdit::default() };
    stage.core.edit_profile(&caller("alice"), edit).await.unwrap();
    assert_eq!(stage.core.contacts_of(&who("bob")).await.unwrap()[0].customer, None, "no longer hers");
    assert_eq!(stage.core.contacts_of(&who("nobody")).await.unwrap(), []);
}

#[tokio::test]
async fn who_writes_at_once_agrees_in_the_end() {
    let stage = Stage::start().await;
    for round in 0..20 {
        let (owner, person) = (format!("owner{round}"), format!("person{round}"));
        let digits = format!("6012345{:04}", 1000 + round);
        let contact = stage.add(&owner, &digits, "Ali");
        tokio::join!(contact, stage.meets(&person, with_phone(&digits)));
        let contacts = stage.core.contacts_of(&who(&owner)).await.unwrap();
        assert_eq!(contacts[0].customer, Some(who(&person)), "round {round}");
    }
}

#[tokio::test]
async fn a_conversation_by_phone_has_both_in_it() {
    let stage = Stage::start().await;
    stage.meets("alice", Claims { name: Some("Alice".to_owned()), ..with_phone(ALI) }).await;
    stage.meets("ben", with_phone(BEN)).await;
    let (ali, ben) = (PhoneKey::international("p", ALI).unwrap(), PhoneKey::international("p", BEN).unwrap());
    let start = |identity: &'static str, phone: PhoneKey, kind| {
        let core = stage.core.clone();
        async move { core.start_by_phone(&caller(identity), &phone, kind).await }
    };
    let made = start("ben", ali.clone(), ByPhone::Private).await.unwrap();
    assert!(!made.existing);
    let members = stage.core.members(&caller("alice"), made.conversation).await.unwrap();
    let mut people: Vec<_> =
        members.iter().map(|m| (m.participant.identity.clone(), m.name.clone())).collect();
    people.sort_unstable();
    let known = |identity: &str| Some(identity.to_owned());
    assert_eq!(people, [(known("alice"), known("Alice")), (known("ben"), None)]);
    let name = stage.core.conversation(made.conversation).await.unwrap().friendly_name.clone();
    assert_eq!(name.as_deref(), Some("ben, Alice"));

    let again = start("alice", ben.clone(), ByPhone::Private).await.unwrap();
    assert_eq!((again.conversation, again.existing), (made.conversation, true), "from the other side");
    let group = start("alice", ben.clone(), ByPhone::Group).await.unwrap();
    assert!(group.conversation != made.conversation && !group.existing);

    let before = stage.asked().len();
    assert!(matches!(start("ben", ben, ByPhone::Private).await, Err(Error::OnlyYourself)));
    let nobody = PhoneKey::international("p", "60123456780").unwrap();
    assert!(matches!(start("ben", nobody, ByPhone::Group).await, Err(Error::PersonNotFound)));
    assert_eq!(stage.asked().len(), before, "Twilio was not asked");
}

#[tokio::test]
async fn what_is_set_at_twilio_is_known_here() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let attributes =
        json!({ "switchboard": { "avatar": "https://a.example/1.png", "phone": "no phone" }, "theirs": 1 });
    let form = [("FriendlyName", "Alicia"), ("Attributes", &attributes.to_string())];
    app.elsewhere(reqwest::Method::POST, "/Users/alice", &form).await;
    app.told("onUserUpdated", 1).await;
    let image = until("her new name", || async {
        let members = app.rest().get(&format!("/{conversation}/participants")).await.ok();
        let alice = members.as_array().unwrap().iter().find(|member| member["name"] == "Alicia")?;
        Some((alice["identity"].clone(), alice["image"].clone()))
    })
    .await;
    assert_eq!(image, (json!("alice"), json!("https://a.example/1.png")));
    app.finish([]).await;
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_is_met() {
    let stage = Stage::start().await;
    let crowd: Vec<_> = (0..300).map(|number| format!("person{number}")).collect();
    futures::future::join_all(crowd.iter().map(|who| stage.meets(who, named(who)))).await;
    let identities: Vec<_> = crowd.iter().map(|identity| who(identity)).collect();
    assert_eq!(stage.core.profiles(&identities).await.unwrap().len(), 300);
}

#[tokio::test]
async fn many_people_are_read_at_once() {
    let stage = Stage::start().await;
    let mut identities = Vec::new();
    for number in 0..450 {
        let identity = format!("person{number}");
        stage.others_call(&identity, &format!("Person {number}")).await;
        identities.push(who(&identity));
    }
    identities.push(who("nobody"));
    for _ in 0..2 {
        let profiles = stage.core.profiles(&identities).await.unwrap();
        assert_eq!(profiles.len(), 450);
        assert_eq!(profiles[&who("person449")].name(), "Person 449");
    }
}

#[tokio::test]
async fn the_store_tells_who_said_what_apart() {
    let stage = Stage::start().await;
    let all = |text: &str| Told {
        name: Some(Some(Searched { text: text.to_owned(), key: text.to_owned() })),
        image: Some(Some(text.to_owned())),
        bio: Some(Some(Searched { text: text.to_owned(), key: text.to_owned() })),
        kind: Some(Some(text.to_owned())),
        email: Some(Some(text.to_owned())),
        phone: Some(Some(text.to_owned())),
    };
    let is = |text: &str, at: i64| Person {
        identity: "alice".to_owned(),
        name: Some(text.to_owned()),
        image: Some(text.to_owned()),
        bio: Some(text.to_owned()),
        kind: Some(text.to_owned()),
        email: Some(text.to_owned()),
        phone: Some(text.to_owned()),
        created_at: 1,
        updated_at: at,
    };
    let sources = [
        (Source::Others, "1", "1"),
        (Source::Token, "2", "2"),
        (Source::Others, "3", "2"),
        (Source::Token, "4", "4"),
        (Source::Themselves, "5", "5"),
        (Source::Token, "6", "5"),
        (Source::Others, "7", "5"),
        (Source::Themselves, "8", "8"),
    ];
    for (second, (source, says, then)) in (1..).zip(sources) {
        stage.store.remember_person("alice", &all(says), source, second * 1000).await.unwrap();
        let found = stage.store.find_people(&["alice"]).await.unwrap();
        assert_eq!(found, [is(then, second)], "{source:?} says {says}");
    }
}
