//! What lies between two nodes: delay, jitter, loss, duplicates, disorder, a rate, cuts.

use std::net::IpAddr;

use rand::{RngExt, rngs::StdRng};

/// What the wire does to datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wire {
    /// One-way delay, µs; with `spread` the mean over all pairs.
    pub delay_us: u64,
    /// Added to each datagram at random, up to, µs.
    pub jitter_us: u64,
    /// Lost out of 1,000.
    pub loss_per_mille: u32,
    /// Delivered twice out of 1,000.
    pub duplicate_per_mille: u32,
    /// Held back by up to four delays, so that later ones overtake it, out of 1,000.
    pub reorder_per_mille: u32,
    /// Each pair of nodes has a delay of its own: a quarter of the mean plus an exponential part, the same both ways.
    pub spread: bool,
    /// Bytes per second that one node can send; 0: any number.
    pub rate: u64,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            delay_us: 1_000,
            jitter_us: 500,
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            reorder_per_mille: 0,
            spread: false,
            rate: 0,
        }
    }
}

/// A sender's queue holds what it can send in this time; more is lost.
const QUEUE_US: u64 = 200_000;

impl Wire {
    /// When the copies of a datagram arrive; none: lost.
    pub(super) fn arrivals(
        &self,
        rng: &mut StdRng,
        (from, to): (IpAddr, IpAddr),
        now: u64,
    ) -> Vec<u64> {
        let copies = if chance(rng, self.loss_per_mille) {
            0
        } else {
            1 + usize::from(chance(rng, self.duplicate_per_mille))
        };
        let base = self.between(from, to);
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut delay = base + rng.random_range(0..=self.jitter_us);
            if chance(rng, self.reorder_per_mille) {
                delay += rng.random_range(0..=4 * base);
            }
            arrivals.push(now + delay);
        }
        arrivals
    }

    /// The delay of a pair, µs, without jitter.
    #[must_use]
    pub fn between(&self, one: IpAddr, other: IpAddr) -> u64 {
        if !self.spread {
            return self.delay_us;
        }
        let mut pair = super::trace::Trace::default();
        for ip in [one.min(other), one.max(other)] {
            pair.add(match ip {
                IpAddr::V4(v4) => u64::from(v4.to_bits()),
                IpAddr::V6(v6) => v6.to_bits() as u64,
            });
        }
        pair.add(0);
        let uniform = ((pair.value() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        (self.delay_us as f64 * (0.25 - 0.75 * uniform.ln())) as u64
    }

    /// When a datagram leaves a sender that is busy until `free`; `None`: its queue is full.
    pub(super) fn leaves(&self, now: u64, free: &mut u64, bytes: usize) -> Option<u64> {
        if self.rate == 0 {
            return Some(now);
        }
        let start = now.max(*free);
        if start > now + QUEUE_US {
            return None;
        }
        *free = start + bytes as u64 * 1_000_000 / self.rate;
        Some(*free)
    }
}

fn chance(rng: &mut StdRng, per_mille: u32) -> bool {
    per_mille > 0 && rng.random_range(0..1_000) < per_mille
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::net::Ipv4Addr;

    fn ip(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn delays_of_pairs_are_symmetric_and_spread_around_their_mean() {
        let wire = Wire {
            delay_us: 10_000,
            spread: true,
            ..Wire::default()
        };
        let all: Vec<u64> = (0..4_000).map(|n| wire.between(ip(n), ip(9_999))).collect();
        let mean = all.iter().sum::<u64>() / 4_000;
        assert!((9_500..10_500).contains(&mean), "{mean}");
        assert!(all.iter().any(|us| *us < 3_500) && all.iter().any(|us| *us > 30_000));
        assert_eq!(wire.between(ip(1), ip(2)), wire.between(ip(2), ip(1)));
    }

    #[test]
    fn loss_and_duplicates_are_as_frequent_as_said() {
        let wire = Wire {
            loss_per_mille: 100,
            duplicate_per_mille: 200,
            ..Wire::default()
        };
        let mut rng = StdRng::seed_from_u64(1);
        let mut copies = [0; 3];
        for _ in 0..10_000 {
            copies[wire.arrivals(&mut rng, (ip(1), ip(2)), 0).len()] += 1;
        }
        assert!((900..1_100).contains(&copies[0]), "{copies:?}");
        assert!((1_650..1_950).contains(&copies[2]), "{copies:?}");
    }

    #[test]
    fn some_are_overtaken_and_with_no_disorder_none() {
        let overtaken = |reorder_per_mille| {
            let wire = Wire {
                jitter_us: 0,
                reorder_per_mille,
                ..Wire::default()
            };
            let mut rng = StdRng::seed_from_u64(1);
            let all: Vec<u64> = (0..1_000)
                .flat_map(|at| wire.arrivals(&mut rng, (ip(1), ip(2)), at))
                .collect();
            all.windows(2).filter(|pair| pair[0] > pair[1]).count()
        };
        assert_eq!(overtaken(0), 0);
        assert!(overtaken(100) > 50);
    }

    #[test]
    fn a_rate_delays_and_then_loses() {
        let wire = Wire {
            rate: 100_000,
            ..Wire::default()
        };
        let mut free = 0;
        let leaves: Vec<_> = (0..30).map(|_| wire.leaves(0, &mut free, 1_000)).collect();
        assert_eq!(leaves[..2], [Some(10_000), Some(20_000)]);
        assert_eq!(leaves.iter().flatten().count(), 21);
        assert!(wire.leaves(1_000_000, &mut free, 1_000).is_some());
    }
}
