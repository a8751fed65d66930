//! Who is there: joining, leaving, crashing, being replaced.

use std::ops::RangeInclusive;

use deut::core::CoreInput;
use deut_kademlia::{NodeId, PersonaSecret};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use super::{
    SECOND, Settings,
    pauses::{Chances, Pauses},
};
use crate::{
    hostile::{Conspiracy, Deeds, Kind},
    net::{Mapping, Net},
};

/// The first nodes stay for ever: newcomers join through them.
pub(super) const PERMANENT: usize = 3;
/// Out of 100 that leave so many crash without a word.
const CRASH_PERCENT: u32 = 80;
/// How long a dead contact stays in tables on average, seconds: half a contact's life until it is asked, and three
/// failures. Gives the rate of crashes for a wished share of dead contacts.
const DEAD_CONTACT_S: f64 = 150.0;
/// How long those are away that come back, seconds.
const AWAY_S: RangeInclusive<u64> = 20..=300;

/// The nodes that are to be there.
#[derive(Default)]
pub(super) struct Population {
    joined: usize,
    deaths: Chances,
    /// Nodes that left.
    pub(super) left: usize,
    /// Those that will come back, and when.
    away: Vec<(u64, usize)>,
    /// Those that came back.
    pub(super) returned: usize,
    pub(super) pauses: Pauses,
    hostile: Vec<usize>,
    conspiracy: Conspiracy,
    refresh_us: u64,
}

impl Population {
    pub(super) fn new(_settings: &Settings) -> Self {
        Self::default()
    }

    pub(super) fn alive(&self, net: &Net) -> Vec<usize> {
        (0..net.nodes.len())
            .filter(|index| net.nodes[*index].alive)
            .collect()
    }

    pub(super) fn hostile(&self) -> &[usize] {
        &self.hostile
    }

    pub(super) fn deeds(&self, net: &Net) -> Deeds {
        self.conspiracy.deeds(net)
    }

    pub(super) fn is_hostile(&self, node: usize) -> bool {
        self.hostile.binary_search(&node).is_ok()
    }

    pub(super) fn advance(&mut self, net: &mut Net, settings: &Settings, rng: &mut StdRng) {
        let all = settings.nodes + settings.clients();
        let span = settings.join_s * SECOND;
        while self.joined < all {
            let due = span * self.joined as u64 / all as u64;
            if due > net.now_us() {
                break;
            }
            self.joined += 1;
            // Clients come last.
            let mapping = (self.joined > settings.nodes).then(|| {
                if rng.random() {
                    Mapping::Symmetric
                } else {
                    Mapping::EndpointIndependent
                }
            });
            self.add(net, settings, mapping, rng);
        }
        if net.now_us() >= settings.publish_at_s() * SECOND {
            self.churn(net, settings, rng);
            self.come_back(net, settings, rng);
            if settings.pause_percent > 0 {
                let mortal = Self::mortal(net);
                self.pauses
                    .advance(net, &mortal, settings.pause_percent, rng);
            }
        }
        if !self.hostile.is_empty() && self.refresh_us <= net.now_us() {
            self.refresh_us = net.now_us() + 20 * SECOND;
            self.conspiracy
                .refresh(net, &self.hostile, Self::kind(settings));
        }
    }

    fn kind(settings: &Settings) -> Kind {
        if settings.sybils > 0 {
            Kind::OnlySybils
        } else {
            settings.hostile
        }
    }

    /// A relay, or a client behind a translator that maps like this.
    fn add(
        &mut self,
        net: &mut Net,
        settings: &Settings,
        mapping: Option<Mapping>,
        rng: &mut StdRng,
    ) {
        if let Some(mapping) = mapping {
            net.add_behind_nat(mapping, |config| settings.configure(config));
            return;
        }
        let node = net.add_relay(|config| settings.configure(config));
        if node >= PERMANENT && rng.random_range(0..100) < settings.hostile_percent {
            self.hostile.push(node);
            self.conspiracy.corrupt(net, node, settings.hostile, rng);
        }
    }

    /// Deaths per second in the whole network.
    fn rate(settings: &Settings) -> f64 {
        let median = |session: u64| std::f64::consts::LN_2 / session as f64;
        let churn = if settings.session_s > 0 {
            median(settings.session_s)
        } else {
            0.0
        };
        let dead = f64::from(settings.dead_percent) / 100.0;
        (churn + dead / DEAD_CONTACT_S) * (settings.nodes + settings.clients()) as f64
    }

    fn churn(&mut self, net: &mut Net, settings: &Settings, rng: &mut StdRng) {
        let rate = Self::rate(settings);
        if rate <= 0.0 {
            return;
        }
        for _ in 0..self.deaths.due(net.now_us(), rate, rng) {
            self.one_leaves(net, settings, rng);
        }
    }

    fn mortal(net: &Net) -> Vec<usize> {
        (PERMANENT..net.nodes.len())
            .filter(|index| net.nodes[*index].alive)
            .collect()
    }

    /// It comes back after a while, or another of its sort takes its place at once.
    fn one_leaves(&mut self, net: &mut Net, settings: &Settings, rng: &mut StdRng) {
        let mortal = Self::mortal(net);
        if mortal.is_empty() {
            return;
        }
        let node = mortal[rng.random_range(0..mortal.len())];
        let mapping = net.nodes[node].mapping();
        if rng.random_range(0..100) >= CRASH_PERCENT && !net.nodes[node].paused {
            net.leave(node);
        }
        self.left += 1;
        if rng.random_range(0..100) < settings.restart_percent {
            net.kill(node);
            let away = rng.random_range(AWAY_S) * SECOND;
            self.away.push((net.now_us() + away, node));
        } else {
            net.bury(node);
            self.add(net, settings, mapping, rng);
        }
    }

    fn come_back(&mut self, net: &mut Net, settings: &Settings, rng: &mut StdRng) {
        let now = net.now_us();
        let due: Vec<usize> = self
            .away
            .extract_if(.., |(at, _)| *at <= now)
            .map(|(_, node)| node)
            .collect();
        for node in due {
            net.restart(node);
            self.returned += 1;
            if self.is_hostile(node) {
                self.conspiracy
                    .corrupt(net, node, Self::kind(settings), rng);
            }
        }
    }

    /// Nodes whose personas are closer to a key than honest ones, found by trying.
    pub(super) fn gather(
        &mut self,
        net: &mut Net,
        settings: &Settings,
        key: &NodeId,
        rng: &mut StdRng,
    ) {
        // Four bits closer than the closest of so many nodes are expected to be.
        let bits = settings.nodes.ilog2() + 4;
        for _ in 0..settings.sybils {
            let seed = loop {
                let seed: [u8; 32] = rng.random();
                if key
                    .distance(&PersonaSecret::from_seed(&seed).id())
                    .shared_bits()
                    >= bits
                {
                    break seed;
                }
            };
            let node = net.add_relay(|config| settings.configure(config));
            let now = net.now();
            net.nodes[node].core.set_persona_seed(now, seed);
            net.input(node, CoreInput::Timeout);
            self.hostile.push(node);
            self.conspiracy.corrupt(net, node, Kind::OnlySybils, rng);
        }
        self.refresh_us = 0;
    }

    pub(super) fn crash(&mut self, net: &mut Net, percent: u32, rng: &mut StdRng) -> usize {
        let mut mortal = Self::mortal(net);
        mortal.shuffle(rng);
        let count = mortal.len() * percent as usize / 100;
        for &node in &mortal[..count] {
            net.bury(node);
            self.left += 1;
        }
        count
    }
}
