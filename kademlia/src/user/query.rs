//! The state of one query of a user, or of one re-announcement.
use crate::{
    api::{Announced, FoundPeer, Group, Mono, Progress, QueryStats, QueryTicket},
    config::Config,
    contact::Contact,
    entry::{PeerEntry, PeerSet},
    id::{Key, NodeId},
    lookup::Lookup,
    rpc::{Record, RecordKind, Request, Token},
    user::published::PublishedId,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the query is for.
#[derive(Debug)]
pub(super) enum Task {
    Node(NodeId),
    Peers(PeerSet),
    Publish { id: PublishedId, record: Record },
    Value(Key),
}

/// An announcement that was found.
#[derive(Debug, Default)]
struct Found {
    /// The nodes that gave it, by id.
    given_by: BTreeSet<NodeId>,
    contact: Option<Contact>,
}

/// The STOREs of a publication.
#[derive(Debug, Default)]
pub(super) struct Storing {
    /// Nodes to be asked, the closest last.
    waiting: Vec<(Contact, Token)>,
    /// Under way; with the time since which it is slow.
    asked: BTreeMap<NodeId, Option<Mono>>,
    pub(super) stored: usize,
    pub(super) of: usize,
}

/// See the module's text.
pub(super) struct UserQuery {
    /// None for re-announcing.
    pub(super) ticket: Option<QueryTicket>,
    pub(super) group: Group,
    pub(super) task: Task,
    pub(super) lookup: Lookup,
    /// One lookup per announced persona, by node id.
    pub(super) resolves: BTreeMap<NodeId, Lookup>,
    /// How many of those were started.
    pub(super) resolved: usize,
    found: BTreeMap<Announced, Found>,
    pub(super) storing: Option<Storing>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) counts: QueryStats,
    pub(super) started: Mono,
    pub(super) wake: Mono,
    pub(super) told_waiting: bool,
}

impl UserQuery {
    pub(super) fn new(
        ticket: Option<QueryTicket>,
        group: Group,
        task: Task,
        config: &Config,
        now: Mono,
    ) -> Self {
        let lookup = Lookup::new(task.target(), config, now);
        Self {
            ticket,
            group,
            task,
            lookup,
            resolves: BTreeMap::new(),
            resolved: 0,
            found: BTreeMap::new(),
            storing: None,
            value: None,
            counts: QueryStats::default(),
            started: now,
            wake: now,
            told_waiting: false,
        }
    }

    /// What its lookup asks each node.
    pub(super) fn request(&self) -> Request {
        let key = *self.lookup.target();
        match self.task {
            Task::Node(_) | Task::Publish { .. } => Request::FindNode {
                target: key,
                sender: None,
            },
            Task::Peers(_) => Request::FindValue {
                kind: RecordKind::Peers,
                key,
            },
            Task::Value(_) => Request::FindValue {
                kind: RecordKind::Value,
                key,
            },
        }
    }

    /// A peer entry came. None if it is forged; inside, what it announces, if that is new.
    pub(super) fn entry(
        &mut self,
        entry: &PeerEntry,
        from: NodeId,
        config: &Config,
    ) -> Option<Option<FoundPeer>> {
        let Task::Peers(set) = &self.task else {
            return None;
        };
        let what = set.open(entry)?;
        let full = self.found.len() >= config.max_found;
        if full && !self.found.contains_key(&what) {
            return Some(None);
        }
        let found = self.found.entry(what).or_default();
        let new = found.given_by.is_empty();
        found.given_by.insert(from);
        Some(new.then_some(FoundPeer {
            what,
            given_by: 1,
            contact: None,
        }))
    }

    /// A contact came; if it is that of an announced persona, its search is over.
    pub(super) fn resolve(&mut self, contact: &Contact) -> Option<Progress> {
        let what = Announced::Persona(contact.persona_key());
        let found = self.found.get_mut(&what)?;
        self.resolves.remove(&contact.id());
        if found
            .contact
            .as_ref()
            .is_some_and(|known| known == contact || !contact.replaces(known))
        {
            return None;
        }
        found.contact = Some(contact.clone());
        let peer = FoundPeer {
            what,
            given_by: found.given_by.len(),
            contact: found.contact.clone(),
        };
        Some(Progress::Found(peer))
    }

    /// All that was found, most often given first.
    pub(super) fn peers(&self) -> Vec<FoundPeer> {
        let peer = |(what, found): (&Announced, &Found)| FoundPeer {
            what: *what,
            given_by: found.given_by.len(),
            contact: found.contact.clone(),
        };
        let mut peers: Vec<_> = self.found.iter().map(peer).collect();
        peers.sort_by_key(|peer| (peer.contact.is_none(), usize::MAX - peer.given_by));
        peers
    }

    pub(super) fn stats(&self, now: Mono) -> QueryStats {
        QueryStats {
            rounds: self.lookup.rounds(),
            closest_answered: u32::try_from(self.lookup.closest_answered()).unwrap_or(u32::MAX),
            network_estimate: self.lookup.network_estimate(),
            micros: now.since(self.started),
            ..self.counts
        }
    }
}

impl Task {
    fn target(&self) -> NodeId {
        match self {
            Self::Node(target) | Self::Value(target) => *target,
            Self::Peers(set) => set.key(),
            Self::Publish { record, .. } => record.key(),
        }
    }
}

impl Storing {
    /// Stores at the `width` closest that answered; the others step in for those that fail.
    pub(super) fn new(lookup: &Lookup, width: usize) -> Self {
        let mut waiting: Vec<_> = lookup
            .answers()
            .map(|(contact, token)| (contact.clone(), token))
            .collect();
        waiting.reverse();
        let of = waiting.len().min(width);
        Self {
            waiting,
            asked: BTreeMap::new(),
            stored: 0,
            of,
        }
    }

    /// The next node to store at.
    pub(super) fn next(&mut self) -> Option<(Contact, Token)> {
        if self.stored + self.asked.len() >= self.of {
            return None;
        }
        let (contact, token) = self.waiting.pop()?;
        self.asked.insert(contact.id(), None);
        Some((contact, token))
    }

    pub(super) fn slow(&mut self, node: &NodeId, now: Mono) {
        if let Some(since) = self.asked.get_mut(node) {
            since.get_or_insert(now);
        }
    }

    pub(super) fn ended(&mut self, node: &NodeId, stored: bool) {
        if self.asked.remove(node).is_some() && stored {
            self.stored += 1;
        }
    }

    /// When it is over if nothing more comes: slow ones are not waited for longer than `grace`.
    pub(super) fn over_at(&self, grace: u64, otherwise: Mono) -> Option<Mono> {
        let ends = self
            .asked
            .values()
            .map(|since| since.map_or(otherwise, |since| since.plus(grace)));
        ends.max()
    }
}
