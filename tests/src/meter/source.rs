//! Where tunnels come from: drawn by the rules on paper, or recorded in a network of real cores. One type for both.

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use sha2::{Digest, Sha256};

use super::{
    closed::Size,
    path::{Colluders, Path, Paths, Relay},
    sampler::{Crowd, Rules, Sampler},
};

/// Some tunnels that belong together, and one attacker.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Trials of the same number share their tunnels and are one sample.
    pub sample: u64,
    /// Of one master.
    pub paths: Vec<Path>,
    /// Never owns the master.
    pub attacker: Colluders,
}

impl Trial {
    /// A trial to be filled.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sample: 0,
            paths: Vec::new(),
            attacker: Colluders::From(Relay::MAX),
        }
    }
}

impl Default for Trial {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives one trial after the other.
pub trait Source {
    /// The next trial; `false` if there is none.
    fn next(&mut self, trial: &mut Trial) -> bool;
}

/// A network whose tunnels can be put under an attacker of any size.
pub trait Network {
    /// Relays in it.
    fn relays(&self) -> usize;

    /// `None` if there are too few tunnels to speak of: `linked` of one master per trial, an attacker with share `c`.
    fn source(&self, c: f64, linked: usize, seed: u64) -> Option<Box<dyn Source + '_>>;
}

/// A generator for this purpose: same seed and words, same draws.
#[must_use]
pub fn generator(seed: u64, purpose: &str, c: f64, linked: usize) -> StdRng {
    let text = format!("deut meter: {seed} {purpose} {c} {linked}");
    StdRng::from_seed(Sha256::digest(text).into())
}

/// A network on paper.
#[derive(Clone, Copy, Debug)]
pub struct OnPaper {
    /// How tunnels are drawn.
    pub rules: Rules,
    /// Relays in it.
    pub relays: usize,
    /// Tunnels drawn for each figure.
    pub samples: u64,
}

impl Network for OnPaper {
    fn relays(&self) -> usize {
        self.relays
    }

    fn source(&self, c: f64, linked: usize, seed: u64) -> Option<Box<dyn Source + '_>> {
        let crowd = Crowd::even(Size::of(self.relays, c));
        let trials = self.samples / linked as u64;
        let purpose = format!("paper {:?}", self.rules);
        let rng = generator(seed, &purpose, c, linked);
        (trials >= FEWEST)
            .then(|| Box::new(Sampler::new(self.rules, crowd, linked, trials, rng)) as _)
    }
}

/// Fewer samples are not worth a figure.
pub const FEWEST: u64 = 30;
/// Attackers drawn for each group of recorded tunnels.
const ATTACKERS: usize = 16;

/// Recorded tunnels, each group under several attackers drawn at random.
struct Replay<'a> {
    groups: Vec<&'a [Path]>,
    colluders: usize,
    order: Vec<Relay>,
    at: usize,
    rng: StdRng,
}

impl Network for Paths {
    fn relays(&self) -> usize {
        self.relays
    }

    fn source(&self, c: f64, linked: usize, seed: u64) -> Option<Box<dyn Source + '_>> {
        let groups: Vec<&[Path]> = self.groups(linked).collect();
        let replay = Replay {
            colluders: Size::of(self.relays, c).colluders,
            order: (0..self.relays as Relay).collect(),
            at: 0,
            rng: generator(seed, "recorded", c, linked),
            groups,
        };
        (replay.groups.len() as u64 >= FEWEST).then(|| Box::new(replay) as _)
    }
}

impl Source for Replay<'_> {
    fn next(&mut self, trial: &mut Trial) -> bool {
        let group = self.at / ATTACKERS;
        let Some(paths) = self.groups.get(group) else {
            return false;
        };
        self.at += 1;
        trial.sample = group as u64;
        trial.paths.clear();
        trial.paths.extend_from_slice(paths);
        let master = paths.first().map(|path| path.master);
        let (drawn, _) = self
            .order
            .partial_shuffle(&mut self.rng, self.colluders + 1);
        let others: Vec<Relay> = drawn
            .iter()
            .copied()
            .filter(|relay| Some(*relay) != master)
            .take(self.colluders)
            .collect();
        trial.attacker = Colluders::these(self.order.len(), &others);
        true
    }
}
