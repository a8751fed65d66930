//! The persona's routing table: one bucket per number of leading bits shared with our own id.
//!
//! It holds only contacts that answered. Those known longest stay, and contacts that find no place wait in the bucket's replacement
//! cache. Bad and expired contacts are not handed out and make room for newcomers; they are kept for up to `stale_life` to be found
//! again.
mod bucket;

use deut_common::{
    hasher::KeyedState,
    time::{Mono, Now},
};

use crate::{config::Config, contact::Contact, id::NodeId, io::Failure};
pub(crate) use bucket::Entry;
use std::collections::BTreeMap;

use bucket::{Bucket, Placed};

pub(crate) struct RoutingTable {
    own: NodeId,
    buckets: BTreeMap<u32, Bucket>,
    config: Config,
    hasher: KeyedState,
}

impl RoutingTable {
    pub(crate) fn new(own: NodeId, config: &Config, hasher: KeyedState) -> Self {
        Self {
            own,
            buckets: BTreeMap::new(),
            config: config.clone(),
            hasher,
        }
    }

    /// Index of the bucket of an id: the number of leading bits it shares with ours. `None` for our own.
    pub(crate) fn index(&self, id: &NodeId) -> Option<u32> {
        let shared = self.own.distance(id).shared_bits();
        (shared < NodeId::BITS).then_some(shared)
    }

    /// A contact answered an RPC: it enters, or becomes the most recently seen of its bucket.
    pub(crate) fn answered(&mut self, contact: &Contact, now: &Now) {
        let Some(index) = self.index(&contact.id()) else {
            return;
        };
        let bucket = self
            .buckets
            .entry(index)
            .or_insert_with(|| Bucket::new(&self.config, &self.hasher));
        bucket.answered(contact, now, &self.config);
    }

    /// A contact was heard of. True if it should get a PING now, because there may be a place for it; else it is remembered as a
    /// replacement or for the next PING of its entry.
    pub(crate) fn heard(&mut self, contact: &Contact, now: &Now) -> bool {
        let Some(index) = self.index(&contact.id()) else {
            return false;
        };
        let bucket = self
            .buckets
            .entry(index)
            .or_insert_with(|| Bucket::new(&self.config, &self.hasher));
        match bucket.place(contact, now, &self.config) {
            Placed::Known => false,
            Placed::Room => true,
            Placed::Full => {
                bucket.remember(contact);
                false
            }
        }
    }

    /// An RPC to a contact failed. If that makes it bad, returns a replacement that should get a PING.
    pub(crate) fn failed(&mut self, id: &NodeId, how: Failure, now: &Now) -> Option<Contact> {
        let bucket = self.buckets.get_mut(&self.index(id)?)?;
        bucket.failed(id, how, now, &self.config)
    }

    /// The entry of an id.
    pub(crate) fn find(&self, id: &NodeId) -> Option<&Entry> {
        self.buckets.get(&self.index(id)?)?.find(id)
    }

    /// Up to `count` contacts that may be handed out, closest to `target` first. Contacts that failed last are among them only if
    /// there are not enough others, since a dead one would take the place of a live one.
    pub(crate) fn closest(&self, target: &NodeId, count: usize, now: &Now) -> Vec<&Contact> {
        let distance = |entry: &&Entry| target.distance(&entry.to_ask().id());
        let mut closest: Vec<&Entry> = self
            .entries()
            .filter(|entry| entry.is_good(now, &self.config))
            .collect();
        if closest.len() > count && count > 0 {
            closest.select_nth_unstable_by_key(count - 1, |entry| {
                (entry.failed_last(), distance(entry))
            });
            closest.truncate(count);
        }
        closest.sort_unstable_by_key(distance);
        closest.into_iter().map(Entry::to_ask).collect()
    }

    /// At most `count` contacts that are due for a PING, which counts as sent.
    pub(crate) fn take_due(&mut self, count: usize, now: &Now) -> Vec<Contact> {
        let mut due = Vec::new();
        for entry in self.buckets.values_mut().flat_map(Bucket::entries_mut) {
            if due.len() == count {
                break;
            }
            if !entry.asked && entry.ask_at <= now.mono && !entry.to_ask().is_expired(now.unix) {
                entry.asked = true;
                due.push(entry.to_ask().clone());
            }
        }
        due
    }

    /// An expired contact that should be searched for by its id now: at most every `min_reask`, and less often the older it is.
    pub(crate) fn take_stale(&mut self, now: &Now) -> Option<NodeId> {
        let config = &self.config;
        let mut entries = self.buckets.values_mut().flat_map(Bucket::entries_mut);
        let entry = entries
            .find(|entry| entry.to_ask().is_expired(now.unix) && entry.search_at <= now.mono)?;
        let age = now.mono.since(entry.last_answer);
        entry.search_at = now.mono.plus_us(config.min_reask.max(age / 2));
        Some(entry.contact.id())
    }

    /// Forgets contacts that have been bad or expired for `stale_life`.
    pub(crate) fn purge(&mut self, now: &Now) {
        for bucket in self.buckets.values_mut() {
            bucket.purge(now, &self.config);
        }
        self.buckets.retain(|_, bucket| !bucket.is_empty());
    }

    /// The time at which [`Self::take_due`] has something next, if nothing else happens.
    pub(crate) fn next_due(&self, now: &Now) -> Option<Mono> {
        self.entries()
            .filter(|entry| !entry.asked && !entry.to_ask().is_expired(now.unix))
            .map(|entry| entry.ask_at)
            .min()
    }

    /// The largest number of leading bits that a contact in the table shares with our id.
    pub(crate) fn depth(&self) -> u32 {
        self.buckets
            .iter()
            .rev()
            .find(|(_, bucket)| bucket.entries().next().is_some())
            .map_or(0, |(index, _)| *index)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.values().flat_map(Bucket::entries)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries().count()
    }

    pub(crate) fn good(&self, now: &Now) -> usize {
        self.entries()
            .filter(|entry| entry.is_good(now, &self.config))
            .count()
    }

    pub(crate) fn replacements(&self) -> usize {
        self.buckets.values().map(Bucket::replacements).sum()
    }

    /// Panics if the table is inconsistent. For tests.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        for (index, bucket) in &self.buckets {
            let ids: Vec<NodeId> = bucket.entries().map(|entry| entry.contact.id()).collect();
            assert!(ids.iter().all(|id| self.index(id) == Some(*index)));
            assert!(
                ids.len() <= self.config.bucket_size
                    && bucket.replacements() <= self.config.replacements
            );
            let unique: std::collections::BTreeSet<_> =
                ids.iter().chain(bucket.replacement_ids()).collect();
            assert_eq!(unique.len(), ids.len() + bucket.replacements());
            assert!(bucket.entries().is_sorted_by_key(|entry| entry.last_answer));
        }
    }
}

#[cfg(test)]
mod tests;
