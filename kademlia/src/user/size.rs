//! How many nodes the network has, from what lookups saw.
use std::collections::VecDeque;

/// Lookups that are remembered.
const REMEMBERED: usize = 15;
/// Fewer say nothing.
const ENOUGH: usize = 3;

/// The median over the last lookups: one crowded neighbourhood does not move it.
#[derive(Debug, Default)]
pub(super) struct NetworkSize {
    estimates: VecDeque<u64>,
}

impl NetworkSize {
    /// A lookup saw a network of this size.
    pub(super) fn seen(&mut self, estimate: u64) {
        self.estimates.push_back(estimate);
        if self.estimates.len() > REMEMBERED {
            self.estimates.pop_front();
        }
    }

    /// The part of the space around a point that should hold `width` nodes; 0.0 while too little is known.
    pub(super) fn region(&self, width: usize) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

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
