//! The contacts that users' lookups start from, and the doubts about them.
pub(super) mod cache;
pub(super) mod doubts;

use deut_common::{
    hasher::KeyedState,
    time::{Mono, Now, Unix},
};

use crate::{
    config::Config,
    contact::Contact,
    id::NodeId,
    lookup::{Lookup, Trust},
};
use cache::UserCache;
use doubts::{Doubts, Evidence};

pub(super) struct UserContacts {
    cache: UserCache,
    doubts: Doubts,
    /// Nodes that running lookups have not been told to doubt yet.
    newly_doubted: Vec<NodeId>,
}

impl UserContacts {
    pub(super) fn new(config: &Config, hasher: &KeyedState) -> Self {
        Self {
            cache: UserCache::new(config.max_user_contacts, hasher),
            doubts: Doubts::new(config, hasher),
            newly_doubted: Vec::new(),
        }
    }

    /// A verified contact was heard of. Returns the degree to which lookups may count on it.
    pub(super) fn heard(&mut self, contact: &Contact, now: Mono) -> Trust {
        self.cache.heard(contact);
        self.doubts.trust(contact, now)
    }

    /// A contact answered.
    pub(super) fn answered(&mut self, contact: &Contact) {
        self.cache.answered(contact);
        self.doubts.answered(&contact.id());
    }

    /// A contact did not answer, or not as it should.
    pub(super) fn failed(&mut self, contact: &Contact, evidence: Evidence, now: Mono) {
        self.cache.failed(&contact.id());
        self.doubt(contact, evidence, now);
    }

    /// A node was silent in a lookup. Running and future lookups do not count on it, but its contact stays.
    pub(super) fn doubt(&mut self, contact: &Contact, evidence: Evidence, now: Mono) {
        if self.doubts.failed(contact, evidence, now) {
            self.newly_doubted.push(contact.id());
        }
    }

    /// The nodes that are doubted since the last call.
    pub(super) fn take_newly_doubted(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.newly_doubted)
    }

    /// The contact of an id, expired or not.
    pub(super) fn find(&self, id: &NodeId) -> Option<&Contact> {
        self.cache.find(id)
    }

    /// Lets a lookup begin with the closest contacts: `count` that are counted on, and `doubted` others.
    pub(super) fn begin(&self, lookup: &mut Lookup, count: usize, doubted: usize, now: &Now) {
        let target = *lookup.target();
        let is_doubted = |contact: &Contact| self.doubts.is_doubted(contact, now.mono);
        let counted_on = |contact: &Contact| !is_doubted(contact);
        let mut known = self.cache.closest(&target, count, now.unix, counted_on);
        known.extend(self.cache.closest(&target, doubted, now.unix, is_doubted));
        for contact in known {
            lookup.add_as(self.doubts.trust(&contact, now.mono), contact, None);
        }
    }

    /// All contacts that have not expired.
    pub(super) fn live(&self, now: Unix) -> impl Iterator<Item = &Contact> {
        self.cache.live(now)
    }

    /// Number of live contacts that are counted on, but at most `most`.
    pub(super) fn counted_on(&self, most: usize, now: &Now) -> usize {
        self.live(now.unix)
            .filter(|contact| !self.doubts.is_doubted(contact, now.mono))
            .take(most)
            .count()
    }

    /// Number of contacts that answered, have not failed since and have not expired.
    pub(super) fn answered_lately(&self, now: Unix) -> usize {
        self.cache.answered_lately(now)
    }

    /// Forgets contacts that have expired.
    pub(super) fn purge(&mut self, now: Unix) {
        self.cache.purge(now);
    }

    pub(super) fn len(&self) -> usize {
        self.cache.len()
    }
}
