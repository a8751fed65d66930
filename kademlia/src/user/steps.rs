//! How queries proceed: what they send, and when they are over.
use deut_common::time::{Mono, Now};

use super::{
    Call, CallKind, UserPlane,
    doubts::Evidence,
    query::{Storing, Task, UserQuery},
};
use crate::{
    contact::Contact,
    io::DhtOutput,
    lookup::{Lookup, Silence, Step},
    query::{Progress, QueryOutcome, QueryResult},
    records::mutable::MutableRecord,
    tickets::OnBehalf,
    wire::rpc::Request,
};

impl UserPlane {
    /// Lets a query do all it can now.
    pub(super) fn drive(&mut self, number: u64, now: &Now) {
        let Some(mut query) = self.queries.remove(&number) else {
            return;
        };
        match self.step(number, &mut query, now) {
            None => {
                self.queries.insert(number, query);
            }
            Some(result) => self.end(number, query, result, now),
        }
    }

    /// Sends what can be sent; the result, once there is one.
    fn step(&mut self, number: u64, query: &mut UserQuery, now: &Now) -> Option<QueryResult> {
        if let Some(value) = query.value.take() {
            return Some(QueryResult::Value(value));
        }
        if query.storing.is_some() {
            return self.step_storing(number, query, now);
        }
        query.wake = Mono(u64::MAX);
        let mut looking = self.step_lookup(number, query, now);
        looking |= self.step_resolves(number, query, now);
        looking |= self.step_probes(number, query, now);
        if looking || self.retry(number, query, now) {
            return None;
        }
        match &query.task {
            Task::Node(_) => {
                let nodes: Vec<Contact> = query
                    .lookup
                    .answers()
                    .take(self.config.width)
                    .map(|(contact, _)| contact.clone())
                    .collect();
                Some(if nodes.is_empty() {
                    QueryResult::NotFound
                } else {
                    QueryResult::Nodes(nodes)
                })
            }
            Task::Peers(_) => {
                let peers = query.peers();
                Some(if peers.is_empty() {
                    QueryResult::NotFound
                } else {
                    QueryResult::Peers(peers)
                })
            }
            Task::Value(_) => Some(QueryResult::NotFound),
            Task::Mutable { of, min_seq, found } => Some(match found {
                None => QueryResult::NotFound,
                Some((version, ..)) if version.seq < *min_seq => {
                    QueryResult::OnlyOlder { seq: version.seq }
                }
                Some((version, given_by, older_by)) => QueryResult::Mutable {
                    record: MutableRecord::of_checked(of.clone(), version.clone()),
                    given_by: *given_by,
                    older_by: *older_by,
                },
            }),
            Task::Publish { .. } | Task::PutMutable { .. } => {
                let record = query.task.record();
                query.storing = Some(Storing::new(
                    &query.lookup,
                    self.config.width,
                    record.as_ref(),
                ));
                self.step_storing(number, query, now)
            }
        }
    }

    /// A search that found nothing goes on over nodes that it did not ask yet, if there are any: those on the way may have
    /// lied, or have led past the right ones.
    fn retry(&mut self, number: u64, query: &mut UserQuery, now: &Now) -> bool {
        let empty = match &query.task {
            Task::Value(_) => true,
            Task::Peers(_) => query.peers().is_empty(),
            Task::Mutable { found, .. } => found.is_none(),
            Task::Node(_) | Task::Publish { .. } | Task::PutMutable { .. } => false,
        };
        if !empty || query.retries >= self.config.max_retries {
            return false;
        }
        let deadline = now.mono.plus_us(self.config.max_lookup / 2);
        let mut path = query.lookup.disjoint(&self.config, now.mono, deadline);
        self.add_known(&mut path, self.config.max_user_contacts, now);
        if path.is_empty() {
            return false;
        }
        self.give_up_on_silent(query, None, now);
        query.retry(path);
        self.step_lookup(number, query, now)
    }

    /// Whether the query's own lookup still runs.
    fn step_lookup(&mut self, number: u64, query: &mut UserQuery, now: &Now) -> bool {
        loop {
            match query.lookup.next(now.mono) {
                Step::Ask(contact) => {
                    let request = query.request();
                    self.send(number, query, contact, CallKind::Lookup, &request);
                }
                Step::Wait(until) => {
                    query.wake = query.wake.min(until);
                    return true;
                }
                Step::Finished
                    if query.retries == 0
                        && query.lookup.is_stuck()
                        && now.mono < query.lookup.deadline() =>
                {
                    query.wake = query.wake.min(query.lookup.deadline());
                    if !query.told_waiting {
                        query.told_waiting = true;
                        self.progress(query, Progress::WaitingForContacts);
                    }
                    return true;
                }
                Step::Finished => return false,
            }
        }
    }

    /// Whether a lookup for an announced persona still runs.
    fn step_resolves(&mut self, number: u64, query: &mut UserQuery, now: &Now) -> bool {
        let mut resolves = std::mem::take(&mut query.resolves);
        resolves.retain(|target, lookup| {
            loop {
                match lookup.next(now.mono) {
                    Step::Ask(contact) => {
                        let request = Request::FindNode {
                            target: *target,
                            sender: None,
                        };
                        self.send(number, query, contact, CallKind::Resolve(*target), &request);
                    }
                    Step::Wait(until) => {
                        query.wake = query.wake.min(until);
                        return true;
                    }
                    Step::Finished => {
                        self.give_up_on_silent(query, Some(lookup), now);
                        if !self.resolve_elsewhere(lookup, now) {
                            return false;
                        }
                    }
                }
            }
        });
        query.resolves = resolves;
        !query.resolves.is_empty()
    }

    /// A lookup is over without the answers of some whom it asked: the next one does not count on them.
    fn give_up_on_silent(&mut self, query: &UserQuery, of: Option<&Lookup>, now: &Now) {
        let silent = of.unwrap_or(&query.lookup).silent(now.mono);
        for (contact, silence) in silent {
            let node = contact.id();
            self.progress(query, Progress::GivenUp { node });
            let evidence = match silence {
                Silence::Once => Evidence::Weak,
                Silence::Often => Evidence::Strong,
            };
            self.doubt(&contact, evidence, now);
        }
    }

    fn step_storing(
        &mut self,
        number: u64,
        query: &mut UserQuery,
        now: &Now,
    ) -> Option<QueryResult> {
        let Some(record) = query.task.record() else {
            return Some(QueryResult::NotFound);
        };
        let key = record.key();
        let mut storing = query.storing.take()?;
        while let Some((contact, token)) = storing.next() {
            let request = Request::Store {
                token,
                record: record.clone(),
            };
            self.send(number, query, contact, CallKind::Store, &request);
        }
        let patience = query
            .started
            .plus_us(self.config.max_lookup.saturating_mul(2));
        let over = storing
            .over_at(self.config.slow_grace, patience)
            .filter(|over| *over > now.mono);
        let result = query.task.stored(key, &storing);
        query.storing = Some(storing);
        query.wake = over.unwrap_or(now.mono);
        over.is_none().then_some(result)
    }

    pub(super) fn send(
        &mut self,
        number: u64,
        query: &mut UserQuery,
        to: Contact,
        kind: CallKind,
        request: &Request,
    ) {
        let ticket = self.tickets.rpc();
        query.counts.sent += 1;
        self.counters.sent += 1;
        let target = match kind {
            CallKind::Lookup | CallKind::Store => *query.lookup.target(),
            CallKind::Resolve(target) => target,
            CallKind::Probe => to.id(),
        };
        let shared_bits = target.distance(&to.id()).shared_bits();
        self.progress(
            query,
            Progress::Asked {
                node: to.id(),
                shared_bits,
            },
        );
        self.out.push_back(DhtOutput::Send {
            ticket,
            group: query.group,
            query: query.ticket,
            to: to.clone(),
            body: request.to_body(),
            on_behalf: OnBehalf::User,
        });
        self.calls.insert(
            ticket,
            Call {
                query: number,
                to,
                kind,
            },
        );
    }

    pub(super) fn progress(&mut self, query: &UserQuery, progress: Progress) {
        if let Some(ticket) = query.ticket {
            self.out.push_back(DhtOutput::Progress(ticket, progress));
        }
    }

    /// Tells the outcome and forgets the query with its calls.
    pub(super) fn end(&mut self, number: u64, query: UserQuery, result: QueryResult, now: &Now) {
        self.calls.retain(|_, call| call.query != number);
        if result != QueryResult::Cancelled {
            self.give_up_on_silent(&query, None, now);
        }
        match (query.task.published(), &result) {
            (Some(id), QueryResult::Stored { at, of, .. }) => {
                self.published
                    .announced(id, (*at, *of), &self.config, now.mono, &mut self.choices);
            }
            (Some(id), QueryResult::Conflict { .. }) => self.published.forget(id),
            _ => {}
        }
        if let Some(estimate) = query.lookup.network_estimate() {
            self.size.seen(estimate);
        }
        if let Some(density) = query.lookup.density() {
            self.densities.seen(density);
        }
        if let Some(ticket) = query.ticket {
            let mut stats = query.stats(now.mono);
            if stats.network_estimate.is_some() {
                let width = self.config.width;
                let answered = self.cache.answered_lately(now.unix) as u64;
                stats.network_range = self.densities.estimate(width, answered);
                stats.network_estimate = stats.network_range.map(|range| range.about);
            }
            self.out
                .push_back(DhtOutput::Done(ticket, QueryOutcome { result, stats }));
        }
        if query.counts.sent > 0 {
            self.out.push_back(DhtOutput::GroupEnded(query.group));
        }
    }
}
