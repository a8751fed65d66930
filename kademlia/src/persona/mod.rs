//! The persona's plane: its contact, routing table, store, upkeep, and the answers it gives.
//!
//! Nothing in here knows a user's query or contact cache. A new persona is a new plane.
mod holders;
mod own;
mod serve;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};

use deut_common::{
    address::EndpointAddress,
    hasher::KeyedState,
    time::{Mono, Now, Unix},
};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use crate::{
    audit::{DropReason, PlaneAudit},
    config::Config,
    contact::{Contact, ContactError, RawContact},
    identity::PersonaSecret,
    io::{DhtOutput, PersonaReach},
    records::{store::Store, token::Tokens},
    seeding::Seeding,
    table::RoutingTable,
    tickets::{Group, OnBehalf, RpcTicket, Tickets},
    wire::rpc::Request,
};
use holders::Holders;
use own::OwnContact;
use upkeep::Upkeep;

/// An RPC under way.
#[derive(Debug)]
struct Call {
    to: Contact,
    group: Group,
    kind: CallKind,
    /// The addresses in our contact that it carried.
    carried: Vec<EndpointAddress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallKind {
    Lookup,
    Ping,
}

/// See the module's text.
pub(crate) struct PersonaPlane {
    config: Config,
    pub(crate) out: VecDeque<DhtOutput>,
    own: OwnContact,
    holders: Holders,
    table: RoutingTable,
    store: Store,
    tokens: Tokens,
    /// Contacts to be asked for the first time.
    unverified: VecDeque<Contact>,
    calls: BTreeMap<RpcTicket, Call>,
    tickets: Tickets,
    upkeep: Upkeep,
    seeding: Seeding,
    next_minute: Mono,
    counters: PlaneAudit,
    requests_answered: u64,
    secrets: StdRng,
    choices: StdRng,
}

const MINUTE: u64 = 60_000_000;

impl PersonaPlane {
    /// `tickets` continue those of the persona before, so that no ticket is used twice.
    pub(crate) fn new(
        secret: PersonaSecret,
        config: &Config,
        mut secrets: StdRng,
        choices: StdRng,
        tickets: Tickets,
        now: &Now,
    ) -> Self {
        let own = OwnContact::new(secret, &config.contact);
        let hasher = KeyedState(secrets.random());
        Self {
            config: config.clone(),
            out: VecDeque::new(),
            table: RoutingTable::new(own.id(), config, hasher),
            store: Store::new(own.id(), config),
            tokens: Tokens::new(config.token_rotation, now.mono, &mut secrets),
            holders: Holders::new(own.id()),
            own,
            unverified: VecDeque::new(),
            calls: BTreeMap::new(),
            tickets,
            upkeep: Upkeep::default(),
            seeding: Seeding::default(),
            next_minute: now.mono.plus_us(MINUTE),
            counters: PlaneAudit::default(),
            requests_answered: 0,
            secrets,
            choices,
        }
    }

    /// Ends the plane: what is under way is given up. Returns the tickets for the next persona.
    pub(crate) fn close(mut self) -> (Tickets, VecDeque<DhtOutput>) {
        let mut groups: Vec<Group> = self.calls.values().map(|call| call.group).collect();
        groups.extend(self.upkeep.running_group());
        groups.sort_unstable();
        groups.dedup();
        self.out
            .extend(groups.into_iter().map(DhtOutput::GroupEnded));
        (self.tickets, self.out)
    }

    /// The persona's public key.
    pub(crate) fn key(&self) -> [u8; 32] {
        self.own.key()
    }

    /// The endpoint addresses of now.
    pub(crate) fn set_addresses(&mut self, addresses: Vec<(EndpointAddress, Unix)>, now: &Now) {
        self.own.set_addresses(addresses, &self.config.contact);
        self.advance(now);
    }

    /// Contacts that an endpoint gave.
    pub(crate) fn seeds(&mut self, mut bodies: Vec<Vec<u8>>, now: &Now) {
        bodies.shuffle(&mut self.choices);
        let waiting = self.unverified.len();
        for (number, body) in bodies.into_iter().enumerate() {
            if number >= self.config.seeds_per_answer {
                self.counters.drops.count(DropReason::TooManySeeds);
                continue;
            }
            match RawContact::parse_all(&body).and_then(|raw| self.verify(raw, now)) {
                Ok(contact) => self.consider(contact, now),
                Err(error) => self.counters.drops.count(DropReason::Contact(error)),
            }
        }
        if self.unverified.len() > waiting {
            // Somebody new may belong to a part of the network that we do not know: look around when it has answered.
            self.upkeep.contact_changed(now.mono, &mut self.choices);
        }
        self.advance(now);
    }

    fn verify(&self, raw: RawContact, now: &Now) -> Result<Contact, ContactError> {
        let known = self.table.find(&raw.id()).map(|entry| &entry.contact);
        raw.verify_unless(known, &self.config.contact, now.unix)
    }

    /// Remembers a contact that never answered, to be asked, if there may be a place for it.
    fn consider(&mut self, contact: Contact, now: &Now) {
        if contact.id() == self.own.id() {
            return self.counters.drops.count(DropReason::OwnContact);
        }
        if !self.table.heard(&contact, now) {
            return;
        }
        let under_way = self
            .calls
            .values()
            .any(|call| call.kind == CallKind::Ping && call.to == contact);
        let full = self.unverified.len() >= self.config.max_unverified;
        let waiting = self
            .unverified
            .iter_mut()
            .find(|waiting| waiting.id() == contact.id());
        match waiting {
            _ if under_way => {}
            Some(waiting) if contact.replaces(waiting) => *waiting = contact,
            Some(_) => {}
            None if full => {
                self.counters.drops.count(DropReason::TooManyUnverified);
            }
            None => self.unverified.push_back(contact),
        }
    }

    fn send(&mut self, to: Contact, group: Group, kind: CallKind, request: &Request) {
        let ticket = self.tickets.rpc();
        let carried = self.own.contact_addresses();
        self.counters.sent += 1;
        self.out.push_back(DhtOutput::Send {
            ticket,
            group,
            query: None,
            to: to.clone(),
            body: request.to_body(),
            on_behalf: OnBehalf::Persona,
        });
        let call = Call {
            to,
            group,
            kind,
            carried,
        };
        self.calls.insert(ticket, call);
    }

    /// Everything whose time has come.
    pub(crate) fn advance(&mut self, now: &Now) {
        if self.own.renew(&self.config.contact, now)
            && let Some(contact) = self.own.current(now)
        {
            let body = contact.as_bytes().to_vec();
            self.out.push_back(DhtOutput::Advertise(body));
            self.upkeep.contact_changed(now.mono, &mut self.choices);
        }
        self.tokens.rotate(now.mono, &mut self.secrets);
        if self.next_minute <= now.mono {
            self.next_minute = now.mono.plus_us(MINUTE);
            self.store.purge(now.mono);
            self.table.purge(now);
        }
        if self.own.current(now).is_some() {
            self.keep_up(now);
            if self.seeding.ask(
                self.table.good(now),
                self.config.width,
                &self.config,
                now.mono,
            ) {
                self.out.push_back(DhtOutput::WantSeeds(OnBehalf::Persona));
                // While nobody is known the transport moves on by itself, as soon as endpoints have nobody to name.
                if self.table.good(now) > 0 && self.seeding.wants_other_endpoints() {
                    self.out
                        .push_back(DhtOutput::WantOtherEndpoints(OnBehalf::Persona));
                }
            }
        }
    }

    /// When [`Self::advance`] has something to do.
    pub(crate) fn next_wake(&self, now: &Now) -> Option<(Mono, &'static str)> {
        if self.own.is_searching() {
            return Some((now.mono, "proof of work"));
        }
        let minute = (self.next_minute, "purging");
        if self.own.current(now).is_none() {
            return Some(minute);
        }
        let seeds = self.seeding.due(
            self.table.good(now),
            self.config.width,
            &self.config,
            now.mono,
        );
        let upkeep = self.upkeep_wake(now);
        seeds
            .map(|due| (due, "seeds for the persona"))
            .into_iter()
            .chain(upkeep)
            .chain([minute])
            .min()
    }

    /// Sizes and counters.
    pub(crate) fn audit(&self) -> PlaneAudit {
        PlaneAudit {
            contacts: self.table.len(),
            calls: self.calls.len(),
            lookups: usize::from(self.upkeep.running_group().is_some()),
            ..self.counters.clone()
        }
    }

    pub(crate) fn requests_answered(&self) -> u64 {
        self.requests_answered
    }

    pub(crate) fn table(&self) -> &RoutingTable {
        &self.table
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn contact(&self, now: &Now) -> Option<&Contact> {
        self.own.current(now)
    }

    /// Whether it can be found: its addresses of now, and who of those around it hands out a contact that leads to them.
    pub(crate) fn reach(&self, now: &Now) -> PersonaReach {
        let around = self.table.closest(&self.own.id(), self.config.width, now);
        let holds = |contact: &&&Contact| {
            let leads_here = |at: &EndpointAddress| self.own.has(at);
            self.holders.holds(&contact.id(), leads_here)
        };
        let contact = self.own.current(now);
        PersonaReach {
            key: self.own.key(),
            addresses: contact.map_or_else(Vec::new, |contact| contact.addresses().to_vec()),
            held_by: around.iter().filter(holds).count(),
            of: around.len(),
        }
    }
}
