//! What became of the RPCs of users.
use deut_common::{codec::Bounded, time::Now};

use super::{
    Call, CallKind, UserPlane,
    doubts::Evidence,
    query::{Task, UserQuery},
};
use crate::{
    audit::DropReason,
    contact::{Contact, RawContact},
    id::NodeId,
    io::{DhtOutput, Failure},
    lookup::Lookup,
    query::Progress,
    records::{
        announced::Announced, entry::PeerEntry, mutable::Version, record::StoreResult,
        token::Token, value::ValueBytes,
    },
    tickets::RpcTicket,
    wire::{
        limits::MAX_ANSWER_BODY,
        rpc::{Answer, MAX_CONTACTS, MAX_ENTRIES},
    },
};

impl UserPlane {
    /// An answer came.
    pub(crate) fn response(&mut self, ticket: RpcTicket, body: &[u8], now: &Now) {
        let Some(call) = self.calls.remove(&ticket) else {
            return self.counters.drops.count(DropReason::UnknownTicket);
        };
        let Some(mut query) = self.queries.remove(&call.query) else {
            return;
        };
        match self.accept(&mut query, &call, body, now) {
            Ok(contacts) => {
                self.counters.answered += 1;
                query.counts.answered += 1;
                self.cache.answered(&call.to);
                self.doubts.answered(&call.to.id());
                let reached = query.probed(&call.to.id(), true);
                self.progress(
                    &query,
                    Progress::Answered {
                        node: call.to.id(),
                        contacts,
                    },
                );
                if let Some(progress) = reached {
                    self.progress(&query, progress);
                }
            }
            Err(reason) => {
                self.counters.drops.count(reason);
                self.cache.failed(&call.to.id());
                self.lose(&mut query, &call);
                self.doubt(&call.to, Evidence::Strong, now);
            }
        }
        self.queries.insert(call.query, query);
        self.drive(call.query, now);
    }

    /// No answer came.
    pub(crate) fn failed(&mut self, ticket: RpcTicket, how: Failure, now: &Now) {
        let Some(call) = self.calls.remove(&ticket) else {
            return self.counters.drops.count(DropReason::UnknownTicket);
        };
        if let Some(mut query) = self.queries.remove(&call.query) {
            self.lose(&mut query, &call);
            self.queries.insert(call.query, query);
        }
        let evidence = match how {
            Failure::NotSent => None,
            Failure::Over(_) => Some(Evidence::Weak),
            Failure::OverSeveral => Some(Evidence::Strong),
        };
        if let Some(evidence) = evidence {
            self.cache.failed(&call.to.id());
            self.doubt(&call.to, evidence, now);
        }
        self.drive(call.query, now);
    }

    /// No answer came yet.
    pub(crate) fn slow(&mut self, ticket: RpcTicket, now: &Now) {
        let Some(call) = self.calls.get(&ticket) else {
            return self.counters.drops.count(DropReason::UnknownTicket);
        };
        let (number, node) = (call.query, call.to.id());
        if let Some(query) = self.queries.get_mut(&number) {
            match call.kind {
                CallKind::Lookup => query.lookup.slow(&node, now.mono),
                CallKind::Probe => {}
                CallKind::Resolve(target) => {
                    if let Some(lookup) = query.resolves.get_mut(&target) {
                        lookup.slow(&node, now.mono);
                    }
                }
                CallKind::Store => {
                    if let Some(storing) = &mut query.storing {
                        storing.slow(&node, now.mono);
                    }
                }
            }
        }
        if let Some(query) = self.queries.remove(&number) {
            self.progress(&query, Progress::Slow { node });
            self.queries.insert(number, query);
        }
        self.drive(number, now);
    }

    fn lose(&mut self, query: &mut UserQuery, call: &Call) {
        let node = call.to.id();
        query.counts.failed += 1;
        match call.kind {
            CallKind::Lookup => query.lookup.failed(&node),
            CallKind::Probe => {
                query.probed(&node, false);
            }
            CallKind::Resolve(target) => {
                if let Some(lookup) = query.resolves.get_mut(&target) {
                    lookup.failed(&node);
                }
            }
            CallKind::Store => {
                if let Some(storing) = &mut query.storing {
                    storing.ended(&node, false);
                }
            }
        }
        self.progress(query, Progress::Failed { node });
    }

    /// Uses an answer; how many contacts it brought.
    fn accept(
        &mut self,
        query: &mut UserQuery,
        call: &Call,
        body: &[u8],
        now: &Now,
    ) -> Result<usize, DropReason> {
        if body.len() > MAX_ANSWER_BODY {
            return Err(DropReason::Oversize);
        }
        let answer = Answer::from_body(body).map_err(|_| DropReason::MalformedAnswer)?;
        let node = call.to.id();
        match (call.kind, answer) {
            (CallKind::Lookup | CallKind::Resolve(_), Answer::Nodes { token, contacts }) => {
                Ok(self.accept_nodes(query, call, token, contacts, now))
            }
            (CallKind::Probe, Answer::Pong { contact }) => {
                self.accept_pong(query, &call.to, contact, now)?;
                Ok(1)
            }
            (CallKind::Lookup, Answer::Value { token, value }) => {
                accept_value(query, node, token, value, now)?;
                Ok(0)
            }
            (CallKind::Lookup, Answer::Peers { token, entries }) => {
                self.accept_peers(query, node, entries, now)?;
                query.lookup.answered(&node, token, now.mono);
                Ok(0)
            }
            (CallKind::Lookup, Answer::Mutable { token, version }) => {
                self.accept_version(query, node, token, &version, now)?;
                Ok(0)
            }
            (CallKind::Store, Answer::Conflict { kept, .. }) => {
                self.accept_conflict(query, node, kept)?;
                Ok(0)
            }
            (CallKind::Store, Answer::Stored(result)) => {
                self.accept_stored(query, node, result == StoreResult::Stored);
                Ok(0)
            }
            _ => Err(DropReason::UnexpectedAnswer),
        }
    }

    /// A refusal is an answer too: the node is fine, another one takes its place.
    fn accept_stored(&mut self, query: &mut UserQuery, node: NodeId, stored: bool) {
        if let Some(storing) = &mut query.storing {
            storing.ended(&node, stored);
        }
        let progress = match stored {
            true => Progress::Stored { node },
            false => Progress::Refused { node },
        };
        self.progress(query, progress);
    }

    /// A version of the wanted mutable record: the lookup goes on, as others may have a newer one.
    fn accept_version(
        &mut self,
        query: &mut UserQuery,
        node: NodeId,
        token: Token,
        version: &Version,
        now: &Now,
    ) -> Result<(), DropReason> {
        if !matches!(query.task, Task::Mutable { .. }) {
            return Err(DropReason::UnexpectedAnswer);
        }
        self.saw_version(query, version)?;
        query.lookup.answered(&node, token, now.mono);
        query.task.found_version(version);
        query.lookup.has_enough();
        let seq = version.seq;
        self.progress(query, Progress::FoundVersion { node, seq });
        Ok(())
    }

    /// A node keeps another version than the one that it was to store.
    fn accept_conflict(
        &mut self,
        query: &mut UserQuery,
        node: NodeId,
        kept: Version,
    ) -> Result<(), DropReason> {
        self.saw_version(query, &kept)?;
        let seq = kept.seq;
        let against = query.task.against(&kept);
        if let Some(storing) = &mut query.storing {
            storing.ended(&node, false);
            storing.conflict(kept, against);
        }
        self.progress(query, Progress::FoundVersion { node, seq });
        self.progress(query, Progress::Refused { node });
        Ok(())
    }

    /// Checks a version of the mutable record that the query is about. If it is newer than what this node
    /// publishes, that is not announced again.
    fn saw_version(&mut self, query: &UserQuery, version: &Version) -> Result<(), DropReason> {
        let of = query.task.mutable_key();
        let of = of.ok_or(DropReason::UnexpectedAnswer)?;
        if !of.signed(version) {
            return Err(DropReason::ForgedRecord);
        }
        // Whoever puts a version hears of a conflict by the outcome.
        if !matches!(query.task, Task::PutMutable { .. })
            && let Some(published) = self.published.saw(&of, version)
        {
            self.superseded += 1;
            self.out.push_back(DhtOutput::Superseded {
                key: of.dht_key(),
                published,
                seen: version.seq,
            });
        }
        Ok(())
    }

    fn accept_nodes(
        &mut self,
        query: &mut UserQuery,
        call: &Call,
        token: Token,
        contacts: Bounded<RawContact, MAX_CONTACTS>,
        now: &Now,
    ) -> usize {
        let node = call.to.id();
        match call.kind {
            CallKind::Resolve(target) => {
                if let Some(lookup) = query.resolves.get_mut(&target) {
                    lookup.answered(&node, token, now.mono);
                }
            }
            CallKind::Lookup | CallKind::Probe | CallKind::Store => {
                query.lookup.answered(&node, token, now.mono);
            }
        }
        let mut good = 0;
        for raw in contacts.into_vec() {
            let known = self.cache.find(&raw.id());
            match raw.verify_unless(known, &self.config.contact, now.unix) {
                Err(error) => self.counters.drops.count(DropReason::Contact(error)),
                Ok(contact) => {
                    good += 1;
                    self.learn(query, call, contact, now);
                }
            }
        }
        good
    }

    fn learn(&mut self, query: &mut UserQuery, call: &Call, contact: Contact, now: &Now) {
        self.cache.heard(&contact);
        // One that is over, which our clock's tolerance let in, resolves nobody.
        if !contact.is_expired(now.unix)
            && let Some(progress) = query.resolve(&contact)
        {
            self.progress(query, progress);
        }
        let (via, trust) = (call.to.id(), self.doubts.trust(&contact, now.mono));
        match call.kind {
            CallKind::Resolve(target) => {
                if let Some(lookup) = query.resolves.get_mut(&target) {
                    lookup.add_as(trust, contact, Some(&via));
                }
            }
            CallKind::Lookup | CallKind::Probe | CallKind::Store => {
                // Whoever is near the key may also be near somebody who is looked for.
                for lookup in query.resolves.values_mut() {
                    lookup.add_as(trust, contact.clone(), Some(&via));
                }
                query.lookup.add_as(trust, contact, Some(&via));
            }
        }
    }

    fn accept_peers(
        &mut self,
        query: &mut UserQuery,
        node: NodeId,
        entries: Bounded<PeerEntry, MAX_ENTRIES>,
        now: &Now,
    ) -> Result<(), DropReason> {
        if !matches!(query.task, Task::Peers(_)) {
            return Err(DropReason::UnexpectedAnswer);
        }
        let entries = entries.into_vec();
        let is_sample = entries.len() == MAX_ENTRIES;
        let mut forged = true;
        for entry in entries {
            let Some(new) = query.entry(&entry, node, &self.config) else {
                self.counters.drops.count(DropReason::ForgedEntry);
                continue;
            };
            forged = false;
            if let Some(found) = new {
                let what = found.what;
                self.progress(query, Progress::Found(found));
                if let Announced::Persona(key) = what {
                    self.search_persona(query, NodeId::hash_of(&key), now);
                }
            }
        }
        // A node that gives nothing but forgeries has not answered.
        if forged {
            return Err(DropReason::ForgedEntry);
        }
        query.samples += usize::from(is_sample);
        query.lookup.has_enough();
        Ok(())
    }

    /// Looks for the contact of an announced persona, unless it is known.
    fn search_persona(&mut self, query: &mut UserQuery, id: NodeId, now: &Now) {
        if let Some(known) = self
            .cache
            .find(&id)
            .filter(|contact| !contact.is_expired(now.unix))
        {
            let known = known.clone();
            if let Some(progress) = query.resolve(&known) {
                self.progress(query, progress);
            }
            return;
        }
        if query.resolved >= self.config.max_resolved {
            return;
        }
        let mut lookup = Lookup::new(id, &self.config, now.mono);
        self.add_known(&mut lookup, 2 * self.config.width, now);
        query.resolves.insert(id, lookup);
        query.resolved += 1;
    }
}

/// The value that was asked for ends the query.
fn accept_value(
    query: &mut UserQuery,
    node: NodeId,
    token: Token,
    value: ValueBytes,
    now: &Now,
) -> Result<(), DropReason> {
    let Task::Value(key) = &query.task else {
        return Err(DropReason::UnexpectedAnswer);
    };
    if NodeId::hash_of(value.as_slice()) != *key {
        return Err(DropReason::ForgedValue);
    }
    query.lookup.answered(&node, token, now.mono);
    query.value = Some(value.into_vec());
    Ok(())
}
