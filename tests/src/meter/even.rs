//! Whether recorded walks are drawn as the rules say: coins by length, next hops evenly.

use super::path::{Path, Paths};
use crate::observe::stats;

/// Lengths from here on share a cell.
const CELLS: usize = 9;

/// Goodness of fit; a small p speaks against chance.
#[derive(Clone, Copy, Debug)]
pub struct Even {
    /// p of the lengths being geometric.
    pub lengths: f64,
    /// p of every relay being drawn equally often where it may be.
    pub visits: f64,
    /// p of every distance from the relay that chooses, in the order of numbers, being equally likely.
    pub distances: f64,
    /// p of the endpoint saying nothing of the master but that it is somebody else.
    pub endpoints: f64,
    /// Hops that follow themselves or go back to the relay before: never.
    pub back: usize,
}

impl Even {
    /// The least of all p.
    #[must_use]
    pub fn least(&self) -> f64 {
        let all = [self.lengths, self.visits, self.distances, self.endpoints];
        all.into_iter().fold(1.0, f64::min)
    }
}

/// The relay that chooses, the one before it, the one chosen.
fn choices(path: &Path) -> impl Iterator<Item = (usize, Option<usize>, usize)> + '_ {
    let all: Vec<usize> = std::iter::once(path.master)
        .chain(path.hops.iter().copied())
        .map(|relay| relay as usize)
        .collect();
    (1..all.len()).map(move |i| {
        (
            all[i - 1],
            i.checked_sub(2).map(|before| all[before]),
            all[i],
        )
    })
}

fn lengths(paths: &[Path], forward: f64) -> f64 {
    let mut observed = vec![0; CELLS];
    for path in paths {
        observed[path.hops.len().clamp(1, CELLS) - 1] += 1;
    }
    let expected = stats::geometric(forward, 1_000, CELLS, paths.len() as u64);
    stats::fit(&observed, &expected)
}

/// Counts and expectations per cell, `n` cells; `cell` says where a candidate of a choice falls.
fn spread(paths: &[Path], n: usize, cell: impl Fn(usize, usize) -> usize) -> (Vec<u64>, Vec<f64>) {
    let (mut observed, mut expected) = (vec![0; n], vec![0.0; n]);
    let mut everywhere = 0.0;
    for (at, before, chosen) in paths.iter().flat_map(choices) {
        let ruled_out = [Some(at), before];
        let out = ruled_out.into_iter().flatten();
        let each = 1.0 / (n - out.clone().count()) as f64;
        everywhere += each;
        out.for_each(|relay| expected[cell(at, relay)] -= each);
        observed[cell(at, chosen)] += 1;
    }
    expected.iter_mut().for_each(|cell| *cell += everywhere);
    (observed, expected)
}

fn distance(n: usize) -> impl Fn(usize, usize) -> usize {
    move |from, to| (to + n - from) % n
}

fn endpoints(paths: &Paths) -> f64 {
    let distance = distance(paths.relays);
    let mut observed = vec![0; paths.relays];
    for path in &paths.paths {
        if let Some(endpoint) = path.endpoint() {
            observed[distance(path.master as usize, endpoint as usize)] += 1;
        }
    }
    // Walks that end at their own master are closed at once.
    stats::even(&observed[1..])
}

/// Compares recorded walks with the rules.
#[must_use]
pub fn check(paths: &Paths, forward: f64) -> Even {
    let (visits, visits_expected) = spread(&paths.paths, paths.relays, |_, to| to);
    let (mut steps, mut steps_expected) =
        spread(&paths.paths, paths.relays, distance(paths.relays));
    // Nobody chooses itself: no cell.
    let itself = steps.remove(0);
    steps_expected.remove(0);
    let back = paths.paths.iter().flat_map(choices);
    let back = back.filter(|(_, before, chosen)| *before == Some(*chosen));
    Even {
        lengths: lengths(&paths.paths, forward),
        visits: stats::fit(&visits, &visits_expected),
        distances: stats::fit(&steps, &steps_expected),
        endpoints: endpoints(paths),
        back: itself as usize + back.count(),
    }
}
