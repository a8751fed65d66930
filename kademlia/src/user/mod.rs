//! The users' plane: queries, publishing, and the contact cache they use.
//!
//! Nothing in here knows a persona, a routing table or a store, and no request from here names anybody.
mod answers;
mod cache;
mod doubts;
mod probing;
mod published;
mod query;
mod steps;

use std::collections::{BTreeMap, VecDeque};

use deut_common::{
    hasher::KeyedState,
    time::{Mono, Now},
};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use crate::{
    MAX_VALUE,
    audit::{DropReason, PlaneAudit},
    config::Config,
    contact::{Contact, RawContact},
    density::{Densities, NetworkSize},
    id::NodeId,
    io::DhtOutput,
    lookup::Lookup,
    query::{Query, QueryOutcome, QueryResult, QueryStats, Refusal},
    records::{
        announced::Announced,
        entry::{PeerSet, can_be_announced},
    },
    seeding::Seeding,
    tickets::{OnBehalf, QueryTicket, RpcTicket, Tickets},
};
use cache::UserCache;
use doubts::{Doubts, Evidence};
use published::{Publication, Published};
use query::{Task, UserQuery};

/// An RPC under way.
#[derive(Debug)]
struct Call {
    query: u64,
    to: Contact,
    kind: CallKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallKind {
    /// Of the query's own lookup.
    Lookup,
    /// Whether an announced persona is there.
    Probe,
    /// Of the lookup for this persona's contact.
    Resolve(NodeId),
    Store,
}

/// See the module's text.
pub(crate) struct UserPlane {
    config: Config,
    pub(crate) out: VecDeque<DhtOutput>,
    cache: UserCache,
    doubts: Doubts,
    queries: BTreeMap<u64, UserQuery>,
    next_query: u64,
    calls: BTreeMap<RpcTicket, Call>,
    tickets: Tickets,
    published: Published,
    superseded: u64,
    seeding: Seeding,
    size: NetworkSize,
    densities: Densities,
    next_purge: Mono,
    counters: PlaneAudit,
    secrets: StdRng,
    choices: StdRng,
}

/// Expired contacts are forgotten this often, in microseconds.
const PURGE_INTERVAL: u64 = 60_000_000;

impl UserPlane {
    pub(crate) fn new(config: &Config, mut secrets: StdRng, choices: StdRng) -> Self {
        let hasher = KeyedState(secrets.random());
        Self {
            config: config.clone(),
            out: VecDeque::new(),
            cache: UserCache::new(config.max_user_contacts, &hasher),
            doubts: Doubts::new(config, &hasher),
            queries: BTreeMap::new(),
            next_query: 0,
            calls: BTreeMap::new(),
            tickets: Tickets::new(OnBehalf::User),
            published: Published::new(&mut secrets),
            superseded: 0,
            seeding: Seeding::default(),
            size: NetworkSize::default(),
            densities: Densities::default(),
            next_purge: Mono(PURGE_INTERVAL),
            counters: PlaneAudit::default(),
            secrets,
            choices,
        }
    }

    /// Starts a query, or refuses it.
    pub(crate) fn start(&mut self, ticket: QueryTicket, query: Query, now: &Now) {
        match self.task(ticket, query) {
            Ok(task) => self.begin(Some(ticket), task, now),
            Err(refusal) => {
                let result = QueryResult::Refused(refusal);
                self.out.push_back(DhtOutput::Done(
                    ticket,
                    QueryOutcome {
                        result,
                        stats: QueryStats::default(),
                    },
                ));
            }
        }
    }

    fn task(&mut self, ticket: QueryTicket, query: Query) -> Result<Task, Refusal> {
        if self
            .queries
            .values()
            .any(|query| query.ticket == Some(ticket))
        {
            return Err(Refusal::TicketInUse);
        }
        if self.queries.len() >= self.config.max_queries {
            return Err(Refusal::TooManyQueries);
        }
        let publication = match query {
            Query::FindNode { target } => return Ok(Task::Node(target)),
            Query::GetPeers { infohash } => return Ok(Task::Peers(PeerSet::of(&infohash))),
            Query::GetValue { key } => return Ok(Task::Value(key)),
            Query::GetMutable { of, min_seq } => {
                return Ok(Task::Mutable {
                    of,
                    min_seq: min_seq.unwrap_or(0),
                    found: None,
                });
            }
            Query::PutMutable { record, cas } => {
                let id = self
                    .published
                    .keep_mutable(record.clone(), cas, &self.config)?;
                return Ok(Task::PutMutable { id, record, cas });
            }
            Query::PutValue { value } if value.len() > MAX_VALUE => {
                return Err(Refusal::ValueTooLarge(value.len()));
            }
            Query::PutValue { value } => Publication::Value(value),
            Query::Announce {
                what: Announced::Address(address),
                ..
            } if !can_be_announced(&address) => {
                return Err(Refusal::BadAddress);
            }
            Query::Announce { infohash, what } => Publication::Peer { infohash, what },
        };
        let id = self.published.keep(publication, &self.config)?;
        let record = self
            .published
            .record(id, &mut self.secrets)
            .ok_or(Refusal::ValueTooLarge(MAX_VALUE))?;
        Ok(Task::Publish { id, record })
    }

    fn begin(&mut self, ticket: Option<QueryTicket>, task: Task, now: &Now) {
        let mut query = UserQuery::new(
            ticket,
            self.tickets.group(),
            task,
            &self.config,
            self.size.region(self.config.width),
            now.mono,
        );
        self.add_known(&mut query.lookup, 2 * self.config.width, now);
        self.next_query += 1;
        self.queries.insert(self.next_query, query);
        self.drive(self.next_query, now);
    }

    /// Lets a lookup begin with the closest contacts: so many that are counted on, and those that are doubted besides.
    fn add_known(&self, lookup: &mut Lookup, count: usize, now: &Now) {
        let target = *lookup.target();
        let is_doubted = |contact: &Contact| self.doubts.is_doubted(contact, now.mono);
        let counted_on = |contact: &Contact| !is_doubted(contact);
        let width = self.config.width;
        let mut known = self.cache.closest(&target, count, now.unix, counted_on);
        known.extend(self.cache.closest(&target, width, now.unix, is_doubted));
        for contact in known {
            lookup.add_as(self.doubts.trust(&contact, now.mono), contact, None);
        }
    }

    /// A node failed: lookups that run, and those to come, do not count on it.
    fn doubt(&mut self, contact: &Contact, evidence: Evidence, now: &Now) {
        if !self.doubts.failed(contact, evidence, now.mono) {
            return;
        }
        let id = contact.id();
        for query in self.queries.values_mut() {
            query.lookup.doubt(&id);
            query
                .resolves
                .values_mut()
                .for_each(|lookup| lookup.doubt(&id));
        }
    }

    /// Ends a query at the user's wish. What it was to publish is not kept.
    pub(crate) fn cancel(&mut self, ticket: QueryTicket, now: &Now) {
        let found = self
            .queries
            .iter()
            .find(|(_, query)| query.ticket == Some(ticket))
            .map(|(number, _)| *number);
        let Some(query) = found.and_then(|number| self.queries.remove(&number)) else {
            return;
        };
        if let Some(id) = query.task.published() {
            self.published.forget(id);
        }
        self.end(
            found.unwrap_or_default(),
            query,
            QueryResult::Cancelled,
            now,
        );
    }

    /// Contacts that an endpoint gave.
    pub(crate) fn seeds(&mut self, mut bodies: Vec<Vec<u8>>, now: &Now) {
        bodies.shuffle(&mut self.choices);
        for (number, body) in bodies.into_iter().enumerate() {
            if number >= self.config.seeds_per_answer {
                self.counters.drops.count(DropReason::TooManySeeds);
                continue;
            }
            let contact = RawContact::parse_all(&body).and_then(|raw| {
                let known = self.cache.find(&raw.id());
                raw.verify_unless(known, &self.config.contact, now.unix)
            });
            match contact {
                Ok(contact) => {
                    self.cache.heard(&contact);
                    let trust = self.doubts.trust(&contact, now.mono);
                    self.queries.values_mut().for_each(|query| {
                        query.lookup.add_as(trust, contact.clone(), None);
                        for lookup in query.resolves.values_mut() {
                            lookup.add_as(trust, contact.clone(), None);
                        }
                        query.resolve(&contact);
                    });
                }
                Err(error) => self.counters.drops.count(DropReason::Contact(error)),
            }
        }
        let running: Vec<u64> = self.queries.keys().copied().collect();
        running
            .into_iter()
            .for_each(|number| self.drive(number, now));
        self.advance(now);
    }

    /// Announcements of this node's own persona follow it. Its key is all that comes over from there,
    /// and it is only sealed into entries.
    pub(crate) fn set_persona(&mut self, key: Option<[u8; 32]>, now: &Now) {
        self.published.set_persona(key, now.mono, &mut self.choices);
    }

    /// Everything whose time has come.
    pub(crate) fn advance(&mut self, now: &Now) {
        if self.next_purge <= now.mono {
            self.next_purge = now.mono.plus_us(PURGE_INTERVAL);
            self.cache.purge(now.unix);
        }
        let due: Vec<u64> = self
            .queries
            .iter()
            .filter(|(_, query)| query.wake <= now.mono)
            .map(|(number, _)| *number)
            .collect();
        due.into_iter().for_each(|number| self.drive(number, now));
        // Without contacts there is nobody to announce to; the first seeds bring us back here.
        while self.cache.live(now.unix).next().is_some() {
            let Some(id) = self.published.take_due(&self.config, now.mono) else {
                break;
            };
            if let Some(record) = self.published.record(id, &mut self.secrets) {
                self.begin(None, Task::Publish { id, record }, now);
            }
        }
        if self.seeding.ask(
            self.contacts_for_seeding(now),
            self.config.low_user_contacts,
            &self.config,
            now.mono,
        ) {
            self.out.push_back(DhtOutput::WantSeeds(OnBehalf::User));
            if self.contacts_for_seeding(now) > 0 && self.seeding.wants_other_endpoints() {
                self.out
                    .push_back(DhtOutput::WantOtherEndpoints(OnBehalf::User));
            }
        }
    }

    /// Live contacts; none while a lookup has nobody to ask, whatever the cache holds.
    fn contacts_for_seeding(&self, now: &Now) -> usize {
        if self
            .queries
            .values()
            .any(|query| query.told_waiting && query.lookup.is_stuck())
        {
            return 0;
        }
        self.cache
            .live(now.unix)
            .filter(|contact| !self.doubts.is_doubted(contact, now.mono))
            .take(self.config.low_user_contacts)
            .count()
    }

    /// When [`Self::advance`] has something to do.
    pub(crate) fn next_wake(&self, now: &Now) -> Option<(Mono, &'static str)> {
        let queries = self.queries.values().map(|query| (query.wake, "a query"));
        let contacts = self.contacts_for_seeding(now);
        let seeds = self.seeding.due(
            contacts,
            self.config.low_user_contacts,
            &self.config,
            now.mono,
        );
        // Without contacts a due record waits for seeds, not for a time.
        let publish = self
            .published
            .next_due(&self.config)
            .filter(|_| contacts > 0);
        queries
            .chain(seeds.map(|due| (due, "seeds for users")))
            .chain(publish.map(|due| (due, "announcing again")))
            .chain([(self.next_purge, "forgetting expired contacts")])
            .min()
    }

    /// Sizes and counters.
    pub(crate) fn audit(&self) -> PlaneAudit {
        PlaneAudit {
            contacts: self.cache.len(),
            calls: self.calls.len(),
            lookups: self
                .queries
                .values()
                .map(|query| 1 + query.resolves.len())
                .sum(),
            ..self.counters.clone()
        }
    }

    pub(crate) fn live_contacts(&self, now: &Now) -> usize {
        self.cache.live(now.unix).count()
    }

    /// Mutable records that are no longer published, because a newer version was seen.
    pub(crate) fn superseded(&self) -> u64 {
        self.superseded
    }

    pub(crate) fn published(&self) -> usize {
        self.published.len()
    }

    /// The contacts that lookups start from.
    pub(crate) fn contacts(&self, now: &Now) -> Vec<Contact> {
        self.cache.live(now.unix).cloned().collect()
    }
}
