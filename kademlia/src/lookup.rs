//! One iterative lookup without any input or output of its own: it decides which node to ask next, and when to end.
//!
//! It keeps `parallel` RPCs under way among the `width` closest candidates. A slow RPC gives its place to another one; its answer
//! is still used. The lookup ends when the `width` closest that neither failed nor are slow have answered, and the slow ones among
//! them had `slow_grace` more. Once something was found and three quarters of the closest have answered, it waits for no node much
//! longer than the slowest of those took.
//!
//! Candidates that failed lately are doubted. Those among the closest are asked beside the others, but do not count until they
//! answer, and are waited for only as long as the others took. If the lookup wants all of the closest, that time begins when they
//! are slow. If no other node answers, they are asked like all others.
//!
//! If the size of the network is known, all candidates of the region that should hold `width` nodes count, up to `max_region`: an
//! attacker who puts a few nodes beside a key does not push out those that belong there. Candidates that can all be reached only
//! through the same few endpoints count up to `max_per_endpoint`, as long as there are `width` others.
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use deut_common::time::Mono;

use crate::{
    config::Config,
    contact::Contact,
    density::Density,
    id::{Distance, NodeId},
    records::token::Token,
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
    /// Its addresses have changed since it was last asked.
    moved: bool,
    trust: Trust,
    asked_at: Mono,
    /// Length of the chain of answers that led here; 1 for candidates known at the start.
    depth: u32,
    token: Option<Token>,
}

/// The degree to which a candidate is counted on, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// It failed lately, and does not count until it answers.
    Doubted,
    /// It failed some time ago or at other addresses. Once it is slow it is doubted.
    Suspected,
    /// Nothing is known against it.
    Usual,
}

/// The way in which a node was silent in a lookup that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// One copy of the request was not answered, though other nodes answered in a third of the time.
    Once,
    /// It was slow: copies over several of our tunnels were not answered.
    Often,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ask(Contact),
    /// There is nothing to ask now; look again at this time at the latest.
    Wait(Mono),
    Finished,
}

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
    least_grace: u64,
    max_per_endpoint: usize,
    max_region: usize,
    /// Something was found, and the missing answers can hardly improve it.
    has_enough: bool,
    /// All of the closest nodes are wanted, for their own sake or to store at them.
    thorough: bool,
    /// The longest round trip of a node that answered without having been slow.
    slowest: Option<u64>,
    /// The part of the id space around the target that counts. With 0.0, no more than `width` candidates count.
    region: f64,
    /// Nodes that an earlier path went through.
    avoided: BTreeSet<NodeId>,
}

impl Lookup {
    pub(crate) fn new(target: NodeId, config: &Config, now: Mono) -> Self {
        Self {
            target,
            candidates: BTreeMap::new(),
            deadline: now.plus_us(config.max_lookup),
            sent: 0,
            rounds: 0,
            width: config.width,
            parallel: config.parallel,
            max_rpcs: config.max_rpcs,
            max_candidates: config.max_candidates,
            slow_grace: config.slow_grace,
            least_grace: config.least_grace,
            max_per_endpoint: config.max_per_endpoint,
            max_region: config.max_region,
            has_enough: false,
            thorough: false,
            slowest: None,
            region: 0.0,
            avoided: BTreeSet::new(),
        }
    }

    /// Lets all nodes in this part of the id space around the target count.
    pub(crate) fn with_region(mut self, region: f64) -> Self {
        self.region = region;
        self
    }

    /// A second path to the same target that goes through no node of this one and ends by `deadline`.
    pub(crate) fn disjoint(&self, config: &Config, now: Mono, deadline: Mono) -> Self {
        let mut path = Self::new(self.target, config, now).with_region(self.region);
        let used = |candidate: &&Candidate| candidate.state != State::Waiting;
        path.avoided = self.avoided.clone();
        let asked = self.candidates.values().filter(used);
        path.avoided
            .extend(asked.map(|candidate| candidate.contact.id()));
        path.deadline = deadline;
        path.slowest = self.slowest;
        path
    }

    /// All of the closest nodes are wanted.
    pub(crate) fn thorough(mut self) -> Self {
        self.thorough = true;
        self
    }

    /// Something was found already, so the lookup need not wait long for the last nodes.
    pub(crate) fn has_enough(&mut self) {
        self.has_enough = true;
    }

    /// Returns true if it is a path that avoids the nodes of another one.
    pub(crate) fn is_second_path(&self) -> bool {
        !self.avoided.is_empty()
    }

    /// Returns true if it has no candidates.
    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    pub(crate) fn target(&self) -> &NodeId {
        &self.target
    }

    /// Adds a candidate; `via` is the node whose answer named it. A newer contact of a candidate that waits or has failed replaces
    /// the old one.
    pub(crate) fn add(&mut self, contact: Contact, via: Option<&NodeId>) {
        self.add_as(Trust::Usual, contact, via);
    }

    /// The same, with what is known against the candidate.
    pub(crate) fn add_as(&mut self, trust: Trust, contact: Contact, via: Option<&NodeId>) {
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
                // Its addresses are new. A node that failed or is slow at the old ones may answer at these.
                known.moved |= known.contact.addresses() != contact.addresses();
                known.trust = known.trust.max(trust);
                known.contact = contact;
                match known.state {
                    State::Failed => known.state = State::Waiting,
                    State::Slow(_) if known.moved => known.state = State::Waiting,
                    _ => {}
                }
            }
            None => {
                let candidate = Candidate {
                    contact,
                    state: State::Waiting,
                    moved: false,
                    trust,
                    asked_at: Mono(0),
                    depth,
                    token: None,
                };
                self.candidates.insert(distance, candidate);
            }
        }
        self.forget_the_farthest();
    }

    fn forget_the_farthest(&mut self) {
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

    /// The next step. [`Step::Ask`] counts as sent.
    pub(crate) fn next(&mut self, now: Mono) -> Step {
        if now >= self.deadline {
            return Step::Finished;
        }
        let nobody = self.slowest.is_none() && self.answers().next().is_none();
        let mut pass = Pass {
            now,
            per_endpoint: self.max_per_endpoint,
            doubting: true,
            hurried: self.is_hurried(),
        };
        let (mut step, counted) = self.next_of(&pass);
        if step == Step::Finished && counted < self.width {
            // In a network of a few machines there are no others.
            pass.per_endpoint = usize::MAX;
            step = self.next_of(&pass).0;
        }
        if step == Step::Finished && nobody {
            pass.doubting = false;
            step = self.next_of(&pass).0;
        }
        step
    }

    /// Returns true if something was found and three quarters of the closest candidates have answered.
    fn is_hurried(&self) -> bool {
        if !self.has_enough {
            return false;
        }
        let counts = |c: &&Candidate| {
            c.state == State::Answered || !(c.trust == Trust::Doubted || c.state == State::Failed)
        };
        let closest = self.candidates.values().filter(counts).take(self.width);
        let (mut all, mut answered) = (0, 0);
        for candidate in closest {
            all += 1;
            answered += usize::from(candidate.state == State::Answered);
        }
        4 * answered >= 3 * all
    }

    /// The time until which a candidate that was asked is waited for. It has no end while a candidate that counts is not slow.
    fn patience(&self, candidate: &Candidate, pass: &Pass) -> Option<Mono> {
        let usual = match candidate.state {
            State::Slow(since) => since.plus_us(self.slow_grace),
            State::Asked => Mono(u64::MAX),
            _ => return None,
        };
        let Some(slowest) = self.slowest else {
            return Some(usual);
        };
        let after = |micros: u64| candidate.asked_at.plus_us(micros);
        Some(
            match (
                pass.doubting && candidate.trust == Trust::Doubted,
                pass.hurried,
            ) {
                // The node may be all right after all: if all are wanted, the second copy of its request also gets its time.
                (true, false) if self.thorough => match candidate.state {
                    State::Slow(since) => {
                        let least = self.slow_grace / 2;
                        usual.min(since.plus_us(least.max(slowest.saturating_mul(3) / 2)))
                    }
                    _ => usual,
                },
                (true, _) => usual.min(after(slowest.saturating_mul(3) / 2)),
                // By then the second copy of a slow request has had as long as the slowest answer took, if that was long.
                (false, true) => usual.min(after(slowest.saturating_mul(4).max(self.least_grace))),
                (false, false) => usual,
            },
        )
    }

    /// The next step if candidates count according to `pass`, and the number of those that count.
    fn next_of(&mut self, pass: &Pass) -> (Step, usize) {
        let Pass { now, doubting, .. } = *pass;
        let is_beside =
            |c: &Candidate| doubting && c.trust == Trust::Doubted && c.state != State::Answered;
        let under_way = |c: &&Candidate| c.state == State::Asked && self.is_waited_for(c, pass);
        let asked = self.candidates.values().filter(under_way);
        let (beside, asked): (Vec<_>, Vec<_>) = asked.partition(|c| is_beside(c));
        let left = self.sent < self.max_rpcs;
        let may_ask = left && asked.len() < self.parallel;
        let may_ask_beside = left && beside.len() < self.parallel;
        let (mut counted, mut seen, mut waits, mut until) = (0, 0, false, self.deadline);
        let mut endpoints = Endpoints::new(pass.per_endpoint);
        let mut next = None;
        for (distance, candidate) in &self.candidates {
            if counted >= self.width
                && (counted >= self.max_region || distance.fraction() > self.region)
            {
                break;
            }
            if candidate.state == State::Failed {
                continue;
            }
            seen += 1;
            if is_beside(candidate) {
                // Doubted candidates beyond the closest are not worth a request.
                if candidate.state == State::Waiting && may_ask_beside && seen <= self.width {
                    next = Some(*distance);
                    break;
                }
            } else if !endpoints.admit(&candidate.contact) {
                continue;
            }
            match self.patience(candidate, pass) {
                Some(patience) if patience > now => {
                    waits = true;
                    until = until.min(patience);
                }
                Some(_) => continue,
                None => {}
            }
            match candidate.state {
                _ if is_beside(candidate) => continue,
                State::Slow(_) => continue,
                State::Waiting if may_ask => {
                    next = Some(*distance);
                    break;
                }
                // No RPCs are left, so this candidate will not be asked.
                State::Waiting if !left => continue,
                State::Waiting => waits = true,
                State::Asked | State::Answered | State::Failed => {}
            }
            counted += 1;
        }
        let step = match next.and_then(|distance| self.ask(&distance, now)) {
            Some(contact) => Step::Ask(contact),
            None if waits => Step::Wait(until),
            None => Step::Finished,
        };
        (step, counted)
    }

    fn is_waited_for(&self, candidate: &Candidate, pass: &Pass) -> bool {
        self.patience(candidate, pass)
            .is_some_and(|patience| patience > pass.now)
    }

    fn ask(&mut self, distance: &Distance, now: Mono) -> Option<Contact> {
        let candidate = self.candidates.get_mut(distance)?;
        candidate.state = State::Asked;
        candidate.moved = false;
        candidate.asked_at = now;
        self.sent += 1;
        Some(candidate.contact.clone())
    }

    /// An answer arrived, perhaps late.
    pub(crate) fn answered(&mut self, node: &NodeId, token: Token, now: Mono) {
        if let Some(candidate) = self.candidates.get_mut(&self.target.distance(node)) {
            if candidate.state == State::Asked {
                self.slowest = self.slowest.max(Some(now.since(candidate.asked_at)));
            }
            candidate.state = State::Answered;
            candidate.trust = Trust::Usual;
            candidate.token = Some(token);
            self.rounds = self.rounds.max(candidate.depth);
        }
    }

    pub(crate) fn slow(&mut self, node: &NodeId, now: Mono) {
        if let Some(candidate) = self.candidates.get_mut(&self.target.distance(node))
            && candidate.state == State::Asked
        {
            if candidate.trust == Trust::Suspected {
                candidate.trust = Trust::Doubted;
            }
            candidate.state = match candidate.moved {
                true => State::Waiting,
                false => State::Slow(now),
            };
            // The transport now sends it a second time, which counts.
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

    /// A node failed in another lookup.
    pub(crate) fn doubt(&mut self, node: &NodeId) {
        if let Some(candidate) = self.candidates.get_mut(&self.target.distance(node))
            && candidate.state != State::Answered
        {
            candidate.trust = Trust::Doubted;
        }
    }

    /// Nodes that were asked and stayed silent for long enough, closest first, up to a limit. None if no node answered at all,
    /// since then our own tunnels are more likely to fail.
    pub(crate) fn silent(&self, now: Mono) -> Vec<(Contact, Silence)> {
        let Some(slowest) = self.slowest else {
            return Vec::new();
        };
        let silence = |candidate: &Candidate| match candidate.state {
            // The second copy had its time as well.
            State::Slow(since) if now.since(since) > slowest.saturating_mul(3) / 2 => {
                Some(Silence::Often)
            }
            State::Slow(_) => Some(Silence::Once),
            State::Asked if now.since(candidate.asked_at) > slowest.saturating_mul(3) => {
                Some(Silence::Once)
            }
            _ => None,
        };
        self.candidates
            .values()
            .filter_map(|candidate| Some((candidate.contact.clone(), silence(candidate)?)))
            .take(2 * self.width)
            .collect()
    }

    /// The nodes that answered, closest first, each with the token that allows storing at the target.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&Contact, Token)> {
        self.candidates
            .values()
            .filter(|candidate| candidate.state == State::Answered)
            .filter_map(|candidate| Some((&candidate.contact, candidate.token?)))
    }

    /// Number of nodes that answered in the region that counts, but at least the `width` closest of them.
    pub(crate) fn in_region(&self) -> usize {
        self.candidates
            .iter()
            .filter(|(distance, candidate)| {
                candidate.state == State::Answered && distance.fraction() <= self.region
            })
            .count()
            .min(self.max_region)
    }

    /// The candidates that were not asked.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = &Contact> {
        self.candidates
            .values()
            .filter(|c| c.state == State::Waiting)
            .map(|c| &c.contact)
    }

    /// Returns true if no candidate is left that could answer.
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

    /// Number of the `width` closest nodes that answered.
    pub(crate) fn closest_answered(&self) -> usize {
        self.answers().count().min(self.width)
    }

    /// The density of the network around the target; `None` if no node answered.
    pub(crate) fn density(&self) -> Option<Density> {
        let closest = self.answers().take(self.width);
        let (nodes, farthest) = (1u32..).zip(closest).last()?;
        Some(Density {
            target: self.target,
            nodes,
            within: self.target.distance(&farthest.0.id()).fraction(),
        })
    }

    /// The number of nodes in the network, estimated from the density around the target: for evenly spread ids the i-th closest of
    /// n is expected at i / (n + 1) of the space, and this is the least-squares fit. With fewer than `width` answers there are no
    /// more nodes than those.
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

/// The rules by which candidates count.
struct Pass {
    now: Mono,
    /// Number of candidates that count behind one machine.
    per_endpoint: usize,
    /// Nodes that failed lately do not count.
    doubting: bool,
    /// No node is waited for much longer than the others took.
    hurried: bool,
}

/// Counts the closest candidates behind each machine that hosts endpoints.
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

    /// Returns true if fewer than `most` were admitted behind at least one of its endpoints; the contact then counts for all of
    /// them.
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
mod tests;
