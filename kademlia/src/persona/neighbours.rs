//! The nodes that the persona knows, and those that have yet to get their first PING.
use std::collections::VecDeque;

use deut_common::{
    address::EndpointAddress,
    hasher::KeyedState,
    time::{Mono, Now},
};

use super::{context::PersonaContext, holders::Holders, rpcs::RpcKind};
use crate::{
    audit::DropReason,
    config::Config,
    contact::{Contact, ContactError, RawContact},
    id::NodeId,
    io::Failure,
    table::RoutingTable,
    wire::rpc::Request,
};

pub(super) struct Neighbours {
    table: RoutingTable,
    /// Contacts that wait for their first PING.
    unverified: VecDeque<Contact>,
    holders: Holders,
}

impl Neighbours {
    pub(super) fn new(own: NodeId, config: &Config, hasher: KeyedState) -> Self {
        Self {
            table: RoutingTable::new(own, config, hasher),
            unverified: VecDeque::new(),
            holders: Holders::new(own),
        }
    }

    pub(super) fn table(&self) -> &RoutingTable {
        &self.table
    }

    /// Number of contacts that wait for their first PING.
    pub(super) fn unverified(&self) -> usize {
        self.unverified.len()
    }

    pub(super) fn verify(
        &self,
        cx: &PersonaContext,
        raw: RawContact,
        now: &Now,
    ) -> Result<Contact, ContactError> {
        let known = self.table.find(&raw.id()).map(|entry| &entry.contact);
        raw.verify_unless(&cx.config.suite, known, &cx.config.contact, now.unix)
    }

    /// Remembers a contact that never answered, so that it gets a PING, if there may be a place for it.
    pub(super) fn consider(&mut self, cx: &mut PersonaContext, contact: Contact, now: &Now) {
        if contact.id() == cx.own.id() {
            return cx.discard(DropReason::OwnContact);
        }
        if !self.table.heard(&contact, now) || cx.rpcs.pinged().any(|asked| *asked == contact) {
            return;
        }
        let full = self.unverified.len() >= cx.config.max_unverified;
        let waiting = self
            .unverified
            .iter_mut()
            .find(|waiting| waiting.id() == contact.id());
        match waiting {
            Some(waiting) if contact.replaces(waiting) => *waiting = contact,
            Some(_) => {}
            None if full => cx.discard(DropReason::TooManyUnverified),
            None => self.unverified.push_back(contact),
        }
    }

    /// Sends as many PINGs as may be under way: first to contacts that never got one, then to those that are due.
    pub(super) fn send_pings(&mut self, cx: &mut PersonaContext, now: &Now) {
        for _ in 0..free_pings(cx) {
            let contact = match self.unverified.pop_front() {
                Some(contact) if contact.is_expired(now.unix) => continue,
                Some(contact) => contact,
                None => match self.table.take_due(1, now).pop() {
                    Some(contact) => contact,
                    None => return,
                },
            };
            let sender = cx.sender(now);
            let group = cx.rpcs.new_group();
            cx.send(contact, group, RpcKind::Ping, &Request::Ping { sender });
        }
    }

    /// The time at which [`Self::send_pings`] has something to do.
    pub(super) fn next_ping(&self, cx: &PersonaContext, now: &Now) -> Option<Mono> {
        self.table.next_due(now).filter(|_| free_pings(cx) > 0)
    }

    /// A node answered with this contact, or at it.
    pub(super) fn answered(&mut self, contact: &Contact, now: &Now) {
        self.table.answered(contact, now);
    }

    /// A node did not answer, or not as it should. If that makes it bad, a replacement is next to get a PING.
    pub(super) fn failed(&mut self, cx: &PersonaContext, id: &NodeId, how: Failure, now: &Now) {
        if let Some(replacement) = self.table.failed(id, how, now)
            && self.unverified.len() < cx.config.max_unverified
        {
            self.unverified.push_front(replacement);
        }
    }

    /// An expired contact that should be looked up by its id now.
    pub(super) fn take_stale(&mut self, now: &Now) -> Option<NodeId> {
        self.table.take_stale(now)
    }

    /// Forgets nodes that have been bad or expired for a long time.
    pub(super) fn purge(&mut self, now: &Now) {
        self.table.purge(now);
    }

    /// A node asked us in its own name and is answered, so it now hands out our contact.
    pub(super) fn was_told(&mut self, node: NodeId, addresses: &[EndpointAddress]) {
        self.holders.asked(node, addresses);
    }

    /// A node answered a request that carried our contact with these addresses.
    pub(super) fn was_sent(&mut self, node: &NodeId, addresses: &[EndpointAddress]) {
        self.holders.was_sent(node, addresses);
    }

    /// Number of the closest nodes that hand out a contact which still leads to us, and number of the closest nodes.
    pub(super) fn held_by(&self, cx: &PersonaContext, now: &Now) -> (usize, usize) {
        let around = self.table.closest(&cx.own.id(), cx.config.width, now);
        let leads_here = |at: &EndpointAddress| cx.own.has(at);
        let holds = |contact: &&&Contact| self.holders.holds(&contact.id(), leads_here);
        (around.iter().filter(holds).count(), around.len())
    }
}

fn free_pings(cx: &PersonaContext) -> usize {
    let under_way = cx.rpcs.pinged().count();
    cx.config.max_checks.saturating_sub(under_way)
}
