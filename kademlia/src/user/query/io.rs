//! The requests and reports of a query, and its ticket and group.
use deut_common::time::Mono;

use crate::{
    contact::Contact,
    id::NodeId,
    io::DhtOutput,
    lookup::{Lookup, Silence},
    query::{Progress, QueryStats},
    tickets::{Group, OnBehalf, QueryTicket},
    user::{
        contacts::doubts::Evidence,
        context::UserContext,
        rpcs::{QueryNumber, QueryRpc, RpcPurpose},
    },
    wire::rpc::Request,
};

pub(in crate::user) struct QueryIo {
    number: QueryNumber,
    /// `None` for re-announcing.
    ticket: Option<QueryTicket>,
    group: Group,
    counts: QueryStats,
}

impl QueryIo {
    pub(in crate::user) fn new(
        number: QueryNumber,
        ticket: Option<QueryTicket>,
        group: Group,
    ) -> Self {
        Self {
            number,
            ticket,
            group,
            counts: QueryStats::default(),
        }
    }

    pub(in crate::user) fn number(&self) -> QueryNumber {
        self.number
    }

    /// The ticket of the user who waits for the result; `None` for re-announcing.
    pub(in crate::user) fn ticket(&self) -> Option<QueryTicket> {
        self.ticket
    }

    /// The group of its RPCs, if it has sent any.
    pub(in crate::user) fn group_in_use(&self) -> Option<Group> {
        (self.counts.sent > 0).then_some(self.group)
    }

    /// Numbers of RPCs sent, answered and lost; everything else in it is zero.
    pub(super) fn counts(&self) -> QueryStats {
        self.counts
    }

    /// Sends a request on the way to `target`.
    pub(super) fn send(
        &mut self,
        cx: &mut UserContext,
        to: Contact,
        (purpose, target): (RpcPurpose, &NodeId),
        request: &Request,
    ) {
        self.counts.sent += 1;
        cx.counters.sent += 1;
        let asked = Progress::Asked {
            node: to.id(),
            shared_bits: target.distance(&to.id()).shared_bits(),
        };
        self.tell(cx, asked);
        let ticket = cx.rpcs.begin(QueryRpc {
            query: self.number,
            to: to.clone(),
            purpose,
        });
        cx.out.push_back(DhtOutput::Send {
            ticket,
            group: self.group,
            query: self.ticket,
            to,
            body: request.to_body(),
            on_behalf: OnBehalf::User,
        });
    }

    /// Reports a step to the user.
    pub(super) fn tell(&self, cx: &mut UserContext, progress: Progress) {
        if let Some(ticket) = self.ticket {
            cx.out.push_back(DhtOutput::Progress(ticket, progress));
        }
    }

    /// An answer with this many accepted contacts was used.
    pub(super) fn answered(&mut self, cx: &mut UserContext, by: &Contact, contacts: usize) {
        self.counts.answered += 1;
        cx.counters.answered += 1;
        cx.contacts.answered(by);
        let node = by.id();
        self.tell(cx, Progress::Answered { node, contacts });
    }

    /// There was no answer, or one that was refused.
    pub(super) fn failed(&mut self, cx: &mut UserContext, node: NodeId) {
        self.counts.failed += 1;
        self.tell(cx, Progress::Failed { node });
    }

    /// A lookup ended without the answers of some nodes that it asked. The next lookup does not count on them.
    pub(super) fn give_up_on_silent(&self, cx: &mut UserContext, lookup: &Lookup, now: Mono) {
        for (contact, silence) in lookup.silent(now) {
            let node = contact.id();
            self.tell(cx, Progress::GivenUp { node });
            let evidence = match silence {
                Silence::Once => Evidence::Weak,
                Silence::Often => Evidence::Strong,
            };
            cx.contacts.doubt(&contact, evidence, now);
        }
    }
}
