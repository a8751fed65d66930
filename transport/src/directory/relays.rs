//! The verified relays, found by id, by address or by lot, and the time when each is to be asked again.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use deut_common::{buckets::Bucket, ids::RelayId, time::Mono};

use super::crowd::{Crowds, host_of, prefix_of};
use crate::{context::Context, timers::Timer, wire::descriptor::Descriptor};

/// At most this many identities in one /16 (IPv6: /32), and at one IPv4 address or in one IPv6 /64.
const PER_PREFIX: usize = 16;
const PER_HOST: usize = 1;
/// Verified relays are asked again after this time, `AGAIN_AT_ONCE` of them together at most every 2 s. That makes 4 per second, so
/// a full directory takes 17 minutes.
const VERIFY_AGAIN_MS: u64 = 600_000;
pub(super) const AGAIN_AT_ONCE: usize = 8;
const AGAIN_PAUSE_MS: u64 = 2_000;

/// There are enough relays on this host or prefix.
pub(super) struct Crowded;

struct Entry {
    descriptor: Arc<Descriptor>,
    /// Its index in `order`.
    at: usize,
    verified: Mono,
    host: SocketAddr,
    prefix: SocketAddr,
}

pub(super) struct Relays {
    by_id: BTreeMap<RelayId, Entry>,
    /// For uniform choices. These are pointers, so that a full directory grows by at most 32 KiB when one datagram fills it.
    order: Vec<Arc<Descriptor>>,
    by_ip: BTreeMap<IpAddr, Vec<RelayId>>,
    hosts: Crowds,
    prefixes: Crowds,
    /// No relay is asked again before this time.
    again_at: Mono,
    /// Budget for unknown relays that are still looked at once all places are taken.
    newcomers: Bucket,
}

impl Relays {
    pub(super) fn new(cx: &Context) -> Self {
        Self {
            by_id: BTreeMap::new(),
            order: Vec::new(),
            by_ip: BTreeMap::new(),
            hosts: Crowds::default(),
            prefixes: Crowds::default(),
            again_at: Mono(0),
            newcomers: Bucket::slow((cx.config.times.newcomer_ms, 1), cx.mono()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn is_full(&self, cx: &Context) -> bool {
        self.len() >= cx.config.limits.relays
    }

    pub(super) fn get(&self, relay: RelayId) -> Option<&Arc<Descriptor>> {
        self.by_id.get(&relay).map(|entry| &entry.descriptor)
    }

    pub(super) fn contains(&self, relay: RelayId) -> bool {
        self.by_id.contains_key(&relay)
    }

    /// All relays, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.by_id.values().map(|entry| &entry.descriptor)
    }

    fn at_ip(&self, ip: IpAddr) -> impl Iterator<Item = &Arc<Descriptor>> {
        let relays = self.by_ip.get(&ip).into_iter().flatten();
        relays.filter_map(|&relay| self.get(relay))
    }

    /// The relays at this address of a relay port.
    pub(super) fn at(&self, address: SocketAddr) -> impl Iterator<Item = &Arc<Descriptor>> {
        let relays = self.at_ip(address.ip());
        relays.filter(move |relay| relay.address == address)
    }

    /// Returns true if this is an endpoint address of one of the relays.
    pub(super) fn covers(&self, address: SocketAddr) -> bool {
        self.at_ip(address.ip()).any(|relay| relay.covers(address))
    }

    /// A uniform choice among the relays that `eligible` accepts.
    pub(super) fn choose(
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
        let fitting: Vec<_> = self.all().filter(|relay| eligible(relay)).collect();
        let index = cx.index(fitting.len());
        fitting.get(index).map(|relay| Arc::clone(relay))
    }

    /// Up to `count` different relays, uniformly chosen.
    pub(super) fn sample(&self, cx: &mut Context, count: usize) -> Vec<Arc<Descriptor>> {
        // A few out of many: a relay that was drawn before is drawn again, which is rare.
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

    /// Returns true if this relay may be looked at. In a network larger than the directory everybody tells of unknown relays all
    /// the time; taking up each would mean verifying and forgetting for ever. So one is taken up now and then.
    pub(super) fn has_room_for(&mut self, cx: &Context, relay: RelayId) -> bool {
        self.is_open_to(cx, relay) || self.newcomers.has(cx.mono())
    }

    /// Like [`Relays::has_room_for`], but uses up the room.
    pub(super) fn take_room_for(&mut self, cx: &Context, relay: RelayId) -> bool {
        self.is_open_to(cx, relay) || self.newcomers.take(cx.mono())
    }

    fn is_open_to(&self, cx: &Context, relay: RelayId) -> bool {
        self.contains(relay) || !self.is_full(cx)
    }

    /// Takes in a verified relay: in the place of its older descriptor or, if all places are taken, of a random other relay.
    /// Returns true if it is new.
    pub(super) fn insert(
        &mut self,
        cx: &mut Context,
        descriptor: Arc<Descriptor>,
    ) -> Result<bool, Crowded> {
        let (id, address) = (descriptor.id(), descriptor.address);
        let new = self.remove(id).is_none();
        let profile = cx.config.policy.profile;
        let (host, prefix) = (host_of(profile, address), prefix_of(profile, address));
        if self.hosts.count(host) >= PER_HOST || self.prefixes.count(prefix) >= PER_PREFIX {
            // The relays that were there first stay, so many identities on one machine cannot fill the directory.
            return Err(Crowded);
        }
        if self.is_full(cx)
            && let Some(victim) = self.order.get(cx.index(self.order.len()))
        {
            self.remove(victim.id());
        }
        self.hosts.add(host);
        self.prefixes.add(prefix);
        self.by_ip.entry(address.ip()).or_default().push(id);
        let entry = Entry {
            descriptor: Arc::clone(&descriptor),
            at: self.order.len(),
            verified: cx.mono(),
            host,
            prefix,
        };
        self.order.push(descriptor);
        self.by_id.insert(id, entry);
        let again_at = cx.mono().plus_ms(VERIFY_AGAIN_MS);
        cx.timers.set_earlier(Timer::Directory, again_at);
        Ok(new)
    }

    pub(super) fn remove(&mut self, relay: RelayId) -> Option<Arc<Descriptor>> {
        let entry = self.by_id.remove(&relay)?;
        self.order.swap_remove(entry.at);
        if let Some(moved) = self.order.get(entry.at)
            && let Some(moved) = self.by_id.get_mut(&moved.id())
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
        Some(entry.descriptor)
    }

    /// The relay answered as before, although with a descriptor that does not hold.
    pub(super) fn answered(&mut self, relay: RelayId, now: Mono) {
        if let Some(entry) = self.by_id.get_mut(&relay) {
            entry.verified = now;
        }
    }

    /// Some of the relays whose verification is too old.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<Arc<Descriptor>> {
        if now < self.again_at {
            return Vec::new();
        }
        let verified = self.by_id.values().map(|entry| entry.verified);
        let first = verified.min().unwrap_or(now).plus_ms(VERIFY_AGAIN_MS);
        self.again_at = first.max(now.plus_ms(AGAIN_PAUSE_MS));
        let is_due = |entry: &&Entry| now >= entry.verified.plus_ms(VERIFY_AGAIN_MS);
        let due = self.by_id.values().filter(is_due).take(AGAIN_AT_ONCE);
        due.map(|entry| Arc::clone(&entry.descriptor)).collect()
    }

    /// The time to look for such relays again.
    pub(super) fn next_due(&self) -> Option<Mono> {
        (!self.is_empty()).then_some(self.again_at)
    }
}

#[cfg(test)]
mod tests {
    use deut_common::time::Now;

    use super::*;
    use crate::{
        config::{Config, Role},
        keys::RelayKeys,
        policy::{Policy, Profile},
        wire::descriptor::PortRange,
    };

    #[test]
    fn each_way_finds_the_same_relays_whoever_comes_and_goes() {
        let policy = Policy::new("shelf", Profile::Test).expect("a short name");
        let network = policy.network;
        let mut config = Config::new(policy, Role::Client);
        config.limits.relays = 20;
        let mut cx = Context::new(config, [1; 32], Now::default());
        let mut relays = Relays::new(&cx);
        let ports = PortRange {
            first: 5_000,
            last: 5_009,
        };
        let mut crowded = 0;
        for step in 0..400 {
            let keys = RelayKeys::from_seed(&[cx.below(40) as u8; 32]);
            let port = 4_000 + cx.below(30) as u16;
            let at = SocketAddr::from(([10, 0, 0, cx.below(3) as u8], port));
            if step % 4 == 0 {
                relays.remove(keys.id());
            } else {
                let relay = Descriptor::sign(&keys, network, at, Some(ports), step, step);
                let inserted = relays.insert(&mut cx, Arc::new(relay));
                crowded += usize::from(inserted.is_err());
            }
            let mut drawn = relays.sample(&mut cx, 20);
            drawn.sort_by_key(|relay| relay.id());
            assert!(drawn.iter().eq(relays.all()));
            for relay in &drawn {
                let known = relays.get(relay.id()).expect("one that was drawn");
                assert_eq!(relays.at(relay.address).collect::<Vec<_>>(), [known]);
                assert_eq!((known, relays.hosts.count(relay.address)), (relay, 1));
                let endpoint = SocketAddr::new(relay.address.ip(), ports.first);
                assert!(relays.covers(endpoint));
            }
            let by_ip = relays.by_ip.values().map(Vec::len);
            assert_eq!(by_ip.sum::<usize>(), drawn.len());
        }
        assert!(crowded > 0 && relays.len() > 10);
        for relay in relays.sample(&mut cx, 20) {
            relays.remove(relay.id());
        }
        assert!(relays.is_empty() && relays.by_ip.is_empty() && relays.by_id.is_empty());
    }
}
