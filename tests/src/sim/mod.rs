//! A whole network in virtual time: a population that joins, looks up, leaves and misbehaves, and what came of it.
//!
//! Everything follows from [`Settings`], the seed included: the same settings give the same trace.

mod anonymity;
mod lookups;
mod pauses;
mod population;
mod report;
mod settings;
mod things;
mod truth;
mod window;
mod work;

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};

pub use anonymity::Anonymity;
pub use lookups::{Counts, Lookups};
pub use report::{OF_FIRST_RUN, Report};
pub use settings::{Change, Crypto, Settings};
pub use window::Window;

use crate::{
    hostile::Deeds,
    meter::Recorder,
    net::{Keep, Net, Suites, Wire},
    stand_in::Pooled,
};
use population::Population;
use work::Work;

const SECOND: u64 = 1_000_000;
/// The network moves in slices of this length between looks at it, µs.
const SLICE: u64 = 100_000;

/// One run.
pub struct Simulation {
    /// What was asked for.
    pub settings: Settings,
    /// The nodes and the wires.
    pub net: Net,
    rng: StdRng,
    population: Population,
    work: Work,
    memory_before: u64,
    recorder: Option<Recorder>,
    besieged: bool,
}

impl Simulation {
    /// An empty network.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let suites = match settings.crypto {
            Crypto::Real => Suites::from(Arc::new(Pooled::new(64))),
            Crypto::StandIn => Suites::stand_in(),
        };
        let memory_before = report::resident();
        let mut net = Net::new(settings.seed, suites);
        net.keep = Keep::Outcomes;
        net.bootstrap = population::PERMANENT;
        let skew = i64::from(settings.skew_s);
        net.skew = -skew..=skew;
        net.wire = Wire {
            delay_us: settings.latency_ms * 1_000,
            jitter_us: settings.jitter_ms * 1_000,
            loss_per_mille: settings.loss_per_mille,
            duplicate_per_mille: settings.duplicate_per_mille,
            reorder_per_mille: settings.reorder_per_mille,
            spread: true,
            rate: settings.rate,
        };
        Self {
            net,
            rng: StdRng::seed_from_u64(settings.seed ^ 0x5157),
            population: Population::new(&settings),
            work: Work::default(),
            memory_before,
            recorder: None,
            besieged: false,
            settings,
        }
    }

    /// Seconds since the start.
    #[must_use]
    pub const fn seconds(&self) -> u64 {
        self.net.now_us() / SECOND
    }

    /// Runs for so long; nodes join, leave and look up as the settings say.
    pub fn run(&mut self, seconds: u64) {
        let until = self.net.now_us() + seconds * SECOND;
        while self.net.now_us() < until {
            self.population
                .advance(&mut self.net, &self.settings, &mut self.rng);
            self.work.advance(
                &mut self.net,
                &self.settings,
                &self.population,
                &mut self.rng,
            );
            self.besiege();
            if self.settings.anonymity
                && self.recorder.is_none()
                && self.seconds() > self.settings.join_s + 1
            {
                self.recorder = Some(Recorder::attach(&mut self.net));
            }
            self.net.run(SLICE.min(until - self.net.now_us()));
            for (node, ticket, outcome) in self.net.take_done() {
                self.work.done(&self.net, node, ticket, &outcome);
            }
        }
    }

    /// Sybils come ten seconds before the last publication has had its minute.
    fn besiege(&mut self) {
        let due = self.seconds() + 20 > self.settings.lookups_at_s();
        if self.settings.sybils == 0 || self.besieged || !due {
            return;
        }
        if let Some(key) = self.work.besieged() {
            self.besieged = true;
            self.population
                .gather(&mut self.net, &self.settings, &key, &mut self.rng);
        }
    }

    /// Runs the whole of it: everybody joins, values are published, lookups are made, until the end.
    pub fn run_all(&mut self, mut tell: impl FnMut(&Self)) {
        while self.seconds() < self.settings.duration_s {
            let left = self.settings.duration_s - self.seconds();
            self.run(left.min(60));
            tell(self);
        }
        self.finish();
    }

    /// Waits for the lookups that run; none is started any more.
    pub fn finish(&mut self) {
        self.work.stop();
        self.run(15);
    }

    /// Lookups up to now.
    #[must_use]
    pub const fn lookups(&self) -> &Lookups {
        &self.work.lookups
    }

    /// All nodes that are alive.
    #[must_use]
    pub fn alive(&self) -> Vec<usize> {
        self.population.alive(&self.net)
    }

    /// The hostile nodes, in order.
    #[must_use]
    pub fn hostile(&self) -> &[usize] {
        self.population.hostile()
    }

    /// What the hostile relayers did up to now.
    #[must_use]
    pub fn deeds(&self) -> Deeds {
        self.population.deeds(&self.net)
    }

    /// The walks since all have joined, where they are recorded.
    #[must_use]
    pub const fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Kills this share of the nodes, out of 100, at one instant; bootstrap nodes stay.
    pub fn crash(&mut self, percent: u32) -> usize {
        self.population.crash(&mut self.net, percent, &mut self.rng)
    }

    /// Puts half of the nodes on the other side of a cut.
    pub fn cut(&mut self, on: bool) {
        self.net.cut = on;
        for (index, node) in self.net.nodes.iter_mut().enumerate() {
            node.side = u8::from(on && index % 2 == 1);
        }
    }

    /// Starts counting lookups anew; lookups that run are not counted, and what is published stays counted.
    pub fn count_from_here(&mut self) {
        self.work.forget(&self.net);
    }

    /// What came of it up to now.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(self)
    }
}
