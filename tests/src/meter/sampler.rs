//! Draws tunnels by the rules, on paper.

use rand::{RngExt, rngs::StdRng};

use super::{
    closed::Size,
    path::{Colluders, Path, Relay},
    source::{Source, Trial},
};

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
