//! One query of a user, or one re-announcement: a search, and then the STOREs if it publishes.
mod announcements;
mod io;
mod personas;
mod probe;
mod search;
mod storing;
mod task;

use deut_common::{
    codec::Bounded,
    time::{Mono, Now},
};

use super::{
    contacts::doubts::Evidence,
    context::UserContext,
    rpcs::{QueryRpc, RpcPurpose},
};
use crate::{
    audit::DropReason,
    contact::{Contact, RawContact},
    id::NodeId,
    io::DhtOutput,
    lookup::{Lookup, Trust},
    query::{Progress, QueryResult, QueryStats},
    records::{
        announced::Announced, entry::PeerEntry, mutable::Version, record::StoreResult,
        token::Token, value::ValueBytes,
    },
    wire::{
        limits::MAX_ANSWER_BODY,
        rpc::{Answer, MAX_CONTACTS, MAX_ENTRIES},
    },
};
use announcements::Opened;
pub(super) use io::QueryIo;
use personas::PersonaSearches;
use search::KeySearch;
use storing::Storing;
pub(super) use task::Task;

pub(super) struct UserQuery {
    io: QueryIo,
    task: Task,
    search: KeySearch,
    personas: PersonaSearches,
    /// Set once the closest nodes are known, if the query publishes.
    storing: Option<Storing>,
    started: Mono,
    wake: Mono,
}

impl UserQuery {
    /// A query that begins at the known contacts. `region` is the part of the id space around its key of which all nodes count.
    pub(super) fn new(io: QueryIo, task: Task, region: f64, cx: &UserContext, now: &Now) -> Self {
        let mut lookup = Lookup::new(task.target(), &cx.config, now.mono).with_region(region);
        if task.is_thorough() {
            lookup = lookup.thorough();
        }
        cx.begin(&mut lookup, 2 * cx.config.width, now);
        Self {
            io,
            task,
            search: KeySearch::new(lookup),
            personas: PersonaSearches::default(),
            storing: None,
            started: now.mono,
            wake: now.mono,
        }
    }

    pub(super) fn io(&self) -> &QueryIo {
        &self.io
    }

    pub(super) fn task(&self) -> &Task {
        &self.task
    }

    /// The search around its key, on the last path.
    pub(super) fn lookup(&self) -> &Lookup {
        self.search.lookup()
    }

    /// The time at which [`Self::step`] has something to do if nothing happens before.
    pub(super) fn wake(&self) -> Mono {
        self.wake
    }

    /// Returns true while it has no node to ask and has reported that.
    pub(super) fn waits_for_contacts(&self) -> bool {
        self.search.waits_for_contacts()
    }

    /// Number of lookups that it runs.
    pub(super) fn lookups(&self) -> usize {
        1 + self.personas.len()
    }

    /// The cost so far, without the range of the network's size.
    pub(super) fn stats(&self, now: Mono) -> QueryStats {
        let lookup = self.search.lookup();
        let closest = self.search.closest_answered();
        QueryStats {
            rounds: lookup.rounds(),
            closest_answered: u32::try_from(closest).unwrap_or(u32::MAX),
            network_estimate: lookup.network_estimate(),
            peers_at_least: match &self.task {
                Task::Peers(announcements) => announcements.at_least(),
                _ => None,
            },
            micros: now.since(self.started),
            ..self.io.counts()
        }
    }

    /// Sends what can be sent now. Returns the result once there is one.
    pub(super) fn step(&mut self, cx: &mut UserContext, now: &Now) -> Option<QueryResult> {
        if self.storing.is_none() && !self.task.is_done() {
            if let Some(wake) = self.look(cx, now) {
                self.wake = wake;
                return None;
            }
            let record = self.task.record();
            let width = cx.config.width;
            self.storing = record.map(|record| Storing::new(self.search.lookup(), width, record));
        }
        let Some(storing) = &mut self.storing else {
            return Some(self.task.result(self.search.lookup(), cx.config.width));
        };
        let longest = cx.config.max_lookup.saturating_mul(2);
        let patience = self.started.plus_us(longest);
        match storing.step(cx, &mut self.io, patience, now.mono) {
            Some(wake) => {
                self.wake = wake;
                None
            }
            None => Some(self.task.stored(storing)),
        }
    }

    /// Continues all searches. Returns the time to look again; `None` once all are over.
    fn look(&mut self, cx: &mut UserContext, now: &Now) -> Option<Mono> {
        let Self { io, task, .. } = self;
        let request = task.request();
        let search = self.search.step(cx, io, &request, now.mono);
        let personas = self.personas.step(cx, io, now);
        let probes = match task {
            Task::Peers(announcements) => announcements.step(cx, io, now.mono),
            _ => None,
        };
        let wake = [search, personas, probes].into_iter().flatten().min();
        if wake.is_none() && task.found_nothing() && self.search.retry(cx, io, now) {
            return self.search.step(cx, io, &request, now.mono);
        }
        wake
    }

    /// An endpoint gave a contact.
    pub(super) fn seeded(&mut self, contact: &Contact, trust: Trust) {
        self.offer(contact, trust, None);
        self.resolve(contact);
    }

    /// Nodes failed in another query, so these lookups do not count on them.
    pub(super) fn doubt(&mut self, nodes: &[NodeId]) {
        for node in nodes {
            self.search.lookup_mut().doubt(node);
            self.personas
                .lookups_mut()
                .for_each(|lookup| lookup.doubt(node));
        }
    }

    /// The query is over, with nodes that were asked and have not answered yet.
    pub(super) fn give_up_on_silent(&self, cx: &mut UserContext, now: Mono) {
        self.io.give_up_on_silent(cx, self.search.lookup(), now);
    }

    pub(super) fn response(
        &mut self,
        cx: &mut UserContext,
        rpc: &QueryRpc,
        body: &[u8],
        now: &Now,
    ) {
        match self.accept(cx, rpc, body, now) {
            Ok(contacts) => {
                self.io.answered(cx, &rpc.to, contacts);
                self.probed(cx, &rpc.to.id(), true);
            }
            Err(reason) => {
                cx.discard(reason);
                self.failed(cx, rpc);
                cx.contacts.failed(&rpc.to, Evidence::Strong, now.mono);
            }
        }
    }

    /// There was no answer, or none that was accepted.
    pub(super) fn failed(&mut self, cx: &mut UserContext, rpc: &QueryRpc) {
        let node = rpc.to.id();
        match rpc.purpose {
            RpcPurpose::Search | RpcPurpose::FindPersona(_) => {
                if let Some(lookup) = self.lookup_of(rpc.purpose) {
                    lookup.failed(&node);
                }
            }
            RpcPurpose::Probe => self.probed(cx, &node, false),
            RpcPurpose::Store => {
                if let Some(storing) = &mut self.storing {
                    storing.ended(&node, false);
                }
            }
        }
        self.io.failed(cx, node);
    }

    /// There is no answer yet.
    pub(super) fn slow(
        &mut self,
        cx: &mut UserContext,
        purpose: RpcPurpose,
        node: NodeId,
        now: Mono,
    ) {
        if let Some(lookup) = self.lookup_of(purpose) {
            lookup.slow(&node, now);
        }
        if let (RpcPurpose::Store, Some(storing)) = (purpose, &mut self.storing) {
            storing.slow(&node, now);
        }
        self.io.tell(cx, Progress::Slow { node });
    }

    /// The lookup that an RPC belongs to, if it still runs.
    fn lookup_of(&mut self, purpose: RpcPurpose) -> Option<&mut Lookup> {
        match purpose {
            RpcPurpose::Search => Some(self.search.lookup_mut()),
            RpcPurpose::FindPersona(id) => self.personas.get_mut(&id),
            RpcPurpose::Probe | RpcPurpose::Store => None,
        }
    }

    /// Uses an answer. Returns the number of contacts in it.
    fn accept(
        &mut self,
        cx: &mut UserContext,
        rpc: &QueryRpc,
        body: &[u8],
        now: &Now,
    ) -> Result<usize, DropReason> {
        if body.len() > MAX_ANSWER_BODY {
            return Err(DropReason::Oversize);
        }
        let answer = Answer::from_body(body).map_err(|_| DropReason::MalformedAnswer)?;
        let node = rpc.to.id();
        match (rpc.purpose, answer) {
            (
                RpcPurpose::Search | RpcPurpose::FindPersona(_),
                Answer::Nodes { token, contacts },
            ) => {
                return Ok(self.accept_nodes(cx, rpc, token, contacts, now));
            }
            (RpcPurpose::Probe, Answer::Pong { contact }) => {
                self.accept_pong(cx, &rpc.to, contact, now)?;
                return Ok(1);
            }
            (RpcPurpose::Search, Answer::Value { token, value }) => {
                self.accept_value(value)?;
                self.search.lookup_mut().answered(&node, token, now.mono);
            }
            (RpcPurpose::Search, Answer::Peers { token, entries }) => {
                self.accept_peers(cx, node, entries, now)?;
                self.search.lookup_mut().answered(&node, token, now.mono);
            }
            (RpcPurpose::Search, Answer::Mutable { token, version }) => {
                self.accept_version(cx, node, &version)?;
                self.search.lookup_mut().answered(&node, token, now.mono);
            }
            (RpcPurpose::Store, Answer::Conflict { kept, .. }) => {
                self.accept_conflict(cx, node, kept)?;
            }
            (RpcPurpose::Store, Answer::Stored(result)) => {
                self.accept_stored(cx, node, result == StoreResult::Stored);
            }
            _ => return Err(DropReason::UnexpectedAnswer),
        }
        Ok(0)
    }

    fn accept_nodes(
        &mut self,
        cx: &mut UserContext,
        rpc: &QueryRpc,
        token: Token,
        contacts: Bounded<RawContact, MAX_CONTACTS>,
        now: &Now,
    ) -> usize {
        if let Some(lookup) = self.lookup_of(rpc.purpose) {
            lookup.answered(&rpc.to.id(), token, now.mono);
        }
        let mut good = 0;
        for raw in contacts.into_vec() {
            match cx.verify(raw, now) {
                Err(error) => cx.discard(DropReason::Contact(error)),
                Ok(contact) => {
                    good += 1;
                    self.learn(cx, rpc, contact, now);
                }
            }
        }
        good
    }

    /// A node named a contact.
    fn learn(&mut self, cx: &mut UserContext, rpc: &QueryRpc, contact: Contact, now: &Now) {
        let trust = cx.contacts.heard(&contact, now.mono);
        // An expired contact, which passed only within our clock's tolerance, resolves no announcement.
        if !contact.is_expired(now.unix) {
            self.resolve_and_tell(cx, &contact);
        }
        let via = rpc.to.id();
        match rpc.purpose {
            RpcPurpose::FindPersona(id) => {
                if let Some(lookup) = self.personas.get_mut(&id) {
                    lookup.add_as(trust, contact, Some(&via));
                }
            }
            RpcPurpose::Search | RpcPurpose::Probe | RpcPurpose::Store => {
                self.offer(&contact, trust, Some(&via));
            }
        }
    }

    /// Adds a candidate to all lookups: nodes near the key may also be near a persona that is searched for.
    fn offer(&mut self, contact: &Contact, trust: Trust, via: Option<&NodeId>) {
        for lookup in self.personas.lookups_mut() {
            lookup.add_as(trust, contact.clone(), via);
        }
        let lookup = self.search.lookup_mut();
        lookup.add_as(trust, contact.clone(), via);
    }

    /// A contact arrived. If it is that of an announced persona, the search for it is over. Returns the news for the user, if any.
    fn resolve(&mut self, contact: &Contact) -> Option<Progress> {
        let Task::Peers(announcements) = &mut self.task else {
            return None;
        };
        self.personas.found(&contact.id());
        announcements.resolve(contact)
    }

    fn resolve_and_tell(&mut self, cx: &mut UserContext, contact: &Contact) {
        if let Some(news) = self.resolve(contact) {
            self.io.tell(cx, news);
        }
    }

    /// A node answered or was silent; it may be that of an announced persona.
    fn probed(&mut self, cx: &mut UserContext, node: &NodeId, answered: bool) {
        if let Task::Peers(announcements) = &mut self.task
            && let Some(news) = announcements.probed(node, answered)
        {
            self.io.tell(cx, news);
        }
    }

    /// Handles the answer to a probe.
    fn accept_pong(
        &mut self,
        cx: &mut UserContext,
        to: &Contact,
        contact: RawContact,
        now: &Now,
    ) -> Result<(), DropReason> {
        let newest = cx.verify(contact, now).map_err(DropReason::Contact)?;
        if newest.persona_key() != to.persona_key() {
            return Err(DropReason::UnexpectedAnswer);
        }
        cx.contacts.heard(&newest, now.mono);
        self.resolve_and_tell(cx, &newest);
        Ok(())
    }

    /// The value that was asked for ends the query.
    fn accept_value(&mut self, value: ValueBytes) -> Result<(), DropReason> {
        let Task::Value { key, found } = &mut self.task else {
            return Err(DropReason::UnexpectedAnswer);
        };
        if NodeId::hash_of(value.as_slice()) != *key {
            return Err(DropReason::ForgedValue);
        }
        *found = Some(value.into_vec());
        Ok(())
    }

    fn accept_peers(
        &mut self,
        cx: &mut UserContext,
        node: NodeId,
        entries: Bounded<PeerEntry, MAX_ENTRIES>,
        now: &Now,
    ) -> Result<(), DropReason> {
        let entries = entries.into_vec();
        let is_full = entries.len() == MAX_ENTRIES;
        let mut all_forged = true;
        for entry in entries {
            let Task::Peers(announcements) = &mut self.task else {
                break;
            };
            let opened = announcements.open(cx, &self.io, node, &entry);
            match opened {
                Opened::Forged => cx.discard(DropReason::ForgedEntry),
                Opened::New(Announced::Persona(key)) => {
                    self.find_persona(cx, NodeId::hash_of(&key), now);
                }
                Opened::New(Announced::Address(_)) | Opened::Known => {}
            }
            all_forged &= matches!(opened, Opened::Forged);
        }
        match &mut self.task {
            // A node that gives only forgeries has not answered.
            Task::Peers(_) if all_forged => return Err(DropReason::ForgedEntry),
            Task::Peers(announcements) => announcements.answered(is_full),
            _ => return Err(DropReason::UnexpectedAnswer),
        }
        self.search.lookup_mut().has_enough();
        Ok(())
    }

    /// Searches for the contact of an announced persona, unless it is known.
    fn find_persona(&mut self, cx: &mut UserContext, id: NodeId, now: &Now) {
        let known = cx.contacts.find(&id);
        let known = known.filter(|contact| !contact.is_expired(now.unix));
        match known.cloned() {
            Some(known) => self.resolve_and_tell(cx, &known),
            None => self.personas.start(cx, id, now),
        }
    }

    /// A version of the wanted mutable record arrived. The search goes on, since others may have a newer one.
    fn accept_version(
        &mut self,
        cx: &mut UserContext,
        node: NodeId,
        version: &Version,
    ) -> Result<(), DropReason> {
        if !matches!(self.task, Task::Mutable { .. }) {
            return Err(DropReason::UnexpectedAnswer);
        }
        self.saw_version(cx, version)?;
        self.task.found_version(version);
        self.search.lookup_mut().has_enough();
        let seq = version.seq;
        self.io.tell(cx, Progress::FoundVersion { node, seq });
        Ok(())
    }

    /// A node keeps another version than the one it was to store.
    fn accept_conflict(
        &mut self,
        cx: &mut UserContext,
        node: NodeId,
        kept: Version,
    ) -> Result<(), DropReason> {
        self.saw_version(cx, &kept)?;
        let seq = kept.seq;
        let against = self.task.against(&kept);
        if let Some(storing) = &mut self.storing {
            storing.ended(&node, false);
            storing.conflict(kept, against);
        }
        self.io.tell(cx, Progress::FoundVersion { node, seq });
        self.io.tell(cx, Progress::Refused { node });
        Ok(())
    }

    /// A refusal is an answer too: the node is fine, but another one takes its place.
    fn accept_stored(&mut self, cx: &mut UserContext, node: NodeId, stored: bool) {
        if let Some(storing) = &mut self.storing {
            storing.ended(&node, stored);
        }
        let progress = match stored {
            true => Progress::Stored { node },
            false => Progress::Refused { node },
        };
        self.io.tell(cx, progress);
    }

    /// Checks a version of the mutable record that the query is about. If it is newer than the one that this node publishes, ours
    /// is not announced again.
    fn saw_version(&self, cx: &mut UserContext, version: &Version) -> Result<(), DropReason> {
        let of = self.task.mutable_key();
        let of = of.ok_or(DropReason::UnexpectedAnswer)?;
        if !of.signed(&*cx.config.suite, version) {
            return Err(DropReason::ForgedRecord);
        }
        // A user who puts a version learns of a conflict from the outcome.
        if !matches!(self.task, Task::PutMutable { .. })
            && let Some(published) = cx.published.saw(&of, version)
        {
            cx.out.push_back(DhtOutput::Superseded {
                key: of.dht_key(),
                published,
                seen: version.seq,
            });
        }
        Ok(())
    }
}
