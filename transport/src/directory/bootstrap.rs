//! The peers to join through: asked again and again, with growing pauses and jitter.

use std::{net::SocketAddr, sync::Arc};

use deut_common::{
    ids::RelayId,
    time::{Mono, Unix},
};

use super::Directory;
use crate::{
    context::Context,
    drop_reason::DropReason,
    io::{BootstrapPeer, BootstrapTrouble},
    timers::Timer,
    wire::descriptor::Descriptor,
};

/// Peers kept from the list.
const PEERS: usize = 64;
struct Peer {
    address: SocketAddr,
    key: Option<[u8; 32]>,
    relay: Option<RelayId>,
    told: Option<BootstrapTrouble>,
}

/// The bootstrap list and its state.
#[derive(Default)]
pub(crate) struct Bootstrap {
    peers: Vec<Peer>,
    pause_ms: u64,
    next_at: Mono,
    /// A peer of the list has answered since the start.
    pub(crate) joined: bool,
}

impl Bootstrap {
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn knows(&self, address: SocketAddr) -> bool {
        self.peers.iter().any(|peer| peer.address == address)
    }

    /// The key that the list gives for this address.
    pub(super) fn key_of(&self, address: SocketAddr) -> Option<[u8; 32]> {
        let mut peers = self.peers.iter().filter(|peer| peer.address == address);
        peers.find_map(|peer| peer.key)
    }

    pub(super) fn wants_other_key(&self, address: SocketAddr, identity: &[u8; 32]) -> bool {
        let mut peers = self.peers.iter().filter(|peer| peer.address == address);
        peers.any(|peer| peer.key.is_some_and(|key| key != *identity))
    }

    pub(super) fn answered(&mut self, address: SocketAddr, relay: RelayId) {
        for peer in self.peers.iter_mut().filter(|peer| peer.address == address) {
            peer.relay = Some(relay);
            peer.told = None;
            self.joined = true;
        }
    }

    /// Whether this trouble of a listed peer is news.
    pub(super) fn trouble(&mut self, address: SocketAddr, trouble: BootstrapTrouble) -> bool {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.address == address) else {
            return false;
        };
        // Silence after something precise is no news.
        if trouble == BootstrapTrouble::Silent && peer.told.is_some() {
            return false;
        }
        peer.told.replace(trouble) != Some(trouble)
    }

    /// Relays of the list that answered.
    pub(crate) fn relays(&self) -> impl Iterator<Item = RelayId> + '_ {
        self.peers.iter().filter_map(|peer| peer.relay)
    }
}

impl Directory {
    /// Takes the list (64 at most) and asks those that are new on it at once.
    pub(crate) fn set_bootstrap(&mut self, cx: &mut Context, peers: Vec<BootstrapPeer>) {
        let known = std::mem::take(&mut self.bootstrap.peers);
        let mut new = Vec::new();
        for BootstrapPeer { address, key } in peers.into_iter().take(PEERS) {
            let before = known
                .iter()
                .find(|old| old.address == address && old.key == key);
            // It may have answered while it was not on the list.
            let listed = || self.identity_at(address, key);
            let relay = before.map_or_else(listed, |old| old.relay);
            if before.is_none() && relay.is_none() {
                new.push(address);
            }
            self.bootstrap.joined |= before.is_none() && relay.is_some();
            self.bootstrap.peers.push(Peer {
                address,
                key,
                relay,
                told: before.and_then(|old| old.told),
            });
        }
        if known.is_empty() {
            self.bootstrap.pause_ms = cx.config.times.bootstrap_ms.0;
            self.bootstrap.next_at = cx.mono();
        }
        for address in new {
            self.ask(cx, address, None);
        }
        self.on_bootstrap_timer(cx);
    }

    /// The relay that is verified at this address, if it has the key that is wanted.
    fn identity_at(&self, address: SocketAddr, key: Option<[u8; 32]>) -> Option<RelayId> {
        let mut relays = self.by_ip.get(&address.ip())?.iter();
        relays.find_map(|&relay| {
            let descriptor = self.get(relay)?;
            let is_it =
                descriptor.address == address && key.is_none_or(|key| key == descriptor.identity);
            is_it.then_some(relay)
        })
    }

    /// Addresses on the list behind which a relay is verified at present, or we ourselves are.
    pub(crate) fn answering_peers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let peers = self.bootstrap.peers.iter();
        let answering = peers.filter(|peer| self.answers(peer));
        answering.map(|peer| peer.address)
    }

    fn answers(&self, peer: &Peer) -> bool {
        let verified = |relay| self.verified.contains_key(&relay);
        peer.relay.is_some_and(verified) || peer.told == Some(BootstrapTrouble::Ourselves)
    }

    /// Takes a relay of the last run and asks who lives there now. Its descriptor may have ended since.
    pub(crate) fn restore(
        &mut self,
        cx: &mut Context,
        bytes: &[u8; 196],
    ) -> Result<(), DropReason> {
        let descriptor = Descriptor::decode(bytes).map_err(|error| self.refuse(error))?;
        let issued = Unix(u64::from(descriptor.epoch) * 60);
        descriptor
            .check(&cx.config.suite, &cx.config.policy, issued, None)
            .map_err(|error| self.refuse(error))?;
        if self.own != Some(descriptor.id()) {
            let address = descriptor.address;
            self.memory.add(cx, Arc::new(descriptor));
            self.ask(cx, address, None);
        }
        Ok(())
    }

    /// Asks every peer that is not verified at the moment; while nobody is known, remembered relays too.
    pub(crate) fn on_bootstrap_timer(&mut self, cx: &mut Context) {
        let now = cx.mono();
        for address in self.memory.take_due(now) {
            self.ask(cx, address, None);
        }
        if self.bootstrap.next_at <= now {
            let mut missing = self.missing_peers();
            if self.verified.is_empty() {
                missing.extend(self.memory.round());
            }
            for address in missing {
                self.ask(cx, address, None);
            }
            let pause = cx.around(self.bootstrap.pause_ms, 25);
            self.bootstrap.next_at = now.plus_ms(pause);
            self.bootstrap.pause_ms =
                (self.bootstrap.pause_ms * 2).min(cx.config.times.bootstrap_ms.1);
        }
        let rounds =
            !self.bootstrap.is_empty() || self.verified.is_empty() && !self.memory.is_empty();
        let round = rounds.then_some(self.bootstrap.next_at);
        if let Some(at) = self.memory.next_due().into_iter().chain(round).min() {
            cx.timers.set(Timer::Bootstrap, at.max(now.plus_ms(1)));
        }
    }

    fn missing_peers(&self) -> Vec<SocketAddr> {
        let peers = self.bootstrap.peers.iter();
        let missing = peers.filter(|peer| !self.answers(peer));
        missing.map(|peer| peer.address).collect()
    }

    /// A relay left. If it was the last one, all begin again at once, and no silence counts any more against those that
    /// proved themselves before: it was more likely our own network that was gone.
    pub(super) fn after_leaving(&mut self, cx: &mut Context) {
        if !self.verified.is_empty() {
            return;
        }
        for relay in self.memory.iter() {
            self.shunned.forgive(cx, relay.address);
        }
        self.start_over(cx);
    }

    /// Whoever is to be asked is asked at once, and then with pauses that grow from the beginning.
    pub(crate) fn start_over(&mut self, cx: &mut Context) {
        self.bootstrap.pause_ms = cx.config.times.bootstrap_ms.0;
        self.bootstrap.next_at = cx.mono();
        cx.timers.set_earlier(Timer::Bootstrap, cx.mono());
    }
}
