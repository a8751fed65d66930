//! The state of one query of a user, or of one re-announcement.
pub(super) mod probe;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use deut_common::time::Mono;

use crate::{
    config::Config,
    contact::Contact,
    id::{Key, NodeId},
    lookup::Lookup,
    query::{FoundPeer, Progress, QueryResult, QueryStats},
    records::{
        announced::Announced,
        entry::{PeerEntry, PeerSet},
        mutable::{MutableKey, MutableRecord, Version},
        record::{Record, RecordKind},
        token::Token,
    },
    tickets::{Group, QueryTicket},
    user::published::PublishedId,
    wire::rpc::Request,
};
use probe::Probe;

/// What the query is for.
#[derive(Debug)]
pub(super) enum Task {
    Mutable {
        of: MutableKey,
        min_seq: i64,
        /// The newest version, and the nodes that gave it and older ones.
        found: Option<(Version, usize, usize)>,
    },
    Node(NodeId),
    Peers(PeerSet),
    Publish {
        id: PublishedId,
        record: Record,
    },
    /// A new version of a mutable record; its announcing later on is an ordinary publication.
    PutMutable {
        id: PublishedId,
        record: MutableRecord,
        cas: Option<i64>,
    },
    Value(Key),
}

/// An announcement that was found.
#[derive(Debug, Default)]
struct Found {
    /// The nodes that gave it, by id.
    given_by: BTreeSet<NodeId>,
    contact: Option<Contact>,
    probe: Probe,
}

impl Found {
    fn peer(&self, what: Announced) -> FoundPeer {
        FoundPeer {
            what,
            given_by: self.given_by.len(),
            contact: self.contact.clone(),
            reachable: self.probe.reachable(),
        }
    }
}

/// What a version that a node keeps does to the STOREs of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// Ours is stored nowhere further.
    All,
    /// It keeps the place that ours should have at this node.
    ItsPlace,
    /// Another node steps in.
    Nothing,
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
    /// So many are asked before one took it: a mutable record goes beyond the `width` closest only where it does not lose
    /// against another version, whose writer may not know of farther ones.
    at_first: usize,
    /// Nodes that keep another version of this number: it belongs there nevertheless, and no farther node steps in.
    taken: usize,
    /// The newest version of the mutable record that nodes keep instead of the one to be stored.
    pub(super) kept: Option<Version>,
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
    /// Nodes that gave as many entries as fit: they may keep more.
    pub(super) samples: usize,
    pub(super) storing: Option<Storing>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) counts: QueryStats,
    pub(super) started: Mono,
    pub(super) wake: Mono,
    pub(super) told_waiting: bool,
    /// Paths that were tried after the first one found nothing.
    pub(super) retries: u32,
    /// The most among the eight closest that answered on one path.
    best_closest: usize,
}

impl UserQuery {
    pub(super) fn new(
        ticket: Option<QueryTicket>,
        group: Group,
        task: Task,
        config: &Config,
        region: f64,
        now: Mono,
    ) -> Self {
        let mut lookup = Lookup::new(task.target(), config, now).with_region(region);
        if matches!(
            task,
            Task::Node(_) | Task::Publish { .. } | Task::PutMutable { .. }
        ) {
            lookup = lookup.thorough();
        }
        Self {
            ticket,
            group,
            task,
            lookup,
            resolves: BTreeMap::new(),
            resolved: 0,
            found: BTreeMap::new(),
            samples: 0,
            storing: None,
            value: None,
            counts: QueryStats::default(),
            started: now,
            wake: now,
            told_waiting: false,
            retries: 0,
            best_closest: 0,
        }
    }

    /// Goes on over nodes that were not asked yet.
    pub(super) fn retry(&mut self, path: Lookup) {
        self.best_closest = self.best_closest.max(self.lookup.closest_answered());
        self.lookup = path;
        self.retries += 1;
    }

    /// What its lookup asks each node.
    pub(super) fn request(&self) -> Request {
        let key = *self.lookup.target();
        match self.task {
            Task::Node(_) | Task::Publish { .. } | Task::PutMutable { .. } => Request::FindNode {
                target: key,
                sender: None,
            },
            Task::Mutable { .. } => Request::FindValue {
                kind: RecordKind::Mutable,
                key,
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
            reachable: None,
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
        Some(Progress::Found(found.peer(what)))
    }

    /// A node answered, or was silent; of interest if its persona was announced, and news if that one answers now.
    pub(super) fn probed(&mut self, node: &NodeId, answered: bool) -> Option<Progress> {
        let is_it = |(_, found): &(&Announced, &mut Found)| {
            let contact = found.contact.as_ref();
            contact.is_some_and(|contact| contact.id() == *node)
        };
        let (what, found) = self.found.iter_mut().find(is_it)?;
        let before = found.probe;
        found.probe = before.after(answered);
        let is_news = before != found.probe && found.probe == Probe::Answered;
        is_news.then(|| Progress::Found(found.peer(*what)))
    }

    /// All that was found: who answers first, of those the newest; who does not answer last.
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

    /// Where nodes gave samples: how many announcements there are at least, from how many were given once and twice. It is
    /// the lower end of the 95 % interval of Chao's estimate. Who knows the infohash can make it as large as entries can be
    /// invented.
    fn peers_at_least(&self) -> Option<u64> {
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

    /// All that was announced.
    pub(super) fn announced(&self) -> impl Iterator<Item = &Announced> {
        self.found.keys()
    }

    /// What is known of those whose contacts were found.
    pub(super) fn probes(&self) -> impl Iterator<Item = Probe> {
        let found = self.found.values();
        found
            .filter(|found| found.contact.is_some())
            .map(|found| found.probe)
    }

    /// The same, to be changed.
    pub(super) fn contacts_mut(&mut self) -> impl Iterator<Item = (&Contact, &mut Probe)> {
        let found = self.found.values_mut();
        found.filter_map(|found| Some((found.contact.as_ref()?, &mut found.probe)))
    }

    pub(super) fn stats(&self, now: Mono) -> QueryStats {
        let closest = self.best_closest.max(self.lookup.closest_answered());
        QueryStats {
            rounds: self.lookup.rounds(),
            closest_answered: u32::try_from(closest).unwrap_or(u32::MAX),
            network_estimate: self.lookup.network_estimate(),
            peers_at_least: self.peers_at_least(),
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
            Self::Mutable { of, .. } => of.dht_key(),
            Self::PutMutable { record, .. } => record.key().dht_key(),
        }
    }

    /// The publication that it announces.
    pub(super) fn published(&self) -> Option<PublishedId> {
        match self {
            Self::Publish { id, .. } | Self::PutMutable { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// What it stores.
    pub(super) fn record(&self) -> Option<Record> {
        match self {
            Self::Publish { record, .. } => Some(record.clone()),
            Self::PutMutable { record, cas, .. } => Some(Record::Mutable(record.to_sent(*cas))),
            _ => None,
        }
    }

    /// The mutable record that it is about.
    pub(super) fn mutable_key(&self) -> Option<MutableKey> {
        match self {
            Self::Mutable { of, .. } => Some(of.clone()),
            Self::PutMutable { record, .. } => Some(record.key().clone()),
            Self::Publish {
                record: Record::Mutable(sent),
                ..
            } => sent.of(),
            _ => None,
        }
    }

    /// A version of the wanted mutable record came, signed by its key.
    pub(super) fn found_version(&mut self, version: &Version) {
        let Self::Mutable { found, .. } = self else {
            return;
        };
        match found {
            Some((known, given_by, _)) if known.says_the_same(version) => *given_by += 1,
            Some((known, given_by, older_by)) if version.supersedes(known) => {
                let older = *older_by + *given_by;
                *found = Some((version.clone(), 1, older));
            }
            Some((_, _, older_by)) => *older_by += 1,
            None => *found = Some((version.clone(), 1, 0)),
        }
    }

    /// The outcome of its STOREs. A version that nobody took, as all keep an older one than expected, has
    /// failed too.
    pub(super) fn stored(&self, key: Key, storing: &Storing) -> QueryResult {
        let (at, of) = (storing.stored, storing.of);
        if let (Self::PutMutable { record, .. }, Some(kept)) = (self, &storing.kept)
            && (at == 0 || self.is_stopped_by(kept))
        {
            let kept = MutableRecord::of_checked(record.key().clone(), kept.clone());
            return QueryResult::Conflict { kept, at };
        }
        QueryResult::Stored { key, at, of }
    }

    /// What it means for its STOREs that a node keeps this version.
    pub(super) fn against(&self, kept: &Version) -> Against {
        if self.is_stopped_by(kept) {
            return Against::All;
        }
        match self {
            Self::PutMutable { record, .. } if kept.seq == record.seq() => Against::ItsPlace,
            Self::Publish {
                record: Record::Mutable(sent),
                ..
            } if kept.seq == sent.version.seq => Against::ItsPlace,
            _ => Against::Nothing,
        }
    }

    /// Whether no other node shall be asked to store it, as one keeps this version: readers that have both take that
    /// one, or it is another one than was expected. Of two writers of one number at the same time one goes on.
    fn is_stopped_by(&self, kept: &Version) -> bool {
        match self {
            Self::PutMutable { record, cas, .. } => {
                let unexpected = cas.is_some_and(|cas| kept.seq > cas && kept.seq != record.seq());
                kept.supersedes(record.version()) || unexpected
            }
            Self::Publish {
                record: Record::Mutable(sent),
                ..
            } => kept.supersedes(&sent.version),
            _ => false,
        }
    }
}

impl Storing {
    /// Stores at the `width` closest that answered, and at all others of the region that should hold as many: nodes that
    /// crowd around the key do not keep the record from where it belongs. The rest steps in for those that fail.
    pub(super) fn new(lookup: &Lookup, width: usize, record: Option<&Record>) -> Self {
        let mut waiting: Vec<_> = lookup
            .answers()
            .map(|(contact, token)| (contact.clone(), token))
            .collect();
        waiting.reverse();
        let of = waiting.len().min(width.max(lookup.in_region()));
        Self {
            waiting,
            asked: BTreeMap::new(),
            stored: 0,
            of,
            at_first: match record {
                Some(Record::Mutable(_)) => width,
                _ => of,
            },
            taken: 0,
            kept: None,
        }
    }

    /// A node keeps another version. If that one stands against ours, nobody else is asked.
    pub(super) fn conflict(&mut self, kept: Version, against: Against) {
        match against {
            Against::All => self.waiting.clear(),
            Against::ItsPlace => self.taken += 1,
            Against::Nothing => {}
        }
        if self
            .kept
            .as_ref()
            .is_none_or(|known| kept.supersedes(known))
        {
            self.kept = Some(kept);
        }
    }

    /// The next node to store at.
    pub(super) fn next(&mut self) -> Option<(Contact, Token)> {
        let most = match self.stored {
            0 => self.at_first.min(self.of),
            _ => self.of,
        };
        if self.stored + self.taken + self.asked.len() >= most {
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
            .map(|since| since.map_or(otherwise, |since| since.plus_us(grace)));
        ends.max()
    }
}
