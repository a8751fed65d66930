//! One bucket with its replacement cache.
use std::num::NonZeroUsize;

use deut_common::{
    hasher::KeyedState,
    time::{Mono, Now},
};
use lru::LruCache;

use crate::{config::Config, contact::Contact, id::NodeId, io::Failure, tickets::TunnelTag};

/// A contact that answered at least once.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) contact: Contact,
    /// A later contact of the same persona that was only heard of. It is handed out, and the next PING goes to it.
    newer: Option<Contact>,
    pub(crate) last_answer: Mono,
    /// Time of the next PING to it.
    pub(super) ask_at: Mono,
    /// A PING to it is under way.
    pub(super) asked: bool,
    /// Time to search for its id, once it has expired.
    pub(super) search_at: Mono,
    failures: u32,
    first_tunnel: Option<TunnelTag>,
    /// The failures were over more than one tunnel or over unknown ones.
    several_tunnels: bool,
}

impl Entry {
    fn new(contact: &Contact, now: &Now, config: &Config) -> Self {
        Self {
            contact: contact.clone(),
            newer: None,
            last_answer: now.mono,
            ask_at: reask_at(contact, now, config),
            asked: false,
            search_at: Mono(0),
            failures: 0,
            first_tunnel: None,
            several_tunnels: false,
        }
    }

    /// The contact to send a PING to, expired or not. The persona signed it and has answered before: a neighbour whose tunnels died
    /// must not be handed out with its old addresses until its turn for a PING comes.
    pub(crate) fn to_ask(&self) -> &Contact {
        self.newer.as_ref().unwrap_or(&self.contact)
    }

    fn is_bad(&self, config: &Config) -> bool {
        self.failures >= config.max_failures && self.several_tunnels
    }

    /// Returns true if it may be handed out.
    pub(crate) fn is_good(&self, now: &Now, config: &Config) -> bool {
        !self.is_bad(config) && !self.to_ask().is_expired(now.unix)
    }

    /// Returns true if it did not answer the last time.
    pub(crate) fn failed_last(&self) -> bool {
        self.failures > 0
    }

    fn failed(&mut self, how: Failure, now: &Now, config: &Config) {
        self.asked = false;
        match (how, self.first_tunnel) {
            (Failure::NotSent, _) => {
                // Our own tunnels are missing, so it is asked again when they may be up.
                self.ask_at = now.mono.plus_us(config.retry_check);
                return;
            }
            (Failure::Over(tunnel), None) if self.failures == 0 => self.first_tunnel = Some(tunnel),
            (Failure::Over(tunnel), Some(first)) if tunnel == first => {}
            _ => self.several_tunnels = true,
        }
        self.failures = self.failures.saturating_add(1);
        // Each failure beyond the limit doubles the wait, so a dead contact costs little.
        let doublings = self.failures.saturating_sub(config.max_failures).min(8);
        self.ask_at = now.mono.plus_us(config.retry_check << doublings);
    }
}

/// The time of the next PING: after the configured part of the contact's remaining life.
fn reask_at(contact: &Contact, now: &Now, config: &Config) -> Mono {
    let remaining = contact.expiry().0.saturating_sub(now.unix.0);
    let part = remaining.saturating_mul(config.reask_percent * 10_000);
    now.mono.plus_us(part.max(config.min_reask))
}

/// The place that a contact would get.
pub(super) enum Placed {
    /// There is none: the bucket is full.
    Full,
    /// It is an entry already.
    Known,
    /// There is a place, perhaps that of a bad contact.
    Room,
}

/// Entries in the order in which they were last seen, the longest ago first.
pub(super) struct Bucket {
    entries: Vec<Entry>,
    replacements: LruCache<NodeId, Contact, KeyedState>,
}

impl Bucket {
    pub(super) fn new(config: &Config, hasher: &KeyedState) -> Self {
        let cap = NonZeroUsize::new(config.replacements).unwrap_or(NonZeroUsize::MIN);
        Self {
            entries: Vec::new(),
            replacements: LruCache::with_hasher(cap, hasher.clone()),
        }
    }

    pub(super) fn answered(&mut self, contact: &Contact, now: &Now, config: &Config) {
        let id = contact.id();
        self.replacements.pop(&id);
        let known = self
            .entries
            .iter()
            .position(|entry| entry.contact.id() == id)
            .map(|at| self.entries.remove(at));
        if let Some(old) = known {
            let newest = if contact.replaces(old.to_ask()) {
                contact
            } else {
                old.to_ask()
            };
            self.entries.push(Entry::new(newest, now, config));
            return;
        }
        if self.entries.len() >= config.bucket_size {
            let Some(useless) = self
                .entries
                .iter()
                .position(|entry| !entry.is_good(now, config))
            else {
                self.replacements.put(id, contact.clone());
                return;
            };
            self.entries.remove(useless);
        }
        self.entries.push(Entry::new(contact, now, config));
    }

    pub(super) fn place(&mut self, contact: &Contact, now: &Now, config: &Config) -> Placed {
        let id = contact.id();
        if let Some(entry) = self
            .entries
            .iter_mut()
            .find(|entry| entry.contact.id() == id)
        {
            // It gets no PING at once: its contacts change every few minutes, and its turn comes anyway. But if it had failed, at
            // addresses that may be gone, it is alive: it signed new ones.
            if *contact != entry.contact && contact.replaces(entry.to_ask()) {
                entry.newer = Some(contact.clone());
                if entry.failures > 0 {
                    entry.ask_at = now.mono;
                }
            }
            return Placed::Known;
        }
        let full = self.entries.len() >= config.bucket_size;
        if full && self.entries.iter().all(|entry| entry.is_good(now, config)) {
            Placed::Full
        } else {
            Placed::Room
        }
    }

    pub(super) fn remember(&mut self, contact: &Contact) {
        self.replacements.put(contact.id(), contact.clone());
    }

    pub(super) fn failed(
        &mut self,
        id: &NodeId,
        how: Failure,
        now: &Now,
        config: &Config,
    ) -> Option<Contact> {
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| entry.contact.id() == *id)?;
        entry.failed(how, now, config);
        if !entry.is_bad(config) {
            return None;
        }
        loop {
            let (_, replacement) = self.replacements.pop_mru()?;
            if !replacement.is_expired(now.unix) {
                return Some(replacement);
            }
        }
    }

    pub(super) fn find(&self, id: &NodeId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.contact.id() == *id)
    }

    pub(super) fn purge(&mut self, now: &Now, config: &Config) {
        self.entries.retain(|entry| {
            entry.is_good(now, config) || now.mono.since(entry.last_answer) < config.stale_life
        });
        self.replacements
            .retain(|_, contact| !contact.is_expired(now.unix));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.replacements.is_empty()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub(super) fn replacements(&self) -> usize {
        self.replacements.len()
    }

    #[cfg(test)]
    pub(super) fn replacement_ids(&self) -> impl Iterator<Item = &NodeId> {
        self.replacements.iter().map(|(id, _)| id)
    }
}
