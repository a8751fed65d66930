//! Lookups that keep the persona's table fresh, one at a time.
use std::collections::{BTreeMap, VecDeque};

use deut_common::time::{Mono, Now};
use rand::{Rng, RngExt, rngs::StdRng};

use super::{context::PersonaContext, neighbours::Neighbours, rpcs::RpcKind};
use crate::{
    contact::Contact,
    id::NodeId,
    io::DhtOutput,
    lookup::{Lookup, Step},
    tickets::Group,
    wire::rpc::Request,
};

/// The reason for a maintenance lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookupReason {
    /// A random id of this bucket is looked up.
    Bucket(u32),
    /// Our own id is looked up.
    Own,
    /// An expired contact is looked up.
    Stale(NodeId),
}

/// The lookup that runs.
#[derive(Debug)]
struct Running {
    lookup: Lookup,
    group: Group,
    reason: LookupReason,
    wake: Mono,
    sent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Maintenance {
    running: Option<Running>,
    waiting: VecDeque<LookupReason>,
    /// The earliest start of the next lookup.
    next_start: Mono,
    /// Time of the next lookup of our own id; `None` until there is a contact to ask.
    next_own: Option<Mono>,
    own_lookups: u32,
    /// Time to refresh each bucket that a lookup went through.
    refresh_at: BTreeMap<u32, Mono>,
}

/// The first lookups of our own id follow sooner, each after four times as long as the one before, µs.
const FIRST_OWN_GAP: u64 = 5_000_000;
/// After a change of our contact, our own id is looked up after a time in this range, to spread the contact. µs.
const AFTER_CHANGE: std::ops::Range<u64> = 500_000..3_000_000;
/// In a network of fewer than some million nodes, the buckets nearer than this are empty.
const DEEPEST_REFRESH: u32 = 24;

impl Maintenance {
    /// The lookup that runs, if one does.
    pub(super) fn lookup_mut(&mut self) -> Option<&mut Lookup> {
        self.running.as_mut().map(|running| &mut running.lookup)
    }

    /// The group of the lookup that runs, if it has sent anything.
    pub(super) fn group_in_use(&self) -> Option<Group> {
        let running = self.running.as_ref().filter(|running| running.sent);
        running.map(|running| running.group)
    }

    /// Our contact or our view of the network is new: our own id is looked up soon.
    pub(super) fn look_around_soon(&mut self, cx: &mut PersonaContext, now: Mono) {
        if let Some(next) = &mut self.next_own {
            *next = (*next).min(now.plus_us(cx.choices.random_range(AFTER_CHANGE)));
        }
    }

    /// The time of each deadline, with its name for logs.
    pub(super) fn wakes(&self) -> impl Iterator<Item = (Mono, &'static str)> {
        let running = self.running.as_ref().map(|running| running.wake);
        let may_start = running.is_none() && !self.waiting.is_empty();
        let start = may_start.then_some(self.next_start);
        let refresh = self.refresh_at.values().min().copied();
        [
            running.map(|at| (at, "a maintenance lookup")),
            start.map(|at| (at, "the next maintenance lookup")),
            self.next_own.map(|at| (at, "looking up the own id")),
            refresh.map(|at| (at, "refreshing a bucket")),
        ]
        .into_iter()
        .flatten()
    }

    /// Plans lookups whose time has come.
    pub(super) fn plan(&mut self, cx: &mut PersonaContext, neighbours: &mut Neighbours, now: &Now) {
        let cap = cx.config.max_maintenance;
        if self.next_own.is_none() && neighbours.table().good(now) > 0 {
            self.next_own = Some(now.mono);
        }
        if self.next_own.is_some_and(|at| at <= now.mono) {
            let growing = FIRST_OWN_GAP.saturating_mul(1 << (2 * self.own_lookups).min(32));
            let gap = cx.jittered(growing.min(cx.config.self_lookup));
            self.own_lookups = self.own_lookups.saturating_add(1);
            self.next_own = Some(now.mono.plus_us(gap));
            self.add(LookupReason::Own, cap);
        }
        let due: Vec<u32> = self
            .refresh_at
            .iter()
            .filter(|(_, at)| **at <= now.mono)
            .map(|(index, _)| *index)
            .collect();
        for index in due {
            self.touch(cx, index, now);
            self.add(LookupReason::Bucket(index), cap);
        }
        // Only if nothing else waits: there is no hurry for contacts that are gone.
        if self.running.is_none()
            && self.waiting.is_empty()
            && let Some(id) = neighbours.take_stale(now)
        {
            self.add(LookupReason::Stale(id), cap);
        }
    }

    fn add(&mut self, reason: LookupReason, cap: usize) {
        if self.waiting.len() < cap && !self.waiting.contains(&reason) {
            self.waiting.push_back(reason);
        }
    }

    /// A lookup goes through this bucket, so its refresh can wait.
    fn touch(&mut self, cx: &mut PersonaContext, index: u32, now: &Now) {
        let gap = cx.jittered(cx.config.refresh);
        if index <= DEEPEST_REFRESH {
            self.refresh_at.insert(index, now.mono.plus_us(gap));
        }
    }

    /// Lets the running lookup, or the next one, do all it can now.
    pub(super) fn drive(
        &mut self,
        cx: &mut PersonaContext,
        neighbours: &mut Neighbours,
        now: &Now,
    ) {
        loop {
            if self.running.is_none() && !self.start(cx, neighbours, now) {
                return;
            }
            let Some(running) = &mut self.running else {
                return;
            };
            match running.lookup.next(now.mono) {
                Step::Ask(contact) => {
                    running.sent = true;
                    let request = Request::FindNode {
                        target: *running.lookup.target(),
                        sender: cx.sender(now),
                    };
                    cx.send(contact, running.group, RpcKind::Lookup, &request);
                }
                Step::Wait(until) => {
                    running.wake = until;
                    return;
                }
                Step::Finished => self.end(cx, neighbours, now),
            }
        }
    }

    fn start(&mut self, cx: &mut PersonaContext, neighbours: &Neighbours, now: &Now) -> bool {
        if now.mono < self.next_start {
            return false;
        }
        let Some(reason) = self.waiting.pop_front() else {
            return false;
        };
        let own = cx.own.id();
        let target = match reason {
            LookupReason::Bucket(index) => id_in_bucket(&own, index, &mut cx.choices),
            LookupReason::Own => own,
            LookupReason::Stale(id) => id,
        };
        let table = neighbours.table();
        if let Some(index) = table.index(&target) {
            self.touch(cx, index, now);
        }
        let mut lookup = Lookup::new(target, &cx.config, now.mono);
        for contact in table.closest(&target, 2 * cx.config.width, now) {
            lookup.add(contact.clone(), None);
        }
        self.running = Some(Running {
            lookup,
            group: cx.rpcs.new_group(),
            reason,
            wake: now.mono,
            sent: false,
        });
        true
    }

    fn end(&mut self, cx: &mut PersonaContext, neighbours: &mut Neighbours, now: &Now) {
        let Some(running) = self.running.take() else {
            return;
        };
        cx.rpcs.forget_lookup();
        if running.sent {
            cx.out.push_back(DhtOutput::GroupEnded(running.group));
        }
        let unasked: Vec<Contact> = running.lookup.unasked().cloned().collect();
        unasked
            .into_iter()
            .for_each(|contact| neighbours.consider(cx, contact, now));
        let gap = cx.jittered(cx.config.maintenance_gap);
        self.next_start = now.mono.plus_us(gap);
        if running.reason == LookupReason::Own {
            self.plan_first_refreshes(cx, neighbours.table().depth(), now);
        }
        neighbours.send_pings(cx, now);
    }

    /// Plans a lookup at once for each bucket that no lookup has gone through, up to that of our closest neighbour.
    fn plan_first_refreshes(&mut self, cx: &mut PersonaContext, depth: u32, now: &Now) {
        for index in 0..=depth.min(DEEPEST_REFRESH) {
            if !self.refresh_at.contains_key(&index) {
                self.touch(cx, index, now);
                self.add(LookupReason::Bucket(index), cx.config.max_maintenance);
            }
        }
    }
}

/// A random id that shares exactly `index` leading bits with `own`.
fn id_in_bucket(own: &NodeId, index: u32, choices: &mut StdRng) -> NodeId {
    let mut random = [0; NodeId::LEN];
    choices.fill_bytes(&mut random);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::secret;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    #[test]
    fn an_id_of_a_bucket_shares_as_many_bits_as_the_bucket_says_and_is_random_beyond() {
        let (own, mut choices) = (secret(0).id(), StdRng::from_seed([2; 32]));
        for index in 0..NodeId::BITS {
            let mut id = || id_in_bucket(&own, index, &mut choices);
            let ids: Vec<NodeId> = (0..64).map(|_| id()).collect();
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
