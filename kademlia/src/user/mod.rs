//! The users' plane: queries, publishing, and the contact cache they use.
//!
//! Nothing in here knows a persona, a routing table or a store, and no request from here carries a contact of ours.
mod contacts;
mod context;
mod published;
mod query;
mod rpcs;

use std::collections::{BTreeMap, VecDeque};

use deut_common::{
    hasher::KeyedState,
    time::{Mono, Now},
};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use crate::{
    audit::{DropReason, PlaneAudit},
    config::Config,
    contact::{Contact, RawContact},
    density::{Densities, NetworkSize},
    io::{DhtOutput, Failure},
    query::{Query, QueryOutcome, QueryResult, QueryStats, Refusal},
    seeding::Seeding,
    tickets::{OnBehalf, QueryTicket, RpcTicket},
};
use contacts::{UserContacts, doubts::Evidence};
use context::UserContext;
use published::Published;
use query::{QueryIo, Task, UserQuery};
use rpcs::{QueryNumber, QueryRpcs};

pub(crate) struct UserPlane {
    cx: UserContext,
    queries: BTreeMap<QueryNumber, UserQuery>,
    last_query: u64,
    seeding: Seeding,
    size: NetworkSize,
    densities: Densities,
    next_purge: Mono,
    secrets: StdRng,
    choices: StdRng,
}

/// Time between two purges of expired contacts, in microseconds.
const PURGE_INTERVAL: u64 = 60_000_000;

impl UserPlane {
    pub(crate) fn new(config: &Config, mut secrets: StdRng, choices: StdRng) -> Self {
        let hasher = KeyedState(secrets.random());
        let cx = UserContext {
            config: config.clone(),
            contacts: UserContacts::new(config, &hasher),
            rpcs: QueryRpcs::new(),
            published: Published::new(&mut secrets),
            counters: PlaneAudit::default(),
            out: VecDeque::new(),
        };
        Self {
            cx,
            queries: BTreeMap::new(),
            last_query: 0,
            seeding: Seeding::default(),
            size: NetworkSize::default(),
            densities: Densities::default(),
            next_purge: Mono(PURGE_INTERVAL),
            secrets,
            choices,
        }
    }

    /// The next thing to do, if there is one.
    pub(crate) fn poll_output(&mut self) -> Option<DhtOutput> {
        self.cx.out.pop_front()
    }

    /// Starts a query or refuses it.
    pub(crate) fn start(&mut self, ticket: QueryTicket, query: Query, now: &Now) {
        match self.admit(ticket, query) {
            Ok(task) => self.begin(Some(ticket), task, now),
            Err(refusal) => {
                let outcome = QueryOutcome {
                    result: QueryResult::Refused(refusal),
                    stats: QueryStats::default(),
                };
                self.cx.out.push_back(DhtOutput::Done(ticket, outcome));
            }
        }
    }

    fn admit(&mut self, ticket: QueryTicket, query: Query) -> Result<Task, Refusal> {
        if self.number_of(ticket).is_some() {
            return Err(Refusal::TicketInUse);
        }
        let UserContext {
            config, published, ..
        } = &mut self.cx;
        if self.queries.len() >= config.max_queries {
            return Err(Refusal::TooManyQueries);
        }
        Task::new(query, published, &mut self.secrets, config)
    }

    fn number_of(&self, ticket: QueryTicket) -> Option<QueryNumber> {
        let mut queries = self.queries.iter();
        let found = queries.find(|(_, query)| query.io().ticket() == Some(ticket));
        found.map(|(number, _)| *number)
    }

    fn begin(&mut self, ticket: Option<QueryTicket>, task: Task, now: &Now) {
        self.last_query += 1;
        let number = QueryNumber(self.last_query);
        let io = QueryIo::new(number, ticket, self.cx.rpcs.new_group());
        let region = self.size.region(self.cx.config.width);
        let query = UserQuery::new(io, task, region, &self.cx, now);
        self.queries.insert(number, query);
        self.drive(number, now);
    }

    /// Lets a query do all it can now.
    fn drive(&mut self, number: QueryNumber, now: &Now) {
        let Some(query) = self.queries.get_mut(&number) else {
            return;
        };
        if let Some(result) = query.step(&mut self.cx, now)
            && let Some(query) = self.queries.remove(&number)
        {
            self.end(&query, result, now);
        }
        self.spread_doubts(Some(number));
    }

    /// Nodes failed: all queries except `except`, which found it out, stop counting on them.
    fn spread_doubts(&mut self, except: Option<QueryNumber>) {
        let nodes = self.cx.contacts.take_newly_doubted();
        for (number, query) in &mut self.queries {
            if Some(*number) != except {
                query.doubt(&nodes);
            }
        }
    }

    /// Ends a query at the user's request. A record that it was to publish is not kept.
    pub(crate) fn cancel(&mut self, ticket: QueryTicket, now: &Now) {
        let number = self.number_of(ticket);
        let Some(query) = number.and_then(|number| self.queries.remove(&number)) else {
            return;
        };
        if let Some(id) = query.task().published() {
            self.cx.published.forget(id);
        }
        self.end(&query, QueryResult::Cancelled, now);
    }

    /// Ends a query that no longer runs: reports its outcome and forgets its RPCs.
    fn end(&mut self, query: &UserQuery, result: QueryResult, now: &Now) {
        self.cx.rpcs.forget(query.io().number());
        if result != QueryResult::Cancelled {
            query.give_up_on_silent(&mut self.cx, now.mono);
        }
        let UserContext {
            config, published, ..
        } = &mut self.cx;
        match (query.task().published(), &result) {
            (Some(id), QueryResult::Stored { at, of, .. }) => {
                published.announced(id, (*at, *of), config, now.mono, &mut self.choices);
            }
            (Some(id), QueryResult::Conflict { .. }) => published.forget(id),
            _ => {}
        }
        if let Some(estimate) = query.lookup().network_estimate() {
            self.size.seen(estimate);
        }
        if let Some(density) = query.lookup().density() {
            self.densities.seen(density);
        }
        if let Some(ticket) = query.io().ticket() {
            let stats = self.stats(query, now);
            let outcome = QueryOutcome { result, stats };
            self.cx.out.push_back(DhtOutput::Done(ticket, outcome));
        }
        if let Some(group) = query.io().group_in_use() {
            self.cx.out.push_back(DhtOutput::GroupEnded(group));
        }
    }

    /// The costs of the query. The estimate of the network's size is that of all recent queries.
    fn stats(&self, query: &UserQuery, now: &Now) -> QueryStats {
        let mut stats = query.stats(now.mono);
        if stats.network_estimate.is_some() {
            let answered = self.cx.contacts.answered_lately(now.unix) as u64;
            stats.network_range = self.densities.estimate(self.cx.config.width, answered);
            stats.network_estimate = stats.network_range.map(|range| range.about);
        }
        stats
    }

    pub(crate) fn response(&mut self, ticket: RpcTicket, body: &[u8], now: &Now) {
        let Some(rpc) = self.cx.rpcs.take(ticket) else {
            return self.cx.discard(DropReason::UnknownTicket);
        };
        if let Some(query) = self.queries.get_mut(&rpc.query) {
            query.response(&mut self.cx, &rpc, body, now);
            self.drive(rpc.query, now);
        }
    }

    /// There was no answer.
    pub(crate) fn failed(&mut self, ticket: RpcTicket, how: Failure, now: &Now) {
        let Some(rpc) = self.cx.rpcs.take(ticket) else {
            return self.cx.discard(DropReason::UnknownTicket);
        };
        if let Some(query) = self.queries.get_mut(&rpc.query) {
            query.failed(&mut self.cx, &rpc);
        }
        let evidence = match how {
            Failure::NotSent => None,
            Failure::Over(_) => Some(Evidence::Weak),
            Failure::OverSeveral => Some(Evidence::Strong),
        };
        if let Some(evidence) = evidence {
            self.cx.contacts.failed(&rpc.to, evidence, now.mono);
            self.spread_doubts(None);
        }
        self.drive(rpc.query, now);
    }

    /// There is no answer yet.
    pub(crate) fn slow(&mut self, ticket: RpcTicket, now: &Now) {
        let Some(rpc) = self.cx.rpcs.get(ticket) else {
            return self.cx.discard(DropReason::UnknownTicket);
        };
        let (number, purpose, node) = (rpc.query, rpc.purpose, rpc.to.id());
        if let Some(query) = self.queries.get_mut(&number) {
            query.slow(&mut self.cx, purpose, node, now.mono);
            self.drive(number, now);
        }
    }

    /// An endpoint gave these contacts.
    pub(crate) fn seeds(&mut self, mut bodies: Vec<Vec<u8>>, now: &Now) {
        bodies.shuffle(&mut self.choices);
        for (number, body) in bodies.into_iter().enumerate() {
            if number >= self.cx.config.seeds_per_answer {
                self.cx.discard(DropReason::TooManySeeds);
                continue;
            }
            match RawContact::parse_all(&body).and_then(|raw| self.cx.verify(raw, now)) {
                Ok(contact) => {
                    let trust = self.cx.contacts.heard(&contact, now.mono);
                    self.queries
                        .values_mut()
                        .for_each(|query| query.seeded(&contact, trust));
                }
                Err(error) => self.cx.discard(DropReason::Contact(error)),
            }
        }
        let running: Vec<QueryNumber> = self.queries.keys().copied().collect();
        running
            .into_iter()
            .for_each(|number| self.drive(number, now));
        self.advance(now);
    }

    /// Sets the persona that this node's own announcements name. Only its key comes over from the persona plane, and it is only
    /// sealed into entries.
    pub(crate) fn set_persona(&mut self, key: Option<[u8; 32]>, now: &Now) {
        self.cx
            .published
            .set_persona(key, now.mono, &mut self.choices);
    }

    /// Does everything whose time has come.
    pub(crate) fn advance(&mut self, now: &Now) {
        if self.next_purge <= now.mono {
            self.next_purge = now.mono.plus_us(PURGE_INTERVAL);
            self.cx.contacts.purge(now.unix);
        }
        let due: Vec<QueryNumber> = self
            .queries
            .iter()
            .filter(|(_, query)| query.wake() <= now.mono)
            .map(|(number, _)| *number)
            .collect();
        due.into_iter().for_each(|number| self.drive(number, now));
        self.publish_due(now);
        let (contacts, enough) = (
            self.contacts_for_seeding(now),
            self.cx.config.low_user_contacts,
        );
        if self
            .seeding
            .ask(contacts, enough, &self.cx.config, now.mono)
        {
            self.cx.out.push_back(DhtOutput::WantSeeds(OnBehalf::User));
            if contacts > 0 && self.seeding.wants_other_endpoints() {
                self.cx
                    .out
                    .push_back(DhtOutput::WantOtherEndpoints(OnBehalf::User));
            }
        }
    }

    /// Announces the records that are due. Without contacts nobody can store them; the first seeds lead here again.
    fn publish_due(&mut self, now: &Now) {
        while self.cx.contacts.live(now.unix).next().is_some() {
            let UserContext {
                config, published, ..
            } = &mut self.cx;
            let Some(id) = published.take_due(config, now.mono) else {
                break;
            };
            if let Some(record) = published.record(id, &mut self.secrets) {
                self.begin(None, Task::Publish { id, record }, now);
            }
        }
    }

    /// Number of live contacts for the seeding, or 0 while a lookup has no node to ask, whatever the cache holds.
    fn contacts_for_seeding(&self, now: &Now) -> usize {
        match self.queries.values().any(UserQuery::waits_for_contacts) {
            true => 0,
            false => self
                .cx
                .contacts
                .counted_on(self.cx.config.low_user_contacts, now),
        }
    }

    /// The time at which [`Self::advance`] has something to do.
    pub(crate) fn next_wake(&self, now: &Now) -> Option<(Mono, &'static str)> {
        let config = &self.cx.config;
        let queries = self.queries.values().map(|query| (query.wake(), "a query"));
        let contacts = self.contacts_for_seeding(now);
        let enough = config.low_user_contacts;
        let seeds = self.seeding.due(contacts, enough, config, now.mono);
        // Without contacts a record that is due waits for seeds, not for a time.
        let publish = self.cx.published.next_due(config).filter(|_| contacts > 0);
        queries
            .chain(seeds.map(|due| (due, "seeds for users")))
            .chain(publish.map(|due| (due, "announcing again")))
            .chain([(self.next_purge, "forgetting expired contacts")])
            .min()
    }

    /// Sizes and counters.
    pub(crate) fn audit(&self) -> PlaneAudit {
        PlaneAudit {
            contacts: self.cx.contacts.len(),
            calls: self.cx.rpcs.len(),
            lookups: self.queries.values().map(UserQuery::lookups).sum(),
            ..self.cx.counters.clone()
        }
    }

    /// Number of contacts that have not expired.
    pub(crate) fn live_contacts(&self, now: &Now) -> usize {
        self.cx.contacts.live(now.unix).count()
    }

    /// The contacts that lookups start from.
    pub(crate) fn contacts(&self, now: &Now) -> Vec<Contact> {
        self.cx.contacts.live(now.unix).cloned().collect()
    }

    /// All records that this node publishes.
    pub(crate) fn published(&self) -> &Published {
        &self.cx.published
    }
}
