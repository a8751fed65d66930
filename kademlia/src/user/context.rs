//! The state that all queries of the users' plane share.
use std::collections::VecDeque;

use deut_common::time::Now;

use super::{contacts::UserContacts, published::Published, rpcs::QueryRpcs};
use crate::{
    audit::{DropReason, PlaneAudit},
    config::Config,
    contact::{Contact, ContactError, RawContact},
    io::DhtOutput,
    lookup::Lookup,
};

/// Lent to each query when something happens.
pub(super) struct UserContext {
    pub(super) config: Config,
    pub(super) contacts: UserContacts,
    pub(super) rpcs: QueryRpcs,
    pub(super) published: Published,
    pub(super) counters: PlaneAudit,
    pub(super) out: VecDeque<DhtOutput>,
}

impl UserContext {
    /// Counts an input that is discarded.
    pub(super) fn discard(&mut self, reason: DropReason) {
        self.counters.drops.count(reason);
    }

    pub(super) fn verify(&self, raw: RawContact, now: &Now) -> Result<Contact, ContactError> {
        let known = self.contacts.find(&raw.id());
        raw.verify_unless(&self.config.suite, known, &self.config.contact, now.unix)
    }

    /// Lets a lookup begin with up to `count` contacts that are counted on.
    pub(super) fn begin(&self, lookup: &mut Lookup, count: usize, now: &Now) {
        self.contacts.begin(lookup, count, self.config.width, now);
    }

    /// A lookup to the same target that goes through no node of this one; `None` if all nodes were asked.
    pub(super) fn second_path(&self, lookup: &Lookup, now: &Now) -> Option<Lookup> {
        let deadline = now.mono.plus_us(self.config.max_lookup / 2);
        let mut path = lookup.disjoint(&self.config, now.mono, deadline);
        self.begin(&mut path, self.config.max_user_contacts, now);
        (!path.is_empty()).then_some(path)
    }
}
