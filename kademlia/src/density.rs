//! Estimates the number of nodes in the network from what lookups saw.
use std::collections::VecDeque;

use crate::{id::NodeId, query::NetworkRange};

/// Number of lookups that are remembered.
const REMEMBERED: usize = 15;
/// With fewer lookups there is no estimate.
const ENOUGH: usize = 3;

/// The size of the network: the median over the last lookups, which one crowded neighbourhood does not move.
#[derive(Debug, Default)]
pub(crate) struct NetworkSize {
    estimates: VecDeque<u64>,
}

impl NetworkSize {
    /// A lookup estimated this size of the network.
    pub(crate) fn seen(&mut self, estimate: u64) {
        self.estimates.push_back(estimate);
        if self.estimates.len() > REMEMBERED {
            self.estimates.pop_front();
        }
    }

    /// The part of the id space around a point that should hold `width` nodes; 0.0 while too little is known.
    pub(crate) fn region(&self, width: usize) -> f64 {
        let mut sorted: Vec<u64> = self.estimates.iter().copied().collect();
        sorted.sort_unstable();
        match sorted.get(sorted.len() / 2) {
            Some(median) if sorted.len() >= ENOUGH => {
                (width as f64 / (*median as f64 + 1.0)).min(1.0)
            }
            _ => 0.0,
        }
    }
}

/// Number of targets that are remembered.
const TARGETS: usize = 32;

/// The density of the network around one point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Density {
    pub(crate) target: NodeId,
    /// Number of the closest nodes that answered.
    pub(crate) nodes: u32,
    /// The part of the id space up to the last of them.
    pub(crate) within: f64,
}

/// The size to show to users, from all the points that lookups went to lately, each counted once. A crowded neighbourhood adds its
/// nodes but next to no space, so it hardly counts.
#[derive(Debug, Default)]
pub(crate) struct Densities(VecDeque<Density>);

impl Densities {
    /// Adds the result of a lookup.
    pub(crate) fn seen(&mut self, density: Density) {
        self.0.retain(|known| known.target != density.target);
        self.0.push_back(density);
        if self.0.len() > TARGETS {
            self.0.pop_front();
        }
    }

    /// The estimate with its range, two standard deviations each way. It is at least `answered`, the number of nodes that answered
    /// lately. A lookup that fewer than `width` nodes answered has seen all nodes.
    pub(crate) fn estimate(&self, width: usize, answered: u64) -> Option<NetworkRange> {
        let last = self.0.back()?;
        if (last.nodes as usize) < width {
            let about = answered.max(u64::from(last.nodes));
            return Some(NetworkRange::exactly(about));
        }
        let nodes: f64 = self.0.iter().map(|density| f64::from(density.nodes)).sum();
        let space: f64 = self.0.iter().map(|density| density.within).sum();
        let estimate = ((nodes - 1.0) / space.max(f64::MIN_POSITIVE)).max(answered as f64);
        // A node that several lookups met must not count twice.
        let spread = 2.0 / nodes.min(estimate).max(1.0).sqrt();
        // `as` saturates, which is what a hostile set of ids deserves.
        let least = (estimate * (1.0 - spread)).round() as u64;
        Some(NetworkRange {
            about: estimate.round() as u64,
            least: least.max(answered),
            most: (estimate * (1.0 + spread)).round() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The estimate for a network of this size after lookups for this many points.
    fn told(size: u32, lookups: u8, answered: u64) -> NetworkRange {
        let mut densities = Densities::default();
        for number in 0..lookups {
            let target = NodeId::hash_of(&[number]);
            let node = |node: u32| NodeId::hash_of(&node.to_be_bytes());
            let mut distances: Vec<f64> = (0..size)
                .map(|number| target.distance(&node(number)).fraction())
                .collect();
            distances.sort_by(f64::total_cmp);
            let within = distances[7];
            densities.seen(Density {
                target,
                nodes: 8,
                within,
            });
        }
        densities.estimate(8, answered).expect("seen")
    }

    #[test]
    fn the_size_is_told_with_its_range_and_more_lookups_make_it_better() {
        for size in [12, 100, 1_000] {
            for lookups in [8, 16, 32] {
                let told = told(size, lookups, 8);
                let size = u64::from(size);
                assert!((told.least..=told.most).contains(&size), "{size}: {told:?}");
                assert!(told.least <= told.about && told.about <= told.most);
            }
            let (few, many) = (told(size, 2, 8), told(size, 32, 8));
            let width = |told: NetworkRange| (told.most - told.least) as f64 / told.about as f64;
            assert!(size == 12 || width(many) < width(few), "{few:?} {many:?}");
        }
    }

    #[test]
    fn there_are_as_many_as_answered_at_least() {
        let told = told(12, 3, 40);
        assert!(told.least >= 40 && told.about >= 40, "{told:?}");
    }

    #[test]
    fn one_point_counts_once_and_a_crowded_one_hardly() {
        let honest = |number: u8| Density {
            target: NodeId([number; 20]),
            nodes: 8,
            within: 0.08,
        };
        let crowded = Density {
            target: NodeId([200; 20]),
            nodes: 8,
            within: 1e-12,
        };
        let mut densities = Densities::default();
        (0..15).for_each(|number| densities.seen(honest(number)));
        (0..100).for_each(|_| densities.seen(crowded));
        let told = densities.estimate(8, 8).expect("seen");
        assert!((90..=120).contains(&told.about), "{told:?}");
        assert_eq!(densities.0.len(), 16);
        let all_there_are = Density {
            nodes: 3,
            ..honest(99)
        };
        densities.seen(all_there_are);
        assert_eq!(densities.estimate(8, 3), Some(NetworkRange::exactly(3)));
    }

    #[test]
    fn the_median_counts_and_only_from_three_on() {
        let mut size = NetworkSize::default();
        size.seen(999);
        size.seen(999);
        assert_eq!(size.region(8), 0.0);
        size.seen(1_000_000);
        assert!((size.region(8) - 0.008).abs() < 1e-12);
        (0..REMEMBERED).for_each(|_| size.seen(99));
        assert!((size.region(8) - 0.08).abs() < 1e-12);
        assert_eq!(size.estimates.len(), REMEMBERED);
    }
}
