//! Nodes that do not play by the rules. They exist only here.

mod cells;
mod persona;
mod relayer;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use deut_common::ids::RelayId;
use deut_kademlia::Contact;
use rand::{SeedableRng, rngs::StdRng};

use crate::net::Net;
pub use cells::Cells;
pub use relayer::Deeds;

/// What a hostile node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Nothing.
    #[value(skip)]
    None,
    /// As a relayer it swallows every third cell.
    Drop,
    /// As a relayer it holds each cell back for up to 2 s.
    Delay,
    /// As a relayer it alters every third cell, and seals what it altered for the next link.
    Corrupt,
    /// As a relayer it sends every cell twice, each copy sealed for the next link by itself.
    Replay,
    /// It ends every walk that it gets, whatever its coin shows.
    AlwaysEndpoint,
    /// It passes walks on to other hostile relays only.
    OnlyToColluders,
    /// Its persona answers searches with made-up contacts close to what is searched, and says that it stored what it did
    /// not.
    MadeUp,
    /// Its persona answers searches with contacts of nodes that were there and are gone (while nobody has left: with
    /// made-up ones that expired), and says that it stored what it did not.
    Stale,
    /// Its persona answers searches for values with others, and for mutable records with versions that nobody signed.
    WrongValues,
    /// Its persona answers searches for peers with forged entries.
    ForgedPeers,
    /// Its persona knows only hostile nodes, and says that it stored what it did not.
    OnlySybils,
    /// Its persona answers PINGs and nothing else.
    Silent,
}

impl Kind {
    const fn lies(self) -> bool {
        matches!(
            self,
            Self::MadeUp
                | Self::Stale
                | Self::WrongValues
                | Self::ForgedPeers
                | Self::OnlySybils
                | Self::Silent
        )
    }
}

/// What the hostile nodes of one network share.
#[derive(Default)]
pub struct Conspiracy {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Contacts of hostile nodes as they are now.
    sybils: Vec<Contact>,
    /// Contacts of nodes that nobody answers for.
    ghosts: Vec<Contact>,
    /// All hostile relays.
    relays: BTreeSet<RelayId>,
    deeds: Deeds,
}

impl Conspiracy {
    /// Makes a node hostile.
    pub fn corrupt(&self, net: &mut Net, node: usize, kind: Kind, rng: &mut StdRng) {
        let shared = &self.shared;
        let member = &mut net.nodes[node];
        self.lock()
            .relays
            .insert(RelayId::of(&member.relay_keys[0]));
        member.misconduct = relayer::on_the_wire(kind);
        member.cells = relayer::on_cells(kind, member, shared, rng);
        if let Some(path) = relayer::on_walks(kind, shared) {
            member.core.set_path_choice(path);
        }
        if kind.lies() {
            let shared = Arc::clone(shared);
            let mut rng = StdRng::from_rng(rng);
            member.core.set_gatekeeper(Box::new(move |body| {
                persona::lie(kind, &shared, body, &mut rng)
            }));
        }
    }

    /// What the conspirators know of each other is brought up to date; made-up contacts are signed afresh.
    pub fn refresh(&self, net: &Net, hostile: &[usize], kind: Kind) {
        let now = net.now();
        let mut shared = self.lock();
        let contact = |node: &usize| net.nodes[*node].core.persona_contact(net.now_at(*node));
        shared.sybils = hostile
            .iter()
            .filter(|node| net.nodes[**node].alive)
            .filter_map(contact)
            .collect();
        let minute = u32::try_from(now.unix.0 / 60).unwrap_or(0);
        shared.ghosts = match kind {
            Kind::MadeUp => persona::ghosts(minute + 10),
            // What everybody accepted some minutes ago.
            Kind::Stale if net.gone.is_empty() => persona::ghosts(minute - 1),
            Kind::Stale => net.gone.iter().cloned().collect(),
            _ => Vec::new(),
        };
    }

    /// What the hostile relayers did up to now.
    #[must_use]
    pub fn deeds(&self, net: &Net) -> Deeds {
        let mut deeds = self.lock().deeds;
        for node in &net.nodes {
            deeds.swallowed += node.tally.swallowed;
            deeds.held_back += node.tally.held_back;
        }
        deeds
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
