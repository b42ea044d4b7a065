//! The product each conversation is about. Written by the message index, behind the hot path.

use std::collections::HashMap;

use sqlx::{Any, Transaction};

use super::query::QueryBuilder;
use super::{Error, Store};

/// Conversations asked about in one statement.
const ASKED_AT_ONCE: usize = 400;

/// The last product that a message of a conversation named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `CH…`.
    pub conversation_sid: String,
    /// The place of that message; -1: none of them named one.
    pub message_index: i64,
    /// The app's id of it.
    pub product_id: Option<String>,
}

/// Writes what conversations are about, each named once; one from an older message than is known changes nothing.
pub(super) async fn write(
    transaction: &mut Transaction<'_, Any>,
    products: impl IntoIterator<Item = &Product>,
) -> Result<(), sqlx::Error> {
    let mut upsert = QueryBuilder::new("INSERT INTO products (conversation_sid, message_index, product_id) ");
    upsert.push_values(products, |mut row, product| {
        row.push_bind(&product.conversation_sid)
            .push_bind(product.message_index)
            .push_bind(&product.product_id);
    });
    upsert.push(
        " ON CONFLICT (conversation_sid) DO UPDATE SET
              message_index = excluded.message_index,
              product_id = excluded.product_id
          WHERE excluded.message_index >= products.message_index",
    );
    upsert.build().execute(&mut **transaction).await?;
    Ok(())
}

/// Drops what is known of a conversation, if the message at `message_index` said it (or whichever did).
pub(super) async fn forget(
    transaction: &mut Transaction<'_, Any>,
    conversation_sid: &str,
    message_index: Option<i64>,
) -> Result<(), sqlx::Error> {
    let forget = match message_index {
        None => sqlx::query("DELETE FROM products WHERE conversation_sid = $1").bind(conversation_sid),
        Some(index) => sqlx::query("DELETE FROM products WHERE conversation_sid = $1 AND message_index = $2")
            .bind(conversation_sid)
            .bind(index),
    };
    forget.execute(&mut **transaction).await?;
    Ok(())
}

impl Store {
    /// The product of each of these conversations; one of which nothing is known is missing from the answer.
    ///
    /// # Errors
    /// [`Error`] when the database does not answer.
    pub async fn products(
        &self,
        conversation_sids: &[String],
    ) -> Result<HashMap<String, Option<String>>, Error> {
        let mut found = HashMap::with_capacity(conversation_sids.len());
        for asked in conversation_sids.chunks(ASKED_AT_ONCE) {
            let mut query = QueryBuilder::new(
                "SELECT conversation_sid, product_id FROM products WHERE conversation_sid IN (",
            );
            let mut list = query.separated(", ");
            for sid in asked {
                list.push_bind(sid);
            }
            query.push(")");
            let rows: Vec<(String, Option<String>)> = query.build_query_as().fetch_all(&self.pool).await?;
            found.extend(rows);
        }
        Ok(found)
    }
}
