//! The contacts that users' lookups start from. They come only from seeds and from answers to users' lookups.
use std::num::NonZeroUsize;

use deut_common::{hasher::KeyedState, time::Unix};
use lru::LruCache;

use crate::{contact::Contact, id::NodeId};

#[derive(Debug)]
struct Proven {
    contact: Contact,
    failures: u32,
}

/// Contacts that answered and contacts that were only heard of get half of the cap each, so that made-up contacts cannot push out
/// proven ones. At the cap the least recently used one makes room.
pub(super) struct UserCache {
    proven: LruCache<NodeId, Proven, KeyedState>,
    heard: LruCache<NodeId, Contact, KeyedState>,
}

impl UserCache {
    /// Failures in a row after which a proven contact is forgotten. An unproven one is forgotten at the first.
    const MAX_FAILURES: u32 = 2;

    pub(super) fn new(cap: usize, hasher: &KeyedState) -> Self {
        let half = NonZeroUsize::new(cap / 2).unwrap_or(NonZeroUsize::MIN);
        Self {
            proven: LruCache::with_hasher(half, hasher.clone()),
            heard: LruCache::with_hasher(half, hasher.clone()),
        }
    }

    /// A verified contact was heard of.
    pub(super) fn heard(&mut self, contact: &Contact) {
        let id = contact.id();
        if let Some(proven) = self.proven.peek_mut(&id) {
            if contact.replaces(&proven.contact) {
                proven.contact = contact.clone();
            }
            return;
        }
        if self
            .heard
            .peek(&id)
            .is_none_or(|known| contact.replaces(known))
        {
            self.heard.put(id, contact.clone());
        }
    }

    /// A contact answered.
    pub(super) fn answered(&mut self, contact: &Contact) {
        let newer = self
            .heard
            .pop(&contact.id())
            .filter(|heard| heard.replaces(contact));
        let known = self.proven.pop(&contact.id()).map(|proven| proven.contact);
        let newest = newer
            .or(known.filter(|known| known.replaces(contact)))
            .unwrap_or_else(|| contact.clone());
        self.proven.put(
            contact.id(),
            Proven {
                contact: newest,
                failures: 0,
            },
        );
    }

    /// A contact did not answer, or not as it should.
    pub(super) fn failed(&mut self, id: &NodeId) {
        self.heard.pop(id);
        if let Some(proven) = self.proven.peek_mut(id) {
            proven.failures += 1;
            if proven.failures >= Self::MAX_FAILURES {
                self.proven.pop(id);
            }
        }
    }

    /// The contact of an id, proven or only heard of.
    pub(super) fn find(&self, id: &NodeId) -> Option<&Contact> {
        self.proven
            .peek(id)
            .map(|proven| &proven.contact)
            .or_else(|| self.heard.peek(id))
    }

    /// Up to `count` of these contacts that have not expired, closest first.
    pub(super) fn closest(
        &self,
        target: &NodeId,
        count: usize,
        now: Unix,
        of: impl Fn(&Contact) -> bool,
    ) -> Vec<Contact> {
        let mut all: Vec<&Contact> = self.live(now).filter(|contact| of(contact)).collect();
        all.sort_unstable_by_key(|contact| target.distance(&contact.id()));
        all.into_iter().take(count).cloned().collect()
    }

    /// Forgets contacts that have expired.
    pub(super) fn purge(&mut self, now: Unix) {
        self.proven
            .retain(|_, proven| !proven.contact.is_expired(now));
        self.heard.retain(|_, contact| !contact.is_expired(now));
    }

    pub(super) fn live(&self, now: Unix) -> impl Iterator<Item = &Contact> {
        let proven = self.proven.iter().map(|(_, proven)| &proven.contact);
        proven
            .chain(self.heard.iter().map(|(_, contact)| contact))
            .filter(move |contact| !contact.is_expired(now))
    }

    /// Number of contacts that answered, have not failed since and have not expired.
    pub(super) fn answered_lately(&self, now: Unix) -> usize {
        let fine = |proven: &&Proven| proven.failures == 0 && !proven.contact.is_expired(now);
        self.proven
            .iter()
            .map(|(_, proven)| proven)
            .filter(fine)
            .count()
    }

    pub(super) fn len(&self) -> usize {
        self.proven.len() + self.heard.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, contact};

    fn cache(cap: usize) -> UserCache {
        UserCache::new(cap, &KeyedState([1; 16]))
    }

    #[test]
    fn made_up_contacts_do_not_push_out_proven_ones() {
        let mut cache = cache(8);
        cache.answered(&contact(1, 10));
        (10..100).for_each(|number| cache.heard(&contact(number, 10)));
        assert!(cache.find(&contact(1, 10).id()).is_some());
        assert_eq!(cache.len(), 5);
        assert!(
            cache.find(&contact(10, 10).id()).is_none(),
            "control: the cap pushes out others"
        );
    }

    #[test]
    fn a_heard_contact_goes_at_its_first_failure_a_proven_one_at_its_second() {
        let mut cache = cache(8);
        let (one, two) = (contact(1, 10), contact(2, 10));
        cache.heard(&one);
        cache.answered(&two);
        cache.failed(&one.id());
        cache.failed(&two.id());
        assert!(cache.find(&one.id()).is_none() && cache.find(&two.id()).is_some());
        cache.answered(&two);
        cache.failed(&two.id());
        assert!(
            cache.find(&two.id()).is_some(),
            "an answer starts the count again"
        );
        cache.failed(&two.id());
        assert!(cache.find(&two.id()).is_none());
    }

    #[test]
    fn the_newest_contact_of_a_persona_is_kept() {
        let mut cache = cache(8);
        let (old, new) = (contact(1, 10), contact(1, 20));
        for order in [[&old, &new], [&new, &old]] {
            order.iter().for_each(|contact| cache.heard(contact));
            assert_eq!(cache.find(&old.id()), Some(&new));
            order.iter().for_each(|contact| cache.answered(contact));
            assert_eq!(cache.find(&old.id()), Some(&new));
        }
    }

    #[test]
    fn expired_contacts_are_not_given_out_and_purged() {
        let mut cache = cache(8);
        cache.heard(&contact(1, 10));
        cache.answered(&contact(2, 20));
        let later = Unix(NOW.unix.0 + 11 * 60);
        assert_eq!(
            cache.closest(&NodeId([0; 20]), 8, NOW.unix, |_| true).len(),
            2
        );
        assert_eq!(
            cache.closest(&NodeId([0; 20]), 8, later, |_| true),
            [contact(2, 20)]
        );
        cache.purge(later);
        assert_eq!(cache.len(), 1);
    }
}
