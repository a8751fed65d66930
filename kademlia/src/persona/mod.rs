//! The persona's plane: its contact, its routing table, its store, its upkeep, and its answers.
//!
//! Nothing in here knows a user's query or contact cache. Each persona gets a new plane.
mod context;
mod holders;
mod maintenance;
mod neighbours;
mod own_contact;
mod rpcs;
mod serving;

use std::collections::VecDeque;

use deut_common::{
    address::EndpointAddress,
    hasher::KeyedState,
    time::{Mono, Now, Unix},
};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use crate::{
    audit::{DropReason, PlaneAudit},
    config::Config,
    contact::{Contact, RawContact},
    identity::PersonaSecret,
    io::{DhtOutput, Failure, PersonaReach},
    records::store::Store,
    seeding::Seeding,
    table::RoutingTable,
    tickets::{IncomingTicket, OnBehalf, RpcTicket, Tickets},
    wire::{limits::MAX_ANSWER_BODY, rpc::Answer},
};
use context::PersonaContext;
use maintenance::Maintenance;
use neighbours::Neighbours;
use own_contact::OwnContact;
use rpcs::{PersonaRpc, PersonaRpcs, RpcKind};
use serving::Serving;

pub(crate) struct PersonaPlane {
    cx: PersonaContext,
    neighbours: Neighbours,
    maintenance: Maintenance,
    serving: Serving,
    seeding: Seeding,
    next_purge: Mono,
}

/// Time between two purges of records and nodes that ended, in microseconds.
const PURGE_INTERVAL: u64 = 60_000_000;

impl PersonaPlane {
    /// `tickets` continues the numbers of the persona before, so that no ticket is used twice.
    pub(crate) fn new(
        secret: PersonaSecret,
        config: &Config,
        mut secrets: StdRng,
        choices: StdRng,
        tickets: Tickets,
        now: &Now,
    ) -> Self {
        let own = OwnContact::new(secret, &config.contact);
        let (id, hasher) = (own.id(), KeyedState(secrets.random()));
        Self {
            cx: PersonaContext {
                config: config.clone(),
                own,
                rpcs: PersonaRpcs::new(tickets),
                counters: PlaneAudit::default(),
                choices,
                out: VecDeque::new(),
            },
            neighbours: Neighbours::new(id, config, hasher),
            maintenance: Maintenance::default(),
            serving: Serving::new(id, config, secrets, now),
            seeding: Seeding::default(),
            next_purge: now.mono.plus_us(PURGE_INTERVAL),
        }
    }

    /// Ends the plane and gives up whatever is under way. Returns the tickets for the next persona and the remaining outputs.
    pub(crate) fn close(self) -> (Tickets, VecDeque<DhtOutput>) {
        let (mut groups, tickets) = self.cx.rpcs.close();
        groups.extend(self.maintenance.group_in_use());
        groups.sort_unstable();
        groups.dedup();
        let mut out = self.cx.out;
        out.extend(groups.into_iter().map(DhtOutput::GroupEnded));
        (tickets, out)
    }

    /// The next thing to do, if there is one.
    pub(crate) fn poll_output(&mut self) -> Option<DhtOutput> {
        self.cx.out.pop_front()
    }

    /// The persona's public key.
    pub(crate) fn key(&self) -> [u8; 32] {
        self.cx.own.key()
    }

    /// Sets the present endpoint addresses.
    pub(crate) fn set_addresses(&mut self, addresses: Vec<(EndpointAddress, Unix)>, now: &Now) {
        let PersonaContext { own, config, .. } = &mut self.cx;
        own.set_addresses(addresses, &config.contact);
        self.advance(now);
    }

    /// An endpoint gave these contacts.
    pub(crate) fn seeds(&mut self, mut bodies: Vec<Vec<u8>>, now: &Now) {
        let Self { cx, neighbours, .. } = self;
        bodies.shuffle(&mut cx.choices);
        let waiting = neighbours.unverified();
        for (number, body) in bodies.into_iter().enumerate() {
            if number >= cx.config.seeds_per_answer {
                cx.discard(DropReason::TooManySeeds);
                continue;
            }
            match RawContact::parse_all(&body).and_then(|raw| neighbours.verify(cx, raw, now)) {
                Ok(contact) => neighbours.consider(cx, contact, now),
                Err(error) => cx.discard(DropReason::Contact(error)),
            }
        }
        if neighbours.unverified() > waiting {
            // A new node may belong to a part of the network that we do not know: look around when it has answered.
            self.maintenance.look_around_soon(cx, now.mono);
        }
        self.advance(now);
    }

    /// A request came out of a tunnel of the persona.
    pub(crate) fn request(&mut self, ticket: IncomingTicket, body: &[u8], now: &Now) {
        let Self { cx, neighbours, .. } = self;
        self.serving.request(cx, neighbours, (ticket, body), now);
        // The request may have brought a contact to send a PING to.
        if self.neighbours.unverified() > 0 {
            self.keep_up(now);
        }
    }

    /// Does everything whose time has come.
    pub(crate) fn advance(&mut self, now: &Now) {
        let PersonaContext {
            own, config, out, ..
        } = &mut self.cx;
        if own.renew(&config.contact, now)
            && let Some(contact) = own.current(now)
        {
            out.push_back(DhtOutput::Advertise(contact.as_bytes().to_vec()));
            self.maintenance.look_around_soon(&mut self.cx, now.mono);
        }
        self.serving.rotate_tokens(now);
        if self.next_purge <= now.mono {
            self.next_purge = now.mono.plus_us(PURGE_INTERVAL);
            self.serving.purge(now);
            self.neighbours.purge(now);
        }
        if self.cx.own.current(now).is_some() {
            self.keep_up(now);
            self.ask_for_seeds(now);
        }
    }

    fn ask_for_seeds(&mut self, now: &Now) {
        let good = self.table().good(now);
        let PersonaContext { config, out, .. } = &mut self.cx;
        if !self.seeding.ask(good, config.width, config, now.mono) {
            return;
        }
        out.push_back(DhtOutput::WantSeeds(OnBehalf::Persona));
        // While no node is known, the transport moves tunnels by itself as soon as endpoints have no contacts to give.
        if good > 0 && self.seeding.wants_other_endpoints() {
            out.push_back(DhtOutput::WantOtherEndpoints(OnBehalf::Persona));
        }
    }

    /// Starts the PINGs and lookups that are due. Call it while the persona has a contact.
    fn keep_up(&mut self, now: &Now) {
        let Self { cx, neighbours, .. } = self;
        neighbours.send_pings(cx, now);
        self.maintenance.plan(cx, neighbours, now);
        self.maintenance.drive(cx, neighbours, now);
    }

    /// The time at which [`Self::advance`] has something to do.
    pub(crate) fn next_wake(&self, now: &Now) -> Option<(Mono, &'static str)> {
        let PersonaContext { own, config, .. } = &self.cx;
        if own.is_searching() {
            return Some((now.mono, "proof of work"));
        }
        let purge = (self.next_purge, "purging");
        if own.current(now).is_none() {
            return Some(purge);
        }
        let good = self.table().good(now);
        let seeds = self.seeding.due(good, config.width, config, now.mono);
        let ping = self.neighbours.next_ping(&self.cx, now);
        seeds
            .map(|due| (due, "seeds for the persona"))
            .into_iter()
            .chain(ping.map(|at| (at, "asking contacts again")))
            .chain(self.maintenance.wakes())
            .chain([purge])
            .min()
    }

    pub(crate) fn response(&mut self, ticket: RpcTicket, body: &[u8], now: &Now) {
        let Some(rpc) = self.cx.rpcs.take(ticket) else {
            return self.cx.discard(DropReason::UnknownTicket);
        };
        match self.accept(&rpc, body, now) {
            Ok(()) => {
                self.cx.counters.answered += 1;
                self.neighbours.was_sent(&rpc.to.id(), &rpc.carried);
            }
            Err(reason) => {
                self.cx.discard(reason);
                self.lost(&rpc, Failure::OverSeveral, now);
            }
        }
        self.ended(&rpc, now);
    }

    /// There was no answer.
    pub(crate) fn failed(&mut self, ticket: RpcTicket, how: Failure, now: &Now) {
        let Some(rpc) = self.cx.rpcs.take(ticket) else {
            return self.cx.discard(DropReason::UnknownTicket);
        };
        self.lost(&rpc, how, now);
        self.ended(&rpc, now);
    }

    /// There is no answer yet.
    pub(crate) fn slow(&mut self, ticket: RpcTicket, now: &Now) {
        let Self {
            cx,
            neighbours,
            maintenance,
            ..
        } = self;
        let Some(rpc) = cx.rpcs.get(ticket) else {
            return cx.discard(DropReason::UnknownTicket);
        };
        if rpc.kind == RpcKind::Lookup
            && let Some(lookup) = maintenance.lookup_mut()
        {
            lookup.slow(&rpc.to.id(), now.mono);
            maintenance.drive(cx, neighbours, now);
        }
    }

    /// An RPC has no answer or one that was refused.
    fn lost(&mut self, rpc: &PersonaRpc, how: Failure, now: &Now) {
        let node = rpc.to.id();
        if let (RpcKind::Lookup, Some(lookup)) = (rpc.kind, self.maintenance.lookup_mut()) {
            lookup.failed(&node);
        }
        self.neighbours.failed(&self.cx, &node, how, now);
    }

    /// An RPC is no longer under way.
    fn ended(&mut self, rpc: &PersonaRpc, now: &Now) {
        if rpc.kind == RpcKind::Ping {
            self.cx.out.push_back(DhtOutput::GroupEnded(rpc.group));
        }
        if self.cx.own.current(now).is_some() {
            self.keep_up(now);
        }
    }

    fn accept(&mut self, rpc: &PersonaRpc, body: &[u8], now: &Now) -> Result<(), DropReason> {
        if body.len() > MAX_ANSWER_BODY {
            return Err(DropReason::Oversize);
        }
        let answer = Answer::from_body(body).map_err(|_| DropReason::MalformedAnswer)?;
        let Self { cx, neighbours, .. } = self;
        match (rpc.kind, answer) {
            (RpcKind::Ping, Answer::Pong { contact }) => {
                let newest = neighbours.verify(cx, contact, now);
                let newest = newest.map_err(DropReason::Contact)?;
                if newest.persona_key() != rpc.to.persona_key() {
                    return Err(DropReason::UnexpectedAnswer);
                }
                neighbours.answered(&newest, now);
                Ok(())
            }
            (RpcKind::Lookup, Answer::Nodes { token, contacts }) => {
                neighbours.answered(&rpc.to, now);
                if let Some(lookup) = self.maintenance.lookup_mut() {
                    lookup.answered(&rpc.to.id(), token, now.mono);
                }
                for raw in contacts.into_vec() {
                    self.learn(raw, rpc, now);
                }
                Ok(())
            }
            _ => Err(DropReason::UnexpectedAnswer),
        }
    }

    /// The answer to a lookup named a contact.
    fn learn(&mut self, raw: RawContact, rpc: &PersonaRpc, now: &Now) {
        match self.neighbours.verify(&self.cx, raw, now) {
            Err(error) => self.cx.discard(DropReason::Contact(error)),
            // Neighbours may name us: that is no fault of theirs.
            Ok(contact) if contact.id() == self.cx.own.id() => {}
            Ok(contact) => {
                if let Some(lookup) = self.maintenance.lookup_mut() {
                    lookup.add(contact, Some(&rpc.to.id()));
                }
            }
        }
    }

    /// Sizes and counters.
    pub(crate) fn audit(&self) -> PlaneAudit {
        PlaneAudit {
            contacts: self.table().len(),
            calls: self.cx.rpcs.len(),
            lookups: usize::from(self.maintenance.group_in_use().is_some()),
            ..self.cx.counters.clone()
        }
    }

    /// Number of requests that were answered.
    pub(crate) fn requests_answered(&self) -> u64 {
        self.serving.answered()
    }

    pub(crate) fn table(&self) -> &RoutingTable {
        self.neighbours.table()
    }

    pub(crate) fn store(&self) -> &Store {
        self.serving.store()
    }

    /// The persona's newest contact, if there is one with life left.
    pub(crate) fn contact(&self, now: &Now) -> Option<&Contact> {
        self.cx.own.current(now)
    }

    /// The reach of the persona: its present addresses, and the number of nodes around it that hand out a contact with them.
    pub(crate) fn reach(&self, now: &Now) -> PersonaReach {
        let (held_by, of) = self.neighbours.held_by(&self.cx, now);
        let contact = self.contact(now);
        PersonaReach {
            key: self.key(),
            addresses: contact.map_or_else(Vec::new, |contact| contact.addresses().to_vec()),
            held_by,
            of,
        }
    }
}
