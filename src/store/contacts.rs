//! Contacts: whom people keep, by phone. A phone that somebody has registered makes the contact a customer.
//!
//! Who registered what is `people.rs`'. A contact and a registration may be written at the same moment, on two nodes: each
//! writer then settles who the customer is ([`Store::relink_contacts`]), and whoever is last sees both.

use std::sync::LazyLock;

use super::people::owner_of;
use super::{Error, Store};

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Contact {
    /// A UUID; stays the same for the same owner and phone.
    pub contact_id: String,
    /// Whose contact it is.
    pub owner: String,
    /// Digits of the phone number in E.164, without `+`.
    pub phone: String,
    /// As its owner calls them.
    pub first_name: String,
    /// As its owner calls them.
    pub last_name: String,
    /// Who registered the phone, if anybody did.
    pub customer: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

impl Store {
    /// Adds `contact` to its owner's, or renames the one with that phone; false when that would be one more than `at_most`.
    /// The id is taken for a new one only; the customer is left to [`Store::relink_contacts`].
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn add_contact(&self, contact: &Contact, at_most: i64) -> Result<bool, Error> {
        let added = sqlx::query(
            "INSERT INTO contacts (contact_id, owner, phone, first_name, last_name, created_at, updated_at)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE EXISTS (SELECT 1 FROM contacts WHERE owner = $2 AND phone = $3)
                 OR (SELECT COUNT(*) FROM contacts WHERE owner = $2) < $8
             ON CONFLICT (owner, phone) DO UPDATE SET
                 first_name = excluded.first_name,
                 last_name = excluded.last_name,
                 updated_at = excluded.updated_at",
        )
        .bind(&contact.contact_id)
        .bind(&contact.owner)
        .bind(&contact.phone)
        .bind(&contact.first_name)
        .bind(&contact.last_name)
        .bind(contact.created_at)
        .bind(contact.updated_at)
        .bind(at_most)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() > 0)
    }

    /// Settles who the customer is of every contact with this `phone`, and of those whose customer was `formerly` somebody
    /// who may have another phone now. `now` in unix seconds.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn relink_contacts(
        &self,
        phone: Option<&str>,
        formerly: Option<&str>,
        now: i64,
    ) -> Result<(), Error> {
        static QUERY: LazyLock<String> = LazyLock::new(|| {
            let owner = owner_of("contacts.phone");
            format!(
                "UPDATE contacts SET customer = ({owner}), updated_at = $3
                 WHERE (contacts.phone = $1 OR contacts.customer = $2)
                     AND COALESCE(contacts.customer, '') <> COALESCE(({owner}), '')"
            )
        });
        sqlx::query(QUERY.as_str()).bind(phone).bind(formerly).bind(now).execute(&self.pool).await?;
        Ok(())
    }

    /// The contact of `owner` with this phone.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn find_contact(&self, owner: &str, phone: &str) -> Result<Option<Contact>, Error> {
        let query = "SELECT contact_id, owner, phone, first_name, last_name, customer, created_at, updated_at
             FROM contacts WHERE owner = $1 AND phone = $2";
        Ok(sqlx::query_as(query).bind(owner).bind(phone).fetch_optional(&self.pool).await?)
    }

    /// Every contact of `owner`, the latest last.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn contacts_of(&self, owner: &str) -> Result<Vec<Contact>, Error> {
        let query = "SELECT contact_id, owner, phone, first_name, last_name, customer, created_at, updated_at
             FROM contacts WHERE owner = $1 ORDER BY created_at, contact_id";
        Ok(sqlx::query_as(query).bind(owner).fetch_all(&self.pool).await?)
    }

    /// Whose contact `customer` is.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn contact_owners_of(&self, customer: &str) -> Result<Vec<String>, Error> {
        let query = "SELECT DISTINCT owner FROM contacts WHERE customer = $1 ORDER BY owner";
        let owners: Vec<(String,)> = sqlx::query_as(query).bind(customer).fetch_all(&self.pool).await?;
        Ok(owners.into_iter().map(|(owner,)| owner).collect())
    }
}
