//! Which relays exist: only those that echoed from their address under their key (protocol §3.1, §4.1).

mod bootstrap;
mod clocks;
mod crowd;
mod gossip;
mod memory;
mod verify;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub(crate) use bootstrap::Bootstrap;
pub(crate) use clocks::ClockOff;
use clocks::Clocks;
pub(crate) use crowd::host_of;
use deut_common::{buckets::Bucket, ids::RelayId, time::Mono};

use crowd::{Crowds, Shunned, prefix_of};
pub(crate) use gossip::GossipState;

use crate::{
    config::{Limits, Role},
    context::Context,
    ids::LinkHandle,
    io::{Action, Output, Persist},
    status::Reason,
    timers::Timer,
    wire::descriptor::{Descriptor, DescriptorError},
};
use memory::Memory;

/// Identities in one /16 (IPv6: /32) at most, and at one IPv4 address or in one IPv6 /64.
const PER_PREFIX: usize = 16;
const PER_HOST: usize = 1;
/// Verified relays are asked again after so long, so many of them at once and not more often than that: 4 per second at
/// most, so a full directory takes 17 minutes.
const VERIFY_AGAIN_MS: u64 = 600_000;
const AGAIN_AT_ONCE: usize = 8;
const AGAIN_PAUSE_MS: u64 = 2_000;
/// The directory is saved at most this often.
const PERSIST_MS: u64 = 60_000;
/// Relays that are saved.
const PERSISTED: usize = 256;

/// A verified relay.
struct Entry {
    descriptor: Arc<Descriptor>,
    /// Where it stands in `order`.
    at: usize,
    verified: Mono,
    host: SocketAddr,
    prefix: SocketAddr,
}

/// A question under way.
struct Question {
    address: SocketAddr,
    /// Which relay we expect; none for a bootstrap peer.
    expected: Option<RelayId>,
    /// The identity key that the list gave for this address: it holds although the list may be another one by now.
    key: Option<[u8; 32]>,
    sends: u8,
    next_at: Mono,
}

/// What the rest of the node must know.
#[derive(Debug)]
pub(crate) enum DirectoryEvent {
    /// A relay was verified, for the first time or with a new descriptor.
    Verified {
        descriptor: Arc<Descriptor>,
        new: bool,
    },
    /// A relay left.
    Left,
    /// A bootstrap peer cannot be used.
    Trouble(SocketAddr, crate::io::BootstrapTrouble),
}

/// How often a descriptor was refused, by reason.
pub(crate) type Refusals = BTreeMap<&'static str, u64>;

/// The relay directory.
pub(crate) struct Directory {
    own: Option<RelayId>,
    verified: BTreeMap<RelayId, Entry>,
    /// For uniform choices. Pointers, so that a full directory grows by 32 KiB at most when one datagram fills it.
    order: Vec<Arc<Descriptor>>,
    by_ip: BTreeMap<IpAddr, Vec<RelayId>>,
    questions: BTreeMap<[u8; 16], Question>,
    asked: BTreeMap<SocketAddr, [u8; 16]>,
    /// No verified relay is due again before.
    again_at: Mono,
    shunned: Shunned,
    clocks: Clocks,
    hosts: Crowds,
    prefixes: Crowds,
    pub(crate) bootstrap: Bootstrap,
    memory: Memory,
    /// Somebody was verified since the start.
    met: bool,
    pub(crate) gossip: BTreeMap<LinkHandle, GossipState>,
    /// Unknown relays that a full directory still looks at.
    newcomers: Bucket,
    refusals: Refusals,
}

impl Directory {
    pub(crate) fn new(own: Option<RelayId>, cx: &Context) -> Self {
        Self {
            own,
            verified: BTreeMap::new(),
            order: Vec::new(),
            by_ip: BTreeMap::new(),
            questions: BTreeMap::new(),
            asked: BTreeMap::new(),
            again_at: Mono(0),
            shunned: Shunned::default(),
            clocks: Clocks::default(),
            hosts: Crowds::default(),
            prefixes: Crowds::default(),
            bootstrap: Bootstrap::default(),
            memory: Memory::default(),
            met: false,
            gossip: BTreeMap::new(),
            newcomers: Bucket::slow((cx.config.times.newcomer_ms, 1), cx.mono()),
            refusals: Refusals::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// What it holds against the caps.
    pub(crate) fn sizes(&self, limits: &Limits) -> [(&'static str, usize, usize); 6] {
        let remembered = (self.memory.len(), limits.relays_remembered);
        [
            ("gossip states", self.gossip.len(), limits.links),
            ("relays", self.len(), limits.relays),
            ("questions", self.questions.len(), limits.unverified),
            ("shunned hosts", self.shunned.len(), 4_096),
            ("told clocks", self.clocks.len(), clocks::KEPT),
            ("remembered relays", remembered.0, remembered.1),
        ]
    }

    /// What to say while no relay is known, or no listed one has answered.
    pub(crate) fn lonely(&self, cx: &Context) -> Option<Reason> {
        let listed = cx.config.peers_listed || !self.bootstrap.is_empty();
        let alone = self.verified.is_empty();
        match (alone, listed) {
            (false, _) => (listed && !self.bootstrap.joined).then_some(Reason::NoBootstrapPeer),
            (true, _) if self.met => Some(Reason::NobodyAnswers),
            (true, true) => Some(Reason::NoBootstrapPeer),
            (true, false) if !self.memory.is_empty() => Some(Reason::NobodyAnswers),
            (true, false) if cx.config.role == Role::Client => Some(Reason::NoPeersListed),
            (true, false) => Some(Reason::FirstOfItsNetwork),
        }
    }

    /// How far this machine's clock is off, as far as others tell.
    pub(crate) const fn clock_off(&self) -> Option<ClockOff> {
        self.clocks.off()
    }

    /// Our wall clock jumped. What others told of it is over, so some are asked anew; and whoever was silent may only have
    /// been refused by the old clock.
    pub(crate) fn clock_jumped(&mut self, cx: &mut Context) {
        self.clocks.forget();
        self.shunned = Shunned::default();
        for relay in self.sample(cx, AGAIN_AT_ONCE) {
            self.ask(cx, relay.address, Some(relay.id()));
        }
        self.start_over(cx);
    }

    /// How often a descriptor was refused, by reason.
    pub(crate) const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub(crate) fn get(&self, relay: RelayId) -> Option<&Arc<Descriptor>> {
        self.verified.get(&relay).map(|entry| &entry.descriptor)
    }

    /// Whether exactly this descriptor is verified, or it is our own: nothing to do.
    fn is_known(&self, bytes: &[u8; 196]) -> bool {
        Descriptor::decode(bytes).is_ok_and(|descriptor| {
            let id = descriptor.id();
            self.own == Some(id) || self.get(id).is_some_and(|known| known.bytes() == bytes)
        })
    }

    /// All verified relays.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.verified.values().map(|entry| &entry.descriptor)
    }

    /// Whether a verified descriptor covers this endpoint address.
    pub(crate) fn covers(&self, address: SocketAddr) -> bool {
        let relays = self.by_ip.get(&address.ip());
        relays.is_some_and(|relays| {
            relays
                .iter()
                .any(|&relay| self.get(relay).is_some_and(|d| d.covers(address)))
        })
    }

    /// A uniform choice among the relays that `eligible` accepts.
    pub(crate) fn choose(
        &self,
        cx: &mut Context,
        eligible: impl Fn(&Descriptor) -> bool,
    ) -> Option<Arc<Descriptor>> {
        for _ in 0..8 {
            let drawn = self.order.get(cx.index(self.order.len()))?;
            if eligible(drawn) {
                return Some(Arc::clone(drawn));
            }
        }
        let fitting: Vec<_> = self
            .all()
            .filter(|descriptor| eligible(descriptor))
            .collect();
        let index = cx.index(fitting.len());
        fitting.get(index).map(|descriptor| Arc::clone(descriptor))
    }

    /// Up to `count` different relays, uniformly.
    pub(crate) fn sample(&self, cx: &mut Context, count: usize) -> Vec<Arc<Descriptor>> {
        // A handful of many: drawn again where it was drawn before, which is rare.
        let picked = if self.order.len() > 8 * count {
            let mut picked = Vec::with_capacity(count);
            while picked.len() < count {
                let at = cx.index(self.order.len());
                if !picked.contains(&at) {
                    picked.push(at);
                }
            }
            picked
        } else {
            cx.sample((0..self.order.len()).collect(), count)
        };
        picked
            .into_iter()
            .filter_map(|at| self.order.get(at).cloned())
            .collect()
    }

    fn refuse(&mut self, error: DescriptorError) -> DescriptorError {
        *self.refusals.entry(error.name()).or_default() += 1;
        error
    }

    fn is_full(&self, cx: &Context) -> bool {
        self.verified.len() >= cx.config.limits.relays
    }

    /// A relay answered from its address under its key.
    fn insert(&mut self, cx: &mut Context, descriptor: Descriptor) -> Option<DirectoryEvent> {
        let id = descriptor.id();
        let known = self.remove(id);
        let new = known.is_none();
        let profile = cx.config.policy.profile;
        let (host, prefix) = (
            host_of(profile, descriptor.address),
            prefix_of(profile, descriptor.address),
        );
        if self.hosts.count(host) >= PER_HOST || self.prefixes.count(prefix) >= PER_PREFIX {
            // Whoever was there first stays: many identities on one machine fill no directory.
            *self.refusals.entry("Crowded").or_default() += 1;
            return None;
        }
        if self.is_full(cx) {
            let victim = self.order.get(cx.index(self.order.len()))?.id();
            self.remove(victim);
        }
        self.memory.forget(id, descriptor.address);
        self.met = true;
        self.hosts.add(host);
        self.prefixes.add(prefix);
        let descriptor = Arc::new(descriptor);
        self.by_ip
            .entry(descriptor.address.ip())
            .or_default()
            .push(id);
        let entry = Entry {
            descriptor: Arc::clone(&descriptor),
            at: self.order.len(),
            verified: cx.mono(),
            host,
            prefix,
        };
        self.order.push(Arc::clone(&descriptor));
        self.verified.insert(id, entry);
        cx.timers
            .set_earlier(Timer::Persist, cx.mono().plus_ms(PERSIST_MS));
        cx.timers
            .set_earlier(Timer::Directory, cx.mono().plus_ms(VERIFY_AGAIN_MS));
        Some(DirectoryEvent::Verified { descriptor, new })
    }

    fn remove(&mut self, relay: RelayId) -> Option<Entry> {
        let entry = self.verified.remove(&relay)?;
        self.order.swap_remove(entry.at);
        if let Some(moved) = self
            .order
            .get(entry.at)
            .and_then(|moved| self.verified.get_mut(&moved.id()))
        {
            moved.at = entry.at;
        }
        self.hosts.drop(entry.host);
        self.prefixes.drop(entry.prefix);
        let ip = entry.descriptor.address.ip();
        if let Some(relays) = self.by_ip.get_mut(&ip) {
            relays.retain(|&other| other != relay);
            if relays.is_empty() {
                self.by_ip.remove(&ip);
            }
        }
        Some(entry)
    }

    /// A relay does not answer: it leaves until it is verified again.
    pub(crate) fn silent(&mut self, cx: &mut Context, relay: RelayId) -> Option<DirectoryEvent> {
        let entry = self.remove(relay)?;
        self.shunned.add(cx, entry.descriptor.address);
        // It may only have been slow: one more question, when the shunning is over.
        let at = self.memory.add_lost(cx, entry.descriptor);
        cx.timers.set_earlier(Timer::Bootstrap, at);
        self.after_leaving(cx);
        Some(DirectoryEvent::Left)
    }

    /// The relays worth keeping over a restart: verified ones, and where there is room those that were, which come first,
    /// as they are the older ones. Nobody at all is nothing to keep: the list of before is better.
    pub(crate) fn persist(&mut self, cx: &mut Context) {
        if !self.verified.is_empty() {
            self.memory.forget_old(cx.now.unix);
        }
        let verified = self.sample(cx, PERSISTED);
        let room = PERSISTED - verified.len();
        let remembered = self.memory.newest(room);
        let relays: Vec<[u8; 196]> = remembered
            .chain(&verified)
            .map(|descriptor| *descriptor.bytes())
            .collect();
        if !relays.is_empty() {
            cx.out
                .push_back(Output::Do(Action::Persist(Persist::Relays(relays))));
        }
    }
}

#[cfg(test)]
mod tests;
