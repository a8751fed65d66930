//! A set whose members are remembered for a while. At the cap the one used least recently leaves.

use std::collections::{BTreeMap, BTreeSet};

use deut_common::time::Mono;

struct Place {
    until: Mono,
    /// Its position in the order of use.
    used: u64,
}

/// A set whose members leave when their time is over.
pub(super) struct Remembered<K: Ord + Copy> {
    places: BTreeMap<K, Place>,
    by_use: BTreeSet<(u64, K)>,
    uses: u64,
    cap: usize,
}

impl<K: Ord + Copy> Remembered<K> {
    /// A set of at most `cap` members.
    pub(super) const fn new(cap: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            by_use: BTreeSet::new(),
            uses: 0,
            cap,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a member, or gives it a new time.
    pub(super) fn add(&mut self, key: K, until: Mono) {
        self.remove(key);
        if self.places.len() >= self.cap
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.places.remove(&oldest);
        }
        if self.cap > 0 {
            self.uses += 1;
            let used = self.uses;
            self.by_use.insert((used, key));
            self.places.insert(key, Place { until, used });
        }
    }

    /// Returns true if `key` is a member, which counts as a use.
    pub(super) fn uses(&mut self, key: K, now: Mono) -> bool {
        if !self.contains(key, now) {
            return false;
        }
        if let Some(place) = self.places.get_mut(&key) {
            self.by_use.remove(&(place.used, key));
            self.uses += 1;
            place.used = self.uses;
            self.by_use.insert((place.used, key));
        }
        true
    }

    /// Returns true if `key` is a member. One whose time is over leaves.
    pub(super) fn contains(&mut self, key: K, now: Mono) -> bool {
        match self.places.get(&key) {
            Some(place) if place.until > now => true,
            Some(_) => {
                self.remove(key);
                false
            }
            None => false,
        }
    }

    fn remove(&mut self, key: K) {
        if let Some(place) = self.places.remove(&key) {
            self.by_use.remove(&(place.used, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_leave_when_their_time_is_over() {
        let mut set = Remembered::new(4);
        set.add(1, Mono(10));
        assert!(set.contains(1, Mono(9)) && set.len() == 1);
        assert!(!set.contains(1, Mono(10)) && set.len() == 0);
        set.add(1, Mono(10));
        set.add(1, Mono(20));
        assert!(set.contains(1, Mono(19)) && set.len() == 1);
    }

    #[test]
    fn at_the_cap_the_one_used_least_recently_leaves() {
        let mut set = Remembered::new(2);
        set.add(1, Mono(100));
        set.add(2, Mono(100));
        assert!(set.uses(1, Mono(0)));
        set.add(3, Mono(100));
        assert_eq!(set.len(), 2);
        assert!(set.contains(1, Mono(0)) && !set.contains(2, Mono(0)) && set.contains(3, Mono(0)));
        assert_eq!(set.by_use.len(), 2);

        let mut none = Remembered::new(0);
        none.add(1, Mono(100));
        assert_eq!(none.len(), 0);
    }
}
