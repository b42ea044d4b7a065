//! Rows in the order they were added, found by their SID.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::mock::sid::Sid;

/// A table of `T`. Its rows are numbered as they come; a page of a list starts at a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table<T> {
    rows: BTreeMap<u64, T>,
    numbers: HashMap<Sid, u64>,
    next: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), numbers: HashMap::new(), next: 0 }
    }
}

impl<T> Table<T> {
    pub(crate) fn insert(&mut self, sid: Sid, row: T) {
        self.numbers.insert(sid, self.next);
        self.rows.insert(self.next, row);
        self.next += 1;
    }

    pub(crate) fn get(&self, sid: Sid) -> Option<&T> {
        self.rows.get(self.numbers.get(&sid)?)
    }

    pub(crate) fn get_mut(&mut self, sid: Sid) -> Option<&mut T> {
        self.rows.get_mut(self.numbers.get(&sid)?)
    }

    pub(crate) fn remove(&mut self, sid: Sid) -> Option<T> {
        self.rows.remove(&self.numbers.remove(&sid)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All rows by number, oldest first.
    pub(crate) fn rows(&self) -> &BTreeMap<u64, T> {
        &self.rows
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut()
    }
}
