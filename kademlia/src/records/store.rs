//! The records that a persona keeps for others.
//!
//! Whoever stores much must not push out what others stored. A key that is stored again after [`Config::settling`] is settled: nothing
//! pushes it out as long as somebody goes on storing it. Settled keys have half of the room at most. Where room is short, a
//! random one of the others leaves: one of those as far from our own id as most of them are. So whoever grinds keys near us
//! pushes out what lies among its own.
//!
//! Under one key the same holds for announcements ([`Announcements`]).

mod announcements;

use std::collections::BTreeMap;

use deut_common::time::Mono;
use rand::{RngExt, rngs::StdRng};

use crate::{
    config::Config,
    id::{Distance, Key, NodeId},
    records::{
        entry::PeerEntry,
        mutable::{SentMutable, Version},
        record::{Conflict, Record, StoreResult},
    },
};
use announcements::Announcements;

/// Approximate cost of a record besides its own bytes.
const OVERHEAD: usize = 128;

/// Everything under one key. Values, peers and mutable records do not hide each other.
#[derive(Debug)]
struct KeyRecords {
    /// When it was stored for the first time.
    first: Mono,
    settled: bool,
    value: Option<(Vec<u8>, Mono)>,
    mutable: Option<(Version, Mono)>,
    peers: Announcements,
}

impl KeyRecords {
    fn new(now: Mono) -> Self {
        Self {
            first: now,
            settled: false,
            value: None,
            mutable: None,
            peers: Announcements::default(),
        }
    }

    fn bytes(&self) -> usize {
        let value = self
            .value
            .as_ref()
            .map_or(0, |(value, _)| value_bytes(value));
        let mutable = self.mutable.as_ref();
        let mutable = mutable.map_or(0, |(version, _)| mutable_bytes(version));
        value + mutable + self.peers.len() * ENTRY_BYTES
    }

    /// Size of the record that a new one would replace.
    fn replaced_bytes(&self, record: &Record) -> usize {
        match record {
            Record::Value(_) => self
                .value
                .as_ref()
                .map_or(0, |(value, _)| value_bytes(value)),
            Record::Mutable(_) => {
                let mutable = self.mutable.as_ref();
                mutable.map_or(0, |(version, _)| mutable_bytes(version))
            }
            Record::Peer { entry, .. } if self.peers.has(&entry.writer) => ENTRY_BYTES,
            Record::Peer { .. } => 0,
        }
    }

    fn purge(&mut self, now: Mono) {
        self.value.take_if(|(_, until)| *until <= now);
        self.mutable.take_if(|(_, until)| *until <= now);
        self.peers.purge(now);
    }

    /// When the first of its records ends.
    fn next_end(&self) -> Option<Mono> {
        let value = self.value.as_ref().map(|(_, until)| *until);
        let mutable = self.mutable.as_ref().map(|(_, until)| *until);
        let ends = [value, mutable, self.peers.next_end()];
        ends.into_iter().flatten().min()
    }
}

const ENTRY_BYTES: usize = PeerEntry::LEN + OVERHEAD;

fn value_bytes(value: &[u8]) -> usize {
    value.len() + OVERHEAD
}

fn mutable_bytes(version: &Version) -> usize {
    version.value.as_slice().len() + version.signature.len() + 8 + OVERHEAD
}

fn record_bytes(record: &Record) -> usize {
    match record {
        Record::Value(value) => value_bytes(value.as_slice()),
        Record::Mutable(sent) => mutable_bytes(&sent.version),
        Record::Peer { .. } => ENTRY_BYTES,
    }
}

/// Records by distance from our own id.
#[derive(Debug)]
pub(crate) struct Store {
    own: NodeId,
    slots: BTreeMap<Distance, KeyRecords>,
    /// The keys that are not settled, by the bits that they share with our id.
    unsettled: BTreeMap<u32, Vec<Distance>>,
    bytes: usize,
    settled_bytes: usize,
    /// Nothing ends before.
    next_end: Mono,
    config: Config,
}

impl Store {
    pub(crate) fn new(own: NodeId, config: &Config) -> Self {
        Self {
            own,
            slots: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            bytes: 0,
            settled_bytes: 0,
            next_end: Mono(u64::MAX),
            config: config.clone(),
        }
    }

    /// Keeps a record whose signature was checked, and that has no [`Self::conflict`]. A record that is
    /// there already lives on.
    pub(crate) fn put(&mut self, record: Record, now: Mono, random: &mut StdRng) -> StoreResult {
        let at = self.own.distance(&record.key());
        if !self.make_room(&at, &record, now, random) {
            return StoreResult::Full;
        }
        let life = match record {
            Record::Peer { .. } => self.config.entry_life,
            Record::Value(_) | Record::Mutable(_) => self.config.value_life,
        };
        let until = now.plus_us(life);
        let new = !self.slots.contains_key(&at);
        if new {
            self.unsettled.entry(band(&at)).or_default().push(at);
        }
        let slot = self.slots.entry(at).or_insert_with(|| KeyRecords::new(now));
        let before = slot.bytes();
        match record {
            Record::Value(value) => slot.value = Some((value.into_vec(), until)),
            Record::Mutable(sent) => slot.mutable = Some((sent.version, until)),
            Record::Peer { entry, .. } => {
                slot.peers.put(entry, now, &self.config, random);
            }
        }
        let after = slot.bytes();
        if slot.settled {
            self.settled_bytes = self.settled_bytes + after - before;
        }
        self.bytes = self.bytes + after - before;
        self.next_end = self.next_end.min(until);
        self.settle(&at, now);
        StoreResult::Stored
    }

    /// A key that is stored again after a while is settled, if there is room for that.
    fn settle(&mut self, at: &Distance, now: Mono) {
        let settled = self.slots.len() - self.unsettled.values().map(Vec::len).sum::<usize>();
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        let bytes = self.settled_bytes + slot.bytes();
        let room =
            settled < self.config.max_stored_keys / 2 && bytes <= self.config.max_stored_bytes / 2;
        if slot.settled || !room || now < slot.first.plus_us(self.config.settling) {
            return;
        }
        slot.settled = true;
        self.settled_bytes = bytes;
        if let Some(of_band) = self.unsettled.get_mut(&band(at)) {
            of_band.retain(|other| other != at);
        }
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
        slot.peers.sample(count, now, random)
    }

    /// Forgets records that have ended.
    pub(crate) fn purge(&mut self, now: Mono) {
        if now < self.next_end {
            return;
        }
        self.slots.values_mut().for_each(|slot| slot.purge(now));
        self.slots.retain(|_, slot| slot.bytes() > 0);
        let slots = self.slots.values();
        self.bytes = slots.clone().map(KeyRecords::bytes).sum();
        let settled = slots.clone().filter(|slot| slot.settled);
        self.settled_bytes = settled.map(KeyRecords::bytes).sum();
        let ends = slots.filter_map(KeyRecords::next_end);
        self.next_end = ends.min().unwrap_or(Mono(u64::MAX));
        for of_band in self.unsettled.values_mut() {
            of_band.retain(|at| self.slots.contains_key(at));
        }
    }

    /// `false`: there is no room, or the new record is the one that chance leaves out.
    fn make_room(
        &mut self,
        at: &Distance,
        record: &Record,
        now: Mono,
        random: &mut StdRng,
    ) -> bool {
        if self.fits(at, self.cost(at, record)) {
            return true;
        }
        self.purge(now);
        // The record to be replaced may have ended, and no longer counts against the cost.
        let cost = self.cost(at, record);
        while !self.fits(at, cost) {
            let Some(victim) = self.draw(at, random) else {
                return false;
            };
            if let Some(gone) = self.slots.remove(&victim) {
                self.bytes -= gone.bytes();
            }
        }
        true
    }

    /// Takes a random key out of the fullest band of those that are not settled. The new one counts among them: `None` if it
    /// is drawn, or if there is no other.
    fn draw(&mut self, new: &Distance, random: &mut StdRng) -> Option<Distance> {
        let (number, of_band) = self.unsettled.iter_mut().max_by_key(|(_, all)| all.len())?;
        let others = of_band.len();
        let known = self.slots.contains_key(new);
        let with_new = usize::from(!known && *number == band(new));
        let drawn = random.random_range(0..(others + with_new).max(1));
        if drawn >= others || (known && of_band.get(drawn) == Some(new)) {
            return None;
        }
        Some(of_band.swap_remove(drawn))
    }

    /// Bytes that a record adds: what it replaces need not fit beside it.
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

/// Bits that a key shares with our id.
fn band(distance: &Distance) -> u32 {
    distance.shared_bits()
}

#[cfg(test)]
mod tests;
