//! The records that a persona keeps for others.
//!
//! At the cap of keys or bytes, records that have ended go first. Then the key farthest from our own id makes room if it is farther
//! than the new one; else the new one is refused.
use std::collections::BTreeMap;

use deut_common::time::Mono;
use rand::{rngs::StdRng, seq::SliceRandom};

use crate::{
    config::Config,
    id::{Distance, Key, NodeId},
    records::{
        entry::PeerEntry,
        mutable::{SentMutable, Version},
        record::{Conflict, Record, StoreResult},
    },
};

/// Approximate cost of a record besides its own bytes.
const OVERHEAD: usize = 128;

/// All records under one key. Values, peers and mutable records do not hide each other.
#[derive(Debug, Default)]
struct KeyRecords {
    value: Option<(Vec<u8>, Mono)>,
    mutable: Option<(Version, Mono)>,
    /// By writer tag.
    peers: BTreeMap<[u8; 8], (PeerEntry, Mono)>,
}

impl KeyRecords {
    fn bytes(&self) -> usize {
        let value = self
            .value
            .as_ref()
            .map_or(0, |(value, _)| value.len() + OVERHEAD);
        let mutable = self
            .mutable
            .as_ref()
            .map_or(0, |(version, _)| mutable_bytes(version));
        value + mutable + self.peers.len() * (PeerEntry::LEN + OVERHEAD)
    }

    /// Size of the record that a new one would replace.
    fn replaced_bytes(&self, record: &Record) -> usize {
        match record {
            Record::Value(_) => self
                .value
                .as_ref()
                .map_or(0, |(value, _)| value.len() + OVERHEAD),
            Record::Mutable(_) => self
                .mutable
                .as_ref()
                .map_or(0, |(version, _)| mutable_bytes(version)),
            Record::Peer { entry, .. } if self.peers.contains_key(&entry.writer) => {
                PeerEntry::LEN + OVERHEAD
            }
            Record::Peer { .. } => 0,
        }
    }

    fn purge(&mut self, now: Mono) {
        self.value.take_if(|(_, until)| *until <= now);
        self.mutable.take_if(|(_, until)| *until <= now);
        self.peers.retain(|_, (_, until)| *until > now);
    }
}

fn mutable_bytes(version: &Version) -> usize {
    version.value.as_slice().len() + version.signature.len() + 8 + OVERHEAD
}

fn record_bytes(record: &Record) -> usize {
    match record {
        Record::Value(value) => value.as_slice().len() + OVERHEAD,
        Record::Mutable(sent) => mutable_bytes(&sent.version),
        Record::Peer { .. } => PeerEntry::LEN + OVERHEAD,
    }
}

/// Records by distance from our own id, so that the farthest is the last.
#[derive(Debug)]
pub(crate) struct Store {
    own: NodeId,
    slots: BTreeMap<Distance, KeyRecords>,
    bytes: usize,
    config: Config,
}

impl Store {
    pub(crate) fn new(own: NodeId, config: &Config) -> Self {
        Self {
            own,
            slots: BTreeMap::new(),
            bytes: 0,
            config: config.clone(),
        }
    }

    /// Keeps a record whose signature was verified and that has no [`Self::conflict`]. A record that is already there gets a new
    /// life.
    pub(crate) fn put(&mut self, record: Record, now: Mono) -> StoreResult {
        let at = self.own.distance(&record.key());
        if !self.make_room(&at, &record, now) {
            return StoreResult::Full;
        }
        let slot = self.slots.entry(at).or_default();
        let before = slot.bytes();
        match record {
            Record::Value(value) => {
                slot.value = Some((value.into_vec(), now.plus_us(self.config.value_life)));
            }
            Record::Mutable(sent) => {
                slot.mutable = Some((sent.version, now.plus_us(self.config.value_life)));
            }
            Record::Peer { entry, .. } => {
                let full = slot.peers.len() >= self.config.max_entries_per_key;
                if full && !slot.peers.contains_key(&entry.writer) {
                    let first = slot
                        .peers
                        .iter()
                        .min_by_key(|(_, (_, until))| *until)
                        .map(|(writer, _)| *writer);
                    first.map(|writer| slot.peers.remove(&writer));
                }
                slot.peers
                    .insert(entry.writer, (entry, now.plus_us(self.config.entry_life)));
            }
        }
        self.bytes = self.bytes + slot.bytes() - before;
        StoreResult::Stored
    }

    pub(crate) fn value(&self, key: &Key, now: Mono) -> Option<&[u8]> {
        let (value, until) = self.slots.get(&self.own.distance(key))?.value.as_ref()?;
        (*until > now).then_some(value)
    }

    /// The version of a mutable record that is kept.
    pub(crate) fn mutable(&self, key: &Key, now: Mono) -> Option<&Version> {
        let (version, until) = self.slots.get(&self.own.distance(key))?.mutable.as_ref()?;
        (*until > now).then_some(version)
    }

    /// The conflict, if the version that is kept, which is also returned, takes precedence over a new one (BEP 44). The same
    /// version again is no conflict, whatever the writer expects: the answer to an earlier STORE may have been lost.
    pub(crate) fn conflict(&self, sent: &SentMutable, now: Mono) -> Option<(Conflict, &Version)> {
        let kept = self.mutable(&sent.key(), now)?;
        let conflict = if kept.says_the_same(&sent.version) {
            return None;
        } else if sent.cas.is_some_and(|cas| cas != kept.seq) {
            Conflict::CasMismatch
        } else if sent.version.seq < kept.seq {
            Conflict::OldSequence
        } else if sent.version.seq == kept.seq {
            Conflict::SameSequence
        } else {
            return None;
        };
        Some((conflict, kept))
    }

    /// Up to `count` of the entries under a key, drawn at random.
    pub(crate) fn peers(
        &self,
        key: &Key,
        count: usize,
        now: Mono,
        random: &mut StdRng,
    ) -> Vec<PeerEntry> {
        let Some(slot) = self.slots.get(&self.own.distance(key)) else {
            return Vec::new();
        };
        let live = slot.peers.values().filter(|(_, until)| *until > now);
        let mut entries: Vec<PeerEntry> = live.map(|(entry, _)| *entry).collect();
        entries.shuffle(random);
        entries.truncate(count);
        entries
    }

    /// Forgets records that have ended.
    pub(crate) fn purge(&mut self, now: Mono) {
        self.slots.values_mut().for_each(|slot| slot.purge(now));
        self.slots.retain(|_, slot| slot.bytes() > 0);
        self.bytes = self.slots.values().map(KeyRecords::bytes).sum();
    }

    fn make_room(&mut self, at: &Distance, record: &Record, now: Mono) -> bool {
        if self.fits(at, self.cost(at, record)) {
            return true;
        }
        self.purge(now);
        // The record to be replaced may have ended, and no longer counts against the cost.
        let cost = self.cost(at, record);
        while !self.fits(at, cost) {
            match self.slots.last_key_value() {
                Some((farthest, slot)) if farthest > at => {
                    self.bytes -= slot.bytes();
                    self.slots.pop_last();
                }
                _ => return false,
            }
        }
        true
    }

    /// Number of bytes that a record adds. The record that it replaces does not count.
    fn cost(&self, at: &Distance, record: &Record) -> usize {
        let slot = self.slots.get(at);
        let replaced = slot.map_or(0, |slot| slot.replaced_bytes(record));
        record_bytes(record).saturating_sub(replaced)
    }

    fn fits(&self, at: &Distance, cost: usize) -> bool {
        let keys = self.slots.len() + usize::from(!self.slots.contains_key(at));
        keys <= self.config.max_stored_keys && self.bytes + cost <= self.config.max_stored_bytes
    }

    pub(crate) fn keys(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn records(&self) -> usize {
        self.slots
            .values()
            .map(|slot| {
                let single = [slot.value.is_some(), slot.mutable.is_some()];
                single.map(usize::from).iter().sum::<usize>() + slot.peers.len()
            })
            .sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
