//! The peers to join through: asked again and again, with growing pauses and jitter.

use std::{collections::VecDeque, net::SocketAddr};

use super::Directory;
use crate::{
    api::{BootstrapPeer, BootstrapTrouble, Mono},
    ids::RelayId,
    shared::Shared,
    timers::Timer,
};

/// Peers kept from the list.
const PEERS: usize = 64;
/// Relays that fell silent are asked once more after so long; so many of them are remembered.
const LOST_MS: u64 = 10_001;
const REMEMBERED: usize = 64;

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
    /// Lost relays: when to ask them once more.
    lost: VecDeque<(Mono, SocketAddr)>,
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

    pub(super) fn remember(&mut self, address: SocketAddr, sh: &mut Shared) {
        let at = sh.mono().plus_ms(LOST_MS);
        self.lost.push_back((at, address));
        if self.lost.len() > REMEMBERED {
            self.lost.pop_front();
        }
        sh.timers.set_earlier(Timer::Bootstrap, at);
    }

    /// Relays of the list that answered.
    pub(crate) fn relays(&self) -> impl Iterator<Item = RelayId> + '_ {
        self.peers.iter().filter_map(|peer| peer.relay)
    }
}

impl Directory {
    /// Takes the list (64 at most) and asks all of them.
    pub(crate) fn set_bootstrap(&mut self, sh: &mut Shared, peers: Vec<BootstrapPeer>) {
        let known = std::mem::take(&mut self.bootstrap.peers);
        self.bootstrap.peers = peers
            .into_iter()
            .take(PEERS)
            .map(|peer| {
                let before = known
                    .iter()
                    .find(|old| old.address == peer.address && old.key == peer.key);
                Peer {
                    address: peer.address,
                    key: peer.key,
                    relay: before.and_then(|old| old.relay),
                    told: before.and_then(|old| old.told),
                }
            })
            .collect();
        self.bootstrap.pause_ms = sh.config.times.bootstrap_ms.0;
        self.bootstrap.next_at = sh.mono();
        self.on_bootstrap_timer(sh);
    }

    /// Asks every peer that is not verified at the moment.
    pub(crate) fn on_bootstrap_timer(&mut self, sh: &mut Shared) {
        let now = sh.mono();
        while self
            .bootstrap
            .lost
            .front()
            .is_some_and(|(at, _)| *at <= now)
        {
            if let Some((_, address)) = self.bootstrap.lost.pop_front() {
                self.ask(sh, address, None);
            }
        }
        if self.bootstrap.next_at <= now {
            let verified = |peer: &Peer| {
                peer.relay
                    .is_some_and(|relay| self.verified.contains_key(&relay))
            };
            let missing: Vec<SocketAddr> = self
                .bootstrap
                .peers
                .iter()
                .filter(|peer| !verified(peer) && peer.told != Some(BootstrapTrouble::Ourselves))
                .map(|peer| peer.address)
                .collect();
            for address in missing {
                self.ask(sh, address, None);
            }
            let pause = sh.around(self.bootstrap.pause_ms, 25);
            self.bootstrap.next_at = now.plus_ms(pause);
            self.bootstrap.pause_ms =
                (self.bootstrap.pause_ms * 2).min(sh.config.times.bootstrap_ms.1);
        }
        let lost = self.bootstrap.lost.front().map(|(at, _)| *at);
        let list = (!self.bootstrap.peers.is_empty()).then_some(self.bootstrap.next_at);
        if let Some(at) = lost.into_iter().chain(list).min() {
            sh.timers.set(Timer::Bootstrap, at.max(now.plus_ms(1)));
        }
    }

    /// Nobody is known any more: begin again at once.
    pub(crate) fn start_over(&mut self, sh: &mut Shared) {
        self.bootstrap.pause_ms = sh.config.times.bootstrap_ms.0;
        self.bootstrap.next_at = sh.mono();
        sh.timers.set_earlier(Timer::Bootstrap, sh.mono());
    }
}
