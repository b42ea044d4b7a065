//! So many at once for each key: [`Seats`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

use super::refused;

/// How many seats each key has taken; none is not kept.
type Taken<K> = Arc<Mutex<HashMap<K, usize>>>;

/// So many at once for each key. Holds the keys that have a seat and no others, so it is as large as what is open.
#[derive(Debug, Clone)]
pub struct Seats<K: Eq + Hash> {
    limit: &'static str,
    at_most: Option<usize>,
    taken: Taken<K>,
}

impl<K: Eq + Hash + Clone> Seats<K> {
    /// `at_most` for each key; `None` is no limit. `limit` is its name in the metrics.
    #[must_use]
    pub fn new(limit: &'static str, at_most: Option<usize>) -> Self {
        Self { limit, at_most, taken: Arc::default() }
    }

    /// One of the seats of `key`, kept until it is dropped; `None` when all are taken.
    #[must_use]
    pub fn take(&self, key: K) -> Option<Seat<K>> {
        let Some(at_most) = self.at_most else { return Some(Seat(None)) };
        match self.taken.lock().entry(key.clone()) {
            Entry::Occupied(mut taken) if *taken.get() < at_most => *taken.get_mut() += 1,
            Entry::Vacant(vacant) if at_most > 0 => {
                vacant.insert(1);
            }
            Entry::Occupied(_) | Entry::Vacant(_) => {
                refused(self.limit);
                return None;
            }
        }
        Some(Seat(Some((key, Arc::clone(&self.taken)))))
    }
}

/// One of the [`Seats`], free again once it is dropped.
#[derive(Debug)]
#[must_use = "a seat that is dropped is free again"]
pub struct Seat<K: Eq + Hash>(Option<(K, Taken<K>)>);

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let Some((key, taken)) = self.0.take() else { return };
        let mut taken = taken.lock();
        if let Some(count) = taken.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&key);
                // One crowded hour is not kept in memory for ever.
                if taken.capacity() > 4 * taken.len() + 1024 {
                    taken.shrink_to_fit();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_once_it_is_left() {
        let seats = Seats::new("test", Some(2));
        let first = seats.take("alice").unwrap();
        let second = seats.take("alice").unwrap();
        assert!(seats.take("alice").is_none());
        let _others = seats.take("bob").unwrap();
        drop(first);
        let _third = seats.take("alice").unwrap();
        assert!(seats.take("alice").is_none());
        drop(second);
        assert!(seats.take("alice").is_some());
    }

    #[test]
    fn nobody_is_remembered_who_has_left() {
        let seats = Seats::new("test", Some(1));
        let taken: Vec<_> = (0..100_000).map(|key| seats.take(key).unwrap()).collect();
        drop(taken);
        let left = seats.taken.lock();
        assert!(left.is_empty() && left.capacity() < 2048, "{}", left.capacity());
    }

    #[test]
    fn no_limit_counts_nothing() {
        let seats = Seats::new("test", None);
        let taken: Vec<_> = (0..1000).map(|_| seats.take("alice").unwrap()).collect();
        assert!(seats.taken.lock().is_empty());
        drop(taken);
    }
}
