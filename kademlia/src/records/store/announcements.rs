//! The announcements under one key.

use std::collections::BTreeMap;

use deut_common::time::Mono;
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use crate::{config::Config, records::entry::PeerEntry};

type Tag = [u8; 8];

#[derive(Debug)]
struct Announcement {
    entry: PeerEntry,
    /// When its writer came.
    first: Mono,
    until: Mono,
    settled: bool,
}

/// One of each writer. Those who announced again after a while are settled and stay as long as they go on; they have half of the
/// places at most. At the cap a newcomer takes the place of another newcomer, drawn at random: one who writes under many tags
/// pushes out others like it, and none who were there before.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    by_writer: BTreeMap<Tag, Announcement>,
}

impl Announcements {
    pub(super) fn len(&self) -> usize {
        self.by_writer.len()
    }

    pub(super) fn has(&self, writer: &Tag) -> bool {
        self.by_writer.contains_key(writer)
    }

    pub(super) fn purge(&mut self, now: Mono) {
        self.by_writer.retain(|_, kept| kept.until > now);
    }

    pub(super) fn next_end(&self) -> Option<Mono> {
        self.by_writer.values().map(|kept| kept.until).min()
    }

    /// Takes an announcement, or the newer one of the same writer.
    pub(super) fn put(
        &mut self,
        entry: PeerEntry,
        now: Mono,
        config: &Config,
        random: &mut StdRng,
    ) {
        let (cap, until) = (config.max_entries_per_key, now.plus_us(config.entry_life));
        let settled = self.by_writer.values().filter(|kept| kept.settled).count();
        if let Some(kept) = self.by_writer.get_mut(&entry.writer) {
            if kept.until <= now {
                kept.first = now;
                kept.settled = false;
            }
            kept.settled |= settled < cap / 2 && now >= kept.first.plus_us(config.settling);
            kept.entry = entry;
            kept.until = until;
            return;
        }
        if self.len() >= cap {
            self.purge(now);
        }
        if self.len() >= cap {
            let newcomers = self.by_writer.iter().filter(|(_, kept)| !kept.settled);
            let newcomers: Vec<Tag> = newcomers.map(|(writer, _)| *writer).collect();
            let drawn = random.random_range(0..newcomers.len().max(1));
            if let Some(writer) = newcomers.get(drawn) {
                self.by_writer.remove(writer);
            }
        }
        let kept = Announcement {
            entry,
            first: now,
            until,
            settled: false,
        };
        self.by_writer.insert(entry.writer, kept);
    }

    /// Up to `count`, drawn at random: half of them among the settled ones, the others among the newcomers, as far as there are so
    /// many.
    pub(super) fn sample(&self, count: usize, now: Mono, random: &mut StdRng) -> Vec<PeerEntry> {
        let live = self.by_writer.values().filter(|kept| kept.until > now);
        let mut live: Vec<&Announcement> = live.collect();
        live.shuffle(random);
        let (mut settled, mut newcomers): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|kept| kept.settled);
        let room_for_settled = count.saturating_sub(newcomers.len()).max(count.div_ceil(2));
        settled.truncate(room_for_settled);
        newcomers.truncate(count - settled.len());
        settled.append(&mut newcomers);
        settled.into_iter().map(|kept| kept.entry).collect()
    }
}
