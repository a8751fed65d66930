//! Nodes that their operating system stops for some seconds now and then, as overloaded machines and lids that close do.

use std::ops::RangeInclusive;

use rand::{RngExt, rngs::StdRng};

use super::SECOND;
use crate::net::Net;

/// How long one pause lasts, seconds.
const LENGTH_S: RangeInclusive<u64> = 5..=30;

/// Things that happen at random, independent of each other, so many per second on average.
#[derive(Default)]
pub(super) struct Chances {
    next_us: Option<u64>,
}

impl Chances {
    /// How often it happened since the last call.
    pub(super) fn due(&mut self, now_us: u64, per_second: f64, rng: &mut StdRng) -> usize {
        let mut pause = || {
            let uniform: f64 = rng.random_range(f64::MIN_POSITIVE..1.0);
            (-uniform.ln() / per_second * SECOND as f64) as u64
        };
        let mut next = match self.next_us {
            Some(at) => at,
            None => now_us + pause(),
        };
        let mut times = 0;
        while next <= now_us {
            times += 1;
            next += pause();
        }
        self.next_us = Some(next);
        times
    }
}

/// Who stands still.
#[derive(Default)]
pub(super) struct Pauses {
    chances: Chances,
    /// Until when, and who.
    stopped: Vec<(u64, usize)>,
    /// Pauses up to now.
    pub(super) count: u64,
}

impl Pauses {
    /// Lets those go on whose time is over, and stops others of `nodes`, so that this part of them stands still, out of 100.
    pub(super) fn advance(
        &mut self,
        net: &mut Net,
        nodes: &[usize],
        percent: u32,
        rng: &mut StdRng,
    ) {
        let now = net.now_us();
        self.stopped.retain(|(until, node)| {
            // It may have died meanwhile, or died and started again.
            if *until <= now && net.nodes[*node].alive && net.nodes[*node].paused {
                net.resume(*node);
            }
            *until > now
        });
        let mean_s = (LENGTH_S.start() + LENGTH_S.end()) as f64 / 2.0;
        let rate = f64::from(percent) / 100.0 * nodes.len() as f64 / mean_s;
        if rate <= 0.0 {
            return;
        }
        for _ in 0..self.chances.due(now, rate, rng) {
            let node = nodes[rng.random_range(0..nodes.len())];
            if net.nodes[node].paused {
                continue;
            }
            net.pause(node);
            self.count += 1;
            let length = rng.random_range(LENGTH_S) * SECOND;
            self.stopped.push((now + length, node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_in::StandIn;
    use rand::SeedableRng;
    use std::sync::Arc;

    #[test]
    fn the_wished_part_stands_still_and_each_goes_on() {
        let mut net = Net::of_relays(1, Arc::new(StandIn), 40, |_| {});
        let nodes: Vec<usize> = (3..40).collect();
        let (mut pauses, mut rng) = (Pauses::default(), StdRng::seed_from_u64(1));
        let (mut standing, mut looks) = (0, 0);
        // A wire that loses everything: only the pauses are of interest.
        net.wire.loss_per_mille = 1_000;
        for second in 0..600 {
            pauses.advance(&mut net, &nodes, 20, &mut rng);
            net.run(SECOND);
            if second > 60 {
                standing += net.nodes.iter().filter(|node| node.paused).count();
                looks += nodes.len();
            }
        }
        let part = standing as f64 / looks as f64;
        assert!((0.14..0.24).contains(&part), "{part}");
        assert!(net.nodes[..3].iter().all(|node| !node.paused));
        for _ in 0..40 {
            pauses.advance(&mut net, &nodes, 0, &mut rng);
            net.run(SECOND);
        }
        assert!(net.nodes.iter().all(|node| !node.paused));
    }
}
