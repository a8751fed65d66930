//! RPCs of users' queries that are under way.
use std::collections::BTreeMap;

use crate::{
    contact::Contact,
    id::NodeId,
    tickets::{Group, OnBehalf, RpcTicket, Tickets},
};

/// Names a query within this plane, re-announcing included. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueryNumber(pub(super) u64);

/// An RPC under way.
#[derive(Debug)]
pub(super) struct QueryRpc {
    pub(super) query: QueryNumber,
    pub(super) to: Contact,
    pub(super) purpose: RpcPurpose,
}

/// The part of a query that an RPC belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RpcPurpose {
    /// The query's search around its key.
    Search,
    /// The PING to an announced persona.
    Probe,
    /// The search for the contact of the announced persona with this id.
    FindPersona(NodeId),
    /// A STORE.
    Store,
}

/// All RPCs under way, by the tickets that come back with their answers.
pub(super) struct QueryRpcs {
    under_way: BTreeMap<RpcTicket, QueryRpc>,
    tickets: Tickets,
}

impl QueryRpcs {
    pub(super) fn new() -> Self {
        Self {
            under_way: BTreeMap::new(),
            tickets: Tickets::new(OnBehalf::User),
        }
    }

    /// A group for a new query.
    pub(super) fn new_group(&mut self) -> Group {
        self.tickets.group()
    }

    /// Registers an RPC, which is to be sent with the returned ticket.
    pub(super) fn begin(&mut self, rpc: QueryRpc) -> RpcTicket {
        let ticket = self.tickets.rpc();
        self.under_way.insert(ticket, rpc);
        ticket
    }

    pub(super) fn get(&self, ticket: RpcTicket) -> Option<&QueryRpc> {
        self.under_way.get(&ticket)
    }

    /// Removes and returns an RPC that was answered or failed.
    pub(super) fn take(&mut self, ticket: RpcTicket) -> Option<QueryRpc> {
        self.under_way.remove(&ticket)
    }

    /// Forgets all RPCs of a query that is over.
    pub(super) fn forget(&mut self, query: QueryNumber) {
        self.under_way.retain(|_, rpc| rpc.query != query);
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }
}
