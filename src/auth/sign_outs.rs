//! [`SignOuts`]: who was signed out, and when: whose earlier tokens no longer hold although nothing else is wrong with them.
//!
//! Only memory, so that no request waits for the database. Keeping them across restarts and telling other nodes is `core`'s
//! business.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use super::Verified;

/// Who was signed out, and when: a cheap clone of what all clones share.
#[derive(Clone, Default)]
pub struct SignOuts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Unix seconds, by a keyed hash of the identity: sixteen bytes for each, however long identities are. Two people share
    /// a hash with a chance of one in 2^64, and would then be signed out together.
    last: RwLock<HashMap<u64, i64>>,
    hasher: RandomState,
}

impl SignOuts {
    /// How many are remembered; whoever signs people out asks [`SignOuts::is_full`] first, since none may be forgotten
    /// while a token of before may still be valid.
    pub const AT_MOST: usize = 1_000_000;

    /// Tokens of `identity` that were issued up to `at` no longer hold. Gives whether that is news.
    pub fn note(&self, identity: &str, at: DateTime<Utc>) -> bool {
        let at = at.timestamp();
        let mut last = self.0.last.write();
        let known = last.entry(self.0.hasher.hash_one(identity)).or_insert(i64::MIN);
        let is_news = *known < at;
        *known = at.max(*known);
        is_news
    }

    /// Whether no more are remembered.
    pub fn is_full(&self) -> bool {
        self.0.last.read().len() >= Self::AT_MOST
    }

    /// Forgets those before `at`: every token of then has expired.
    pub fn forget_before(&self, at: DateTime<Utc>) {
        let mut last = self.0.last.write();
        last.retain(|_, known| *known >= at.timestamp());
        last.shrink_to_fit();
    }

    /// Whether the token was issued before its holder was signed out, or does not say when it was.
    pub(super) fn end(&self, verified: &Verified) -> bool {
        let last = self.0.last.read();
        if last.is_empty() {
            return false;
        }
        let last = last.get(&self.0.hasher.hash_one(verified.identity.as_str()));
        // Tokens tell whole seconds: one of the very second is taken for an earlier one.
        last.is_some_and(|last| verified.issued_at.is_none_or(|issued| issued.timestamp() <= *last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_sign_out_counts_and_old_ones_are_forgotten() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let sign_outs = SignOuts::default();
        assert!(sign_outs.note("alice", at(10)));
        assert!(!sign_outs.note("alice", at(10)) && !sign_outs.note("alice", at(9)), "nothing new");
        assert!(sign_outs.note("alice", at(20)) && sign_outs.note("bob", at(15)));
        sign_outs.forget_before(at(20));
        assert!(!sign_outs.note("alice", at(20)), "still known");
        assert!(sign_outs.note("bob", at(1)), "forgotten");
        assert!(!sign_outs.is_full());
    }
}
