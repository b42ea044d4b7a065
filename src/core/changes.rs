//! [`Changes`]: tells whoever reads something from Twilio whether it changed meanwhile, so that what is kept in memory is
//! never older than what was reported. What to do then is the reader's business.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that keys share by their hash: two keys on one counter cost a needless second reading now and then.
const COUNTERS: usize = 256;

/// Counts changes by key, in bounded memory.
pub(super) struct Changes([AtomicU64; COUNTERS]);

impl Changes {
    pub(super) fn new() -> Self {
        Self([const { AtomicU64::new(0) }; COUNTERS])
    }

    /// What belongs to `key` changed.
    pub(super) fn note(&self, key: &(impl Hash + ?Sized)) {
        self.counter(key).fetch_add(1, Ordering::Relaxed);
    }

    /// A number that differs after a change.
    pub(super) fn seen(&self, key: &(impl Hash + ?Sized)) -> u64 {
        self.counter(key).load(Ordering::Relaxed)
    }

    fn counter(&self, key: &(impl Hash + ?Sized)) -> &AtomicU64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % COUNTERS as u64).unwrap_or_default();
        &self.0[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_one_key_is_seen_by_it_and_by_few_others() {
        let changes = Changes::new();
        let before: Vec<_> = (0..100).map(|key: u32| changes.seen(&key)).collect();
        changes.note(&7_u32);
        let changed = (0..100).filter(|key| changes.seen(key) != before[*key as usize]).count();
        assert_ne!(changes.seen(&7_u32), before[7]);
        assert!(changed < 10, "{changed} of 100 would be read again");
    }
}
