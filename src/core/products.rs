//! What a conversation is about: the last product that one of its messages named.
//!
//! Known from every message that passes through here and kept in the database, so that a list costs no reading of
//! histories; only of a conversation nobody ever told about are the newest messages read, once.

use std::collections::HashMap;

use futures::StreamExt;

use super::history::Span;
use super::{ConversationSid, Core, Error, Extras, Message};
use crate::store::Product;

/// The newest messages looked through for a product that nobody told of: one page of Twilio's.
const LOOKED_THROUGH: usize = 100;
/// Conversations looked through at once.
const LOOKED_AT_ONCE: usize = 8;

impl Core {
    /// Takes in a message that was sent or reported.
    pub(super) fn note_product(&self, message: &Message) {
        if let Some(product) = product_of(message) {
            self.index.set_product(product);
        }
    }

    /// Takes in messages, newest first: the last product they named. True if one did.
    pub(super) fn note_products<'a>(&self, mut messages: impl Iterator<Item = &'a Message>) -> bool {
        let product = messages.find_map(product_of);
        let named = product.is_some();
        product.into_iter().for_each(|product| self.index.set_product(product));
        named
    }

    /// Takes in that none of a conversation's messages named a product; what one of them was known to name stays.
    pub(super) fn note_no_product(&self, conversation: ConversationSid) {
        self.index.set_product(Product {
            conversation_sid: conversation.to_string(),
            message_index: -1,
            product_id: None,
        });
    }

    /// Forgets what the message at `index` said, or (`None`) all that is known of a conversation.
    pub(super) fn forget_product(&self, conversation: ConversationSid, index: Option<i64>) {
        self.index.forget_product(conversation.to_string(), index);
    }

    /// The product of each of these conversations, if it has one.
    ///
    /// Costs no Twilio call for conversations whose messages passed through here, one for each of the others, once.
    pub(super) async fn products_of(
        &self,
        conversations: &[ConversationSid],
    ) -> Result<HashMap<ConversationSid, String>, Error> {
        let sids: Vec<_> = conversations.iter().map(ToString::to_string).collect();
        self.index.flushed().await;
        let known = match self.store.products(&sids).await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "a list shows no products");
                return Ok(HashMap::new());
            }
        };
        let mut products = HashMap::new();
        let mut unknown = Vec::new();
        for (conversation, sid) in conversations.iter().zip(&sids) {
            match known.get(sid) {
                Some(Some(product)) => drop(products.insert(*conversation, product.clone())),
                Some(None) => {}
                None => unknown.push(*conversation),
            }
        }
        let looking: Vec<_> =
            unknown.into_iter().map(|sid| async move { (sid, self.look_for_product(sid).await) }).collect();
        let mut looked = futures::stream::iter(looking).buffer_unordered(LOOKED_AT_ONCE);
        while let Some((conversation, product)) = looked.next().await {
            match product {
                Ok(Some(product)) => drop(products.insert(conversation, product)),
                Ok(None) | Err(Error::ConversationNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(products)
    }

    async fn look_for_product(&self, conversation: ConversationSid) -> Result<Option<String>, Error> {
        let newest = self.history_of(conversation, Span { limit: LOOKED_THROUGH, before: None }).await?;
        match newest.iter().rev().find_map(|message| product_of(message)) {
            Some(product) => {
                self.index.set_product(product.clone());
                Ok(product.product_id)
            }
            None => {
                self.note_no_product(conversation);
                Ok(None)
            }
        }
    }
}

fn product_of(message: &Message) -> Option<Product> {
    // Most messages name none, and reading JSON to find that out is the dearer way.
    if !message.attributes.contains("product_id") {
        return None;
    }
    Some(Product {
        conversation_sid: message.conversation_sid.to_string(),
        message_index: message.index,
        product_id: Some(Extras::of(message).about.product_id?),
    })
}
