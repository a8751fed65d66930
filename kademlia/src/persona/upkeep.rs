//! The persona's upkeep: PINGs and maintenance lookups, one lookup at a time.
use std::collections::{BTreeMap, VecDeque};

use deut_common::time::{Mono, Now};
use rand::{Rng, RngExt, rngs::StdRng};

use super::{Call, CallKind, PersonaPlane};
use crate::{
    audit::DropReason,
    contact::Contact,
    id::NodeId,
    io::{DhtOutput, Failure},
    lookup::{Lookup, Step},
    tickets::{Group, RpcTicket},
    wire::{
        limits::MAX_ANSWER_BODY,
        rpc::{Answer, Request},
    },
};

/// What a maintenance lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Some id of this bucket.
    Bucket(u32),
    /// Our own id.
    Own,
    /// An expired contact.
    Stale(NodeId),
}

#[derive(Debug)]
struct Running {
    lookup: Lookup,
    group: Group,
    purpose: Purpose,
    wake: Mono,
    sent: bool,
}

/// What is to be looked up, and when.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    running: Option<Running>,
    waiting: VecDeque<Purpose>,
    /// The earliest start of the next lookup.
    next_start: Mono,
    /// When to look up our own id; none until there is a contact to ask.
    next_own: Option<Mono>,
    own_lookups: u32,
    refresh_at: BTreeMap<u32, Mono>,
}

/// The first lookups of our own id follow sooner, each after four times as long; microseconds.
const FIRST_OWN_GAP: u64 = 5_000_000;
/// After a change of our contact our own id is looked up within this range, to spread it.
const AFTER_CHANGE: std::ops::Range<u64> = 500_000..3_000_000;
/// Buckets nearer than this hold nobody in a network of fewer than some million nodes.
const DEEPEST_REFRESH: u32 = 24;

impl Upkeep {
    pub(super) fn running_group(&self) -> Option<Group> {
        self.running
            .as_ref()
            .filter(|running| running.sent)
            .map(|running| running.group)
    }

    pub(super) fn contact_changed(&mut self, now: Mono, choices: &mut StdRng) {
        if let Some(next) = &mut self.next_own {
            *next = (*next).min(now.plus_us(choices.random_range(AFTER_CHANGE)));
        }
    }

    fn add(&mut self, purpose: Purpose, cap: usize) {
        if self.waiting.len() < cap && !self.waiting.contains(&purpose) {
            self.waiting.push_back(purpose);
        }
    }
}

impl PersonaPlane {
    /// Starts PINGs and lookups whose time has come; to be called while the persona has a contact.
    pub(super) fn keep_up(&mut self, now: &Now) {
        self.send_pings(now);
        self.plan_lookups(now);
        self.drive_lookup(now);
    }

    pub(super) fn upkeep_wake(&self, now: &Now) -> Option<(Mono, &'static str)> {
        let pings = self.table.next_due(now).filter(|_| self.free_pings() > 0);
        let running = self.upkeep.running.as_ref().map(|running| running.wake);
        let start = (running.is_none() && !self.upkeep.waiting.is_empty())
            .then_some(self.upkeep.next_start);
        let refresh = self.upkeep.refresh_at.values().min().copied();
        [
            pings.map(|at| (at, "asking contacts again")),
            running.map(|at| (at, "a maintenance lookup")),
            start.map(|at| (at, "the next maintenance lookup")),
            self.upkeep.next_own.map(|at| (at, "looking up the own id")),
            refresh.map(|at| (at, "refreshing a bucket")),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn free_pings(&self) -> usize {
        let pings = self
            .calls
            .values()
            .filter(|call| call.kind == CallKind::Ping)
            .count();
        self.config.max_checks.saturating_sub(pings)
    }

    fn send_pings(&mut self, now: &Now) {
        for _ in 0..self.free_pings() {
            let contact = match self.unverified.pop_front() {
                Some(contact) if contact.is_expired(now.unix) => continue,
                Some(contact) => contact,
                None => match self.table.take_due(1, now).pop() {
                    Some(contact) => contact,
                    None => return,
                },
            };
            let sender = self.own.current(now).map(Contact::to_raw);
            let group = self.tickets.group();
            self.send(contact, group, CallKind::Ping, &Request::Ping { sender });
        }
    }

    fn plan_lookups(&mut self, now: &Now) {
        let cap = self.config.max_maintenance;
        if self.upkeep.next_own.is_none() && self.table.good(now) > 0 {
            self.upkeep.next_own = Some(now.mono);
        }
        if self.upkeep.next_own.is_some_and(|at| at <= now.mono) {
            let growing = FIRST_OWN_GAP.saturating_mul(1 << (2 * self.upkeep.own_lookups).min(32));
            let gap = self.jittered(growing.min(self.config.self_lookup));
            self.upkeep.own_lookups = self.upkeep.own_lookups.saturating_add(1);
            self.upkeep.next_own = Some(now.mono.plus_us(gap));
            self.upkeep.add(Purpose::Own, cap);
        }
        let due: Vec<u32> = self
            .upkeep
            .refresh_at
            .iter()
            .filter(|(_, at)| **at <= now.mono)
            .map(|(index, _)| *index)
            .collect();
        for index in due {
            self.touch(index, now);
            self.upkeep.add(Purpose::Bucket(index), cap);
        }
        // Only when nothing else waits: there is no hurry for what is gone.
        if self.upkeep.running.is_none()
            && self.upkeep.waiting.is_empty()
            && let Some(id) = self.table.take_stale(now)
        {
            self.upkeep.add(Purpose::Stale(id), cap);
        }
    }

    /// A lookup goes through this bucket: its refresh can wait.
    fn touch(&mut self, index: u32, now: &Now) {
        let gap = self.jittered(self.config.refresh);
        if index <= DEEPEST_REFRESH {
            self.upkeep.refresh_at.insert(index, now.mono.plus_us(gap));
        }
    }

    /// Half to one and a half times as long.
    fn jittered(&mut self, micros: u64) -> u64 {
        micros / 2 + self.choices.random_range(0..=micros)
    }

    fn drive_lookup(&mut self, now: &Now) {
        loop {
            if self.upkeep.running.is_none() && !self.start_lookup(now) {
                return;
            }
            let Some(running) = &mut self.upkeep.running else {
                return;
            };
            match running.lookup.next(now.mono) {
                Step::Ask(contact) => {
                    running.sent = true;
                    let (target, group) = (*running.lookup.target(), running.group);
                    let sender = self.own.current(now).map(Contact::to_raw);
                    self.send(
                        contact,
                        group,
                        CallKind::Lookup,
                        &Request::FindNode { target, sender },
                    );
                }
                Step::Wait(until) => {
                    running.wake = until;
                    return;
                }
                Step::Finished => self.end_lookup(now),
            }
        }
    }

    fn start_lookup(&mut self, now: &Now) -> bool {
        if now.mono < self.upkeep.next_start {
            return false;
        }
        let Some(purpose) = self.upkeep.waiting.pop_front() else {
            return false;
        };
        let target = match purpose {
            Purpose::Bucket(index) => self.id_in_bucket(index),
            Purpose::Own => self.own.id(),
            Purpose::Stale(id) => id,
        };
        if let Some(index) = self.table.index(&target) {
            self.touch(index, now);
        }
        let mut lookup = Lookup::new(target, &self.config, now.mono);
        for contact in self.table.closest(&target, 2 * self.config.width, now) {
            lookup.add(contact.clone(), None);
        }
        let group = self.tickets.group();
        self.upkeep.running = Some(Running {
            lookup,
            group,
            purpose,
            wake: now.mono,
            sent: false,
        });
        true
    }

    fn end_lookup(&mut self, now: &Now) {
        let Some(running) = self.upkeep.running.take() else {
            return;
        };
        self.calls.retain(|_, call| call.kind != CallKind::Lookup);
        if running.sent {
            self.out.push_back(DhtOutput::GroupEnded(running.group));
        }
        let unasked: Vec<Contact> = running.lookup.unasked().cloned().collect();
        unasked
            .into_iter()
            .for_each(|contact| self.consider(contact, now));
        let gap = self.jittered(self.config.maintenance_gap);
        self.upkeep.next_start = now.mono.plus_us(gap);
        if running.purpose == Purpose::Own {
            self.plan_first_refreshes(now);
        }
        self.send_pings(now);
    }

    /// Buckets that no lookup went through yet, up to our closest neighbour, are filled at once.
    fn plan_first_refreshes(&mut self, now: &Now) {
        for index in 0..=self.table.depth().min(DEEPEST_REFRESH) {
            if !self.upkeep.refresh_at.contains_key(&index) {
                self.touch(index, now);
                self.upkeep
                    .add(Purpose::Bucket(index), self.config.max_maintenance);
            }
        }
    }

    /// A random id that shares exactly `index` leading bits with ours.
    fn id_in_bucket(&mut self, index: u32) -> NodeId {
        let own = self.own.id();
        let mut random = [0; NodeId::LEN];
        self.choices.fill_bytes(&mut random);
        for (bit, (byte, ours)) in random.iter_mut().zip(own.0).enumerate() {
            let first = u32::try_from(bit * 8).unwrap_or(u32::MAX);
            let kept = index.saturating_sub(first).min(8);
            let mask = u8::try_from(0xff00u16 >> kept & 0xff).unwrap_or(0);
            *byte = ours & mask | *byte & !mask;
            if (first..first + 8).contains(&index) {
                let flip = 0x80 >> (index - first);
                *byte = *byte & !flip | !ours & flip;
            }
        }
        NodeId(random)
    }

    /// An answer came.
    pub(crate) fn response(&mut self, ticket: RpcTicket, body: &[u8], now: &Now) {
        let Some(call) = self.calls.remove(&ticket) else {
            return self.counters.drops.count(DropReason::UnknownTicket);
        };
        match self.accept(&call, body, now) {
            Ok(()) => {
                self.counters.answered += 1;
                self.holders.was_sent(&call.to.id(), &call.carried);
            }
            Err(reason) => {
                self.counters.drops.count(reason);
                self.lose(&call, Failure::OverSeveral, now);
            }
        }
        self.after_call(&call, now);
    }

    /// No answer came.
    pub(crate) fn failed(&mut self, ticket: RpcTicket, how: Failure, now: &Now) {
        let Some(call) = self.calls.remove(&ticket) else {
            return self.counters.drops.count(DropReason::UnknownTicket);
        };
        self.lose(&call, how, now);
        self.after_call(&call, now);
    }

    /// No answer came yet.
    pub(crate) fn slow(&mut self, ticket: RpcTicket, now: &Now) {
        match (self.calls.get(&ticket), &mut self.upkeep.running) {
            (None, _) => return self.counters.drops.count(DropReason::UnknownTicket),
            (Some(call), Some(running)) if call.kind == CallKind::Lookup => {
                running.lookup.slow(&call.to.id(), now.mono);
            }
            _ => return,
        }
        self.drive_lookup(now);
    }

    fn after_call(&mut self, call: &Call, now: &Now) {
        if call.kind == CallKind::Ping {
            self.out.push_back(DhtOutput::GroupEnded(call.group));
        }
        if self.own.current(now).is_some() {
            self.keep_up(now);
        }
    }

    fn lose(&mut self, call: &Call, how: Failure, now: &Now) {
        if let (CallKind::Lookup, Some(running)) = (call.kind, &mut self.upkeep.running) {
            running.lookup.failed(&call.to.id());
        }
        if let Some(replacement) = self.table.failed(&call.to.id(), how, now)
            && self.unverified.len() < self.config.max_unverified
        {
            self.unverified.push_front(replacement);
        }
    }

    fn accept(&mut self, call: &Call, body: &[u8], now: &Now) -> Result<(), DropReason> {
        if body.len() > MAX_ANSWER_BODY {
            return Err(DropReason::Oversize);
        }
        let answer = Answer::from_body(body).map_err(|_| DropReason::MalformedAnswer)?;
        match (call.kind, answer) {
            (CallKind::Ping, Answer::Pong { contact }) => {
                let newest = self.verify(contact, now).map_err(DropReason::Contact)?;
                if newest.persona_key() != call.to.persona_key() {
                    return Err(DropReason::UnexpectedAnswer);
                }
                self.table.answered(&newest, now);
                Ok(())
            }
            (CallKind::Lookup, Answer::Nodes { token, contacts }) => {
                self.table.answered(&call.to, now);
                if let Some(running) = &mut self.upkeep.running {
                    running.lookup.answered(&call.to.id(), token, now.mono);
                }
                for raw in contacts.into_vec() {
                    self.learn(raw, call, now);
                }
                Ok(())
            }
            _ => Err(DropReason::UnexpectedAnswer),
        }
    }

    fn learn(&mut self, raw: crate::contact::RawContact, call: &Call, now: &Now) {
        match self.verify(raw, now) {
            Err(error) => self.counters.drops.count(DropReason::Contact(error)),
            // Neighbours know us; that is no fault of theirs.
            Ok(contact) if contact.id() == self.own.id() => {}
            Ok(contact) => {
                if let Some(running) = &mut self.upkeep.running {
                    running.lookup.add(contact, Some(&call.to.id()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::{NOW, secret},
        tickets::{OnBehalf, Tickets},
    };
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    fn plane() -> PersonaPlane {
        let random = |seed: u8| StdRng::from_seed([seed; 32]);
        let tickets = Tickets::new(OnBehalf::Persona);
        let config = crate::config::Config::test();
        PersonaPlane::new(secret(0), &config, random(1), random(2), tickets, &NOW)
    }

    #[test]
    fn an_id_of_a_bucket_shares_as_many_bits_as_the_bucket_says_and_is_random_beyond() {
        let mut plane = plane();
        let own = plane.own.id();
        for index in 0..NodeId::BITS {
            let ids: Vec<NodeId> = (0..64).map(|_| plane.id_in_bucket(index)).collect();
            for id in &ids {
                assert_eq!(own.distance(id).shared_bits(), index);
            }
            // The bits after the first one that differs take both values.
            for bit in index + 1..NodeId::BITS {
                let set = |id: &NodeId| id.0[bit as usize / 8] & 0x80 >> (bit % 8) != 0;
                let values: BTreeSet<bool> = ids.iter().map(set).collect();
                assert_eq!(values.len(), 2, "bit {bit} of bucket {index}");
            }
        }
    }
}
