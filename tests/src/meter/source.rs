//! Where tunnels come from: drawn by the rules on paper, or recorded in a network of real cores. One type for both.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use sha2::{Digest, Sha256};

use super::{
    closed::Size,
    path::{Colluders, Path, Paths, Relay},
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

/// When a tunnel ends.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// Each relay goes on with this probability.
    Coins(f64),
    /// Always so many relays.
    Fixed(usize),
}

/// Who starts a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Drawn anew for each tunnel.
    Fresh,
    /// One of so many guards that the master keeps.
    Guards(usize),
}

/// Who may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// Neither the relay that chooses nor the one before it: DEUT's walk.
    NotBack,
    /// Nobody twice, and never the master: DEUT's onion path.
    NobodyTwice,
    /// Anybody, the chooser itself too: Crowds.
    Anybody,
}

/// How tunnels are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// When they end.
    pub length: Length,
    /// How they begin.
    pub first: First,
    /// How they go on.
    pub following: Following,
}

impl Rules {
    /// DEUT's random walk.
    #[must_use]
    pub const fn walk(forward: f64) -> Self {
        Self {
            length: Length::Coins(forward),
            first: First::Fresh,
            following: Following::NotBack,
        }
    }

    /// DEUT's onion path of three relays (planned, not built).
    #[must_use]
    pub const fn onion(first: First) -> Self {
        Self {
            length: Length::Fixed(3),
            first,
            following: Following::NobodyTwice,
        }
    }

    /// Crowds as PRISM's model has it.
    #[must_use]
    pub const fn crowds(forward: f64) -> Self {
        Self {
            length: Length::Coins(forward),
            first: First::Fresh,
            following: Following::Anybody,
        }
    }
}

/// From whom hops are drawn: honest relays from 0 on (0 is the master), then the attacker's.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Honest ones.
    pub honest: Relay,
    /// The attacker's.
    pub bad: Relay,
    /// P(a draw is one of the attacker's) before anybody is ruled out.
    pub share: f64,
}

impl Crowd {
    /// All alike.
    #[must_use]
    pub fn even(size: Size) -> Self {
        let bad = size.colluders as Relay;
        Self {
            honest: (size.relays - size.colluders) as Relay,
            bad,
            share: f64::from(bad) / size.relays as f64,
        }
    }

    fn draw(&self, rng: &mut StdRng) -> Relay {
        if self.bad > 0 && rng.random::<f64>() < self.share {
            self.honest + rng.random_range(0..self.bad)
        } else {
            rng.random_range(0..self.honest)
        }
    }
}

/// Draws tunnels by the rules, for ever or so many trials.
pub struct Sampler {
    rules: Rules,
    crowd: Crowd,
    linked: usize,
    trials: u64,
    rng: StdRng,
    guards: Vec<Relay>,
}

impl Sampler {
    /// `trials` times `linked` tunnels.
    #[must_use]
    pub const fn new(rules: Rules, crowd: Crowd, linked: usize, trials: u64, rng: StdRng) -> Self {
        Self {
            rules,
            crowd,
            linked,
            trials,
            rng,
            guards: Vec::new(),
        }
    }

    /// One tunnel of master 0.
    pub fn draw(&mut self, path: &mut Path) {
        path.master = 0;
        path.hops.clear();
        loop {
            let hop = self.hop(path);
            path.hops.push(hop);
            let goes_on = match self.rules.length {
                Length::Coins(forward) => self.rng.random::<f64>() < forward,
                Length::Fixed(hops) => path.hops.len() < hops,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn hop(&mut self, path: &Path) -> Relay {
        if path.hops.is_empty() && !self.guards.is_empty() {
            return self.guards[self.rng.random_range(0..self.guards.len())];
        }
        let at = path.hops.last().copied().unwrap_or(path.master);
        let before = path.hops.iter().rev().nth(1).copied();
        loop {
            let drawn = self.crowd.draw(&mut self.rng);
            let allowed = match self.rules.following {
                Following::Anybody => true,
                Following::NotBack => {
                    let back = if path.hops.len() == 1 {
                        Some(path.master)
                    } else {
                        before
                    };
                    drawn != at && Some(drawn) != back
                }
                Following::NobodyTwice => drawn != path.master && !path.hops.contains(&drawn),
            };
            if allowed {
                return drawn;
            }
        }
    }

    fn choose_guards(&mut self) {
        self.guards.clear();
        if let First::Guards(count) = self.rules.first {
            while self.guards.len() < count {
                let drawn = self.crowd.draw(&mut self.rng);
                if drawn != 0 && !self.guards.contains(&drawn) {
                    self.guards.push(drawn);
                }
            }
        }
    }
}

impl Source for Sampler {
    fn next(&mut self, trial: &mut Trial) -> bool {
        if self.trials == 0 {
            return false;
        }
        self.trials -= 1;
        trial.sample += 1;
        trial.attacker = Colluders::From(self.crowd.honest);
        self.choose_guards();
        trial.paths.resize_with(self.linked, Path::default);
        for path in &mut trial.paths {
            self.draw(path);
        }
        true
    }
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
