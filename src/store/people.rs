//! The directory: what is known of people, and who said it.
//!
//! Three sources, each outranking the one before: others (whoever added somebody to a conversation), the token the app
//! made for the person, the person. A field keeps what the highest source said. Which phone is whose is answered here too,
//! since it must hold for everybody at once.

use std::sync::LazyLock;

use super::query::QueryBuilder;
use super::{Error, Store};

/// People read in one statement: databases bound its parameters.
const ASKED_AT_ONCE: usize = 200;

/// One person of the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Person {
    /// The chat identity.
    pub identity: String,
    /// What to call them.
    pub name: Option<String>,
    /// URL of a picture.
    pub image: Option<String>,
    /// What they say about themselves.
    pub bio: Option<String>,
    /// `premium`, `male`, `female` or `vip`.
    pub kind: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Digits of their phone number in E.164, without `+`.
    pub phone: Option<String>,
    /// When they were first heard of, unix seconds.
    pub created_at: i64,
    /// When anything was last told of them, unix seconds.
    pub updated_at: i64,
}

/// Who tells something of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Somebody else, who added them to a conversation.
    Others,
    /// Their token, which the app made.
    Token,
    /// They themselves.
    Themselves,
}

/// What is told of a person. `None`: nothing is told; `Some(None)`: there is none (any more).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What to call them, and that as it is searched.
    pub name: Option<Option<Searched>>,
    /// URL of a picture.
    pub image: Option<Option<String>>,
    /// What they say about themselves, and that as it is searched.
    pub bio: Option<Option<Searched>>,
    /// As in [`Person`].
    pub kind: Option<Option<String>>,
    /// As in [`Person`].
    pub email: Option<Option<String>>,
    /// As in [`Person`].
    pub phone: Option<Option<String>>,
}

/// A text that people are searched by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// As it was written.
    pub text: String,
    /// In lower case, without accents.
    pub key: String,
}

// One bit for each field, in `vouched` (what a token told) and `edited` (what they set themselves).
const NAME: i64 = 1;
const IMAGE: i64 = 2;
const BIO: i64 = 4;
const KIND: i64 = 8;
const EMAIL: i64 = 16;
const PHONE: i64 = 32;

/// `$15` are the fields told of; one that is vouched for stays if it is in `$16`, one that was edited if it is in `$17`. A
/// phone that was typed in counts as vouched for once a token tells the same.
static REMEMBER: LazyLock<String> = LazyLock::new(|| {
    let is_new =
        |bit: i64| format!("($15 & (~((people.vouched & $16) | (people.edited & $17))) & {bit}) <> 0");
    let columns = [
        ("name", NAME),
        ("nickname_key", NAME),
        ("image", IMAGE),
        ("bio", BIO),
        ("bio_key", BIO),
        ("kind", KIND),
        ("email", EMAIL),
        ("phone", PHONE),
    ];
    let set: Vec<_> = columns
        .iter()
        .map(|(column, bit)| {
            format!("{column} = CASE WHEN {} THEN excluded.{column} ELSE people.{column} END", is_new(*bit))
        })
        .collect();
    format!(
        "INSERT INTO people (identity, name, nickname_key, image, bio, bio_key, kind, email, phone, phone_at,
             created_at, updated_at, vouched, edited)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (identity) DO UPDATE SET
             {},
             phone_at = CASE WHEN {} AND COALESCE(excluded.phone, '') <> COALESCE(people.phone, '')
                 THEN excluded.phone_at ELSE people.phone_at END,
             updated_at = excluded.updated_at,
             vouched = people.vouched | excluded.vouched,
             edited = (people.edited | excluded.edited) & ~(CASE
                 WHEN (excluded.vouched & {PHONE}) <> 0 AND excluded.phone = people.phone
                 THEN {PHONE} ELSE 0 END)",
        set.join(", "),
        is_new(PHONE)
    )
});

/// The query for whose phone the SQL expression `phone` is: one that a token vouches for outranks one that somebody typed
/// in; of equals the latest.
pub(super) fn owner_of(phone: &str) -> String {
    format!(
        "SELECT identity FROM people WHERE people.phone = {phone}
         ORDER BY people.edited & {PHONE}, people.phone_at DESC, people.identity LIMIT 1"
    )
}

impl Told {
    /// The fields something is told of.
    fn fields(&self) -> i64 {
        let bit = |told: bool, bit: i64| if told { bit } else { 0 };
        bit(self.name.is_some(), NAME)
            | bit(self.image.is_some(), IMAGE)
            | bit(self.bio.is_some(), BIO)
            | bit(self.kind.is_some(), KIND)
            | bit(self.email.is_some(), EMAIL)
            | bit(self.phone.is_some(), PHONE)
    }
}

const COLUMNS: &str = "identity, name, image, bio, kind, email, phone, created_at, updated_at";

impl Store {
    /// Remembers what `source` tells of a person, where nobody of a higher rank has spoken; somebody unknown is known from
    /// now on. `now_ms` in unix milliseconds.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn remember_person(
        &self,
        identity: &str,
        told: &Told,
        source: Source,
        now_ms: i64,
    ) -> Result<(), Error> {
        let fields = told.fields();
        let (vouched, edited, heeds_vouched, heeds_edited) = match source {
            Source::Others => (0, 0, fields, fields),
            Source::Token => (fields, 0, 0, fields),
            Source::Themselves => (0, fields, 0, 0),
        };
        sqlx::query(REMEMBER.as_str())
            .bind(identity)
            .bind(told.name.as_ref().and_then(Option::as_ref).map(|name| &name.text))
            .bind(told.name.as_ref().and_then(Option::as_ref).map(|name| &name.key))
            .bind(told.image.as_ref().and_then(Option::as_ref))
            .bind(told.bio.as_ref().and_then(Option::as_ref).map(|bio| &bio.text))
            .bind(told.bio.as_ref().and_then(Option::as_ref).map(|bio| &bio.key))
            .bind(told.kind.as_ref().and_then(Option::as_ref))
            .bind(told.email.as_ref().and_then(Option::as_ref))
            .bind(told.phone.as_ref().and_then(Option::as_ref))
            .bind(now_ms)
            .bind(now_ms / 1000)
            .bind(now_ms / 1000)
            .bind(vouched)
            .bind(edited)
            .bind(fields)
            .bind(heeds_vouched)
            .bind(heeds_edited)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// What is known of these people, in no order; whoever is unknown is left out.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_people(&self, identities: &[&str]) -> Result<Vec<Person>, Error> {
        let mut found = Vec::with_capacity(identities.len());
        for some in identities.chunks(ASKED_AT_ONCE) {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM people WHERE identity IN (");
            let mut list = query.separated(", ");
            for identity in some {
                list.push_bind((*identity).to_owned());
            }
            query.push(")");
            found.extend(query.build_query_as::<Person>().fetch_all(&self.pool).await?);
        }
        Ok(found)
    }

    /// Whose phone this is: digits of E.164, without `+`.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_owner_of_phone(&self, phone: &str) -> Result<Option<String>, Error> {
        static QUERY: LazyLock<String> = LazyLock::new(|| owner_of("$1"));
        let owner: Option<(String,)> =
            sqlx::query_as(QUERY.as_str()).bind(phone).fetch_optional(&self.pool).await?;
        Ok(owner.map(|(identity,)| identity))
    }

    /// As [`Store::find_owner_of_phone`], of those for whom a token vouched.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_vouched_owner_of_phone(&self, phone: &str) -> Result<Option<String>, Error> {
        static QUERY: LazyLock<String> = LazyLock::new(|| {
            format!(
                "SELECT identity FROM people
                 WHERE phone = $1 AND (vouched & {PHONE}) <> 0 AND (edited & {PHONE}) = 0
                 ORDER BY phone_at DESC, identity LIMIT 1"
            )
        });
        let owner: Option<(String,)> =
            sqlx::query_as(QUERY.as_str()).bind(phone).fetch_optional(&self.pool).await?;
        Ok(owner.map(|(identity,)| identity))
    }
}
