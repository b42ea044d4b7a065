//! The search keys of everybody, compact, and the ranking over them.
//!
//! All keys stand one after the other in one text, so that a search is one pass over memory. What changes is written anew
//! at its end; when half of it is dead, it is written from the start. Who comes after whom by name is a number per person,
//! so that a page of a ranking is picked out without sorting everybody.

use std::collections::{HashMap, HashSet};

use memchr::memmem::Finder;

use super::{Page, PageOf};
use crate::auth::Identity;
use crate::store::Listed;

/// The order of suggestions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranking {
    /// By what.
    pub by: SortBy,
    /// The smallest first.
    pub ascending: bool,
}

/// What suggestions are ordered by. Equals follow in the order of [`SortBy::Likely`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// Found by name before found by what they say about themselves; then as [`SortBy::MutualFriends`]. Knows no direction.
    Likely,
    /// Contacts both have; of equals who is here, then with whom something was exchanged last, then by name.
    MutualFriends,
    /// When they were first heard of.
    CreatedAt,
    /// What they are called.
    Nickname,
    /// When they were last here; who is here now was last.
    LastSeen,
}

/// How somebody stands to whoever asks. Most people are strangers who are not here: nothing is kept of those.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Contacts both have.
    pub(super) mutual: u32,
    /// Whether they are here.
    pub(super) online: bool,
    /// When something was last exchanged, unix seconds; 0: never.
    pub(super) exchanged: i64,
}

/// Everybody's search keys.
#[derive(Default)]
pub(super) struct Index {
    slots: HashMap<Identity, u32>,
    people: Vec<Entry>,
    /// `name NUL bio NUL` of one after the other.
    text: Vec<u8>,
    /// Where each stretch of `text` begins and whose it is (or was), in order.
    stretches: Vec<(u32, u32)>,
    /// Bytes of `text` that are nobody's any more.
    dead: usize,
    /// Everybody who has a place by name.
    by_name: Vec<u32>,
    /// Who is to be put in their place by name.
    moved: Vec<u32>,
}

struct Entry {
    identity: Identity,
    start: u32,
    name_len: u32,
    len: u32,
    created_at: i64,
    last_seen: i64,
    /// Their place by name.
    place: u32,
    moved: bool,
}

/// What orders two candidates: the smallest comes first.
type Key = (i64, u32, bool, i64, u32);

impl Index {
    /// Takes in what was told of people; `false` when there are too many for `at_most`.
    pub(super) fn take_in(&mut self, rows: Vec<Listed>, at_most: usize) -> bool {
        for row in rows {
            let Ok(identity) = Identity::try_from(row.identity) else { continue };
            // Who has no name is called by their identity.
            let name = row.nickname_key.unwrap_or_else(|| crate::core::search_key(identity.as_str()));
            let bio = row.bio_key.unwrap_or_default();
            let slot = match self.slots.get(&identity) {
                Some(slot) => *slot,
                None if self.people.len() >= at_most => return false,
                None => self.add(identity),
            };
            self.write(slot, &name, &bio);
            let entry = &mut self.people[slot as usize];
            entry.created_at = row.created_at;
            entry.last_seen = entry.last_seen.max(row.last_seen.unwrap_or(0));
        }
        true
    }

    fn add(&mut self, identity: Identity) -> u32 {
        let slot = u32::try_from(self.people.len()).expect("there are far fewer people than 2^32");
        self.slots.insert(identity.clone(), slot);
        let entry = Entry {
            identity,
            start: 0,
            name_len: 0,
            len: 0,
            created_at: 0,
            last_seen: 0,
            place: 0,
            moved: true,
        };
        self.people.push(entry);
        self.moved.push(slot);
        slot
    }

    fn write(&mut self, slot: u32, name: &str, bio: &str) {
        let entry = &mut self.people[slot as usize];
        let (start, end) = (entry.start as usize, (entry.start + entry.len) as usize);
        let split = start + entry.name_len as usize;
        let same_name = entry.len > 0 && self.text[start..split] == *name.as_bytes();
        if same_name && self.text[split + 1..end - 1] == *bio.as_bytes() {
            return;
        }
        if !same_name && !entry.moved {
            entry.moved = true;
            self.moved.push(slot);
        }
        self.dead += entry.len as usize;
        let at = |length: usize| u32::try_from(length).expect("a million people's keys stay below 4 GB");
        entry.start = at(self.text.len());
        entry.name_len = at(name.len());
        entry.len = at(name.len() + bio.len() + 2);
        self.stretches.push((entry.start, slot));
        for part in [name, bio] {
            self.text.extend_from_slice(part.as_bytes());
            self.text.push(0);
        }
    }

    /// Takes in when people were last here.
    pub(super) fn note_seen(&mut self, seen: &[(String, i64)]) {
        for (identity, at) in seen {
            let Ok(identity) = Identity::try_from(identity.as_str()) else { continue };
            if let Some(slot) = self.slots.get(&identity) {
                let entry = &mut self.people[*slot as usize];
                entry.last_seen = entry.last_seen.max(*at);
            }
        }
    }

    /// Brings everything in order after changes were taken in.
    pub(super) fn settle(&mut self) {
        if self.dead * 2 > self.text.len() {
            self.rewrite();
        }
        if self.moved.is_empty() {
            return;
        }
        let (people, text) = (&self.people, &self.text);
        let name = |slot: &u32| {
            let entry = &people[*slot as usize];
            let start = entry.start as usize;
            (&text[start..start + entry.name_len as usize], &entry.identity)
        };
        let mut moved = std::mem::take(&mut self.moved);
        moved.sort_unstable_by(|a, b| name(a).cmp(&name(b)));
        self.by_name.retain(|slot| !people[*slot as usize].moved);
        let mut merged = Vec::with_capacity(self.by_name.len() + moved.len());
        let mut rest = self.by_name.as_slice();
        for slot in moved {
            let (before, after) = rest.split_at(rest.partition_point(|other| name(other) < name(&slot)));
            merged.extend_from_slice(before);
            merged.push(slot);
            rest = after;
        }
        merged.extend_from_slice(rest);
        self.by_name = merged;
        for (place, slot) in (0..).zip(&self.by_name) {
            let entry = &mut self.people[*slot as usize];
            entry.place = place;
            entry.moved = false;
        }
    }

    /// Writes the text anew, without what is dead.
    fn rewrite(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.dead);
        self.stretches.clear();
        for (slot, entry) in (0..).zip(&mut self.people) {
            let start = entry.start as usize;
            entry.start = u32::try_from(text.len()).expect("it is shorter than it was");
            self.stretches.push((entry.start, slot));
            text.extend_from_slice(&self.text[start..start + entry.len as usize]);
        }
        self.text = text;
        self.dead = 0;
    }

    /// A page of everybody but those `kept_out`: who, and how many contacts both have.
    pub(super) fn page(
        &self,
        special: &HashMap<Identity, Standing>,
        kept_out: &HashSet<Identity>,
        text: Option<&str>,
        ranking: Ranking,
        part: PageOf,
    ) -> Page<(Identity, u32)> {
        let mut found = match text {
            Some(text) => self.find(text),
            None => Found { places: vec![Some(Place::Name); self.people.len()], total: self.people.len() },
        };
        for slot in kept_out.iter().filter_map(|who| self.slots.get(who)) {
            found.total -= usize::from(found.places[*slot as usize].take().is_some());
        }
        let special: HashMap<u32, Standing> =
            special.iter().filter_map(|(who, standing)| Some((*self.slots.get(who)?, *standing))).collect();
        let slots = match (ranking.by, ranking.ascending) {
            (SortBy::Likely, _) | (SortBy::MutualFriends, false) => {
                self.likely_first(&special, &found, ranking, part)
            }
            (SortBy::Nickname, true) => self.in_turn(self.by_name.iter(), &found, part),
            (SortBy::Nickname, false) => self.in_turn(self.by_name.iter().rev(), &found, part),
            (SortBy::MutualFriends, true) | (SortBy::CreatedAt | SortBy::LastSeen, _) => {
                self.picked(&special, &found, ranking, part)
            }
        };
        let item = |slot: u32| {
            let mutual = special.get(&slot).map_or(0, |standing| standing.mutual);
            (self.people[slot as usize].identity.clone(), mutual)
        };
        Page { items: slots.into_iter().map(item).collect(), total: found.total }
    }

    /// Those who are found, in this order.
    fn in_turn<'a>(&self, order: impl Iterator<Item = &'a u32>, found: &Found, part: PageOf) -> Vec<u32> {
        let candidates = order.copied().filter(|slot| found.places[*slot as usize].is_some());
        candidates.skip(part.offset()).take(part.limit).collect()
    }

    /// The special, of whom there are few, in their order; then strangers by name, who need no sorting.
    fn likely_first(
        &self,
        special: &HashMap<u32, Standing>,
        found: &Found,
        ranking: Ranking,
        part: PageOf,
    ) -> Vec<u32> {
        let place = |slot: u32| match (ranking.by, found.places[slot as usize]) {
            (SortBy::Likely, place) => place,
            (_, place) => place.map(|_| Place::Name),
        };
        let mut known: Vec<(Option<Place>, Key, u32)> = special
            .iter()
            .filter(|(slot, _)| place(**slot).is_some())
            .map(|(slot, standing)| (place(*slot), self.key(*slot, *standing, ranking), *slot))
            .collect();
        known.sort_unstable();
        let of = |wanted: Place| {
            let known =
                known.iter().filter(move |(place, ..)| *place == Some(wanted)).map(|(.., slot)| *slot);
            let strangers = self.by_name.iter().copied();
            known.chain(
                strangers.filter(move |slot| place(*slot) == Some(wanted) && !special.contains_key(slot)),
            )
        };
        of(Place::Name).chain(of(Place::Bio)).skip(part.offset()).take(part.limit).collect()
    }

    /// Picked out by their keys: only the page itself is sorted.
    fn picked(
        &self,
        special: &HashMap<u32, Standing>,
        found: &Found,
        ranking: Ranking,
        part: PageOf,
    ) -> Vec<u32> {
        let standing = |slot: &u32| special.get(slot).copied().unwrap_or_default();
        let mut candidates: Vec<(Key, u32)> = self
            .by_name
            .iter()
            .filter(|slot| found.places[**slot as usize].is_some())
            .map(|slot| (self.key(*slot, standing(slot), ranking), *slot))
            .collect();
        let total = candidates.len();
        let (from, to) = (part.offset().min(total), part.offset().saturating_add(part.limit).min(total));
        // First what comes after the page is put behind it, then what comes before it in front.
        if to < total {
            candidates.select_nth_unstable(to);
            candidates.truncate(to);
        }
        if from > 0 && from < to {
            candidates.select_nth_unstable(from);
        }
        let page = candidates.get_mut(from..to).unwrap_or_default();
        page.sort_unstable();
        page.iter().map(|(_, slot)| *slot).collect()
    }

    fn key(&self, slot: u32, standing: Standing, ranking: Ranking) -> Key {
        let entry = &self.people[slot as usize];
        let sorted_by = match ranking.by {
            SortBy::Likely => 0,
            SortBy::MutualFriends => i64::from(standing.mutual),
            SortBy::CreatedAt => entry.created_at,
            SortBy::Nickname => i64::from(entry.place),
            SortBy::LastSeen if standing.online => i64::MAX,
            SortBy::LastSeen => entry.last_seen,
        };
        let sorted_by = if ranking.ascending { sorted_by } else { sorted_by.saturating_neg() };
        (sorted_by, u32::MAX - standing.mutual, !standing.online, -standing.exchanged, entry.place)
    }

    /// Who contains `text`, and where first.
    fn find(&self, text: &str) -> Found {
        let finder = Finder::new(text.as_bytes());
        let mut found = Found { places: vec![None; self.people.len()], total: 0 };
        let (mut from, mut stretch) = (0, 0);
        while let Some(hit) = self.text.get(from..).and_then(|rest| finder.find(rest)) {
            let at = from + hit;
            while self.stretches.get(stretch + 1).is_some_and(|(start, _)| *start as usize <= at) {
                stretch += 1;
            }
            let (start, slot) = self.stretches[stretch];
            let entry = &self.people[slot as usize];
            // Else it is what they were called before.
            if entry.start == start {
                let in_name = at <= (start + entry.name_len) as usize;
                found.places[slot as usize] = Some(if in_name { Place::Name } else { Place::Bio });
                found.total += 1;
            }
            from = self.stretches.get(stretch + 1).map_or(self.text.len(), |(start, _)| *start as usize);
        }
        found
    }
}

/// Who is found, by slot, and how many they are.
struct Found {
    places: Vec<Option<Place>>,
    total: usize,
}

/// Where a text is found; names come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Name,
    Bio,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(identity: &str, name: &str, bio: &str) -> Listed {
        Listed {
            identity: identity.to_owned(),
            nickname_key: Some(name.to_owned()),
            bio_key: Some(bio.to_owned()),
            created_at: 0,
            last_seen: None,
            updated_at: 0,
        }
    }

    fn index(people: &[(&str, &str, &str)]) -> Index {
        let mut index = Index::default();
        assert!(index.take_in(people.iter().map(|(id, name, bio)| listed(id, name, bio)).collect(), 100));
        index.settle();
        index
    }

    const LIKELY: Ranking = Ranking { by: SortBy::Likely, ascending: false };

    fn identities(
        index: &Index,
        special: &[(&str, Standing)],
        text: Option<&str>,
        ranking: Ranking,
    ) -> Vec<String> {
        let special = special.iter().map(|(who, standing)| ((*who).try_into().unwrap(), *standing)).collect();
        let page = index.page(&special, &HashSet::new(), text, ranking, PageOf { page: 1, limit: 100 });
        assert_eq!(page.total, page.items.len());
        page.items.into_iter().map(|(identity, _)| identity.as_str().to_owned()).collect()
    }

    #[test]
    fn the_likely_come_first_and_the_rest_by_name() {
        let index = index(&[
            ("1", "dora", ""),
            ("2", "anna", ""),
            ("3", "carl", ""),
            ("4", "ben", ""),
            ("5", "eve", ""),
        ]);
        let special = [
            ("1", Standing { exchanged: 7, ..Standing::default() }),
            ("3", Standing { online: true, ..Standing::default() }),
            ("5", Standing { mutual: 1, ..Standing::default() }),
        ];
        assert_eq!(identities(&index, &special, None, LIKELY), ["5", "3", "1", "2", "4"]);
        let by_name = Ranking { by: SortBy::Nickname, ascending: true };
        assert_eq!(identities(&index, &special, None, by_name), ["2", "4", "3", "1", "5"]);
        let by_name = Ranking { by: SortBy::Nickname, ascending: false };
        assert_eq!(identities(&index, &special, None, by_name), ["5", "1", "3", "4", "2"]);
    }

    #[test]
    fn a_text_is_found_in_names_before_it_is_found_elsewhere() {
        let index = index(&[("1", "zoe", "likes carter"), ("2", "carter", "zoe"), ("3", "ann", "carte r")]);
        let popular = [("1", Standing { mutual: 9, ..Standing::default() })];
        assert_eq!(identities(&index, &popular, Some("carter"), LIKELY), ["2", "1"]);
        let by_mutual = Ranking { by: SortBy::MutualFriends, ascending: false };
        assert_eq!(identities(&index, &popular, Some("carter"), by_mutual), ["1", "2"]);
        // Never across the border of two people, nor of name and bio.
        assert_eq!(identities(&index, &[], Some("carterzoe"), LIKELY), [""; 0]);
    }

    #[test]
    fn what_changes_is_found_as_it_is_now() {
        let mut index = index(&[("1", "anna", ""), ("2", "ben", "")]);
        for (name, bio) in [("zora", ""), ("zora", "dances"), ("mia", "dances"), ("yara", "sings")] {
            index.take_in(vec![listed("1", name, bio)], 100);
            index.settle();
            assert_eq!(identities(&index, &[], Some(name), LIKELY), ["1"]);
            assert_eq!(identities(&index, &[], Some("anna"), LIKELY), [""; 0]);
            assert_eq!(identities(&index, &[], None, LIKELY), ["2", "1"]);
        }
        assert!(index.text.len() < 60, "dead stretches are given back");
        assert!(!index.take_in(vec![listed("3", "carl", "")], 2), "there is no room for a third");
    }

    #[test]
    fn pages_follow_one_another_without_gap_or_repetition() {
        let names: Vec<_> = (0..97).map(|n| (n.to_string(), format!("name {:02}", (n * 31) % 97))).collect();
        let mut index = Index::default();
        index.take_in(names.iter().map(|(id, name)| listed(id, name, "")).collect(), 100);
        index.settle();
        let mut all = Vec::new();
        for page in 1..=11 {
            let part = PageOf { page, limit: 10 };
            let page =
                index.page(&HashMap::new(), &HashSet::from(["5".try_into().unwrap()]), None, LIKELY, part);
            assert_eq!(page.total, 96);
            all.extend(page.items.into_iter().map(|(identity, _)| identity.as_str().to_owned()));
        }
        let mut expected = names;
        expected.retain(|(id, _)| id != "5");
        expected.sort_by(|a, b| a.1.cmp(&b.1));
        assert_eq!(all, expected.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
    }
}
