//! Token buckets.

use std::collections::BTreeMap;

use crate::time::Mono;

/// A token bucket that gains tokens at a fixed rate, up to a burst.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Content, in parts of a token.
    level: u64,
    filled_at: Mono,
    /// Parts of a token gained per microsecond.
    gain: u64,
    /// Number of parts in one token.
    token: u64,
    burst: u32,
}

impl Bucket {
    /// A full bucket with a rate in tokens per second and a burst.
    pub const fn new((per_second, burst): (u32, u32), now: Mono) -> Self {
        Self::full(per_second as u64, 1_000_000, burst, now)
    }

    /// A full bucket that gains one token every `every_ms` milliseconds.
    pub const fn slow((every_ms, burst): (u64, u32), now: Mono) -> Self {
        Self::full(1, every_ms.saturating_mul(1_000), burst, now)
    }

    const fn full(gain: u64, token: u64, burst: u32, now: Mono) -> Self {
        Self {
            level: token.saturating_mul(burst as u64),
            filled_at: now,
            gain,
            token,
            burst,
        }
    }

    fn most(&self) -> u64 {
        self.token.saturating_mul(u64::from(self.burst))
    }

    fn fill(&mut self, now: Mono) {
        let gained = now.since(self.filled_at).saturating_mul(self.gain);
        self.level = self.level.saturating_add(gained).min(self.most());
        self.filled_at = now;
    }

    /// Takes one token; `false` if there is none.
    pub fn take(&mut self, now: Mono) -> bool {
        self.fill(now);
        let Some(rest) = self.level.checked_sub(self.token) else {
            return false;
        };
        self.level = rest;
        true
    }

    /// Returns true if there is a token to take.
    pub fn has(&mut self, now: Mono) -> bool {
        self.fill(now);
        self.level >= self.token
    }

    /// Puts a token back that was not used after all.
    pub fn give_back(&mut self) {
        self.level = self.level.saturating_add(self.token).min(self.most());
    }

    const fn started(mut self, now: Mono) -> Self {
        self.filled_at = now;
        self
    }
}

/// One bucket per key. At the cap the least recently used key makes room.
pub struct Buckets<K: Ord + Copy> {
    by_key: BTreeMap<K, Bucket>,
    by_use: BTreeMap<(Mono, K), ()>,
    /// The bucket that a new key gets.
    fresh: Bucket,
    cap: usize,
}

impl<K: Ord + Copy> Buckets<K> {
    /// Buckets with a rate per second and a burst. At most `cap` keys are remembered.
    pub const fn new(rate: (u32, u32), cap: usize) -> Self {
        Self::of(Bucket::new(rate, Mono(0)), cap)
    }

    /// The same with one token per key in so many milliseconds.
    pub const fn slow(rate: (u64, u32), cap: usize) -> Self {
        Self::of(Bucket::slow(rate, Mono(0)), cap)
    }

    const fn of(fresh: Bucket, cap: usize) -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_use: BTreeMap::new(),
            fresh,
            cap,
        }
    }

    /// Takes one token of this key; `false` if there is none.
    pub fn take(&mut self, key: K, now: Mono) -> bool {
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
        let mut bucket = self.fresh.started(now);
        let taken = bucket.take(now);
        self.by_key.insert(key, bucket);
        self.by_use.insert((now, key), ());
        taken
    }

    /// Puts a token of this key back that was not used after all. A full bucket is forgotten.
    pub fn give_back(&mut self, key: K) {
        let Some(bucket) = self.by_key.get_mut(&key) else {
            return;
        };
        bucket.give_back();
        if bucket.level == bucket.most() {
            self.by_use.remove(&(bucket.filled_at, key));
            self.by_key.remove(&key);
        }
    }

    /// Number of keys remembered.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Returns true if no key is remembered, so every bucket is full.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
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
    fn a_slow_bucket_gives_one_in_so_many_milliseconds() {
        let mut bucket = Bucket::slow((30_000, 1), Mono(0));
        assert!(bucket.has(Mono(0)) && bucket.take(Mono(0)));
        assert!(!bucket.has(Mono(29_999_999)) && !bucket.take(Mono(29_999_999)));
        assert!(bucket.take(Mono(30_000_000)) && !bucket.take(Mono(30_000_000)));
        // A bucket that is asked often gains as much.
        let taken = (30_000_000..=90_000_000_u64)
            .step_by(7_000)
            .filter(|at| bucket.take(Mono(*at)));
        assert_eq!(taken.count(), 1);
        assert!(bucket.take(Mono(91_000_000)));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut bucket = Bucket::new((1, 1), Mono(0));
        assert!(bucket.take(Mono(0)) && !bucket.take(Mono(0)));
        bucket.give_back();
        bucket.give_back();
        assert!(
            bucket.take(Mono(0)) && !bucket.take(Mono(0)),
            "never above the burst"
        );

        let mut buckets = Buckets::slow((1_000, 2), 9);
        assert!(buckets.take(1, Mono(0)) && buckets.take(1, Mono(0)) && !buckets.take(1, Mono(0)));
        buckets.give_back(1);
        buckets.give_back(2);
        assert_eq!(buckets.len(), 1);
        buckets.give_back(1);
        assert_eq!(buckets.len(), 0);
        assert!(buckets.take(1, Mono(0)));
    }

    #[test]
    fn keys_are_capped_and_independent() {
        let mut buckets = Buckets::new((1, 1), 2);
        assert!(buckets.take(1, Mono(0)) && !buckets.take(1, Mono(1)));
        assert!(buckets.take(2, Mono(2)) && buckets.take(3, Mono(3)));
        assert_eq!(buckets.len(), 2);
    }
}
