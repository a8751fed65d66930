//! One iterative lookup, without any input or output of its own: whom to ask next, and when it is over.
//!
//! It keeps `parallel` RPCs under way among the `width` closest candidates. A slow RPC gives its place
//! to another one, its answer is still used. It is over when the `width` closest that are neither
//! failed nor slow have answered, and the slow ones among them had `slow_grace` more.
use crate::{
    api::Mono,
    config::Config,
    contact::Contact,
    id::{Distance, NodeId},
    rpc::Token,
};
use std::collections::BTreeMap;

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
        }
    }

    pub(crate) fn target(&self) -> &NodeId {
        &self.target
    }

    /// Adds a candidate, `via` the node whose answer named it. A newer contact of a candidate that
    /// waits or failed takes its place.
    pub(crate) fn add(&mut self, contact: Contact, via: Option<&NodeId>) {
        let depth = via
            .and_then(|via| self.candidates.get(&self.target.distance(via)))
            .map_or(0, |c| c.depth)
            + 1;
        let distance = self.target.distance(&contact.id());
        match self.candidates.get_mut(&distance) {
            Some(known) if known.contact == contact || !contact.replaces(&known.contact) => {}
            Some(known) => {
                // Its addresses are new: what failed, or is slow, over the old ones may answer over these.
                let moved = known.contact.addresses() != contact.addresses();
                known.contact = contact;
                if known.state == State::Failed || (moved && matches!(known.state, State::Slow(_)))
                {
                    known.state = State::Waiting;
                }
            }
            None => {
                self.candidates.insert(
                    distance,
                    Candidate {
                        contact,
                        state: State::Waiting,
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
        let may_ask = self.sent < self.max_rpcs
            && self
                .candidates
                .values()
                .filter(|c| c.state == State::Asked)
                .count()
                < self.parallel;
        let (mut counted, mut under_way, mut until) = (0, false, self.deadline);
        for candidate in self.candidates.values_mut() {
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
                    self.sent += 1;
                    return Step::Ask(candidate.contact.clone());
                }
                // Out of RPCs: what was not asked yet will not be.
                State::Waiting if self.sent >= self.max_rpcs => continue,
                State::Asked | State::Waiting => under_way = true,
                State::Answered => {}
            }
            counted += 1;
            if counted == self.width {
                break;
            }
        }
        if under_way {
            Step::Wait(until)
        } else {
            Step::Finished
        }
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
            candidate.state = State::Slow(now);
            // The transport sends it a second time now, and that counts.
            self.sent += 1;
        }
    }

    pub(crate) fn failed(&mut self, node: &NodeId) {
        if let Some(candidate) = self.candidates.get_mut(&self.target.distance(node))
            && matches!(candidate.state, State::Asked | State::Slow(_))
        {
            candidate.state = State::Failed;
        }
    }

    /// Those that answered, closest first, each with the token that allows to store at the target.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&Contact, Token)> {
        self.candidates
            .values()
            .filter(|candidate| candidate.state == State::Answered)
            .filter_map(|candidate| Some((&candidate.contact, candidate.token?)))
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

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
