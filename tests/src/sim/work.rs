//! What users do: publish values at the beginning, look them up, and search for points to measure recall.

use std::collections::BTreeMap;

use deut_kademlia::{Key, NodeId, Query, QueryOutcome, QueryResult, QueryTicket};
use rand::{Rng, RngExt, rngs::StdRng};

use super::{SECOND, Settings, population::Population, report::Lookups, truth::Truth};
use crate::net::Net;

/// One in so many lookups searches for a random point.
const PROBES: u32 = 4;
/// Nodes that the true neighbourhood consists of.
const WIDTH: usize = 8;

struct Value {
    bytes: Vec<u8>,
    key: Key,
    publisher: usize,
    /// The publisher's record was taken by somebody once.
    stored: bool,
    /// When the publisher was last seen alive, µs.
    alive_at: u64,
}

enum Kind {
    Put(usize),
    Get {
        value: usize,
        fatherless_s: Option<u64>,
    },
    Probe(NodeId),
}

#[derive(Default)]
pub(super) struct Work {
    values: Vec<Value>,
    open: BTreeMap<QueryTicket, Kind>,
    next_us: u64,
    stopped: bool,
    pub(super) lookups: Lookups,
    /// Datagrams, bytes and time at which counting began, without and with lookups.
    pub(super) idle: Option<(u64, u64, u64)>,
    pub(super) busy: Option<(u64, u64, u64)>,
}

impl Work {
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn forget(&mut self, net: &Net) {
        self.lookups = Lookups::default();
        self.busy = Some((net.datagrams, net.bytes, net.now_us()));
    }

    pub(super) fn advance(
        &mut self,
        net: &mut Net,
        settings: &Settings,
        population: &Population,
        rng: &mut StdRng,
    ) {
        let now = net.now_us();
        for value in &mut self.values {
            if net.nodes[value.publisher].alive {
                value.alive_at = now;
            }
        }
        self.publish(net, settings, population, rng);
        if self.idle.is_none() && now >= (settings.publish_at_s() + 32) * SECOND {
            self.idle = Some((net.datagrams, net.bytes, now));
        }
        if now < settings.lookups_at_s() * SECOND || self.stopped {
            return;
        }
        if self.busy.is_none() {
            self.busy = Some((net.datagrams, net.bytes, now));
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
        self.values
            .first()
            .filter(|value| value.stored)
            .map(|value| value.key)
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
        while self.values.len() < due {
            let Some(publisher) = somebody(net, population, rng, None) else {
                return;
            };
            let mut bytes = vec![0; rng.random_range(20..=800)];
            rng.fill_bytes(&mut bytes);
            let number = self.values.len();
            let ticket = net.query(
                publisher,
                Query::PutValue {
                    value: bytes.clone(),
                },
            );
            self.open.insert(ticket, Kind::Put(number));
            self.values.push(Value {
                key: NodeId::hash_of(&bytes),
                bytes,
                publisher,
                stored: false,
                alive_at: now,
            });
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
                self.open.insert(ticket, Kind::Probe(target));
            }
            return;
        }
        let stored: Vec<usize> = (0..self.values.len())
            .filter(|value| self.values[*value].stored)
            .collect();
        if stored.is_empty() {
            return;
        }
        let value = if settings.sybils > 0 {
            stored[0]
        } else {
            stored[rng.random_range(0..stored.len())]
        };
        let publisher = self.values[value].publisher;
        let Some(node) = somebody(net, population, rng, Some(publisher)) else {
            return;
        };
        let fatherless_s = (!net.nodes[publisher].alive)
            .then(|| (net.now_us() - self.values[value].alive_at) / SECOND);
        let key = self.values[value].key;
        let ticket = net.query(node, Query::GetValue { key });
        self.open.insert(
            ticket,
            Kind::Get {
                value,
                fatherless_s,
            },
        );
    }

    pub(super) fn done(
        &mut self,
        net: &Net,
        truth: &mut Truth,
        node: usize,
        ticket: QueryTicket,
        outcome: &QueryOutcome,
    ) {
        let stats = outcome.stats;
        match self.open.remove(&ticket) {
            None => {}
            Some(Kind::Put(value)) => {
                let at = match outcome.result {
                    QueryResult::Stored { at, .. } => at,
                    _ => 0,
                };
                self.values[value].stored = at > 0;
                self.lookups.published += u64::from(at > 0);
                self.lookups.replicas += at as u64;
            }
            Some(Kind::Get {
                value,
                fatherless_s,
            }) => {
                if !net.nodes[node].alive {
                    return;
                }
                let bytes = &self.values[value].bytes;
                let found = matches!(&outcome.result, QueryResult::Value(found) if found == bytes);
                match fatherless_s {
                    None => self.lookups.add(found, &stats),
                    Some(age) => self.lookups.add_fatherless(age / 3_600, found),
                }
                if !found && fatherless_s.is_none() {
                    self.lookups
                        .missed
                        .push((self.values[value].key, net.now_us(), stats));
                }
            }
            Some(Kind::Probe(target)) => {
                let QueryResult::Nodes(nodes) = &outcome.result else {
                    return self.lookups.add_recall(0, WIDTH);
                };
                let closest = truth.closest(net, &target, WIDTH);
                let found = nodes.iter().filter(|node| closest.contains(&node.id()));
                self.lookups.add_recall(found.count(), closest.len());
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
