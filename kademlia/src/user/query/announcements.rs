//! The announcements that a query found on an infohash, with the contacts of announced personas as they arrive.
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use deut_common::time::Mono;

use super::{io::QueryIo, probe::Probe};
use crate::{
    contact::Contact,
    id::{Key, NodeId},
    query::{FoundPeer, Progress},
    records::{
        announced::Announced,
        entry::{PeerEntry, PeerSet},
    },
    user::{context::UserContext, rpcs::RpcPurpose},
    wire::rpc::Request,
};

#[derive(Default)]
struct Announcement {
    /// The nodes that gave it, by id.
    given_by: BTreeSet<NodeId>,
    contact: Option<Contact>,
    probe: Probe,
}

impl Announcement {
    fn peer(&self, what: Announced) -> FoundPeer {
        FoundPeer {
            what,
            given_by: self.given_by.len(),
            contact: self.contact.clone(),
            reachable: self.probe.reachable(),
        }
    }
}

pub(in crate::user) struct Announcements {
    set: PeerSet,
    found: BTreeMap<Announced, Announcement>,
    /// Number of nodes that gave as many entries as fit; they may keep more.
    samples: usize,
}

/// The result of opening a peer entry.
pub(super) enum Opened {
    Forged,
    /// Another node gave it already, or enough were collected.
    Known,
    New(Announced),
}

impl Announcements {
    pub(super) fn of(infohash: &[u8; 20]) -> Self {
        Self {
            set: PeerSet::of(infohash),
            found: BTreeMap::new(),
            samples: 0,
        }
    }

    pub(super) fn key(&self) -> Key {
        self.set.key()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// A node gave a peer entry. A new announcement is reported to the user.
    pub(super) fn open(
        &mut self,
        cx: &mut UserContext,
        io: &QueryIo,
        from: NodeId,
        entry: &PeerEntry,
    ) -> Opened {
        let Some(what) = self.set.open(&cx.config.suite, entry) else {
            return Opened::Forged;
        };
        if self.found.len() >= cx.config.max_found && !self.found.contains_key(&what) {
            return Opened::Known;
        }
        let found = self.found.entry(what).or_default();
        let is_new = found.given_by.is_empty();
        found.given_by.insert(from);
        if !is_new {
            return Opened::Known;
        }
        io.tell(cx, Progress::Found(found.peer(what)));
        Opened::New(what)
    }

    /// A node gave entries, at least one of them genuine. `is_full`: as many as fit.
    pub(super) fn answered(&mut self, is_full: bool) {
        self.samples += usize::from(is_full);
    }

    /// A contact arrived. If it is a better contact of an announced persona, returns the news for the user.
    pub(super) fn resolve(&mut self, contact: &Contact) -> Option<Progress> {
        let what = Announced::Persona(contact.persona_key());
        let found = self.found.get_mut(&what)?;
        let known = found.contact.as_ref();
        if known.is_some_and(|known| known == contact || !contact.replaces(known)) {
            return None;
        }
        found.contact = Some(contact.clone());
        Some(Progress::Found(found.peer(what)))
    }

    /// A node answered or was silent. If its persona was announced and answers now, returns the news for the user.
    pub(super) fn probed(&mut self, node: &NodeId, answered: bool) -> Option<Progress> {
        let is_it = |(_, found): &(&Announced, &mut Announcement)| {
            let contact = found.contact.as_ref();
            contact.is_some_and(|contact| contact.id() == *node)
        };
        let (what, found) = self.found.iter_mut().find(is_it)?;
        let before = found.probe;
        found.probe = before.after(answered);
        let is_news = before != found.probe && found.probe == Probe::Answered;
        is_news.then(|| Progress::Found(found.peer(*what)))
    }

    /// Sends PINGs to personas whose contacts have arrived. Returns the time until which answers are worth waiting for.
    pub(super) fn step(
        &mut self,
        cx: &mut UserContext,
        io: &mut QueryIo,
        now: Mono,
    ) -> Option<Mono> {
        for contact in self.take_unprobed(cx.config.max_probes, now) {
            let id = contact.id();
            let request = Request::Ping { sender: None };
            io.send(cx, contact, (RpcPurpose::Probe, &id), &request);
        }
        // If one has answered, the others matter less.
        let patience = match self.has_reachable() {
            true => cx.config.probe_grace,
            false => cx.config.max_lookup,
        };
        let asked = self.probes().filter_map(|probe| match probe {
            Probe::Asked(since) => Some(since.plus_us(patience)),
            _ => None,
        });
        asked.filter(|until| *until > now).min()
    }

    /// Contacts of personas that are to get a PING now, which counts as sent.
    fn take_unprobed(&mut self, most: usize, now: Mono) -> Vec<Contact> {
        let asked = |probe: &Probe| *probe != Probe::NotAsked;
        let left = most.saturating_sub(self.probes().filter(asked).count());
        let found = self.found.values_mut();
        found
            .filter(|found| found.probe == Probe::NotAsked)
            .filter_map(|found| Some((found.contact.clone()?, &mut found.probe)))
            .take(left)
            .map(|(contact, probe)| {
                *probe = Probe::Asked(now);
                contact
            })
            .collect()
    }

    /// The probes of all personas whose contacts were found.
    fn probes(&self) -> impl Iterator<Item = Probe> {
        let found = self.found.values();
        found
            .filter(|found| found.contact.is_some())
            .map(|found| found.probe)
    }

    /// Returns true if an announced persona can be reached, or an address was announced, which may be reachable.
    fn has_reachable(&self) -> bool {
        let is_address = |what: &Announced| matches!(what, Announced::Address(_));
        self.probes().any(|probe| probe == Probe::Answered) || self.found.keys().any(is_address)
    }

    /// All that was found: first the personas that answer, the newest first; last those that do not answer.
    pub(super) fn peers(&self) -> Vec<FoundPeer> {
        let found = self.found.iter();
        let mut peers: Vec<_> = found.map(|(what, found)| found.peer(*what)).collect();
        let expiry = |peer: &FoundPeer| peer.contact.as_ref().map(|contact| contact.expiry().0);
        peers.sort_by_key(|peer| {
            let is_persona = matches!(peer.what, Announced::Persona(_));
            let rank = match (peer.reachable, &peer.contact) {
                (Some(true), _) => 0,
                (None, None) if is_persona => 2,
                (None, _) => 1,
                (Some(false), _) => 3,
            };
            (rank, Reverse(expiry(peer)), Reverse(peer.given_by))
        });
        peers
    }

    /// The least number of announcements there are if nodes gave samples, estimated from how many were given once and twice. It is
    /// the lower end of the 95 % interval of Chao's estimate. Anybody who knows the infohash can inflate it with made-up entries.
    pub(super) fn at_least(&self) -> Option<u64> {
        if self.samples == 0 {
            return None;
        }
        let given = |times: usize| {
            let peers = self.found.values();
            peers.filter(|found| found.given_by.len() == times).count() as f64
        };
        let (once, twice) = (given(1), given(2).max(1.0));
        let unseen = once * once / (2.0 * twice);
        let ratio = once / twice;
        let variance = twice * (ratio.powi(2) / 2.0 + ratio.powi(3) + ratio.powi(4) / 4.0);
        if unseen <= 0.0 {
            return Some(self.found.len() as u64);
        }
        let spread = (1.96 * (1.0 + variance / unseen.powi(2)).ln().sqrt()).exp();
        Some(self.found.len() as u64 + (unseen / spread) as u64)
    }
}
