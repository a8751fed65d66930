//! What users do: publish things at the beginning, look them up, and search for points to measure recall.

use std::collections::BTreeMap;

use deut_kademlia::{Key, NodeId, Query, QueryOutcome, QueryResult, QueryTicket};
use rand::{Rng, RngExt, rngs::StdRng};

use super::{
    Lookups, SECOND, Settings,
    population::Population,
    things::{Thing, Verdict},
    truth::Truth,
};
use crate::net::Net;

/// One in so many lookups searches for a random point.
const PROBES: u32 = 4;
/// Nodes that the true neighbourhood consists of.
const WIDTH: usize = 8;
/// Nodes around a point that are written down when a search for it begins: some of them leave, and others come, before it
/// is over.
const AROUND: usize = 64;

struct Published {
    thing: Thing,
    /// It is the version that is looked up: mutable records are replaced once.
    last: bool,
    publisher: usize,
    /// In which of its lives: a node that starts again has forgotten what it published.
    life: u32,
    /// The publisher's record was taken by somebody once.
    stored: bool,
    /// When the publisher was last seen alive, µs.
    alive_at: u64,
}

impl Published {
    /// Whether it is still published.
    fn is_kept(&self, net: &Net) -> bool {
        let publisher = &net.nodes[self.publisher];
        publisher.alive && publisher.life() == self.life
    }
}

enum Kind {
    Put(usize),
    Get {
        thing: usize,
        fatherless_s: Option<u64>,
    },
    /// A search for a point, and the nodes around it when it began.
    Probe(NodeId, Vec<NodeId>),
}

#[derive(Default)]
pub(super) struct Work {
    truth: Truth,
    things: Vec<Published>,
    open: BTreeMap<QueryTicket, Kind>,
    next_us: u64,
    stopped: bool,
    pub(super) lookups: Lookups,
    /// Datagrams, bytes and time at which counting began, without lookups.
    idle: Option<(u64, u64, u64)>,
    /// Datagrams and bytes per second in the whole network without lookups.
    pub(super) idle_rates: Option<(f64, f64)>,
    /// As `idle`, with lookups.
    pub(super) busy: Option<(u64, u64, u64)>,
}

impl Work {
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Starts counting anew. Lookups that run count neither before nor afterwards.
    pub(super) fn forget(&mut self, net: &Net) {
        self.lookups = self.lookups.anew();
        self.open.retain(|_, kind| matches!(kind, Kind::Put(_)));
        if self.busy.is_some() {
            self.busy = Some((net.datagrams, net.bytes, net.now_us()));
        }
    }

    pub(super) fn advance(
        &mut self,
        net: &mut Net,
        settings: &Settings,
        population: &Population,
        rng: &mut StdRng,
    ) {
        let now = net.now_us();
        for thing in &mut self.things {
            if thing.is_kept(net) {
                thing.alive_at = now;
            }
        }
        self.publish(net, settings, population, rng);
        self.replace(net, rng);
        if self.idle.is_none() && now >= (settings.publish_at_s() + 32) * SECOND {
            self.idle = Some((net.datagrams, net.bytes, now));
        }
        if now < settings.lookups_at_s() * SECOND || self.stopped {
            return;
        }
        if self.busy.is_none() {
            self.busy = Some((net.datagrams, net.bytes, now));
            self.idle_rates = self.idle.map(|(datagrams, bytes, at)| {
                let seconds = ((now - at) as f64 / SECOND as f64).max(1.0);
                let rate = |count: u64| count as f64 / seconds;
                (rate(net.datagrams - datagrams), rate(net.bytes - bytes))
            });
            self.next_us = now;
        }
        while self.next_us <= now {
            let uniform: f64 = rng.random_range(f64::MIN_POSITIVE..1.0);
            let pause = -uniform.ln() / settings.lookups_per_s.max(1e-9);
            self.next_us += (pause * SECOND as f64) as u64;
            self.look_up(net, settings, population, rng);
        }
    }

    /// The key that Sybils gather around.
    pub(super) fn besieged(&self) -> Option<Key> {
        self.things
            .first()
            .filter(|first| first.stored)
            .map(|first| first.thing.key())
    }

    /// Spreads the publications over the 30 s after everybody settled.
    fn publish(
        &mut self,
        net: &mut Net,
        settings: &Settings,
        population: &Population,
        rng: &mut StdRng,
    ) {
        let start = settings.publish_at_s() * SECOND;
        let now = net.now_us();
        if now < start {
            return;
        }
        let all = settings.values as u64;
        let due = (all * (now - start) / (30 * SECOND) + 1).min(all) as usize;
        while self.things.len() < due {
            let Some(publisher) = somebody(net, population, rng, None) else {
                return;
            };
            let number = self.things.len();
            let thing = Thing::draw(number, rng);
            let ticket = net.query(publisher, thing.put());
            self.open.insert(ticket, Kind::Put(number));
            self.things.push(Published {
                last: !matches!(thing, Thing::Record { .. }),
                thing,
                publisher,
                life: net.nodes[publisher].life(),
                stored: false,
                alive_at: now,
            });
        }
    }

    /// Whoever published a mutable record puts a second version as soon as the first one is stored.
    fn replace(&mut self, net: &mut Net, rng: &mut StdRng) {
        for number in 0..self.things.len() {
            let published = &mut self.things[number];
            let due = published.stored && !published.last;
            if !due || !published.is_kept(net) || net.nodes[published.publisher].paused {
                continue;
            }
            published.last = true;
            if let Some(next) = published.thing.next(rng) {
                published.stored = false;
                let ticket = net.query(published.publisher, next.put());
                published.thing = next;
                self.open.insert(ticket, Kind::Put(number));
            }
        }
    }

    fn look_up(
        &mut self,
        net: &mut Net,
        settings: &Settings,
        population: &Population,
        rng: &mut StdRng,
    ) {
        if settings.sybils == 0 && rng.random_range(0..PROBES) == 0 {
            let mut target = NodeId([0; 20]);
            rng.fill_bytes(&mut target.0);
            if let Some(node) = somebody(net, population, rng, None) {
                let ticket = net.query(node, Query::FindNode { target });
                let around = self.truth.closest(net, &target, AROUND);
                self.open.insert(ticket, Kind::Probe(target, around));
            }
            return;
        }
        let stored: Vec<usize> = (0..self.things.len())
            .filter(|number| self.things[*number].stored)
            .collect();
        if stored.is_empty() {
            return;
        }
        let number = if settings.sybils > 0 {
            stored[0]
        } else {
            stored[rng.random_range(0..stored.len())]
        };
        let published = &self.things[number];
        let Some(node) = somebody(net, population, rng, Some(published.publisher)) else {
            return;
        };
        let fatherless_s =
            (!published.is_kept(net)).then(|| (net.now_us() - published.alive_at) / SECOND);
        let ticket = net.query(node, published.thing.get());
        self.open.insert(
            ticket,
            Kind::Get {
                thing: number,
                fatherless_s,
            },
        );
    }

    pub(super) fn done(
        &mut self,
        net: &Net,
        node: usize,
        ticket: QueryTicket,
        outcome: &QueryOutcome,
    ) {
        let stats = outcome.stats;
        match self.open.remove(&ticket) {
            None => {}
            Some(Kind::Put(number)) => {
                let at = match outcome.result {
                    QueryResult::Stored { at, .. } => at,
                    _ => 0,
                };
                let published = &mut self.things[number];
                published.stored = at > 0;
                if published.thing.is_first() {
                    self.lookups.published += u64::from(at > 0);
                    self.lookups.replicas += at as u64;
                }
            }
            Some(Kind::Get {
                thing,
                fatherless_s,
            }) => {
                if !net.nodes[node].alive {
                    return;
                }
                let thing = &self.things[thing].thing;
                let verdict = thing.judge(&outcome.result);
                let found = verdict == Verdict::Found;
                match fatherless_s {
                    None => self.lookups.add(thing.kind(), verdict, &stats),
                    Some(age) => self.lookups.add_fatherless(age / 3_600, found),
                }
                if !found && fatherless_s.is_none() {
                    self.lookups.missed.push((thing.key(), net.now_us(), stats));
                }
            }
            Some(Kind::Probe(target, around)) => {
                let QueryResult::Nodes(nodes) = &outcome.result else {
                    return self.lookups.add_recall((WIDTH, 0), (WIDTH, 0));
                };
                let closest = self.truth.closest(net, &target, AROUND);
                // Nobody finds whoever came after the search began.
                let there = closest.iter().filter(|id| around.contains(id));
                let found = |id: &&NodeId| nodes.iter().any(|node| node.id() == **id);
                let count = |ids: Vec<&NodeId>| {
                    let of = ids.len();
                    (of, ids.into_iter().filter(found).count())
                };
                self.lookups.add_recall(
                    count(closest.iter().take(WIDTH).collect()),
                    count(there.take(WIDTH).collect()),
                );
            }
        }
    }
}

/// A node that can look up now: alive, honest, ready, not `but`.
fn somebody(
    net: &Net,
    population: &Population,
    rng: &mut StdRng,
    but: Option<usize>,
) -> Option<usize> {
    (0..50)
        .map(|_| rng.random_range(0..net.nodes.len()))
        .find(|node| {
            let candidate = &net.nodes[*node];
            candidate.alive
                && !candidate.paused
                && Some(*node) != but
                && !population.is_hostile(*node)
                && candidate.core.readiness().ready
        })
}
