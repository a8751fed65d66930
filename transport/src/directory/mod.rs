//! The relays that exist: only those that answered from their address under their key are listed (protocol §3.1, §4.1).

mod bootstrap;
mod clocks;
mod crowd;
mod gossip;
mod memory;
mod questions;
mod refusals;
mod relays;
mod rules;
mod verify;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

pub(crate) use clocks::ClockOff;
pub(crate) use crowd::host_of;
use deut_common::{ids::RelayId, time::Unix};

use crate::{
    config::{Limits, Role},
    context::Context,
    drop_reason::DropReason,
    ids::LinkHandle,
    io::{Action, BootstrapPeer, BootstrapTrouble, Output, Persist},
    links::Links,
    status::Reason,
    timers::Timer,
    wire::descriptor::Descriptor,
};
use bootstrap::Bootstrap;
use clocks::Clocks;
use crowd::Shunned;
use gossip::Gossip;
use memory::Memory;
use questions::Questions;
use refusals::Refusals;
use relays::{AGAIN_AT_ONCE, Relays};

/// The directory is saved at most this often, ms.
const PERSIST_MS: u64 = 60_000;
/// Number of relays that are saved.
const PERSISTED: usize = 256;

/// News of the directory for the rest of the node.
#[derive(Debug)]
pub(crate) enum DirectoryEvent {
    /// A relay was verified, for the first time or with a new descriptor.
    Verified {
        descriptor: Arc<Descriptor>,
        new: bool,
    },
    /// A bootstrap peer cannot be used.
    Trouble(SocketAddr, BootstrapTrouble),
}

/// The relay directory.
pub(crate) struct Directory {
    own: Option<RelayId>,
    relays: Relays,
    questions: Questions,
    shunned: Shunned,
    clocks: Clocks,
    bootstrap: Bootstrap,
    memory: Memory,
    /// Some relay was verified since the start.
    met: bool,
    gossip: Gossip,
    refusals: Refusals,
}

impl Directory {
    pub(crate) fn new(own: Option<RelayId>, cx: &Context) -> Self {
        Self {
            own,
            relays: Relays::new(cx),
            questions: Questions::default(),
            shunned: Shunned::default(),
            clocks: Clocks::default(),
            bootstrap: Bootstrap::default(),
            memory: Memory::default(),
            met: false,
            gossip: Gossip::default(),
            refusals: Refusals::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.relays.len()
    }

    /// The size of each table, with its cap.
    pub(crate) fn sizes(&self, limits: &Limits) -> [(&'static str, usize, usize); 6] {
        let remembered = (self.memory.len(), limits.relays_remembered);
        [
            ("gossip states", self.gossip.len(), limits.links),
            ("relays", self.len(), limits.relays),
            ("questions", self.questions.len(), limits.unverified),
            ("shunned hosts", self.shunned.len(), crowd::SHUNNED),
            ("told clocks", self.clocks.len(), clocks::KEPT),
            ("remembered relays", remembered.0, remembered.1),
        ]
    }

    /// The reason to report while no relay is known, or none of the listed peers has answered.
    pub(crate) fn lonely(&self, cx: &Context) -> Option<Reason> {
        let listed = cx.config.peers_listed || !self.bootstrap.is_empty();
        let joined = self.bootstrap.has_joined();
        match (self.relays.is_empty(), listed) {
            (false, _) => (listed && !joined).then_some(Reason::NoBootstrapPeer),
            (true, _) if self.met => Some(Reason::NobodyAnswers),
            (true, true) => Some(Reason::NoBootstrapPeer),
            (true, false) if !self.memory.is_empty() => Some(Reason::NobodyAnswers),
            (true, false) if cx.config.role == Role::Client => Some(Reason::NoPeersListed),
            (true, false) => Some(Reason::FirstOfItsNetwork),
        }
    }

    /// The difference between this machine's clock and those of other relays, if it is reported at present.
    pub(crate) const fn clock_off(&self) -> Option<ClockOff> {
        self.clocks.off()
    }

    /// Our wall clock jumped. The relays' words about the old clock no longer count, so some relays are asked anew; and those that
    /// were silent may only have been refused by the old clock.
    pub(crate) fn clock_jumped(&mut self, cx: &mut Context) {
        self.clocks.forget();
        self.shunned = Shunned::default();
        let some = self.relays.sample(cx, AGAIN_AT_ONCE);
        self.ask_again(cx, &some);
        self.start_over(cx);
    }

    /// Number of descriptors refused, by reason.
    pub(crate) const fn refusals(&self) -> &BTreeMap<&'static str, u64> {
        self.refusals.counts()
    }

    pub(crate) fn get(&self, relay: RelayId) -> Option<&Arc<Descriptor>> {
        self.relays.get(relay)
    }

    /// All verified relays.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.relays.all()
    }

    /// Returns true if a verified descriptor covers this endpoint address.
    pub(crate) fn covers(&self, address: SocketAddr) -> bool {
        self.relays.covers(address)
    }

    /// A uniform choice among the relays that `eligible` accepts.
    pub(crate) fn choose(
        &self,
        cx: &mut Context,
        eligible: impl Fn(&Descriptor) -> bool,
    ) -> Option<Arc<Descriptor>> {
        self.relays.choose(cx, eligible)
    }

    /// Takes over the list (64 peers at most) and asks those that are new on it at once.
    pub(crate) fn set_bootstrap(&mut self, cx: &mut Context, peers: Vec<BootstrapPeer>) {
        for address in self.bootstrap.set(cx, &self.relays, peers) {
            self.ask(cx, address, None);
        }
        self.on_bootstrap_timer(cx);
    }

    /// Addresses on the list behind which a relay is verified at present, or we ourselves are.
    pub(crate) fn answering_peers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.bootstrap.answering(&self.relays)
    }

    /// Takes a relay that the last run saved and asks its address who lives there now. Its descriptor may have ended since.
    pub(crate) fn restore(
        &mut self,
        cx: &mut Context,
        bytes: &[u8; 196],
    ) -> Result<(), DropReason> {
        let descriptor = Descriptor::decode(bytes).map_err(|error| self.refusals.refuse(error))?;
        let issued = Unix(u64::from(descriptor.epoch) * 60);
        descriptor
            .check(&cx.config.suite, &cx.config.policy, issued, None)
            .map_err(|error| self.refusals.refuse(error))?;
        if self.own != Some(descriptor.id()) {
            let address = descriptor.address;
            self.memory.add(cx, Arc::new(descriptor));
            self.ask(cx, address, None);
        }
        Ok(())
    }

    /// Asks every peer that is not verified at present, and remembered relays too while no relay is known.
    pub(crate) fn on_bootstrap_timer(&mut self, cx: &mut Context) {
        let due = self.bootstrap.on_timer(cx, &self.relays, &mut self.memory);
        for address in due {
            self.ask(cx, address, None);
        }
    }

    /// Starts the next bootstrap round at once; the pauses grow from the beginning again.
    pub(crate) fn start_over(&mut self, cx: &mut Context) {
        self.bootstrap.start_over(cx);
    }

    /// Returns true for a relay that answered at an address on the list of peers.
    pub(crate) fn is_listed(&self, relay: RelayId) -> bool {
        self.bootstrap.relays().any(|listed| listed == relay)
    }

    /// A relay does not answer: it leaves the directory until it is verified again.
    pub(crate) fn silent(&mut self, cx: &mut Context, relay: RelayId) {
        let Some(descriptor) = self.relays.remove(relay) else {
            return;
        };
        self.shunned.add(cx, descriptor.address);
        // It may only have been slow: it gets one more question when the shunning is over.
        let at = self.memory.add_lost(cx, descriptor);
        cx.timers.set_earlier(Timer::Bootstrap, at);
        self.after_leaving(cx);
    }

    /// A relay left. If it was the last, bootstrap starts over at once, and silence no longer counts against relays that were
    /// verified before: our own network was probably gone.
    fn after_leaving(&mut self, cx: &mut Context) {
        if !self.relays.is_empty() {
            return;
        }
        for relay in self.memory.iter() {
            self.shunned.forgive(cx, relay.address);
        }
        self.start_over(cx);
    }

    /// Saves the relays worth keeping over a restart: the verified ones and, where there is room, those that were verified before.
    /// The latter come first, since they are older. An empty directory is not saved: the list of the last time is better.
    pub(crate) fn persist(&mut self, cx: &mut Context) {
        if !self.relays.is_empty() {
            self.memory.forget_old(cx.now.unix);
        }
        let verified = self.relays.sample(cx, PERSISTED);
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

    /// A link stands: each side sends one frame at once.
    pub(crate) fn link_up(&mut self, cx: &mut Context, links: &mut Links, link: LinkHandle) {
        self.gossip.link_up(link, cx.mono());
        self.on_gossip_timer(cx, links, link);
    }

    /// A link is gone.
    pub(crate) fn link_down(&mut self, link: LinkHandle) {
        self.gossip.link_down(link);
    }

    /// A relay was verified for the first time: some neighbours hear of it, but not the relay itself.
    pub(crate) fn spread(&mut self, cx: &mut Context, links: &Links, relay: RelayId) {
        self.gossip.spread(cx, links, relay);
    }

    /// A neighbour knows few relays and asks for more.
    pub(crate) fn on_gossip_request(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        link: LinkHandle,
    ) {
        if let Some(neighbour) = self.gossip.get_mut(link) {
            neighbour.on_request(cx, links, &self.relays);
        }
    }

    pub(crate) fn on_gossip_timer(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        link: LinkHandle,
    ) {
        if let Some(neighbour) = self.gossip.get_mut(link) {
            neighbour.on_timer(cx, links, &self.relays);
        }
    }
}

#[cfg(test)]
mod tests;
