//! RPCs of the persona that are under way.
use std::collections::BTreeMap;

use deut_common::address::EndpointAddress;

use crate::{
    contact::Contact,
    tickets::{Group, RpcTicket, Tickets},
};

/// An RPC under way.
#[derive(Debug)]
pub(super) struct PersonaRpc {
    pub(super) to: Contact,
    pub(super) group: Group,
    pub(super) kind: RpcKind,
    /// The addresses in our contact that the request carried.
    pub(super) carried: Vec<EndpointAddress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RpcKind {
    /// A FIND_NODE of the running maintenance lookup.
    Lookup,
    Ping,
}

/// All RPCs under way, by the tickets that come back with their answers.
pub(super) struct PersonaRpcs {
    under_way: BTreeMap<RpcTicket, PersonaRpc>,
    tickets: Tickets,
}

impl PersonaRpcs {
    /// `tickets` continues the numbers of the persona before, so that no ticket is used twice.
    pub(super) fn new(tickets: Tickets) -> Self {
        Self {
            under_way: BTreeMap::new(),
            tickets,
        }
    }

    /// A group for a PING or a lookup.
    pub(super) fn new_group(&mut self) -> Group {
        self.tickets.group()
    }

    /// Registers an RPC, which is to be sent with the returned ticket.
    pub(super) fn begin(&mut self, rpc: PersonaRpc) -> RpcTicket {
        let ticket = self.tickets.rpc();
        self.under_way.insert(ticket, rpc);
        ticket
    }

    pub(super) fn get(&self, ticket: RpcTicket) -> Option<&PersonaRpc> {
        self.under_way.get(&ticket)
    }

    /// Removes and returns an RPC that was answered or failed.
    pub(super) fn take(&mut self, ticket: RpcTicket) -> Option<PersonaRpc> {
        self.under_way.remove(&ticket)
    }

    /// Forgets the RPCs of the lookup that is over.
    pub(super) fn forget_lookup(&mut self) {
        self.under_way.retain(|_, rpc| rpc.kind != RpcKind::Lookup);
    }

    /// The contacts to which a PING is under way.
    pub(super) fn pinged(&self) -> impl Iterator<Item = &Contact> {
        let pings = self.under_way.values();
        pings
            .filter(|rpc| rpc.kind == RpcKind::Ping)
            .map(|rpc| &rpc.to)
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Gives up all RPCs. Returns their groups and the tickets for the next persona.
    pub(super) fn close(self) -> (Vec<Group>, Tickets) {
        let groups = self.under_way.values().map(|rpc| rpc.group).collect();
        (groups, self.tickets)
    }
}
