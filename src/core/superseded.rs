//! [`Superseded`]: which states gave way to another one of the same second.
//!
//! Twilio tells whole seconds, so of two states of one second the dates do not say which is newer. Our own changes come in
//! order, with their answers; reports of them may come late, and are known by this. What a state is (which fields make it
//! another one) is said by whoever keeps it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use moka::sync::Cache;

/// States remembered.
const REMEMBERED_AT_MOST: u64 = 50_000;
/// How long: a report that comes later still is old by its date.
const REMEMBERED_FOR: Duration = Duration::from_secs(15 * 60);

/// The states that gave way, by their hash.
pub(super) struct Superseded {
    states: Cache<u64, ()>,
    hashes: RandomState,
}

impl Superseded {
    pub(super) fn new() -> Self {
        let states = Cache::builder().max_capacity(REMEMBERED_AT_MOST).time_to_live(REMEMBERED_FOR).build();
        Self { states, hashes: RandomState::new() }
    }

    /// `before` gave way to `now`, which may be a state that gave way earlier.
    pub(super) fn note(&self, before: &impl Hash, now: &impl Hash) {
        self.states.insert(self.hashes.hash_one(before), ());
        self.states.invalidate(&self.hashes.hash_one(now));
    }

    /// Whether `state` gave way: a report of it is late.
    pub(super) fn contains(&self, state: &impl Hash) -> bool {
        self.states.contains_key(&self.hashes.hash_one(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_came_back_is_no_old_one() {
        let superseded = Superseded::new();
        assert!(!superseded.contains(&"open"));
        superseded.note(&"open", &"closed");
        assert!(superseded.contains(&"open") && !superseded.contains(&"closed"));
        superseded.note(&"closed", &"open");
        assert!(!superseded.contains(&"open") && superseded.contains(&"closed"));
    }
}
