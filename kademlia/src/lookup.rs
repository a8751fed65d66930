//! One iterative lookup, without any input or output of its own: whom to ask next, and when it is over.
//!
//! It keeps `parallel` RPCs under way among the `width` closest candidates. A slow RPC gives its place
//! to another one, its answer is still used. It is over when the `width` closest that are neither
//! failed nor slow have answered, and the slow ones among them had `slow_grace` more.
//!
//! Where the size of the network is known, all candidates of the region that should hold `width` nodes count, up to
//! `max_region`: whoever puts a few nodes beside a key does not push out those that belong there. Candidates that all
//! stand behind the same few endpoints count only up to `max_per_endpoint`, as long as there are `width` others.
use crate::{
    api::Mono,
    config::Config,
    contact::Contact,
    id::{Distance, NodeId},
    rpc::Token,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Answered,
    Asked,
    Failed,
    Slow(Mono),
    Waiting,
}

#[derive(Debug)]
struct Candidate {
    contact: Contact,
    state: State,
    /// Since it was last asked its addresses have changed.
    moved: bool,
    /// Length of the chain of answers that led here; 1 for those known at the start.
    depth: u32,
    token: Option<Token>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ask(Contact),
    /// Nothing to ask now; look again at this time at the latest.
    Wait(Mono),
    Finished,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Lookup {
    target: NodeId,
    candidates: BTreeMap<Distance, Candidate>,
    deadline: Mono,
    sent: u32,
    rounds: u32,
    width: usize,
    parallel: usize,
    max_rpcs: u32,
    max_candidates: usize,
    slow_grace: u64,
    max_per_endpoint: usize,
    max_region: usize,
    /// The part of the space around the target that counts; 0.0: no more than `width` candidates count.
    region: f64,
    /// Nodes that an earlier path went through.
    avoided: BTreeSet<NodeId>,
}

impl Lookup {
    pub(crate) fn new(target: NodeId, config: &Config, now: Mono) -> Self {
        Self {
            target,
            candidates: BTreeMap::new(),
            deadline: now.plus(config.max_lookup),
            sent: 0,
            rounds: 0,
            width: config.width,
            parallel: config.parallel,
            max_rpcs: config.max_rpcs,
            max_candidates: config.max_candidates,
            slow_grace: config.slow_grace,
            max_per_endpoint: config.max_per_endpoint,
            max_region: config.max_region,
            region: 0.0,
            avoided: BTreeSet::new(),
        }
    }

    /// All nodes in this part of the space around the target count.
    pub(crate) fn with_region(mut self, region: f64) -> Self {
        self.region = region;
        self
    }

    /// A second path to the same target that goes through no node of this one, over at `deadline`.
    pub(crate) fn disjoint(&self, config: &Config, now: Mono, deadline: Mono) -> Self {
        let mut path = Self::new(self.target, config, now).with_region(self.region);
        let used = |candidate: &&Candidate| candidate.state != State::Waiting;
        path.avoided = self.avoided.clone();
        let asked = self.candidates.values().filter(used);
        path.avoided
            .extend(asked.map(|candidate| candidate.contact.id()));
        path.deadline = deadline;
        path
    }

    /// Whether it knows anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    pub(crate) fn target(&self) -> &NodeId {
        &self.target
    }

    /// Adds a candidate, `via` the node whose answer named it. A newer contact of a candidate that
    /// waits or failed takes its place.
    pub(crate) fn add(&mut self, contact: Contact, via: Option<&NodeId>) {
        if self.avoided.contains(&contact.id()) {
            return;
        }
        let depth = via
            .and_then(|via| self.candidates.get(&self.target.distance(via)))
            .map_or(0, |c| c.depth)
            + 1;
        let distance = self.target.distance(&contact.id());
        match self.candidates.get_mut(&distance) {
            Some(known) if known.contact == contact || !contact.replaces(&known.contact) => {}
            Some(known) => {
                // Its addresses are new: what failed, or is slow, over the old ones may answer over these.
                known.moved |= known.contact.addresses() != contact.addresses();
                known.contact = contact;
                match known.state {
                    State::Failed => known.state = State::Waiting,
                    State::Slow(_) if known.moved => known.state = State::Waiting,
                    _ => {}
                }
            }
            None => {
                self.candidates.insert(
                    distance,
                    Candidate {
                        contact,
                        state: State::Waiting,
                        moved: false,
                        depth,
                        token: None,
                    },
                );
            }
        }
        if self.candidates.len() > self.max_candidates {
            let idle =
                |candidate: &Candidate| matches!(candidate.state, State::Waiting | State::Failed);
            let farthest = self
                .candidates
                .iter()
                .rev()
                .find(|(_, c)| idle(c))
                .map(|(distance, _)| *distance);
            farthest.map(|distance| self.candidates.remove(&distance));
        }
    }

    /// Whom to ask next. [`Step::Ask`] counts as sent.
    pub(crate) fn next(&mut self, now: Mono) -> Step {
        if now >= self.deadline {
            return Step::Finished;
        }
        match self.next_of(self.max_per_endpoint, now) {
            // In a network of a few machines there are no others.
            (Step::Finished, counted) if counted < self.width => self.next_of(usize::MAX, now).0,
            (step, _) => step,
        }
    }

    /// The same if at most `per_endpoint` count behind one machine, and how many count.
    fn next_of(&mut self, per_endpoint: usize, now: Mono) -> (Step, usize) {
        let may_ask = self.sent < self.max_rpcs
            && self
                .candidates
                .values()
                .filter(|c| c.state == State::Asked)
                .count()
                < self.parallel;
        let (mut counted, mut under_way, mut until) = (0, false, self.deadline);
        let mut endpoints = Endpoints::new(per_endpoint);
        for (distance, candidate) in &mut self.candidates {
            if counted >= self.width
                && (counted >= self.max_region || distance.fraction() > self.region)
            {
                break;
            }
            if candidate.state != State::Failed && !endpoints.admit(&candidate.contact) {
                continue;
            }
            match candidate.state {
                State::Failed => continue,
                State::Slow(since) => {
                    let patience = since.plus(self.slow_grace);
                    if patience > now {
                        under_way = true;
                        until = until.min(patience);
                    }
                    continue;
                }
                State::Waiting if may_ask => {
                    candidate.state = State::Asked;
                    candidate.moved = false;
                    self.sent += 1;
                    return (Step::Ask(candidate.contact.clone()), counted);
                }
                // Out of RPCs: what was not asked yet will not be.
                State::Waiting if self.sent >= self.max_rpcs => continue,
                State::Asked | State::Waiting => under_way = true,
                State::Answered => {}
            }
            counted += 1;
        }
        let step = if under_way {
            Step::Wait(until)
        } else {
            Step::Finished
        };
        (step, counted)
    }

    /// An answer arrived, however late.
    pub(crate) fn answered(&mut self, node: &NodeId, token: Token) {
        if let Some(candidate) = self.candidates.get_mut(&self.target.distance(node)) {
            candidate.state = State::Answered;
            candidate.token = Some(token);
            self.rounds = self.rounds.max(candidate.depth);
        }
    }

    pub(crate) fn slow(&mut self, node: &NodeId, now: Mono) {
        if let Some(candidate) = self.candidates.get_mut(&self.target.distance(node))
            && candidate.state == State::Asked
        {
            candidate.state = match candidate.moved {
                true => State::Waiting,
                false => State::Slow(now),
            };
            // The transport sends it a second time now, and that counts.
            self.sent += 1;
        }
    }

    pub(crate) fn failed(&mut self, node: &NodeId) {
        if let Some(candidate) = self.candidates.get_mut(&self.target.distance(node))
            && matches!(candidate.state, State::Asked | State::Slow(_))
        {
            candidate.state = match candidate.moved {
                true => State::Waiting,
                false => State::Failed,
            };
        }
    }

    /// Those that answered, closest first, each with the token that allows to store at the target.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&Contact, Token)> {
        self.candidates
            .values()
            .filter(|candidate| candidate.state == State::Answered)
            .filter_map(|candidate| Some((&candidate.contact, candidate.token?)))
    }

    /// How many of those that answered are in the region that counts; `width` of them at least count anyway.
    pub(crate) fn in_region(&self) -> usize {
        self.candidates
            .iter()
            .filter(|(distance, candidate)| {
                candidate.state == State::Answered && distance.fraction() <= self.region
            })
            .count()
            .min(self.max_region)
    }

    /// Candidates that were not asked.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = &Contact> {
        self.candidates
            .values()
            .filter(|c| c.state == State::Waiting)
            .map(|c| &c.contact)
    }

    /// Whether there is nobody left who could answer.
    pub(crate) fn is_stuck(&self) -> bool {
        self.candidates
            .values()
            .all(|candidate| candidate.state == State::Failed)
    }

    pub(crate) fn deadline(&self) -> Mono {
        self.deadline
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// How many of the `width` closest answered.
    pub(crate) fn closest_answered(&self) -> usize {
        self.answers().count().min(self.width)
    }

    /// How many nodes the network has, from how dense it is around the target: for ids spread evenly
    /// the i-th closest of n is expected at i / (n + 1) of the space, and this is the least-squares fit.
    /// With fewer than `width` answers there are no more nodes than those.
    pub(crate) fn network_estimate(&self) -> Option<u64> {
        let distances: Vec<f64> = self
            .answers()
            .take(self.width)
            .map(|(c, _)| self.target.distance(&c.id()).fraction())
            .collect();
        let known = self.answers().count() as u64;
        if distances.is_empty() {
            return None;
        }
        if distances.len() < self.width {
            return Some(known);
        }
        let (mut squares, mut products) = (0.0, 0.0);
        for (rank, distance) in (1u32..).zip(&distances) {
            squares += f64::from(rank * rank);
            products += f64::from(rank) * distance;
        }
        let estimate = squares / products.max(f64::MIN_POSITIVE) - 1.0;
        // `as` saturates, which is what a hostile set of ids deserves.
        Some((estimate.round() as u64).max(known))
    }
}

/// Counts how many of the closest candidates stand behind each machine that hosts endpoints.
struct Endpoints {
    most: usize,
    behind: BTreeMap<IpAddr, usize>,
}

impl Endpoints {
    fn new(most: usize) -> Self {
        Self {
            most,
            behind: BTreeMap::new(),
        }
    }

    /// Whether at least one of its endpoints hosts fewer than `most` before it; then it counts for all of them.
    fn admit(&mut self, contact: &Contact) -> bool {
        let free = |ip: &IpAddr| self.behind.get(ip).copied().unwrap_or(0) < self.most;
        let admitted = contact.addresses().iter().any(|address| free(&address.ip));
        if admitted {
            for address in contact.addresses() {
                *self.behind.entry(address.ip).or_default() += 1;
            }
        }
        admitted
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
