//! The records that this node publishes, and the times to announce them again.
use std::collections::BTreeMap;

use deut_common::{codec::BoundedBytes, time::Mono};
use hmac::{Hmac, KeyInit, Mac};
use rand::{Rng, RngExt, rngs::StdRng};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    config::Config,
    labels,
    query::Refusal,
    records::{
        announced::Announced,
        entry::PeerSet,
        mutable::{MutableKey, MutableRecord, Version},
        record::Record,
    },
};

/// Names a published record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PublishedId(u64);

/// The content of a published record. Equal contents are one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Publication {
    Mutable(MutableRecord),
    Peer { infohash: [u8; 20], what: Announced },
    Value(Vec<u8>),
}

struct Kept {
    publication: Publication,
    /// It announces this node's own persona, so it changes with the persona's key.
    own_persona: bool,
    /// Time of the next announcement; `None` while one is running, and while there is no persona to announce.
    due: Option<Mono>,
    running: bool,
    /// Number of times in a row that it was stored at few nodes or at none.
    few: u32,
}

/// All records that this node publishes, until it stops.
pub(crate) struct Published {
    kept: BTreeMap<PublishedId, Kept>,
    next: u64,
    /// Number of mutable records that were forgotten because a newer version was seen.
    superseded: u64,
    persona: Option<[u8; 32]>,
    writer_secret: Zeroizing<[u8; 32]>,
}

/// A change of persona is announced at random times within this, in microseconds, and not all at once.
const PERSONA_SPREAD: u64 = 60_000_000;
/// While fewer nodes are known than should store a record, it is announced again within this range at the latest, µs.
const FEW_NODES: (u64, u64) = (30_000_000, 60_000_000);

impl Published {
    pub(crate) fn new(secrets: &mut StdRng) -> Self {
        let mut writer_secret = Zeroizing::new([0; 32]);
        secrets.fill_bytes(&mut *writer_secret);
        Self {
            kept: BTreeMap::new(),
            next: 0,
            superseded: 0,
            persona: None,
            writer_secret,
        }
    }

    /// Keeps a record, which the caller announces now.
    pub(crate) fn keep(
        &mut self,
        publication: Publication,
        config: &Config,
    ) -> Result<PublishedId, Refusal> {
        let same = self
            .kept
            .iter_mut()
            .find(|(_, kept)| kept.publication == publication);
        if let Some((id, kept)) = same {
            kept.running = true;
            kept.due = None;
            return Ok(*id);
        }
        if self.kept.len() >= config.max_published {
            return Err(Refusal::TooManyPublished);
        }
        self.next += 1;
        let id = PublishedId(self.next);
        let own_persona = matches!(&publication, Publication::Peer { what: Announced::Persona(key), .. }
            if Some(*key) == self.persona);
        self.kept.insert(
            id,
            Kept {
                publication,
                own_persona,
                due: None,
                running: true,
                few: 0,
            },
        );
        Ok(id)
    }

    /// Keeps a version of a mutable record in place of an older one; the caller announces it now. `cas` is the number that the
    /// older one must have, if there is one.
    pub(crate) fn keep_mutable(
        &mut self,
        record: MutableRecord,
        cas: Option<i64>,
        config: &Config,
    ) -> Result<PublishedId, Refusal> {
        let older = self.find_mutable(record.key());
        if let Some((_, kept, published)) = older {
            let (new, old) = (record.version(), published.version());
            let expected = cas.is_none_or(|cas| cas == old.seq);
            if old.stands_against(new) || !(expected || new.says_the_same(old)) {
                return Err(Refusal::OtherVersionPublished(old.seq));
            }
            kept.publication = Publication::Mutable(record.clone());
        }
        self.keep(Publication::Mutable(record), config)
    }

    /// A version of a mutable record was seen, signed by its key. If readers would prefer it to the version that this node
    /// publishes, ours is forgotten, and its number is returned.
    pub(crate) fn saw(&mut self, of: &MutableKey, seen: &Version) -> Option<i64> {
        let (id, _, published) = self.find_mutable(of)?;
        if !seen.supersedes(published.version()) {
            return None;
        }
        self.kept.remove(&id);
        self.superseded += 1;
        Some(published.seq())
    }

    fn find_mutable(&mut self, of: &MutableKey) -> Option<(PublishedId, &mut Kept, MutableRecord)> {
        self.kept
            .iter_mut()
            .find_map(|(id, kept)| match &kept.publication {
                Publication::Mutable(record) if record.key() == of => {
                    let record = record.clone();
                    Some((*id, kept, record))
                }
                _ => None,
            })
    }

    /// The record to store now, sealed afresh.
    pub(crate) fn record(&self, id: PublishedId, secrets: &mut StdRng) -> Option<Record> {
        match &self.kept.get(&id)?.publication {
            Publication::Value(value) => BoundedBytes::new(value.clone()).map(Record::Value),
            Publication::Mutable(record) => Some(Record::Mutable(record.to_sent(None))),
            Publication::Peer { infohash, what } => {
                let set = PeerSet::of(infohash);
                let mut salt = [0; 16];
                secrets.fill_bytes(&mut salt);
                let entry = set.seal(self.writer_tag(infohash, what), salt, what);
                Some(Record::Peer {
                    blinded: set.blinded(),
                    entry,
                })
            }
        }
    }

    /// The next record that is due; it counts as running.
    pub(crate) fn take_due(&mut self, config: &Config, now: Mono) -> Option<PublishedId> {
        if self.next_due(config).is_none_or(|due| due > now) {
            return None;
        }
        let due = self
            .kept
            .iter_mut()
            .find(|(_, kept)| !kept.running && kept.due.is_some_and(|due| due <= now));
        due.map(|(id, kept)| {
            kept.running = true;
            kept.due = None;
            *id
        })
    }

    /// An announcement ended, and `at` of `of` nodes stored the record.
    pub(crate) fn announced(
        &mut self,
        id: PublishedId,
        (at, of): (usize, usize),
        config: &Config,
        now: Mono,
        choices: &mut StdRng,
    ) {
        let Some(kept) = self.kept.get_mut(&id) else {
            return;
        };
        let usual = match kept.publication {
            Publication::Peer { .. } => config.entry_republish,
            Publication::Mutable(_) | Publication::Value(_) => config.value_republish,
        };
        // A node that has just joined knows few nodes but soon more, so the first retry is soon. But nodes that refuse to store
        // must not make us come again and again: each time is another chance to trace us.
        let latest = if of < config.width { FEW_NODES } else { usual };
        let few = of < config.width || 2 * at < config.width;
        kept.few = if few { kept.few.saturating_add(1) } else { 0 };
        let (from, to) = match kept.few {
            0 => usual,
            times => earlier(config.publish_retry, times, latest),
        };
        kept.running = false;
        // A persona may have gone while its announcement ran.
        let suspended = kept.own_persona && self.persona.is_none();
        kept.due = (!suspended).then(|| now.plus_us(choices.random_range(from..=to.max(from))));
    }

    /// The user withdrew the record.
    pub(crate) fn forget(&mut self, id: PublishedId) {
        self.kept.remove(&id);
    }

    /// Sets the persona that this node's own announcements name. They are suspended while there is none.
    pub(crate) fn set_persona(
        &mut self,
        persona: Option<[u8; 32]>,
        now: Mono,
        choices: &mut StdRng,
    ) {
        self.persona = persona;
        for kept in self.kept.values_mut().filter(|kept| kept.own_persona) {
            kept.due = persona.map(|_| now.plus_us(choices.random_range(0..PERSONA_SPREAD)));
            if let (Some(new), Publication::Peer { what, .. }) = (persona, &mut kept.publication) {
                *what = Announced::Persona(new);
            }
        }
    }

    /// The time at which [`Self::take_due`] has something next. `None` while enough are running: the end of one leads here again.
    pub(crate) fn next_due(&self, config: &Config) -> Option<Mono> {
        if self.kept.values().filter(|kept| kept.running).count() >= config.max_republishing {
            return None;
        }
        self.kept
            .values()
            .filter(|kept| !kept.running)
            .filter_map(|kept| kept.due)
            .min()
    }

    /// Number of mutable records that are no longer published because a newer version was seen.
    pub(crate) fn superseded(&self) -> u64 {
        self.superseded
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The tag is the same for each announcement of the same thing, so that a new entry replaces the old one, but differs between
    /// infohashes. There is one for this node's persona, whichever it is, and one per address.
    fn writer_tag(&self, infohash: &[u8; 20], what: &Announced) -> [u8; 8] {
        let mac = Hmac::<Sha256>::new_from_slice(&*self.writer_secret)
            .expect("HMAC takes keys of any length")
            .chain_update(labels::PEERS_WRITER_TAG)
            .chain_update(infohash);
        let mac = match what {
            Announced::Persona(_) => mac,
            Announced::Address(address) => mac.chain_update(address.to_string()),
        };
        let [a, b, c, d, e, f, g, h, ..] = mac.finalize().into_bytes().0;
        [a, b, c, d, e, f, g, h]
    }
}

/// This range, doubled each time after the first, but no later than `latest`.
fn earlier((from, to): (u64, u64), times: u32, latest: (u64, u64)) -> (u64, u64) {
    let factor = 1 << times.saturating_sub(1).min(16);
    let doubled = |micros: u64| micros.saturating_mul(factor);
    (doubled(from).min(latest.0), doubled(to).min(latest.1))
}

#[cfg(test)]
mod tests;
