//! Token buckets.

use std::collections::BTreeMap;

use crate::api::Mono;

/// So many per second, with a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Millionths of a token.
    level: u64,
    filled_at: Mono,
    per_second: u32,
    burst: u32,
}

impl Bucket {
    /// A full bucket.
    pub(crate) const fn new((per_second, burst): (u32, u32), now: Mono) -> Self {
        Self {
            level: burst as u64 * 1_000_000,
            filled_at: now,
            per_second,
            burst,
        }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now: Mono) -> bool {
        let gained = now
            .since(self.filled_at)
            .saturating_mul(u64::from(self.per_second));
        self.level = self
            .level
            .saturating_add(gained)
            .min(u64::from(self.burst) * 1_000_000);
        self.filled_at = now;
        let Some(rest) = self.level.checked_sub(1_000_000) else {
            return false;
        };
        self.level = rest;
        true
    }
}

/// A bucket per key; at the cap the least recently used key leaves.
pub(crate) struct Buckets<K: Ord + Copy> {
    by_key: BTreeMap<K, Bucket>,
    by_use: BTreeMap<(Mono, K), ()>,
    rate: (u32, u32),
    cap: usize,
}

impl<K: Ord + Copy> Buckets<K> {
    /// At most `cap` keys are remembered.
    pub(crate) const fn new(rate: (u32, u32), cap: usize) -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_use: BTreeMap::new(),
            rate,
            cap,
        }
    }

    /// Takes one token of this key.
    pub(crate) fn take(&mut self, key: K, now: Mono) -> bool {
        if let Some(bucket) = self.by_key.get_mut(&key) {
            self.by_use.remove(&(bucket.filled_at, key));
            let taken = bucket.take(now);
            self.by_use.insert((now, key), ());
            return taken;
        }
        if self.by_key.len() >= self.cap
            && let Some(((_, oldest), ())) = self.by_use.pop_first()
        {
            self.by_key.remove(&oldest);
        }
        let mut bucket = Bucket::new(self.rate, now);
        let taken = bucket.take(now);
        self.by_key.insert(key, bucket);
        self.by_use.insert((now, key), ());
        taken
    }

    /// Keys remembered.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new((5, 10), Mono(0));
        assert_eq!((0..20).filter(|_| bucket.take(Mono(0))).count(), 10);
        assert_eq!((0..20).filter(|_| bucket.take(Mono(1_000_000))).count(), 5);
        assert_eq!(
            (0..20).filter(|_| bucket.take(Mono(60_000_000))).count(),
            10
        );
    }

    #[test]
    fn keys_are_capped_and_independent() {
        let mut buckets = Buckets::new((1, 1), 2);
        assert!(buckets.take(1, Mono(0)) && !buckets.take(1, Mono(1)));
        assert!(buckets.take(2, Mono(2)) && buckets.take(3, Mono(3)));
        assert_eq!(buckets.len(), 2);
    }
}
