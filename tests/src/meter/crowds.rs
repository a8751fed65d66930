//! PRISM's Crowds: sixteen published probabilities that nobody here computed, for the same sampler and estimators.
//!
//! Source: the benchmark `models/dtmcs/crowds` of prism-benchmarks, property "the adversary observes the real sender
//! more than once", with forwarding probability 0.8 and a bad choice with probability 0.091.

use super::{
    closed::{crowds_seen, crowds_seen_twice},
    estimate::{Estimate, Ratio},
    sampler::{Crowd, Rules, Sampler},
    source::{Source, Trial, generator},
};

/// Forwarding probability.
pub const FORWARD: f64 = 0.8;
/// P(a choice falls on the adversary).
pub const BAD: f64 = 0.091;
/// Honest members: the columns.
pub const MEMBERS: [u32; 4] = [5, 10, 15, 20];
/// Path re-formations and, for each size of the crowd, the published probability.
pub const PUBLISHED: [(usize, [f64; 4]); 4] = [
    (
        3,
        [
            0.052_962_534_9,
            0.036_790_811_3,
            0.031_995_504_7,
            0.029_713_032_7,
        ],
    ),
    (
        4,
        [
            0.096_199_230_5,
            0.067_986_544_7,
            0.059_462_960_7,
            0.055_378_074_4,
        ],
    ),
    (
        5,
        [
            0.145_805_236_5,
            0.104_786_788_0,
            0.092_161_251_4,
            0.086_069_053_8,
        ],
    ),
    (
        6,
        [
            0.199_161_733_3,
            0.145_485_199_6,
            0.128_653_694_2,
            0.120_476_369_7,
        ],
    ),
];

/// One of the sixteen.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Path re-formations.
    pub runs: usize,
    /// Honest members.
    pub members: u32,
    /// As published.
    pub published: f64,
    /// Drawn, with the closed form.
    pub drawn: Estimate,
}

/// P(the real sender is seen more than once in `runs` paths), drawn `trials` times.
#[must_use]
pub fn seen_twice(rules: Rules, members: u32, runs: usize, trials: u64, seed: u64) -> Estimate {
    let crowd = Crowd {
        honest: members,
        bad: 1,
        share: BAD,
    };
    let rng = generator(seed, "crowds", f64::from(members), runs);
    let mut source = Sampler::new(rules, crowd, runs, trials, rng);
    let (mut trial, mut ratio) = (Trial::new(), Ratio::default());
    while source.next(&mut trial) {
        let seen = |path: &&super::path::Path| {
            path.capture(&trial.attacker)
                .is_some_and(|capture| capture.predecessor == path.master)
        };
        ratio.count(trial.sample, trial.paths.iter().filter(seen).count() > 1);
    }
    let p = crowds_seen(FORWARD, BAD, members as usize);
    ratio.estimate().against(crowds_seen_twice(p, runs))
}

/// All sixteen.
#[must_use]
pub fn table(trials: u64, seed: u64) -> Vec<Cell> {
    let cells = PUBLISHED
        .iter()
        .flat_map(|(runs, row)| MEMBERS.iter().zip(row).map(move |cell| (*runs, cell)));
    cells
        .map(|(runs, (&members, &published))| Cell {
            runs,
            members,
            published,
            drawn: seen_twice(Rules::crowds(FORWARD), members, runs, trials, seed),
        })
        .collect()
}
