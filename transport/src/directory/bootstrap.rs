//! The peers to join through. They are asked again and again, with growing pauses and jitter.

use std::net::SocketAddr;

use deut_common::{ids::RelayId, time::Mono};

use super::{memory::Memory, relays::Relays};
use crate::{
    context::Context,
    io::{BootstrapPeer, BootstrapTrouble},
    timers::Timer,
};

/// Number of peers kept from the list.
const PEERS: usize = 64;

#[derive(Clone, Copy)]
struct Peer {
    address: SocketAddr,
    key: Option<[u8; 32]>,
    relay: Option<RelayId>,
    told: Option<BootstrapTrouble>,
}

impl Peer {
    fn answers(&self, relays: &Relays) -> bool {
        self.relay.is_some_and(|relay| relays.contains(relay))
            || self.told == Some(BootstrapTrouble::Ourselves)
    }
}

/// The bootstrap list and its state.
#[derive(Default)]
pub(crate) struct Bootstrap {
    peers: Vec<Peer>,
    pause_ms: u64,
    next_at: Mono,
    joined: bool,
}

impl Bootstrap {
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// A peer of the list has answered since the start.
    pub(super) const fn has_joined(&self) -> bool {
        self.joined
    }

    fn at(&self, address: SocketAddr) -> impl Iterator<Item = &Peer> {
        let peers = self.peers.iter();
        peers.filter(move |peer| peer.address == address)
    }

    fn at_mut(&mut self, address: SocketAddr) -> impl Iterator<Item = &mut Peer> {
        let peers = self.peers.iter_mut();
        peers.filter(move |peer| peer.address == address)
    }

    pub(super) fn knows(&self, address: SocketAddr) -> bool {
        self.at(address).next().is_some()
    }

    /// The key that the list gives for this address.
    pub(super) fn key_of(&self, address: SocketAddr) -> Option<[u8; 32]> {
        self.at(address).find_map(|peer| peer.key)
    }

    pub(super) fn wants_other_key(&self, address: SocketAddr, identity: &[u8; 32]) -> bool {
        let mut keys = self.at(address).filter_map(|peer| peer.key);
        keys.any(|key| key != *identity)
    }

    pub(super) fn answered(&mut self, address: SocketAddr, relay: RelayId) {
        self.joined |= self.knows(address);
        for peer in self.at_mut(address) {
            peer.relay = Some(relay);
            peer.told = None;
        }
    }

    /// Records a trouble of a listed peer. True if it is news.
    pub(super) fn trouble(&mut self, address: SocketAddr, trouble: BootstrapTrouble) -> bool {
        let Some(peer) = self.at_mut(address).next() else {
            return false;
        };
        // Silence is no news after a more precise trouble.
        if trouble == BootstrapTrouble::Silent && peer.told.is_some() {
            return false;
        }
        peer.told.replace(trouble) != Some(trouble)
    }

    /// Relays of the list that answered.
    pub(crate) fn relays(&self) -> impl Iterator<Item = RelayId> + '_ {
        self.peers.iter().filter_map(|peer| peer.relay)
    }

    /// Addresses on the list behind which a relay is verified at present, or we ourselves are.
    pub(super) fn answering(&self, relays: &Relays) -> impl Iterator<Item = SocketAddr> {
        let answering = self.peers.iter().filter(|peer| peer.answers(relays));
        answering.map(|peer| peer.address)
    }

    /// Takes over the list (64 peers at most). Returns those that are new on it and not verified.
    pub(super) fn set(
        &mut self,
        cx: &Context,
        relays: &Relays,
        peers: Vec<BootstrapPeer>,
    ) -> Vec<SocketAddr> {
        let known = std::mem::take(&mut self.peers);
        let mut new = Vec::new();
        for BootstrapPeer { address, key } in peers.into_iter().take(PEERS) {
            let mut before = known.iter();
            let before = before.find(|old| old.address == address && old.key == key);
            self.peers.push(before.copied().unwrap_or_else(|| {
                // The peer may have answered while it was not on the list.
                let mut relays = relays.at(address);
                let wanted = relays.find(|relay| key.is_none_or(|key| key == relay.identity));
                let relay = wanted.map(|relay| relay.id());
                match relay {
                    Some(_) => self.joined = true,
                    None => new.push(address),
                }
                Peer {
                    address,
                    key,
                    relay,
                    told: None,
                }
            }));
        }
        if known.is_empty() {
            self.begin(cx);
        }
        new
    }

    /// Makes the next round due now; the pauses grow from the beginning.
    fn begin(&mut self, cx: &Context) {
        self.pause_ms = cx.config.times.bootstrap_ms.0;
        self.next_at = cx.mono();
    }

    /// Starts the next round at once; the pauses grow from the beginning again.
    pub(super) fn start_over(&mut self, cx: &mut Context) {
        self.begin(cx);
        cx.timers.set_earlier(Timer::Bootstrap, cx.mono());
    }

    /// The peers to ask now: every one that is not verified at present, and remembered relays too while no relay is known.
    pub(super) fn on_timer(
        &mut self,
        cx: &mut Context,
        relays: &Relays,
        memory: &mut Memory,
    ) -> Vec<SocketAddr> {
        let now = cx.mono();
        let mut due = memory.take_due(now);
        if self.next_at <= now {
            let missing = self.peers.iter().filter(|peer| !peer.answers(relays));
            due.extend(missing.map(|peer| peer.address));
            if relays.is_empty() {
                due.extend(memory.round());
            }
            let pause = cx.around(self.pause_ms, 25);
            self.next_at = now.plus_ms(pause);
            self.pause_ms = (self.pause_ms * 2).min(cx.config.times.bootstrap_ms.1);
        }
        let rounds = !self.is_empty() || relays.is_empty() && !memory.is_empty();
        let round = rounds.then_some(self.next_at);
        if let Some(at) = memory.next_due().into_iter().chain(round).min() {
            cx.timers.set(Timer::Bootstrap, at.max(now.plus_ms(1)));
        }
        due
    }
}
